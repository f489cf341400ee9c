"""The boundary: variances that vanish exactly, and the saddle that every zero is.

θ enters through T Tᵀ, so at θ_kk = 0 the derivative is zero whatever the data say. A zero is therefore accepted only
after the second derivative there, which is the derivative with respect to the variance and which the engine knows
exactly, has been seen to be positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines import Evaluation

__all__ = ["canonical", "descent_from_zero", "near_boundary", "pinned"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FLAT = 1e-6


def canonical(design: Design, theta: Floats) -> Floats:
    """The representative of θ with non-negative standard deviations, term by term."""
    out = theta.copy()
    start = 0
    for term in design.random:
        end = start + term.structure.n_theta
        out[start:end] = term.structure.canonical(theta[start:end])
        start = end
    return out


def near_boundary(design: Design, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
    """Parameters that are within `tolerance` of a singular factor, with their value on the boundary."""
    found, start = [], 0
    for term in design.random:
        end = start + term.structure.n_theta
        near = term.structure.boundary(theta[start:end], tolerance[start:end])
        found += [(start + place, value) for place, value in near]
        start = end
    return found


def pinned(design: Design, theta: Floats) -> Mask:
    """Parameters that no gradient can move at θ, because ∂(T Tᵀ)/∂θ_i = 0 there."""
    stuck, start = [], 0
    for term in design.random:
        end = start + term.structure.n_theta
        factor = term.structure.factor(theta[start:end])
        product = factor.dT @ factor.T.T
        slope = np.abs(product + product.transpose(0, 2, 1)).max(axis=(1, 2))
        size = np.abs(factor.dT).max(axis=(1, 2)) * max(float(np.abs(factor.T).max()), np.finfo(float).tiny)
        stuck.append(slope <= 1e-14 * size)
        start = end
    return np.concatenate(stuck)


def descent_from_zero(evaluation: Evaluation, scale: Floats, stuck: Mask) -> Floats | None:
    """
    A direction that leaves the boundary downhill, or None when the boundary is a minimum.

    Parameters
    ----------
    evaluation : Evaluation
        On the boundary, of order 2.
    scale : ndarray, shape (n_theta,)
    stuck : ndarray of bool, shape (n_theta,)
        Parameters with a vanishing derivative.

    Returns
    -------
    ndarray, shape (n_theta,), or None
        In typical scales of θ, of length one.
    """
    if not stuck.any():
        return None
    assert evaluation.bend is not None
    values, vectors = np.linalg.eigh((evaluation.bend * np.outer(scale, scale))[np.ix_(stuck, stuck)])
    if values[0] >= -_FLAT * max(1.0, float(np.abs(values).max())):
        return None
    direction = np.zeros_like(scale)
    direction[stuck] = vectors[:, 0]
    return direction
