"""Predictions for new data: the fixed part, and the random effects of the levels that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lmmpy.design import Blueprint, Design, RandomEffects
from lmmpy.design.values import Categorical, Codes, Floats, combine, factorize
from lmmpy.errors import DataError, ModelError, shown

__all__ = ["chosen_terms", "linear_predictor", "predict_new"]


def chosen_terms(design: Design, re_form: Any) -> list[int]:
    """
    Which random terms a prediction uses.

    Parameters
    ----------
    design : Design
    re_form : "all", "none", None or sequence of str
        All terms (also None, as R's NULL), none (also R's ``~0`` and ``NA``), or those with these names or grouping
        factors.

    Returns
    -------
    list of int
        Places in `design.random`.
    """
    if re_form is None or (isinstance(re_form, str) and re_form == "all"):
        return list(range(len(design.random)))
    if isinstance(re_form, str) and re_form.replace(" ", "") in ("none", "~0", "NA"):
        return []
    wanted = (
        [re_form] if isinstance(re_form, str) else list(re_form) if isinstance(re_form, Iterable) else [repr(re_form)]
    )
    places = [i for i, term in enumerate(design.random) if term.name in wanted or term.group in wanted]
    known = {name for term in design.random for name in (term.name, term.group)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ModelError(
            f"re_form names {shown(unknown)}, which is no random term. Use 'all', 'none', or some of "
            f"{shown([term.name for term in design.random], 20)}."
        )
    return places


def linear_predictor(
    design: Design, beta: Floats, effects: Mapping[str, Floats], terms: Sequence[int] | None = None
) -> Floats:
    """
    Xβ + Zb of the rows of a design, offset included.

    Parameters
    ----------
    design : Design
    beta : ndarray, shape (p,)
    effects : mapping
        b of each term by its name, shape (levels, k).
    terms : sequence of int, optional
        Which random terms to add; all by default.

    Returns
    -------
    ndarray, shape (n,)
    """
    value: Floats = design.X @ beta
    if design.offset is not None:
        value = value + design.offset
    for term in design.random if terms is None else [design.random[place] for place in terms]:
        value += np.einsum("nk,nk->n", term.values, effects[term.name][term.codes])
    return value


def predict_new(
    design: Design,
    blueprint: Blueprint,
    data: Any,
    beta: Floats,
    effects: Mapping[str, Floats],
    terms: Sequence[int],
    allow_new_levels: bool,
) -> Floats:
    """
    The linear predictor for new data.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    data : frame or mapping
    beta : ndarray, shape (p,)
    effects : mapping
        b of each term by its name, shape (levels, k).
    terms : sequence of int
        Which random terms to add.
    allow_new_levels : bool
        Whether a level that was not seen when fitting has the effect zero; else it is an error.

    Returns
    -------
    ndarray, shape (n,)
        NaN in rows that miss a value.

    Raises
    ------
    DataError
        For a missing column, or a level that was not seen.
    """
    if blueprint.has_numeric_offset:
        raise ModelError(
            "The model was fitted with an offset given as numbers, which is unknown for new data. Fit it with an "
            "expression, offset='column' or + offset(column) in the formula."
        )
    evaluator = blueprint.evaluator(data)
    fixed = blueprint.fixed_matrix(evaluator)
    kept = [fixed.names.index(name) for name in design.names]
    value = (fixed.X[:, kept] if design.dropped else fixed.X) @ beta
    for node in [*blueprint.parsed.fixed.offsets, *([blueprint.offset] if blueprint.offset is not None else [])]:
        value = value + np.asarray(evaluator.column(node), dtype=float)
    for place in terms:
        term = design.random[place]
        factors = [factorize(evaluator.column(node)) for node in term.term.grouping.factors]
        codes = _known_codes(term, combine(factors), allow_new_levels)
        columns = blueprint.random_matrix(term.term, evaluator).X
        b = np.vstack([effects[term.name], np.zeros(term.k)])
        value = value + np.einsum("nk,nk->n", columns, b[codes])
    return value


def _known_codes(term: RandomEffects, grouping: Categorical, allow_new_levels: bool) -> Codes:
    """Place of each row's level among those of the fit; −1 (an effect of zero) for a new or missing one."""
    codes, unseen = grouping.codes_among(term.levels)
    missing = bool((grouping.codes < 0).any())
    if (unseen or missing) and not allow_new_levels:
        what = f"levels that the fit has not seen: {shown(unseen)}" if unseen else "missing values"
        raise DataError(
            f"The grouping factor {term.group!r} has {what}. With allow_new_levels=True their random effects are "
            "taken as zero; re_form='none' predicts without random effects."
        )
    return codes
