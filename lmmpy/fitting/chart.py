"""h at one ψ, entry by entry: (θ, log σ) from standard deviations, correlations and angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Diagonal, Unstructured
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.fitting.jets import Jet, arccos, cos, exp, sin, sqrt, through
from lmmpy.fitting.quantities import Block
from lmmpy.fitting.triangle import InfeasibleError, Triangle

if TYPE_CHECKING:
    from lmmpy.fitting.reparametrisation import Parametrisation

__all__ = ["Chart", "Number"]

Floats = NDArray[np.float64]
Number = Jet | float


class Chart:
    """h at one ψ, entry by entry."""

    def __init__(self, of: Parametrisation, psi: Floats) -> None:
        self.of, self.psi, self.m = of, psi, len(psi)
        self.classes = of.classes
        self.log_sigma = self._log_sigma()

    def _variable(self, kind: str, *key: int) -> Jet:
        place = self.of._place[kind, key]
        return Jet.variable(float(self.psi[place]), place, self.m)

    def _log_sigma(self) -> Number:
        value = self.classes.classes[self.classes.sigma].value
        return self._variable("log_sigma") if value is None else math.log(value)

    def entries(self) -> list[Number]:
        """All of x."""
        found: list[Number] = []
        for b, block in enumerate(self.classes.blocks):
            if not self.of.natural[b]:
                found += [self._variable("theta", i) for i in range(block.start, block.end)]
            elif block.matrix is None:
                found += [self._opaque(b, block, i) for i in range(block.end - block.start)]
            else:
                full = self._full(b, block)
                found += full[1:] if block.reference else full
        return [*found, self.log_sigma]

    def _opaque(self, b: int, block: Block, i: int) -> Number:
        assert block.rows is not None
        at = block.start + i
        if at in self.of.held:
            return self.of.held[at]
        if self.of.place("theta", at) is not None:
            return self._variable("theta", at)
        c, _ = self.of.owner(b, block.rows, i)
        assert c is not None
        return self._deviation(c) if self.classes.classes[c].kind == "sd" else self._variable("parameter", c)

    def _deviation(self, c: int) -> Number:
        """A standard deviation relative to σ."""
        if c == self.classes.sigma:
            return 1.0
        value = self.classes.classes[c].value
        if value is None:
            return self._variable("sd", c)
        if value == 0.0:
            return 0.0
        if isinstance(self.log_sigma, Jet):
            return value * exp(-self.log_sigma)
        return value * math.exp(-self.log_sigma)

    def _correlation(self, c: int) -> tuple[Number, Number]:
        """A correlation, and the root of one less its square."""
        value = self.classes.classes[c].value
        if value is not None:
            return value, math.sqrt(1.0 - value**2)
        angle = self._variable("cor", c)
        return sin(angle), cos(angle)

    def _full(self, b: int, block: Block) -> list[Number]:
        """θ of a covariance matrix."""
        k, where = len(block.labels), self.of.where
        sds: list[Number] = [1.0] * k
        if block.scaled:
            sds = [self._deviation(where[b, "sd", (a,)]) for a in range(k)]
        if isinstance(block.matrix, Diagonal):
            return sds[:1] if block.matrix.homogeneous else sds
        if isinstance(block.matrix, OneCorrelation):
            own = sds[: block.matrix.n_sd]
            return own if k == 1 else [*own, self._angle_of(b, block, block.matrix)]
        if isinstance(block.matrix, Unstructured):
            if k == 1:
                return sds
            S, _ = self._rows(b, block)
            columns, rows = np.triu_indices(k)
            return [sds[i] * S[i][j] for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
        S, angles = self._rows(b, block)
        return [sds[0], *(angle for i in range(1, k) for angle in angles[i])]

    def _angle_of(self, b: int, block: Block, structure: OneCorrelation) -> Number:
        at = block.end - 1
        if not self.of.correlates(b):
            return structure.angle(0.0)
        if self.of.place("theta", at) is not None:
            return self._variable("theta", at)
        c = self.of.where[b, "cor", (1, 0)]
        value = self.classes.classes[c].value
        if value is not None:
            return structure.angle(value)
        psi = self._variable("cor", c)
        found = structure.angle_at(psi.value)
        if found is None:
            raise InfeasibleError
        return through(psi, *found)

    def _rows(self, b: int, block: Block) -> tuple[list[list[Number]], list[list[Number]]]:
        """The rows of S; and the angles that `Correlation` has for them."""
        k, triangle = len(block.labels), self.of.triangles[b]
        S: list[list[Number]] = [[0.0] * k for _ in range(k)]
        angles: list[list[Number]] = [[math.pi / 2] * i for i in range(k)]
        for i in range(k):
            first, sign = triangle.copies[i]
            if triangle.dropped[i]:
                continue
            if first != i:
                S[i] = [sign * entry for entry in S[first]]
                angles[i][:first] = angles[first] if sign > 0.0 else [math.pi - angle for angle in angles[first]]
                angles[i][first] = 0.0 if sign > 0.0 else math.pi
                continue
            rest: Number = 1.0
            for j in range(i):
                if triangle.copies[j][0] != j or triangle.dropped[j]:
                    continue
                S[i][j], rest, angles[i][j] = self._entry(b, triangle, S, (i, j), rest)
            S[i][i] = rest
        return S, angles

    def _entry(
        self, b: int, triangle: Triangle, S: Sequence[Sequence[Number]], at: tuple[int, int], rest: Number
    ) -> tuple[Number, Number, Number]:
        """S_ij, what is left of the length of row i, and the angle with the cosine S_ij/(what was left before)."""
        i, j = at
        if at not in triangle.tied:
            if _value(S[j][j]) == 0.0:
                return 0.0, rest, math.pi / 2
            free = self._variable("angle", b, i, j)
            return rest * sin(free), rest * cos(free), math.pi / 2 - free
        c, sign = triangle.tied[at]
        wanted, beside = self._correlation(c)
        wanted = sign * wanted
        if j == triangle.own[0]:  # whose row of S is constant
            return wanted, beside, self._angle_with_cosine(wanted, c, sign)
        for m in range(j):
            wanted = wanted - S[i][m] * S[j][m]
        if abs(_value(S[j][j])) < 1e-12:
            raise InfeasibleError
        entry = wanted / S[j][j]
        left = rest * rest - entry * entry
        if _value(left) <= 0.0:
            raise InfeasibleError
        share = entry / rest
        angle: Number = arccos(share) if isinstance(share, Jet) else math.acos(share)
        return entry, sqrt(left) if isinstance(left, Jet) else math.sqrt(left), angle

    def _angle_with_cosine(self, correlation: Number, c: int, sign: float) -> Number:
        if isinstance(correlation, Jet):
            return math.pi / 2 - sign * self._variable("cor", c)
        return math.acos(correlation)


def _value(number: Number) -> float:
    return number.value if isinstance(number, Jet) else number
