"""Likelihood-ratio tests between fits, laid out as R's anova, and what they need beside the fits.

A variance that is tested against zero lies on the edge of what it can be, so that the statistic is not χ² in large
samples but a mixture of χ² distributions (Self & Liang 1987; Stram & Lee 1994).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lmmpy.design import Blueprint, Design
from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.fitting.constrained_fit import Constraint
from lmmpy.fitting.fit import Optimum
from lmmpy.fitting.quantities import SIGMA, Quantity, blocks, quantities
from lmmpy.formula import INDEPENDENT
from lmmpy.inference.added_effects import AddedEffects, added_effects
from lmmpy.inference.constraint_tests import Reference, contained, reference
from lmmpy.inference.nested import random_not_nested
from lmmpy.inference.nested_rows import rows_not_nested
from lmmpy.inference.row_tests import row_reference

__all__ = [
    "ComparableFit",
    "Comparison",
    "check_same_data",
    "compare_fits",
    "likelihood_ratio",
    "mixture_p_value",
    "regression_loglik",
]

# A column that the others give with an error of this size, against its length, is in their span.
_NIL = 1e-8
# A difference of −2 log-likelihoods that two searches for the same optimum may leave.
_NOISE = 1e-6


class ComparableFit(Protocol):
    """What a comparison needs of a fit."""

    @property
    def reml(self) -> bool: ...
    @property
    def formula(self) -> str: ...
    @property
    def loglik(self) -> float: ...
    @property
    def df(self) -> int: ...
    @property
    def nobs(self) -> int: ...
    @property
    def fixef(self) -> pd.Series: ...
    @property
    def response(self) -> pd.Series | pd.DataFrame: ...
    @property
    def prior_weights(self) -> pd.Series | pd.DataFrame: ...
    @property
    def design(self) -> Design: ...
    @property
    def blueprint(self) -> Blueprint: ...
    @property
    def optimum(self) -> Optimum: ...
    def refit_ml(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """Nested fits side by side.

    Attributes
    ----------
    table : DataFrame
        Index: names, smaller model first; columns `npar, AIC, BIC, logLik, deviance, Chisq, Df, Pr(>Chisq)`, and
        `Pr(mixture)` when a fit has constraints.
    headings : tuple of str
        What R prints above it, which models are not nested as far as their random parts go, and what the mixtures are.
    added : dict of (str, str) to AddedEffects
        By the names of a fit and the next larger one: random effects that the second adds, where no mixture is given
        for them.
    """

    table: pd.DataFrame
    headings: tuple[str, ...]
    added: dict[tuple[str, str], AddedEffects]


def compare_fits(fits: Sequence[ComparableFit], names: Sequence[str], refit: bool, data_name: str | None) -> Comparison:
    """
    Compare nested fits by likelihood ratio.

    Parameters
    ----------
    fits : sequence
        At least two.
    names : sequence of str
        One a fit.
    refit : bool
        Whether REML fits are refitted by ML first. Without it, REML fits must have the same fixed effects.
    data_name : str, optional

    Returns
    -------
    Comparison

    Raises
    ------
    ModelError
        When the fits use different rows, responses or weights, or mix REML and ML without `refit`.
    """
    check_same_data(fits, names)
    headings = []
    if refit and any(fit.reml for fit in fits):
        headings.append("refitting model(s) with ML (instead of REML)")
        fits = [fit.refit_ml() if fit.reml else fit for fit in fits]
    _check_criteria(fits, names)
    order = np.argsort([fit.df for fit in fits], kind="stable")
    fits, names = [fits[i] for i in order], [names[i] for i in order]
    if data_name:
        headings.append(f"Data: {data_name}")
    headings.append("Models:")
    headings += [f"{name}: {text}" for name, text in zip(names, described(fits), strict=True)]
    strays = _strays(fits, names)
    headings += strays.values()
    table = _table(fits, names)
    mixtures = [
        None if i in strays else _mixture(*pair, table["Df"].iloc[i]) for i, pair in enumerate(pairwise(fits), 1)
    ]
    headings += _add_mixtures(table, fits, mixtures)
    told = set(strays) | {i for i, known in enumerate(mixtures, 1) if known is not None}
    return Comparison(table, tuple(headings), _added(fits, names, told))


def _added(fits: Sequence[ComparableFit], names: Sequence[str], told: set[int]) -> dict[tuple[str, str], AddedEffects]:
    """Random effects that a fit adds to the next smaller one, but for the places of which enough has been said."""
    found = {}
    for i, (small, large) in enumerate(pairwise(fits), 1):
        if i in told or not small.df < large.df or small.optimum.held or large.optimum.held:
            continue
        added = added_effects(small.design, large.design)
        if added is not None:
            found[names[i - 1], names[i]] = added
    return found


def _table(fits: Sequence[ComparableFit], names: Sequence[str]) -> pd.DataFrame:
    npar = np.array([fit.df for fit in fits])
    loglik = np.array([fit.loglik for fit in fits])
    chisq = np.append(np.nan, likelihood_ratio(loglik[1:], loglik[:-1]))
    df = np.append(np.nan, np.diff(npar).astype(float))
    with np.errstate(invalid="ignore"):
        p = np.where(df > 0, stats.chi2.sf(chisq, np.where(df > 0, df, 1.0)), np.nan)
    nobs = fits[0].nobs
    return pd.DataFrame(
        {
            "npar": npar,
            "AIC": -2.0 * loglik + 2.0 * npar,
            "BIC": -2.0 * loglik + np.log(nobs) * npar,
            "logLik": loglik,
            "deviance": -2.0 * loglik,
            "Chisq": chisq,
            "Df": df,
            "Pr(>Chisq)": p,
        },
        index=list(names),
    )


def _strays(fits: Sequence[ComparableFit], names: Sequence[str]) -> dict[int, str]:
    """By place, a line for each model of which the next smaller one is no special case as far as random parts go."""
    lines, pairs = {}, list(zip(names, fits, strict=True))
    for i, ((name, small), (other, large)) in enumerate(pairwise(pairs), 1):
        reason = not_contained(small, large) if small.df < large.df else None
        if reason is not None:
            lines[i] = f"{name} is no special case of {other}, {reason}: their Chisq and Pr(>Chisq) are no test."
    return lines


def not_contained(small: ComparableFit, large: ComparableFit) -> str | None:
    """
    Why the covariances of one fit are no special case of another's, as a clause about the larger; None when they are.

    Parameters
    ----------
    small, large : fits
    """
    stray = random_not_nested(small.design, large.design)
    if stray is not None:
        return f"which has no random term that contains {stray}"
    rows = rows_not_nested(small.design, large.design)
    if rows is not None:
        return f"which does not contain {rows}"
    limits = constraint_of(large)
    if limits is None:
        return None
    own = constraint_of(small)
    broken = next(iter(limits.texts)) if own is None or not _same_sigma(own, limits) else contained(own, limits)
    return None if broken is None else f"which is held to {broken}"


def described(fits: Sequence[ComparableFit]) -> list[str]:
    """The formula of each fit, its residual where they differ in that, and its constraints."""
    specs = [fit.blueprint.residual for fit in fits]
    residuals = ["" if spec is None or spec.text == INDEPENDENT else f"residual {spec.text}" for spec in specs]
    shared, found = len(set(residuals)) == 1, []
    for fit, residual in zip(fits, residuals, strict=True):
        constraint = constraint_of(fit)
        more = [residual] * bool(residual and not shared) + list(() if constraint is None else constraint.texts)
        found.append(f"{fit.formula} with {'; '.join(more)}" if more else fit.formula)
    return found


def constraint_of(fit: ComparableFit) -> Constraint | None:
    """The constraints of a fit."""
    found = fit.optimum.constraint
    assert found is None or isinstance(found, Constraint)
    return found


def _same_sigma(small: Constraint, large: Constraint) -> bool:
    """Whether two constraints speak of the same sigma, if the larger model's does of that."""
    blocks_of = (small.classes.blocks, large.classes.blocks)
    references = [[block.labels[0] for block in found if block.reference] for found in blocks_of]
    of_sigma = SIGMA in large.given or SIGMA in large.given.values()
    return references[0] == references[1] or not of_sigma


