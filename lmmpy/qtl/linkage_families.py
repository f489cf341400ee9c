"""Linkage in families: positions fitted side by side, block by block of rows that are related."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.values import Floats
from lmmpy.engines.block_batch import BlockFamilies, Pairs, block_families
from lmmpy.fitting.lockstep import minimise_together
from lmmpy.qtl.linkage_model import LinkageModel, PositionFit, has_shares
from lmmpy.qtl.linkage_sharing import PeoplePairs

__all__ = ["FamilyLane", "family_lane"]

Ints = NDArray[np.intp]

# Numbers of the kernels of the positions that are fitted together: 64 MB.
_TOGETHER = 8_000_000


@dataclass(frozen=True, eq=False, slots=True)
class PeopleRows:
    """
    The rows of each person.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
        Rows, person by person.
    start, count : ndarray of int, shape (people,)
        Where in `order` each person's are, and how many.
    """

    order: Ints
    start: Ints
    count: Ints

    @classmethod
    def of(cls, codes: Ints) -> PeopleRows:
        """From whose each row is."""
        count = np.bincount(codes).astype(np.intp)
        return cls(np.argsort(codes, kind="stable").astype(np.intp), np.cumsum(count) - count, count)

    def between(self, pairs: PeoplePairs) -> Pairs:
        """Sharing between rows: all of one person with all of the other, each pair of rows once."""
        width = self.count[pairs.second]
        size = self.count[pairs.first] * width
        pair = np.repeat(np.arange(len(size)), size)
        # the number of each pair of rows among those of its pair of people
        inner = np.arange(len(pair)) - np.repeat(np.cumsum(size) - size, size)
        one, other = np.divmod(inner, width[pair])
        first = self.order[self.start[pairs.first][pair] + one]
        second = self.order[self.start[pairs.second][pair] + other]
        kept = (pairs.first != pairs.second)[pair] | (first <= second)
        return first[kept], second[kept], pairs.ibd[pair[kept]]


@dataclass(frozen=True, eq=False, slots=True)
class FamilyLane:
    """
    How positions are fitted together; pickles.

    Attributes
    ----------
    families : BlockFamilies
        Of the null model.
    start, probe : ndarray, shape (terms + 2,)
        Shares to begin with: the null model's, and with half of the polygenic share at the locus.
    rows : PeopleRows or None
        The rows of each person; None where each has the one of its number.
    shares : bool
        See `has_shares`.
    """

    families: BlockFamilies
    start: Floats
    probe: Floats
    rows: PeopleRows | None
    shares: bool

    def fits(self, model: LinkageModel, positions: Sequence[PeoplePairs]) -> list[PositionFit]:
        """
        Estimate all variances at some positions.

        Parameters
        ----------
        model : LinkageModel
        positions : sequence of PeoplePairs
        """
        step = max(1, _TOGETHER // max(1, self.families.layout.numbers))
        found: list[PositionFit] = []
        for first in range(0, len(positions), step):
            found += self._together(model, positions[first : first + step])
        return found

    def _together(self, model: LinkageModel, positions: Sequence[PeoplePairs]) -> list[PositionFit]:
        problems = self.families.with_kernels([self._between_rows(pairs) for pairs in positions])
        minima = minimise_together(problems, self.start, probe=self.probe)
        names = (*model.labels, "e2")
        found = []
        for value, shares, converged in zip(minima.value, minima.shares, minima.converged, strict=True):
            nothing = shares[-2] == 0.0 or not value < model.value
            own = self.start if nothing else shares
            known = own.tolist() if self.shares else [np.nan] * len(names)
            fit = PositionFit(
                model.value if nothing else float(value), dict(zip(names, known, strict=True)), bool(converged)
            )
            found.append(fit)
        return found

    def _between_rows(self, pairs: PeoplePairs) -> Pairs:
        return (pairs.first, pairs.second, pairs.ibd) if self.rows is None else self.rows.between(pairs)


def family_lane(model: LinkageModel) -> FamilyLane | None:
    """
    How to fit positions together; None where the null model is of another kind, see `block_families`.

    Parameters
    ----------
    model : LinkageModel
    """
    families = block_families(model.null, model.reml)
    if families is None:
        return None
    null = families.shares(model.theta)
    start = np.concatenate([null[:-1], [0.0], null[-1:]])
    probe = start.copy()
    place = int(start.argmax()) if model.polygenic is None else model.polygenic
    half = 0.5 * start[place]
    if half < 0.05:  # of next to no polygenic variance there is nothing to take; of the largest share there is
        place = int(start.argmax())
        half = 0.5 * start[place]
    probe[place] -= half
    probe[-2] = half
    rows = PeopleRows.of(model.codes)
    alone = len(model.codes) == len(model.ids) and np.array_equal(model.codes, np.arange(len(model.codes)))
    return FamilyLane(families, start, probe, None if alone else rows, has_shares(model.null))
