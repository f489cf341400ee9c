"""The random terms of a model with their levels, and its random functions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import make_structure
from lmmpy.design.blueprint import Blueprint
from lmmpy.design.coding import ModelMatrix, model_matrix
from lmmpy.design.design import RandomEffects, RowCovariance
from lmmpy.design.kinship import Kinship
from lmmpy.design.reading import Reading
from lmmpy.design.responses import require_finite_columns
from lmmpy.design.row_functions import make_function
from lmmpy.design.traits import Stack, stacked_random, with_levels_everywhere
from lmmpy.design.values import Categorical
from lmmpy.errors import FormulaError, ModelError
from lmmpy.formula import ParsedFormula, RandomTerm
from lmmpy.relatedness import Relatedness

__all__ = ["levels_of_groups", "random_effects", "random_functions"]

Rows = NDArray[np.bool_]


def levels_of_groups(
    blueprint: Blueprint, reading: Reading, kinships: Mapping[str, Kinship], stack: Stack | None
) -> dict[str, tuple[Categorical, Relatedness]]:
    """Levels and relatedness of each grouping factor; those of the same ids and relatedness are the same objects."""
    found: dict[str, tuple[Categorical, Relatedness]] = {}
    alike: dict[Any, tuple[Categorical, Relatedness]] = {}
    for label, read in reading.groups.items():
        factor = read if stack is None else _everywhere(blueprint.parsed, label, read, stack, label in kinships)
        if label not in kinships:
            found[label] = factor, Relatedness.identity(len(factor.levels))
            continue
        kinship, full = kinships[label], blueprint.relatedness[label]
        of_factors = kinship.id is None or isinstance(kinship.id, Categorical)
        key = (label if of_factors else kinship.id, id(full))
        if key not in alike:
            alike[key] = kinship.levels(factor, full)
        found[label] = alike[key]
    return found


def _everywhere(parsed: ParsedFormula, label: str, factor: Categorical, stack: Stack, related: bool) -> Categorical:
    """A level for each row, also of a grouping factor that is of some traits only, for the rows that lack them."""
    terms = [term for term in parsed.random if term.grouping.label == label]
    if not terms or any(term.trait is None for term in terms):
        return factor
    own = [stack.place(term.trait) for term in terms if term.trait is not None]
    here: Rows = np.any(stack.present[:, own], axis=1)
    return with_levels_everywhere(factor, factor.codes >= 0 if related else here)


def random_effects(
    blueprint: Blueprint,
    reading: Reading,
    groups: Mapping[str, tuple[Categorical, Relatedness]],
    rows: Rows,
    stack: Stack | None,
) -> tuple[RandomEffects, ...]:
    """
    The random terms, by decreasing number of levels.

    Parameters
    ----------
    blueprint : Blueprint
    reading : Reading
        On the rows of the data that are used.
    groups : mapping
        See `levels_of_groups`.
    rows : ndarray of bool, shape (n_rows,)
        The rows of the data that are used.
    stack : Stack or None
        With several traits.
    """
    effects: list[RandomEffects] = []
    stacked: dict[int, Categorical] = {}
    for term in _in_order(blueprint.parsed.random, groups):
        values, (grouping, relatedness) = [reading.values[v] for v in term.lhs.variables], groups[term.grouping.label]
        coded = model_matrix(term.lhs, values, blueprint.bar_contrasts, len(grouping), order="C")
        require_finite_columns(*_of_its_trait(coded, term, stack, rows))
        columns, matrix = coded.names, coded.X
        if stack is not None:
            columns, matrix = stacked_random(stack, term, coded)
            if id(grouping) not in stacked:
                stacked[id(grouping)] = replace(grouping, codes=grouping.codes[stack.traits.row])
            grouping = stacked[id(grouping)]
        effects.append(
            RandomEffects(
                term=term,
                name=_unique(term.grouping.label, [e.name for e in effects]),
                columns=columns,
                values=matrix,
                grouping=grouping,
                structure=_structure(term, len(columns)),
                relatedness=relatedness,
            )
        )
    return tuple(effects)


def _of_its_trait(
    coded: ModelMatrix, term: RandomTerm, stack: Stack | None, rows: Rows
) -> tuple[ModelMatrix, str, Rows]:
    """The columns on the rows that use them, and what to call them in a message."""
    what = f"column left of the bar in ({term.text})"
    if stack is None or term.trait is None:
        return coded, what, rows
    mask, used = stack.present[:, stack.place(term.trait)], rows.copy()
    used[rows] = mask
    return replace(coded, X=coded.X[mask]), what, used


def _in_order(terms: Sequence[RandomTerm], groups: Mapping[str, tuple[Categorical, Relatedness]]) -> list[RandomTerm]:
    """By decreasing number of levels that rows have; lme4 leaves a decreasing order alone and else turns ties round."""
    counts = {label: int(np.count_nonzero(np.bincount(grouping.codes))) for label, (grouping, _) in groups.items()}
    sizes = [counts[term.grouping.label] for term in terms]
    if all(a >= b for a, b in itertools.pairwise(sizes)):
        return list(terms)
    return [terms[i] for i in np.argsort(sizes, kind="stable")[::-1]]


def _unique(label: str, taken: Sequence[str]) -> str:
    name, count = label, 0
    while name in taken:
        count += 1
        name = f"{label}.{count}"
    return name


def _structure(term: RandomTerm, k: int) -> Any:
    try:
        return make_structure(term.structure, k, term.homogeneous)
    except ValueError as error:
        raise FormulaError(f"In the random term {term.text}: {error}.") from None


def random_functions(
    blueprint: Blueprint, reading: Reading, groups: Mapping[str, tuple[Categorical, Relatedness]], rows: Rows
) -> tuple[RowCovariance, ...]:
    """
    The random functions of a covariate.

    Parameters
    ----------
    blueprint, reading, groups, rows
        As for `random_effects`.

    Raises
    ------
    ModelError
        With several traits.
    """
    if blueprint.parsed.functions and blueprint.parsed.traits:
        text = blueprint.parsed.functions[0].text
        raise ModelError(
            f"{text}: a random function of a covariate is not fitted with several traits at once. Fit the traits one "
            "by one, or write (x | g)."
        )
    names: list[str] = []
    found = []
    for term in blueprint.parsed.functions:
        names.append(_unique(term.text, names))
        value = reading.values[term.lhs.variables[0]]
        found.append(make_function(names[-1], term, value, *groups[term.grouping.label], rows))
    return tuple(found)
