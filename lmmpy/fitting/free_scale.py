"""The likelihood as a function of (θ, log σ), σ not profiled out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines import Criterion, Evaluation

__all__ = ["free_scale"]

Floats = NDArray[np.float64]

# |log σ| from which on the likelihood is taken as zero.
_FAR = 300.0


def free_scale(criterion: Criterion, x: Floats, order: int = 2) -> Evaluation:
    """
    −2 log-likelihood as a function of (θ, log σ), σ not profiled out.

    With d the profiled criterion, ν its degrees of freedom and κ = r²/(νσ²), the value is d + ν(κ − 1 − log κ).

    Parameters
    ----------
    criterion : Criterion
    x : ndarray, shape (n_theta + 1,)
        (θ, log σ).
    order : {1, 2}
        1: value and gradient alone.

    Returns
    -------
    Evaluation
        Value, gradient, and the average information with its bend, of all n_theta + 1 parameters.
    """
    theta, log_sigma = x[:-1], float(x[-1])
    if not abs(log_sigma) < _FAR:
        return Evaluation(math.inf)
    found = criterion.evaluate(theta, order)
    if not math.isfinite(found.value):
        return found
    assert found.gradient is not None and found.log_r2_gradient is not None
    dof, slope, size = criterion.dof, found.log_r2_gradient, len(theta)
    ratio = found.r2 / dof * math.exp(-2.0 * log_sigma)
    gradient = np.empty(size + 1)
    gradient[:size] = found.gradient + dof * (ratio - 1.0) * slope
    gradient[size] = 2.0 * dof * (1.0 - ratio)
    value = found.value + dof * (ratio - 1.0 - math.log(ratio))
    if order < 2:
        return Evaluation(value, gradient, r2=found.r2)
    assert found.information is not None
    information, bend = np.empty((size + 1, size + 1)), np.zeros((size + 1, size + 1))
    information[:size, :size] = ratio * (found.information + dof * np.outer(slope, slope))
    information[size, :size] = information[:size, size] = -2.0 * dof * ratio * slope
    information[size, size] = 4.0 * dof * ratio
    bend[:size, :size] = _bend(criterion.design, theta, found, ratio)
    return Evaluation(value, gradient, information, bend, r2=found.r2)


def _bend(design: Design, theta: Floats, found: Evaluation, ratio: float) -> Floats:
    """That of the criterion, where the sum of squares counts `ratio` times what it does at the best σ."""
    assert found.balance is not None
    out, start = np.zeros((len(theta), len(theta))), 0
    for term, part, (A, B) in zip(design.random, design.split_theta(theta), found.balance, strict=True):
        end = start + len(part)
        out[start:end, start:end] = term.structure.factor(part).bend(A - ratio * B)
        start = end
    for A, B in found.row_bends:
        end = start + len(A)
        out[start:end, start:end] = A - ratio * B
        start = end
    return out
