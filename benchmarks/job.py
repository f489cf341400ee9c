"""The job: one problem written out so that every peer reads the same numbers.

The data go as raw little-endian columns, not as text: five million rows are read in a moment, in R as in
Python, and every peer gets the same bits.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.problems import Problem, StatsmodelsSpelling


@dataclass(frozen=True, slots=True)
class Column:
    """One column in a file of its own.

    Attributes
    ----------
    name : str
        The column.
    kind : {"double", "integer", "factor"}
        `double` is float64; `integer` is int32; `factor` is int32 codes from 1.
    path : str
        The file of the values.
    levels : str or None
        The file of a factor's levels, in order, one a line.
    """

    name: str
    kind: str
    path: str
    levels: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker reads from its job file.

    Attributes
    ----------
    formula, reml : str, bool
        The model in lme4's syntax, and REML or ML.
    columns : tuple of Column
        The data.
    statsmodels : StatsmodelsSpelling or None
        The same model for statsmodels.
    """

    formula: str
    reml: bool
    columns: tuple[Column, ...]
    statsmodels: StatsmodelsSpelling | None


@dataclass(frozen=True, slots=True)
class Written:
    """A job file and the size of its data."""

    path: Path
    n_rows: int
    n_levels: dict[str, int]


def _write_column(name: str, values: "pd.Series[float]", folder: Path, number: int) -> Column:
    if values.isna().any():
        raise ValueError(f"column {name} has missing values, which the job file cannot carry")
    path = folder / f"{number}.bin"
    if isinstance(values.dtype, pd.CategoricalDtype):
        (values.cat.codes.to_numpy().astype("<i4") + np.int32(1)).tofile(path)
        levels = folder / f"{number}.levels"
        levels.write_text("".join(f"{level}\n" for level in values.cat.categories), encoding="utf-8")
        return Column(name, "factor", str(path), str(levels))
    if pd.api.types.is_integer_dtype(values.dtype):
        numbers = values.to_numpy()
        if np.abs(numbers).max(initial=0) > np.iinfo(np.int32).max:
            raise ValueError(f"column {name} has integers beyond R's 32 bits")
        numbers.astype("<i4").tofile(path)
        return Column(name, "integer", str(path))
    values.to_numpy().astype("<f8").tofile(path)
    return Column(name, "double", str(path))


def write_job(problem: Problem, folder: Path) -> Written:
    """Write `job.json` and the columns of a problem's data into `folder`."""
    frame = problem.data()[list(problem.columns)]
    columns = tuple(_write_column(name, frame[name], folder, i) for i, name in enumerate(problem.columns))
    path = folder / "job.json"
    path.write_text(json.dumps(asdict(Job(problem.formula, problem.reml, columns, problem.statsmodels))), "utf-8")
    n_levels = {column.name: len(frame[column.name].cat.categories) for column in columns if column.levels}
    return Written(path, len(frame), n_levels)


def read_job(path: Path) -> Job:
    """Read a job file."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    spelling = fields.pop("statsmodels")
    columns = tuple(Column(**column) for column in fields.pop("columns"))
    return Job(**fields, columns=columns, statsmodels=None if spelling is None else StatsmodelsSpelling(**spelling))


def _read_column(column: Column) -> "pd.Series[float]":
    if column.kind == "double":
        return pd.Series(np.fromfile(column.path, "<f8"))
    codes = np.fromfile(column.path, "<i4")
    if column.levels is None:
        return pd.Series(codes.astype(np.int64))
    levels = Path(column.levels).read_text(encoding="utf-8").splitlines()
    return pd.Series(pd.Categorical.from_codes(codes - 1, categories=pd.Index(levels)))


def read_frame(job: Job) -> pd.DataFrame:
    """Read a job's data; factors come as categoricals in the given level order."""
    return pd.DataFrame({column.name: _read_column(column) for column in job.columns}, copy=False)
