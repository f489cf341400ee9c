"""Which columns the fixed effects determine: one rule for all tests of columns beside X."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.errors import DataError

__all__ = ["ColumnSpan"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# What X and the columns before must leave of a column's squares about its mean.
_COLLINEAR = 1e-8
# A column that varies by no more than that around its mean, relatively and squared, is constant but for rounding.
_CONSTANT = 1e-24
# Where so much is left, no rounding of single precision can have made it.
_PLENTY = 1e-2


@dataclass(frozen=True, eq=False, slots=True)
class ColumnSpan:
    """
    The span of the fixed effects; pickles.

    Attributes
    ----------
    Q : ndarray, shape (n, p)
        An orthonormal basis of W^½X.
    root : ndarray, shape (n,), or None
        W^½; None stands for ones.
    unit : ndarray, shape (n,), or None
        W^½1 of length one, where Q spans it.
    """

    Q: Floats
    root: Floats | None
    unit: Floats | None

    @classmethod
    def of(cls, design: Design) -> ColumnSpan:
        """The span of a design's X."""
        root = None if design.weights is None else np.sqrt(design.weights)
        X = design.X if root is None else design.X * root[:, None]
        length = np.linalg.norm(X, axis=0)
        Q = np.linalg.qr(X / np.where(length > 0.0, length, 1.0))[0]
        one = np.ones(design.n) if root is None else root
        one = one / np.linalg.norm(one)
        inside = float(np.linalg.norm(one - Q @ (Q.T @ one))) < 1e-8
        return cls(np.asarray(Q, dtype=float), root, one if inside else None)

    def determined(self, G: NDArray[Any], k: int = 1) -> Mask:
        """
        Whether X and the columns before determine a column of a group.

        Parameters
        ----------
        G : ndarray, shape (n, m·k)
            Groups of k columns one after the other; nothing missing.
        k : int

        Returns
        -------
        ndarray of bool, shape (m,)

        Raises
        ------
        DataError
            When a value is missing or infinite.
        """
        m = G.shape[1] // k
        doubtful = np.arange(m) if k > 1 else np.flatnonzero(self._may_be_determined(G))
        found = np.zeros(m, dtype=bool)
        if len(doubtful):
            columns = np.array(G.reshape(len(G), m, k)[:, doubtful], dtype=float)
            found[doubtful] = self._determined(columns)
        return found

    def _may_be_determined(self, G: NDArray[Any]) -> Mask:
        """The same from sums in the precision of G, with much room for rounding."""
        H = G if self.root is None else G * self.root[:, None].astype(G.dtype)
        squares = np.einsum("nm,nm->m", H, H)
        along = self.Q.astype(G.dtype).T @ H
        about = squares if self.unit is None else squares - (self.unit.astype(G.dtype) @ H) ** 2
        left = squares - np.einsum("pm,pm->m", along, along)
        return np.asarray(~((left > _PLENTY * about) & (about > _PLENTY * squares)))

    def _determined(self, columns: Floats) -> Mask:
        """Of groups of columns, shape (n, m, k), which are changed."""
        if self.root is not None:
            columns *= self.root[:, None, None]
        found = np.zeros(columns.shape[1], dtype=bool)
        for a in range(columns.shape[2]):
            column = columns[:, :, a]
            raw = np.einsum("nm,nm->m", column, column)
            if not np.isfinite(raw).all():
                raise DataError("Columns to test hold values that are missing, infinite or beyond 1e150.")
            if self.unit is not None:
                column -= np.outer(self.unit, self.unit @ column)
            whole = np.einsum("nm,nm->m", column, column)
            found |= whole <= _CONSTANT * raw
            for _ in range(2):  # the second time removes what rounding left
                column -= self.Q @ (self.Q.T @ column)
                for b in range(a):
                    column -= columns[:, :, b] * np.einsum("nm,nm->m", columns[:, :, b], column)
            left = np.einsum("nm,nm->m", column, column)
            found |= ~(left > _COLLINEAR * whole)
            column /= np.sqrt(np.where(left > 0.0, left, 1.0))
        return found
