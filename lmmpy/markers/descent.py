"""A pedigree as the loops of this room need it: genetic levels by generation, founder alleles, who can share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import DataError
from lmmpy.markers.pairs import Ints
from lmmpy.relatedness import Pedigree

__all__ = ["Lineage", "lineage_of", "related_pairs"]

_MOST_PAIRS = 50_000_000  # 800 MB of numbers


@dataclass(frozen=True, eq=False, slots=True)
class Lineage:
    """
    Who descends from whom, identical twins being one level.

    Attributes
    ----------
    level : ndarray of intp, shape (n_people,)
        The level of each person of the pedigree.
    parents : ndarray of intp, shape (n_levels, 2)
        Levels of father and mother, which come before their children; −1 where unknown.
    founder : ndarray of int64, shape (n_levels, 2)
        Number of the founder allele on a side without a parent; 0 on the others.
    n_founder_alleles : int
    generations : tuple of (members, parents, sides)
        Of each generation behind the first the meioses: the child, the parent, and 0 for the father, 1 for the mother.
    family : ndarray of intp, shape (n_levels,)
        Levels that are connected have the same number.
    """

    level: Ints
    parents: Ints
    founder: NDArray[np.int64]
    n_founder_alleles: int
    generations: tuple[tuple[Ints, Ints, Ints], ...]
    family: Ints


def lineage_of(pedigree: Pedigree) -> Lineage:
    """The lineage of a pedigree."""
    rows = pedigree.rows
    depth = pedigree.generations.to_numpy()
    twin = rows.twin.astype(np.intp)
    own = np.flatnonzero(twin == np.arange(len(twin)))
    own = own[np.argsort(depth[own], kind="stable")]
    number = np.full(len(twin) + 1, -1, dtype=np.intp)
    number[own] = np.arange(len(own))
    first = np.append(twin, -1)  # the parent −1 is the last
    parents = np.stack([number[first[rows.father]], number[first[rows.mother]]], axis=1)[own]
    unknown = parents < 0
    founder = np.where(unknown, np.cumsum(unknown.ravel()).reshape(-1, 2) - 1, 0)
    of_level = depth[own]
    steps = []
    for generation in range(1, int(of_level.max()) + 1):
        members, sides = np.nonzero(~unknown & (of_level == generation)[:, None])
        steps.append((members, parents[members, sides], sides))
    family = pedigree.families().to_numpy()[own].astype(np.intp)
    return Lineage(number[twin], parents, founder, int(unknown.sum()), tuple(steps), family)


def _founders_of(lineage: Lineage, members: Ints) -> NDArray[np.bool_]:
    """Which founder alleles each level of a family can have, shape (n_members, n_alleles of the family)."""
    place = {level: i for i, level in enumerate(members.tolist())}
    unknown = lineage.parents[members] < 0
    column = np.cumsum(unknown.ravel()).reshape(-1, 2) - 1
    can = np.zeros((len(members), int(unknown.sum())), dtype=bool)
    for i, level in enumerate(members.tolist()):
        for side, parent in enumerate(lineage.parents[level].tolist()):
            if parent < 0:
                can[i, column[i, side]] = True
            else:
                can[i] |= can[place[parent]]
    return can


def related_pairs(lineage: Lineage) -> tuple[Ints, Ints]:
    """
    Numbers of all pairs of people who have an ancestor in common, everybody with himself among them.

    Returns
    -------
    first, second : ndarray of intp, shape (m,)
        first ≤ second, ordered.

    Raises
    ------
    DataError
        When there are too many to be held.
    """
    order = np.argsort(lineage.family, kind="stable")
    families = np.split(order, np.flatnonzero(np.diff(lineage.family[order])) + 1)
    people = np.argsort(lineage.level, kind="stable")
    ends = np.searchsorted(lineage.level[people], np.arange(len(lineage.founder) + 1))
    parts, count = [], 0
    for family in families:
        members = np.sort(family)
        can = _founders_of(lineage, members).astype(np.float32)
        repeat = np.diff(ends)[members]
        who = np.concatenate([people[ends[level] : ends[level + 1]] for level in members.tolist()])
        share = np.repeat(np.repeat(can @ can.T > 0.0, repeat, axis=0), repeat, axis=1)
        i, j = np.nonzero(share)
        keep = who[i] <= who[j]
        parts.append(np.stack([who[i[keep]], who[j[keep]]]))
        count += parts[-1].shape[1]
        if count > _MOST_PAIRS:
            raise DataError(
                f"More than {_MOST_PAIRS:,} pairs of this pedigree can share. Prune it to those with records: "
                "pedigree.prune(ids)."
            )
    first, second = np.concatenate(parts, axis=1)
    at = np.lexsort((second, first))
    return first[at].astype(np.intp), second[at].astype(np.intp)
