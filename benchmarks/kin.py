"""Relatedness in the formula, beside lme4qtl and GEMMA; and pedigrees that neither can."""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from benchmarks import relatives
from benchmarks.pedigrees import DAIRY
from benchmarks.peers import HERE, Peer, missing_module, missing_r
from benchmarks.problems import Problem, Target
from benchmarks.relatives import Records
from benchmarks.runner import PeerResult, ProblemResult, Progress, Settings, Versions, run_problem
from benchmarks.targets import OURS, Verdict, judge

LME4QTL, GEMMA = "lme4qtl", "GEMMA"


def missing_gemma() -> str | None:
    return None if shutil.which("gemma") else "no gemma on the path"


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(OURS, (sys.executable, "-m", "benchmarks.bench_kin"), partial(missing_module, OURS)),
        Peer(LME4QTL, ("Rscript", str(HERE / "bench_lme4qtl.R")), partial(missing_r, LME4QTL)),
        Peer(GEMMA, (sys.executable, "-m", "benchmarks.bench_gemma"), missing_gemma),
    )
}


@dataclass(frozen=True, slots=True)
class Task:
    """A model with relatedness.

    Attributes
    ----------
    problem : Problem
        The model; its `target`, if any, is in seconds.
    told : str
        The relatedness in words, for the page.
    beside : mapping of str to Target
        The peers that take part, and lmmpy's time as a ratio to theirs at most; None is no target.
    """

    problem: Problem
    told: str
    beside: Mapping[str, Target | None] = field(default_factory=dict)

    def peers(self) -> tuple[Peer, ...]:
        """lmmpy, and who takes part."""
        return tuple(PEERS[name] for name in (OURS, *self.beside))


def _frame(make: Callable[[], Records]) -> pd.DataFrame:
    return make().frame


def _problem(name: str, formula: str, make: Callable[[], Records], limit: float) -> Problem:
    """Return a problem; its records are made once for the data and for the relatedness."""
    columns, plain = ("y", "x", "id"), "y ~ x + (1 | id)"
    return Problem(
        name=name,
        formula=formula,
        columns=columns,
        data=partial(_frame, make),
        time_limit=limit,
        min_rounds=1,
        baseline=OURS,
        relatives=make,
        plain=plain,
    )


BY_LME4QTL = Target(must=0.05, aim=0.02)
BY_GEMMA = Target(must=1.0, aim=0.5)
TOO_LONG = "minutes at 2,000, and nearly ten times as long for each doubling: over half an hour"


def _genotyped(n: int) -> Task:
    problem = _problem(f"grm-{n}", "y ~ x + kin(id, K)", partial(relatives.genotyped, n, seed=n), limit=400.0)
    problem = replace(problem, heavy=n > 1_000, cannot={LME4QTL: TOO_LONG} if n > 2_000 else {})
    told = "a dense K of genotypes at 5,000 loci"
    return Task(problem, told, {LME4QTL: BY_LME4QTL if n <= 2_000 else None, GEMMA: BY_GEMMA})


def _herds(name: str, formula: str, target: Target, animals: int, *, each: int = 1, lasting: float = 0.0) -> Task:
    make = partial(relatives.herds, animals, DAIRY, seed=animals, each=each, lasting=lasting)
    told = "a dairy pedigree (`pedigrees.DAIRY`), " + ("a record each" if each == 1 else f"{each} records each")
    problem = replace(_problem(name, formula, make, limit=900.0), heavy=True, target=target)
    return Task(problem, told)


def _two_traits(animals: int) -> Task:
    make = partial(relatives.two_traits, animals, DAIRY, seed=animals)
    problem = replace(
        _problem(f"traits-{animals}", "cbind(y1, y2) ~ x + kin(ped)", make, limit=900.0),
        columns=("y1", "y2", "x", "id"),
        incomplete=("y1", "y2"),
        heavy=True,
        target=Target(60.0, 10.0, seconds=True, memory_gib=4.0),
        plain=None,
    )
    return Task(problem, "two traits of a dairy pedigree (`pedigrees.DAIRY`), a third of the records incomplete")


TASKS: Mapping[str, Task] = {
    task.problem.name: task
    for task in (
        *(_genotyped(n) for n in (500, 1_000, 2_000, 4_000)),
        Task(
            _problem("nuclear-4000", "y ~ x + kin(id, K)", partial(relatives.families, 4_000, seed=4_000), 60.0),
            "a sparse K of 1,000 families of four",
            {LME4QTL: Target(must=1.0, aim=0.5)},
        ),
        _herds("ped-100000", "y ~ x + kin(ped)", Target(10.0, 3.0, seconds=True, memory_gib=2.0), 100_000),
        _herds("ped-1000000", "y ~ x + kin(ped)", Target(300.0, 60.0, seconds=True, memory_gib=16.0), 1_000_000),
        _herds(
            "repeated-50000x3",
            "y ~ x + kin(id, ped) + (1 | id)",
            Target(10.0, 3.0, seconds=True),
            50_000,
            each=3,
            lasting=0.7,
        ),
        _two_traits(50_000),
    )
}

MODELS: Mapping[str, Problem] = {name: task.problem for name, task in TASKS.items()}


def run(name: str, settings: Settings, progress: Progress) -> tuple[ProblemResult, Versions]:
    """Time one task by its peers in turn."""
    task = TASKS[name]
    return run_problem(task.problem, task.peers(), settings, progress)


def verdict(result: ProblemResult, peer: PeerResult) -> Verdict | None:
    """Judge lmmpy's seconds, in its own row, or lmmpy's time as a ratio to a peer's, in the peer's; None if untold."""
    if peer.peer == OURS:
        return judge(result)
    target = TASKS[result.problem.name].beside.get(peer.peer)
    if target is None or (peer.stopped_after is None and peer.median is None):
        return None
    return judge(replace(result, problem=replace(result.problem, target=target, baseline=peer.peer)))


def ratio(result: ProblemResult, peer: PeerResult) -> float | None:
    """Return lmmpy's time as a ratio to a peer's; None for lmmpy itself, or where either has none."""
    ours = result.baseline()
    if peer.peer == OURS or ours is None or ours.median is None or peer.median is None:
        return None
    return ours.median / peer.median
