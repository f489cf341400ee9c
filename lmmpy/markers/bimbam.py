"""BIMBAM mean genotypes (GEMMA's -g): a line a variant, read in blocks."""

from __future__ import annotations

import gzip
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from lmmpy.errors import DataError
from lmmpy.markers.contents import digest_of_file
from lmmpy.markers.dosage_checks import check_dosages
from lmmpy.markers.dosage_text import BadDosageError, dosages_of
from lmmpy.markers.source import Dosages, Rows, check_range, check_rows, described, float_dtype
from lmmpy.markers.variant_table import annotated, variant_table
from lmmpy.relatedness.labels import as_labels
from lmmpy.scan import digest

__all__ = ["BimbamGenotypes"]


class BimbamGenotypes:
    """
    A `GenotypeSource` of a BIMBAM file of mean genotypes.

    Parameters
    ----------
    path : Path
        A line a variant: name, two alleles, and a dosage of the first of them for each person; commas, blanks or tabs
        between, NA where missing. A .gz is read through from its start where blocks are not asked for in order.
    people : sequence
        Ids of the columns, which the file does not have.
    variants : DataFrame, optional
        What else is known of the variants (chromosome, position), matched by name.

    Raises
    ------
    DataError
        When lines are too short or variants repeat. What is no dosage is named when it is read.
    """

    def __init__(self, path: str | Path, people: Any, variants: pd.DataFrame | None = None) -> None:
        self.path = Path(path).absolute()
        if people is None:
            raise DataError(f"{self.path}: a BIMBAM file has no ids: give people=, those of its columns in order.")
        self.people = as_labels(people, "people")
        names, first, second, self._starts = self._index()
        table = variant_table(names, effect_allele=first, other_allele=second)
        if variants is not None:
            known = annotated(names, variants, str(self.path))
            for column in ("chromosome", "position"):
                table[column] = known[column]
        self.variants = table
        self._lock = threading.Lock()
        self._packed: BinaryIO | None = None
        self.read(0, 1)

    def __repr__(self) -> str:
        return f"<genotypes of {self.description}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_lock", "_packed"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _packed=None)

    def __del__(self) -> None:
        if self.__dict__.get("_packed") is not None:
            self._packed.close()  # type: ignore[union-attr]

    @property
    def description(self) -> str:
        """The file's name, and how many people and variants it has."""
        return described(self.path.name, len(self.people), len(self.variants))

    # ---- lines

    def _open(self) -> BinaryIO:
        try:
            opened = gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb")
        except OSError as problem:
            raise DataError(f"{self.path} cannot be read: {problem.strerror}.") from None
        return cast(BinaryIO, opened)

    def _index(self) -> tuple[tuple[str, ...], list[str], list[str], NDArray[np.int64]]:
        """Names and alleles of all variants, and where their lines start (in the text, of a packed file)."""
        names: list[str] = []
        first: list[str] = []
        second: list[str] = []
        starts: list[int] = []
        start = 0
        with self._open() as file:
            try:
                for number, line in enumerate(file, 1):
                    head = _head(line)
                    if head:
                        if len(head) < 4:
                            raise DataError(
                                f"{self.path}, line {number}: a name, two alleles and dosages are expected; it is "
                                f"{line[:60]!r}."
                            )
                        for part, texts in zip(head, (names, first, second), strict=False):
                            texts.append(part.decode())
                        starts.append(start)
                    start += len(line)
            except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as problem:
                raise DataError(f"{self.path} is damaged after variant {len(names):,}: {problem}") from None
        if not names:
            raise DataError(f"{self.path} is empty; it should have a line a variant: name, two alleles, dosages.")
        return as_labels(names, f"{self.path}: variants"), first, second, np.array(starts, dtype=np.int64)

    def _lines(self, start: int, stop: int) -> list[bytes]:
        """The lines of some variants."""
        try:
            if self.path.suffix != ".gz":
                with self._open() as file:
                    return self._read_lines(file, start, stop)
            with self._lock:
                if self._packed is None:
                    self._packed = self._open()
                # Where blocks follow one another the file stands where the next begins.
                return self._read_lines(self._packed, start, stop)
        except (EOFError, OSError) as problem:
            raise DataError(f"{self.path} cannot be read at variants {start + 1:,}-{stop:,}: {problem}") from None

    def _read_lines(self, file: BinaryIO, start: int, stop: int) -> list[bytes]:
        lines: list[bytes] = []
        file.seek(int(self._starts[start]))
        while len(lines) < stop - start:
            line = file.readline()
            if not line:
                raise EOFError(f"the file ends after variant {start + len(lines):,}")
            if line.strip():
                lines.append(line)
        return lines

    def _fields(self, number: int, line: bytes) -> NDArray[np.float64]:
        """The dosages of a variant."""
        text = line.decode(errors="replace").replace(",", " ")
        name = self.variants["variant"].iloc[number]
        fields = text.split()
        where = f"{self.path}: variant {name!r} (number {number + 1:,})"
        if len(fields) < 4 or fields[0] != name:
            raise DataError(f"{where}: its line begins {line[:40]!r} now: the file has changed since it was opened.")
        try:
            values = dosages_of(fields[3:])
        except BadDosageError as bad:
            who = self.people[bad.at] if bad.at < len(self.people) else f"number {bad.at + 1}"
            raise DataError(f"{where} has {bad.text!r} for person {who!r}, which is no dosage.") from None
        if len(values) != len(self.people):
            raise DataError(f"{where} has {len(values):,} dosages; people= has {len(self.people):,} ids.")
        return values

    # ---- reading

    def read(self, start: int, stop: int, rows: Rows = None, dtype: DTypeLike = np.float64) -> Dosages:
        """Copies of the first allele; see `GenotypeSource.read`."""
        check_range(self, start, stop)
        numbers, kind = check_rows(self, rows), float_dtype(dtype)
        values = np.empty((len(self.people), stop - start), order="F")
        for column, line in enumerate(self._lines(start, stop) if stop > start else []):
            values[:, column] = self._fields(start + column, line)
        check_dosages(values, self.variants["variant"].iloc[start:stop].tolist(), self.people, str(self.path))
        part: Dosages = np.asfortranarray(values if numbers is None else values[numbers], dtype=kind)
        return part

    def fingerprint(self) -> str:
        """Digest of people, variants, and of the file."""
        return digest(self.people, self.variants, digest_of_file(self.path))


def _head(line: bytes) -> list[bytes]:
    """Name, alleles and the rest of a line; only its beginning is looked at where that is enough."""
    head = line[:500].replace(b",", b" ").split(maxsplit=3)
    return head if len(head) == 4 else line.replace(b",", b" ").split(maxsplit=3)
