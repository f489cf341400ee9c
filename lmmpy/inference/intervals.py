"""Intervals from a standard error, on a scale on which limits stay in range, and what all intervals share."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lmmpy.errors import ModelError

__all__ = ["checked_level", "percent_labels", "wald_limits"]

Floats = NDArray[np.float64]


def checked_level(level: float) -> float:
    """
    A confidence level.

    Raises
    ------
    ModelError
        Unless it lies between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, float | int | np.number) or not 0.0 < float(level) < 1.0:
        hint = f" Did you mean {level / 100:g}?" if isinstance(level, float | int) and 1 < level < 100 else ""
        raise ModelError(f"level must be a number between 0 and 1, such as 0.95; got {level!r}.{hint}")
    return float(level)


def percent_labels(level: float) -> list[str]:
    """Names of the two limits as R gives them: three significant digits of the percentages."""
    tail = 0.5 * (1.0 - level)
    return [f"{float(f'{100.0 * p:.3g}'):g} %" for p in (tail, 1.0 - tail)]


def wald_limits(estimate: Floats, std_error: Floats, kind: list[str], level: float) -> Floats:
    """
    Limits estimate ± z·se on a scale on which they stay in range.

    A standard deviation's are taken on the logarithm, se(log s) = se/s; a correlation's on Fisher's z = artanh ρ,
    se(z) = se/(1 − ρ²); by the delta method. A standard deviation, or another parameter that is not negative, with a
    standard error larger than itself is too near zero for its logarithm to be nearly normal; its limits are s ± z·se,
    no lower than zero. The profile's are better there.

    Parameters
    ----------
    estimate, std_error : ndarray, shape (m,)
    kind : list of {"beta", "sd", "cor"}, length m
    level : float

    Returns
    -------
    ndarray, shape (m, 2)
        NaN where the standard error is.
    """
    z = float(norm.ppf(0.5 + 0.5 * level))
    out = np.full((len(estimate), 2), np.nan)
    for i, (value, se, what) in enumerate(zip(estimate.tolist(), std_error.tolist(), kind, strict=True)):
        if not math.isfinite(se) or not math.isfinite(value):
            continue
        if what == "sd":
            near = se >= value
            out[i] = (max(value - z * se, 0.0), value + z * se) if near else _on_logarithm(value, z * se)
        elif what == "cor":
            spread = z * se / (1.0 - value**2)
            out[i] = math.tanh(math.atanh(value) - spread), math.tanh(math.atanh(value) + spread)
        else:
            out[i] = value - z * se, value + z * se
    return out


def _on_logarithm(value: float, spread: float) -> tuple[float, float]:
    return value * math.exp(-spread / value), value * math.exp(spread / value)
