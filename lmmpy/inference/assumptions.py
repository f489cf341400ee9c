"""What the residuals and effects of a fit say about its assumptions: a test for chance, a size for importance.

A finding is of concern only when it is both beyond chance and large: with many rows every test is significant, and with
few every size is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from lmmpy.design.values import Floats
from lmmpy.inference.deletion import Deletion

__all__ = [
    "LOOK",
    "VERDICTS",
    "Judged",
    "between_groups",
    "decorrelated",
    "influential",
    "normality",
    "smoothed_spread",
    "spread_on_fitted",
    "variance_inflation",
]

VERDICTS = ("ok", "look", "concern")
# Chances below which a finding deserves a look, and is of concern.
LOOK, CONCERN = 0.01, 1e-4
# Skewness and excess kurtosis; ratios of standard deviations; their scatter between groups, on the log scale.
_SKEWNESS, _KURTOSIS = (0.5, 1.0), (1.0, 2.0)
_RATIO, _SCATTER = (1.25, 1.5), (0.15, 0.3)
# So many times the distance that a typical group is expected to have.
_UNUSUAL = 100.0
# The test of Shapiro & Wilk is made for no more values; fewer than so many say nothing.
_SHAPIRO, _FEWEST = 5_000, 8
# Groups with fewer rows have no variance to speak of.
_ROWS = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and what it rests on.

    Attributes
    ----------
    verdict : {"ok", "look", "concern"}
    figure : float
        The size: of what, `text` says.
    p_value : float
        How likely so much is by chance; NaN when no test was made.
    text : str
        The figures in words.
    """

    verdict: str
    figure: float
    p_value: float
    text: str


def _verdict(p_value: float, looks: bool, concerns: bool) -> str:
    if p_value < CONCERN and concerns:
        return "concern"
    return "look" if p_value < LOOK and looks else "ok"


def _p(p_value: float) -> str:
    return f"p = {p_value:.2g}" if p_value >= 1e-16 else "p < 1e-16"


def normality(values: Floats) -> Judged | None:
    """
    Whether values look like a normal sample.

    Shapiro & Wilk's (1965) test up to 5,000 values, D'Agostino & Pearson's (1973) beyond; the sizes are skewness and
    excess kurtosis.

    Parameters
    ----------
    values : ndarray, shape (m,)

    Returns
    -------
    Judged or None
        None with fewer than eight values, or when they are all the same.
    """
    spread = values.std() if len(values) else 0.0
    if len(values) < _FEWEST or not spread > 1e-10 * np.abs(values).max():
        return None
    values = (values - values.mean()) / spread
    test = stats.shapiro if len(values) <= _SHAPIRO else stats.normaltest
    p_value = float(test(values).pvalue)
    skewness, kurtosis = float((values**3).mean()), float((values**4).mean() - 3.0)
    sizes = [abs(skewness) > s or kurtosis > k for s, k in zip(_SKEWNESS, _KURTOSIS, strict=True)]
    name = "Shapiro–Wilk" if len(values) <= _SHAPIRO else "D'Agostino–Pearson"
    text = f"skewness {skewness:.2f}, excess kurtosis {kurtosis:.2f}; {name} {_p(p_value)}"
    figure = skewness if abs(skewness) / _SKEWNESS[0] > abs(kurtosis) / _KURTOSIS[0] else kurtosis
    return Judged(_verdict(p_value, *sizes), figure, p_value, text)


def decorrelated(values: Floats, covariance: Floats) -> Floats:
    """
    L⁻¹v with LLᵀ the covariance of v, by Cholesky with pivots: independent and of variance one if the model holds.

    Parameters
    ----------
    values : ndarray, shape (m,)
    covariance : ndarray, shape (m, m)
        Positive semi-definite.

    Returns
    -------
    ndarray, shape (rank,)
        Without those that the others determine.
    """
    L, pivots, rank, _ = linalg.lapack.dpstrf(covariance, lower=1, tol=1e-6 * float(covariance.diagonal().max()))
    order = pivots[:rank] - 1
    return np.asarray(linalg.solve_triangular(L[:rank, :rank], values[order], lower=True))


def spread_on_fitted(residual: Floats, fitted: Floats) -> Judged | None:
    """
    Whether the variance of the residuals changes with the fitted values.

    Breusch & Pagan's (1979) test as studentized by Koenker (1981), of squared residuals on fitted values; the size is
    the standard deviation of the residuals in the upper third of the fitted values over that in the lower third.

    Parameters
    ----------
    residual, fitted : ndarray, shape (n,)

    Returns
    -------
    Judged or None
        None when there is nothing to compare.
    """
    n, square = len(residual), residual**2
    low, high = np.quantile(fitted, [1 / 3, 2 / 3])
    if n < 3 * _FEWEST or not high > low or not square.std() > 0:
        return None
    p_value = float(stats.chi2.sf(n * np.corrcoef(square, fitted)[0, 1] ** 2, 1))
    ratio = float(np.sqrt(square[fitted >= high].mean() / square[fitted <= low].mean()))
    sizes = [max(ratio, 1.0 / ratio) > limit for limit in _RATIO]
    text = (
        f"SD in the upper third of the fitted values {ratio:.2f} times that in the lower; Breusch–Pagan {_p(p_value)}"
    )
    return Judged(_verdict(p_value, *sizes), ratio, p_value, text)


