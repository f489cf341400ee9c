"""Several tests or intervals at once: adjusted p-values, and the widths of simultaneous intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from lmmpy.errors import ModelError, shown
from lmmpy.inference.studentized_range import range_ppf, range_sf

__all__ = ["ADJUSTMENTS", "Family", "adjusted_p", "checked_adjustment", "critical_values", "for_intervals"]

Floats = NDArray[np.float64]

ADJUSTMENTS = (
    "none",
    "tukey",
    "sidak",
    "bonferroni",
    "holm",
    "hochberg",
    "fdr",
    "scheffe",
    "dunnettx",
    "mvt",
)
_STEPWISE = ("holm", "hochberg", "fdr")
_LOG2_DIRECTIONS = 14  # of the quasi-random points of mvt
_DEPENDENT = 1e-9  # an eigenvalue of a correlation that is nil against the largest


@dataclass(frozen=True, eq=False, slots=True)
class Family:
    """Estimates that are judged together.

    Attributes
    ----------
    size : int
        Number of estimates; of the means compared, for all pairwise comparisons.
    pairwise : bool
        Whether they are all comparisons between `size` means.
    rank : int
        Number of estimates that do not depend on others.
    correlation : ndarray, shape (m, m)
        Of the estimates. All of them count for their number, also those that are not estimable, as in emmeans.
    """

    size: int
    pairwise: bool
    rank: int
    correlation: Floats


def checked_adjustment(adjust: str) -> str:
    """
    The adjustment that a name stands for; R's "BH" and short names are understood.

    Raises
    ------
    ModelError
        For another name.
    """
    name = adjust.lower() if isinstance(adjust, str) else repr(adjust)
    name = {"bh": "fdr", "dunnett": "dunnettx"}.get(name, name)
    found = [known for known in ADJUSTMENTS if known.startswith(name)] if len(name) >= 3 else []
    if name not in ADJUSTMENTS and len(found) != 1:
        raise ModelError(f"adjust is one of {shown(ADJUSTMENTS, 12)}, not {adjust!r}.")
    return name if name in ADJUSTMENTS else found[0]


def for_intervals(method: str) -> str:
    """What gives the intervals when tests are adjusted so: stepwise methods have none of their own, so Bonferroni's."""
    return "bonferroni" if method in _STEPWISE else method


def adjusted_p(t: Floats, df: Floats, method: str, family: Family) -> Floats:
    """
    Two-sided p-values, adjusted for their number.

    Parameters
    ----------
    t : ndarray, shape (m,)
        Test statistics; NaN where there is no test.
    df : ndarray, shape (m,)
        Their degrees of freedom; infinite for normal statistics.
    method : str
        One of `ADJUSTMENTS`. "tukey" refers √2 |t| to the studentized range (Tukey 1953; Kramer 1956), "scheffe"
        t²/rank to F (Scheffé 1953), "fdr" is Benjamini and Hochberg's (1995), "mvt" is exact for the estimates'
        correlations up to the error of quasi-random integration, about 1e-3 relative (Somerville 1998). "dunnettx" is
        emmeans' approximation for comparisons with a control, whose correlations are about ½: with m tests, the mean
        of Tukey's (for as many means as have m pairs) and Šidák's probability with the weights (m − 1)/m and 1/m.
    family : Family

    Returns
    -------
    ndarray, shape (m,)
    """
    p = np.full(len(t), np.nan)
    known = np.isfinite(t) & ~np.isnan(df)
    infinite = np.isinf(t) & ~np.isnan(df)
    p[infinite] = 0.0
    if known.any():
        within = np.ix_(known, known)
        p[known] = _adjusted(np.abs(t[known]), df[known], method, family, family.correlation[within])
    return p


def _adjusted(t: Floats, df: Floats, method: str, family: Family, correlation: Floats) -> Floats:
    raw = _two_sided(t, df)
    if method in _STEPWISE:
        return _stepwise(raw, method, len(family.correlation))
    if method == "bonferroni":
        return np.minimum(1.0, len(family.correlation) * raw)
    return _by_df(t, df, lambda q, nu: _simultaneous_sf(q, nu, method, family, correlation))


def _two_sided(t: Floats, df: Floats) -> Floats:
    finite = np.isfinite(df)
    return np.asarray(np.where(finite, 2.0 * stats.t.sf(t, np.where(finite, df, 1.0)), 2.0 * stats.norm.sf(t)))


