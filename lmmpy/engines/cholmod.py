"""The one place that knows scikit-sparse: a symbolic analysis made once, numeric factors made often.

CHOLMOD neither checks index types (a mismatch is a segmentation fault) nor notices that a matrix has another
pattern than the one analysed (a wrong result without a word), so the pattern lives here and only values come
from outside.

scikit-sparse 0.4 and 0.5 have no call in common; `_cholmod_04` and `_cholmod_05` give both the same face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sksparse import cholmod

from lmmpy.errors import ModelError

if TYPE_CHECKING or hasattr(cholmod, "CholeskyFactor"):
    from lmmpy.engines._cholmod_05 import Analysis, Numeric
else:
    from lmmpy.engines._cholmod_04 import Analysis, Numeric

__all__ = ["NotPositiveDefiniteError", "SparseFactor", "SymbolicCholesky"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


_MANY_ROWS = 10_000
_NO_ROOM = (MemoryError, cholmod.CholmodTooLargeError, cholmod.CholmodOutOfMemoryError)


class NotPositiveDefiniteError(ArithmeticError):
    """The matrix has a pivot that is not positive."""


@dataclass(frozen=True, eq=False, slots=True)
class SparseFactor:
    """L with L Lᵀ = M[P][:, P]."""

    _factor: Numeric
    _logdet: float

    def logdet(self) -> float:
        """log|M|."""
        return self._logdet

    def permutation(self) -> NDArray[np.intp]:
        """P, shape (q,)."""
        return self._factor.permutation()

    def solve(self, B: Floats) -> Floats:
        """M⁻¹ B; B of shape (q,) or (q, m)."""
        return self._factor.solve(B)

    def half_solve(self, B: Floats) -> Floats:
        """L⁻¹ B[P]; B of shape (q,) or (q, m)."""
        return self._factor.half_solve(B)

    def lower(self) -> sparse.csc_array:
        """L itself, a copy; its pattern is the same for all values."""
        L = self._factor.lower()
        L.sort_indices()
        return L


class SymbolicCholesky:
    """
    The fill-reducing analysis of one pattern.

    Parameters
    ----------
    indptr : ndarray of int, shape (q + 1,)
    indices : ndarray of int, shape (n_entries,)
        The lower triangle, diagonal included, by compressed columns, rows ascending.
    crowded_last : bool
        Whether to eliminate rows with very many entries last, such as those of sires with many offspring, and to look
        for an order of the others only.

    Raises
    ------
    ValueError
        When the pattern is not such a triangle, or too large for 32-bit indices.
    """

    def __init__(self, indptr: NDArray[Any], indices: NDArray[Any], crowded_last: bool = False) -> None:
        if len(indices) >= np.iinfo(np.int32).max:
            raise ValueError(f"the system has {len(indices)} entries, more than 32-bit indices can hold")
        self._indptr: Ints = np.array(indptr, dtype=np.int32)
        self._indices: Ints = np.array(indices, dtype=np.int32)
        _require_lower_triangle(self._indptr, self._indices)
        crowded = _crowded(self._indptr, self._indices) if crowded_last else None
        self._analysis = Analysis(self._matrix(np.ones(self.n_entries)), crowded)

    @property
    def n_entries(self) -> int:
        """Number of entries of the lower triangle."""
        return len(self._indices)

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
            When a pivot is negative, zero, or no finite number.
        ModelError
            When the factor does not fit into memory, or its size into 32 bits.
        """
        if values.shape != (self.n_entries,):
            raise ValueError(f"expected {self.n_entries} values, one for each entry, not {values.shape}")
        try:
            factor = self._analysis.factorize(self._matrix(values))
        except cholmod.CholmodNotPositiveDefiniteError as error:
            raise NotPositiveDefiniteError(str(error)) from error
        except _NO_ROOM as error:
            raise ModelError(
                f"There is no room for the factor of {len(self._indptr) - 1:,} random effects ({error}): too many of "
                "them are linked with too many others, as in a large pedigree where everybody mates with anybody. "
                "Use fewer records or generations."
            ) from error
        pivots = factor.pivots()
        # An indefinite matrix can pass as L D Lᵀ with a negative pivot, and one with NaN as any.
        wrong = np.flatnonzero(~((pivots > 0) & np.isfinite(pivots)))
        if len(wrong):
            raise NotPositiveDefiniteError(f"pivot {wrong[0]} is {pivots[wrong[0]]}")
        return SparseFactor(factor, float(np.log(pivots).sum()))

    def _matrix(self, values: Floats) -> sparse.csc_matrix:
        data = np.array(values, dtype=float)  # scikit-sparse 0.5 takes no read-only array
        size = len(self._indptr) - 1
        return sparse.csc_matrix((data, self._indices, self._indptr), shape=(size, size))


def _crowded(indptr: Ints, indices: Ints) -> NDArray[np.bool_] | None:
    """Rows with more than ½√q entries, q ≥ 10,000; None when there are none, or too many to be few."""
    q = len(indptr) - 1
    if q < _MANY_ROWS:
        return None
    crowded = np.diff(indptr) + np.bincount(indices, minlength=q) > 0.5 * np.sqrt(q)
    return crowded if 0 < crowded.sum() < 0.01 * q else None


def _require_lower_triangle(indptr: Ints, indices: Ints) -> None:
    counts = np.diff(indptr)
    size = len(counts)
    if indptr[0] != 0 or indptr[-1] != len(indices) or np.any(counts < 1):
        raise ValueError("indptr must rise from 0 to the number of indices, by one or more for every column")
    columns = np.repeat(np.arange(size), counts)
    if not np.array_equal(indices[indptr[:-1]], np.arange(size)):
        raise ValueError("the first row of a column must be that of the diagonal")
    if np.any((np.diff(columns) == 0) & (np.diff(indices) <= 0)) or np.any(indices >= size):
        raise ValueError(f"the rows of a column must ascend and be less than {size}")
