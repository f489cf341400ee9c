"""`us`: any positive semi-definite covariance, by its Cholesky factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Factor, Floats

__all__ = ["Unstructured", "semidefinite_cholesky"]


@dataclass(frozen=True, slots=True)
class Unstructured:
    """Unstructured covariance: θ is the lower triangle of T, column by column (Bates et al. 2015, eq. 58)."""

    k: int
    _dT: Floats = field(init=False, repr=False, compare=False)
    _rows: NDArray[np.intp] = field(init=False, repr=False, compare=False)
    _columns: NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns, rows = np.triu_indices(self.k)
        dT = np.zeros((rows.size, self.k, self.k))
        dT[np.arange(rows.size), rows, columns] = 1.0
        for name, value in (("_rows", rows), ("_columns", columns), ("_dT", dT)):
            object.__setattr__(self, name, value)

    @property
    def n_theta(self) -> int:
        return self.k * (self.k + 1) // 2

    @property
    def lower(self) -> Floats:
        return np.full(self.n_theta, -np.inf)

    @property
    def several_optima(self) -> bool:
        return False

    def names(self, columns: Sequence[str]) -> list[str]:
        pairs = zip(self._rows, self._columns, strict=True)
        return [columns[r] if r == c else f"{columns[r]}.{columns[c]}" for r, c in pairs]

    def start(self, sd: Floats) -> Floats:
        return np.asarray(np.diag(sd)[self._rows, self._columns])

    def other_starts(self, sd: Floats) -> list[Floats]:
        return [self.start(factor * sd) for factor in (3.0, 0.3)]

    def scale(self, unit: Floats) -> Floats:
        return np.asarray(unit[self._rows])

    def factor(self, theta: Floats) -> Factor:
        T = np.zeros((self.k, self.k))
        T[self._rows, self._columns] = theta
        return Factor(T, self._dT)

    def canonical(self, theta: Floats) -> Floats:
        T = self.factor(theta).T
        T = T * np.sign(np.diag(T)) if np.all(np.diag(T) != 0.0) else _triangular(T)
        return np.asarray(T[self._rows, self._columns] + 0.0)

    def boundary(self, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        near = (self._rows == self._columns) & (np.abs(theta) < tolerance)
        return [(int(i), 0.0) for i in np.flatnonzero(near)]

    def equivalents(self, theta: Floats) -> list[Floats]:
        return []

    def nearest(self, G: Floats) -> Floats:
        return np.asarray(semidefinite_cholesky(G)[self._rows, self._columns])

    def from_factor(self, T: Floats) -> Floats:
        """θ whose factor has the T Tᵀ of a square T, not through that product: an exact zero column stays one."""
        return np.asarray(_triangular(T)[self._rows, self._columns])

    def from_covariance(self, G: Floats) -> Floats:
        scale = np.sqrt(np.maximum(np.diag(G), np.finfo(float).tiny))
        if G.shape != (self.k, self.k) or not np.allclose(G, G.T):
            raise ValueError(f"expected a symmetric {self.k} × {self.k} matrix")
        if np.any(np.diag(G) < 0) or np.linalg.eigvalsh(G / np.outer(scale, scale))[0] < -1e-8:
            raise ValueError("the matrix is not positive semi-definite")
        return np.asarray(semidefinite_cholesky(G)[self._rows, self._columns])


def _triangular(T: Floats) -> Floats:
    """
    Lower-triangular root of T Tᵀ with zero columns where it is singular.

    Works on T itself, row by row with Householder reflections of its columns, because the rounding of T Tᵀ would turn
    an exact zero into 1e-8. A row that the columns used so far explain gets a zero column.
    """
    k = len(T)
    rest, root = T.astype(float).copy(), np.zeros((k, k))
    for j in range(k):
        row = rest[j]
        length = float(np.linalg.norm(row))
        if length <= 1e-12 * float(np.linalg.norm(T[j])):
            continue
        axis = row / length
        root[j:, j] = rest[j:] @ axis
        rest -= np.outer(rest @ axis, axis)
        rest[: j + 1] = 0.0
    return root


def semidefinite_cholesky(G: Floats) -> Floats:
    """
    Lower-triangular T with T Tᵀ = G and zero columns where G is singular.

    Parameters
    ----------
    G : ndarray, shape (k, k)
        Symmetric positive semi-definite.

    Returns
    -------
    ndarray, shape (k, k)
        Non-negative on the diagonal.
    """
    k = G.shape[0]
    if k == 1:
        return np.sqrt(np.maximum(G, 0.0))
    rest, T = G.astype(float).copy(), np.zeros((k, k))
    threshold = np.diag(G) * 1e-14
    for j in range(k):
        if rest[j, j] > threshold[j]:
            T[j:, j] = rest[j:, j] / np.sqrt(rest[j, j])
            rest[j:, j:] -= np.outer(T[j:, j], T[j:, j])
    return T
