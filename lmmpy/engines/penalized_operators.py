"""What inference asks of the linear algebra at one θ, from a factorisation of M; see `operators`.

Everything is in units of σ², with V = W⁻¹ + ZΛP⁻¹ΛᵀZᵀ, and nothing of size n × n or n × q appears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.squares import Squares, level_groups, squares_by_columns, turned_squares
from lmmpy.engines.system import by_level, multiply_levels

__all__ = ["PenalizedOperators"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# What a solution leaves over, relatively, that is more than rounding.
_MISSED = 1e-8


@dataclass(frozen=True, eq=False)
class PenalizedOperators:
    """
    Linear maps at one θ.

    Attributes
    ----------
    products : CrossProducts
        In the engine's coordinates.
    penalty : Penalty
        P, the precision of the spherical effects.
    bases : tuple of ndarray or None
        R of each term whose effects the engine has in other coordinates, b' = R b.
    spherical : callable
        P⁻¹ΛᵀZᵀV⁻¹f of vectors f with ZᵀWf = c: (q, m) → (q, m).
    random : callable
        Λu: (q, m) → (q, m).
    transposed : callable
        Λᵀc: (q, m) → (q, m).
    regular : bool
        Whether every T can be divided by.
    divide : callable
        (ΛᵀZᵀV⁻¹f, ZᵀV⁻¹f by subtraction) → ZᵀV⁻¹f with more digits, in place.
    ZtVQ : ndarray, shape (q, p)
        ZᵀV⁻¹Q in the engine's coordinates.
    QtVQ : ndarray, shape (p, p)
        QᵀV⁻¹Q, of the orthonormal basis Q = W^½XR⁻¹ of the fixed effects.
    sums : callable
        () → Σ_l (ZᵀV⁻¹Z)_ll of each term, in the engine's coordinates.
    eliminated_squares : callable
        Sums of squares of ZᵀV⁻¹Z in the engine's coordinates from what it has, when that costs less than a number of
        columns; else None.
    """

    products: CrossProducts
    penalty: Penalty
    bases: tuple[Floats | None, ...]
    spherical: Callable[[Floats], Floats]
    random: Callable[[Floats], Floats]
    transposed: Callable[[Floats], Floats]
    regular: bool
    divide: Callable[[Floats, Floats], Floats]
    ZtVQ: Floats
    QtVQ: Floats
    sums: Callable[[], list[Floats]]
    eliminated_squares: Callable[[int], Squares | None]

    @property
    def q(self) -> int:
        """Number of random effects."""
        return self.products.q

    def traces(self) -> list[Floats]:
        """Σ_l (ZᵀV⁻¹Z)_ll over the levels of each term, shape (k, k)."""
        return [A if R is None else R.T @ A @ R for A, R in zip(self.sums(), self.bases, strict=True)]

    @cached_property
    def ZtWX(self) -> Floats:
        """ZᵀWX, shape (q, p)."""
        ZtWX = self.products.ZtXy[:, :-1] @ self.products.R
        return self._turned(ZtWX, [None if R is None else R.T for R in self.bases])

    def conditional_covariance(self, c: Floats) -> Floats:
        """
        Cov(b | y, β)/σ² times some columns, ΛM⁻¹Λᵀc.

        Parameters
        ----------
        c : ndarray, shape (q, m)

        Returns
        -------
        ndarray, shape (q, m)
        """
        inner = self._turned(c, [None if R is None else _inverse(R).T for R in self.bases])
        found = self.random(self._solved(inner))
        return self._turned(found, [None if R is None else _inverse(R) for R in self.bases])

    def _solved(self, c: Floats) -> Floats:
        """
        M⁻¹Λᵀc for any c.

        `spherical` wants c = ZᵀWf, and takes nothing along a direction of a level that has no data, such as the slope
        of a level with one row. What it leaves over is solved by M⁻¹ = I − ΛᵀZᵀV⁻¹ZΛ.
        """
        u, right = self.spherical(c), self.transposed(c)
        if not self.penalty.is_identity:  # by CHOLMOD, which solves for any right-hand side
            return u
        left = right - u - self.transposed(np.ascontiguousarray(self.products.ZtZ @ self.random(u)))
        missed = np.flatnonzero(
            np.abs(left).max(axis=0, initial=0.0) > _MISSED * np.abs(right).max(axis=0, initial=0.0)
        )
        if len(missed):
            rest = np.ascontiguousarray(left[:, missed])
            u[:, missed] += rest - self.spherical(np.ascontiguousarray(self.products.ZtZ @ self.random(rest)))
        return u

    def ZtVZ(self, c: Floats) -> Floats:
        """
        ZᵀV⁻¹Z times some columns.

        Parameters
        ----------
        c : ndarray, shape (q, m)

        Returns
        -------
        ndarray, shape (q, m)
        """
        found = self._through_V(np.ascontiguousarray(self.products.ZtZ @ self._turned(c, self.bases)))
        return self._turned(found, [None if R is None else R.T for R in self.bases])

    def _through_V(self, ZtZc: Floats) -> Floats:
        """ZᵀV⁻¹Zc from ZᵀWZc, in the engine's coordinates."""
        u = self.spherical(ZtZc)
        return self.divide(self.penalty.times(u), ZtZc if self.regular else ZtZc - self.products.ZtZ @ self.random(u))

    def covariance_of_levels(self, t: int, levels: Ints) -> Floats:
        """Cov(b | y, β)/σ² between all effects and those of some levels of term t, shape (q, levels · k)."""
        k = self.products.sizes[t]
        c = np.zeros((self.q, len(levels) * k))
        rows = self.products.starts[t] + levels[:, None] * k + np.arange(k)
        c[rows.ravel(), np.arange(c.shape[1])] = 1.0
        return self.conditional_covariance(c)

    def squares(self) -> Squares:
        """Sums of squares of ZᵀV⁻¹Z by pairs of terms; see `squares`."""
        groups = level_groups(self.products, self.penalty)
        columns = sum(k * len(group) for k, group in zip(self.products.sizes, groups, strict=True))
        found = self.eliminated_squares(columns)
        if found is None:
            found = squares_by_columns(self.products, self.penalty, groups, self._through_V)
        return turned_squares(found, self.bases)

    def _turned(self, values: Floats, matrices: Sequence[Floats | None]) -> Floats:
        """Each term's effects in other coordinates."""
        if all(matrix is None for matrix in matrices):
            return values
        out = np.array(values, order="C")
        products = self.products
        for matrix, k, start, end in zip(
            matrices, products.sizes, products.starts[:-1], products.starts[1:], strict=True
        ):
            if matrix is not None:
                source = np.ascontiguousarray(values[start:end])
                multiply_levels(matrix, by_level(source, k), by_level(out[start:end], k))
        return out


def _inverse(R: Floats) -> Floats:
    return np.asarray(np.linalg.inv(R), dtype=float)
