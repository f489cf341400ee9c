"""Likelihood-ratio tests between fits, laid out as R's anova."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import stats

from lmmpy.errors import ModelError, shown

__all__ = ["ComparableFit", "Comparison", "compare_fits"]


class ComparableFit(Protocol):
    """What a comparison needs of a fit."""

    @property
    def reml(self) -> bool: ...
    @property
    def formula(self) -> str: ...
    @property
    def loglik(self) -> float: ...
    @property
    def df(self) -> int: ...
    @property
    def nobs(self) -> int: ...
    @property
    def fixef(self) -> pd.Series: ...
    @property
    def response(self) -> pd.Series: ...
    @property
    def prior_weights(self) -> pd.Series: ...
    def refit_ml(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """Nested fits side by side.

    Attributes
    ----------
    table : DataFrame
        Index: names, smaller model first; columns `npar, AIC, BIC, logLik, deviance, Chisq, Df, Pr(>Chisq)`.
    headings : tuple of str
        What R prints above it.
    """

    table: pd.DataFrame
    headings: tuple[str, ...]


def compare_fits(fits: Sequence[ComparableFit], names: Sequence[str], refit: bool, data_name: str | None) -> Comparison:
    """
    Compare nested fits by likelihood ratio.

    Parameters
    ----------
    fits : sequence
        At least two.
    names : sequence of str
        One a fit.
    refit : bool
        Whether REML fits are refitted by ML first. Without it, REML fits must have the same fixed effects.
    data_name : str, optional

    Returns
    -------
    Comparison

    Raises
    ------
    ModelError
        When the fits use different rows, responses or weights, or mix REML and ML without `refit`.
    """
    _check_same_data(fits, names)
    headings = []
    if refit and any(fit.reml for fit in fits):
        headings.append("refitting model(s) with ML (instead of REML)")
        fits = [fit.refit_ml() if fit.reml else fit for fit in fits]
    _check_criteria(fits, names)
    order = np.argsort([fit.df for fit in fits], kind="stable")
    fits, names = [fits[i] for i in order], [names[i] for i in order]
    if data_name:
        headings.append(f"Data: {data_name}")
    headings.append("Models:")
    headings += [f"{name}: {fit.formula}" for name, fit in zip(names, fits, strict=True)]
    return Comparison(_table(fits, names), tuple(headings))


def _table(fits: Sequence[ComparableFit], names: Sequence[str]) -> pd.DataFrame:
    npar = np.array([fit.df for fit in fits])
    loglik = np.array([fit.loglik for fit in fits])
    chisq = np.append(np.nan, np.maximum(0.0, 2.0 * np.diff(loglik)))
    df = np.append(np.nan, np.diff(npar).astype(float))
    with np.errstate(invalid="ignore"):
        p = np.where(df > 0, stats.chi2.sf(chisq, np.where(df > 0, df, 1.0)), np.nan)
    nobs = fits[0].nobs
    return pd.DataFrame(
        {
            "npar": npar,
            "AIC": -2.0 * loglik + 2.0 * npar,
            "BIC": -2.0 * loglik + np.log(nobs) * npar,
            "logLik": loglik,
            "deviance": -2.0 * loglik,
            "Chisq": chisq,
            "Df": df,
            "Pr(>Chisq)": p,
        },
        index=list(names),
    )


def _check_same_data(fits: Sequence[ComparableFit], names: Sequence[str]) -> None:
    first, reference = fits[0], fits[0].response
    for fit, name in zip(fits[1:], names[1:], strict=True):
        response = fit.response
        if not response.index.equals(reference.index):
            only = reference.index.symmetric_difference(response.index)
            raise ModelError(
                f"{names[0]} and {name} were fitted to different rows ({first.nobs} and {fit.nobs}); these are in "
                f"one only: {shown(only.tolist())}. Fit both to the rows without missing values, for example with "
                "subset=."
            )
        different = response.to_numpy() != reference.to_numpy()
        if different.any():
            raise ModelError(
                f"{names[0]} and {name} have different responses (first in the rows "
                f"{shown(reference.index[different].tolist())}), so their likelihoods cannot be compared."
            )
        if not np.array_equal(fit.prior_weights.to_numpy(), first.prior_weights.to_numpy()):
            raise ModelError(f"{names[0]} and {name} have different weights, so their likelihoods cannot be compared.")


def _check_criteria(fits: Sequence[ComparableFit], names: Sequence[str]) -> None:
    if len({fit.reml for fit in fits}) > 1:
        kinds = ", ".join(f"{name} by {'REML' if fit.reml else 'ML'}" for name, fit in zip(names, fits, strict=True))
        raise ModelError(f"REML and ML fits cannot be compared ({kinds}). Use refit=True, or fit all in one way.")
    if fits[0].reml and len({tuple(fit.fixef.index) for fit in fits}) > 1:
        raise ModelError(
            "REML fits with different fixed effects cannot be compared: their likelihoods are of different data. Use "
            "refit=True, which compares ML fits."
        )
