"""A dosage is a number from 0 to 2, or missing; what is wrong is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown

__all__ = ["check_dosages"]


def check_dosages(values: NDArray[Any], variants: Sequence[str], people: Sequence[str], where: str) -> None:
    """
    Refuse numbers outside [0, 2].

    Parameters
    ----------
    values : ndarray, shape (n, m)
        NaN where missing.
    variants, people : sequence of str
        Names of columns and rows.
    where : str
        What holds them, for the message.

    Raises
    ------
    DataError
        Names the first variant, person and value, and counts the variants.
    """
    if values.size == 0:
        return
    least, most = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    wrong = np.flatnonzero((least < 0) | (most > 2))
    if len(wrong) == 0:
        return
    column = values[:, wrong[0]]
    rows = np.flatnonzero((column < 0) | (column > 2))
    examples = ", ".join(f"{column[i]:.6g} of person {people[i]!r}" for i in rows[:3])
    raise DataError(
        f"{where}: dosages are copies of an allele, from 0 to 2, or missing. Variant {variants[int(wrong[0])]!r} has "
        f"{examples}. Variants with such values: {len(wrong):,} ({shown(variants[j] for j in wrong.tolist())}). "
        "Write NA where a genotype is missing; a column of ids belongs in the index; values above 2 by rounding alone "
        "are to be clipped."
    )
