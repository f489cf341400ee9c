"""
The pictures that the tests compare, drawn without text so that fonts do not matter.

``python -m tests.plots.pictures`` stores them; with names, only these. Look at what changed before it is committed.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.testing.decorators import remove_ticks_and_titles

import lmmpy as lmm

BASELINE = Path(__file__).parent / "baseline"
DPI = 64  # a power of two: sizes in whole pixels are exact in inches, so that no version cuts one off


@cache
def fit(name: str) -> lmm.LmmFit:
    formula, data = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return lmm.lmer(formula, lmm.datasets.load(data))


MODELS = {
    "sleepstudy": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "split": ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
    "pastes": ("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "singular": ("Yield ~ 1 + (1 | Batch)", "Dyestuff2"),
    "machines": ("score ~ Machine + (Machine | Worker)", "Machines"),
    "cake": ("angle ~ recipe * temperature + (1 | recipe:replicate)", "cake"),
    "arabidopsis": ("log(total.fruits + 1) ~ nutrient + amd + (1 | gen) + (1 | popu)", "Arabidopsis"),
}

# By name: the model, the plot and its arguments.
PICTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "residuals": ("sleepstudy", "residuals", {}),
    "residuals_many": ("arabidopsis", "residuals", {}),
    "scale_location": ("sleepstudy", "scale_location", {}),
    "qq": ("sleepstudy", "qq", {}),
    "qq_ranef": ("sleepstudy", "qq_ranef", {}),
    "qq_ranef_singular": ("singular", "qq_ranef", {}),
    "caterpillar": ("sleepstudy", "caterpillar", {}),
    "caterpillar_nested": ("pastes", "caterpillar", {}),
    "caterpillar_singular": ("singular", "caterpillar", {}),
    "profile": ("sleepstudy", "profile", {}),
    "profile_singular": ("singular", "profile", {}),
    "shrinkage": ("sleepstudy", "shrinkage", {}),
    "shrinkage_dots": ("penicillin", "shrinkage", {"term": "plate"}),
    "shrinkage_singular": ("singular", "shrinkage", {}),
    "shrinkage_three": ("machines", "shrinkage", {}),
    "forest": ("cake", "forest", {}),
    "groups": ("sleepstudy", "groups", {"n": 5}),
    "groups_factor": ("machines", "groups", {}),
    "influence": ("sleepstudy", "influence", {"group": "Subject", "refit": False}),
    "influence_rows": ("sleepstudy", "influence", {"refit": False}),
}


def picture(name: str, **options: Any) -> Any:
    """Draw one picture: Axes, or an array of them."""
    model, method, arguments = PICTURES[name]
    return getattr(fit(model).plot, method)(**arguments, **options)


def figure_of(drawn: object) -> Figure:
    """The figure of an Axes or of an array of them."""
    return np.ravel(np.array(drawn, dtype=object))[0].get_figure()


def without_text(figure: Figure) -> Figure:
    """Take away what depends on fonts, and the layout that makes room for it."""
    figure.set_layout_engine("none")
    remove_ticks_and_titles(figure)
    for text in figure.findobj(mpl.text.Text):
        text.set_text("")
    for legend in [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]:
        legend.remove()
    return figure


def draw(name: str, path: Path, text: bool = False, dpi: int = DPI) -> None:
    """Draw one picture by matplotlib's default settings into a file."""
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = figure_of(picture(name))
        figure.set_size_inches(np.round(figure.get_size_inches() * dpi) / dpi)
        (figure if text else without_text(figure)).savefig(path, dpi=dpi, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PICTURES:
        draw(wanted, BASELINE / f"{wanted}.png")
