"""Merlin's `.ibd` file: for each pair of a family and each position, the probabilities of sharing 0, 1, 2 alleles."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown
from lmmpy.markers.ibd import IbdMap
from lmmpy.markers.ibd_files import MEMORY, map_of_files, paths_of, tables_of
from lmmpy.markers.ibd_tables import map_of_table, refuse_columns, sharing_of
from lmmpy.markers.pairs import Plain

__all__ = ["read_merlin_ibd"]

_COLUMNS = ("FAMILY", "ID1", "ID2", "MARKER", "P0", "P1", "P2")
_NUMBERS = ("P0", "P1", "P2", "p0", "p1", "p2")
_CHROMOSOME = re.compile(r"chr(?:om(?:osome)?)?[-_.]?(\d+|[XY])", re.IGNORECASE)
# Probabilities are written with three decimals at the least.
_SUM = 2e-3


def read_merlin_ibd(
    files: Any,
    *,
    map: Any = None,
    chromosome: Any = None,
    ids: str | Callable[[str, str], str] = "id",
    memory: int = MEMORY,
) -> IbdMap:
    r"""
    Read the sharing that Merlin writes with `--ibd`.

    Parameters
    ----------
    files : path or sequence of paths
        With columns FAMILY ID1 ID2 MARKER P0 P1 P2; in general a file a chromosome.
    map : path or DataFrame, optional
        Merlin's map file, CHROMOSOME MARKER POSITION (cM), when MARKER is the names of markers (`--markerNames`).
        Without it MARKER must be positions in cM.
    chromosome : str or int, optional
        Of all files, without a map; by default what a name like merlin-chr01.ibd says, else "".
    ids : {"id", "family_id"} or callable
        How people are named: by ID; as FAMILY_ID, where ids are unique within families only; or by a function of both
        texts.
    memory : int
        Bytes of pairs of several files to keep in memory; others are read again when they are asked for.

    Returns
    -------
    IbdMap
        Sharing is P1/2 + P2.

    Raises
    ------
    DataError
        Naming the file and the values: a column missing, probabilities that do not sum to 1, a marker that is not in
        the map, ids that are not unique, and as `checked_pairs`.

    References
    ----------
    Abecasis, Cherny, Cookson & Cardon (2002), Nat. Genet. 30, 97–101.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import lmmpy as lmm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "chr01.ibd")
    ...     text = "FAMILY ID1 ID2 MARKER P0 P1 P2\n1 a a 5 0 0 1\n1 b a 5 0.25 0.5 0.25\n1 b b 5 0 0 1\n"
    ...     _ = path.write_text(text)
    ...     lmm.qtl.read_merlin_ibd(path, chromosome=1).to_frame()
      chromosome  position id1 id2  ibd
    0          1       5.0   a   a  1.0
    1          1       5.0   b   a  0.5
    2          1       5.0   b   b  1.0
    """
    paths = paths_of(files, "read_merlin_ibd")
    if isinstance(ids, str) and ids not in ("id", "family_id"):
        raise DataError(f"ids={ids!r} is not known: give 'id', 'family_id', or a function of family and id.")
    markers = None if map is None else _markers(map)
    read = partial(_read, markers=markers, chromosome=chromosome, ids=ids)
    what = paths[0].name if len(paths) == 1 else f"{len(paths)} files, {paths[0].name} and on"
    return map_of_files(paths, read, memory, what)


def _markers(map: Any) -> pd.DataFrame:
    """Chromosome and position by marker."""
    where = "The map" if isinstance(map, pd.DataFrame) else str(map)
    frame = (
        map
        if isinstance(map, pd.DataFrame)
        else pd.concat(tables_of(paths_of(map, "map")[0], r"\s+", ("POSITION", "LOCATION")))
    )
    frame = frame.set_axis([str(name).upper() for name in frame.columns], axis=1)
    if "POSITION" not in frame.columns and "LOCATION" in frame.columns:
        frame = frame.rename(columns={"LOCATION": "POSITION"})
    refuse_columns(frame, ("CHROMOSOME", "MARKER", "POSITION"), where)
    markers = frame["MARKER"].astype("str")
    twice = markers[markers.duplicated()]
    if len(twice):
        raise DataError(f"{where}: markers are there twice: {shown(twice)}.")
    return pd.DataFrame(
        {
            "chromosome": frame["CHROMOSOME"].astype("str").to_numpy(),
            "position": sharing_of(frame["POSITION"], "POSITION", where),
        },
        index=pd.Index(markers),
    )


def _places(marker: pd.Series, markers: pd.DataFrame | None, chromosome: Any, path: Path) -> pd.DataFrame:
    """Chromosome and position of each row."""
    names, codes = marker.cat.categories, marker.cat.codes.to_numpy()
    if markers is not None:
        unknown = names[~names.isin(markers.index)]
        if len(unknown):
            raise DataError(f"{path}: markers that the map does not have: {shown(unknown)}.")
        return markers.loc[names].iloc[codes].reset_index(drop=True)
    numbers = pd.to_numeric(pd.Series(names), errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(numbers).any():
        raise DataError(
            f"{path}: MARKER is not positions in cM: {shown(names[np.isnan(numbers)])}. Give map='…map' for the "
            "positions of markers."
        )
    found = _CHROMOSOME.search(path.name)
    of_file = str(chromosome) if chromosome is not None else found[1].lstrip("0") if found else ""
    return pd.DataFrame({"chromosome": pd.Categorical([of_file]).repeat(len(codes)), "position": numbers[codes]})


def _people(
    frame: pd.DataFrame, ids: str | Callable[[str, str], str], families: dict[str, str], path: Path
) -> list[NDArray[np.object_]]:
    """Names of the first and the second of each pair."""
    made = []
    for column in ("ID1", "ID2"):
        family, person = frame["FAMILY"].cat, frame[column].cat
        n = len(person.categories)
        codes, pairs = pd.factorize(family.codes.to_numpy(dtype=np.int64) * n + person.codes.to_numpy())
        distinct = [(str(family.categories[i // n]), str(person.categories[i % n])) for i in pairs.tolist()]
        names = [_name(of, one, ids) for of, one in distinct]
        for (of, one), name in zip(distinct, names, strict=True):
            if families.setdefault(name, of) != of:
                raise DataError(
                    f"{path}: ids are unique within families only: {one!r} is in family {families[name]!r} and in "
                    f"{of!r}. Name people FAMILY_ID with ids='family_id', or give a function of family and id that "
                    "tells them apart."
                )
        made.append(np.array(names, dtype=object)[codes])
    return made


def _name(family: str, one: str, ids: str | Callable[[str, str], str]) -> str:
    if isinstance(ids, str):
        return one if ids == "id" else f"{family}_{one}"
    return str(ids(family, one))


def _read(path: Path, markers: pd.DataFrame | None, chromosome: Any, ids: str | Callable[[str, str], str]) -> IbdMap:
    families: dict[str, str] = {}
    parts = (_table(frame, path, markers, chromosome, ids, families) for frame in tables_of(path, r"\s+", _NUMBERS))
    return map_of_table(parts, None, str(path))


def _table(
    frame: pd.DataFrame,
    path: Path,
    markers: pd.DataFrame | None,
    chromosome: Any,
    ids: str | Callable[[str, str], str],
    families: dict[str, str],
) -> pd.DataFrame:
    """A part of the file as a long table; `families` of the people so far is added to."""
    frame = frame.set_axis([str(name).upper() for name in frame.columns], axis=1)
    refuse_columns(frame, _COLUMNS, str(path))
    P0, P1, P2 = (sharing_of(frame[name], name, str(path)) for name in ("P0", "P1", "P2"))
    wrong = ~(np.abs(P0 + P1 + P2 - 1.0) <= _SUM) | (np.minimum(np.minimum(P0, P1), P2) < -_SUM)
    if wrong.any():
        rows = [Plain(" ".join(map(str, frame.iloc[i]))) for i in np.flatnonzero(wrong)[:5]]
        raise DataError(f"{path}: {int(wrong.sum())} rows have no probabilities that sum to 1: {shown(rows)}.")
    one, other = _people(frame, ids, families, path)
    places = _places(frame["MARKER"], markers, chromosome, path)
    return places.assign(id1=one, id2=other, ibd=0.5 * P1 + P2)
