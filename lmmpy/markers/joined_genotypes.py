"""Several sources of the same people as one: a file a chromosome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.markers.plink_files import check_variants
from lmmpy.markers.source import Dosages, GenotypeSource, Rows, check_range, check_rows, described, float_dtype
from lmmpy.scan import digest

__all__ = ["JoinedGenotypes"]


class JoinedGenotypes:
    """
    A `GenotypeSource` of the variants of several, one after the other.

    Parameters
    ----------
    parts : sequence of GenotypeSource
        Of the same people in the same order.

    Raises
    ------
    DataError
        When people differ, or a variant is there twice.
    """

    def __init__(self, parts: Sequence[GenotypeSource]) -> None:
        if not parts:
            raise ModelError("An empty list has no genotypes.")
        self.parts = tuple(parts)
        self.people = parts[0].people
        for part in parts[1:]:
            _check_people(parts[0], part)
        counts = [len(part.variants) for part in parts]
        self._ends = np.cumsum(counts)
        names = [part.description.rpartition(": ")[0] for part in parts]
        self.description = described(
            " + ".join([*names[:3], *(["…"] if len(names) > 3 else [])]), len(self.people), sum(counts)
        )
        check_variants(self.variants, self.description, "number")

    def __repr__(self) -> str:
        return f"<genotypes of {self.description}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "variants"}

    @cached_property
    def variants(self) -> pd.DataFrame:
        """Of all parts; see `GenotypeSource`."""
        return pd.concat([part.variants for part in self.parts], ignore_index=True)

    def read(self, start: int, stop: int, rows: Rows = None, dtype: DTypeLike = np.float64) -> Dosages:
        """Copies of the effect allele; see `GenotypeSource.read`."""
        check_range(self, start, stop)
        numbers, kind = check_rows(self, rows), float_dtype(dtype)
        first = int(np.searchsorted(self._ends, start, side="right"))
        if first < len(self.parts) and stop <= self._ends[first]:
            before = int(self._ends[first - 1]) if first else 0
            return self.parts[first].read(start - before, stop - before, numbers, kind)
        n = len(self.people) if numbers is None else len(numbers)
        values: Dosages = np.empty((n, stop - start), dtype=kind, order="F")
        before = 0
        for part, end in zip(self.parts, self._ends.tolist(), strict=True):
            low, high = max(start, before), min(stop, end)
            if low < high:
                values[:, low - start : high - start] = part.read(low - before, high - before, numbers, kind)
            before = end
        return values

    def fingerprint(self) -> str:
        """Digest of those of the parts."""
        return digest([part.fingerprint() for part in self.parts])


def _check_people(first: GenotypeSource, other: GenotypeSource) -> None:
    if first.people == other.people:
        return
    lacking, more = sorted(set(first.people) - set(other.people)), sorted(set(other.people) - set(first.people))
    raise DataError(
        f"Genotypes that are joined must be of the same people in the same order: {first.description}; "
        f"{other.description}. "
        + (f"Only in the first: {shown(lacking)}. " if lacking else "")
        + (f"Only in the other: {shown(more)}. " if more else "")
        + ("They have the same people in another order." if not lacking and not more else "")
    )
