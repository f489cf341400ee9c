"""Standard deviations of rows: by stratum, or a power or exponential of a covariate. Covariances are s_i s_j."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Floats
from lmmpy.covariance.pair_functions import Jet, PairFunction
from lmmpy.covariance.rows import Reported

__all__ = ["Exponential", "LogLinear", "Power", "Strata"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class Strata(PairFunction):
    """
    A standard deviation for each stratum, one in the first; φ are the others.

    Attributes
    ----------
    places : ndarray of int, shape (n,)
        Stratum of each row.
    labels : tuple of str, length k
    sizes : ndarray, shape (k,)
        Typical standard deviations of the strata, relative to the first.
    of : str
        What to call the strata by, where other ones have the same labels.
    """

    places: Ints
    labels: tuple[str, ...]
    sizes: Floats
    of: str = ""

    @property
    def n_theta(self) -> int:
        return len(self.labels) - 1

    @property
    def lower(self) -> Floats:
        # In a product with a correlation a change of sign would turn that round.
        return np.zeros(self.n_theta)

    def names(self) -> list[str]:
        return list(self._shown[1:])

    @property
    def _shown(self) -> tuple[str, ...]:
        return tuple(f"{self.of}.{label}" for label in self.labels) if self.of else self.labels

    def start(self) -> Floats:
        return np.asarray(self.sizes[1:], dtype=float)

    def other_starts(self) -> list[Floats]:
        return [np.ones(self.n_theta)]

    def scale(self) -> Floats:
        return np.asarray(self.sizes[1:], dtype=float)

    def canonical(self, phi: Floats) -> Floats:
        return np.abs(phi)

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return [(int(i), 0.0) for i in np.flatnonzero(np.abs(phi) < tolerance)]

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        """Those at zero: their variances have no slope there, though covariances with other strata may have."""
        return np.asarray(phi == 0.0)

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        k = len(self.labels)
        met, cells = np.unique(self.places[i] * k + self.places[j], return_inverse=True)
        return np.array([met // k, met % k], dtype=float), cells.ravel()

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        a, b = measures.astype(np.intp)
        s = np.concatenate([[1.0], phi])
        one, other = (np.arange(1, len(s))[:, None] == place for place in (a, b))
        both = one[:, None] & other[None]
        return Jet(s[a] * s[b], one * s[b] + other * s[a], both + both.transpose(1, 0, 2).astype(float))

    def reported(self, phi: Floats) -> list[Reported]:
        s = np.concatenate([[1.0], phi])
        gradients = np.eye(len(s))[:, 1:]
        return [
            Reported("sd", (label,), float(value), gradient)
            for label, value, gradient in zip(self._shown, s, gradients, strict=True)
        ]


@dataclass(frozen=True, eq=False, slots=True)
class LogLinear(PairFunction):
    """
    Standard deviations exp(φ(x − c)), x a number for each row.

    Attributes
    ----------
    covariate : ndarray, shape (n,)
    centre : float
        c. Where x is far from it, φ changes all standard deviations at once, and with them what is relative to σ.
    of : str
        What to call φ by, where there is another function of the same kind.
    """

    covariate: Floats
    centre: float = 0.0
    of: str = ""
    exponents: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponents", self._exponents() - self.centre)

    def about(self, centre: float | None) -> Self:
        """The same with another centre; with the mean of x for None."""
        return replace(self, centre=self.centre + float(np.mean(self.exponents)) if centre is None else centre)

    @abstractmethod
    def _exponents(self) -> Floats:
        """x, shape (n,)."""

    @property
    @abstractmethod
    def _word(self) -> str:
        """What users call φ where there is no other."""

    @property
    def label(self) -> str:
        """What users call φ."""
        return f"{self._word}.{self.of}" if self.of else self._word

    @property
    def n_theta(self) -> int:
        return 1

    def names(self) -> list[str]:
        return [self.label]

    def start(self) -> Floats:
        return np.zeros(1)

    def other_starts(self) -> list[Floats]:
        return [self.scale(), -self.scale()]

    def scale(self) -> Floats:
        """What changes the largest ratio of two standard deviations by the factor e."""
        spread = float(np.ptp(self.exponents))
        return np.array([1.0 / spread if spread > 0.0 else 1.0])

    def measure(self, i: Ints, j: Ints) -> tuple[Floats, Ints | None]:
        return self.exponents[i] + self.exponents[j], None

    def jet(self, measures: Floats, phi: Floats) -> Jet:
        value = np.exp(phi[0] * measures)
        first = measures * value
        return Jet(value, first[None], (measures * first)[None, None])

    def reported(self, phi: Floats) -> list[Reported]:
        return [Reported("parameter", (self.label,), float(phi[0]), np.ones(1))]


@dataclass(frozen=True, eq=False, slots=True)
class Power(LogLinear):
    """
    Standard deviations |v|^φ; σ is that at |v| = 1, or where log |v| is the centre.

    Attributes
    ----------
    covariate : ndarray, shape (n,)
        v, nowhere zero.
    centre : float
    """

    def _exponents(self) -> Floats:
        if np.any(self.covariate == 0.0):
            raise ValueError("a power of a covariate that is zero somewhere is no standard deviation")
        return np.log(np.abs(self.covariate))

    @property
    def _word(self) -> str:
        return "power"


@dataclass(frozen=True, eq=False, slots=True)
class Exponential(LogLinear):
    """
    Standard deviations exp(φ v); σ is that at v = 0, or at the centre.

    Attributes
    ----------
    covariate : ndarray, shape (n,)
        v.
    centre : float
    """

    def _exponents(self) -> Floats:
        return np.asarray(self.covariate, dtype=float)

    @property
    def _word(self) -> str:
        return "rate"
