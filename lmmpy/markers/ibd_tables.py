"""Long tables of pairs, id1, id2, ibd: one position, or many one below the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_sources import HeldPairs
from lmmpy.markers.pairs import Floats, Ints, Pairs, checked_pairs, sound_pairs
from lmmpy.relatedness.labels import as_texts, positions

__all__ = ["PAIR_COLUMNS", "ids_of", "map_of_table", "numbers_of", "pairs_of_table", "refuse_columns", "sharing_of"]

_Codes = NDArray[np.int32]
PAIR_COLUMNS = ("id1", "id2", "ibd")


def refuse_columns(frame: pd.DataFrame, needed: Iterable[str], where: str) -> None:
    """Say which columns are missing."""
    there = [str(name) for name in frame.columns]
    absent = [name for name in needed if name not in there]
    if absent:
        raise DataError(f"{where}: there is no column {shown(absent)}; the columns are {shown(there, 12)}.")


def texts_of(column: Any, name: str, where: str) -> list[str]:
    """A column of ids as text."""
    texts = [None if text is not None and not text.strip() else text for text in as_texts(np.asarray(column))]
    if None in texts:
        at = [i for i, text in enumerate(texts) if text is None]
        raise DataError(f"{where}: {len(at)} values of {name!r} are missing, in rows {shown(at)} (counted from 0).")
    return [text for text in texts if text is not None]


def _codes(column: Any, name: str, where: str) -> tuple[Ints, list[str]]:
    """Each id as the number of a distinct one, and these as text: a column is long, its ids are few."""
    codes, distinct = _factorized(column)
    return codes, texts_of(distinct, name, where)


def _factorized(column: Any) -> tuple[Ints, NDArray[Any]]:
    """Numbers and distinct values, in order of appearance."""
    is_category = isinstance(getattr(column, "dtype", None), pd.CategoricalDtype)
    codes, distinct = pd.factorize(column if is_category else np.asarray(column), use_na_sentinel=False)
    return codes.astype(np.intp), np.asarray(distinct)


def ids_of(frames: Iterable[pd.DataFrame], where: str) -> tuple[str, ...]:
    """Who is in some tables, in order of appearance: a row's id1 before its id2."""
    seen: dict[str, None] = {}
    for frame in frames:
        seen.update(dict.fromkeys(_in_order(*(_codes(frame[c], c, where) for c in ("id1", "id2")))))
    return tuple(seen)


def _in_order(first: tuple[Ints, list[str]], second: tuple[Ints, list[str]]) -> Iterator[str]:
    """The ids of two columns, in order of appearance; perhaps more than once."""
    (one, names), (other, more) = first, second
    everyone = [*names, *more]
    return (everyone[i] for i in pd.unique(np.stack([one, other + len(names)], axis=1).ravel()))


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


def map_of_table(frames: Iterable[pd.DataFrame], people: Sequence[Any] | None, where: str) -> IbdMap:
    """
    The map of a long table with the pairs of many positions.

    Parameters
    ----------
    frames : iterable of DataFrame
        The table, or its parts in order: position, id1, id2, ibd, and chromosome unless there is one only. Of each row
        20 bytes are kept until all are there.
    people : sequence, optional
        All ids; by default those of the table. Those who are nowhere in it share nothing with others.
    where : str
        What the table is, for messages.
    """
    known = None if people is None else texts_of(list(people), "people", where)
    number = {name: i for i, name in enumerate(known or ())}
    places: dict[tuple[str, float], int] = {}
    parts: list[tuple[_Codes, _Codes, _Codes, Floats]] = []
    rows = 0
    for frame in frames:
        name = where if not rows else f"{where}, from row {rows:,}"
        refuse_columns(frame, ("position", *PAIR_COLUMNS), name)
        ids = [_codes(frame[c], c, name) for c in ("id1", "id2")]
        if known is None:
            for one in _in_order(ids[0], ids[1]):
                number.setdefault(one, len(number))
        first, second = (positions(number, distinct, where)[codes].astype(np.int32) for codes, distinct in ids)
        parts.append((_place_codes(frame, places, name), first, second, sharing_of(frame["ibd"], "ibd", name)))
        rows += len(frame)
    if not rows:
        raise DataError(f"{where}: there are no rows.")
    of_row, first, second, ibd = (np.concatenate(part) for part in zip(*parts, strict=True))
    del parts
    at, was = position_frame([c for c, _ in places], np.array([p for _, p in places]), where)
    return IbdMap(tuple(number), at, _held(of_row, first, second, ibd, was, at, tuple(number), where), where)


def _place_codes(frame: pd.DataFrame, places: dict[tuple[str, float], int], where: str) -> _Codes:
    """Number of the position of each row; new ones are added."""
    given = frame["chromosome"] if "chromosome" in frame.columns else np.full(len(frame), "")
    codes, distinct = _factorized(given)
    names = ["" if text is None else text for text in as_texts(distinct)]
    place = sharing_of(frame["position"], "position", where)
    wrong = np.flatnonzero(~np.isfinite(place))
    if len(wrong):
        raise DataError(f"{where}: positions are missing or not finite in rows {shown(wrong)} (counted from 0).")
    of_place, numbers = pd.factorize(place)
    if len(names) == 1:
        of_key, keys = of_place, np.arange(len(numbers))
    else:
        of_key, keys = pd.factorize(codes.astype(np.int64) * max(1, len(numbers)) + of_place)
    at = [(names[key // len(numbers)], float(numbers[key % len(numbers)])) for key in keys.tolist()]
    return np.array([places.setdefault(one, len(places)) for one in at], dtype=np.int32)[of_key]


def _held(
    of_row: _Codes,
    first: _Codes,
    second: _Codes,
    ibd: Floats,
    was: Ints,
    at: pd.DataFrame,
    people: tuple[str, ...],
    where: str,
) -> HeldPairs:
    """The pairs of each position, checked."""
    now = np.empty(len(was), dtype=np.intp)
    now[was] = np.arange(len(was))
    sound = sound_pairs(now[of_row], first, second, ibd, len(people), len(was))
    if sound is not None:
        return HeldPairs.of(*sound)
    # Those who are nowhere in the table have no diagonal there either.
    there = np.zeros(len(people), dtype=bool)
    there[first] = there[second] = True
    nowhere = np.flatnonzero(~there)
    order = np.argsort(of_row, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(of_row))[:-1])
    found = []
    for name, position, old in zip(at["chromosome"], at["position"], was.tolist(), strict=True):
        rows = rows_of[old]
        i, j, values = first[rows].astype(np.intp), second[rows].astype(np.intp), ibd[rows]
        if len(nowhere) and (i == j).any():
            i, j = np.concatenate([i, nowhere]), np.concatenate([j, nowhere])
            values = np.concatenate([values, np.ones(len(nowhere))])
        found.append(checked_pairs(i, j, values, people, f"{where}, position {name}:{position:g}"))
    return HeldPairs(found)
