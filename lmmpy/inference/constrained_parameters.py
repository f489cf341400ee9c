"""The asymptotic covariance of (θ, log σ) under constraints: J Cov(ψ̂) Jᵀ, ψ the coordinates that they leave."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.fitting.constrained_fit import Constraint
from lmmpy.inference.variance_parameters import VarianceParameters

__all__ = ["constrained_parameters"]

Floats = NDArray[np.float64]

# A curvature that is nil against that of its parameters alone.
_NIL = 1e-9


def constrained_parameters(
    design: Design, theta: Floats, sigma: float, constraint: Constraint, hessian: Floats
) -> VarianceParameters:
    """
    How well the data determine (θ, log σ) when constraints tie or hold parameters.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float
    constraint : Constraint
    hessian : ndarray, shape (n_free, n_free)
        Of −2 log L in the free ψ; NaN where it cannot be computed, and so the covariance.

    Returns
    -------
    VarianceParameters
        What is held has no variance; `free` are the entries that change with a free ψ.
    """
    J, bases = constraint.jacobian[:, constraint.free], (None,) * len(design.random)
    moving = np.asarray(J.any(axis=1))
    if not np.isfinite(hessian).all():
        unknown = np.full((len(J), len(J)), np.nan)
        return VarianceParameters(design, bases, theta, sigma, moving, unknown, np.zeros((len(J), 0)))
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(hessian)), np.finfo(float).tiny))
    curvatures, directions = np.linalg.eigh(hessian * np.outer(scale, scale))
    known = curvatures > _NIL
    along = J @ (directions[:, known] * scale[:, None])
    covariance = 2.0 * (along / curvatures[known]) @ along.T
    undetermined = J @ (directions[:, ~known] * scale[:, None])
    undetermined /= np.maximum(np.linalg.norm(undetermined, axis=0), np.finfo(float).tiny)
    return VarianceParameters(design, bases, theta, sigma, moving, covariance, undetermined)
