"""Schur complements: what the elimination of one grouping factor leaves of the others, dense or sparse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from lmmpy.covariance import Factor
from lmmpy.engines import _kernels
from lmmpy.engines.blocked import Meeting, batched
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.crossproducts import Block, symmetric_matrix
from lmmpy.engines.sparse import FactoredSparse, SparseMatrix, traces_from_slopes
from lmmpy.engines.squares import Remaining
from lmmpy.engines.system import apply_factors, regular_inverse, summed_product, transpose_apply_factors
from lmmpy.engines.threads import threads_for

__all__ = ["DenseSchur", "Remainder", "SparseSchur"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Share of pairs of levels that meet above which dense products are the quicker ones.
_CROWDED = 0.2


@dataclass(frozen=True, eq=False, slots=True)
class Remainder:
    """The terms that an elimination leaves.

    Attributes
    ----------
    sizes, starts : tuple of int
        As in `CrossProducts`, of these terms only.
    blocks : tuple of Block
        Their part of ZᵀWZ, terms numbered anew.
    meetings : tuple of Meeting
        G_l of each.
    levels, k : int
        Of the eliminated factor.
    """

    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    blocks: tuple[Block, ...]
    meetings: tuple[Meeting, ...]
    levels: int
    k: int

    @property
    def r(self) -> int:
        """Number of effects."""
        return self.starts[-1]

    def counts(self) -> Ints:
        """Columns of G_l that are not zero, shape (levels,)."""
        found = [
            k * np.bincount(m.levels, minlength=self.levels) for m, k in zip(self.meetings, self.sizes, strict=True)
        ]
        return np.asarray(sum(found))

    def entries(self) -> tuple[Ints, Ints, Floats]:
        """The columns of all G_l one after the other: level, place among the r effects, and values (entries, k)."""
        levels, columns, values = [], [], []
        for meeting, k, start in zip(self.meetings, self.sizes, self.starts[:-1], strict=True):
            levels.append(np.repeat(meeting.levels, k))
            columns.append((start + meeting.others[:, None] * k + np.arange(k)).ravel())
            values.append(meeting.values.transpose(0, 2, 1).reshape(-1, self.k))
        joined = np.concatenate(levels), np.concatenate(columns), np.concatenate(values)
        order = np.lexsort((joined[1], joined[0]))
        return joined[0][order], joined[1][order], joined[2][order]

    def matrix(self) -> Floats | sparse.csr_array:
        """All G_l, one below the other, shape (levels · k, r); a dense array when few entries are zero."""
        levels, columns, values = self.entries()
        shape = (self.levels * self.k, self.r)
        if self.is_crowded():
            G = np.zeros((self.levels, self.k, self.r))
            G[levels, :, columns] = values
            return G.reshape(shape)
        rows = levels[:, None] * self.k + np.arange(self.k)
        places = np.repeat(columns, self.k).astype(np.int32)
        return sparse.csr_array(sparse.coo_array((values.ravel(), (rows.ravel().astype(np.int32), places)), shape))

    def is_crowded(self) -> bool:
        """Whether so many pairs of levels meet that dense products are the quicker ones."""
        return bool(self.counts().sum() > _CROWDED * self.levels * self.r)


class DenseSchur:
    """
    H and S as dense arrays.

    Parameters
    ----------
    remainder : Remainder
    G : ndarray or csr_array, shape (levels · k, r)
        `remainder.matrix()`.
    """

    kind = "dense"

    def __init__(self, remainder: Remainder, G: Floats | sparse.csr_array) -> None:
        self.remainder, self.G = remainder, G if isinstance(G, np.ndarray) else None
        if self.G is None:
            levels, columns, self._values = remainder.entries()
            self._columns = columns.astype(np.int32)
            term = np.searchsorted(remainder.starts, columns, side="right") - 1
            self._of_term = [np.flatnonzero(term == s) for s in range(len(remainder.sizes))]
            self._pointers = np.searchsorted(levels, np.arange(remainder.levels + 1)).astype(np.int32)
        ZtZ = symmetric_matrix(remainder.blocks, remainder.sizes, remainder.starts)
        self._within = ZtZ if isinstance(ZtZ, np.ndarray) else ZtZ.toarray()
        self._add(np.broadcast_to(-np.eye(remainder.k), (remainder.levels, remainder.k, remainder.k)), self._within)

    def _add(self, R: Floats, H: Floats) -> None:
        """Add Σ_l G_lᵀ R_l G_l to H."""
        if self.G is not None:
            levels, k = R.shape[:2]
            H += self.G.T @ (R @ self.G.reshape(levels, k, -1)).reshape(self.G.shape)
            return
        _kernels.add_quadratic_forms(self._pointers, self._columns, self._values, np.ascontiguousarray(R), H)
        _kernels.symmetrize(H)

    def forms(self, factors: Sequence[Factor], Q: Floats) -> Floats:
        """G_l Λ Q Λᵀ G_lᵀ of every level, for a symmetric Q."""
        remainder = self.remainder
        X = np.empty((remainder.levels, remainder.k, remainder.k))
        if self.G is None:
            _kernels.quadratic_forms(self._pointers, self._columns, self._scaled_entries(factors), Q, X)
        else:
            shape = (remainder.levels, remainder.k, remainder.r)
            G = times_factors(self.G, factors, remainder.starts)
            np.matmul((G @ Q).reshape(shape), G.reshape(shape).transpose(0, 2, 1), out=X)
        return X

    def _scaled_entries(self, factors: Sequence[Factor]) -> Floats:
        """The entries of G_l Λ."""
        out = np.empty_like(self._values)
        for factor, places in zip(factors, self._of_term, strict=True):
            by_level = self._values[places].reshape(-1, len(factor.T), self.remainder.k)
            out[places] = (factor.T.T @ by_level).reshape(-1, self.remainder.k)
        return out

    def factorize(self, R: Floats, factors: Sequence[Factor]) -> FactoredDense:
        """See `Schur`."""
        H = self._within.copy()
        self._add(R, H)
        return FactoredDense(self, H, factors)


class FactoredDense:
    """S = I + ΛᵀHΛ at one θ, dense."""

    def __init__(self, schur: DenseSchur, H: Floats, factors: Sequence[Factor]) -> None:
        self._schur, self._factors = schur, factors
        self._starts, self._sizes = schur.remainder.starts, schur.remainder.sizes
        self._H, self._HT = H, times_factors(H, factors, self._starts)
        S = transpose_apply_factors(factors, self._HT, self._starts)
        S[np.diag_indices_from(S)] += 1.0
        with threads_for(len(S)):
            self._chol, info = lapack.dpotrf(S.T, lower=0, overwrite_a=1, clean=0)
        diagonal = np.diag(self._chol)
        if info != 0 or not np.isfinite(diagonal).all():
            raise NotPositiveDefiniteError(f"the Schur complement has no Cholesky factor (pivot {info})")
        self.logdet = 2.0 * float(np.log(diagonal).sum())
        self._kept: Floats | None = None
        self._slopes: list[Floats] | None = None

    @property
    def _inverse(self) -> Floats:
        """S⁻¹, symmetric."""
        if self._kept is None:
            with threads_for(len(self._chol)):
                inverse, info = lapack.dpotri(self._chol, lower=0)
            if info != 0:
                raise NotPositiveDefiniteError("the Schur complement cannot be inverted")
            self._kept = inverse.T
            _kernels.symmetrize(self._kept)
        return self._kept

    def remaining(self, terms: tuple[int, ...]) -> Remaining:
        """See `FactoredSchur`."""
        return Remaining(terms, self._starts, self._H, self._reduction, self._shrinkage)

    @property
    def _reduction(self) -> Floats:
        """P = Λ S⁻¹ Λᵀ."""
        half = apply_factors(self._factors, self._inverse, self._starts)
        return apply_factors(self._factors, np.ascontiguousarray(half.T), self._starts)

    @property
    def _shrinkage(self) -> Floats:
        """N = I − PH, by Λ S⁻¹ Λ⁻¹ where Λ can be divided by, which keeps more digits for a large Λ."""
        inverses = []
        for factor, k, start, end in zip(self._factors, self._sizes, self._starts[:-1], self._starts[1:], strict=True):
            size = np.sqrt(np.maximum(np.einsum("laa->a", self._blocks(self._H, k, start, end)), np.finfo(float).tiny))
            inverse = regular_inverse(factor.T, 1.0 / size)
            if inverse is None:
                return np.eye(len(self._H)) - self._reduction @ self._H
            inverses.append(Factor(inverse, np.empty(0)))
        half = apply_factors(self._factors, self._inverse, self._starts)
        return times_factors(half, inverses, self._starts)

    def effects(self, c: Floats) -> Floats:
        """See `FactoredSystem`."""
        right = transpose_apply_factors(self._factors, c, self._starts)
        return np.ascontiguousarray(lapack.dpotrs(self._chol, right, lower=0)[0])

    def slopes(self) -> list[Floats]:
        """See `FactoredSystem`."""
        if self._slopes is None:
            spans = zip(self._sizes, self._starts[:-1], self._starts[1:], strict=True)
            self._slopes = [summed_product(self._HT[a:b], self._inverse[a:b], k) for k, a, b in spans]
        return self._slopes

    def traces(self) -> list[Floats]:
        """See `FactoredSystem`."""
        found = []
        spans = zip(self._factors, self.slopes(), self._sizes, self._starts[:-1], self._starts[1:], strict=True)
        for factor, slope, k, start, end in spans:
            diagonal = self._blocks(self._H, k, start, end)
            size = np.sqrt(np.maximum(np.einsum("laa->a", diagonal), np.finfo(float).tiny))
            if regular_inverse(factor.T, 1.0 / size) is not None:
                found.append(traces_from_slopes(slope, factor.T))
                continue
            left = self._HT[start:end]
            P = diagonal.sum(axis=0) - summed_product(left @ self._inverse, left, k)
            found.append(0.5 * (P + P.T))
        return found

    def variances(self) -> list[Floats]:
        """See `FactoredSystem`."""
        spans = zip(self._factors, self._sizes, self._starts[:-1], self._starts[1:], strict=True)
        return [f.T @ self._blocks(self._inverse, k, start, end) @ f.T.T for f, k, start, end in spans]

    def squares(self, columns: int) -> None:
        """See `FactoredSystem`."""

    def forms(self) -> Floats:
        """See `FactoredSchur`."""
        return self._schur.forms(self._factors, self._inverse)

    @staticmethod
    def _blocks(A: Floats, k: int, start: int, end: int) -> Floats:
        """The diagonal blocks of A over one term, shape (levels, k, k)."""
        first = np.arange(start, end, k)[:, None, None]
        return np.asarray(A[first + np.arange(k)[:, None], first + np.arange(k)])


def times_factors(A: Floats, factors: Sequence[Factor], starts: Sequence[int]) -> Floats:
    """A Λ; A of shape (m, r)."""
    if len(factors) == 1 and len(factors[0].T) == 1:
        return np.asarray(A * factors[0].T[0, 0])
    if all(len(factor.T) == 1 for factor in factors):
        return np.asarray(A * np.repeat([factor.T[0, 0] for factor in factors], np.diff(starts)))
    out = np.empty_like(A)
    for factor, start, end in zip(factors, starts[:-1], starts[1:], strict=True):
        out[:, start:end] = (A[:, start:end].reshape(-1, len(factor.T)) @ factor.T).reshape(len(A), -1)
    return out


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    """Pairs of entries of two meetings that share an eliminated level, and the place of their product in a block."""

    t: int
    s: int
    first: Ints
    second: Ints
    levels: Ints
    place: Ints


class SparseSchur:
    """
    H and S by blocks of levels that meet in an eliminated level, S factorised by CHOLMOD.

    Parameters
    ----------
    remainder : Remainder
    """

    kind = "sparse"

    def __init__(self, remainder: Remainder) -> None:
        self.remainder = remainder
        self._pairs: list[_Pairs] = []
        self._blocks: list[Block] = []
        for t in range(len(remainder.sizes)):
            for s in range(t + 1):
                self._add_blocks(t, s)
        self.matrix = SparseMatrix(self._blocks, remainder.sizes, remainder.starts)
        eye = np.broadcast_to(np.eye(remainder.k), (remainder.levels, remainder.k, remainder.k))
        through = self._through(eye)
        direct = [self._direct(block) for block in self._blocks]
        self._within = [a - b for a, b in zip(direct, through, strict=True)]

    def _add_blocks(self, t: int, s: int) -> None:
        """All pairs between two terms; within a term, each level with itself apart from two different ones."""
        left, right = self.remainder.meetings[t], self.remainder.meetings[s]
        first, second = _join(left.levels, right.levels, self.remainder.levels)
        i, j = left.others[first], right.others[second]
        if t != s:
            self._add_block(t, s, first, second, diagonal=False)
            return
        self._add_block(t, s, first[i == j], second[i == j], diagonal=True)
        if (i > j).any():
            self._add_block(t, s, first[i > j], second[i > j], diagonal=False)

    def _add_block(self, t: int, s: int, first: Ints, second: Ints, diagonal: bool) -> None:
        left, right = self.remainder.meetings[t], self.remainder.meetings[s]
        width = int(right.others.max()) + 1
        met, place = np.unique(left.others[first] * width + right.others[second], return_inverse=True)
        rows, columns = np.divmod(met, width)
        empty = np.zeros((len(rows), self.remainder.sizes[t], self.remainder.sizes[s]))
        self._blocks.append(Block(t, s, rows, columns, empty, diagonal))
        self._pairs.append(_Pairs(t, s, first, second, left.levels[first], place))

    def _direct(self, block: Block) -> Floats:
        """The block's part of ZᵀWZ."""
        out = block.values.copy()
        for known in self.remainder.blocks:
            if (known.t, known.s) == (block.t, block.s) and known.diagonal == block.diagonal:
                width = int(max(known.columns.max(), block.columns.max())) + 1
                where = np.searchsorted(block.rows * width + block.columns, known.rows * width + known.columns)
                out[where] = known.values
        return out

    def _through(self, R: Floats) -> list[Floats]:
        """Σ_l G_lᵀ R_l G_l, block by block."""
        meetings = self.remainder.meetings
        weighted = [batched(R[meeting.levels], meeting.values) for meeting in meetings]
        found = []
        for block, pairs in zip(self._blocks, self._pairs, strict=True):
            products = meetings[pairs.t].values[pairs.first].transpose(0, 2, 1) @ weighted[pairs.s][pairs.second]
            found.append(_sums(products, pairs.place, len(block.rows)))
        return found

    def factorize(self, R: Floats, factors: Sequence[Factor]) -> FactoredSparseSchur:
        """See `Schur`."""
        H = [within + through for within, through in zip(self._within, self._through(R), strict=True)]
        return FactoredSparseSchur(self, self.matrix.factorize(factors, H), factors)

    def forms(self, Q: Sequence[Floats]) -> Floats:
        """G_l Q G_lᵀ of every level, Q by blocks."""
        meetings, remainder = self.remainder.meetings, self.remainder
        total = np.zeros((remainder.levels, remainder.k, remainder.k))
        for block, pairs, values in zip(self._blocks, self._pairs, Q, strict=True):
            left, right = meetings[pairs.t].values[pairs.first], meetings[pairs.s].values[pairs.second]
            sums = _sums(left @ values[pairs.place] @ right.transpose(0, 2, 1), pairs.levels, remainder.levels)
            total += sums if block.diagonal else sums + sums.transpose(0, 2, 1)
        return total


