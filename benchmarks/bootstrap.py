"""A thousand refits beside a thousand evaluations of the criterion, and beside lme4's bootMer."""

import sys
from dataclasses import replace
from functools import partial

from benchmarks.peers import HERE, Peer, missing_module, missing_r
from benchmarks.problems import PROBLEMS
from benchmarks.runner import ProblemResult, Progress, Settings, Versions, run_problem

NAME = "bootstrap"
REPLICATES = 1000
EVALUATIONS = "lmmpy: evaluations"
BOOTSTRAP = "lmmpy: bootstrap"
TWO_PROCESSES = "lmmpy: bootstrap, 2 processes"
BOOT_MER = "lme4: bootMer"
# what a fit is elsewhere is here a thousand of something; the model itself is fitted in the warm-up
PROBLEM = replace(PROBLEMS["sleepstudy"], name=NAME, time_limit=90.0, target=None)


def _lmmpy(name: str, what: str, module: str = "lmmpy") -> Peer:
    command = (sys.executable, "-m", "benchmarks.bench_bootstrap", what, str(REPLICATES))
    return Peer(name, command, partial(missing_module, module))


PEERS = (
    _lmmpy(EVALUATIONS, "evaluations"),
    _lmmpy(BOOTSTRAP, "bootstrap"),
    _lmmpy(TWO_PROCESSES, "processes", "joblib"),
    Peer(BOOT_MER, ("Rscript", str(HERE / "bench_bootstrap.R"), str(REPLICATES)), partial(missing_r, "lme4")),
)


def run(settings: Settings, progress: Progress) -> tuple[ProblemResult, Versions]:
    """Time them in turn, as the peers of one problem."""
    return run_problem(PROBLEM, PEERS, settings, progress)
