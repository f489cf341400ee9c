"""The hat matrix: how each row's response pulls on the fitted values, given θ.

ŷ = Hy with W^½HW^-½ = W^½(Z B Zᵀ + X̃ C X̃ᵀ)W^½, where B = ΛM⁻¹Λᵀ = Cov(b | y, β)/σ², X̃ = X − Z B ZᵀWX = W⁻¹V⁻¹X and
C = (XᵀV⁻¹X)⁻¹ (Demidenko & Stukel 2005; Nobre & Singer 2011). Only its diagonal, or blocks of it, are formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.engines import Criterion
from lmmpy.engines.components import connected_components
from lmmpy.engines.operators import Operators

__all__ = ["Leverage", "components_of_levels"]

Ints = NDArray[np.intp]

# Numbers in some columns of B that are held at once, and in all of B if it is kept: 64 and 240 MB.
_BLOCK, _MOST_KEPT = 8_000_000, 30_000_000


def components_of_levels(design: Design) -> list[Ints]:
    """
    The connected components of the data: rows that share a level of any term, or have related ones, are in one.

    Parameters
    ----------
    design : Design

    Returns
    -------
    list of ndarray of int
        For each term the component of each of its levels.
    """
    return list(connected_components(design).levels)


@dataclass(frozen=True, eq=False)
class Leverage:
    """
    Diagonal and blocks of the hat matrix of one fit.

    Attributes
    ----------
    design : Design
    operators : Operators
        Of the fit's criterion at its θ.
    variances : list of ndarray, each of shape (levels, k, k)
        Var(b | y, β)/σ².
    unscaled_vcov : ndarray, shape (p, p)
        C = (XᵀV⁻¹X)⁻¹.
    """

    design: Design
    operators: Operators
    variances: list[Floats]
    unscaled_vcov: Floats

    @classmethod
    def of(cls, criterion: Criterion, theta: Floats, unscaled_vcov: Floats) -> Leverage:
        """That of a criterion at some θ."""
        variances = criterion.conditional_variances(theta)
        return cls(criterion.design, criterion.operators(theta), variances, unscaled_vcov)

    @cached_property
    def root_weights(self) -> Floats:
        """W^½, shape (n,)."""
        weights = self.design.weights
        return np.ones(self.design.n) if weights is None else np.sqrt(weights)

    @cached_property
    def X_tilde(self) -> Floats:
        """W^½X̃ = W^-½V⁻¹X, shape (n, p)."""
        X = self.design.X.copy()
        if self.design.p:
            effects = self.operators.GZtVX
            for term, places in zip(self.design.random, self._places, strict=True):
                for a in range(term.k):
                    X -= term.values[:, a, None] * effects[places[:, a]]
        return np.asarray(X * self.root_weights[:, None])

    @cached_property
    def L(self) -> Floats:
        """Lower triangular, LLᵀ = C, shape (p, p)."""
        return np.asarray(np.linalg.cholesky(self.unscaled_vcov))

    @cached_property
    def XL(self) -> Floats:
        """W^½X̃L, shape (n, p)."""
        return np.asarray(self.X_tilde @ self.L)

    @cached_property
    def diagonal(self) -> Floats:
        """The hat values, shape (n,)."""
        fixed = np.einsum("np,np->n", self.XL, self.XL)
        return np.asarray(self.random_diagonal * self.root_weights**2 + fixed)

    @cached_property
    def random_diagonal(self) -> Floats:
        """
        Var(zᵀb | y, β)/σ² of each row, shape (n,).

        A row meets one level of each term, whose own block is among the conditional variances. Of the pairs of terms
        each needs the columns of B of one of the two, so that the term with the most effects is never solved for.
        """
        h = np.zeros(self.design.n)
        for term, variance in zip(self.design.random, self.variances, strict=True):
            h += np.einsum("na,nab,nb->n", term.values, variance[term.codes], term.values)
        terms = sorted(range(len(self.design.random)), key=lambda t: -self.design.random[t].q)
        rank = self._ranks(omitted=terms[0])
        width = max(1, _BLOCK // self.design.q)
        for start in range(0, int(rank.max(initial=-1)) + 1, width):
            B = self._columns(rank, start, start + width)
            for i, t in enumerate(terms[1:], 1):
                self._add_pairs(h, B, rank[self._places[t]] - start, t, terms[:i])
        return h

    def _add_pairs(self, h: Floats, B: Floats, column: Ints, t: int, others: list[int]) -> None:
        """Add 2 zᵀB z between term t and some others, for the rows whose effects of t are among the columns held."""
        for a in range(column.shape[1]):
            rows = np.flatnonzero((column[:, a] >= 0) & (column[:, a] < B.shape[1]))
            at = column[rows, a][:, None]
            for s in others:
                met = np.einsum("nk,nk->n", self.design.random[s].values[rows], B[self._places[s][rows], at])
                h[rows] += 2.0 * self.design.random[t].values[rows, a] * met

    @cached_property
    def _places(self) -> list[Ints]:
        """Places in b of the effects that each row meets, for each term of shape (n, k)."""
        terms = zip(self.design.starts[:-1], self.design.random, strict=True)
        return [np.asarray(start + x.codes[:, None] * x.k + np.arange(x.k), dtype=np.intp) for start, x in terms]

    @cached_property
    def _component(self) -> Ints:
        """The connected component of each effect, shape (q,)."""
        terms = zip(components_of_levels(self.design), self.design.random, strict=True)
        return np.concatenate([np.repeat(found, term.k) for found, term in terms])

    def _ranks(self, omitted: int | None = None) -> Ints:
        """
        Each effect's column, shape (q,), when effects that cannot meet share one; −1 for those of an omitted term.

        Between components of the data B is zero, so that a sum of columns, one from each, still tells all of them.
        """
        rank = np.full(self.design.q, -1, dtype=np.intp)
        wanted = np.arange(self.design.q)
        if omitted is not None:
            starts = self.design.starts
            wanted = np.concatenate([wanted[: starts[omitted]], wanted[starts[omitted + 1] :]])
        order = wanted[np.argsort(self._component[wanted], kind="stable")]
        of_order = self._component[order]
        rank[order] = np.arange(len(order)) - np.searchsorted(of_order, of_order)
        return rank

    def _columns(self, rank: Ints, start: int, end: int) -> Floats:
        """Some summed columns of B, shape (q, columns)."""
        effects = np.flatnonzero((rank >= start) & (rank < end))
        c = np.zeros((self.design.q, min(end, int(rank.max()) + 1) - start))
        c[effects, rank[effects] - start] = 1.0
        return self.operators.conditional_covariance(c)

    @cached_property
    def _kept(self) -> tuple[Floats, Ints] | None:
        """All of B by summed columns, and the column of each effect; None when that is too much to keep."""
        rank = self._ranks()
        m = int(rank.max()) + 1
        if m * self.design.q > _MOST_KEPT:
            return None
        width = max(1, _BLOCK // self.design.q)
        return np.hstack([self._columns(rank, a, a + width) for a in range(0, m, width)]), rank

    def covariance(self, effects: Ints, once: bool = False) -> Floats:
        """
        B between some effects, shape (m, m).

        Parameters
        ----------
        effects : ndarray of int, shape (m,)
        once : bool
            Whether nothing further is to be asked, so that all of B is not made when these alone are fewer columns.
        """
        if not (once and len(effects) <= self._ranks().max()) and self._kept is not None:
            B, rank = self._kept
            together = self._component[effects][:, None] == self._component[effects]
            return np.where(together, B[np.ix_(effects, rank[effects])], 0.0)
        width, found = max(1, _BLOCK // self.design.q), []
        for start in range(0, len(effects), width):
            part = effects[start : start + width]
            c = np.zeros((self.design.q, len(part)))
            c[part, np.arange(len(part))] = 1.0
            found.append(self.operators.conditional_covariance(c)[effects])
        return np.hstack(found)

    def met(self, rows: Ints) -> int:
        """How many effects, fixed and random, some rows meet."""
        met = sum(len(np.unique(place[rows, 0])) * int(place.shape[1]) for place in self._places)
        return self.design.p + met

    def random_part(self, rows: Ints) -> tuple[Floats, Floats]:
        """
        W^½Z of some rows over the effects that they meet, shape (m, r), and B between these, shape (r, r).

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
        """
        places = np.hstack([place[rows] for place in self._places])
        values = np.hstack([term.values[rows] for term in self.design.random]) * self.root_weights[rows, None]
        effects, columns = np.unique(places, return_inverse=True)
        Z = np.zeros((len(rows), len(effects)))
        Z[np.arange(len(rows))[:, None], columns.reshape(places.shape)] = values
        return Z, self.covariance(effects)
