"""Tables of any make → columns by name: numbers, truth values, or categoricals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from lmmpy.design.values import Categorical, as_factor, factorize
from lmmpy.errors import DataError, shown, similar

__all__ = ["Columns"]

Value = Any


class Columns:
    """
    The columns of a data set, each converted when it is first asked for.

    Parameters
    ----------
    data : pandas.DataFrame, any frame that narwhals reads (polars, pyarrow), or a mapping of arrays
    levels : mapping, optional
        Levels of categorical columns as a fit saw them; the columns are given on these, new levels behind them.

    Raises
    ------
    DataError
        When `data` is none of these, or its arrays differ in length.
    """

    def __init__(self, data: Any, levels: Mapping[str, Categorical] | None = None) -> None:
        self._cache: dict[str, Value] = {}
        self.index: pd.Index | None = None
        self._levels = levels or {}
        self._is_new = levels is not None
        if isinstance(data, pd.DataFrame):
            self._frame: Any = data
            self._keys = {str(name): name for name in data.columns}
            self.n_rows, self.index = len(data), data.index
        elif isinstance(data, Mapping):
            self._frame = data
            self._keys = {str(name): name for name in data}
            self.n_rows, self.index = _common_length(data), _common_index(data)
        else:
            try:
                self._frame = nw.from_native(data, eager_only=True)
            except TypeError:
                raise DataError(
                    f"data is a {type(data).__name__}; expected a pandas or polars DataFrame, or a mapping from "
                    "column names to arrays."
                ) from None
            self._keys = {name: name for name in self._frame.columns}
            self.n_rows = len(self._frame)
        self.names = list(self._keys)

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def __getitem__(self, name: str) -> Value:
        """The column as a float, int or bool array or a `Categorical`, of length `n_rows`."""
        if name not in self._cache:
            if name not in self._keys:
                raise DataError(self.not_found(name))
            value = _convert(name, self._frame[self._keys[name]])
            if name in self._levels:
                value = as_factor(value).aligned(self._levels[name]) if _is_discrete(value) else value
            self._cache[name] = value
        return self._cache[name]

    def is_text(self, name: str) -> bool:
        """Whether there is such a column, of text that is not declared to be categorical."""
        if name not in self:
            return False
        value, raw = self[name], self._frame[self._keys[name]]
        declared = isinstance(raw, Categorical) or isinstance(getattr(raw, "dtype", None), pd.CategoricalDtype)
        if isinstance(raw, nw.Series):
            declared = raw.dtype != nw.String
        return not declared and isinstance(value, Categorical) and value.levels.dtype.kind != "b"

    def require_same_index(self, what: str, values: Any) -> None:
        """Refuse a Series whose labels are not those of the data: taking it by position would mix up the rows."""
        if isinstance(values, pd.Series) and self.index is not None and not values.index.equals(self.index):
            raise DataError(
                f"{what} is a Series with another index than the data. Write .loc[data.index] to bring "
                "it into the order "
                "of the data, or .to_numpy() to take it by position."
            )

    def levels_seen(self) -> dict[str, Categorical]:
        """Levels of the categorical columns that were asked for, without their rows."""
        empty = np.empty(0, dtype=np.intp)
        return {
            name: replace(value, codes=empty) for name, value in self._cache.items() if isinstance(value, Categorical)
        }

    def not_found(self, name: str) -> str:
        """The message for a name that is no column."""
        close = similar(name, self.names)
        hint = f"Did you mean {shown(close)}?" if close else f"The columns are {shown(self.names, 12)}."
        return f"There is no column {name!r} in the {'new ' if self._is_new else ''}data. {hint}"


def _is_discrete(value: Value) -> bool:
    return isinstance(value, Categorical) or value.dtype.kind == "b"


def _common_length(data: Mapping[Any, Any]) -> int:
    lengths = {str(name): len(values) for name, values in data.items() if np.ndim(values) > 0}
    if not lengths:
        raise DataError("data is a mapping without any array in it.")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise DataError(f"The arrays of data differ in length ({listed}). Each must have one value a row.")
    return next(iter(lengths.values()))


def _common_index(data: Mapping[Any, Any]) -> pd.Index | None:
    series = {str(name): values for name, values in data.items() if isinstance(values, pd.Series)}
    first = next(iter(series), None)
    different = (
        [name for name, values in series.items() if not values.index.equals(series[first].index)] if first else []
    )
    if different:
        raise DataError(
            f"data is a mapping whose Series have different indexes ({first!r} and {shown(different)}). "
            "Make a DataFrame of "
            "them, which aligns the rows, or pass .to_numpy()."
        )
    return series[first].index if first else None


def _convert(name: str, column: Any) -> Value:
    if isinstance(column, nw.Series):
        column = _from_narwhals(column)
    if isinstance(column, pd.DataFrame):
        raise DataError(f"The column name {name!r} stands {column.shape[1]} times in the data. Rename the others.")
    if isinstance(column, Categorical):
        return column
    if not isinstance(column, np.ndarray):
        if not isinstance(column, pd.Series):
            column = pd.Series(column)
        if isinstance(column.dtype, pd.CategoricalDtype):
            factor = column.array
            categories = factor.categories
            levels = np.asarray(categories, dtype=object if categories.dtype.kind not in "iufb" else None)
            return Categorical(factor.codes.astype(np.intp), levels, bool(factor.ordered))
        if isinstance(column.dtype, pd.StringDtype):
            return factorize(_texts(column))
        column = _from_pandas(column)
    if column.ndim != 1:
        raise DataError(f"The column {name!r} has {column.ndim} dimensions; one value a row is expected.")
    return _from_numpy(name, column)


def _from_narwhals(series: Any) -> Any:
    if isinstance(series.dtype, nw.Enum):
        return pd.Series(pd.Categorical(series.to_list(), categories=list(series.dtype.categories)))
    if series.dtype in (nw.Categorical, nw.String):
        return factorize(pd.Series(series.to_list(), dtype=object))
    if series.dtype == nw.Boolean or series.null_count():
        return pd.Series(series.to_list(), dtype=None if series.dtype == nw.Boolean else float)
    return series.to_numpy()


def _texts(column: Any) -> Any:
    """The text of a column as pandas finds levels in it without a copy: its own objects, or Arrow's."""
    return column.array if column.dtype.storage == "pyarrow" else np.asarray(column.array, dtype=object)


def _from_pandas(column: Any) -> Any:
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return column.to_numpy()
    if pd.api.types.is_bool_dtype(dtype):
        return column.to_numpy(dtype=object, na_value=None) if column.hasnans else column.to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    return column.to_numpy(dtype=object, na_value=None)


def _from_numpy(name: str, column: Any) -> Value:
    kind = column.dtype.kind
    if kind in "bi":
        return column
    if kind == "u":
        return column.astype(np.int64)
    if kind == "f":
        return np.asarray(column, dtype=float)
    if kind in "UT":
        return factorize(column.astype(object))
    if kind == "O":
        return _from_objects(name, column)
    what = {"M": "dates", "m": "time differences", "c": "complex numbers"}.get(kind, str(column.dtype))
    raise DataError(f"The column {name!r} holds {what}; turn it into numbers (for example days since the start) first.")


def _from_objects(name: str, column: Any) -> Value:
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("string", "empty", "boolean"):
        return factorize(column)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return pd.to_numeric(pd.Series(column), errors="raise").to_numpy(dtype=float)
    examples = shown(list({repr(value): value for value in column[:100]}.values()), 3)
    raise DataError(
        f"The column {name!r} mixes kinds of values ({kind}: {examples}, …). Make it all numbers or all text."
    )
