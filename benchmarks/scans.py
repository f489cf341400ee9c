"""Scans: linkage in families beside what SOLAR is told to take, association beside GEMMA, and a biobank's slice."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import cohorts
from benchmarks.client import Reply
from benchmarks.cohorts import Cohort
from benchmarks.kin import GEMMA, missing_gemma
from benchmarks.peers import Peer, missing_module
from benchmarks.problems import Problem, Target
from benchmarks.runner import PeerResult, ProblemResult, Progress, Settings, Status, Versions, run_problem
from benchmarks.structured import REFERENCE, SOLAR
from benchmarks.targets import MB_IN_GIB, OURS, Verdict

# Largest relative difference of p-values and standard errors, and of β over its standard error: four digits.
AGREEMENT = 1e-4
# LODs, absolutely: SOLAR prints four decimals.
LOD_AGREEMENT = 2e-3
POSITIONS = 21
MS_BY_SOLAR = 75.0


@dataclass(frozen=True, slots=True)
class Row:
    """
    One thing that lmmpy is asked, a worker of its own.

    Attributes
    ----------
    label : str
        Of the row, "" where there is one only.
    what : str
        What the worker is to do; see `bench_scans.CALLS`.
    target : Target or None
        Seconds, see `Task.by_position`, or a ratio to GEMMA's time in the same run.
    arguments : tuple of str
        For the worker, where it needs no cohort.
    """

    label: str
    what: str
    target: Target | None = None
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the peer."""
        return f"{OURS}, {self.label}" if self.label else OURS


@dataclass(frozen=True, slots=True)
class Task:
    """
    A scan.

    Attributes
    ----------
    problem : Problem
        The null model; its name is the task's.
    told : str
        The scan in words, for the page.
    rows : tuple of Row
        What lmmpy is asked.
    items : int
        Positions or variants.
    cohort : callable, optional
        Makes the files of an association.
    beside_gemma : bool
        Whether GEMMA takes part.
    given : callable, optional
        What SOLAR took, which is not run here.
    """

    problem: Problem
    told: str
    rows: tuple[Row, ...]
    items: int
    cohort: Callable[[], Cohort] | None = None
    beside_gemma: bool = False
    given: Callable[[], PeerResult] | None = None

    @property
    def by_position(self) -> bool:
        """Whether a target in seconds is for a position; else it is for the whole."""
        return self.cohort is None

    def peers(self, folder: Path) -> tuple[Peer, ...]:
        """lmmpy's workers and GEMMA's, which leave tables in a folder; cohorts that are not kept are made."""
        made = None if self.cohort is None else self.cohort()
        if made is not None and self.beside_gemma and missing_gemma() is None:
            cohorts.relate(made)
        return (*(self._ours(row, made, folder) for row in self.rows), *self._gemma(made, folder))

    def _ours(self, row: Row, made: Cohort | None, folder: Path) -> Peer:
        files = [] if made is None else [str(made.folder)]
        files += [str(folder / f"{row.what}.npz")] if self.beside_gemma else []
        command = (sys.executable, "-m", "benchmarks.bench_scans", row.what, *row.arguments, *files)
        return Peer(row.name, command, self._missing)

    def _missing(self) -> str | None:
        """What lmmpy needs; the relatedness of a task beside GEMMA is GEMMA's."""
        modules = (OURS,) if self.cohort is None else (OURS, "bed_reader")
        absent = [missing_module(name) for name in modules] + [missing_gemma() if self.beside_gemma else None]
        return next((words for words in absent if words is not None), None)

    def _gemma(self, made: Cohort | None, folder: Path) -> tuple[Peer, ...]:
        if not self.beside_gemma:
            return ()
        assert made is not None
        files = str(made.folder), str(folder / "gemma.npz")
        return (Peer(GEMMA, (sys.executable, "-m", "benchmarks.bench_gemma_scan", *files), missing_gemma),)


# ---- linkage


def _family() -> pd.DataFrame:
    from lmmpy import datasets  # only when real data are wanted: the peers run without lmmpy

    return datasets.load("family").astype({"household": "category"})


