"""The picture of the study of scans: tails of p-values where there is nothing, power where there is something."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

__all__ = ["draw", "tails"]

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINKAGE = {
    "linkage": "base",
    "linkage, household": "household",
    "linkage, household left out": "household left out",
    "linkage, not heritable": "not heritable",
    "linkage, skewed": "log-normal",
    "linkage, normal scores": "normal scores",
}
TWO = {"cone": "cone", "solar": "solar", "variances": "variances"}
ASSOCIATION = {"lm": "ordinary regression", "score": "score", "wald": "Wald, exact", "lrt": "LRT, exact"}
STRUCTURE = {
    "lm": "ordinary regression",
    "pedigree": "pedigree",
    "covariate": "with population",
    "grm": "genomic",
}

# From nothing to the most that is to be found.
POWER = {
    "linkage": ("linkage", "share 0.1", "share 0.2", "share 0.3"),
    "association": ("SNPs", "effect 0.01", "effect 0.02", "effect 0.04"),
}

Tail = list[list[float]]


def tails(results: dict[str, Any]) -> list[tuple[str, dict[str, tuple[int, Tail]]]]:
    """Title of each panel of tails, and by label the number of independent p-values, about, and the tail."""
    settings = results["settings"]
    linkage = {
        label: (_number(settings[name]), settings[name]["tests"]["lod"]["tail"])
        for name, label in LINKAGE.items()
        if name in settings
    }
    panels = [("Linkage, no locus", linkage)]
    for title, name, words in (
        ("Linkage of two traits, no locus", "two traits", TWO),
        ("Association, no effect", "SNPs", ASSOCIATION),
        ("Association, two populations", "structure", STRUCTURE),
    ):
        found = settings.get(name)
        tests = {} if found is None else found["tests"]
        panels.append(
            (title, {label: (_number(found), tests[key]["tail"]) for key, label in words.items() if key in tests})
        )
    return panels


def _number(found: Any) -> int:
    return int(found["studies"]) * int(found["items"])


def draw(results: dict[str, Any], output: Path) -> None:
    """
    Draw six panels: four of tails, with what 95 % of independent p-values would be; two of power, with theory's lines.

    Parameters
    ----------
    results : dict
    output : Path
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context({"svg.hashsalt": "scan power", "font.size": 9.0}):  # the same ids each time
        figure, axes = plt.subplots(2, 3, figsize=(12.5, 8.0), layout="constrained")
        places = (axes[0, 0], axes[0, 1], axes[1, 0], axes[1, 1])
        for panel, (title, found) in zip(places, tails(results), strict=True):
            _tails(panel, title, found)
        _power(axes[0, 2], "Linkage: power", _by_share(results, "linkage", "lod"), "share of the locus, %")
        snps = _by_share(results, "association", "lrt")
        _power(axes[1, 2], "Association: power, exact LRT", snps, "variance that the SNP explains, %")
        figure.savefig(output, metadata={"Date": None})
        plt.close(figure)


def _tails(panel: Any, title: str, found: Mapping[str, tuple[int, Tail]]) -> None:
    numbers = [n for n, _ in found.values()]
    most = math.log10(max(numbers, default=2)) - 0.5
    if numbers:
        parts = np.geomspace(0.5, 5.0 / max(numbers), 60)
        low, high = (stats.beta.ppf(q, parts * numbers[0], (1.0 - parts) * numbers[0] + 1.0) for q in (0.025, 0.975))
        panel.fill_between(-np.log10(parts), -np.log10(high), -np.log10(low), color="0.88", linewidth=0.0)
    panel.plot([0.3, most], [0.3, most], color="0.4", linewidth=0.9)
    for (label, (_, tail)), colour in zip(found.items(), COLOURS, strict=False):
        expected, observed = -np.log10(np.array(tail)).T
        panel.plot(expected, observed, color=colour, linewidth=1.4, label=label)
    panel.set(title=title, xlabel="−log₁₀ of the part of the tests", ylabel="−log₁₀ p")
    panel.spines[["top", "right"]].set_visible(False)
    if found:
        panel.legend(fontsize=8.0, frameon=False, loc="upper left")


def _by_share(results: dict[str, Any], kind: str, test: str) -> dict[str, list[tuple[float, ...]]]:
    """By level: share that is to be found, rate, its error and theory's rate, all in %; nothing to be found first."""
    lines: dict[str, list[tuple[float, ...]]] = {}
    for name in POWER[kind]:
        if name not in results["settings"]:
            continue
        found, share = results["settings"][name], results["setting"]["settings"][name]["share"]
        for level, rate in found["tests"][test]["rates"].items():
            theory = found["theory"]["power"][level] if share > 0.0 else _nominal(level)
            points = lines.setdefault(level, [])
            points.append(tuple(100.0 * value for value in (share, rate["rate"], rate["error"], theory)))
    return lines


def _nominal(level: str) -> float:
    """The p-value that the name of a level stands for."""
    if not level.startswith("LOD"):
        return float(level)
    return float(0.5 * stats.chi2.sf(2.0 * math.log(10.0) * float(level.removeprefix("LOD ")), 1))


def _power(panel: Any, title: str, lines: dict[str, list[tuple[float, ...]]], label: str) -> None:
    for (level, points), colour in zip(lines.items(), COLOURS, strict=False):
        share, rate, error, theory = (list(column) for column in zip(*points, strict=True))
        panel.plot(share, theory, color=colour, linewidth=1.1)
        name = f"{level.removesuffix('.00')} or more" if level.startswith("LOD") else f"p ≤ {level}"
        bars = [1.96 * e for e in error]
        panel.errorbar(share, rate, yerr=bars, fmt="o", color=colour, markersize=4.5, elinewidth=1.0, label=name)
    panel.set(title=title, xlabel=label, ylabel="%", ylim=(-2.0, 102.0))
    panel.spines[["top", "right"]].set_visible(False)
    if lines:
        words = {"title": "points: studies; lines: theory", "title_fontsize": 8.0}
        panel.legend(fontsize=8.0, frameon=False, loc="upper left", **words)
