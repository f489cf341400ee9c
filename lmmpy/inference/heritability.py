"""Shares of the variance: of one random term in that of all of them and the residual, averaged over rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from lmmpy.design import Design
from lmmpy.design.values import Floats

__all__ = ["Share", "boundary_weights", "profile_of_one", "row_moments", "share_of_term"]

# A limit is found to this, and a share of more than the last counts as one: the residual vanishes there.
_FOUND, _LAST = 1e-9, 1.0 - 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class Share:
    """A ratio of sums of variance components.

    Attributes
    ----------
    part, total : ndarray, shape (m,)
        What each component, as `components` orders them, counts in the numerator and in the denominator.
    """

    part: Floats
    total: Floats

    def __call__(self, values: Floats) -> tuple[float, Floats]:
        """
        Value and gradient.

        Parameters
        ----------
        values : ndarray, shape (m,)

        Returns
        -------
        float
        ndarray, shape (m,)
        """
        total = float(self.total @ values)
        value = float(self.part @ values) / total
        return value, (self.part - value * self.total) / total

    @property
    def places(self) -> frozenset[int]:
        """The components without which there is no standard error: of others, one that is zero is held there."""
        return frozenset(np.flatnonzero(self.part).tolist())


def row_moments(values: Sequence[Floats]) -> list[Floats]:
    """
    Means of zzᵀ over rows, with which the mean of zᵀCz is tr(C·mean).

    Parameters
    ----------
    values : sequence of ndarray, shape (n, k)
        The columns left of the bar, term by term.

    Returns
    -------
    list of ndarray, each of shape (k, k)
    """
    return [z.T @ z / len(z) for z in values]


def share_of_term(design: Design, place: int, moments: Sequence[Floats]) -> Share:
    """
    The share of one term in the variance of a row of weight one.

    Parameters
    ----------
    design : Design
    place : int
        The term, in `design.random`.
    moments : sequence of ndarray
        See `row_moments`.
    """
    counts = []
    for moment in moments:
        k = len(moment)
        counts.append(np.array([moment[a, b] * (1 + (a != b)) for b in range(k) for a in range(b, k)]))
    part = [count if t == place else np.zeros(len(count)) for t, count in enumerate(counts)]
    return Share(np.concatenate([*part, [0.0]]), np.concatenate([*counts, [1.0]]))


def boundary_weights(k: int, structure: str) -> dict[int, float] | None:
    """
    The mixture of χ² distributions of a likelihood ratio when all k variances of a term are zero (Self & Liang 1987).

    Parameters
    ----------
    k : int
    structure : str
        Of the term's covariance.

    Returns
    -------
    dict from degrees of freedom to weight, or None
        Binomial for independent effects, as if their estimates were uncorrelated; None for correlated ones, of which
        no closed form is known.
    """
    if k > 1 and structure != "diag":
        return None
    return {i: math.comb(k, i) * 0.5**k for i in range(k + 1)}


def profile_of_one(value: Callable[[float], float], estimate: float, z: float) -> tuple[float, float]:
    """
    The interval of shares at which −2 log-likelihood is less than z² above its minimum, for one share in all.

    Parameters
    ----------
    value : callable
        Share, from 0 to less than 1 → −2 log-likelihood.
    estimate : float
        Where it is least.
    z : float
        The normal quantile.

    Returns
    -------
    tuple of float
        From 0 or to 1 where the likelihood there is within.
    """
    least = value(estimate)

    def excess(share: float) -> float:
        """√(D − D̂) − z, nearly linear in the share."""
        return math.sqrt(max(value(share) - least, 0.0)) - z

    low, high = 0.0, 1.0
    if estimate > 0.0 and excess(0.0) > 0.0:
        low = float(brentq(excess, 0.0, estimate, xtol=_FOUND))
    if estimate < _LAST and excess(_LAST) > 0.0:
        high = float(brentq(excess, estimate, _LAST, xtol=_FOUND))
    return low, high
