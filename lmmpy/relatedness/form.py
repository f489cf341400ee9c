"""What every way to hold a K can do; the cases (dense, sparse, precision, genotypes, pedigree) are beside this file."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.errors import DataError
from lmmpy.relatedness.labels import Ints

__all__ = ["MOST_DENSE", "Floats", "Form", "Identity", "Labels", "Scattered", "name_of", "refuse_dense"]

Floats = NDArray[np.float64]
Labels = tuple[str, ...] | None
Scattered = sparse.csc_array
# A dense K of more levels than this (7 GiB) is surely not what was meant.
MOST_DENSE = 30_000


def name_of(labels: Labels, at: int) -> str:
    """A level for a message: its label, or its number where it has none."""
    return repr(labels[at]) if labels is not None else f"number {at}"


def refuse_dense(what: str, size: int) -> None:
    """Say that a dense array of some levels would be too large, when it would."""
    if size > MOST_DENSE:
        gigabytes = 8.0 * size**2 / 2**30
        raise DataError(
            f"A dense {what} of {size} levels would take {gigabytes:,.0f} GiB. Ask for the levels you need, "
            "with .subset(ids) or .block(rows, columns), or for products with .times(V)."
        )


class Form(ABC):
    """
    A symmetric positive semi-definite K, and what it is held as.

    Attributes
    ----------
    size : int
        Number of levels.
    labels : tuple of str or None
        Of the levels, for messages.
    kind : str
        What the representation calls it.
    is_identity, is_sparse : bool
        Whether K = I; whether K⁻¹ is sparse and at hand.
    """

    size: int
    labels: Labels = None
    kind: str
    is_identity: bool = False
    is_sparse: bool = False

    @property
    @abstractmethod
    def precision(self) -> Scattered | None: ...

    @property
    @abstractmethod
    def logdet(self) -> float: ...

    @abstractmethod
    def dense(self) -> Floats: ...

    @abstractmethod
    def times(self, values: Floats) -> Floats: ...

    @abstractmethod
    def block(self, rows: Ints, columns: Ints) -> Floats: ...

    @abstractmethod
    def diagonal(self) -> Floats: ...

    @abstractmethod
    def components(self) -> Ints: ...

    @property
    @abstractmethod
    def is_scaled_identity(self) -> bool: ...

    @property
    def rank(self) -> int:
        """Columns of the factor."""
        return self.size

    @abstractmethod
    def root_times(self, values: Floats) -> Floats:
        """F V with K = F Fᵀ, shape (rank, m) → (size, m)."""

    def factor(self) -> Floats:
        """F with K = F Fᵀ, shape (size, rank)."""
        self.refuse_dense("factor")
        return self.root_times(np.eye(self.rank))

    @property
    def typical_variance(self) -> float:
        """A typical diagonal entry of K."""
        return float(self.diagonal().mean())

    def spectrum(self) -> tuple[Floats, Floats]:
        """Eigenvalues, ascending and not negative, and eigenvectors of K."""
        values, vectors = np.linalg.eigh(self.dense())
        return np.maximum(values, 0.0), vectors

    @abstractmethod
    def taken(self, at: Ints) -> Form:
        """K of some levels, in this order."""

    def needed(self, at: Ints) -> Form:
        """What a model with these levels needs."""
        return self.taken(at)

    def taken_labels(self, at: Ints) -> Labels:
        """Labels of some levels."""
        return None if self.labels is None else tuple(map(self.labels.__getitem__, at.tolist()))

    def refuse_dense(self, what: str) -> None:
        """Say that a dense array of all levels would be too large, when it would."""
        refuse_dense(what, self.size)


class Identity(Form):
    """Unrelated levels."""

    kind = "identity"
    is_identity = is_sparse = is_scaled_identity = True
    precision = None
    logdet = 0.0
    typical_variance = 1.0

    def __init__(self, size: int, labels: Labels = None) -> None:
        self.size, self.labels = size, labels

    def dense(self) -> Floats:
        self.refuse_dense("K")
        return np.eye(self.size)

    def times(self, values: Floats) -> Floats:
        return np.array(values, dtype=np.float64)

    def block(self, rows: Ints, columns: Ints) -> Floats:
        same: Floats = (np.asarray(rows)[:, None] == np.asarray(columns)).astype(np.float64)
        return same

    def diagonal(self) -> Floats:
        return np.ones(self.size)

    def components(self) -> Ints:
        return np.arange(self.size)

    def root_times(self, values: Floats) -> Floats:
        return self.times(values)

    def taken(self, at: Ints) -> Form:
        return Identity(len(at), self.taken_labels(at))
