"""One block of positions of a linkage scan: read the sharing, fit, tabulate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmpy.engines import one_blas_thread
from lmmpy.qtl.linkage_families import FamilyLane
from lmmpy.qtl.linkage_lod import LN10, equivalent_lod, lod_p_values
from lmmpy.qtl.linkage_model import LinkageModel, PositionFit
from lmmpy.qtl.linkage_relatives import CloseRelatives
from lmmpy.qtl.linkage_sharing import PeoplePairs, SharingReader
from lmmpy.scan import Block

__all__ = ["LinkageTask"]


@dataclass(frozen=True, eq=False, slots=True)
class LinkageTask:
    """
    One block of positions; see `Task`.

    Attributes
    ----------
    reader : SharingReader
    model : LinkageModel
    lane : FamilyLane or None
        How positions are fitted together by families, where the model allows it.
    known : frozenset of (str, float)
        Positions that the null model has; there is nothing more to find at these.
    mixture : str
        Of several traits; see `linkage_lod`.
    close : CloseRelatives or None
        Against whom sharing is checked.
    """

    reader: SharingReader
    model: LinkageModel
    lane: FamilyLane | None
    known: frozenset[tuple[str, float]]
    mixture: str
    close: CloseRelatives | None = None

    def __call__(self, block: Block) -> pd.DataFrame:
        """Return one row a position."""
        numbers = range(block.start, block.stop)
        place = self.reader.ibd.positions.iloc[block.start : block.stop].reset_index(drop=True)
        taken = [at in self.known for at in zip(place["chromosome"], place["position"], strict=True)]
        pairs = [self.reader(i) for i, skip in zip(numbers, taken, strict=True) if not skip]
        if self.close is not None:
            for one in pairs:
                self.close.check(one)
        with one_blas_thread():
            lane = self.lane
            fits = lane.fits(self.model, pairs) if lane is not None else [self.model.fit(one) for one in pairs]
        found = iter(zip(fits, pairs, strict=True))
        rows, notes = [], []
        for skip in taken:
            row, note = (self._conditioned(), "in the null model") if skip else self._noted(*next(found))
            rows.append(row)
            notes.append(note)
        return self._table(place, rows, notes)

    def nothing(self) -> pd.DataFrame:
        """A table of no position."""
        place = pd.DataFrame({"chromosome": pd.array([""], dtype="str"), "position": [0.0]})
        return self._table(place, [self._conditioned()], [""]).head(0)

    def _noted(self, fit: PositionFit, pairs: PeoplePairs) -> tuple[PositionFit, str]:
        """A fit, and what is to be said of it."""
        unlike = self.close is not None and self.close.unlike(pairs)
        said = ["nearest covariance"] * pairs.changed + ["unlike relatedness"] * unlike
        return fit, ", ".join(said + ["not converged"] * (not fit.converged))

    def _conditioned(self) -> PositionFit:
        """At a position of the null model the same variance cannot be shared out twice."""
        return PositionFit(self.model.value, self.model.null_shares(), True)

    def _table(self, place: pd.DataFrame, rows: Sequence[PositionFit], notes: Sequence[str]) -> pd.DataFrame:
        model, traits = self.model, self.model.null.traits
        values = np.array([row.value for row in rows], dtype=float)
        raw = np.maximum(0.5 * (model.value - values) / LN10, 0.0)
        count = 1 if traits is None else len(traits.names)
        columns = {"lod": equivalent_lod(raw, count, self.mixture), "loglik": -0.5 * values}
        for name in _in_order(rows[0].shares, () if traits is None else traits.names):
            columns[name] = np.array([row.shares.get(name, np.nan) for row in rows])
        if count > 1:
            columns["lod_raw"] = raw
        columns["p_value"] = lod_p_values(raw, count, self.mixture)
        text = pd.array(list(notes), dtype="str")
        return pd.DataFrame({"chromosome": place["chromosome"], "position": place["position"], **columns, "note": text})


def _in_order(names: Iterable[str], traits: tuple[str, ...]) -> list[str]:
    """First the polygenic shares, which not all null models have, then those of the locus, then the others."""
    first = [label for name in ("h2", "h2q") for label in ([f"{name}[{trait}]" for trait in traits] or [name])]
    return [*first, *(name for name in names if name not in first)]
