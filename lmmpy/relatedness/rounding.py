"""How far a matrix that was written with few decimals may be from positive semi-definite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["rounding_of"]

Floats = NDArray[np.float64]
# With fewer decimals any small table of figures would pass for rounded; more explain nothing that matters.
_FEWEST, _MOST = 2, 8
_SAMPLE = 1000
_CHUNK = 2**18
# A multiple of 10⁻ᵈ may have been held in single precision; beyond 1/20 of a step it would be none.
_SINGLE, _LARGEST_GAP = 1.2e-7, 0.05


def rounding_of(K: Floats) -> tuple[int, float]:
    """
    Decimals to which all entries are rounded, and how negative an eigenvalue that can make.

    Parameters
    ----------
    K : ndarray, shape (n, n)
        Symmetric.

    Returns
    -------
    decimals : int
        The smallest d of 2 to 8 such that all entries are multiples of 10⁻ᵈ; 0 when there is none, or when the entries
        are multiples of 2⁻ᵈ, as those of a pedigree, which nobody had to round.
    allowance : float
        Twice s√(n/3), the spectral norm of a symmetric matrix of independent errors that are uniform within ±s/2
        (Füredi & Komlós 1981), as duplicated samples have equal errors; not more than ns/2, which no errors exceed. The
        step s is 10⁻ᵈ, or 2·10⁻ᵈ in a matrix that was doubled after it was rounded.
    """
    entries = K.ravel(order="K")  # whichever way it lies: no copy
    sample = entries[:: max(1, len(entries) // _SAMPLE)]
    for decimals in range(_FEWEST, _MOST + 1):
        if _all_multiples(sample, 10.0**decimals) and _all_multiples(entries, 10.0**decimals):
            break
    else:
        return 0, 0.0
    if _all_multiples(entries, 2.0**decimals):
        return 0, 0.0
    step = (2.0 if _all_multiples(entries, 0.5 * 10.0**decimals) else 1.0) / 10.0**decimals
    n = len(K)
    return decimals, step * min(2.0 * float(np.sqrt(n / 3.0)), 0.5 * n)


def _all_multiples(entries: Floats, per_unit: float) -> bool:
    for start in range(0, len(entries), _CHUNK):
        steps = np.abs(entries[start : start + _CHUNK]) * per_unit
        gaps = np.abs(steps - np.rint(steps))
        if (gaps > np.minimum(_LARGEST_GAP, 1e-9 + _SINGLE * steps)).any():
            return False
    return True
