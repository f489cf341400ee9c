"""What `cs` and `ar1` share: standard deviations times a factor S(φ) of a correlation with one parameter."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmmpy.covariance.base import Factor, Floats

__all__ = ["OneCorrelation"]

_ANGLES = 17


@dataclass(frozen=True)
class OneCorrelation(ABC):
    """
    Cov = D S(φ) S(φ)ᵀ D with D the standard deviations: θ = (sd, φ) when homogeneous, else (sd_1, …, sd_k, φ).

    The correlation is carried by an angle φ, in which S is analytic and reaches both ends of the range, where a
    correlation itself would have an infinite slope. With k = 1 there is no angle. The correlation of effects h columns
    apart is ρ^power(h); ρ rises from `least` to one as φ does from the one of its `ends` to the other.
    """

    k: int
    homogeneous: bool

    @abstractmethod
    def correlation_factor(self, angle: float) -> tuple[Floats, Floats, Floats]:
        """S, dS/dφ and d²S/dφ², each of shape (k, k)."""

    @abstractmethod
    def power(self, lag: int) -> int:
        """The power of ρ that is the correlation of effects `lag` columns apart; one for neighbours."""

    @property
    @abstractmethod
    def least(self) -> float:
        """The least ρ of which k > 1 effects have a covariance matrix; the greatest is one."""

    @abstractmethod
    def rho(self, angle: float) -> tuple[float, float, float]:
        """ρ, dρ/dφ and d²ρ/dφ²."""

    @abstractmethod
    def angle(self, rho: float) -> float:
        """φ at which the correlation is `rho`; clipped to the range."""

    @abstractmethod
    def fold(self, angle: float) -> float:
        """The equivalent angle in the principal range."""

    @property
    @abstractmethod
    def ends(self) -> tuple[float, float]:
        """The principal range of φ; S is singular at its ends."""

    def angle_at(self, psi: float) -> tuple[float, float, float] | None:
        """φ at ρ = sin ψ, with dφ/dψ and d²φ/dψ²; None where ρ is not inside its range."""
        wanted = math.sin(psi)
        if not self.least < wanted < 1.0:
            return None
        angle = self.angle(wanted)
        _, slope, bend = self.rho(angle)
        first = math.cos(psi) / slope
        return angle, first, -(wanted + bend * first**2) / slope

    @property
    def ordered(self) -> bool:
        """Whether it matters which effects are neighbours."""
        return self.power(2) != self.power(1)

    @property
    def n_sd(self) -> int:
        """Number of standard deviations."""
        return 1 if self.homogeneous else self.k

    @property
    def n_theta(self) -> int:
        return self.n_sd + (self.k > 1)

    @property
    def lower(self) -> Floats:
        # One common sign cancels in T Tᵀ; the sign of a single sd among several would turn its correlations round.
        bound = 0.0 if self.n_sd > 1 else -np.inf
        return np.concatenate([np.full(self.n_sd, bound), np.full(self.n_theta - self.n_sd, -np.inf)])

    @property
    def several_optima(self) -> bool:
        return self.k > 1

    def names(self, columns: Sequence[str]) -> list[str]:
        sds = ["sd"] if self.homogeneous and self.k > 1 else list(columns)
        return sds + ["angle"] * (self.k > 1)

    def start(self, sd: Floats) -> Floats:
        sds = np.array([np.sqrt(np.mean(sd**2))]) if self.homogeneous else sd
        return np.append(sds, self.angle(0.0)) if self.k > 1 else sds.copy()

    def other_starts(self, sd: Floats) -> list[Floats]:
        """Both ends of the correlation: its likelihood often has an optimum near each."""
        starts = []
        low, high = self.ends
        for share in (0.9, 0.1):
            for factor in (1.0, 3.0, 0.3):
                theta = self.start(factor * sd)
                if self.k > 1:
                    theta[-1] = low + share * (high - low)
                starts.append(theta)
        return starts

    def scale(self, unit: Floats) -> Floats:
        sds = np.array([unit.min()]) if self.homogeneous else unit
        return np.append(sds, 1.0) if self.k > 1 else sds

    def factor(self, theta: Floats) -> Factor:
        sd = np.broadcast_to(theta[: self.n_sd], (self.k,))
        if self.k == 1:
            return Factor(sd.reshape(1, 1).copy(), np.ones((1, 1, 1)))
        S, dS, d2S = self.correlation_factor(theta[-1])
        dT = np.zeros((self.n_theta, self.k, self.k))
        if self.homogeneous:
            dT[0] = S
        else:
            place = np.arange(self.k)
            dT[place, place] = S
        dT[-1] = sd[:, None] * dS
        d2T = np.zeros((self.n_theta, *dT.shape))
        if self.homogeneous:
            d2T[0, -1] = d2T[-1, 0] = dS
        else:
            d2T[place, -1, place] = d2T[-1, place, place] = dS
        d2T[-1, -1] = sd[:, None] * d2S
        return Factor(sd[:, None] * S, dT, d2T)

    def canonical(self, theta: Floats) -> Floats:
        out = theta.copy()
        out[: self.n_sd] = np.abs(out[: self.n_sd])
        if self.k > 1:
            out[-1] = self.fold(float(out[-1])) if self._correlates(out) else self.angle(0.0)
        return out

    def _correlates(self, theta: Floats) -> bool:
        """Whether the correlation means anything: two effects vary."""
        return int(np.count_nonzero(theta[: self.n_sd])) > (0 if self.homogeneous else 1)

    def boundary(self, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        near = [(i, 0.0) for i in range(self.n_sd) if abs(theta[i]) < tolerance[i]]
        if self.k > 1:
            near += [(self.n_theta - 1, end) for end in self.ends if abs(theta[-1] - end) < tolerance[-1]]
        return near

    def equivalents(self, theta: Floats) -> list[Floats]:
        if self.k == 1 or self._correlates(theta):
            return []
        low, high = self.ends
        return [np.append(theta[: self.n_sd], angle) for angle in np.linspace(low, high, _ANGLES)]

    def nearest(self, G: Floats) -> Floats:
        sd = np.sqrt(np.diag(G))
        theta = self.start(sd)
        if self.k > 1:
            theta[-1] = self.angle(self._correlation(G, sd))
        return theta

    def _correlation(self, G: Floats, sd: Floats) -> float:
        """ρ from the first neighbours that both vary; else from the first pair at all, else zero."""
        for lag in range(1, self.k):
            for i in range(self.k - lag):
                if sd[i] * sd[i + lag] > 0:
                    return self.one_step(float(G[i, i + lag] / (sd[i] * sd[i + lag])), lag)
        return 0.0

    def one_step(self, correlation: float, lag: int, sign: float | None = None) -> float:
        """ρ, given the correlation of two effects `lag` columns apart; an even power does not tell its sign."""
        power = self.power(lag)
        side = correlation if sign is None or power % 2 else sign
        return math.copysign(abs(correlation) ** (1.0 / power), side)

    def from_covariance(self, G: Floats) -> Floats:
        if G.shape != (self.k, self.k) or np.any(np.diag(G) < 0):
            raise ValueError(f"expected a {self.k} × {self.k} matrix with a non-negative diagonal")
        theta = self.nearest(G)
        T = self.factor(theta).T
        if not np.allclose(T @ T.T, G, rtol=1e-8, atol=1e-12 * float(np.abs(G).max())):
            raise ValueError(f"no {type(self).__name__} covariance equals this matrix")
        return theta
