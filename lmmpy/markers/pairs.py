"""The sharing of pairs at one position: brought into one form, and refused where it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.errors import DataError, shown
from lmmpy.relatedness import Relatedness

__all__ = ["Floats", "Ints", "Pairs", "Plain", "checked_pairs", "relatedness_of_pairs", "sound_pairs"]

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]
# Files have 4 to 7 decimals: what the last of them may be wrong by.
_ROUNDING = 1e-4
_SAME = 1e-8


class Plain(str):
    """A text that `shown` leaves without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """
    Who shares how much at one position.

    Attributes
    ----------
    first, second : ndarray of intp, shape (m,)
        Numbers of people, first ≤ second; ordered by both, each pair once, everybody with himself.
    ibd : ndarray, shape (m,)
        Twice the probability that a random allele of each is the same by descent; not zero.
    """

    first: Ints
    second: Ints
    ibd: Floats


def relatedness_of_pairs(pairs: Pairs, people: tuple[str, ...]) -> Relatedness:
    """The same as the relatedness of a random term, labelled by people."""
    off = pairs.first != pairs.second
    rows = np.concatenate([pairs.first, pairs.second[off]])
    columns = np.concatenate([pairs.second, pairs.first[off]])
    values = np.concatenate([pairs.ibd, pairs.ibd[off]])
    return Relatedness(sparse.csc_array((values, (rows, columns)), shape=(len(people),) * 2), labels=list(people))


def checked_pairs(first: Ints, second: Ints, ibd: Floats, people: tuple[str, ...], where: str) -> Pairs:
    """
    Pairs in one form.

    Parameters
    ----------
    first, second : ndarray of int, shape (m,)
        Numbers of people in any order; pairs may be there both ways round.
    ibd : ndarray, shape (m,)
    people : tuple of str
    where : str
        File and position, for messages.

    Returns
    -------
    Pairs
        Everybody has 1 with himself where the diagonal is not given for anybody.

    Raises
    ------
    DataError
        A value that is not finite, negative, or larger than √(dᵢ dⱼ) of the two diagonals; a diagonal outside 1 to 2; a
        pair twice with different values; a diagonal for some people only.
    """
    first, second, ibd = _once(first, second, ibd, people, where)
    wrong = ~(np.isfinite(ibd) & (ibd >= -_ROUNDING))
    if wrong.any():
        raise DataError(
            f"{where}: sharing is not a number from 0: {_named(first, second, ibd, people, wrong)}. It is 0 to 1: the "
            "probability of sharing one allele by descent, halved, plus that of sharing both."
        )
    first, second, ibd, diagonal = _with_diagonal(first, second, ibd, people, where)
    wrong = ibd > np.sqrt(diagonal[first] * diagonal[second]) + _ROUNDING
    if wrong.any():
        raise DataError(
            f"{where}: pairs share more than they are related to themselves: "
            f"{_named(first, second, ibd, people, wrong)}. Sharing is 0 to 1, and above 1 only between the inbred, "
            "whose own value on the diagonal is above 1 too."
        )
    kept = ibd > 0.0
    return Pairs(first[kept], second[kept], ibd[kept]) if not kept.all() else Pairs(first, second, ibd)


