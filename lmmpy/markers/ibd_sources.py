"""Where the sharing at each position comes from: pairs in memory, matrices of the user's, or files read when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.markers.pairs import Pairs
from lmmpy.scan import digest

__all__ = ["HeldPairs", "PairSource", "ReadPairs"]


class PairSource(Protocol):
    """
    The pairs of each of some positions; pickles.

    Attributes
    ----------
    nbytes : int
        Bytes of pairs in memory.

    Methods
    -------
    pairs(number)
        Of the position with this number, in the form of `Pairs`.
    digest()
        A text that differs when the contents differ.
    """

    @property
    def nbytes(self) -> int: ...

    def pairs(self, number: int) -> Pairs: ...

    def digest(self) -> str: ...


class HeldPairs:
    """
    Pairs in memory, 16 bytes each.

    Parameters
    ----------
    positions : sequence of Pairs
    """

    def __init__(self, positions: Sequence[Pairs]) -> None:
        self.ends: NDArray[np.int64] = np.cumsum([0, *(len(one.ibd) for one in positions)], dtype=np.int64)
        empty = np.empty(0)
        self.first = np.concatenate([empty, *(one.first for one in positions)], dtype=np.int32, casting="unsafe")
        self.second = np.concatenate([empty, *(one.second for one in positions)], dtype=np.int32, casting="unsafe")
        self.ibd: NDArray[np.float64] = np.concatenate([empty, *(one.ibd for one in positions)])

    @classmethod
    def of(cls, ends: NDArray[np.intp], pairs: Pairs) -> HeldPairs:
        """Of pairs that follow each other position by position, `ends` telling where."""
        made = cls(())
        made.ends, made.ibd = ends.astype(np.int64), pairs.ibd
        made.first, made.second = pairs.first.astype(np.int32), pairs.second.astype(np.int32)
        return made

    def pairs(self, number: int) -> Pairs:
        at = slice(self.ends[number], self.ends[number + 1])
        return Pairs(self.first[at].astype(np.intp), self.second[at].astype(np.intp), self.ibd[at])

    def digest(self) -> str:
        return digest(self.ends, self.first, self.second, self.ibd)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.first.nbytes + self.second.nbytes + self.ibd.nbytes


class ReadPairs:
    """
    Pairs that a function reads, or works out, each time they are asked for.

    Parameters
    ----------
    read : callable
        Number of the position → Pairs; pickles.
    contents : callable
        → what `digest` takes, parts that differ when the contents differ; pickles.
    """

    def __init__(self, read: Callable[[int], Pairs], contents: Callable[[], Iterable[Any]]) -> None:
        self._read, self._contents = read, contents

    nbytes = 0

    def pairs(self, number: int) -> Pairs:
        return self._read(number)

    def digest(self) -> str:
        # part by part, so that one at a time is in memory
        return digest([digest(part) for part in self._contents()])
