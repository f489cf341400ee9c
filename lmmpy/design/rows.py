"""One row mask over everything that a model uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.values import Categorical, missing
from lmmpy.errors import DataError, shown

__all__ = ["NA_ACTIONS", "missing_rows", "read_subset", "require_finite"]

NA_ACTIONS = ("omit", "exclude", "fail")

Rows = NDArray[np.bool_]


def missing_rows(values: Sequence[tuple[str, Any]], considered: Rows, na_action: str) -> Rows:
    """
    The rows among `considered` that miss some value.

    Parameters
    ----------
    values : sequence of (text, value)
        Everything the model uses, with the expression it came from.
    considered : ndarray of bool, shape (n,)
        Rows that `subset` keeps.
    na_action : {"omit", "exclude", "fail"}

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    DataError
        Under "fail", naming each expression with its first missing rows; or when no row is left.
    """
    absent = np.zeros(len(considered), dtype=bool)
    complaints = []
    for text, value in values:
        gaps = missing(value)
        if gaps.any():
            gaps = gaps & considered
            absent |= gaps
            if na_action == "fail" and gaps.any():
                complaints.append(f"{text!r} in {gaps.sum()} rows (first: {shown(np.flatnonzero(gaps).tolist())})")
    if complaints:
        raise DataError(
            f"na_action='fail' and values are missing: {'; '.join(complaints)} (rows counted from 0). Use "
            "na_action='omit' to leave these rows out, or fill them in."
        )
    if np.count_nonzero(absent) == np.count_nonzero(considered):
        culprits = [text for text, value in values if missing(value).all()]
        hint = (
            f"{shown(culprits)} is missing everywhere."
            if culprits
            else "No row has all the values that the model needs."
        )
        raise DataError(f"No rows are left to fit. {hint}")
    return absent


def read_subset(value: Any, n: int) -> Rows:
    """
    The rows that `subset` keeps: from a mask (missing counts as False, as in R), or from row numbers from 0.

    Raises
    ------
    DataError
        When it is neither, or keeps nothing.
    """
    if isinstance(value, Categorical):
        value = value.by_row(value.levels.tolist(), False) if value.levels.dtype.kind == "b" else value.codes
    array = np.asarray(value)
    if array.ndim != 1:
        raise DataError(f"subset has {array.ndim} dimensions; it must be true or false for each row, or row numbers.")
    if array.dtype.kind == "O" and len(array) == n:
        array = np.array([isinstance(v, bool | np.bool_) and bool(v) for v in array])
    if array.dtype.kind == "f" and np.isin(array[~np.isnan(array)], (0.0, 1.0)).all() and len(array) == n:
        array = np.where(np.isnan(array), 0.0, array).astype(bool)
    if array.dtype.kind == "b":
        if len(array) != n:
            raise DataError(f"subset has {len(array)} values, the data {n} rows.")
        rows = array
    elif array.dtype.kind in "iu":
        if array.size and (array.min() < -n or array.max() >= n):
            outside = array[(array < -n) | (array >= n)]
            raise DataError(f"subset names row {shown(outside.tolist())}, but the rows run from 0 to {n - 1}.")
        rows = np.zeros(n, dtype=bool)
        rows[array] = True
    else:
        raise DataError("subset must be true or false for each row, or hold row numbers counted from 0.")
    if not rows.any():
        raise DataError("subset keeps no row of the data.")
    return rows


def require_finite(text: str, what: str, value: NDArray[np.float64], rows: Rows) -> None:
    """Refuse infinite or undefined numbers, naming their rows in the data, of which `rows` are used."""
    finite = np.isfinite(value)
    if not finite.all():
        bad = ~finite if value.ndim == 1 else ~finite.all(axis=1)
        places = np.flatnonzero(rows)[bad]
        raise DataError(
            f"The {what} {text!r} is not finite in {bad.sum()} of the rows used (first: {shown(places.tolist())}, "
            f"values {shown(value[bad].tolist(), 3)}; rows counted from 0). Check the transformation, for example "
            "log() of zero."
        )
