"""Several responses one below the other: which rows there are, and the columns of each trait beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.coding import INTERCEPT, ModelMatrix
from lmmpy.design.design import Traits
from lmmpy.design.reading import Reading, residual_nodes
from lmmpy.design.values import Categorical, Codes, Floats, missing
from lmmpy.errors import DataError, shown
from lmmpy.formula import Node, ParsedFormula, RandomTerm, ResidualSpec, Term, deparse

__all__ = [
    "Stack",
    "combined_terms",
    "named_by_trait",
    "observed",
    "outside",
    "side_by_side",
    "stacked_fixed",
    "stacked_random",
    "with_levels_everywhere",
]

Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """
    The rows of a design with several traits: rows of the data follow each other, in them traits do.

    Attributes
    ----------
    names : tuple of str, length d
    present : ndarray of bool, shape (n_rows, d)
        Which traits each row of the data has, of the rows that are used.
    """

    names: tuple[str, ...]
    present: Rows

    @classmethod
    def complete(cls, names: tuple[str, ...], n_rows: int) -> Stack:
        """All traits of some rows."""
        return cls(names, np.ones((n_rows, len(names)), dtype=bool))

    @property
    def traits(self) -> Traits:
        """Trait and row of the data of each row."""
        row, trait = np.nonzero(self.present)
        return Traits(self.names, trait.astype(np.intp), row.astype(np.intp))

    def interleaved(self, parts: Sequence[Floats]) -> Floats:
        """Values of each trait, on the rows that have it, in the order of the rows of a design, shape (n,)."""
        trait = self.traits.trait
        found = np.empty(len(trait))
        for t, part in enumerate(parts):
            found[trait == t] = part
        return found

    def place(self, name: str) -> int:
        """Number of a trait."""
        return self.names.index(name)


def observed(
    parsed: ParsedFormula, residual: ResidualSpec | None, reading: Reading, kept: Rows, na_action: str
) -> Rows:
    """
    Which traits of which rows can be used: those with a response and everything that the trait needs.

    Parameters
    ----------
    parsed : ParsedFormula
    residual : ResidualSpec or None
    reading : Reading
        On all rows of the data.
    kept : ndarray of bool, shape (n_rows,)
        Rows that `subset` keeps.
    na_action : {"omit", "exclude", "fail"}

    Returns
    -------
    ndarray of bool, shape (n_rows, d)

    Raises
    ------
    DataError
        Under "fail", when anything but some traits of a row is missing; when a trait has no value left.
    """
    present = np.empty((len(kept), len(parsed.traits)), dtype=bool)
    complaints: dict[str, None] = {}
    for t, trait in enumerate(parsed.traits):
        has = kept & ~missing(reading.values[trait.node])
        if not has.any():
            raise DataError(f"The trait {trait.name!r} is missing in all rows that are used.")
        absent = np.zeros(len(kept), dtype=bool)
        for text, value in _needed(parsed, residual, reading, trait.name, t):
            gaps = missing(value) & has
            absent |= gaps
            if gaps.any():
                first = shown(np.flatnonzero(gaps).tolist())
                complaints[f"{text!r} in {gaps.sum()} rows (first: {first})"] = None
        present[:, t] = has & ~absent
        if not present[:, t].any():
            raise DataError(f"No row that has the trait {trait.name!r} has all the values that the model needs.")
    none = kept & ~present.any(axis=1)
    if na_action == "fail" and (complaints or none.any()):
        if none.any() and not complaints:
            complaints[f"every trait in {none.sum()} rows (first: {shown(np.flatnonzero(none).tolist())})"] = None
        raise DataError(
            f"na_action='fail' and values are missing: {'; '.join(complaints)} (rows counted from 0). Use "
            "na_action='omit' to leave these rows out, or fill them in."
        )
    return present


def _needed(
    parsed: ParsedFormula, residual: ResidualSpec | None, reading: Reading, trait: str, place: int
) -> list[tuple[str, Any]]:
    """What a trait needs besides its response."""
    terms = parsed.by_trait[place]
    random = [term for term in parsed.all_random if term.trait in (None, trait)]
    nodes = [*terms.variables, *(node for term in random for node in term.lhs.variables)]
    nodes += residual_nodes(parsed, residual)
    found: list[tuple[str, Any]] = [(deparse(node), reading.values[node]) for node in dict.fromkeys(nodes)]
    labels = [term.grouping.label for term in random]
    if residual is not None and residual.known is not None:
        labels.append(residual.known.label)
    found += [(label, reading.groups[label]) for label in dict.fromkeys(labels)]
    found += [(f"offset({deparse(node)})", reading.offsets[node]) for node in terms.offsets]
    extra = (("weights", reading.weights), ("offset", reading.offset))
    return found + [(text, value) for text, value in extra if value is not None]


def outside(parsed: ParsedFormula, residual: ResidualSpec | None, present: Rows) -> dict[Node, Rows]:
    """
    The rows in which no trait that uses an expression is there, by expression.

    Parameters
    ----------
    parsed : ParsedFormula
    residual : ResidualSpec or None
    present : ndarray of bool, shape (n_rows, d)
    """
    found: dict[Node, Rows] = {}
    everywhere = residual_nodes(parsed, residual)
    for t, trait in enumerate(parsed.traits):
        random = [term for term in parsed.all_random if term.trait in (None, trait.name)]
        nodes = [*parsed.by_trait[t].variables, *(node for term in random for node in term.lhs.variables), *everywhere]
        for node in dict.fromkeys(nodes):
            found[node] = found.get(node, np.ones(len(present), dtype=bool)) & ~present[:, t]
    return found


def named_by_trait(trait: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of one trait, such as ``bmi:age``."""
    return tuple(f"{trait}:{name}" for name in names)


