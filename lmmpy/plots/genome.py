"""Chromosomes in their natural order, side by side on one axis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.errors import DataError, ModelError, shown

__all__ = ["checked_columns", "chromosome_order", "genome_places", "one_trait"]

_NAMED = {"X": 0, "Y": 1, "XY": 2, "PAR": 2, "PAR1": 2, "PAR2": 3, "MT": 4, "M": 4}
# Between neighbouring chromosomes, of the length of all.
_GAP = 0.008


def chromosome_order(chromosomes: Iterable[object]) -> list[str]:
    """
    The distinct names, in natural order: 1 … 22, X, Y, XY, MT, then others by the alphabet, then PLINK's 0 (unknown).

    Parameters
    ----------
    chromosomes : iterable of str
        A prefix ``chr`` does not matter.
    """
    return sorted({str(name) for name in chromosomes}, key=_key)


def _key(name: str) -> tuple[int, int, str]:
    bare = re.sub(r"(?i)^chr", "", name)
    if re.fullmatch(r"\d+", bare):
        return (0 if int(bare) else 3, int(bare), name)
    if bare.upper() in _NAMED:
        return (1, _NAMED[bare.upper()], name)
    return (2, 0, name)


def genome_places(chromosome: pd.Series, position: pd.Series) -> Floats:
    """
    Places on one axis, chromosome behind chromosome.

    Parameters
    ----------
    chromosome : Series of str
    position : Series
        In base pairs or cM. A chromosome of which all positions are 0 (unknown) has its rows evenly spaced in their
        order, over the mean length of the others.

    Returns
    -------
    ndarray, shape (n,)
        In the unit of `position`. Of one chromosome these are the positions themselves.

    Raises
    ------
    DataError
        For positions that are missing or negative.
    """
    names, at = chromosome.astype(str).to_numpy(dtype=object), position.to_numpy(dtype=np.float64)
    wrong = position[~(np.isfinite(at) & (at >= 0.0))]
    if len(wrong):
        raise DataError(f"Positions must be numbers of at least 0; these rows have others: {shown(wrong.index)}.")
    codes, distinct = pd.factorize(names)
    at = at.copy()
    groups = {str(name): np.flatnonzero(codes == code) for code, name in enumerate(distinct)}
    spans = [float(np.ptp(at[rows])) for rows in groups.values() if at[rows].any()]
    for rows in groups.values():
        if not at[rows].any():
            at[rows] = (np.arange(len(rows)) + 0.5) / len(rows) * (np.mean(spans) if spans else 1.0)
    if len(groups) < 2:
        return at
    gap = _GAP * max(sum(float(np.ptp(at[rows])) for rows in groups.values()), 1.0)
    edge = 0.0
    for name in chromosome_order(groups):
        rows = groups[name]
        at[rows] += edge - at[rows].min()
        edge = float(at[rows].max()) + gap
    return at


def checked_columns(table: pd.DataFrame, wanted: Sequence[str], what: str) -> None:
    """
    Whether a frame has the columns that a picture needs.

    Raises
    ------
    DataError
        Naming those that are not there.
    """
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise DataError(
            f"{what} needs the columns {shown(absent)}; the table has {shown(map(str, table.columns), 20)}."
        )


def one_trait(table: pd.DataFrame, what: str) -> None:
    """
    Whether a table of several traits was reduced to one.

    Raises
    ------
    ModelError
        When it has several.
    """
    if "trait" not in table.columns:
        return
    traits = list(table["trait"].unique())
    if len(traits) > 1:
        raise ModelError(
            f"{what} is of one trait, and the table has {shown(traits)}. Take its rows: "
            f"table[table['trait'] == {traits[0]!r}]."
        )
