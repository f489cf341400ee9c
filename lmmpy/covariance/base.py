"""Covariance structures: θ → the relative factor T of one random term, and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CovarianceStructure", "Factor", "Floats"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Factor:
    """The relative covariance factor of one term at one θ.

    Attributes
    ----------
    T : ndarray, shape (k, k)
        Cov(b) = σ² T Tᵀ for one level. Lower triangular for `us`, `diag` and `ar1`.
    dT : ndarray, shape (n_theta, k, k)
        dT[i] = ∂T/∂θ_i. Constant for `us` and `diag`, not for `cs` and `ar1`.
    d2T : ndarray, shape (n_theta, n_theta, k, k), or None
        d2T[i, j] = ∂²T/∂θ_i∂θ_j; None where T is linear in θ.
    """

    T: Floats
    dT: Floats
    d2T: Floats | None = None

    def bend(self, slope: Floats) -> Floats:
        """⟨S, ∂²(T Tᵀ)/∂θ_i∂θ_j⟩ for a symmetric S, shape (n_theta, n_theta)."""
        flat = self.dT.reshape(len(self.dT), -1)
        bend = flat @ (2.0 * slope @ self.dT).reshape(len(self.dT), -1).T
        return bend if self.d2T is None else bend + np.einsum("ijab,ab->ij", self.d2T, 2.0 * slope @ self.T)


class CovarianceStructure(Protocol):
    """How the k random effects of one level vary together.

    A structure knows its parameters and nothing else: no data, no solver, no printing. Parameters are chosen so that
    T is smooth in θ wherever an optimiser may go, the boundary (a variance of zero, a correlation of ±1) included.
    """

    @property
    def k(self) -> int:
        """Number of random effects in one level."""

    @property
    def n_theta(self) -> int:
        """Number of parameters."""

    @property
    def lower(self) -> Floats:
        """Lower bounds, shape (n_theta,); −inf where the sign of a parameter does not matter to T Tᵀ."""

    @property
    def several_optima(self) -> bool:
        """Whether the likelihood often has more than one optimum, so that a search should begin from several θ."""

    def names(self, columns: Sequence[str]) -> list[str]:
        """Names of the parameters, given those of the k effects."""

    def start(self, sd: Floats) -> Floats:
        """θ for independent effects with the relative standard deviations `sd`, shape (k,)."""

    def other_starts(self, sd: Floats) -> list[Floats]:
        """Further θ, at least one, from which a search may find a better optimum."""

    def scale(self, unit: Floats) -> Floats:
        """Size of a typical change of each parameter when `unit`, shape (k,), is that of each standard deviation."""

    def factor(self, theta: Floats) -> Factor:
        """T, ∂T/∂θ and ∂²T/∂θ²."""

    def canonical(self, theta: Floats) -> Floats:
        """The representative of all θ with the same T Tᵀ: no negative standard deviation, angles in range."""

    def boundary(self, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        """Parameters within `tolerance` of a singular T, each with the value that it has on the boundary."""

    def equivalents(self, theta: Floats) -> list[Floats]:
        """Other θ with the same T Tᵀ from which it changes in other directions: where a correlation means nothing."""

    def nearest(self, G: Floats) -> Floats:
        """θ with T Tᵀ near a positive semi-definite G, equal to it where the structure allows."""

    def from_covariance(self, G: Floats) -> Floats:
        """θ with T Tᵀ = G.

        Raises
        ------
        ValueError
            When no θ of this structure gives G.
        """
