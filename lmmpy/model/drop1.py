"""`drop1`: each fixed-effects term that can go without taking another's margin, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, stats

from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.formula import Terms, parse_formula
from lmmpy.formula.update import formula_text, random_text
from lmmpy.inference.data_columns import ColumnsOfData
from lmmpy.inference.lrt import likelihood_ratio
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.ranova import require_own_variance, warn_if_likelier
from lmmpy.model.term_tests import f_table
from lmmpy.model.update import Submodel, submodel
from lmmpy.report import AnovaTable

__all__ = ["drop1", "dropped_contrast", "f_tests", "marginal_terms"]

_NIL = 1e-8


def drop1(
    fit: LmmFit, test: str | None = "chisq", ddf: str = "satterthwaite", scope: str | Iterable[str] | None = None
) -> AnovaTable:
    """
    Drop each fixed-effects term that no other contains, one at a time.

    With several traits a term goes from all of them at once, and terms of one trait, ``at(a, x)``, stay; `contest`
    tests any other hypothesis.

    Parameters
    ----------
    fit : LmmFit
    test : {"chisq", "f", None}
        "chisq": likelihood-ratio tests between ML fits on the rows of the fit (a REML fit is refitted, which the
        heading says); None: their AIC only. "f": F tests of the fit itself, of the hypothesis that its mean is one of
        the smaller model's.
    ddf : {"satterthwaite", "kenward-roger"}
        Denominator degrees of freedom of "f".
    scope : sequence of str, or formula, optional
        Terms to drop, such as ``["Days"]`` or ``"~ Days + x"``; by default all that can be.

    Returns
    -------
    AnovaTable
        "chisq": rows ``<none>`` and the terms, columns `npar` (parameters that the term takes), `AIC, LRT, Pr(Chi)`;
        None: `npar, AIC`; "f": rows the terms, columns `Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F)`.

    Raises
    ------
    ModelError
        For a term that is not there, or that another contains; for wrong arguments.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
    >>> lmm.drop1(fit, test="f").round(2)
              Sum Sq  Mean Sq  NumDF  DenDF  F value  Pr(>F)
    Machine  1755.26   877.63    2.0   46.0     87.8     0.0
    """
    if not isinstance(fit, LmmFit):
        raise ModelError(f"drop1 takes a fit of lmer, not a {type(fit).__name__}.")
    kind = test.lower() if isinstance(test, str) else test
    if kind not in ("chisq", "f", None):
        raise ModelError(f"test is 'chisq' (likelihood ratios), 'f' or None, not {test!r}.")
    fixed = fit.blueprint.parsed.fixed
    labels = _scope(fixed, scope)
    if kind == "f":
        title = fit.contrast_tests(ddf).method.title
        head = (f"Single term deletions using {title} method:", "", "Model:", fit.formula, "")
        return AnovaTable.under(head, f_tests(fit, labels, ddf))
    require_own_variance(fit, "drop1")
    return _by_likelihood(fit, labels, kind)


def marginal_terms(fixed: Terms) -> list[str]:
    """Labels of the terms that no other term contains."""
    sets = [set(term.variables) for term in fixed.terms]
    return [term.label for term, mine in zip(fixed.terms, sets, strict=True) if not any(mine < other for other in sets)]


def _scope(fixed: Terms, scope: Any) -> list[str]:
    """Labels of the terms to drop, in the order of the model."""
    free = marginal_terms(fixed)
    if scope is None:
        return free
    if isinstance(scope, str):
        scope = [term.label for term in parse_formula(scope).fixed.terms] if "~" in scope else [scope]
    wanted = list(scope) if isinstance(scope, Iterable) else [scope]
    there = {frozenset(term.label.split(":")): term.label for term in fixed.terms}
    for label in wanted:
        known = there.get(frozenset(label.split(":"))) if isinstance(label, str) else None
        if known is None:
            labels = shown(there.values(), 20) or "none"
            raise ModelError(f"scope: there is no term {label!r}; the fixed terms are {labels}.")
        if known not in free:
            raise ModelError(
                f"scope: {known!r} is part of another term, without which it cannot be dropped; those that can be are "
                f"{shown(free, 20)}."
            )
    chosen = {there[frozenset(label.split(":"))] for label in wanted}
    return [label for label in free if label in chosen]


def without_term(fit: LmmFit, label: str, reml: bool | None = None) -> Submodel:
    """The model without one fixed term, on the rows of the fit."""
    return submodel(fit, formula_without(fit, label), reml)


def formula_without(fit: LmmFit, label: str) -> str:
    """The formula of a fit less one fixed term."""
    parsed = fit.blueprint.parsed
    terms = tuple(term for term in parsed.fixed.terms if term.label != label)
    left = replace(parsed.fixed, terms=terms)
    return formula_text(parsed.response, left, [random_text(term) for term in parsed.all_random])


def _by_likelihood(fit: LmmFit, labels: list[str], test: str | None) -> AnovaTable:
    full = fit.refit_ml()
    reduced = [without_term(full, label, reml=False) for label in labels]
    for one in reduced:
        warn_if_likelier(full, one.fit.loglik, one.fit.formula)
    loglik = np.array([full.loglik, *(one.fit.loglik for one in reduced)])
    npar = np.array([full.df, *(one.fit.df for one in reduced)])
    lrt, df = likelihood_ratio(full.loglik, loglik), (full.df - npar).astype(float)
    lrt[0] = df[0] = np.nan
    columns: dict[str, Floats] = {"npar": df, "AIC": 2.0 * npar - 2.0 * loglik}
    if test == "chisq":
        p = stats.chi2.sf(lrt, np.where(df > 0, df, np.nan))
        columns |= {"LRT": lrt, "Pr(Chi)": np.asarray(p)}
    headings = ["refitting model with ML (instead of REML)"] if fit.reml else []
    headings += ["Single term deletions", "", "Model:", fit.formula]
    singular = [label for label, one in zip(labels, reduced, strict=True) if one.singular]
    if singular:
        headings.append(f"On the boundary (singular) without: {', '.join(singular)}.")
    return AnovaTable.under((*headings, ""), pd.DataFrame(columns, index=["<none>", *labels]))


def f_tests(fit: LmmFit, labels: list[str], ddf: str) -> pd.DataFrame:
    """
    F tests of the terms, each against the model without it.

    Parameters
    ----------
    fit : LmmFit
    labels : list of str
    ddf : str
        See `LmmFit.contrast_tests`.

    Returns
    -------
    DataFrame
        Columns `Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F)`.
    """
    tests = fit.contrast_tests(ddf)
    return f_table({label: tests.joint(dropped_contrast(fit, label)) for label in labels}, fit.sigma)


def dropped_contrast(fit: LmmFit, label: str) -> Floats:
    """
    The hypothesis that the mean is one of the model without a term, as Lβ = 0.

    The columns of the smaller model, coded as it would code them, are XB; L is an orthonormal basis of what is
    orthogonal to B.

    Parameters
    ----------
    fit : LmmFit
    label : str

    Returns
    -------
    ndarray, shape (rank, p)
    """
    smaller = replace(fit.blueprint, parsed=parse_formula(formula_without(fit, label)))
    X, X0 = fit.design.X, ColumnsOfData(fit.design, smaller, fit.evaluator()).of_rows()
    lengths, lengths_0 = np.linalg.norm(X, axis=0), np.linalg.norm(X0, axis=0)
    X0 = X0[:, lengths_0 > 0] / lengths_0[lengths_0 > 0]
    B = np.linalg.lstsq(X / lengths, X0, rcond=None)[0] / lengths[:, None]
    return np.asarray(linalg.null_space(B.T, rcond=_NIL).T)
