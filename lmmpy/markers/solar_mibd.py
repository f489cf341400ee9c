"""Files of SOLAR: sharing at positions (mibd), expected relationships (phi2), and the index of the pedigree."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.markers.contents import digest_of_file
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_files import paths_of
from lmmpy.markers.ibd_sources import ReadPairs
from lmmpy.markers.ibd_tables import ids_of, numbers_of, sharing_of
from lmmpy.markers.pairs import Ints, Pairs, checked_pairs, relatedness_of_pairs
from lmmpy.relatedness import Relatedness
from lmmpy.relatedness.labels import as_labels

__all__ = ["read_mibd", "read_phi2"]

_NAME = re.compile(r"mibd\.(?P<chromosome>[^.]+)\.(?P<position>-?\d+(?:\.\d+)?)(?:\.csv|\.gz|\.csv\.gz)?")
_CSV = ("id1", "id2", "matrix1"), ("id1", "id2", "ibd")
Ids = Callable[[str, str], str]


def read_mibd(files: Any, pedindex: Any = None, *, ids: str | Ids = "id") -> IbdMap:
    """
    Read SOLAR's sharing at positions, `mibd.CHROMOSOME.POSITION.gz`.

    Parameters
    ----------
    files : path or sequence of paths
        A directory, whose files called mibd.… are taken, or the files. Each is either in columns of fixed width, of
        which the first two are numbers in `pedindex.out`, or CSV with id1, id2, matrix1 (or ibd), where ids are the
        study's own. A column behind (delta7, matrix2) is not used.
    pedindex : path, optional
        The `pedindex.out` that numbers people, with its `.cde` beside it; by default looked for beside the files and in
        the directory above. Not needed for CSV.
    ids : {"id", "family_id"} or callable
        How people of `pedindex.out` are named: by ID; as FAMID_ID, where ids are unique within families only; or by a
        function of both texts.

    Returns
    -------
    IbdMap
        A file is read when its position is asked for. People are those of `pedindex.out`, or of the first CSV file.

    Raises
    ------
    DataError
        Naming the file and the values: no such files, names without chromosome and position, no `pedindex.out`, numbers
        or ids that it does not have, records that cannot be read, and as `checked_pairs`.
    """
    paths = _mibd_paths(files)
    places = [_place_of(path) for path in paths]
    frame, order = position_frame([c for c, _ in places], [p for _, p in places], f"mibd files in {paths[0].parent}")
    paths = tuple(paths[i] for i in order)
    if _is_csv(paths[0]):
        people = ids_of([_csv_table(paths[0])], str(paths[0]))
        index = None
    else:
        index = _Pedindex(_pedindex_path(paths[0], pedindex), ids)
        people = index.people
    read = partial(_read, paths, people, {name: i for i, name in enumerate(people)}, index)
    return IbdMap(people, frame, ReadPairs(read, partial(_contents, paths, index)), f"mibd files in {paths[0].parent}")


def read_phi2(file: Any, pedindex: Any = None, *, ids: str | Ids = "id") -> Relatedness:
    """
    Read SOLAR's expected relationships, `phi2.gz`: twice the kinship.

    Parameters
    ----------
    file : path
        In either form, as `read_mibd` has them; the first record of the fixed form, SOLAR's checksum, is left out.
    pedindex, ids
        As for `read_mibd`.

    Returns
    -------
    Relatedness
        1 + F on the diagonal. Identical twins are two levels, and K is singular then; `Pedigree` makes them one.

    Raises
    ------
    DataError
        As `read_mibd`.
    """
    (path,) = paths_of(file, "read_phi2")
    index = None if _is_csv(path) else _Pedindex(_pedindex_path(path, pedindex), ids)
    people = ids_of([_csv_table(path)], str(path)) if index is None else index.people
    pairs = _read((path,), people, {name: i for i, name in enumerate(people)}, index, 0)
    return relatedness_of_pairs(pairs, people)


# ---- which files


def _mibd_paths(files: Any) -> tuple[Path, ...]:
    if isinstance(files, str | Path) and Path(files).is_dir():
        found = tuple(sorted(path for path in Path(files).iterdir() if _NAME.fullmatch(path.name)))
        if not found:
            raise DataError(f"{files} has no file called mibd.CHROMOSOME.POSITION.gz (or .csv).")
        return found
    return paths_of(files, "read_mibd")


def _place_of(path: Path) -> tuple[str, float]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(f"{path}: the name does not say where: it must be mibd.CHROMOSOME.POSITION.gz (or .csv).")
    return match["chromosome"], float(match["position"])


def _pedindex_path(path: Path, pedindex: Any) -> Path:
    if pedindex is not None:
        (given,) = paths_of(pedindex, "pedindex")
        return given
    for directory in (path.parent, path.parent.parent):
        if (directory / "pedindex.out").is_file():
            return directory / "pedindex.out"
    raise DataError(
        f"{path} numbers people by SOLAR's pedindex.out, which is neither beside it nor in the directory above. Say "
        "where it is: pedindex='…/pedindex.out'."
    )


# ---- the index of the pedigree


class _Pedindex:
    """Who has which number: `people[i]` has IBDID `numbers[i]`."""

    def __init__(self, path: Path, ids: str | Ids) -> None:
        self.path = path
        columns = _fixed_width(path, _layout(path.with_suffix(".cde")))
        numbers = [text for text in columns["IBDID"] if text]
        if len(numbers) < len(columns["IBDID"]) or not all(text.isdigit() for text in numbers):
            raise DataError(f"{path}: IBDID is not a number in all records, by the widths of its .cde file.")
        self.people = _names(columns, ids, path)
        self.place = {int(number): i for i, number in enumerate(numbers)}
        if len(self.place) < len(numbers):
            raise DataError(f"{path}: some IBDID is there twice.")

    def numbers_of(self, column: pd.Series, where: str) -> Ints:
        """Numbers of people in a column of IBDIDs."""
        found = column.map(self.place)
        wrong = found.isna().to_numpy()
        if wrong.any():
            raise DataError(
                f"{where}: numbers that {self.path} does not have: {shown(column[wrong].unique())}; it has "
                f"{len(self.place)}. Was the pedigree loaded again after the file was made?"
            )
        return found.to_numpy().astype(np.intp)


def _names(columns: dict[str, list[str]], ids: str | Ids, path: Path) -> tuple[str, ...]:
    own, families = columns["ID"], columns.get("FAMID")
    if ids == "id":
        if len(set(own)) < len(own) and families is not None:
            raise DataError(f"{path}: ids are unique within families only. Name people FAMID_ID with ids='family_id'.")
        return as_labels(own, str(path))
    if families is None:
        raise DataError(f"{path} has no FAMID: ids={ids!r} needs it; leave ids out.")
    if isinstance(ids, str):
        if ids != "family_id":
            raise DataError(f"ids={ids!r} is not known: give 'id', 'family_id', or a function of family and id.")
        return as_labels([f"{family}_{one}" for family, one in zip(families, own, strict=True)], str(path))
    return as_labels([ids(family, one) for family, one in zip(families, own, strict=True)], str(path))


def _layout(path: Path) -> list[tuple[str, int]]:
    """Names and widths of the columns, from a `.cde` file: a title, then records "width  title  NAME  type"."""
    if not path.is_file():
        raise DataError(f"{path} is not there: it says how wide the columns of pedindex.out are.")
    layout = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()[1:], 2):
        words = line.split()
        if not words:
            continue
        if len(words) < 3 or not words[0].isdigit():
            raise DataError(f"{path}, line {number}: {line.strip()!r} does not start with a width and end with a name.")
        layout.append((words[-2], int(words[0])))
    absent = [name for name in ("IBDID", "ID") if name not in dict(layout)]
    if absent:
        raise DataError(f"{path}: there is no column {shown(absent)}; there are {shown(name for name, _ in layout)}.")
    return layout


def _fixed_width(path: Path, layout: list[tuple[str, int]]) -> dict[str, list[str]]:
    ends = np.cumsum([0, *(width for _, width in layout)]).tolist()
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path} has no records.")
    return {
        name: [line[ends[k] : ends[k + 1]].strip() for line in lines]
        for k, (name, _) in enumerate(layout)
        if name != "BLANK"
    }


# ---- records


def _text(path: Path) -> str:
    """What a file says, compressed or not, whatever its name."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is not a whole gzip file ({error}); copy or make it again.") from None
    return content.decode("utf-8", errors="replace")


