"""What maketables asks of a fit for a table of several models: coefficients with tests, statistics by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["DDF", "coefficient_table", "model_statistics"]

DDF = "satterthwaite"
"""Degrees of freedom behind the p-values: maketables cannot do without p, nor pass on which are wanted."""


def coefficient_table(fit: LmmFit, level: float = 0.95) -> pd.DataFrame:
    """
    The fixed effects, one a row.

    Parameters
    ----------
    fit : LmmFit
    level : float
        Of the confidence limits.

    Returns
    -------
    DataFrame
        Index `Coefficient`; columns `b, se, t, p, df, ci95l, ci95u`, maketables' names (for level 0.95).
    """
    found = fit.contrast_tests(DDF).single(np.eye(fit.design.p))
    low, high = found.interval(level)
    columns = {
        "b": found.estimate,
        "se": found.std_error,
        "t": found.statistic,
        "p": found.p_value,
        "df": found.df,
        f"ci{100 * level:g}l": low,
        f"ci{100 * level:g}u": high,
    }
    return pd.DataFrame(columns, index=pd.Index(fit.design.names, name="Coefficient"))


def model_statistics(fit: LmmFit) -> dict[str, int | float]:
    """
    Statistics below the coefficients: by maketables' names where it has one, else by the label of the row.

    Returns
    -------
    dict
        ``N``, ``Groups (Subject)``, ``SD (Intercept) | Subject``, ``Corr (Intercept), Days | Subject``,
        ``SD Residual``, ``ll``, ``aic``, ``bic``, and ``REML criterion`` or ``deviance``.
    """
    found: dict[str, int | float] = {"N": fit.nobs}
    found |= {f"Groups ({group})": n for group, n in fit.ngroups.items()}
    frame = fit.varcorr.to_frame()
    for group, first, second, value in zip(frame["grp"], frame["var1"], frame["var2"], frame["sdcor"], strict=True):
        if pd.isna(first):
            found[f"SD {group}"] = float(value)
        elif pd.isna(second):
            found[f"SD {first} | {group}"] = float(value)
        else:
            found[f"Corr {first}, {second} | {group}"] = float(value)
    found |= {"ll": fit.loglik, "aic": fit.aic, "bic": fit.bic}
    return found | ({"REML criterion": fit.reml_criterion} if fit.reml else {"deviance": fit.deviance})
