"""The likelihood as a function of (θ, log σ), and coordinates in which one parameter of the covariances can be held.

An embedding maps (ψ, ω), the held coordinate and the others, to x = (θ, log σ); gradient and approximate curvature in ω
follow from the criterion's by the chain rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.fitting.free_scale import free_scale

__all__ = ["Angle", "Deviation", "Embedding", "Entry", "free_scale", "without"]

Floats = NDArray[np.float64]

# |log σ| from which on the likelihood is taken as zero.
_FAR = 300.0


class Embedding(Protocol):
    """(ψ, ω) → x = (θ, log σ)."""

    def embed(self, psi: float, omega: Floats) -> tuple[Floats, Floats, Floats]:
        """X, ∂x/∂ω of shape (n_theta + 1, n_omega), and ∂x/∂ψ."""

    def project(self, x: Floats) -> Floats:
        """Ω of an x."""

    def add_bend(self, psi: float, omega: Floats, gradient: Floats, bend: Floats) -> None:
        """Add Σ g_i ∂²x_i/∂ω² of a gradient in x."""


@cache
def without(size: int, place: int) -> Floats:
    """The identity of a size without a column: puts ω where it belongs in x."""
    found = np.delete(np.eye(size), place, axis=1)
    found.flags.writeable = False
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """ψ is the entry `place` of x itself: log σ, or an angle."""

    place: int

    def embed(self, psi: float, omega: Floats) -> tuple[Floats, Floats, Floats]:
        jacobian = without(len(omega) + 1, self.place)
        x, along = jacobian @ omega, np.zeros(len(omega) + 1)
        x[self.place], along[self.place] = psi, 1.0
        return x, jacobian, along

    def project(self, x: Floats) -> Floats:
        return np.delete(x, self.place)

    def add_bend(self, psi: float, omega: Floats, gradient: Floats, bend: Floats) -> None:
        pass


@dataclass(frozen=True, eq=False, slots=True)
class Deviation:
    """ψ is a standard deviation, the entry `place` of θ is ψ · size/σ; ω is (the rest of θ, log σ)."""

    place: int
    size: float = 1.0

    def embed(self, psi: float, omega: Floats) -> tuple[Floats, Floats, Floats]:
        relative = self.size * math.exp(min(-float(omega[-1]), _FAR))
        jacobian = without(len(omega) + 1, self.place).copy()
        x, along = jacobian @ omega, np.zeros(len(omega) + 1)
        x[self.place], along[self.place] = psi * relative, relative
        jacobian[self.place, -1] = -psi * relative
        return x, jacobian, along

    def project(self, x: Floats) -> Floats:
        return np.delete(x, self.place)

    def add_bend(self, psi: float, omega: Floats, gradient: Floats, bend: Floats) -> None:
        bend[-1, -1] += gradient[self.place] * psi * self.size * math.exp(-float(omega[-1]))


@dataclass(frozen=True, eq=False, slots=True)
class Angle:
    """ψ = arcsin ρ of the first two effects of an unstructured term: two entries of θ are s (sin ψ, cos ψ)."""

    first: int
    second: int

    def embed(self, psi: float, omega: Floats) -> tuple[Floats, Floats, Floats]:
        sine, cosine, s = math.sin(psi), math.cos(psi), float(omega[self.first])
        jacobian = without(len(omega) + 1, self.second).copy()
        jacobian[self.first, self.first], jacobian[self.second, self.first] = sine, cosine
        along = np.zeros(len(omega) + 1)
        along[self.first], along[self.second] = s * cosine, -s * sine
        return jacobian @ omega, jacobian, along

    def project(self, x: Floats) -> Floats:
        omega = np.delete(x, self.second)
        omega[self.first] = math.hypot(x[self.first], x[self.second])
        return omega

    def add_bend(self, psi: float, omega: Floats, gradient: Floats, bend: Floats) -> None:
        pass

    def angle(self, x: Floats) -> float:
        """ψ at an x."""
        return math.atan2(float(x[self.first]), float(x[self.second]))