def _stepwise(p: Floats, method: str, m: int) -> Floats:
    """Holm (1979), Hochberg (1988), Benjamini and Hochberg (1995) for m tests, of which some may not be there."""
    order = np.argsort(p)
    rank = np.arange(1, len(p) + 1)
    if method == "holm":
        stepped = np.maximum.accumulate((m + 1 - rank) * p[order])
    else:
        factor = m + 1 - rank if method == "hochberg" else m / rank
        stepped = np.minimum.accumulate((factor * p[order])[::-1])[::-1]
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1.0)
    return out


def _by_df(t: Floats, df: Floats, tail: Callable[[Floats, float], Floats]) -> Floats:
    out = np.empty(len(t))
    for value in np.unique(df):
        rows = df == value
        out[rows] = tail(t[rows], float(value))
    return out


def _simultaneous_sf(q: Floats, df: float, method: str, family: Family, correlation: Floats) -> Floats:
    """The probability that the largest |t| of a family exceeds q, shape (m,), as a single-step method has it."""
    m = len(family.correlation)
    raw = _two_sided(q, np.full(len(q), df))
    sidak = -np.expm1(m * np.log1p(-np.minimum(raw, 1.0 - 1e-16)))
    match method:
        case "none":
            return raw
        case "tukey":
            return range_sf(math.sqrt(2.0) * q, family.size, df)
        case "sidak":
            return np.asarray(sidak)
        case "scheffe":
            if math.isinf(df):
                return np.asarray(stats.chi2.sf(q**2, family.rank))
            return np.asarray(stats.f.sf(q**2 / family.rank, family.rank, df))
        case "dunnettx":
            tukey = range_sf(math.sqrt(2.0) * q, 0.5 * (1.0 + math.sqrt(1.0 + 8.0 * m)), df)
            return np.asarray(((m - 1.0) * tukey + sidak) / m)
    return _mvt_sf(q, df, correlation)


def _mvt_sf(q: Floats, df: float, correlation: Floats) -> Floats:
    """
    P(max |T| > q) of a multivariate t with this correlation, which may be singular, shape (m,).

    A normal vector of rank r is its length times a direction u, and the squared length is independent of u: with
    M(u) the largest |T| for length one, the probability is the mean over u of P(r F > q²/M²), F with r and ν degrees
    of freedom (Somerville 1998). The mean is over quasi-random directions.
    """
    values, vectors = np.linalg.eigh(correlation)
    kept = values > _DEPENDENT * values[-1]
    rank = int(kept.sum())
    points = stats.qmc.Sobol(rank, scramble=False).random_base2(_LOG2_DIRECTIONS) + 0.5**_LOG2_DIRECTIONS / 2.0
    normal = special.ndtri(points)
    projected = normal @ (vectors[:, kept] * np.sqrt(values[kept])).T
    squared = np.max(projected**2, axis=1) / np.einsum("ur,ur->u", normal, normal)
    with np.errstate(divide="ignore"):
        length = q[:, None] ** 2 / squared
    tail = stats.chi2.sf(length, rank) if math.isinf(df) else stats.f.sf(length / rank, rank, df)
    return np.asarray(tail.mean(axis=1))


def critical_values(level: float, df: Floats, method: str, family: Family) -> Floats:
    """
    How many standard errors each interval reaches to either side.

    Parameters
    ----------
    level : float
        Joint confidence.
    df : ndarray, shape (m,)
        NaN where there is no estimate.
    method : str
        One of `ADJUSTMENTS`; see `for_intervals`.
    family : Family

    Returns
    -------
    ndarray, shape (m,)
    """
    out = np.full(len(df), np.nan)
    method = for_intervals(method)
    for value in np.unique(df[~np.isnan(df)]):
        out[df == value] = _critical(level, float(value), method, family)
    return out


def _critical(level: float, df: float, method: str, family: Family) -> float:
    m = len(family.correlation)
    closed = {"none": 1.0 - level, "bonferroni": (1.0 - level) / m, "sidak": -math.expm1(math.log(level) / m)}
    if method in closed:
        half = 0.5 * closed[method]
        return float(stats.norm.isf(half) if math.isinf(df) else stats.t.isf(half, df))
    if method == "scheffe":
        rank = family.rank
        return math.sqrt(
            stats.chi2.isf(1.0 - level, rank) if math.isinf(df) else rank * stats.f.isf(1 - level, rank, df)
        )
    if method == "tukey":
        return range_ppf(level, family.size, df) / math.sqrt(2.0)
    known = np.isfinite(family.correlation.diagonal())
    correlation = family.correlation[np.ix_(known, known)]

    def excess(q: float) -> float:
        return float(_simultaneous_sf(np.array([q]), df, method, family, correlation)[0]) - (1.0 - level)

    low, high = (_critical(level, df, name, family) for name in ("none", "bonferroni"))
    return float(optimize.brentq(excess, 0.99 * low, 1.01 * high, xtol=1e-9))
