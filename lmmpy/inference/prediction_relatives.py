"""Relatives without records: a design in which a term has more related levels, and the effects predicted of them.

With α = ZᵀV⁻¹(y − Xβ̂) = ZᵀW(y − Xβ̂ − Zb̂), a sum over the rows of each level, the effects of any level i are predicted
by b̂_i = C Σ_l K_il α_l, whether it has rows or not (Henderson 1977). K need not have an inverse.
"""

from __future__ import annotations

import itertools
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmmpy.design import Blueprint, Design, RandomEffects
from lmmpy.design.columns import Columns
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.lookup import look_up, names_used
from lmmpy.design.values import Categorical, Floats, combine, factorize
from lmmpy.errors import DataError, LmmpyError, ModelError, shown
from lmmpy.inference.breeding_values import criterion_at_once
from lmmpy.relatedness import Relatedness, as_relatedness

__all__ = ["given_relatedness", "grouping_of", "relatives_effects", "relatives_of_data", "with_levels"]

# Of two relatednesses, an entry that differs by more than this of the typical one is another.
_SAME = 1e-8
_PROBES = 4


def with_levels(design: Design, related: Mapping[str, Relatedness]) -> Design:
    """
    A design whose kin terms have other levels: those with rows, and whom else a relatedness has.

    Parameters
    ----------
    design : Design
    related : mapping of str to Relatedness
        By label of the grouping factor; each has all levels that rows have.

    Returns
    -------
    Design
        With the same rows and the same parameters θ.
    """
    groupings: dict[str, Categorical] = {}
    terms = []
    for term in design.random:
        K = related.get(term.group)
        if K is not None and term.group not in groupings:
            # What is written for a level without rows is never looked at.
            place = np.zeros(term.n_levels, dtype=np.intp)
            place[term.recorded] = K.positions(_recorded_labels(term))
            groupings[term.group] = Categorical(place[term.codes], np.array(K.labels, dtype=object))
        terms.append(term if K is None else replace(term, grouping=groupings[term.group], relatedness=K))
    return replace(design, random=tuple(terms))


def _recorded_labels(term: RandomEffects) -> list[str]:
    return [label for label, has_rows in zip(term.levels, term.recorded, strict=True) if has_rows]


def relatives_effects(design: Design, extended: Design, theta: Floats, beta: Floats, b: Floats) -> Floats:
    """
    Predicted random effects of all levels of an extended design.

    Parameters
    ----------
    design : Design
        Of the fit.
    extended : Design
        The same with more levels; see `with_levels`.
    theta : ndarray, shape (n_theta,)
    beta : ndarray, shape (p,)
    b : ndarray, shape (q,)
        Those of the fit.

    Returns
    -------
    ndarray, shape (q of `extended`,)

    References
    ----------
    Henderson (1977), Best linear unbiased prediction of breeding values not in the model for records, J. Dairy Sci.
    60, 783–787.
    """
    if design.row_covariances:
        # V⁻¹(y − Xβ̂) is no simple function of b̂ there: the system of all levels is solved instead.
        solved = criterion_at_once(extended, reml=False).solve(theta).b
        parts = [solved[a:z] for a, z in itertools.pairwise(extended.starts)]
    else:
        parts = _by_sums_over_rows(design, extended, theta, beta, b)
    found = []
    for term, more, part, start in zip(design.random, extended.random, parts, design.starts, strict=False):
        own, effects = b[start : start + term.q], part
        if more is not term:
            effects = part.reshape(-1, term.k)
            effects[more.codes] = own.reshape(-1, term.k)[term.codes]  # those with rows to the last digit as in the fit
        found.append(own if more is term else effects.ravel())
    return np.concatenate([np.empty(0), *found])


def _by_sums_over_rows(design: Design, extended: Design, theta: Floats, beta: Floats, b: Floats) -> list[Floats]:
    """C Σ_l K_il α_l with α = ZᵀW(y − Xβ̂ − Zb̂), term by term."""
    left = design.y - design.X @ beta - design.Z @ b
    left = left if design.offset is None else left - design.offset
    left = left if design.weights is None else left * design.weights
    found = []
    terms = zip(design.random, extended.random, design.split_theta(theta), design.starts, strict=False)
    for term, more, part, start in terms:
        if more is term:
            found.append(b[start : start + term.q])
            continue
        T = more.structure.factor(part).T
        sums = [np.bincount(more.codes, z * left, minlength=more.n_levels) for z in more.values.T]
        found.append(np.asarray(more.relatedness.times(np.column_stack(sums)) @ (T @ T.T)).ravel())
    return found


def grouping_of(term: RandomEffects, evaluator: Evaluator) -> Categorical:
    """The level of each row of some data; for related levels the ids, each identical twin's its own."""
    return combine([factorize(evaluator.column(node)) for node in term.term.grouping.factors])