def smoothed_spread(residual: Floats, fitted: Floats) -> Floats:
    """The standard deviation of residuals as an exponential of the fitted values, but for a factor, shape (n,)."""
    size = np.maximum(np.abs(residual), 1e-3 * np.abs(residual).mean())
    slope = float(np.polyfit(fitted - fitted.mean(), np.log(size), 1)[0])
    return np.asarray(np.exp(slope * (fitted - fitted.mean())))


def between_groups(residual: Floats, codes: NDArray[np.intp]) -> Judged | None:
    """
    Whether the variance of the residuals differs between groups, among those with at least five rows.

    Levene's test about medians (Brown & Forsythe 1974); the size is the scatter of the groups' log standard deviations
    beyond that of sampling, exponentiated.

    Parameters
    ----------
    residual : ndarray, shape (n,)
    codes : ndarray of int, shape (n,)

    Returns
    -------
    Judged or None
        None with fewer than two such groups.
    """
    counts = np.bincount(codes)
    large = counts >= _ROWS
    if large.sum() < 2:
        return None
    rows = large[codes]
    order = np.flatnonzero(rows)[np.argsort(codes[rows], kind="stable")]
    parts = np.split(residual[order], np.cumsum(counts[large])[:-1])
    variances = np.array([part.var(ddof=1) for part in parts])
    if not (variances > 0).all():
        return None
    p_value = float(stats.levene(*parts, center="median").pvalue)
    noise = np.mean(0.5 / (counts[large] - 1.0))
    scatter = float(np.sqrt(max(np.var(0.5 * np.log(variances), ddof=1) - noise, 0.0)))
    sizes = [scatter > limit for limit in _SCATTER]
    text = f"SDs of {len(parts)} groups differ by a factor of {np.exp(scatter):.2f}, typically; Levene {_p(p_value)}"
    return Judged(_verdict(p_value, *sizes), float(np.exp(scatter)), p_value, text)


def influential(deletion: Deletion, sigma: float, p: int, labels: Sequence[object]) -> Judged | None:
    """
    Whether some group moves the fixed effects more than it should.

    Its Cook's distance D is of concern above one (Cook & Weisberg 1982), unless few groups make that usual: where it
    is either unlikely under the model, or a hundred times what a typical group is expected to have. It deserves a look
    above one, or where it is unlikely and above four over the number of groups. How unlikely follows from
    p D ~ Σ λ χ²₁, by two moments (Satterthwaite 1946), times the number of groups (Bonferroni).

    Parameters
    ----------
    deletion : Deletion
        Of each group, θ held.
    sigma : float
    p : int
        Number of fixed effects.
    labels : sequence
        Of the groups.

    Returns
    -------
    Judged or None
        None when no group can be left out.
    """
    D = deletion.distance / (p * sigma**2)
    known = np.flatnonzero(np.isfinite(D) & (deletion.expected[:, 0] > 0))
    if not len(known):
        return None
    first, second = deletion.expected[known].T
    chance = np.full(len(D), np.nan)
    chance[known] = stats.chi2.sf(p * D[known] * first / second, first**2 / second)
    m = len(known)
    worst = int(known[np.argmax(D[known])])
    adjusted = np.minimum(m * chance[known], 1.0)
    typical = float(np.median(first)) / p
    concern = (D[known] > 1.0) & ((adjusted < 10 * CONCERN) | (D[known] > _UNUSUAL * typical))
    look = (D[known] > 1.0) | ((D[known] > 4.0 / m) & (adjusted < LOOK))
    named = [f"{labels[i]} ({D[i]:.2f})" for i in known[np.argsort(-D[known])] if look[np.searchsorted(known, i)]]
    p_value = float(adjusted[np.searchsorted(known, worst)])
    text = f"Cook's distance at most {D[worst]:.2g} ({labels[worst]}), the largest of {m}; p = {p_value:.2g}"
    if named:
        text += f"; stand out: {', '.join(named[:5])}"
    return Judged("concern" if concern.any() else "look" if look.any() else "ok", float(D[worst]), p_value, text)


def variance_inflation(vcov: Floats, assign: Sequence[int]) -> dict[int, float]:
    """
    Generalised variance inflation of each term, GVIF^(1/df), from the covariance of β̂ (Fox & Monette 1992).

    For a term with one coefficient it is the variance inflation factor.

    Parameters
    ----------
    vcov : ndarray, shape (p, p)
    assign : sequence of int, length p
        Term of each coefficient, 0 for the intercept, which is left aside.

    Returns
    -------
    dict of int to float
        By term; empty with fewer than two terms.
    """
    terms = np.array(assign)
    slopes = np.flatnonzero(terms > 0)
    if len(set(terms[slopes].tolist())) < 2:
        return {}
    sd = np.sqrt(np.diag(vcov)[slopes])
    R, terms = vcov[np.ix_(slopes, slopes)] / np.outer(sd, sd), terms[slopes]
    whole = np.linalg.slogdet(R)[1]
    found = {}
    for term in dict.fromkeys(terms.tolist()):
        own = terms == term
        log_gvif = np.linalg.slogdet(R[np.ix_(own, own)])[1] + np.linalg.slogdet(R[np.ix_(~own, ~own)])[1] - whole
        found[term] = float(np.exp(log_gvif / own.sum()))
    return found
