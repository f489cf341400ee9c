"""The models of a polygenic analysis: with everything, without a covariate, without relatedness or household."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import FormulaError, ModelError, SingularFitWarning, shown
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value, regression_loglik
from lmmpy.model import LmmFit, drop1
from lmmpy.model.assemble import assemble_fit
from lmmpy.model.results import Request
from lmmpy.model.update import submodel
from lmmpy.qtl.shares import shares
from lmmpy.qtl.study import Study, only_intercept, without_terms

__all__ = [
    "Models",
    "boundary_tests",
    "covariate_share",
    "fit_full",
    "fit_models",
    "models_table",
    "screened",
    "tests_table",
]

_BOUNDARY = {0: 0.5, 1: 0.5}
_BOTH = "household polygenic"


@dataclass(frozen=True, eq=False, slots=True)
class Models:
    """The models that are compared, all of the same rows and covariates.

    Attributes
    ----------
    final : LmmFit
    fits : dict of str to LmmFit
        ``household``, ``polygenic``, ``household polygenic``; without household ``polygenic`` alone.
    sporadic : dict of str to float
        Without relatedness and household: `loglik`, `e2`, `sd`, and the shares of further terms.
    """

    final: LmmFit
    fits: dict[str, LmmFit]
    sporadic: dict[str, float]

    @property
    def has_household(self) -> bool:
        """Whether the final model has a household."""
        return self.final is self.fits.get(_BOTH)


def fit_full(study: Study, request: Request, scope: Mapping[str, Any]) -> LmmFit:
    """
    Fit the model with everything; that a variance is zero is left for the report to say.

    Parameters
    ----------
    study : Study
    request : Request
    scope : mapping
        The caller's variables.

    Raises
    ------
    FormulaError
        For random slopes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = assemble_fit(LmmFit, study.formula(study.fixed), request, scope, None)
    slopes = [term.term.text for term in fit.design.random if term.columns != ("(Intercept)",)]
    if slopes:
        raise FormulaError(
            f"({slopes[0]}) has random slopes, with which the variance, and so each share of it, differs from person "
            "to person. Use random intercepts here, and lmm.lmer for slopes."
        )
    return fit


def screened(full: LmmFit, study: Study, probability: float, keep: frozenset[str]) -> tuple[LmmFit, pd.DataFrame]:
    """
    Test each covariate by leaving it out, and remove those that say too little.

    Parameters
    ----------
    full : LmmFit
    study : Study
    probability : float
        Covariates with a smaller p-value stay.
    keep : frozenset of str
        Covariates that stay in any case; ``"all"`` stands for all.

    Returns
    -------
    LmmFit
        With the covariates that stay, on the same rows.
    DataFrame
        Index: terms, columns `chisq, df, p_value, kept`; NaN for a term that is part of another.
    """
    labels = [term.label for term in study.fixed.terms]
    unknown = sorted(keep - {*labels, "all"})
    if unknown:
        raise ModelError(f"keep: there is no covariate {shown(unknown)}; there are {shown(labels, 20) or 'none'}.")
    tests = pd.DataFrame(drop1(full)).reindex(labels)
    table = pd.DataFrame(
        {"chisq": tests["LRT"], "df": tests["npar"], "p_value": tests["Pr(Chi)"]}, index=pd.Index(labels, name="term")
    )
    locked = np.array([label in keep or "all" in keep for label in labels], dtype=bool)
    table["kept"] = locked | ~(table["p_value"].to_numpy() >= probability)
    gone = list(table.index[~table["kept"]])
    if gone:
        full = submodel(full, study.formula(without_terms(study.fixed, gone))).fit
    return full, table


