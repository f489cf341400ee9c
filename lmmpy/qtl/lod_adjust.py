"""`lod_adjust`: how large LODs are without linkage, by simulated markers, and what to multiply LODs by."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.markers import unlinked
from lmmpy.model import LmmFit
from lmmpy.qtl.linkage_lod import LN10
from lmmpy.qtl.linkage_null import check_null
from lmmpy.qtl.linkage_run import Settings, run_passes
from lmmpy.qtl.people import null_fit, people_of
from lmmpy.qtl.printed import Printed
from lmmpy.relatedness import Pedigree
from lmmpy.report.document import Document, Section

__all__ = ["LodAdjustment", "lod_adjust", "lod_multiplier"]

Floats = NDArray[np.float64]

# SOLAR's: the regression is over the lowest LODs; the few largest ones vary too much.
_LOWEST = 0.95
# Fewer markers say too little about the tail.
_FEWEST = 100
# A multiplier above it is no correction for the trait's tails.
_LARGE = 1.5


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LodAdjustment(Printed):
    """
    LODs at unlinked markers; made by `lod_adjust`. Printing it shows a report.

    Attributes
    ----------
    fit : LmmFit
        The null model.
    multiplier : float
        What to multiply LODs by; below 1 where LODs are too large, as those of a trait with heavy tails are. NaN when
        it was interrupted before there was a LOD above zero.
    lods : ndarray, shape (n,)
        At the markers, ascending.
    complete : bool
        Whether all of the markers that were asked for are there; not after an interruption.
    seconds : float
    """

    fit: LmmFit
    multiplier: float
    lods: Floats
    complete: bool
    seconds: float

    @property
    def null_loglik(self) -> float:
        """Log-likelihood of the null model."""
        return self.fit.loglik

    @property
    def expected(self) -> Floats:
        """The LODs that belong in the place of `lods`, shape (n,)."""
        return expected_lods(len(self.lods))

    def p_value(self, lod: float) -> float:
        """
        The empirical pointwise p-value of a LOD: one more than the markers that reach it, over n + 1.

        Parameters
        ----------
        lod : float
            Not adjusted.

        Returns
        -------
        float
        """
        return float((1 + np.count_nonzero(self.lods >= lod)) / (1 + len(self.lods)))

    def document(self, digits: int = 4) -> Document:
        n = len(self.lods)
        if not n:
            said = Section("", None, ("Interrupted before the first markers were done.",))
            return Document("Empirical adjustment of LOD scores", (("Null model", self.fit.formula),), (said,))
        header = (("Null model", self.fit.formula), ("Markers", f"{n:,}, unlinked and fully informative"))
        lines = [f"Multiplier of LODs: {self.multiplier:.{digits}f}"]
        lines.append(f"LOD above zero: {np.mean(self.lods > 0.0):.3f} of the markers (expected: 0.500)")
        for lod in (0.588, 1.175, 3.0):
            there, wanted = float(np.mean(self.lods >= lod)), 0.5 * float(chi2.sf(2.0 * LN10 * lod, 1))
            lines.append(f"LOD of at least {lod:g}: {there:.4g} of the markers (expected: {wanted:.4g})")
        if not self.complete:
            lines.append("Interrupted: of the markers that were asked for these are done.")
        return Document("Empirical adjustment of LOD scores", header, (Section("", None, tuple(lines)),))


def lod_adjust(
    null: Any,
    pedigree: Pedigree,
    n: int = 10_000,
    seed: Any = None,
    *,
    id: str | None = None,
    resume: str | Path | None = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> LodAdjustment:
    """
    Adjust LOD scores by what they are at simulated markers that are linked to nothing.

    The trait is held as it is; founder alleles, all of them different, are dropped down the pedigree at `n` unlinked
    loci, and the LOD is computed at each. Under normality they are ½χ²₀ + ½χ²₁ over 2 ln 10. The multiplier is the
    slope, through the origin, of expected on observed LODs, both sorted, over the lowest 95 %. As SOLAR's ``lodadj``.

    Parameters
    ----------
    null : LmmFit or an analysis with a ``fit``
        The null model of the scan, of one trait.
    pedigree : Pedigree
        Of everybody in the null model.
    n : int
        Number of markers, 100 at least.
    seed : int or Generator, optional
        One that is drawn anew cannot be resumed.
    id, resume, n_jobs, progress
        See `linkage`.

    Returns
    -------
    LodAdjustment
        For `LinkageScan.adjusted`.

    Raises
    ------
    DataError
        For people whom the pedigree does not have; when no LOD is above zero.
    ModelError
        For several traits, and what `linkage` refuses.

    Warns
    -----
    LmmpyWarning
        When the multiplier is above 1.5, as that of a trait that is hardly heritable.

    References
    ----------
    Blangero, Williams & Almasy (2000), Genet. Epidemiol. 19 (Suppl. 1), S8–S14.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> null = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
    >>> adjustment = lmm.qtl.lod_adjust(null, ped, n=100, seed=1)
    >>> adjustment.p_value(2.0) < 0.1
    True
    """
    fit = null_fit(null)
    check_null(fit)
    if fit.design.traits is not None:
        raise ModelError("lod_adjust takes a null model of one trait; LODs of several are not those of ½χ²₀ + ½χ²₁.")
    if not isinstance(pedigree, Pedigree):
        raise ModelError(f"pedigree must be a Pedigree, not a {type(pedigree).__name__}: alleles are dropped down it.")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < _FEWEST:
        raise ModelError(f"n must be a number of markers of at least {_FEWEST}, not {n!r}.")
    settings = Settings(
        ibd=unlinked(pedigree, int(n), seed),
        people=people_of(fit, id),
        analysis=null,
        name="ibd",
        independent=False,
        mixture="solar",
        passes=1,
        thresholds=(math.inf,),
        engine="auto",
    )
    work = run_passes(fit, settings, (), resume, n_jobs, progress)
    lods = np.sort(work["passes"][0].lod["lod"].to_numpy(dtype=float))
    multiplier = lod_multiplier(lods) if work["complete"] or lods.any() else math.nan
    if multiplier > _LARGE:
        warnings.warn(
            f"The multiplier is {multiplier:.3g}: LODs of this null model are much smaller than those of ½χ²₀ + ½χ²₁, "
            "as they are where its heritability is near zero, and adjusted ones reach high values too often then. "
            "Multiply by less than 1 where the trait asks for it; else take LODs as they are, and test h² first.",
            LmmpyWarning,
            stacklevel=2,
        )
    return LodAdjustment(
        fit=fit,
        multiplier=multiplier,
        lods=lods,
        complete=work["complete"],
        seconds=work["seconds"],
    )


def expected_lods(n: int) -> Floats:
    """
    Quantiles of LODs without linkage, at t = (i − 1)/n: zero up to ½, then of ½χ²₀ + ½χ²₁ over 2 ln 10.

    Parameters
    ----------
    n : int

    Returns
    -------
    ndarray, shape (n,)
    """
    t = np.arange(n) / n
    return np.asarray(np.where(t > 0.5, chi2.isf(np.minimum(2.0 * (1.0 - t), 1.0), 1) / (2.0 * LN10), 0.0))


def lod_multiplier(lods: Floats) -> float:
    """
    The slope of expected on observed LODs through the origin, Σxy/Σx², over the lowest 95 %.

    Parameters
    ----------
    lods : ndarray, shape (n,)

    Returns
    -------
    float

    Raises
    ------
    DataError
        When all of those are zero.
    """
    x = np.sort(np.asarray(lods, dtype=float))
    kept = int(_LOWEST * len(x))
    x, y = x[:kept], expected_lods(len(lods))[:kept]
    if not x.any():
        raise DataError(f"The lowest {kept:,} LODs of {len(lods):,} are all zero; there is nothing to adjust by.")
    return float(x @ y / (x @ x))
