"""Groups of related levels: the connected components of K's pattern."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.relatedness.labels import Ints

__all__ = ["dense_components", "members"]


def dense_components(K: NDArray[np.float64]) -> Ints:
    """
    Number of the group of each level of a dense symmetric K, shape (n,), groups numbered by their first members.

    Rows are looked at only while levels remain unplaced: one row is enough where all are related.
    """
    n = len(K)
    number = np.full(n, -1, dtype=np.intp)
    left = n
    for first in range(n):
        if number[first] >= 0:
            continue
        number[first], left = first, left - 1
        waiting = [first]
        while waiting and left:
            new = np.flatnonzero((K[waiting.pop()] != 0.0) & (number < 0))
            number[new] = first
            left -= len(new)
            waiting.extend(new.tolist())
        if not left:
            break
    return np.unique(number, return_inverse=True)[1].astype(np.intp)


def members(components: Ints) -> list[Ints]:
    """The levels of each group, ascending, group by group."""
    order = np.argsort(components, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(components[order])) + 1) if len(order) else []
