"""The worker for lmmpy's scans; its first argument says what is asked (`CALLS`), the others where files are."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lmmpy as lmm
from benchmarks.cohorts import CHROMOSOMES, Cohort
from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve
from lmmpy import qtl

TESTS = ("p_wald", "p_lrt", "p_score")
# Of these the null model of `assoc-biobank` has its relatedness.
RELATED_BY = str(CHROMOSOMES)


@dataclass(slots=True)
class Inputs:
    """What is there before the timed call; of tables and matrices, what is read once is kept."""

    job: Job
    frame: pd.DataFrame
    arguments: tuple[str, ...]
    null: Any = None
    kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What is made the first time."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    @property
    def cohort(self) -> Cohort:
        """The files of an association."""
        return Cohort(Path(self.arguments[0]))


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: made ready (not timed), done (timed), and what is told of the result (not timed)."""

    ready: Callable[[Inputs], None]
    do: Callable[[Inputs], Any]
    tell: Callable[[Inputs, Any], dict[str, Any]]


# ---- linkage


def _sharing(inputs: Inputs) -> pd.DataFrame:
    """The table of the family study; with an argument of 10, every position ten times, on ten chromosomes."""
    table, times = lmm.datasets.load("family_ibd"), int(inputs.arguments[0])
    return pd.concat([table.assign(chromosome=c + 1) for c in range(times)], ignore_index=True)


def _family_null(inputs: Inputs) -> None:
    """Fit anew: a fit keeps what it has computed."""
    ped = inputs.once("pedigree", lambda: lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree")))
    inputs.once("ibd", lambda: _sharing(inputs))
    inputs.null = lmm.lmer(inputs.job.formula, inputs.frame, reml=inputs.job.reml, relmat={"ped": ped})


def _linkage(inputs: Inputs) -> Any:
    return qtl.linkage(inputs.null, inputs.kept["ibd"], progress=False)


def _told_linkage(inputs: Inputs, scan: Any) -> dict[str, Any]:
    best = scan.lod.loc[scan.lod["lod"].idxmax()]
    lods = scan.lod["lod"].tolist()[: 21 if inputs.job.formula.startswith("bmi") else 0]
    note = f"highest LOD {best['lod']:.4f} at {best['position']:g} cM; {scan.passes[0].method}"
    return {"note": note, "compared": {"LOD": lods}}


# ---- association


def _fitted(inputs: Inputs, reml: bool) -> Any:
    """From the matrix to the null model."""
    K = lmm.Relatedness(inputs.kept["K"], labels=list(inputs.frame["id"].cat.categories), id="id")
    return lmm.lmer(inputs.job.formula, inputs.frame, reml=reml, relmat={"K": K})


def _matrix(inputs: Inputs) -> None:
    inputs.once("K", lambda: np.load(inputs.cohort.matrix))


def _null(inputs: Inputs) -> None:
    """By ML, as GEMMA's is to its score test."""
    _matrix(inputs)
    inputs.null = _fitted(inputs, reml=False)


def _scan(inputs: Inputs, null: Any, **options: Any) -> Any:
    return qtl.association(null, str(inputs.cohort.prefix), progress=False, **options)


def _with_null(reml: bool, **options: Any) -> Callable[[Inputs], Any]:
    def do(inputs: Inputs) -> tuple[Any, float]:
        begin = time.perf_counter()
        null = _fitted(inputs, reml)
        seconds = time.perf_counter() - begin
        return _scan(inputs, null, **options), seconds

    return do


def _given_null(inputs: Inputs) -> tuple[Any, float]:
    return _scan(inputs, inputs.null), 0.0


def results(scan: Any) -> dict[str, Any]:
    """Estimates and p-values by variant; of a score test alone the estimates are not GEMMA's, which are Wald's."""
    table = scan.table[scan.table["note"] == ""]
    columns = {"p_score": "p_value"} if scan.test == "score" else {c: c for c in ("beta", "std_error", *TESTS)}
    return {"variant": table["variant"].to_numpy(dtype=str), **{n: table[c].to_numpy() for n, c in columns.items()}}


def _told_scan(inputs: Inputs, found: tuple[Any, float]) -> dict[str, Any]:
    """What it found, with its table where a file for that is named."""
    scan, seconds = found
    note = f"{len(scan.table):,} variants, λ_GC {scan.lambda_gc:.3f}"
    note += f"; of it the null model {seconds:.3g} s" if seconds else ""
    told = {"note": note}
    if len(inputs.arguments) > 1:
        np.savez(inputs.arguments[1], **results(scan))
        told["table"] = inputs.arguments[1]
    return told


def _biobank_null(inputs: Inputs) -> None:
    """Once: relatedness by one of the chromosomes, and the fit."""
    if inputs.null is None:
        others = [str(c + 1) for c in range(CHROMOSOMES) if str(c + 1) != RELATED_BY]
        K = qtl.grm(str(inputs.cohort.prefix), leave_out=others, progress=False)
        inputs.null = lmm.lmer(inputs.job.formula, inputs.frame, reml=inputs.job.reml, relmat={"K": K})


EXACT = {"test": "all", "exact": True}
CALLS: Mapping[str, Call] = {
    "linkage": Call(_family_null, _linkage, _told_linkage),
    "exact": Call(_matrix, _with_null(reml=True, **EXACT), _told_scan),
    "score": Call(_null, _given_null, _told_scan),
    "score-and-null": Call(_matrix, _with_null(reml=False), _told_scan),
    "biobank": Call(_biobank_null, _given_null, _told_scan),
}


class Asked:
    """One of the calls as an adapter."""

    def __init__(self, what: str, *arguments: str) -> None:
        self.call, self.arguments = CALLS[what], arguments
        self.inputs: Inputs | None = None

    def prepare(self, job: Job, frame: pd.DataFrame) -> None:
        """Make ready."""
        if self.inputs is None:
            self.inputs = Inputs(job, frame, self.arguments)
        self.call.ready(self.inputs)

    def fit(self, job: Job, frame: pd.DataFrame) -> Any:
        """The call that is timed."""
        assert self.inputs is not None
        return self.call.do(self.inputs)

    def read(self, job: Job, result: Any) -> Answer:
        """Tell what was found; the criterion is the null model's."""
        assert self.inputs is not None
        scan = result[0] if isinstance(result, tuple) else result
        null = next(iter(scan.fits.values())) if hasattr(scan, "fits") else scan.fit
        criterion = null.reml_criterion if null.reml else -2.0 * null.loglik
        return Answer(float(criterion), null.fixef.tolist(), None, self.call.tell(self.inputs, result))


if __name__ == "__main__":
    asked = Asked(*sys.argv[1:-1])
    serve(Adapter("lmmpy", asked.fit, asked.read, asked.prepare))
