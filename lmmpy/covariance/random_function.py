"""A random function of a covariate: its variance changes exponentially, its correlation decays with distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Floats
from lmmpy.covariance.rows import Reported

__all__ = ["RandomFunction"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class _Values:
    """s² times the shape; sums over pairs are formed without an array a parameter, since there may be n²/2 pairs."""

    sd: float
    shape: Floats
    mean: Floats
    distance: Floats

    @property
    def values(self) -> Floats:
        return np.asarray(self.sd**2 * self.shape)

    def slope(self, i: int) -> Floats:
        by = (2.0 / self.sd if self.sd else 0.0, self.mean, -self.distance)[i]
        return np.asarray(self.values * by)

    def contract(self, weights: Floats) -> Floats:
        weighted = weights * self.shape
        sums = np.array([weighted.sum(), weighted @ self.mean, -(weighted @ self.distance)])
        return np.asarray(np.array([2.0 * self.sd, self.sd**2, self.sd**2]) * sums)

    def bend(self, weights: Floats) -> Floats:
        weighted = weights * self.shape
        by_mean, by_distance = weighted * self.mean, weighted * -self.distance
        first, second = by_mean.sum(), by_distance.sum()
        mixed = by_mean @ -self.distance
        sums = np.array(
            [
                [weighted.sum(), first, second],
                [first, by_mean @ self.mean, mixed],
                [second, mixed, by_distance @ -self.distance],
            ]
        )
        twice = 2.0 * self.sd
        return np.asarray(np.array([[2.0, twice, twice], *[[twice, self.sd**2, self.sd**2]] * 2]) * sums)


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    mean: Floats
    distance: Floats

    def at(self, phi: Floats) -> _Values:
        return _Values(float(phi[0]), np.exp(phi[1] * self.mean - phi[2] * self.distance), self.mean, self.distance)


@dataclass(frozen=True, eq=False, slots=True)
class RandomFunction:
    """
    Covariance s² exp(γ(v_i + v_j − 2c)/2 − λ|v_i − v_j|), λ ≥ 0 (Blangero 2009); φ = (s, γ, λ).

    The variance at v is s² exp(γ(v − c)), the correlation of the values at v_i and v_j exp(−λ|v_i − v_j|).

    Attributes
    ----------
    covariate : ndarray, shape (n,)
        v.
    centre : float
        c.
    """

    covariate: Floats
    centre: float

    @property
    def n_theta(self) -> int:
        return 3

    @property
    def lower(self) -> Floats:
        return np.array([-np.inf, -np.inf, 0.0])

    @property
    def several_optima(self) -> bool:
        return True

    def names(self) -> list[str]:
        return ["sd", "rate", "decay"]

    def _spread(self) -> float:
        return float(np.std(self.covariate)) or 1.0

    def start(self) -> Floats:
        return np.array([0.7, 0.0, 0.1 / self._spread()])

    def other_starts(self) -> list[Floats]:
        unit = self._spread()
        shapes = ((1.5, 0.0, 0.5), (0.4, 0.0, 0.02), (0.7, 0.5, 0.1), (0.7, -0.5, 0.1))
        return [np.array([sd, rate / unit, decay / unit]) for sd, rate, decay in shapes]

    def scale(self) -> Floats:
        unit = self._spread()
        return np.array([1.0, 1.0 / unit, 1.0 / unit])

    def canonical(self, phi: Floats) -> Floats:
        if phi[0] == 0.0:
            return np.zeros(3)
        return np.array([abs(phi[0]), phi[1], phi[2]])

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return [(i, 0.0) for i in (0, 2) if abs(phi[i]) < tolerance[i]]

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        return np.full(3, phi[0] == 0.0)

    def between(self, i: Ints, j: Ints) -> _Pairs:
        a, b = self.covariate[i] - self.centre, self.covariate[j] - self.centre
        return _Pairs(0.5 * (a + b), np.abs(a - b))

    def reported(self, phi: Floats) -> list[Reported]:
        eye = np.eye(3)
        return [
            Reported("sd", ("centre",), abs(float(phi[0])), eye[0] * (1.0 if phi[0] >= 0.0 else -1.0)),
            Reported("parameter", ("rate",), float(phi[1]), eye[1]),
            Reported("parameter", ("decay",), float(phi[2]), eye[2]),
        ]
