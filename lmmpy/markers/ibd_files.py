"""Files with the pairs of many positions: read one at a time, all kept while they are small."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.markers.contents import digest_of_file
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_tables import map_of_table
from lmmpy.markers.pairs import Ints, Pairs
from lmmpy.relatedness.labels import as_labels
from lmmpy.scan import digest

__all__ = ["MEMORY", "FileSource", "map_of_files", "paths_of", "read_ibd_csv", "tables_of"]

MEMORY = 2**30
_ROWS = 2**18  # read at once, as text
_UNREADABLE = (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError, EOFError, zlib.error)


class FileSource:
    """
    The pairs of several files, each of which has some of the positions.

    Parameters
    ----------
    paths : tuple of Path
    read : callable
        Path → the file's map, in memory; pickles.
    memory : int
        Bytes of pairs to keep; the file read last is kept in any case.
    """

    def __init__(self, paths: tuple[Path, ...], read: Callable[[Path], IbdMap], memory: int) -> None:
        self.paths, self.read, self.memory = paths, read, memory
        self.of_file: Ints = np.empty(0, dtype=np.intp)
        self.of_position: Ints = np.empty(0, dtype=np.intp)
        self._kept: dict[int, IbdMap] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}}

    @property
    def nbytes(self) -> int:
        """Bytes of pairs in memory now."""
        return sum(one.nbytes for one in self._kept.values())

    def file(self, number: int) -> IbdMap:
        """The map of one file; others are forgotten, those read longest ago first, where they are too many."""
        if number not in self._kept:
            self._kept[number] = self.read(self.paths[number])
            while len(self._kept) > 1 and self.nbytes > self.memory:
                del self._kept[next(iter(self._kept))]
        return self._kept[number]

    def pairs(self, number: int) -> Pairs:
        return Pairs(*self.file(int(self.of_file[number])).pairs(int(self.of_position[number])))

    def digest(self) -> str:
        return digest([digest_of_file(path) for path in self.paths])


def paths_of(files: Any, what: str) -> tuple[Path, ...]:
    """One path or several; each a file that is there."""
    given = [files] if isinstance(files, str | Path) else list(files)
    paths = tuple(Path(one) for one in given)
    absent = [str(path) for path in paths if not path.is_file()]
    if absent or not paths:
        raise DataError(f"{what}: there is no file {shown(absent)}." if paths else f"{what}: no file is given.")
    return paths


def map_of_files(paths: tuple[Path, ...], read: Callable[[Path], IbdMap], memory: int, what: str) -> IbdMap:
    """
    The map of one file, or of several with other positions of the same people.

    Raises
    ------
    DataError
        When files are of other people, or have the same position.
    """
    if len(paths) == 1:
        return read(paths[0])
    source = FileSource(paths, read, memory)
    first = source.file(0)
    frames = []
    for number, path in enumerate(paths):
        one = source.file(number)
        if one.people != first.people:
            only = shown(sorted(set(one.people) ^ set(first.people)))
            raise DataError(f"{path} and {paths[0]} are not of the same people: only in one of them {only or 'none'}.")
        frames.append(one.positions)
    both = pd.concat(frames, ignore_index=True)
    positions, order = position_frame(both["chromosome"].tolist(), both["position"].to_numpy(), what)
    source.of_file = np.repeat(np.arange(len(paths)), [len(one) for one in frames])[order].astype(np.intp)
    source.of_position = np.concatenate([np.arange(len(one)) for one in frames])[order].astype(np.intp)
    return IbdMap(first.people, positions, source, what)


def read_ibd_csv(
    files: Any, *, people: Sequence[Any] | None = None, sep: str | None = None, memory: int = MEMORY
) -> IbdMap:
    r"""
    Read long tables with the pairs of many positions.

    Parameters
    ----------
    files : path or sequence of paths
        CSV, or TSV by its name (`.tsv`, `.txt`); compressed when the name ends so (`.gz`). With columns position (cM),
        id1, id2, ibd, and chromosome unless there is one only. Ids are text as written: "007" is not "7".
    people : sequence, optional
        All ids, when some may be in no pair; a file must not have others. By default those that are in the table, in
        order of appearance.
    sep : str, optional
        What separates columns, when the name does not say.
    memory : int
        Bytes of pairs of several files to keep in memory; others are read again when they are asked for.

    Returns
    -------
    IbdMap

    Raises
    ------
    DataError
        Naming the file and the values: a column or an id missing, a value that is no number, files of different people,
        and as `checked_pairs`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import lmmpy as lmm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "ibd.csv")
    ...     _ = path.write_text("position,id1,id2,ibd\n0,a,b,0.5\n10,a,b,1\n")
    ...     lmm.qtl.read_ibd_csv(path).to_frame()
      chromosome  position id1 id2  ibd
    0                  0.0   a   a  1.0
    1                  0.0   b   a  0.5
    2                  0.0   b   b  1.0
    3                 10.0   a   a  1.0
    4                 10.0   b   a  1.0
    5                 10.0   b   b  1.0
    """
    paths = paths_of(files, "read_ibd_csv")
    ids = None if people is None else as_labels(list(people), "people")
    what = paths[0].name if len(paths) == 1 else f"{len(paths)} files, {paths[0].name} and on"
    return map_of_files(paths, partial(_read_csv, people=ids, sep=sep), memory, what)


def tables_of(path: Path, sep: str, numbers: Container[str] = ("position", "ibd")) -> Iterator[pd.DataFrame]:
    """
    A text table part by part.

    Columns of `numbers` hold numbers where all cells are; others are categories, whose names are text as written.
    """
    try:
        names = pd.read_csv(path, sep=sep, dtype="str", keep_default_na=False, nrows=0).columns
        kinds: dict[Hashable, str] = {name: "str" for name in names if str(name) not in numbers}
        with pd.read_csv(path, sep=sep, dtype=kinds, keep_default_na=False, chunksize=_ROWS) as reader:
            for frame in reader:
                # Not by read_csv, which makes numbers of categories that look so: "007" is not 7.
                yield frame.astype(dict.fromkeys(kinds, "category")).reset_index(drop=True)
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as a table: {error}.") from None


def _read_csv(path: Path, people: tuple[str, ...] | None, sep: str | None) -> IbdMap:
    if sep is None:
        sep = "\t" if path.name.lower().removesuffix(".gz").endswith((".tsv", ".txt")) else ","
    return map_of_table(tables_of(path, sep), people, str(path))
