"""A correlation of rows times standard deviations of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance.base import Floats
from lmmpy.covariance.rows import Pairs, PairValues, Reported, RowStructure

__all__ = ["Product"]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class _ProductValues:
    """r = Π_p r_p, the factors with parameters of their own."""

    parts: tuple[PairValues, ...]
    ends: tuple[int, ...]
    factors: tuple[Floats, ...]

    @property
    def values(self) -> Floats:
        return np.asarray(np.prod(self.factors, axis=0))

    def _others(self, *left_out: int) -> Floats:
        """The product of the other factors; not a quotient, which a factor of zero would spoil."""
        kept = [factor for p, factor in enumerate(self.factors) if p not in left_out]
        return np.asarray(np.prod(kept, axis=0)) if kept else np.ones_like(self.factors[0])

    def slope(self, i: int) -> Floats:
        p = int(np.searchsorted(self.ends, i, side="right")) - 1
        return np.asarray(self.parts[p].slope(i - self.ends[p]) * self._others(p))

    def contract(self, weights: Floats) -> Floats:
        return np.concatenate([part.contract(weights * self._others(p)) for p, part in enumerate(self.parts)])

    def bend(self, weights: Floats) -> Floats:
        found = np.zeros((self.ends[-1], self.ends[-1]))
        for p, part in enumerate(self.parts):
            here = slice(self.ends[p], self.ends[p + 1])
            found[here, here] = part.bend(weights * self._others(p))
            for q in range(p + 1, len(self.parts)):
                rest, there = weights * self._others(p, q), slice(self.ends[q], self.ends[q + 1])
                for i in range(self.ends[p + 1] - self.ends[p]):
                    found[self.ends[p] + i, there] = self.parts[q].contract(rest * part.slope(i))
                found[there, here] = found[here, there].T
        return found


@dataclass(frozen=True, eq=False, slots=True)
class _ProductPairs:
    structure: Product
    parts: tuple[Pairs, ...]

    def at(self, phi: Floats) -> _ProductValues:
        pieces = self.structure.split(phi)
        found = tuple(part.at(piece) for part, piece in zip(self.parts, pieces, strict=True))
        return _ProductValues(found, self.structure.ends, tuple(part.values for part in found))


class Product:
    """
    Covariances r_ij = c_ij s_i s_j …; φ are the parameters of the parts, one after the other.

    Parameters
    ----------
    correlation : RowStructure
        c.
    *deviations : RowStructure
        Each with covariances s_i s_j; see `Strata`, `Power` and `Exponential`.
    """

    def __init__(self, correlation: RowStructure, *deviations: RowStructure) -> None:
        self.parts: tuple[RowStructure, ...] = (correlation, *deviations)
        ends = np.cumsum([0, *(part.n_theta for part in self.parts)])
        self.ends: tuple[int, ...] = tuple(int(end) for end in ends)

    def __repr__(self) -> str:
        return f"Product({', '.join(type(part).__name__ for part in self.parts)})"

    def split(self, phi: Floats) -> list[Floats]:
        """The parameters of each part."""
        return np.split(phi, self.ends[1:-1])

    @property
    def n_theta(self) -> int:
        return self.ends[-1]

    @property
    def lower(self) -> Floats:
        return np.concatenate([part.lower for part in self.parts])

    @property
    def several_optima(self) -> bool:
        return any(part.several_optima for part in self.parts)

    def names(self) -> list[str]:
        return [name for part in self.parts for name in part.names()]

    def start(self) -> Floats:
        return np.concatenate([part.start() for part in self.parts])

    def other_starts(self) -> list[Floats]:
        found = [part.other_starts() for part in self.parts]
        return [np.concatenate([starts[i % len(starts)] for starts in found]) for i in range(max(map(len, found)))]

    def scale(self) -> Floats:
        return np.concatenate([part.scale() for part in self.parts])

    def canonical(self, phi: Floats) -> Floats:
        pieces = zip(self.parts, self.split(phi), strict=True)
        return np.concatenate([part.canonical(piece) for part, piece in pieces])

    def boundary(self, phi: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        pieces = zip(self.parts, self.ends, self.split(phi), self.split(tolerance), strict=False)
        return [(at + i, value) for part, at, piece, near in pieces for i, value in part.boundary(piece, near)]

    def pinned(self, phi: Floats) -> NDArray[np.bool_]:
        pieces = zip(self.parts, self.split(phi), strict=True)
        return np.concatenate([part.pinned(piece) for part, piece in pieces])

    def between(self, i: Ints, j: Ints) -> _ProductPairs:
        return _ProductPairs(self, tuple(part.between(i, j) for part in self.parts))

    def reported(self, phi: Floats) -> list[Reported]:
        """What users know the parts by; the standard deviations first."""
        found = []
        for part, at, piece in zip(self.parts, self.ends, self.split(phi), strict=False):
            for one in part.reported(piece):
                gradient = np.zeros(self.n_theta)
                gradient[at : at + part.n_theta] = one.gradient
                found.append(Reported(one.kind, one.labels, one.value, gradient))
        return sorted(found, key=lambda one: one.kind != "sd")
