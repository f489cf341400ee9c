"""The entry of θ at which a parameter of a function of rows has a value."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from lmmpy.covariance import RowStructure
from lmmpy.errors import ModelError

__all__ = ["solved"]

# A value such as −1/3 is no number of the computer.
_SAME = 1e-15


def solved(rows: RowStructure, i: int, place: int, value: float) -> float:
    """
    φ_i at which a reported parameter, of which it alone decides, has a value.

    Raises
    ------
    ModelError
        When no φ_i gives it.
    """

    def excess(phi: float) -> float:
        at = rows.start().copy()
        at[i] = phi
        return rows.reported(at)[place].value - value

    low, start = float(rows.lower[i]), float(rows.start()[i])
    ends = [end for at, end in rows.boundary(rows.start(), np.full(rows.n_theta, math.inf)) if at == i]
    if not ends and _is_angle(rows, i):
        ends = [-0.5 * math.pi, 0.5 * math.pi]
    for exact in (*ends, max(low, 0.0)):
        if abs(excess(exact)) <= _SAME:
            return exact
    reach = 1.0
    for _ in range(60):
        left, right = max(start - reach, low, *ends[:1]), start + reach
        if len(ends) > 1:
            left, right = max(left, min(ends)), min(right, max(ends))
        if excess(left) * excess(right) <= 0.0:
            return float(brentq(excess, left, right, xtol=1e-15, rtol=1e-14))
        reach *= 2.0
    reported = rows.reported(rows.start())[place]
    raise ModelError(f"constraints: {'.'.join(reported.labels)!r} cannot be {value:g} in this structure.")


def _is_angle(rows: RowStructure, i: int) -> bool:
    """Whether φ_i is an angle, of whose sine all values are between two right ones."""
    start = rows.start()
    turned = start + 2.0 * math.pi * (np.arange(len(start)) == i)
    return bool(abs(rows.canonical(turned)[i] - start[i]) < 1e-9)