def sound_pairs(
    of_row: Ints, first: NDArray[Any], second: NDArray[Any], ibd: Floats, n: int, count: int
) -> tuple[Ints, Pairs] | None:
    """
    The pairs of many positions in one form, all at once, where nothing is wrong or missing.

    Parameters
    ----------
    of_row : ndarray of int, shape (m,)
        Number of each row's position.
    first, second : ndarray of int, shape (m,)
        Numbers of people in any order.
    ibd : ndarray, shape (m,)
    n, count : int
        How many people and positions there are.

    Returns
    -------
    ends : ndarray of int, shape (count + 1,)
        Where the pairs of each position begin.
    pairs : Pairs
        Position by position, each as `checked_pairs` has them.

        None where that function has something to refuse, to leave out twice or to add; it knows what.
    """
    low, high = np.minimum(first, second).astype(np.intp), np.maximum(first, second).astype(np.intp)
    key = (of_row * np.intp(n) + low) * np.intp(n) + high
    if not (key[1:] > key[:-1]).all():
        order = np.argsort(key)
        key, of_row, low, high, ibd = key[order], of_row[order], low[order], high[order], ibd[order]
        if not (key[1:] > key[:-1]).all():
            return None
    own = low == high
    if np.count_nonzero(own) != n * count or not (ibd >= -_ROUNDING).all():
        return None
    diagonal = ibd[own].reshape(count, n)
    if not ((diagonal >= 1.0 - _ROUNDING) & (diagonal <= 2.0 + _ROUNDING)).all():
        return None
    root = np.sqrt(diagonal).ravel()
    if not (ibd <= root[of_row * n + low] * root[of_row * n + high] + _ROUNDING).all():
        return None
    kept = ibd > 0.0
    ends = np.concatenate([[0], np.cumsum(np.bincount(of_row[kept], minlength=count))]).astype(np.intp)
    return ends, Pairs(low[kept], high[kept], ibd[kept])


def _named(first: Ints, second: Ints, ibd: Floats, people: tuple[str, ...], at: NDArray[np.bool_]) -> str:
    rows = np.flatnonzero(at)
    return shown([Plain(f"{people[first[i]]!r} and {people[second[i]]!r} {ibd[i]:.7g}") for i in rows])


def _once(first: Ints, second: Ints, ibd: Floats, people: tuple[str, ...], where: str) -> tuple[Ints, Ints, Floats]:
    """Each pair once, smaller number first, ordered."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    key = low * np.intp(len(people)) + high
    if len(key) > 1 and not (key[1:] > key[:-1]).all():
        order = np.argsort(key, kind="stable")
        key, low, high, ibd = key[order], low[order], high[order], ibd[order]
        again = np.concatenate([[False], key[1:] == key[:-1]])
        if again.any():
            differs = np.zeros(len(key), dtype=bool)
            differs[1:] = again[1:] & ~(np.abs(ibd[1:] - ibd[:-1]) <= _SAME)
            if differs.any():
                differs[:-1] |= differs[1:]
                raise DataError(
                    f"{where}: pairs are there twice with different values: "
                    f"{_named(low, high, ibd, people, differs)}. Leave one of each."
                )
            low, high, ibd = low[~again], high[~again], ibd[~again]
    return low.astype(np.intp, copy=False), high.astype(np.intp, copy=False), ibd


def _with_diagonal(
    first: Ints, second: Ints, ibd: Floats, people: tuple[str, ...], where: str
) -> tuple[Ints, Ints, Floats, Floats]:
    """The same with everybody's own value, and these."""
    n = len(people)
    own = first == second
    there = first[own]
    diagonal = np.ones(n)
    if len(there) == n:
        diagonal[there] = ibd[own]
    elif len(there):
        lacking = np.ones(n, dtype=bool)
        lacking[there] = False
        raise DataError(
            f"{where}: the pair with oneself is there for {len(there)} people, but not for {n - len(there)}: "
            f"{shown(people[i] for i in np.flatnonzero(lacking))}. Give it for all (1 without inbreeding), or for "
            "nobody; are people, or the end of the file, missing?"
        )
    else:
        everybody = np.arange(n, dtype=np.intp)
        first, second = np.concatenate([first, everybody]), np.concatenate([second, everybody])
        order = np.lexsort((second, first))
        first, second, ibd = first[order], second[order], np.concatenate([ibd, diagonal])[order]
    wrong = (diagonal < 1.0 - _ROUNDING) | (diagonal > 2.0 + _ROUNDING)
    if wrong.any():
        at = np.flatnonzero(wrong)
        half = " Are these kinships? Sharing is twice the kinship." if (diagonal[at] == 0.5).all() else ""
        raise DataError(
            f"{where}: people's own values are not between 1 and 2: {_named(at, at, diagonal[at], people, at >= 0)}. "
            f"It is 1, plus 1 with inbreeding at the position.{half}"
        )
    return first, second, ibd, diagonal
