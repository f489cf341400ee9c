"""Peaks of an association scan: lead variants, and the regions that they stand for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, LmmpyWarning, ModelError, shown

__all__ = ["association_peaks"]


def association_peaks(
    table: pd.DataFrame, p: float = 5e-8, distance: int = 500_000, *, column: str = "p_value"
) -> pd.DataFrame:
    """
    Lead variants of a scan.

    The variant with the smallest p-value leads all on its chromosome that are no farther than `distance` from it; then
    the smallest of those left, and so on, as long as it is at most `p`.

    Parameters
    ----------
    table : DataFrame
        Columns `chromosome, position, variant` and p-values; of several traits in `trait`, each has its own peaks. A
        variant of unknown position (0) leads itself alone. Of equal p-values, as of those too small for a number, the
        larger `beta` over its `std_error` comes first, then the first in the table.
    p : float
    distance : int
        Base pairs, to either side.
    column : str
        The column of p-values.

    Returns
    -------
    DataFrame
        Rows of `table`, best first, with `first` and `last`, the outermost positions of the variants led that have
        p-values of at most `p`, and `variants`, their number.

    Warns
    -----
    LmmpyWarning
        When several p-values are 0 and the table has no `beta` and `std_error` that would tell which is the smallest.

    Raises
    ------
    DataError
        For columns that are not there.
    ModelError
        For a `p` outside (0, 1] or a negative distance.
    """
    absent = [name for name in ("chromosome", "position", "variant", column) if name not in table.columns]
    if absent:
        raise DataError(f"The table has no column {shown(absent)}; it has {shown(map(str, table.columns), 20)}.")
    if not _is_number(p) or not 0.0 < p <= 1.0:
        raise ModelError(f"p must be a number above 0, up to 1, such as 5e-8; got {p!r}.")
    if not _is_number(distance) or distance < 0:
        raise ModelError(f"distance must be a number of base pairs, at least 0; got {distance!r}.")
    hits = _ranked(table[table[column].to_numpy(dtype=np.float64) <= p], column)
    within = [hits["chromosome"].astype(str)] + ([hits["trait"]] if "trait" in hits.columns else [])
    parts = [_leads(rows, distance) for _, rows in hits.groupby(within, sort=False)]
    found = pd.concat(parts) if parts else hits.assign(first=hits["position"], last=hits["position"], variants=0)
    return found.sort_index().reset_index(drop=True)


def _ranked(hits: pd.DataFrame, column: str) -> pd.DataFrame:
    """Best first, the index being the rank: by p-value; of equal ones by the size of the effect in standard errors."""
    p = hits[column].to_numpy(dtype=np.float64)
    size = np.zeros(len(p))
    if {"beta", "std_error"} <= set(hits.columns):
        ratio = np.abs(hits["beta"].to_numpy(dtype=np.float64) / hits["std_error"].to_numpy(dtype=np.float64))
        size = np.where(np.isnan(ratio), -np.inf, ratio)
    elif (p == 0.0).sum() > 1:
        warnings.warn(
            f"{int((p == 0.0).sum()):,} values of {column!r} are 0, below what a number can be, and the table has no "
            "columns beta and std_error that would say which is the smallest: the first in the table leads.",
            LmmpyWarning,
            stacklevel=3,
        )
    return hits.iloc[np.lexsort((-size, p))].reset_index(drop=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _leads(rows: pd.DataFrame, distance: float) -> pd.DataFrame:
    """Those of one chromosome and trait, whose rows are best first."""
    position = rows["position"].to_numpy()
    free = np.ones(len(rows), dtype=bool)
    found: list[tuple[int, Any, Any, int]] = []
    for number in range(len(rows)):
        if free[number]:
            own = free & _near(position, number, distance)
            free &= ~own
            found.append((number, position[own].min(), position[own].max(), int(own.sum())))
    leads, first, last, variants = zip(*found, strict=True)
    chosen: pd.DataFrame = rows.iloc[list(leads)].assign(first=first, last=last, variants=variants)
    return chosen


def _near(position: NDArray[Any], number: int, distance: float) -> NDArray[np.bool_]:
    if position[number] == 0:
        return np.equal(np.arange(len(position)), number)
    near: NDArray[np.bool_] = (np.abs(position - position[number]) <= distance) & (position != 0)
    return near
