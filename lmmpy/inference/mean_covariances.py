"""Covariances that the random terms, random functions and residual give rows on average, and what follows from them.

Between rows i and j of two sets, of the same rows of the data each, a random term gives z_iᵀCz_j on average, as if both
were of one level with the relatedness one; a random function and the residual give their r_ij. Heritabilities are
ratios of such averages over the rows of one trait, genetic and phenotypic correlations over the rows of two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Pairs
from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.inference.variance_parameters import random_covariances

__all__ = ["MeanCorrelation", "MeanCovariances", "MeanShare", "mean_covariances"]

Ints = NDArray[np.intp]

# |log σ| beyond any that a search should try.
_FAR = 300.0


@dataclass(frozen=True, eq=False, slots=True)
class MeanCovariances:
    """
    The average covariance between rows i and j of each source: random terms, random functions, residual.

    Attributes
    ----------
    design : Design
        Of the values; in the coordinates of the search where `bases` are given.
    bases : tuple of ndarray or None
        See `VarianceParameters`.
    moments : tuple of ndarray, each of shape (k, k)
        Means of z_j z_iᵀ over the pairs, term by term.
    pairs : tuple of Pairs
        Of the random functions and of a structured residual.
    same : bool
        Whether i = j, which only tells for an independent residual.
    """

    design: Design
    bases: Sequence[Floats | None]
    moments: tuple[Floats, ...]
    pairs: tuple[Pairs, ...]
    same: bool

    def __call__(self, x: Floats) -> tuple[Floats, Floats]:
        """
        The covariances and their derivatives.

        Parameters
        ----------
        x : ndarray, shape (n_theta + 1,)
            (θ, log σ).

        Returns
        -------
        ndarray, shape (m,)
        ndarray, shape (m, n_theta + 1)
            Of the m sources: terms, functions, residual.
        """
        design, theta = self.design, x[:-1]
        variance = math.exp(2.0 * min(max(float(x[-1]), -_FAR), _FAR))
        values, slopes = [], []
        terms = random_covariances(design, theta, math.sqrt(variance), self.bases)
        for moment, (_, C, dC) in zip(self.moments, terms, strict=True):
            values.append(float((moment * C).sum()))
            slopes.append(np.einsum("iab,ab->i", dC, moment))
        start = design.n_theta_random
        for pairs, phi in zip(self.pairs, design.split_rows(theta), strict=True):
            at, slope = pairs.at(phi), np.zeros(len(x))
            values.append(variance * float(at.values.mean()))
            slope[start : start + len(phi)] = variance * at.contract(np.full(len(at.values), 1.0 / len(at.values)))
            slope[-1] = 2.0 * values[-1]
            slopes.append(slope)
            start += len(phi)
        if design.residual is None:
            values.append(variance if self.same else 0.0)
            slopes.append(np.append(np.zeros(len(theta)), 2.0 * values[-1]))
        return np.array(values), np.array(slopes)


def mean_covariances(
    design: Design, own: Sequence[Floats], bases: Sequence[Floats | None], i: Ints, j: Ints
) -> MeanCovariances:
    """
    Prepare the averages over pairs of rows.

    Parameters
    ----------
    design : Design
        Of the values of (θ, log σ) that will be asked for.
    own : sequence of ndarray, shape (n, k)
        The columns left of each bar, in the coordinates of the model.
    bases : sequence of ndarray or None
        See `VarianceParameters`.
    i, j : ndarray of int, shape (m,)
        Numbers of rows.
    """
    moments = tuple(values[i].T @ values[j] / len(i) for values in own)
    pairs = tuple(rows.structure.between(i, j) for rows in design.row_covariances)
    return MeanCovariances(design, bases, moments, pairs, bool(np.array_equal(i, j)))


@dataclass(frozen=True, eq=False, slots=True)
class MeanShare:
    """
    The share of one source in the variance of some rows, as a function of (θ, log σ).

    Attributes
    ----------
    variances : MeanCovariances
        Of rows with themselves.
    source : int
    """

    variances: MeanCovariances
    source: int

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        values, slopes = self.variances(x)
        total = float(values.sum())
        share = float(values[self.source]) / total
        return share, (slopes[self.source] - share * slopes.sum(axis=0)) / total

    def vanishes(self, x: Floats) -> bool:
        """Whether the source has no variance, where there is no standard error."""
        return float(self.variances(x)[0][self.source]) == 0.0


@dataclass(frozen=True, eq=False, slots=True)
class MeanCorrelation:
    """
    The correlation between rows that some sources make, as a function of (θ, log σ).

    Attributes
    ----------
    first, second : MeanCovariances
        Of the rows i, and of the rows j, with themselves.
    between : MeanCovariances
        Of the rows i with the rows j.
    sources : slice
        One of them, or all for the phenotypic correlation.
    """

    first: MeanCovariances
    second: MeanCovariances
    between: MeanCovariances
    sources: slice

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient; NaN and zero where a variance vanishes."""
        (a, da), (b, db), (c, dc) = (self._summed(part, x) for part in (self.first, self.second, self.between))
        if not (a > 0.0 and b > 0.0):
            return math.nan, np.zeros(len(x))
        root = math.sqrt(a * b)
        rho = c / root
        return min(1.0, max(-1.0, rho)), dc / root - 0.5 * rho * (da / a + db / b)

    def vanishes(self, x: Floats) -> bool:
        """Whether a variance is zero, or the correlation perfect, where there is no standard error."""
        rho = self(x)[0]
        return not abs(rho) < 1.0 - 1e-10

    def _summed(self, part: MeanCovariances, x: Floats) -> tuple[float, Floats]:
        values, slopes = part(x)
        return float(values[self.sources].sum()), slopes[self.sources].sum(axis=0)
