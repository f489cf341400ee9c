"""Operators of an engine that computes in coordinates of its own, told in those of the model."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.row_solver_triangle import column_grams
from lmmpy.engines.system import by_level, multiply_levels

__all__ = ["TurnedOperators", "weighted_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class TurnedOperators(ABC):
    """
    What follows from the maps in the engine's coordinates; see `Operators`.

    Attributes
    ----------
    products : CrossProducts
        In the engine's coordinates.
    penalty : Penalty
        P, the precision of the spherical effects; knows K.
    bases : tuple of ndarray or None
        R of each term whose effects the engine has in other coordinates, b' = R b.
    """

    products: CrossProducts
    penalty: Penalty
    bases: tuple[Floats | None, ...]

    @abstractmethod
    def _traces(self) -> list[Floats]:
        """See `Operators.traces`; in the engine's coordinates, as all that follow."""

    @abstractmethod
    def _conditional_covariance(self, c: Floats) -> Floats:
        """See `Operators.conditional_covariance`."""

    @abstractmethod
    def _ZtVZ(self, c: Floats) -> Floats:
        """See `Operators.ZtVZ`."""

    @abstractmethod
    def solve_rows(self, F: Floats) -> Floats:
        """See `Operators.solve_rows`."""

    def row_grams(self, F: Floats, k: int) -> Floats:
        """See `Operators.row_grams`."""
        own = column_grams(F, self.solve_rows(F), k)
        return 0.5 * (own + own.transpose(0, 2, 1))

    @property
    def q(self) -> int:
        """Number of random effects."""
        return self.products.q

    def traces(self) -> list[Floats]:
        """See `Operators.traces`."""
        return [A if R is None else R.T @ A @ R for A, R in zip(self._traces(), self.bases, strict=True)]

    @cached_property
    def ZtWX(self) -> Floats:
        """ZᵀWX, shape (q, p)."""
        return self._turned(self.products.ZtXy[:, :-1] @ self.products.R, _transposed(self.bases))

    @cached_property
    def GZtVX(self) -> Floats:
        """See `Operators.GZtVX`."""
        return self.conditional_covariance(self.ZtWX)

    def row_slopes(self) -> Floats:
        """See `Operators.row_slopes`."""
        p = self.products.p
        return np.empty((0, p, p))

    def conditional_covariance(self, c: Floats) -> Floats:
        """See `Operators.conditional_covariance`."""
        turned = self._turned(c, _transposed(self._backs))
        return self._back(self._conditional_covariance(turned))

    def ZtVZ(self, c: Floats) -> Floats:
        """See `Operators.ZtVZ`."""
        return self._turned(self._ZtVZ(self._turned(c, self.bases)), _transposed(self.bases))

    def covariance_of_levels(self, t: int, levels: Ints) -> Floats:
        """See `Operators.covariance_of_levels`."""
        k = self.products.sizes[t]
        c = np.zeros((self.q, len(levels) * k))
        rows = self.products.starts[t] + levels[:, None] * k + np.arange(k)
        c[rows.ravel(), np.arange(c.shape[1])] = 1.0
        return self.conditional_covariance(c)

    @cached_property
    def _backs(self) -> list[Floats | None]:
        return [None if R is None else np.asarray(np.linalg.inv(R), dtype=float) for R in self.bases]

    def _back(self, values: Floats) -> Floats:
        """Effects in the model's coordinates, from the engine's."""
        return self._turned(values, self._backs)

    def _turned(self, values: Floats, matrices: Sequence[Floats | None]) -> Floats:
        """Each term's effects in other coordinates."""
        if all(matrix is None for matrix in matrices):
            return values
        out = np.array(values, order="C")
        starts = itertools.pairwise(self.products.starts)
        for matrix, k, (start, end) in zip(matrices, self.products.sizes, starts, strict=True):
            if matrix is not None:
                source = np.ascontiguousarray(values[start:end])
                multiply_levels(matrix, by_level(source, k), by_level(out[start:end], k))
        return out


def weighted_rows(F: Floats, rows: Design) -> Floats:
    """W^½F with the weights of a design, shape (n, c), a row after the other in memory."""
    if rows.weights is None:
        return np.ascontiguousarray(F)
    return np.ascontiguousarray(F * np.sqrt(rows.weights)[:, None])


def _transposed(matrices: Sequence[Floats | None]) -> list[Floats | None]:
    return [None if matrix is None else matrix.T for matrix in matrices]
