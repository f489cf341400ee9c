"""Genotypes of PLINK .bed files, read in blocks through bed-reader."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike

from lmmpy.errors import DataError, ModelError
from lmmpy.markers.contents import digest_of_file
from lmmpy.markers.plink_files import check_variants, fam_people, read_bim
from lmmpy.markers.source import Dosages, Rows, check_range, check_rows, described, float_dtype
from lmmpy.scan import digest

if TYPE_CHECKING:
    from bed_reader import open_bed

__all__ = ["PlinkGenotypes", "plink_paths"]

_HEADER = 3
_MAGIC = b"\x6c\x1b"


def plink_paths(path: str | Path) -> tuple[Path, Path, Path]:
    """The .bed, .bim and .fam of a prefix, or of the path of one of the three."""
    given = Path(path)
    prefix = str(given.with_suffix("") if given.suffix in {".bed", ".bim", ".fam"} else given)
    return Path(f"{prefix}.bed"), Path(f"{prefix}.bim"), Path(f"{prefix}.fam")


def _bed_reader() -> Any:
    try:
        import bed_reader
    except ImportError:
        raise ModelError(
            "PLINK files are read by the package bed-reader, which is not installed: pip install bed-reader"
        ) from None
    return bed_reader


class PlinkGenotypes:
    """
    A `GenotypeSource` of a PLINK 1 data set.

    Parameters
    ----------
    path : str or Path
        The prefix, or the path of the .bed, .bim or .fam.
    ids : {"iid", "fid_iid"}
        What people are called: by the individual id, or by family and individual id joined by "_".
    threads : int, optional
        Of the reader; by default one a core, or what MKL_NUM_THREADS says (which joblib and Dask set in their workers).

    Raises
    ------
    DataError
        When a file lacks or is damaged, the .bed does not suit its .bim and .fam, or ids or variants repeat.
    ModelError
        When bed-reader is not installed.

    Notes
    -----
    Dosages count the first allele of the .bim (A1), as GEMMA and PLINK 1 do. Genotypes of males on the X chromosome are
    as in the file: 0 or 2.
    """

    def __init__(self, path: str | Path, ids: str = "iid", threads: int | None = None) -> None:
        self.bed, self.bim, self.fam = (part.absolute() for part in plink_paths(path))
        self.ids, self.threads = ids, threads
        self.people = fam_people(self.fam, ids)
        self._total = len(self.variants)
        check_variants(self.variants, str(self.bim))
        self._size = self._expected_size()
        self._check_header()

    def __repr__(self) -> str:
        return f"<genotypes of {self.description}>"

    def __getstate__(self) -> dict[str, Any]:
        """By path; what the files hold is read again where it is asked for."""
        return {name: value for name, value in self.__dict__.items() if name not in {"variants", "_open"}}

    @property
    def description(self) -> str:
        """The file's name, and how many people and variants it has."""
        return described(self.bed.name, len(self.people), self._total)

    @cached_property
    def variants(self) -> pd.DataFrame:
        """Of the .bim; see `GenotypeSource`."""
        table = read_bim(self.bim)
        if len(table) != self.__dict__.get("_total", len(table)):
            raise DataError(f"{self.bim} has {len(table):,} variants now and had {self._total:,} when it was opened.")
        return table

    # ---- checks

    @property
    def _stride(self) -> int:
        """Bytes of a variant: four people in each."""
        return -(-len(self.people) // 4)

    def _expected_size(self) -> int:
        return _HEADER + self._stride * self._total

    def _check_header(self) -> None:
        """The first three bytes, and the length that people and variants need."""
        try:
            with self.bed.open("rb") as file:
                head = file.read(_HEADER)
        except OSError as problem:
            raise DataError(f"{self.bed} cannot be read: {problem.strerror}.") from None
        if head[:2] != _MAGIC or len(head) < _HEADER or head[2] > 1:
            raise DataError(
                f"{self.bed} is no PLINK .bed: it begins with the bytes {head.hex(' ') or '(none)'}, not with 6c 1b 01."
            )
        if head[2] == 0:
            raise DataError(
                f"{self.bed} is stored person by person (an old form of PLINK's). Write it anew, variant by variant: "
                f"plink1.9 --bfile {self.bed.with_suffix('')} --make-bed --out new."
            )
        self._check_size()

    def _check_size(self) -> None:
        try:
            size = self.bed.stat().st_size
        except OSError as problem:
            raise DataError(f"{self.bed} cannot be read: {problem.strerror}.") from None
        if size == self._size:
            return
        whole, rest = divmod(size - _HEADER, self._stride)
        if rest == 0:
            what = f"It would suit {whole:,} variants: is {self.bim.name} or {self.fam.name} of another data set?"
        elif size < self._size:
            name = self.variants["variant"].iloc[whole]
            what = f"It breaks off within variant {name!r} (number {whole + 1:,}): was it copied in full?"
        else:
            what = f"Is {self.bim.name} or {self.fam.name} of another data set?"
        raise DataError(
            f"{self.bed} is {size:,} bytes long; {len(self.people):,} people ({self.fam.name}) and {self._total:,} "
            f"variants ({self.bim.name}) take {self._size:,}. {what}"
        )

    # ---- reading

    @cached_property
    def _open(self) -> open_bed:
        opened: open_bed = _bed_reader().open_bed(
            self.bed, iid_count=len(self.people), sid_count=self._total, skip_format_check=True
        )
        return opened

    def read(self, start: int, stop: int, rows: Rows = None, dtype: DTypeLike = np.float64) -> Dosages:
        """Copies of A1; see `GenotypeSource.read`."""
        check_range(self, start, stop)
        numbers, kind = check_rows(self, rows), float_dtype(dtype)
        self._check_size()
        who = slice(None) if numbers is None else numbers
        opened = self._open
        try:
            values: Dosages = opened.read(
                index=(who, slice(start, stop)), dtype=kind, order="F", num_threads=self.threads
            )
        except (OSError, ValueError, IndexError, RuntimeError) as problem:
            raise DataError(f"Variants {start + 1:,}-{stop:,} of {self.bed} cannot be read: {problem}") from problem
        return values

    def fingerprint(self) -> str:
        """Digest of people, of the .bim and of the .bed."""
        return digest(self.people, digest_of_file(self.bim), digest_of_file(self.bed))
