"""Frames of other makes, without the packages that their own converters need."""

from __future__ import annotations

import pandas as pd
import polars as pl


def polars(frame: pd.DataFrame) -> pl.DataFrame:
    """A pandas frame as a polars one; missing values are null, categoricals stay categorical."""
    columns = {}
    for name in frame:
        column = frame[name]
        values = [None if pd.isna(value) else value for value in column.tolist()]
        kind = pl.Categorical if isinstance(column.dtype, pd.CategoricalDtype) else None
        columns[name] = pl.Series(name, values, dtype=kind)
    return pl.DataFrame(columns)
