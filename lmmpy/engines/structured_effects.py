"""ZᵀR⁻¹Z with R block-diagonal: its pattern is that of levels which meet in a group, and it is a sum over groups.

In a group Z has few columns that are not zero, so that each part is a small dense matrix; their entries are summed in
fixed places of the blocks of the whole (as elements are assembled in the finite element method).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.design import Design
from lmmpy.engines.crossproducts import Block
from lmmpy.engines.structured_rows import GroupStack, group_stacks

__all__ = ["GroupEffects"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class _Meetings:
    """The levels of all terms that groups have, by group, then level; levels are numbered through the terms.

    Attributes
    ----------
    groups, levels : ndarray of int, shape (m,)
    first : ndarray of int, shape (m,)
        Place of the level's first effect among those of the group.
    of_row : list of ndarray of int, each of shape (n,)
        For each term the meeting of every row.
    widths : ndarray of int, shape (groups,)
        Effects of each group.
    """

    groups: Ints
    levels: Ints
    first: Ints
    of_row: list[Ints]
    widths: Ints


class GroupEffects:
    """
    The random effects of each group of rows, and the blocks of ZᵀR⁻¹Z.

    Parameters
    ----------
    rows : Design
        In the coordinates of the engine, with the weights of the engine.
    groups : ndarray of int, shape (n,)
        Number of each row's group, from zero, none left out.

    Attributes
    ----------
    stacks : list of GroupStack
    blocks : tuple of Block
        Where ZᵀR⁻¹Z is not zero; the values are zeros.
    """

    def __init__(self, rows: Design, groups: Ints) -> None:
        self._sizes = np.array([term.k for term in rows.random])
        self._counts = np.array([term.n_levels for term in rows.random])
        self._offsets = np.concatenate([[0], np.cumsum(self._counts)])
        self._term = np.repeat(np.arange(len(self._sizes)), self._counts)
        meetings = self._meetings(rows, groups)
        self.stacks = group_stacks(groups, meetings.widths)
        self.blocks = tuple(self._blocks(meetings))
        sizes = [block.values.size for block in self.blocks]
        self._cuts = np.cumsum(sizes)[:-1]
        # Entries between different levels come from both triangles of a part.
        halves = [1.0 if block.diagonal else 0.5 for block in self.blocks]
        self._weights = np.repeat(halves, sizes)
        self._keys, self._firsts = self._places()
        root = np.ones(rows.n) if rows.weights is None else np.sqrt(rows.weights)
        self._Z: list[Floats] = []
        self._slots: list[NDArray[Any]] = []
        starts = np.searchsorted(meetings.groups, np.arange(len(meetings.widths) + 1))
        for stack in self.stacks:
            self._Z.append(self._values(rows, root, meetings, stack))
            self._slots.append(self._slots_of(meetings, starts, stack))

    def _meetings(self, rows: Design, groups: Ints) -> _Meetings:
        total, n = int(self._offsets[-1]), rows.n
        levels = [offset + term.codes for offset, term in zip(self._offsets, rows.random, strict=False)]
        keys = np.concatenate([groups * total + level for level in levels])
        met, inverse = np.unique(keys, return_inverse=True)
        of_group, level = np.divmod(met, total)
        size = self._sizes[self._term[level]]
        widths = np.bincount(of_group, weights=size).astype(np.intp)
        before = np.cumsum(size) - size
        first = before - (np.cumsum(widths) - widths)[of_group]
        return _Meetings(of_group, level, first, [inverse[a : a + n] for a in range(0, len(keys), n)], widths)

    def _blocks(self, meetings: _Meetings) -> list[Block]:
        """The lower triangle; within a term, each level with itself apart from two different ones."""
        shape = (len(meetings.widths), int(self._offsets[-1]))
        ones = np.ones(len(meetings.groups), dtype=np.int32)
        incidence = sparse.csr_array((ones, (meetings.groups, meetings.levels)), shape=shape)
        together = sparse.coo_array(sparse.tril(incidence.T @ incidence, -1))
        i, j = (x.astype(np.intp) for x in together.coords)
        found = []
        for t, k in enumerate(self._sizes):
            every = np.arange(self._counts[t])
            for s in range(t + 1):
                if s == t:
                    found.append(Block(t, t, every, every, np.zeros((len(every), k, k)), True))
                here = np.flatnonzero((self._term[i] == t) & (self._term[j] == s))
                if len(here):
                    here = here[np.lexsort((j[here], i[here]))]
                    values = np.zeros((len(here), k, self._sizes[s]))
                    row, column = i[here] - self._offsets[t], j[here] - self._offsets[s]
                    found.append(Block(t, s, row, column, values, False))
        return found

    def _places(self) -> tuple[Ints, Ints]:
        """Keys of all pairs of levels, ascending, and where the values of each begin."""
        keys, firsts, start = [], [], 0
        for block in self.blocks:
            rows, columns = self._offsets[block.t] + block.rows, self._offsets[block.s] + block.columns
            keys.append(rows * self._offsets[-1] + columns)
            step = block.values.shape[1] * block.values.shape[2]
            firsts.append(start + step * np.arange(len(block.rows)))
            start += block.values.size
        joined = np.concatenate(keys)
        order = np.argsort(joined)
        return joined[order], np.concatenate(firsts)[order]

    def _values(self, rows: Design, root: Floats, meetings: _Meetings, stack: GroupStack) -> Floats:
        """Z of each group, shape (g, r, e)."""
        g, r = stack.members.shape
        Z = np.zeros((g, r, int(meetings.widths[stack.groups[0]])))
        place = np.arange(g)[:, None], np.arange(r)
        for term, of_row in zip(rows.random, meetings.of_row, strict=True):
            first = meetings.first[of_row[stack.members]]
            for a in range(term.k):
                Z[*place, first + a] = (term.values[:, a] * root)[stack.members]
        return Z

    def _slots_of(self, meetings: _Meetings, starts: Ints, stack: GroupStack) -> NDArray[Any]:
        """Where each entry of a group's part belongs among the values of all blocks, shape (g, e, e)."""
        e = int(meetings.widths[stack.groups[0]])
        counts = starts[stack.groups + 1] - starts[stack.groups]
        entries = np.repeat(starts[stack.groups] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        size = self._sizes[self._term[meetings.levels[entries]]]
        level = np.repeat(meetings.levels[entries], size).reshape(-1, e)
        effect = (np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)).reshape(-1, e)
        k = self._sizes[self._term[level]]
        left, right = level[:, :, None], level[:, None, :]
        swap = left < right
        keys = np.maximum(left, right) * self._offsets[-1] + np.minimum(left, right)
        row = np.where(swap, effect[:, None, :], effect[:, :, None])
        column = np.where(swap, effect[:, :, None], effect[:, None, :])
        width = np.where(swap, k[:, :, None], k[:, None, :])
        slots = self._firsts[np.searchsorted(self._keys, keys)] + row * width + column
        return np.asarray(slots, dtype=np.int32 if len(self._weights) < np.iinfo(np.int32).max else np.intp)

    def gram(self, inverses: Sequence[Floats]) -> list[Floats]:
        """
        ZᵀR⁻¹Z, block by block.

        Parameters
        ----------
        inverses : sequence of ndarray, each of shape (g, r, r)
            R⁻¹ by stacks.
        """
        flat = np.zeros(len(self._weights))
        for Z, slots, inverse in zip(self._Z, self._slots, inverses, strict=True):
            part = Z.transpose(0, 2, 1) @ (inverse @ Z)
            flat += np.bincount(slots.ravel(), part.ravel(), len(flat))
        parts = np.split(flat * self._weights, self._cuts)
        return [part.reshape(block.values.shape) for block, part in zip(self.blocks, parts, strict=True)]

    def explained(self, inverses: Sequence[Floats], values: Sequence[Floats]) -> list[Floats]:
        """
        R⁻¹ZCZᵀR⁻¹ between the rows of each group, for each stack of shape (g, r, r).

        Parameters
        ----------
        inverses : sequence of ndarray, each of shape (g, r, r)
        values : sequence of ndarray
            A symmetric C over the random effects, on the pattern of the blocks.
        """
        flat = np.concatenate([value.reshape(-1) for value in values])
        found = []
        for Z, slots, inverse in zip(self._Z, self._slots, inverses, strict=True):
            RZ = inverse @ Z
            found.append((RZ @ flat[slots]) @ RZ.transpose(0, 2, 1))
        return found
