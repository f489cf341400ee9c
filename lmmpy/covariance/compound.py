"""`cs`: compound symmetry, one correlation between all pairs of effects."""

from __future__ import annotations

import math

import numpy as np

from lmmpy.covariance.base import Floats
from lmmpy.covariance.correlated import OneCorrelation

__all__ = ["CompoundSymmetry"]


class CompoundSymmetry(OneCorrelation):
    """
    One correlation ρ between all pairs, −1/(k−1) ≤ ρ ≤ 1.

    S is the symmetric root of (1−ρ)I + ρJ: its eigenvalues are a (k−1 times) and b (along the ones), a² = 1−ρ,
    b² = 1+(k−1)ρ. They lie on an ellipse, a = √(k/(k−1)) cos φ and b = √k sin φ, so 0 ≤ φ ≤ π/2 covers the range.
    """

    def correlation_factor(self, angle: float) -> tuple[Floats, Floats, Floats]:
        k = self.k
        wide, tall = math.sqrt(k / (k - 1)), math.sqrt(k)
        a, b = wide * math.cos(angle), tall * math.sin(angle)
        da, db = -wide * math.sin(angle), tall * math.cos(angle)
        mean = np.full((k, k), 1.0 / k)
        eye = np.eye(k)
        S = a * eye + (b - a) * mean
        return S, da * eye + (db - da) * mean, -S

    def power(self, lag: int) -> int:
        return 1

    @property
    def least(self) -> float:
        return -1.0 / (self.k - 1)

    def rho(self, angle: float) -> tuple[float, float, float]:
        most = self.k / (self.k - 1)
        return 1.0 - most * math.cos(angle) ** 2, most * math.sin(2.0 * angle), 2.0 * most * math.cos(2.0 * angle)

    def angle(self, rho: float) -> float:
        cosine = math.sqrt(max(0.0, 1.0 - rho) * (self.k - 1) / self.k)
        return math.acos(min(1.0, cosine))

    def angle_at(self, psi: float) -> tuple[float, float, float] | None:
        # Of two effects ρ = −cos 2φ, and both ends are inside.
        return (0.5 * psi + math.pi / 4, 0.5, 0.0) if self.k == 2 else super().angle_at(psi)

    def fold(self, angle: float) -> float:
        return math.atan2(abs(math.sin(angle)), abs(math.cos(angle)))

    @property
    def ends(self) -> tuple[float, float]:
        return 0.0, math.pi / 2
