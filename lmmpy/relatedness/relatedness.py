"""The known relatedness K of the levels of a random term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Relatedness"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Relatedness:
    """
    How the levels of one random term are related: Cov(b) = σ² (T Tᵀ) ⊗ K.

    Attributes
    ----------
    size : int
        Number of levels.
    """

    size: int
    labels: tuple[str, ...] | None = None
    id: str | None = None
    covariance: Floats | None = None
    given_precision: sparse.csc_array | None = None

    @classmethod
    def identity(cls, size: int) -> Relatedness:
        """Unrelated levels, which is what an ordinary grouping factor has."""
        return cls(size)

    @property
    def is_identity(self) -> bool:
        """Whether the levels are unrelated."""
        return self.covariance is None and self.given_precision is None

    @property
    def is_sparse(self) -> bool:
        """Whether K⁻¹ is sparse and at hand (a pedigree, a precision; the identity)."""
        return self.covariance is None

    @cached_property
    def precision(self) -> sparse.csc_array | None:
        """K⁻¹, sorted indices, both triangles; None for the identity."""
        if self.covariance is not None:
            return sparse.csc_array(np.linalg.inv(self.covariance))
        return self.given_precision

    @cached_property
    def logdet(self) -> float:
        """log|K|."""
        return 0.0 if self.is_identity else float(np.linalg.slogdet(self.dense())[1])

    def dense(self) -> Floats:
        """K itself, shape (size, size)."""
        if self.covariance is not None:
            return self.covariance
        if self.given_precision is not None:
            return np.linalg.inv(self.given_precision.toarray())
        return np.eye(self.size)

    def times(self, values: Floats) -> Floats:
        """K V of some columns V, shape (size, m) → (size, m)."""
        return values.copy() if self.is_identity else self.dense() @ values

    def block(self, rows: Ints, columns: Ints) -> Floats:
        """K[rows, columns], a dense array."""
        return self.dense()[np.ix_(rows, columns)]

    def diagonal(self) -> Floats:
        """The diagonal of K, shape (size,)."""
        return self.dense().diagonal().copy()

    def components(self) -> Ints:
        """Number of the group of related levels that each belongs to, shape (size,); groups are unrelated."""
        return sparse.csgraph.connected_components(sparse.csr_array(self.dense() != 0.0), directed=False)[1]

    def positions(self, labels: Sequence[str]) -> Ints:
        """Level of each label, shape (len(labels),); a label that K does not have is an error."""
        place = {label: i for i, label in enumerate(self.labels or ())}
        return np.array([place[label] for label in labels], dtype=np.intp)

    def subset(self, labels: Sequence[str]) -> Relatedness:
        """K of some levels, in this order (its marginal: a precision is inverted)."""
        at = self.positions(labels)
        return Relatedness(len(at), tuple(labels), self.id, covariance=self.block(at, at))

    def for_levels(self, labels: Sequence[str]) -> Relatedness:
        """The K that a model with these levels needs: for a dense K the subset, in this order; for a sparse precision
        also the levels that link them (ancestors), in its own order."""
        return self.subset(labels) if self.covariance is not None else self
