"""K as it was given: a dense array, or a sparse one whose families are its blocks."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from lmmpy.errors import DataError, RelatednessWarning, shown
from lmmpy.relatedness.components import dense_components, members
from lmmpy.relatedness.definite import (
    ASYMMETRY,
    INDEFINITE,
    Verdict,
    asymmetry,
    checked_diagonal,
    judge_all,
    judge_values,
    lower_root,
)
from lmmpy.relatedness.form import Floats, Form, Labels, Scattered, name_of
from lmmpy.relatedness.labels import Ints
from lmmpy.relatedness.rounding import rounding_of

__all__ = ["Covariance", "Dense", "SparseCovariance"]


class Covariance(Form):
    """
    A K that is at hand entry by entry; checked when its numbers are first used, and only the levels that are used.

    Symmetry, finiteness and the diagonal are checked by `symmetric`, definiteness by `matrix` (a Cholesky factorisation
    of each block) or by `spectrum`, whichever comes first.
    """

    raw: Any

    @cached_property
    @abstractmethod
    def symmetric(self) -> Any:
        """K, symmetric to the last bit."""

    @abstractmethod
    def _connected(self) -> Ints:
        """Number of the group of each level."""

    @cached_property
    def _components(self) -> Ints:
        return self._connected()

    def components(self) -> Ints:
        return self._components

    def diagonal(self) -> Floats:
        return np.array(self.symmetric.diagonal())

    @abstractmethod
    def blocks(self, K: Any) -> Iterator[tuple[Ints, Floats]]:
        """Members and dense block of each group of related levels."""

    @abstractmethod
    def replaced(self, blocks: dict[int, Floats]) -> Any:
        """K with some of its blocks replaced, by their numbers."""

    @cached_property
    def _groups(self) -> list[Ints]:
        return members(self.components())

    @cached_property
    def _checked(self) -> tuple[Any, float]:
        """K, projected where rounding made it indefinite, and log|K|."""
        K, logdet, smallest, decimals = self.symmetric, 0.0, np.inf, 0
        projected = {}
        blocks = [block for _, block in self.blocks(K)]
        for number, verdict in enumerate(judge_all(blocks)):
            block = blocks[number]
            logdet += verdict.logdet
            if verdict.changes:
                smallest = min(smallest, verdict.smallest)
                decimals = max(decimals, self._refuse_indefinite(verdict, block))
                values, vectors = np.linalg.eigh(block)
                projected[number] = (vectors * np.maximum(values, 0.0)) @ vectors.T
        if projected:
            self._warn(smallest, decimals)
            K = self.replaced(projected)
        return K, logdet

    @property
    def usable(self) -> Any:
        """K as far as it has been checked; for parts of it, which are checked by themselves."""
        return self._checked[0] if "_checked" in self.__dict__ else self.raw

    def __getstate__(self) -> dict[str, Any]:
        """One array, with what is known of it."""
        state: dict[str, Any] = {"raw": self.usable, "labels": self.labels, "size": self.size}
        if "_warned" in self.__dict__:
            state["_warned"] = True
        if "_checked" in self.__dict__:
            state["_checked"], state["symmetric"] = self._checked, self._checked[0]
        return state

    def _refuse_indefinite(self, verdict: Verdict, block: Floats) -> int:
        """Refuse what no rounding explains; else the decimals of the rounding, 0 where they need not be known."""
        if verdict.smallest >= -INDEFINITE:
            return 0
        decimals, allowance = rounding_of(block)
        if verdict.smallest * float(block.diagonal().mean()) >= -allowance and decimals:
            return decimals
        explained = f"rounding to {decimals} decimals" if decimals else "rounding"
        raise DataError(
            f"K ({self.size} levels) is not positive semi-definite: its smallest eigenvalue is "
            f"{verdict.smallest:.6g} times the mean of its diagonal, far below what {explained} explains. No random "
            "effects have such covariances. Was it put together from pieces of different studies, or thresholded "
            "(small values set to zero)? Take the matrix before that."
        )

    def _warn(self, smallest: float, decimals: int) -> None:
        if not getattr(self, "_warned", False):
            self._warned = True
            rounding = f"its entries being rounded to {decimals} decimals" if decimals else "rounding"
            warnings.warn(
                f"K ({self.size} levels) has negative eigenvalues from {rounding}, the smallest {smallest:.3g} times "
                "the mean of its diagonal; they are set to zero. Write the matrix with more digits to be rid of this.",
                RelatednessWarning,
                stacklevel=2,
            )

    @property
    def matrix(self) -> Any:
        """K, checked."""
        return self._checked[0]

    @property
    def logdet(self) -> float:
        return self._checked[1]

    @cached_property
    def precision(self) -> Scattered:
        if self.logdet == -np.inf:
            self._refuse_singular()
        rows, columns, values = [], [], []
        for group, block in self.blocks(self.matrix):
            half = np.linalg.solve(np.linalg.cholesky(block), np.eye(len(group)))
            rows.append(np.repeat(group, len(group)))
            columns.append(np.tile(group, len(group)))
            values.append((half.T @ half).ravel())
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        P = sparse.coo_array(entries, shape=(self.size, self.size)).tocsc()
        P.sort_indices()
        return P

    def _refuse_singular(self) -> None:
        same = []
        for group, block in self.blocks(self.matrix):
            _, first, counts = np.unique(np.round(block, 9), axis=0, return_inverse=True, return_counts=True)
            for twins in np.flatnonzero(counts > 1)[:5]:
                same.append(" = ".join(name_of(self.labels, i) for i in group[first.ravel() == twins][:4]))
        advice = (
            f"Levels with equal rows, as of duplicated samples or identical twins: {shown(same)}. Give those one id."
            if same
            else "No two rows are equal; it has fewer dimensions than levels, as a matrix from few markers or one that "
            "was centred."
        )
        raise DataError(f"K ({self.size} levels) is singular and has no inverse. {advice}")

    def root_times(self, values: Floats) -> Floats:
        out = np.zeros((self.size, *values.shape[1:]))
        for group, block in self.blocks(self.matrix):
            L = lower_root(block) if self.logdet > -np.inf else None
            if L is not None:
                out[group] = np.tril(L) @ values[group]
            else:
                eigenvalues, vectors = np.linalg.eigh(block)
                out[group] = vectors @ (np.sqrt(np.maximum(eigenvalues, 0.0)) * (vectors.T @ values[group]).T).T
        return out

    def spectrum(self) -> tuple[Floats, Floats]:
        """Eigenvalues and vectors of K; checks definiteness by the way, if nothing has done so before."""
        self.refuse_dense("K")
        K = self.symmetric if isinstance(self.symmetric, np.ndarray) else self.symmetric.toarray()
        values, vectors = np.linalg.eigh(K)
        verdict = judge_values(values, float(K.diagonal().mean()))
        if verdict.changes:
            self._warn(verdict.smallest, self._refuse_indefinite(verdict, K))
        return np.maximum(values, 0.0), vectors


class Dense(Covariance):
    """K as an array of shape (size, size); the caller's, of which nothing is copied while it is used whole."""

    kind = "dense"

    def __init__(self, K: Floats, labels: Labels = None) -> None:
        self.raw, self.labels, self.size = K, labels, len(K)

    @cached_property
    def symmetric(self) -> Floats:
        K: Floats = self.raw
        if not np.isfinite(K.sum()):
            wrong = np.argwhere(~np.isfinite(K))
            if len(wrong):
                _refuse_entries(wrong, [K[i, j] for i, j in wrong[:5]], self.labels)
        diagonal = K.diagonal()
        checked_diagonal(diagonal, self.labels)
        gap, i, j = asymmetry(K)
        if gap > ASYMMETRY * diagonal.max():
            _refuse_asymmetry(float(K[i, j]), float(K[j, i]), i, j, self.labels)
        if gap > 0.0:
            K = (K + K.T) / 2.0
        K = K.view()
        K.flags.writeable = False
        return K

    def blocks(self, K: Floats) -> Iterator[tuple[Ints, Floats]]:
        if len(self._groups) == 1:
            yield self._groups[0], K
            return
        for group in self._groups:
            yield group, K[np.ix_(group, group)]

    def replaced(self, blocks: dict[int, Floats]) -> Floats:
        K: Floats = self.symmetric.copy()
        for number, block in blocks.items():
            group = self._groups[number]
            K[np.ix_(group, group)] = (block + block.T) / 2.0
        K.flags.writeable = False
        return K

    @property
    def is_scaled_identity(self) -> bool:
        K = self.symmetric
        diagonal = K.diagonal()
        return bool((diagonal == diagonal[0]).all()) and int(np.count_nonzero(K)) == self.size

    def dense(self) -> Floats:
        K: Floats = self.matrix
        return K

    def times(self, values: Floats) -> Floats:
        product: Floats = self.matrix @ values
        return product

    def block(self, rows: Ints, columns: Ints) -> Floats:
        if self._is_all(rows) and self._is_all(columns):
            whole: Floats = self.matrix.copy()
            return whole
        part: Floats = self.matrix[np.ix_(rows, columns)]
        return part

    def _is_all(self, levels: Ints) -> bool:
        return len(levels) == self.size and bool((levels == np.arange(self.size)).all())

    def _connected(self) -> Ints:
        return dense_components(self.symmetric)

    def taken(self, at: Ints) -> Form:
        if self._is_all(at):
            return self
        source = self.usable
        return Dense(source[np.ix_(at, at)], self.taken_labels(at))


