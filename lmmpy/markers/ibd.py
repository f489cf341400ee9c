"""Sharing identical by descent along the genome, position by position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.markers.ibd_sources import HeldPairs, PairSource
from lmmpy.markers.pairs import Floats, Ints, Pairs, Plain, relatedness_of_pairs
from lmmpy.relatedness import Relatedness
from lmmpy.relatedness.labels import as_texts
from lmmpy.scan import digest

__all__ = ["IbdMap", "chromosome_order", "position_frame"]


class IbdMap:
    """
    How much each pair of people shares by descent at each of some positions.

    Sharing is twice the kinship at the position: P(one allele shared)/2 + P(both shared) of two people who are not
    inbred, 1 with oneself. Pairs that are not listed share nothing. It is read, or worked out, when it is asked for.

    Parameters
    ----------
    people : tuple of str
        Ids, each once.
    positions : DataFrame
        chromosome (str), position (float, cM); a row a position.
    source : PairSource
        Where pairs come from.
    description : str
        What it is, for messages.
    numbers : ndarray of int, optional
        The source's number of each row of `positions`; by default its own.

    Attributes
    ----------
    people : tuple of str
    positions : DataFrame
        RangeIndex; chromosome (str), position (float, cM).
    description : str

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sharing = lmm.qtl.as_ibd(lmm.datasets.load("family_ibd"))
    >>> len(sharing), sharing.label(3)
    (21, '1:15 cM')
    >>> len(sharing.between(1, 20, 40))
    5
    """

    def __init__(
        self,
        people: tuple[str, ...],
        positions: pd.DataFrame,
        source: PairSource,
        description: str = "IBD",
        numbers: Ints | None = None,
    ) -> None:
        self.people, self.description = people, description
        self.positions = positions.reset_index(drop=True)
        self._source = source
        self._numbers: Ints = np.arange(len(positions), dtype=np.intp) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        chromosomes = shown([Plain(name) for name in self.positions["chromosome"].unique()], 3)
        where = f", chromosome {chromosomes}" if len(self) and chromosomes else ""
        return f"<IbdMap: {len(self.people):,} people, {len(self):,} positions{where}; {self.description}>"

    @property
    def nbytes(self) -> int:
        """Bytes of pairs in memory."""
        return self._source.nbytes

    def label(self, i: int) -> str:
        """
        A position for messages: "1:40 cM".

        Parameters
        ----------
        i : int
            The row of `positions`.

        Returns
        -------
        str
        """
        chromosome, position = str(self.positions["chromosome"].iloc[i]), float(self.positions["position"].iloc[i])
        return f"{chromosome}:{position:g} cM" if chromosome else f"{position:g} cM"

    def pairs(self, i: int) -> tuple[Ints, Ints, Floats]:
        """
        All entries at a position that are not zero.

        Parameters
        ----------
        i : int
            Number of the position: a row of `positions`.

        Returns
        -------
        first, second : ndarray of intp, shape (m,)
            Numbers of people, first ≤ second; ordered, each pair once, everybody with himself.
        ibd : ndarray, shape (m,)

        Raises
        ------
        DataError
            When what is read cannot be sharing (`checked_pairs`).
        """
        found = self._source.pairs(int(self._numbers[i]))
        return found.first, found.second, found.ibd

    def relatedness(self, i: int) -> Relatedness:
        """
        The sharing at a position as the relatedness of a random term, labelled by `people`.

        Parameters
        ----------
        i : int
            The row of `positions`.

        Returns
        -------
        Relatedness
        """
        return relatedness_of_pairs(Pairs(*self.pairs(i)), self.people)

    def take(self, numbers: Sequence[int] | Ints) -> IbdMap:
        """
        Some positions, by their rows of `positions`.

        Parameters
        ----------
        numbers : sequence of int

        Returns
        -------
        IbdMap
        """
        at = np.asarray(numbers, dtype=np.intp)
        return IbdMap(self.people, self.positions.iloc[at], self._source, self.description, self._numbers[at])

    def between(self, chromosome: Any, start: float | None = None, stop: float | None = None) -> IbdMap:
        """
        The positions of one chromosome, or of a part of it.

        Parameters
        ----------
        chromosome : str or int
        start, stop : float, optional
            In cM, both included.

        Returns
        -------
        IbdMap

        Raises
        ------
        DataError
            When no position is there.
        """
        names, place = self.positions["chromosome"].to_numpy(), self.positions["position"].to_numpy()
        (own,) = as_texts([chromosome])
        inside = names == own
        if not inside.any():
            raise DataError(f"There is no position on chromosome {own!r}; there are {shown(set(names))}.")
        known = place[inside]
        inside &= (place >= (-np.inf if start is None else start)) & (place <= (np.inf if stop is None else stop))
        if not inside.any():
            raise DataError(
                f"There is no position from {start} to {stop} cM on chromosome {own!r}, whose positions "
                f"reach from {known.min():g} to {known.max():g} cM."
            )
        return self.take(np.flatnonzero(inside))

    def load(self) -> IbdMap:
        """
        The same, all pairs read now and held in memory (16 bytes each).

        Returns
        -------
        IbdMap
        """
        held = HeldPairs([self._source.pairs(int(number)) for number in self._numbers])
        return IbdMap(self.people, self.positions, held, self.description)

    def to_frame(self) -> pd.DataFrame:
        """
        All pairs of all positions, as a lower triangle row by row: chromosome, position, id1, id2, ibd.

        Returns
        -------
        DataFrame
        """
        names = np.array(self.people, dtype=object)
        parts = []
        for i in range(len(self)):
            first, second, ibd = self.pairs(i)
            order = np.lexsort((first, second))
            at = self.positions.iloc[np.full(len(ibd), i)].reset_index(drop=True)
            parts.append(at.assign(id1=names[second[order]], id2=names[first[order]], ibd=ibd[order]))
        return pd.concat(parts, ignore_index=True)

    def fingerprint(self) -> str:
        """
        A text that differs when people, positions or sharing differ; reads the files' bytes, not their numbers.

        Returns
        -------
        str
        """
        place = self.positions
        return digest(
            self.people,
            place["chromosome"].tolist(),
            place["position"].to_numpy(),
            self._numbers.astype(np.int64),
            self._source.digest(),
        )


_SEX_CHROMOSOMES = {"X": 23, "Y": 24, "XY": 25, "MT": 26, "M": 26}


def chromosome_order(name: str) -> tuple[int, str]:
    """Where a chromosome comes: 1 to 22, X, Y, XY, MT, then other names by the alphabet."""
    bare = re.sub(r"^chr", "", name, flags=re.IGNORECASE).upper()
    if bare.isdigit():
        return int(bare), name
    return _SEX_CHROMOSOMES.get(bare, 1000), name


def position_frame(chromosome: Sequence[Any], position: Any, what: str) -> tuple[pd.DataFrame, Ints]:
    """
    Positions in the order of the genome, and the old number of each.

    Raises
    ------
    DataError
        When a chromosome is missing, or a position is no number, or there twice.
    """
    texts = as_texts(list(chromosome))
    if None in texts:
        at = [i for i, text in enumerate(texts) if text is None]
        raise DataError(f"{what}: the chromosome is missing at {len(at)} positions, numbers {shown(at)} from 0.")
    names = np.array(texts, dtype=object)
    try:
        place = np.asarray(position, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{what}: positions must be numbers, in cM; there are {shown(position)}.") from None
    if not np.isfinite(place).all():
        raise DataError(f"{what}: {int((~np.isfinite(place)).sum())} positions are missing or not finite.")
    ranks = {name: rank for rank, name in enumerate(sorted(set(names), key=chromosome_order))}
    order = np.lexsort((place, np.array([ranks[name] for name in names])))
    frame = pd.DataFrame({"chromosome": pd.Series(names[order]).astype("str"), "position": place[order]})
    again = frame.duplicated().to_numpy()
    if again.any():
        twice = [Plain(f"{c}:{p:g}") for c, p in frame[again].itertuples(index=False)]
        raise DataError(f"{what}: positions are there twice: {shown(twice)}.")
    return frame, order.astype(np.intp)
