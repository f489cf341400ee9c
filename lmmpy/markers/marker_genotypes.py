"""Genotypes of markers as pairs of alleles, and the frequencies of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown
from lmmpy.markers.pairs import Floats, Ints, Plain

__all__ = ["Marker", "marker_of"]

_MISSING = {"", "NA", "nan", "NaN", "None", "<NA>", "0", "0/0", "./.", "0|0", ".|.", "0 0", ". .", "-", "-/-", "x/x"}
_UNKNOWN_ALLELE = {"0", ".", "-", "x", ""}


@dataclass(frozen=True, eq=False, slots=True)
class Marker:
    """
    The genotypes of one marker.

    Attributes
    ----------
    name : str
    alleles : tuple of str
    frequency : ndarray, shape (n_alleles,)
    genotype : ndarray of intp, shape (n_people, 2)
        Numbers of alleles, in any order; −1 both where not typed.
    """

    name: str
    alleles: tuple[str, ...]
    frequency: Floats
    genotype: Ints


def marker_of(name: str, column: pd.Series, frequencies: Any) -> Marker:
    """
    A column of genotypes.

    Parameters
    ----------
    name : str
    column : Series
        Numbers are copies 0, 1, 2 of an allele, which is called "1" and the other "0". Texts are two alleles "A/B",
        "A|B" or "A B".
    frequencies : float, mapping or None
        The frequency of the allele that is counted, or of each allele; None counts them over all who are typed.

    Raises
    ------
    DataError
        Naming the marker, the people and the values.
    """
    alleles: tuple[str, ...]
    if column.dtype.kind in "iufb":
        alleles, genotype = ("0", "1"), _of_counts(name, column)
        if frequencies is not None and not isinstance(frequencies, Mapping):
            frequencies = {"0": 1.0 - float(frequencies), "1": float(frequencies)}
    else:
        alleles, genotype = _of_texts(name, column)
    if frequencies is None:
        typed = genotype[genotype[:, 0] >= 0]
        counts = np.bincount(typed.ravel(), minlength=len(alleles)).astype(np.float64)
        return Marker(name, alleles, counts / max(1.0, counts.sum()), genotype)
    if not isinstance(frequencies, Mapping):
        raise DataError(f"Marker {name!r}: frequencies must be a mapping from alleles to numbers, not {frequencies!r}.")
    return Marker(name, alleles, _given(name, alleles, genotype, frequencies), genotype)


def _of_counts(name: str, column: pd.Series) -> Ints:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.isnan(values)
    wrong = ~missing & ~np.isin(values, (0.0, 1.0, 2.0))
    if wrong.any():
        raise DataError(
            f"Marker {name!r}: copies of an allele must be 0, 1 or 2: {_named(column, wrong)}. Give alleles as texts "
            "'A/B'."
        )
    counts = np.where(missing, 0.0, values)
    genotype = np.stack([counts > 1.5, counts > 0.5], axis=1).astype(np.intp)
    genotype[missing] = -1
    return genotype


def _named(column: pd.Series, at: NDArray[np.bool_]) -> str:
    return shown([Plain(f"{who!r} has {value!r}") for who, value in column[at].items()])


def _of_texts(name: str, column: pd.Series) -> tuple[tuple[str, ...], Ints]:
    codes, distinct = pd.factorize(column.to_numpy(dtype=object), use_na_sentinel=True)
    alleles: dict[str, int] = {}
    table = np.full((len(distinct) + 1, 2), -1, dtype=np.intp)  # the last for those that are not known
    for i, value in enumerate(distinct):
        text = str(value).strip()
        if text in _MISSING:
            continue
        parts = text.replace("|", "/").replace("/", " ").split()
        if len(parts) != 2 or any(part in _UNKNOWN_ALLELE for part in parts):
            wrong = codes == i
            raise DataError(
                f"Marker {name!r}: genotypes must be two alleles, 'A/B', or not known, '0/0' (0 is no allele): "
                f"{_named(column, np.asarray(wrong))}."
            )
        table[i] = [alleles.setdefault(part, len(alleles)) for part in parts]
    return tuple(alleles), table[codes]


def _given(name: str, alleles: tuple[str, ...], genotype: Ints, frequencies: Mapping[Any, Any]) -> Floats:
    """The frequency of each allele that is seen; others' frequencies are only looked at."""
    known = {str(allele): float(value) for allele, value in frequencies.items()}
    values = np.array(list(known.values()))
    if not ((values >= 0.0) & (values <= 1.0)).all() or values.sum() > 1.0 + 1e-6:
        raise DataError(f"Marker {name!r}: allele frequencies must be 0 to 1 and sum to 1 at most; they are {known}.")
    seen = np.unique(genotype[genotype >= 0])
    absent = [alleles[i] for i in seen if known.get(alleles[i], 0.0) <= 0.0]
    if absent:
        raise DataError(
            f"Marker {name!r}: alleles that are seen have no frequency: {shown(absent)}; there are {known}."
        )
    return np.array([known.get(allele, 0.0) for allele in alleles])
