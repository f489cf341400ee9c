"""The report of a linkage scan, laid out for someone who knows SOLAR's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from lmmpy.qtl.linkage_peaks import linkage_peaks
from lmmpy.report.document import Document, Section
from lmmpy.report.grids import Grid
from lmmpy.report.numbers import pad_left

if TYPE_CHECKING:
    from lmmpy.qtl.linkage_run import LinkagePass
    from lmmpy.qtl.linkage_scan import LinkageScan

__all__ = ["linkage_document"]

# So many chromosomes are shown, the best ones.
_TOP = 10
_SHOWN = ("h2", "rho_q", "p_value")
_NOTES = {
    "not converged": "positions did not converge",
    "nearest covariance": "positions have sharing that is no covariance, and was replaced by the nearest one",
    "unlike relatedness": "positions have sharing unlike that of close relatives on the whole: are pairs missing?",
}


def linkage_document(found: LinkageScan, digits: int = 4) -> Document:
    """
    Arrange what was found as a document.

    Parameters
    ----------
    found : LinkageScan
    digits : int
        Significant digits of shares.

    Returns
    -------
    Document
    """
    header = [("Null model", found.fit.formula)]
    if found.fit.request.data_name is not None:
        header.append(("Data", found.fit.request.data_name))
    people = f"{len(found.settings.people.ids):,} used" + _records(found)
    header += [("People", people), ("Positions", _positions(found.settings.ibd.positions))]
    sections = [_of_pass(own, digits, len(found.passes) > 1) for own in found.passes]
    lines = _remarks(found)
    sections.append(Section("", None, tuple(lines)))
    criterion = "restricted maximum likelihood" if found.fit.reml else "maximum likelihood"
    return Document(f"Linkage scan by {criterion}", tuple(header), tuple(sections))


def _records(found: LinkageScan) -> str:
    return f"; {found.n_records:,} records" if found.n_records != len(found.settings.people.ids) else ""


def _positions(table: pd.DataFrame) -> str:
    chromosomes = table["chromosome"].unique()
    where = f"chromosome {chromosomes[0]}" if len(chromosomes) == 1 else f"{len(chromosomes)} chromosomes"
    text = f"{len(table):,} on {where}"
    if len(chromosomes) == 1 and len(table):
        text += f", {table['position'].min():g} to {table['position'].max():g} cM"
    return text


def _of_pass(own: LinkagePass, digits: int, several: bool) -> Section:
    title = "Highest LOD of each chromosome"
    if several or own.conditions:
        title = f"Pass {own.number}: {title[0].lower()}{title[1:]}"
    if own.conditions:
        title += f", given {', '.join(locus.label for locus in own.conditions)}"
    peaks = linkage_peaks(own.lod, 0.0, 1.0, None).head(_TOP)
    count = own.lod["chromosome"].nunique()
    lines = (f"The best {_TOP} of {count} chromosomes.",) if count > _TOP else ()
    if peaks.empty:
        return Section(title, None, ("No LOD is above zero.",))
    columns = {"Position": pad_left([f"{x:g}" for x in peaks["position"]])}
    columns["LOD"] = pad_left([f"{x:.4f}" for x in peaks["lod"]])
    if "lod_adjusted" in peaks:
        columns["Adjusted"] = pad_left([f"{x:.4f}" for x in peaks["lod_adjusted"]])
    columns["1-LOD interval"] = pad_left([_interval(peak) for _, peak in peaks.iterrows()])
    for name in map(str, peaks.columns[3:]):
        if name.startswith(_SHOWN) and not any(f"h2q[{locus.label}]" in name for locus in own.conditions):
            columns[name] = pad_left([f"{x:.{digits}g}" for x in peaks[name]])
    names = tuple(f"chromosome {name}" if name else "" for name in peaks["chromosome"])
    return Section(title, Grid(tuple(columns), names, tuple(tuple(cells) for cells in columns.values())), lines)


def _interval(peak: pd.Series) -> str:
    return f"{'<' if peak['low_open'] else ''}{peak['low']:.1f} - {'>' if peak['high_open'] else ''}{peak['high']:.1f}"


def _remarks(found: LinkageScan) -> list[str]:
    lines = [f"Log-likelihood of the null model: {found.loglik:.4f} (SOLAR's, without -n/2 log(2 pi): "]
    lines[0] += f"{found.loglik_solar:.4f})"
    table = found.passes[0].lod
    if "lod_raw" in table:
        lines.append(
            "LODs are those of one trait with the same p-value; lod_raw in the table is the difference of "
            f"log10-likelihoods (mixture: {found.settings.mixture})."
        )
    for note, text in _NOTES.items():
        count = int(table["note"].str.contains(note).sum())
        if count:
            lines.append(f"{count:,} {text}; see note.")
    last = found.passes[-1]
    if not found.complete:
        done = len(last.lod)
        lines.append(f"Interrupted: {done:,} of {len(found.settings.ibd):,} positions of pass {last.number} are done.")
    return lines
