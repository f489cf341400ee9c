"""The boundary: variances that vanish exactly, and the saddle that every zero is.

θ enters through T Tᵀ, so at θ_kk = 0 the derivative is zero whatever the data say. A zero is therefore accepted only
after the second derivative there, which is the derivative with respect to the variance and which the engine knows
exactly, has been seen to be positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines import Evaluation

__all__ = ["canonical", "descent_from_zero", "near_boundary", "pinned"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FLAT, _STEEP = 1e-6, 1e-4


def canonical(design: Design, theta: Floats) -> Floats:
    """The representative of θ with non-negative standard deviations, term by term."""
    out = theta.copy()
    start = 0
    for structure in design.structures:
        end = start + structure.n_theta
        out[start:end] = structure.canonical(theta[start:end])
        start = end
    return out


def near_boundary(design: Design, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
    """Parameters that are within `tolerance` of a singular factor, with their value on the boundary."""
    found, start = [], 0
    for structure in design.structures:
        end = start + structure.n_theta
        near = structure.boundary(theta[start:end], tolerance[start:end])
        found += [(start + place, value) for place, value in near]
        start = end
    return found


def pinned(design: Design, theta: Floats) -> Mask:
    """Parameters that no gradient can move at θ, because ∂(T Tᵀ)/∂θ_i = 0 there."""
    stuck = []
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        factor = term.structure.factor(part)
        product = factor.dT @ factor.T.T
        slope = np.abs(product + product.transpose(0, 2, 1)).max(axis=(1, 2))
        size = np.abs(factor.dT).max(axis=(1, 2)) * max(float(np.abs(factor.T).max()), np.finfo(float).tiny)
        stuck.append(slope <= 1e-14 * size)
    parts = zip(design.row_covariances, design.split_rows(theta), strict=True)
    return np.concatenate([np.empty(0, dtype=bool), *stuck, *(rows.structure.pinned(part) for rows, part in parts)])


def descent_from_zero(
    design: Design, theta: Floats, evaluation: Evaluation, scale: Floats, stuck: Mask
) -> tuple[Floats, Floats] | None:
    """
    Where and in which direction the criterion falls away from the boundary, or None when the boundary is a minimum.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
        On the boundary.
    evaluation : Evaluation
        There, of order 2.
    scale : ndarray, shape (n_theta,)
    stuck : ndarray of bool, shape (n_theta,)
        Parameters with a vanishing derivative.

    Returns
    -------
    theta : ndarray, shape (n_theta,)
        The same covariances; where all effects of a term vanish its correlation means nothing, and may be another.
    direction : ndarray, shape (n_theta,)
        In typical scales of θ, of length one.
    """
    assert evaluation.bend is not None and evaluation.balance is not None
    lower = design.lower
    if stuck.any():
        found = _steepest(evaluation.bend * np.outer(scale, scale), lower, np.flatnonzero(stuck))
        if found is not None:
            return theta, found[1]
    start, best = 0, None
    for term, (A, B) in zip(design.random, evaluation.balance, strict=True):
        end = start + term.structure.n_theta
        for part in term.structure.equivalents(theta[start:end]):
            found = _downhill(term.structure.factor(part), part, A - B, scale[start:end], lower[start:end])
            if found is not None and (best is None or found[0] < best[0]):
                moved, direction = theta.copy(), np.zeros_like(theta)
                moved[start:end], direction[start:end] = part, found[1]
                best = found[0], moved, direction
        start = end
    return None if best is None else (best[1], best[2])


def _downhill(factor: Factor, part: Floats, slope: Floats, scale: Floats, lower: Floats) -> tuple[float, Floats] | None:
    """The steepest way off the boundary for one term: off a lower bound at first order, else by the curvature."""
    gradient = np.einsum("iab,ab->i", factor.dT, 2.0 * slope @ factor.T) * scale
    gradient[part > lower] = 0.0
    steepest = int(np.argmin(gradient))
    if gradient[steepest] < -_STEEP:
        return float(gradient[steepest]), np.eye(len(part))[steepest]
    return _steepest(factor.bend(slope) * np.outer(scale, scale), lower, np.arange(len(part)))


def _steepest(bend: Floats, lower: Floats, places: NDArray[np.intp]) -> tuple[float, Floats] | None:
    """The most negative curvature over some parameters and its direction; one that keeps to lower bounds of zero."""
    B = bend[np.ix_(places, places)]
    values, vectors = np.linalg.eigh(B)
    candidates = [vectors[:, 0]]
    if np.isfinite(lower[places]).any():
        candidates = [np.abs(vectors[:, 0]), *np.eye(len(places))]
    curvatures = [float(u @ B @ u) for u in candidates]
    lowest = int(np.argmin(curvatures))
    if curvatures[lowest] >= -_FLAT * max(1.0, float(np.abs(values).max())):
        return None
    direction = np.zeros(len(bend))
    direction[places] = candidates[lowest]
    return curvatures[lowest], direction
