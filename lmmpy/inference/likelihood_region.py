"""Profile intervals of functions of the variance parameters: their extremes over a likelihood region.

The values at which the profile of h rises by z² are the least and the largest h(x) over {x: D(x) ≤ D̂ + z²}, since the
profiled D of a value c is its minimum over {h = c}. One constrained optimisation a limit finds them (Neale & Miller
1997), and an extreme inside the region, such as a variance of zero, is found as well as one on its edge.

Where a variance is zero, functions such as its root or logarithm have no slope that could be followed. What the search
ends next to, or everything when it fails, is therefore searched once more on the face of the region on which the
variance is zero itself: there such a function is smooth in what is left, or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.optimize import minimize

from lmmpy.engines import Criterion, Evaluation
from lmmpy.fitting.start import typical_scale
from lmmpy.inference.absolute_deviations import Chart, Deviations, chart_of, faces_of
from lmmpy.inference.profile_coordinates import free_scale

__all__ = ["profile_limits"]

Floats = NDArray[np.float64]
Function = Callable[[Floats], tuple[float, Floats]]

# The constraint and the objective are of order one; both are met to this.
_ACCURACY, _MOST_ITERATIONS, _SATISFIED = 1e-12, 200, 1e-6
# Room that is none, and a slope that is none; the error of an extreme is of the order of its square.
_AT_EDGE, _STILL = 1e-3, 1e-2
# A distance from a bound that is none, in standard errors.
_ON_BOUND = 1e-9
# SLSQP's words for: done; the line search finds nothing better; as many steps as allowed. It creeps along where a
# variance vanishes, and is there all the same: whether it is at an extreme is looked at.
_ENDED = (0, 8, 9)
# A slope at the centre, relative to the change over the region, that is none: the function has an extreme there.
_LEVEL = 1e-3
# A step for second derivatives, relative to the deviations at the centre.
_WIDE_STEP = 0.02
# In units of the region's radius, how far off a point where h has no slope a search begins; and the distance from a
# face that is looked at.
_OFF, _NEAR = 0.5, 0.01
# How far beside an extreme on a face it is checked, in the same units.
_BESIDE = (0.01, 0.1, 0.3)
# A limit that is nothing but rounding, relative to the change over the region.
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False, slots=True)
class _End:
    """Where a search ended: sign · h/unit, the point, and the multiplier of the room there."""

    value: float
    y: Floats
    price: float


@dataclass(frozen=True, eq=False, slots=True)
class _Region:
    """D̂ + z² ≥ D at y = ŷ + L s, with L Lᵀ = 2H⁻¹: near the unit ball of radius z."""

    criterion: Criterion
    chart: Chart
    function: Function
    centre: Floats
    L: Floats
    lower: Floats
    minimum: float
    z: float
    sign: float
    unit: float
    # The criterion and the function at the last point, of which the search asks for the value and then for the slope.
    last: dict[bytes, Evaluation] = field(default_factory=dict)
    lately: dict[bytes, tuple[float, Floats]] = field(default_factory=dict)

    def objective(self, s: Floats) -> tuple[float, Floats]:
        key = s.tobytes()
        if key not in self.lately:
            x, jacobian = self.chart.to_x(self.centre + self.L @ s)
            value, gradient = self.function(x)
            self.lately.clear()
            self.lately[key] = self.sign * value / self.unit, self.sign * (gradient @ jacobian @ self.L) / self.unit
        return self.lately[key]

    def room(self, s: Floats) -> float:
        """How much of the region's allowance is left, relative to z²."""
        found = self._at(self.chart.to_x(self.centre + self.L @ s)[0])
        return 1.0 - (found.value - self.minimum) / self.z**2 if math.isfinite(found.value) else -1e3

    def room_slope(self, s: Floats) -> Floats:
        x, jacobian = self.chart.to_x(self.centre + self.L @ s)
        gradient = self._at(x).gradient
        return np.zeros(len(s)) if gradient is None else -(gradient @ jacobian @ self.L) / self.z**2

    def _at(self, x: Floats) -> Evaluation:
        key = x.tobytes()
        if key not in self.last:
            self.last.clear()
            self.last[key] = free_scale(self.criterion, x, 1)
        return self.last[key]

    def extreme(self, start: Floats) -> tuple[float, Floats] | None:
        """Where the search from a start ends: sign · h/unit there; None when it does not end inside the region."""
        if not math.isfinite(self.objective(start)[0]):
            return (-math.inf, start) if self.objective(start)[0] == -math.inf and self.room(start) >= 0.0 else None
        constraints: list[Any] = [{"type": "ineq", "fun": self.room, "jac": self.room_slope}]
        bounded = np.isfinite(self.lower)
        if bounded.any():
            slopes = self.L[bounded]
            gap = (self.centre - self.lower)[bounded]
            constraints.append({"type": "ineq", "fun": lambda s: gap + slopes @ s, "jac": lambda s: slopes})
        options: Any = {"ftol": _ACCURACY, "maxiter": _MOST_ITERATIONS}
        found = minimize(  # type: ignore[call-overload]  # the stub knows no jac of a lambda
            lambda s: self.objective(s)[0],
            start,
            jac=lambda s: self.objective(s)[1],
            method="SLSQP",
            constraints=constraints,
            options=options,
        )
        s = np.asarray(found.x, dtype=float)
        room = self.room(s)
        ended = found.status in _ENDED and room > -_SATISFIED and self._is_extreme(s, room)
        return (self.objective(s)[0], s) if ended else None

    def best(self, starts: Sequence[Floats], faces: Sequence[NDArray[np.intp]]) -> _End | None:
        """
        The least sign · h/unit; None when no search finds one.

        Parameters
        ----------
        starts : sequence of ndarray
        faces : sequence of ndarray of int
            Coordinates that are zero together.
        """
        ends = [self._end(*found) for found in map(self.extreme, starts) if found is not None]
        first = min(ends, key=lambda end: end.value, default=None)
        for place, face in enumerate(faces):
            if first is not None and not self._is_near(first.y, face):
                continue
            part = self._on(face)
            bottom = None if part is None else part.bottom()
            end = None if part is None or bottom is None else part.best([bottom], faces[place + 1 :])
            if end is not None and first is None:
                end = self._unless_lower_beside(end, face)
            ends += [] if end is None else [end]
        return min(ends, key=lambda end: end.value, default=None)

    def _end(self, value: float, s: Floats) -> _End:
        slope, normal = self.objective(s)[1], self.room_slope(s)
        steep = float(normal @ normal) if self.room(s) < _AT_EDGE else 0.0
        return _End(value, self.centre + self.L @ s, float(slope @ normal) / steep if steep > 0.0 else 0.0)

    def _unless_lower_beside(self, end: _End, face: NDArray[np.intp]) -> _End | None:
        """An extreme on a face; where the Lagrangian falls beside it, what a search from there finds instead."""
        if end.value == -math.inf:
            return end
        at = np.linalg.pinv(self.L) @ (end.y - self.centre)
        room = self.room(at)
        lowest, start = -_SATISFIED, None
        for off in np.linalg.pinv(self.L[face]).T:
            for step in (sign * size for size in _BESIDE for sign in (1.0, -1.0)):
                s = at + step * self.z * off / np.linalg.norm(off)
                if (self.centre + self.L @ s < self.lower - _ON_BOUND).any():
                    continue
                rise = self.objective(s)[0] - end.value - end.price * (self.room(s) - room)
                lowest, start = (rise, s) if rise < lowest else (lowest, start)
        if start is None:
            return end
        found = self.extreme(start)
        return None if found is None or found[0] > end.value else self._end(*found)

    def bottom(self) -> Floats | None:
        """Where the likelihood is greatest; None when that is not in the region."""

        def lack(s: Floats) -> tuple[float, Floats]:
            return -self.room(s), -self.room_slope(s)

        s = np.asarray(minimize(lack, np.zeros(self.L.shape[1]), jac=True).x, dtype=float)
        return s if self.room(s) >= 0.0 else None

    def _is_near(self, y: Floats, face: NDArray[np.intp]) -> bool:
        return bool((np.abs(y[face]) <= _NEAR * self.z * np.linalg.norm(self.L[face], axis=1)).all())

    def _on(self, face: NDArray[np.intp]) -> _Region | None:
        """The region on a face, as near to the unit ball of what is left; None when nothing is left."""
        across = self.L[face]
        rest = null_space(across)
        centre, L = self.centre - self.L @ (np.linalg.pinv(across) @ self.centre[face]), self.L @ rest
        centre[face], L[face] = 0.0, 0.0
        return replace(self, centre=centre, L=L, last={}, lately={}) if L.size else None

    def _is_extreme(self, s: Floats, room: float) -> bool:
        """Whether the function has no slope but across the edge; what lies on a bound is taken on trust."""
        gap = self.centre + self.L @ s - self.lower
        if (gap <= _ON_BOUND * np.linalg.norm(self.L, axis=1)).any():
            return True
        slope, normal = self.objective(s)[1], self.room_slope(s)
        length = float(np.linalg.norm(slope))
        if room < _AT_EDGE:
            slope = slope - normal * float(slope @ normal) / max(float(normal @ normal), np.finfo(float).tiny)
        return float(np.linalg.norm(slope)) <= _STILL * max(length, 1.0 / self.z)


