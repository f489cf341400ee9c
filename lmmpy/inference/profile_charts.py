"""Charts: coordinates of the likelihood in which one parameter of interest is a coordinate that can be held.

With the parameter held, the rest is a smooth minimisation. In an unstructured term the effect whose standard deviation
is held comes first, where θ_11 = sd/σ; so do two effects whose correlation is held. All else is in the coordinates of
the engine, where effects are orthogonal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Unstructured
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.design import Design
from lmmpy.engines import Criterion, Evaluation
from lmmpy.fitting.saturation import may_saturate
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.trust_region import Minimum, minimise
from lmmpy.inference.profile_bases import Coordinates, Order, in_order
from lmmpy.inference.profile_coordinates import Angle, Deviation, Embedding, Entry, free_scale
from lmmpy.inference.profile_wedge import Wedge

__all__ = ["SIZES", "Angled", "Chart", "Objective", "covariance_chart", "free_angles", "with_angles"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Place of an angle, and the ends of its range.
Angled = tuple[int, float, float]

# A typical change of log σ, and of the swing of a wedge.
_LOG_SIGMA, _SWING = 0.25, 0.5
# Where levels are related the likelihood has a limit as σ vanishes: at so much of the estimate it is reached.
NO_RESIDUAL = 1e-4
# In typical sizes, where to look for a residual variance when there was none.
SIZES = (3.0, 0.5)
# Criteria that differ by less are one.
_LEVEL, _MOST_EVALUATIONS = 1e-9, 200


@dataclass(frozen=True, eq=False)
class HeldEvaluation(Evaluation):
    """An evaluation over ω with ψ held.

    Attributes
    ----------
    along : float
        ∂D/∂ψ; at a minimum over ω also the total derivative of the profiled criterion.
    """

    along: float = math.nan


Objective = Callable[[Floats, int], Evaluation]


class Chart(Protocol):
    """Coordinates with one parameter held.

    Attributes
    ----------
    estimate : float
        ψ at the optimum.
    low, high : float
        Ends of the range of ψ.
    omega : ndarray, shape (m,)
        The other coordinates at the optimum.
    scale, lower : ndarray, shape (m,)
        Typical changes of ω, and lower bounds.
    """

    @property
    def estimate(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def omega(self) -> Floats: ...
    @property
    def scale(self) -> Floats: ...
    @property
    def lower(self) -> Floats: ...

    def objective(self, psi: float) -> Objective:
        """The criterion over ω with ψ held."""

    def free(self, psi: float) -> Mask:
        """Which coordinates can matter when ψ is held there."""

    def others(self, psi: float, omega: Floats, value: float) -> list[Floats]:
        """Further ω to begin from: where a structure often has several optima, and known points below `value`."""

    def inside(self, psi: float, omega: Floats) -> list[Floats]:
        """Ω to begin from wherever ψ is, where the known one stands for infinity and the criterion is flat."""

    def slope(self, psi: float, minimum: Minimum) -> float:
        """The derivative of the profiled criterion in ψ, at a minimum over ω."""

    def adapted(self, psi: float, omega: Floats) -> Floats:
        """An equivalent ω in which those that are not free are at rest."""

    def start(self) -> tuple[float, Floats]:
        """D″ of the profiled criterion in ψ at the optimum, roughly, and dω/dψ."""

    def model(self, psi: float, omega: Floats) -> tuple[Floats, float, Floats]:
        """θ in the order of the model, σ and β."""


@dataclass(frozen=True, eq=False, slots=True)
class CovarianceChart:
    """A chart that holds σ, a standard deviation or a correlation; see `Chart`."""

    at: Coordinates
    criterion: Criterion
    embedding: Embedding
    estimate: float
    low: float
    high: float
    omega: Floats
    scale: Floats
    lower: Floats
    term: int | None = None
    order: Order | None = None
    idle: tuple[int, ...] = ()
    angles: tuple[Angled, ...] = ()
    plateaus: tuple[tuple[float, Floats], ...] = ()
    far: bool = False

    def objective(self, psi: float) -> Objective:
        return lambda omega, order: self._compute(psi, omega)

    def _compute(self, psi: float, omega: Floats) -> Evaluation:
        x, jacobian, along = self.embedding.embed(psi, omega)
        found = free_scale(self.criterion, x)
        if found.gradient is None or found.information is None or found.bend is None:
            return found
        information = jacobian.T @ found.information @ jacobian
        bend = jacobian.T @ found.bend @ jacobian
        self.embedding.add_bend(psi, omega, found.gradient, bend)
        slope = float(found.gradient @ along)
        return HeldEvaluation(found.value, jacobian.T @ found.gradient, information, bend, along=slope)

    def others(self, psi: float, omega: Floats, value: float) -> list[Floats]:
        lower = [self._turned(psi, other) for level, other in self.plateaus if level < value - _LEVEL]
        return lower + with_angles(omega, self.angles)

    def inside(self, psi: float, omega: Floats) -> list[Floats]:
        if not self.far:
            return []
        x, _, _ = self.embedding.embed(psi, omega)
        theta, log_sigma = x[:-1], float(x[-1])
        size = float(np.abs(theta / typical_scale(self.criterion)).max())
        # The variances of the effects stay, and with them what is held, unless that is σ.
        shrunk = [(theta * (other / size), log_sigma - math.log(other / size)) for other in SIZES]
        return [self.embedding.project(np.append(*pair)) for pair in shrunk if size > 0.0]

    def _turned(self, psi: float, omega: Floats) -> Floats:
        """The same covariances at another angle, ψ̂ → ψ, for an ω in which one of the two effects does not vary."""
        assert isinstance(self.embedding, Angle | Wedge) and self.term is not None
        first, second = self.embedding.first, self.embedding.second
        if omega[first] == 0.0:
            return omega
        turn, out = psi - self.estimate, omega.copy()
        for row in range(2, self.criterion.design.random[self.term].k):
            a, b = first + row - 1, second + row - 2  # `second` itself is no part of ω
            out[a] = math.cos(turn) * omega[a] + math.sin(turn) * omega[b]
            out[b] = math.cos(turn) * omega[b] - math.sin(turn) * omega[a]
        return out

    def slope(self, psi: float, minimum: Minimum) -> float:
        assert isinstance(minimum.evaluation, HeldEvaluation)
        return minimum.evaluation.along

    def free(self, psi: float) -> Mask:
        out = np.ones(len(self.omega), dtype=bool)
        if psi == 0.0:
            out[list(self.idle)] = False
        return out

    def adapted(self, psi: float, omega: Floats) -> Floats:
        if psi != 0.0 or not self.idle or self.term is None:
            return omega
        # Without the first effect the covariance of the others needs no first column.
        x, _, _ = self.embedding.embed(psi, omega)
        design = self.criterion.design
        parts = design.split_theta(x[:-1])
        structure = design.random[self.term].structure
        T = structure.factor(parts[self.term]).T
        rest = Unstructured(len(T) - 1)
        T[1:, 1:] = rest.factor(rest.from_factor(_wide_root(T[1:]))).T
        T[1:, 0] = 0.0
        columns, rows = np.triu_indices(len(T))
        parts[self.term] = T[rows, columns]
        return self.embedding.project(np.append(np.concatenate(parts), x[-1]))

    def start(self) -> tuple[float, Floats]:
        x, jacobian, along = self.embedding.embed(self.estimate, self.omega)
        found = free_scale(self.criterion, x)
        assert found.information is not None and found.bend is not None
        full = found.information + found.bend
        free = self.free(self.estimate) & (self.omega > self.lower)
        J = jacobian[:, free]
        cross = J.T @ full @ along
        solved = np.linalg.lstsq(J.T @ full @ J, cross, rcond=1e-10)[0]
        tangent = np.zeros(len(self.omega))
        tangent[free] = -solved
        return float(along @ full @ along - cross @ solved), tangent

    def model(self, psi: float, omega: Floats) -> tuple[Floats, float, Floats]:
        x, _, _ = self.embedding.embed(psi, omega)
        beta = self.criterion.solve(x[:-1]).beta
        return self.at.back(x[:-1], self.term, self.order), math.exp(float(x[-1])), beta


def _wide_root(rows: Floats) -> Floats:
    """A square root of rows rowsᵀ, for k − 1 rows of length k."""
    return np.asarray(np.linalg.qr(rows.T)[1].T)


def covariance_chart(at: Coordinates, sigma: float, key: tuple[str, int, int, int]) -> Chart:
    """
    A chart that holds a parameter of the covariances.

    Parameters
    ----------
    at : Coordinates
        The optimum.
    sigma : float
        There.
    key : tuple
        ("sigma", 0, 0, 0), ("sd", term, effect, 0), ("cor", term, effect, effect) or ("angle", term, 0, 0).

    Returns
    -------
    Chart
    """
    kind, t, first, second = key
    criterion, theta, size = at.criterion, at.theta, len(at.theta)
    if kind == "sigma":
        ends = (_least_log_sigma(at, sigma), math.inf)
        return _chart(at, criterion, theta, sigma, Entry(size), math.log(sigma), ends, size)
    term = criterion.design.random[t]
    start = sum(other.structure.n_theta for other in criterion.design.random[:t])
    if kind == "angle":
        place = start + term.structure.n_theta - 1
        assert isinstance(term.structure, OneCorrelation)
        return _chart(at, criterion, theta, sigma, Entry(place), float(theta[place]), term.structure.ends, place)
    if kind == "sd" and not isinstance(term.structure, Unstructured):
        return _deviation(at, criterion, theta, sigma, Deviation(start + first))
    ahead = (first,) if kind == "sd" else (first, second)
    criterion, theta, order = in_order(at, t, (*ahead, *(i for i in range(term.k) if i not in ahead)))
    if kind == "sd":
        embedding = Deviation(start, 1.0 if order is None else order.size)
        chart = _deviation(at, criterion, theta, sigma, embedding)
        return replace(chart, term=t, order=order, idle=tuple(range(start, start + term.k - 1)))
    return _correlation(at, criterion, theta, sigma, t, order)


def _least_log_sigma(at: Coordinates, sigma: float) -> float:
    """What stands for log 0 where levels are related; beyond it the criterion is rounding."""
    if not may_saturate(at.criterion.design):
        return -math.inf
    return math.log(sigma if at.far else sigma * NO_RESIDUAL)


def _deviation(
    at: Coordinates, criterion: Criterion, theta: Floats, sigma: float, embedding: Deviation
) -> CovarianceChart:
    estimate = sigma * abs(float(theta[embedding.place])) / embedding.size
    return _chart(at, criterion, theta, sigma, embedding, estimate, (0.0, math.inf), embedding.place)


def _correlation(
    at: Coordinates, criterion: Criterion, theta: Floats, sigma: float, t: int, order: Order | None
) -> CovarianceChart:
    """A chart that holds the correlation of the first two effects of a term."""
    start = sum(term.structure.n_theta for term in criterion.design.random[:t])
    first, second, tilt = start + 1, start + criterion.design.random[t].k, None if order is None else order.tilt
    embedding: Angle | Wedge = Angle(first, second) if tilt is None else Wedge(first, second, tilt)
    chart = _chart(
        at,
        criterion,
        theta,
        sigma,
        embedding,
        embedding.angle(np.append(theta, math.log(sigma))),
        (-math.pi / 2, math.pi / 2),
        second,
    )
    lower, scale = chart.lower.copy(), chart.scale.copy()
    lower[start] = 0.0  # the sign of one of two effects would turn their correlation round
    if tilt is None:
        lower[first] = 0.0
        edges = ((start, 0.0), (first, 0.0))
    else:
        scale[first] = _SWING
        edges = ((first, math.pi), (first, 0.0))
    chart = replace(chart, term=t, order=order, lower=lower, scale=scale)
    return replace(chart, plateaus=tuple(_without_effect(chart, place, value) for place, value in edges))


def _without_effect(chart: CovarianceChart, place: int, value: float) -> tuple[float, Floats]:
    """
    The criterion and ω without one of two effects, where a coordinate has a value, whatever their correlation.

    A correlation costs no more than that: as one of the effects vanishes any value of it is approached.
    """
    omega, free = chart.omega.copy(), np.ones(len(chart.omega), dtype=bool)
    omega[place], free[place] = value, False
    found = minimise(
        chart.objective(chart.estimate),
        omega,
        chart.scale,
        chart.lower,
        free,
        tolerance=_LEVEL,
        max_evaluations=_MOST_EVALUATIONS,
    )
    return found.evaluation.value if found.converged else math.inf, found.theta


def _chart(
    at: Coordinates,
    criterion: Criterion,
    theta: Floats,
    sigma: float,
    embedding: Embedding,
    estimate: float,
    ends: tuple[float, float],
    place: int,
) -> CovarianceChart:
    omega = embedding.project(np.append(theta, math.log(sigma)))
    scale = np.delete(np.append(typical_scale(criterion), _LOG_SIGMA), place)
    bounds = np.concatenate(
        [*(term.structure.lower for term in criterion.design.random), [_least_log_sigma(at, sigma)]]
    )
    lower = np.delete(bounds, place)
    angles = tuple((i - (i > place), low, high) for i, low, high in free_angles(criterion.design) if i != place)
    return CovarianceChart(at, criterion, embedding, estimate, *ends, omega, scale, lower, angles=angles, far=at.far)


def free_angles(design: Design) -> list[Angled]:
    """The angles among θ, with the ends of their ranges."""
    found, start = [], 0
    for term in design.random:
        start += term.structure.n_theta
        if isinstance(term.structure, OneCorrelation) and term.k > 1:
            found.append((start - 1, *term.structure.ends))
    return found


def with_angles(omega: Floats, angles: Sequence[Angled]) -> list[Floats]:
    """Ω with all angles near the one end of their ranges, and near the other."""
    found = []
    for share in (0.1, 0.9) if angles else ():
        other = omega.copy()
        for place, low, high in angles:
            other[place] = low + share * (high - low)
        found.append(other)
    return found
