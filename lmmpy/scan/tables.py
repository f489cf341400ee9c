"""Tables as text and back, bit for bit."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import ModelError

__all__ = ["Layout", "decoded", "empty_table", "encoded", "layout_of", "names_line", "plain_table"]

# Names of columns → types: a numpy name such as "float64", or "text".
Layout = Mapping[str, str]

# What text is in a frame: `str` in pandas 3, objects before.
_TEXT: Any = pd.Series(["a"]).dtype
_NOT_THERE = {"text": r"\N", "float": "NA"}
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": r"\0"})
_ESCAPED = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "0": "\0", "#": "#"}


def layout_of(table: Any, label: str) -> dict[str, str]:
    """
    Columns of a table and their types.

    Parameters
    ----------
    table : DataFrame
    label : str
        Of the block, for messages.

    Raises
    ------
    ModelError
        For what is no table, names that are not text or not unique, and types that have no exact text.
    """
    if not isinstance(table, pd.DataFrame):
        raise ModelError(f"{label}: a scan's task returns a DataFrame, not {type(table).__name__}.")
    names = list(table.columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names) or not names:
        raise ModelError(f"{label}: the columns of a scan's table have different names, which are text; got {names}.")
    return {name: _type_of(table[name], label) for name in names}


def _type_of(column: pd.Series[Any], label: str) -> str:
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and (dtype.kind in "bui" or dtype in (np.float32, np.float64)):
        return dtype.name
    objects = isinstance(dtype, np.dtype) and dtype.kind == "O"
    if isinstance(dtype, pd.StringDtype) or (objects and all(type(value) is str for value in column.dropna())):
        return "text"
    raise ModelError(
        f"{label}: column {column.name!r} of a scan's table is {dtype}; it can be of float32 or float64, integers, "
        "truth values or text."
    )


def plain_table(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """A copy of a table in the types that `decoded` gives too: rows numbered from 0, one kind of NaN and of text."""
    columns: dict[str, Any] = {}
    for name, kind in layout.items():
        if kind == "text":
            columns[name] = pd.array(table[name].astype(object).to_numpy(), dtype=_TEXT)
            continue
        values = table[name].to_numpy(copy=True)
        if kind.startswith("float"):
            values[np.isnan(values)] = np.nan
        columns[name] = values
    return pd.DataFrame(columns)


def empty_table(layout: Layout) -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame({name: pd.array([], dtype=_dtype(kind)) for name, kind in layout.items()}).astype(
        {name: _dtype(kind) for name, kind in layout.items()}
    )


def names_line(layout: Layout) -> bytes:
    """The line above the rows."""
    return ("\t".join(name.translate(_ESCAPES) for name in layout) + "\n").encode()


def encoded(table: pd.DataFrame, layout: Layout) -> bytes:
    r"""
    Rows as lines of fields between tabs.

    Parameters
    ----------
    table : DataFrame
        As `plain_table` returns it.
    layout : mapping

    Returns
    -------
    bytes
        UTF-8. Floats in the fewest digits that name them alone, NA where missing; in text a backslash stands before
        what would be taken for a tab, an end of line or a comment; missing text is \N.
    """
    fields = [_fields(table[name], kind) for name, kind in layout.items()]
    if next(iter(layout.values())) == "text":
        fields[0] = ["\\" + field if field.startswith("#") else field for field in fields[0]]
    lines = ["\t".join(row) for row in zip(*fields, strict=True)]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass") if lines else b""


def _fields(column: pd.Series[Any], kind: str) -> list[str]:
    if kind == "text":
        # many rows say the same: each text is looked at once
        codes, texts = pd.factorize(column)
        known = [text.translate(_ESCAPES) for text in texts.tolist()]
        known.append(_NOT_THERE["text"])
        return [known[code] for code in codes.tolist()]
    # Python's numbers: a float32 is written as the double that it is
    values = column.to_numpy().tolist()
    if kind.startswith("float"):
        return [repr(value) if value == value else _NOT_THERE["float"] for value in values]  # noqa: PLR0124
    return [str(value) for value in values]


def decoded(text: bytes, layout: Layout) -> pd.DataFrame:
    """
    The table whose rows `encoded` wrote.

    Parameters
    ----------
    text : bytes
    layout : mapping

    Returns
    -------
    DataFrame
    """
    if not text:
        return empty_table(layout)
    table = pd.read_csv(
        BytesIO(text),
        sep="\t",
        header=None,
        names=list(layout),
        index_col=False,
        # Python's float() is exact; what read_csv's own reading of numbers gives depends on pandas' version
        converters={name: _number for name, kind in layout.items() if kind.startswith("float")},
        dtype={name: _dtype(kind) for name, kind in layout.items() if not kind.startswith("float")},
        na_values={name: [_NOT_THERE["text"]] for name, kind in layout.items() if kind == "text"},
        keep_default_na=False,
        skip_blank_lines=False,
        quoting=csv.QUOTE_NONE,
        lineterminator="\n",
        encoding="utf-8",
        encoding_errors="surrogatepass",
    )
    for name, kind in layout.items():
        if kind == "text":
            table[name] = _unescaped(table[name])
        elif kind == "float32":
            table[name] = table[name].astype(np.float32)
    return table


def _number(field: str) -> float:
    return np.nan if field == _NOT_THERE["float"] else float(field)


def _dtype(kind: str) -> Any:
    return _TEXT if kind == "text" else np.dtype(kind)


def _unescaped(column: pd.Series[Any]) -> pd.Series[Any]:
    touched = column.str.contains("\\", regex=False, na=False).to_numpy(dtype=bool)
    if not touched.any():
        return column
    values = column.astype(object).to_numpy(copy=True)
    for place in np.flatnonzero(touched):
        values[place] = _plain(values[place])
    return pd.Series(pd.array(values, dtype=_TEXT), index=column.index)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPED[found[1]], text)