def _names(found: Sequence[Quantity]) -> list[str]:
    """Whatever the reference of the residual is, after which the parameters of that follow each other."""
    return sorted(q.name for q in found)


def _add_mixtures(table: pd.DataFrame, fits: Sequence[ComparableFit], found: Sequence[Reference | None]) -> list[str]:
    """Add p-values of the distributions that hold on the boundary, where there is any, and say what these are."""
    if all(known is None for known in found) and all(constraint_of(fit) is None for fit in fits):
        return []
    notes, values = [], [np.nan]
    for i, known in enumerate(found, 1):
        weights = None if known is None else known.weights
        values.append(np.nan if weights is None else mixture_p_value(float(table["Chisq"].iloc[i]), weights))
        if known is None:
            continue
        notes.append(f"Pr(mixture) of {table.index[i]}: {known.text}.")
        if not known.is_bounded:
            table.loc[table.index[i], "Pr(>Chisq)"] = np.nan
    table["Pr(mixture)"] = values
    return notes


def _mixture(small: ComparableFit, large: ComparableFit, df: float) -> Reference | None:
    """What the statistic is referred to where constraints, or a correlation that one lacks, are on the boundary."""
    if not df > 0:
        return None
    own = constraint_of(small)
    added = row_reference(small.design, large.design, int(df))
    if own is None and (constraint_of(large) is None or added is None):
        return added
    if own is None or not same_covariances(own, large):
        more = "the two models differ in more than constraints; no mixture is known"
        return added if added is not None and not added.is_bounded else Reference(None, more)
    return reference(own, constraint_of(large), int(df))


