"""What one asks of a fit, beside R: Kenward and Roger's method, a profile, a bootstrap.

The model is fitted anew before each call, outside the time: what a fit keeps of an earlier call would not be fair.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks import simulate
from benchmarks.peers import HERE, Peer, missing_module, missing_r
from benchmarks.problems import PROBLEMS, Problem, Target
from benchmarks.runner import PeerResult, ProblemResult, Progress, Settings, Versions, run_problem
from benchmarks.targets import OURS


@dataclass(frozen=True, slots=True)
class Task:
    """Something that is asked of one fit.

    Attributes
    ----------
    problem : Problem
        The model; its name is the task's, its `baseline` the R package that does the same.
    what : str
        What the workers are to do (see `bench_inference.py`).
    told : str
        The same in words, for the page.
    alone : bool
        There is no peer: it would not end.
    """

    problem: Problem
    what: str
    told: str
    alone: bool = False

    def peers(self) -> tuple[Peer, ...]:
        """lmmpy, and the R package unless lmmpy is alone."""
        ours = Peer(
            OURS, (sys.executable, "-m", "benchmarks.bench_inference", self.what), partial(missing_module, OURS)
        )
        package = self.problem.baseline
        command = ("Rscript", str(HERE / "bench_inference.R"), self.what)
        return (ours,) if self.alone else (ours, Peer(package, command, partial(missing_r, package)))


def _four_effects(name: str, random: str, *, large: bool) -> Problem:
    nested = "/" in random
    make = simulate.nested_slopes if nested else simulate.crossed_slopes
    rows, levels, target = 2_000, (100, 80), Target(must=0.1, aim=0.02)
    if large:
        rows, levels = 50_000, (500, 5_000) if nested else (1_000, 500)
        target = Target(must=10.0, aim=3.0, seconds=True)
    return Problem(
        name=name,
        formula=f"y ~ x + z + w + {random}",
        columns=("y", "x", "z", "w", "a", "b"),
        data=partial(make, rows, *levels, seed=rows),
        baseline="pbkrtest",
        min_rounds=1,
        heavy=large,
        time_limit=300.0,
        target=target,
    )


KENWARD_ROGER = "Kenward–Roger: standard errors, degrees of freedom and p-values of all coefficients"
PROFILE = "the profile of every parameter, with its 95 % limits"
BOOTSTRAP = "1,000 parametric bootstrap replicates of coefficients, standard deviations and correlations"
CROSSED = "(x | a) + (x | b)"
NESTED = "(x | a/b)"
SMALL = replace(PROBLEMS["sleepstudy"], min_rounds=3, target=Target(must=0.2, aim=0.1))

TASKS: Mapping[str, Task] = {
    task.problem.name: task
    for task in (
        Task(_four_effects("kr-crossed", CROSSED, large=False), "kenward-roger", KENWARD_ROGER),
        Task(_four_effects("kr-crossed-50000", CROSSED, large=True), "kenward-roger", KENWARD_ROGER, alone=True),
        Task(_four_effects("kr-nested-50000", NESTED, large=True), "kenward-roger", KENWARD_ROGER, alone=True),
        Task(replace(SMALL, name="profile"), "profile", PROFILE),
        Task(
            replace(
                PROBLEMS["penicillin"], name="boot-penicillin", time_limit=120.0, target=Target(must=0.1, aim=0.05)
            ),
            "bootstrap",
            BOOTSTRAP,
        ),
    )
}

MODELS: Mapping[str, Problem] = {name: task.problem for name, task in TASKS.items()}


def run(name: str, settings: Settings, progress: Progress) -> tuple[ProblemResult, Versions]:
    """Time one task by its peers in turn."""
    task = TASKS[name]
    return run_problem(task.problem, task.peers(), settings, progress)


def _numbers(found: Any) -> Iterator[float]:
    if isinstance(found, dict):
        for key in sorted(found):
            yield from _numbers(found[key])
    elif isinstance(found, list):
        for value in found:
            yield from _numbers(value)
    else:
        yield float(found)


def disagreement(result: ProblemResult, peer: PeerResult) -> float | None:
    """Return the largest relative difference of a peer's numbers from the baseline's; None where one has none."""
    base = result.baseline()
    if base is None or peer is base or not (base.reply and base.reply.varcomp and peer.reply and peer.reply.varcomp):
        return None
    theirs, ours = list(_numbers(base.reply.varcomp)), list(_numbers(peer.reply.varcomp))
    if len(theirs) != len(ours):
        raise ValueError(f"{result.problem.name}: {len(ours)} numbers of {peer.peer} beside {len(theirs)}")
    return max(abs(a - b) / max(abs(b), 1e-8) for a, b in zip(ours, theirs, strict=True))
