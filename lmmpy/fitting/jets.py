"""Numbers that carry their first and second derivatives through a computation (Griewank & Walther 2008, §13)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Jet", "arccos", "cos", "exp", "sin", "sqrt", "through"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Jet:
    """A number as a function of m variables.

    Attributes
    ----------
    value : float
    gradient : ndarray, shape (m,)
    hessian : ndarray, shape (m, m)
    """

    value: float
    gradient: Floats
    hessian: Floats

    @classmethod
    def variable(cls, value: float, place: int, m: int) -> Jet:
        """One of the variables."""
        gradient = np.zeros(m)
        gradient[place] = 1.0
        return cls(value, gradient, np.zeros((m, m)))

    def __neg__(self) -> Jet:
        return Jet(-self.value, -self.gradient, -self.hessian)

    def __add__(self, other: Jet | float) -> Jet:
        if isinstance(other, Jet):
            return Jet(self.value + other.value, self.gradient + other.gradient, self.hessian + other.hessian)
        return Jet(self.value + other, self.gradient, self.hessian)

    __radd__ = __add__

    def __sub__(self, other: Jet | float) -> Jet:
        return self + (-other)

    def __rsub__(self, other: float) -> Jet:
        return -self + other

    def __mul__(self, other: Jet | float) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.gradient * other, self.hessian * other)
        cross = np.outer(self.gradient, other.gradient)
        return Jet(
            self.value * other.value,
            self.value * other.gradient + other.value * self.gradient,
            self.value * other.hessian + other.value * self.hessian + cross + cross.T,
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Jet | float) -> Jet:
        if not isinstance(other, Jet):
            return self * (1.0 / other)
        return self * _inverse(other)

    def __rtruediv__(self, other: float) -> Jet:
        return other * _inverse(self)


def through(jet: Jet, value: float, first: float, second: float) -> Jet:
    """A function of a jet, given its value and derivatives there."""
    outer = np.outer(jet.gradient, jet.gradient)
    return Jet(value, first * jet.gradient, first * jet.hessian + second * outer)


def _inverse(jet: Jet) -> Jet:
    inverse = 1.0 / jet.value
    return through(jet, inverse, -(inverse**2), 2.0 * inverse**3)


def exp(jet: Jet) -> Jet:
    """The exponential."""
    value = math.exp(jet.value)
    return through(jet, value, value, value)


def sin(jet: Jet) -> Jet:
    """The sine."""
    s, c = math.sin(jet.value), _cosine(jet.value)
    return through(jet, s, c, -s)


def cos(jet: Jet) -> Jet:
    """The cosine; an exact zero at the number nearest to π/2, so that a correlation of one has a singular factor."""
    s, c = math.sin(jet.value), _cosine(jet.value)
    return through(jet, c, -s, -c)


def _cosine(angle: float) -> float:
    return 0.0 if abs(angle) == math.pi / 2 else math.cos(angle)


def sqrt(jet: Jet) -> Jet:
    """The root of a positive number."""
    root = math.sqrt(jet.value)
    return through(jet, root, 0.5 / root, -0.25 / (root * jet.value))


def arccos(jet: Jet) -> Jet:
    """The arc cosine of a number between −1 and 1."""
    rest = 1.0 - jet.value**2
    return through(jet, math.acos(jet.value), -1.0 / math.sqrt(rest), -jet.value / rest**1.5)
