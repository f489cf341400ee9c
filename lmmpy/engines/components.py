"""The connected components of a design: what rows and levels have to do with each other, and what has not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lmmpy.design import Design, RowCovariance
from lmmpy.relatedness import Relatedness

__all__ = ["STACKED", "Components", "connected_components", "related_groups", "stacks_of_equal"]

Ints = NDArray[np.intp]

# Blocks up to this order are worked on as stacks by numpy, without Python.
STACKED = 60
# Numbers in a stack: 64 MB.
_STACK = 8_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Components:
    """
    Rows that share a level of any term, or have levels that are related, are in one component; so are the levels.

    So are rows of one group of the residual, and those that a random function relates.

    Between components V is zero, and so is the covariance of effects given y.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Number of each row's component.
    levels : tuple of ndarray of int, each of shape (levels,)
        For each term the component of each level; that of a level without records may have no rows.
    """

    rows: Ints
    levels: tuple[Ints, ...]

    @property
    def largest(self) -> int:
        """Rows of the largest one."""
        return int(np.bincount(self.rows).max(initial=0))

    def ranks(self, t: int) -> Ints:
        """Place of each level of term t among those of its component, shape (levels,)."""
        of_level = self.levels[t]
        order = np.argsort(of_level, kind="stable")
        ordered = of_level[order]
        ranks = np.empty(len(order), dtype=np.intp)
        ranks[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        return ranks


def connected_components(design: Design) -> Components:
    """
    Find them.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Components
    """
    codes = [term.codes for term in design.random]
    groups = [related_groups(term.relatedness) for term in design.random]
    for between in design.row_covariances:
        codes.append(np.arange(design.n))
        groups.append(_groups_of_rows(between))
    if not groups:
        return Components(np.arange(design.n), ())
    if len(groups) > 1:
        nodes = np.cumsum([0, *(int(group.max(initial=-1)) + 1 for group in groups)])
        groups = [node + group for node, group in zip(nodes, groups, strict=False)]
        first, size = groups[0][codes[0]], int(nodes[-1])
        others = np.concatenate([group[code] for group, code in zip(groups[1:], codes[1:], strict=True)])
        pairs = np.tile(first, len(groups) - 1), others
        graph = sparse.csr_array(sparse.coo_array((np.ones(len(others)), pairs), shape=(size, size)))
        numbers = csgraph.connected_components(graph, directed=False)[1]
        groups = [np.asarray(numbers[group], dtype=np.intp) for group in groups]
    return Components(groups[0][codes[0]], tuple(groups[: len(design.random)]))


def related_groups(relatedness: Relatedness) -> Ints:
    """Number of the group of related levels of each level, shape (levels,)."""
    return np.arange(relatedness.size) if relatedness.is_identity else relatedness.components()


def _groups_of_rows(between: RowCovariance) -> Ints:
    """Rows that one covariance between rows may connect, numbered from zero, shape (n,)."""
    numbers = np.unique(between.groups, return_inverse=True)[1].astype(np.intp)
    if between.relatedness is None or between.codes is None:
        return numbers
    related = related_groups(between.relatedness)[between.codes]
    both = numbers * (int(related.max(initial=0)) + 1) + related
    return np.asarray(np.unique(both, return_inverse=True)[1], dtype=np.intp)


def stacks_of_equal(components: Ints) -> tuple[Ints, list[tuple[slice, int]]]:
    """
    Put the members of components together, small components of one size one after the other.

    Parameters
    ----------
    components : ndarray of int, shape (n,)
        Number of the component of each.

    Returns
    -------
    order : ndarray of int, shape (n,)
        The members, component by component.
    stacks : list of (slice, int)
        Places in that order of components of one size, and the size; a large one is alone.
    """
    sizes = np.bincount(components)[components]
    order = np.lexsort((components, sizes))
    ordered = sizes[order]
    edges = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(ordered)]
    stacks = []
    for start, end in itertools.pairwise(edges):
        r = int(ordered[start])
        step = r * (max(1, _STACK // r**2) if r <= STACKED else 1)
        stacks += [(slice(first, min(first + step, end)), r) for first in range(start, end, step)]
    return order, stacks
