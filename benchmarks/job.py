"""The job: one problem written out so that every peer reads the same numbers.

The data go as raw little-endian columns, not as text: five million rows are read in a moment, in R as in
Python, and every peer gets the same bits.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.problems import Problem, StatsmodelsSpelling
from benchmarks.relatives import Records, pedigree_frame


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
class Relatives:
    """How the levels of a grouping factor are related, in files; rows and animals are in the order of the levels.

    Attributes
    ----------
    group : str
        The grouping factor.
    kind : {"dense", "sparse", "pedigree"}
        `dense`: one file of float64, all of the symmetric matrix; `sparse`: files of int32 rows and columns from 1 and
        of float64 values, the upper triangle; `pedigree`: files of int32 fathers and mothers from 1, 0 for unknown.
    paths : tuple of str
        The files.
    plain : str
        The formula in lme4's syntax, for peers that are told the relatedness apart.
    """

    group: str
    kind: str
    paths: tuple[str, ...]
    plain: str


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
    relatives : Relatives or None
        The relatedness that the formula speaks of.
    """

    formula: str
    reml: bool
    columns: tuple[Column, ...]
    statsmodels: StatsmodelsSpelling | None
    relatives: Relatives | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A job file and the size of its data."""

    path: Path
    n_rows: int
    n_levels: dict[str, int]


def _write_column(name: str, values: "pd.Series[float]", folder: Path, number: int, incomplete: bool = False) -> Column:
    """Write one column; missing numbers go as NaN where the problem has them."""
    if values.isna().any() and not (incomplete and values.dtype == np.float64):
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


def _write_relatives(problem: Problem, records: Records, folder: Path) -> Relatives:
    if isinstance(records.matrix, np.ndarray):
        kind, parts = "dense", [records.matrix.astype("<f8")]
    elif records.matrix is not None:
        upper = sparse.coo_array(sparse.triu(records.matrix))
        kind, parts = "sparse", [(at + 1).astype("<i4") for at in upper.coords] + [upper.data.astype("<f8")]
    else:
        assert records.animals is not None
        kind, parts = "pedigree", [(p + 1).astype("<i4") for p in (records.animals.father, records.animals.mother)]
    paths = [folder / f"relatives{i}.bin" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        part.tofile(path)
    return Relatives("id", kind, tuple(map(str, paths)), problem.plain or problem.formula)


def write_job(problem: Problem, folder: Path) -> Written:
    """Write `job.json` and the columns of a problem's data into `folder`."""
    frame = problem.data()[list(problem.columns)]
    columns = tuple(
        _write_column(name, frame[name], folder, i, name in problem.incomplete)
        for i, name in enumerate(problem.columns)
    )
    path = folder / "job.json"
    relatives = None if problem.relatives is None else _write_relatives(problem, problem.relatives(), folder)
    job = Job(problem.formula, problem.reml, columns, problem.statsmodels, relatives)
    path.write_text(json.dumps(asdict(job)), "utf-8")
    n_levels = {column.name: len(frame[column.name].cat.categories) for column in columns if column.levels}
    return Written(path, len(frame), n_levels)


def read_job(path: Path) -> Job:
    """Read a job file."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    spelling = fields.pop("statsmodels")
    columns = tuple(Column(**column) for column in fields.pop("columns"))
    told = fields.pop("relatives", None)
    return Job(
        **fields,
        columns=columns,
        statsmodels=None if spelling is None else StatsmodelsSpelling(**spelling),
        relatives=None if told is None else Relatives(**{**told, "paths": tuple(told["paths"])}),
    )


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


def read_matrix(job: Job, frame: pd.DataFrame) -> "NDArray[np.float64] | sparse.csc_array":
    """Read a job's relatedness, shape (levels, levels), in the order of the levels of its grouping factor."""
    assert job.relatives is not None
    size = len(frame[job.relatives.group].cat.categories)
    if job.relatives.kind == "dense":
        return np.fromfile(job.relatives.paths[0], "<f8").reshape(size, size)
    row, column = (np.fromfile(path, "<i4").astype(np.int64) - 1 for path in job.relatives.paths[:2])
    values = np.fromfile(job.relatives.paths[2], "<f8")
    upper = sparse.coo_array((values, (row, column)), shape=(size, size))
    return sparse.csc_array(upper + sparse.triu(upper, 1).T)


def read_pedigree(job: Job, frame: pd.DataFrame) -> pd.DataFrame:
    """Read a job's pedigree: `id`, `father` and `mother`, strings, None where unknown."""
    assert job.relatives is not None
    father, mother = (np.fromfile(path, "<i4").astype(np.int64) - 1 for path in job.relatives.paths)
    return pedigree_frame(frame[job.relatives.group].cat.categories, father, mother)
