"""K known by its inverse, which is sparse."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu, spsolve_triangular

from lmmpy.errors import DataError
from lmmpy.relatedness.covariance import Dense, SparseCovariance
from lmmpy.relatedness.form import Floats, Form, Labels, Scattered, name_of
from lmmpy.relatedness.labels import Ints

__all__ = ["Precision"]

# Columns that are solved together, as far as they hold fewer numbers than this (128 MiB).
_MOST_COLUMNS, _MOST_NUMBERS = 64, 2**24


class Precision(Form):
    """K⁻¹, shape (size, size), scipy sparse; factorised when something other than K⁻¹ is first asked for."""

    kind = "precision"
    is_sparse = True

    def __init__(self, P: Scattered, labels: Labels = None) -> None:
        self.raw, self.labels, self.size = P, labels, P.shape[0]

    @cached_property
    def precision(self) -> Scattered:
        try:
            return SparseCovariance(self.raw, self.labels).symmetric
        except DataError as error:
            raise DataError(f"The precision K⁻¹: {str(error).replace('K ', 'it ', 1)}") from error

    @cached_property
    def _root(self) -> Any:
        """L U = P[p][:, p] without pivoting, so that U = D Lᵀ; D is positive exactly when P is definite."""
        P = self.precision
        if self.size == 0:
            raise DataError("The precision K⁻¹ has no levels.")
        try:
            root = splu(P, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        except RuntimeError as error:  # SuperLU's word for an exact zero pivot
            raise DataError(f"The precision K⁻¹ ({self.size} levels) is singular, so that there is no K.") from error
        pivots = root.U.diagonal()
        bad = ~(pivots > 10.0 * self.size * np.finfo(float).eps * P.diagonal()[np.argsort(root.perm_c)])
        if bad.any() or (root.perm_r != root.perm_c).any():
            which = int(np.argsort(root.perm_c)[np.argmax(bad)])
            raise DataError(
                f"The precision K⁻¹ ({self.size} levels) is not positive definite: given the levels before it, "
                f"{name_of(self.labels, which)} would have no positive precision. There is no such K."
            )
        return root

    def __getstate__(self) -> dict[str, Any]:
        """All but the factorisation, which cannot be stored; it is made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_root"}

    @cached_property
    def logdet(self) -> float:
        return -float(np.log(self._root.U.diagonal()).sum())

    @property
    def typical_variance(self) -> float:
        """The geometric mean of K's eigenvalues: the diagonal would take a solve a level."""
        return float(np.exp(self.logdet / self.size))

    def dense(self) -> Floats:
        self.refuse_dense("K")
        everything = np.arange(self.size)
        return self.block(everything, everything)

    def times(self, values: Floats) -> Floats:
        product: Floats = self._root.solve(np.array(values, dtype=np.float64))
        return product

    @property
    def _width(self) -> int:
        return min(_MOST_COLUMNS, max(1, _MOST_NUMBERS // self.size))

    def block(self, rows: Ints, columns: Ints) -> Floats:
        rows, columns = np.asarray(rows), np.asarray(columns)
        if len(rows) < len(columns):
            return self.block(columns, rows).T
        out = np.empty((len(rows), len(columns)))
        width = self._width
        for start in range(0, len(columns), width):
            batch = columns[start : start + width]
            unit = np.zeros((self.size, len(batch)))
            unit[batch, np.arange(len(batch))] = 1.0
            out[:, start : start + len(batch)] = self.times(unit)[rows]
        return out

    @cached_property
    def _diagonal(self) -> Floats:
        out = np.empty(self.size)
        width = self._width
        for start in range(0, self.size, width):
            batch = np.arange(start, min(start + width, self.size))
            out[batch] = self.block(batch, batch).diagonal()
        return out

    def diagonal(self) -> Floats:
        return np.array(self._diagonal)

    @cached_property
    def _components(self) -> Ints:
        return sparse.csgraph.connected_components(self.precision, directed=False)[1].astype(np.intp)

    def components(self) -> Ints:
        return self._components

    @property
    def is_scaled_identity(self) -> bool:
        return SparseCovariance(self.precision, self.labels).is_scaled_identity

    def root_times(self, values: Floats) -> Floats:
        root = self._root
        scaled = np.asarray(values, dtype=np.float64) / np.sqrt(root.U.diagonal()).reshape(-1, *[1] * (values.ndim - 1))
        transposed = sparse.csr_array(root.L.T)
        solved: Floats = spsolve_triangular(transposed, scaled, lower=False, unit_diagonal=True)
        back: Floats = solved[root.perm_c]
        return back

    def taken(self, at: Ints) -> Form:
        return Dense(self.block(at, at), self.taken_labels(at))

    def needed(self, at: Ints) -> Form:
        """All levels: those without data link the others, and taking them out would fill the precision."""
        self.precision  # noqa: B018  # checked here
        return self
