"""The best ratio of variances of many small models at once, each over the whole range.

The criterion is known on a grid of 129 ratios; each of its valleys there is followed to the bottom by Newton's method
with exact derivatives, kept between the neighbours, and the deepest one wins. (Zhou & Stephens 2012 follow each change
of sign of the slope.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.spectrum_curves import ANGLES, relative_ratios
from lmmpy.engines.spectrum_sums import ColumnSums, cholesky_factors, inverse_factors

__all__ = ["Optima", "factors_at", "optima"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

# Newton's method doubles the digits: after a step of 1e-6 it has arrived. Halving from neighbours gets there as well.
_SMALL_STEP, _STEPS = 1e-6, 60


@dataclass(frozen=True, eq=False, slots=True)
class Optima:
    """The best ratios of w models.

    Attributes
    ----------
    angle : ndarray, shape (w,)
        φ of the ratio (`spectrum_curves`); NaN for a ratio of zero.
    ratio : ndarray, shape (w,)
        λs.
    value : ndarray, shape (w,)
        log|V| + n log r², or log|V| + log|[X G]ᵀV⁻¹[X G]| + (n − p − k) log r².
    factor : ndarray, shape (w, s, s)
        Of Cholesky of the Gram matrix of X, G, y there.
    """

    angle: Floats
    ratio: Floats
    value: Floats
    factor: Floats


def optima(sums: ColumnSums, reml: bool) -> Optima:
    """
    Minimise −2 log-likelihood, or the restricted one, of every test over its ratio.

    Parameters
    ----------
    sums : ColumnSums
    reml : bool

    Returns
    -------
    Optima
        Over λs = 0 and 1e-5 … 1e5, s the typical variance of the random effect.
    """
    n = sums.null.spectrum.n
    dof = n - (sums.null.p + sums.k) * reml
    at, test = _valleys(_grid(sums, dof, reml))
    angle = _descend(sums, dof, reml, at, test)
    gram, logdet = sums.gram_at(angle, test)
    factor = cholesky_factors(gram[:, 0])
    value = _value(factor, logdet[:, 0], dof, reml)
    order = np.lexsort((angle, value, test))
    best = order[np.unique(test[order], return_index=True)[1]]
    return _or_zero(sums, dof, reml, Optima(angle[best], relative_ratios(angle[best]), value[best], factor[best]))


def factors_at(sums: ColumnSums, angle: Floats) -> Floats:
    """
    Cholesky's factor of the Gram matrix of each test at a ratio, shape (w, s, s).

    Parameters
    ----------
    sums : ColumnSums
    angle : ndarray, shape (w,)
        See `Optima`.
    """
    tests, is_zero = np.arange(len(angle)), np.isnan(angle)
    gram = sums.gram_at(np.where(is_zero, np.pi, angle), tests)[0][:, 0]
    gram[is_zero] = sums.gram_at_zero(tests[is_zero])
    return cholesky_factors(gram)


def _or_zero(sums: ColumnSums, dof: int, reml: bool, found: Optima) -> Optima:
    """A ratio of exactly zero where that is as good."""
    factor = cholesky_factors(sums.gram_at_zero(np.arange(len(found.angle))))
    value = _value(factor, np.zeros(len(factor)), dof, reml)
    better = value <= found.value
    return Optima(
        np.where(better, np.nan, found.angle),
        np.where(better, 0.0, found.ratio),
        np.where(better, value, found.value),
        np.where(better[:, None, None], factor, found.factor),
    )


def _value(L: Floats, logdet: Floats, dof: int, reml: bool) -> Floats:
    """The criterion but for constants, infinite where it cannot be computed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = 2.0 * np.log(np.diagonal(L, axis1=-2, axis2=-1))
        value = logdet + dof * logs[..., -1]
        if reml:
            value = value + logs[..., :-1].sum(axis=-1)
    return np.where(np.isnan(value), np.inf, value)


def _grid(sums: ColumnSums, dof: int, reml: bool) -> Floats:
    """The criterion of each test at each ratio of the grid, shape (129, w)."""
    logdet_X, gram = sums.reduced()
    logdet = sums.null.logdet + (logdet_X if reml else 0.0)
    return _value(cholesky_factors(gram), logdet[:, None], dof, reml)


def _valleys(value: Floats) -> tuple[Ints, Ints]:
    """Where on the grid, and in which test, neighbours are not lower."""
    wall = np.full((1, value.shape[1]), np.inf)
    padded = np.vstack([wall, value, wall])
    # Strictly so on one side: of equal values one is enough.
    found = (padded[1:-1] <= padded[:-2]) & (padded[1:-1] < padded[2:])
    found[value.argmin(axis=0), np.arange(value.shape[1])] = True  # where nothing is finite
    at, test = np.nonzero(found)
    return at, test


def _descend(sums: ColumnSums, dof: int, reml: bool, at: Ints, test: Ints) -> Floats:
    """The angles at the bottoms of valleys."""
    low, high = ANGLES[np.maximum(at - 1, 0)], ANGLES[np.minimum(at + 1, len(ANGLES) - 1)]
    angle = ANGLES[at]
    going = np.arange(len(at))
    for _ in range(_STEPS):
        here, a, b = angle[going], low[going], high[going]
        slope, bend = _derivatives(sums, dof, reml, here, test[going])
        within = (a < here) & (here < b)  # at an end of the range there is no slope in φ
        b = np.where(within & (slope > 0.0), here, b)
        a = np.where(within & (slope <= 0.0), here, a)
        with np.errstate(divide="ignore", invalid="ignore"):
            there = np.clip(here - slope / bend, 0.0, np.pi)
        there = np.where((bend > 0.0) & (there >= a) & (there <= b), there, 0.5 * (a + b))
        angle[going], low[going], high[going] = there, a, b
        going = going[np.abs(there - here) > _SMALL_STEP]
        if not len(going):
            break
    return angle


def _derivatives(sums: ColumnSums, dof: int, reml: bool, angle: Floats, test: Ints) -> tuple[Floats, Floats]:
    """
    First and second derivative of the criterion in φ.

    With A = LLᵀ the Gram matrix, E₁ = L⁻¹A′L⁻ᵀ and E₂ = L⁻¹A″L⁻ᵀ: the leading minors of A have the derivatives of
    their logarithms in the leading blocks, tr E₁ and tr E₂ − ‖E₁‖², and log r² is the difference of the last two.
    """
    gram, logdet = sums.gram_at(angle, test)
    half = inverse_factors(cholesky_factors(gram[:, 0]))
    E1 = half @ gram[:, 1] @ half.transpose(0, 2, 1)
    E2 = ((half @ gram[:, 2]) * half).sum(axis=2)
    last = E1[:, -1]
    slope = logdet[:, 1] + dof * last[:, -1]
    bend = logdet[:, 2] + dof * (E2[:, -1] - 2.0 * (last * last).sum(axis=1) + last[:, -1] ** 2)
    if reml:
        lead = E1[:, :-1, :-1]
        slope = slope + np.trace(lead, axis1=1, axis2=2)
        bend = bend + E2[:, :-1].sum(axis=1) - (lead * lead).sum(axis=(1, 2))
    return slope, bend
