"""The picture of `growth.py`: time against size on log-log axes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growth import Measured

# Okabe and Ito's colours, which the colour-blind can tell apart; the markers differ too
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))
AXES = {"n": "rows, n (levels fixed)", "q": "random effects, q (rows of a level fixed)"}
ANIMALS = {"n": "animals, n (a record each)"}
SCANS = {"n": "people, n (10,000 variants, with the null model)", "q": "variants, m (2,000 people, null model given)"}
WHAT = {"lmer": "lmer()", "summary": "str(fit.summary())"}
WHAT_OF_SCANS = {"lmer": "qtl.association()"}


def draw(
    lines: Sequence[Measured], output: Path, axes: Mapping[str, str] = AXES, what: Mapping[str, str] = WHAT
) -> None:
    """Draw a row of panels for `lmer()` and one for the summary, a column for each axis that there is."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "growth"  # the same ids each time
    import matplotlib.pyplot as plt

    shape, size = (len(what), len(axes)), (5.5 * len(axes), 5.0 * len(what))
    figure, panels = plt.subplots(*shape, figsize=size, sharex="col", sharey="row", layout="constrained", squeeze=False)
    for row, (measured, title) in zip(panels, what.items(), strict=True):
        for panel, (axis, label) in zip(row, axes.items(), strict=True):
            chosen = [line for line in lines if line.axis == axis]
            for line, (colour, marker) in zip(chosen, STYLES, strict=False):
                slope = line.slope(measured)
                told = line.name if slope is None else f"{line.name}: slope {slope:.2f}"
                panel.loglog(line.sizes(), line.seconds(measured), color=colour, marker=marker, label=told)
            panel.set(title=f"{title} against {label.partition(',')[0]}", xlabel=label, ylabel="seconds")
            panel.tick_params(labelbottom=True, labelleft=True)
            panel.grid(True, which="major", color="0.92")
    for panel in panels.flat:  # only now do the panels of a row have their common limits
        _reference(panel)
        panel.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    figure.savefig(output, metadata={"Date": None})
    plt.close(figure)


def _reference(panel: Any) -> None:
    """Draw slope 1 as dashed grey lines a decade apart across the panel."""
    ends, heights = panel.get_xlim(), panel.get_ylim()
    for decade in range(-12, 4):
        told = "slope 1" if decade == 0 else None
        line = 10.0**decade * np.array(ends)
        panel.plot(ends, line, color="0.6", linestyle="--", linewidth=0.8, zorder=0, label=told)
    panel.set(xlim=ends, ylim=heights)
