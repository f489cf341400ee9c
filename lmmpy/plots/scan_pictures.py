"""Frames of scans on an Axes: a frame and an Axes in, the Axes out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.plots.canvas import ACCENT, BAND, FAINT, INK, cleaned, one_axes, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_lod", "draw_manhattan", "draw_qq_p", "draw_regional"]

_LOG_P = "−log₁₀ p"
_MEGA = 1e6
# Beside the accent, for further curves: Okabe & Ito (2008).
_CURVES = (ACCENT, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Classes of r² as regional plots have them, from unlinked to linked.
_R2_EDGES = (0.2, 0.4, 0.6, 0.8)
_R2_COLOURS = ("#BBCCEE", "#56B4E9", "#009E73", "#E69F00", "#D55E00")


# ---- association


def draw_manhattan(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    genome_wide: float | None = 5e-8,
    suggestive: float | None = 1e-5,
    colors: Sequence[str] = (INK, FAINT),
    highlight: str | None = ACCENT,
    labels: Sequence[str] | None = None,
    ylabel: str = _LOG_P,
) -> Axes:
    """
    −log10 p along the genome, chromosomes in alternating colours.

    Parameters
    ----------
    frame : DataFrame
        Of `manhattan_frame`.
    ax : Axes, optional
    genome_wide, suggestive : float or None
        p-values at which a line is drawn.
    colors : sequence of str
        Of the chromosomes in turn.
    highlight : str or None
        Colour of points above the genome-wide line.
    labels : sequence of str, optional
        Variants to name, such as those of `association_peaks`.
    ylabel : str

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        For a label that is no variant of the frame.
    """
    ax = one_axes(ax, (9.0, 3.4))
    chosen = _labelled(frame, labels)
    names = list(frame["chromosome"].unique())
    number = pd.factorize(frame["chromosome"])[0] % len(colors)
    style = points(len(frame)) | {"s": 6.0, "alpha": 1.0}
    above = _above(frame, genome_wide if highlight is not None else None)
    for colour in range(min(len(colors), len(names))):
        part = frame[(number == colour) & ~above]
        ax.scatter(part["x"].to_numpy(), part["log_p"].to_numpy(), color=colors[colour], **style)
    if above.any():
        part = frame[above]
        ax.scatter(part["x"].to_numpy(), part["log_p"].to_numpy(), color=highlight, **(style | {"s": 10.0}))
    for value, line in ((genome_wide, "-"), (suggestive, "--")):
        if value is not None:
            ax.axhline(-np.log10(value), color=FAINT, linewidth=0.8, linestyle=line, zorder=0)
    _annotate(ax, chosen)
    ax.set_ylim(bottom=0.0)
    label = _chromosome_axis(ax, frame, _MEGA)
    return cleaned(ax, label, ylabel)


def _above(frame: pd.DataFrame, p: float | None) -> Any:
    return np.zeros(len(frame), dtype=bool) if p is None else (frame["log_p"] >= -np.log10(p)).to_numpy()


def _labelled(frame: pd.DataFrame, labels: Sequence[str] | None) -> pd.DataFrame:
    wanted = [] if labels is None else [str(name) for name in labels]
    absent = sorted(set(wanted) - set(frame["variant"]))
    if absent:
        raise DataError(f"No point of {shown(absent)} is in the picture; labels= are names of variants drawn.")
    found: pd.DataFrame = frame[frame["variant"].isin(wanted)]
    return found


def _annotate(ax: Axes, chosen: pd.DataFrame) -> None:
    for row in chosen.itertuples():
        at: dict[str, Any] = {
            "xytext": (0, 5),
            "textcoords": "offset points",
            "ha": "center",
            "fontsize": "x-small",
            "color": INK,
        }
        ax.annotate(str(row.variant), (row.x, row.log_p), **at)
    if len(chosen):
        ax.margins(y=0.12)


def _chromosome_axis(ax: Axes, frame: pd.DataFrame, unit: float, words: str = "Position on chromosome {}, Mb") -> str:
    """Name the chromosomes in their middles, or show positions where there is one only; the label of the axis."""
    spans = frame.groupby("chromosome", sort=False)["x"].agg(["min", "max"])
    if len(spans) == 1:
        _scaled(ax, unit)
        return words.format(spans.index[0])
    width = float(spans["max"].max() - spans["min"].min())
    ax.set_xlim(spans["min"].min() - 0.01 * width, spans["max"].max() + 0.01 * width)
    middles, names = spans.mean(axis=1).tolist(), [str(name) for name in spans.index]
    ax.set_xticks(middles, labels=_thinned_names(names, middles, width), fontsize="small")
    ax.tick_params(axis="x", length=0)
    return "Chromosome"


def _thinned_names(names: list[str], middles: list[float], width: float) -> list[str]:
    """Blank names that would stand in one another: closer than a fortieth of the axis."""
    out, last = [], -np.inf
    for name, middle in zip(names, middles, strict=True):
        room = middle - last >= width * 0.0065 * (1 + len(name))
        out.append(name if room else "")
        last = middle if room else last
    return out


def _scaled(ax: Axes, unit: float) -> None:
    if unit != 1.0:
        from matplotlib.ticker import FuncFormatter

        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))


def draw_regional(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    genome_wide: float | None = 5e-8,
    ylabel: str = _LOG_P,
) -> Axes:
    """
    −log10 p in a region, the lead variant as a diamond, the others coloured by r² with it where that is known.

    Parameters
    ----------
    frame : DataFrame
        Of `regional_frame`.
    ax : Axes, optional
    genome_wide : float or None
        p-value at which a line is drawn, if the picture reaches it.
    ylabel : str

    Returns
    -------
    Axes
    """
    ax = one_axes(ax, (5.6, 3.6))
    others, lead = frame[~frame["lead"]], frame[frame["lead"]]
    r2, style = others["r2"].to_numpy(), points(len(others)) | {"s": 18.0, "alpha": 1.0}
    classes = np.where(np.isnan(r2), -1, np.digitize(r2, _R2_EDGES))
    for number in range(-1, len(_R2_COLOURS)):
        part = others[classes == number]
        colour = FAINT if number < 0 else _R2_COLOURS[number]
        ax.scatter(part["position"].to_numpy(), part["log_p"].to_numpy(), color=colour, zorder=2 + number, **style)
    ax.scatter(lead["position"], lead["log_p"], color=ACCENT, marker="D", s=38, zorder=9)
    for row in lead.itertuples():
        ax.annotate(str(row.variant), (row.position, row.log_p), (0, 6), textcoords="offset points", ha="center")
    if genome_wide is not None and float(frame["log_p"].max()) >= -np.log10(genome_wide) - 1.0:
        ax.axhline(-np.log10(genome_wide), color=FAINT, linewidth=0.8, zorder=0)
    if not np.isnan(r2).all():
        _r2_legend(ax, bool(np.isnan(r2).any()))
    ax.margins(y=0.12)
    ax.set_ylim(bottom=0.0)
    _scaled(ax, _MEGA)
    return cleaned(ax, f"Position on chromosome {frame['chromosome'].iloc[0]}, Mb", ylabel)


def _r2_legend(ax: Axes, unknown: bool) -> None:
    from matplotlib.lines import Line2D

    edges = (0.0, *_R2_EDGES, 1.0)
    names = [f"{low:g}–{high:g}" for low, high in pairwise(edges)]
    shades = [*zip(names, _R2_COLOURS, strict=True)][::-1] + ([("unknown", FAINT)] if unknown else [])
    marks = [
        Line2D([], [], color=colour, marker="o", linestyle="", markersize=4, label=name) for name, colour in shades
    ]
    ax.legend(handles=marks, title="r²", fontsize="x-small", title_fontsize="x-small", frameon=False, loc="upper right")


def draw_qq_p(frame: pd.DataFrame, ax: Axes | None = None, *, ylabel: str = "Observed −log₁₀ p") -> Axes:
    """
    Observed p-values over expected ones, with the band of the first group and λ_GC.

    Parameters
    ----------
    frame : DataFrame
        Of `qq_p_frame`.
    ax : Axes, optional
    ylabel : str

    Returns
    -------
    Axes
    """
    ax = one_axes(ax, (3.8, 3.8))
    grouped = "group" in frame.columns
    parts: list[tuple[Any, pd.DataFrame]] = list(frame.groupby("group", sort=False)) if grouped else [("", frame)]
    # Bands depend on the number of p-values alone; that of the largest group is the narrowest and the longest.
    widest = max((part for _, part in parts), key=lambda part: int(part["n"].iloc[0]))
    x, low, high = (widest[name].to_numpy() for name in ("expected", "conf_low", "conf_high"))
    ax.fill_between(x, low, high, color=BAND, linewidth=0)
    end = float(frame["expected"].max())
    ax.plot([0.0, end], [0.0, end], color=FAINT, linewidth=1)
    for number, (name, part) in enumerate(parts):
        colour = _CURVES[number % len(_CURVES)] if grouped else INK
        inflation = f"λ = {float(part['lambda_gc'].iloc[0]):.3f}"
        style = points(int(part["n"].iloc[0])) | {"s": 8.0, "alpha": 1.0}
        x, y = part["expected"].to_numpy(), part["observed"].to_numpy()
        ax.scatter(x, y, color=colour, zorder=3, label=f"{name}: {inflation}", **style)
        if not grouped:
            ax.text(0.04, 0.94, inflation, transform=ax.transAxes, va="top", color=INK)
    if grouped:
        ax.legend(fontsize="small", frameon=False, loc="upper left")
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    return cleaned(ax, "Expected −log₁₀ p", ylabel)


# ---- linkage


def draw_lod(
    frame: pd.DataFrame,
    ax: Axes | None = None,
    *,
    thresholds: Sequence[float] = (3.0,),
    support: pd.DataFrame | None = None,
    ylabel: str = "LOD",
) -> Axes:
    """
    LOD scores along the genome or one chromosome; each pass has its curve.

    Parameters
    ----------
    frame : DataFrame
        Of `lod_frame`.
    ax : Axes, optional
    thresholds : sequence of float
        LOD scores at which a line is drawn.
    support : DataFrame, optional
        Peaks with their support intervals: columns `chromosome, position, low, high` (cM; NaN or
        infinite where an end is open), and `pass` where there are several. Those on chromosomes drawn are bars below
        the curves.
    ylabel : str

    Returns
    -------
    Axes
    """
    many = frame["chromosome"].nunique() > 1
    ax = one_axes(ax, (9.0, 3.0) if many else (4.6, 3.0))
    names = list(frame["pass"].unique())
    for number, name in enumerate(names):
        part, colour = frame[frame["pass"] == name], _CURVES[number % len(_CURVES)]
        for order, (_, own) in enumerate(part.groupby("chromosome", sort=False)):
            mark = "o" if len(own) == 1 else ""
            label = name if order == 0 else "_"
            ax.plot(own["x"], own["lod"], color=colour, linewidth=1.5, marker=mark, markersize=3, label=label)
    for value in thresholds:
        ax.axhline(value, color=FAINT, linewidth=0.8, linestyle="--", zorder=0)
    if many:
        for edge in _boundaries(frame):
            ax.axvline(edge, color=BAND, linewidth=0.8, zorder=0)
    highest = max([float(frame["lod"].max()), 1.0, *thresholds])
    _support_bars(ax, frame, support, highest, names)
    if len(names) > 1:
        ax.legend(fontsize="small", frameon=False, loc="upper right")
    ax.set_ylim(-0.06 * highest if support is not None else min(0.0, float(frame["lod"].min())), 1.06 * highest)
    return cleaned(ax, _chromosome_axis(ax, frame, 1.0, "Position on chromosome {}, cM"), ylabel)


def _boundaries(frame: pd.DataFrame) -> list[float]:
    spans = frame.groupby("chromosome", sort=False)["x"].agg(["min", "max"])
    ends, starts = spans["max"].to_numpy()[:-1], spans["min"].to_numpy()[1:]
    return [float(edge) for edge in 0.5 * (ends + starts)]


def _support_bars(
    ax: Axes, frame: pd.DataFrame, support: pd.DataFrame | None, highest: float, names: list[str]
) -> None:
    if support is None:
        return
    for row in support.to_dict("records"):
        own = frame[frame["chromosome"] == str(row["chromosome"])]
        if own.empty:
            continue
        shift = float(own["x"].iloc[0] - own["position"].iloc[0])
        first, last = float(own["position"].min()), float(own["position"].max())
        ends = [float(row["low"]), float(row["high"])]
        low, high = (edge if not np.isfinite(end) else end for end, edge in zip(ends, (first, last), strict=True))
        number = names.index(str(row["pass"])) if str(row.get("pass")) in names else 0
        colour, y = _CURVES[number % len(_CURVES)], -0.03 * highest
        ax.plot([low + shift, high + shift], [y, y], color=colour, linewidth=3, solid_capstyle="butt", zorder=1)
        ax.plot([float(row["position"]) + shift], [y], color="white", marker="|", markersize=5, zorder=2)
