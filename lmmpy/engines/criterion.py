"""The contract between engines and everything that uses them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.operators import Operators

__all__ = ["Criterion", "Evaluation", "Solution"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The profiled criterion at one θ.

    Attributes
    ----------
    value : float
        −2 log-likelihood, or −2 restricted log-likelihood, all constants included.
    gradient : ndarray, shape (n_theta,), or None
        Its exact derivative; from order 1.
    information : ndarray, shape (n_theta, n_theta), or None
        The average information, an approximation of the second derivative; from order 2.
    bend : ndarray, shape (n_theta, n_theta), or None
        What the second derivative of T Tᵀ in θ adds to it, ⟨S, ∂²(T Tᵀ)/∂θ_i∂θ_j⟩ with S the derivative in T Tᵀ. It
        vanishes at an interior optimum of an unstructured covariance, and is all the curvature there is where a
        variance vanishes; from order 2.
    balance : tuple of pairs of ndarray, each of shape (k, k), or None
        For each term the derivative in C = T Tᵀ as a difference A − B: A is that of the log-determinants, B comes from
        the sum of squares; from order 1.
    r2 : float
        The penalised weighted residual sum of squares r²(θ); NaN where the criterion cannot be computed.
    log_r2_gradient : ndarray, shape (n_theta,), or None
        ∂ log r²/∂θ; from order 1. With it the criterion at any σ, not the profiled one, and its derivatives are known.
    row_bends : tuple of pairs of ndarray, each of shape (n_φ, n_φ)
        For each covariance between rows Σ_ij A_ij ∂²r_ij/∂φ² and the same with B, where A − B is the derivative of the
        criterion in r, as in `balance`; their difference is that block of `bend`; from order 2.
    """

    value: float
    gradient: Floats | None = None
    information: Floats | None = None
    bend: Floats | None = None
    balance: tuple[tuple[Floats, Floats], ...] | None = None
    r2: float = math.nan
    log_r2_gradient: Floats | None = None
    row_bends: tuple[tuple[Floats, Floats], ...] = ()


@dataclass(frozen=True, eq=False)
class Solution:
    """Estimates and predictions at one θ.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    unscaled_vcov : ndarray, shape (p, p)
        (XᵀV⁻¹X)⁻¹, V relative to σ².
    u : ndarray, shape (q,)
        Spherical random effects.
    b : ndarray, shape (q,)
        Random effects, Λu.
    sigma : float
        The profiled estimate of the residual standard deviation.
    r2 : float
        The penalised weighted residual sum of squares.
    functions : tuple of ndarray, each of shape (n,)
        Predictions of the random functions at the rows.
    """

    beta: Floats
    unscaled_vcov: Floats
    u: Floats
    b: Floats
    sigma: float
    r2: float
    functions: tuple[Floats, ...] = ()


class Criterion(Protocol):
    """The profiled (restricted) likelihood of one design, as a function of θ.

    Every engine gives the same numbers at any θ; they differ in cost only.
    """

    @property
    def design(self) -> Design:
        """What is fitted."""

    @property
    def products(self) -> CrossProducts:
        """Its sufficient statistics, in the engine's coordinates; see `bases`."""

    @property
    def units(self) -> list[Floats]:
        """For each term the relative standard deviations, shape (k,), at which each effect varies y as σ does."""

    @property
    def reml(self) -> bool:
        """Whether the criterion is the restricted likelihood."""

    @property
    def dof(self) -> int:
        """Degrees of freedom of the residual: n − p for the restricted likelihood, else n."""

    @property
    def name(self) -> str:
        """Name of the engine, for the record."""

    @property
    def description(self) -> str:
        """How the engine factorises, in words."""

    def with_response(self, y: Floats) -> Criterion:
        """
        The criterion of the same design for another response; shares all that does not depend on it.

        Parameters
        ----------
        y : ndarray, shape (n,)
        """

    @property
    def bases(self) -> tuple[Floats | None, ...]:
        """R of each term, shape (k, k), whose effects the engine has in other coordinates, b' = R b; else None."""

    def orthogonal(self) -> Criterion:
        """The same criterion as a function of the θ' of those coordinates, T' = R T; itself when there are none."""

    def by_ml(self) -> Criterion:
        """The likelihood of the same design; shares all that does not depend on the choice."""

    def evaluate(self, theta: Floats, order: int = 0) -> Evaluation:
        """
        The criterion at θ.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)
            The terms' parameters one after the other.
        order : {0, 1, 2}
            0: the value; 1: and the gradient; 2: and the average information.

        Returns
        -------
        Evaluation
        """

    def solve(self, theta: Floats) -> Solution:
        """β̂, û, b and σ̂ at θ."""

    def conditional_variances(self, theta: Floats) -> list[Floats]:
        """Var(b | y, β, θ)/σ², for each term of shape (levels, k, k)."""

    def operators(self, theta: Floats) -> Operators:
        """Linear maps at θ for inference: conditional covariances and products with V⁻¹."""
