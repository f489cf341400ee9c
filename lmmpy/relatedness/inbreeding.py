"""Inbreeding coefficients, generation by generation, by whichever of two exact ways is cheaper there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lmmpy.relatedness import _pedigree
from lmmpy.relatedness.additive import ancestors
from lmmpy.relatedness.form import Floats
from lmmpy.relatedness.labels import Ints
from lmmpy.relatedness.rows import Int32

__all__ = ["Sampling", "inbreeding"]

_WIDTH = 8
# So few couples are followed to their ancestors before the ways are compared.
_SAMPLE = 16
# What one ancestor of a couple costs, in units of one level in a batch of columns (up and down).
_ANCESTOR = 1.5


@dataclass(frozen=True, eq=False, slots=True)
class Sampling:
    """
    What is new in a level: D = base − of_father (1 + F_father) − of_mother (1 + F_mother), all of shape (n,).

    Attributes
    ----------
    base, of_father, of_mother : ndarray, shape (n,)
        The last two zero where the parent is unknown.
    """

    base: Floats
    of_father: Floats
    of_mother: Floats

    @classmethod
    def additive(cls, father: Int32, mother: Int32) -> Sampling:
        """1 − ¼(1 + F_father) − ¼(1 + F_mother), the terms of known parents only (Henderson 1976; Quaas 1976)."""
        return cls(np.ones(len(father)), np.where(father >= 0, 0.25, 0.0), np.where(mother >= 0, 0.25, 0.0))

    def taken(self, order: Ints) -> Sampling:
        """Of some levels."""
        return Sampling(self.base[order], self.of_father[order], self.of_mother[order])


def inbreeding(father: Int32, mother: Int32, generation: Int32, sampling: Sampling) -> tuple[Floats, Floats]:
    """
    F = ½ K[father, mother] of each level, and D.

    Parameters
    ----------
    father, mother : ndarray of int32, shape (n,)
        −1 where unknown. A level whose two parents are one has F = 0 (an X chromosome from the mother only).
    generation : ndarray of int32, shape (n,)
        Ascending; larger than the parents'.
    sampling : Sampling
        D, given F of the parents.

    Returns
    -------
    F, D : ndarray, shape (n,)

    Notes
    -----
    K = T D Tᵀ needs D of a generation's ancestors only, whose F are known by then. A couple's K[s, d] is a sum over
    their common ancestors (Meuwissen & Luo 1992), or read off a column of K (Colleau 2002; Sargolzaei, Iwaisaki &
    Colleau 2005): eight fathers, or mothers when they are fewer, share a pass over the parents' ancestors. Full sibs
    share their F.
    """
    starts = np.searchsorted(generation, np.arange(generation[-1] + 2))
    order, new = _by_mother(mother, starts)
    work = _Work(new[father[order]], new[mother[order]], generation, sampling.taken(order))
    for g in range(len(starts) - 1):
        work.add_generation(g, starts[g], starts[g + 1])
    F, D = np.empty(len(father)), np.empty(len(father))
    F[order], D[order] = work.F, work.D
    return F, D


def _by_mother(mother: Int32, starts: Ints) -> tuple[Ints, Int32]:
    """Sibs beside each other in each generation, in the order of their mothers: passes find parents in the cache."""
    order = np.arange(len(mother))
    new = np.full(len(mother) + 1, -1, dtype=np.int32)
    for start, stop in pairwise(starts):
        order[start:stop] = start + np.argsort(new[mother[start:stop]], kind="stable")
        new[order[start:stop]] = np.arange(start, stop, dtype=np.int32)
    return order, new


class _Work:
    """The levels, and arrays that the loops share."""

    def __init__(self, father: Int32, mother: Int32, generation: Int32, sampling: Sampling) -> None:
        n = len(father)
        self.father, self.mother, self.generation, self.sampling = father, mother, generation, sampling
        self.F, self.D = np.zeros(n), np.empty(n)
        self.L = np.zeros((n, 2))
        self.link = np.empty(n, dtype=np.int32)
        self.head = np.full(int(generation[-1]) + 1, -1, dtype=np.int32)

    def add_generation(self, g: int, start: int, stop: int) -> None:
        """F and D of a generation from those before it."""
        part = slice(start, stop)
        dad, mom = self.father[part], self.mother[part]
        new = self.sampling
        self.D[part] = (
            new.base[part] - new.of_father[part] * (1.0 + self.F[dad]) - new.of_mother[part] * (1.0 + self.F[mom])
        )
        if g < 2:
            return  # founders, and children of founders, who are unrelated
        both = np.flatnonzero((dad >= 0) & (mom >= 0) & (dad != mom))
        both = both[(self.generation[dad[both]] > 0) | (self.generation[mom[both]] > 0)]
        if len(both):
            n = np.int64(len(self.D))
            couples, which = np.unique(dad[both] * n + mom[both], return_inverse=True)
            s, d = (couples // n).astype(np.int32), (couples % n).astype(np.int32)
            self.F[start + both] = 0.5 * self.relationships(s, d, start)[which]

    def relationships(self, s: Int32, d: Int32, before: int) -> Floats:
        """K[s, d] of some couples, all parents among the first `before` levels."""
        out = np.empty(len(s))
        if len(s) <= 2 * _SAMPLE:
            self._by_ancestors(s, d, out)
            return out
        tried = np.linspace(0, len(s) - 1, _SAMPLE).astype(np.intp)
        some = np.empty(_SAMPLE)
        visited = self._by_ancestors(s[tried], d[tried], some) / _SAMPLE
        hubs, others = (s, d) if len(np.unique(s)) <= len(np.unique(d)) else (d, s)
        passes = -(-len(np.unique(hubs)) // _WIDTH)
        if visited * len(s) * _ANCESTOR <= passes * before:
            self._by_ancestors(s, d, out)
            return out
        kept = ancestors(self.father[:before], self.mother[:before], np.concatenate([s, d]))
        if visited * len(s) * _ANCESTOR <= passes * len(kept):
            self._by_ancestors(s, d, out)
        else:
            self._by_columns(hubs, others, kept, out)
        return out

    def _by_ancestors(self, s: Int32, d: Int32, out: Floats) -> int:
        return _pedigree.couples_by_ancestors(
            self.father, self.mother, self.generation, self.D, s, d, out, self.L, self.link, self.head
        )

    def _by_columns(self, hubs: Int32, others: Int32, kept: Ints, out: Floats) -> None:
        new = np.full(len(self.father) + 1, -1, dtype=np.int32)
        new[kept] = np.arange(len(kept), dtype=np.int32)
        father, mother, D = new[self.father[kept]], new[self.mother[kept]], self.D[kept]
        order = np.argsort(hubs, kind="stable")
        columns, first = np.unique(hubs[order], return_index=True)
        ends = np.append(first, len(order))
        V = np.empty((len(kept), _WIDTH))
        for start in range(0, len(columns), _WIDTH):
            stop = min(start + _WIDTH, len(columns))
            _pedigree.columns_of_A(father, mother, D, new[columns[start:stop]], V)
            rows = order[ends[start] : ends[stop]]
            lane = np.repeat(np.arange(stop - start), np.diff(ends[start : stop + 1]))
            out[rows] = V[new[others[rows]], lane]
