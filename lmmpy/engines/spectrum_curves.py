"""Sums over a spectrum as functions of the ratio λ of the variances, by interpolation in log λ.

Each term of Σ_i f_i g_i/(1 + λd_i) is a logistic function of log λ, with poles at a distance of π from the real axis
whatever d_i is. So one polynomial of degree 128 gives all such sums over ten powers of ten to rounding (Trefethen 2013,
Theorem 8.2: the error falls by 1.31 a degree). It is taken in the angle φ with log(λs) = 5 log(10) cos φ, s the mean
diagonal entry of S, where Chebyshev's polynomials are cosines; φ = 0 is the largest ratio, φ = π the smallest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANGLES", "RATIOS", "coefficients", "curve_values", "relative_ratios"]

Floats = NDArray[np.float64]

_DEGREE = 128
_REACH = 5.0 * math.log(10.0)
_ORDERS = np.arange(_DEGREE + 1.0)


def relative_ratios(angles: Floats) -> Floats:
    """The ratios λs at some angles."""
    return np.exp(_REACH * np.cos(angles))


def _from_values() -> Floats:
    """Coefficients of cos kφ of the polynomial through values at the grid (Trefethen 2013, chapter 3)."""
    ends = np.ones(_DEGREE + 1)
    ends[[0, -1]] = 0.5
    # The product of whole numbers is reduced before π comes in, so that symmetric entries have the same digits.
    turns = np.outer(np.arange(_DEGREE + 1), np.arange(_DEGREE + 1)) % (2 * _DEGREE)
    return np.asarray(2.0 / _DEGREE * np.outer(ends, ends) * np.cos(np.pi * turns / _DEGREE))


ANGLES: Floats = np.pi * np.arange(_DEGREE + 1) / _DEGREE
"""The grid, shape (129,)."""

RATIOS: Floats = relative_ratios(ANGLES)
"""λs at the grid."""

_FROM_VALUES = _from_values()


def coefficients(values: Floats) -> Floats:
    """Of curves by their values at the grid, shape (129, c) → (129, c)."""
    return np.asarray(_FROM_VALUES @ values)


def curve_values(angles: Floats) -> Floats:
    """
    What turns coefficients into values and derivatives.

    Parameters
    ----------
    angles : ndarray, shape (c,)

    Returns
    -------
    ndarray, shape (c, 3, 129)
        Times coefficients: the value, and the first two derivatives in φ.
    """
    found = np.empty((len(angles), 3, len(_ORDERS)))
    cos, sin = found[:, 0], found[:, 1]
    cos[:, 0], sin[:, 0] = 1.0, 0.0
    cos[:, 1], sin[:, 1] = np.cos(angles), np.sin(angles)
    # Sums of angles, by which the known multiples are doubled: ten times quicker than a cosine for each.
    known = 1
    while known < _DEGREE:
        c, s = cos[:, known, None], sin[:, known, None]
        before = slice(1, known + 1)
        after = slice(known + 1, 2 * known + 1)
        cos[:, after] = c * cos[:, before] - s * sin[:, before]
        sin[:, after] = s * cos[:, before] + c * sin[:, before]
        known *= 2
    sin *= -_ORDERS
    np.multiply(cos, -(_ORDERS**2), out=found[:, 2])
    return found
