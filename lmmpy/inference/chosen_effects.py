"""Which random effects a prediction adds: `re_form`, as names or as a formula."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Blueprint, Design
from lmmpy.design.evaluate import Evaluator
from lmmpy.errors import FormulaError, ModelError, shown
from lmmpy.formula import RandomTerm, deparse, parse_formula
from lmmpy.inference.data_columns import ColumnsOfData

__all__ = ["chosen_effects", "chosen_terms"]

Mask = NDArray[np.bool_]


def chosen_effects(design: Design, blueprint: Blueprint, re_form: Any, evaluator: Evaluator) -> dict[int, Mask]:
    """
    Which random effects a prediction adds.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    re_form : "all", "none", None, sequence of str, or a one-sided formula
        See `chosen_terms`; a formula such as ``"~ (1 | Subject)"`` holds the terms to keep, each with some or all of
        the effects that the model has for that grouping factor.
    evaluator : Evaluator
        Over any data with the columns left of the formula's bars, to know the names of the effects.

    Returns
    -------
    dict from place in `design.random` to ndarray of bool, shape (k,)

    Raises
    ------
    FormulaError
        For a formula with a response, with fixed terms, or without random ones.
    ModelError
        For a term or an effect that the model does not have.
    """
    if not isinstance(re_form, str) or "~" not in re_form or is_none(re_form):
        return {place: np.ones(design.random[place].k, dtype=bool) for place in chosen_terms(design, re_form)}
    parsed = parse_formula(re_form)
    if parsed.response is not None or parsed.fixed.terms or parsed.fixed.offsets or not parsed.all_random:
        example = design.random[0].term.text if design.random else "1 | g"
        raise FormulaError(
            f"re_form={re_form!r} must hold random terms to keep and nothing else, for example '~ ({example})'; '~0' "
            "keeps none. The fixed part and the offset are always used."
        )
    kept: dict[int, Mask] = {}
    for asked in parsed.random:
        for place, mask in _of_term(design, blueprint, asked, evaluator).items():
            kept[place] = kept.get(place, False) | mask
    return kept


def chosen_terms(design: Design, re_form: Any) -> list[int]:
    """
    Which random terms a prediction uses.

    Parameters
    ----------
    design : Design
    re_form : "all", "none", None or sequence of str
        All terms (also None, as R's NULL), none (also R's ``~0`` and ``NA``, a NaN), or those with these names or
        grouping factors.

    Returns
    -------
    list of int
        Places in `design.random`.

    Raises
    ------
    ModelError
        For a name that no random term has.
    """
    if re_form is None or (isinstance(re_form, str) and re_form == "all"):
        return list(range(len(design.random)))
    if is_none(re_form):
        return []
    wanted = (
        [re_form] if isinstance(re_form, str) else list(re_form) if isinstance(re_form, Iterable) else [repr(re_form)]
    )
    places = [i for i, term in enumerate(design.random) if term.name in wanted or term.group in wanted]
    known = {name for term in design.random for name in (term.name, term.group)}
    known |= {function.name for function in design.functions}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ModelError(
            f"re_form names {shown(unknown)}, which is no random term. Use 'all', 'none', or some of "
            f"{shown([term.name for term in design.random] + [rows.name for rows in design.functions], 20)}."
        )
    return places


def is_none(re_form: Any) -> bool:
    """Whether no random term is wanted: "none", or what R has for it, ``~0``, ``NA`` or a NaN."""
    if isinstance(re_form, str):
        return re_form.replace(" ", "") in ("none", "~0", "NA")
    return isinstance(re_form, float) and math.isnan(re_form)


def _of_term(design: Design, blueprint: Blueprint, asked: RandomTerm, evaluator: Evaluator) -> dict[int, Mask]:
    """The effects that one term of the formula asks for, wherever the model has them."""
    factors = set(asked.grouping.factors)
    fitted = {
        i: term
        for i, term in enumerate(design.random)
        if set(term.term.grouping.factors) == factors and asked.trait in (None, term.term.trait)
    }
    if not fitted:
        raise ModelError(
            f"re_form keeps ({asked.text}), but no random term of the model has the grouping factor "
            f"{asked.grouping.label!r}{f' for {asked.trait}' if asked.trait else ''}. The terms are "
            f"{shown([f'({t.term.text})' for t in design.random], 20)}."
        )
    columns = [name for term in fitted.values() for name in term.columns]
    # An expression that the model does not have is refused by its text: the new data need not be able to evaluate it.
    variables = {node for term in fitted.values() for node in term.term.lhs.variables}
    names = [deparse(node) for node in asked.lhs.variables if node not in variables]
    reader, wanted = ColumnsOfData(design, blueprint, evaluator), dict[int, tuple[str, ...]]()
    if not names:
        # With several traits a term of one of them has its columns only.
        wanted = {i: reader.random(replace(asked, trait=term.term.trait))[0] for i, term in fitted.items()}
        names = [name for name in dict.fromkeys(name for found in wanted.values() for name in found)]
        names = [name for name in names if name not in columns]
    if names:
        raise ModelError(
            f"re_form keeps ({asked.text}), but {shown(names)} is no random effect of {asked.grouping.label!r}. The "
            f"model has {shown(columns, 20)}; a factor must be coded as there."
        )
    return {i: np.array([column in wanted[i] for column in term.columns]) for i, term in fitted.items()}
