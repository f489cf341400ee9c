"""Long tables of pairs, id1, id2, ibd: one position, or many one below the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_sources import HeldPairs
from lmmpy.markers.pairs import Floats, Ints, Pairs, checked_pairs
from lmmpy.relatedness.labels import as_texts, positions

__all__ = ["PAIR_COLUMNS", "ids_of", "map_of_table", "numbers_of", "pairs_of_table", "refuse_columns", "sharing_of"]

PAIR_COLUMNS = ("id1", "id2", "ibd")


def refuse_columns(frame: pd.DataFrame, needed: Iterable[str], where: str) -> None:
    """Say which columns are missing."""
    there = [str(name) for name in frame.columns]
    absent = [name for name in needed if name not in there]
    if absent:
        raise DataError(f"{where}: there is no column {shown(absent)}; the columns are {shown(there, 12)}.")


def texts_of(column: Any, name: str, where: str) -> list[str]:
    """A column of ids as text."""
    texts = as_texts(np.asarray(column))
    if None in texts:
        at = [i for i, text in enumerate(texts) if text is None]
        raise DataError(f"{where}: {len(at)} values of {name!r} are missing, in rows {shown(at)} (counted from 0).")
    return [text for text in texts if text is not None]


def _codes(column: Any, name: str, where: str) -> tuple[Ints, list[str]]:
    """Each id as the number of a distinct one, and these as text: a column is long, its ids are few."""
    codes, distinct = pd.factorize(np.asarray(column), use_na_sentinel=False)
    return codes.astype(np.intp), texts_of(distinct, name, where)


def ids_of(frames: Iterable[pd.DataFrame], where: str) -> tuple[str, ...]:
    """Who is in some tables, in order of appearance: a row's id1 before its id2."""
    seen: dict[str, None] = {}
    for frame in frames:
        (one, names), (other, more) = (_codes(frame[c], c, where) for c in ("id1", "id2"))
        shift = np.concatenate([one, other + len(names)])
        both = np.stack([shift[: len(one)], shift[len(one) :]], axis=1).ravel()
        everyone = [*names, *more]
        seen.update(dict.fromkeys(everyone[i] for i in pd.unique(both)))
    return tuple(seen)


def numbers_of(column: Any, name: str, place: dict[str, int], where: str) -> Ints:
    """The number of the person in each row."""
    codes, distinct = _codes(column, name, where)
    return positions(place, distinct, where)[codes]


def sharing_of(column: Any, name: str, where: str) -> Floats:
    """A column of numbers."""
    values = np.asarray(column)
    if values.dtype.kind not in "iufb":
        numbers = pd.to_numeric(pd.Series(values), errors="coerce")
        wrong = np.flatnonzero(numbers.isna())
        if len(wrong):
            raise DataError(f"{where}: {name!r} holds no numbers in some rows: {shown(values[i] for i in wrong)}.")
        values = numbers.to_numpy()
    return values.astype(np.float64, copy=False)


def pairs_of_table(frame: pd.DataFrame, people: tuple[str, ...], place: dict[str, int], where: str) -> Pairs:
    """
    The pairs of a table of one position.

    Raises
    ------
    DataError
        When columns are missing, an id is not one of `people`, and as `checked_pairs`.
    """
    refuse_columns(frame, PAIR_COLUMNS, where)
    first, second = (numbers_of(frame[name], name, place, where) for name in ("id1", "id2"))
    return checked_pairs(first, second, sharing_of(frame["ibd"], "ibd", where), people, where)


def map_of_table(frame: pd.DataFrame, people: Sequence[Any] | None, where: str) -> IbdMap:
    """
    The map of a long table with the pairs of many positions.

    Parameters
    ----------
    frame : DataFrame
        position, id1, id2, ibd, and chromosome unless there is one only.
    people : sequence, optional
        All ids; by default those of the table.
    where : str
        What the table is, for messages.
    """
    refuse_columns(frame, ("position", *PAIR_COLUMNS), where)
    if not len(frame):
        raise DataError(f"{where}: there are no rows.")
    everyone = ids_of([frame], where) if people is None else tuple(texts_of(list(people), "people", where))
    place = {name: i for i, name in enumerate(everyone)}
    first, second = (numbers_of(frame[name], name, place, where) for name in ("id1", "id2"))
    ibd = sharing_of(frame["ibd"], "ibd", where)
    chromosome = np.asarray(frame["chromosome"]) if "chromosome" in frame.columns else np.full(len(frame), "")
    of_chromosome, names = _codes(chromosome, "chromosome", where)
    of_position, places = pd.factorize(sharing_of(frame["position"], "position", where))
    keys, of_row = np.unique(of_chromosome * len(places) + of_position, return_inverse=True)
    order = np.argsort(of_row, kind="stable")
    ends = np.searchsorted(of_row[order], np.arange(len(keys) + 1))
    at, was = position_frame([names[i] for i in keys // len(places)], places[keys % len(places)], where)
    parts = []
    for new, old in enumerate(was.tolist()):
        rows = order[ends[old] : ends[old + 1]]
        name = f"{where}, position {at['chromosome'].iloc[new]}:{at['position'].iloc[new]:g}"
        parts.append(checked_pairs(first[rows], second[rows], ibd[rows], everyone, name))
    return IbdMap(everyone, at, HeldPairs(parts), where)
