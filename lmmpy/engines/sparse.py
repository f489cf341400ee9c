"""The sparse way: a symmetric matrix P + ΛᵀHΛ, given by blocks of H, factorised by CHOLMOD.

H is ZᵀWZ when nothing was eliminated before, else what an elimination left of it. P is the identity but for terms
with a relatedness, where it is I ⊗ K⁻¹.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import Factor
from lmmpy.engines.cholmod import SparseFactor, SymbolicCholesky
from lmmpy.engines.crossproducts import Block, CrossProducts, places
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.selected_inverse import SelectedInverse
from lmmpy.engines.system import regular_inverse, transpose_apply_factors
from lmmpy.engines.threads import threads_for

__all__ = ["FactoredSparse", "SparseMatrix", "SparseSystem", "traces_from_slopes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_NEARBY = 1e-6
# Multiplications of an inverse from which threads pay.
_MANY_THREADS = 1e10


class SparseMatrix:
    """
    The pattern of P + ΛᵀHΛ and its symbolic factorisation.

    The pattern is that of T without zeros: it holds at every θ, on the boundary too.

    Parameters
    ----------
    blocks : sequence of Block
        Where H is not zero, the blocks on the diagonal included; their values are not used.
    sizes, starts : tuple of int
        As in `CrossProducts`.
    precisions : sequence of csc_array or None, optional
        K⁻¹ of each term; None for the identity.
    logdet_relatedness : float
        −log|P|.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        sizes: tuple[int, ...],
        starts: tuple[int, ...],
        precisions: Sequence[sparse.csc_array | None] | None = None,
        logdet_relatedness: float = 0.0,
    ) -> None:
        self.blocks, self.sizes, self.starts, self.q = tuple(blocks), sizes, starts, starts[-1]
        self.logdet_relatedness = logdet_relatedness
        precisions = [None] * len(sizes) if precisions is None else precisions
        self._own = [np.ones(1) if K is None else K.diagonal() for K in precisions]
        placed = [tuple(self._flat(b, x) for x in np.broadcast_arrays(*places(b, sizes, starts))) for b in blocks]
        self._cuts = np.cumsum([len(r) for r, _ in placed])[:-1]
        between = [_between(K, k, start) for K, k, start in zip(precisions, sizes, starts, strict=False)]
        self._between = np.concatenate([values for _, _, values in between])
        self._wanted = tuple(np.concatenate([pair[side] for pair in placed]) for side in (0, 1))
        rows, columns = (np.concatenate([self._wanted[side], *(b[side] for b in between)]) for side in (0, 1))
        self._order = np.lexsort((rows, columns))
        rows, columns = rows[self._order], columns[self._order]
        # Levels may meet and be related as well: then H and P have the same entry.
        self._firsts = np.flatnonzero(np.diff(rows, prepend=-1) | np.diff(columns, prepend=-1))
        self._indices, self._columns = rows[self._firsts], columns[self._firsts]
        related = any(K is not None for K in precisions)
        pointers = np.searchsorted(self._columns, np.arange(self.q + 1))
        self._symbolic = SymbolicCholesky(pointers, self._indices, crowded_last=related)
        self._selected: tuple[SelectedInverse, Ints] | None = None

    @staticmethod
    def _flat(block: Block, values: NDArray[Any]) -> NDArray[Any]:
        """A block's numbers in a row: all of them, or the lower triangle of a block on the diagonal."""
        if not block.diagonal:
            return values.reshape(-1)
        a, b = np.tril_indices(values.shape[1])
        return values[:, a, b].reshape(-1)

    def flops(self) -> float:
        """Multiplications of one factorisation, Σ (entries of a column of L)²."""
        diagonal = np.asarray(self._indices == self._columns, dtype=float)
        return float((np.diff(self._symbolic.factorize(diagonal).lower().indptr).astype(float) ** 2).sum())

    def factorize(self, factors: Sequence[Factor], values: Sequence[Floats]) -> FactoredSparse:
        """Factorise P + ΛᵀHΛ; `values` are those of H, block by block."""
        parts = []
        for block, H in zip(self.blocks, values, strict=True):
            left, right = factors[block.t].T, factors[block.s].T
            value = left.T @ H @ right
            if block.diagonal:
                value += self._own[block.t][:, None, None] * np.eye(len(right))
            parts.append(self._flat(block, value))
        parts.append(self._between)
        entries = np.concatenate(parts)[self._order]
        if len(self._firsts) < len(entries):
            entries = np.add.reduceat(entries, self._firsts)
        return FactoredSparse(self, factors, values, self._symbolic.factorize(entries))

    def inverse_blocks(self, factor: SparseFactor) -> list[Floats]:
        """The inverse on the pattern, as whole blocks."""
        L = factor.lower()
        if self._selected is None:
            self._selected = SelectedInverse(L), self._places_in(L, factor.permutation())
        inverse, where = self._selected
        with threads_for(inverse.flops, _MANY_THREADS):
            values = inverse.compute(L.data)[where]
        parts = np.split(values, self._cuts)
        return [self._whole(block, part) for block, part in zip(self.blocks, parts, strict=True)]

    def _whole(self, block: Block, part: Floats) -> Floats:
        k, m = self.sizes[block.t], self.sizes[block.s]
        if not block.diagonal:
            return part.reshape(len(block.rows), k, m)
        whole = np.empty((len(block.rows), k, k))
        a, b = np.tril_indices(k)
        whole[:, a, b] = whole[:, b, a] = part.reshape(len(block.rows), -1)
        return whole

    def _places_in(self, L: sparse.csc_array, permutation: Ints) -> Ints:
        """For each entry of H, the place of its value in the data of a factor L of the permuted matrix."""
        new = np.empty(self.q, dtype=np.intp)
        new[permutation] = np.arange(self.q)
        i, j = (new[side] for side in self._wanted)
        places = L.indptr[i].astype(np.intp)  # the diagonal comes first
        off = np.flatnonzero(i != j)
        if len(off):
            i, j = i[off], j[off]
            keys = np.minimum(i, j) * self.q + np.maximum(i, j)
            columns = np.repeat(np.arange(self.q), np.diff(L.indptr))
            places[off] = np.searchsorted(columns * self.q + L.indices.astype(np.intp), keys)
        return np.asarray(places)


