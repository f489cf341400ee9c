"""The pattern of M = ΛᵀZᵀWZΛ + P, and how blocks at one θ are put into it and read back from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import Factor
from lmmpy.engines.crossproducts import Block, CrossProducts

__all__ = ["SystemPattern", "apply_factors", "transpose_apply_factors"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class SystemPattern:
    """
    Where each number of each block stands in the lower triangle of M, by compressed columns.

    The pattern is that of T without zeros: it holds at every θ, on the boundary too.

    Parameters
    ----------
    products : CrossProducts
    sizes : sequence of int
        k of each term.
    """

    def __init__(self, products: CrossProducts, sizes: Sequence[int]) -> None:
        self._blocks, self._sizes, self.q = products.blocks, tuple(sizes), products.q
        placed = [self._places(block, products.starts) for block in self._blocks]
        rows = np.concatenate([r for r, _ in placed])
        columns = np.concatenate([c for _, c in placed])
        self._order = np.lexsort((rows, columns))
        self.indices, self._columns = rows[self._order], columns[self._order]
        self.indptr = np.searchsorted(self._columns, np.arange(self.q + 1))
        self._cuts = np.cumsum([len(r) for r, _ in placed])[:-1]

    def _places(self, block: Block, starts: tuple[int, ...]) -> tuple[Ints, Ints]:
        k, m = self._sizes[block.t], self._sizes[block.s]
        rows = starts[block.t] + block.rows[:, None, None] * k + np.arange(k)[None, :, None]
        columns = starts[block.s] + block.columns[:, None, None] * m + np.arange(m)[None, None, :]
        rows, columns = np.broadcast_arrays(rows, columns)
        return self._flat(block, rows), self._flat(block, columns)

    @staticmethod
    def _flat(block: Block, values: NDArray[Any]) -> NDArray[Any]:
        """A block's numbers in a row: all of them, or the lower triangle of a block on the diagonal."""
        if block.t != block.s:
            return values.reshape(-1)
        a, b = np.tril_indices(values.shape[1])
        return values[:, a, b].reshape(-1)

    def assemble(self, factors: Sequence[Factor]) -> Floats:
        """The lower triangle of M at the factors T, for unrelated levels (P = I)."""
        parts = []
        for block in self._blocks:
            left, right = factors[block.t].T, factors[block.s].T
            value = left.T @ block.values @ right
            if block.t == block.s:
                value += np.eye(len(right))
            parts.append(self._flat(block, value))
        return np.concatenate(parts)[self._order]

    def cross_product_matrix(self) -> sparse.csr_array:
        """ZᵀWZ itself, symmetric, shape (q, q)."""
        values = np.concatenate([self._flat(block, block.values) for block in self._blocks])[self._order]
        lower = sparse.csc_array((values, self.indices, self.indptr), shape=(self.q, self.q))
        strict = sparse.tril(lower, k=-1, format="csc")
        return sparse.csr_array(lower + strict.T)

    def places_in(self, L: sparse.csc_array, permutation: Ints) -> Ints:
        """For each entry of M, the place of its value in the data of a factor L of the permuted M."""
        new = np.empty(self.q, dtype=np.intp)
        new[permutation] = np.arange(self.q)
        i, j = new[self.indices], new[self._columns]
        keys = np.minimum(i, j) * self.q + np.maximum(i, j)
        columns = np.repeat(np.arange(self.q), np.diff(L.indptr))
        return np.asarray(np.searchsorted(columns * self.q + L.indices.astype(np.intp), keys))

    def read_blocks(self, values: Floats) -> list[Floats]:
        """Numbers on M's lower triangle → whole blocks, of the shapes of the blocks of ZᵀWZ."""
        unordered = np.empty_like(values)
        unordered[self._order] = values
        blocks: list[Floats] = []
        for block, part in zip(self._blocks, np.split(unordered, self._cuts), strict=True):
            if block.t != block.s:
                blocks.append(part.reshape(block.values.shape))
                continue
            m, k = block.values.shape[:2]
            whole = np.empty((m, k, k))
            a, b = np.tril_indices(k)
            whole[:, a, b] = whole[:, b, a] = part.reshape(m, -1)
            blocks.append(whole)
        return blocks


def apply_factors(factors: Sequence[Factor], values: Floats, starts: Sequence[int]) -> Floats:
    """Λ v, level by level; v of shape (q,) or (q, m)."""
    return _by_level([factor.T for factor in factors], values, starts)


def transpose_apply_factors(factors: Sequence[Factor], values: Floats, starts: Sequence[int]) -> Floats:
    """Λᵀ v, level by level; v of shape (q,) or (q, m)."""
    return _by_level([factor.T.T for factor in factors], values, starts)


def _by_level(matrices: Sequence[Floats], values: Floats, starts: Sequence[int]) -> Floats:
    out = np.empty_like(values)
    width = values.shape[1:] or (1,)
    for matrix, start, end in zip(matrices, starts[:-1], starts[1:], strict=True):
        levels = values[start:end].reshape((end - start) // len(matrix), len(matrix), *width)
        out[start:end] = (matrix @ levels).reshape(out[start:end].shape)
    return out