class SparseCovariance(Covariance):
    """K as a scipy sparse matrix; what is not stored is unrelated."""

    kind = "sparse"

    def __init__(self, K: Scattered, labels: Labels = None) -> None:
        self.raw, self.labels, self.size = K, labels, K.shape[0]

    @cached_property
    def symmetric(self) -> Scattered:
        K = self.raw
        if not np.isfinite(K.data).all():
            entries = K.tocoo()
            wrong = np.flatnonzero(~np.isfinite(entries.data))
            places = np.column_stack([entries.row, entries.col])[wrong]
            _refuse_entries(places, list(entries.data[wrong[:5]]), self.labels)
        diagonal = K.diagonal()
        checked_diagonal(diagonal, self.labels)
        gap = abs(K - K.T).tocoo()
        worst = float(gap.data.max(initial=0.0))
        if worst > ASYMMETRY * diagonal.max():
            i, j = (int(index[gap.data.argmax()]) for index in (gap.row, gap.col))
            _refuse_asymmetry(float(K[i, j]), float(K[j, i]), i, j, self.labels)
        if worst > 0.0:
            K = (K + K.T) / 2.0
        return sorted_csc(K)

    def blocks(self, K: Scattered) -> Iterator[tuple[Ints, Floats]]:
        order = np.concatenate(self._groups) if self._groups else np.empty(0, dtype=np.intp)
        permuted = sorted_csc(K[order][:, order])
        start = 0
        for group in self._groups:
            stop = start + len(group)
            first, last = permuted.indptr[start], permuted.indptr[stop]
            block = np.zeros((len(group), len(group)))
            columns = np.repeat(np.arange(len(group)), np.diff(permuted.indptr[start : stop + 1]))
            block[permuted.indices[first:last] - start, columns] = permuted.data[first:last]
            yield group, block
            start = stop

    def replaced(self, blocks: dict[int, Floats]) -> Scattered:
        order = np.concatenate(self._groups)
        parts = [blocks.get(number, block) for number, (_, block) in enumerate(self.blocks(self.symmetric))]
        back = np.argsort(order)
        return sorted_csc(sparse.block_diag(parts, format="csc")[back][:, back])

    @property
    def is_scaled_identity(self) -> bool:
        diagonal = self.symmetric.diagonal()
        return bool((diagonal == diagonal[0]).all()) and int(np.count_nonzero(self.symmetric.data)) == self.size

    def dense(self) -> Floats:
        self.refuse_dense("K")
        K: Floats = self.matrix.toarray()
        return K

    def times(self, values: Floats) -> Floats:
        product: Floats = self.matrix @ values
        return product

    def block(self, rows: Ints, columns: Ints) -> Floats:
        part: Floats = self.matrix[:, columns][rows].toarray()
        return part

    def _connected(self) -> Ints:
        return sparse.csgraph.connected_components(self.symmetric, directed=False)[1].astype(np.intp)

    def taken(self, at: Ints) -> Form:
        if len(at) == self.size and (at == np.arange(self.size)).all():
            return self
        source = self.usable
        return SparseCovariance(sorted_csc(source[:, at][at]), self.taken_labels(at))


def sorted_csc(K: Any) -> Scattered:
    """A sparse matrix by columns, its rows in order, each entry once."""
    by_column = sparse.csc_array(K)
    by_column.sum_duplicates()
    return by_column


def _refuse_entries(places: Any, values: list[Any], labels: Labels) -> None:
    which = ", ".join(
        f"{name_of(labels, i)} with {name_of(labels, j)} ({value})"
        for (i, j), value in zip(places[:5], values, strict=True)
    )
    raise DataError(f"K must hold finite numbers; {len(places)} entries are not: {which}.")


def _refuse_asymmetry(above: float, below: float, i: int, j: int, labels: Labels) -> None:
    a, b = name_of(labels, i), name_of(labels, j)
    raise DataError(
        f"K is not symmetric: {a} with {b} is {above:.10g}, {b} with {a} is {below:.10g}. "
        "Are its rows and columns in the same order? If it holds one triangle, add the other."
    )
