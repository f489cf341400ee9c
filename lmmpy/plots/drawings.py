"""Drawings of frames of rows, fixed effects and profiles: a frame and an Axes in, the Axes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.plots.canvas import ACCENT, BAND, FAINT, INK, cleaned, group_axis, note, one_axes, points
from lmmpy.plots.smoothing import smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_forest", "draw_influence", "draw_profile", "draw_qq", "draw_residuals", "draw_scale_location"]

# Up to so many levels are sorted and named; of more, so many of those above the cut are.
_MOST_SORTED, _MOST_NAMED = 40, 8


def _cloud(frame: pd.DataFrame, y: str, ax: Any, xlabel: str, ylabel: str) -> Axes:
    """Points over fitted values, and a smooth line through them."""
    ax, known = one_axes(ax), frame.dropna()
    ax.scatter(known["fitted"], known[y], color=INK, **points(len(known)))
    x, smoothed = smooth(known["fitted"].to_numpy(dtype=float), known[y].to_numpy(dtype=float))
    ax.plot(x, smoothed, color=ACCENT, linewidth=2)
    return cleaned(ax, xlabel, ylabel)


def draw_residuals(
    frame: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "Fitted value", ylabel: str = "Residual"
) -> Axes:
    """
    Residuals over fitted values, with a smooth line that is level where the mean is right.

    Parameters
    ----------
    frame : DataFrame
        Of `residual_frame`.
    ax : Axes, optional
        Default: that of a new figure.
    xlabel, ylabel : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> ax = plots.draw_residuals(plots.residual_frame(fit))
    >>> ax.get_xlabel()
    'Fitted value'
    """
    ax = one_axes(ax)
    ax.axhline(0.0, color=FAINT, linewidth=1, zorder=0)
    return _cloud(frame, "residual", ax, xlabel, ylabel)


def draw_scale_location(
    frame: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "Fitted value", ylabel: str = "√|residual|"
) -> Axes:
    """
    Roots of absolute residuals over fitted values, with a smooth line that is level where the variance is constant.

    Parameters
    ----------
    frame : DataFrame
        Of `scale_location_frame`.
    ax : Axes, optional
    xlabel, ylabel : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> ax = plots.draw_scale_location(plots.scale_location_frame(fit))
    >>> ax.get_ylabel()
    '√|residual|'
    """
    ax = _cloud(frame, "root", ax, xlabel, ylabel)
    ax.set_ylim(bottom=0.0)
    return ax


def draw_qq(
    frame: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "Normal quantile", ylabel: str = "Sample quantile"
) -> Axes:
    """
    Values over normal quantiles, with the line of their mean and standard deviation and its pointwise band.

    Parameters
    ----------
    frame : DataFrame
        Of `qq_frame`.
    ax : Axes, optional
    xlabel, ylabel : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> ax = plots.draw_qq(plots.qq_residual_frame(fit))
    >>> ax.get_xlabel()
    'Normal quantile'
    """
    ax, known = one_axes(ax), frame[frame["theoretical"].notna()]
    x = known["theoretical"].to_numpy(dtype=float)
    ax.fill_between(x, known["conf_low"].to_numpy(), known["conf_high"].to_numpy(), color=BAND, linewidth=0)
    ax.plot(x, known["expected"].to_numpy(), color=ACCENT, linewidth=1.5)
    ax.scatter(x, known["sample"].to_numpy(), color=INK, zorder=3, **points(len(known)) | {"alpha": 0.8})
    return cleaned(ax, xlabel, ylabel)


def draw_forest(frame: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "Estimate") -> Axes:
    """
    Estimates with their intervals, the first on top.

    Parameters
    ----------
    frame : DataFrame
        Of `forest_frame`; rows may be left out.
    ax : Axes, optional
        The default has a height for its rows.
    xlabel : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> ax = plots.draw_forest(plots.forest_frame(fit).loc[["Days"]], xlabel="Effect (ms per day)")
    >>> ax.get_xlabel()
    'Effect (ms per day)'
    """
    ax = one_axes(ax, (4.6, min(1.1 + 0.26 * len(frame), 9.0)))
    turned = frame.iloc[::-1]
    y = np.arange(len(turned))
    ax.axvline(0.0, color=FAINT, linewidth=1, zorder=0)
    ax.hlines(y, turned["conf_low"].to_numpy(), turned["conf_high"].to_numpy(), color=ACCENT, linewidth=2)
    ax.scatter(turned["estimate"].to_numpy(), y, color=ACCENT, s=36, zorder=3)
    group_axis(ax, [str(name) for name in turned.index], "")
    return cleaned(ax, xlabel)


# ---- profiles


def draw_profile(
    curve: pd.DataFrame, limits: pd.DataFrame, ax: Axes | None = None, *, xlabel: str = "", ylabel: str = "ζ"
) -> Axes:
    """
    ζ over one parameter, with its intervals as lines from ζ = 0 to the curve.

    Parameters
    ----------
    curve : DataFrame
        Rows of `profile_frame` for the parameter; without any, the parameter has no profile, and that is said.
    limits : DataFrame
        Rows of `profile_limits_frame`.
    ax : Axes, optional
    xlabel, ylabel : str

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    >>> profile = fit.profile("sigma")
    >>> curve, limits = plots.profile_frame(profile), plots.profile_limits_frame(profile)
    >>> ax = plots.draw_profile(curve, limits, xlabel="sigma (ms)")
    >>> ax.get_ylabel()
    'ζ'
    """
    ax = one_axes(ax)
    if curve.empty:
        note(ax, "not defined: an effect\ndoes not vary")
        ax.set_xticks([])
        ax.set_yticks([])
        return cleaned(ax, xlabel, ylabel)
    ax.axhline(0.0, color=FAINT, linewidth=1, zorder=0)
    for side in ("low", "high"):
        ax.vlines(limits[f"conf_{side}"], 0.0, limits[f"zeta_{side}"], color=INK, linewidth=1, zorder=1)
    beside = ax.get_yaxis_transform()
    for level, zeta in zip(limits["level"], limits["zeta_high"], strict=True):
        ax.text(1.01, zeta, f"{100 * level:g} %", transform=beside, fontsize="small", color=INK, va="center")
    ax.plot(curve["value"], curve["zeta"], color=ACCENT, linewidth=2)
    cleaned(ax, xlabel, ylabel).yaxis.label.set(rotation=0, va="center")
    return ax


# ---- influence


def draw_influence(
    frame: pd.DataFrame, ax: Axes | None = None, *, group: str = "Row", xlabel: str = "Cook's distance"
) -> Axes:
    """
    Cook's distances, those above the cut in colour.

    Up to forty levels are named and sorted, the largest on top. More are drawn upright in their order, the largest
    above the cut named.

    Parameters
    ----------
    frame : DataFrame
        Of `influence_frame`.
    ax : Axes, optional
    group : str
        What was left out.
    xlabel : str
        Name of the distance.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    >>> ax = plots.draw_influence(plots.influence_frame(fit, "Subject", refit=False), group="Subject")
    >>> ax.get_ylabel()
    'Subject'
    """
    if len(frame) > _MOST_SORTED:
        return _influence_in_order(frame, one_axes(ax, (5.4, 3.4)), group, xlabel)
    ax = one_axes(ax, (4.6, min(1.1 + 0.2 * len(frame), 8.0)))
    ordered = frame.sort_values("cooks", kind="stable", na_position="first")
    y, cooks = np.arange(float(len(ordered))), ordered["cooks"].to_numpy(dtype=float)
    _stems(ax.hlines, y, cooks, ordered["above_cut"].to_numpy(dtype=bool))
    ax.scatter(cooks, y, c=_colours(ordered), s=22, zorder=3)
    for missing in y[np.isnan(cooks)]:
        ax.annotate(" no fit without it", (0.0, float(missing)), va="center", fontsize="x-small", color=INK)
    cut = float(frame["cut"].iloc[0])
    ax.axvline(cut, color=FAINT, linewidth=1, linestyle="--", zorder=0)
    above = ax.get_xaxis_transform()
    ax.text(cut, 1.01, _cut(cut), transform=above, fontsize="small", color=INK, ha="center", va="bottom")
    label = group_axis(ax, [str(level) for level in ordered.index], group)
    ax.set_xlim(left=0.0)
    return cleaned(ax, xlabel, label)


def _cut(cut: float) -> str:
    return f"4/n = {cut:.2g}"


def _colours(frame: pd.DataFrame) -> list[str]:
    return [ACCENT if above else INK for above in frame["above_cut"]]


def _stems(lines: Callable[..., Any], places: Floats, ends: Floats, above: Any) -> None:
    for chosen, colour in ((~above, FAINT), (above, ACCENT)):
        lines(places[chosen], 0.0, ends[chosen], color=colour, linewidth=1)


def _influence_in_order(frame: pd.DataFrame, ax: Axes, group: str, label: str) -> Axes:
    x, cooks = np.arange(1.0, len(frame) + 1), frame["cooks"].to_numpy(dtype=float)
    _stems(ax.vlines, x, cooks, frame["above_cut"].to_numpy(dtype=bool))
    ax.scatter(x, cooks, c=_colours(frame), s=10, zorder=3)
    cut = float(frame["cut"].iloc[0])
    ax.axhline(cut, color=FAINT, linewidth=1, linestyle="--", zorder=0)
    beside = ax.get_yaxis_transform()
    ax.text(1.01, cut, _cut(cut), transform=beside, fontsize="small", color=INK, va="center")
    largest = frame["cooks"].where(frame["above_cut"]).reset_index(drop=True).dropna().nlargest(_MOST_NAMED)
    for place, value in largest.items():
        at = (float(x[int(str(place))]), float(value))
        text = str(frame.index[int(str(place))])
        ax.annotate(text, at, xytext=(0, 4), textcoords="offset points", ha="center", fontsize="x-small", color=INK)
    ax.margins(y=0.1)
    ax.set_ylim(bottom=0.0)
    return cleaned(ax, f"{group}, in order", label)
