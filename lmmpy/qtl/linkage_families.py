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
class FamilyLane:
    """
    How positions are fitted together; pickles.

    Attributes
    ----------
    families : BlockFamilies
        Of the null model.
    start, probe : ndarray, shape (terms + 2,)
        Shares to begin with: the null model's, and with half of the polygenic share at the locus.
    rows : tuple of ndarray of int, or None
        The rows of each person; None where each has the one of its number.
    shares : bool
        See `has_shares`.
    """

    families: BlockFamilies
    start: Floats
    probe: Floats
    rows: tuple[Ints, ...] | None
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
        """Sharing between rows: of people with several, all of one with all of the other."""
        rows = self.rows
        if rows is None:
            return pairs.first, pairs.second, pairs.ibd
        first, second, value = [], [], []
        for i, j, ibd in zip(pairs.first, pairs.second, pairs.ibd, strict=True):
            a, b = np.meshgrid(rows[i], rows[j], indexing="ij")
            kept = a <= b if i == j else np.ones(a.shape, dtype=bool)
            first.append(a[kept])
            second.append(b[kept])
            value.append(np.full(int(kept.sum()), ibd))
        return np.concatenate(first), np.concatenate(second), np.concatenate(value)


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
    order = np.argsort(model.codes, kind="stable").astype(np.intp)
    rows = tuple(np.split(order, np.cumsum(np.bincount(model.codes))[:-1]))
    alone = len(model.codes) == len(model.ids) and np.array_equal(order, np.arange(len(order)))
    return FamilyLane(families, start, probe, None if alone else rows, has_shares(model.null))