def _is_csv(path: Path) -> bool:
    return "," in _text(path).partition("\n")[0]


def _csv_table(path: Path) -> pd.DataFrame:
    """id1, id2, ibd of a CSV file; texts."""
    try:
        frame = pd.read_csv(StringIO(_text(path)), dtype="str", keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        raise DataError(f"{path} cannot be read as a table id1, id2, matrix1: {problem}") from None
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    for names in _CSV:
        if set(names) <= set(frame.columns):
            return frame[list(names)].set_axis(["id1", "id2", "ibd"], axis=1)
    raise DataError(f"{path}: the columns must be id1, id2, matrix1 (or ibd); they are {shown(frame.columns, 12)}.")


def _fixed_table(path: Path) -> pd.DataFrame:
    """id1, id2, ibd of a file of fixed width, without SOLAR's checksum."""
    text = _text(path)
    rows = [line.split()[:3] for line in text.splitlines() if line.strip()]
    short = [number for number, row in enumerate(rows, 1) if len(row) < 3]
    if short or not rows:
        raise DataError(
            f"{path}: records must be two numbers of people and their sharing; record {shown(short)} is not."
            if rows
            else f"{path} is empty."
        )
    table = pd.DataFrame(rows, columns=["id1", "id2", "ibd"])
    for name in ("id1", "id2"):
        wrong = np.flatnonzero(~table[name].str.fullmatch(r"\d+"))
        if len(wrong):
            line = " ".join(rows[wrong[0]])
            raise DataError(f"{path}: record {wrong[0] + 1}, {line!r}, does not start with two numbers of people.")
        table[name] = table[name].astype(np.int64)
    # SOLAR puts its checksum in front, as a record of a pair (in general 1, 1) whose own record follows.
    first = (table["id1"] == table["id1"].iloc[0]) & (table["id2"] == table["id2"].iloc[0])
    return table.iloc[1:] if first.sum() > 1 else table


def _read(
    paths: tuple[Path, ...], people: tuple[str, ...], place: dict[str, int], index: _Pedindex | None, number: int
) -> Pairs:
    """The pairs of one file."""
    path = paths[number]
    where = str(path)
    if index is None:
        table = _csv_table(path)
        first, second = (numbers_of(table[name], name, place, where) for name in ("id1", "id2"))
    else:
        table = _fixed_table(path)
        first, second = (index.numbers_of(table[name], where) for name in ("id1", "id2"))
    return checked_pairs(first, second, sharing_of(table["ibd"], "ibd", where), people, where)


def _contents(paths: tuple[Path, ...], index: _Pedindex | None) -> Iterator[Any]:
    if index is not None:
        yield index.place
    for path in paths:
        yield digest_of_file(path)