def same_covariances(small: Constraint, large: ComparableFit) -> bool:
    """Whether the covariance parameters of the larger model are those of the smaller one without its constraints."""
    parts = blocks(large.design, [np.ones(term.k) for term in large.design.random])
    same = _names(small.classes.quantities) == _names(quantities(parts))
    pairs = zip(small.classes.blocks, parts, strict=True) if same and len(parts) == len(small.classes.blocks) else None
    return pairs is not None and all(type(a.matrix) is type(b.matrix) for a, b in pairs)


def check_same_data(fits: Sequence[ComparableFit], names: Sequence[str]) -> None:
    """
    Refuse fits whose likelihoods are not of the same data.

    Offsets may differ when the larger model has a coefficient for the difference, as when a slope of one,
    ``offset(x)``, is tested against a free one, ``x``; both likelihoods are then of the same response, and one model is
    a special case of the other. Other differences between offsets make models of which neither contains the other.

    Parameters
    ----------
    fits : sequence
    names : sequence of str
        One a fit.

    Raises
    ------
    ModelError
        For different rows, responses or weights, or offsets that no fixed effect accounts for.
    """
    first, reference = fits[0], fits[0].response
    for fit, name in zip(fits[1:], names[1:], strict=True):
        response = fit.response
        if not response.index.equals(reference.index):
            _refuse_rows(first, fit, names[0], name)
        different = _rows_apart(response, reference)
        if different.any():
            raise ModelError(
                f"{names[0]} and {name} have different responses (first in the rows "
                f"{shown(reference.index[different].tolist())}), so their likelihoods cannot be compared."
            )
        different = _rows_apart(fit.prior_weights, first.prior_weights)
        if different.any():
            raise ModelError(
                f"{names[0]} and {name} have different weights (first in the rows "
                f"{shown(reference.index[different].tolist())}), so their likelihoods cannot be compared. Fit both "
                "with the same weights=."
            )
        _check_offsets(first, fit, names[0], name)


def _rows_apart(values: pd.Series | pd.DataFrame, others: pd.Series | pd.DataFrame) -> NDArray[np.bool_]:
    """In which rows two fits have different values, or different traits; missing ones are alike."""
    one, other = (np.asarray(found, dtype=float).reshape(len(found), -1) for found in (values, others))
    if one.shape != other.shape:
        return np.ones(len(one), dtype=bool)
    return np.asarray(((one != other) & ~(np.isnan(one) & np.isnan(other))).any(axis=1))


