"""Breeding values: predicted effects of all that a relatedness has, recorded or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmpy.design import Design, RandomEffects
from lmmpy.design.coding import INTERCEPT
from lmmpy.errors import ModelError, shown
from lmmpy.inference.breeding_values import (
    accuracies,
    criterion_at_once,
    inbreeding_coefficients,
    prediction_error_variances,
)
from lmmpy.inference.prediction_relatives import grouping_of, relatives_effects, with_levels
from lmmpy.inference.trait_columns import trait_of_columns
from lmmpy.relatedness import Relatedness

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["breeding_values", "related_terms"]

# An integer as it would be written, which "007" is not, and in the range of 64 bits.
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")


def related_terms(fit: LmmFit, what: str) -> dict[int, RandomEffects]:
    """
    The random terms with a relatedness, by their place in the design.

    Raises
    ------
    ModelError
        When there is none.
    """
    known = fit.blueprint.relatedness
    found = {place: term for place, term in enumerate(fit.design.random) if term.group in known}
    if not found:
        raise ModelError(
            f"{what} is for random terms whose levels are related, and {fit.formula} has none. Write kin(A), or "
            "kin(id, A) to name the column of ids, with a pedigree or another relatedness A."
        )
    return found


def breeding_values(fit: LmmFit, name: str | None) -> pd.DataFrame:
    """See `LmmFit.breeding_values`."""
    place = _place(fit, name)
    term, full = fit.design.random[place], fit.blueprint.relatedness[fit.design.random[place].group]
    design, b, criterion = fit.design, fit.solution.b, fit.criterion
    theta = fit.optimum.theta
    if full.size != term.n_levels:
        design = with_levels(design, {term.group: full})
        b = relatives_effects(fit.design, design, theta, fit.solution.beta, b)
        term = design.random[place]
    if design is not fit.design or criterion.name == "spectral":  # whose rotations cost more than one factorisation
        criterion = criterion_at_once(design, fit.reml)
    variances = prediction_error_variances(criterion, theta, fit.solution.unscaled_vcov, place)
    effects = b[design.starts[place] : design.starts[place + 1]].reshape(-1, term.k)
    accuracy = accuracies(term, design.split_theta(theta)[place], variances)
    ids, levels = _everybody(full, term)
    columns = {"id": np.repeat(_like_the_data(ids, term, fit), term.k)}
    for what, labels in _labels(term, fit.design).items():
        columns[what] = np.tile(np.array(labels, dtype=object), len(ids))
    columns["estimate"] = effects[levels].ravel()
    columns["std_error"] = fit.sigma * np.sqrt(variances[levels]).ravel()
    columns["accuracy"] = accuracy[levels].ravel()
    columns["recorded"] = _recorded(fit, term, ids).ravel()
    F = inbreeding_coefficients(term.relatedness)
    if F is not None:
        columns["inbreeding"] = np.repeat(F[levels], term.k)
    return pd.DataFrame(columns)


def _place(fit: LmmFit, name: str | None) -> int:
    terms = related_terms(fit, "breeding_values")
    names = {term.name: place for place, term in terms.items()}
    if name is None and len(terms) == 1:
        return next(iter(terms))
    if name is None:
        raise ModelError(f"{shown(names, 20)} have a relatedness each. Choose one, breeding_values(term=...).")
    if name not in names:
        raise ModelError(f"{name!r} is no random term with a relatedness; {shown(names, 20)} are.")
    return names[name]


def _recorded(fit: LmmFit, term: RandomEffects, ids: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Whether rows have the id itself, and the trait of an effect, shape (ids, k)."""
    grouping, traits = grouping_of(term, fit.evaluator()), fit.design.traits
    labels = np.array(grouping.labels, dtype=object)[grouping.codes]
    if traits is None:
        of_effects = [set(labels)] * term.k
    else:
        of_trait = {name: set(labels[traits.row[traits.trait == t]]) for t, name in enumerate(traits.names)}
        of_effects = [of_trait[name] for name in _labels(term, fit.design)["trait"]]
    return np.array([[one in recorded for recorded in of_effects] for one in ids], dtype=bool)


def _labels(term: RandomEffects, design: Design) -> dict[str, list[str]]:
    """What tells the effects of one individual apart: the trait, and the effect where that is not the intercept."""
    if design.traits is None:
        return {} if term.columns == (INTERCEPT,) else {"effect": list(term.columns)}
    traits = design.traits.names
    own = [traits[t] for t in trait_of_columns(term.values, design.traits)]
    effects = [column.removeprefix(trait).removeprefix(":") for column, trait in zip(term.columns, own, strict=True)]
    return {"trait": own} | ({"effect": [one or INTERCEPT for one in effects]} if any(effects) else {})


def _everybody(full: Relatedness, term: RandomEffects) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """All ids in the order of the relatedness, identical twins one behind the other; and their levels in the term."""
    ids = list(full.ids)
    return ids, np.asarray(term.relatedness.positions(ids))


def _like_the_data(ids: list[str], term: RandomEffects, fit: LmmFit) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Ids as numbers where the data have numbers and all ids are whole ones, so that both can be joined; else text."""
    factors = term.term.grouping.factors
    values = fit.evaluator().column(factors[0]) if len(factors) == 1 else None
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and all(map(_WHOLE.fullmatch, ids)):
        return np.array(ids).astype(np.int64)
    return np.array(ids, dtype=object)
