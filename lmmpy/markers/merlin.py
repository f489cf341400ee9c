"""Merlin's `.ibd` file: for each pair of a family and each position, the probabilities of sharing 0, 1, 2 alleles."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.markers.ibd import IbdMap
from lmmpy.markers.ibd_files import MEMORY, map_of_files, paths_of, table_of
from lmmpy.markers.ibd_tables import map_of_table, refuse_columns, sharing_of
from lmmpy.markers.pairs import Plain

__all__ = ["read_merlin_ibd"]

_COLUMNS = ("FAMILY", "ID1", "ID2", "MARKER", "P0", "P1", "P2")
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
    """
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
    frame = map if isinstance(map, pd.DataFrame) else table_of(paths_of(map, "map")[0], r"\s+")
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
    if markers is not None:
        unknown = marker[~marker.isin(markers.index)].unique()
        if len(unknown):
            raise DataError(f"{path}: markers that the map does not have: {shown(unknown)}.")
        return markers.loc[marker].reset_index(drop=True)
    names = marker.unique()
    numbers = pd.to_numeric(pd.Series(names), errors="coerce")
    if numbers.isna().any():
        raise DataError(
            f"{path}: MARKER is not positions in cM: {shown(names[numbers.isna().to_numpy()])}. Give map='…map' for "
            "the positions of markers."
        )
    found = _CHROMOSOME.search(path.name)
    of_file = str(chromosome) if chromosome is not None else found[1].lstrip("0") if found else ""
    position = marker.map(dict(zip(names, numbers, strict=True))).to_numpy(dtype=np.float64)
    return pd.DataFrame({"chromosome": of_file, "position": position})


def _people(frame: pd.DataFrame, ids: str | Callable[[str, str], str], path: Path) -> list[pd.Series]:
    """Ids of the first and the second of each pair."""
    family = frame["FAMILY"]
    if ids == "id":
        both = pd.concat([frame[["FAMILY", name]].set_axis(["family", "id"], axis=1) for name in ("ID1", "ID2")])
        known = both.drop_duplicates()
        twice = known[known["id"].duplicated(keep=False)].sort_values("id")
        if len(twice):
            who = [Plain(f"{one!r} of family {of!r}") for of, one in twice.itertuples(index=False)]
            raise DataError(
                f"{path}: ids are unique within families only: {shown(who)}. Name people FAMILY_ID with "
                "ids='family_id', or give a function of family and id."
            )
        return [frame["ID1"], frame["ID2"]]
    if isinstance(ids, str):
        return [family + "_" + frame["ID1"], family + "_" + frame["ID2"]]
    named = []
    for column in ("ID1", "ID2"):
        distinct = frame[["FAMILY", column]].drop_duplicates()
        names = {(of, one): ids(of, one) for of, one in distinct.itertuples(index=False)}
        named.append(pd.Series([names[key] for key in zip(family, frame[column], strict=True)]))
    return named


def _read(path: Path, markers: pd.DataFrame | None, chromosome: Any, ids: str | Callable[[str, str], str]) -> IbdMap:
    frame = table_of(path, r"\s+")
    frame = frame.set_axis([str(name).upper() for name in frame.columns], axis=1)
    refuse_columns(frame, _COLUMNS, str(path))
    P0, P1, P2 = (sharing_of(frame[name], name, str(path)) for name in ("P0", "P1", "P2"))
    wrong = ~(np.abs(P0 + P1 + P2 - 1.0) <= _SUM) | (np.minimum(np.minimum(P0, P1), P2) < -_SUM)
    if wrong.any():
        rows = [Plain(" ".join(frame.iloc[i])) for i in np.flatnonzero(wrong)[:5]]
        raise DataError(f"{path}: {int(wrong.sum())} rows have no probabilities that sum to 1: {shown(rows)}.")
    one, other = _people(frame, ids, path)
    places = _places(frame["MARKER"], markers, chromosome, path)
    table = places.assign(id1=one.to_numpy(), id2=other.to_numpy(), ibd=0.5 * P1 + P2)
    return map_of_table(table, None, str(path))
