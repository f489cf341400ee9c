"""Covariances between single rows: functions of where they stand (trait, time, a covariate) and of parameters.

A residual has one, relative to σ²; its scale is fixed, so that σ is the standard deviation of a reference row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import CovarianceStructure, Factor, Floats
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.covariance.correlation_matrix import Correlation
from lmmpy.covariance.diagonal import Diagonal

__all__ = ["Indexed", "PairValues", "Pairs", "Reported", "RowStructure"]

Ints = NDArray[np.intp]


class PairValues(Protocol):
    """The covariances of some pairs of rows at one parameter vector φ."""

    @property
    def values(self) -> Floats:
        """The covariance of each pair, shape (m,)."""

    def slope(self, i: int) -> Floats:
        """∂r/∂φ_i of each pair, shape (m,)."""

    def contract(self, weights: Floats) -> Floats:
        """Σ weights · ∂r/∂φ_i over the pairs, shape (n_theta,)."""

    def bend(self, weights: Floats) -> Floats:
        """Σ weights · ∂²r/∂φ_i∂φ_j over the pairs, shape (n_theta, n_theta)."""


class Pairs(Protocol):
    """Some pairs of rows, prepared for any φ."""

    def at(self, phi: Floats) -> PairValues:
        """Their covariances at φ."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A quantity that users know a structure by.

    Attributes
    ----------
    kind : {"sd", "cor", "parameter"}
        A standard deviation, relative to σ for a residual; a correlation; anything else, such as a power.
    labels : tuple of str
        Of the stratum; of the two strata, the later first; or the name of the parameter.
    value : float
    gradient : ndarray, shape (n_theta,)
        In φ.
    """

    kind: str
    labels: tuple[str, ...]
    value: float
    gradient: Floats


class RowStructure(Protocol):
    """
    A covariance function of rows with parameters φ; smooth in φ wherever an optimiser may go.

    What it shares with `CovarianceStructure` means the same there.
    """

    @property
    def n_theta(self) -> int:
        """Number of parameters."""

    @property
    def lower(self) -> Floats:
        """Lower bounds, shape (n_theta,)."""

    @property
    def several_optima(self) -> bool:
        """Whether a search should begin from several φ."""

    def names(self) -> list[str]:
        """Names of the parameters."""

    def start(self) -> Floats:
        """φ at which a search begins, shape (n_theta,)."""

    def other_starts(self) -> list[Floats]:
        """Further φ, at least one."""

    def scale(self) -> Floats:
        """Size of a typical change of each parameter, shape (n_theta,)."""

    def canonical(self, phi: Floats) -> Floats:
        """The representative of all φ with the same covariances."""

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        """Parameters within `tolerance` of a singular covariance, each with its value there."""

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        """Parameters in which the covariances have no slope at φ, shape (n_theta,)."""

    def between(self, i: Ints, j: Ints) -> Pairs:
        """
        Prepare pairs of rows.

        Parameters
        ----------
        i, j : ndarray of int, shape (m,)
            Numbers of rows.
        """

    def reported(self, phi: Floats) -> list[Reported]:
        """What users know it by."""


@dataclass(frozen=True, eq=False, slots=True)
class _IndexedValues:
    """C[a, b] of each pair, C = T Tᵀ."""

    factor: Factor
    cells: Ints

    def _matrix(self, weights: Floats) -> Floats:
        k = len(self.factor.T)
        summed = np.bincount(self.cells, weights, minlength=k * k).reshape(k, k)
        return np.asarray(0.5 * (summed + summed.T))

    @property
    def values(self) -> Floats:
        C = np.asarray(self.factor.T @ self.factor.T.T, dtype=float)
        found: Floats = C.ravel()[self.cells]
        return found

    def slope(self, i: int) -> Floats:
        half = self.factor.dT[i] @ self.factor.T.T
        return np.asarray((half + half.T).ravel()[self.cells])

    def contract(self, weights: Floats) -> Floats:
        return np.asarray(np.einsum("iab,ab->i", self.factor.dT, 2.0 * self._matrix(weights) @ self.factor.T))

    def bend(self, weights: Floats) -> Floats:
        return self.factor.bend(self._matrix(weights))


@dataclass(frozen=True, eq=False, slots=True)
class _IndexedPairs:
    structure: Indexed
    cells: Ints

    def at(self, phi: Floats) -> _IndexedValues:
        return _IndexedValues(self.structure.factor(phi), self.cells)


@dataclass(frozen=True, eq=False, slots=True)
class Indexed:
    """
    Rows stand at one of k places, whose covariance is a `CovarianceStructure` with the variance 1 at the first place.

    Attributes
    ----------
    structure : CovarianceStructure
        Its first parameter is the standard deviation of the first place, held at one; φ are the others.
    places : ndarray of int, shape (n,)
        Place of each row: its trait, stratum or occasion.
    labels : tuple of str, length k
    sizes : ndarray, shape (k,)
        Typical standard deviations of the places, relative to the first.
    shown : tuple of int, length k, or empty
        The places in the order in which they are reported; by default their own.
    """

    structure: CovarianceStructure
    places: Ints
    labels: tuple[str, ...]
    sizes: Floats
    shown: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """The places in the order in which they are reported."""
        return self.shown or tuple(range(len(self.labels)))

    @property
    def n_theta(self) -> int:
        return self.structure.n_theta - 1

    @property
    def lower(self) -> Floats:
        return self.structure.lower[1:]

    @property
    def several_optima(self) -> bool:
        return self.structure.several_optima

    def names(self) -> list[str]:
        return self.structure.names(self.labels)[1:]

    def _from(self, theta: Floats) -> Floats:
        """φ of a full θ whose first parameter is a standard deviation, or common factor of signs."""
        return np.asarray(theta[1:])

    def _full(self, phi: Floats) -> Floats:
        return np.concatenate([[1.0], phi])

    def start(self) -> Floats:
        return self._from(self.structure.start(self.sizes))

    def other_starts(self) -> list[Floats]:
        """Low correlations first: beside random terms, whose other starts begin with large ones."""
        if not isinstance(self.structure, OneCorrelation):
            return [self.start()]
        low, high = self.structure.ends
        return [np.append(self.start()[:-1], low + share * (high - low)) for share in (0.1, 0.9)]

    def scale(self) -> Floats:
        return self._from(self.structure.scale(self.sizes))

    def canonical(self, phi: Floats) -> Floats:
        return self._from(self.structure.canonical(self._full(phi)))

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        near = self.structure.boundary(self._full(phi), np.concatenate([[0.0], tolerance]))
        return [(place - 1, value) for place, value in near if place > 0]

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        factor = self.factor(phi)
        product = factor.dT @ factor.T.T
        slope = np.abs(product + product.transpose(0, 2, 1)).max(axis=(1, 2), initial=0.0)
        return np.asarray(slope <= 1e-14 * np.abs(factor.T).max() * np.abs(factor.dT).max(axis=(1, 2), initial=0.0))

    def factor(self, phi: Floats) -> Factor:
        """T with T[0, 0] = 1, and its derivatives in φ."""
        found = self.structure.factor(self._full(phi))
        return Factor(found.T, found.dT[1:], None if found.d2T is None else found.d2T[1:, 1:])

    def between(self, i: Ints, j: Ints) -> _IndexedPairs:
        return _IndexedPairs(self, self.places[i] * len(self.labels) + self.places[j])

    def reported(self, phi: Floats) -> list[Reported]:
        """Standard deviations unless all are one; correlations of pairs, or the one that all of them come from."""
        factor, found = self.factor(phi), []
        C = factor.T @ factor.T.T
        half = factor.dT @ factor.T.T
        dC = half + half.transpose(0, 2, 1)
        sd = np.sqrt(np.diag(C))
        with np.errstate(divide="ignore", invalid="ignore"):
            d_sd = np.einsum("iaa->ia", dC) / (2.0 * sd)
            for b in self.order if not self._homogeneous() else ():
                found.append(Reported("sd", (self.labels[b],), float(sd[b]), d_sd[:, b]))
            for a, b in self._correlations():
                rho = C[a, b] / (sd[a] * sd[b])
                slope = dC[:, a, b] / (sd[a] * sd[b]) - rho * (d_sd[:, a] / sd[a] + d_sd[:, b] / sd[b])
                pair = ("cor", (self.labels[a], self.labels[b]))
                kind, labels = ("parameter", ("rho",)) if self.one_correlation else pair
                found.append(Reported(kind, labels, float(np.clip(rho, -1.0, 1.0)), slope))
        return found

    def _homogeneous(self) -> bool:
        """Whether all standard deviations are that of the first place, which is held at one."""
        one = isinstance(self.structure, Correlation) or getattr(self.structure, "homogeneous", False)
        return bool(one) and len(self.labels) > 1

    @property
    def one_correlation(self) -> bool:
        """Whether one correlation says all, and is not just that of two strata."""
        return isinstance(self.structure, OneCorrelation) and (len(self.labels) > 2 or self._homogeneous())

    def _correlations(self) -> list[tuple[int, int]]:
        """Pairs of places whose correlation is reported, the later first; of neighbours when one says all."""
        if isinstance(self.structure, Diagonal):
            return []
        if self.one_correlation:
            return [(1, 0)]
        return [(a, b) for place, b in enumerate(self.order) for a in self.order[place + 1 :]]
