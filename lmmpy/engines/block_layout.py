"""How rows of unrelated blocks, and the relatedness within each, are stored: block by block, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lmmpy.design import RandomEffects
from lmmpy.engines.between_rows import between_levels
from lmmpy.engines.components import stacks_of_equal

__all__ = ["BlockLayout", "joined_blocks", "stacked_kernels"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class BlockLayout:
    """
    Rows put together by blocks, and a stack of one square array a block.

    Attributes
    ----------
    blocks : ndarray of int, shape (n,)
        Number of each row's block, from zero.
    """

    blocks: Ints

    @cached_property
    def order(self) -> Ints:
        """The rows block by block, small blocks first, shape (n,)."""
        return stacks_of_equal(self.blocks)[0]

    @cached_property
    def starts(self) -> Ints:
        """Where the rows of each block begin, and the end, shape (blocks + 1,)."""
        ordered = self.blocks[self.order]
        return np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1, [len(ordered)]]).astype(np.intp)

    @cached_property
    def offsets(self) -> Ints:
        """Where the numbers of each block begin, and the end, shape (blocks + 1,)."""
        return np.concatenate([[0], np.cumsum(np.diff(self.starts) ** 2)]).astype(np.intp)

    @property
    def numbers(self) -> int:
        """Numbers in a stack."""
        return int(self.offsets[-1])

    @property
    def largest(self) -> int:
        """Rows of the largest block."""
        return int(np.diff(self.starts).max())

    @cached_property
    def _places(self) -> tuple[Ints, Ints]:
        """Of each row: where its line begins in a stack, and its rank in its block; both of shape (n,)."""
        sizes = np.diff(self.starts)
        block = np.repeat(np.arange(len(sizes)), sizes)
        rank = np.arange(len(self.order)) - self.starts[block]
        found = np.empty((2, len(self.order)), dtype=np.intp)
        found[:, self.order] = self.offsets[block] + rank * sizes[block], rank
        return found[0], found[1]

    def places(self, first: Ints, second: Ints) -> Ints:
        """Places of pairs of rows in a stack; both of a pair must be of one block."""
        line, rank = self._places
        return line[first] + rank[second]

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """The pair of rows of each number in a stack, both of shape (numbers,)."""
        sizes = np.diff(self.starts)
        block = np.repeat(np.arange(len(sizes)), sizes**2)
        line, rank = np.divmod(np.arange(self.numbers) - self.offsets[block], sizes[block])
        return self.order[self.starts[block] + line], self.order[self.starts[block] + rank]


def stacked_kernels(layout: BlockLayout, terms: Sequence[RandomEffects], root: Floats) -> Floats:
    """
    W^½ z K zᵀ W^½ between the rows of each block.

    Parameters
    ----------
    layout : BlockLayout
        Terms relate only rows of one block.
    terms : sequence of RandomEffects
        Of one column each.
    root : ndarray, shape (n,)
        Roots of the weights.

    Returns
    -------
    ndarray, shape (terms, numbers)
    """
    found = np.zeros((len(terms), layout.numbers))
    order, places = stacks_of_equal(layout.blocks)
    for kernel, term in zip(found, terms, strict=True):
        x, end = term.values[:, 0] * root, 0
        for place, r in places:
            rows = order[place].reshape(-1, r)
            K = between_levels(term.relatedness, term.codes[rows])
            start, end = end, end + K.size
            kernel[start:end] = (K * x[rows][:, :, None] * x[rows][:, None, :]).ravel()
    return found


def joined_blocks(blocks: Ints, first: Ints, second: Ints) -> Ints:
    """
    Blocks when further pairs of rows are related.

    Parameters
    ----------
    blocks : ndarray of int, shape (n,)
        Number of each row's block, from zero.
    first, second : ndarray of int
        Rows.

    Returns
    -------
    ndarray of int, shape (n,)
        `blocks` itself where nothing is joined.
    """
    one, other = blocks[first], blocks[second]
    apart = one != other
    if not apart.any():
        return blocks
    size = int(blocks.max()) + 1
    pairs = one[apart], other[apart]
    graph = sparse.csr_array(sparse.coo_array((np.ones(len(pairs[0])), pairs), shape=(size, size)))
    numbers = csgraph.connected_components(graph, directed=False)[1]
    return np.asarray(numbers[blocks], dtype=np.intp)
