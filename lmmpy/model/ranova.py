"""`ranova`: each random term removed or reduced, and tested by its likelihood ratio."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from lmmpy.covariance import Diagonal, Unstructured
from lmmpy.design import RandomEffects
from lmmpy.errors import ConvergenceWarning, ModelError
from lmmpy.formula import INDEPENDENT, RandomTerm, Term, Terms, parse_formula
from lmmpy.formula.update import RandomKey, formula_text, random_key, random_text
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value, regression_loglik
from lmmpy.model.constraints import refuse_constrained
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.update import submodel
from lmmpy.report import AnovaTable

__all__ = ["Deletion", "deletions", "has_mixture", "ranova"]

# A reduced model may be this much likelier than the fit before that is more than two stopping rules can explain.
_LIKELIER = 1e-4
_NIL = 1e-8


def ranova(fit: LmmFit, reduce_terms: bool = True) -> AnovaTable:
    """
    Test each random term by a likelihood ratio.

    Each row is a model on the rows of the fit and by its own criterion, REML or ML. From a term ``(a + b | g)`` the
    columns of `a` or of `b` are taken away, with all their covariances (`a` stays while ``a:b`` is there), of a term of
    several traits for all of them; a term with
    an intercept alone, one of ``cs`` or ``ar1``, or ``(0 + a | g)`` for a number `a`, goes as a whole. Without any
    random term the model is a linear regression, whose likelihood is computed exactly.

    The naive p-value refers the statistic to χ² on the number of parameters, which is too large: a variance cannot be
    negative. ``Pr(mixture)`` is right in large samples if the other variances are positive: for one variance and its r
    covariances ½χ²_r + ½χ²_{r+1}. Where the weights are not known it is NaN, and a line above the table says so; then,
    and with few groups, `parametric_bootstrap_lrt` answers.

    Parameters
    ----------
    fit : LmmFit
    reduce_terms : bool
        Whether to reduce terms as described; else all go as a whole.

    Returns
    -------
    AnovaTable
        Rows ``<none>``, ``x in (x | g)``, ``(1 | g)``; columns `npar, logLik, AIC, LRT, Df, Pr(>Chisq), Pr(mixture)`.

    Raises
    ------
    ModelError
        When the variance components of the fit were given, or it is no fit.

    References
    ----------
    Self & Liang (1987), J. Am. Stat. Assoc. 82, 605–610; Stram & Lee (1994), Biometrics 50, 1171–1177.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> lmm.ranova(fit)[["npar", "LRT", "Df"]].round(2)
                              npar    LRT   Df
    <none>                       6    NaN  NaN
    Days in (Days | Subject)     4  42.84  2.0
    """
    check_random(fit, "ranova")
    refuse_constrained(fit, "ranova", "lmm.anova(smaller, fit) compares fits, with constraints or without.")
    if not isinstance(reduce_terms, bool | np.bool_):
        raise ModelError(f"reduce_terms must be True or False, not {reduce_terms!r}.")
    return ranova_table(fit, deletions(fit, bool(reduce_terms)))


def check_random(fit: object, what: str) -> None:
    """Refuse what is no fit, and a fit of which no variance was estimated."""
    if not isinstance(fit, LmmFit):
        raise ModelError(f"{what} takes a fit of lmer, not a {type(fit).__name__}.")
    if fit.optimum.held:
        raise ModelError(
            f"The variance components of this fit were given, so that {what} has nothing to test. Estimate them, for "
            "example by fit.update(varcomp=None)."
        )
    require_own_variance(fit, what)


def require_own_variance(fit: LmmFit, what: str) -> None:
    """Refuse likelihood ratios of fits whose variance is a function of the mean, which each model has another of."""
    spec = fit.blueprint.residual
    if spec is not None and spec.of_mean:
        raise ModelError(
            f"residual={spec.text!r} makes the variance a function of the mean, and the likelihood is that given the "
            f"mean, of which each model has another: {what} has no likelihood ratio. Give a covariate that stays, such "
            "as the fitted values of the larger model in a column m, varpower(m)."
        )


@dataclass(frozen=True, eq=False, slots=True)
class Deletion:
    """A random term less some of its columns, and the model that is left.

    Attributes
    ----------
    name : str
        Row name, such as ``Days in (Days | Subject)``.
    term : RandomTerm
    fit : LmmFit or None
        Of what is left; None when no random term is.
    formula : str
    loglik : float
    npar : int
    singular : bool
        Whether it lies on the boundary.
    weights : dict of int to float, or None
        The mixture by degrees of freedom; None when it is not known.
    note : str
        What is to be said about the mixture.
    """

    name: str
    term: RandomTerm
    fit: LmmFit | None
    formula: str
    loglik: float
    npar: int
    singular: bool
    weights: dict[int, float] | None
    note: str


def deletions(fit: LmmFit, reduce_terms: bool) -> list[Deletion]:
    """
    Every single deletion among the random terms.

    Parameters
    ----------
    fit : LmmFit
    reduce_terms : bool

    Returns
    -------
    list of Deletion
        In the order of the formula.
    """
    return [_without(fit, *reduced) for reduced in _reduced(fit, reduce_terms)]


def _reduced(fit: LmmFit, reduce_terms: bool) -> Iterator[tuple[str, bool, str, RandomTerm, RandomEffects | None]]:
    """Each reduced formula, whether it has a random term, the name of its row, the term and its data."""
    parsed = fit.blueprint.parsed
    texts = [random_text(term) for term in parsed.all_random]
    for place, term in enumerate(parsed.random):
        effects, before, after = effects_of(fit, place), texts[:place], texts[place + 1 :]
        for name, left in _reductions(term, effects, before + after, reduce_terms):
            random = before + ([] if left is None else [random_text(term, left)]) + after
            yield formula_text(parsed.response, parsed.fixed, random), bool(random), name, term, effects
    for place, term in enumerate(parsed.functions, len(parsed.random)):
        random = texts[:place] + texts[place + 1 :]
        yield formula_text(parsed.response, parsed.fixed, random), bool(random), texts[place], term, None


def has_mixture(fit: LmmFit, smaller: LmmFit) -> bool:
    """
    Whether a row of ``ranova(fit)`` tests the fit against a smaller one, and has the mixture.

    Parameters
    ----------
    fit, smaller : LmmFit
        Of the same response and rows.
    """
    residuals = [one.blueprint.residual for one in (fit, smaller)]
    texts = {INDEPENDENT if spec is None else spec.text for spec in residuals}
    if len(texts) > 1 or fit.design.names != smaller.design.names or any(spec and spec.of_mean for spec in residuals):
        return False
    wanted = _random_keys(smaller.formula)
    gone = sum(term.k for term in fit.design.random) - sum(term.k for term in smaller.design.random)
    for formula, _, _, _, effects in _reduced(fit, True):
        if _random_keys(formula) == wanted:
            k_left = 0 if effects is None else effects.k - gone
            return _mixture(effects, k_left, fit.df - smaller.df)[0] is not None
    return False


def _random_keys(formula: str) -> Counter[tuple[RandomKey, str]]:
    return Counter((random_key(term), term.grouping.label) for term in parse_formula(formula).all_random)


def effects_of(fit: LmmFit, place: int) -> RandomEffects:
    """The data of a random term, given its place in the formula."""
    terms, random = fit.blueprint.parsed.random, fit.design.random
    same = [effects for effects in random if effects.term == terms[place]]
    return same[terms[:place].count(terms[place]) % len(same)]


def _reductions(
    term: RandomTerm, effects: RandomEffects, others: Sequence[str], reduce_terms: bool
) -> Iterator[tuple[str, Terms | None]]:
    """Row names, and what is left of the bar; None when the term goes as a whole."""
    text, lhs = random_text(term), term.lhs
    # One variance or one correlation for all columns: with fewer columns it is not a special case.
    whole = not isinstance(effects.structure, Unstructured | Diagonal) or bool(term.homogeneous)
    # Without an intercept another term may be coded anew, which independent effects are not indifferent to.
    whole |= term.structure == "diag" and not lhs.intercept and _spans_one(effects.values)
    if not reduce_terms or whole or not lhs.terms:
        yield text, None
        return
    for i, gone in enumerate(lhs.terms):
        if any(set(gone.variables) < set(other.variables) for other in lhs.terms):
            continue
        left: Terms | None = _less(lhs, gone)
        if len(lhs.terms) == 1 and not lhs.intercept:
            # The indicators of a factor add up to one: equal effects of all levels are left.
            equal = replace(lhs, terms=(), intercept=True)
            left = equal if _spans_one(effects.values) and random_text(term, equal) not in others else None
        yield f"{lhs.terms[i].label} in {text}", left


def _less(lhs: Terms, gone: Term) -> Terms:
    return replace(lhs, terms=tuple(term for term in lhs.terms if term != gone))


def _spans_one(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> bool:
    one = np.ones(len(values))
    return bool(np.abs(one - values @ np.linalg.lstsq(values, one, rcond=None)[0]).max() < _NIL)


def _without(
    fit: LmmFit, formula: str, random: bool, name: str, term: RandomTerm, effects: RandomEffects | None
) -> Deletion:
    """The model without a term, or some columns of it; `effects` is None for a random function."""
    if not random and fit.design.residual is None:
        loglik, npar = regression_loglik(fit.design, fit.reml), fit.design.p + 1
        weights, note = _mixture(effects, 0, fit.df - npar)
        return Deletion(name, term, None, formula, loglik, npar, False, weights, note)
    made = submodel(fit, formula)
    dropped = sum(e.k for e in fit.design.random) - sum(e.k for e in made.fit.design.random)
    weights, note = _mixture(effects, 0 if effects is None else effects.k - dropped, fit.df - made.fit.df)
    return Deletion(name, term, made.fit, formula, made.fit.loglik, made.fit.df, made.singular, weights, note)


def _mixture(effects: RandomEffects | None, k_left: int, df: int) -> tuple[dict[int, float] | None, str]:
    """Weights of the χ² distributions when a term is left with `k_left` of its columns (Stram & Lee 1994)."""
    if effects is None:
        return None, "without its variance the parameters of a random function mean nothing, and no mixture is known"
    gone, structure = effects.k - k_left, effects.term.structure
    if structure == "diag" and df > 1:
        weights = {i: math.comb(df, i) * 0.5**df for i in range(df + 1)}
        return weights, f"{df} variances at once: binomial weights, as if their estimates were uncorrelated"
    unstructured = structure in ("us", "diag") or effects.k == 1
    if unstructured and (gone == 1 or df == 1):
        return {df - 1: 0.5, df: 0.5}, ""
    reason = (
        f"{gone} columns at once have no mixture in closed form"
        if structure == "us"
        else f"without variances the correlation of {structure}() means nothing, and no mixture is known"
    )
    return None, reason


def ranova_table(fit: LmmFit, rows: list[Deletion]) -> AnovaTable:
    """Lay deletions out as lmerTest does, with the mixture beside."""
    headings = ["ANOVA-like table for random-effects: Single term deletions", "", "Model:", fit.formula]
    headings += [f"Pr(mixture) of {row.name}: {row.note}." for row in rows if row.note]
    singular = [row.name for row in rows if row.singular]
    if singular:
        headings.append(f"On the boundary (singular) without: {', '.join(singular)}.")
    return AnovaTable.under((*headings, ""), ranova_frame(fit, rows))


def ranova_frame(fit: LmmFit, rows: list[Deletion]) -> pd.DataFrame:
    """The numbers of `ranova_table`."""
    loglik = np.array([fit.loglik, *(row.loglik for row in rows)])
    npar = np.array([fit.df, *(row.npar for row in rows)])
    for row in rows:
        warn_if_likelier(fit, row.loglik, row.formula)
    lrt = likelihood_ratio(fit.loglik, loglik)
    df = (fit.df - npar).astype(float)
    mixture = [
        np.nan if row.weights is None else mixture_p_value(t, row.weights) for row, t in zip(rows, lrt[1:], strict=True)
    ]
    lrt[0] = df[0] = np.nan
    return pd.DataFrame(
        {
            "npar": npar,
            "logLik": loglik,
            "AIC": 2.0 * npar - 2.0 * loglik,
            "LRT": lrt,
            "Df": df,
            "Pr(>Chisq)": stats.chi2.sf(lrt, df),
            "Pr(mixture)": [np.nan, *mixture],
        },
        index=["<none>", *(row.name for row in rows)],
    )


def warn_if_likelier(fit: LmmFit, loglik: float, formula: str) -> None:
    """Say when a special case of the fit is likelier than the fit, which then is not at its optimum."""
    if loglik > fit.loglik + _LIKELIER:
        warnings.warn(
            f"{formula} is likelier (log-likelihood {loglik:.6f}) than {fit.formula} ({fit.loglik:.6f}), which "
            "contains it: the larger fit is not at its optimum. See fit.convergence and lmm.all_fit.",
            ConvergenceWarning,
            stacklevel=4,
        )
