"""Likelihood-ratio tests of a family study: against fits with constraints, without terms, or with a function held."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.errors import ConvergenceWarning, SingularFitWarning
from lmmpy.fitting import in_coordinates_of_search
from lmmpy.fitting.start import typical_scale
from lmmpy.inference.absolute_deviations import Chart, Deviations, chart_of
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value
from lmmpy.inference.profile_coordinates import free_scale
from lmmpy.inference.variance_parameters import components
from lmmpy.model import LmmFit
from lmmpy.model.update import Changes, submodel, update_fit
from lmmpy.qtl.quantities import Quantity, parse_expression

__all__ = [
    "BOUNDARY",
    "INTERIOR",
    "TWO_OF_WHICH_ONE",
    "Hypothesis",
    "constrained_loglik",
    "loglik_with",
    "loglik_without",
    "tests_table",
]

INTERIOR: Mapping[int, float] = {1: 1.0}
"""χ²₁: the hypothesis is inside what the parameters may be."""
BOUNDARY: Mapping[int, float] = {0: 0.5, 1: 0.5}
"""½χ²₀ + ½χ²₁: one parameter on the edge of its range (Self & Liang 1987)."""

TWO_OF_WHICH_ONE: Mapping[int, float] = {1: 0.5, 2: 0.5}
"""½χ²₁ + ½χ²₂: a variance on its edge, and a parameter that has no meaning without it (Stram & Lee 1994)."""

_ACCURACY, _MOST_ITERATIONS, _MET = 1e-13, 300, 1e-7


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One hypothesis about a fit.

    Attributes
    ----------
    statement : str
    loglik : float
        Under it; NaN where it has no meaning.
    weights : mapping from int to float
        The mixture of χ² distributions of the statistic, by degrees of freedom.
    """

    statement: str
    loglik: float
    weights: Mapping[int, float]


def tests_table(full: LmmFit, tests: list[Hypothesis]) -> pd.DataFrame:
    """
    Statistics and p-values.

    Parameters
    ----------
    full : LmmFit
        The model that the hypotheses are parts of.
    tests : list of Hypothesis

    Returns
    -------
    DataFrame
        Columns `hypothesis, chisq, df, p_value`, `df` the number of parameters that the hypothesis holds.
    """
    rows = []
    for test in tests:
        chisq = p = math.nan
        if math.isfinite(test.loglik):
            chisq = float(likelihood_ratio(full.loglik, np.array([test.loglik]))[0])
            p = mixture_p_value(chisq, dict(test.weights))
        rows.append((test.statement, chisq, max(test.weights), p))
    return pd.DataFrame(rows, columns=["hypothesis", "chisq", "df", "p_value"])


def loglik_without(fit: LmmFit, formula: str, residual: Any = ...) -> float:
    """
    The log-likelihood of another formula on the rows of a fit.

    Parameters
    ----------
    fit : LmmFit
    formula : str
    residual : str or None
        As of `lmer`; by default that of the fit.
    """
    if residual is ...:
        return float(submodel(fit, formula).fit.loglik)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return float(update_fit(fit, Changes(formula=formula, residual=residual, subset=fit.design.rows), {}).loglik)


def constrained_loglik(fit: LmmFit, constraints: Mapping[str, Any]) -> float:
    """The log-likelihood under constraints, see `LmmFit.constrain`; that such a fit is singular is not said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return float(fit.constrain(constraints).loglik)


def loglik_with(fit: LmmFit, quantity: Quantity, value: float) -> float:
    """
    The largest log-likelihood at which a function of the variance components has some value.

    Parameters
    ----------
    fit : LmmFit
    quantity : Quantity
    value : float
        Inside its range.

    Warns
    -----
    ConvergenceWarning
        When the search fails; the result is NaN then.
    """
    criterion, _ = in_coordinates_of_search(fit.criterion, fit.optimum)
    at = fit._variance_parameters
    expression = parse_expression(quantity.text, components(at.design, at.theta, at.sigma, at.bases).names)

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
    """Coordinates s around an optimum, y = ŷ + L s, in which −2 log-likelihood is nearly sᵀs."""

    criterion: Criterion
    chart: Chart
    centre: Floats
    L: Floats

    def deviance(self, s: Floats) -> tuple[float, Floats]:
        x, jacobian = self.chart.to_x(self.centre + self.L @ s)
        found = free_scale(self.criterion, x)
        if found.gradient is None:
            return 1e10, np.zeros(len(s))
        return found.value, found.gradient @ jacobian @ self.L

    def of(self, function: Callable[[Floats], tuple[float, Floats]], s: Floats) -> tuple[float, Floats]:
        x, jacobian = self.chart.to_x(self.centre + self.L @ s)
        value, gradient = function(x)
        return value, gradient @ jacobian @ self.L


def _least_deviance(
    criterion: Criterion, theta: Floats, sigma: float, function: Callable[[Floats], tuple[float, Floats]]
) -> float:
    """The least −2 log-likelihood where a function of x = (θ, log σ) is zero, by sequential quadratic programming."""
    chart = chart_of(criterion.design, typical_scale(criterion))
    centre = chart.of(theta, sigma)
    x, jacobian = chart.to_x(centre)
    at = free_scale(criterion, x)
    assert at.information is not None
    local = _Local(criterion, chart, centre, _whitening(jacobian.T @ at.information @ jacobian))
    constraints: list[Any] = [
        {"type": "eq", "fun": lambda s: local.of(function, s)[0], "jac": lambda s: local.of(function, s)[1]}
    ]
    bounded = np.isfinite(criterion.design.lower) & ~_turns_sign(chart, len(theta))
    if bounded.any():
        slopes, gap = local.L[:-1][bounded], (centre[:-1] - criterion.design.lower)[bounded]
        constraints.append({"type": "ineq", "fun": lambda s: gap + slopes @ s, "jac": lambda s: slopes})
    options: Any = {"ftol": _ACCURACY, "maxiter": _MOST_ITERATIONS}
    best = math.nan
    for start in _starts(local, function):
        found = minimize(  # type: ignore[call-overload]  # the stub knows no jac of a lambda
            lambda s: local.deviance(s)[0] - at.value,
            start,
            jac=lambda s: local.deviance(s)[1],
            method="SLSQP",
            constraints=constraints,
            options=options,
        )
        s = np.asarray(found.x, dtype=float)
        if abs(local.of(function, s)[0]) < _MET and not local.deviance(s)[0] > best:
            best = local.deviance(s)[0]
    return best


def _turns_sign(chart: Chart, size: int) -> NDArray[np.bool_]:
    """Parameters in whose sign the likelihood is even, so that a search may go through zero."""
    return chart.linear if isinstance(chart, Deviations) else np.zeros(size, dtype=bool)


def _starts(local: _Local, function: Callable[[Floats], tuple[float, Floats]]) -> list[Floats]:
    """Where the function is zero by its slope at the optimum; and the optimum."""
    nil = np.zeros(len(local.centre))
    value, slope = local.of(function, nil)
    length = float(slope @ slope)
    return [-value * slope / length, nil] if length > 0.0 else [nil]


def _whitening(information: Floats) -> Floats:
    """L with L Lᵀ = 2H⁻¹, on the scale of H's own diagonal."""
    size = np.sqrt(np.maximum(np.diag(information), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    return np.asarray((vectors * np.sqrt(2.0 / np.maximum(values, 1e-6))) / size[:, None])
