"""Sharing by descent among the people of a fit, position by position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lmmpy.errors import DataError
from lmmpy.markers import IbdMap
from lmmpy.relatedness import Relatedness

__all__ = ["PeoplePairs", "SharingReader", "nearest_sharing"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# In place of the number of a person of a map whom the fit does not have.
_NOBODY = -1
# An eigenvalue below it, relative to the largest diagonal entry, is no rounding.
_NEGATIVE = -1e-8


@dataclass(frozen=True, eq=False, slots=True)
class PeoplePairs:
    """
    Sharing at one position among the people of a fit.

    Attributes
    ----------
    label : callable
        Says the position, for messages.
    first, second : ndarray of int, shape (m,)
        Numbers of people; everybody with himself is there, each pair once.
    ibd : ndarray, shape (m,)
    changed : bool
        Whether it was replaced by the nearest covariance.
    """

    label: Callable[[], str]
    first: Ints
    second: Ints
    ibd: Floats
    changed: bool = False

    def matrix(self, n: int) -> sparse.csc_array:
        """All of it, shape (n, n), n the number of people."""
        off = self.first != self.second
        rows = np.concatenate([self.first, self.second[off]])
        columns = np.concatenate([self.second, self.first[off]])
        return sparse.csc_array((np.concatenate([self.ibd, self.ibd[off]]), (rows, columns)), shape=(n, n))

    def relatedness(self, ids: tuple[str, ...]) -> Relatedness:
        """The same as the relatedness of a random term."""
        return Relatedness(self.matrix(len(ids)), labels=list(ids))

    def explained(self, error: DataError) -> DataError:
        """What a relatedness says against this sharing, with the position and what to do."""
        return DataError(
            f"Sharing at {self.label()}: {error} Sharing that was estimated pair by pair need not be a covariance; "
            "linkage(..., nearest=True) takes the nearest one."
        )


@dataclass(frozen=True, eq=False, slots=True)
class SharingReader:
    """
    The sharing among the people of a fit; pickles.

    Attributes
    ----------
    ibd : IbdMap
    people : ndarray of int, shape (people of the map,)
        Number of each person of the map among those of the fit; −1 who is not in it.
    alone : ndarray of int, shape (m,)
        People of the fit whom the map does not have, and who are related to nobody.
    nearest : bool
        Whether what is no covariance is replaced by the nearest one.
    """

    ibd: IbdMap
    people: Ints
    alone: Ints
    nearest: bool = False

    def __call__(self, number: int) -> PeoplePairs:
        """Sharing at a position."""
        first, second, ibd = self.ibd.pairs(number)
        one, other = self.people[first], self.people[second]
        kept = (one != _NOBODY) & (other != _NOBODY)
        one, other, ibd = one[kept], other[kept], ibd[kept]
        pairs = PeoplePairs(
            partial(self.ibd.label, number),
            np.concatenate([np.minimum(one, other), self.alone]),
            np.concatenate([np.maximum(one, other), self.alone]),
            np.concatenate([ibd, np.ones(len(self.alone))]),
        )
        n = int((self.people != _NOBODY).sum()) + len(self.alone)
        return nearest_sharing(pairs, n) if self.nearest else pairs


def nearest_sharing(pairs: PeoplePairs, n: int) -> PeoplePairs:
    """
    The same, or where it is no covariance the positive semi-definite matrix that is nearest in least squares.

    Negative eigenvalues of each group of relatives are set to zero (Higham 1988), which raises the diagonal a little.

    Parameters
    ----------
    pairs : PeoplePairs
    n : int
        Number of people.
    """
    K = pairs.matrix(n)
    groups = csgraph.connected_components(K, directed=False)[1]
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(groups))[:-1])
    rows, columns, values, changed = [], [], [], False
    dense = sparse.csr_array(K)
    for group in members:
        own = dense[group][:, group].toarray()
        eigenvalues, vectors = np.linalg.eigh(own)
        if eigenvalues[0] < _NEGATIVE * own.diagonal().max():
            own, changed = (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T, True
        i, j = np.nonzero(np.triu(own))
        rows.append(group[i])
        columns.append(group[j])
        values.append(own[i, j])
    if not changed:
        return pairs
    first, second = np.concatenate(rows), np.concatenate(columns)
    low, high = np.minimum(first, second).astype(np.intp), np.maximum(first, second).astype(np.intp)
    return PeoplePairs(pairs.label, low, high, np.concatenate(values), True)
