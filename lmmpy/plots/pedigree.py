"""A family as geneticists draw it: squares and circles, couples joined, sibs on one bar, twins on one point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmmpy.plots.canvas import FAINT, INK, one_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lmmpy.relatedness import Pedigree

__all__ = ["draw_pedigree"]

_MARKERS = {"male": "s", "female": "o", "unknown": "D"}
# In units of the layout: neighbours are 1 apart, so are rows.
_BAR, _INCH = 0.45, 0.62


def draw_pedigree(pedigree: Pedigree, family: int | None = None, ax: Any = None, labels: bool = True) -> Axes:
    """
    Draw one family of a pedigree.

    Parameters
    ----------
    pedigree : Pedigree
    family : int, optional
        Its number in ``pedigree.families()``; may be left out when there is one only.
    ax : Axes, optional
    labels : bool
        Whether ids are written.

    Returns
    -------
    Axes
        Squares are male, circles female, diamonds of unknown sex; a line joins a couple, a bar the children of one.

    Raises
    ------
    DataError
        When there is no such family, or more than 500 belong to it.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy.plots import draw_pedigree
    >>> trio = lmm.Pedigree(["child", "father", "mother"], ["father", None, None], ["mother", None, None])
    >>> ax = draw_pedigree(trio)
    >>> [text.get_text() for text in ax.texts]
    ['child', 'father', 'mother']
    """
    frame = pedigree.layout(family)
    width, height = float(frame["x"].max()) + 1.5, -float(frame["y"].min()) + 1.2
    axes = one_axes(ax, (max(_INCH * width, 2.5), max(1.6 * _INCH * height, 1.6)))
    _draw_lines(axes, frame)
    for sex, marker in _MARKERS.items():
        who = frame[frame["sex"] == sex]
        if len(who):
            axes.scatter(
                who["x"], who["y"], s=130, marker=marker, facecolor="white", edgecolor=INK, linewidth=1, zorder=3
            )
    if labels:
        for row in frame.itertuples():
            axes.annotate(
                str(row.id),
                (row.x, row.y),
                (0, -9),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize="x-small",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # a line may run behind it
            )
    axes.set_xlim(-0.75, width - 0.75)
    axes.set_ylim(-height + 0.5, 0.5)
    axes.set_axis_off()
    return axes


def _draw_lines(ax: Axes, frame: pd.DataFrame) -> None:
    """Couples, and from each couple (or single parent) down to the bar of its children."""
    x = dict(zip(frame["id"], frame["x"], strict=True))
    y = dict(zip(frame["id"], frame["y"], strict=True))
    own = frame[frame["father"].notna() | frame["mother"].notna()]
    couples = own.groupby(["father", "mother"], dropna=False, sort=False)
    bars: dict[float, int] = {}
    for parents, children in couples:
        known = [p for p in parents if p in x]
        middle = sum(x[p] for p in known) / len(known)
        low = min(y[p] for p in known)
        join = sum(y[p] for p in known) / len(known)
        if len(known) == 2:
            ax.plot([x[p] for p in known], [y[p] for p in known], color=INK, linewidth=1, zorder=1)
        # Bars of neighbouring sibships at slightly different heights, so that crossing ones can be told apart.
        turn = bars[low] = bars.get(low, -1) + 1
        bar = low - _BAR - 0.05 * (turn % 3 - 1)
        ax.plot([middle, middle], [join, bar], color=INK, linewidth=1, zorder=1)
        tops = _draw_sibs(ax, children, bar)
        ax.plot([min([middle, *tops]), max([middle, *tops])], [bar, bar], color=INK, linewidth=1, zorder=1)


def _draw_sibs(ax: Axes, children: pd.DataFrame, bar: float) -> list[float]:
    """Lines from the children up to the bar, identical twins' to one point of it; where they meet the bar."""
    tops = []
    groups = children.groupby(children["twin"].fillna(children["id"]), sort=False)
    for _, sibs in groups:
        top = float(sibs["x"].mean())
        tops.append(top)
        for x, y in zip(sibs["x"], sibs["y"], strict=True):
            ax.plot([top, x], [bar, y], color=INK, linewidth=1, zorder=1)
        if len(sibs) > 1:
            height = (bar + float(sibs["y"].mean())) / 2
            ends = [(top + float(at)) / 2 for at in (sibs["x"].min(), sibs["x"].max())]
            ax.plot(ends, [height, height], color=FAINT, linewidth=1, zorder=1)
    return tops
