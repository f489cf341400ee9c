"""What inference asks of the linear algebra at one θ: conditional covariances, and products with V⁻¹.

Everything is in units of σ². Effects are those of the model, term by term, level by level.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.squares import Squares

__all__ = ["Operators"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Operators(Protocol):
    """Linear maps at one θ. Every engine gives the same numbers; they differ in cost only."""

    @property
    def products(self) -> CrossProducts:
        """In the engine's coordinates."""

    @property
    def penalty(self) -> Penalty:
        """The relatedness of the terms."""

    @property
    def ZtVQ(self) -> Floats:
        """ZᵀV⁻¹Q in the engine's coordinates, Q = W^½XR⁻¹ the orthonormal basis of the fixed effects, shape (q, p)."""

    @property
    def QtVQ(self) -> Floats:
        """QᵀV⁻¹Q, shape (p, p)."""

    @property
    def ZtWX(self) -> Floats:
        """ZᵀWX, shape (q, p); W the engine's weights, which are those of the model for an independent residual only."""

    @property
    def GZtVX(self) -> Floats:
        """GZᵀV⁻¹X, σ²G the covariance of the effects: what b̂ makes up for when β̂ errs, shape (q, p)."""

    @property
    def q(self) -> int:
        """Number of random effects."""

    def traces(self) -> list[Floats]:
        """tr(V⁻¹Z_a K Z_bᵀ) over the columns of each term, shape (k, k): the derivative of log|V| in T Tᵀ."""

    def conditional_covariance(self, c: Floats) -> Floats:
        """
        Cov(b | y, β)/σ² times some columns, (G − GZᵀV⁻¹ZG)c with σ²G the covariance of the effects.

        Parameters
        ----------
        c : ndarray, shape (q, m)

        Returns
        -------
        ndarray, shape (q, m)
        """

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

    def covariance_of_levels(self, t: int, levels: Ints) -> Floats:
        """Cov(b | y, β)/σ² between all effects and those of some levels of term t, shape (q, levels · k)."""

    def row_slopes(self) -> Floats:
        """
        QᵀV⁻¹V_iV⁻¹Q of each parameter of the covariances between rows, V_i the derivative of V.

        Returns
        -------
        ndarray, shape (n_φ, p, p)
            As the parameters follow in θ after those of the random terms; in the basis Q of `ZtVQ`.
        """

    def solve_rows(self, F: Floats) -> Floats:
        """
        V⁻¹ times some columns over the rows, in the order, the units and with the weights of the model.

        Parameters
        ----------
        F : ndarray, shape (n, c)

        Returns
        -------
        ndarray, shape (n, c)
        """

    def row_grams(self, F: Floats, k: int) -> Floats:
        """
        FᵀV⁻¹F of each group of k columns.

        Parameters
        ----------
        F : ndarray, shape (n, m·k)
        k : int

        Returns
        -------
        ndarray, shape (m, k, k)
        """

    def squares(self) -> Squares:
        """Sums of squares of ZᵀV⁻¹Z by pairs of terms; see `squares`."""