def _refuse_rows(first: ComparableFit, second: ComparableFit, name: str, other: str) -> NoReturn:
    here, there = first.response.index, second.response.index
    only = here.symmetric_difference(there)
    where = f"these are in one only: {shown(only.tolist())}" if len(only) else "the same, in another order or number"
    raise ModelError(
        f"{name} and {other} were fitted to different rows ({first.nobs} and {second.nobs}); {where}. Fit both to the "
        "rows without missing values, for example with subset=."
    )


def _check_offsets(first: ComparableFit, second: ComparableFit, name: str, other: str) -> None:
    offsets = [0.0 if fit.design.offset is None else fit.design.offset for fit in (first, second)]
    difference = np.asarray(offsets[1] - offsets[0], dtype=float)
    if not difference.any():
        return
    X = (first if first.df > second.df else second).design.X
    left = difference - X @ np.linalg.lstsq(X, difference, rcond=None)[0] if X.shape[1] else difference
    if np.linalg.norm(left) > _NIL * np.linalg.norm(difference):
        rows = first.response.index[difference != 0]
        raise ModelError(
            f"{name} and {other} have different offsets (first in the rows {shown(rows.tolist())}), and no fixed "
            "effect of the larger model accounts for the difference, so that neither contains the other. Fit both with "
            "the same offset."
        )


def _check_criteria(fits: Sequence[ComparableFit], names: Sequence[str]) -> None:
    if len({fit.reml for fit in fits}) > 1:
        kinds = ", ".join(f"{name} by {'REML' if fit.reml else 'ML'}" for name, fit in zip(names, fits, strict=True))
        raise ModelError(f"REML and ML fits cannot be compared ({kinds}). Use refit=True, or fit all in one way.")
    if fits[0].reml and len({tuple(fit.fixef.index) for fit in fits}) > 1:
        raise ModelError(
            "REML fits with different fixed effects cannot be compared: their likelihoods are of different data. Use "
            "refit=True, which compares ML fits."
        )


def likelihood_ratio(larger: ArrayLike, smaller: ArrayLike) -> Floats:
    """
    Twice the difference of log-likelihoods; zero where it is less than an optimiser can tell from zero, 1e-6.

    A variance that is estimated as zero in the larger model makes the models one; the difference is then what the two
    searches left, of either sign, and its p-value is 1.

    Parameters
    ----------
    larger, smaller : float or array-like
        Log-likelihoods of models that contain others, and of those others.
    """
    found = 2.0 * (np.asarray(larger, dtype=float) - np.asarray(smaller, dtype=float))
    return np.where(found < _NOISE, 0.0, found)


def mixture_p_value(statistic: float, weights: Mapping[int, float]) -> float:
    """
    Upper tail of a mixture of χ² distributions (Self & Liang 1987).

    Parameters
    ----------
    statistic : float
        −2 log of the likelihood ratio; less than an optimiser can tell from zero, 1e-6, counts as zero.
    weights : mapping from int to float
        The share of each number of degrees of freedom; with none the statistic is zero.
    """
    statistic = statistic if statistic >= _NOISE else 0.0
    tails = {df: float(stats.chi2.sf(statistic, df)) if df else float(statistic == 0.0) for df in weights}
    return sum(weight * tails[df] for df, weight in weights.items())


def regression_loglik(design: Design, reml: bool) -> float:
    """
    Maximum of the (restricted) log-likelihood of a design without its random effects.

    With WX½ = QR the log-determinant of XᵀWX is that of R, and what Qᵀ leaves of the response is the residual; nothing
    else is needed (Harville 1974 for the restricted likelihood).

    Parameters
    ----------
    design : Design
        Its random terms are ignored.
    reml : bool
    """
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    y = root * (design.y if design.offset is None else design.y - design.offset)
    Q, R = np.linalg.qr(root[:, None] * design.X)
    residual = y - Q @ (Q.T @ y)
    residual -= Q @ (Q.T @ residual)  # once more: the first projection leaves rounding errors of the size of y
    dof = design.n - design.p * reml
    log_X = float(np.log(np.abs(np.diag(R))).sum()) if reml else 0.0
    r2 = float(residual @ residual)
    return float(np.log(root).sum()) - log_X - 0.5 * dof * (1.0 + float(np.log(2.0 * np.pi * r2 / dof)))
