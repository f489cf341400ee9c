"""`linkage`: variance-component linkage, one position of a map of shared alleles after the other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmmpy.errors import LmmpyWarning, ModelError
from lmmpy.markers import as_ibd
from lmmpy.qtl.linkage_lod import check_mixture
from lmmpy.qtl.linkage_null import check_autosomes, check_null, selected_positions
from lmmpy.qtl.linkage_relatives import close_relatives
from lmmpy.qtl.linkage_run import Settings, run_passes
from lmmpy.qtl.linkage_scan import LinkageScan
from lmmpy.qtl.people import null_fit, people_of

__all__ = ["linkage"]


def linkage(
    null: Any,
    ibd: Any,
    *,
    name: str = "ibd",
    positions: Any = None,
    passes: int = 1,
    thresholds: float | Sequence[float] = (3.0, 2.0),
    id: str | None = None,
    rho_q: float | None = None,
    mixture: str | None = None,
    engine: str = "auto",
    nearest: bool = False,
    resume: str | Path | None = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> LinkageScan:
    """
    Test each position of the genome for a locus that acts on a quantitative trait, in families.

    y = Xβ + g + … + q + e, where q ~ N(0, σ_q² Π) and Π is the sharing by descent at the position. At each one all
    variances are estimated anew, and LOD = (ℓ₁ − ℓ₀)/ln 10, ℓ the log-likelihood, restricted where the null model's is.
    The same as SOLAR's ``multipoint`` after ``polygenic``.

    The null model is an ordinary fit with an id column: of families, with households, several kinds of relatedness,
    repeated records, random slopes, several traits.

    Parameters
    ----------
    null : LmmFit or an analysis with a ``fit``
        The model without the locus: ``lmm.lmer("bmi ~ age + sex + kin(id, pedigree)", data, reml=False)``,
        ``qtl.polygenic(...)``, ``qtl.bivariate(...)``. SOLAR's LODs are by maximum likelihood.
    ibd : IbdMap, mapping, DataFrame or path
        What each pair shares; see `as_ibd`. Who is not in it must be related to nobody by the null model; such people
        share nothing with anybody. Pairs that are not listed share nothing.
    name : str
        Beginning of the names that loci get in formulas, ``kin(id, ibd_1_40)``.
    positions : str, sequence or DataFrame, optional
        Which to scan: a chromosome, chromosomes, pairs of chromosome and cM, a frame with these columns. Default all.
    passes : int
        How many scans at most: after each, the locus with the highest LOD is added to the null model.
    thresholds : float or sequence of float
        What the highest LOD of each pass must reach for another one; the last stands for all further ones.
    id : str, optional
        Column of the data of the null model that has the ids of `ibd`; by default that of its relatedness.
    rho_q : 0, optional
        Of several traits: the correlation of the locus's effects is held at zero. Default: it is estimated.
    mixture : {"solar", "cone", "variances", "rank one"}, optional
        Of several traits: what the likelihood ratio is without linkage. By default "solar", ½χ²₁ + ¼χ²₃ of two
        traits; with ``rho_q=0`` it is "variances", ¼χ²₀ + ½χ²₁ + ¼χ²₂. See Notes.
    engine : {"auto", "general"}
        "auto" fits positions together where the null model is of families and scalar terms; "general" one by one as
        `lmer` fits, which takes longer and is for comparison.
    nearest : bool
        Whether sharing that is no covariance, as where it was estimated pair by pair, is replaced by the nearest one,
        in the least squares sense; `note` says where. Without, families of one trait take it as it is, as SOLAR does;
        other models and `fit_at` refuse it.
    resume : path, optional
        A file (``.tsv`` or ``.parquet``) to which LODs are written as the scan goes, and from which it goes on if it
        was interrupted; see `run_scan`. Later passes have files of their own, ``scan.pass2.tsv``.
    n_jobs : int, optional
        Processes, by joblib; None: this one, or what ``joblib.parallel_config`` says, so that a Dask cluster can work.
    progress : bool, optional
        Whether to tell on the standard error stream how far the scan is; by default in a terminal, after 5 seconds.

    Returns
    -------
    LinkageScan
        With `.lod`, `.peaks()`, `.best`, `.passes`, `.fit_at(position)`, `.fine(map)`, `.plot()`.

    Warns
    -----
    LmmpyWarning
        For a null model without a relatedness: LODs are then not those of linkage alone.

    Raises
    ------
    DataError
        For people whose sharing is needed and not known, unreadable sharing, numbers of alleles in place of
        proportions, a wrong `resume` file.
    ModelError
        For a null model with known variances or constraints, sex chromosomes, and wrong options.

    Notes
    -----
    With one trait p is from ½χ²₀ + ½χ²₁. With two and ρ_q estimated the exact reference, where the traits' other
    covariances are proportional, is (2−√2)/4·(χ²₀ + χ²₃) + √2/4·(χ²₁ + χ²₂): "cone" (Kuriki & Takemura 2000). The
    p-values of SOLAR's ½χ²₁ + ¼χ²₃ are 0.8 to 1.2 of its up to a LOD of 10. ¼χ²₀ + ½χ²₁ + ¼χ²₂ is
    right for two variances whose covariance is held at zero. For ``|ρ_q| = 1``, a locus that acts on both traits in one
    proportion, neither is: see "rank one". `lod` is the LOD of one trait with that p-value.

    References
    ----------
    Almasy & Blangero (1998), Am. J. Hum. Genet. 62, 1198–1211; Almasy, Dyer & Blangero (1997), Genet. Epidemiol. 14,
    953–958; Self & Liang (1987), J. Am. Stat. Assoc. 82, 605–610; Kuriki & Takemura (2000), Ann. Stat. 28, 1181–1200.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> null = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
    >>> scan = lmm.qtl.linkage(null, lmm.datasets.load("family_ibd"))
    >>> scan.best[["position", "lod"]].astype(float).round(2).to_dict()
    {'position': 40.0, 'lod': 4.41}
    """
    fit = null_fit(null)
    check_null(fit)
    traits = 1 if fit.design.traits is None else len(fit.design.traits.names)
    independent = _checked_rho(rho_q, traits)
    chosen = mixture if mixture is not None else "variances" if independent else "solar"
    check_mixture(chosen, traits)
    _check_words(engine, name, nearest)
    who, where = people_of(fit, id), selected_positions(as_ibd(ibd), positions)
    check_autosomes(where)
    close = close_relatives(fit, who)
    if close is None:
        warnings.warn(_UNRELATED, LmmpyWarning, stacklevel=2)
    settings = Settings(
        ibd=where,
        people=who,
        analysis=null,
        name=name,
        independent=independent,
        mixture=chosen,
        passes=_checked_passes(passes),
        thresholds=_checked_thresholds(thresholds),
        engine=engine,
        nearest=bool(nearest),
        close=close,
    )
    work = run_passes(fit, settings, (), resume, n_jobs, progress)
    return LinkageScan(fit=fit, settings=settings, **work)


_UNRELATED = (
    "The null model has no relatedness, so that a LOD also grows where families are alike for other reasons: the rest "
    "of their genes. Add kin(id, pedigree) to it."
)


def _check_words(engine: Any, name: Any, nearest: Any) -> None:
    if engine not in ("auto", "general"):
        raise ModelError(f"engine is 'auto' or 'general', not {engine!r}.")
    if not isinstance(name, str) or not name.isidentifier():
        raise ModelError(f"name must be a name such as 'ibd', not {name!r}.")
    if not isinstance(nearest, bool | np.bool_):
        raise ModelError(f"nearest must be True or False, not {nearest!r}.")


def _checked_rho(rho_q: Any, traits: int) -> bool:
    """Whether the correlation of the locus's effects is held at zero."""
    if rho_q is None:
        return False
    if isinstance(rho_q, bool) or rho_q != 0:
        raise ModelError(
            f"rho_q is None, which estimates it, or 0, not {rho_q!r}. For |rho_q| = 1 at one position constrain the "
            "fit: scan.fit_at(position).constrain(...)."
        )
    if traits == 1:
        raise ModelError("rho_q is a correlation between traits; the null model has one trait.")
    return True


def _checked_passes(passes: Any) -> int:
    if isinstance(passes, bool) or not isinstance(passes, int | np.integer) or passes < 1:
        raise ModelError(f"passes must be a whole number of at least 1, not {passes!r}.")
    return int(passes)


def _checked_thresholds(thresholds: Any) -> tuple[float, ...]:
    given = thresholds if isinstance(thresholds, list | tuple | np.ndarray) else [thresholds]
    numbers = [isinstance(x, int | float | np.number) and not isinstance(x, bool) and x >= 0.0 for x in given]
    if not len(given) or not all(numbers):
        raise ModelError(f"thresholds must be LODs of at least 0, one a pass, not {thresholds!r}.")
    return tuple(float(x) for x in given)
