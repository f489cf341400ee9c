"""The distribution of the studentized range, vectorised and exact in its upper tail."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

__all__ = ["range_ppf", "range_sf"]

Floats = NDArray[np.float64]

_NODES = 96  # of the inner integral: its trapezoid rule is exact to rounding, the integrand being a smooth bump
_FAR = 8.5  # standard deviations beyond which a normal density is nil
_LARGEST = 60.0  # a range of so many standard deviations is never exceeded


def range_sf(q: Floats, k: float, df: float) -> Floats:
    """
    P(Q > q), Q the range of k independent normal means over an independent estimate of their standard deviation.

    With s² = χ²_ν/ν, and P(range > x) = k ∫ φ(z) [Φ(z)ᵐ − (Φ(z) − Φ(z − x))ᵐ] dz, m = k − 1 (Hartley 1942), it is
    ∫ P(range > qs) f(s) ds. Both integrands are smooth and vanish at both ends, so that the trapezoid rule (over log s)
    converges exponentially; the difference of powers is never formed, so that small probabilities keep their digits.

    Parameters
    ----------
    q : ndarray, shape (m,)
        Not negative.
    k : float
        Number of means, above 1; need not be whole.
    df : float
        Degrees of freedom ν; infinite for a known standard deviation.

    Returns
    -------
    ndarray, shape (m,)
    """
    q = np.asarray(q, dtype=float)
    if math.isinf(df):
        return _normal_range_sf(q, k)
    low, high = (0.5 * math.log(x / df) for x in (_least_chi2(df), float(stats.chi2.isf(1e-20, df))))
    step = min(0.15, 0.5 / math.sqrt(2.0 * df))
    u = np.linspace(low, high, math.ceil((high - low) / step) + 1)
    half = 0.5 * df
    log_density = math.log(2.0) + half * math.log(half) - math.lgamma(half) + df * u - half * np.exp(2.0 * u)
    weights = np.exp(log_density) * (u[1] - u[0])
    exceeded = _normal_range_sf((q[:, None] * np.exp(u)).ravel(), k).reshape(len(q), len(u))
    return np.asarray(np.minimum(exceeded @ weights, 1.0))


def _least_chi2(df: float) -> float:
    """
    A quantile of χ² below which nothing counts: the more degrees of freedom, the smaller a probability can be.

    From the leading term of the distribution's series where scipy's quantile underflows.
    """
    half, log_tail = 0.5 * df, -math.log(10.0) * min(20.0 + 2.0 * df, 100.0)
    leading = 2.0 * math.exp((log_tail + math.lgamma(half + 1.0)) / half)
    found = float(stats.chi2.ppf(math.exp(log_tail), df))
    return found if found > 0 else max(leading, 1e-300)


def _normal_range_sf(x: Floats, k: float) -> Floats:
    """P(range of k standard normal variables > x), shape (m,)."""
    x = np.minimum(x, _LARGEST)
    span = 2.0 * _FAR + 0.5 * x
    z = -_FAR + span[:, None] * np.linspace(0.0, 1.0, _NODES)
    below = special.ndtr(z)
    with np.errstate(divide="ignore"):
        rest = np.log1p(-np.minimum(special.ndtr(z - x[:, None]) / below, 1.0))
    difference = -(below ** (k - 1.0)) * np.expm1((k - 1.0) * rest)
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return np.asarray(np.minimum(k * np.einsum("mn,mn->m", density, difference) * span / (_NODES - 1), 1.0))


def range_ppf(level: float, k: float, df: float) -> float:
    """
    The quantile of the studentized range.

    Parameters
    ----------
    level : float
        Probability below it, between 0 and 1.
    k, df : float
        See `range_sf`.
    """
    tail = 1.0 - level

    def excess(log_q: float) -> float:
        return float(range_sf(np.array([math.exp(log_q)]), k, df)[0]) - tail

    top = 1.0
    while excess(top) > 0:
        top += 2.0
    return math.exp(float(optimize.brentq(excess, -20.0, top, xtol=1e-13)))