def profile_limits(
    criterion: Criterion, theta: Floats, sigma: float, function: Function, z: float
) -> tuple[float, float]:
    """
    The profile interval of a function of the variance parameters.

    Parameters
    ----------
    criterion : Criterion
        By ML or REML: the likelihood that is profiled.
    theta : ndarray, shape (n_theta,)
        Its optimum.
    sigma : float
        There.
    function : callable
        x = (θ, log σ) → value and gradient.
    z : float
        The normal quantile.

    Returns
    -------
    tuple of float
        Infinite where the function is, within the region; NaN for a limit that the search does not find.
    """
    chart = chart_of(criterion.design, typical_scale(criterion))
    centre = chart.of(theta, sigma)
    x, jacobian = chart.to_x(centre)
    at = free_scale(criterion, x)
    assert at.information is not None and at.bend is not None
    if isinstance(chart, Deviations):
        L = _whitening(_differences(criterion, chart, centre))
        lower = np.full(len(centre), -np.inf)
    else:
        L = _whitening(jacobian.T @ (at.information + at.bend) @ jacobian)
        lower = np.append(criterion.design.lower, -np.inf)
    value, gradient = function(x)
    slope = gradient @ jacobian @ L
    unit = _reach(function, chart, centre, z * L, value)
    if not float(np.linalg.norm(slope)) * z > _LEVEL * unit:
        slope = np.zeros(len(slope))
    still = np.flatnonzero(_vanishing(chart, centre))
    limits = []
    for sign in (1.0, -1.0):
        region = _Region(criterion, chart, function, centre, L, lower, at.value, z, sign, unit)
        with np.errstate(invalid="ignore"):  # infinite slopes
            best = region.best(_starts(slope, sign, z, L, still), faces_of(criterion.design))
        value = math.nan if best is None else best.value
        limits.append(0.0 if abs(value) < _ROUNDING else sign * unit * value)
    return limits[0], limits[1]


