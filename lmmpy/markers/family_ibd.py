"""
The expected sharing of a family at one marker, given the genotypes of some: exact, by enumeration.

What is enumerated are the alleles of the founders and what those passed on who are between founders and others. Given
these, children without children of their own are independent, so that they need not be enumerated together: nuclear
families of any size and three generations are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.markers.pairs import Floats, Ints

__all__ = ["MOST_CASES", "Family", "TooManyCases", "expected_sharing"]

MOST_CASES = 500_000
_BATCH = 2**12
Codes = NDArray[np.int16]


class TooManyCases(Exception):  # noqa: N818  # caught where the family's name is known
    """More cases than can be enumerated."""


@dataclass(frozen=True, eq=False, slots=True)
class Family:
    """
    Who is in a family, parents before children.

    Attributes
    ----------
    parents : ndarray of intp, shape (m, 2)
        Father and mother; −1 where unknown.
    has_child : ndarray of bool, shape (m,)
    slots : ndarray of intp, shape (m, 2)
        The number of the founder allele on a side without a parent; −1 on the others.
    """

    parents: Ints
    has_child: NDArray[np.bool_]
    slots: Ints

    @property
    def n_slots(self) -> int:
        """Founder alleles."""
        return int(self.slots.max()) + 1


def expected_sharing(family: Family, genotype: Ints, frequency: Floats) -> Floats | None:
    """
    Twice the expected kinship at the marker.

    Parameters
    ----------
    family : Family
    genotype : ndarray of intp, shape (m, 2)
        Numbers of alleles in any order; −1 both where not typed.
    frequency : ndarray, shape (n_alleles,)
        What is left to 1 are alleles that nobody has shown.

    Returns
    -------
    ndarray, shape (m, m), or None
        None when no inheritance explains the genotypes.

    Raises
    ------
    TooManyCases

    Notes
    -----
    The two alleles of a founder may be swapped, with all that is inherited from him, without any change in sharing.
    His genotype therefore stands in one order, with the probability of both.
    """
    genotype, frequency = _lumped(genotype, frequency)
    alleles, weight, held = _cases(family, genotype, frequency)
    m, S = len(family.parents), family.n_slots
    total, shared = 0.0, np.zeros((m, m))
    for start in range(0, len(weight), _BATCH):
        at = slice(start, start + _BATCH)
        likelihood, counts, both = _given_cases(family, genotype, alleles[at], weight[at], held[at])
        total += float(likelihood.sum())
        flat = counts.transpose(1, 0, 2).reshape(m, -1)
        part = 0.5 * (flat * np.repeat(likelihood, S)) @ flat.T
        # Of somebody himself: 1, and 1 more where both alleles are the same.
        np.fill_diagonal(part, likelihood @ (1.0 + both))
        shared += part
    return shared / total if total > 0.0 else None


def _lumped(genotype: Ints, frequency: Floats) -> tuple[Ints, Floats]:
    """The alleles seen in the family, numbered anew, and one more for all others."""
    seen = np.unique(genotype[genotype >= 0])
    new = np.full(len(frequency) + 1, -1, dtype=np.intp)
    new[seen] = np.arange(len(seen))
    rest = max(0.0, 1.0 - float(frequency[seen].sum()))
    left = [rest] if rest > 1e-12 else []
    return new[genotype], np.concatenate([frequency[seen], left])


def _cases(family: Family, genotype: Ints, frequency: Floats) -> tuple[Codes, Floats, Codes]:
    """
    What is to be enumerated: alleles of founders, and which founder alleles those with children have.

    Returns
    -------
    alleles : ndarray of int8, shape (C, n_slots)
    weight : ndarray, shape (C,)
        Probability of the case and of the genotypes of all who have children, and of founders.
    held : ndarray of int8, shape (C, m, 2)
        Founder alleles of each; those of children without children are not set.
    """
    alleles: Codes = np.zeros((1, family.n_slots), dtype=np.int16)
    weight, held = np.ones(1), np.zeros((1, len(family.parents), 2), dtype=np.int16)
    held[:, :] = np.maximum(family.slots, 0)
    for i in _order(family):
        parents, slots = family.parents[i], family.slots[i]
        for choices, chances in _founder_alleles(slots, genotype[i], frequency):
            C, k = len(weight), len(chances)
            _refuse(C * k)
            alleles, held = np.repeat(alleles, k, axis=0), np.repeat(held, k, axis=0)
            weight = (weight[:, None] * chances).ravel()
            for slot, choice in choices:
                alleles[:, slot] = np.tile(choice, C)
        if family.has_child[i] or (slots >= 0).all():
            for side in np.flatnonzero(parents >= 0).tolist():
                C = len(weight)
                _refuse(2 * C)
                alleles, held, weight = np.repeat(alleles, 2, axis=0), np.repeat(held, 2, axis=0), np.repeat(weight, 2)
                held[:, i, side] = held[np.arange(2 * C), parents[side], np.tile([0, 1], C)]
                weight *= 0.5
            keep = _agrees(alleles, held[:, i], genotype[i])
        else:
            ways = _ways(family, i, held)
            keep = np.any([_agrees(alleles, ways[:, w], genotype[i]) for w in range(4)], axis=0)
        alleles, held, weight = alleles[keep], held[keep], weight[keep]
    return alleles, weight, held


def _order(family: Family) -> list[int]:
    """Everybody once, founders right before their first child, so that cases which cannot be are left out early."""
    order: dict[int, None] = {}
    for i in np.flatnonzero((family.parents >= 0).any(axis=1)).tolist():
        order.update({int(parent): None for parent in family.parents[i] if parent >= 0 and int(parent) not in order})
        order[i] = None
    order.update({i: None for i in range(len(family.parents)) if i not in order})
    return list(order)


def _ways(family: Family, i: int, held: Codes) -> Codes:
    """The four ways to inherit from two parents in each case, shape (C, 4, 2)."""
    ways = np.empty((len(held), 4, 2), dtype=np.int16)
    for side, parent in enumerate(family.parents[i].tolist()):
        strands = held[:, parent] if parent >= 0 else held[:, i][:, [side, side]]
        ways[:, :, side] = strands[:, [0, 0, 1, 1] if side == 0 else [0, 1, 0, 1]]
    return ways


def _refuse(count: int) -> None:
    if count > MOST_CASES:
        raise TooManyCases


def _founder_alleles(slots: Ints, genotype: Ints, frequency: Floats) -> list[tuple[list[tuple[int, Codes]], Floats]]:
    """The ways to fill the founder alleles of somebody, with their probabilities; one entry a choice to be made."""
    own = [int(slot) for slot in slots if slot >= 0]
    k = len(frequency)
    if not own:
        return []
    if len(own) == 1:  # of one parent unknown
        return [([(own[0], np.arange(k, dtype=np.int16))], frequency)]
    if genotype[0] >= 0:
        a, b = np.sort(genotype)[:, None].astype(np.int16)
    else:
        a, b = (x.astype(np.int16) for x in np.triu_indices(k))
    chances = frequency[a] * frequency[b] * np.where(a == b, 1.0, 2.0)
    return [([(own[0], a), (own[1], b)], chances)]


def _agrees(alleles: Codes, held: Codes, genotype: Ints) -> NDArray[np.bool_]:
    """In which cases somebody with some founder alleles, shape (C, 2), has his genotype."""
    if genotype[0] < 0:
        return np.ones(len(alleles), dtype=bool)
    rows = np.arange(len(alleles))
    one, other = alleles[rows, held[:, 0]], alleles[rows, held[:, 1]]
    a, b = genotype
    agrees: NDArray[np.bool_] = ((one == a) & (other == b)) | ((one == b) & (other == a))
    return agrees


def _given_cases(
    family: Family, genotype: Ints, alleles: Codes, weight: Floats, held: Codes
) -> tuple[Floats, Floats, Floats]:
    """
    Probability of each case with all genotypes, and what everybody then has.

    Returns
    -------
    likelihood : ndarray, shape (C,)
    counts : ndarray, shape (C, m, n_slots)
        Expected number of copies of each founder allele.
    both : ndarray, shape (C, m)
        Probability that both alleles of somebody are the same founder allele.
    """
    C, m, S = len(weight), len(family.parents), family.n_slots
    unit = np.eye(S)
    counts, both = np.empty((C, m, S)), np.empty((C, m))
    likelihood = weight.copy()
    for i, parents in enumerate(family.parents):
        if family.has_child[i] or (parents < 0).all():
            one, other = held[:, i, 0], held[:, i, 1]
            counts[:, i], both[:, i] = unit[one] + unit[other], one == other
            continue
        choice = _ways(family, i, held)
        way = 0.25 * np.stack([_agrees(alleles, choice[:, w], genotype[i]) for w in range(4)], axis=1)
        chance = way.sum(axis=1)
        likelihood *= chance
        way /= np.where(chance > 0.0, chance, 1.0)[:, None]
        counts[:, i] = np.einsum("cw,cwxs->cs", way, unit[choice])
        both[:, i] = (way * (choice[:, :, 0] == choice[:, :, 1])).sum(axis=1)
    return likelihood, counts, both