class FactoredSparseSchur:
    """S at one θ, sparse."""

    def __init__(self, schur: SparseSchur, factored: FactoredSparse, factors: Sequence[Factor]) -> None:
        self._schur, self._factored, self._factors = schur, factored, factors
        self.logdet, self.effects = factored.logdet, factored.effects
        self.slopes, self.traces, self.variances = factored.slopes, factored.traces, factored.variances
        self.squares = factored.squares

    def remaining(self, terms: tuple[int, ...]) -> None:
        """See `FactoredSchur`."""

    def forms(self) -> Floats:
        """See `FactoredSchur`."""
        blocks = zip(self._schur.matrix.blocks, self._factored.inverse_blocks(), strict=True)
        return self._schur.forms([self._factors[b.t].T @ v @ self._factors[b.s].T.T for b, v in blocks])


def _join(left: Ints, right: Ints, levels: int) -> tuple[Ints, Ints]:
    """All pairs (i, j) with left[i] = right[j]; both ascending."""
    counts, firsts = np.bincount(right, minlength=levels), np.searchsorted(right, np.arange(levels))
    repeats = counts[left]
    first = np.repeat(np.arange(len(left)), repeats)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return first, firsts[left][first] + offset


def _sums(values: Floats, places: Ints, size: int) -> Floats:
    """Sums of matrices by place: (pairs, a, b) → (size, a, b)."""
    out = np.empty((size, *values.shape[1:]))
    for a in range(values.shape[1]):
        for b in range(values.shape[2]):
            out[:, a, b] = np.bincount(places, weights=values[:, a, b], minlength=size)
    return out
