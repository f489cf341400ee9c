"""The profile likelihood of a model's parameters: signed roots ζ, intervals, interpolation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.stats import norm

from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.errors import ConvergenceWarning, ModelError, shown
from lmmpy.inference.intervals import checked_level, percent_labels
from lmmpy.inference.parallel import check_n_jobs, mapped
from lmmpy.inference.profile_bases import Coordinates, coordinates
from lmmpy.inference.profile_charts import Chart, covariance_chart
from lmmpy.inference.profile_fixed_effect import fixed_effect_chart
from lmmpy.inference.profile_path import Curve, Point, limit, trace
from lmmpy.inference.profile_scales import Common, Key, Logarithm, Scale, Target, targets
from lmmpy.inference.variance_parameters import deviations

__all__ = ["Profile", "ProfiledParameter", "make_profile"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class ProfiledParameter:
    """The profile of one parameter.

    Attributes
    ----------
    name : str
    estimate : float
        By ML; NaN for a correlation with an effect that does not vary.
    scale : Scale
        From the held coordinate to the parameter.
    curve : Curve or None
        None where the estimate is NaN.
    """

    name: str
    estimate: float
    scale: Scale
    curve: Curve | None

    @property
    def points(self) -> tuple[Point, ...]:
        """Those of the curve that are the parameter's: an even power of a correlation has the side of its estimate."""
        if self.curve is None:
            return ()
        if (turn := self._turn) is None:
            return self.curve.points
        side = self.curve.chart.estimate - turn
        return tuple(point for point in self.curve.points if (point.psi - turn) * side >= 0.0)

    @property
    def _turn(self) -> float | None:
        return self.scale.turn if isinstance(self.scale, Common) else None

    def limits(self, z: float) -> tuple[float, float]:
        """Where ζ = −z and ζ = z, or the ends of the parameter's range."""
        if self.curve is None:
            return math.nan, math.nan
        low, high = limit(self.curve, -z), limit(self.curve, z)
        ends = [self.scale.value(psi) if math.isfinite(psi) else psi for psi in (low, high)]
        if isinstance(self.scale, Logarithm) and low == self.curve.chart.low:
            return 0.0, ends[1]  # what stands for log 0
        if (turn := self._turn) is not None:
            return (0.0 if low < turn < high else min(ends)), max(ends)  # the power of an interval round zero
        return ends[0], ends[1]

    def interpolated(self, values: Floats) -> Floats:
        """ζ at values of the parameter, by the cubics through the points with their exact slopes; NaN outside."""
        points = [p for p in self.points if math.isfinite(p.slope)]
        if len(points) < 2:
            return np.full(len(values), np.nan)
        psi, zeta, slope = (np.array([getattr(p, name) for p in points]) for name in ("psi", "zeta", "slope"))
        spline = CubicHermiteSpline(psi, zeta, slope, extrapolate=False)
        return np.asarray(spline([self.scale.psi(float(value)) for value in values]), dtype=float)


