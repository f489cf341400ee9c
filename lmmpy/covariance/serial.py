"""Correlations of rows by the time between them: `ar1` with gaps, `car1`, `arma11`; and `cs`, where time is nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Floats
from lmmpy.covariance.pair_functions import Jet, PairFunction
from lmmpy.covariance.rows import Reported

__all__ = ["ARMA11", "ContinuousAR1", "Exchangeable", "OrderedAR1"]

Ints = NDArray[np.intp]

# Rate at which a correlation of neighbours is taken to be zero; slope in an angle that is rounding.
_VANISHED, _LEVEL = 1e4, 1e-14


def _lags(times: Floats, i: Ints, j: Ints) -> tuple[Floats, Ints]:
    """The different lags, and which of them each pair has."""
    lags, cells = np.unique(np.abs(times[i] - times[j]), return_inverse=True)
    return np.asarray(lags, dtype=float), cells.ravel()


def _typical_step(times: Floats) -> float:
    """Median time between rows that follow each other, where it is not the same."""
    steps = np.abs(np.diff(times))
    steps = steps[steps > 0.0]
    return float(np.median(steps)) if steps.size else 1.0


class _OneParameter(PairFunction):
    """What structures with one parameter, typically of size one, share; random intercepts are rivals of all."""

    __slots__ = ()

    @property
    def n_theta(self) -> int:
        return 1

    @property
    def several_optima(self) -> bool:
        return True

    def scale(self) -> Floats:
        return np.ones(1)


@dataclass(frozen=True, eq=False, slots=True)
class ContinuousAR1(_OneParameter):
    """
    Correlation ρ^|t_i − t_j| at any times, 0 ≤ ρ < 1 (Jones & Boadi-Boateng 1991).

    φ is the range u in ρ^τ = exp(−1/u), τ the typical step of time. As u falls to zero the correlation and all its
    derivatives do, while ρ itself would have infinite slopes there; at large u the criterion is nearly convex in it.

    Attributes
    ----------
    times : ndarray, shape (n,)
    """

    times: Floats
    step: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", _typical_step(self.times))

    @property
    def lower(self) -> Floats:
        return np.zeros(1)

    def names(self) -> list[str]:
        return ["range"]

    def start(self) -> Floats:
        return np.array([1.0])

    def other_starts(self) -> list[Floats]:
        return [np.array([4.0]), np.array([0.4]), np.array([20.0])]

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        """
        No correlation is where the range of ρ ends, though nothing is singular there.

        It is near where ρ^τ is small: in u the criterion is level long before zero.
        """
        rate, _, _ = _inverse(float(phi[0]))
        return [(0, 0.0)] if math.exp(-rate) < tolerance[0] else []

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        return np.asarray(phi <= 1.0 / _VANISHED)

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        return _lags(self.times, i, j)

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        rate, slope, bend = _inverse(float(phi[0]))
        x = measures / self.step
        value = np.exp(-rate * x)
        # exp(−rate) is so much smaller than any power of a large rate that products with 1/u² would be inf · 0.
        value[x > 0] *= rate < _VANISHED
        first = -slope * x * value
        return Jet(value, first[None], ((slope * x) ** 2 * value - bend * x * value)[None, None])

    def reported(self, phi: Floats) -> list[Reported]:
        rate, slope, _ = _inverse(float(phi[0]))
        rho = math.exp(-rate / self.step) if rate < _VANISHED else 0.0  # however long the step is
        return [Reported("parameter", ("rho",), rho, np.array([-slope / self.step * rho]))]


def _inverse(u: float) -> tuple[float, float, float]:
    """1/u and its derivatives; kept finite at u = 0, where they are multiplied by exp(−1/u)."""
    rate = 1.0 / max(u, 1.0 / _VANISHED)
    return rate, -(rate**2), 2.0 * rate**3


@dataclass(frozen=True, eq=False, slots=True)
class OrderedAR1(_OneParameter):
    """
    Correlation ρ^|t_i − t_j| at whole-number times, gaps counted, −1 ≤ ρ ≤ 1 with ρ = sin φ.

    Attributes
    ----------
    times : ndarray, shape (n,)
        Whole numbers.
    even : bool
        Whether all times between rows of a group are even, so that ρ and −ρ are the same; then 0 ≤ ρ ≤ 1.
    step : float
        The least time between rows of a group.
    """

    times: Floats
    even: bool = False
    step: float = 1.0

    @classmethod
    def in_groups(cls, times: Floats, groups: Ints) -> OrderedAR1:
        """Of rows of some groups, both shape (n,); where all gaps are even nothing tells the sign of ρ."""
        odd = np.bincount(groups, np.mod(times, 2.0))
        order = np.lexsort((times, groups))
        gaps = np.diff(times[order])[np.diff(groups[order]) == 0]
        even = bool(((odd == 0.0) | (odd == np.bincount(groups))).all())
        return cls(times, even=even, step=float(gaps.min(initial=np.inf)) if len(gaps) else 1.0)

    def names(self) -> list[str]:
        return ["angle"]

    def start(self) -> Floats:
        return np.array([0.2 * math.pi]) if self.even else np.zeros(1)

    def other_starts(self) -> list[Floats]:
        return [np.array([0.4 * math.pi]), np.array([(0.05 if self.even else -0.4) * math.pi])]

    def canonical(self, phi: Floats) -> Floats:
        folded = np.arcsin(np.sin(phi))
        return np.abs(folded) if self.even else folded

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        level = np.abs(np.cos(phi)) <= _LEVEL
        return level | (np.abs(np.sin(phi)) <= _LEVEL) if self.even else level

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        """Perfect correlation, and no correlation where the range ends there."""
        near = _ends(float(phi[0]), float(tolerance[0]))
        if self.even and abs(math.sin(phi[0])) ** self.step < tolerance[0]:
            near.append((0, 0.0))
        return near

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        return _lags(self.times, i, j)

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        s, c = math.sin(phi[0]), math.cos(phi[0])
        power, slope, bend = _powers(s, measures)
        return Jet(power, (slope * c)[None], (bend * c**2 - slope * s)[None, None])

    def reported(self, phi: Floats) -> list[Reported]:
        return [Reported("parameter", ("rho",), math.sin(phi[0]), np.cos(phi))]


def _ends(
    angle: float, tolerance: float, ends: tuple[float, float] = (-math.pi / 2, math.pi / 2)
) -> list[tuple[int, float]]:
    """Where an angle is near an end of its range; by default where its sine is ±1."""
    return [(0, end) for end in ends if abs(angle - end) < tolerance]


def _powers(base: float, exponents: Floats) -> tuple[Floats, Floats, Floats]:
    """base^h for whole h ≥ 0 with its two derivatives in the base, also where that is zero or negative."""
    h = np.rint(exponents)
    slope = h * base ** np.maximum(h - 1, 0)
    bend = h * (h - 1) * base ** np.maximum(h - 2, 0)
    return base**h, slope, bend


@dataclass(frozen=True, eq=False, slots=True)
class ARMA11(PairFunction):
    """
    Correlation of an ARMA(1, 1) process at whole-number times: 1, then ρ₁α^(h−1) at the lag h.

    With α the autoregressive and β the moving-average coefficient, ρ₁ = (1+αβ)(α+β)/(1+2αβ+β²) (Box & Jenkins 1976,
    eq. 3.4.7). β and 1/β give the same; both are t = 2β/(1+β²), in which ρ₁ = (α + (1+α²)t/2)/(1+αt). φ are two
    angles, α = sin φ₁ and t = sin φ₂.

    Attributes
    ----------
    times : ndarray, shape (n,)
        Whole numbers.
    """

    times: Floats

    @property
    def n_theta(self) -> int:
        return 2

    @property
    def several_optima(self) -> bool:
        return True

    def names(self) -> list[str]:
        return ["angle.ar", "angle.ma"]

    def start(self) -> Floats:
        return np.array([0.3, 0.3])

    def other_starts(self) -> list[Floats]:
        return [np.array(angles) for angles in ((1.2, -0.7), (-0.5, 0.7), (0.7, 0.9), (-1.2, -0.5))]

    def scale(self) -> Floats:
        return np.ones(2)

    def canonical(self, phi: Floats) -> Floats:
        folded = np.arcsin(np.sin(phi))
        if self.pinned(phi)[0]:
            folded[1] = 0.0
        return np.asarray(folded)

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        level = np.abs(np.cos(phi)) <= _LEVEL
        # At α = ±1 the correlations are ±1, whatever β is.
        return np.array([level[0], level[0] or level[1]])

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return _ends(float(phi[0]), float(tolerance[0]))

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        return _lags(self.times, i, j)

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        a, t, da, dt = math.sin(phi[0]), math.sin(phi[1]), math.cos(phi[0]), math.cos(phi[1])
        later = measures > 0
        power, slope, bend = _powers(a, np.maximum(measures - 1, 0))
        one, one_a, one_t, one_aa, one_at, one_tt = _first_correlation(a, t)
        r_a, r_t = slope * one + power * one_a, power * one_t
        r_aa = bend * one + 2.0 * slope * one_a + power * one_aa
        r_at, r_tt = slope * one_t + power * one_at, power * one_tt
        first = np.array([r_a * da, r_t * dt])
        cross = r_at * da * dt
        second = np.array([[r_aa * da**2 - r_a * a, cross], [cross, r_tt * dt**2 - r_t * t]])
        return Jet(np.where(later, power * one, 1.0), first * later, second * later)

    def reported(self, phi: Floats) -> list[Reported]:
        # t = 2β/(1+β²) is the sine of twice the angle whose tangent β is.
        half = 0.5 * float(np.arcsin(np.sin(phi[1])))
        beta = math.tan(half)
        turned = 1.0 if math.cos(phi[1]) >= 0.0 else -1.0
        return [
            Reported("parameter", ("ar",), math.sin(phi[0]), np.array([math.cos(phi[0]), 0.0])),
            Reported("parameter", ("ma",), beta, np.array([0.0, 0.5 * turned * (1.0 + beta**2)])),
        ]


def _first_correlation(a: float, t: float) -> tuple[float, float, float, float, float, float]:
    """ρ₁(α, t) with its derivatives: in α, t; α twice, both, t twice. With N/D, ∂N/∂α = D."""
    # D vanishes where α = 1 and β = −1, or the other way round, and any ρ₁ may be the limit there.
    N, D = a + 0.5 * (1.0 + a * a) * t, max(1.0 + a * t, 1e-12)
    rest = 1.0 - a * a
    first = 1.0 - N * t / D**2, 0.5 * rest / D**2
    second = -t * (D * D - 2.0 * N * t) / D**3, -a / D**2 - rest * t / D**3, -rest * a / D**3
    return N / D, *first, *second


@dataclass(frozen=True, eq=False, slots=True)
class Exchangeable(_OneParameter):
    """
    One correlation ρ between all rows of a group, −1/(k−1) ≤ ρ ≤ 1, k the size of the largest.

    ρ = 1 − k/(k−1) cos² φ, as in `CompoundSymmetry`.

    Attributes
    ----------
    size : int
        k, at least two.
    """

    size: int

    def names(self) -> list[str]:
        return ["angle"]

    def _angle(self, rho: float) -> float:
        return math.acos(math.sqrt((1.0 - rho) * (self.size - 1) / self.size))

    def start(self) -> Floats:
        return np.array([self._angle(0.0)])

    def other_starts(self) -> list[Floats]:
        return [np.array([share * math.pi / 2]) for share in (0.1, 0.9)]

    def canonical(self, phi: Floats) -> Floats:
        return np.arctan2(np.abs(np.sin(phi)), np.abs(np.cos(phi)))

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        return np.abs(np.sin(2.0 * phi)) <= _LEVEL

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return [(0, end) for end in (0.0, math.pi / 2) if abs(phi[0] - end) < tolerance[0]]

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        return np.array([0.0, 1.0]), (i != j).astype(np.intp)

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        rho, slope, bend = self._correlation(float(phi[0]))
        return Jet(np.where(measures > 0, rho, 1.0), (measures * slope)[None], (measures * bend)[None, None])

    def _correlation(self, angle: float) -> tuple[float, float, float]:
        most = self.size / (self.size - 1)
        return 1.0 - most * math.cos(angle) ** 2, most * math.sin(2.0 * angle), 2.0 * most * math.cos(2.0 * angle)

    def reported(self, phi: Floats) -> list[Reported]:
        rho, slope, _ = self._correlation(float(phi[0]))
        return [Reported("parameter", ("rho",), rho, np.array([slope]))]
