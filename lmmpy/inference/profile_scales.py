"""Which parameters a design has, which chart holds each, and the scale on which that chart counts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lmmpy.covariance import Diagonal, Unstructured
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.design import Design, RandomEffects
from lmmpy.errors import ModelError

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
    """A correlation sin ψ."""

    def value(self, psi: float) -> float:
        return math.sin(psi)

    def psi(self, value: float) -> float:
        return math.asin(max(-1.0, min(1.0, value)))

    def slope(self, psi: float) -> float:
        return math.cos(psi)


@dataclass(frozen=True, slots=True)
class Common:
    """A correlation ρ(ψ)^p of effects `lag` columns apart, where one ρ gives them all."""

    structure: OneCorrelation
    lag: int
    sign: float

    @property
    def power(self) -> int:
        """The exponent p."""
        return self.structure.power(self.lag)

    def value(self, psi: float) -> float:
        return self.structure.rho(psi)[0] ** self.power

    def psi(self, value: float) -> float:
        return self.structure.angle(self.structure.one_step(value, self.lag, self.sign))

    def slope(self, psi: float) -> float:
        rho, slope, _ = self.structure.rho(psi)
        return self.power * rho ** (self.power - 1) * slope

    @property
    def turn(self) -> float | None:
        """ψ at which an even power is zero, from where it rises to both sides; None for an odd one."""
        return None if self.power % 2 else self.structure.angle(0.0)


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

    Raises
    ------
    ModelError
        For a structure of which is not known what its parameters are.
    """
    keys: list[tuple[Key, Scale]] = [(("beta", j, 0, 0), Plain()) for j in range(design.p)]
    for t, term in enumerate(design.random):
        if not isinstance(term.structure, Unstructured | Diagonal | OneCorrelation):
            raise ModelError(
                f"The parameters of {term.term.structure}() in {term.term.text} have no profile; "
                "confint(method='boot') has intervals of them."
            )
        common = bool(getattr(term.structure, "homogeneous", False))
        keys += [(("sd", t, 0 if common else i, 0), Plain()) for i in range(term.k)]
        if term.term.structure != "diag":
            pairs = [(b, a) for b in range(term.k) for a in range(b + 1, term.k)]
            keys += [_correlation(t, term, pair, values[len(keys) + i]) for i, pair in enumerate(pairs)]
    keys.append((("sigma", 0, 0, 0), Logarithm()))
    return [Target(name, key, scale) for name, (key, scale) in zip(names, keys, strict=True)]


def _correlation(t: int, term: RandomEffects, pair: tuple[int, int], value: float) -> tuple[Key, Scale]:
    if isinstance(term.structure, OneCorrelation):
        return ("angle", t, 0, 0), Common(term.structure, pair[1] - pair[0], value)
    return ("cor", t, *pair), Sine()
