"""Digests: what identifies data, so that a scan is continued with the same data only."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Mapping
from os import PathLike
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from lmmpy.errors import ModelError

__all__ = ["digest"]

# Bytes of an array that are copied at a time, where its elements are not in the order of reading.
_PIECE = 1 << 24


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...


def digest(*parts: Any) -> str:
    """
    A digest of values, the same wherever and whenever it is computed.

    Parameters
    ----------
    *parts
        None, truth values, numbers, text, bytes, paths; arrays of these, dense or sparse; pandas objects; lists and
        tuples, mappings and dataclasses of all these. Order matters, types too (1 is not 1.0), and every bit of a
        number; not how an array lies in memory, nor whether text is a pandas `str` or an object column.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Raises
    ------
    ModelError
        For values of other types.
    """
    state = hashlib.sha256()
    _sequence(state, parts)
    return state.hexdigest()


def _tag(state: _Hash, kind: str, *sizes: int) -> None:
    """Write what follows and how long it is, so that no two values are written alike."""
    state.update(f"{kind}{sizes};".encode())


def _add(state: _Hash, value: Any) -> None:
    if isinstance(value, np.generic):
        value = value.item() if value.dtype.kind in "biufcSU" else np.asarray(value)
    if value is None or isinstance(value, bool | int):
        _tag(state, repr(value))
    elif isinstance(value, float):
        state.update(b"float" + struct.pack("<d", value))
    elif isinstance(value, complex):
        state.update(b"complex" + struct.pack("<dd", value.real, value.imag))
    elif isinstance(value, str | bytes | PathLike):
        _text(state, value)
    elif isinstance(value, list | tuple):
        _sequence(state, value)
    elif isinstance(value, Mapping):
        _tag(state, "mapping", len(value))
        for key, one in value.items():
            _add(state, key)
            _add(state, one)
    else:
        _add_data(state, value)


def _add_data(state: _Hash, value: Any) -> None:
    if isinstance(value, np.ndarray):
        _array(state, value)
    elif sparse.issparse(value):
        _sparse(state, value)
    elif isinstance(value, pd.DataFrame):
        _tag(state, "frame", *value.shape)
        _add(state, value.index)
        for name, column in value.items():
            _add(state, name)
            _column(state, column.array)
    elif isinstance(value, pd.Series):
        _tag(state, "series", len(value))
        _add(state, value.index)
        _column(state, value.array)
    elif isinstance(value, pd.MultiIndex):
        _tag(state, "levels", value.nlevels, len(value))
        for level in range(value.nlevels):
            _column(state, value.get_level_values(level).array)
    elif isinstance(value, pd.Index):
        _column(state, value.array)
    elif isinstance(value, pd.api.extensions.ExtensionArray):
        _column(state, value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _tag(state, f"dataclass {type(value).__qualname__}")
        for field in dataclasses.fields(value):
            _add(state, getattr(value, field.name))
    else:
        raise ModelError(f"There is no digest of {type(value).__name__} objects: {value!r:.80}.")


def _sequence(state: _Hash, values: Any) -> None:
    _tag(state, "sequence", len(values))
    for value in values:
        _add(state, value)


def _text(state: _Hash, value: str | bytes | PathLike[str]) -> None:
    kind = "bytes" if isinstance(value, bytes) else "text"
    content = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    _tag(state, kind, len(content))
    state.update(content)


def _array(state: _Hash, array: np.ndarray[Any, Any]) -> None:
    if isinstance(array, np.ma.MaskedArray):
        raise ModelError("There is no digest of masked arrays: fill what is masked.")
    if array.dtype.kind in "OUT":
        _tag(state, "objects", *array.shape)
        _column(state, array.ravel().astype(object))
        return
    if array.dtype.kind == "V":
        raise ModelError("There is no digest of structured arrays: give their fields.")
    _tag(state, f"array {array.dtype.newbyteorder('<').str}", *array.shape)
    if array.size == 0:
        return
    little = array.dtype.newbyteorder("<")
    rows = np.atleast_1d(array)
    step = len(rows) if rows.flags.c_contiguous else max(1, _PIECE * len(rows) // array.nbytes)
    for start in range(0, len(rows), step):
        piece = np.ascontiguousarray(rows[start : start + step], dtype=little)
        state.update(piece.reshape(-1).view(np.uint8))


def _sparse(state: _Hash, matrix: Any) -> None:
    columns = sparse.csc_matrix(matrix, copy=True)
    columns.sum_duplicates()
    columns.sort_indices()
    _tag(state, "sparse", *columns.shape)
    for part in (columns.indptr.astype(np.int64), columns.indices.astype(np.int64), columns.data):
        _array(state, part)


def _column(state: _Hash, values: Any) -> None:
    """One column: numbers by their bits, text all in one piece."""
    if isinstance(values, pd.Categorical):
        _tag(state, f"categorical {values.ordered}", len(values))
        _add(state, values.categories)
        _array(state, values.codes.astype(np.int64))
        return
    plain = np.asarray(values)
    if plain.dtype.kind != "O":
        _array(state, plain)
        return
    missing = np.asarray(pd.isna(plain), dtype=bool)
    present = plain[~missing].tolist()
    if all(type(value) is str for value in present):
        encoded = [value.encode("utf-8", "surrogatepass") for value in present]
        _tag(state, "texts", len(plain))
        _array(state, missing)
        _array(state, np.array([len(value) for value in encoded], dtype=np.int64))
        state.update(b"".join(encoded))
    else:
        _sequence(state, plain.tolist())
