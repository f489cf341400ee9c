"""The few operations that the adapter needs, by scikit-sparse 0.4."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sksparse import cholmod

__all__ = ["Analysis", "Numeric"]

Floats = NDArray[np.float64]


# Multiplications for each entry of L from which dense blocks pay. CHOLMOD's own rule, 40, takes five times as long and
# four times the room for a dairy pedigree, whose bulls fill some columns and whose cows fill none.
_DENSE_BLOCKS_PAY = 300.0


class Analysis:
    """A symbolic analysis; `matrix` holds the lower triangle, as in every call of `factorize`."""

    def __init__(self, matrix: sparse.csc_matrix) -> None:
        self._symbolic = cholmod.analyze(matrix, mode="simplicial")
        counts = np.diff(self._symbolic.cholesky(_unit_matrix(matrix)).L().indptr).astype(float)
        if (counts**2).sum() > _DENSE_BLOCKS_PAY * counts.sum():
            self._symbolic = cholmod.analyze(matrix, mode="supernodal")

    def factorize(self, matrix: sparse.csc_matrix) -> Numeric:
        """Factorise on a copy, so that the analysis stays what it was."""
        return Numeric(self._symbolic.cholesky(matrix))


class Numeric:
    """L L' or L D L' of the permuted matrix, in the form that CHOLMOD found best."""

    def __init__(self, factor: Any) -> None:
        self._factor = factor

    def pivots(self) -> Floats:
        """diag(L)² or diag(D), without a copy of L; shape (q,)."""
        return np.asarray(self._factor.D(), dtype=float)

    def permutation(self) -> NDArray[np.intp]:
        """P, a copy."""
        return np.array(self._factor.P(), dtype=np.intp)

    def solve(self, B: Floats) -> Floats:
        """M⁻¹ B."""
        return np.asarray(self._factor.solve_A(B), dtype=float)

    def half_solve(self, B: Floats) -> Floats:
        """L⁻¹ B[P]. Turns an L D L' into L L' for good."""
        permuted = self._factor.apply_P(B)
        return np.asarray(self._factor.solve_L(permuted, use_LDLt_decomposition=False), dtype=float)

    def lower(self) -> sparse.csc_array:
        """L of L L', a copy, with the zeros that the pattern has."""
        return sparse.csc_array(self._factor.L())


def _unit_matrix(matrix: sparse.csc_matrix) -> sparse.csc_matrix:
    """The identity, with zeros wherever the pattern has an entry."""
    unit = matrix.copy()
    unit.data[:] = 0.0
    unit.data[unit.indptr[:-1]] = 1.0
    return unit
