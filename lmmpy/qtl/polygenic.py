"""`polygenic`: heritability in families, as SOLAR's command of that name reports it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.errors import LmmpyWarning, ModelError
from lmmpy.fitting import Control
from lmmpy.inference.intervals import checked_level
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.results import Request
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.model.source import Source
from lmmpy.qtl.polygenic_report import KURTOSIS_LIMIT
from lmmpy.qtl.result import Polygenic
from lmmpy.qtl.shares import estimates_table, shares
from lmmpy.qtl.study import Study, read_study
from lmmpy.qtl.submodels import Models, covariate_share, fit_full, fit_models, models_table, screened, tests_table
from lmmpy.qtl.transform import excess_kurtosis

__all__ = ["polygenic"]


def polygenic(
    formula: str,
    data: Any,
    pedigree: Any,
    household: str | None = None,
    screen: bool = False,
    *,
    probability: float = 0.1,
    keep: str | Iterable[str] = (),
    transform: str | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> Polygenic:
    """
    Estimate and test the heritability of a quantitative trait in families, by maximum likelihood.

    The covariance of the trait, given the covariates, is sd²(h2·A + c2·H + e2·I), A the relatedness and H one for
    people of the same household. The same as SOLAR's command ``polygenic``, which needs `trait`, `covariate`, `house`
    and `load pedigree` before; and as ``lmm.lmer("trait ~ covariates + kin(id, pedigree) + (1 | household)",
    reml=False)`` with its sub-models.

    People are used who have the trait and all covariates (SOLAR's rule). All models, with covariates or without, are of
    the same people.

    Parameters
    ----------
    formula : str
        Trait and covariates, ``"bmi ~ age + sex"``. Further random intercepts, such as ``(1 | school)``, get a share of
        the variance each.
    data : pandas or polars DataFrame, or a mapping of arrays
    pedigree : Pedigree, Relatedness or square labelled DataFrame
        Of everybody in `data`; it may have others.
    household : str, optional
        Column that says who lives together. Who has none (missing, blank or 0) lives alone, and stays in the analysis.
        If its variance is estimated as zero the household is left out of the final model, as in SOLAR.
    screen : bool
        Whether to test each covariate by leaving it out of the model with all of them (likelihood ratio), and to remove
        those with p ≥ `probability`, all at once. A covariate that is part of an interaction in the model is not tested
        and stays.
    probability : float
        See `screen`.
    keep : str or sequence of str
        Covariates that stay whatever their p-value; ``"all"`` for tests without removal.
    transform : {None, "inormal"}
        Whether to replace the trait by its inverse normal transform; see `inormal`. The values of everybody with the
        trait count, used or not.
    id : str, optional
        Column that says who a row is; by default the name of the pedigree's id column, else ``"id"``.
    subset, na_action
        Which rows to use, and what to do with those that miss a value, as in `lmer`.
    interval : {"wald", "profile"}
        Confidence intervals of the shares and of sd: estimate ± z standard errors, or by profile likelihood, which is
        better for a share near 0 or 1 and takes longer. Those of fixed effects are Wald's.
    level : float
    control : Control, optional

    Returns
    -------
    Polygenic

    Raises
    ------
    FormulaError
        For a formula without trait, with a ``kin()`` term, or with random slopes.
    DataError
        For a column that is not there, an id that the pedigree does not have, a constant trait.
    ModelError
        For a discrete trait; wrong options; a model that the data cannot determine.

    Warns
    -----
    LmmpyWarning
        When the residual kurtosis is above 0.8.

    References
    ----------
    Almasy & Blangero (1998), Am. J. Hum. Genet. 62, 1198–1211; Self & Liang (1987), J. Am. Stat. Assoc. 82, 605–610.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
    >>> print(f"h2 {found.h2:.3f}, s.e. {found.h2_se:.3f}")
    h2 0.740, s.e. 0.076
    """
    scope = caller_scope()
    options = _checked(screen, probability, keep, interval, level)
    name = name_of(pedigree, scope) or ""
    study = read_study(formula, data, pedigree, household, transform, id, name)
    request = Request(
        reml=False,
        na_action=na_action,
        control=control or Control(),
        source=Source(study.frame, subset=subset, relmat={study.name: study.relatedness}),
        data_name=name_of(data, scope),
        subset=subset if subset is None or isinstance(subset, str) else name_of(subset, scope) or "(values)",
    )
    with warnings_from_caller(stacklevel=2):
        full, table = fit_full(study, request, scope), None
        if screen:
            full, table = screened(full, study, options.probability, options.keep)
        found = _analysis(full, study, table, transform, options)
        if found.kurtosis > KURTOSIS_LIMIT:
            warnings.warn(_heavy_tails(found), LmmpyWarning, stacklevel=2)
    return found


@dataclass(frozen=True, slots=True)
class _Options:
    probability: float
    keep: frozenset[str]
    interval: str
    level: float


def _checked(screen: Any, probability: Any, keep: Any, interval: Any, level: Any) -> _Options:
    if not isinstance(screen, bool | np.bool_):
        raise ModelError(f"screen must be True or False, not {screen!r}.")
    number = isinstance(probability, int | float | np.number) and not isinstance(probability, bool)
    if not number or not 0.0 < probability <= 1.0:
        raise ModelError(f"probability must be a number above 0, up to 1, not {probability!r}.")
    if interval not in ("wald", "profile"):
        raise ModelError(f"interval is 'wald' or 'profile', not {interval!r}.")
    kept = frozenset([keep] if isinstance(keep, str) else keep)
    return _Options(float(probability), kept, interval, checked_level(level))


def _analysis(
    full: LmmFit, study: Study, table: pd.DataFrame | None, transform: str | None, options: _Options
) -> Polygenic:
    models = fit_models(full, study)
    final = models.final
    return Polygenic(
        fit=final,
        trait=study.trait,
        transform=transform,
        level=options.level,
        estimates=estimates_table(final, study, options.interval, options.level),
        tests=tests_table(models, table),
        models=models_table(models, study),
        covariates=table,
        covariate_share=covariate_share(models, study),
        kurtosis=excess_kurtosis(_marginal_residuals(final)),
        n_people=int(study.frame.loc[full.design.rows, study.id].nunique()),
        n_records=full.nobs,
        n_pedigree=study.n_pedigree,
        notes=tuple(_notes(models, study)),
    )


def _marginal_residuals(fit: LmmFit) -> Floats:
    design = fit.design
    offset = 0.0 if design.offset is None else design.offset
    return np.asarray(design.y - offset - design.X @ fit.solution.beta)


def _notes(models: Models, study: Study) -> list[str]:
    notes = []
    if study.alone:
        notes.append(f"{study.alone} people without a {study.household} count as living alone.")
    if study.household is not None and not models.has_household:
        notes.append("The household is not in the final model: its share c2 is estimated as zero.")
    if shares(models.final, study)["h2"] == 0.0:
        notes.append("h2 is estimated as zero, where it has no standard error; interval='profile' bounds it.")
    if _has_unmodelled_repeats(models, study):
        notes.append(
            "Some people have several records, and no other term is theirs: what makes their records alike counts as "
            f"heritable. Add + (1 | {study.id}) to the formula."
        )
    if models.final.optimum.saturated:
        notes.append(
            "At the boundary: e2, the share of the residual, is estimated as zero, where shares and sd have no "
            "standard error; interval='profile' bounds them."
        )
    return notes


def _has_unmodelled_repeats(models: Models, study: Study) -> bool:
    """Whether people have several records, and no ordinary term has a level for each of them."""
    design = models.final.design
    people, levels = pd.factorize(study.frame.loc[design.rows, study.id])
    if len(levels) == len(people):
        return False
    own = (term for term in design.random if term.relatedness.is_identity and term.n_levels >= len(levels))
    return not any(len(np.unique(people * term.n_levels + term.codes)) == term.n_levels for term in own)


def _heavy_tails(found: Polygenic) -> str:
    advice = "transform='inormal' makes the trait normal" if found.transform is None else "look for outlying families"
    return (
        f"The residual kurtosis of {found.trait!r} is {found.kurtosis:.4f}, above {KURTOSIS_LIMIT}: tests of variance "
        f"components, and LOD scores after them, come out too significant. Look for outliers; {advice}."
    )
