"""Heritabilities: estimates, delta-method standard errors, intervals, and tests on the boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from lmmpy.design import RandomEffects
from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.formula.syntax import names_in
from lmmpy.formula.update import formula_text, random_text
from lmmpy.inference.heritability import Share, boundary_weights, profile_of_one, row_moments, share_of_term
from lmmpy.inference.intervals import checked_level
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value, regression_loglik
from lmmpy.inference.variance_parameters import components
from lmmpy.model.breeding_values import related_terms
from lmmpy.model.constraints import refuse_constrained
from lmmpy.model.trait_shares import structured_heritability
from lmmpy.model.vpredict import profile_intervals, standard_errors, without_residual

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["heritability"]

# A share of less is none.
_NIL = 1e-8


def heritability(fit: LmmFit, level: float, method: str, at: Mapping[str, Any] | None) -> pd.DataFrame:
    """See `LmmFit.heritability`."""
    level = checked_level(level)
    refuse_constrained(fit, "heritability()", "fit.vpredict(h2=…) does.")
    if method not in ("profile", "wald"):
        raise ModelError(f"method is 'profile' or 'wald', not {method!r}.")
    if fit.design.row_covariances:
        if at is not None:
            raise ModelError(
                "heritability(at=…) is for one trait and an independent residual. vpredict() takes any expression of "
                "the variance components."
            )
        return structured_heritability(fit, level, method, [term.values for term in fit.design.random])
    terms = related_terms(fit, "heritability")
    moments = row_moments(_columns(fit, at))
    shares = {term.name: share_of_term(fit.design, place, moments) for place, term in terms.items()}
    values = without_residual(fit, components(fit.design, fit.optimum.theta, fit.sigma).values)
    estimate = np.array([share(values)[0] for share in shares.values()])
    error, limits, tests = (np.full((len(terms), m), np.nan) for m in (1, 2, 2))
    if not fit.optimum.held:
        error = standard_errors(fit, shares)[0][:, None]
        if method == "wald":
            limits = estimate[:, None] + error * np.array([-1.0, 1.0]) * norm.ppf(0.5 + 0.5 * level)
        else:
            limits = _profile(fit, shares, moments, level)
        tests = np.array([_boundary_test(fit, term) for term in terms.values()])
    return pd.DataFrame(
        {
            "term": list(shares),
            "estimate": estimate,
            "std_error": error[:, 0],
            "conf_low": limits[:, 0],
            "conf_high": limits[:, 1],
            "chisq": tests[:, 0],
            "p_value": tests[:, 1],
        }
    )


def _profile(fit: LmmFit, shares: Mapping[str, Share], moments: Sequence[Floats], level: float) -> Floats:
    """Profile intervals, by one search along the criterion where the share is all that it depends on."""
    if fit.design.n_theta > 1 or moments[0].size > 1:
        limits = profile_intervals(fit, shares, level)
        return np.where(limits < _NIL, 0.0, np.where(limits > 1.0 - _NIL, 1.0, limits))
    scale = float(moments[0].item())

    def value(share: float) -> float:
        return fit.criterion.evaluate(np.array([np.sqrt(share / (1.0 - share) / scale)]), 0).value

    (share,) = shares.values()
    estimate = share(components(fit.design, fit.optimum.theta, fit.sigma).values)[0]
    return np.array([profile_of_one(value, estimate, float(norm.ppf(0.5 + 0.5 * level)))])


def _columns(fit: LmmFit, at: Mapping[str, Any] | None) -> list[Floats]:
    """The columns left of each bar in the rows of the fit, some variables at given values."""
    terms = fit.design.random
    if at is None:
        return [term.values for term in terms]
    if not isinstance(at, Mapping):
        raise ModelError(f"at must map columns to values, as in {{'age': 40}}, not be a {type(at).__name__}.")
    nodes = [node for term in terms for node in term.term.lhs.variables]
    used = {name for node in nodes for name in names_in(node)}
    frame = fit.frame()
    unknown = [name for name in at if name not in used or name not in frame]
    if unknown:
        raise ModelError(
            f"at names {shown(unknown)}, on which no random effect depends: it is for variables left of a bar, here "
            f"{shown(sorted(used & set(frame)), 20) or '(none)'}."
        )
    for name, value in at.items():
        if np.ndim(value) or pd.isna(value):
            raise ModelError(f"at[{name!r}] must be one value, not {value!r}.")
        frame[name] = pd.Series([value] * len(frame), index=frame.index)
    evaluator = fit.blueprint.evaluator(frame)
    return [fit.blueprint.random_matrix(term.term, evaluator).X for term in terms]


def _boundary_test(fit: LmmFit, term: RandomEffects) -> tuple[float, float]:
    """Twice what the log-likelihood loses without a term, and its p-value."""
    from lmmpy.model.ranova import effects_of, warn_if_likelier
    from lmmpy.model.update import submodel

    parsed = fit.blueprint.parsed
    left = [random_text(t) for place, t in enumerate(parsed.random) if effects_of(fit, place) is not term]
    left += [random_text(t) for t in parsed.functions]
    formula = formula_text(parsed.response, parsed.fixed, left)
    loglik = submodel(fit, formula).fit.loglik if left else regression_loglik(fit.design, fit.reml)
    warn_if_likelier(fit, loglik, formula)
    chisq = float(likelihood_ratio(fit.loglik, loglik))
    weights = boundary_weights(term.k, term.term.structure)
    return chisq, np.nan if weights is None else mixture_p_value(chisq, weights)
