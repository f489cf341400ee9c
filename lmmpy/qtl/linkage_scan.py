"""`LinkageScan`: LOD scores along the genome, pass by pass, and what is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.markers import as_ibd
from lmmpy.model import LmmFit
from lmmpy.qtl.family_report import FamilyReport
from lmmpy.qtl.linkage_null import Locus, checked_position, sharing_reader
from lmmpy.qtl.linkage_peaks import around, linkage_peaks
from lmmpy.qtl.linkage_report import linkage_document
from lmmpy.qtl.linkage_run import LinkagePass, Settings, run_passes
from lmmpy.qtl.lod_adjust import LodAdjustment
from lmmpy.qtl.null_digest import null_digest
from lmmpy.report.document import Document

__all__ = ["LinkageScan"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LinkageScan(FamilyReport):
    """
    A linkage scan. Made by `linkage`; printing it shows a report.

    Attributes
    ----------
    fit : LmmFit
        The null model of the first pass.
    settings : Settings
        How the scan was made.
    passes : tuple of LinkagePass
        Each with `lod`, `null` and `conditions`, the loci that its null model has.
    complete : bool
        Whether all positions of all passes were done; not after an interruption.
    seconds : float

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> null = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
    >>> scan = lmm.qtl.linkage(null, lmm.datasets.load("family_ibd"))
    >>> scan.to_frame()[["position", "lod"]].head(2).round(2)
       position   lod
    0       0.0  0.09
    1       5.0  0.24
    """

    fit: LmmFit
    settings: Settings
    passes: tuple[LinkagePass, ...]
    complete: bool
    seconds: float

    @property
    def n_records(self) -> int:  # type: ignore[override]
        """Rows of the null model."""
        return self.fit.nobs

    @property
    def lod(self) -> pd.DataFrame:
        """
        The LOD scores of the first pass.

        Columns: `chromosome`; `position`, in cM; `lod`, of several traits the one of a single trait with the same
        p-value; `loglik` of the model with the position; `h2`, the share of the polygenic variance (the first
        relatedness of the formula), `h2q` that of the locus, and shares of the further random terms, by their names
        (the household of an analysis is `c2`), and `e2` of the residual; NaN where a row's variance is no such sum, as
        with random slopes. With several traits ``h2[bmi]``, ``h2q[bmi]``, … and `rho_q`, and `lod_raw`,
        (ℓ₁ − ℓ₀)/ln 10. `p_value`, pointwise; `note`: "not converged"; "in the null model" of a locus that is
        conditioned on; "nearest covariance" where that was taken; "unlike relatedness" where close relatives (0.2 and
        more in the null model) share on the whole a quarter less or more than they should, as where pairs are missing.
        After `adjusted` also `lod_adjusted`.
        """
        return self.passes[0].lod

    @property
    def best(self) -> pd.Series:
        """
        The row of `lod` with the highest LOD.

        Raises
        ------
        DataError
            When the scan was interrupted before the first positions were done.
        """
        if self.lod.empty:
            raise DataError("No position is done; the scan was interrupted.")
        return self.lod.iloc[int(self.lod["lod"].to_numpy().argmax())]

    def peaks(
        self, lod: float = 3.0, drop: float = 1.0, distance: float | None = None, pass_number: int = 1
    ) -> pd.DataFrame:
        """
        Peaks with their support intervals, highest first.

        Parameters
        ----------
        lod : float
            Peaks are that high at least. Lander & Kruglyak (1995) take 3.3 as significant in a genome of sib pairs.
        drop : float
            The support interval reaches to where the LOD is so much lower.
        distance : float, optional
            Several peaks of one chromosome are more than so many cM apart; by default only its highest is told.
        pass_number : int

        Returns
        -------
        DataFrame
            Columns `chromosome, position, lod, low, high` (in cM, interpolated between positions), `low_open,
            high_open` (whether the map ends before the LOD has dropped), and the others of `lod`.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> family = lmm.datasets.load("family")
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> null = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
        >>> scan = lmm.qtl.linkage(null, lmm.datasets.load("family_ibd"))
        >>> scan.peaks(lod=2.0)[["position", "lod"]].round(2)
           position   lod
        0      40.0  4.41
        """
        return linkage_peaks(self._pass(pass_number).lod, lod, drop, distance)

    def fit_at(self, position: float, chromosome: Any = None, pass_number: int = 1) -> LmmFit:
        """
        The model at a position, as an ordinary fit with a further ``kin()`` term.

        Parameters
        ----------
        position : float
            In cM; one that was scanned.
        chromosome : str or int, optional
            Where there are several.
        pass_number : int

        Returns
        -------
        LmmFit

        Raises
        ------
        DataError
            When there is no such position, or what is said to be shared there cannot be a covariance.
        ModelError
            For a position that is no number.
        """
        position = checked_position(position)
        own, settings = self._pass(pass_number), self.settings
        table = settings.ibd.positions
        at = np.isclose(table["position"].to_numpy(dtype=float), position, rtol=0.0, atol=1e-9)
        if chromosome is not None:
            at &= table["chromosome"].to_numpy() == str(chromosome)
        numbers = np.flatnonzero(at)
        if len(numbers) != 1:
            where = "" if chromosome is None else f" on chromosome {str(chromosome)!r}"
            hint = f"say chromosome=, one of {shown(table['chromosome'][at])}" if len(numbers) else "see .lod for those"
            raise DataError(f"{len(numbers) or 'No'} positions at {position:g} cM{where}; {hint}.")
        number = int(numbers[0])
        locus = Locus.at(settings.ibd, number, settings.name, own.null)
        reader = sharing_reader(own.null, settings.people, settings.ibd, settings.nearest)
        return locus.added_to(own.null, reader, number, settings.people, settings.independent)

    def fine(
        self,
        ibd: Any,
        *,
        lod: float = 3.0,
        drop: float = 1.0,
        distance: float | None = None,
        pass_number: int = 1,
        resume: str | Path | None = None,
        n_jobs: int | None = None,
        progress: bool | None = None,
    ) -> LinkageScan:
        """
        Scan the surroundings of the peaks again, on a finer map.

        Parameters
        ----------
        ibd : IbdMap or what `linkage` takes
            The finer map.
        lod, drop
            Of the peaks; see `peaks`. Their surroundings are the support intervals, or:
        distance : float, optional
            So many cM to both sides of each.
        pass_number : int
            The peaks and the null model of that pass.
        resume, n_jobs, progress
            See `linkage`.

        Returns
        -------
        LinkageScan

        Raises
        ------
        DataError
            When there is no peak, or the map has no position there.
        """
        own, finer = self._pass(pass_number), as_ibd(ibd)
        peaks = linkage_peaks(own.lod, lod, drop, None)
        if peaks.empty:
            raise DataError(f"No LOD of pass {pass_number} reaches {lod:g}; its best is {own.lod['lod'].max():.2f}.")
        table, inside = finer.positions, np.zeros(len(finer), dtype=bool)
        x, names = table["position"].to_numpy(dtype=float), table["chromosome"].to_numpy()
        for number in range(len(peaks)):
            low, high = around(peaks, number, distance)
            inside |= (names == peaks["chromosome"].to_numpy()[number]) & (x >= low) & (x <= high)
        if not inside.any():
            raise DataError(f"{finer.description} has no position near {_places(peaks)}.")
        settings = replace(self.settings, ibd=finer.take(np.flatnonzero(inside)), passes=1)
        work = run_passes(own.null, settings, own.conditions, resume, n_jobs, progress)
        return LinkageScan(fit=own.null, settings=settings, **work)

    def adjusted(self, adjustment: LodAdjustment) -> LinkageScan:
        """
        The same with `lod_adjusted`, LODs times the multiplier of an empirical adjustment, in all passes.

        Parameters
        ----------
        adjustment : LodAdjustment
            By `lod_adjust` of the same null model.

        Returns
        -------
        LinkageScan

        Raises
        ------
        ModelError
            When it is none, or of another null model.
        """
        if not isinstance(adjustment, LodAdjustment):
            raise ModelError(f"An adjustment is made by lod_adjust of the null model, not {adjustment!r:.80}.")
        if null_digest(adjustment.fit) != null_digest(self.fit):
            raise ModelError(
                f"The adjustment is of another null model, of log-likelihood {adjustment.null_loglik:.4f}, not "
                f"{self.fit.loglik:.4f}. Give lod_adjust the null model of this scan."
            )
        passes = [replace(own, lod=_with_adjusted(own.lod, adjustment.multiplier)) for own in self.passes]
        return replace(self, passes=tuple(passes))

    def to_frame(self) -> pd.DataFrame:
        """
        All passes below each other, with a first column `pass`; shares that a pass lacks are NaN.

        Returns
        -------
        DataFrame
        """
        parts = [own.lod.assign(**{"pass": own.number}) for own in self.passes]
        table = pd.concat(parts, ignore_index=True)
        return table[["pass", *(name for name in table if name not in ("pass", "note")), "note"]]

    def to_tsv(self, path: str | Path) -> None:
        """
        Write all passes as tab-separated text, floats so that they come back as they are.

        Parameters
        ----------
        path : path

        Raises
        ------
        DataError
            For a directory that is not there.
        """
        parent = Path(path).absolute().parent
        if not parent.is_dir():
            raise DataError(f"The directory {parent} is not there; make it, or write to another.")
        self.to_frame().to_csv(path, sep="\t", index=False, na_rep="NA")

    def plot(
        self,
        chromosome: str | Sequence[str] | None = None,
        ax: Any = None,
        *,
        drop: float | None = None,
        lod: float = 3.0,
        **options: Any,
    ) -> Any:
        """
        Draw LOD curves, genome-wide or by chromosome; it needs matplotlib.

        Parameters
        ----------
        chromosome : str or sequence of str, optional
        ax : Axes, or one a chromosome, optional
        drop : float, optional
            Draw the support intervals of the peaks of the first pass, too.
        lod : float
            Height of these peaks.
        **options
            See `lmmpy.plots.scan_drawings.lod_curves`.

        Returns
        -------
        Axes or array of Axes
        """
        from lmmpy.plots.scan_drawings import lod_curves

        several = {f"pass {own.number}": own.lod for own in self.passes}
        support = None if drop is None else self.peaks(lod, drop)
        curves = self.lod if len(several) == 1 else several
        return lod_curves(curves, chromosome, ax, **{"support": support, **options})

    def document(self, digits: int = 4) -> Document:
        return linkage_document(self, digits)

    def _pass(self, number: int) -> LinkagePass:
        if not isinstance(number, int) or not 1 <= number <= len(self.passes):
            raise ModelError(f"pass_number is from 1 to {len(self.passes)}, not {number!r}.")
        return self.passes[number - 1]


def _with_adjusted(lod: pd.DataFrame, multiplier: float) -> pd.DataFrame:
    kept = lod.drop(columns="lod_adjusted", errors="ignore")
    kept.insert(list(kept.columns).index("lod") + 1, "lod_adjusted", kept["lod"] * multiplier)
    return kept


def _places(peaks: pd.DataFrame) -> str:
    return shown([f"{peak.chromosome}:{peak.position:g}" for peak in peaks.itertuples()])
