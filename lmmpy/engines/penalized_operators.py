"""What inference asks of the linear algebra at one θ, from a factorisation of M; see `operators`.

Everything is in units of σ², with V = W⁻¹ + ZΛP⁻¹ΛᵀZᵀ, and nothing of size n × n or n × q appears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines.crossproducts import times_Z, times_Zt
from lmmpy.engines.row_solver_triangle import column_grams
from lmmpy.engines.squares import Squares, level_groups, squares_by_columns, turned_squares
from lmmpy.engines.turned_operators import TurnedOperators, weighted_rows

__all__ = ["PenalizedOperators"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# What a solution leaves over, relatively, that is more than rounding.
_MISSED = 1e-8


@dataclass(frozen=True, eq=False)
class PenalizedOperators(TurnedOperators):
    """
    Linear maps at one θ.

    Attributes
    ----------
    products, penalty, bases
        See `TurnedOperators`.
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
    rows : Design
        In the coordinates, and with the weights, of the engine.
    """

    spherical: Callable[[Floats], Floats]
    random: Callable[[Floats], Floats]
    transposed: Callable[[Floats], Floats]
    regular: bool
    divide: Callable[[Floats, Floats], Floats]
    ZtVQ: Floats
    QtVQ: Floats
    sums: Callable[[], list[Floats]]
    eliminated_squares: Callable[[int], Squares | None]
    rows: Design

    def _traces(self) -> list[Floats]:
        return self.sums()

    def _conditional_covariance(self, c: Floats) -> Floats:
        """ΛM⁻¹Λᵀc."""
        return self.random(self._solved(c))

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

    def _ZtVZ(self, c: Floats) -> Floats:
        return self._through_V(np.ascontiguousarray(self.products.ZtZ @ c))

    def _through_V(self, ZtZc: Floats) -> Floats:
        """ZᵀV⁻¹Zc from ZᵀWZc, in the engine's coordinates."""
        u = self.spherical(ZtZc)
        return self.divide(self.penalty.times(u), ZtZc if self.regular else ZtZc - self.products.ZtZ @ self.random(u))

    def _residual_solve(self, F: Floats) -> Floats:
        """R⁻¹F in the metric of the engine's weights, in which an independent residual has R = I; shape (n, c)."""
        return F

    def _left(self, F: Floats) -> tuple[Floats, Floats]:
        """What the effects U = M⁻¹ΛᵀZᵀR⁻¹F leave of columns W^½F over the rows, D = W^½F − ZΛU, and U."""
        F = weighted_rows(F, self.rows)
        U = self.spherical(times_Zt(self.rows, self._residual_solve(F)))
        return F - times_Z(self.rows, self.random(U)), U

    def solve_rows(self, F: Floats) -> Floats:
        """See `Operators.solve_rows`: W^½R⁻¹D."""
        return weighted_rows(self._residual_solve(self._left(F)[0]), self.rows)

    def row_grams(self, F: Floats, k: int) -> Floats:
        """See `Operators.row_grams`: DᵀR⁻¹D + UᵀPU, sums of squares, which effects that explain F leave accurate."""
        D, U = self._left(F)
        own = column_grams(D, self._residual_solve(D), k) + column_grams(U, self.penalty.times(U), k)
        return 0.5 * (own + own.transpose(0, 2, 1))

    def squares(self) -> Squares:
        """Sums of squares of ZᵀV⁻¹Z by pairs of terms; see `squares`."""
        groups = level_groups(self.products, self.penalty)
        columns = sum(k * len(group) for k, group in zip(self.products.sizes, groups, strict=True))
        found = self.eliminated_squares(columns)
        if found is None:
            found = squares_by_columns(self.products, self.penalty, groups, self._through_V)
        return turned_squares(found, self.bases)
