"""How the time of an association scan grows: with the variants, and with the people."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cohorts import Cohort, cohort
from benchmarks.growth import Line

NAME = "scan-growth"
FORMULA = "y ~ x + kin(id, K)"
PEOPLE, VARIANTS = 2_000, 10_000
TESTS = {"score": {}, "exact": {"test": "all", "exact": True}}


@dataclass(frozen=True, eq=False)
class Study:
    """
    What is there before the timed call.

    Attributes
    ----------
    prefix : str
        Of the PLINK files.
    frame : DataFrame
    related : Relatedness
        Dense, of 10,000 variants.
    null : LmmFit or None
        None where the fit is of the time.
    """

    prefix: str
    frame: pd.DataFrame
    related: Any
    null: Any = None

    def __len__(self) -> int:
        return len(self.frame)


@lru_cache(maxsize=1)
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """Gone with the process."""
    return tempfile.TemporaryDirectory()


def _cohort(n: int, m: int) -> Cohort:
    return cohort(n, m, Path(_folder().name))


@lru_cache(maxsize=1)
def _related(n: int) -> Any:
    from lmmpy import qtl  # only in the process that measures

    return qtl.grm(str(_cohort(n, VARIANTS).prefix), progress=False)


def _fitted(study: Study) -> Any:
    import lmmpy as lmm

    return lmm.lmer(FORMULA, study.frame, relmat={"K": study.related})


def of_people(n: int) -> Study:
    """n people with 10,000 variants; the null model is to be fitted."""
    made = _cohort(n, VARIANTS)
    return Study(str(made.prefix), made.frame(), _related(n))


def of_variants(m: int) -> Study:
    """2,000 people with m variants; the null model is there, with relatedness by others."""
    made = _cohort(PEOPLE, m)
    study = Study(str(made.prefix), made.frame(), _related(PEOPLE))
    return Study(study.prefix, study.frame, study.related, _fitted(study))


def scan(options: dict[str, Any], formula: str, study: Study) -> Any:
    """The call that is timed: of the fit, where it is not there, and of the scan."""
    from lmmpy import qtl

    null = _fitted(study) if study.null is None else study.null
    return qtl.association(null, study.prefix, progress=False, **options)


def variants(found: Any) -> int:
    """How many were scanned."""
    return int(np.size(found.table["variant"]))


def _line(name: str, test: str, axis: str, make: Callable[[int], Study], sizes: tuple[int, int], expected: str) -> Line:
    return Line(name, FORMULA, axis, make, *sizes, expected, partial(scan, TESTS[test]), variants)


LINES = (
    _line("score test, 2,000 people, null model given", "score", "q", of_variants, (800, 102_400), "1"),
    _line("all exact tests, 2,000 people, null model given", "exact", "q", of_variants, (800, 102_400), "1"),
    _line("score test, 10,000 variants, with the null model", "score", "n", of_people, (500, 8_000), "2 to 3"),
    _line("all exact tests, 10,000 variants, with the null model", "exact", "n", of_people, (500, 8_000), "2 to 3"),
)
