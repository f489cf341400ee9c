"""One block of an association scan: read genotypes, count and fill what is missing, test, tabulate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from lmmpy.errors import ModelError
from lmmpy.inference.column_scanner import ColumnScanner
from lmmpy.inference.column_tests import ColumnTests
from lmmpy.inference.estimate_tests import no_tests
from lmmpy.markers import GenotypeSource, impute_mean, summarise
from lmmpy.qtl.people import People
from lmmpy.scan import Block

__all__ = ["AssociationTask", "Filters", "Scanners", "TraitScan"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Reals = NDArray[Any]

# Of the tests of a scan the first of these that it has is the one of its columns beta … p_value.
_MAIN = ("wald", "lrt", "score")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which variants are tested.

    Attributes
    ----------
    min_maf : float
        Those with a smaller minor allele frequency are not.
    max_missing : float
        Nor those that a larger part of the people has no genotype of.
    """

    min_maf: float
    max_missing: float

    @classmethod
    def checked(cls, min_maf: Any, max_missing: Any) -> Filters:
        """Refuse what is no frequency."""
        for name, value, most in (("min_maf", min_maf, 0.5), ("max_missing", max_missing, 1.0)):
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not 0.0 <= value <= most:
                raise ModelError(f"{name} must be a number from 0 to {most:g}, not {value!r}.")
        return cls(float(min_maf), float(max_missing))

    def notes(self, missing: Ints, maf: Floats, n: int, varies: NDArray[np.bool_]) -> NDArray[np.object_]:
        """Why each variant is not tested, shape (m,); empty for those that are."""
        found = np.full(len(maf), "", dtype=object)
        found[maf < self.min_maf] = "maf"
        found[~varies] = "monomorphic"
        found[missing > self.max_missing * n] = "missing"
        found[missing == n] = "all missing"
        return found


class Scanners(Protocol):
    """The tests of a chromosome's variants; pickles."""

    @property
    def method(self) -> str:
        """How, in words."""

    def __call__(self, chromosome: str) -> ColumnScanner:
        """Those of one chromosome."""


@dataclass(frozen=True, eq=False, slots=True)
class TraitScan:
    """What the scan of one trait needs.

    Attributes
    ----------
    name : str
    people : People
    places : ndarray of int, shape (people,)
        Their numbers among the people of the genotypes.
    scanners : Scanners
    modifier : ndarray, shape (n,), or None
        Of each row, what the effect of a variant is to depend on.
    """

    name: str
    people: People
    places: Ints
    scanners: Scanners
    modifier: Floats | None

    def columns(self, G: Reals) -> Reals:
        """From dosages of the people to columns over the rows, shape (n, m) or, with a modifier, (n, 2m)."""
        rows = np.asfortranarray(G[self.people.codes]) if self.people.repeated else G
        if self.modifier is None:
            return rows
        both = np.empty((len(rows), 2 * rows.shape[1]), order="F")
        both[:, ::2] = rows
        both[:, 1::2] = rows * self.modifier[:, None]
        return both


