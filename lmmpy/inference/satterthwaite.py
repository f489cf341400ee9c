"""Satterthwaite's degrees of freedom with exact derivatives (Giesbrecht & Burns 1985; Kuznetsova et al. 2017).

For a contrast l with variance v(ϑ) = lᵀC(ϑ)l, C = σ²(XᵀV⁻¹X)⁻¹ and ϑ = (θ, log σ),

    ν = 2v² / (∇vᵀ A ∇v),   ∂C/∂θ_i = σ² Φ FᵀE_iF Φ,   ∂C/∂ log σ = 2C,

with Φ = (XᵀV⁻¹X)⁻¹, F = ZᵀV⁻¹X (X in an orthonormal basis), E_i the derivative of the relative covariance of the
random effects (K ⊗ ∂(TTᵀ)/∂θ_i where levels are related by K), and A the asymptotic covariance of ϑ̂ from the observed
Hessian. For a parameter of the covariances between rows, V_i = ∂V/∂φ_i, FᵀE_iF is XᵀV⁻¹V_iV⁻¹X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import covariance_slopes
from lmmpy.design import Design
from lmmpy.engines import Operators
from lmmpy.inference.contrasts import InBasis
from lmmpy.inference.related import among_levels
from lmmpy.inference.variance_parameters import VarianceParameters

__all__ = ["Satterthwaite", "satterthwaite", "vcov_slopes"]

Floats = NDArray[np.float64]

_EQUAL = 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class Satterthwaite(InBasis):
    """See `DenominatorDf`.

    Attributes
    ----------
    R, of_basis
        See `InBasis`.
    slopes : ndarray, shape (n_theta + 1, p, p)
        ∂C/∂ϑ in the basis.
    parameters : VarianceParameters
    """

    slopes: Floats
    parameters: VarianceParameters
    name: str = "satterthwaite"
    title: str = "Satterthwaite's"

    def single(self, L: Floats) -> Floats:
        L = self.turned(L)
        variance = np.einsum("ma,ab,mb->m", L, self.of_basis, L)
        gradients = np.einsum("ma,iab,mb->mi", L, self.slopes, L)
        spread = np.array([self.parameters.variance_of(g[None])[0, 0] for g in gradients])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(2.0 * variance**2 / spread)

    def joint(self, L: Floats) -> tuple[float, float]:
        """Fai & Cornelius (1996): E[F] of the uncorrelated combinations of the rows, each with its own ν."""
        _, vectors = np.linalg.eigh(self.covariance(L))
        return pooled_df(self.single(vectors.T @ L)), 1.0


def pooled_df(nu: Floats) -> float:
    """The denominator df of an F that is the mean of t² with these degrees of freedom."""
    if len(nu) == 1 or np.ptp(nu) < _EQUAL:
        return float(nu.mean())
    if np.isnan(nu).any():
        return float("nan")
    if (nu <= 2.0).any():
        return 2.0
    expected = float((nu / (nu - 2.0)).sum())
    return 2.0 * expected / (expected - len(nu))


def vcov_slopes(
    design: Design, theta: Floats, sigma: float, unscaled: Floats, F: Floats, row_slopes: Floats | None = None
) -> Floats:
    """
    ∂C/∂(θ, log σ) of C = σ²(XᵀV⁻¹X)⁻¹.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float
    unscaled : ndarray, shape (p, p)
        (XᵀV⁻¹X)⁻¹, X in any basis.
    F : ndarray, shape (q, p)
        ZᵀV⁻¹X in the same.
    row_slopes : ndarray, shape (n_phi, p, p), optional
        XᵀV⁻¹V_iV⁻¹X in the same, for each parameter of the covariances between rows where there are such.

    Returns
    -------
    ndarray, shape (n_theta + 1, p, p)
    """
    p, found = design.p, []
    half = F @ unscaled
    spans = zip(design.random, design.split_theta(theta), design.starts[:-1], design.starts[1:], strict=True)
    for term, part, start, end in spans:
        own, related = half[start:end], among_levels(term, half[start:end])
        levels, others = (x.reshape(term.n_levels, term.k, p).transpose(1, 0, 2) for x in (own, related))
        products = np.tensordot(levels, others, axes=(1, 1))  # a, x, b, y
        slopes = covariance_slopes(term.structure.factor(part))
        found += list(sigma**2 * np.einsum("axby,iab->ixy", products, slopes))
    if row_slopes is not None:
        found += list(sigma**2 * unscaled @ row_slopes @ unscaled)
    return np.array([*found, 2.0 * sigma**2 * unscaled])


def satterthwaite(parameters: VarianceParameters, operators: Operators) -> Satterthwaite:
    """
    Prepare Satterthwaite's method for a fit.

    Parameters
    ----------
    parameters : VarianceParameters
    operators : Operators
        At θ̂, in the coordinates of the parameters.

    Returns
    -------
    Satterthwaite
    """
    unscaled = np.asarray(np.linalg.inv(operators.QtVQ), dtype=float)
    design = parameters.design
    between = operators.row_slopes() if design.row_covariances else None
    slopes = vcov_slopes(design, parameters.theta, parameters.sigma, unscaled, operators.ZtVQ, between)
    return Satterthwaite(operators.products.R, parameters.sigma**2 * unscaled, slopes, parameters)