def relatives_of_data(
    design: Design,
    blueprint: Blueprint,
    evaluator: Evaluator,
    places: Iterable[int],
    given: Mapping[str, Relatedness],
) -> dict[str, Relatedness]:
    """
    The relatedness that it takes to predict relatives whom the fit does not have.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    evaluator : Evaluator
        Over the new data.
    places : iterable of int
        Terms that the prediction adds, in `design.random`.
    given : mapping of str to Relatedness
        By label of the grouping factor; it stands for that of the fit. See `given_relatedness`.

    Returns
    -------
    dict of Relatedness
        By label of the grouping factor; only of those that have more levels than the fit.
    """
    found: dict[str, Relatedness] = {}
    for term in (design.random[place] for place in places):
        if term.group not in blueprint.relatedness or term.group in found:
            continue
        asked = grouping_of(term, evaluator).drop_unused().labels
        known = {*term.levels, *term.relatedness.aliases}
        new = [label for label in dict.fromkeys(asked) if label not in known]
        if not new:
            continue
        full = given.get(term.group, blueprint.relatedness[term.group])
        theirs = {*(full.labels or ()), *full.aliases}
        new = [label for label in new if label in theirs]
        if new:
            twins = [label for label in dict.fromkeys(asked) if label in term.relatedness.aliases]
            found[term.group] = full.for_levels([one for one in (*term.levels, *twins) if one in theirs] + new)
    return found


def given_relatedness(
    design: Design, blueprint: Blueprint, relmat: Mapping[str, Any], columns: Columns
) -> dict[str, Relatedness]:
    """
    Larger relatednesses than those of the fit, with which they must agree.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    relmat : mapping
        As in `lmer`: by the A of ``kin(id, A)``, or by grouping factor; or by the name of the term.
    columns : Columns
        Of the new data.

    Returns
    -------
    dict of Relatedness
        By label of the grouping factor.

    Raises
    ------
    ModelError
        When it is no mapping, or holds what the model does not use.
    DataError
        When ids of the fit are not there, or are related in another way.
    """
    if not isinstance(relmat, Mapping):
        raise ModelError(
            f"relmat must map names to relatednesses, as in {{'A': pedigree}}, not be a {type(relmat).__name__}."
        )
    found: dict[str, Relatedness] = {}
    used: set[str] = set()
    for term in design.random:
        kin, label = term.term.grouping.kin, term.group
        names = {label} if kin is None or label in relmat else names_used(kin.relatedness)
        if label in found or label not in blueprint.relatedness or not names & set(relmat):
            continue
        used |= names & set(relmat)
        scope = ChainMap(dict(relmat), dict(blueprint.scope))
        value = relmat[label] if kin is None or label in relmat else look_up(kin.relatedness, scope, columns, label)
        found[label] = _agreeing(term, value)
    unused = [key for key in relmat if key not in used]
    if unused:
        raise ModelError(
            f"relmat holds {shown(unused)}, which is no relatedness of the fit. Its terms with one are "
            f"{shown(blueprint.relatedness, 20) or '(none)'}; a key is one of these names, or the A of kin(id, A)."
        )
    return found


def _agreeing(term: RandomEffects, value: Any) -> Relatedness:
    """A relatedness given for a term, after a comparison with that of the fit."""
    label, recorded = term.group, _recorded_labels(term)
    try:
        larger = as_relatedness(value)
    except LmmpyError as error:
        raise type(error)(f"{label}: {error}") from error
    if larger.labels is None:
        raise DataError(
            f"{label}: the relatedness in relmat has no labels, so that the ids of the fit cannot be found in it. Use "
            "Relatedness(K, labels=ids), or a DataFrame with the ids as index and columns."
        )
    theirs = {*larger.labels, *larger.aliases}
    absent = [one for one in recorded if one not in theirs]
    if absent:
        raise DataError(
            f"{label}: the relatedness in relmat lacks {len(absent)} of the {len(recorded)} ids of the fit: "
            f"{shown(absent)}. It must hold them and the new ones."
        )
    here, there = np.flatnonzero(term.recorded), larger.positions(recorded)
    probes = np.random.default_rng(0).standard_normal((len(here), _PROBES))
    # Rows of K that differ give another product with random numbers.
    products = [_products(K, at, probes) for K, at in ((term.relatedness, here), (larger, there))]
    size = 1.0 + np.abs(products[0]).max()
    distance = np.abs(products[0] - products[1]).max(axis=1)
    other = np.flatnonzero(distance > _SAME * size)
    if len(other):
        _refuse_other(term, larger, here, there, int(np.argmax(distance)), [recorded[i] for i in other])
    return larger


def _products(K: Relatedness, at: np.ndarray[Any, np.dtype[np.intp]], probes: Floats) -> Floats:
    whole = np.zeros((K.size, probes.shape[1]))
    np.add.at(whole, at, probes)
    return np.asarray(K.times(whole)[at])


def _refuse_other(
    term: RandomEffects,
    larger: Relatedness,
    here: np.ndarray[Any, np.dtype[np.intp]],
    there: np.ndarray[Any, np.dtype[np.intp]],
    i: int,
    names: Sequence[str],
) -> None:
    rows = term.relatedness.block(here[[i]], here)[0], larger.block(there[[i]], there)[0]
    j = int(np.argmax(np.abs(rows[0] - rows[1])))
    labels = [term.levels[level] for level in here]
    raise DataError(
        f"{term.group}: the relatedness in relmat is not that of the fit for {len(names)} of its ids: {shown(names)}. "
        f"{labels[i]!r} and {labels[j]!r} have {rows[1][j]:.6g} there, {rows[0][j]:.6g} in the fit. Give the same "
        "relatedness with more ids, or fit with the new one."
    )
