"""x = (θ, log σ) as a function h of fewer coordinates ψ, in which constraints hold by themselves.

Blocks that no constraint concerns keep their θ. A covariance that one concerns is C = D S Sᵀ D: D are the relative
standard deviations, S has rows of length one. An entry of S is the part of a row's length that an angle gives it, or
where a correlation c is held or tied, what solves for it, S_ij = (c − Σ_{m<j} S_im S_jm) / S_jj. A correlation of ±1
makes a row a copy of another, a standard deviation of zero takes row and column away: the factor is singular with exact
zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from lmmpy.covariance import Diagonal, RowStructure, Unstructured
from lmmpy.covariance.compound import CompoundSymmetry
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.errors import ModelError
from lmmpy.fitting.constraints import Classes
from lmmpy.fitting.jets import Jet, arccos, cos, exp, sin, sqrt
from lmmpy.fitting.quantities import Block

__all__ = ["Image", "Parametrisation", "Slot"]

Floats = NDArray[np.float64]
Number = Jet | float

# A typical change of log σ.
_LOG_SIGMA = 0.3


@dataclass(frozen=True, slots=True)
class Slot:
    """One coordinate ψ_i.

    Attributes
    ----------
    kind : {"theta", "sd", "cor", "parameter", "angle", "log_sigma"}
        An entry of θ; a standard deviation relative to σ; the arc sine of a correlation; another parameter; the arc
        sine of a partial correlation; log σ.
    key : tuple of int
        The entry; the class; the block and the two effects.
    name : str
    lower, scale : float
        Lower bound and typical change.
    """

    kind: str
    key: tuple[int, ...]
    name: str
    lower: float
    scale: float


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """h at one ψ.

    Attributes
    ----------
    x : ndarray, shape (n_theta + 1,)
    jacobian : ndarray, shape (n_theta + 1, m)
    second : ndarray, shape (n_theta + 1, m, m)
    """

    x: Floats
    jacobian: Floats
    second: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Triangle:
    """What is known beforehand of S, for one block of which any correlations are possible.

    Attributes
    ----------
    copies : tuple of (int, float)
        Of each effect the first one that it is a copy of (itself), and with which sign.
    dropped : tuple of bool
        Whether an effect has no variance.
    tied : dict
        Class and sign of the correlation of two effects that are no copies.
    """

    copies: tuple[tuple[int, float], ...]
    dropped: tuple[bool, ...]
    tied: dict[tuple[int, int], tuple[int, float]]

    @property
    def free(self) -> list[tuple[int, int]]:
        """Entries of S that an angle gives."""
        own = [a for a, (first, _) in enumerate(self.copies) if first == a and not self.dropped[a]]
        return [(i, j) for i in own for j in own if j < i and (i, j) not in self.tied]


class Infeasible(ArithmeticError):
    """No correlation matrix has the correlations that are held."""


class Parametrisation:
    """
    The map h of one set of constraints.

    Parameters
    ----------
    classes : Classes
    scale : ndarray, shape (n_theta,)
        Typical changes of θ.
    lower : ndarray, shape (n_theta,)
        Lower bounds of θ.
    """

    def __init__(self, classes: Classes, scale: Floats, lower: Floats) -> None:
        self.classes, self._scale, self._lower = classes, scale, lower
        self.n_theta = len(scale)
        self.where = classes.by_place
        self.natural = [classes.constrains(b) for b in range(len(classes.blocks))]
        self.triangles = {
            b: self._triangle(b, block)
            for b, block in enumerate(classes.blocks)
            if self.natural[b] and block.correlates and not block.one_correlation
        }
        self.held: dict[int, float] = {}
        self.slots = tuple(self._make_slots())
        self._place = {(slot.kind, slot.key): i for i, slot in enumerate(self.slots)}

    # ---- coordinates

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.slots)

    @property
    def lower(self) -> Floats:
        """Lower bounds of ψ, shape (m,)."""
        return np.array([slot.lower for slot in self.slots])

    @property
    def scale(self) -> Floats:
        """Typical changes of ψ, shape (m,)."""
        return np.array([slot.scale for slot in self.slots])

    @property
    def names(self) -> list[str]:
        """What to call the coordinates."""
        return [slot.name for slot in self.slots]

    def place(self, kind: str, *key: int) -> int | None:
        """Which coordinate a slot is."""
        return self._place.get((kind, key))

    def _make_slots(self) -> list[Slot]:
        found: list[Slot] = []
        used: set[int] = set()
        for b, block in enumerate(self.classes.blocks):
            if not self.natural[b]:
                found += [self._theta_slot(b, i) for i in range(block.start, block.end)]
            elif block.matrix is None:
                found += self._opaque_slots(b, block, used)
            else:
                found += self._matrix_slots(b, block, used)
        if self.classes.classes[self.classes.sigma].value is None:
            found.append(Slot("log_sigma", (), "log(sigma)", -math.inf, _LOG_SIGMA))
        return found

    def _theta_slot(self, b: int, i: int) -> Slot:
        block = self.classes.blocks[b]
        if block.rows is not None:
            names = block.rows.names()
        else:
            assert block.matrix is not None
            names = block.matrix.names(block.labels)
        name = f"{block.name}.{names[i - block.start]}"
        return Slot("theta", (i,), name, float(self._lower[i]), float(self._scale[i]))

    def _class_slot(self, c: int, scale: float, used: set[int], signed: bool = False) -> list[Slot]:
        """The coordinate of a class that is estimated and has none yet."""
        found = self.classes.classes[c]
        if c in used or found.value is not None or c == self.classes.sigma:
            return []
        used.add(c)
        lower = 0.0 if found.kind == "sd" and not signed else -math.inf
        return [Slot(found.kind, (c,), self.classes.name(c), lower, scale)]

    def _matrix_slots(self, b: int, block: Block, used: set[int]) -> list[Slot]:
        found: list[Slot] = []
        if block.scaled:
            for a, unit in enumerate(block.unit):
                c = self.where[b, "sd", (a,)]
                found += self._class_slot(c, float(unit), used, self._any_sign(c))
        if block.one_correlation and self.correlates(b):
            c = self.where[b, "cor", (1, 0)]
            plain = self.classes.classes[c].members in self.classes.free
            if plain and self.classes.classes[c].value is None:
                found.append(self._theta_slot(b, block.end - 1))
            else:
                found += self._class_slot(c, 1.0, used)
        elif b in self.triangles:
            triangle = self.triangles[b]
            for c, _ in triangle.tied.values():
                found += self._class_slot(c, 1.0, used)
            for i, j in triangle.free:
                name = f"angle_{block.labels[i]}.{block.labels[j]}|{block.name}"
                found.append(Slot("angle", (b, i, j), name, -math.inf, 1.0))
        return found

    def correlates(self, b: int) -> bool:
        """Whether a block has two effects with a variance that is not held at zero."""
        block = self.classes.blocks[b]
        sds = [self.where[b, "sd", (a,)] for a in range(len(block.labels))] if block.scaled else []
        return not block.scaled or sum(not self._zero(c) for c in sds) > 1

    def _any_sign(self, c: int) -> bool:
        """Whether the sign of a standard deviation never matters."""
        members = [self.classes.quantities[i] for i in self.classes.classes[c].members]
        return all(self._sign_free(self.classes.blocks[q.block]) for q in members if q.block >= 0)

    @staticmethod
    def _sign_free(block: Block) -> bool:
        return block.matrix is not None and (block.one_variance or not block.correlates)

    def _opaque_slots(self, b: int, block: Block, used: set[int]) -> list[Slot]:
        """Of a function of rows: its θ, but for what is held or tied."""
        assert block.rows is not None
        found: list[Slot] = []
        for i in range(block.end - block.start):
            c, place = self.owner(b, block.rows, i)
            at = block.start + i
            if c is None or self._is_plain(c):
                found.append(self._theta_slot(b, at))
            elif self.classes.classes[c].kind == "parameter" and self.classes.classes[c].value is not None:
                self.held[at] = _solved(block.rows, i, place, float(self.classes.classes[c].value or 0.0))
            else:
                found += self._class_slot(c, float(self._scale[at]), used)
        return found

    def _is_plain(self, c: int) -> bool:
        found = self.classes.classes[c]
        return found.value is None and found.members in self.classes.free

    def owner(self, b: int, rows: RowStructure, i: int) -> tuple[int | None, int]:
        """The class whose quantity an entry of θ alone gives, if any, and its place among the reported."""
        for place, reported in enumerate(rows.reported(np.abs(rows.start()) + 0.5)):
            if np.flatnonzero(reported.gradient).tolist() == [i]:
                return self.where[b, reported.kind, (place,)], place
        return None, -1

    def _triangle(self, b: int, block: Block) -> Triangle:
        """Copies, effects without variance, and tied correlations of a block."""
        k, classes = len(block.labels), self.classes.classes
        dropped = [block.scaled and self._zero(self.where[b, "sd", (a,)]) for a in range(k)]
        copies = [(a, 1.0) for a in range(k)]
        cor = {(i, j): self.where[b, "cor", (i, j)] for i in range(k) for j in range(i)}
        for (i, j), c in cor.items():
            value = classes[c].value
            if value is None or abs(value) < 1.0 or dropped[i] or dropped[j]:
                continue
            (first, sign), (other, turn) = copies[j], copies[i]
            if first == other and sign * turn != value:
                raise Infeasible
            low, high = min(first, other), max(first, other)
            factor = value * sign * turn
            copies = [(low, s * factor) if a == high else (a, s) for a, s in copies]
        tied: dict[tuple[int, int], tuple[int, float]] = {}
        for (i, j), c in cor.items():
            if dropped[i] or dropped[j] or self._is_plain(c) or abs(classes[c].value or 0.0) == 1.0:
                continue
            (first, sign), (other, turn) = sorted((copies[i], copies[j]), reverse=True)
            if first == other or tied.get((first, other), (c, sign * turn)) != (c, sign * turn):
                raise Infeasible
            tied[first, other] = (c, sign * turn)
        return Triangle(tuple(copies), tuple(dropped), tied)

    def _zero(self, c: int) -> bool:
        return self.classes.classes[c].value == 0.0

    # ---- ψ → x

    def at(self, psi: Floats) -> Image | None:
        """
        h, and its derivatives; None where no correlation matrix has the correlations.

        Parameters
        ----------
        psi : ndarray, shape (m,)
        """
        try:
            entries = _Chart(self, psi).entries()
        except Infeasible:
            return None
        m = self.size
        x, jacobian, second = np.empty(len(entries)), np.zeros((len(entries), m)), np.zeros((len(entries), m, m))
        for i, entry in enumerate(entries):
            if isinstance(entry, Jet):
                x[i], jacobian[i], second[i] = entry.value, entry.gradient, entry.hessian
            else:
                x[i] = entry
        return Image(x, jacobian, second)


class _Chart:
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
        sds = [self._deviation(where[b, "sd", (a,)]) for a in range(k)] if block.scaled else [1.0] * k
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
        if not isinstance(structure, CompoundSymmetry):
            return self._variable("cor", c)  # ρ = sin φ
        k = structure.k
        if k == 2:
            return 0.5 * self._variable("cor", c) + math.pi / 4
        rest = (1.0 - self._correlation(c)[0]) * ((k - 1) / k)
        if not 0.0 < _value(rest) < 1.0:
            raise Infeasible
        assert isinstance(rest, Jet)
        return arccos(sqrt(rest))

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
            angle = self._variable("angle", b, i, j)
            return rest * sin(angle), rest * cos(angle), math.pi / 2 - angle
        c, sign = triangle.tied[at]
        wanted, beside = self._correlation(c)
        wanted = sign * wanted
        if isinstance(rest, float):  # the first effect, whose row of S is constant
            return wanted, beside, self._angle_with_cosine(wanted, c, sign)
        for m in range(j):
            wanted = wanted - S[i][m] * S[j][m]
        if abs(_value(S[j][j])) < 1e-12:
            raise Infeasible
        entry = wanted / S[j][j]
        left = rest * rest - entry * entry
        if _value(left) <= 0.0:
            raise Infeasible
        share = entry / rest
        angle = arccos(share) if isinstance(share, Jet) else math.acos(share)
        return entry, sqrt(left) if isinstance(left, Jet) else math.sqrt(left), angle

    def _angle_with_cosine(self, correlation: Number, c: int, sign: float) -> Number:
        if isinstance(correlation, Jet):
            return math.pi / 2 - sign * self._variable("cor", c)
        return math.acos(correlation)


def _value(number: Number) -> float:
    return number.value if isinstance(number, Jet) else number


def _solved(rows: RowStructure, i: int, place: int, value: float) -> float:
    """
    φ_i at which a reported parameter, of which it alone decides, has a value.

    Raises
    ------
    ModelError
        When no φ_i gives it.
    """

    def excess(phi: float) -> float:
        at = rows.start().copy()
        at[i] = phi
        return rows.reported(at)[place].value - value

    low, start = float(rows.lower[i]), float(rows.start()[i])
    if math.isfinite(low) and excess(low) == 0.0:
        return low
    ends = [end for at, end in rows.boundary(rows.start(), np.full(rows.n_theta, math.inf)) if at == i]
    for end in ends:
        if excess(end) == 0.0:
            return end
    reach = 1.0
    for _ in range(60):
        left, right = max(start - reach, low, *ends[:1]), start + reach
        if len(ends) > 1:
            left, right = max(left, min(ends)), min(right, max(ends))
        if excess(left) * excess(right) <= 0.0:
            return float(brentq(excess, left, right, xtol=1e-15, rtol=1e-14))
        reach *= 2.0
    reported = rows.reported(rows.start())[place]
    raise ModelError(f"constraints: {'.'.join(reported.labels)!r} cannot be {value:g} in this structure.")