class FactoredSparse:
    """P + ΛᵀHΛ at one θ."""

    def __init__(
        self, matrix: SparseMatrix, factors: Sequence[Factor], values: Sequence[Floats], factor: SparseFactor
    ) -> None:
        self._matrix, self._factors, self._values, self._factor = matrix, factors, values, factor
        self._inverse: list[Floats] | None = None

    @property
    def logdet(self) -> float:
        """See `FactoredSystem`."""
        return self._factor.logdet() + self._matrix.logdet_relatedness

    def effects(self, c: Floats) -> Floats:
        """See `FactoredSystem`."""
        return self._factor.solve(transpose_apply_factors(self._factors, c, self._matrix.starts))

    def inverse_blocks(self) -> list[Floats]:
        """The inverse on the pattern, as whole blocks of the shapes of H's."""
        if self._inverse is None:
            self._inverse = self._matrix.inverse_blocks(self._factor)
        return self._inverse

    def traces(self) -> list[Floats]:
        """See `FactoredSystem`. Where T is singular, at a regular T so near that the difference is rounding."""
        sizes = [self._typical(t) for t in range(len(self._factors))]
        inverses = [regular_inverse(factor.T, 1.0 / size) for factor, size in zip(self._factors, sizes, strict=True)]
        if all(inverse is not None for inverse in inverses):
            return self._regular_traces()
        nearby = [
            factor if inverse is not None else _regularised(factor, size)
            for factor, inverse, size in zip(self._factors, inverses, sizes, strict=True)
        ]
        return self._matrix.factorize(nearby, self._values)._regular_traces()

    def _typical(self, t: int) -> Floats:
        """Root of the typical diagonal of H over the effects of term t."""
        diagonal = next(H for b, H in zip(self._matrix.blocks, self._values, strict=True) if b.diagonal and b.t == t)
        typical = np.sqrt(np.maximum(np.einsum("laa->a", diagonal) / len(diagonal), 0.0))
        return np.asarray(np.where(typical > 0, typical, 1.0))

    def _regular_traces(self) -> list[Floats]:
        pairs = zip(self.slopes(), self._factors, strict=True)
        return [traces_from_slopes(slope, factor.T) for slope, factor in pairs]

    def slopes(self) -> list[Floats]:
        """See `FactoredSystem`."""
        slopes = [np.zeros_like(factor.T) for factor in self._factors]
        for block, H, Sigma in zip(self._matrix.blocks, self._values, self.inverse_blocks(), strict=True):
            left, right = self._factors[block.t].T, self._factors[block.s].T
            slopes[block.t] += np.tensordot(H @ right, Sigma, axes=([0, 2], [0, 2]))
            if not block.diagonal:
                slopes[block.s] += np.tensordot(H.transpose(0, 2, 1) @ left, Sigma, axes=([0, 2], [0, 1]))
        return slopes

    def squares(self, columns: int) -> None:
        """See `FactoredSystem`."""

    def variances(self) -> list[Floats]:
        """See `FactoredSystem`."""
        diagonal = {b.t: v for b, v in zip(self._matrix.blocks, self.inverse_blocks(), strict=True) if b.diagonal}
        return [factor.T @ diagonal[t] @ factor.T.T for t, factor in enumerate(self._factors)]


