"""Predictions Xβ + Zb: of the rows of a fit, and of new data read as the old were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Blueprint, Design, RandomEffects
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.values import Categorical, Codes, Floats
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.inference.data_columns import ColumnsOfData
from lmmpy.inference.prediction_relatives import grouping_of
from lmmpy.relatedness import Relatedness

__all__ = [
    "PredictionRows",
    "TermRows",
    "linear_predictor",
    "not_estimable",
    "rows_of_data",
    "rows_of_fit",
]

Mask = NDArray[np.bool_]


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


@dataclass(frozen=True, eq=False, slots=True)
class TermRows:
    """One random term in the rows of a prediction.

    Attributes
    ----------
    place : int
        In `design.random`.
    codes : ndarray of int, shape (m,)
        Level of each row among those of the fit; −1 where it was not seen or is missing, and everywhere when the
        prediction leaves the term out.
    values : ndarray, shape (m, k)
        The columns left of the bar.
    kept : ndarray of bool, shape (k,)
        Which of the effects the prediction adds.
    own : ndarray, shape (m,), or None
        K of each row's level with itself, where it is needed and not one.
    """

    place: int
    codes: Codes
    values: Floats
    kept: Mask
    own: Floats | None = None

    @property
    def added(self) -> Floats:
        """The columns of the effects that the prediction adds, zero for the others, shape (m, k)."""
        return np.where(self.kept, self.values, 0.0)

    @property
    def seen(self) -> Floats:
        """`added` in the rows whose level was seen, else zero: the rows of Z for the effects that are predicted."""
        return np.where((self.codes >= 0)[:, None], self.added, 0.0)

    @property
    def unseen(self) -> Floats:
        """`added` in the rows whose level was not seen, else zero."""
        return np.where((self.codes < 0)[:, None], self.added, 0.0)


@dataclass(frozen=True, eq=False, slots=True)
class PredictionRows:
    """The rows of a prediction in numbers; NaN where a value is missing.

    Attributes
    ----------
    X : ndarray, shape (m, p)
    dropped : ndarray, shape (m, d)
        The columns that were left out of the fit because others determined them.
    offset : ndarray, shape (m,), or None
    terms : tuple of TermRows
        The terms that the prediction adds; for an interval for new observations every term.
    """

    X: Floats
    dropped: Floats
    offset: Floats | None
    terms: tuple[TermRows, ...]

    def predict(self, beta: Floats, b: Floats, starts: Sequence[int]) -> Floats:
        """
        Xβ + Zb, offset included; the effect of a level that was not seen is zero.

        Parameters
        ----------
        beta : ndarray, shape (p,)
        b : ndarray, shape (q,)
        starts : sequence of int
            Where each term's effects begin, as in `Design.starts`.

        Returns
        -------
        ndarray, shape (m,)
        """
        value: Floats = self.X @ beta
        if self.offset is not None:
            value = value + self.offset
        for term in self.terms:
            if term.kept.any():
                effects = b[starts[term.place] : starts[term.place + 1]].reshape(-1, len(term.kept))
                with_new = np.vstack([effects, np.zeros(len(term.kept))])
                value += np.einsum("mk,mk->m", term.added, with_new[term.codes])
        return value


def rows_of_fit(design: Design, kept: Mapping[int, Mask], every_term: bool = False) -> PredictionRows:
    """
    The rows that were fitted.

    Parameters
    ----------
    design : Design
    kept : mapping
        See `chosen_effects`.
    every_term : bool
        Whether to give also the terms that the prediction leaves out.

    Returns
    -------
    PredictionRows
    """
    terms = []
    for place, term in enumerate(design.random):
        if place not in kept and not every_term:
            continue
        own = _own(term.relatedness, term.codes) if every_term else None
        if place in kept:
            terms.append(TermRows(place, term.codes, term.values, kept[place], own))
        else:
            terms.append(_left_out(place, term.values, own))
    return PredictionRows(design.X, np.empty((design.n, 0)), design.offset, tuple(terms))


def rows_of_data(
    design: Design,
    blueprint: Blueprint,
    evaluator: Evaluator,
    kept: Mapping[int, Mask],
    allow_new_levels: bool = False,
    every_term: bool = False,
    given: Mapping[str, Relatedness] | None = None,
) -> PredictionRows:
    """
    Rows of new data, read as those of the fit were.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    evaluator : Evaluator
        `blueprint.evaluator` over the new data.
    kept : mapping
        See `chosen_effects`.
    allow_new_levels : bool
        Whether the level of a grouping factor may be one that was not seen, or missing; else it is an error.
    every_term : bool
        Whether to give also the terms that the prediction leaves out. Of their grouping factors only ids of related
        levels are read, as far as they are there, for K of each with itself.
    given : mapping of str to Relatedness, optional
        By label of the grouping factor; larger ones than those of the fit, see `given_relatedness`.

    Returns
    -------
    PredictionRows

    Raises
    ------
    DataError
        For a missing column, one of another kind, or a level that was not seen.
    ModelError
        When the fit has an offset that was given as numbers.
    """
    if blueprint.has_numeric_offset:
        raise ModelError(
            "The model was fitted with an offset given as numbers, which is unknown for new data. Fit it with an "
            "expression, offset='column' or + offset(column) in the formula."
        )
    reader = ColumnsOfData(design, blueprint, evaluator)
    names, X = reader.fixed()
    _require_names("the fixed part", (*design.names, *design.dropped), names)
    places = [names.index(name) for name in design.names]
    dropped = [names.index(name) for name in design.dropped]
    terms, unknown = [], dict[str, str]()
    for place, term in enumerate(design.random):
        if place in kept or every_term:
            columns, values = reader.random(term.term)
            _require_names(f"({term.term.text})", term.columns, columns)
        if place in kept:
            found, lack = _known_codes(term, evaluator)
            unknown |= {term.group: lack} if lack else {}
            codes = reader.by_row(found)
            own = _own(term.relatedness, codes) if every_term else None
            terms.append(TermRows(place, codes, values, kept[place], own))
        elif every_term:
            known = [of[term.group] for of in (given or {}, blueprint.relatedness) if term.group in of]
            own = _own_if_there(term, known, evaluator)
            terms.append(_left_out(place, values, None if own is None else reader.by_row(own)))
    if unknown and not allow_new_levels:
        raise _unknown_levels(unknown)
    return PredictionRows(
        X=X[:, places] if dropped or design.traits is not None else X,
        dropped=X[:, dropped],
        offset=reader.offset(),
        terms=tuple(terms),
    )


def not_estimable(rows: PredictionRows, X: Floats, dropped: Floats, tolerance: float = 1e-7) -> Codes:
    """
    The rows whose fixed part a rank-deficient fit does not determine.

    Parameters
    ----------
    rows : PredictionRows
    X, dropped : ndarray, shape (n, p) and (n, d)
        The kept and the dropped columns in the rows of the fit, where dropped = X A for some A.
    tolerance : float
        How far a new row may be from that relation, relative to its size.

    Returns
    -------
    ndarray of int
        Places of rows at which another choice of the columns to drop would predict something else.
    """
    scale = np.abs(X).max(axis=0, initial=0.0)
    scale[scale == 0] = 1.0
    A = np.linalg.lstsq(X / scale, dropped, rcond=None)[0] / scale[:, None]
    distance = np.abs(rows.dropped - rows.X @ A)
    size = np.abs(rows.dropped) + np.abs(rows.X) @ np.abs(A)
    return np.flatnonzero((distance > tolerance * (size + np.abs(dropped).max(axis=0, initial=0.0))).any(axis=1))


def _left_out(place: int, values: Floats, own: Floats | None) -> TermRows:
    m, k = values.shape
    return TermRows(place, np.full(m, -1, dtype=np.intp), values, np.zeros(k, dtype=bool), own)


def _own(relatedness: Relatedness, codes: Codes) -> Floats | None:
    """K of each row's level with itself; one where the level is not known."""
    return None if relatedness.is_identity else np.append(relatedness.diagonal(), 1.0)[codes]


