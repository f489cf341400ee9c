"""Covariances between rows as parts of Ṽ: the pairs of rows that have any, and what a likelihood asks of them.

A residual is R̃_ij = r_ij/(s_i s_j) with s the typical standard deviations of the rows, which the internal weights w/s²
have taken up (see `coordinates`); a random function is r_ij K_ij √(w_i w_j)/(s_i s_j). Each is kept on the pairs of
rows where it may be other than zero, a pair once, so that structures never see more than those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import Pairs, PairValues
from lmmpy.design import Design, RowCovariance
from lmmpy.engines.between_rows import between_levels
from lmmpy.engines.components import related_groups, stacks_of_equal
from lmmpy.errors import ModelError

__all__ = ["RowPart", "RowValues", "row_parts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# More pairs than these have no room (six arrays of half a GiB).
_MOST_PAIRS = 60_000_000


@dataclass(frozen=True, eq=False)
class RowPart:
    """
    One covariance between rows, for any φ.

    Attributes
    ----------
    pairs : Pairs
        The rows of each pair, as the structure knows them.
    first, second : ndarray of int, shape (m,)
        Their places among the coordinates of the system; no pair occurs twice, in either order.
    multiplier : ndarray, shape (m,)
        What r is multiplied by.
    size : int
        Number of coordinates.
    """

    pairs: Pairs
    first: Ints
    second: Ints
    multiplier: Floats
    size: int

    @cached_property
    def counts(self) -> Floats:
        """How often each pair occurs in the matrix, times its multiplier."""
        return np.where(self.first == self.second, 1.0, 2.0) * self.multiplier

    @cached_property
    def _pattern(self) -> tuple[Ints, Ints, Ints]:
        """The whole matrix row by row: the pair, the column of each number, and where rows begin."""
        off = np.flatnonzero(self.first != self.second)
        pair = np.concatenate([np.arange(len(self.first)), off])
        rows = np.concatenate([self.first, self.second[off]])
        columns = np.concatenate([self.second, self.first[off]])
        order = np.lexsort((columns, rows))
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=self.size))])
        return pair[order], columns[order], starts

    def times(self, entries: Floats, v: Floats) -> Floats:
        """The matrix with these entries at the pairs, shape (m,), times some columns."""
        pair, columns, starts = self._pattern
        return np.asarray(sparse.csr_array((entries[pair], columns, starts), shape=(self.size, self.size)) @ v)

    def products(self, columns: Floats) -> Floats:
        """(c cᵀ) summed over some columns c, at the pairs."""
        found = np.zeros(len(self.first))
        for c in columns.T:
            found += c[self.first] * c[self.second]
        return found

    def at(self, phi: Floats) -> RowValues:
        """The covariance at φ."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.pairs.at(phi)
            return RowValues(self, values, self.multiplier * values.values, len(phi))


@dataclass(frozen=True, eq=False, slots=True)
class RowValues:
    """
    A covariance between rows at one φ.

    Attributes
    ----------
    part : RowPart
    values : PairValues
        r at the pairs.
    entries : ndarray, shape (m,)
        The part of Ṽ at the pairs.
    n_phi : int
        Number of parameters.
    """

    part: RowPart
    values: PairValues
    entries: Floats
    n_phi: int

    def times(self, v: Floats) -> Floats:
        """The part of Ṽ times some columns."""
        return self.part.times(self.entries, v)

    def slopes_times(self, v: Floats) -> list[Floats]:
        """∂Ṽ/∂φ_i times some columns, for each i."""
        return [self.part.times(self.part.multiplier * self.values.slope(i), v) for i in range(self.n_phi)]

    def contract(self, weights: Floats) -> Floats:
        """⟨S, ∂Ṽ/∂φ_i⟩ of a symmetric S by its entries at the pairs, shape (n_φ,)."""
        return self.values.contract(self.part.counts * weights)

    def bend(self, weights: Floats) -> Floats:
        """⟨S, ∂²Ṽ/∂φ_i∂φ_j⟩ of the same, shape (n_φ, n_φ)."""
        return self.values.bend(self.part.counts * weights)


def row_parts(design: Design, places: Ints) -> tuple[RowPart, ...]:
    """
    Prepare the covariances between rows of a design, pairs of rows ordered by the place of the first.

    Parameters
    ----------
    design : Design
        In the coordinates of the engine, with its internal weights.
    places : ndarray of int, shape (n,)
        Place of each row among the coordinates of the system.

    Returns
    -------
    tuple of RowPart
        In the order of `design.row_covariances`.

    Raises
    ------
    ModelError
        When they have no room.
    """
    found = []
    for rows in design.row_covariances:
        i, j, multiplier = _residual_pairs(rows) if rows.relatedness is None else _function_pairs(rows, design)
        swap = places[i] > places[j]
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        order = np.lexsort((places[j], places[i]))
        i, j, multiplier = i[order], j[order], multiplier[order]
        found.append(RowPart(rows.structure.between(i, j), places[i], places[j], multiplier, design.n))
    return tuple(found)


def _residual_pairs(rows: RowCovariance) -> tuple[Ints, Ints, Floats]:
    i, j = _pairs_within(rows.groups, rows.name)
    return i, j, 1.0 / (rows.typical[i] * rows.typical[j])


def _function_pairs(rows: RowCovariance, design: Design) -> tuple[Ints, Ints, Floats]:
    """Rows of one group whose levels are related; K by blocks of related levels."""
    assert rows.codes is not None and rows.relatedness is not None
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    of_row = related_groups(rows.relatedness)[rows.codes]
    _check_room(of_row, rows.name)
    order, stacks = stacks_of_equal(_numbered(of_row))
    firsts, seconds, values = [], [], []
    for place, r in stacks:
        members = order[place].reshape(-1, r)
        a, b = np.triu_indices(r)
        K = between_levels(rows.relatedness, rows.codes[members])[:, a, b]
        i, j = members[:, a], members[:, b]
        kept = (K != 0.0) & (rows.groups[i] == rows.groups[j])
        firsts.append(i[kept])
        seconds.append(j[kept])
        values.append(K[kept])
    i, j = np.concatenate(firsts), np.concatenate(seconds)
    return i, j, np.concatenate(values) * root[i] * root[j]


def _pairs_within(groups: Ints, name: str) -> tuple[Ints, Ints]:
    """All pairs of members of one group, each with itself too."""
    _check_room(groups, name)
    order, stacks = stacks_of_equal(_numbered(groups))
    firsts, seconds = [], []
    for place, r in stacks:
        members = order[place].reshape(-1, r)
        a, b = np.triu_indices(r)
        firsts.append(members[:, a].ravel())
        seconds.append(members[:, b].ravel())
    return np.concatenate(firsts), np.concatenate(seconds)


def _numbered(groups: Ints) -> Ints:
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)


def _check_room(groups: Ints, name: str) -> None:
    sizes = np.unique(groups, return_counts=True)[1].astype(float)
    pairs = float((0.5 * sizes * (sizes + 1.0)).sum())
    if pairs > _MOST_PAIRS:
        raise ModelError(
            f"{name}: {pairs:,.0f} pairs of rows may covary, the largest group has {int(sizes.max()):,} rows; there is "
            f"room for {_MOST_PAIRS:,} pairs. Give smaller groups."
        )
