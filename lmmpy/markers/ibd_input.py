"""What a user may give as sharing along the genome, made an `IbdMap`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from lmmpy.errors import DataError, shown
from lmmpy.markers.gene_drop import DroppedGenes
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_files import read_ibd_csv
from lmmpy.markers.ibd_sources import ReadPairs
from lmmpy.markers.ibd_tables import PAIR_COLUMNS, ids_of, map_of_table, pairs_of_table, refuse_columns
from lmmpy.markers.merlin import read_merlin_ibd
from lmmpy.markers.pairs import Pairs, checked_pairs
from lmmpy.markers.solar_mibd import read_mibd
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.relatedness.labels import by_label

__all__ = ["as_ibd"]

_KEY = re.compile(r"(?P<chromosome>[^:]+):(?P<position>[^:]+)")


def as_ibd(ibd: Any) -> IbdMap:
    """
    An `IbdMap` of what stands for one.

    Parameters
    ----------
    ibd : IbdMap, DroppedGenes, mapping, DataFrame or path
        A mapping goes from positions to sharing. A position is a number (cM, of the one chromosome there is, named ""),
        a pair (chromosome, position), or a text "1:40". Sharing is a square frame with ids as index and columns, a
        `Relatedness` with labels, or a long frame id1, id2, ibd. Square ones are turned into pairs when they are asked
        for; all must have the same ids, in any order. A DataFrame is long, with chromosome, position, id1, id2, ibd. A
        path is a directory of SOLAR's mibd files, Merlin's `.ibd`, or a long CSV or TSV file.

    Returns
    -------
    IbdMap
        Positions in the order of the genome: chromosomes 1 to 22, X, Y, then others; along each by position.

    Raises
    ------
    DataError
        When it is none of these, people differ between positions, and as `checked_pairs`.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> lmm.qtl.as_ibd(lmm.datasets.load("family_ibd"))
    <IbdMap: 398 people, 21 positions, chromosome 1; IBD frame>
    """
    if isinstance(ibd, IbdMap):
        return ibd
    if isinstance(ibd, DroppedGenes):
        return ibd.ibd
    if isinstance(ibd, Mapping):
        return _of_mapping(ibd)
    if isinstance(ibd, pd.DataFrame):
        if "position" not in ibd.columns and set(ibd.columns) >= set(PAIR_COLUMNS):
            raise DataError(
                "This frame has pairs but no column 'position'. Give chromosome, position, id1, id2, ibd; or "
                "{('1', 40.0): frame} for one position."
            )
        return map_of_table([ibd], None, "IBD frame")
    if isinstance(ibd, str | Path):
        return _of_path(Path(ibd))
    raise DataError(
        f"A {type(ibd).__name__} is no map of sharing. Give an IbdMap, a mapping from positions to matrices or frames, "
        "a long frame with chromosome, position, id1, id2, ibd, or a path."
    )


def _of_path(path: Path) -> IbdMap:
    if path.is_dir():
        return read_mibd(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".ibd"):
        return read_merlin_ibd(path)
    if name.endswith((".csv", ".tsv", ".txt")):
        return read_ibd_csv(path)
    raise DataError(
        f"{path} is not known as a file of sharing: there are SOLAR's mibd files in a directory, Merlin's .ibd, and "
        "long tables .csv or .tsv. Use read_mibd, read_merlin_ibd or read_ibd_csv for a file of another name."
    )


def _place_of(key: Any) -> tuple[Any, float]:
    """Chromosome and position that a key means."""
    chromosome: Any = ""
    position = key
    if isinstance(key, tuple) and len(key) == 2:
        chromosome, position = key
    elif isinstance(key, str):
        match = _KEY.fullmatch(key.strip())
        if match:
            chromosome, position = match["chromosome"].strip(), match["position"]
    try:
        return chromosome, float(position)
    except (TypeError, ValueError):
        raise DataError(
            f"{key!r} is no position: give a number in cM, (chromosome, position), or a text such as '1:40'."
        ) from None


def _of_mapping(ibd: Mapping[Any, Any]) -> IbdMap:
    keys = list(ibd)
    if not keys:
        raise DataError("There are no positions: the mapping is empty.")
    places = [_place_of(key) for key in keys]
    frame, order = position_frame([c for c, _ in places], [p for _, p in places], "IBD by position")
    keys = [keys[i] for i in order]
    first = ibd[keys[0]]
    is_long = _is_long(first)
    if is_long:
        for key in keys:
            refuse_columns(ibd[key], PAIR_COLUMNS, f"IBD at {key!r}")
    people = ids_of((ibd[key] for key in keys), "IBD") if is_long else _labels(first, keys[0])
    read = partial(_read, ibd, tuple(keys), people, {name: i for i, name in enumerate(people)})
    return IbdMap(people, frame, ReadPairs(read, partial(_contents, read, len(keys))), "matrices by position")


def _is_long(value: Any) -> bool:
    return isinstance(value, pd.DataFrame) and set(value.columns) >= set(PAIR_COLUMNS)


def _labels(value: Any, key: Any) -> tuple[str, ...]:
    """The ids of the first matrix, in its order."""
    if isinstance(value, pd.DataFrame):
        return by_label(value)[1]
    if isinstance(value, Pedigree):
        raise DataError(f"IBD at {key!r} is a Pedigree, which says what is expected, not what is shared at a position.")
    if not isinstance(value, Relatedness):
        raise DataError(
            f"IBD at {key!r} is a {type(value).__name__}. Give a square frame with ids as index and columns, a "
            "Relatedness, or a long frame id1, id2, ibd."
        )
    if value.labels is None:
        raise DataError(f"The Relatedness at {key!r} has no labels: Relatedness(K, labels=ids).")
    return value.ids


def _read(
    ibd: Mapping[Any, Any], keys: tuple[Any, ...], people: tuple[str, ...], place: dict[str, int], number: int
) -> Pairs:
    """The pairs at one position of a mapping."""
    value, where = ibd[keys[number]], f"IBD at {keys[number]!r}"
    if _is_long(value):
        return pairs_of_table(value, people, place, where)
    labels = _labels(value, keys[number])
    if len(labels) != len(people) or set(labels) != set(people):
        raise DataError(
            f"{where} is of other people than at {keys[0]!r}: only here {shown(set(labels) - set(people))}; only "
            f"there {shown(set(people) - set(labels))}. All positions must have the same."
        )
    if isinstance(value, pd.DataFrame):
        K, _ = by_label(value)
    else:
        at = value.positions(labels)
        K = value.block(at, at)
    sharing = sparse.coo_array(K)  # with both triangles, so that an asymmetric matrix is found out
    to = np.array([place[label] for label in labels], dtype=np.intp)
    _refuse_one_sided(K, labels, where)
    return checked_pairs(to[sharing.row], to[sharing.col], sharing.data, people, where)


def _refuse_one_sided(K: np.ndarray, labels: tuple[str, ...], where: str) -> None:
    """Refuse a matrix of which one triangle is zero."""
    i, j = np.nonzero((K != 0.0) & (K.T == 0.0))
    if len(i):
        pair = f"{labels[i[0]]!r} and {labels[j[0]]!r}"
        raise DataError(f"{where} is not symmetric: {pair} share {K[i[0], j[0]]:.7g}, and 0 the other way round.")


def _contents(read: Any, n: int) -> Any:
    for number in range(n):
        pairs = read(number)
        yield from (pairs.first, pairs.second, pairs.ibd)
