"""Intervals of a fit's parameters: Wald, profile and bootstrap."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.errors import ConvergenceWarning, ModelError, SingularFitWarning, shown
from lmmpy.inference.bootstrap_intervals import KINDS
from lmmpy.inference.intervals import checked_level, percent_labels, wald_limits
from lmmpy.inference.profile import Profile, make_profile
from lmmpy.inference.row_parameters import row_parameter_kinds
from lmmpy.inference.variance_parameters import deviations
from lmmpy.model.components import parameter_names, parameter_values
from lmmpy.model.constraints import constraint_of, refuse_constrained
from lmmpy.model.influence import influence_of
from lmmpy.model.region_intervals import region_intervals

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["confint_frame", "jackknife_of", "parameters_frame", "profile_fit"]

# |ρ| from which a correlation is a perfect one.
_PERFECT = 1.0 - 1e-12
_INSTEAD = "confint(method='wald') and method='boot' do."
# Points of a profile on each side, as lme4's default; and of one that only serves to find limits.
_POINTS, _FEW = 8, 2


def chosen_parameters(fit: LmmFit, parameters: Any) -> list[int]:
    """
    Places in `parameter_names` of the parameters that were asked for.

    Parameters
    ----------
    fit : LmmFit
    parameters : None, str or sequence of str
        Names; "beta_" stands for all fixed effects and "theta_" for all others, as in lme4.

    Raises
    ------
    ModelError
        For an unknown name.
    """
    names, p = parameter_names(fit.design), fit.design.p
    if parameters is None:
        return list(range(len(names)))
    asked = [parameters] if isinstance(parameters, str) else list(parameters)
    groups = {"beta_": list(range(p)), "theta_": list(range(p, len(names)))}
    unknown = [name for name in asked if name not in names and name not in groups]
    if unknown or not asked:
        raise ModelError(
            f"parameters: {f'{shown(unknown)} is unknown' if unknown else 'none was named'}. The parameters are "
            f"{shown(names, 30)}; 'beta_' stands for all fixed effects, 'theta_' for all others."
        )
    places = [i for name in asked for i in groups.get(name, [j for j, other in enumerate(names) if other == name])]
    return list(dict.fromkeys(places))


def profile_fit(fit: LmmFit, parameters: Any, level: float, n_jobs: int) -> Profile:
    """See `LmmFit.profile`."""
    refuse_constrained(fit, "A profile", _INSTEAD)
    if fit.design.row_covariances:
        raise ModelError(
            "Whole profiles are not there for several traits, a structured residual or random functions. "
            "fit.confint(method='profile') has the limits of every parameter."
        )
    cutoff = math.sqrt(chi2.ppf(level, len(parameter_names(fit.design))))
    return _profile(fit, parameters, cutoff, _POINTS, n_jobs, stacklevel=4)


def profile_intervals(fit: LmmFit, parameters: Any, level: float, n_jobs: int) -> pd.DataFrame:
    """Profile intervals, from profiles just long enough; exact ones of β when the variance components are known."""
    refuse_constrained(fit, "A profile", _INSTEAD)
    if fit.optimum.held:
        return _exact_intervals(fit, parameters, level)
    z = float(norm.ppf(0.5 + 0.5 * level))
    if fit.design.row_covariances:
        return region_intervals(fit, chosen_parameters(fit, parameters), parameter_names(fit.design), level, z)
    return _profile(fit, parameters, z, _FEW, n_jobs, stacklevel=5).confint(level)


def _exact_intervals(fit: LmmFit, parameters: Any, level: float) -> pd.DataFrame:
    """The deviance is then a quadratic of β, whose profile gives β̂ ± z standard errors."""
    p = fit.design.p
    chosen = list(range(p)) if parameters is None else chosen_parameters(fit, parameters)
    given = [name for i, name in enumerate(parameter_names(fit.design)) if i in chosen and i >= p]
    if given:
        raise ModelError(
            f"The variance components of this fit are known, not estimated: there are no intervals for {shown(given)}. "
            "Ask for 'beta_', the fixed effects."
        )
    lower, upper = fit.contrast_tests("asymptotic").single(np.eye(p)[chosen]).interval(level)
    names = [fit.design.names[i] for i in chosen]
    return pd.DataFrame(np.column_stack([lower, upper]), index=names, columns=percent_labels(level))


def _profile(fit: LmmFit, parameters: Any, cutoff: float, points: int, n_jobs: int, stacklevel: int) -> Profile:
    if fit.optimum.held:
        raise ModelError("The variance components of this fit are known, not estimated: there is nothing to profile.")
    names, chosen, ml = parameter_names(fit.design), chosen_parameters(fit, parameters), fit.refit_ml()
    found = make_profile(
        ml.criterion, ml.optimum.theta, ml.sigma, ml.fixef.to_numpy(), names, chosen, cutoff, cutoff / points, n_jobs
    )
    undefined = [p.name for p in found.parameters if p.curve is None]
    if undefined:
        warnings.warn(
            f"By maximum likelihood a standard deviation is zero, so that a correlation with its effect means nothing: "
            f"{shown(undefined)} cannot be profiled, and the limits are NaN.",
            SingularFitWarning,
            stacklevel=stacklevel,
        )
    for name, problem in found.problems.items():
        warnings.warn(
            f"The profile of {name!r} is incomplete: {problem}. Limits that were not found are NaN. Is the fit at its "
            "optimum (fit.convergence)?",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
    return found


def parameters_frame(fit: LmmFit, level: float, stacklevel: int = 3) -> pd.DataFrame:
    """See `LmmFit.parameters`."""
    design, p = fit.design, fit.design.p
    names = parameter_names(design)
    estimate = parameter_values(design, fit.optimum.theta, fit.sigma, fit.fixef.to_numpy())
    std_error = np.full(len(names), np.nan)
    std_error[:p] = fit.se.to_numpy()
    if not fit.optimum.held:
        std_error[p:] = _std_errors(fit, stacklevel + 1)
    # What a fixed effect is called is the user's, so kinds go by place.
    limits = wald_limits(estimate, std_error, ["beta"] * p + _kinds(design), level)
    columns = {"estimate": estimate, "std_error": std_error, "conf_low": limits[:, 0], "conf_high": limits[:, 1]}
    return pd.DataFrame(columns, index=names)


def _kinds(design: Design) -> list[str]:
    """On which scale the intervals of all parameters but fixed effects are taken; see `wald_limits`."""
    between = row_parameter_kinds(design)
    random = parameter_names(design)[design.p : -1 - len(between)]
    return ["cor" if name.startswith("cor_") else "sd" for name in random] + between + ["sd"]


def _std_errors(fit: LmmFit, stacklevel: int) -> Floats:
    """Of standard deviations, correlations and others; NaN on the boundary, with a warning that says so."""
    parameters = fit._variance_parameters
    values, jacobian = deviations(parameters.design, parameters.theta, parameters.sigma, parameters.bases)
    names, kinds = parameter_names(fit.design)[fit.design.p :], np.array(_kinds(fit.design))
    perfect = (kinds == "cor") & (np.abs(values) >= _PERFECT)
    held = ~parameters.free & jacobian.astype(bool)
    # What is a function of parameters on the boundary alone.
    nothing = held.any(axis=1) & ~(jacobian.astype(bool) & parameters.free).any(axis=1)
    # An angle has no slope at either end of its correlation.
    nothing |= ~jacobian.any(axis=1)
    nil = (values == 0.0) & (kinds == "sd")
    boundary = nil | np.isnan(values) | perfect | nothing | np.isnan(jacobian).any(axis=1)
    boundary[-1] |= fit.optimum.saturated
    constraint = constraint_of(fit)
    given = np.array([constraint is not None and name in constraint.held for name in names])  # without an error
    found, errs = np.full(len(values), np.nan), ~boundary & ~given
    found[errs] = np.sqrt(np.diag(parameters.variance_of(jacobian[errs])))
    boundary &= ~given
    if boundary.any():
        lost = [name for name, on in zip(names, boundary, strict=True) if on]
        warnings.warn(
            f"No standard errors for {shown(lost)}: the estimate is on the boundary (a standard deviation of zero, a "
            "perfect correlation), where the likelihood is not nearly quadratic. Those of the others hold it there. "
            "Use method='profile' or 'boot'.",
            SingularFitWarning,
            stacklevel=stacklevel,
        )
    return found


def wald_intervals(fit: LmmFit, parameters: Any, level: float, ddf: str | None) -> pd.DataFrame:
    """Wald intervals in R's layout; those of fixed effects by Student's t when `ddf` says how."""
    chosen, p = chosen_parameters(fit, parameters), fit.design.p
    limits = np.full((len(parameter_names(fit.design)), 2), np.nan)
    if any(place >= p for place in chosen):
        limits[:] = parameters_frame(fit, level, stacklevel=5)[["conf_low", "conf_high"]]
    tests = fit.contrast_tests("asymptotic" if ddf is None else ddf).single(np.eye(p))
    limits[:p] = np.column_stack(tests.interval(level))
    names = parameter_names(fit.design)
    return pd.DataFrame(limits[chosen], index=[names[i] for i in chosen], columns=percent_labels(level))


def bootstrap_intervals(
    fit: LmmFit, parameters: Any, level: float, n: int, seed: Any, kind: str, n_jobs: int
) -> pd.DataFrame:
    """Bootstrap intervals in R's layout."""
    chosen = chosen_parameters(fit, parameters)
    return fit.bootstrap(n, seed=seed, n_jobs=n_jobs).confint(level, kind).iloc[chosen]


