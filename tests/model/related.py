"""Fits to made records of an inbred pedigree with identical twins, of whom some have no record; and dense algebra."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd

import lmmpy as lmm
from lmmpy.relatedness import Pedigree
from tests.model.made import quiet
from tests.naive import factors_at

SIZE, N = 46, 90
TWINS = ("i44", "i45")

FORMULAS = {
    "intercepts": "y ~ x + kin(id, A)",
    "household": "y ~ x + offset(o) + kin(id, A) + (1 | h)",
    "environment": "y ~ x + kin(id, A) + (1 | id)",
    "slopes": "y ~ x + (1 + x | kin(id, A)) + (1 | h)",
    "separate": "y ~ x + (1 | kin(id, A)) + (0 + x | kin(id, A))",
    "no fixed": "y ~ 0 + kin(id, A)",
}


@cache
def rows() -> pd.DataFrame:
    """Matings at random among what came before, so that the late are inbred; fathers are even, mothers odd."""
    rng = np.random.default_rng(5)
    father, mother = np.full(SIZE, -1), np.full(SIZE, -1)
    for i in range(8, SIZE):
        father[i], mother[i] = 2 * rng.integers(max(0, i // 2 - 7), i // 2), 2 * rng.integers(0, (i - 1) // 2) + 1
    mother[9] = -1  # half-known
    father[45], mother[45] = father[44], mother[44]
    names = np.array([*(f"i{i:02d}" for i in range(SIZE)), "0"])
    twin = np.where(np.arange(SIZE) >= 44, "pair", "")
    return pd.DataFrame({"id": names[:-1], "father": names[father], "mother": names[mother], "twin": twin})


@cache
def pedigree() -> Pedigree:
    return Pedigree.from_frame(rows(), "id", "father", "mother", twin="twin")


@cache
def A() -> pd.DataFrame:
    """Additive relationships by the tabular method, everybody by id, identical twins alike in everything."""
    table, ids = rows(), list(rows()["id"])
    parents = [[ids.index(p) for p in pair if p != "0"] for pair in zip(table["father"], table["mother"], strict=True)]
    K = np.zeros((SIZE, SIZE))
    for i in range(SIZE):
        K[i, :i] = K[:i, i] = 0.5 * K[parents[i], :i].sum(axis=0)
        K[i, i] = 1.0 + (0.5 * K[parents[i][0], parents[i][1]] if len(parents[i]) == 2 else 0.0)
    K[45], K[:, 45] = K[44], K[:, 44]
    K[45, 45] = K[44, 44]
    return pd.DataFrame(K, index=ids, columns=ids)


@cache
def data() -> pd.DataFrame:
    """Records of all but some founders, links and last-born; one twin has none."""
    rng = np.random.default_rng(8)
    without = np.array([0, 3, 12, 17, 30, 40, 41, 45])
    there = np.setdiff1d(np.arange(SIZE), without)
    who = np.append(there, rng.choice(there, N - len(there)))
    F = np.linalg.cholesky(A().to_numpy() + 1e-9 * np.eye(SIZE))
    b = F @ rng.normal(size=(SIZE, 2)) * [1.5, 0.8]
    x, o, w = rng.normal(1.0, 1.0, N), rng.normal(size=N), rng.uniform(0.5, 2.0, N)
    h, own = rng.integers(0, 12, N), rng.normal(size=SIZE)
    y = 2.0 + x + o + b[who, 0] + b[who, 1] * x + 0.8 * own[who] + 0.7 * rng.normal(size=12)[h]
    y = y + rng.normal(size=N) / np.sqrt(w)
    ids = rows()["id"].to_numpy()[who]
    return pd.DataFrame({"y": y, "x": x, "o": o, "w": w, "h": [f"h{i}" for i in h], "id": ids})


def relatedness(kind: str) -> object:
    return pedigree() if kind == "pedigree" else A()


@cache
def fitted(name: str, kind: str = "pedigree", reml: bool = True) -> lmm.LmmFit:
    return quiet(FORMULAS[name], data(), weights="w", reml=reml, relmat={"A": relatedness(kind)})


@dataclass(frozen=True, eq=False)
class Everybody:
    """The joint distribution of β̂ and all effects, relative to σ², by the covariance of the records.

    Attributes
    ----------
    fit : LmmFit
        Whose θ̂ is taken.
    K : DataFrame
        Of everybody, by id.
    """

    fit: lmm.LmmFit
    K: pd.DataFrame

    @cached_property
    def ids(self) -> list[str]:
        return list(self.K.index)

    def levels(self, place: int) -> list[str]:
        term = self.fit.design.random[place]
        return self.ids if "kin" in term.group else list(term.levels)

    def Z(self, place: int, frame: pd.DataFrame, values: np.ndarray) -> np.ndarray:
        """Columns of a term over everybody; a level that is nowhere has none."""
        term, levels = self.fit.design.random[place], self.levels(place)
        column = frame["id" if "kin" in term.group else term.group].astype(str)
        Z = np.zeros((len(frame), len(levels), term.k))
        for row, level in enumerate(column):
            if level in levels:
                Z[row, levels.index(level)] = values[row]
        return Z.reshape(len(frame), -1)

    @cached_property
    def Cs(self) -> list[np.ndarray]:
        return [f.T @ f.T.T for f in factors_at(self.fit.design, self.fit.theta.to_numpy())]

    @cached_property
    def G(self) -> np.ndarray:
        blocks = []
        for place, C in enumerate(self.Cs):
            K = self.K.to_numpy() if "kin" in self.fit.design.random[place].group else np.eye(len(self.levels(place)))
            blocks.append(np.kron(K, C))
        cuts = np.cumsum([0, *(len(block) for block in blocks)])
        G = np.zeros((cuts[-1], cuts[-1]))
        for block, start in zip(blocks, cuts[:-1], strict=True):
            G[start : start + len(block), start : start + len(block)] = block
        return G

    @cached_property
    def Zy(self) -> np.ndarray:
        terms = self.fit.design.random
        return np.hstack([self.Z(place, self.fit.frame(), term.values) for place, term in enumerate(terms)])

    @cached_property
    def V(self) -> np.ndarray:
        return np.diag(1.0 / self.fit.prior_weights.to_numpy()) + self.Zy @ self.G @ self.Zy.T

    @cached_property
    def vcov(self) -> np.ndarray:
        X = self.fit.design.X
        return np.linalg.inv(X.T @ np.linalg.solve(self.V, X))

    @cached_property
    def beta(self) -> np.ndarray:
        return self.vcov @ self.fit.design.X.T @ np.linalg.solve(self.V, self._y)

    @cached_property
    def _y(self) -> np.ndarray:
        design = self.fit.design
        return design.y - (0.0 if design.offset is None else design.offset)

    @cached_property
    def b(self) -> np.ndarray:
        return self.G @ self.Zy.T @ np.linalg.solve(self.V, self._y - self.fit.design.X @ self.beta)

    def variance(self, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
        """Var(Xβ̂ + Zb̂ − Xβ − Zb) of rows, shape (m, m)."""
        shared = np.linalg.solve(self.V, self.Zy @ self.G @ Z.T)
        x = X - shared.T @ self.fit.design.X
        return self.fit.sigma**2 * (Z @ self.G @ Z.T - (Z @ self.G @ self.Zy.T) @ shared + x @ self.vcov @ x.T)
