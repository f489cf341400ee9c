"""What is measured: the models, their data and how each peer spells them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from benchmarks import simulate
from benchmarks.relatives import Records

DENSE_CROSSED = "crossed factors become one dense group: too large"
LOOPS_OVER_GROUPS = "9 s for 2,000 groups (slopes): over half an hour"
OUT_OF_MEMORY = "1.7 GB for 20,000 groups (slopes-heavy): some 40 GB"
ONE_FACTOR_WITH_SLOPES = "a correlated slope is possible for one grouping factor only"


@dataclass(frozen=True, slots=True)
class StatsmodelsSpelling:
    """How `statsmodels.MixedLM.from_formula` states a model.

    Attributes
    ----------
    formula : str
        The fixed part.
    groups : str or None
        The outermost grouping column; None puts all rows into one group (crossed factors).
    re_formula : str or None
        Correlated random effects by group; None is a random intercept unless `vc_formula` is given.
    vc_formula : mapping of str to str
        Independent variance components within a group.
    """

    formula: str
    groups: str | None
    re_formula: str | None = None
    vc_formula: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What lmmpy is to reach on a problem.

    Attributes
    ----------
    must, aim : float
        At most this: the time as a ratio to lme4's in the same run, or seconds.
    seconds : bool
        The figures are seconds, else ratios.
    memory_gib : float or None
        Peak resident memory of the process, at most.
    """

    must: float
    aim: float
    seconds: bool = False
    memory_gib: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A model and its data.

    Attributes
    ----------
    name : str
        Short name, for the command line and the tables.
    formula : str
        The model in lme4's syntax; lmmpy, lme4 and mixedlm read it as it stands.
    columns : tuple of str
        The columns of the data that the model uses.
    data : callable
        Makes the frame; grouping factors come as categoricals, shape (n, len(columns) or more).
    reml : bool
        REML, else ML.
    statsmodels : StatsmodelsSpelling or None
        The same model for statsmodels.
    cannot : mapping of str to str
        Peers that cannot run the problem, and why.
    heavy : bool
        Left out under `--quick`.
    time_limit : float
        Seconds that one call may take before the peer is stopped.
    min_rounds : int
        Rounds that are run even when they go over the time budget.
    target : Target or None
        What lmmpy is to reach.
    baseline : str
        The peer to which times are ratios.
    relatives : callable or None
        Makes the records with the relatedness that the formula speaks of.
    plain : str or None
        The formula in lme4's syntax, for peers that are told the relatedness apart.
    incomplete : tuple of str
        Columns of numbers that miss some; the others must not.
    most_rounds : int
        Rounds that are run at most, where the budget would allow for more.
    """

    name: str
    formula: str
    columns: tuple[str, ...]
    data: Callable[[], pd.DataFrame]
    reml: bool = True
    statsmodels: StatsmodelsSpelling | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)
    heavy: bool = False
    time_limit: float = 60.0
    min_rounds: int = 3
    target: Target | None = None
    baseline: str = "lme4"
    relatives: Callable[[], Records] | None = None
    plain: str | None = None
    incomplete: tuple[str, ...] = ()
    most_rounds: int = 50

    @property
    def method(self) -> str:
        """`REML` or `ML`."""
        return "REML" if self.reml else "ML"


SMALL = Target(must=0.4, aim=0.2)


def _dataset(name: str) -> pd.DataFrame:
    from lmmpy import datasets  # only when real data are wanted: the peers run without lmmpy

    return datasets.load(name)


def _real() -> tuple[Problem, ...]:
    return (
        Problem(
            name="sleepstudy",
            formula="Reaction ~ Days + (Days | Subject)",
            columns=("Reaction", "Days", "Subject"),
            data=partial(_dataset, "sleepstudy"),
            statsmodels=StatsmodelsSpelling("Reaction ~ Days", "Subject", "~Days"),
            target=SMALL,
        ),
        Problem(
            name="penicillin",
            formula="diameter ~ 1 + (1|plate) + (1|sample)",
            columns=("diameter", "plate", "sample"),
            data=partial(_dataset, "Penicillin"),
            statsmodels=StatsmodelsSpelling(
                "diameter ~ 1", None, None, {"plate": "0 + C(plate)", "sample": "0 + C(sample)"}
            ),
            target=SMALL,
        ),
        Problem(
            name="pastes",
            formula="strength ~ 1 + (1|batch/cask)",
            columns=("strength", "batch", "cask"),
            data=partial(_dataset, "Pastes"),
            statsmodels=StatsmodelsSpelling("strength ~ 1", "batch", "1", {"cask": "0 + C(cask)"}),
        ),
        Problem(
            name="dyestuff",
            formula="Yield ~ 1 + (1 | Batch)",
            columns=("Yield", "Batch"),
            data=partial(_dataset, "Dyestuff"),
            reml=False,
            statsmodels=StatsmodelsSpelling("Yield ~ 1", "Batch"),
        ),
        Problem(
            name="machines",
            formula="score ~ Machine + (Machine | Worker)",
            columns=("score", "Machine", "Worker"),
            data=partial(_dataset, "Machines"),
            statsmodels=StatsmodelsSpelling("score ~ Machine", "Worker", "~Machine"),
        ),
        Problem(
            name="insteval",
            formula="y ~ service + (1|s) + (1|d) + (1|dept)",
            columns=("y", "service", "s", "d", "dept"),
            data=partial(_dataset, "InstEval"),
            cannot={"statsmodels": DENSE_CROSSED},
            target=Target(must=0.2, aim=0.1),
        ),
    )


def _slopes(name: str, n_rows: int, n_groups: int) -> Problem:
    return Problem(
        name=name,
        formula="y ~ x + (x | g)",
        columns=("y", "x", "g"),
        data=partial(simulate.random_slopes, n_rows, n_groups, seed=20_000),
        statsmodels=StatsmodelsSpelling("y ~ x", "g", "~x"),
    )


def _crossed(name: str, n_rows: int, n_a: int, n_c: int) -> Problem:
    return Problem(
        name=name,
        formula="y ~ x + (1 | a) + (x | c)",
        columns=("y", "x", "a", "c"),
        data=partial(simulate.crossed, n_rows, n_a, n_c, seed=4_000),
        cannot={"statsmodels": ONE_FACTOR_WITH_SLOPES},
    )


def _simulated() -> tuple[Problem, ...]:
    return (
        _slopes("slopes", 20_000, 2_000),
        _crossed("crossed", 4_000, 400, 100),
        replace(
            _slopes("slopes-heavy", 200_000, 20_000),
            heavy=True,
            min_rounds=1,
            target=Target(must=0.1, aim=0.05),
        ),
        replace(
            _crossed("crossed-heavy", 40_000, 4_000, 400),
            heavy=True,
            min_rounds=1,
            target=Target(must=0.25, aim=0.1),
        ),
        Problem(
            name="maximal",
            formula="y ~ a*b*c + (1 + a*b*c | subj) + (1 + a*b*c | item)",
            columns=("y", "a", "b", "c", "subj", "item"),
            data=partial(simulate.maximal, 60, 30, seed=72),
            cannot={"statsmodels": ONE_FACTOR_WITH_SLOPES},
            heavy=True,
            time_limit=200.0,
            min_rounds=1,
            target=Target(must=0.02, aim=0.005),
        ),
        Problem(
            name="ratings",
            formula="y ~ x + (1 | user) + (1 | film)",
            columns=("y", "x", "user", "film"),
            data=partial(simulate.ratings, 1_000_000, 6_000, 3_700, seed=1_000_000),
            cannot={"statsmodels": DENSE_CROSSED},
            heavy=True,
            time_limit=90.0,
            min_rounds=1,
            target=Target(must=60.0, aim=20.0, seconds=True, memory_gib=3.0),
        ),
        replace(
            _slopes("slopes-huge", 5_000_000, 500_000),
            statsmodels=None,
            cannot={"statsmodels": LOOPS_OVER_GROUPS, "glmmTMB": OUT_OF_MEMORY},
            heavy=True,
            time_limit=90.0,
            min_rounds=1,
            target=Target(must=15.0, aim=5.0, seconds=True, memory_gib=4.0),
        ),
    )


PROBLEMS: Mapping[str, Problem] = {p.name: p for p in (*_real(), *_simulated())}