def _solar() -> PeerResult:
    """SOLAR's LODs and its time, which is given; its log-likelihood is without the constant of the normal one."""
    folder = REFERENCE / "family"
    found = [json.loads((folder / name).read_text(encoding="utf-8")) for name in ("solar.json", "solar_linkage.json")]
    told = {"compared": {"LOD": [float(row["lod"]) for row in found[1]]}}
    values = int(_family()["bmi"].notna().sum())
    criterion = -2.0 * found[0]["polygenic_bmi"]["poly"]["loglike"] + values * 1.8378770664093453  # log 2π
    seconds = POSITIONS * MS_BY_SOLAR / 1000.0
    words = [f"given, not measured here: {MS_BY_SOLAR:g} ms a position"]
    reply = Reply(seconds, criterion, [], None, told, None, words)
    return PeerResult(SOLAR, Status.OK, seconds=(seconds,), warmup=seconds, reply=reply)


# Seconds a position.
BY_POSITION = Target(must=0.002, aim=0.001, seconds=True)
FAMILY = Problem(
    name="linkage-family",
    formula="bmi ~ age + sex + kin(ID, ped)",
    columns=("ID", "bmi", "fvii", "age", "sex", "household"),
    data=_family,
    incomplete=("bmi", "fvii"),
    reml=False,
    baseline=SOLAR,
)


def _linkage(name: str, formula: str, told: str, times: int = 1, target: Target | None = None) -> Task:
    problem = replace(FAMILY, name=name, formula=formula, baseline=SOLAR if name == FAMILY.name else OURS)
    row = Row("", "linkage", target, (str(times),))
    return Task(problem, told, (row,), times * POSITIONS, given=_solar if name == FAMILY.name else None)


def _linkages() -> tuple[Task, ...]:
    house = "bmi ~ age + sex + kin(ID, ped) + (1 | household)"
    both = "cbind(bmi, fvii) ~ age + sex + kin(ID, ped)"
    return (
        _linkage(FAMILY.name, FAMILY.formula, "the family study, from the table of its sharing", target=BY_POSITION),
        _linkage("linkage-house", house, "the same with households"),
        _linkage("linkage-family-x10", FAMILY.formula, "every position ten times", 10, BY_POSITION),
        _linkage("linkage-bivariate", both, "two traits"),
    )


# ---- association

VARIANTS = 20_000
KIN = "y ~ x + kin(id, K)"
EXACT, SCORE = Target(must=0.2, aim=0.1), Target(must=0.02, aim=0.01)
ROWS = (
    Row("exact", "exact", EXACT),
    Row("score", "score", SCORE),
    Row("score and null", "score-and-null", SCORE),
)


def _association(n: int, m: int = VARIANTS) -> Task:
    make = partial(cohorts.cohort, n, m)
    problem = Problem(
        name=f"assoc-{n}",
        formula=KIN,
        columns=("y", "x", "id"),
        data=partial(cohorts.frame_of, make),
        heavy=True,
        time_limit=1_200.0,
        min_rounds=1,
        baseline=GEMMA,
    )
    told = f"{m:,} variants in PLINK files, K by GEMMA (`-gk 1`)"
    return Task(problem, told, ROWS, m, make, beside_gemma=True)


PEOPLE, MANY = 5_000, 500_000


def _biobank() -> Task:
    make = partial(cohorts.cohort, PEOPLE, MANY)
    problem = Problem(
        name="assoc-biobank",
        formula=KIN,
        columns=("y", "x", "id"),
        data=partial(cohorts.frame_of, make),
        heavy=True,
        time_limit=1_800.0,
        min_rounds=1,
        baseline=OURS,
    )
    target = Target(must=300.0, aim=120.0, seconds=True, memory_gib=4.0)
    told = f"{MANY:,} variants in PLINK files, streamed; the null model has a dense K by one of the chromosomes"
    return Task(problem, told, (Row("", "biobank", target),), MANY, make)


TASKS: Mapping[str, Task] = {
    task.problem.name: task for task in (*_linkages(), *(_association(n) for n in (1_000, 2_000, 4_000)), _biobank())
}
MODELS: Mapping[str, Problem] = {name: task.problem for name, task in TASKS.items()}


# ---- running


def run(name: str, settings: Settings, progress: Progress) -> tuple[ProblemResult, Versions]:
    """Time one task by its peers in turn, compare what they found, and add what is given."""
    task = TASKS[name]
    if task.cohort is not None:
        progress(f"{name}: the cohort, where {cohorts.SCRATCH} does not have it")
    with tempfile.TemporaryDirectory() as folder:
        result, versions = run_problem(task.problem, task.peers(Path(folder)), settings, progress)
        result = compared(result)
    if task.given is not None:
        result = replace(result, peers=(*result.peers, task.given()))
    return result, versions


def _told(peer: PeerResult) -> dict[str, Any]:
    return (peer.reply.varcomp or {}) if peer.reply else {}