def _whitening(hessian: Floats) -> Floats:
    """L with L Lᵀ = 2H⁻¹ on the scale of H's own diagonal; where nothing curves, a unit of that scale."""
    size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(hessian / np.outer(size, size))
    return np.asarray((vectors * np.sqrt(2.0 / np.maximum(np.abs(values), 1e-3))) / size[:, None])


def _reach(function: Function, chart: Chart, centre: Floats, axes: Floats, value: float) -> float:
    """How much the function changes on the way to the edge of the region, along each axis."""
    ends = [function(chart.to_x(centre + sign * axis)[0])[0] for axis in axes.T for sign in (1.0, -1.0)]
    changes = [abs(end - value) for end in ends if math.isfinite(end - value)]
    return max(changes, default=0.0) or (abs(value) if math.isfinite(value) else 0.0) or 1.0


def _slope(criterion: Criterion, chart: Chart, y: Floats) -> Floats | None:
    """Of −2 log-likelihood in y, shape (m,)."""
    x, jacobian = chart.to_x(y)
    gradient = free_scale(criterion, x, 1).gradient
    return None if gradient is None else gradient @ jacobian


def _differences(criterion: Criterion, chart: Chart, centre: Floats) -> Floats:
    """The second derivative in y, shape (m, m), by differences wide enough for what is flat at the centre."""
    step = _WIDE_STEP * float(np.linalg.norm(centre))
    columns = []
    for unit in np.eye(len(centre)):
        ahead, behind = (_slope(criterion, chart, centre + sign * step * unit) for sign in (1.0, -1.0))
        columns.append(np.zeros(len(centre)) if ahead is None or behind is None else (ahead - behind) / (2.0 * step))
    hessian = np.array(columns)
    return np.asarray(0.5 * (hessian + hessian.T))


def _vanishing(chart: Chart, centre: Floats) -> NDArray[np.bool_]:
    """Coordinates in which the likelihood is even, at zero."""
    if isinstance(chart, Deviations):
        return np.abs(centre) <= 1e-3 * np.linalg.norm(centre)
    return np.append(centre[:-1] == 0.0, False)


def _starts(slope: Floats, sign: float, z: float, L: Floats, still: NDArray[np.intp]) -> list[Floats]:
    """Down the slope of the function; and off each zero, where the slope says nothing."""
    length = float(np.linalg.norm(slope))
    first = -sign * z * _OFF * slope / length if length > 0 else np.zeros(len(slope))
    off = [L[place] / np.linalg.norm(L[place]) for place in still]
    return [first, *(first + z * _OFF * direction for direction in off)]
