"""Drawings of frames of random effects and of groups: a frame and an Axes in, the Axes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmpy.errors import ModelError
from lmmpy.plots.canvas import ACCENT, FAINT, INK, cleaned, group_axis, note, one_axes, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

__all__ = [
    "axes_legend",
    "draw_caterpillar",
    "draw_group",
    "draw_shrinkage",
    "draw_shrinkage_pair",
    "figure_legend",
    "height",
    "label_groups",
    "remark",
]


# With more levels points and lines are thinner.
_MANY = 100


def height(levels: int) -> float:
    """Of a plot with a line for each level, in inches."""
    return min(max(1.0 + 0.17 * levels, 2.2), 7.0)


def axes_legend(ax: Axes) -> None:
    """Say what is what above an Axes, where no point is."""
    ax.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        frameon=False,
        fontsize="small",
        handletextpad=0.3,
        columnspacing=1.2,
    )


def remark(frame: pd.DataFrame, ax: Axes) -> None:
    """Say on a plot of an effect why it has no spread, or how many levels it cannot show."""
    if not frame["varies"].all():
        note(ax, "variance estimated\nas zero")
        ax.set_xticks([0.0] if "estimate" in frame else [])
        ax.set_yticks([] if "sample" in frame else ax.get_yticks())
    elif "sample" in frame and frame["sample"].isna().any():
        below(ax, f"({int(frame['sample'].isna().sum())} of {len(frame)} levels without information)")


def below(ax: Axes, text: str) -> None:
    """A remark below the label of the horizontal axis, where no point is."""
    ax.set_xlabel(f"{ax.get_xlabel()}\n{text}")


def draw_caterpillar(
    frame: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "Conditional mode", group: str = "Level"
) -> Axes:
    """
    Conditional modes with their intervals, in the order of the frame from the bottom up.

    Parameters
    ----------
    frame : DataFrame
        Rows of `caterpillar_frame` for one effect of one term.
    ax : Axes, optional
    xlabel, group : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> frame = plots.caterpillar_frame(fit, effect="Days")
    >>> ax = plots.draw_caterpillar(frame, xlabel="Slope (ms per day)", group="Subject")
    >>> ax.get_xlabel()
    'Slope (ms per day)'
    """
    ax = one_axes(ax, (4.2, height(len(frame))))
    y, many = np.arange(len(frame)), len(frame) > _MANY
    ax.axvline(0.0, color=FAINT, linewidth=1, zorder=0)
    low, high = frame["conf_low"].to_numpy(), frame["conf_high"].to_numpy()
    ax.hlines(
        y, low, high, color="0.8" if many else FAINT, linewidth=0.6 if many else 1.4, rasterized=len(frame) > 3_000
    )
    ax.scatter(frame["estimate"].to_numpy(), y, color=ACCENT, s=4 if many else 18, linewidths=0, zorder=3)
    label = group_axis(ax, [str(level) for level in frame["level"]], group, int(frame["recorded"].sum()))
    remark(frame, ax)
    return cleaned(ax, xlabel, label)


def draw_shrinkage(
    frame: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "Coefficient", group: str = "Level"
) -> Axes:
    """
    One coefficient of each group within the group and by the mixed model, sorted by the latter.

    Parameters
    ----------
    frame : DataFrame
        Rows of `shrinkage_frame` for one effect.
    ax : Axes, optional
    xlabel, group : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> frame = plots.shrinkage_frame(fit)
    >>> ax = plots.draw_shrinkage(frame[frame["effect"] == "Days"], group="Subject")
    >>> ax.get_xlabel()
    'Coefficient'
    """
    ax, frame = one_axes(ax, (4.4, height(len(frame)) + 0.3)), frame.sort_values("pooled", kind="stable")
    y, before, after = np.arange(len(frame)), frame["unpooled"].to_numpy(), frame["pooled"].to_numpy()
    size = 5 if len(frame) > _MANY else 22
    ax.axvline(float(frame["population"].iloc[0]), color=FAINT, linewidth=1, zorder=0, label="fixed effect")
    ax.hlines(y, before, after, color=FAINT, linewidth=1)
    ax.scatter(
        before, y, s=size, facecolors="white", edgecolors=INK, linewidths=size**0.5 / 5, zorder=2, label="within group"
    )
    ax.scatter(after, y, s=size, color=ACCENT, linewidths=0, zorder=3, label="mixed model")
    axes_legend(ax)
    cleaned(ax, xlabel, group_axis(ax, [str(level) for level in frame["level"]], group))
    _say_what_is_missing(ax, frame)
    return ax


def draw_shrinkage_pair(
    x: pd.DataFrame,
    y: pd.DataFrame,
    ax: Axes | None = None,
    *,
    xlabel: str = "",
    ylabel: str = "",
    legend: bool = True,
) -> Axes:
    """
    Two coefficients of each group, with arrows from least squares within the group to the mixed model.

    Parameters
    ----------
    x, y : DataFrame
        Rows of `shrinkage_frame` for two effects, groups in the same order.
    ax : Axes, optional
    xlabel, ylabel : str
    legend : bool
        Whether to say above the Axes what is what.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        When the levels are not the same.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> frame = plots.shrinkage_frame(fit)
    >>> x, y = (frame[frame["effect"] == name] for name in ("(Intercept)", "Days"))
    >>> ax = plots.draw_shrinkage_pair(x, y, xlabel="Intercept (ms)", ylabel="Slope (ms per day)")
    >>> ax.get_xlabel()
    'Intercept (ms)'
    """
    if list(x["level"]) != list(y["level"]):
        raise ModelError("x and y must have the same levels in the same order.")
    ax = one_axes(ax, (4.6, 4.0))
    x0, y0, x1, y1 = (part[name].to_numpy() for name in ("unpooled", "pooled") for part in (x, y))
    scale: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "inches"}
    ax.quiver(x0, y0, x1 - x0, y1 - y0, **scale, width=0.015, headwidth=6, headlength=7, color=FAINT, zorder=1)
    ax.scatter(x0, y0, s=22, facecolors="white", edgecolors=INK, linewidths=1, zorder=2, label="within group")
    ax.scatter(x1, y1, s=22, color=ACCENT, linewidths=0, zorder=3, label="mixed model")
    centre = float(x["population"].iloc[0]), float(y["population"].iloc[0])
    ax.scatter(*centre, s=60, marker="+", color="black", linewidths=1.5, zorder=4, label="fixed effects")
    if legend:
        axes_legend(ax)
    cleaned(ax, xlabel, ylabel)
    _say_what_is_missing(ax, x, y)
    return ax


def _say_what_is_missing(ax: Axes, *frames: pd.DataFrame) -> None:
    missing, n = int(frames[0]["unpooled"].isna().sum()), len(frames[0])
    said = [
        f"(variance of {frame['effect'].iloc[0]} estimated as zero)" for frame in frames if not frame["varies"].all()
    ]
    said += [f"({missing} of {n} groups too small for their own estimate)"] if missing else []
    if said:
        below(ax, "\n".join(said))


def draw_group(frame: pd.DataFrame, ax: Axes | None = None, *, title: str = "") -> Axes:
    """
    The rows of one group, the line that the model fits to it, and the line of the fixed effects.

    Lines go through the predictions for the rows, averaged where several have the same x.

    Parameters
    ----------
    frame : DataFrame
        Rows of `groups_frame` for one group.
    ax : Axes, optional
    title : str
        Its name.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> frame = plots.groups_frame(fit)
    >>> ax = plots.draw_group(frame[frame["level"] == "308"], title="Subject 308")
    >>> ax.get_title()
    'Subject 308'
    """
    ax, x = one_axes(ax), frame["x"]
    categorical = isinstance(x.dtype, pd.CategoricalDtype)
    place = x.cat.codes if categorical else x
    lines = frame.assign(x=place).groupby("x", observed=True)[["fitted", "population"]].mean()
    ax.plot(lines.index, lines["population"], color=FAINT, linewidth=1.2, linestyle="--", label="fixed effects only")
    ax.plot(lines.index, lines["fitted"], color=ACCENT, linewidth=1.8, label="fitted")
    ax.scatter(place, frame["response"], color=INK, zorder=3, **points(len(frame)))
    if categorical:
        ax.set_xticks(range(len(x.cat.categories)), labels=[str(c) for c in x.cat.categories])
        ax.set_xlim(-0.4, len(x.cat.categories) - 0.6)
    ax.set_title(title, fontsize="small", pad=2)
    return cleaned(ax, ticks=4)


def figure_legend(axes: list[Axes], title: str | None = None) -> FigureBase:
    """Say what is what once for all Axes of a figure; the figure."""
    figure = axes[0].get_figure()
    assert figure is not None
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, title=title, loc="outside upper center", ncols=len(labels), frameon=False, fontsize="small"
    )
    return figure


def label_groups(axes: list[Axes], x: str, response: str, group: str, shown: int, n: int, own: bool) -> None:
    """Name the variables: once for a figure of the panels' own, else on every Axes; and say which line is which."""
    if not own:
        for ax in axes:
            ax.set_xlabel(x)
            ax.set_ylabel(response)
        return
    title = group if shown == n else f"{group}: {shown} of {n} levels"
    figure = figure_legend(axes, title)
    figure.supxlabel(x, fontsize="medium")
    figure.supylabel(response, fontsize="medium")
