"""Families of contrasts between k means, by emmeans' names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import ModelError, shown

__all__ = ["CONTRAST_METHODS", "ContrastFamily", "contrast_family"]

Floats = NDArray[np.float64]

_POLYNOMIALS = ("linear", "quadratic", "cubic", "quartic")
_HIGHEST_DEGREE = 6


@dataclass(frozen=True, eq=False, slots=True)
class ContrastFamily:
    """Linear functions of k means.

    Attributes
    ----------
    names : tuple of str, length m
    matrix : ndarray, shape (m, k)
    adjust : str
        The adjustment for their number that emmeans takes for these.
    pairwise : bool
        Whether they are all differences between two means.
    """

    names: tuple[str, ...]
    matrix: Floats
    adjust: str = "none"
    pairwise: bool = False


def contrast_family(method: Any, labels: Sequence[str], ref: Any = None) -> ContrastFamily:
    """
    The contrasts of a method.

    Parameters
    ----------
    method : str or mapping
        One of `CONTRAST_METHODS`, or contrasts of one's own: name → k coefficients.
    labels : sequence of str, length k
        Of the means.
    ref : optional
        Label of the mean that "trt.vs.ctrl" compares with; the first by default.

    Returns
    -------
    ContrastFamily

    Raises
    ------
    ModelError
        For an unknown method, a reference that is no label, or coefficients of the wrong length.
    """
    if isinstance(method, Mapping):
        return _own(method, labels)
    if not isinstance(method, str) or method not in CONTRAST_METHODS:
        raise ModelError(
            f"The contrast method {method!r} is unknown. Use one of {shown(CONTRAST_METHODS, 20)}, or a mapping from "
            "names to coefficients."
        )
    if method in ("trt.vs.ctrl", "dunnett"):
        return _against(labels, 0 if ref is None else _place(ref, labels))
    if ref is not None:
        raise ModelError(f"ref={ref!r} has a meaning for contrasts with a control ('trt.vs.ctrl') only.")
    return CONTRAST_METHODS[method](labels)


def _own(method: Mapping[Any, Any], labels: Sequence[str]) -> ContrastFamily:
    rows = []
    for name, coefficients in method.items():
        row = np.asarray(coefficients, dtype=float)
        if row.shape != (len(labels),) or not np.isfinite(row).all():
            raise ModelError(
                f"The contrast {name!r} must have {len(labels)} finite coefficients, one for each of "
                f"{shown(labels, 8)}."
            )
        rows.append(row)
    if not rows:
        raise ModelError("The mapping of contrasts is empty.")
    return ContrastFamily(tuple(str(name) for name in method), np.array(rows))


def _place(ref: Any, labels: Sequence[str]) -> int:
    text = f"{ref:.15g}" if isinstance(ref, int | float) and not isinstance(ref, bool) else str(ref)
    found = [i for i, label in enumerate(labels) if text in (label, label.strip("()"))]
    if not found:  # a number stands behind its factor's name, as in nitro0.2
        found = [i for i, label in enumerate(labels) if label.strip("()").endswith(text) and text]
    if len(found) != 1:
        raise ModelError(f"ref={ref!r} is not one of the means {shown(labels, 12)}.")
    return found[0]


def _named(
    pairs: Sequence[tuple[str, dict[int, float]]], k: int, adjust: str, pairwise: bool = False
) -> ContrastFamily:
    matrix = np.zeros((len(pairs), k))
    for row, (_, coefficients) in zip(matrix, pairs, strict=True):
        for place, value in coefficients.items():
            row[place] = value
    return ContrastFamily(tuple(name for name, _ in pairs), matrix, adjust, pairwise)


def _pairwise(labels: Sequence[str]) -> ContrastFamily:
    k = len(labels)
    pairs = [(f"{labels[i]} - {labels[j]}", {i: 1.0, j: -1.0}) for i in range(k) for j in range(i + 1, k)]
    return _named(pairs, k, "tukey", pairwise=True)


def _revpairwise(labels: Sequence[str]) -> ContrastFamily:
    k = len(labels)
    pairs = [(f"{labels[i]} - {labels[j]}", {i: 1.0, j: -1.0}) for i in range(k) for j in range(i)]
    return _named(pairs, k, "tukey", pairwise=True)


def _against(labels: Sequence[str], control: int) -> ContrastFamily:
    others = [i for i in range(len(labels)) if i != control]
    pairs = [(f"{labels[i]} - {labels[control]}", {i: 1.0, control: -1.0}) for i in others]
    return _named(pairs, len(labels), "dunnettx")


def _effects(labels: Sequence[str]) -> ContrastFamily:
    k = len(labels)
    return ContrastFamily(tuple(f"{label} effect" for label in labels), np.eye(k) - 1.0 / k, "fdr")


def _effects_against_others(labels: Sequence[str]) -> ContrastFamily:
    k = len(labels)
    effects = (np.eye(k) - 1.0 / k) * (k / (k - 1.0)) if k > 1 else np.zeros((0, 1))
    return ContrastFamily(tuple(f"{label} effect" for label in labels)[: len(effects)], effects, "fdr")


def _consecutive(labels: Sequence[str]) -> ContrastFamily:
    pairs = [(f"{labels[i + 1]} - {labels[i]}", {i + 1: 1.0, i: -1.0}) for i in range(len(labels) - 1)]
    return _named(pairs, len(labels), "mvt")


def _mean_change(labels: Sequence[str]) -> ContrastFamily:
    k = len(labels)
    rows = [np.repeat([-1.0 / i, 1.0 / (k - i)], [i, k - i]) for i in range(1, k)]
    names = tuple(f"{labels[i]}|{labels[i + 1]}" for i in range(k - 1))
    return ContrastFamily(names, np.array(rows).reshape(k - 1, k), "mvt")


def _polynomial(labels: Sequence[str]) -> ContrastFamily:
    matrix = _orthogonal_polynomials(len(labels))
    names = [*_POLYNOMIALS, *(f"degree {i}" for i in range(5, _HIGHEST_DEGREE + 1))]
    return ContrastFamily(tuple(names[: len(matrix)]), matrix)


def _identity(labels: Sequence[str]) -> ContrastFamily:
    return ContrastFamily(tuple(labels), np.eye(len(labels)))


@lru_cache(maxsize=32)
def _orthogonal_polynomials(k: int) -> Floats:
    """Orthogonal polynomials over 1 … k as the smallest whole numbers, as in printed tables; a degree a row."""
    x = [Fraction(2 * i - k + 1) for i in range(k)]
    previous, current, rows = [Fraction(0)] * k, [Fraction(1)] * k, []
    norm_before = Fraction(1)
    for degree in range(min(k - 1, _HIGHEST_DEGREE)):
        norm = sum((v * v for v in current), Fraction(0))
        ratio = norm / norm_before if degree else Fraction(0)
        following = [xi * c - ratio * p for xi, c, p in zip(x, current, previous, strict=True)]
        previous, current, norm_before = current, following, norm
        denominator = math.lcm(*(v.denominator for v in current))
        whole = [int(v * denominator) for v in current]
        divisor = math.gcd(*whole)
        rows.append([value // divisor for value in whole])
    return np.array(rows, dtype=float).reshape(len(rows), k)


CONTRAST_METHODS: dict[str, Callable[[Sequence[str]], ContrastFamily]] = {
    "pairwise": _pairwise,
    "revpairwise": _revpairwise,
    "tukey": _revpairwise,
    "trt.vs.ctrl": lambda labels: _against(labels, 0),
    "trt.vs.ctrl1": lambda labels: _against(labels, 0),
    "trt.vs.ctrlk": lambda labels: _against(labels, len(labels) - 1),
    "dunnett": lambda labels: _against(labels, 0),
    "eff": _effects,
    "del.eff": _effects_against_others,
    "consec": _consecutive,
    "mean_chg": _mean_change,
    "poly": _polynomial,
    "identity": _identity,
}
