"""Likelihood-ratio tests of a family study: against fits with constraints, or without terms."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import SingularFitWarning
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value
from lmmpy.model import LmmFit
from lmmpy.model.update import Changes, submodel, update_fit

__all__ = [
    "BOUNDARY",
    "INTERIOR",
    "TWO_OF_WHICH_ONE",
    "Hypothesis",
    "constrained_loglik",
    "loglik_without",
    "tests_table",
]

INTERIOR: Mapping[int, float] = {1: 1.0}
"""χ²₁: the hypothesis is inside what the parameters may be."""
BOUNDARY: Mapping[int, float] = {0: 0.5, 1: 0.5}
"""½χ²₀ + ½χ²₁: one parameter on the edge of its range (Self & Liang 1987)."""

TWO_OF_WHICH_ONE: Mapping[int, float] = {1: 0.5, 2: 0.5}
"""½χ²₁ + ½χ²₂: a variance on its edge, and a parameter that has no meaning without it (Stram & Lee 1994)."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One hypothesis about a fit.

    Attributes
    ----------
    statement : str
    loglik : float
        Under it; NaN where it has no meaning.
    weights : mapping from int to float
        The mixture of χ² distributions of the statistic, by degrees of freedom.
    """

    statement: str
    loglik: float
    weights: Mapping[int, float]


def tests_table(full: LmmFit, tests: list[Hypothesis]) -> pd.DataFrame:
    """
    Statistics and p-values.

    Parameters
    ----------
    full : LmmFit
        The model that the hypotheses are parts of.
    tests : list of Hypothesis

    Returns
    -------
    DataFrame
        Columns `hypothesis, chisq, df, p_value`, `df` the number of parameters that the hypothesis holds.
    """
    rows = []
    for test in tests:
        chisq = p = math.nan
        if math.isfinite(test.loglik):
            chisq = float(likelihood_ratio(full.loglik, np.array([test.loglik]))[0])
            p = mixture_p_value(chisq, dict(test.weights))
        rows.append((test.statement, chisq, max(test.weights), p))
    return pd.DataFrame(rows, columns=["hypothesis", "chisq", "df", "p_value"])


def loglik_without(fit: LmmFit, formula: str, residual: Any = ...) -> float:
    """
    The log-likelihood of another formula on the rows of a fit.

    Parameters
    ----------
    fit : LmmFit
    formula : str
    residual : str or None
        As of `lmer`; by default that of the fit.
    """
    if residual is ...:
        return float(submodel(fit, formula).fit.loglik)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return float(update_fit(fit, Changes(formula=formula, residual=residual, subset=fit.design.rows), {}).loglik)


def constrained_loglik(fit: LmmFit, constraints: Mapping[str, Any]) -> float:
    """The log-likelihood under constraints, see `LmmFit.constrain`; that such a fit is singular is not said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return float(fit.constrain(constraints).loglik)
