"""Functions of variance components by name: estimates, delta-method standard errors, intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from scipy.stats import norm

from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.engines import one_blas_thread
from lmmpy.errors import ConvergenceWarning, ModelError, SingularFitWarning, shown
from lmmpy.fitting import in_coordinates_of_search
from lmmpy.inference.bootstrap_intervals import KINDS, bootstrap_limits
from lmmpy.inference.expression import Expression, parse_expression
from lmmpy.inference.intervals import checked_level
from lmmpy.inference.likelihood_region import profile_limits
from lmmpy.inference.row_parameters import components_from_parameters, row_variance_names
from lmmpy.inference.variance_parameters import components, other_names
from lmmpy.model.constraints import held_components, refuse_constrained

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["OfComponents", "component_values", "profile_intervals", "standard_errors", "vpredict", "without_residual"]

# |log σ| beyond any that a search should try.
_FAR = 300.0


class OfComponents(Protocol):
    """A function of the variance components."""

    def __call__(self, values: Floats) -> tuple[float, Floats]:
        """Value and gradient."""

    @property
    def places(self) -> frozenset[int]:
        """The components that must not be estimated as zero if there is to be a standard error."""


def vpredict(
    fit: LmmFit,
    expressions: Mapping[str, str],
    interval: str,
    level: float,
    n: int,
    seed: Any,
    kind: str,
    n_jobs: int,
) -> pd.DataFrame:
    """See `LmmFit.vpredict`."""
    level = checked_level(level)
    if interval not in ("wald", "profile", "boot"):
        raise ModelError(f"interval is 'wald', 'profile' or 'boot', not {interval!r}.")
    if not expressions:
        raise ModelError("vpredict needs an expression, such as fit.vpredict(icc='Subject / (Subject + Residual)').")
    at = components(fit.design, fit.optimum.theta, fit.sigma)
    if len(set(at.names)) < len(at.names):
        twice = [name for name in dict.fromkeys(at.names) if at.names.count(name) > 1]
        raise ModelError(f"The names of variance components must differ, but {shown(twice)} is one of several.")
    others = other_names(fit.design)
    parsed = {name: parse_expression(text, at.names, others) for name, text in expressions.items()}
    estimate = np.array([expression(at.values)[0] for expression in parsed.values()])
    std_error, lost = standard_errors(fit, parsed)
    if lost:
        nil = without_residual(fit, at.values) == 0.0
        zero = sorted({place for name in lost for place in parsed[name].places if nil[place]})
        warnings.warn(
            f"No standard error for {shown(lost)}: the variance of {shown([at.names[i] for i in zero])} is estimated "
            "as zero, where the likelihood is not nearly quadratic. Use interval='profile' or 'boot'.",
            SingularFitWarning,
            stacklevel=3,
        )
    if interval == "wald":
        z = float(norm.ppf(0.5 + 0.5 * level))
        limits = np.column_stack([estimate - z * std_error, estimate + z * std_error])
    elif fit.optimum.held:
        raise ModelError("The variance components of this fit are known, not estimated: they have no intervals.")
    elif interval == "profile":
        limits = profile_intervals(fit, parsed, level)
    else:
        limits = _bootstrap(fit, parsed, level, n, seed, kind, n_jobs)
    return pd.DataFrame(
        {"estimate": estimate, "std_error": std_error, "conf_low": limits[:, 0], "conf_high": limits[:, 1]},
        index=list(parsed),
    )


def standard_errors(fit: LmmFit, functions: Mapping[str, OfComponents]) -> tuple[Floats, list[str]]:
    """
    Standard errors by the delta method from the observed Hessian.

    Parameters
    ----------
    fit : LmmFit
    functions : mapping

    Returns
    -------
    ndarray, shape (m,)
    list of str
        The names of those that are NaN because a variance that counts is zero; the residual variance counts wherever
        the function changes with it.
    """
    if fit.optimum.held:
        return np.zeros(len(functions)), []
    covariance = fit._variance_parameters
    at = components(covariance.design, covariance.theta, covariance.sigma, covariance.bases)
    zero = {i for i, name in enumerate(at.names) if at.values[i] == 0.0 and not at.jacobian[i].any()}
    variances = {i for i in zero if at.names[i] in _variance_names(fit.design) - held_components(fit)}
    variances |= {len(at.names) - 1} if fit.optimum.saturated else set()
    found, lost = [], []
    for name, function in functions.items():
        value, gradient = function(at.values)
        on_boundary = bool(function.places & variances) or (fit.optimum.saturated and gradient[-1] != 0.0)
        if on_boundary or not math.isfinite(value):
            lost += [name] if on_boundary else []
            found.append(math.nan)
            continue
        row = np.where(gradient == 0.0, 0.0, gradient) @ at.jacobian
        found.append(math.sqrt(float(covariance.variance_of(row[None])[0, 0])))
    return np.array(found), lost


def without_residual(fit: LmmFit, values: Floats) -> Floats:
    """The components, the last of which is zero where next to nothing stands for no residual variance."""
    return np.append(values[:-1], 0.0) if fit.optimum.saturated else values


def _variance_names(design: Design) -> set[str]:
    """Names of the components that are variances, not covariances."""
    names = {term.name for term in design.random if term.k == 1} | set(row_variance_names(design))
    return names | {f"{term.name}.{column}" for term in design.random if term.k > 1 for column in term.columns}


def profile_intervals(fit: LmmFit, functions: Mapping[str, OfComponents], level: float) -> Floats:
    """
    Profile intervals by the fit's own criterion; says which limits were not found.

    Parameters
    ----------
    fit : LmmFit
    functions : mapping
    level : float

    Returns
    -------
    ndarray, shape (m, 2)
    """
    refuse_constrained(fit, "A profile", "interval='wald' and interval='boot' do.")
    z, at = float(norm.ppf(0.5 + 0.5 * level)), fit._variance_parameters
    criterion, _ = in_coordinates_of_search(fit.criterion, fit.optimum)
    limits = []
    with one_blas_thread():
        for name, function in functions.items():
            found = profile_limits(criterion, at.theta, at.sigma, _OfParameters(at.design, at.bases, function), z)
            limits.append(found)
            if any(math.isnan(limit) for limit in found):
                warnings.warn(
                    f"The search for a profile limit of {name!r} failed; it is NaN. Is the expression defined, and "
                    "bounded, over plausible variances? If a random slope's predictor is far from zero, centre it.",
                    ConvergenceWarning,
                    stacklevel=4,
                )
    return np.array(limits)


class _OfParameters:
    """A function of (θ, log σ) instead of the components, with its gradient; θ in the coordinates of the search."""

    def __init__(self, design: Design, bases: Sequence[Floats | None], function: OfComponents) -> None:
        self._design, self._bases, self._function = design, bases, function

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        log_sigma = min(max(float(x[-1]), -_FAR), _FAR)
        at = components(self._design, x[:-1], math.exp(log_sigma), self._bases)
        value, gradient = self._function(at.values)
        # A component without slope has none, where its function's is infinite as well (the root of zero).
        still = ~at.jacobian.any(axis=1)
        return value, np.where(still | (gradient == 0.0), 0.0, gradient) @ at.jacobian


def _bootstrap(
    fit: LmmFit, parsed: Mapping[str, Expression], level: float, n: int, seed: Any, kind: str, n_jobs: int
) -> Floats:
    if kind not in KINDS:
        raise ModelError(f"kind is one of {shown(KINDS)}, not {kind!r}.")
    boot, design = fit.bootstrap(n, seed=seed, n_jobs=n_jobs), fit.design
    deleted = boot.jackknife() if kind == "bca" and boot.jackknife is not None else None
    drawn = component_values(design, boot.replicates.to_numpy())
    left = None if deleted is None else component_values(design, deleted.to_numpy())
    estimate = components(design, fit.optimum.theta, fit.sigma).values
    limits = []
    for expression in parsed.values():
        values = np.array([expression(row)[0] for row in drawn])
        without = None if left is None else np.array([expression(row)[0] for row in left])
        limits.append(bootstrap_limits(expression(estimate)[0], values, level, kind, without))
    return np.array(limits)


def component_values(design: Design, parameters: Floats) -> Floats:
    """
    Variances and covariances from fixed effects, standard deviations, correlations and sigma.

    Parameters
    ----------
    design : Design
    parameters : ndarray, shape (m, n_parameters)
        Rows as `parameter_names` orders them.

    Returns
    -------
    ndarray, shape (m, n_components)
        Columns as `components` names them.
    """
    found, at = [], design.p
    for term in design.random:
        k = term.k
        sd = parameters[:, at : at + k]
        at += k
        correlates = term.term.structure != "diag"
        for b in range(k):
            found.append(sd[:, b] ** 2)
            for a in range(b + 1, k):
                if not correlates:
                    found.append(np.zeros(len(sd)))
                    continue
                product = sd[:, a] * sd[:, b]
                # A correlation with an effect that does not vary is NaN; the covariance is zero.
                found.append(np.where(product == 0.0, 0.0, parameters[:, at] * product))
                at += 1
    between = components_from_parameters(design, parameters[:, at:-1])
    return np.column_stack([*found, between, parameters[:, -1] ** 2])
