"""Several traits, and residuals with structure: beside GEMMA's mvlmm, nlme, and what SOLAR is told to take."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from benchmarks import relatives, simulate
from benchmarks.client import Reply
from benchmarks.kin import GEMMA, missing_gemma
from benchmarks.peers import HERE, Peer, missing_module, missing_r
from benchmarks.problems import Problem, Target
from benchmarks.relatives import Records
from benchmarks.runner import PeerResult, ProblemResult, Progress, Settings, Status, Versions, run_problem
from benchmarks.targets import OURS

REFERENCE = HERE.parent / "tests" / "reference"
NLME, SOLAR = "nlme", "SOLAR"


@dataclass(frozen=True, slots=True)
class Given:
    """What a program that is not at hand took and found, elsewhere.

    Attributes
    ----------
    name, where : str
    seconds : float
    criterion : float
        −2 log-likelihood with its constants.
    compared : dict
        As lmmpy's worker tells it.
    """

    name: str
    where: str
    seconds: float
    criterion: float
    compared: dict[str, list[float]]

    def result(self) -> PeerResult:
        """As if it had been measured in one call."""
        reply = Reply(self.seconds, self.criterion, [], None, {"compared": self.compared}, None, [self.where])
        return PeerResult(self.name, Status.OK, seconds=(self.seconds,), warmup=self.seconds, reply=reply)


def _missing_gemma() -> str | None:
    return missing_gemma() if sys.platform == "linux" else "inotify, by which its time is taken, is Linux's"


@dataclass(frozen=True, slots=True)
class Task:
    """A model of several traits, or with a structured residual.

    Attributes
    ----------
    problem : Problem
        The model; its name is the task's. Its `baseline` is the peer, or lmmpy where there is none.
    what : str
        What the worker of lmmpy is to do (see `bench_structured.py`), and that of the peer.
    told : str
        In words, for the page.
    given : callable, optional
        What a peer took that is not run here.
    """

    problem: Problem
    what: str
    told: str
    given: Callable[[], Given] | None = None

    def peers(self) -> tuple[Peer, ...]:
        """lmmpy, and the peer that is run beside it."""
        ours = Peer(
            OURS, (sys.executable, "-m", "benchmarks.bench_structured", self.what), partial(missing_module, OURS)
        )
        if self.problem.baseline == NLME:
            return ours, Peer(NLME, ("Rscript", str(HERE / "bench_nlme.R"), self.what), partial(missing_r, NLME))
        if self.problem.baseline == GEMMA:
            begin = "rotated" if self.what.endswith("rotated") else "whole"
            command = (sys.executable, "-m", "benchmarks.bench_gemma_traits", begin)
            return ours, Peer(GEMMA, command, _missing_gemma)
        return (ours,)


# ---- two traits of genotyped people, beside GEMMA

FASTER = Target(must=1.0, aim=1.0)


def _frame(make: Callable[[], Records]) -> pd.DataFrame:
    return make().frame


def _genotyped(n: int, *, rotated: bool) -> Task:
    make = partial(relatives.genotyped_traits, n, seed=n)
    problem = Problem(
        name=f"mv-fit-{n}" if rotated else f"mv-grm-{n}",
        formula="cbind(y1, y2) ~ x + kin(id, K)",
        columns=("y1", "y2", "x", "id"),
        data=partial(_frame, make),
        relatives=make,
        heavy=n > 1_000,
        time_limit=120.0,
        min_rounds=1,
        most_rounds=10 if rotated else 50,  # the decomposition before each of them is not of the budget
        target=FASTER if rotated else None,
        baseline=GEMMA,
    )
    if rotated:
        told = (
            "the fit alone, after the eigendecomposition and the rotation, from the start values to estimates and "
            "standard errors"
        )
        return Task(problem, "two-traits-rotated", told)
    return Task(problem, "two-traits", "from a dense K of genotypes at 5,000 loci to estimates and standard errors")


# ---- the family study, beside what SOLAR is told to take


def _family() -> pd.DataFrame:
    from lmmpy import datasets  # only when real data are wanted: the peers run without lmmpy

    return datasets.load("family")


def _solar() -> Given:
    """SOLAR's numbers; its log-likelihood is without the constant of the normal distribution."""
    found = json.loads((REFERENCE / "family" / "solar.json").read_text(encoding="utf-8"))["bivariate"]["poly"]
    values = int(_family()[["bmi", "fvii"]].notna().to_numpy().sum())
    names = {"h2(bmi)": "h2r(bmi)", "h2(fvii)": "h2r(fvii)", "rho_g": "rhog", "rho_e": "rhoe"}
    criterion = -2.0 * found["loglike"] + values * 1.8378770664093453  # log 2π
    compared = {ours: found[theirs] for ours, theirs in names.items()}
    return Given(SOLAR, "given, not measured here: 1.1 s", 1.1, criterion, compared)


