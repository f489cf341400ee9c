"""Fits with a structured residual, or several traits, to made data; and dense algebra to judge them."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import lmmpy as lmm
from tests.naive import Dense, between_rows, dense

# name: formula, arguments
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ar1": ("y ~ x + f + (1 | g)", {"residual": "ar1(t | g)", "weights": "w"}),
    "strata": ("y ~ x + offset(o) + (x | g)", {"residual": "diag(0 + f | 1)"}),
    "gls": ("y ~ x + f", {"residual": "us(0 + occasion | g)", "reml": False}),
    "product": ("y ~ x + (1 | h)", {"residual": "car1(t | g) * varexp(v)"}),
    "power": ("y ~ x + kin(id, A)", {"residual": "varpower(v)", "weights": "w"}),
    "function": ("y ~ x + f + exp(v | kin(id, A)) + (1 | h)", {}),
    "traits": ("cbind(y, z) ~ x + (1 | g)", {}),
    "traits kin": ("cbind(first = y, second = z) ~ x + at(second, f) + kin(id, A)", {"weights": "w"}),
    "traits slopes": ("cbind(y, z) ~ x + offset(o) + diag(x | g) + at(z, (1 | h))", {"residual": "diag"}),
    "traits gls": ("cbind(y, z) ~ x * f", {"reml": False, "residual": "us"}),
}
SEVERAL = [name for name in KINDS if name.startswith("traits")]
SINGLE = [name for name in KINDS if name not in SEVERAL]


@cache
def pedigree() -> lmm.Pedigree:
    """Twelve families of two founders and three sibs; the last sib of each has no records."""
    rows = []
    for family in range(12):
        father, mother = f"p{family}", f"m{family}"
        rows += [(father, None, None), (mother, None, None)]
        rows += [(f"{'abc'[i]}{family}", father, mother) for i in range(3)]
    return lmm.Pedigree.from_frame(pd.DataFrame(rows, columns=["ID", "FA", "MO"]))


@cache
def data(seed: int = 8) -> pd.DataFrame:
    """Seventy rows, of which some miss a trait, and some a predictor."""
    rng = np.random.default_rng(seed)
    n = 72
    frame = pd.DataFrame(
        {
            "g": [f"g{i}" for i in np.repeat(np.arange(12), 6)],
            "h": [f"h{i}" for i in rng.integers(0, 5, n)],
            "id": [f"{'pmab'[i % 4]}{i // 4 % 12}" for i in rng.permutation(n)],
            "t": np.tile([0, 1, 2, 4, 5, 7], 12),
            "occasion": pd.Categorical.from_codes(np.tile([0, 1, 2] * 2, 12), ["i", "ii", "iii"]),
            "x": rng.normal(2.0, 1.0, n),
            "o": rng.normal(size=n),
            "v": rng.uniform(0.5, 3.0, n),
            "w": rng.uniform(0.5, 2.0, n),
            "f": pd.Categorical.from_codes(rng.integers(0, 3, n), ["a", "b", "c"]),
        },
        index=pd.Index([f"row{i}" for i in range(n)], name="row"),
    )
    frame["g"] += np.tile(np.repeat(["", "'"], 3), 12)
    of = {key: dict(zip(frame[key].unique(), rng.normal(size=60), strict=False)) for key in ("g", "h", "id")}
    common = frame["g"].map(of["g"]) + frame["h"].map(of["h"]) + frame["id"].map(of["id"])
    e = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.4], [0.0, 1.0]])
    noise = np.exp(0.3 * frame["v"]) / np.sqrt(frame["w"])
    frame["y"] = 3.0 + frame["x"] + 1.2 * common + frame["o"] + 0.5 * noise * e[:, 0]
    frame["z"] = 30.0 - 4.0 * frame["x"] + 5.0 * common + frame["o"] + 6.0 * e[:, 1]
    frame.loc["row3", "y"] = frame.loc["row9", "z"] = frame.loc["row20", "x"] = np.nan
    frame.loc["row30", ["y", "z"]] = np.nan
    return frame


def quiet(formula: str, frame: pd.DataFrame, **options: Any) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        relmat = {"A": pedigree()} if "A)" in formula else None
        return lmm.lmer(formula, frame, relmat=relmat, **options)


@cache
def fit(name: str, na_action: str = "omit") -> lmm.LmmFit:
    formula, options = KINDS[name]
    return quiet(formula, data(), na_action=na_action, **options)


def at(model: lmm.LmmFit) -> Dense:
    """The dense algebra of a fit."""
    return dense(model.design, model.optimum.theta, model.reml)


def residual_of(model: lmm.LmmFit) -> np.ndarray:
    """R, the covariance of the residual over σ², shape (n, n)."""
    design = model.design
    if design.residual is None:
        return np.diag(np.ones(design.n) if design.weights is None else 1.0 / design.weights)
    return between_rows(design, model.optimum.theta)[-1]


def projection_of(model: lmm.LmmFit) -> np.ndarray:
    """P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹, shape (n, n)."""
    naive = at(model)
    VX = np.linalg.solve(naive.V, model.design.X)
    return np.linalg.inv(naive.V) - VX @ naive.vcov @ VX.T


def stacked(model: lmm.LmmFit, found: pd.Series | pd.DataFrame) -> np.ndarray:
    """Row-wise results in the order of the rows of the design."""
    traits = model.design.traits
    if traits is None:
        return found.to_numpy()
    return found.to_numpy()[traits.row, traits.trait]
