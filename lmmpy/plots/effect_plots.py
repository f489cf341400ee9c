"""The part of ``fit.plot`` that shows random effects and groups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmpy.errors import ModelError, shown
from lmmpy.plots import group_builders, group_drawings
from lmmpy.plots.canvas import many_axes, one_axes, plain, pyplot, squeezed
from lmmpy.plots.drawings import draw_qq
from lmmpy.plots.protocols import PlottedFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["EffectPlots"]


class EffectPlots:
    """Plots of random effects and groups; see `FitPlots`."""

    def __init__(self, fit: PlottedFit) -> None:
        self._fit = fit

    @property
    def _response(self) -> str:
        return plain(self._fit.blueprint.response_text)

    # ---- random effects

    def qq_ranef(
        self, term: str | None = None, effect: str | None = None, level: float = 0.95, ax: Any = None
    ) -> Axes | NDArray[np.object_]:
        """
        Conditional modes, each over its standard deviation, over normal quantiles; a panel for each effect.

        Parameters
        ----------
        term : str, optional
            Name of a random term; default all.
        effect : str, optional
            Such as ``"(Intercept)"``; default all.
        level : float
            Of the pointwise band.
        ax : Axes or array of Axes, optional

        Returns
        -------
        Axes or ndarray of Axes

        Raises
        ------
        ModelError
            For a term or an effect that the model does not have, and another number of Axes than panels.

        See Also
        --------
        lmmpy.plots.qq_ranef_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.qq_ranef(effect="Days")
        >>> ax.get_xlabel()
        'Normal quantile'
        """
        pyplot()
        parts = _by_effect(group_builders.qq_ranef_frame(self._fit, term, effect, level))
        axes = many_axes([f"{effect} of {term}" for term, effect in parts], ax, (3.2, 2.9))
        for panel, ((name, column), frame) in zip(axes, parts.items(), strict=True):
            draw_qq(frame, panel, ylabel=plain(f"Standardized mode\n{column} | {name}"))
            group_drawings.remark(frame, panel)
        return squeezed(axes)

    def caterpillar(
        self,
        term: str | None = None,
        effect: str | None = None,
        level: float = 0.95,
        sort: str | None = None,
        ax: Any = None,
    ) -> Axes | NDArray[np.object_]:
        """
        Conditional modes with intervals given θ and β, sorted; a panel for each effect.

        Parameters
        ----------
        term : str, optional
            Name of a random term; default all.
        effect : str, optional
            Such as ``"(Intercept)"``; default all.
        level : float
        sort : str, optional
            The effect by which the panels of its term are sorted; by default each is by its own.
        ax : Axes or array of Axes, optional

        Returns
        -------
        Axes or ndarray of Axes

        Raises
        ------
        ModelError
            For a term or an effect that the model does not have, and another number of Axes than panels.

        See Also
        --------
        lmmpy.plots.caterpillar_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.caterpillar(effect="Days")
        >>> ax.get_xlabel()
        'Days'
        """
        pyplot()
        fit = self._fit
        parts = _by_effect(group_builders.caterpillar_frame(fit, term, effect, level))
        groups = {t.name: t.group for t in fit.design.random}
        orders = {} if sort is None else _by_effect(group_builders.caterpillar_frame(fit, term, sort, level))
        tallest = max(len(frame) for frame in parts.values())
        names = [f"{effect} of {term}" for term, effect in parts]
        axes = many_axes(names, ax, (4.2 if len(parts) == 1 else 3.4, group_drawings.height(tallest)))
        for panel, ((name, column), frame) in zip(axes, parts.items(), strict=True):
            by = orders.get((name, sort or column), frame)["estimate"].to_numpy()
            ordered = frame.iloc[np.argsort(by, kind="stable")]
            group_drawings.draw_caterpillar(ordered, panel, xlabel=plain(column), group=plain(groups[name]))
        return squeezed(axes)

    def shrinkage(
        self, term: str | None = None, effects: Sequence[str] | None = None, ax: Any = None
    ) -> Axes | NDArray[np.object_]:
        """
        Coefficients of each group by least squares within it, and where the mixed model moves them.

        With one effect they are dots by group; with two, arrows from one to the other; with more, there is a panel for
        each pair.

        Parameters
        ----------
        term : str, optional
            Name of a random term, the first one by default; terms with its grouping factor are taken together.
        effects : sequence of str, optional
            Which effects; default all.
        ax : Axes or array of Axes, optional

        Returns
        -------
        Axes or ndarray of Axes

        Raises
        ------
        ModelError
            For a term or an effect that the model does not have, and another number of Axes than panels.

        See Also
        --------
        lmmpy.plots.shrinkage_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.shrinkage()
        >>> ax.get_xlabel()
        '(Intercept) by Subject'
        """
        pyplot()
        frame, group = group_builders.shrinkage_frame(self._fit, term), group_builders.one_term(self._fit, term).group
        parts = {str(name): part for name, part in frame.groupby("effect", sort=False)}
        chosen = [effects] if isinstance(effects, str) else list(parts if effects is None else effects)
        unknown = [name for name in chosen if name not in parts]
        if unknown or not chosen:
            raise ModelError(f"{group} has no random effect {shown(unknown)}; it has {shown(parts, 20)}.")
        if len(chosen) == 1:
            size = (4.4, group_drawings.height(len(parts[chosen[0]])) + 0.3)
            ax = one_axes(ax, size)
            return group_drawings.draw_shrinkage(parts[chosen[0]], ax, xlabel=plain(chosen[0]), group=plain(group))
        pairs = list(combinations(chosen, 2))
        size = (4.6, 4.0) if len(pairs) == 1 else (3.4, 3.2)
        axes = many_axes([f"{a} and {b}" for a, b in pairs], ax, size, head=0.3 if len(pairs) > 1 else 0.0)
        for panel, (a, b) in zip(axes, pairs, strict=True):
            labels = {"xlabel": plain(f"{a} by {group}"), "ylabel": plain(f"{b} by {group}")}
            group_drawings.draw_shrinkage_pair(parts[a], parts[b], panel, **labels, legend=len(pairs) == 1)
        if len(pairs) > 1 and ax is None:
            group_drawings.figure_legend(axes)
        elif len(pairs) > 1:
            group_drawings.axes_legend(axes[0])
        return squeezed(axes)

    # ---- groups

    def groups(
        self,
        x: str | None = None,
        term: str | None = None,
        n: int = 20,
        levels: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Axes | NDArray[np.object_]:
        """
        The rows of each group with the line that is fitted to it and that of the fixed effects; a panel for each.

        Lines go through the predictions for the rows, averaged where several rows have the same x. The panels of a new
        figure share their axes.

        Parameters
        ----------
        x : str, optional
            A column of the data; by default a predictor, that of the term first.
        term : str, optional
            Name of the random term whose grouping factor makes the groups; the first one by default.
        n : int
            At most so many groups. Of more, so many are taken at even steps of the order of their first random effect,
            from the least to the largest, and the figure says so.
        levels : sequence of str, optional
            Which groups, instead.
        ax : Axes or array of Axes, optional
            One for each group.

        Returns
        -------
        Axes or ndarray of Axes

        Raises
        ------
        ModelError
            For a term or a level that the model does not have, and another number of Axes than panels.
        DataError
            For an unknown column.

        See Also
        --------
        lmmpy.plots.groups_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> panels = fit.plot.groups(levels=["308", "309"])
        >>> len(panels)
        2
        """
        pyplot()
        found = group_builders.one_term(self._fit, term)
        x = group_builders.default_x(self._fit, found) if x is None else x
        levels = group_builders.spread_levels(self._fit, found, n) if levels is None else list(levels)
        frame = group_builders.groups_frame(self._fit, x, found.name, levels)
        names = [f"{found.group} {level}" for level in levels]
        axes = many_axes(names, ax, (1.7, 1.5), shared=True, head=0.8)
        for panel, level in zip(axes, levels, strict=True):
            group_drawings.draw_group(frame[frame["level"] == level], panel, title=str(level))
        words = x, self._response, plain(found.group)
        group_drawings.label_groups(axes, *words, len(levels), found.n_recorded, own=ax is None)
        return squeezed(axes)


def _by_effect(frame: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """A frame of several effects in parts, by term and effect, in its order."""
    return {(str(term), str(effect)): part for (term, effect), part in frame.groupby(["term", "effect"], sort=False)}
