"""The files of a command: data, pedigrees and relatedness matrices; ids are read as text."""

from __future__ import annotations

import gzip
import re
import shlex
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from lmmpy.errors import DataError, LmmpyError, shown
from lmmpy.markers import read_grm
from lmmpy.markers.solar_mibd import read_phi2
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.relatedness.pedigree_columns import likely_columns

__all__ = ["find_id", "read_ids", "read_kinship", "read_pedigree", "read_table"]

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"} | dict.fromkeys((".txt", ".dat", ".phe", ".pheno"), r"\s+")
_IDS = ("ID", "id", "Id", "IID", "iid")
_FAM = ["FID", "IID", "FA", "MO", "SEX", "PHENOTYPE"]
# What other programs write, without ids or with ids in a file beside it.
_PROGRAMS = re.compile(r"\.[cs]XX\.txt$|\.rel(?:\.bin)?$|\.grm\.bin$")


@contextmanager
def _reading(path: str, what: str = "a table") -> Iterator[None]:
    """A context in which errors of readers name the file; those of the system do already."""
    try:
        yield
    except LmmpyError:
        raise
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error, NotImplementedError) as error:
        # ParserError, EmptyDataError, ArrowInvalid and UnicodeDecodeError are ValueErrors
        raise DataError(f"{path} cannot be read as {what}: {error}") from error


def read_table(path: str, text: Sequence[str] = (), missing: Sequence[str] = ()) -> pd.DataFrame:
    """
    Read a table of which the first line names the columns.

    Parameters
    ----------
    path : str
        .csv; .tsv or .tab; .txt, .dat, .phe or .pheno (any white space); perhaps .gz; or .parquet.
    text : sequence of str
        Columns to read as text although they look like numbers, so that 007 stays 007. Not all need be there.
    missing : sequence of str
        What stands for a missing value, besides nothing, NA and the like; not in columns of text.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        When the file cannot be read; names it and its kind.
    """
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix == ".parquet":
        with _reading(path):
            frame = pd.read_parquet(path)
        return _as_text(frame, text)
    if suffix not in _SEPARATORS:
        raise DataError(f"{path}: tables are {shown(_SEPARATORS, 9)} (perhaps .gz) or '.parquet', not {suffix!r}.")
    options: dict[str, Any] = {"sep": _SEPARATORS[suffix], "skipinitialspace": True}
    with _reading(path):
        names = [str(name) for name in pd.read_csv(path, nrows=0, **options).columns]
        _require_columns(path, names, _SEPARATORS[suffix])
        dtype = {name: str for name in names if name.lstrip("#") in text}
        na_values = {name: list(missing) for name in names if name not in dtype}
        frame = pd.read_csv(path, dtype=dtype, na_values=na_values, **options)
    frame.columns = [str(name).strip().lstrip("#") for name in frame.columns]
    return _as_text(frame, text)


def _require_columns(path: str, names: Sequence[str], separator: str) -> None:
    """Refuse a table whose names are one name, because something else stands between them."""
    if len(names) != 1:
        return
    other = next((mark for mark in (";", "\t", ",") if mark in names[0]), None)
    if other is not None:
        what = {",": "commas", "\t": "tabs"}.get(separator, "white space")
        raise DataError(
            f"{path} has one column, {names[0]!r}. Is it separated by {other!r}? By its name it is by {what}: save it "
            "so, with a point in decimal numbers."
        )


