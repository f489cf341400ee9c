"""The picture of the calibration study: coverage and rejection rates with their Monte Carlo errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw", "panels"]

# Okabe and Ito's colours, which the colour-blind can tell apart; the markers differ too
STYLES = {
    "Wald": ("#D55E00", "o"),
    "profile": ("#009E73", "s"),
    "Satterthwaite": ("#56B4E9", "^"),
    "Kenward–Roger": ("#0072B2", "D"),
    "REML profile": ("#0072B2", "D"),
    "LRT, χ²": ("#D55E00", "o"),
    "bootstrap LRT": ("#009E73", "s"),
    "LRT, mixture": ("#CC79A7", "v"),
}
EFFECTS = {
    "Wald": "asymptotic",
    "profile": "profile",
    "Satterthwaite": "satterthwaite",
    "Kenward–Roger": "kenward-roger",
}
DEVIATIONS = {"Wald": "wald", "profile": "profile", "REML profile": "restricted profile"}
TESTS = {
    "LRT, χ²": "lrt",
    "Satterthwaite": "satterthwaite",
    "Kenward–Roger": "kenward-roger",
    "bootstrap LRT": "bootstrap",
}
RANDOM = {"LRT, χ²": "naive", "LRT, mixture": "mixture"}

# Label of a row, and by method the measure and the name of its hits.
Row = tuple[str, dict[str, tuple[dict[str, Any], str]]]


def panels(results: dict[str, Any]) -> list[tuple[str, float, list[Row]]]:
    """Title, nominal percentage and rows of each panel."""
    effects: list[Row] = []
    deviations: list[Row] = []
    tests: list[Row] = []
    random: list[Row] = []
    for name, parts in results["designs"].items():
        fixed, both = parts["fixed"], {**parts["fixed"], **parts["restricted"]}
        facts = results["setting"]["designs"][name]
        for kind in ("within", "between"):
            found = {method: (fixed[f"cover/{kind}/{key}"], "hits") for method, key in EFFECTS.items()}
            effects.append((f"{name}: {facts[kind]}, {kind}", found))
        for parameter in facts["truth"]:
            found = {method: (both[f"cover/{parameter}/{key}"], "hits") for method, key in DEVIATIONS.items()}
            deviations.append((f"{name}: {parameter}", found))
        tests.append((name, {method: (fixed[f"p/{key}"], "hits at 0.05") for method, key in TESTS.items()}))
        random.append((name, {m: (parts["random"][f"p/{key}"], "hits at 0.05") for m, key in RANDOM.items()}))
    return [
        ("Coverage: fixed effects", 95.0, effects),
        ("Coverage: standard deviations", 95.0, deviations),
        ("Type I error: between-group effect", 5.0, tests),
        ("Type I error: random term", 5.0, random),
    ]


def draw(results: dict[str, Any], output: Path) -> None:
    """Draw four panels, points with bars of 1.96 Monte Carlo errors, a line at what is promised."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context({"svg.hashsalt": "calibration"}):  # the same ids each time
        figure, axes = plt.subplots(2, 2, figsize=(12, 8.5), layout="constrained", height_ratios=(8, 5))
        for panel, (title, nominal, rows) in zip(axes.flat, panels(results), strict=True):
            _panel(panel, title, nominal, rows)
        figure.savefig(output, metadata={"Date": None})
        plt.close(figure)


def _panel(panel: Any, title: str, nominal: float, rows: Sequence[Row]) -> None:
    methods = list(rows[0][1])
    for i, method in enumerate(methods):
        shift = 0.16 * (i - 0.5 * (len(methods) - 1))
        measures = [row[1][method] for row in rows]
        shares = [measure[hits] / measure["n"] for measure, hits in measures]
        pairs = zip(shares, measures, strict=True)
        errors = [196.0 * math.sqrt(share * (1.0 - share) / measure["n"]) for share, (measure, _) in pairs]
        colour, marker = STYLES[method]
        panel.errorbar(
            [100.0 * share for share in shares], [place + shift for place in range(len(rows))], xerr=errors,
            fmt=marker, color=colour, markersize=5, elinewidth=1.0, label=method,
        )  # fmt: skip
    panel.axvline(nominal, color="0.4", linewidth=0.9, zorder=0)
    for border in range(1, len(rows)):
        panel.axhline(border - 0.5, color="0.92", linewidth=0.8, zorder=0)
    panel.set(title=f"{title}, %", ylim=(len(rows) - 0.5, -0.5))
    if nominal < 50.0:
        panel.set_xlim(left=0.0)
    panel.set_yticks(range(len(rows)), [label for label, _ in rows])
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8.5, loc="upper center", bbox_to_anchor=(0.4, -0.08), ncols=4, frameon=False)
