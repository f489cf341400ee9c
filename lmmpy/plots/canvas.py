"""Axes to draw on, and what all plots share: colours, weights of lines, and as little ink as will do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmpy.errors import ModelError, shown

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "ACCENT",
    "BAND",
    "FAINT",
    "INK",
    "cleaned",
    "group_axis",
    "many_axes",
    "note",
    "one_axes",
    "plain",
    "points",
    "squeezed",
]

# One accent among greys, the blue of Okabe & Ito (2008), which every kind of colour vision tells from grey.
ACCENT, INK, FAINT, BAND = "#0072B2", "0.25", "0.6", "0.88"
# With more levels than this their names are not written.
_MOST_NAMES = 40
# Of a figure with several panels, in inches.
_WIDTH = 11.0


def pyplot() -> ModuleType:
    """
    matplotlib.pyplot.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install matplotlib") from error
    return plt


def _flat(ax: Any) -> list[Any]:
    """One or several Axes as a list."""
    if isinstance(ax, np.ndarray | np.flatiter):
        return list(np.ravel(np.asarray(ax)))
    return list(ax) if isinstance(ax, list | tuple) else [ax]


def one_axes(ax: Any = None, size: tuple[float, float] = (4.6, 3.4)) -> Axes:
    """
    The Axes that was given, or one of a new figure of `size` inches.

    Raises
    ------
    ModelError
        When something else was given.
    """
    axes: Axes = many_axes(["the plot"], ax, size)[0]
    return axes


def many_axes(
    names: Sequence[str],
    ax: Any = None,
    size: tuple[float, float] = (3.2, 2.8),
    shared: bool = False,
    head: float = 0.0,
) -> list[Axes]:
    """
    An Axes for each of several panels: those that were given, or those of a new figure.

    Parameters
    ----------
    names : sequence of str
        What the panels show, for messages.
    ax : Axes, or array or sequence of Axes, optional
    size : tuple of float
        Of one panel of a new figure, in inches.
    shared : bool
        Whether the panels of a new figure share both axes.
    head : float
        Room above the panels of a new figure, in inches.

    Returns
    -------
    list of Axes

    Raises
    ------
    ModelError
        When the number of Axes is not that of the panels, or something is no Axes.
    """
    plt = pyplot()
    if ax is None:
        return _new_axes(plt, len(names), size, shared, head)
    from matplotlib.axes import Axes

    given = _flat(ax)
    wrong = [type(item).__name__ for item in given if not isinstance(item, Axes)]
    if wrong:
        raise ModelError(f"ax must be matplotlib Axes, or an array of them; got {shown(wrong)}.")
    if len(given) != len(names):
        raise ModelError(
            f"This plot needs {len(names)} Axes, for {shown(names)}; got {len(given)}. Make them with "
            f"plt.subplots(1, {len(names)}), or leave ax out."
        )
    return given


def _new_axes(plt: ModuleType, n: int, size: tuple[float, float], shared: bool, head: float) -> list[Axes]:
    # No wider than a page, as square as can be with as few empty places as can be.
    widest = min(max(int(_WIDTH / size[0]), 1), n)
    columns = min(range(min(math.ceil(math.sqrt(n)), widest), widest + 1), key=lambda c: -n % c)
    rows = math.ceil(n / columns)
    _, grid = plt.subplots(
        rows,
        columns,
        figsize=(size[0] * columns, size[1] * rows + head),
        squeeze=False,
        sharex=shared,
        sharey=shared,
        layout="constrained",
    )
    axes = list(grid.ravel())
    for spare in axes[n:]:
        above = axes[axes.index(spare) - columns]
        above.tick_params(labelbottom=True)
        spare.remove()
    return axes[:n]


def squeezed(axes: list[Axes]) -> Axes | NDArray[np.object_]:
    """The Axes itself when there is one, else an array of them, as ``plt.subplots`` gives them."""
    if len(axes) == 1:
        return axes[0]
    array = np.empty(len(axes), dtype=object)
    array[:] = axes
    return array


def cleaned(ax: Axes, xlabel: str = "", ylabel: str = "", ticks: int = 5) -> Axes:
    """Label the axes, open the box, and thin out the ticks of numbers."""
    from matplotlib.ticker import AutoLocator, MaxNLocator

    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    for axis, most in ((ax.xaxis, ticks), (ax.yaxis, ticks + 1)):
        if type(axis.get_major_locator()) is AutoLocator:  # others were chosen by somebody
            axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    return ax


def plain(name: str) -> str:
    """A name of a formula without the backticks that stand around what is no name of R's."""
    return name.replace("`", "")


def points(n: int) -> dict[str, Any]:
    """How n points are drawn so that they do not hide each other; many of them as one bitmap in vector files."""
    size, alpha = (16.0, 0.65) if n <= 300 else (8.0, 0.4) if n <= 3_000 else (3.0, 0.2)
    return {"s": size, "alpha": alpha, "linewidths": 0, "rasterized": n > 3_000}


def group_axis(ax: Axes, levels: Sequence[str], group: str, recorded: int | None = None) -> str:
    """
    Name the levels along the vertical axis, bottom up, where there is room; the label that the axis should have.

    Where there is no room, it says how many there are, and how many of them are `recorded`, if not all.
    """
    m = len(levels)
    ax.set_ylim(-0.6, m - 0.4)
    if m > _MOST_NAMES:
        ax.set_yticks([])
        return f"{group} ({m} levels)" if recorded in (None, m) else f"{group} ({recorded} levels with rows of {m})"
    ax.set_yticks(range(m), labels=list(levels), fontsize="small" if m <= 20 else "x-small")
    ax.tick_params(axis="y", length=0)
    return group


def note(ax: Axes, text: str) -> None:
    """A remark in the right half of an Axes, beside a column of points in its middle."""
    ax.text(0.97, 0.5, text, transform=ax.transAxes, ha="right", va="center", fontsize="small", color=INK)