@dataclass(frozen=True, eq=False, slots=True)
class AssociationTask:
    """
    One block of variants; see `Task`.

    Attributes
    ----------
    source : GenotypeSource
    selected : ndarray of int, shape (m,)
        Numbers of the variants to scan, ascending; blocks count in these.
    traits : tuple of TraitScan
    filters : Filters
    tests : tuple of str
        As the scanners have them.
    """

    source: GenotypeSource
    selected: Ints
    traits: tuple[TraitScan, ...]
    filters: Filters
    tests: tuple[str, ...]

    def nothing(self) -> pd.DataFrame:
        """The table of no variant."""
        return self(Block(0, 0, 0, ""))

    def __call__(self, block: Block) -> pd.DataFrame:
        """Return one row a variant and trait, variant by variant."""
        which = self.selected[block.start : block.stop]
        variants = self.source.variants.iloc[which].reset_index(drop=True)
        union = self.traits[0].places
        if len(self.traits) > 1:
            union = np.unique(np.concatenate([trait.places for trait in self.traits]))
        # where chromosomes have models of their own, no block has variants of two
        chromosome = "" if variants.empty else str(variants["chromosome"].iloc[0])
        scanners = [trait.scanners(chromosome) for trait in self.traits] if len(which) else []
        G = self._read(which, union, np.float32 if all(scanner.single for scanner in scanners) else np.float64)
        frames = []
        for i, trait in enumerate(self.traits):
            own = G if trait.places is union else np.asfortranarray(G[np.searchsorted(union, trait.places)])
            frames.append(self._of_trait(trait, scanners[i] if scanners else None, own, variants))
        if len(frames) == 1:
            return frames[0].drop(columns="trait")
        # variant by variant
        order = np.arange(len(frames) * len(which)).reshape(len(frames), -1).T.ravel()
        return pd.concat(frames, ignore_index=True).iloc[order].reset_index(drop=True)

    def _read(self, which: Ints, rows: Ints, dtype: DTypeLike) -> Reals:
        runs = _runs(which) if len(which) else []
        if len(runs) == 1:
            return self.source.read(*runs[0], rows=rows, dtype=dtype)
        G = np.empty((len(rows), len(which)), dtype=dtype, order="F")
        place = 0
        for start, stop in runs:
            G[:, place : place + stop - start] = self.source.read(start, stop, rows=rows, dtype=dtype)
            place += stop - start
        return G

    def _of_trait(
        self, trait: TraitScan, scanner: ColumnScanner | None, G: Reals, variants: pd.DataFrame
    ) -> pd.DataFrame:
        summary = summarise(G)
        notes = self.filters.notes(summary.missing, summary.maf, len(G), summary.varies)
        kept = np.flatnonzero(notes == "")
        impute_mean(G, summary)
        k = 1 if trait.modifier is None else 2
        tests: Mapping[str, ColumnTests] = {test: no_tests(0, k) for test in self.tests}
        if scanner is not None and len(kept):
            columns = trait.columns(G if len(kept) == G.shape[1] else np.asfortranarray(G[:, kept]))
            tests = scanner(columns, k)
        found = _statistics(tests, kept, len(notes), trait.modifier is not None)
        notes[kept[tests[self.tests[0]].collinear]] = "collinear"
        notes[kept[np.any([test.failed for test in tests.values()], axis=0)]] = "not converged"
        table = {
            "trait": pd.array([trait.name] * len(notes), dtype="str"),
            "chromosome": variants["chromosome"],
            "position": variants["position"],
            "variant": variants["variant"],
            "n": len(G) - summary.missing,
            "maf": summary.maf.astype(float),
            **found,
            "effect_allele": variants["effect_allele"],
            "other_allele": variants["other_allele"],
            "frequency": summary.frequency.astype(float),
            "missing": summary.missing,
            "note": pd.array(notes, dtype="str"),
        }
        return pd.DataFrame(table)


def _runs(which: Ints) -> list[tuple[int, int]]:
    """Runs of following numbers, as pairs of the first and one behind the last."""
    edges = np.flatnonzero(np.diff(which) != 1) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [len(which)]])
    return [(int(which[start]), int(which[stop - 1]) + 1) for start, stop in zip(starts, stops, strict=True)]


def _statistics(tests: Mapping[str, ColumnTests], kept: Ints, m: int, interaction: bool) -> dict[str, Reals]:
    """The columns of the table that come from the tests, NaN for variants that are not tested."""

    def spread(values: Floats) -> Floats:
        out = np.full(m, np.nan)
        out[kept] = values
        return out

    main = tests[next(name for name in _MAIN if name in tests)]
    found = {
        "beta": spread(main.beta[:, -1]),
        "std_error": spread(main.std_error[:, -1]),
        "statistic": spread(main.last_statistic if interaction else main.statistic),
        "p_value": spread(main.last_p_value if interaction else main.p_value),
    }
    if len(tests) > 1:
        for name in _MAIN:
            if name in tests:
                found[f"p_{name}"] = spread(tests[name].last_p_value if interaction else tests[name].p_value)
    if interaction:
        found["beta_main"], found["std_error_main"] = spread(main.beta[:, 0]), spread(main.std_error[:, 0])
        found["p_joint"] = spread(main.p_value)
    return found