def jackknife_of(fit: LmmFit, n_jobs: int = 1) -> pd.DataFrame:
    """
    All parameters without each level of the grouping factor with the fewest levels.

    With nested factors those are the independent units, which the jackknife needs; with crossed ones there are none,
    and the factor with the fewest levels is the one that decides how skewed the estimates are.
    """
    if not fit.design.random:
        raise ModelError("The jackknife leaves out levels of a grouping factor, and this fit has no random term.")
    group = min(fit.design.random, key=lambda term: term.n_levels).name
    found = influence_of(fit, group, True, n_jobs)
    return pd.concat([found.fixef, found.parameters], axis=1)


def confint_frame(
    fit: LmmFit,
    parameters: Any,
    method: str,
    level: float,
    ddf: str | None,
    n: int,
    seed: Any,
    kind: str,
    n_jobs: int,
) -> pd.DataFrame:
    """See `LmmFit.confint`."""
    level = checked_level(level)
    method = method.lower() if isinstance(method, str) else method
    if method == "boot" and kind not in KINDS:  # before the work, not after it
        raise ModelError(f"kind is one of {shown(KINDS)}, not {kind!r}.")
    if ddf is not None and method != "wald":
        raise ModelError(f"ddf={ddf!r} is for Wald intervals; those by method={method!r} need no degrees of freedom.")
    if method == "wald":
        return wald_intervals(fit, parameters, level, ddf)
    if method == "profile":
        return profile_intervals(fit, parameters, level, n_jobs)
    if method == "boot":
        return bootstrap_intervals(fit, parameters, level, n, seed, kind, n_jobs)
    raise ModelError(f"method is 'wald', 'profile' or 'boot', not {method!r}.")
