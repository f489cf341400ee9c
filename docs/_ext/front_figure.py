"""
The picture of the front page, for light and for dark: `python docs/_ext/front_figure.py` writes both to docs/_static.

Left, three of the eighteen subjects of sleepstudy: their own least-squares lines, the model's lines, the line of all.
Right, the predicted random slopes of all, with intervals.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import lmmpy as lmm
from lmmpy import plots

mpl.use("Agg")
from matplotlib import pyplot as plt

STATIC = Path(__file__).resolve().parents[1] / "_static"
INKS = {"light": ("#2b2f33", "#8a9097", "#0072B2"), "dark": ("#d6dae0", "#838b95", "#56B4E9")}
SHOWN = ("308", "330", "335")


def draw(theme: str) -> None:
    """Write the picture for one theme."""
    ink, faint, blue = INKS[theme]
    plots.use_style()
    settings = {"text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": faint, "xtick.color": ink}
    settings |= {"ytick.color": ink, "axes.titlecolor": ink, "svg.hashsalt": "lmmpy", "svg.fonttype": "path"}
    plt.rcParams.update(settings)
    data = lmm.datasets.load("sleepstudy")
    fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", data)
    figure = plt.figure(figsize=(9.2, 3.3))
    left, right = figure.subfigures(1, 2, width_ratios=(2.0, 1.0))
    panels = left.subplots(1, len(SHOWN), sharex=True, sharey=True)
    days = np.array([0.0, 9.0])
    alone, lines = lmm.lm_list("Reaction ~ Days | Subject", data).coef, fit.coef()["Subject"]
    for axes, subject in zip(panels, SHOWN, strict=True):
        own = data[data["Subject"] == subject]
        axes.plot(own["Days"], own["Reaction"], "o", color=ink, markersize=3.5, alpha=0.75)
        for name, (a, b), style, colour in (
            ("own line", alone.loc[subject], ":", plots.COLOURS["vermilion"]),
            ("mixed model", lines.loc[subject], "-", blue),
            ("all subjects", fit.fixef, "--", faint),
        ):
            axes.plot(days, a + b * days, style, color=colour, label=name)
        axes.set_title(f"Subject {subject}")
        axes.set_xticks([0, 3, 6, 9])
    panels[0].set_ylabel("Reaction time (ms)")
    panels[1].set_xlabel("Days of sleep deprivation")
    panels[-1].legend(loc="upper left", handlelength=1.9, borderaxespad=0.0)
    effects = fit.ranef(cond_var=True)["Subject"]
    slopes, errors = effects["Days"], np.sqrt(fit.ranef(cond_var=True).cond_var["Subject"][:, 1, 1])
    order = np.argsort(slopes.to_numpy())
    axes = right.subplots()
    axes.axvline(0.0, color=faint, linewidth=0.8)
    axes.errorbar(
        slopes.iloc[order], np.arange(len(order)), xerr=1.96 * errors[order],
        fmt="o", color=blue, markersize=3.5, linewidth=1.2,
    )  # fmt: skip
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title("Random slopes of 18 subjects")
    axes.set_xlabel("Difference from the mean (ms per day)")
    figure.savefig(STATIC / f"front-{theme}.svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)


if __name__ == "__main__":
    for each in INKS:
        draw(each)
