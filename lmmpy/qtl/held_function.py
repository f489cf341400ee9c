"""The likelihood where a function of the variance components has a value, when no constraint on a parameter says so."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lmmpy.covariance import Indexed
from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.errors import ConvergenceWarning
from lmmpy.fitting import in_coordinates_of_search
from lmmpy.fitting.start import typical_scale
from lmmpy.inference.absolute_deviations import Chart, Deviations, chart_of
from lmmpy.inference.profile_coordinates import free_scale
from lmmpy.inference.variance_parameters import components
from lmmpy.model import LmmFit
from lmmpy.qtl.quantities import Quantity, read_quantity

__all__ = ["loglik_with"]

Function = Callable[[Floats], tuple[float, Floats]]

# The likelihood is found to this; the function has its value to that.
_ACCURACY, _MET = 1e-8, 1e-9
_MOST_STEPS, _MOST_HALVINGS = 60, 25
# In standard errors: the longest step, and the step of differences; and a curvature that is none.
_LONGEST, _STEP, _FLAT = 4.0, 1e-4, 1e-3
# In typical sizes.
_OFF = 0.1


def loglik_with(fit: LmmFit, quantity: Quantity, value: float) -> float:
    """
    The largest log-likelihood at which a function of the variance components has some value.

    Parameters
    ----------
    fit : LmmFit
    quantity : Quantity
    value : float
        Inside its range.

    Returns
    -------
    float
        NaN when the search fails.

    Warns
    -----
    ConvergenceWarning
        Then.
    """
    criterion, _ = in_coordinates_of_search(fit.criterion, fit.optimum)
    at = fit._variance_parameters
    expression = read_quantity(quantity, components(at.design, at.theta, at.sigma, at.bases).names)

    def function(x: Floats) -> tuple[float, Floats]:
        found = components(at.design, x[:-1], math.exp(float(x[-1])), at.bases)
        here, gradient = expression(found.values)
        return here - value, gradient @ found.jacobian

    with one_blas_thread():
        least = _least_deviance(criterion, at.theta, at.sigma, function)
    if math.isnan(least):
        warnings.warn(
            f"The search for the likelihood under {quantity.text} = {value:g} failed; its test is NaN.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return -0.5 * least


@dataclass(frozen=True, eq=False, slots=True)
class _Local:
    """Coordinates s around an optimum, y = ŷ + L s, in which −2 log-likelihood is nearly D̂ + sᵀs."""

    criterion: Criterion
    chart: Chart
    centre: Floats
    L: Floats

    def at(self, y: Floats) -> Floats:
        """S of some y."""
        return np.asarray(np.linalg.solve(self.L, y - self.centre), dtype=float)

    def deviance(self, s: Floats) -> tuple[float, Floats, Floats] | None:
        """−2 log-likelihood, its gradient, and nearly its second derivative; None where it cannot be computed."""
        y = self.centre + self.L @ s
        x, jacobian = self.chart.to_x(y)
        found = free_scale(self.criterion, x)
        if found.gradient is None or found.information is None or found.bend is None:
            return None
        slope, to_s = found.gradient, jacobian @ self.L
        curvature = to_s.T @ (found.information + found.bend) @ to_s
        curvature = curvature + _differences(lambda t: slope @ self.chart.to_x(self.centre + self.L @ t)[1] @ self.L, s)
        return found.value, slope @ to_s, curvature

    def of(self, function: Function, s: Floats) -> tuple[float, Floats]:
        """A function of x = (θ, log σ), and its gradient."""
        x, jacobian = self.chart.to_x(self.centre + self.L @ s)
        value, gradient = function(x)
        return value, gradient @ jacobian @ self.L


def _least_deviance(criterion: Criterion, theta: Floats, sigma: float, function: Function) -> float:
    """The least −2 log-likelihood where a function of (θ, log σ) is zero; NaN when no search finds it."""
    scale = typical_scale(criterion)
    chart = chart_of(criterion.design, scale)
    centre = chart.of(theta, sigma)
    x, jacobian = chart.to_x(centre)
    at = free_scale(criterion, x)
    assert at.information is not None
    size = chart.of(scale, sigma)
    size[-1] = sigma if isinstance(chart, Deviations) else 1.0
    local = _Local(criterion, chart, centre, _whitening(jacobian.T @ at.information @ jacobian, size))
    # Off the zeros, where the likelihood has no slope although there it may be least no more.
    near = _descended(local, function, local.at(np.where(centre == 0.0, _OFF * size, centre)))
    apart = local.at(chart.of(_uncorrelated(criterion.design, theta), sigma))
    known = local.deviance(apart)
    worse = known is not None and abs(local.of(function, apart)[0]) < _MET and known[0] < near
    return _descended(local, function, apart) if math.isnan(near) or worse else near


def _uncorrelated(design: Design, theta: Floats) -> Floats:
    """θ with the same variances, without correlations."""
    parts = []
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        parts.append(term.structure.start(np.linalg.norm(term.structure.factor(part).T, axis=1)))
    for rows, part in zip(design.row_covariances, design.split_rows(theta), strict=True):
        structure = rows.structure
        if isinstance(structure, Indexed):
            parts.append(structure.structure.start(np.linalg.norm(structure.factor(part).T, axis=1))[1:])
        else:
            parts.append(part)
    return np.concatenate(parts)


def _descended(local: _Local, function: Function, s: Floats) -> float:
    """The least −2 log-likelihood to which steps from s lead; NaN when they end elsewhere."""
    here, (miss, normal) = local.deviance(s), local.of(function, s)
    # Twice the multiplier where D̂ + sᵀs is least on the tangent of the surface.
    weight = 4.0 * abs(miss) / max(float(normal @ normal), np.finfo(float).tiny)
    for _ in range(_MOST_STEPS):
        if here is None:
            return math.nan
        step = _newton(here[1], here[2], *local.of(function, s), local, function, s)
        if step.promise + weight * abs(step.miss) < _ACCURACY and abs(step.miss) < _MET:
            return here[0]
        weight = max(weight, 2.0 * abs(step.multiplier))
        if abs(step.miss) > _MET:
            weight = max(weight, 2.0 * float(here[1] @ step.direction) / abs(step.miss))
        s, here = _moved(local, function, s, here[0] + weight * abs(step.miss), step.direction, weight)
    return math.nan


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """A step of Newton's method on the Lagrangian.

    Attributes
    ----------
    direction : ndarray
    multiplier : float
    miss : float
        The value of the function, which should be zero.
    promise : float
        What the deviance should lose along the surface.
    """

    direction: Floats
    multiplier: float
    miss: float
    promise: float


def _newton(
    slope: Floats, curvature: Floats, miss: float, normal: Floats, local: _Local, function: Function, s: Floats
) -> _Step:
    """Onto the tangent of the surface, and along it down the quadratic model (Nocedal & Wright 2006, §18.1)."""
    length = float(normal @ normal)
    multiplier = -float(slope @ normal) / length
    W = curvature + multiplier * _differences(lambda t: local.of(function, t)[1], s)
    across = -miss / length * normal
    tangent = np.linalg.svd(normal[None])[2][1:].T
    values, vectors = np.linalg.eigh(tangent.T @ W @ tangent)
    part = vectors.T @ (tangent.T @ (slope + W @ across))
    size = np.maximum(np.abs(values), _FLAT)
    direction = across - tangent @ (vectors @ (part / size))
    direction *= min(1.0, _LONGEST / max(float(np.linalg.norm(direction)), np.finfo(float).tiny))
    return _Step(direction, multiplier, miss, 0.5 * float(part @ (part / size)))


def _moved(
    local: _Local, function: Function, s: Floats, merit: float, direction: Floats, weight: float
) -> tuple[Floats, tuple[float, Floats, Floats] | None]:
    """The first of ever shorter steps that does not add to deviance plus weight · |miss|; None when there is none."""
    for halvings in range(_MOST_HALVINGS):
        new = s + 0.5**halvings * direction
        there = local.deviance(new)
        if there is not None and there[0] + weight * abs(local.of(function, new)[0]) <= merit + _ACCURACY:
            return new, there
    return s, None


def _differences(gradient: Callable[[Floats], Floats], s: Floats) -> Floats:
    """The second derivative of a function by differences of its first."""
    steps = _STEP * np.eye(len(s))
    found = np.array([(gradient(s + step) - gradient(s - step)) / (2.0 * _STEP) for step in steps])
    return np.asarray(0.5 * (found + found.T))


def _whitening(information: Floats, size: Floats) -> Floats:
    """L with L Lᵀ = 2H⁻¹; of parameters in typical sizes, in which no error is taken for larger than one."""
    values, vectors = np.linalg.eigh(information * np.outer(size, size))
    return np.asarray(size[:, None] * vectors * np.sqrt(2.0 / np.maximum(values, 2.0)))
