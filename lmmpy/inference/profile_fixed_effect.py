"""A chart that holds a fixed effect: its column, times the value, is taken off the response.

Of the column only what the others do not explain counts, X_j = X_rest γ + q, since they absorb the rest: y − ψ X_j has
the criterion of e − (ψ − β_j) q, with e the residual of least squares and β its coefficients. Neither grows with the
distance of a predictor from zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from lmmpy.engines import Criterion, make_criterion
from lmmpy.fitting.saturation import DISTANT, may_saturate
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.trust_region import Minimum
from lmmpy.inference.profile_bases import Coordinates
from lmmpy.inference.profile_charts import SIZES, Angled, Chart, Objective, free_angles, with_angles

__all__ = ["fixed_effect_chart"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class _Split:
    """
    A column of X and the others.

    Attributes
    ----------
    column : int
    apart : ndarray, shape (n,)
        q, the part of the column that the others do not explain.
    through : ndarray, shape (p − 1,)
        γ, the coefficients of what they do.
    residual : ndarray, shape (n,)
        e and the offset.
    beta : ndarray, shape (p,)
        Of least squares.
    """

    column: int
    apart: Floats
    through: Floats
    residual: Floats
    beta: Floats

    def response(self, psi: float) -> Floats:
        """What is left to the other columns when the effect is ψ."""
        return self.residual - (psi - float(self.beta[self.column])) * self.apart

    def whole(self, psi: float, rest: Floats) -> Floats:
        """All coefficients, given ψ and those of the others for that response."""
        moved = (psi - float(self.beta[self.column])) * self.through
        return np.insert(rest + np.delete(self.beta, self.column) - moved, self.column, psi)


@dataclass(frozen=True, eq=False, slots=True)
class FixedEffectChart:
    """A chart that holds the fixed effect of one column; ω is θ, σ is profiled out. See `Chart`."""

    at: Coordinates
    criterion: Criterion
    rest: Criterion
    split: _Split
    estimate: float
    std_error: float
    omega: Floats
    scale: Floats
    lower: Floats
    low: float = -math.inf
    high: float = math.inf
    angles: tuple[Angled, ...] = ()

    def objective(self, psi: float) -> Objective:
        return self.rest.with_response(self.split.response(psi)).evaluate

    def free(self, psi: float) -> Mask:
        return np.ones(len(self.omega), dtype=bool)

    def adapted(self, psi: float, omega: Floats) -> Floats:
        return omega

    def others(self, psi: float, omega: Floats, value: float) -> list[Floats]:
        return with_angles(omega, self.angles)

    def inside(self, psi: float, omega: Floats) -> list[Floats]:
        # Whether any residual variance is left with ψ held, the criterion at an ω without any does not tell.
        size = float(np.abs(omega / self.scale).max(initial=0.0))
        if size < DISTANT or not may_saturate(self.criterion.design):
            return []
        return [omega * (other / size) for other in SIZES]

    def start(self) -> tuple[float, Floats]:
        return 2.0 / self.std_error**2, np.zeros(len(self.omega))

    def slope(self, psi: float, minimum: Minimum) -> float:
        # With r² = r²_min + (ψ − β̂)²/u, D changes as n log r².
        solution, j = self.criterion.solve(minimum.theta), self.split.column
        distance = (psi - float(solution.beta[j])) / float(solution.unscaled_vcov[j, j])
        return self.criterion.dof * 2.0 * distance / minimum.evaluation.r2

    def model(self, psi: float, omega: Floats) -> tuple[Floats, float, Floats]:
        solution = self.rest.with_response(self.split.response(psi)).solve(omega)
        return self.at.back(omega), solution.sigma, self.split.whole(psi, solution.beta)


def fixed_effect_chart(at: Coordinates, column: int) -> Chart:
    """
    A chart that holds a fixed effect.

    Parameters
    ----------
    at : Coordinates
        The optimum, by ML.
    column : int
        Of X.

    Returns
    -------
    Chart
    """
    criterion, design, solution = at.criterion, at.criterion.design, at.criterion.solve(at.theta)
    kept = [j for j in range(design.p) if j != column]
    split = _split(criterion, column, kept)
    less = replace(
        design,
        y=split.response(float(split.beta[column])),
        X=np.ascontiguousarray(design.X[:, kept]),
        names=tuple(design.names[j] for j in kept),
        assign=tuple(design.assign[j] for j in kept),
    )
    return FixedEffectChart(
        at,
        criterion,
        make_criterion(less, False, criterion.name),
        split,
        float(solution.beta[column]),
        solution.sigma * math.sqrt(solution.unscaled_vcov[column, column]),
        at.theta,
        typical_scale(criterion),
        design.lower,
        angles=tuple(free_angles(design)),
    )


def _split(criterion: Criterion, column: int, kept: list[int]) -> _Split:
    design, beta = criterion.design, criterion.products.beta0
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    length = np.linalg.norm(design.X * root[:, None], axis=0)
    Q, R = np.linalg.qr((design.X / length)[:, [*kept, column]] * root[:, None])
    apart = Q[:, -1] * (R[-1, -1] * length[column]) / root
    through = solve_triangular(R[:-1, :-1], R[:-1, -1]) * length[column] / length[kept]
    return _Split(column, apart, through, design.y - design.X @ beta, beta)
