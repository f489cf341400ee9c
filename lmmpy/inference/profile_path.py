"""The profile of one parameter: constrained optima along its chart, and where ζ takes a given value.

ζ(ψ) = sign(ψ − ψ̂) √(D(ψ) − D̂), D the criterion minimised over everything but ψ. By the envelope theorem its slope is
D′(ψ)/(2ζ) with the partial derivative, so that a step that raises ζ by a given amount, an interpolation and Newton's
method for a limit cost no further evaluations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.fitting.trust_region import Minimum, minimise
from lmmpy.inference.profile_charts import Chart

__all__ = ["Curve", "Point", "limit", "trace"]

Floats = NDArray[np.float64]

_TOLERANCE, _MOST_EVALUATIONS = 1e-8, 200
# A criterion below the fit's by more than this belongs to another optimum.
_BETTER, _ROUNDING = 1e-5, 1e-11
_MOST_POINTS, _NEAR = 60, 1.0
# Below so small a ζ its slope is a quotient of roundings.
_SMALL_ZETA = 1e-3
_ADVICE = "(if the predictor of a random slope is far from zero, centre it)"
# |ζ − target| at which one more Newton step is exact, and at which the limit is reached.
_CLOSE = 1e-4


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """A constrained optimum: ψ, ζ and its slope there, and the other coordinates."""

    psi: float
    zeta: float
    slope: float
    omega: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """
    The profile of one parameter.

    Attributes
    ----------
    chart : Chart
    minimum : float
        D̂.
    points : tuple of Point
        By increasing ψ; the optimum is among them.
    problems : tuple of str
        What ended the walk before its time: for a side, what was found.
    lost : bool
        Whether that casts doubt on all of it, so that there are no limits.
    """

    chart: Chart
    minimum: float
    points: tuple[Point, ...]
    problems: tuple[str, ...] = ()
    lost: bool = False


class _StoppedError(Exception):
    """No constrained optimum was found."""


class _TooLongError(_StoppedError):
    """There are enough of them, but no end."""


def trace(chart: Chart, minimum: float, cutoff: float, step: float) -> Curve:
    """
    Walk from the optimum to both sides until |ζ| reaches the cut-off, or to the end of the range.

    Parameters
    ----------
    chart : Chart
    minimum : float
        D̂.
    cutoff : float
    step : float
        Of ζ, from point to point.

    Returns
    -------
    Curve
    """
    curvature, tangent = chart.start()
    centre = Point(chart.estimate, 0.0, math.sqrt(max(curvature, 0.0) / 2.0), chart.omega)
    curve = Curve(chart, minimum, (centre,))
    missed = chart.objective(chart.estimate)(chart.omega, 0).value - minimum
    if not abs(missed) <= _BETTER + _ROUNDING * abs(minimum):
        return replace(curve, problems=(f"the deviance is not computed exactly enough there {_ADVICE}",), lost=True)
    return _extended(curve, cutoff, step, tangent)


def _extended(curve: Curve, cutoff: float, step: float, tangent: Floats) -> Curve:
    points, problems = list(curve.points), []
    for side in (-1, 1):
        try:
            _walk(curve.chart, curve.minimum, points, side, cutoff, step, tangent)
        except _StoppedError as stopped:
            problems.append(stopped)
    points.sort(key=lambda point: point.psi)
    said = tuple(dict.fromkeys(str(problem) for problem in problems))
    lost = not all(isinstance(problem, _TooLongError) for problem in problems)
    return replace(curve, points=tuple(_with_central_slope(points)), problems=said, lost=lost)


def _walk(
    chart: Chart, minimum: float, points: list[Point], side: int, cutoff: float, step: float, tangent: Floats
) -> None:
    """Add points to one side, in order; the last of `points` on this side are the trail that predictions follow."""
    end = chart.low if side < 0 else chart.high
    trail = sorted(points, key=lambda point: side * point.psi)[-4:]
    known = len(trail) > 1
    while abs(trail[-1].zeta) < cutoff and trail[-1].psi != end:
        if len(points) > _MOST_POINTS:
            raise _TooLongError(f"the profile is too long: after {len(points)} points ζ is {trail[-1].zeta:.3g}")
        psi = _next(trail, side, step, end)
        guess = _extrapolated(trail, psi) if known else trail[-1].omega + (psi - trail[-1].psi) * tangent
        found = constrained(chart, minimum, psi, side, guess, trail[-1].omega)
        points.append(found)
        trail, known = [*trail[-3:], found], True


def _next(trail: list[Point], side: int, step: float, end: float) -> float:
    """ψ at which ζ is expected to have changed by `step`: dψ/dζ is known at the points, and taken as linear in ζ."""
    last = trail[-1]
    pace = 1.0 / last.slope if last.slope > 0 else math.inf
    length = step * pace
    moved = [point for point in trail if point.zeta * side > 0 or point is last]
    if len(moved) > 1 and moved[-2].slope > 0 and moved[-1].zeta != moved[-2].zeta:
        change = (pace - 1.0 / moved[-2].slope) / abs(moved[-1].zeta - moved[-2].zeta)
        length = float(np.clip(length + 0.5 * step**2 * change, 0.5 * length, 2.0 * length))
    reach = abs(end - last.psi) if math.isfinite(end) else math.inf
    previous = abs(last.psi - trail[-2].psi) if len(trail) > 1 else math.inf
    longest = 3.0 * previous if len(moved) > 1 else math.inf
    length = min(length, longest)
    if length > 0.9 * reach:
        return end
    if not math.isfinite(length):
        length = 0.25 * reach if math.isfinite(reach) else max(abs(last.psi), 1.0) * 0.1
    return last.psi + side * length


def _extrapolated(trail: list[Point], psi: float) -> Floats:
    """Ω at ψ by the polynomial through the last points."""
    places = [point.psi for point in trail]
    out = np.zeros_like(trail[0].omega)
    for i, point in enumerate(trail):
        others = [p for j, p in enumerate(places) if j != i]
        out = out + point.omega * math.prod((psi - p) / (point.psi - p) for p in others)
    return out


class _Search:
    """Minimises over ω with ψ held."""

    def __init__(self, chart: Chart, psi: float) -> None:
        self.chart, self.psi = chart, psi
        self.objective, self.free = chart.objective(psi), chart.free(psi)

    def from_(self, omega: Floats) -> Minimum | None:
        """The minimum that a start leads to; None when there is none."""
        start = self.chart.adapted(self.psi, np.maximum(omega, self.chart.lower))
        found = minimise(
            self.objective,
            start,
            self.chart.scale,
            self.chart.lower,
            self.free,
            tolerance=_TOLERANCE,
            max_evaluations=_MOST_EVALUATIONS,
        )
        return found if found.converged and math.isfinite(found.evaluation.value) else None


def constrained(chart: Chart, minimum: float, psi: float, side: int, guess: Floats, sure: Floats) -> Point:
    """
    The optimum with ψ held.

    Parameters
    ----------
    chart : Chart
    minimum : float
        D̂.
    psi : float
    side : {-1, 1}
    guess, sure : ndarray
        ω from which to begin, and where to begin when that fails.
    """
    search = _Search(chart, psi)
    found = search.from_(guess) or search.from_(sure)
    if found is None:
        raise _StoppedError(f"no optimum of the other parameters was found {_ADVICE}")
    # A guess across zero may lead to the valley of another sign: the last point's own start, and its mirror, decide.
    if (found.theta * sure < 0.0).any():
        for start in (sure, np.where(found.theta * sure < 0.0, -sure, sure)):
            rival = search.from_(start)
            if rival is not None and rival.evaluation.value < found.evaluation.value:
                found = rival
    value = found.evaluation.value
    # Near the fit, whose own search began from several starts, there is no need to do so again.
    for other in (*chart.inside(psi, sure), *(chart.others(psi, sure, value) if value > minimum + _NEAR else ())):
        rival = search.from_(other)
        if rival is not None and rival.evaluation.value < found.evaluation.value:
            found = rival
    rise = found.evaluation.value - minimum
    if rise < -_BETTER:
        raise _StoppedError(
            f"the deviance falls to {found.evaluation.value:.6f} there, below the {minimum:.6f} of the fit"
        )
    zeta = side * math.sqrt(max(rise, 0.0))
    # A minimum over ω that lies at an end of the range has no slope in ψ that matters.
    slope = chart.slope(psi, found) / (2.0 * zeta) if abs(zeta) > _SMALL_ZETA else math.nan
    return Point(psi, zeta, slope, found.theta)


def _with_central_slope(points: list[Point]) -> list[Point]:
    """The slope at ψ̂, where D′ and ζ both vanish: that of the polynomial through the neighbours and their slopes."""
    place = next(i for i, point in enumerate(points) if point.zeta == 0.0)
    centre = points[place]
    near = [p for p in points[max(place - 1, 0) : place + 2] if p is not centre and math.isfinite(p.slope)]
    if not near:
        return points
    unit = max(abs(p.psi - centre.psi) for p in near)
    rows, values = [], []
    for p in near:
        h = (p.psi - centre.psi) / unit
        powers = np.arange(1, 2 * len(near) + 1)
        rows += [h**powers, powers * h ** (powers - 1)]
        values += [p.zeta, p.slope * unit]
    slope = float(np.linalg.solve(np.array(rows), np.array(values))[0]) / unit
    points[place] = Point(centre.psi, 0.0, max(slope, 0.0), centre.omega)
    return points


def limit(curve: Curve, target: float) -> float:
    """
    ψ at which ζ equals a target, by exact constrained optima.

    Parameters
    ----------
    curve : Curve
    target : float
        Not zero.

    Returns
    -------
    float
        The end of the range when ζ does not reach the target; NaN when the walk ended before, or the curve is lost.
    """
    if curve.lost:
        return math.nan
    side = 1 if target > 0 else -1
    trail = [p for p in curve.points if p.zeta * side >= 0.0]
    trail = trail if side > 0 else trail[::-1]
    beyond = next((i for i, p in enumerate(trail) if abs(p.zeta) >= abs(target)), None)
    end = curve.chart.low if side < 0 else curve.chart.high
    if beyond is None:
        if trail[-1].psi == end or curve.problems:
            return end if trail[-1].psi == end else math.nan
        return limit(_extended(curve, abs(target), 0.25 * abs(target), np.zeros_like(curve.chart.omega)), target)
    low, high = trail[beyond - 1], trail[beyond]
    psi = _inverse(low, high, target)
    for _ in range(60):
        trio = sorted(trail, key=lambda p: abs(p.psi - psi))[:4]
        guess = _extrapolated(trio, psi) if len(trio) > 1 else trio[0].omega
        try:
            found = constrained(curve.chart, curve.minimum, psi, side, guess, low.omega)
        except _StoppedError:
            return math.nan
        miss = found.zeta - target
        newton = psi - miss / found.slope if found.slope > 0 else math.nan
        if abs(miss) < _CLOSE and (min(low.psi, high.psi) <= newton <= max(low.psi, high.psi)):
            return newton
        if abs(high.psi - low.psi) <= 1e-13 * max(abs(high.psi), abs(low.psi)):
            return psi
        low, high = (found, high) if abs(found.zeta) < abs(target) else (low, found)
        trail.append(found)
        inside = min(low.psi, high.psi) < newton < max(low.psi, high.psi)
        psi = newton if inside else 0.5 * (low.psi + high.psi)
    return psi


def _inverse(low: Point, high: Point, target: float) -> float:
    """ψ at ζ = target between two points, by the cubic through both with the slopes dψ/dζ there, if it is monotone."""
    h = high.zeta - low.zeta
    t = (target - low.zeta) / h
    rise = high.psi - low.psi
    slopes = [h / p.slope if p.slope > 0 else math.nan for p in (low, high)]
    if not all(math.isfinite(s) and 0 < s / rise < 3 for s in slopes):
        return low.psi + t * rise
    first, second = slopes
    return float(low.psi + t * (first + t * ((3 * rise - 2 * first - second) + t * (first + second - 2 * rise))))
