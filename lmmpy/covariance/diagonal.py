"""`diag`: independent effects, each with its own variance or all with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmmpy.covariance.base import Factor, Floats

__all__ = ["Diagonal"]


@dataclass(frozen=True, slots=True)
class Diagonal:
    """Diagonal covariance: θ holds the relative standard deviations (one when homogeneous)."""

    k: int
    homogeneous: bool = False

    @property
    def n_theta(self) -> int:
        return 1 if self.homogeneous else self.k

    @property
    def lower(self) -> Floats:
        return np.full(self.n_theta, -np.inf)

    @property
    def several_optima(self) -> bool:
        return False

    def names(self, columns: Sequence[str]) -> list[str]:
        return ["sd"] if self.homogeneous and self.k > 1 else list(columns)

    def start(self, sd: Floats) -> Floats:
        return np.array([np.sqrt(np.mean(sd**2))]) if self.homogeneous else sd.copy()

    def other_starts(self, sd: Floats) -> list[Floats]:
        return [self.start(factor * sd) for factor in (3.0, 0.3)]

    def scale(self, unit: Floats) -> Floats:
        return np.array([unit.min()]) if self.homogeneous else unit

    def factor(self, theta: Floats) -> Factor:
        if self.homogeneous:
            return Factor(theta[0] * np.eye(self.k), np.eye(self.k)[None])
        dT = np.zeros((self.k, self.k, self.k))
        place = np.arange(self.k)
        dT[place, place, place] = 1.0
        return Factor(np.diag(theta), dT)

    def canonical(self, theta: Floats) -> Floats:
        return np.abs(theta)

    def boundary(self, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return [(int(i), 0.0) for i in np.flatnonzero(np.abs(theta) < tolerance)]

    def equivalents(self, theta: Floats) -> list[Floats]:
        return []

    def nearest(self, G: Floats) -> Floats:
        return self.start(np.sqrt(np.diag(G)))

    def from_covariance(self, G: Floats) -> Floats:
        variances = np.diag(G)
        if G.shape != (self.k, self.k) or np.any(G != np.diag(variances)) or np.any(variances < 0):
            raise ValueError(f"expected a diagonal {self.k} × {self.k} matrix without negative entries")
        if self.homogeneous and np.ptp(variances) > 1e-12 * variances.max():
            raise ValueError("expected equal variances on the diagonal")
        return np.sqrt(variances[: self.n_theta])
