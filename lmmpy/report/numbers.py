"""Numbers as R prints them: common digits over a column, p-values, significance stars."""

import math
import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST_P = float(np.finfo(np.float64).eps)
"""R's `.Machine$double.eps`: a p-value below it is printed as "< 2.2e-16"."""

STAR_LEGEND = "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"
_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


def _significant(x: float, digits: int) -> tuple[int, int]:
    """Digits that `x` needs when rounded to `digits` significant ones, and its decimal exponent."""
    mantissa, exponent = f"{abs(x):.{digits - 1}e}".split("e")
    return max(1, len(mantissa.replace(".", "").rstrip("0"))), int(exponent)


def _number_format(finite: Sequence[float], digits: int, nsmall: int) -> Callable[[float], str]:
    """Find the one rule, fixed or scientific, by which R formats all of `finite`."""
    if not finite:
        return str
    needs = [_significant(x, digits) for x in finite]
    decimals = max(0, *(n - 1 - exponent for n, exponent in needs))
    left = max((x < 0) + max(exponent, 0) + 1 for x, (_, exponent) in zip(finite, needs, strict=True))
    fixed_width = left + (decimals + 1 if decimals else 0)
    mantissa = max(n for n, _ in needs)
    wide_exponent = any(abs(exponent) >= 100 for _, exponent in needs)
    negative = any(x < 0 for x in finite)
    scientific_width = negative + mantissa + (mantissa > 1) + 4 + wide_exponent
    if fixed_width <= scientific_width:
        places = max(decimals, nsmall)
        return lambda x: f"{x:.{places}f}"
    return lambda x: f"{x:.{mantissa - 1}e}"


def r_format(values: ArrayLike, digits: int = 7, nsmall: int = 0, missing: str = "NaN", pad: bool = True) -> list[str]:
    """Format numbers together, as R's `format(x, digits)` does.

    The number of decimals is the smallest at which every element shows at least `digits` significant
    digits (trailing zeros do not count); scientific notation is used when it is narrower.

    Parameters
    ----------
    values : array_like, shape (n,)
        Numbers; NaN stands for a missing one.
    digits : int
        Significant digits, at least 1.
    nsmall : int
        Fewest decimals in fixed notation.
    missing : str
        Text of a NaN.
    pad : bool
        Whether all texts get the width of the widest, numbers to the right.

    Returns
    -------
    list of str, length n

    Raises
    ------
    ValueError
        If `digits` is below 1.
    """
    if digits < 1:
        raise ValueError(f"digits = {digits}: at least one significant digit is needed.")
    numbers = [float(x) + 0.0 for x in np.asarray(values, dtype=np.float64).ravel()]
    rule = _number_format([x for x in numbers if math.isfinite(x)], digits, nsmall)
    texts = [_one(x, rule, missing) for x in numbers]
    return pad_left(texts) if pad else texts


def _one(x: float, rule: Callable[[float], str], missing: str) -> str:
    if math.isnan(x):
        return missing
    if math.isinf(x):
        return "Inf" if x > 0 else "-Inf"
    return rule(x)


def pad_left(texts: Sequence[str]) -> list[str]:
    """Right-justify texts to their common width."""
    width = max((len(text) for text in texts), default=0)
    return [text.rjust(width) for text in texts]


def pad_right(texts: Sequence[str]) -> list[str]:
    """Left-justify texts to their common width."""
    width = max((len(text) for text in texts), default=0)
    return [text.ljust(width) for text in texts]


def round_to(values: ArrayLike, decimals: int) -> NDArray[np.float64]:
    """Round as R ≥ 4.0 does: to the nearer neighbour with so many decimals, a tie to the even one.

    Nearness is judged in double precision, so that 1910.45, slightly above the half, is a tie. A rounded
    zero has no sign.

    Parameters
    ----------
    values : array_like, any shape
    decimals : int
        Not negative. A number that would keep more than 15 significant digits stays as it is.

    Returns
    -------
    ndarray, the shape of `values`
    """
    x = np.asarray(values, dtype=np.float64)
    return np.array([_round_one(float(v), decimals) for v in x.ravel()], dtype=np.float64).reshape(x.shape)


def _round_one(x: float, decimals: int) -> float:
    if not math.isfinite(x) or x == 0 or decimals + math.ceil(math.log10(abs(x))) > sys.float_info.dig:
        return x + 0.0
    scale = 10.0**decimals
    below = math.floor(abs(x) * scale)
    low, high = below / scale, math.ceil(abs(x) * scale) / scale
    excess = (high - abs(x)) - (abs(x) - low)
    nearest = low if excess > 0 or (excess == 0 and below % 2 == 0) else high
    return math.copysign(nearest, x) if nearest else 0.0


def zapsmall(values: ArrayLike, digits: int) -> NDArray[np.float64]:
    """Round so that the largest number keeps `digits` significant digits (R's `zapsmall`).

    The decimals are `digits` − log₁₀ max|x|, rounded to the nearest integer and not below zero.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN and infinite elements are kept and do not count for the largest.
    digits : int

    Returns
    -------
    ndarray, shape (n,)
    """
    x = np.asarray(values, dtype=np.float64)
    largest = float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))
    decimals = digits - math.log10(largest) if largest > 0 else float(digits)
    return round_to(x, max(0, math.floor(decimals + 0.5)))


def format_p(values: ArrayLike, digits: int = 4, missing: str = "") -> list[str]:
    """Format p-values as R's `format.pval`: what is below 2.2e-16 becomes "< 2.2e-16".

    Parameters
    ----------
    values : array_like, shape (n,)
    digits : int
        Significant digits.
    missing : str
        Text of a NaN.

    Returns
    -------
    list of str, length n
        Not padded. Values from 0.0001 on share their decimals, and so do the smaller ones.
    """
    p = np.atleast_1d(np.asarray(values, dtype=np.float64))
    texts = [missing] * p.size
    tiny = p < SMALLEST_P
    plain = p >= 1e-4
    for group in (plain, ~plain & ~tiny & ~np.isnan(p)):
        for place, text in zip(np.flatnonzero(group), r_format(p[group], digits), strict=True):
            texts[place] = text
    width = max((len(texts[i]) for i in np.flatnonzero(~tiny & ~np.isnan(p))), default=0)
    bound = _below_smallest(digits, width)
    return [bound if is_tiny else text for is_tiny, text in zip(tiny, texts, strict=True)]


def _below_smallest(digits: int, width: int) -> str:
    """Write the bound, shortened to what fits the width of the other p-values (0: there are none)."""
    digits = max(1, digits - 2)
    if width and digits > 1 and digits + 6 > width:
        digits = max(1, width - 7)
    gap = "" if digits == 1 and width <= 6 else " "
    return f"<{gap}{r_format([SMALLEST_P], digits)[0]}"


def stars(values: ArrayLike) -> list[str]:
    """Significance stars of p-values, as in R's legend; nothing for a NaN.

    Parameters
    ----------
    values : array_like, shape (n,)

    Returns
    -------
    list of str, length n
    """
    p = np.atleast_1d(np.asarray(values, dtype=np.float64))
    return [next((mark for bound, mark in _STARS if x <= bound), "") for x in p]
