"""How far the true value of a parameter is from the optimum, in terms of the likelihood: |ζ|.

A profile interval contains a value when |ζ| = √(D(value) − D̂) there is at most the normal quantile, D being
−2 log-likelihood minimised over everything else. That takes one search, not the two limits of an interval, and it is
written here anew, from the criterion alone, so that it judges the package's own profiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lmmpy.engines import Criterion
from lmmpy.model.lmm_fit import LmmFit

__all__ = ["zeta_of_deviation"]

Floats = NDArray[np.float64]
# A relative standard deviation that is more than nothing.
_SOME = 0.3
# Free coordinates → (θ, log σ) and its derivative, shape (n_theta + 1, free).
Chart = Callable[[Floats], tuple[Floats, Floats]]


def zeta_of_deviation(fit: LmmFit, place: int, truth: float) -> float:
    """
    |ζ| of a standard deviation at a value, by the criterion of the fit (REML or ML).

    Parameters
    ----------
    fit : LmmFit
        With one term of one or two effects.
    place : int
        0, or 1 for the second effect; −1 for sigma.
    truth : float
        Not zero.
    """
    theta, log_sigma = fit.optimum.theta.copy(), math.log(fit.sigma)
    if len(theta) == 3:  # a perfect correlation is a ridge, on which a search would stay
        theta[2] = max(theta[2], 0.3 * max(abs(theta[1]), _SOME))
    if place == -1:
        chart, start = _sigma_held(len(theta), truth), theta
    elif place == 0:
        chart, start = _first_held(len(theta), truth), np.append(theta[1:], log_sigma)
    else:
        chart, start = _second_held(truth), np.array([theta[0], math.atan2(theta[2], theta[1]), log_sigma])
    starts = [start] if len(theta) == 1 else [start, _other_sign(start, place)]
    found = min(_least(fit.criterion, chart, begin) for begin in starts)
    return math.sqrt(max(0.0, found - fit.optimum.evaluation.value))


def _least(criterion: Criterion, chart: Chart, start: Floats) -> float:
    def deviance(free: Floats) -> tuple[float, Floats]:
        x, jacobian = chart(free)
        value, gradient = _deviance(criterion, x)
        return value, gradient @ jacobian

    return float(minimize(deviance, start, jac=True, method="BFGS", options={"gtol": 1e-4}).fun)


def _deviance(criterion: Criterion, x: Floats) -> tuple[float, Floats]:
    """−2 log-likelihood at (θ, log σ): d + ν(κ − 1 − log κ), κ = r²/(νσ²), and its gradient."""
    found, dof = criterion.evaluate(x[:-1], 1), criterion.dof
    assert found.gradient is not None and found.log_r2_gradient is not None
    ratio = found.r2 / dof * math.exp(-2.0 * float(x[-1]))
    gradient = found.gradient + dof * (ratio - 1.0) * found.log_r2_gradient
    return found.value + dof * (ratio - 1.0 - math.log(ratio)), np.append(gradient, 2.0 * dof * (1.0 - ratio))


def _sigma_held(size: int, sigma: float) -> Chart:
    return lambda free: (np.append(free, math.log(sigma)), np.eye(size + 1, size))


def _first_held(size: int, sd: float) -> Chart:
    """T₁₁ = sd/σ."""

    def chart(free: Floats) -> tuple[Floats, Floats]:
        first = sd * math.exp(-float(free[-1]))
        jacobian = np.eye(size + 1, size, -1)
        jacobian[0, -1] = -first
        return np.concatenate([[first], free]), jacobian

    return chart


def _second_held(sd: float) -> Chart:
    """(T₂₁, T₂₂) = sd/σ (cos φ, sin φ), the free coordinates being T₁₁, φ and log σ."""

    def chart(free: Floats) -> tuple[Floats, Floats]:
        first, angle, log_sigma = free.tolist()
        cos, sin = sd * math.exp(-log_sigma) * math.cos(angle), sd * math.exp(-log_sigma) * math.sin(angle)
        jacobian = np.array([[1.0, 0.0, 0.0], [0.0, -sin, -cos], [0.0, cos, -sin], [0.0, 0.0, 1.0]])
        return np.array([first, cos, sin, log_sigma]), jacobian

    return chart


def _other_sign(start: Floats, place: int) -> Floats:
    """The same deviations with the other sign of the correlation, for a perfect one often is a second valley."""
    other = start.copy()
    if place == 1:
        other[1] = math.pi - other[1]
    else:
        other[1 if place == -1 else 0] *= -1.0
    return other
