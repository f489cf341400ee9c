"""The entries of M⁻¹ on the pattern of its Cholesky factor, front by front or column by column.

Takahashi's recursion (Takahashi, Fagan & Chin 1973; Erisman & Tinney 1975) by supernodes: with C the columns of a
supernode, S the rows below it, and Y = L_SC L_CC⁻¹,

    Σ_SC = −Σ_SS Y,    Σ_CC = L_CC⁻ᵀ L_CC⁻¹ − Yᵀ Σ_SC,

and Σ_SS is a part of the front of the parent, since S lies in the parent's columns and rows. Fronts are dense, and
quick when they are large; where most are small, a compiled loop goes through single columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from lmmpy.engines import _kernels

__all__ = ["SelectedInverse"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Supernode:
    """Columns `first … last` that share the rows `below` them."""

    first: int
    last: int
    rows: Ints
    parent: int
    in_parent: Ints


_LARGE_FRONT = 100.0


class SelectedInverse:
    """
    The symbolic part: supernodes of L and where each one's rows lie in its parent.

    Parameters
    ----------
    L : csc_array, shape (q, q)
        A Cholesky factor, rows ascending in each column; only its pattern is used.
    by_fronts : bool, optional
        Whether to work front by front; by default where the typical column is long.
    """

    def __init__(self, L: sparse.csc_array, by_fronts: bool | None = None) -> None:
        counts = np.diff(L.indptr).astype(float)
        self._by_fronts = float((counts**2).sum() / counts.sum()) > _LARGE_FRONT if by_fronts is None else by_fronts
        if not self._by_fronts:
            self._pointers, self._rows = L.indptr.astype(np.int32), L.indices.astype(np.int32)
            return
        self._indptr = np.asarray(L.indptr, dtype=np.intp)
        self._indices = np.asarray(L.indices, dtype=np.intp)
        self._nodes = _supernodes(self._indptr, self._indices)
        # A front is kept from its own turn until that of its first child, the last to ask for it.
        self._first_child = np.full(len(self._nodes), -1, dtype=np.intp)
        for place in range(len(self._nodes) - 1, -1, -1):
            if self._nodes[place].parent >= 0:
                self._first_child[self._nodes[place].parent] = place

    def compute(self, values: Floats) -> Floats:
        """
        The selected inverse of L Lᵀ.

        Parameters
        ----------
        values : ndarray, shape (nnz,)
            Values of L on its pattern.

        Returns
        -------
        ndarray, shape (nnz,)
            Entries of (L Lᵀ)⁻¹ at the places of L's entries.
        """
        out = np.empty_like(values)
        if not self._by_fronts:
            q = len(self._pointers) - 1
            _kernels.selected_inverse(self._pointers, self._rows, values, out, np.empty(q), np.empty(q))
            return out
        fronts: dict[int, Floats] = {}
        for place in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[place]
            front = self._front(node, values, fronts)
            self._store(node, front, out)
            if self._first_child[place] >= 0:
                fronts[place] = front
            if node.parent >= 0 and self._first_child[node.parent] == place:
                del fronts[node.parent]
        return out

    def _front(self, node: _Supernode, values: Floats, fronts: dict[int, Floats]) -> Floats:
        """The dense inverse over the supernode's columns and the rows below it."""
        width, size = node.last - node.first + 1, len(node.rows)
        if width == 1:
            return self._narrow_front(node, values, fronts)
        L = np.zeros((size, width))
        for j in range(width):
            start, end = self._indptr[node.first + j], self._indptr[node.first + j + 1]
            L[j:, j] = values[start:end]
        inverse = lapack.dtrtri(L[:width], lower=1)[0]
        front = np.empty((size, size))
        front[:width, :width] = inverse.T @ inverse
        if size > width:
            Y = L[width:] @ inverse
            Sigma = fronts[node.parent][np.ix_(node.in_parent, node.in_parent)]
            SigmaY = Sigma @ Y
            front[width:, width:] = Sigma
            front[width:, :width] = -SigmaY
            front[:width, width:] = -SigmaY.T
            front[:width, :width] += Y.T @ SigmaY
        return front

    def _narrow_front(self, node: _Supernode, values: Floats, fronts: dict[int, Floats]) -> Floats:
        column = values[self._indptr[node.first] : self._indptr[node.first + 1]]
        pivot = 1.0 / column[0]
        front = np.empty((len(column), len(column)))
        front[0, 0] = pivot * pivot
        if len(column) > 1:
            y = column[1:] * pivot
            Sigma = fronts[node.parent][node.in_parent[:, None], node.in_parent]
            SigmaY = Sigma @ y
            front[1:, 1:] = Sigma
            front[1:, 0] = front[0, 1:] = -SigmaY
            front[0, 0] += y @ SigmaY
        return front

    def _store(self, node: _Supernode, front: Floats, out: Floats) -> None:
        for j in range(node.last - node.first + 1):
            start, end = self._indptr[node.first + j], self._indptr[node.first + j + 1]
            out[start:end] = front[j:, j]


def _supernodes(indptr: Ints, indices: Ints) -> list[_Supernode]:
    """Maximal runs of columns in which each has the pattern of the one before, less its first row."""
    size = len(indptr) - 1
    counts = np.diff(indptr)
    parents = np.full(size, -1, dtype=np.intp)
    inner = counts > 1
    parents[inner] = indices[indptr[:-1][inner] + 1]
    joined = (parents[:-1] == np.arange(1, size)) & (counts[:-1] == counts[1:] + 1)
    firsts = np.concatenate([[0], np.flatnonzero(~joined) + 1]).astype(np.intp)
    lasts = np.append(firsts[1:] - 1, size - 1)
    node_of = np.repeat(np.arange(len(firsts)), lasts - firsts + 1)
    nodes: list[_Supernode] = []
    rows = [indices[indptr[first] : indptr[first + 1]] for first in firsts]
    for place, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        below = rows[place][last - first + 1 :]
        parent = int(node_of[below[0]]) if len(below) else -1
        in_parent = np.searchsorted(rows[parent], below) if parent >= 0 else below
        nodes.append(_Supernode(int(first), int(last), rows[place], parent, in_parent))
    return nodes
