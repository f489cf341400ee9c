"""One style for figures: the course and the documentation use it, and so may a paper."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from lmmpy.errors import ModelError
from lmmpy.plots.canvas import INK, pyplot

__all__ = ["COLOURS", "use_style"]

COLOURS = MappingProxyType(
    {
        "blue": "#0072B2",
        "orange": "#E69F00",
        "green": "#009E73",
        "vermilion": "#D55E00",
        "purple": "#CC79A7",
        "sky": "#56B4E9",
        "grey": "#777777",
    }
)
"""Colours that every kind of colour vision tells apart (Okabe & Ito 2008; without their yellow, and with a grey)."""


def use_style(dpi: float = 110.0) -> None:
    """
    Set matplotlib's defaults for this session to the style of lmmpy's own figures.

    Open axes, a left-aligned title, legends without frames, the colours of `COLOURS` in their order, and room for the
    labels (``layout="constrained"``). ``matplotlib.rcdefaults()`` undoes it.

    Parameters
    ----------
    dpi : float
        Dots per inch of figures on a screen or in a notebook; of saved ones twice as many.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    ModelError
        When `dpi` is not positive.

    Examples
    --------
    >>> from lmmpy import plots
    >>> plots.use_style()
    >>> plots.COLOURS["blue"]
    '#0072B2'
    """
    if not dpi > 0:
        raise ModelError(f"dpi must be positive; got {dpi!r}.")
    pyplot().rcParams.update(_settings(dpi))


def _settings(dpi: float) -> dict[str, Any]:
    from cycler import cycler

    return {
        "figure.figsize": (6.4, 3.8),
        "figure.dpi": dpi,
        "figure.constrained_layout.use": True,
        "savefig.dpi": 2 * dpi,
        "font.size": 10,
        "axes.titlesize": "medium",
        "axes.titlelocation": "left",
        "axes.titlepad": 8.0,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=list(COLOURS.values())),
        "xtick.color": INK,
        "ytick.color": INK,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "legend.frameon": False,
        "legend.fontsize": "small",
        "image.cmap": "cividis",
    }
