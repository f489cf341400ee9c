"""The README's table of measured times, and its picture: `python -m benchmarks.overview`, from results.json."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cells import time_of
from benchmarks.pages import begin_of, markdown_table, page_with

__all__ = ["ROWS", "Row", "Times", "draw", "main", "table", "times"]

ROOT = Path(__file__).parents[1]
RESULTS, README, PICTURE = ROOT / "benchmarks" / "results.json", ROOT / "README.md", ROOT / "docs" / "overview.svg"
BEGIN = begin_of("python -m benchmarks.overview")


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: what is done, the problem and the two names it has in results.json, and a short name."""

    what: str
    short: str
    problem: str
    peer: str
    ours: str = "lmmpy"
    given: bool = False


ROWS = (
    Row("random slopes, 180 rows (sleepstudy)", "sleepstudy", "sleepstudy", "lme4"),
    Row("crossed factors, 144 rows (Penicillin)", "Penicillin", "penicillin", "lme4"),
    Row("the same", "Penicillin", "penicillin", "mixedlm"),
    Row("73,421 ratings by 2,972 students of 1,128 lecturers (InstEval)", "InstEval", "insteval", "lme4"),
    Row("the same", "InstEval", "insteval", "mixedlm"),
    Row("random slopes, 200,000 rows, 20,000 groups", "200,000 rows", "slopes-heavy", "lme4"),
    Row("Kenward–Roger tests, 2,000 rows, crossed slopes", "Kenward–Roger", "kr-crossed", "pbkrtest"),
    Row("profile of sleepstudy", "profile", "profile", "lme4"),
    Row("1,000 bootstrap refits of Penicillin", "bootstrap", "boot-penicillin", "lme4"),
    Row("genomic relatedness of 2,000 people", "genomic K, 2,000", "grm-2000", "lme4qtl"),
    Row("the same", "genomic K, 2,000", "grm-2000", "GEMMA"),
    Row("two traits of 398 people in families", "two traits", "bivariate-family", "SOLAR", given=True),
    Row("two traits, genomic relatedness of 1,000, from the matrix", "two traits, 1,000", "mv-grm-1000", "GEMMA"),
    Row("serial correlation within 11 mares (Ovary)", "serial, Ovary", "ovary-ar1", "nlme"),
    Row("slopes and serial correlation, 10,000 rows", "serial, 10,000", "slopes-car1-500x20", "nlme"),
    Row("linkage, 21 positions, 398 people", "linkage", "linkage-family", "SOLAR", given=True),
    Row(
        "three exact tests: 20,000 variants, 2,000 people", "association, exact", "assoc-2000", "GEMMA", "lmmpy, exact"
    ),
    Row("score test of them, null model given", "association, score", "assoc-2000", "GEMMA", "lmmpy, score"),
)


@dataclass(frozen=True, slots=True)
class Times:
    """Medians in seconds, and their ratio: below 1 lmmpy is faster."""

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        """lmmpy's time as a share of the peer's."""
        return self.ours / self.peer


def times(results: Mapping[str, Any], row: Row) -> Times:
    """
    What was measured for a row.

    Raises
    ------
    KeyError
        When there is no such problem or peer in the results.
    """
    problems = (item for kind in results.values() if isinstance(kind, list) for item in kind if "peers" in item)
    found = next((item for item in problems if item["name"] == row.problem), None)
    if found is None:
        raise KeyError(row.problem)
    medians = {peer["peer"]: statistics.median(peer["seconds"]) for peer in found["peers"] if peer["seconds"]}
    return Times(medians[row.ours], medians[row.peer])


def table(results: Mapping[str, Any]) -> str:
    """The table, with machine and date below it."""
    rows = [["what", "lmmpy", "peer", "its time", "ratio"]]
    for row in ROWS:
        found = times(results, row)
        peer = f"{row.peer}¹" if row.given else row.peer
        rows.append([row.what, time_of(found.ours), peer, time_of(found.peer), f"{found.ratio:.2g}"])
    setting = results["setting"]
    made = f"{setting['CPU']}, {setting['memory']}, Python {setting['Python']}; {setting['date'].split()[0]}."
    return f"{markdown_table(rows)}\n\n{made} ¹ SOLAR's time is given, not measured on this machine.\n"


def draw(results: Mapping[str, Any], output: Path) -> None:
    """Draw a model, a scan, and the ratios."""
    import matplotlib as mpl

    mpl.use("Agg")
    from lmmpy import plots

    plots.use_style()
    mpl.rcParams["svg.hashsalt"] = "overview"  # the same ids each time
    import matplotlib.pyplot as plt

    figure, (model, scan, speed) = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.15])
    _slopes(model)
    _scan(scan)
    _speed(speed, results)
    for ax in (model, scan, speed):
        ax.set_title(ax.get_title(loc="left"), pad=24, fontweight="bold")  # above the legend of the first
    figure.savefig(output, metadata={"Date": None} if output.suffix == ".svg" else None)
    plt.close(figure)


def _slopes(ax: Any) -> None:
    import lmmpy as lmm

    fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    fit.plot.shrinkage(ax=ax)
    ax.set(xlabel="intercept (ms)", ylabel="slope (ms a day)", title="Random slopes: sleepstudy")


def _scan(ax: Any) -> None:
    import lmmpy as lmm

    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    null = lmm.qtl.polygenic("bmi ~ age + sex", lmm.datasets.load("family"), ped)
    lmm.qtl.linkage(null, lmm.datasets.load("family_ibd")).plot(ax=ax)
    ax.set_title("Linkage: 398 people in families")


def _speed(ax: Any, results: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter

    from lmmpy.plots import COLOURS

    ratios = [times(results, row).ratio for row in ROWS]
    for place, (row, ratio) in enumerate(zip(reversed(ROWS), reversed(ratios), strict=True)):
        colour = COLOURS["blue"] if ratio <= 1 else COLOURS["vermilion"]
        ax.plot([ratio, 1], [place, place], color=colour, linewidth=1, alpha=0.5)
        ax.plot(ratio, place, "o" if ratio <= 1 else "s", color=colour, markersize=4.5)
        ax.text(6, place, f"{row.short}: {row.peer}", ha="left", va="center", fontsize=7.5)
    ax.axvline(1, color="0.5", linewidth=1)
    ax.set(xscale="log", xlim=(4e-4, 5), ylim=(-0.7, len(ROWS) - 0.3), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    ax.set(xlabel="lmmpy's time as a share of the peer's", title="Time beside other programs")


def main() -> None:
    """Put the table into the README and draw the picture."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    README.write_text(page_with(README.read_text(encoding="utf-8"), table(results), BEGIN), encoding="utf-8")
    draw(results, PICTURE)


if __name__ == "__main__":
    main()
