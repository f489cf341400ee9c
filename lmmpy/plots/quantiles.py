"""Normal quantile–quantile plots: plotting positions, and the limits between which order statistics stay."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import beta

from lmmpy.design.values import Floats
from lmmpy.errors import ModelError

__all__ = ["checked_level", "normal_limits", "normal_positions", "qq_frame"]


def checked_level(level: float) -> float:
    """
    A coverage.

    Raises
    ------
    ModelError
        Unless it lies between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, float | int | np.number) or not 0.0 < float(level) < 1.0:
        raise ModelError(f"level must be a number between 0 and 1, such as 0.95; got {level!r}.")
    return float(level)


def normal_positions(n: int) -> Floats:
    """
    Normal quantiles of the plotting positions that R takes, shape (n,).

    (i − 3/8)/(n + 1/4) for up to ten values (Blom 1958), else (i − 1/2)/n (Hazen 1914).
    """
    a = 0.375 if n <= 10 else 0.5
    return np.asarray(ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2 * a)))


def normal_limits(n: int, level: float) -> tuple[Floats, Floats]:
    """
    Pointwise limits of the order statistics of n standard normal values, each of shape (n,).

    Φ of the i-th smallest is the i-th order statistic of a uniform sample, which is Beta(i, n + 1 − i) (David &
    Nagaraja 2003, Order Statistics, §2.3; as bands of a Q–Q plot in Aldor-Noiman et al. 2013, Am. Stat. 67).
    """
    i, tail = np.arange(1, n + 1), 0.5 * (1.0 - level)
    return np.asarray(ndtri(beta.ppf(tail, i, n + 1 - i))), np.asarray(ndtri(beta.isf(tail, i, n + 1 - i)))


def qq_frame(values: pd.Series, level: float = 0.95) -> pd.DataFrame:
    """
    Values against the quantiles of the normal distribution that has their mean and standard deviation.

    Parameters
    ----------
    values : Series
        Missing ones have no quantile; they come last.
    level : float
        How likely each value of a normal sample lies within its limits. They are pointwise: of many values some lie
        outside.

    Returns
    -------
    DataFrame
        In ascending order, with the index of `values`: `theoretical`, standard normal quantiles; `sample`, the values;
        `expected`, the line; `conf_low` and `conf_high`, the band.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> plots.qq_frame(pd.Series([1.0, -0.5, 0.2])).round(2)
       theoretical  sample  expected  conf_low  conf_high
    1        -0.87    -0.5     -0.42     -1.56       0.64
    2         0.00     0.2      0.23     -0.75       1.22
    0         0.87     1.0      0.89     -0.18       2.03
    """
    level, columns = checked_level(level), ["theoretical", "sample", "expected", "conf_low", "conf_high"]
    ordered = values.astype(float).sort_values(kind="stable")
    n = int(ordered.notna().sum())
    frame = pd.DataFrame(np.nan, index=ordered.index, columns=columns)
    frame["sample"] = ordered
    if n < 2:
        return frame
    known = ordered.to_numpy()[:n]
    mean, sd = float(known.mean()), float(known.std(ddof=1))
    theoretical, (low, high) = normal_positions(n), normal_limits(n, level)
    found = {"theoretical": theoretical} | {
        name: mean + sd * z for name, z in zip(columns[2:], (theoretical, low, high), strict=True)
    }
    for name, column in found.items():
        frame[name] = np.concatenate([column, np.full(len(frame) - n, np.nan)])
    return frame
