"""Where the members of a family are drawn: generations in rows, couples and sibs beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError

__all__ = ["family_layout"]

Array = NDArray[Any]

# A drawing of more people than this cannot be read.
MOST_DRAWN = 500
_SWEEPS = 6


def family_layout(frame: pd.DataFrame) -> pd.DataFrame:
    """
    Coordinates of the members of one family.

    Parameters
    ----------
    frame : DataFrame
        Columns id, father, mother, sex, twin, generation.

    Returns
    -------
    DataFrame
        id, x, y, sex, father, mother, twin; y is minus the row from the top, neighbours of a row are at least 1 apart.
    """
    if len(frame) > MOST_DRAWN:
        raise DataError(f"A family of {len(frame)} cannot be drawn; prune the pedigree to at most {MOST_DRAWN}.")
    place = {label: i for i, label in enumerate(frame["id"])}
    n = len(frame)
    father = np.array([place.get(label, -1) for label in frame["father"]], dtype=np.intp)
    mother = np.array([place.get(label, -1) for label in frame["mother"]], dtype=np.intp)
    row = _rows(father, mother, frame["generation"].to_numpy(dtype=int))
    order = _order(father, mother, row)
    x = np.zeros(n)
    for members in order:
        x[members] = np.arange(len(members))
    for _ in range(_SWEEPS):
        for members in order[1:]:  # children below their parents, each sibship as one
            x[members] = _spread(_below(members, father, mother, x), _sibships(members, father, mother))
        for members in order[-2::-1]:  # parents above their children
            x[members] = _spread(_above(members, father, mother, row, x))
    columns = ["id", "sex", "father", "mother", "twin"]
    out = frame[columns].reset_index(drop=True)
    out.insert(1, "x", x - x.min())
    out.insert(2, "y", -row.astype(float))
    return out


def _rows(father: Array, mother: Array, generation: Array) -> Array:
    """The generation; who married in stands beside the partner, that is above the first child."""
    row = generation - generation.min()
    for i in np.flatnonzero((father < 0) & (mother < 0)):
        children = np.flatnonzero((father == i) | (mother == i))
        if len(children):
            row[i] = row[children].min() - 1
    top: Array = row - row.min()
    return top


def _order(father: Array, mother: Array, row: Array) -> list[Array]:
    """Members of each row from left to right: sibships in the order of their parents, partners beside each other."""
    partners = _partners(father, mother)
    seat: dict[int, int] = {}
    order = []
    for r in range(int(row.max()) + 1):
        members = [int(i) for i in np.flatnonzero(row == r)]

        def key(i: int) -> tuple[float, int]:
            parents = [seat[p] for p in (father[i], mother[i]) if p in seat]
            return (float(np.mean(parents)) if parents else np.inf, i)

        line: list[int] = []
        for i in sorted(members, key=key):
            if i in line:
                continue
            mates = [j for j in partners[i] if row[j] == r and j not in line and key(j)[0] == np.inf]
            # The first partner stands to the right, a second to the left.
            line.extend([*mates[1:], i, *mates[:1]])
        if r == 0:
            line = _chained(line, partners)
        seat.update({i: at for at, i in enumerate(line)})
        order.append(np.array(line, dtype=np.intp))
    return order


def _partners(father: Array, mother: Array) -> list[list[int]]:
    partners: list[list[int]] = [[] for _ in father]
    for f, m in dict.fromkeys(zip(father.tolist(), mother.tolist(), strict=True)):
        if f >= 0 and m >= 0:
            partners[f].append(m)
            partners[m].append(f)
    return partners


def _chained(line: list[int], partners: list[list[int]]) -> list[int]:
    """A row of founders with every partner beside somebody who is theirs."""
    chained: list[int] = []
    for i in line:
        waiting = [i]
        while waiting:
            j = waiting.pop()
            if j in line and j not in chained:
                chained.append(j)
                waiting.extend(reversed(partners[j]))
    return chained


def _sibships(members: Array, father: Array, mother: Array) -> Array:
    """For neighbours, whether they have the same parents, shape (len(members) − 1,)."""
    same = (father[members][1:] == father[members][:-1]) & (mother[members][1:] == mother[members][:-1])
    known: Array = same & ((father[members][1:] >= 0) | (mother[members][1:] >= 0))
    return known


def _below(members: Array, father: Array, mother: Array, x: Array) -> Array:
    """Where each would stand: with the middle of its sibship below the middle of its parents."""
    wanted: Array = x[members].astype(float)
    for k, i in enumerate(members):
        parents = [p for p in (father[i], mother[i]) if p >= 0]
        if parents:
            sibs = [a for a, j in enumerate(members) if father[j] == father[i] and mother[j] == mother[i]]
            wanted[k] = np.mean(x[parents]) + x[i] - np.mean(x[members[sibs]])
    return wanted


def _above(members: Array, father: Array, mother: Array, row: Array, x: Array) -> Array:
    """Where each would stand: a couple with its middle above the middle of its children."""
    wanted: Array = x[members].astype(float)
    for k, i in enumerate(members):
        children = np.flatnonzero((father == i) | (mother == i))
        if len(children):
            both = np.unique(np.concatenate([father[children], mother[children]]))
            couple = both[(both >= 0)]
            wanted[k] = np.mean(x[children]) + x[i] - np.mean(x[couple])
    return wanted


def _spread(wanted: Array, together: Array | None = None) -> Array:
    """The nearest places, in this order and at least 1 apart, 1.3 between sibships (pool adjacent violators)."""
    gaps = np.ones(len(wanted) - 1) if together is None else np.where(together, 1.0, 1.3)
    offset = np.concatenate([[0.0], np.cumsum(gaps)])
    pools: list[list[float]] = []  # sum, count
    for value in wanted - offset:
        pools.append([float(value), 1.0])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    places: Array = np.concatenate([np.full(int(count), total / count) for total, count in pools]) + offset
    return places
