"""The catalogue: what each data set is and where it comes from, read from ``data/index.json``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Literal, TypedDict

ColumnType = Literal["number", "integer", "factor", "ordered", "text"]

_SHOWN_LEVELS = 6


class _ColumnEntry(TypedDict, total=False):
    name: str
    type: ColumnType
    unit: str
    description: str
    levels: list[str]


class _DatasetEntry(TypedDict):
    name: str
    title: str
    source: str
    file: str
    rows: int
    columns: list[_ColumnEntry]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """What one column holds.

    Attributes
    ----------
    name : str
    type : {"number", "integer", "factor", "ordered", "text"}
        float64, int64, unordered categorical, ordered categorical, str.
    unit : str
        Empty when there is none.
    description : str
    levels : tuple of str, shape (n_levels,)
        In R's order; empty for a column that is no factor.

    Examples
    --------
    >>> describe("sleepstudy").columns[1].unit
    'day'
    """

    name: str
    type: ColumnType
    unit: str
    description: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class DatasetInfo:
    """What one data set is; its text form is meant to be read.

    Attributes
    ----------
    name : str
    title : str
    source : str
        The publication, and the R package whose copy this is.
    n_rows : int
    columns : tuple of ColumnInfo, shape (n_columns,)
        In the order of the frame.
    file : str
        Name of the file in the package's ``data`` directory.

    Examples
    --------
    >>> info = describe("Dyestuff")
    >>> info.n_rows, [column.name for column in info.columns]
    (30, ['Batch', 'Yield'])
    """

    name: str
    title: str
    source: str
    n_rows: int
    columns: tuple[ColumnInfo, ...]
    file: str

    def __str__(self) -> str:
        head = [f"{self.name}: {self.title}", f"{self.n_rows} rows, {len(self.columns)} columns", ""]
        rows = [(column.name, _kind(column), column.description) for column in self.columns]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        table = [f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {text}" for name, kind, text in rows]
        return "\n".join([*head, *table, "", f"Source: {self.source}"])

    __repr__ = __str__


class UnknownDatasetError(KeyError):
    """There is no data set of that name; the message lists the names that come close."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes.
        return str(self.args[0])


def names() -> list[str]:
    """List the data sets, lme4's first, then nlme's, then those made here.

    Returns
    -------
    list of str

    Examples
    --------
    >>> names()[:3]
    ['sleepstudy', 'Penicillin', 'Dyestuff']
    """
    return list(_catalogue())


def describe(name: str) -> DatasetInfo:
    """Describe a data set: its columns, units, levels and source.

    Parameters
    ----------
    name : str
        One of `names`, in upper or lower case.

    Returns
    -------
    DatasetInfo

    Raises
    ------
    UnknownDatasetError
        A `KeyError` that lists the close names.

    Examples
    --------
    >>> describe("ergoStool")  # doctest: +ELLIPSIS
    ergoStool: Effort of rising from four types of stool
    36 rows, 3 columns
    <BLANKLINE>
      effort   number [Borg scale]                  effort of rising from the stool
      Type     factor: T1 T2 T3 T4                  type of stool
      Subject  ordered: 8 < 5 < 4 < ... (9 levels)  subject; by increasing mean effort
    <BLANKLINE>
    Source: ...
    """
    found = _catalogue().get(name)
    if found is None:
        found = _by_lower_case().get(name.casefold())
    if found is None:
        raise UnknownDatasetError(_unknown(name))
    return found


def resource(name: str) -> Traversable:
    """Find a file of the package's ``data`` directory, wherever the package is installed."""
    return files(__package__).joinpath("data", name)


@cache
def _catalogue() -> Mapping[str, DatasetInfo]:
    entries: list[_DatasetEntry] = json.loads(resource("index.json").read_text(encoding="utf-8"))
    return MappingProxyType({entry["name"]: _info(entry) for entry in entries})


@cache
def _by_lower_case() -> Mapping[str, DatasetInfo]:
    return MappingProxyType({name.casefold(): info for name, info in _catalogue().items()})


def _info(entry: _DatasetEntry) -> DatasetInfo:
    columns = tuple(
        ColumnInfo(c["name"], c["type"], c["unit"], c["description"], tuple(c.get("levels", ())))
        for c in entry["columns"]
    )
    return DatasetInfo(entry["name"], entry["title"], entry["source"], entry["rows"], columns, entry["file"])


def _kind(column: ColumnInfo) -> str:
    """Say the column's type, with its unit and its levels when it has them."""
    unit = f" [{column.unit}]" if column.unit else ""
    if not column.levels:
        return f"{column.type}{unit}"
    separator = " < " if column.type == "ordered" else " "
    n = len(column.levels)
    shown = column.levels if n <= _SHOWN_LEVELS else (*column.levels[:3], "...")
    count = "" if n <= _SHOWN_LEVELS else f" ({n} levels)"
    return f"{column.type}{unit}: {separator.join(shown)}{count}"


def _unknown(name: str) -> str:
    known = _by_lower_case()
    close = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
    if close:
        advice = "did you mean " + " or ".join(repr(known[key].name) for key in close) + "?"
    else:
        advice = "the names are " + ", ".join(_catalogue()) + "."
    return f"no data set is called {name!r}; {advice}"
