"""Traits made normal by their ranks, and how far from normal one is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from lmmpy.design.values import Floats
from lmmpy.errors import DataError

__all__ = ["excess_kurtosis", "inormal"]

_FEWEST_FOR_KURTOSIS = 4
_NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "integer-na", "decimal", "empty"})


def inormal(y: Any) -> Any:
    """
    Inverse normal transform: the i-th smallest of N values becomes Φ⁻¹(i/(N + 1)).

    Equal values get the mean of what they would get if they were told apart (which is not the transform of their mean
    rank), as in SOLAR. The result does not depend on the trait's scale and has no heavy tails.

    Parameters
    ----------
    y : array-like, shape (n,)
        Numbers; missing ones stay missing and are not counted in N.

    Returns
    -------
    Series with the index of `y` when it is one, else ndarray, shape (n,)

    Raises
    ------
    DataError
        For values that are not numbers, or more than one dimension.

    References
    ----------
    Blom (1958), Statistical Estimates and Transformed Beta-Variables; with c = 0 the scores of van der Waerden (1952).

    Examples
    --------
    >>> import lmmpy as lmm
    >>> lmm.qtl.inormal([3.0, 100.0, 5.0]).round(3)
    array([-0.674,  0.674,  0.   ])
    """
    values = _numbers(y)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    scores = special.ndtri(np.arange(1, len(order) + 1) / (len(order) + 1))
    _, first, counts = np.unique(values[order], return_index=True, return_counts=True)
    means = np.add.reduceat(scores, first) / counts if len(order) else scores
    transformed = np.full(len(values), np.nan)
    transformed[order] = np.repeat(means, counts)
    return pd.Series(transformed, index=y.index, name=y.name) if isinstance(y, pd.Series) else transformed


def excess_kurtosis(values: Floats) -> float:
    """
    Sample excess kurtosis, corrected for bias under normality: zero for a normal distribution.

    Parameters
    ----------
    values : ndarray, shape (n,)

    Returns
    -------
    float
        G₂ of Joanes & Gill (1998), The Statistician 47, 183–189; NaN for fewer than four values or equal ones.
    """
    if len(values) < _FEWEST_FOR_KURTOSIS or np.ptp(values) == 0.0:
        return float("nan")
    return float(stats.kurtosis(values, bias=False))


def _numbers(y: Any) -> Floats:
    if np.ndim(y) != 1:
        raise DataError(f"inormal takes one number a row; these values have {np.ndim(y)} dimensions.")
    series = pd.Series(y)
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind not in _NUMBERS:
        raise DataError(f"inormal takes one number a row; these values are not all numbers ({kind}).")
    return np.asarray(series.to_numpy(dtype=float, na_value=np.nan))
