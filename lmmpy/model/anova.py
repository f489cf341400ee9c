"""`anova`: R's table for a comparison of fits."""

from __future__ import annotations

from typing import Any

from lmmpy.errors import ModelError
from lmmpy.inference import compare_fits
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.report import AnovaTable

__all__ = ["anova"]


def anova(*fits: LmmFit, refit: bool = True) -> AnovaTable:
    """
    Compare fits by likelihood-ratio tests.

    Parameters
    ----------
    *fits : LmmFit
        Two or more, nested, on the same rows; any order.
    refit : bool
        Whether REML fits are refitted by maximum likelihood first (announced above the table).

    Returns
    -------
    AnovaTable
        A DataFrame, smaller model first: `npar, AIC, BIC, logLik, deviance, Chisq, Df, Pr(>Chisq)`.

    Raises
    ------
    ModelError
        When the fits cannot be compared, saying which and why.
    """
    if len(fits) < 2:
        raise ModelError("anova compares two or more fits; tests of the terms of a single fit are not in this version.")
    wrong: list[Any] = [fit for fit in fits if not isinstance(fit, LmmFit)]
    if wrong:
        raise ModelError(f"anova compares fits; got a {type(wrong[0]).__name__}.")
    scope = caller_scope()
    names = [name_of(fit, scope) or f"m{i}" for i, fit in enumerate(fits, 1)]
    if len(set(names)) < len(names):
        names = [f"m{i}" for i in range(1, len(fits) + 1)]
    comparison = compare_fits(fits, names, refit, fits[0].request.data_name)
    return AnovaTable.under(comparison.headings, comparison.table)
