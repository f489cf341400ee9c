"""CSV and TSV files of dosages: a row a person, a column a variant."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

import numpy as np
import pandas as pd

from lmmpy.errors import DataError
from lmmpy.markers.array_genotypes import ArrayGenotypes
from lmmpy.markers.dosage_text import BadDosageError, dosages_of
from lmmpy.markers.variant_table import annotated, variant_table
from lmmpy.relatedness.labels import as_labels

__all__ = ["open_text", "read_dosage_table"]


def open_text(path: Path) -> TextIO:
    """A text file, unpacked as it is read when its name ends in .gz."""
    try:
        if path.suffix == ".gz":
            return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}.") from None


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; a packed file that breaks off is an error that says so."""
    with open_text(path) as file:
        try:
            for line in file:
                yield line.rstrip("\r\n")
        except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as problem:
            raise DataError(f"{path} is damaged: {problem}") from None


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator)) if '"' in line else line.split(separator)


def read_dosage_table(path: Path, variants: pd.DataFrame | None, memory: int) -> ArrayGenotypes:
    """
    Genotypes of a CSV or TSV file (perhaps .gz), held in memory.

    Parameters
    ----------
    path : Path
        First line: a name for the ids, then those of the variants. Others: id and dosages; blank, NA, NaN or "." where
        missing.
    variants : DataFrame, optional
        What else is known of the variants, matched by name.
    memory : int
        Bytes that the dosages may take.

    Raises
    ------
    DataError
        Names line, person, variant and value; before the memory is exceeded, how much would be needed.
    """
    separator = "\t" if ".tsv" in path.suffixes[-2:] else ","
    lines = _lines(path)
    header = _fields(next(lines, ""), separator)
    names = as_labels([name.strip() for name in header[1:]], f"{path}: variants in the first line")
    if not names:
        raise DataError(
            f"{path}: the first line should hold a name for the ids and those of the variants, "
            f"{'tabs' if separator == chr(9) else 'commas'} between them; it is {','.join(header)[:60]!r}."
        )
    people: list[str] = []
    rows: list[np.ndarray] = []
    most = memory // (16 * len(names))  # the rows, and the array that they become
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        if len(rows) == most:
            raise DataError(_too_large(path, len(names), len(rows), memory))
        person, *fields = _fields(line, separator)
        people.append(person.strip())
        rows.append(_row(fields, names, f"{path}, line {number} (person {person!r})"))
    if not rows:
        raise DataError(f"{path} has no line after the first: no person has genotypes.")
    ids = as_labels(people, f"{path}: ids in the first column")
    table = variant_table(names) if variants is None else annotated(names, variants, str(path))
    values = np.empty((len(rows), len(names)), order="F")
    np.stack(rows, out=values)
    return ArrayGenotypes(values, ids, table, path.name)


def _row(fields: list[str], names: tuple[str, ...], where: str) -> np.ndarray:
    try:
        values = dosages_of(fields)
    except BadDosageError as bad:
        name = names[bad.at] if bad.at < len(names) else f"number {bad.at + 1}"
        raise DataError(f"{where}: variant {name!r} has {bad.text!r}, which is no dosage from 0 to 2.") from None
    if len(values) != len(names):
        raise DataError(f"{where}: {len(values):,} dosages, and the first line names {len(names):,} variants.")
    return values


def _too_large(path: Path, m: int, n: int, memory: int) -> str:
    return (
        f"{path} has dosages of {m:,} variants and more than {n:,} people: more than {memory / 2**30:,.1f} GiB while "
        "it is read. Give more memory=, or a PLINK data set, which is read in blocks (plink2 --make-bed)."
    )
