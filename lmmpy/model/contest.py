"""`contest`: tests of any linear hypotheses about the fixed effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.inference.intervals import checked_level
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.term_tests import f_table
from lmmpy.report import AnovaTable

__all__ = ["contest"]


def contest(
    fit: LmmFit, L: Any, *, ddf: str = "satterthwaite", joint: bool = True, rhs: Any = 0.0, level: float = 0.95
) -> AnovaTable:
    """
    Test linear hypotheses Lβ = rhs about the fixed effects.

    Parameters
    ----------
    fit : LmmFit
    L : array-like of shape (m, p) or (p,), DataFrame, mapping, or several mappings
        Weights of the coefficients in each contrast. The columns of a DataFrame and the keys of a mapping are names of
        coefficients; those that are not named have the weight zero. A mapping of mappings names the contrasts, too:
        ``{"C - B": {"MachineC": 1, "MachineB": -1}}``.
    ddf : {"satterthwaite", "kenward-roger", "asymptotic"}
    joint : bool
        One F test of all contrasts, else a t test of each.
    rhs : float or array-like, shape (m,)
        Values under the hypothesis.
    level : float
        Of the confidence limits of single contrasts.

    Returns
    -------
    AnovaTable
        Joint: `Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F)`, without squares where the residual has several
        variances or a structure. Single: `Estimate, Std. Error, df, t value, lower,
        upper, Pr(>|t|)`, the estimates and limits of Lβ itself.

    Raises
    ------
    ModelError
        For a wrong shape, an unknown coefficient, weights that are no finite numbers, or a level that is none.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), lmerTest package, J. Stat. Softw. 82(13); Kenward & Roger (1997),
    Biometrics 53, 983–997.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> found = lmm.contest(fit, {"(Intercept)": 1, "Days": 5}, joint=False)
    >>> found[["Estimate", "Std. Error", "df"]].round(2)
       Estimate  Std. Error    df
    1    303.74        9.58  17.0
    """
    if not isinstance(fit, LmmFit):
        raise ModelError(f"contest takes a fit, not a {type(fit).__name__}.")
    level = checked_level(level)
    matrix, names = contrast_matrix(L, fit.design.names)
    values = _values(rhs, len(matrix))
    tests = fit.contrast_tests(ddf)
    if joint:
        scale = None if fit.design.row_covariances else fit.sigma
        return AnovaTable.under((), f_table({"L": tests.joint(matrix, values)}, scale))
    found = tests.single(matrix, values)
    lower, upper = found.interval(level)
    columns = {
        "Estimate": found.estimate + values,
        "Std. Error": found.std_error,
        "df": found.df,
        "t value": found.statistic,
        "lower": lower + values,
        "upper": upper + values,
        "Pr(>|t|)": found.p_value,
    }
    return AnovaTable.under((), pd.DataFrame(columns, index=names))


def contrast_matrix(L: Any, names: Sequence[str]) -> tuple[Floats, list[str]]:
    """
    Contrasts as a matrix, with names of its rows.

    Parameters
    ----------
    L : as in `contest`
    names : sequence of str
        Of the coefficients.

    Returns
    -------
    ndarray, shape (m, p)
    list of str
    """
    labels: list[str] | None = None
    if isinstance(L, Mapping):
        named = bool(L) and all(isinstance(row, Mapping) for row in L.values())
        labels = [str(label) for label in L] if named else None
        L = list(L.values()) if named else [L]
    if isinstance(L, pd.DataFrame):
        labels = [str(label) for label in L.index]
        L = [dict(zip(map(str, L.columns), row, strict=True)) for row in L.to_numpy()]
    if isinstance(L, list | tuple) and L and all(isinstance(row, Mapping) for row in L):
        unknown = [key for row in L for key in row if key not in names]
        if unknown:
            raise ModelError(f"L names {shown(unknown)}, which is no fixed effect. They are {shown(names, 30)}.")
        L = [[row.get(name, 0.0) for name in names] for row in L]
    try:
        matrix = np.atleast_2d(np.asarray(L, dtype=float))
    except (TypeError, ValueError):
        raise ModelError(
            f"L must hold numbers, one a coefficient, or map names of coefficients to numbers, such as "
            f"{{{names[-1]!r}: 1}}; got {L!r}."
        ) from None
    if matrix.ndim != 2 or matrix.shape[1] != len(names) or not len(matrix):
        raise ModelError(
            f"L has the shape {np.shape(L)}; expected (contrasts, {len(names)}), one weight for each of "
            f"{shown(names, 30)}."
        )
    if not np.isfinite(matrix).all():
        raise ModelError("L has weights that are missing or infinite.")
    return matrix, labels or [str(i) for i in range(1, len(matrix) + 1)]


def _values(rhs: Any, m: int) -> Floats:
    try:
        return np.broadcast_to(np.asarray(rhs, dtype=float), (m,))
    except (TypeError, ValueError):
        raise ModelError(f"rhs must be a number, or one for each of the {m} contrasts; got {rhs!r}.") from None
