"""Dosages that are in memory: arrays and frames."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from lmmpy.errors import DataError, shown
from lmmpy.markers.dosage_checks import check_dosages
from lmmpy.markers.source import Dosages, Rows, check_range, check_rows, described, float_dtype
from lmmpy.markers.variant_table import annotated, variant_table
from lmmpy.relatedness.labels import as_labels
from lmmpy.scan import digest

__all__ = ["ArrayGenotypes", "array_genotypes", "frame_genotypes"]

_AT_ONCE = 1_024


class ArrayGenotypes:
    """
    A `GenotypeSource` in memory.

    Parameters
    ----------
    values : ndarray, shape (n, m)
        Dosages of any numeric dtype, NaN where missing. Held, not copied: not to be changed afterwards.
    people : tuple of str
        Unique ids of the rows.
    variants : DataFrame
        As in `GenotypeSource`.
    name : str
        What messages call it.

    Raises
    ------
    DataError
        When a dosage is outside [0, 2].
    """

    def __init__(self, values: NDArray[Any], people: tuple[str, ...], variants: pd.DataFrame, name: str) -> None:
        self.values, self.people, self.variants = values, people, variants
        self.description = described(name, *values.shape)
        names = variants["variant"].tolist()
        for start in range(0, values.shape[1], _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            check_dosages(values[:, part], names[part], people, name)

    def __repr__(self) -> str:
        return f"<genotypes of {self.description}>"

    def read(self, start: int, stop: int, rows: Rows = None, dtype: DTypeLike = np.float64) -> Dosages:
        """Copies of the effect allele; see `GenotypeSource.read`."""
        check_range(self, start, stop)
        numbers, kind = check_rows(self, rows), float_dtype(dtype)
        block = self.values[:, start:stop]
        part: Dosages = np.array(block if numbers is None else block[numbers], dtype=kind, order="F")
        return part

    def fingerprint(self) -> str:
        """Digest of people, variants and all dosages."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return digest(self.people, self.variants, self.values.T)


def array_genotypes(values: NDArray[Any], people: Any, variants: Any) -> ArrayGenotypes:
    """
    Genotypes of an array.

    Parameters
    ----------
    values : ndarray, shape (n, m)
    people : sequence
        Ids of the rows.
    variants : DataFrame or sequence of str, optional
        A row or a name a column, in order; else they are called v1, v2, ….

    Raises
    ------
    DataError
    """
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"Genotypes have a row a person and a column a variant; got shape {values.shape}.")
    if values.dtype.kind not in "iuf":
        raise DataError(f"Genotypes must hold numbers, copies of an allele; got {values.dtype}.")
    n, m = values.shape
    if people is None:
        raise DataError(
            f"An array of genotypes does not say whose its {n:,} rows are: give people=, their ids in order."
        )
    ids = as_labels(people, "people")
    if len(ids) != n:
        raise DataError(f"people= has {len(ids):,} ids and the array of genotypes {n:,} rows: each row needs one.")
    named = isinstance(variants, pd.DataFrame) and "variant" in variants.columns
    if variants is None:
        names = tuple(f"v{j + 1}" for j in range(m))
    else:
        names = as_labels(variants["variant"].tolist() if named else _index_or_all(variants), "variants")
    if len(names) != m:
        raise DataError(f"variants= has {len(names):,} and the array of genotypes {m:,} columns: each needs one.")
    is_frame = isinstance(variants, pd.DataFrame)
    table = annotated(names, variants, "the array") if is_frame else variant_table(names)
    return ArrayGenotypes(values, ids, table, "array of genotypes")


def _index_or_all(variants: Any) -> list[Any]:
    return variants.index.tolist() if isinstance(variants, pd.DataFrame) else list(variants)


def frame_genotypes(frame: pd.DataFrame, people: Any, variants: Any) -> ArrayGenotypes:
    """
    Genotypes of a frame: index = ids, columns = variants.

    Parameters
    ----------
    frame : DataFrame, shape (n, m)
    people : None
        The index has them.
    variants : DataFrame, optional
        What is known of the variants, matched by name.

    Raises
    ------
    DataError
    """
    if people is not None:
        raise DataError("A frame of genotypes has its ids in its index; leave people= out, or give the array.")
    if 0 in frame.shape:
        raise DataError(f"Genotypes have a row a person and a column a variant; got a frame of shape {frame.shape}.")
    ids, names = as_labels(frame.index, "index of the genotypes"), as_labels(frame.columns, "columns of the genotypes")
    wrong = [name for name, kind in zip(names, frame.dtypes, strict=True) if getattr(kind, "kind", "O") not in "iuf"]
    if wrong:
        column = frame.iloc[:, names.index(wrong[0])]
        raise DataError(
            f"Columns of the genotypes hold no numbers: {shown(wrong)} (values {shown(column.tolist(), 3)}). If one "
            f"holds the ids, make it the index: frame.set_index({wrong[0]!r})."
        )
    table = variant_table(names) if variants is None else annotated(names, _frame_of(variants), "the frame")
    numpy_kinds = all(isinstance(kind, np.dtype) for kind in frame.dtypes)
    values = frame.to_numpy() if numpy_kinds else frame.to_numpy(np.float64, na_value=np.nan)
    return ArrayGenotypes(values, ids, table, "frame of genotypes")


def _frame_of(variants: Any) -> pd.DataFrame:
    if not isinstance(variants, pd.DataFrame):
        raise DataError(
            "Genotypes with names of their own take variants= as a DataFrame with a column 'variant' and any of "
            f"chromosome, position, effect_allele, other_allele; got a {type(variants).__name__}."
        )
    return variants