def fit_models(full: LmmFit, study: Study) -> Models:
    """
    Fit the models without relatedness, without household, and without both, and choose the final one.

    Parameters
    ----------
    full : LmmFit
        With both, or with relatedness when there is no household.
    study : Study
    """
    fixed, fits = full.blueprint.parsed.fixed, {"polygenic": full}
    if study.household is not None:
        household = submodel(full, study.formula(fixed, kin=False)).fit
        polygenic = submodel(full, study.formula(fixed, household=False)).fit
        fits = {"household": household, "polygenic": polygenic, _BOTH: full}
    empty = shares(full, study).get("c2") == 0.0
    return Models(fits["polygenic"] if empty else full, fits, _sporadic(full, study))


def _sporadic(full: LmmFit, study: Study) -> dict[str, float]:
    if study.others:
        fixed = full.blueprint.parsed.fixed
        fit = submodel(full, study.formula(fixed, kin=False, household=False)).fit
        return {"loglik": fit.loglik, **shares(fit, study)}
    loglik = regression_loglik(full.design, reml=False)
    # −2ℓ/n = 1 + log 2πσ² at the maximum.
    return {"loglik": loglik, "e2": 1.0, "sd": math.exp(-loglik / full.nobs - 0.5) / math.sqrt(2.0 * math.pi)}


def tests_table(models: Models, table: pd.DataFrame | None) -> pd.DataFrame:
    """
    Likelihood-ratio tests.

    Parameters
    ----------
    models : Models
    table : DataFrame or None
        Of the screening.

    Returns
    -------
    DataFrame
        Columns `hypothesis, chisq, df, p_value`.
    """
    fits = models.fits
    without = fits["household"].loglik if models.has_household else models.sporadic["loglik"]
    rows = [("h2 = 0", *_boundary_test(models.final.loglik, without))]
    if _BOTH in fits:
        rows.append(("c2 = 0", *_boundary_test(fits[_BOTH].loglik, fits["polygenic"].loglik)))
    if table is not None:
        tested = table[table["df"] > 0]
        columns = zip(tested.index, tested["chisq"], tested["df"], tested["p_value"], strict=True)
        rows += [(f"{term} = 0", chisq, int(df), p) for term, chisq, df, p in columns]
    return pd.DataFrame(rows, columns=["hypothesis", "chisq", "df", "p_value"])


def boundary_tests(tests: pd.DataFrame, table: pd.DataFrame | None) -> pd.DataFrame:
    """
    The tests of shares, without those of covariates: by their place, as a covariate may have the name of a share.

    Parameters
    ----------
    tests : DataFrame
        See `tests_table`.
    table : DataFrame or None
        Of the screening.
    """
    of_covariates = 0 if table is None else int((table["df"] > 0).sum())
    return tests.iloc[: len(tests) - of_covariates]


def _boundary_test(loglik: float, without: float) -> tuple[float, int, float]:
    statistic = float(likelihood_ratio(loglik, np.array([without]))[0])
    return statistic, 1, mixture_p_value(statistic, _BOUNDARY)


def models_table(models: Models, study: Study) -> pd.DataFrame:
    """
    Likelihoods and shares of all models.

    Parameters
    ----------
    models : Models
    study : Study

    Returns
    -------
    DataFrame
        Index: models, columns `loglik, loglik_solar, h2, c2, …, e2, sd`; a share that a model lacks is 0.
    """
    rows = {"sporadic": models.sporadic}
    rows |= {name: {"loglik": fit.loglik, **shares(fit, study)} for name, fit in models.fits.items()}
    rows = {name: {"loglik": 0.0, "h2": 0.0, "c2": 0.0, **row} for name, row in rows.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.insert(1, "loglik_solar", table["loglik"] + 0.5 * models.final.nobs * math.log(2.0 * math.pi))
    return table


def covariate_share(models: Models, study: Study) -> float:
    """1 − (sd with covariates / sd without)², both of the final model's kind; NaN without covariates.

    Parameters
    ----------
    models : Models
    study : Study
    """
    final, fixed = models.final, models.final.blueprint.parsed.fixed
    if not fixed.terms:
        return math.nan
    formula = study.formula(only_intercept(fixed), household=models.has_household)
    without = submodel(final, formula).fit
    return 1.0 - (shares(final, study)["sd"] / shares(without, study)["sd"]) ** 2
