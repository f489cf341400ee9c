"""The numbers of plots of rows and of fixed effects, as frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from lmmpy.errors import ModelError
from lmmpy.plots.protocols import PlottedFit, Profile
from lmmpy.plots.quantiles import checked_level, qq_frame

__all__ = [
    "forest_frame",
    "influence_frame",
    "profile_frame",
    "profile_limits_frame",
    "qq_residual_frame",
    "residual_frame",
    "scale_location_frame",
]


def residual_frame(fit: PlottedFit, type: str = "pearson") -> pd.DataFrame:
    """
    Fitted values and residuals of the rows used.

    Parameters
    ----------
    fit : fit
    type : {"response", "pearson", "standardized", "student"}
        See `LmmFit.residuals`.

    Returns
    -------
    DataFrame
        Columns `fitted`, `residual`. A standardized residual of a row that is its own fitted value is NaN. With several
        traits one row a row of the data and trait, in a MultiIndex.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.residual_frame(fit).head(2).round(2)
       fitted  residual
    0  253.66     -4.10
    1  273.33    -14.63
    """
    fitted = fit.fitted().to_numpy()
    if fit.design.traits is not None:
        return _of_traits(fit, type)
    frame = pd.DataFrame({"fitted": fitted, "residual": fit.residuals(type=type)})
    # Rows that na_action="exclude" gives back are NaN; rows used always have a fitted value.
    used: pd.DataFrame = frame.loc[np.isfinite(fitted)]
    return used


def _of_traits(fit: PlottedFit, type: str) -> pd.DataFrame:
    """Those of all traits, row by row; traits that a row has not are left out."""
    fitted, residual = fit.fitted(), fit.residuals(type=type)
    index = pd.MultiIndex.from_product([fitted.index, fitted.columns], names=[fitted.index.name, "trait"])
    columns = {"fitted": fitted.to_numpy().ravel(), "residual": residual.to_numpy().ravel()}
    frame = pd.DataFrame(columns, index=index)
    used: pd.DataFrame = frame.loc[np.isfinite(columns["fitted"])]
    return used


def scale_location_frame(fit: PlottedFit, type: str = "standardized") -> pd.DataFrame:
    """
    Fitted values and roots of absolute residuals, whose distribution is less skewed than that of the absolute ones.

    Parameters
    ----------
    fit : fit
    type : {"response", "pearson", "standardized", "student"}

    Returns
    -------
    DataFrame
        Columns `fitted`, `root`: √|residual|.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.scale_location_frame(fit).head(2).round(2)
       fitted  root
    0  253.66  0.43
    1  273.33  0.79
    """
    frame = residual_frame(fit, type)
    return pd.DataFrame({"fitted": frame["fitted"], "root": np.sqrt(frame["residual"].abs())})


def qq_residual_frame(fit: PlottedFit, type: str = "standardized", level: float = 0.95) -> pd.DataFrame:
    """
    Residuals against normal quantiles.

    Parameters
    ----------
    fit : fit
    type : {"response", "pearson", "standardized", "student"}
    level : float
        Of the pointwise band.

    Returns
    -------
    DataFrame
        As of `qq_frame`.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.qq_residual_frame(fit).head(2).round(2)
        theoretical  sample  expected  conf_low  conf_high
    59        -2.77   -4.57     -2.80     -3.66      -2.06
    7         -2.39   -4.32     -2.41     -3.03      -1.89
    """
    return qq_frame(residual_frame(fit, type)["residual"], level)


def forest_frame(fit: PlottedFit, level: float = 0.95, ddf: str = "satterthwaite") -> pd.DataFrame:
    """
    Fixed effects with confidence intervals.

    Parameters
    ----------
    fit : fit
    level : float
    ddf : {"satterthwaite", "kenward-roger", "asymptotic"}
        Degrees of freedom of Student's t; "asymptotic" takes the normal distribution.

    Returns
    -------
    DataFrame
        One row a coefficient, in the order of the model: `estimate, std_error, df, conf_low, conf_high`.

    Raises
    ------
    ModelError
        Without fixed effects.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.forest_frame(fit).round(2)
                 estimate  std_error    df  conf_low  conf_high
    term
    (Intercept)    251.41       6.82  17.0    237.01     265.80
    Days            10.47       1.55  17.0      7.21      13.73
    """
    level, names = checked_level(level), list(fit.fixef.index)
    if not names:
        raise ModelError("The model has no fixed effects to plot; its formula has '0 +' and no predictor.")
    tests = fit.contrast_tests(ddf).single(np.eye(len(names)))
    low, high = tests.interval(level)
    columns = {
        "estimate": tests.estimate,
        "std_error": tests.std_error,
        "df": tests.df,
        "conf_low": low,
        "conf_high": high,
    }
    return pd.DataFrame(columns, index=pd.Index(names, name="term"))


def influence_frame(fit: PlottedFit, group: str | None = None, refit: bool = True, n_jobs: int = 1) -> pd.DataFrame:
    """
    Cook's distance of each level of a grouping factor, or of each row: how far β̂ moves without it.

    Parameters
    ----------
    fit : fit
    group, refit, n_jobs
        See `LmmFit.influence`.

    Returns
    -------
    DataFrame
        By what was left out, in its order: `cooks`; `cut`, four over their number; `above_cut`. NaN where there is no
        fit without it.

    Raises
    ------
    ModelError
        For an unknown group, and without fixed effects.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.influence_frame(fit, "Subject", refit=False).head(2).round(3)
             cooks    cut  above_cut
    Subject
    308      0.382  0.222       True
    309      0.327  0.222       True
    """
    if not len(fit.fixef):
        raise ModelError("Cook's distance is per fixed effect, and the model has none.")
    found = fit.influence(group, refit=refit, n_jobs=n_jobs)
    fitted = np.isfinite(fit.fitted().to_numpy()).ravel()
    # With several traits the rows of a fit have those that they have, unless rows left out come back.
    used = found.cooks if group is not None or len(found.cooks) != len(fitted) else found.cooks[fitted]
    return pd.DataFrame({"cooks": used, "cut": found.cut, "above_cut": used > found.cut})


def profile_frame(profile: Profile, n: int = 100) -> pd.DataFrame:
    """
    ζ over each parameter, on a curve through the points that were computed.

    Parameters
    ----------
    profile : Profile
    n : int
        Points on each curve besides those that were computed.

    Returns
    -------
    DataFrame
        Columns `parameter, value, zeta`, and `computed`, whether this is a point of the profile; by parameter and
        value. A parameter without a profile (a correlation with an effect that does not vary) has no rows.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.profile_frame(fit.profile("sigma")).head(2).round(2)
      parameter  value  zeta  computed
    0     sigma  25.55 -3.65      True
    1     sigma  25.55 -3.65     False
    """
    every = profile.to_frame()[["parameter", "value", "zeta"]]
    parts = [every.iloc[:0].assign(computed=True)] if every.empty else []
    for name, points in every.groupby("parameter", sort=False):
        between = np.linspace(points["value"].min(), points["value"].max(), n)
        curve = pd.DataFrame({"parameter": name, "value": between, "zeta": profile.zeta(str(name), between)})
        both = pd.concat([points.assign(computed=True), curve[curve["zeta"].notna()].assign(computed=False)])
        parts.append(both.sort_values("value", kind="stable"))
    return pd.concat(parts, ignore_index=True)


def profile_limits_frame(profile: Profile, levels: Sequence[float] = (0.5, 0.8, 0.95)) -> pd.DataFrame:
    """
    Profile intervals, and ζ at their limits.

    Parameters
    ----------
    profile : Profile
    levels : sequence of float

    Returns
    -------
    DataFrame
        Columns `parameter, level, conf_low, conf_high, zeta_low, zeta_high`. ζ is ∓ the normal quantile, or nearer to
        zero where the limit is the end of the parameter's range.

    Raises
    ------
    ModelError
        For a level that does not lie between 0 and 1.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.profile_limits_frame(fit.profile("sigma"), [0.95]).round(2)
      parameter  level  conf_low  conf_high  zeta_low  zeta_high
    0     sigma   0.95     27.81      34.59     -1.96       1.96
    """
    rows = []
    for level in levels:
        z = float(ndtri(0.5 + 0.5 * checked_level(level)))
        for name, (low, high) in zip(*_indexed(profile.confint(level)), strict=True):
            ends = profile.zeta(name, [low, high])
            zeta = np.where(np.isfinite(ends), ends, [-z, z])
            rows.append((name, level, low, high, *np.where(np.isfinite([low, high]), zeta, np.nan)))
    columns = ["parameter", "level", "conf_low", "conf_high", "zeta_low", "zeta_high"]
    return pd.DataFrame(rows, columns=columns)


def _indexed(limits: pd.DataFrame) -> tuple[list[str], list[list[float]]]:
    return [str(name) for name in limits.index], limits.to_numpy().tolist()
