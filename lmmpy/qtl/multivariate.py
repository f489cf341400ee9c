"""`multivariate`: heritabilities, genetic and environmental correlations of any number of traits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from lmmpy.fitting import Control
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.qtl.families import read_families
from lmmpy.qtl.fitting import Options, fit_families
from lmmpy.qtl.hypotheses import INTERIOR, Hypothesis, constrained_loglik, tests_table
from lmmpy.qtl.traits import Parts, read_traits_of
from lmmpy.qtl.traits_result import Multivariate, found_of_traits

__all__ = ["multivariate"]


def multivariate(
    traits: Sequence[str],
    covariates: str | Mapping[str, str],
    data: Any,
    pedigree: Any,
    household: str | None = None,
    *,
    tests: bool = False,
    transform: str | Mapping[str, str | None] | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> Multivariate:
    """
    Estimate heritabilities and correlations of several traits in families together, by maximum likelihood.

    The model is that of `bivariate` with d traits, G, C and E unstructured d × d matrices: the same as
    ``lmm.lmer("cbind(a, b, c) ~ age + sex + kin(id, pedigree)", data, reml=False)``.

    Parameters
    ----------
    traits : sequence of str
        Two or more.
    tests : bool
        Whether to test each genetic and environmental correlation for zero, a constrained fit each.
    covariates, data, pedigree, household, transform, id, subset, na_action, interval, level, control
        See `bivariate`.

    Returns
    -------
    Multivariate
        `estimates` has ``h2[trait]``, …, ``rho_g[a, b]``, …; ``.correlations("g")`` is the
        matrix of those, ``.correlations("g", "std_error")`` of their standard errors.

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.multivariate(["bmi", "fvii"], "age + sex", family, ped)
    >>> found.correlations().iloc[:, :4].round(2)
           bmi  fvii
    bmi   1.00  0.56
    fvii  0.56  1.00
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    name = name_of(pedigree, scope) or ""
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name)
        study = read_traits_of(families, traits, covariates, transform)
        fit = fit_families(study.formula, families, options)
        parts = Parts.of(fit, families)
        title = f"Polygenic model of {len(study.names)} traits"
        found = found_of_traits(fit, families, parts, study, options)
        return Multivariate(title=title, tests=_pairs(fit, parts, study.names, tests), **found)


def _pairs(fit: LmmFit, parts: Parts, traits: Sequence[str], wanted: bool) -> pd.DataFrame:
    """Each correlation against zero."""
    tests = []
    for part, letter in parts.letters.items() if wanted else ():
        for one, other in combinations(traits, 2):
            loglik = constrained_loglik(fit, {f"cor_{other}.{one}|{part}": 0.0})
            tests.append(Hypothesis(f"rho_{letter}[{one}, {other}] = 0", loglik, INTERIOR))
    return tests_table(fit, tests)
