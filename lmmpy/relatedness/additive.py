"""A = T D Tᵀ of a pedigree, held as parents and Mendelian sampling variances; A itself is never formed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.errors import DataError, shown
from lmmpy.relatedness import _pedigree
from lmmpy.relatedness.covariance import Dense
from lmmpy.relatedness.form import Floats, Form, Labels, Scattered
from lmmpy.relatedness.labels import Ints
from lmmpy.relatedness.rows import Int32

__all__ = ["Descent", "PedigreeForm"]

_WIDTH = 8  # columns that the compiled loop follows together


@dataclass(frozen=True, eq=False, slots=True)
class Descent:
    """
    Who descends from whom, and how much of each is new: level i is ½ father + ½ mother + a part of variance D_i.

    Attributes
    ----------
    father, mother : ndarray of int32, shape (n,)
        Before their children; −1 where unknown.
    D : ndarray, shape (n,)
        Mendelian sampling variances.
    diagonal : ndarray, shape (n,)
        Of T D Tᵀ; 1 + F for additive relationships.
    """

    father: Int32
    mother: Int32
    D: Floats
    diagonal: Floats

    def with_ancestors(self, at: NDArray[np.integer]) -> Ints:
        """Some levels and all their ancestors, ascending."""
        return ancestors(self.father, self.mother, at)

    def taken(self, keep: Ints) -> tuple[Descent, Int32]:
        """Some levels, none of whose parents is left out; and the new number of each old level, the last for −1."""
        new = np.full(len(self.D) + 1, -1, dtype=np.int32)
        new[keep] = np.arange(len(keep), dtype=np.int32)
        part = Descent(new[self.father[keep]], new[self.mother[keep]], self.D[keep], self.diagonal[keep])
        return part, new

    def pruned(self, needed: NDArray[np.uint8]) -> tuple[Descent, Ints]:
        """Without founders that are not needed and have one child; and who is left."""
        father, mother, D = self.father.copy(), self.mother.copy(), self.D.copy()
        keep = np.ones(len(D), dtype=np.uint8)
        _pedigree.prune(father, mother, D, needed, keep)
        left = np.flatnonzero(keep)
        return Descent(father, mother, D, self.diagonal).taken(left)[0], left


def ancestors(father: Int32, mother: Int32, at: NDArray[np.integer]) -> Ints:
    """Some levels and all their ancestors, ascending."""
    mark = np.zeros(len(father), dtype=np.uint8)
    _pedigree.mark_ancestors(father, mother, at.astype(np.int32), mark, np.empty(len(father), dtype=np.int32))
    return np.flatnonzero(mark)


class PedigreeForm(Form):
    """The relationships of a pedigree's levels, ancestors first (Henderson 1976; Colleau 2002)."""

    kind = "pedigree"
    is_sparse = True

    def __init__(self, descent: Descent, labels: Labels) -> None:
        self.descent, self.labels, self.size = descent, labels, len(descent.D)

    def _refuse_singular(self) -> None:
        zero = np.flatnonzero(self.descent.D <= 0.0)
        if len(zero):
            names = shown(self.labels[i] for i in zero) if self.labels is not None else shown(zero)
            raise DataError(
                f"The pedigree's relationship matrix is singular: {names} have no Mendelian sampling variance, since "
                "their parents are completely inbred. Give them one id with such a parent."
            )

    @cached_property
    def precision(self) -> Scattered:
        self._refuse_singular()
        d, n = self.descent, self.size
        room = int(((1 + (d.father >= 0) + (d.mother >= 0)) ** 2).sum())
        pointers = np.empty(n + 1, dtype=np.int32)
        rows, more_rows = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
        values, more_values = np.empty(room), np.empty(room)
        count = _pedigree.precision(d.father, d.mother, d.D, pointers, rows, values, more_rows, more_values)
        P = sparse.csc_array((values[:count].copy(), rows[:count].copy(), pointers), shape=(n, n))
        P.has_canonical_format = True
        return P

    @cached_property
    def logdet(self) -> float:
        D = self.descent.D
        return float(np.log(D).sum()) if (D > 0.0).all() else -np.inf

    def dense(self) -> Floats:
        self.refuse_dense("K")
        A = np.zeros((self.size, self.size))
        d = self.descent
        _pedigree.dense(d.father, d.mother, d.diagonal, A)
        return A

    def times(self, values: Floats) -> Floats:
        columns = np.array(values, dtype=np.float64, order="C").reshape(self.size, -1)
        d = self.descent
        _pedigree.Tt_times(d.father, d.mother, columns)
        columns *= d.D[:, None]
        _pedigree.T_times(d.father, d.mother, columns)
        return columns.reshape(np.shape(values))

    def root_times(self, values: Floats) -> Floats:
        columns = np.array(values, dtype=np.float64, order="C").reshape(self.size, -1)
        d = self.descent
        columns *= np.sqrt(d.D)[:, None]
        _pedigree.T_times(d.father, d.mother, columns)
        return columns.reshape(np.shape(values))

    def block(self, rows: Ints, columns: Ints) -> Floats:
        rows, columns = np.asarray(rows, dtype=np.intp), np.asarray(columns, dtype=np.intp)
        if len(rows) < len(columns):
            return self.block(columns, rows).T
        part, new = self.descent.taken(self.descent.with_ancestors(np.concatenate([rows, columns])))
        at, wanted = new[rows], new[columns]
        out = np.empty((len(rows), len(columns)))
        V = np.empty((len(part.D), _WIDTH))
        for start in range(0, len(columns), _WIDTH):
            batch = wanted[start : start + _WIDTH]
            _pedigree.columns_of_A(part.father, part.mother, part.D, batch, V)
            out[:, start : start + len(batch)] = V[at, : len(batch)]
        return out

    def diagonal(self) -> Floats:
        return self.descent.diagonal.copy()

    @cached_property
    def _components(self) -> Ints:
        return families(self.descent.father, self.descent.mother)

    def components(self) -> Ints:
        return self._components

    @property
    def is_scaled_identity(self) -> bool:
        d = self.descent
        return bool((d.father < 0).all() and (d.mother < 0).all() and (d.D == d.D[0]).all())

    def taken(self, at: Ints) -> Form:
        return Dense(self.block(at, at), self.taken_labels(at))

    def needed(self, at: Ints) -> Form:
        """These levels and the ancestors that link them; a founder with one child links nobody."""
        kept = self.descent.with_ancestors(at)
        part, new = self.descent.taken(kept)
        needed = np.zeros(len(kept), dtype=np.uint8)
        needed[new[at]] = 1
        pruned, left = part.pruned(needed)
        return PedigreeForm(pruned, self.taken_labels(kept[left]))


def families(father: Int32, mother: Int32) -> Ints:
    """Number of the connected group of each level, shape (n,), numbered by their first members."""
    n = len(father)
    child = np.arange(n, dtype=np.int32)
    links = np.concatenate([father, mother]) >= 0
    ends = (np.concatenate([child, child])[links], np.concatenate([father, mother])[links])
    graph = sparse.csr_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(n, n))
    return sparse.csgraph.connected_components(graph, directed=False)[1].astype(np.intp)
