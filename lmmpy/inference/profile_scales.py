"""Which parameters a design has, which chart holds each, and the scale on which that chart counts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lmmpy.covariance import CompoundSymmetry, Unstructured
from lmmpy.design import Design, RandomEffects

__all__ = ["Key", "Scale", "Target", "targets"]

# ("beta", column, 0, 0), ("sd", term, effect, 0), ("cor", term, effect, effect), ("angle", term, 0, 0) or ("sigma", …).
Key = tuple[str, int, int, int]


class Scale(Protocol):
    """The value of a parameter as a function of the held coordinate ψ of its chart."""

    def value(self, psi: float) -> float:
        """The parameter at ψ."""

    def psi(self, value: float) -> float:
        """ψ at a value."""

    def slope(self, psi: float) -> float:
        """∂value/∂ψ."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The parameter itself: a fixed effect, a standard deviation."""

    def value(self, psi: float) -> float:
        return psi

    def psi(self, value: float) -> float:
        return value

    def slope(self, psi: float) -> float:
        return 1.0


@dataclass(frozen=True, slots=True)
class Logarithm:
    """ψ = log σ."""

    def value(self, psi: float) -> float:
        return math.exp(psi)

    def psi(self, value: float) -> float:
        return math.log(value) if value > 0 else -math.inf

    def slope(self, psi: float) -> float:
        return math.exp(psi)


@dataclass(frozen=True, slots=True)
class Sine:
    """A correlation sin^lag ψ: lag 1 but for effects further apart in an autoregression."""

    lag: int = 1
    sign: float = 1.0

    def value(self, psi: float) -> float:
        return math.sin(psi) ** self.lag

    def psi(self, value: float) -> float:
        root = math.copysign(min(1.0, abs(value)) ** (1.0 / self.lag), value if self.lag % 2 else self.sign)
        return math.asin(root)

    def slope(self, psi: float) -> float:
        return self.lag * math.sin(psi) ** (self.lag - 1) * math.cos(psi)


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A common correlation 1 − k/(k−1) cos² ψ of k effects."""

    k: int

    def value(self, psi: float) -> float:
        return 1.0 - self.k / (self.k - 1.0) * math.cos(psi) ** 2

    def psi(self, value: float) -> float:
        return math.acos(math.sqrt(min(1.0, max(0.0, 1.0 - value) * (self.k - 1.0) / self.k)))

    def slope(self, psi: float) -> float:
        return self.k / (self.k - 1.0) * math.sin(2.0 * psi)


@dataclass(frozen=True, slots=True)
class Target:
    """A parameter: its name, the chart that holds it, and the scale."""

    name: str
    key: Key
    scale: Scale


def targets(design: Design, names: Sequence[str], values: Sequence[float]) -> list[Target]:
    """
    The parameters of a design.

    Parameters
    ----------
    design : Design
    names : sequence of str
        Fixed effects, standard deviations and correlations term by term, sigma; as `parameter_names` gives them.
    values : sequence of float
        Their estimates.

    Returns
    -------
    list of Target
        Standard deviations or correlations that a structure holds equal share a chart.
    """
    keys: list[tuple[Key, Scale]] = [(("beta", j, 0, 0), Plain()) for j in range(design.p)]
    for t, term in enumerate(design.random):
        common = bool(getattr(term.structure, "homogeneous", False))
        keys += [(("sd", t, 0 if common else i, 0), Plain()) for i in range(term.k)]
        if term.term.structure != "diag":
            pairs = [(b, a) for b in range(term.k) for a in range(b + 1, term.k)]
            keys += [_correlation(t, term, pair, values[len(keys) + i]) for i, pair in enumerate(pairs)]
    keys.append((("sigma", 0, 0, 0), Logarithm()))
    return [Target(name, key, scale) for name, (key, scale) in zip(names, keys, strict=True)]


def _correlation(t: int, term: RandomEffects, pair: tuple[int, int], value: float) -> tuple[Key, Scale]:
    if isinstance(term.structure, Unstructured):
        return ("cor", t, *pair), Sine()
    if isinstance(term.structure, CompoundSymmetry):
        return ("angle", t, 0, 0), Ellipse(term.k)
    return ("angle", t, 0, 0), Sine(pair[1] - pair[0], value)