def _as_text(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    for name in names:
        if name in frame.columns:
            frame[name] = frame[name].map(lambda value: str(value).strip(), na_action="ignore")
    return frame


def find_id(path: str, wanted: str | None) -> str:
    """
    The column of a table that says who a row is.

    Parameters
    ----------
    path : str
    wanted : str or None
        What the user says; by default ID, id or IID.

    Raises
    ------
    DataError
        When it is not there.
    """
    names = [str(name) for name in read_header(path)]
    if wanted is None:
        found = next((name for name in _IDS if name in names), None)
        if found is not None:
            return found
    elif wanted in names:
        return wanted
    said = "no column ID, id or IID" if wanted is None else f"no column {wanted!r}"
    raise DataError(f"{path} has {said}, that says who a row is; name it with --id. It has {shown(names, 20)}.")


def read_header(path: str) -> list[str]:
    """The names of the columns of a table."""
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix not in _SEPARATORS:
        return list(map(str, read_table(path).columns))
    with _reading(path):
        names = pd.read_csv(path, nrows=0, sep=_SEPARATORS[suffix], skipinitialspace=True).columns
        _require_columns(path, list(map(str, names)), _SEPARATORS[suffix])
    return [str(name).strip().lstrip("#") for name in names]


def read_pedigree(path: str, names: dict[str, str], id: str) -> Pedigree:
    """
    Read who is whose child.

    Parameters
    ----------
    path : str
        A table, see `read_table`, or PLINK's .fam.
    names : dict
        The columns `id, father, mother, sex, twin`.
    id : str
        The column of the data that holds the ids.

    Returns
    -------
    Pedigree
        So that ``kin(ped)`` looks for `id`.
    """
    if path.endswith(".fam"):
        frame = _read_fam(path, 5)
        names = {"id": "IID", "father": "FA", "mother": "MO", "sex": "SEX", "twin": "MZTWIN"}
    else:
        frame = read_table(path, [names[key] for key in ("id", "father", "mother")])
    _require_parents(path, frame, names)
    own = frame.assign(**{id: frame[names["id"]]})
    return Pedigree.from_frame(own, id=id, **{key: name for key, name in names.items() if key != "id"})


def _require_parents(path: str, frame: pd.DataFrame, names: dict[str, str]) -> None:
    """Refuse a pedigree without the columns that were named."""
    needed = {key: names[key] for key in ("id", "father", "mother")}
    absent = [key for key, name in needed.items() if name not in frame.columns]
    if not absent:
        return
    likely = likely_columns(frame.columns, needed)
    how = " ".join(f"--ped-{key} {shlex.quote(likely[key]) if key in likely else 'COLUMN'}" for key in absent)
    raise DataError(
        f"{path} has no column {shown(needed[key] for key in absent)}; say {how}. It has {shown(frame.columns, 20)}."
    )


def read_kinship(path: str, id: str, people: Sequence[str] | None = None) -> Relatedness:
    """
    Read how people are related.

    Parameters
    ----------
    path : str
        A square table with ids in its first line and first column; SOLAR's phi2.gz; GEMMA's .cXX.txt or .sXX.txt, which
        have no ids; GCTA's .grm.bin or PLINK's .rel, with ids in a file beside it.
    id : str
        The column of the data that holds the ids.
    people : sequence of str, optional
        Ids of the rows of a matrix that has none.

    Returns
    -------
    Relatedness

    Raises
    ------
    DataError
        When it is not square, or has no ids.
    """
    if "phi2" in Path(path).name:
        read = read_phi2(path)
        return Relatedness.of(read.form, read.aliases, id)
    if _PROGRAMS.search(path):
        read = read_grm(path, people if path.endswith(".txt") else None)
        return Relatedness.of(read.form, read.aliases, id)
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix not in _SEPARATORS:
        raise DataError(
            f"{path}: relatedness is a square table .csv or .tsv with ids, SOLAR's phi2.gz, GEMMA's .cXX.txt, GCTA's "
            ".grm.bin or PLINK's .rel."
        )
    with _reading(path, "a square table"):
        frame = pd.read_csv(path, sep=_SEPARATORS[suffix], index_col=0, dtype={0: str}, skipinitialspace=True)
    frame.index = frame.index.astype(str)
    frame.columns = frame.columns.astype(str)
    if frame.shape[0] != frame.shape[1]:
        raise DataError(
            f"{path} has {frame.shape[0]} rows and {frame.shape[1]} columns besides the first; a relatedness matrix is "
            "square, with the same ids in its first line and its first column."
        )
    try:
        return Relatedness(frame, id=id)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_ids(path: str) -> list[str]:
    """
    Ids, one a line; of a .fam those in its second column.

    Raises
    ------
    DataError
        When it cannot be read as text, or a .fam has other columns.
    """
    if path.endswith(".fam"):
        return [str(id) for id in _read_fam(path, 2)["IID"]]
    with _reading(path, "text"), open(path, encoding="utf-8") as file:
        return [line.split()[0] for line in file if line.strip()]


def _read_fam(path: str, least: int) -> pd.DataFrame:
    """A .fam as text; of its columns the first `least` must be there."""
    with _reading(path, "text"), open(path, encoding="utf-8") as file:
        rows = [(number, line.split()) for number, line in enumerate(file, 1) if line.strip()]
    wrong = [number for number, row in rows if not least <= len(row) <= len(_FAM)]
    if wrong or not rows:
        lines = f"these lines do not: {shown(wrong)}" if wrong else "this one is empty"
        raise DataError(f"{path}: a .fam has the columns {' '.join(_FAM)}, and no line of names; {lines}.")
    return pd.DataFrame([row for _, row in rows], dtype=str).set_axis(
        _FAM[: max(map(len, dict(rows).values()))], axis=1
    )