def _own_if_there(term: RandomEffects, known: Sequence[Relatedness], evaluator: Evaluator) -> Floats | None:
    """K of each row's level with itself, by the first relatedness that has it; one where none has or no data say it."""
    if not known:
        return None
    own = np.ones(evaluator.columns.n_rows)
    try:
        grouping = grouping_of(term, evaluator)
    except DataError:
        return own
    for K in reversed(known):
        codes, _ = _codes_among(grouping, K.labels or (), K)
        found = codes >= 0
        if found.any():
            own[found] = K.diagonal()[codes[found]]
    return own


def _codes_among(grouping: Categorical, levels: Sequence[str], relatedness: Relatedness) -> tuple[Codes, list[str]]:
    """The place of each row's level, −1 where there is none, and which are not there; identical twins share theirs."""
    aliases = relatedness.aliases
    codes, unseen = grouping.codes_among([*levels, *aliases])
    if aliases:
        place = {label: i for i, label in enumerate(levels)}
        codes = np.append(np.arange(len(levels)), [*(place[label] for label in aliases.values()), -1])[codes]
    return codes, unseen


def _require_names(where: str, fitted: Sequence[str], found: Sequence[str]) -> None:
    """A matrix that a function of the caller's makes may come out with another number of columns."""
    if sorted(fitted) != sorted(found):
        raise DataError(
            f"In the new data {where} has the columns {shown(found, 8)}; the fit had {shown(fitted, 8)}. A function in "
            "the formula must give as many columns as it gave then."
        )


def _unknown_levels(unknown: Mapping[str, str]) -> DataError:
    """What each grouping factor has that the fit does not know."""
    each = ", and ".join(f"{group!r} has {lack}" for group, lack in unknown.items())
    return DataError(
        f"The grouping factor {each}. With allow_new_levels=True their random effects are taken as zero; "
        "re_form='none' predicts without random effects."
    )


def _known_codes(term: RandomEffects, evaluator: Evaluator) -> tuple[Codes, str]:
    """Place of each row's level among those of the fit; −1 for a new or missing one, and which they are in words."""
    grouping = grouping_of(term, evaluator)
    codes, unseen = _codes_among(grouping, term.levels, term.relatedness)
    if unseen and not term.relatedness.is_identity:
        return (
            codes,
            f"ids that its relatedness does not have: {shown(unseen)}. Give it with relmat= as one that has them",
        )
    if unseen:
        return codes, f"levels that the fit has not seen: {shown(unseen)}"
    return codes, "missing values" if (grouping.codes < 0).any() else ""
