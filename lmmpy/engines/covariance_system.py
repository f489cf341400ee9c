"""What a marginal likelihood asks of the linear algebra: V at one θ, factorised, however it is made.

With V = W⁻¹ + Σ_t Z_t (K_t ⊗ C_t) Z_tᵀ relative to σ², everything is about Ṽ = W^½VW^½ = I + Σ_t Σ_ab C_t[a,b] V_t,ab,
V_t,ab = W^½Z_ta K_t Z_tbᵀW^½ with Z_ta the columns of effect a. Ṽ is linear in the C_t, and nothing is divided by them:
all of it holds where a C is singular, and where a K is.

Covariances between rows (a structured residual, in whose place there is no I; random functions) are further parts of Ṽ,
given by their entries at pairs of coordinates; see `row_parts`.

A system may work in other coordinates of the n rows, or leave out directions along which Ṽ is the identity at every θ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.engines.row_parts import RowPart
from lmmpy.engines.squares import Squares

__all__ = ["CovarianceSystem", "FactoredCovariance"]

Floats = NDArray[np.float64]


class FactoredCovariance(Protocol):
    """Ṽ at one θ, factorised; in the coordinates of its system but for `solve_rows`."""

    @property
    def logdet(self) -> float:
        """log|Ṽ|."""

    @property
    def solve(self) -> Callable[[Floats], Floats]:
        """F → Ṽ⁻¹F of some columns, shape (m, c)."""

    def solve_rows(self, F: Floats) -> Floats:
        """Ṽ⁻¹F of columns over the rows, shape (n, c)."""

    def traces(self) -> list[Floats]:
        """tr(Ṽ⁻¹V_t,ab) of each term, shape (k, k)."""

    def inverse_at(self, f: int) -> Floats:
        """Ṽ⁻¹ at the pairs of the f-th of `row_parts`, shape (m,)."""

    def squares(self) -> Squares:
        """tr(Ṽ⁻¹V_t,ab Ṽ⁻¹V_s,dc) of each pair of terms at [t][s][c, a, d, b], t ≤ s; see `squares`."""


class CovarianceSystem(Protocol):
    """A design's Ṽ for any θ: what can be prepared once is."""

    name: str

    @property
    def values(self) -> tuple[Floats, ...]:
        """For each term X of shape (m, k), with which V_t,ab v is X[:, a] ∘ `spread(v)`[t][:, b]."""

    @property
    def row_parts(self) -> tuple[RowPart, ...]:
        """The covariances between rows, as their parameters follow in θ; on pairs of the coordinates."""

    @property
    def description(self) -> str:
        """How Ṽ is factorised, in words."""

    def inside(self, columns: Floats) -> Floats:
        """The coordinates of some columns over the rows, (n, c) → (m, c), in an orthonormal basis."""

    def outside(self, columns: Floats, inside: Floats) -> Floats | None:
        """What the coordinates leave out of some columns, shape (n, c); None when that is always nothing."""

    def rows(self, inside: Floats) -> Floats:
        """Back to the rows, (m, c) → (n, c)."""

    def spread(self, v: Floats) -> list[Floats]:
        """K_t between the rows times v ∘ X[:, b] for each effect b of each term, (m, c) → (m, c, k)."""

    def factorize(self, factors: Sequence[Factor], entries: Sequence[Floats] = ()) -> FactoredCovariance:
        """
        Factorise Ṽ.

        Parameters
        ----------
        factors : sequence of Factor
            T of each term, C = T Tᵀ.
        entries : sequence of ndarray, each of shape (m,)
            Of each of `row_parts` at its pairs.

        Raises
        ------
        NotPositiveDefiniteError
            When that fails, for T of an impossible size.
        """