BIVARIATE = Problem(
    name="bivariate-family",
    formula="cbind(bmi, fvii) ~ age + sex + kin(ped)",
    columns=("ID", "bmi", "fvii", "age", "sex"),
    data=_family,
    incomplete=("bmi", "fvii"),
    reml=False,
    target=Target(must=0.1, aim=0.1),
    baseline=SOLAR,
)

# ---- five traits


def _five_traits() -> Task:
    make = partial(relatives.five_traits, 400, seed=400)
    names = ", ".join(f"y{t + 1}" for t in range(relatives.TRAITS))
    problem = Problem(
        name="traits-5x400",
        formula=f"cbind({names}) ~ x + kin(ped)",
        columns=(*names.split(", "), "x", "id"),
        data=partial(_frame, make),
        relatives=make,
        incomplete=tuple(names.split(", ")),
        time_limit=300.0,
        baseline=OURS,
    )
    told = "five traits of 400 people in families of five, a value in ten missing, from default starts"
    return Task(problem, "five-traits", told)


# ---- residuals with structure, beside nlme


def _ovary() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "nlme" / "data" / "Ovary.csv", dtype={"Mare": "category"})


def _orthodont() -> pd.DataFrame:
    from lmmpy import datasets

    frame = datasets.load("Orthodont")
    return frame.assign(occasion=frame.groupby("Subject", observed=True).cumcount() + 1)


def _residuals() -> Iterator[Task]:
    ovary = Problem(
        name="ovary-ar1",
        formula="follicles ~ s + c + diag(s | Mare)",
        columns=("follicles", "s", "c", "k", "Mare"),
        data=_ovary,
        baseline=NLME,
    )
    yield Task(ovary, "ovary-ar1", "nlme's Ovary with an AR(1) residual, `ar1(k | Mare)`, beside `lme` with `corAR1`")
    orthodont = Problem(
        name="orthodont-us",
        formula="distance ~ age * Sex",
        columns=("distance", "age", "Sex", "Subject", "occasion"),
        data=_orthodont,
        baseline=NLME,
    )
    told = "an unstructured residual, `us(0 + factor(age) | Subject)`, beside `gls` with `corSymm` and `varIdent`"
    yield Task(orthodont, "orthodont-us", told)
    for subjects, heavy in ((50, False), (500, True)):
        slopes = Problem(
            name=f"slopes-car1-{subjects}x20",
            formula="y ~ x + t + (t | g)",
            columns=("y", "x", "t", "g"),
            data=partial(simulate.serial_slopes, subjects, 20, seed=subjects),
            heavy=heavy,
            time_limit=600.0,
            min_rounds=1,
            baseline=NLME,
        )
        told = "random slopes and a residual `car1(t | g)` at uneven times, beside `lme` with `corCAR1`"
        yield Task(slopes, "slopes-car1", told)


TASKS = {
    task.problem.name: task
    for task in (
        *(_genotyped(n, rotated=rotated) for n in (500, 1_000, 2_000) for rotated in (True, False)),
        Task(
            BIVARIATE,
            "bivariate",
            "the family study, from tables to h² and correlations with errors",
            _solar,
        ),
        Task(
            replace(BIVARIATE, name="bivariate-family-tests", target=None, baseline=OURS),
            "bivariate-tests",
            "`qtl.bivariate` of the same, with all its tests",
        ),
        _five_traits(),
        *_residuals(),
    )
}

MODELS = {name: task.problem for name, task in TASKS.items()}


def run(name: str, settings: Settings, progress: Progress) -> tuple[ProblemResult, Versions]:
    """Time one task by its peers in turn, and add what is given."""
    task = TASKS[name]
    result, versions = run_problem(task.problem, task.peers(), settings, progress)
    if task.given is not None:
        result = replace(result, peers=(*result.peers, task.given().result()))
    return result, versions


def _flat(found: Any) -> list[float]:
    return [float(value) for value in found] if isinstance(found, list) else [float(found)]


def disagreement(result: ProblemResult, peer: PeerResult) -> float | None:
    """Return the largest relative difference of lmmpy's numbers from a peer's; None where one has none."""
    ours = next((other for other in result.peers if other.peer == OURS), None)
    if ours is None or peer is ours or not (ours.reply and ours.reply.varcomp and peer.reply and peer.reply.varcomp):
        return None
    mine, theirs = ours.reply.varcomp["compared"], peer.reply.varcomp["compared"]
    if {name: len(_flat(mine[name])) for name in mine} != {name: len(_flat(theirs[name])) for name in theirs}:
        raise ValueError(f"{result.problem.name}: lmmpy and {peer.peer} do not tell the same numbers")
    pairs = [(a, b) for name in mine for a, b in zip(_flat(mine[name]), _flat(theirs[name]), strict=True)]
    return max((abs(a - b) / max(abs(b), 1e-8) for a, b in pairs), default=None)


def note(peer: PeerResult) -> str:
    """Return what the worker told of its answer."""
    told = (peer.reply.varcomp or {}) if peer.reply else {}
    return str(told.get("note", ""))
