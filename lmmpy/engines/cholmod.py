"""The one place that knows scikit-sparse: a symbolic analysis that is made once, numeric factors that are made often.

CHOLMOD neither checks index types (a mismatch is a segmentation fault) nor notices that a matrix has another pattern
than the one analysed (a wrong result without a word), so the pattern lives here and only values come from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sksparse import cholmod

__all__ = ["NotPositiveDefiniteError", "SparseFactor", "SymbolicCholesky"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class NotPositiveDefiniteError(ArithmeticError):
    """The matrix has a pivot that is not positive."""


@dataclass(frozen=True, eq=False)
class SparseFactor:
    """L with L Lᵀ = M[P][:, P]."""

    _factor: Any

    def logdet(self) -> float:
        """log|M|."""
        return float(np.log(self._factor.D()).sum())

    def permutation(self) -> NDArray[np.intp]:
        """P, shape (q,)."""
        return np.asarray(self._factor.P(), dtype=np.intp)

    def solve(self, B: Floats) -> Floats:
        """M⁻¹ B; B of shape (q,) or (q, m)."""
        return np.asarray(self._factor.solve_A(B), dtype=float)

    def half_solve(self, B: Floats) -> Floats:
        """L⁻¹ B[P]; B of shape (q, m)."""
        permuted = self._factor.apply_P(B)
        return np.asarray(self._factor.solve_L(permuted, use_LDLt_decomposition=False), dtype=float)

    def lower(self) -> sparse.csc_array:
        """L itself, a copy."""
        L = sparse.csc_array(self._factor.L())
        L.sort_indices()
        return L


class SymbolicCholesky:
    """
    The fill-reducing analysis of one pattern.

    Parameters
    ----------
    indptr, indices : ndarray of int
        The lower triangle, diagonal included, by compressed columns, rows ascending.
    """

    def __init__(self, indptr: NDArray[Any], indices: NDArray[Any]) -> None:
        size = len(indptr) - 1
        if len(indices) >= np.iinfo(np.int32).max:
            raise ValueError(f"the system has {len(indices)} entries, more than 32-bit indices can hold")
        pattern = (np.ones(len(indices)), np.asarray(indices, np.int32), np.asarray(indptr, np.int32))
        self._matrix = sparse.csc_matrix(pattern, shape=(size, size))
        self._symbolic = cholmod.analyze(self._matrix)

    @property
    def n_entries(self) -> int:
        """Number of entries of the lower triangle."""
        return int(self._matrix.nnz)

    def factorize(self, values: Floats) -> SparseFactor:
        """
        Factorise the matrix with these values on the pattern.

        Parameters
        ----------
        values : ndarray, shape (n_entries,)

        Returns
        -------
        SparseFactor

        Raises
        ------
        NotPositiveDefiniteError
        """
        if values.shape != (self.n_entries,):
            raise ValueError(f"expected {self.n_entries} values, one an entry of the pattern, not {values.shape}")
        self._matrix.data = np.ascontiguousarray(values, dtype=float)
        try:
            factor = self._symbolic.cholesky(self._matrix)
            # A simplicial factorisation of an indefinite matrix is L D Lᵀ with a negative pivot, not an error.
            if not np.all(factor.D() > 0):
                raise NotPositiveDefiniteError("a pivot is not positive")
        except cholmod.CholmodNotPositiveDefiniteError as error:
            raise NotPositiveDefiniteError(str(error)) from error
        return SparseFactor(factor)
