"""A chart that holds a fixed effect: its column, times the value, is taken off the response."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, make_criterion
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.trust_region import Minimum
from lmmpy.inference.profile_charts import Angled, Chart, Objective, free_angles, with_angles

__all__ = ["fixed_effect_chart"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class FixedEffectChart:
    """A chart that holds the fixed effect of one column; ω is θ, σ is profiled out. See `Chart`."""

    criterion: Criterion
    rest: Criterion
    column: int
    estimate: float
    std_error: float
    omega: Floats
    scale: Floats
    lower: Floats
    low: float = -math.inf
    high: float = math.inf
    angles: tuple[Angled, ...] = ()

    def objective(self, psi: float) -> Objective:
        design = self.criterion.design
        held = self.rest.with_response(design.y - psi * design.X[:, self.column])
        return held.evaluate

    def free(self, psi: float) -> Mask:
        return np.ones(len(self.omega), dtype=bool)

    def adapted(self, psi: float, omega: Floats) -> Floats:
        return omega

    def others(self, psi: float, omega: Floats, value: float) -> list[Floats]:
        return with_angles(omega, self.angles)

    def start(self) -> tuple[float, Floats]:
        return 2.0 / self.std_error**2, np.zeros(len(self.omega))

    def slope(self, psi: float, minimum: Minimum) -> float:
        # With r² = r²_min + (ψ − β̂)²/u, D changes as n log r².
        solution, j = self.criterion.solve(minimum.theta), self.column
        distance = (psi - float(solution.beta[j])) / float(solution.unscaled_vcov[j, j])
        return self.criterion.dof * 2.0 * distance / minimum.evaluation.r2

    def model(self, psi: float, omega: Floats) -> tuple[Floats, float, Floats]:
        design = self.criterion.design
        held = self.rest.with_response(design.y - psi * design.X[:, self.column])
        solution = held.solve(omega)
        return omega, solution.sigma, np.insert(solution.beta, self.column, psi)


def fixed_effect_chart(criterion: Criterion, theta: Floats, column: int) -> Chart:
    """
    A chart that holds a fixed effect.

    Parameters
    ----------
    criterion : Criterion
        By ML.
    theta : ndarray, shape (n_theta,)
        The optimum.
    column : int
        Of X.

    Returns
    -------
    Chart
    """
    design, solution = criterion.design, criterion.solve(theta)
    kept = [j for j in range(design.p) if j != column]
    less = replace(
        design,
        X=np.ascontiguousarray(design.X[:, kept]),
        names=tuple(design.names[j] for j in kept),
        assign=tuple(design.assign[j] for j in kept),
    )
    return FixedEffectChart(
        criterion,
        make_criterion(less, False, criterion.name),
        column,
        float(solution.beta[column]),
        solution.sigma * math.sqrt(solution.unscaled_vcov[column, column]),
        theta,
        typical_scale(criterion),
        np.concatenate([term.structure.lower for term in design.random]),
        angles=tuple(free_angles(design)),
    )
