"""The criterion in exact rational arithmetic: doubles are fractions, so only the logarithms at the end are rounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from lmmpy.design import Design
from tests.naive import factors_at

Row = list[Fraction]


def _exact(matrix: np.ndarray) -> list[Row]:
    return [[Fraction(float(value)) for value in row] for row in np.atleast_2d(matrix)]


def _eliminate(rows: list[Row], size: int) -> tuple[Fraction, list[Row]]:
    """Determinant of the leading block of order `size`, and what is left below and right of it (Schur)."""
    rows, determinant = [list(row) for row in rows], Fraction(1)
    for j in range(size):
        pivot = rows[j]
        determinant *= pivot[j]
        for i in range(j + 1, len(rows)):
            factor = rows[i][j] / pivot[j]
            rows[i] = [a - factor * b for a, b in zip(rows[i], pivot, strict=True)] if factor else rows[i]
    return determinant, [row[size:] for row in rows[size:]]


def _covariance(design: Design, theta: np.ndarray) -> list[Row]:
    weights = np.ones(design.n) if design.weights is None else design.weights
    V = [[Fraction(0)] * design.n for _ in range(design.n)]
    for i, w in enumerate(weights):
        V[i][i] = 1 / Fraction(float(w))
    for term, factor in zip(design.random, factors_at(design, theta), strict=True):
        T, z, codes = _exact(factor.T), _exact(term.values), term.codes
        loads = [[_dot(row, column) for column in zip(*T, strict=True)] for row in z]
        for i in range(design.n):
            for j in np.flatnonzero(codes == codes[i]):
                V[i][j] += _dot(loads[i], loads[j])
    return V


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _log(value: Fraction) -> float:
    return math.log(value.numerator) - math.log(value.denominator)


def criterion(design: Design, theta: np.ndarray, reml: bool) -> float:
    """
    −2 log (restricted) likelihood of unrelated levels, σ profiled out.

    [X y]ᵀ V⁻¹ [X y] is minus the Schur complement of V in [V, [X y]; [X y]ᵀ, 0]; a second elimination leaves r².
    """
    V, n, p = _covariance(design, theta), design.n, design.p
    y = [Fraction(float(v)) for v in design.y]
    if design.offset is not None:
        y = [a - Fraction(float(o)) for a, o in zip(y, design.offset, strict=True)]
    Xy = [[*row, value] for row, value in zip(_exact(design.X) if p else [[]] * n, y, strict=True)]
    bordered = [[*v, *xy] for v, xy in zip(V, Xy, strict=True)]
    bordered += [[*(row[j] for row in Xy), *([Fraction(0)] * (p + 1))] for j in range(p + 1)]
    det_V, schur = _eliminate(bordered, n)
    det_X, rest = _eliminate([[-value for value in row] for row in schur], p)
    r2, dof = rest[0][0], n - p * reml
    value = _log(det_V) + dof * (1.0 + math.log(2.0 * math.pi / dof) + _log(r2))
    return value + _log(det_X) if reml else value