@dataclass(frozen=True, eq=False)
class Profile:
    """
    The profile likelihood of the parameters of a fit.

    ζ is the signed root of the increase of the deviance, −2 log-likelihood, when the parameter is held at a value and
    all others are estimated; it is standard normal in large samples, and a straight line where a Wald interval would do
    (Bates & Watts 1988, §6.1; Bates et al. 2015, §5.1).

    Attributes
    ----------
    deviance : float
        The least one, by maximum likelihood.
    parameters : tuple of ProfiledParameter
    names : tuple of str
        Of all parameters of the model, the columns of `to_frame`.
    criterion : Criterion
        The profiled likelihood.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> profile = fit.profile("beta_")
    >>> profile.names
    ('(Intercept)', 'Days', 'sd_(Intercept)|Subject', 'sigma')
    >>> profile.zeta("Days", [9.0, 12.0]).round(2).tolist()
    [-1.82, 1.9]
    """

    deviance: float
    parameters: tuple[ProfiledParameter, ...]
    names: tuple[str, ...]
    criterion: Criterion

    def __getitem__(self, parameter: str) -> ProfiledParameter:
        for found in self.parameters:
            if found.name == parameter:
                return found
        known = shown([p.name for p in self.parameters], 20)
        raise ModelError(f"The profile has no parameter {parameter!r}; it has {known}.")

    @property
    def problems(self) -> dict[str, str]:
        """By parameter, why its profile ends before its time."""
        curves = {p.name: p.curve for p in self.parameters if p.curve is not None}
        return {name: "; ".join(curve.problems) for name, curve in curves.items() if curve.problems}

    def to_frame(self) -> pd.DataFrame:
        """
        The points that were computed.

        Returns
        -------
        DataFrame
            Columns `parameter`, `value`, `zeta`, then all parameters of the model at the constrained optimum.
        """
        rows: list[list[object]] = []
        done: dict[int, Floats] = {}
        with one_blas_thread():
            for parameter in self.parameters:
                if parameter.curve is None:
                    continue
                # Parameters that a structure holds equal share a curve.
                for point in parameter.curve.points:
                    if id(point) not in done:
                        done[id(point)] = self._others(parameter.curve.chart, point)
                own = self.names.index(parameter.name)
                for point in parameter.points:
                    others = done[id(point)]
                    value = parameter.scale.value(point.psi)
                    row = [parameter.name, value, point.zeta, *others]
                    row[3 + own] = value  # a correlation is held also where an effect's variance is zero
                    rows.append(row)
        return pd.DataFrame(rows, columns=["parameter", "value", "zeta", *self.names])

    def _others(self, chart: Chart, point: Point) -> Floats:
        theta, sigma, beta = chart.model(point.psi, point.omega)
        return np.concatenate([beta, deviations(self.criterion.design, theta, sigma)[0]])

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """
        Profile intervals: between the values at which ``|ζ|`` is the normal quantile.

        The limits are solved for, with the other parameters at their exact optimum; they are not interpolated. Where ζ
        does not reach the quantile, the limit is the end of the range: 0 for a standard deviation, ±1 for a
        correlation.

        Parameters
        ----------
        level : float

        Returns
        -------
        DataFrame
            One row a parameter; columns such as `2.5 %` and `97.5 %`. NaN for a correlation that is not defined and,
            with a warning, for a limit that is not found.
        """
        z = float(norm.ppf(0.5 + 0.5 * checked_level(level)))
        with one_blas_thread():
            limits = [parameter.limits(z) for parameter in self.parameters]
        known = self.problems  # of which a warning has told already
        failed = [
            p.name
            for p, ends in zip(self.parameters, limits, strict=True)
            if p.curve is not None and p.name not in known and not all(math.isfinite(end) for end in ends)
        ]
        if failed:
            warnings.warn(
                f"The search for a profile limit of {shown(failed)} failed; it is NaN. If the predictor of a random "
                "slope is far from zero, centre it.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return pd.DataFrame(limits, index=[p.name for p in self.parameters], columns=percent_labels(level), dtype=float)

    def zeta(self, parameter: str, values: ArrayLike) -> Floats:
        """
        ζ at any values of a parameter, interpolated between the points; NaN beyond them.

        Parameters
        ----------
        parameter : str
        values : array-like, shape (m,)

        Returns
        -------
        ndarray, shape (m,)

        Raises
        ------
        ModelError
            For a parameter that was not profiled.
        """
        return self[parameter].interpolated(np.atleast_1d(np.asarray(values, dtype=float)))

    def __repr__(self) -> str:
        points = sum(len(p.curve.points) for p in self.parameters if p.curve is not None)
        return f"Profile of {shown([p.name for p in self.parameters], 20)}: {points} points"


def make_profile(
    criterion: Criterion,
    theta: Floats,
    sigma: float,
    beta: Floats,
    names: Sequence[str],
    chosen: Sequence[int],
    cutoff: float,
    step: float,
    n_jobs: int = 1,
) -> Profile:
    """
    Profile the parameters of a model.

    Parameters
    ----------
    criterion : Criterion
        By ML.
    theta, beta : ndarray
        Its optimum.
    sigma : float
        There.
    names : sequence of str
        Of all parameters, as `parameter_names` gives them.
    chosen : sequence of int
        Places of those to profile.
    cutoff : float
        Of |ζ|.
    step : float
        Of ζ, from point to point.
    n_jobs : int
        Processes, as joblib counts them.

    Returns
    -------
    Profile
    """
    values = np.concatenate([beta, deviations(criterion.design, theta, sigma)[0]])
    found = targets(criterion.design, names, values.tolist())
    wanted = [(found[i], float(values[i])) for i in chosen]
    keys = list(dict.fromkeys(target.key for target, value in wanted if math.isfinite(value)))
    at = coordinates(criterion, theta)
    work = _Trace(at, sigma, at.criterion.evaluate(at.theta, 0).value, cutoff, step)
    curves = dict(zip(keys, mapped(work, keys, check_n_jobs(n_jobs)), strict=True))
    parameters = [ProfiledParameter(t.name, v, t.scale, _curve(curves, t, v)) for t, v in wanted]
    return Profile(work.minimum, tuple(parameters), tuple(names), criterion)


def _curve(curves: dict[Key, Curve], target: Target, value: float) -> Curve | None:
    return curves[target.key] if math.isfinite(value) else None


@dataclass(frozen=True, eq=False, slots=True)
class _Trace:
    """The work for one chart; pickles."""

    at: Coordinates
    sigma: float
    minimum: float
    cutoff: float
    step: float

    def __call__(self, key: Key) -> Curve:
        return trace(self._chart(key), self.minimum, self.cutoff, self.step)

    def _chart(self, key: Key) -> Chart:
        if key[0] == "beta":
            return fixed_effect_chart(self.at, key[1])
        return covariance_chart(self.at, self.sigma, key)
