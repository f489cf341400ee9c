"""Profile intervals of models with covariances between rows, by the extremes over a likelihood region."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.errors import ConvergenceWarning, SingularFitWarning, shown
from lmmpy.fitting import in_coordinates_of_search
from lmmpy.inference.intervals import percent_labels
from lmmpy.inference.likelihood_region import profile_limits
from lmmpy.inference.profile_bases import coordinates
from lmmpy.inference.profile_fixed_effect import fixed_effect_chart
from lmmpy.inference.profile_path import limit, trace
from lmmpy.inference.row_parameters import row_parameter_kinds, row_parameter_names
from lmmpy.inference.variance_parameters import deviations

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["perfect_if_nearly", "region_intervals"]

# Points on each side of the curve of a fixed effect, which only serves to find limits.
_FEW = 2
# A standard deviation of less than this part of the upper limit is none; a correlation of more is perfect.
_NIL, _PERFECT = 1e-5, 1.0 - 1e-9
# |log σ| beyond any that a search should try.
_FAR = 300.0


@dataclass(frozen=True, eq=False, slots=True)
class _Parameter:
    """
    A parameter as a function of (θ, log σ).

    A standard deviation is taken by its square, which is smooth where it vanishes; the coefficient β of a moving
    average by 2β/(1 + β²), which is smooth at ±1, where 1/β gives the same correlations.

    Attributes
    ----------
    design : Design
    bases : sequence of ndarray or None
        See `VarianceParameters`.
    place : int
        Among the values of `deviations`.
    kind : str
        "sd", "ma" or another.
    """

    design: Design
    bases: Sequence[Floats | None]
    place: int
    kind: str

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        sigma = math.exp(min(max(float(x[-1]), -_FAR), _FAR))
        values, jacobian = deviations(self.design, x[:-1], sigma, self.bases)
        value, gradient = float(values[self.place]), np.nan_to_num(jacobian[self.place])
        if self.kind == "sd":
            return value**2, 2.0 * value * gradient
        if self.kind == "ma":
            size = 1.0 + value**2
            return 2.0 * value / size, 2.0 * (1.0 - value**2) / size**2 * gradient
        return value, gradient


def region_intervals(fit: LmmFit, chosen: Sequence[int], names: Sequence[str], level: float, z: float) -> pd.DataFrame:
    """
    Profile intervals by maximum likelihood.

    Of variances, correlations and other parameters of the covariance they are the extremes over the region where the
    deviance is less than z² above its minimum; fixed effects are profiled as in any model.

    Parameters
    ----------
    fit : LmmFit
    chosen : sequence of int
        Places among `names`.
    names : sequence of str
        Of all parameters.
    level : float
    z : float
        The normal quantile.

    Warns
    -----
    SingularFitWarning
        For a correlation with an effect that does not vary.
    ConvergenceWarning
        For a limit that was not found; it is NaN.
    """
    ml, p = fit.refit_ml(), fit.design.p
    limits = [_fixed_effect(ml, place, z) if place < p else _covariance(ml, place - p, z) for place in chosen]
    estimates = deviations(ml.design, ml.optimum.theta, ml.sigma)[0]
    undefined = [names[i] for i in chosen if i >= p and math.isnan(estimates[i - p])]
    if undefined:
        warnings.warn(
            f"By maximum likelihood a standard deviation is zero, so that a correlation with its effect means nothing: "
            f"{shown(undefined)} cannot be profiled, and the limits are NaN.",
            SingularFitWarning,
            stacklevel=6,
        )
    pairs = zip(chosen, limits, strict=True)
    lost = [names[i] for i, ends in pairs if names[i] not in undefined and not all(map(math.isfinite, ends))]
    if lost:
        warnings.warn(
            f"The search for a profile limit of {shown(lost)} failed; it is NaN. Is the fit at its optimum "
            "(fit.convergence)?",
            ConvergenceWarning,
            stacklevel=6,
        )
    return pd.DataFrame(limits, index=[names[i] for i in chosen], columns=percent_labels(level), dtype=float)


def _fixed_effect(ml: LmmFit, column: int, z: float) -> tuple[float, float]:
    at = coordinates(ml.criterion, ml.optimum.theta)
    minimum = at.criterion.evaluate(at.theta, 0).value
    curve = trace(fixed_effect_chart(at, column), minimum, z, z / _FEW)
    return limit(curve, -z), limit(curve, z)


def _covariance(ml: LmmFit, place: int, z: float) -> tuple[float, float]:
    """Limits of the parameter at a place of `deviations`."""
    criterion, _ = in_coordinates_of_search(ml.criterion, ml.optimum)
    at = ml._variance_parameters
    values, _ = deviations(at.design, at.theta, at.sigma, at.bases)
    if math.isnan(values[place]):
        return math.nan, math.nan
    kind = _kind(at.design, place)
    low, high = profile_limits(criterion, at.theta, at.sigma, _Parameter(at.design, at.bases, place, kind), z)
    if kind == "ma":
        low, high = (math.tan(0.5 * math.asin(perfect_if_nearly(end))) for end in (low, high))
    if kind in ("cor", "ma"):
        return perfect_if_nearly(low), perfect_if_nearly(high)
    if kind != "sd":
        return low, high
    low, high = (math.sqrt(max(end, 0.0)) if math.isfinite(end) else math.nan for end in (low, high))
    return (0.0 if low < _NIL * high else low), high


def perfect_if_nearly(rho: float) -> float:
    """A correlation, ±1 where a search ends next to that."""
    return math.copysign(1.0, rho) if abs(rho) > _PERFECT else rho


def _kind(design: Design, place: int) -> str:
    """What the parameter at a place of `deviations` is: "sd", "cor", "ma" or another."""
    kinds: list[str] = []
    for term in design.random:
        correlations = term.k * (term.k - 1) // 2 if term.term.structure != "diag" else 0
        kinds += ["sd"] * term.k + ["cor"] * correlations
    names = zip(row_parameter_names(design), row_parameter_kinds(design), strict=True)
    kinds += ["ma" if name.startswith("ma|") else kind for name, kind in names]
    return [*kinds, "sd"][place]
