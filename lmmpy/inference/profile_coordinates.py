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

from lmmpy.design import Design
from lmmpy.engines import Criterion, Evaluation

__all__ = ["Angle", "Deviation", "Embedding", "Entry", "free_scale", "without"]

Floats = NDArray[np.float64]

# |log σ| from which on the likelihood is taken as zero.
_FAR = 300.0


def free_scale(criterion: Criterion, x: Floats) -> Evaluation:
    """
    −2 log-likelihood as a function of (θ, log σ), σ not profiled out.

    With d the profiled criterion, ν its degrees of freedom and κ = r²/(νσ²), the value is d + ν(κ − 1 − log κ).

    Parameters
    ----------
    criterion : Criterion
    x : ndarray, shape (n_theta + 1,)
        (θ, log σ).

    Returns
    -------
    Evaluation
        Value, gradient, and the average information with its bend, of all n_theta + 1 parameters.
    """
    theta, log_sigma = x[:-1], float(x[-1])
    if not abs(log_sigma) < _FAR:
        return Evaluation(math.inf)
    found = criterion.evaluate(theta, 2)
    if not math.isfinite(found.value):
        return found
    assert found.gradient is not None and found.information is not None and found.log_r2_gradient is not None
    dof, slope, size = criterion.dof, found.log_r2_gradient, len(theta)
    ratio = found.r2 / dof * math.exp(-2.0 * log_sigma)
    gradient = np.empty(size + 1)
    gradient[:size] = found.gradient + dof * (ratio - 1.0) * slope
    gradient[size] = 2.0 * dof * (1.0 - ratio)
    information, bend = np.empty((size + 1, size + 1)), np.zeros((size + 1, size + 1))
    information[:size, :size] = ratio * (found.information + dof * np.outer(slope, slope))
    information[size, :size] = information[:size, size] = -2.0 * dof * ratio * slope
    information[size, size] = 4.0 * dof * ratio
    bend[:size, :size] = _bend(criterion.design, theta, found, ratio)
    value = found.value + dof * (ratio - 1.0 - math.log(ratio))
    return Evaluation(value, gradient, information, bend, r2=found.r2)


def _bend(design: Design, theta: Floats, found: Evaluation, ratio: float) -> Floats:
    """That of the criterion, where the sum of squares counts `ratio` times what it does at the best σ."""
    assert found.balance is not None
    out, start = np.zeros((len(theta), len(theta))), 0
    for term, part, (A, B) in zip(design.random, design.split_theta(theta), found.balance, strict=True):
        end = start + len(part)
        out[start:end, start:end] = term.structure.factor(part).bend(A - ratio * B)
        start = end
    return out


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
