"""Whether sharing at a position is what relatives share: no other unit, and no pairs that are not listed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.design import RandomEffects
from lmmpy.errors import DataError
from lmmpy.model import LmmFit
from lmmpy.qtl.linkage_sharing import PeoplePairs
from lmmpy.qtl.people import People

__all__ = ["CloseRelatives", "close_relatives"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Sibs have ½, cousins ⅛ and vary more.
_CLOSE = 0.2
# Mean sharing of m close pairs over what is expected has a standard deviation of about 1/√m.
_DEVIATIONS, _LEAST = 8.0, 0.25
# Numbers of relatedness that are looked at together: 32 MB.
_TOGETHER = 4_000_000


@dataclass(frozen=True, eq=False, slots=True)
class CloseRelatives:
    """
    Pairs that the null model has as close relatives; pickles.

    Attributes
    ----------
    n : int
        Number of people.
    keys : ndarray of int, shape (m,)
        i·n + j of each pair, i < j, ascending.
    expected : float
        Sum of their relatedness, on a diagonal of 1.
    diagonal : float
        Median of the relatedness of people with themselves.
    """

    n: int
    keys: Ints
    expected: float
    diagonal: float

    def check(self, pairs: PeoplePairs) -> None:
        """
        Refuse numbers of alleles (0, 1, 2) in place of proportions.

        Parameters
        ----------
        pairs : PeoplePairs

        Raises
        ------
        DataError
        """
        own = float(np.median(pairs.ibd[pairs.first == pairs.second]))
        if own >= 1.5 and 0.75 <= self.diagonal <= 1.25:
            raise DataError(
                f"Sharing at {pairs.label()}: most people have {own:g} with themselves, which only those have whose "
                f"parents gave the same allele, and {self.diagonal:g} in the relatedness of the null model. Are these "
                "numbers of alleles? Sharing is their half, the proportion: 1 of a person with itself, ½ of parent and "
                "child."
            )

    def unlike(self, pairs: PeoplePairs) -> bool:
        """
        Whether close relatives share much less or more than they should on the whole, as where pairs are not listed.

        Parameters
        ----------
        pairs : PeoplePairs
        """
        if not len(self.keys):
            return False
        at_home = pairs.first == pairs.second
        diagonal = np.ones(self.n)
        diagonal[pairs.first[at_home]] = pairs.ibd[at_home]
        first, second = pairs.first[~at_home], pairs.second[~at_home]
        key = first * self.n + second
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        close = self.keys[place] == key
        share = pairs.ibd[~at_home] / np.sqrt(diagonal[first] * diagonal[second])
        away = abs(float(share[close].sum()) / self.expected - 1.0)
        return away > _LEAST and away * math.sqrt(len(self.keys)) > _DEVIATIONS


def _polygenic(fit: LmmFit) -> RandomEffects | None:
    """The random term with the first relatedness of the formula."""
    written = [term.text for term in fit.blueprint.parsed.random]
    kin = [term for term in fit.design.random if not term.relatedness.is_identity]
    return min(kin, key=lambda term: written.index(term.term.text), default=None)


def close_relatives(fit: LmmFit, people: People) -> CloseRelatives | None:
    """
    The close relatives among the people of a null model; None where it has no relatedness.

    Parameters
    ----------
    fit : LmmFit
        Without loci.
    people : People
    """
    term = _polygenic(fit)
    if term is None:
        return None
    level = term.codes[np.unique(people.codes, return_index=True)[1]]
    n, diagonal = len(level), term.relatedness.diagonal()[level]
    root = np.sqrt(diagonal)
    group = term.relatedness.components()[level]
    order = np.argsort(group, kind="stable")
    keys: list[Ints] = []
    expected = 0.0
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        for start in range(0, len(members), step := max(1, _TOGETHER // len(members))):
            rows = members[start : start + step]
            r = term.relatedness.block(level[rows], level[members]) / np.outer(root[rows], root[members])
            i, j = np.nonzero((r >= _CLOSE) & (rows[:, None] < members))
            keys.append(rows[i] * n + members[j])
            expected += float(r[i, j].sum())
    return CloseRelatives(n, np.sort(np.concatenate(keys)).astype(np.intp), expected, float(np.median(diagonal)))
