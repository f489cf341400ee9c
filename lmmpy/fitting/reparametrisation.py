"""x = (θ, log σ) as a function h of fewer coordinates ψ, in which constraints hold by themselves.

Blocks that no constraint concerns keep their θ. A covariance that one concerns is C = D S Sᵀ D: D are the relative
standard deviations, S has rows of length one. An entry of S is the part of a row's length that an angle gives it, or
where a correlation c is held or tied, what solves for it, S_ij = (c − Σ_{m<j} S_im S_jm) / S_jj. A correlation of ±1
makes a row a copy of another, a standard deviation of zero takes row and column away: the factor is singular with exact
zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import RowStructure
from lmmpy.fitting.chart import Chart
from lmmpy.fitting.constraints import Classes
from lmmpy.fitting.held_parameter import solved
from lmmpy.fitting.jets import Jet
from lmmpy.fitting.quantities import Block
from lmmpy.fitting.triangle import InfeasibleError, triangle_of

__all__ = ["Image", "Parametrisation", "Slot"]

Floats = NDArray[np.float64]

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
            b: triangle_of(classes, b)
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
            if self.classes.is_plain(c):
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
            if c is None or self.classes.is_plain(c):
                found.append(self._theta_slot(b, at))
            elif self.classes.classes[c].kind == "parameter" and self.classes.classes[c].value is not None:
                self.held[at] = solved(block.rows, i, place, float(self.classes.classes[c].value or 0.0))
            else:
                slots = self._class_slot(c, float(self._scale[at]), used)
                found += [replace(slot, lower=float(self._lower[at])) for slot in slots]
        return found

    def owner(self, b: int, rows: RowStructure, i: int) -> tuple[int | None, int]:
        """The class whose quantity an entry of θ alone gives, if any, and its place among the reported."""
        for place, reported in enumerate(rows.reported(np.abs(rows.start()) + 0.5)):
            if np.flatnonzero(reported.gradient).tolist() == [i]:
                return self.where[b, reported.kind, (place,)], place
        return None, -1

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
            entries = Chart(self, psi).entries()
        except InfeasibleError:
            return None
        m = self.size
        x, jacobian, second = np.empty(len(entries)), np.zeros((len(entries), m)), np.zeros((len(entries), m, m))
        for i, entry in enumerate(entries):
            if isinstance(entry, Jet):
                x[i], jacobian[i], second[i] = entry.value, entry.gradient, entry.hessian
            else:
                x[i] = entry
        return Image(x, jacobian, second)
