"""Bootstrap intervals: percentile, basic, and bias-corrected and accelerated."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lmmpy.errors import ModelError

__all__ = ["KINDS", "acceleration", "bootstrap_limits", "quantile"]

Floats = NDArray[np.float64]

KINDS = ("percentile", "basic", "bca")


def quantile(replicates: Floats, alpha: float) -> float:
    """
    The α quantile of R replicates: the order statistic (R + 1)α, interpolated on the scale of normal quantiles.

    Parameters
    ----------
    replicates : ndarray, shape (R,)
        Sorted.
    alpha : float

    Returns
    -------
    float
        The least or the largest replicate when (R + 1)α lies beyond.

    References
    ----------
    Davison & Hinkley (1997), eq. 5.8.
    """
    n = len(replicates)
    place = (n + 1) * alpha
    below = math.floor(place + 1e-10)
    if below < 1 or below >= n:
        return float(replicates[0 if below < 1 else n - 1])
    if abs(place - below) <= 1e-10:
        return float(replicates[below - 1])
    ends = np.asarray(norm.ppf([alpha, below / (n + 1), (below + 1) / (n + 1)]))
    share = (ends[0] - ends[1]) / (ends[2] - ends[1])
    return float(replicates[below - 1] + share * (replicates[below] - replicates[below - 1]))


def acceleration(deleted: Floats) -> float:
    """
    BCa's acceleration by the jackknife, Σd³ / 6(Σd²)^{3/2} with d the mean of the jackknife values less each.

    Parameters
    ----------
    deleted : ndarray, shape (m,)
        The statistic without each independent unit in turn.

    Returns
    -------
    float
        Zero for a statistic that does not change.

    References
    ----------
    Efron & Tibshirani (1993), eq. 14.15.
    """
    d = deleted.mean() - deleted
    size = float((d**2).sum())
    return float((d**3).sum()) / (6.0 * size**1.5) if size > 0.0 else 0.0


def bootstrap_limits(
    estimate: float, replicates: Floats, level: float, kind: str, deleted: Floats | None = None
) -> tuple[float, float]:
    """
    The limits of one statistic.

    Parameters
    ----------
    estimate : float
    replicates : ndarray, shape (R,)
        NaN for those that failed; they are left out.
    level : float
    kind : {"percentile", "basic", "bca"}
    deleted : ndarray, shape (m,), optional
        Jackknife values, for BCa.

    Returns
    -------
    tuple of float
        NaN when there are no replicates, or no jackknife values, or all replicates lie on one side of the estimate.

    References
    ----------
    Davison & Hinkley (1997), §5.2–5.3; Efron (1987).
    """
    values = np.sort(replicates[~np.isnan(replicates)])
    if len(values) == 0 or math.isnan(estimate):
        return math.nan, math.nan
    alphas = [0.5 * (1.0 - level), 0.5 * (1.0 + level)]
    if kind == "basic":
        low, high = (2.0 * estimate - quantile(values, alpha) for alpha in reversed(alphas))
        return low, high
    if kind == "bca":
        if deleted is None:
            raise ModelError("BCa intervals need the statistic without each group in turn.")
        # Replicates equal to the estimate (a variance of zero) count half.
        share = (float((values < estimate).sum()) + 0.5 * float((values == estimate).sum())) / len(values)
        if not 0.0 < share < 1.0 or np.isnan(deleted).any():
            return math.nan, math.nan
        bias, a = float(norm.ppf(share)), acceleration(deleted)
        moved = [bias + float(norm.ppf(alpha)) for alpha in alphas]
        alphas = [float(norm.cdf(bias + m / (1.0 - a * m))) for m in moved]
    return quantile(values, alphas[0]), quantile(values, alphas[1])
