"""The job file: one problem written out so that every peer reads the same numbers."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from benchmarks.problems import Problem, StatsmodelsSpelling


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker reads from its job file.

    Attributes
    ----------
    formula, reml : str, bool
        The model in lme4's syntax, and REML or ML.
    csv : str
        The data file.
    factors : dict of str to list of str
        The factor columns and their levels, in order.
    statsmodels : StatsmodelsSpelling or None
        The same model for statsmodels.
    """

    formula: str
    reml: bool
    csv: str
    factors: dict[str, list[str]]
    statsmodels: StatsmodelsSpelling | None


@dataclass(frozen=True, slots=True)
class Written:
    """A job file and the size of its data."""

    path: Path
    n_rows: int
    n_levels: dict[str, int]


def write_job(problem: Problem, folder: Path) -> Written:
    """Write `data.csv` and `job.json` for a problem into `folder`."""
    frame = problem.data()[list(problem.columns)]
    csv, path = folder / "data.csv", folder / "job.json"
    frame.to_csv(csv, index=False)
    factors = {
        str(name): [str(level) for level in column.cat.categories]
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    job = Job(problem.formula, problem.reml, str(csv), factors, problem.statsmodels)
    path.write_text(json.dumps(asdict(job)), encoding="utf-8")
    return Written(path, len(frame), {name: len(levels) for name, levels in factors.items()})


def read_job(path: Path) -> Job:
    """Read a job file."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    spelling = fields.pop("statsmodels")
    return Job(**fields, statsmodels=None if spelling is None else StatsmodelsSpelling(**spelling))


def read_frame(job: Job) -> pd.DataFrame:
    """Read a job's data; factors come as categoricals in the given level order."""
    frame = pd.read_csv(
        job.csv,
        dtype=dict.fromkeys(job.factors, str),
        keep_default_na=False,
        na_values=[""],
    )
    for name, levels in job.factors.items():
        frame[name] = pd.Categorical(frame[name], categories=levels)
    return frame
