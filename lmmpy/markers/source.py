"""What a scan asks of genotypes, wherever they are: people, variants, and dosages in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from lmmpy.errors import ModelError, shown

__all__ = ["Dosages", "GenotypeSource", "Rows", "check_range", "check_rows", "described", "float_dtype"]

Dosages: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp] | Sequence[int] | None


@runtime_checkable
class GenotypeSource(Protocol):
    """
    Dosages of some people at some variants, read in blocks of variants.

    A source pickles: one that reads a file does so by its path, and opens it anew where it is unpickled.

    Attributes
    ----------
    people : tuple of str
        Unique ids, one a row.
    variants : DataFrame
        RangeIndex; columns chromosome (str; "" where unknown), position (int64, base pairs; 0 where unknown), variant
        (str), effect_allele, other_allele (str; "" where unknown). Not to be changed.
    description : str
        For people: "study.bed: 5,000 people, 500,000 variants".
    """

    @property
    def people(self) -> tuple[str, ...]:
        """Unique ids, one a row."""
        ...

    @property
    def variants(self) -> pd.DataFrame:
        """What the variants are, one a row."""
        ...

    @property
    def description(self) -> str:
        """One line for people."""
        ...

    def read(self, start: int, stop: int, rows: Rows = None, dtype: DTypeLike = np.float64) -> Dosages:
        """
        Copies of the effect allele.

        Parameters
        ----------
        start, stop : int
            The variants start … stop − 1.
        rows : sequence of int, optional
            Numbers of people, in any order, some of them perhaps more than once. By default all, in order.
        dtype : numpy dtype
            float32 or float64.

        Returns
        -------
        ndarray, shape (len(rows), stop - start)
            In Fortran order, the caller's to change; NaN where missing.

        Raises
        ------
        DataError
            When the file cannot be read there, or holds what is no dosage; names file, variants and people.
        """
        ...

    def fingerprint(self) -> str:
        """
        Digest of people, variants and dosages; of a large file, its length and some of its pages.

        Returns
        -------
        str
        """
        ...


def described(name: str, people: int, variants: int) -> str:
    """One line that tells a source from others."""
    return f"{name}: {people:,} people, {variants:,} variants"


def check_range(source: GenotypeSource, start: int, stop: int) -> None:
    """Refuse variants that a source does not have."""
    total = len(source.variants)
    if not 0 <= start <= stop <= total:
        raise ModelError(f"Variants {start} to {stop} were asked for; {source.description}, counted from 0.")


def check_rows(source: GenotypeSource, rows: Rows) -> NDArray[np.intp] | None:
    """Numbers of people as an array; refuse those that a source does not have."""
    if rows is None:
        return None
    given: NDArray[Any] = np.asarray(rows)
    if given.ndim != 1 or (given.dtype.kind not in "iu" and len(given)):
        raise ModelError(f"rows must be numbers of people, one dimension; got {given.dtype} of shape {given.shape}.")
    numbers = given.astype(np.intp)
    wrong = numbers[(numbers < 0) | (numbers >= len(source.people))]
    if len(wrong):
        raise ModelError(f"rows {shown(wrong.tolist())} were asked for; {source.description}, counted from 0.")
    return numbers


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64 as a numpy dtype."""
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ModelError(f"Dosages are read as float32 or float64, not as {kind}.")
    return kind
