"""Effects of an individual's own genes and of another's on one record, jointly distributed with one relatedness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Reported
from lmmpy.covariance.base import Factor, Floats
from lmmpy.covariance.diagonal import Diagonal
from lmmpy.covariance.directions import covariance_slopes
from lmmpy.covariance.unstructured import Unstructured

__all__ = ["JointIncidence"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class _Values:
    """Σ_ab C_ab M_ab of each pair, C = T Tᵀ."""

    factor: Factor
    measures: Floats

    @property
    def values(self) -> Floats:
        C = np.asarray(self.factor.T @ self.factor.T.T, dtype=float)
        return np.asarray(self.measures @ C.ravel())

    def slope(self, i: int) -> Floats:
        return np.asarray(self.measures @ covariance_slopes(self.factor)[i].ravel())

    def contract(self, weights: Floats) -> Floats:
        slopes = covariance_slopes(self.factor)
        return np.asarray(slopes.reshape(len(slopes), -1) @ (weights @ self.measures))

    def bend(self, weights: Floats) -> Floats:
        k = len(self.factor.T)
        return self.factor.bend((weights @ self.measures).reshape(k, k))


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    structure: JointIncidence
    measures: Floats

    def at(self, phi: Floats) -> _Values:
        return _Values(self.structure.structure.factor(phi), self.measures)


@dataclass(frozen=True, eq=False, slots=True)
class JointIncidence:
    """
    Cov of rows i and j: Σ_ab C_ab K[codes_a(i), codes_b(j)], the effect a of a row that of the level codes_a.

    With the codes of an animal and of its dam it is a direct and a maternal effect with the covariance C of one
    individual's two effects (Willham 1963). A `RowStructure`.

    Attributes
    ----------
    structure : Unstructured or Diagonal
        Of C, relative to σ².
    codes : ndarray of int, shape (k, n)
        Level of each row for each of the effects.
    K : ndarray, shape (n_levels, n_levels)
    labels : tuple of str, length k
    """

    structure: Unstructured | Diagonal
    codes: Ints
    K: Floats
    labels: tuple[str, ...]

    @property
    def n_theta(self) -> int:
        return self.structure.n_theta

    @property
    def lower(self) -> Floats:
        return self.structure.lower

    @property
    def several_optima(self) -> bool:
        return True

    def names(self) -> list[str]:
        return self.structure.names(self.labels)

    @property
    def _sizes(self) -> Floats:
        return np.linspace(0.7, 0.4, len(self.labels))

    def start(self) -> Floats:
        return self.structure.start(self._sizes)

    def other_starts(self) -> list[Floats]:
        return self.structure.other_starts(self._sizes)

    def scale(self) -> Floats:
        return self.structure.scale(np.ones(len(self.labels)))

    def canonical(self, phi: Floats) -> Floats:
        return self.structure.canonical(phi)

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        return self.structure.boundary(phi, tolerance)

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        factor = self.structure.factor(phi)
        slope = np.abs(covariance_slopes(factor)).max(axis=(1, 2))
        size = max(float(np.abs(factor.T).max()), float(np.finfo(float).tiny))
        return np.asarray(slope <= 1e-14 * size)

    def between(self, i: Ints, j: Ints) -> _Pairs:
        k = len(self.labels)
        measures = np.empty((len(i), k, k))
        for a in range(k):
            for b in range(k):
                measures[:, a, b] = self.K[self.codes[a, i], self.codes[b, j]]
        measures = 0.5 * (measures + measures.transpose(0, 2, 1))
        return _Pairs(self, measures.reshape(len(i), k * k))

    def reported(self, phi: Floats) -> list[Reported]:
        """Standard deviations; and covariances relative to σ², which unlike correlations have slopes everywhere."""
        factor = self.structure.factor(phi)
        C, dC = np.asarray(factor.T @ factor.T.T), covariance_slopes(factor)
        sd, found = np.sqrt(np.diag(C)), []
        with np.errstate(divide="ignore", invalid="ignore"):
            d_sd = np.einsum("iaa->ia", dC) / (2.0 * sd)
        for b, label in enumerate(self.labels):
            found.append(Reported("sd", (label,), float(sd[b]), d_sd[:, b]))
        for b in range(len(self.labels) if isinstance(self.structure, Unstructured) else 0):
            for a in range(b + 1, len(self.labels)):
                labels = ("relative", self.labels[a], self.labels[b])
                found.append(Reported("parameter", labels, float(C[a, b]), dC[:, a, b]))
        return found
