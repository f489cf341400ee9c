"""A covariance between rows that is known up to σ²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Floats
from lmmpy.covariance.pair_functions import Jet, PairFunction
from lmmpy.covariance.rows import Reported

__all__ = ["Known"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class Known(PairFunction):
    """
    Covariances read from a matrix; no parameters.

    Attributes
    ----------
    matrix : ndarray or sparse array in rows or columns, shape (levels, levels)
    codes : ndarray of int, shape (n,)
        Row of the matrix that belongs to each row of the data.
    """

    matrix: Any
    codes: Ints

    @property
    def n_theta(self) -> int:
        return 0

    def names(self) -> list[str]:
        return []

    def start(self) -> Floats:
        return np.empty(0)

    def other_starts(self) -> list[Floats]:
        return [np.empty(0)]

    def scale(self) -> Floats:
        return np.empty(0)

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        found: Any = self.matrix[self.codes[i], self.codes[j]]
        values: Any = found.todense() if hasattr(found, "todense") else found
        return np.asarray(values, dtype=np.float64).ravel(), None

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        m = len(measures)
        return Jet(measures, np.empty((0, m)), np.empty((0, 0, m)))

    def reported(self, phi: Floats) -> list[Reported]:
        return []
