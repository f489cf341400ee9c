"""What covariance functions of pairs of rows share: r = f(x; φ), x what the structure measures between two rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Floats

__all__ = ["Jet", "PairFunction"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class Jet:
    """
    A function of φ at L measures, with its first and second derivatives.

    Attributes
    ----------
    value : ndarray, shape (L,)
    first : ndarray, shape (n_theta, L)
    second : ndarray, shape (n_theta, n_theta, L)
    """

    value: Floats
    first: Floats
    second: Floats


@dataclass(frozen=True, eq=False, slots=True)
class _Values:
    """Covariances of pairs: those of their measures, which several pairs may share (`cells`)."""

    jet: Jet
    cells: Ints | None

    def _of_pairs(self, found: Floats) -> Floats:
        return found if self.cells is None else np.asarray(found[self.cells])

    def _of_measures(self, weights: Floats) -> Floats:
        if self.cells is None:
            return weights
        return np.asarray(np.bincount(self.cells, weights, minlength=len(self.jet.value)), dtype=np.float64)

    @property
    def values(self) -> Floats:
        return self._of_pairs(self.jet.value)

    def slope(self, i: int) -> Floats:
        return self._of_pairs(self.jet.first[i])

    def contract(self, weights: Floats) -> Floats:
        return np.asarray(self.jet.first @ self._of_measures(weights))

    def bend(self, weights: Floats) -> Floats:
        return np.asarray(self.jet.second @ self._of_measures(weights))


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    structure: PairFunction
    measures: Floats
    cells: Ints | None

    def at(self, phi: Floats) -> _Values:
        return _Values(self.structure.jet(self.measures, phi), self.cells)


class PairFunction(ABC):
    """A `RowStructure` by two methods: what is measured between two rows, and a function of it."""

    __slots__ = ()

    @property
    @abstractmethod
    def n_theta(self) -> int:
        """Number of parameters."""

    @abstractmethod
    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        """
        What the covariance of two rows depends on.

        Parameters
        ----------
        i, j : ndarray of int, shape (m,)

        Returns
        -------
        measures : ndarray, shape (…, L)
        cells : ndarray of int, shape (m,), or None
            Place of each pair among the L measures; None when L = m and pairs are in order.
        """

    @abstractmethod
    def jet(self, measures: Floats, phi: Floats) -> Jet:
        """The covariances and their derivatives in φ, which are those of each of the L measures."""

    def between(self, i: Ints, j: Ints) -> _Pairs:
        return _Pairs(self, *self.measure(i, j))

    @property
    def lower(self) -> Floats:
        return np.full(self.n_theta, -np.inf)

    @property
    def several_optima(self) -> bool:
        return False

    def canonical(self, phi: Floats) -> Floats:
        return phi.copy()

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return []

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        return np.zeros(self.n_theta, dtype=bool)
