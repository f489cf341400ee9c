"""Shares of the variance that covariates leave: estimates, standard errors, intervals; and the fixed effects'."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from lmmpy.design.values import Floats
from lmmpy.inference.heritability import Share
from lmmpy.inference.observed_vcov import observed_vcov
from lmmpy.inference.variance_parameters import components
from lmmpy.model import LmmFit
from lmmpy.model.vpredict import OfComponents, profile_intervals, standard_errors, without_residual
from lmmpy.qtl.study import Study

__all__ = ["estimates_table", "share_rows", "shares"]

# Names in the tables, which no further term may take.
_TAKEN = frozenset({"h2", "c2", "e2", "sd", "loglik", "loglik_solar"})
# A limit of less is that of no share.
_NIL = 1e-8


@dataclass(frozen=True, slots=True)
class _TotalDeviation:
    """The root of the sum of all variance components; one that is zero is held there."""

    places: frozenset[int] = frozenset()

    def __call__(self, values: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        sd = math.sqrt(float(values.sum()))
        return sd, np.full(len(values), 0.5 / sd)


def shares(fit: LmmFit, study: Study) -> dict[str, float]:
    """
    Estimated shares of the variance, and the total standard deviation.

    Parameters
    ----------
    fit : LmmFit
        One of the study's models.
    study : Study

    Returns
    -------
    dict
        ``h2``, ``c2`` if the model has them, further terms by name, ``e2``, ``sd``. A further term whose name is one of
        these is ``(1 | name)``.
    """
    values = without_residual(fit, components(fit.design, fit.optimum.theta, fit.sigma).values)
    return {name: function(values)[0] for name, function in _functions(fit, study).items()}


def _functions(fit: LmmFit, study: Study) -> dict[str, OfComponents]:
    """Shares and sd as functions of the variance components, one for each term, in order, and the residual's."""
    known = {study.kin: "h2", study.household_term: "c2"}
    places: dict[str, int] = {}
    for place, term in enumerate(fit.design.random):
        name = known.get(term.name, term.name)
        while term.name not in known and name in _TAKEN | places.keys():
            name = f"(1 | {name})"
        places[name] = place
    unit = np.eye(len(places) + 1)
    first = [name for name in ("h2", "c2") if name in places]
    rest = [name for name in places if name not in first]
    found = {name: Share(unit[places[name]], np.ones(len(unit))) for name in first + rest}
    return {**found, "e2": Share(unit[-1], np.ones(len(unit))), "sd": _TotalDeviation()}


def estimates_table(fit: LmmFit, study: Study, interval: str, level: float) -> pd.DataFrame:
    """
    Shares, total standard deviation and fixed effects.

    Parameters
    ----------
    fit : LmmFit
        The final model.
    study : Study
    interval : {"wald", "profile"}
        Of all but the fixed effects.
    level : float

    Returns
    -------
    DataFrame
        Columns `parameter, estimate, std_error, conf_low, conf_high`. The fixed effects are the last `fit.design.p`
        rows.
    """
    functions, estimates = _functions(fit, study), shares(fit, study)
    se, _ = standard_errors(fit, functions)
    # A share of all is on the boundary as one of nothing is, and has no standard error either.
    se[[name != "sd" and estimate == 1.0 for name, estimate in estimates.items()]] = np.nan
    found = _table(estimates, se, level)
    if interval == "profile":
        limits = profile_intervals(fit, functions, level)
        limits[:-1] = np.where(limits[:-1] < _NIL, 0.0, np.where(limits[:-1] > 1.0 - _NIL, 1.0, limits[:-1]))
        found[["conf_low", "conf_high"]] = limits
    if study.household is not None and "c2" not in found.index:
        at = list(found.index).index("h2") + 1
        left_out = pd.DataFrame({"estimate": [0.0]}, index=["c2"]).reindex(columns=found.columns)
        found = pd.concat([found.iloc[:at], left_out, found.iloc[at:]])
    vcov = observed_vcov(fit.criterion, fit.optimum, fit.sigma, fit.vcov().to_numpy())
    effects = _table(dict(zip(fit.design.names, fit.solution.beta, strict=True)), np.sqrt(np.diag(vcov)), level)
    return pd.concat([found, effects]).rename_axis("parameter").reset_index()


def _table(estimates: dict[str, float], se: Floats, level: float) -> pd.DataFrame:
    z, values = float(norm.ppf(0.5 + 0.5 * level)), np.array(list(estimates.values()))
    columns = {"estimate": values, "std_error": se, "conf_low": values - z * se, "conf_high": values + z * se}
    return pd.DataFrame(columns, index=list(estimates))


def share_rows(estimates: pd.DataFrame, fit: LmmFit) -> pd.DataFrame:
    """
    The rows of shares and sd: by their place, as a covariate may have the name of a share.

    Parameters
    ----------
    estimates : DataFrame
        See `estimates_table`.
    fit : LmmFit
        The final model.
    """
    return estimates.iloc[: len(estimates) - fit.design.p]
