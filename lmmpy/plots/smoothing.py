"""A line through a cloud of points: a smoothing spline of a fixed stiffness."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_smoothing_spline

from lmmpy.design.values import Floats

__all__ = ["smooth"]

# The spline minimises Σw(y − f)² + λ∫f″² with x scaled to [0, 1]. λ/Σw = 1e-4 leaves evenly spread points about five
# degrees of freedom, as many as loess with its usual span; unlike λ by cross-validation it never follows the noise.
_STIFFNESS = 1e-4
_MOST_BINS, _GRID = 200, 101


def smooth(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """
    Smooth y over x by a penalised cubic spline (Green & Silverman 1994, §2.3).

    Many different x are first averaged within two hundred bins of about the same number of points.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Without missing values.

    Returns
    -------
    x, smoothed : ndarray, shape (101,)
        Evenly over the range of x. Empty when there are fewer than five different x.
    """
    low, span = (float(x.min()), float(np.ptp(x))) if len(x) else (0.0, 0.0)
    if not span > 1e-10 * np.abs(x).max(initial=0.0):
        return np.empty(0), np.empty(0)
    unit, weight, level = _averaged(np.round((x - low) / span, 9), y)
    if len(unit) < 5:
        return np.empty(0), np.empty(0)
    spline = make_smoothing_spline(unit, level, weight, lam=_STIFFNESS * len(x))
    grid = np.linspace(0.0, 1.0, _GRID)
    return low + span * grid, np.asarray(spline(grid), dtype=float)


def _averaged(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct x or bins of them, ascending; how many points each has; and the mean of their y."""
    distinct, places = np.unique(x, return_inverse=True)
    if len(distinct) > _MOST_BINS:
        counts = np.bincount(places)
        middle = np.cumsum(counts) - 0.5 * counts
        places = np.unique((_MOST_BINS * middle / len(x)).astype(int), return_inverse=True)[1][places]
    counts = np.bincount(places)
    return np.bincount(places, x) / counts, counts.astype(float), np.bincount(places, y) / counts
