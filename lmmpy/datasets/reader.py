"""From a data set's CSV file to a DataFrame with R's column types."""

from __future__ import annotations

import gzip
from io import BytesIO

import pandas as pd

from .catalogue import ColumnInfo, DatasetInfo, describe, resource


def load(name: str) -> pd.DataFrame:
    """Load a data set.

    Parameters
    ----------
    name : str
        One of `names`, in upper or lower case.

    Returns
    -------
    DataFrame, shape (n_rows, n_columns)
        A fresh frame at each call. Factors are categoricals with R's levels in R's order, ordered where
        R's are; numbers are float64 (with every digit that R holds; NaN where missing) and integers int64.

    Raises
    ------
    UnknownDatasetError
        A `KeyError` that lists the close names.

    Examples
    --------
    >>> load("sleepstudy").head(3)
       Reaction  Days Subject
    0  249.5600   0.0     308
    1  258.7047   1.0     308
    2  250.8006   2.0     308
    """
    info = describe(name)
    content = resource(info.file).read_bytes()
    return parse(gzip.decompress(content) if info.file.endswith(".gz") else content, info)


def parse(content: bytes, info: DatasetInfo) -> pd.DataFrame:
    """Read CSV text as the columns that `info` describes.

    Parameters
    ----------
    content : bytes
        CSV with a header, UTF-8; a missing number is NaN, other values are never missing.
    info : DatasetInfo

    Returns
    -------
    DataFrame, shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        The file and its description disagree: other columns, or a label that is no level.
    """
    # Python's float() gives the nearest double; what read_csv's own parser gives depends on pandas' version.
    # na_filter=False: no cell is empty, and a label such as "NA" must stay a label.
    frame = pd.read_csv(
        BytesIO(content),
        converters={column.name: float for column in info.columns if column.type == "number"},
        dtype={c.name: "int64" if c.type == "integer" else "str" for c in info.columns if c.type != "number"},
        na_filter=False,
    )
    expected = [column.name for column in info.columns]
    if list(frame.columns) != expected or len(frame) != info.n_rows:
        raise ValueError(
            f"{info.file} has {len(frame)} rows of {list(frame.columns)}, not {info.n_rows} of {expected}; "
            "run make_datasets.R again"
        )
    return frame.assign(**{c.name: _factor(frame[c.name], c, info.file) for c in info.columns if c.levels})


def _factor(labels: pd.Series, column: ColumnInfo, file: str) -> pd.Categorical[str]:
    """Turn labels into a categorical with the column's levels, in their order."""
    levels = pd.Index(list(column.levels))
    codes = levels.get_indexer(pd.Index(labels))
    if (codes < 0).any():
        strange = ", ".join(map(repr, labels[codes < 0].unique()))
        raise ValueError(
            f"{file}: column {column.name!r} has labels that are no level: {strange}; run make_datasets.R again"
        )
    return pd.Categorical.from_codes(codes, levels, ordered=column.type == "ordered")
