"""`anova`: R's tables, for a comparison of fits or the terms of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmmpy.errors import ModelError
from lmmpy.inference import compare_fits
from lmmpy.inference.added_effects import AddedEffects
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.ranova import has_mixture
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.model.term_tests import type_table
from lmmpy.report import AnovaTable

__all__ = ["anova"]


def anova(*fits: LmmFit, refit: bool = True, type: int | str | None = None, ddf: str | None = None) -> AnovaTable:
    """
    Compare fits by likelihood-ratio tests, or test the terms of one fit by F tests.

    Parameters
    ----------
    *fits : LmmFit
        One; or two or more, nested, on the same rows, in any order.
    refit : bool
        Several fits: whether REML fits are refitted by maximum likelihood first (announced above the table).
    type : {1, 2, 3, "I", "II", "III"}, optional
        One fit: terms adjusted for those before them, for those that do not contain them, or for all others (the
        default), as SAS and lmerTest define them.
    ddf : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        One fit: the denominator degrees of freedom, by default Satterthwaite's.

    Returns
    -------
    AnovaTable
        A DataFrame. Several fits, smaller model first: `npar, AIC, BIC, logLik, deviance, Chisq, Df, Pr(>Chisq)`, and
        with constraints, or a correlation in time that only one residual has, `Pr(mixture)`: Pr(>Chisq) refers the
        statistic to χ² on Df, which is too large a p-value where a constraint puts a variance or a correlation on the
        boundary, or the smaller model has none of `car1`; the mixture is right there, equal to it elsewhere, and told
        above the table; it is NaN where none is known, and `parametric_bootstrap_lrt` answers. For `arma11` against no
        correlation Pr(>Chisq) is NaN, too, for no χ² bounds it. One fit, a term a row: `Sum Sq, Mean Sq, NumDF, DenDF,
        F value, Pr(>F)`; with several responses each term of each, and without squares where the residual has several
        variances or a structure.

    Raises
    ------
    ModelError
        When the fits cannot be compared, saying which and why.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), lmerTest package, J. Stat. Softw. 82(13); Kenward & Roger (1997),
    Biometrics 53, 983–997.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> one = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, reml=False)
    >>> two = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, reml=False)
    >>> lmm.anova(one, two)[["npar", "Chisq", "Df"]].round(2)
         npar  Chisq   Df
    one     4    NaN  NaN
    two     6  42.14  2.0
    """
    if not fits:
        raise ModelError("anova takes one fit, or two or more to compare.")
    wrong: list[Any] = [fit for fit in fits if not isinstance(fit, LmmFit)]
    if wrong:
        raise ModelError(f"anova takes fits; got a {wrong[0].__class__.__name__}.")
    if len(fits) == 1:
        return type_table(fits[0], 3 if type is None else type, ddf or "satterthwaite")
    if type is not None or ddf is not None:
        raise ModelError("type and ddf are for the terms of one fit; several fits are compared by their likelihoods.")
    scope = caller_scope()
    names = [name_of(fit, scope) or f"m{i}" for i, fit in enumerate(fits, 1)]
    if len(set(names)) < len(names):
        names = [f"m{i}" for i in range(1, len(fits) + 1)]
    comparison = compare_fits(fits, names, refit, fits[0].request.data_name)
    named = dict(zip(names, fits, strict=True))
    notes = [_on_boundary(pair, added, named) for pair, added in comparison.added.items()]
    return AnovaTable.under((*comparison.headings, *notes), comparison.table)


def _on_boundary(pair: tuple[str, str], added: AddedEffects, fits: Mapping[str, LmmFit]) -> str:
    """What χ² is not right for, and what is."""
    small, large = pair
    means = "is too large (conservative)" if added.bounded else "is not right"
    where = f"lmm.parametric_bootstrap_lrt({small}, {large}) simulates what is"
    if has_mixture(fits[large], fits[small]):
        where = f"lmm.ranova({large}) has the mixture"
    singular = [f"{term} has no variance" for term in added.whole]
    singular += [f"the covariance matrix of {term} is singular" for term in added.parts]
    return f"{small} is on the boundary of {large}, where {' and '.join(singular)}: Pr(>Chisq) {means}; {where}."
