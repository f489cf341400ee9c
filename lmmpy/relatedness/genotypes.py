"""K = G Gᵀ/m from m markers, kept as the markers while they are fewer than the levels."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lmmpy.errors import DataError
from lmmpy.relatedness.covariance import Dense
from lmmpy.relatedness.definite import checked_diagonal
from lmmpy.relatedness.form import Floats, Form, Labels, Scattered, name_of
from lmmpy.relatedness.labels import Ints

__all__ = ["Genotypes"]


class Genotypes(Form):
    """
    G, shape (size, m), of which K = G Gᵀ/`markers`.

    Positive semi-definite by construction; regular only when m ≥ size, and then held as a dense K once that is used.
    """

    kind = "genotypes"

    def __init__(self, G: Floats, labels: Labels = None) -> None:
        self.G, self.labels, self.size = G, labels, len(G)

    @cached_property
    def _usable(self) -> Floats:
        G = self.G
        if not np.isfinite(G.sum()):
            wrong = np.flatnonzero(~np.isfinite(G).all(axis=1))
            if len(wrong):
                which = ", ".join(name_of(self.labels, i) for i in wrong[:5])
                raise DataError(
                    f"Genotypes are missing or not finite for {len(wrong)} levels: {which}. Impute them first (the "
                    "mean of the marker is what most programs take), then centre and scale."
                )
        checked_diagonal(np.einsum("ij,ij->i", G, G), self.labels)
        return G

    @cached_property
    def _full(self) -> Dense:
        G = self._usable
        self.refuse_dense("K")
        return Dense(G @ G.T / G.shape[1], self.labels)

    @property
    def _is_low(self) -> bool:
        return bool(self.G.shape[1] < self.size)

    @property
    def precision(self) -> Scattered:
        if self._is_low:
            raise DataError(
                f"K from {self.G.shape[1]} markers for {self.size} levels is singular and has no inverse. "
                "It can be a relatedness all the same; only its inverse cannot be asked for."
            )
        return self._full.precision

    @property
    def logdet(self) -> float:
        return -np.inf if self._is_low else self._full.logdet

    def dense(self) -> Floats:
        return self._full.dense()

    def times(self, values: Floats) -> Floats:
        product: Floats = self._usable @ (self.G.T @ values) / self.G.shape[1]
        return product

    def block(self, rows: Ints, columns: Ints) -> Floats:
        part: Floats = self._usable[rows] @ self.G[columns].T / self.G.shape[1]
        return part

    def diagonal(self) -> Floats:
        G = self._usable
        diagonal: Floats = np.einsum("ij,ij->i", G, G) / G.shape[1]
        return diagonal

    def components(self) -> Ints:
        """All in one group: genotypes of different families are never exactly orthogonal."""
        return np.zeros(self.size, dtype=np.intp)

    @property
    def is_scaled_identity(self) -> bool:
        return not self._is_low and self._full.is_scaled_identity

    @property
    def rank(self) -> int:
        return min(self.size, int(self.G.shape[1]))

    def root_times(self, values: Floats) -> Floats:
        if not self._is_low:
            return self._full.root_times(values)
        product: Floats = self._usable @ values / np.sqrt(self.G.shape[1])
        return product

    def factor(self) -> Floats:
        if not self._is_low:
            return self._full.factor()
        F: Floats = self._usable / np.sqrt(self.G.shape[1])
        return F

    def spectrum(self) -> tuple[Floats, Floats]:
        """Eigenvalues, ascending, and vectors, shape (size, rank): the others are zero, and so is what they carry."""
        if not self._is_low:
            return self._full.spectrum()
        vectors, singular, _ = np.linalg.svd(self.factor(), full_matrices=False)
        return singular[::-1] ** 2, vectors[:, ::-1]

    def taken(self, at: Ints) -> Form:
        if len(at) == self.size and (at == np.arange(self.size)).all():
            return self
        return Genotypes(self.G[at], self.taken_labels(at))

    def needed(self, at: Ints) -> Form:
        part = self.taken(at)
        assert isinstance(part, Genotypes)
        part._usable  # noqa: B018  # checked here
        return part
