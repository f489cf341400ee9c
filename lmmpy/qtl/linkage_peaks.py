"""Peaks of LOD curves and how far they reach: support intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import ModelError

__all__ = ["around", "linkage_peaks", "support_interval"]

Floats = NDArray[np.float64]

COLUMNS = ("chromosome", "position", "lod", "low", "high", "low_open", "high_open")


def linkage_peaks(table: pd.DataFrame, lod: float, drop: float, distance: float | None) -> pd.DataFrame:
    """
    The peaks of a scan, highest first.

    Parameters
    ----------
    table : DataFrame
        Columns `chromosome`, `position` (cM), `lod`.
    lod : float
        Peaks are that high at least.
    drop : float
        In LOD; see `support_interval`.
    distance : float or None
        Peaks of one chromosome are more than so many cM apart: of two that are nearer, the higher one counts. None:
        the highest of each chromosome.

    Returns
    -------
    DataFrame
        The rows of `table` at the peaks, with `low`, `high`, `low_open`, `high_open` behind the LOD.

    Raises
    ------
    ModelError
        For a height, drop or distance that is none.
    """
    for name, value in (("lod", lod), ("drop", drop), ("distance", 0.0 if distance is None else distance)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 <= value < math.inf:
            raise ModelError(f"{name} must be a number of at least 0, not {value!r}.")
    rows: list[dict[str, Any]] = []
    for _, part in table.groupby("chromosome", sort=False):
        ordered = part.sort_values("position", kind="stable").reset_index(drop=True)
        x, y = ordered["position"].to_numpy(dtype=float), ordered["lod"].to_numpy(dtype=float)
        for i in _tops(x, y, lod, distance):
            here = {str(name): value for name, value in ordered.iloc[i].items()}
            rows.append({**here, **support_interval(x, y, i, drop)})
    found = pd.DataFrame(rows, columns=[*table.columns, *COLUMNS[3:]])
    rest = [name for name in found.columns if name not in COLUMNS]
    typed = found.astype({**table.dtypes.to_dict(), "low": float, "high": float, "low_open": bool, "high_open": bool})
    return typed[[*COLUMNS, *rest]].sort_values("lod", ascending=False, kind="stable").reset_index(drop=True)


def _tops(x: Floats, y: Floats, lod: float, distance: float | None) -> list[int]:
    """Places of the peaks of one chromosome, highest first; the first position of a plateau."""
    order = [i for i in np.argsort(-y, kind="stable").tolist() if y[i] >= lod and y[i] > 0.0]
    if distance is None:
        return order[:1]
    first, last = _plateaus(y)
    kept: list[int] = []
    for i in order:
        a, b = first[i], last[i]
        rises = (a == 0 or y[a - 1] < y[i]) and (b + 1 == len(y) or y[b + 1] < y[i])
        if i == a and rises and all(abs(x[i] - x[j]) > distance for j in kept):
            kept.append(i)
    return kept


def _plateaus(y: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of each place the first and the last of the neighbours that are as high: a shoulder goes on rising behind it."""
    starts = np.flatnonzero(np.append(True, y[1:] != y[:-1]))
    lengths = np.diff(np.append(starts, len(y)))
    return np.repeat(starts, lengths), np.repeat(starts + lengths - 1, lengths)


def support_interval(x: Floats, y: Floats, top: int, drop: float) -> dict[str, Any]:
    """
    From where to where the LOD is less than `drop` below a peak.

    Between positions it is interpolated linearly. Where the curve ends before it has dropped, the interval ends there
    and is open: the locus may lie outside of the map. A drop of 1 is usual (Lander & Botstein 1989); how often such an
    interval holds the locus depends on the size of its effect (Mangin et al. 1994).

    Parameters
    ----------
    x, y : ndarray, shape (m,)
        Positions of one chromosome, ascending, and their LODs.
    top : int
        Place of the peak.
    drop : float

    Returns
    -------
    dict
        low, high, low_open, high_open.
    """
    level, found = y[top] - drop, {}
    for end, step in (("low", -1), ("high", 1)):
        inner = top
        while 0 <= inner + step < len(x) and y[inner + step] > level:
            inner += step
        outer = inner + step
        is_open = not 0 <= outer < len(x)
        at = x[inner]
        if not is_open:
            at += (x[outer] - x[inner]) * (y[inner] - level) / (y[inner] - y[outer]) if y[inner] > y[outer] else 0.0
        found[end], found[f"{end}_open"] = float(at), is_open
    return found


def around(peaks: pd.DataFrame, number: int, distance: float | None) -> tuple[float, float]:
    """
    What is near a peak: its support interval, or so many cM to both sides.

    Parameters
    ----------
    peaks : DataFrame
        See `linkage_peaks`.
    number : int
        Of the peak.
    distance : float or None
    """
    row = peaks[["position", "low", "high"]].to_numpy(dtype=float)[number]
    return (row[1], row[2]) if distance is None else (row[0] - distance, row[0] + distance)
