"""`ar1`: first-order autoregression over the columns of a term."""

from __future__ import annotations

import math

import numpy as np

from lmmpy.covariance.base import Floats
from lmmpy.covariance.correlated import OneCorrelation

__all__ = ["Autoregressive"]


class Autoregressive(OneCorrelation):
    """
    Correlation ρ^|i−j|, −1 ≤ ρ ≤ 1, with ρ = sin φ.

    S is the Cholesky factor: ρ^i in the first column, ρ^(i−j) √(1−ρ²) = sin^(i−j) φ · cos φ in the others.
    """

    def correlation_factor(self, angle: float) -> tuple[Floats, Floats, Floats]:
        s, c = math.sin(angle), math.cos(angle)
        lag = np.subtract.outer(np.arange(self.k), np.arange(self.k))
        below = np.maximum(lag, 0)
        power = np.where(lag >= 0, s**below, 0.0)
        slope = np.where(lag > 0, below * s ** np.maximum(below - 1, 0) * c, 0.0)
        bend = np.where(lag > 1, below * (below - 1) * s ** np.maximum(below - 2, 0) * c**2, 0.0) - below * power
        S, dS, d2S = power * c, slope * c - power * s, bend * c - 2.0 * slope * s - power * c
        S[:, 0], dS[:, 0], d2S[:, 0] = power[:, 0], slope[:, 0], bend[:, 0]
        return S, dS, d2S

    def power(self, lag: int) -> int:
        return lag

    @property
    def least(self) -> float:
        return -1.0

    def rho(self, angle: float) -> tuple[float, float, float]:
        return math.sin(angle), math.cos(angle), -math.sin(angle)

    def angle(self, rho: float) -> float:
        return math.asin(min(1.0, max(-1.0, rho)))

    def angle_at(self, psi: float) -> tuple[float, float, float]:
        return psi, 1.0, 0.0

    def fold(self, angle: float) -> float:
        return math.asin(math.sin(angle))

    @property
    def ends(self) -> tuple[float, float]:
        return -math.pi / 2, math.pi / 2
