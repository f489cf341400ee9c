"""Drawings of scans from their tables: Manhattan, Q–Q and regional plots, LOD curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from lmmpy.plots.canvas import many_axes, one_axes, squeezed
from lmmpy.plots.genome import chromosome_order
from lmmpy.plots.scan_builders import lod_frame, manhattan_frame, qq_p_frame, regional_frame
from lmmpy.plots.scan_pictures import draw_lod, draw_manhattan, draw_qq_p, draw_regional

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["lod_curves", "manhattan", "qq", "regional"]


def manhattan(
    table: pd.DataFrame,
    p: str = "p_value",
    ax: Axes | None = None,
    *,
    genome_wide: float | None = 5e-8,
    suggestive: float | None = 1e-5,
    labels: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    thin: bool = True,
) -> Axes:
    """
    −log10 p along the genome.

    Parameters
    ----------
    table : DataFrame
        Of an association scan.
    p : str
        The column of p-values.
    ax : Axes, optional
    genome_wide, suggestive : float or None
        p-values at which a line is drawn.
    labels : sequence of str, optional
        Variants to name, such as ``association_peaks(table)["variant"]``.
    colors : sequence of str, optional
        Of the chromosomes in turn; by default two greys.
    thin : bool
        Whether points are left out that others hide.

    Returns
    -------
    Axes

    Raises
    ------
    DataError, ModelError
        See `manhattan_frame`, which has the numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> places = {"chromosome": ["1", "1", "2"], "position": [100, 900, 50], "variant": ["rs1", "rs2", "rs3"]}
    >>> table = pd.DataFrame(places).assign(p_value=[0.2, 1e-9, 0.6])
    >>> ax = plots.manhattan(table)
    >>> ax.get_xlabel()
    'Chromosome'
    """
    ax = one_axes(ax, (9.0, 3.4))
    labels = None if labels is None else list(labels)
    frame = manhattan_frame(table, p, keep=labels or ()) if thin else manhattan_frame(table, p, None)
    chosen: dict[str, Any] = {} if colors is None else {"colors": tuple(colors)}
    return draw_manhattan(frame, ax, genome_wide=genome_wide, suggestive=suggestive, labels=labels, **chosen)


def qq(p_values: Any, level: float = 0.95, ax: Axes | None = None, *, group: Any = None) -> Axes:
    """
    p-values against those of as many tests without effects, with λ_GC.

    Parameters
    ----------
    p_values : array-like, shape (m,)
    level : float
        Of the pointwise band; it presumes independent tests.
    ax : Axes, optional
    group : array-like, shape (m,), optional
        Such as classes of allele frequency; a curve each.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        See `qq_p_frame`, which has the numbers.

    Examples
    --------
    >>> from lmmpy import plots
    >>> ax = plots.qq([0.2, 1e-9, 0.6])
    >>> ax.get_xlabel()
    'Expected −log₁₀ p'
    """
    return draw_qq_p(qq_p_frame(p_values, level, group), one_axes(ax, (3.8, 3.8)))


def regional(
    table: pd.DataFrame,
    variant: str | None = None,
    ax: Axes | None = None,
    *,
    chromosome: object = None,
    start: float | None = None,
    stop: float | None = None,
    window: float = 500_000,
    ld: Any = None,
    p: str = "p_value",
    genome_wide: float | None = 5e-8,
) -> Axes:
    """
    −log10 p around a variant or between two positions.

    Parameters
    ----------
    table : DataFrame
        Of an association scan.
    variant : str, optional
        The lead variant; or:
    chromosome, start, stop : optional
        A region, in base pairs.
    ax : Axes, optional
    window : float
        Base pairs to both sides of `variant`.
    ld : mapping, Series or square DataFrame, optional
        r² with the lead variant, by variant; points are coloured by it.
    p : str
    genome_wide : float or None
        p-value at which a line is drawn, if the picture reaches it.

    Returns
    -------
    Axes

    Raises
    ------
    DataError, ModelError
        See `regional_frame`, which has the numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> places = {"chromosome": ["1", "1", "2"], "position": [100, 900, 50], "variant": ["rs1", "rs2", "rs3"]}
    >>> table = pd.DataFrame(places).assign(p_value=[0.2, 1e-9, 0.6])
    >>> ax = plots.regional(table, "rs2")
    >>> ax.get_xlabel()
    'Position on chromosome 1, Mb'
    """
    ax = one_axes(ax, (5.6, 3.6))
    region = {"chromosome": chromosome, "start": start, "stop": stop, "window": window}
    frame = regional_frame(table, variant, ld=ld, p=p, **region)  # type: ignore[arg-type]
    return draw_regional(frame, ax, genome_wide=genome_wide)


def lod_curves(
    lod: Any,
    chromosome: str | Sequence[str] | None = None,
    ax: Any = None,
    *,
    each: bool = False,
    thresholds: Sequence[float] = (3.0,),
    support: pd.DataFrame | None = None,
    ylabel: str = "LOD",
) -> Axes | NDArray[np.object_]:
    """
    LOD scores along the genome, or by chromosome.

    Parameters
    ----------
    lod : DataFrame, or mapping of str to DataFrame
        Of a linkage scan, or of each of its passes.
    chromosome : str or sequence of str, optional
        One chromosome, or several with a panel each; by default the genome on one axis.
    ax : Axes, or as many as there are panels, optional
    each : bool
        Whether each chromosome of the scan has its panel.
    thresholds : sequence of float
        LOD scores at which a line is drawn.
    support : DataFrame, optional
        Support intervals of peaks; see `draw_lod`.
    ylabel : str

    Returns
    -------
    Axes or array of Axes
        An array where there are several panels.

    Raises
    ------
    DataError, ModelError
        See `lod_frame`, which has the numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> lod = pd.DataFrame({"chromosome": "1", "position": [0.0, 5.0, 10.0], "lod": [0.2, 3.4, 1.1]})
    >>> ax = plots.lod_curves(lod, "1")
    >>> ax.get_ylabel()
    'LOD'
    """
    whole = lod_frame(lod)
    options: dict[str, Any] = {"thresholds": thresholds, "support": support, "ylabel": ylabel}
    if chromosome is None and not each:
        return draw_lod(whole, None if ax is None else one_axes(ax), **options)
    if chromosome is None:
        chosen = chromosome_order(whole["chromosome"].unique())
    else:
        chosen = [str(chromosome)] if isinstance(chromosome, str | int) else [str(name) for name in chromosome]
    frames = [lod_frame(lod, name) for name in chosen]
    axes = many_axes([f"chromosome {name}" for name in chosen], ax, (4.6, 3.0) if len(chosen) == 1 else (3.2, 2.4))
    for own, frame in zip(axes, frames, strict=True):
        draw_lod(frame, own, **options)
    return squeezed(axes)
