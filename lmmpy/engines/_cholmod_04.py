"""The few operations that the adapter needs, by scikit-sparse 0.4."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sksparse import cholmod

from lmmpy.engines import _fronts

__all__ = ["Analysis", "Numeric"]

Floats = NDArray[np.float64]


# Multiplications for each entry of L from which dense blocks pay. CHOLMOD's own rule, 40, takes five times as long and
# four times the room for a dairy pedigree, whose bulls fill some columns and whose cows fill none.
_DENSE_BLOCKS_PAY = 300.0


class Analysis:
    """
    A symbolic analysis; `matrix` holds the lower triangle, as in every call of `factorize`.

    Rows and columns where `last` is true are eliminated last. A minimum degree ordering would find that out by itself,
    but takes long where some rows have very many entries.
    """

    def __init__(self, matrix: sparse.csc_matrix, last: NDArray[np.bool_] | None = None) -> None:
        self._arranged = None if last is None else _Arranged(matrix, _others_first(matrix, last))
        how = {} if self._arranged is None else {"ordering_method": "natural"}
        matrix = self._turned(matrix)
        self._symbolic = cholmod.analyze(matrix, mode="simplicial", **how)
        order = np.array(self._symbolic.P(), dtype=np.intp)
        counts = _fronts.column_counts(matrix.indptr, matrix.indices, order).astype(float)
        if (counts**2).sum() > _DENSE_BLOCKS_PAY * counts.sum():
            self._symbolic = cholmod.analyze(matrix, mode="supernodal", **how)

    def factorize(self, matrix: sparse.csc_matrix) -> Numeric:
        """Factorise on a copy, so that the analysis stays what it was."""
        order = None if self._arranged is None else self._arranged.order
        return Numeric(self._symbolic.cholesky(self._turned(matrix)), order)

    def _turned(self, matrix: sparse.csc_matrix) -> sparse.csc_matrix:
        return matrix if self._arranged is None else self._arranged.of(matrix.data)


class _Arranged:
    """The pattern of a lower triangle in another order of rows and columns."""

    def __init__(self, matrix: sparse.csc_matrix, order: NDArray[np.intp]) -> None:
        self.order = order
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        rows, columns = place[matrix.indices], place[np.repeat(np.arange(len(order)), np.diff(matrix.indptr))]
        rows, columns = np.maximum(rows, columns), np.minimum(rows, columns)
        self._from = np.lexsort((rows, columns))
        self._rows = rows[self._from].astype(np.int32)
        self._pointers = np.searchsorted(columns[self._from], np.arange(len(order) + 1)).astype(np.int32)

    def of(self, values: Floats) -> sparse.csc_matrix:
        """The triangle with other values, given in the order of the original pattern."""
        size = len(self.order)
        return sparse.csc_matrix((values[self._from], self._rows, self._pointers), shape=(size, size))


def _others_first(matrix: sparse.csc_matrix, last: NDArray[np.bool_]) -> NDArray[np.intp]:
    """An order by minimum degree of all rows but those that come last."""
    first, late = np.flatnonzero(~last), np.flatnonzero(last)
    inner = cholmod.analyze(matrix[first][:, first].tocsc(), mode="simplicial", ordering_method="amd")
    return np.concatenate([first[np.asarray(inner.P())], late]).astype(np.intp)


class Numeric:
    """L L' or L D L' of the permuted matrix, in the form that CHOLMOD found best."""

    def __init__(self, factor: Any, order: NDArray[np.intp] | None = None) -> None:
        self._factor, self._order = factor, order

    def pivots(self) -> Floats:
        """diag(L)² or diag(D), without a copy of L; shape (q,)."""
        return np.asarray(self._factor.D(), dtype=float)

    def permutation(self) -> NDArray[np.intp]:
        """P, a copy."""
        own = np.array(self._factor.P(), dtype=np.intp)
        return own if self._order is None else self._order[own]

    def solve(self, B: Floats) -> Floats:
        """M⁻¹ B."""
        if self._order is None:
            return np.asarray(self._factor.solve_A(B), dtype=float)
        out = np.empty(B.shape)
        out[self._order] = self._factor.solve_A(B[self._order])
        return out

    def half_solve(self, B: Floats) -> Floats:
        """L⁻¹ B[P]. Turns an L D L' into L L' for good."""
        permuted = self._factor.apply_P(B if self._order is None else B[self._order])
        return np.asarray(self._factor.solve_L(permuted, use_LDLt_decomposition=False), dtype=float)

    def lower(self) -> sparse.csc_array:
        """L of L L', a copy, with the zeros that the pattern has."""
        return sparse.csc_array(self._factor.L())