def _with(peer: PeerResult, **told: Any) -> PeerResult:
    """A peer whose file of results is told no more, but other things."""
    if peer.reply is None:
        return peer
    kept = {name: value for name, value in _told(peer).items() if name != "table"}
    return replace(peer, reply=replace(peer.reply, varcomp=kept | told))


def compared(result: ProblemResult) -> ProblemResult:
    """A result in which the tables that lmmpy and GEMMA left are replaced by how far they are apart."""
    gemma = next((peer for peer in result.peers if peer.peer == GEMMA), None)
    theirs = None if gemma is None or "table" not in _told(gemma) else _loaded(_told(gemma)["table"])
    peers = []
    for peer in result.peers:
        ours = _told(peer).get("table")
        if peer is gemma or ours is None or theirs is None:
            peers.append(_with(peer))
        else:
            peers.append(_with(peer, apart=apart(_loaded(ours), theirs)))
    return replace(result, peers=tuple(peers))


def _loaded(path: str) -> dict[str, Any]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def apart(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    """
    The largest difference of each column over the variants that both have, and how many variants one of them has not.

    Differences are relative, those of β relative to the larger of β and its standard error.
    """
    _, here, there = np.intersect1d(ours["variant"], theirs["variant"], return_indices=True)
    found = {"variants": float(len(here)), "of one alone": float(len(ours["variant"]) + len(theirs["variant"]))}
    found["of one alone"] -= 2.0 * len(here)
    for name in (name for name in ours if name != "variant"):
        a, b = ours[name][here], theirs[name][there]
        scale = np.maximum(np.abs(b), theirs["std_error"][there]) if name == "beta" else np.abs(b)
        found[name] = float((np.abs(a - b) / scale).max(initial=0.0))
    return found


def differences(result: ProblemResult, peer: PeerResult) -> dict[str, float]:
    """Return how far lmmpy's numbers are from the other program's, by name; of LODs absolutely."""
    told = _told(peer)
    if "apart" in told:
        return {name: value for name, value in told["apart"].items() if name not in ("variants", "of one alone")}
    solar = next((other for other in result.peers if other.peer == SOLAR), None)
    if solar is None or peer is solar or "compared" not in told:
        return {}
    pairs = zip(told["compared"]["LOD"], _told(solar)["compared"]["LOD"], strict=True)
    return {"LOD": max(abs(a - b) for a, b in pairs)}


def row_of(peer: PeerResult, task: Task) -> Row | None:
    """What lmmpy was asked in a peer's row; None for other programs."""
    return next((row for row in task.rows if row.name == peer.peer), None)


def ratio(result: ProblemResult, peer: PeerResult) -> tuple[float | None, bool]:
    """Return lmmpy's time as a ratio to the other program's, and whether that is a bound; None for the others."""
    base = result.baseline()
    if base is None or base is peer or peer.median is None or not peer.peer.startswith(OURS):
        return None, False
    if base.stopped_after is not None:
        return peer.median / base.stopped_after, True
    return (None if base.median is None else peer.median / base.median), False


def verdict(result: ProblemResult, peer: PeerResult) -> Verdict | None:
    """Judge one of lmmpy's rows; None where it has no target."""
    task = TASKS[result.problem.name]
    row = row_of(peer, task)
    if row is None or row.target is None:
        return None
    measured, bound = ratio(result, peer)
    if row.target.seconds:
        measured, bound = each(result, peer), False
    memory = None if peer.peak_rss_mb is None else peer.peak_rss_mb / MB_IN_GIB
    return Verdict(measured, bound, memory, _met(row.target, measured, memory, peer, differences(result, peer)), ())


def _met(
    target: Target, measured: float | None, memory: float | None, peer: PeerResult, found: Mapping[str, float]
) -> str:
    if peer.median is None:
        return f"no: {peer.status}"
    if any(not value <= (LOD_AGREEMENT if name == "LOD" else AGREEMENT) for name, value in found.items()):
        return "no: other numbers"
    if measured is None:
        return "not known: nothing to compare"
    if target.memory_gib is not None and not (memory is not None and memory <= target.memory_gib):
        return "no: memory" if memory is not None else "not known: memory is not measured here"
    return "no" if measured > target.must else "aim" if measured <= target.aim else "must"


def each(result: ProblemResult, peer: PeerResult) -> float | None:
    """Return the seconds that a target in seconds is for: of a position of linkage, else of the whole."""
    task = TASKS[result.problem.name]
    return None if peer.median is None else peer.median / (task.items if task.by_position else 1)
