"""The few operations that the adapter needs, by scikit-sparse 0.5.

What its `CholeskyFactor` does that one would not expect:

- `factorize` leaves the factor simplicial, and what was simplicial before is never factorised by dense blocks
  again; hence a copy of the analysis for every factorisation.
- `get_factor`, `L` and `logdet` drop the zeros of L, so that its pattern would depend on the values; `factor`
  is a view of all entries.
- `factor` and `perm` keep that view in the object, and the view keeps the object: the garbage collector does
  not look into numpy's arrays, so neither is ever freed. `change_factor` lets go of the views.
- `solve` warns by its own rough estimate of the condition, and takes no read-only array.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sksparse import cholmod

__all__ = ["Analysis", "Numeric"]

Floats = NDArray[np.float64]


class Analysis:
    """A symbolic analysis; `matrix` holds the lower triangle, as in every call of `factorize`."""

    def __init__(self, matrix: sparse.csc_matrix, last: NDArray[np.bool_] | None = None) -> None:
        del last  # CHOLMOD's own order is as good, and only takes longer to find
        self._symbolic = cholmod.CholeskyFactor(matrix, lower=True)

    def factorize(self, matrix: sparse.csc_matrix) -> Numeric:
        """Factorise on a copy, so that the analysis stays what it was."""
        return Numeric(self._symbolic.copy().factorize(matrix, ldl=False))


class Numeric:
    """L L' of the permuted matrix, simplicial."""

    def __init__(self, factor: Any) -> None:
        self._factor = factor

    def pivots(self) -> Floats:
        """diag(L)²; shape (q,)."""
        L = self._factor.factor
        diagonal: Floats = L.data[L.indptr[:-1]]
        del L
        self._release_views()
        return diagonal**2

    def permutation(self) -> NDArray[np.intp]:
        """P, a copy."""
        permutation = np.array(self._factor.perm, dtype=np.intp)
        self._release_views()
        return permutation

    def solve(self, B: Floats) -> Floats:
        """M⁻¹ B."""
        return self._solve(B, "A")

    def half_solve(self, B: Floats) -> Floats:
        """L⁻¹ B[P]."""
        return self._solve(B[self.permutation()], "L")

    def lower(self) -> sparse.csc_array:
        """L, a copy, with the zeros that the pattern has."""
        L = sparse.csc_array(self._factor.factor, copy=True)
        self._release_views()
        return L

    def _solve(self, B: Floats, system: str) -> Floats:
        right = np.require(B, dtype=float, requirements=["W"])
        if self._factor.rcond >= len(right) * np.finfo(float).eps:
            return np.asarray(self._factor.solve(right, system=system), dtype=float)
        with warnings.catch_warnings():  # only when it must be: other threads share the filters
            warnings.simplefilter("ignore", cholmod.CholmodWarning)
            return np.asarray(self._factor.solve(right, system=system), dtype=float)

    def _release_views(self) -> None:
        self._factor.change_factor("LL")
