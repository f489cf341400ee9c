"""The passes of a linkage scan: scan, add the best locus to the null model, scan again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lmmpy.errors import DataError, SingularFitWarning, shown
from lmmpy.fitting.saturation import is_at_limit, may_saturate
from lmmpy.fitting.start import typical_scale
from lmmpy.markers import IbdMap
from lmmpy.model import LmmFit
from lmmpy.qtl.linkage_families import family_lane
from lmmpy.qtl.linkage_model import LinkageModel
from lmmpy.qtl.linkage_null import Locus, linkage_model, sharing_reader
from lmmpy.qtl.linkage_relatives import CloseRelatives
from lmmpy.qtl.linkage_task import LinkageTask
from lmmpy.qtl.null_digest import null_digest
from lmmpy.qtl.people import People
from lmmpy.scan import Outcome, blocks_of, digest, run_scan

__all__ = ["LinkagePass", "Settings", "run_passes"]

# Positions in a block of work: of families they are fitted together, of other models each takes long.
_TOGETHER, _ALONE = 50, 4


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Settings:
    """
    How a scan is made.

    Attributes
    ----------
    ibd : IbdMap
        The positions that are scanned.
    people : People
        Of the null model.
    analysis : object
        What was given as null model.
    name : str
        Beginning of the names of loci in formulas.
    independent : bool
        With several traits: whether ρ_q is held at zero.
    mixture : str
        With several traits; see `linkage`.
    passes : int
        At most.
    thresholds : tuple of float
        What the best LOD of each pass must reach for the next one.
    engine : {"auto", "general"}
    nearest : bool
        Whether sharing that is no covariance is replaced by the nearest one.
    close : CloseRelatives or None
        Whose sharing is looked at; None to look at nothing.
    """

    ibd: IbdMap
    people: People
    analysis: Any
    name: str
    independent: bool
    mixture: str
    passes: int
    thresholds: tuple[float, ...]
    engine: str
    nearest: bool = False
    close: CloseRelatives | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LinkagePass:
    """
    One pass of a scan.

    Attributes
    ----------
    number : int
        From 1.
    null : LmmFit
        What the LODs are relative to.
    conditions : tuple of Locus
        Loci that it has.
    lod : DataFrame
        See `LinkageScan.lod`; also ``h2q[1:40]`` and the like of the loci that are conditioned on.
    complete : bool
    method : str
        How positions were fitted.
    """

    number: int
    null: LmmFit
    conditions: tuple[Locus, ...]
    lod: pd.DataFrame
    complete: bool
    method: str


def run_passes(
    null: LmmFit,
    settings: Settings,
    conditions: Sequence[Locus],
    resume: str | Path | None,
    n_jobs: int | None,
    progress: bool | None,
) -> dict[str, Any]:
    """
    Scan, and scan again beside the best locus, as long as it is good enough.

    Parameters
    ----------
    null : LmmFit
    settings : Settings
    conditions : sequence of Locus
        That the null model has.
    resume, n_jobs, progress
        See `linkage`.

    Returns
    -------
    dict
        passes, complete, seconds.

    Raises
    ------
    DataError
        For files of later passes of another scan, before the work.
    """
    found: list[LinkagePass] = []
    seconds, known = 0.0, tuple(conditions)
    for number in range(1, settings.passes + 1):
        _refuse_later(resume, number, settings.passes)
        own, outcome = _pass(number, null, settings, known, _file(resume, number), n_jobs, progress)
        found.append(own)
        seconds += outcome.seconds
        least = settings.thresholds[min(number, len(settings.thresholds)) - 1]
        if not own.complete or number == settings.passes or not own.lod["lod"].max() >= least:
            break
        best = int(own.lod["lod"].to_numpy().argmax())
        locus = Locus.at(settings.ibd, best, settings.name, null)
        reader = sharing_reader(null, settings.people, settings.ibd, settings.nearest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            null = locus.added_to(null, reader, best, settings.people, settings.independent)
        known = (*known, locus)
    return {"passes": tuple(found), "complete": found[-1].complete, "seconds": seconds}


def _pass(
    number: int,
    null: LmmFit,
    settings: Settings,
    known: tuple[Locus, ...],
    resume: Path | None,
    n_jobs: int | None,
    progress: bool | None,
) -> tuple[LinkagePass, Outcome]:
    people, ibd = settings.people, settings.ibd
    model = linkage_model(null, people, settings.analysis, known, settings.independent)
    lane = family_lane(model) if settings.engine == "auto" and not _is_at_limit(null) else None
    places = frozenset((locus.chromosome, locus.position) for locus in known)
    task = LinkageTask(
        sharing_reader(null, people, ibd, settings.nearest), model, lane, places, settings.mixture, settings.close
    )
    blocks = blocks_of(len(ibd), _ALONE if lane is None else _TOGETHER, "positions")
    # without a file to go on from nobody reads it
    fingerprint = {} if resume is None else _fingerprint(number, null, settings, model)
    outcome = run_scan(
        task, blocks, fingerprint=fingerprint, what="linkage", resume=resume, n_jobs=n_jobs, progress=progress
    )
    method = "positions one by one" if lane is None else "positions together, by families"
    table = outcome.table if len(outcome.table) else task.nothing()
    own = LinkagePass(number=number, null=null, conditions=known, lod=table, complete=outcome.complete, method=method)
    return own, outcome


def _is_at_limit(null: LmmFit) -> bool:
    """Whether next to nothing is left to the residual: blocks with identical twins have no Cholesky factor there."""
    design, criterion = null.design, null.criterion
    return may_saturate(design) and is_at_limit(null.optimum.theta, typical_scale(criterion), design.n_theta_random)


def _fingerprint(number: int, null: LmmFit, settings: Settings, model: LinkageModel) -> dict[str, str]:
    """What the LODs of a pass depend on."""
    people = settings.people
    return {
        "null model": null_digest(null),
        "people": digest("\n".join(people.ids), people.codes),
        "IBD": settings.ibd.fingerprint(),
        "names of shares": digest(*model.labels),
        "mixture": settings.mixture,
        "rho_q": "0" if settings.independent else "estimated",
        "engine": settings.engine,
        "nearest": str(bool(settings.nearest)),
        "pass": str(number),
    }


def _file(resume: str | Path | None, number: int) -> Path | None:
    """Where results of a pass are kept: scan.tsv, scan.pass2.tsv and so on."""
    if resume is None:
        return None
    path = Path(resume)
    return path if number == 1 else path.with_name(f"{path.stem}.pass{number}{path.suffix}")


def _refuse_later(resume: str | Path | None, number: int, passes: int) -> None:
    """A pass that is not finished has none behind it: their files are of another scan, and would end this one late."""
    own = _file(resume, number)
    if own is None or own.exists():
        return
    later = [path for n in range(number + 1, passes + 1) if (path := _file(resume, n)) is not None]
    there = [one for path in later for one in (path, path.with_name(f"{path.name}.partial")) if one.exists()]
    if there:
        raise DataError(
            f"resume: {shown(map(str, there))} of a later pass is there, but pass {number} is not finished, there is "
            f"no {own}: it is left from another scan. Delete it, or say another file."
        )