def side_by_side(parsed: ParsedFormula, parts: Sequence[ModelMatrix]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """
    Names and terms of the columns of all traits, trait by trait.

    Parameters
    ----------
    parsed : ParsedFormula
    parts : sequence of ModelMatrix
        One a trait.

    Returns
    -------
    names : tuple of str, length p
    assign : tuple of int, length p
        Number of the term in `combined_terms`, 0 for an intercept.
    """
    names: list[str] = []
    assign: list[int] = []
    before = 0
    for trait, terms, part in zip(parsed.traits, parsed.by_trait, parts, strict=True):
        names += named_by_trait(trait.name, part.names)
        assign += [place + before if place else 0 for place in part.assign]
        before += len(terms.terms)
    return tuple(names), tuple(assign)


def combined_terms(parsed: ParsedFormula) -> tuple[tuple[str, Term], ...]:
    """The terms of all traits with the trait of each, in the order of the columns' `assign`, from 1."""
    pairs = zip(parsed.traits, parsed.by_trait, strict=True)
    return tuple((trait.name, term) for trait, terms in pairs for term in terms.terms)


def stacked_fixed(stack: Stack, parts: Sequence[Floats]) -> Floats:
    """
    The fixed-effects matrix of all traits.

    Parameters
    ----------
    stack : Stack
    parts : sequence of ndarray
        The columns of each trait, on the rows of the data that have it.

    Returns
    -------
    ndarray, shape (n, p)
    """
    trait = stack.traits.trait
    X = np.zeros((len(trait), sum(part.shape[1] for part in parts)), order="F")
    first = 0
    for t, part in enumerate(parts):
        here = np.flatnonzero(trait == t)
        for j, column in enumerate(part.T, first):  # as they lie in memory
            X[here, j] = column
        first += part.shape[1]
    return X


def stacked_random(stack: Stack, term: RandomTerm, coded: ModelMatrix) -> tuple[tuple[str, ...], Floats]:
    """
    The columns of a random term, trait by trait.

    Parameters
    ----------
    stack : Stack
    term : RandomTerm
    coded : ModelMatrix
        On the rows of the data that are used.

    Returns
    -------
    names : tuple of str, length d·k, or k for a term of one trait
    values : ndarray, shape (n, len(names))
    """
    traits, k = stack.traits, len(coded.names)
    own = range(len(stack.names)) if term.trait is None else [stack.place(term.trait)]
    values = np.zeros((len(traits.row), len(own) * k))
    names: list[str] = []
    for place, t in enumerate(own):
        here = traits.trait == t
        values[here, place * k : (place + 1) * k] = coded.X[traits.row[here]]
        alone = coded.names == (INTERCEPT,)
        names += [stack.names[t]] if alone else named_by_trait(stack.names[t], coded.names)
    return tuple(names), values


def with_levels_everywhere(factor: Categorical, present: Rows) -> Categorical:
    """
    A grouping factor of one trait, with a level also for rows that lack the trait, whose columns are zero.

    They take their own where rows with the trait have it, else that of the row before: neighbours are often related,
    and rows of one level belong together for the engines.

    Parameters
    ----------
    factor : Categorical
        −1 where it is missing.
    present : ndarray of bool, shape (n_rows,)
        Rows that have the trait.
    """
    kept = replace(factor, codes=np.where(present, factor.codes, -1)).drop_unused()
    number = np.full(len(factor.levels) + 1, -1, dtype=np.intp)
    number[factor.codes[present]] = kept.codes[present]
    number[-1] = -1
    return replace(kept, codes=_filled(number[factor.codes]))


def _filled(codes: Codes) -> Codes:
    """Codes without −1: that of the last row before that has one, at the beginning the first."""
    known = np.flatnonzero(codes >= 0)
    before = np.searchsorted(known, np.arange(len(codes)), side="right") - 1
    return codes[known[np.maximum(before, 0)]]
