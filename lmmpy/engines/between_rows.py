"""The relatedness of rows: K of one term between the levels of some rows, and what Ṽ needs of it.

With X the term's columns at these rows, the term's part of Ṽ is (X C Xᵀ) ∘ K. Arrays may be stacks of blocks of equal
size. A single column is multiplied into K once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.design import RandomEffects
from lmmpy.relatedness import Relatedness
from lmmpy.relatedness.covariance import Dense

__all__ = ["BetweenRows", "DenseBetweenRows", "SparseBetweenRows", "between_levels", "between_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# A block of so many rows is worth a list of pairs where few of them are of one level: at most one in so many.
_LARGE, _FEW = 200, 8
# Numbers in a slice of a large array that is worked on at a time: 32 MB.
_SLICE = 4_000_000


@dataclass(frozen=True, eq=False, slots=True)
class DenseBetweenRows:
    """
    All pairs of rows.

    Attributes
    ----------
    K : ndarray, shape (g, r, r)
        For one column x already K ∘ xxᵀ.
    X : ndarray, shape (g, r, k), or None
        None for one column.
    """

    K: Floats
    X: Floats | None

    def _slices(self) -> Iterator[slice]:
        """Parts of the rows of blocks, so that what is computed for them takes little room."""
        g, r, _ = self.K.shape
        step = max(1, _SLICE // (g * r))
        return (slice(start, start + step) for start in range(0, r, step))

    def add(self, V: Floats, C: Floats) -> None:
        """Add (X C Xᵀ) ∘ K to V, shape (g, r, r)."""
        for some in self._slices():
            if self.X is None:
                V[:, some] += C[0, 0] * self.K[:, some]
            else:
                V[:, some] += (self.X[:, some] @ C @ self.X.transpose(0, 2, 1)) * self.K[:, some]

    def form(self, M: Floats) -> Floats:
        """Σ Xᵀ(M ∘ K)X over the blocks, shape (k, k)."""
        if self.X is None:
            return np.array([[np.vdot(M, self.K)]])
        X, k = self.X, self.X.shape[-1]
        found = np.zeros((k, k))
        for some in self._slices():
            found += np.einsum("gra,grb->ab", X[:, some], (M[:, some] * self.K[:, some]) @ X)
        return found

    def spread(self, v: Floats) -> Floats:
        """K times v ∘ X[:, b], (g, r, c) → (g, r, c, k)."""
        if self.X is None:
            return np.asarray((self.K @ v)[..., None])
        g, r, c = v.shape
        wide = (v[..., None] * self.X[:, :, None, :]).reshape(g, r, -1)
        return np.asarray(self.K @ wide).reshape(g, r, c, -1)

    def sandwich(self, inverse: Floats, a: int, b: int) -> Floats:
        """Ṽ⁻¹V_ab Ṽ⁻¹ of each block, V_ab = K ∘ x_a x_bᵀ."""
        if self.X is None:
            return np.asarray(inverse @ self.K @ inverse)
        half = (inverse * self.X[:, None, :, a]) @ self.K
        half *= self.X[:, None, :, b]
        return np.asarray(half @ inverse)


@dataclass(frozen=True, eq=False, slots=True)
class SparseBetweenRows:
    """
    Those pairs of rows of one block whose levels are related.

    Attributes
    ----------
    K : csr_array, shape (r, r)
        For one column x already K ∘ xxᵀ.
    pairs : tuple of ndarray of int
        Row and column of each number in K.
    X : ndarray, shape (r, k), or None
        None for one column.
    """

    K: sparse.csr_array
    pairs: tuple[Ints, Ints]
    X: Floats | None

    def add(self, V: Floats, C: Floats) -> None:
        """See `DenseBetweenRows`; V of shape (1, r, r)."""
        if self.X is None:
            V[0][self.pairs] += C[0, 0] * self.K.data
        else:
            left, right = (self.X[places] for places in self.pairs)
            V[0][self.pairs] += np.einsum("ia,ab,ib->i", left, C, right) * self.K.data

    def form(self, M: Floats) -> Floats:
        """See `DenseBetweenRows`."""
        met = M[0][self.pairs] * self.K.data
        if self.X is None:
            return np.array([[met.sum()]])
        left, right = (self.X[places] for places in self.pairs)
        return np.asarray((left * met[:, None]).T @ right)

    def spread(self, v: Floats) -> Floats:
        """See `DenseBetweenRows`."""
        if self.X is None:
            return np.asarray(self.K @ v[0])[None, :, :, None]
        wide = (v[0][:, :, None] * self.X[:, None, :]).reshape(len(self.X), -1)
        return np.asarray(self.K @ wide).reshape(1, len(self.X), v.shape[2], -1)

    def sandwich(self, inverse: Floats, a: int, b: int) -> Floats:
        """See `DenseBetweenRows`."""
        K = self.K
        if self.X is not None:
            left, right = self.pairs
            K = sparse.csr_array((K.data * self.X[left, a] * self.X[right, b], K.indices, K.indptr), shape=K.shape)
        found: Floats = np.asarray(K.T @ inverse[0]).T @ inverse[0]
        return found[None]


BetweenRows = DenseBetweenRows | SparseBetweenRows


def between_rows(term: RandomEffects, codes: Ints, values: Floats) -> BetweenRows:
    """
    K of one term between some rows.

    Parameters
    ----------
    term : RandomEffects
    codes : ndarray of int, shape (g, r)
        Level of each row of each block.
    values : ndarray, shape (g, r, k)
        The term's columns there, times the root of the weights.
    """
    g, r = codes.shape
    counts = np.bincount(codes.ravel())
    if term.relatedness.is_identity and g == 1 and r > _LARGE and _FEW * float(counts @ counts) < float(r) ** 2:
        return _same_level(codes[0], values[0])
    K = between_levels(term.relatedness, codes)
    if values.shape[2] > 1:
        return DenseBetweenRows(K, values)
    if not np.all(values == 1.0):
        K = K * values * values.transpose(0, 2, 1)
    return DenseBetweenRows(K, None)


def _same_level(codes: Ints, values: Floats) -> SparseBetweenRows:
    levels, numbers = np.unique(codes, return_inverse=True)
    member = sparse.csr_array((np.ones(len(codes)), (np.arange(len(codes)), numbers)), shape=(len(codes), len(levels)))
    K = sparse.csr_array(member @ member.T)
    K.sort_indices()
    rows = np.repeat(np.arange(len(codes)), np.diff(K.indptr))
    pairs = rows, np.asarray(K.indices, dtype=np.intp)
    if values.shape[1] > 1:
        return SparseBetweenRows(K, pairs, values)
    K.data = K.data * values[pairs[0], 0] * values[pairs[1], 0]
    return SparseBetweenRows(K, pairs, None)


def between_levels(relatedness: Relatedness, codes: Ints) -> Floats:
    """
    K among the levels of each of some unrelated blocks.

    Many blocks at once: an array is indexed. Of other forms, with e_j the sum of the units of the j-th levels of all
    blocks, K e_j is at any level its K with that of its own block, since between blocks K is zero.

    Parameters
    ----------
    relatedness : Relatedness
    codes : ndarray of int, shape (g, r)
        Levels of each block.

    Returns
    -------
    ndarray, shape (g, r, r)
    """
    if relatedness.is_identity:
        return np.asarray(codes[:, :, None] == codes[:, None, :], dtype=float)
    if len(codes) == 1:
        return np.ascontiguousarray(relatedness.block(codes[0], codes[0]))[None]
    if isinstance(relatedness.form, Dense):
        return _indexed(relatedness.dense(), codes[:, :, None], codes[:, None, :])
    units = np.zeros((relatedness.size, codes.shape[1]))
    units[codes, np.arange(codes.shape[1])] = 1.0
    return _indexed(relatedness.times(units), codes)


def _indexed(array: Floats, *places: Ints) -> Floats:
    found: Floats = array[places]
    return found
