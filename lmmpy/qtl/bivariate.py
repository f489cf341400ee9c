"""`bivariate`: heritabilities, genetic and environmental correlation of two traits, and their tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import FormulaError
from lmmpy.fitting import Control
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.qtl.families import Families, read_families
from lmmpy.qtl.fitting import Options, fit_families
from lmmpy.qtl.held_function import loglik_with
from lmmpy.qtl.hypotheses import BOUNDARY, INTERIOR, Hypothesis, constrained_loglik, tests_table
from lmmpy.qtl.quantities import estimated
from lmmpy.qtl.traits import Parts, TraitStudy, read_traits_of, trait_quantities
from lmmpy.qtl.traits_result import Bivariate, found_of_traits

__all__ = ["bivariate"]


def bivariate(
    traits: Sequence[str],
    covariates: str | Mapping[str, str],
    data: Any,
    pedigree: Any,
    household: str | None = None,
    *,
    transform: str | Mapping[str, str | None] | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> Bivariate:
    """
    Estimate and test the genetic and environmental correlation of two traits in families, by maximum likelihood.

    The covariance of trait s of one person with trait t of another is G_st·A + C_st·H + E_st·I, A the relatedness, H
    one for people of the same household. rho_g = G_12/√(G_11 G_22), rho_c and rho_e are the same of C and E, and
    rho_p = rho_g √(h2₁h2₂) + rho_c √(c2₁c2₂) + rho_e √(e2₁e2₂). The same as SOLAR's ``polygenic`` of two traits, and as
    ``lmm.lmer("cbind(a, b) ~ age + sex + kin(id, pedigree) + (1 | household)", data, reml=False)`` with
    ``fit.constrain({"cor_b.a|kin(id, pedigree)": 0})`` and the like for the tests.

    People are used who have at least one of the traits and its covariates.

    Parameters
    ----------
    traits : sequence of str
        Two columns, or expressions such as ``"log(bmi)"``.
    covariates : str or mapping
        Of both traits, ``"age + sex"``; or by trait, ``{"bmi": "age + sex", "fvii": "age"}``, in which a trait that is
        not named has the intercept alone. ``"1"`` for none. A text may have further random intercepts.
    data : pandas or polars DataFrame, or a mapping of arrays
    pedigree : Pedigree, Relatedness or square labelled DataFrame
        Of everybody in `data`; it may have others.
    household : str, optional
        Column that says who lives together. Who has none (missing, blank or 0) lives alone, and stays in the analysis.
    transform : {None, "inormal"} or mapping
        Whether to replace a trait by its inverse normal transform; see `inormal`. Of all traits, or by trait.
    id : str, optional
        Column that says who a row is; by default the name of the pedigree's id column, else ``"id"``.
    subset, na_action
        Which rows to use, and what to do with those that miss a value, as in `lmer`.
    interval : {"wald", "profile"}
        Confidence intervals: estimate ± z standard errors, or by profile likelihood. Those of fixed effects are Wald's.
    level : float
    control : Control, optional

    Returns
    -------
    Bivariate
        `estimates` has ``h2[trait]``, ``c2[trait]``, ``e2[trait]``, ``sd[trait]`` (the root of the variance that the
        covariates leave), ``rho_g``, ``rho_c``, ``rho_e``, ``rho_p``. `tests` has ``rho_g = 0``, ``|rho_g| = 1``,
        ``rho_c = 0``, ``|rho_c| = 1``, ``rho_e = 0``, ``rho_p = 0``: ``|rho| = 1`` by ½χ²₀ + ½χ²₁ against the better of
        +1 and −1, the others by χ²₁.

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    References
    ----------
    Almasy, Dyer & Blangero (1997), Genet. Epidemiol. 14, 953–958; Self & Liang (1987), J. Am. Stat. Assoc. 82, 605–610.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.bivariate(["bmi", "fvii"], "age + sex", family, ped)
    >>> print(f"{found.rho_g:.2f} {found.rho_e:.2f} {found.rho_p:.2f}")
    0.56 0.28 0.44
    >>> round(found.p_value("rho_g = 0"), 4)
    0.0001
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    name = name_of(pedigree, scope) or ""
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name)
        study = read_traits_of(families, traits, covariates, transform)
        if len(study.names) != 2:
            raise FormulaError(f"bivariate takes two traits, not {len(study.names)}; qtl.multivariate takes more.")
        return _bivariate(families, study, options)


def _bivariate(families: Families, study: TraitStudy, options: Options) -> Bivariate:
    fit = fit_families(study.formula, families, options)
    parts = Parts.of(fit, families)
    found = found_of_traits(fit, families, parts, study, options)
    return Bivariate(title="Bivariate polygenic model", tests=_tests(fit, parts, study.names), **found)


def _tests(fit: LmmFit, parts: Parts, traits: Sequence[str]) -> pd.DataFrame:
    quantities = trait_quantities(parts, traits)
    values, tests = estimated(fit, quantities), []
    one, other = traits
    for part, letter in parts.letters.items():
        name, rho = f"cor_{other}.{one}|{part}", values[f"rho_{letter}"]
        undefined = bool(np.isnan(rho))
        tests.append(
            Hypothesis(f"rho_{letter} = 0", np.nan if undefined else constrained_loglik(fit, {name: 0.0}), INTERIOR)
        )
        if letter != "e":
            loglik = np.nan if undefined else max(constrained_loglik(fit, {name: end}) for end in (1.0, -1.0))
            tests.append(Hypothesis(f"|rho_{letter}| = 1", loglik, BOUNDARY))
    tests.append(Hypothesis("rho_p = 0", loglik_with(fit, quantities["rho_p"], 0.0), INTERIOR))
    return tests_table(fit, tests)
