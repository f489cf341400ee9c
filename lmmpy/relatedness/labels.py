"""Ids as text: the same individual has the same label in the data, in a matrix and in a pedigree."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown

__all__ = ["Ints", "as_labels", "as_texts", "by_label", "duplicates", "positions"]

Ints = NDArray[np.intp]


def _text(value: Any) -> str | None:
    """One id as text, None when it is missing: whole floats as integers, text as it is."""
    if isinstance(value, str):
        return str(value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else f"{value:.15g}"
    return str(value)


def as_texts(values: Any) -> list[str | None]:
    """Ids of any kind as text, None where one is missing."""
    array = values if isinstance(values, list | tuple) else np.asarray(values)
    if isinstance(array, np.ndarray):
        if array.ndim != 1:
            raise DataError(f"Ids must be a list or a column, one dimension; got an array of shape {array.shape}.")
        if array.dtype.kind in "iu":
            return list(map(str, array.tolist()))
        if array.dtype.kind == "f":
            known = np.where(np.isnan(array), 0.0, array)
            if (known == np.trunc(known)).all() and (np.abs(known) < 1e15).all():  # integers beside missing values
                return _without(list(map(str, known.astype(np.int64).tolist())), np.flatnonzero(np.isnan(array)))
        array = array.tolist()
    return list(array) if set(map(type, array)) == {str} else [_text(value) for value in array]


def _without(texts: list[str], missing: Ints) -> list[str | None]:
    known: list[str | None] = [*texts]
    for i in missing.tolist():
        known[i] = None
    return known


def duplicates(labels: Iterable[str]) -> list[str]:
    """The labels that occur more than once, each once, in order of their second occurrence."""
    seen: set[str] = set()
    again: dict[str, None] = {}
    for label in labels:
        if label in seen:
            again[label] = None
        seen.add(label)
    return list(again)


def as_labels(values: Any, what: str = "labels") -> tuple[str, ...]:
    """
    Unique ids as text.

    Parameters
    ----------
    values : sequence
        Ids of any kind: 1, 1.0 and "1" are the same id.
    what : str
        What they are called in messages.

    Returns
    -------
    tuple of str

    Raises
    ------
    DataError
        When some are missing or occur twice.
    """
    if isinstance(values, str):
        raise DataError(f"{what} must be a sequence of ids, not one text {values!r}.")
    texts = as_texts(values if isinstance(values, list | tuple | np.ndarray) else list(values))
    if None in texts:
        at = [i for i, text in enumerate(texts) if text is None]
        raise DataError(f"{what}: {len(at)} ids are missing, at positions {shown(at)} (counted from 0).")
    labels = cast(tuple[str, ...], tuple(texts))
    if len(set(labels)) < len(labels):
        raise DataError(f"{what}: ids that occur more than once: {shown(duplicates(labels))}. Each must occur once.")
    return labels


def positions(place: dict[str, int], labels: Any, where: str) -> Ints:
    """
    The place of each label, shape (len(labels),).

    Raises
    ------
    DataError
        Naming the first labels that have no place in what `where` describes.
    """
    if isinstance(labels, str):
        raise DataError(f"Give a list of ids, not one text {labels!r}.")
    texts = as_texts(labels if isinstance(labels, list | tuple | np.ndarray) else list(labels))
    found = np.fromiter(map(place.get, texts, itertools.repeat(-1)), np.intp, len(texts))  # type: ignore[arg-type]
    if (found < 0).any():
        unknown = list(dict.fromkeys(texts[i] for i in np.flatnonzero(found < 0)))
        raise DataError(
            f"{where} does not have {len(unknown)} of the ids asked for: {shown(unknown)}. It has {len(place)}: "
            f"{shown(place)}. Are they the same kind of id?"
        )
    return found


def by_label(frame: pd.DataFrame) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """
    A square labelled frame as an array and its labels; columns in the order of the rows, matched by name.

    Raises
    ------
    DataError
        When rows and columns do not hold the same ids, or a column holds no numbers.
    """
    rows, columns = as_labels(frame.index, "rows of K"), as_labels(frame.columns, "columns of K")
    if set(rows) != set(columns):
        only = [label for label in rows if label not in set(columns)]
        extra = [label for label in columns if label not in set(rows)]
        raise DataError(
            "The index and the columns of K must hold the same ids. "
            + (f"Only in the index: {shown(only)}. " if only else "")
            + (f"Only in the columns: {shown(extra)}. " if extra else "")
            + "Use K.set_index(...) so that the ids are the index and not a column."
        )
    wrong = [str(name) for name, kind in frame.dtypes.items() if kind.kind not in "iufb"]
    if wrong:
        raise DataError(f"Columns of K hold no numbers: {shown(wrong)}.")
    values = np.asarray(frame.to_numpy(), dtype=np.float64)
    if rows != columns:
        place = {label: i for i, label in enumerate(columns)}
        values = values[:, [place[label] for label in rows]]
    return values, rows