def _between(precision: sparse.csc_array | None, k: int, start: int) -> tuple[Ints, Ints, Floats]:
    """Row, column and value of I ⊗ K⁻¹ between different levels, below the diagonal."""
    if precision is None:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp), np.empty(0)
    lower = sparse.coo_array(sparse.tril(precision, -1))
    effects = np.arange(k)
    rows, columns = (start + level.astype(np.intp)[:, None] * k + effects for level in lower.coords)
    return rows.ravel(), columns.ravel(), np.repeat(lower.data, k)


def _regularised(factor: Factor, size: Floats) -> Factor:
    """A factor of T Tᵀ plus a small diagonal; small against one, or against T where T is large."""
    sd = _NEARBY * np.maximum(1.0 / size, 1e-2 * np.linalg.norm(factor.T, axis=1))
    _, triangle = np.linalg.qr(np.hstack([factor.T, np.diag(sd)]).T)
    return Factor(triangle.T, factor.dT)


def traces_from_slopes(slope: Floats, T: Floats) -> Floats:
    """P from P T, T regular; rows of T at one length, since effects come in all units."""
    if len(T) == 1:
        return slope / T
    length = np.linalg.norm(T, axis=1)
    P = np.linalg.solve((T / length[:, None]).T, slope.T).T / length
    return np.asarray(0.5 * (P + P.T))


class SparseSystem:
    """
    The sparse engine: CHOLMOD on all of M.

    Parameters
    ----------
    products : CrossProducts
    penalty : Penalty
    """

    name = "sparse"
    description = "sparse Cholesky factorisation of all random effects together"

    def __init__(self, products: CrossProducts, penalty: Penalty) -> None:
        precisions = [penalty.precision(t) for t in range(len(products.sizes))]
        self._matrix = SparseMatrix(products.blocks, products.sizes, products.starts, precisions, penalty.logdet)
        self._values = [block.values for block in products.blocks]

    def factorize(self, factors: Sequence[Factor]) -> FactoredSparse:
        """See `System`."""
        return self._matrix.factorize(factors, self._values)
