"""What stands behind ``fit.plot``: builders and drawings put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lmmpy.errors import ModelError, shown
from lmmpy.plots import builders, drawings
from lmmpy.plots.canvas import many_axes, plain, pyplot, squeezed
from lmmpy.plots.effect_plots import EffectPlots
from lmmpy.plots.protocols import Profile

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["FitPlots"]

_NAMES = {
    "response": "Residual",
    "pearson": "Pearson residual",
    "standardized": "Standardized residual",
    "student": "Studentized residual",
}


class FitPlots(EffectPlots):
    """
    Plots of a fit, ``fit.plot.residuals()`` and so on.

    Every plot takes `ax`, matplotlib Axes to draw on; without, it makes a figure of its own. Nothing is shown or saved,
    and no settings of matplotlib are changed. What shows one thing returns the Axes. What has a panel for each of
    several effects, parameters or groups takes as many Axes and returns an array of them, or the Axes when there is
    one panel only. The numbers of each plot come as a frame from the function of `lmmpy.plots` that it names.

    Parameters
    ----------
    fit : fit

    Raises
    ------
    ImportError
        By every plot, when matplotlib is not installed.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> ax = fit.plot.residuals()
    >>> ax.get_xlabel()
    'Fitted Reaction'
    """

    def __repr__(self) -> str:
        names = [name for part in (FitPlots, EffectPlots) for name in vars(part) if not name.startswith("_")]
        return f"Plots of {self._response}: {', '.join(f'.{name}()' for name in names)}"

    # ---- rows

    def residuals(self, type: str = "pearson", ax: Axes | None = None) -> Axes:
        """
        Residuals over fitted values, with a smooth line.

        The line, a smoothing spline of about five degrees of freedom, is level where the mean is right; the cloud is
        as high everywhere where the variance is constant.

        Parameters
        ----------
        type : {"pearson", "response", "standardized", "student"}
            See `LmmFit.residuals`.
        ax : Axes, optional

        Returns
        -------
        Axes

        See Also
        --------
        lmmpy.plots.residual_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.residuals()
        >>> ax.get_ylabel()
        'Pearson residual of Reaction'
        """
        pyplot()
        frame = builders.residual_frame(self._fit, type)
        ylabel = f"{_NAMES[type]} of {self._response}"
        return drawings.draw_residuals(frame, ax, xlabel=f"Fitted {self._response}", ylabel=ylabel)

    def scale_location(self, type: str = "standardized", ax: Axes | None = None) -> Axes:
        """
        Roots of absolute residuals over fitted values, with a smooth line that rises where the variance does.

        Parameters
        ----------
        type : {"standardized", "pearson", "response", "student"}
        ax : Axes, optional

        Returns
        -------
        Axes

        See Also
        --------
        lmmpy.plots.scale_location_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.scale_location()
        >>> ax.get_ylabel()
        '√|standardized residual|'
        """
        pyplot()
        frame = builders.scale_location_frame(self._fit, type)
        ylabel = f"√|{_NAMES[type].lower()}|"
        return drawings.draw_scale_location(frame, ax, xlabel=f"Fitted {self._response}", ylabel=ylabel)

    def qq(self, type: str = "standardized", level: float = 0.95, ax: Axes | None = None) -> Axes:
        """
        Residuals over normal quantiles.

        The line is that of the normal distribution with their mean and standard deviation. Each value of a normal
        sample lies within the band with probability `level`: of many, some lie outside.

        Parameters
        ----------
        type : {"standardized", "pearson", "response", "student"}
        level : float
            Of the pointwise band.
        ax : Axes, optional

        Returns
        -------
        Axes

        See Also
        --------
        lmmpy.plots.qq_residual_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.qq()
        >>> ax.get_ylabel()
        'Standardized residual of Reaction'
        """
        pyplot()
        frame = builders.qq_residual_frame(self._fit, type, level)
        return drawings.draw_qq(frame, ax, ylabel=f"{_NAMES[type]} of {self._response}")

    def influence(
        self, group: str | None = None, *, refit: bool = True, n_jobs: int = 1, ax: Axes | None = None
    ) -> Axes:
        """
        Cook's distance of each level of a grouping factor, or of each row, and the cut of four over their number.

        Parameters
        ----------
        group : str, optional
            A grouping factor or a column of the data; None leaves out single rows.
        refit : bool
            Whether the model is fitted anew without each; else the covariance parameters are held, which is fast.
        n_jobs : int
        ax : Axes, optional

        Returns
        -------
        Axes

        See Also
        --------
        lmmpy.plots.influence_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.influence("Subject", refit=False)
        >>> ax.get_ylabel()
        'Subject'
        """
        pyplot()
        frame = builders.influence_frame(self._fit, group, refit, n_jobs)
        return drawings.draw_influence(frame, ax, group=plain(group or "Row"))

    # ---- parameters

    def forest(
        self,
        terms: Sequence[str] | None = None,
        level: float = 0.95,
        ddf: str = "satterthwaite",
        ax: Axes | None = None,
    ) -> Axes:
        """
        Fixed effects with confidence intervals.

        Parameters
        ----------
        terms : sequence of str, optional
            Which coefficients, in this order; by default all but the intercept, whose scale is another one, unless it
            is alone.
        level : float
        ddf : {"satterthwaite", "kenward-roger", "asymptotic"}
        ax : Axes, optional

        Returns
        -------
        Axes

        Raises
        ------
        ModelError
            For an unknown coefficient.

        See Also
        --------
        lmmpy.plots.forest_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> ax = fit.plot.forest()
        >>> ax.get_xlabel()
        'Effect on Reaction, 95 % interval'
        """
        pyplot()
        frame = builders.forest_frame(self._fit, level, ddf)
        if terms is None:
            terms = [name for name in frame.index if name != "(Intercept)"] or list(frame.index)
        terms = [terms] if isinstance(terms, str) else list(terms)
        unknown = [name for name in terms if name not in frame.index]
        if unknown or not terms:
            raise ModelError(f"There is no fixed effect {shown(unknown)}. They are {shown(frame.index, 30)}.")
        xlabel = f"Effect on {self._response}, {100 * level:g} % interval"
        return drawings.draw_forest(frame.loc[terms].rename(index=plain), ax, xlabel=xlabel)

    def profile(
        self,
        profile: Profile | str | Sequence[str] | None = None,
        levels: Sequence[float] = (0.5, 0.8, 0.95),
        ax: Any = None,
    ) -> Axes | NDArray[np.object_]:
        """
        The signed root ζ of the increase of the deviance over each parameter, with profile intervals.

        A straight line is that of an estimate whose Wald interval would do as well.

        Parameters
        ----------
        profile : Profile, str or sequence of str, optional
            What `LmmFit.profile` returns, or the names of the parameters to profile; by default all.
        levels : sequence of float
            Of the intervals.
        ax : Axes or array of Axes, optional
            One for each parameter.

        Returns
        -------
        Axes or ndarray of Axes

        See Also
        --------
        lmmpy.plots.profile_frame, lmmpy.plots.profile_limits_frame : its numbers.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> ax = fit.plot.profile(fit.profile("sigma"))
        >>> ax.get_xlabel()
        'sigma'
        """
        pyplot()
        if profile is None or isinstance(profile, str | Sequence):
            profile = self._fit.profile(profile)
        names = [str(name) for name in profile.confint(0.5).index]
        axes = many_axes(names, ax, (3.2, 2.5))
        curves, limits = builders.profile_frame(profile), builders.profile_limits_frame(profile, levels)
        for panel, name in zip(axes, names, strict=True):
            own = curves[curves["parameter"] == name], limits[limits["parameter"] == name]
            drawings.draw_profile(*own, panel, xlabel=plain(name))
        return squeezed(axes)
