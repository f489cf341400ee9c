"""The known relatedness K of the levels of a random term, through its precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Relatedness"]


@dataclass(frozen=True, eq=False, slots=True)
class Relatedness:
    """
    How the levels of one random term are related: Cov(b) = σ² (T Tᵀ) ⊗ K.

    Attributes
    ----------
    size : int
        Number of levels.
    precision : sparse array of shape (size, size), or None
        K⁻¹; None when K = I.
    logdet : float
        log|K|.
    """

    size: int
    precision: sparse.csc_array | None = None
    logdet: float = 0.0

    @classmethod
    def identity(cls, size: int) -> Relatedness:
        """Unrelated levels, which is what an ordinary grouping factor has."""
        return cls(size)

    @property
    def is_identity(self) -> bool:
        """Whether the levels are unrelated."""
        return self.precision is None

    def dense(self) -> NDArray[np.float64]:
        """K itself, shape (size, size)."""
        if self.precision is None:
            return np.eye(self.size)
        return np.linalg.inv(self.precision.toarray())
