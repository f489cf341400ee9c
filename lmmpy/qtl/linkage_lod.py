"""LOD scores of linkage and what they are under no linkage: p-values, and the score of one parameter that has the same.

A variance at a locus is tested at the edge of its range, so that the likelihood ratio is a mixture of χ² distributions
(Self & Liang 1987). With one trait it is ½χ²₀ + ½χ²₁. With two, it depends on what the covariance Q of the traits'
effects at the locus may be:

- Q any covariance, the correlation ρ_q estimated. Where the traits' other components of variance are proportional to
  each other, a linear map makes the cone of possible Q a circular one of half-angle 45°, whose weights are (2 − √2)/4,
  √2/4, √2/4 and (2 − √2)/4 of χ²₀ to χ²₃ (Kuriki & Takemura 2000): "cone".
- The same as SOLAR reports it, ½χ²₁ + ¼χ²₃ (and ¼χ²₀), for d traits Σ C(d, i) 2⁻ᵈ χ²_{i(i+1)/2}: "solar". For two
  traits its p-values are 0.8 to 1.2 of those of "cone" up to a LOD of 10, and within 6 % from 2 to 4.
- Q diagonal, ρ_q held at zero: ¼χ²₀ + ½χ²₁ + ¼χ²₂, exact for traits that are independent: "variances".
- |ρ_q| = 1, one locus acting on both traits proportionally. Q has rank one, the set of such Q is the surface of the
  cone and not convex; the tail is Φ̄(√(2x)) + e^{−x/2} Φ(√x)/√2, about twice that of ¼χ²₀ + ½χ²₁ + ¼χ²₂, which
  is sometimes taken for it: "rank one".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, logsumexp, ndtri_exp

from lmmpy.errors import ModelError, shown

__all__ = ["LN10", "MIXTURES", "check_mixture", "equivalent_lod", "lod_p_values", "log_p_values"]

Floats = NDArray[np.float64]

LN10 = math.log(10.0)
"""LOD = likelihood ratio statistic/(2 ln 10)."""
MIXTURES = ("solar", "cone", "variances", "rank one")

_CONE = {0: (2.0 - math.sqrt(2.0)) / 4.0, 1: math.sqrt(2.0) / 4.0, 2: math.sqrt(2.0) / 4.0}
_CONE[3] = _CONE[0]


def check_mixture(mixture: str, traits: int) -> None:
    """
    Refuse a mixture that there is not, or not for so many traits.

    Parameters
    ----------
    mixture : str
    traits : int

    Raises
    ------
    ModelError
    """
    if mixture not in MIXTURES:
        raise ModelError(f"mixture is one of {shown(MIXTURES)}, not {mixture!r}.")
    if traits > 2 and mixture in ("cone", "rank one"):
        raise ModelError(f"mixture={mixture!r} is known for two traits, not for {traits}. Take 'solar'.")


def log_p_values(chisq: ArrayLike, traits: int = 1, mixture: str = "solar") -> Floats:
    """
    Logarithms of p-values of likelihood ratios of linkage.

    Parameters
    ----------
    chisq : array-like, shape (m,)
        2(ℓ₁ − ℓ₀); below zero counts as zero, whose p-value is 1.
    traits : int
    mixture : {"solar", "cone", "variances", "rank one"}
        See the module; all the same for one trait.

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    ModelError
        For a mixture that there is not.
    """
    check_mixture(mixture, traits)
    x = np.maximum(np.atleast_1d(np.asarray(chisq, dtype=float)), 0.0)
    if traits == 2 and mixture == "rank one":
        log_p = np.logaddexp(log_ndtr(-np.sqrt(2.0 * x)), log_ndtr(np.sqrt(x)) - 0.5 * x - 0.5 * math.log(2.0))
    else:
        weights = _weights(traits, mixture)
        parts = [math.log(w) + _log_upper_tail(x, df) for df, w in weights.items() if df]
        log_p = np.asarray(logsumexp(parts, axis=0))
    return np.where(x == 0.0, 0.0, log_p)


def _log_upper_tail(x: Floats, df: int) -> Floats:
    """Log P(χ²_df > x), also where the probability itself is below what a double can be."""
    tail = 2 - df % 2
    log_p = math.log(2.0) + log_ndtr(-np.sqrt(x)) if tail == 1 else -0.5 * x
    log_half = np.log(0.5 * np.where(x > 0.0, x, 1.0))
    while tail < df:  # Abramowitz & Stegun 26.4.8
        log_p = np.logaddexp(log_p, 0.5 * tail * log_half - 0.5 * x - math.lgamma(0.5 * tail + 1.0))
        tail += 2
    return np.asarray(log_p)


def _weights(traits: int, mixture: str) -> dict[int, float]:
    if traits == 2 and mixture == "cone":
        return _CONE
    parameters = [i if mixture == "variances" else i * (i + 1) // 2 for i in range(traits + 1)]
    return {df: math.comb(traits, i) * 2.0**-traits for i, df in enumerate(parameters)}


def lod_p_values(lod: ArrayLike, traits: int = 1, mixture: str = "solar") -> Floats:
    """
    p-values of LOD scores as they are, (ℓ₁ − ℓ₀)/ln 10.

    Parameters
    ----------
    lod : array-like, shape (m,)
    traits, mixture
        See `log_p_values`.

    Returns
    -------
    ndarray, shape (m,)
    """
    return np.asarray(np.exp(log_p_values(2.0 * LN10 * np.asarray(lod, dtype=float), traits, mixture)))


def equivalent_lod(lod: ArrayLike, traits: int, mixture: str = "solar") -> Floats:
    """
    The LOD score of one trait that has the p-value of one of several.

    Its likelihood ratio is the quantile of χ²₁ with the upper tail 2p, since that of one trait is ½χ²₀ + ½χ²₁; zero
    where p ≥ ½.

    Parameters
    ----------
    lod : array-like, shape (m,)
        (ℓ₁ − ℓ₀)/ln 10.
    traits, mixture
        See `log_p_values`.

    Returns
    -------
    ndarray, shape (m,)
    """
    raw = np.atleast_1d(np.asarray(lod, dtype=float))
    if traits == 1:
        return np.asarray(np.maximum(raw, 0.0))
    log_p = log_p_values(2.0 * LN10 * raw, traits, mixture)
    z = np.maximum(-ndtri_exp(np.minimum(log_p, math.log(0.5))), 0.0)
    return np.asarray(z**2 / (2.0 * LN10))
