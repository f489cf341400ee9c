"""The covariance of fixed effects from the observed information of all parameters, variance components among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.fitting import Constraint, Optimum, in_coordinates_of_search, observed_curvature
from lmmpy.fitting.constrained_convergence import constrained_hessian
from lmmpy.fitting.start import typical_scale
from lmmpy.inference.constrained_parameters import constrained_parameters
from lmmpy.inference.variance_parameters import variance_parameters

__all__ = ["observed_vcov"]

# Of a central difference in θ, relative: its error is of the order of the square. And the part of a typical size from
# which on it is relative to that instead, for parameters that may be zero inside their range.
_STEP, _SMALL = 1e-4, 0.01


def observed_vcov(criterion: Criterion, optimum: Optimum, sigma: float, vcov: Floats) -> Floats:
    """
    Covariance of the fixed effects from the observed information of all parameters together.

    With J = ∂β̂(θ)/∂θ, the derivative of the estimate given θ, the block of β in the inverse of the observed information
    is σ²(XᵀV⁻¹X)⁻¹ + J Cov(θ̂) Jᵀ (partitioned inverse; Patefield 1977, Sankhyā B 39, 92–96, on profiled likelihoods).
    In the expected information the second part is nil. Parameters on the boundary are held there.

    Parameters
    ----------
    criterion : Criterion
        Of a fit by maximum likelihood; of one by REML, Cov(θ̂) is REML's.
    optimum : Optimum
    sigma : float
    vcov : ndarray, shape (p, p)
        Given θ̂: σ²(XᵀV⁻¹X)⁻¹.

    Returns
    -------
    ndarray, shape (p, p)
        NaN where the criterion cannot be computed nearby.
    """
    if optimum.held:
        return vcov
    criterion, optimum = in_coordinates_of_search(criterion, optimum)
    theta, design = optimum.theta, criterion.design
    size, J = len(theta), np.zeros((design.p, len(theta)))
    with one_blas_thread():
        sizes = typical_scale(criterion)
        free, known = _uncertainty(criterion, optimum, sigma)
        if np.isnan(known).any():
            return np.full_like(vcov, np.nan)
        for i in np.flatnonzero(free):
            step = _STEP * max(abs(theta[i]), _SMALL * sizes[i]) * (np.arange(size) == i)
            points = theta + step, theta - step
            if not optimum.converged and not all(np.isfinite(criterion.evaluate(at, 0).value) for at in points):
                return np.full_like(vcov, np.nan)  # on the way to where V is singular
            ahead, behind = (criterion.solve(at).beta for at in points)
            J[:, i] = (ahead - behind) / (2.0 * step[i])
    return np.asarray(vcov + J @ known[:size, :size] @ J.T)


def _uncertainty(criterion: Criterion, optimum: Optimum, sigma: float) -> tuple[NDArray[np.bool_], Floats]:
    """Which entries of θ change with what was estimated, and the covariance of (θ̂, log σ̂)."""
    theta, design, constraint = optimum.theta, criterion.design, optimum.constraint
    if constraint is not None:
        assert isinstance(constraint, Constraint)
        hessian = constrained_hessian(criterion, constraint)
        found = constrained_parameters(design, theta, sigma, constraint, hessian)
        return found.free[:-1], found.covariance
    slopes = optimum.evaluation.log_r2_gradient
    assert slopes is not None
    free, hessian = observed_curvature(criterion, optimum)
    bases = (None,) * len(design.random)
    known = variance_parameters(design, bases, theta, sigma, hessian, free, slopes, criterion.dof)
    return free, known.covariance
