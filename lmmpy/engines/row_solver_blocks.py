"""V⁻¹ by the Cholesky factors of the blocks of V, one a component of rows that have to do with each other.

Blocks of one size are solved for as a stack by the inverses of their factors, a large one by panels; see
`row_solver_triangle`. The factors are those of V itself: the roots of the weights are in their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.choose_marginal import covariance_system
from lmmpy.engines.components import STACKED, Components
from lmmpy.engines.coordinates import orthogonal_design, with_typical_weights
from lmmpy.engines.row_blocks import BlockSystem
from lmmpy.engines.row_solver_triangle import Triangle, factorised, over_columns, row_grams

__all__ = ["BlockRowSolver", "block_row_solver", "disagree", "tried_columns"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Reals = NDArray[Any]

# Rows of a block that is worth single precision: below it other things take longer.
_LARGE = 500
# What single precision may err by in FᵀV⁻¹F, relatively: of columns that are tried, and of a null model's probe.
_ALLOWED, _PROBED = 2e-6, 1e-6
# Columns that are tried in double precision.
_TRIED, _PROBES = 4, 24


@dataclass(frozen=True, eq=False, slots=True)
class _Stack:
    """Blocks of one size, by the inverses of their factors, shape (g, r, r)."""

    inverses: Floats

    def half(self, F: Reals) -> Floats:
        """L⁻¹ times each row of F, shape (c, g·r)."""
        return self._times(self.inverses, F)

    def back(self, Y: Reals) -> Floats:
        """L⁻ᵀ times each row of Y, shape (c, g·r)."""
        return self._times(self.inverses.transpose(0, 2, 1), Y)

    def _times(self, matrices: Floats, F: Reals) -> Floats:
        g, r, _ = self.inverses.shape
        columns = np.ascontiguousarray(F.T, dtype=np.float64).reshape(g, r, len(F))
        return (matrices @ columns).reshape(g * r, len(F)).T


class BlockRowSolver:
    """
    See `RowSolver`.

    Pickles with the factors in double precision; those in single precision are made again from them.

    Parameters
    ----------
    order : ndarray of int, shape (n,)
        The rows, block by block.
    parts : list of (slice, stack or Triangle)
        Factors of V, and the places in that order.
    precision : {"auto", "double", "single"}
    """

    parallel = True

    def __init__(self, order: Ints, parts: list[tuple[slice, _Stack | Triangle]], precision: str) -> None:
        self._order, self._parts, self._precision = order, parts, precision
        self._few: list[Triangle | None] = [None for _ in parts]
        if precision != "double":
            self._few = _in_single(parts)
        if precision == "auto" and self.single and self._misses(_probes(len(order)), _PROBED):
            self._precision, self._few = "double", [None for _ in parts]

    def __getstate__(self) -> tuple[Ints, list[tuple[slice, _Stack | Triangle]], str, bool]:
        return self._order, self._parts, self._precision, self.single

    def __setstate__(self, state: tuple[Ints, list[tuple[slice, _Stack | Triangle]], str, bool]) -> None:
        self._order, self._parts, self._precision, single = state
        self._few = _in_single(self._parts) if single else [None for _ in self._parts]

    @property
    def single(self) -> bool:
        """See `RowSolver.single`."""
        return any(few is not None for few in self._few)

    @property
    def checked(self) -> bool:
        """See `RowSolver.checked`."""
        return self.single and self._precision == "auto"

    @property
    def description(self) -> str:
        """See `RowSolver.description`."""
        count = sum(len(part.inverses) if isinstance(part, _Stack) else 1 for _, part in self._parts)
        digits = "single" if self.single else "double"
        return f"Cholesky factors of {count:,} block{'s' * (count > 1)} of V in {digits} precision"

    def solve(self, F: Floats) -> Floats:
        """See `RowSolver.solve`."""
        out = np.empty(F.shape)

        def some(columns: slice) -> None:
            inside = np.ascontiguousarray(F[self._order, columns].T)
            for place, part in self._parts:
                out[self._order[place], columns] = part.back(part.half(inside[:, place])).T

        over_columns(some, F.shape[1])
        return out

    def gram_of(self, F: Reals, k: int, single: bool) -> Floats:
        """See `RowSolver.gram_of`."""
        inside = F if self._in_order else np.take(F, self._order, axis=1)
        found = np.zeros((len(F) // k, k, k))
        for (place, part), few in zip(self._parts, self._few, strict=True):
            half = few.half if single and few is not None else part.half
            found += row_grams(half(inside[:, place]), k)
        return found

    @property
    def _in_order(self) -> bool:
        return len(self._parts) == 1 and bool((np.diff(self._order) == 1).all())

    def _misses(self, F: Floats, allowed: float) -> bool:
        return disagree(self.gram_of(F, 1, single=True), self.gram_of(F, 1, single=False), allowed)


def _in_single(parts: list[tuple[slice, _Stack | Triangle]]) -> list[Triangle | None]:
    return [
        part.single() if isinstance(part, Triangle) and place.stop - place.start >= _LARGE else None
        for place, part in parts
    ]


def _probes(n: int) -> Floats:
    """Columns as genotypes are, on which a null model's precision is decided; one a row."""
    rng = np.random.default_rng(n)
    G = rng.binomial(2, np.linspace(0.05, 0.5, _PROBES)[:, None], size=(_PROBES, n)).astype(float)
    G -= G.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("mn,mn->m", G, G))
    return np.asarray(G / np.where(length > 0.0, length, 1.0)[:, None])


def tried_columns(m: int, k: int) -> Ints:
    """Columns of a few of m groups of k, spread evenly."""
    groups = np.unique(np.linspace(0, max(m - 1, 0), min(m, _TRIED)).astype(np.intp))
    return (groups[:, None] * k + np.arange(k)).ravel()


def disagree(one: Floats, other: Floats, allowed: float = _ALLOWED) -> bool:
    """Whether matrices of groups, shape (m, k, k), differ by more than that in units of their diagonals."""
    size = np.sqrt(np.einsum("maa->ma", other))
    unit = size[:, :, None] * size[:, None, :]
    return bool((np.abs(one - other) > allowed * unit).any())


def block_row_solver(design: Design, theta: Floats, components: Components, precision: str) -> BlockRowSolver:
    """
    Factorise V at θ, block by block.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    components : Components
        Of its rows.
    precision : {"auto", "double", "single"}

    Raises
    ------
    ModelError
        Where a block has no room.
    NotPositiveDefiniteError
        Where V is singular.
    """
    rows, bases = orthogonal_design(with_typical_weights(design))
    system, _ = covariance_system(rows, "marginal", components)
    assert isinstance(system, BlockSystem)
    Cs = []
    for term, part, R in zip(design.random, design.split_theta(theta), bases, strict=True):
        T = term.structure.factor(part).T if R is None else R @ term.structure.factor(part).T
        Cs.append(T @ T.T)
    entries = [part.at(phi).entries for part, phi in zip(system.row_parts, design.split_rows(theta), strict=True)]
    order = system.inside(np.arange(float(design.n))[:, None])[:, 0].astype(np.intp)
    root = np.ones(design.n) if rows.weights is None else np.sqrt(rows.weights)[order]
    parts = [(stack.place, _factor(stack.covariance(Cs, entries), root[stack.place])) for stack in system.stacks]
    return BlockRowSolver(order, parts, precision)


def _factor(V: Floats, root: Floats) -> _Stack | Triangle:
    """Of W^-½VW^-½, V of shape (g, r, r), with the roots of the weights of its rows, shape (g·r,)."""
    g, r, _ = V.shape
    if r > STACKED:
        V[0] /= root[:, None]
        V[0] /= root
        return factorised(V[0])
    try:
        inverses = np.linalg.inv(np.linalg.cholesky(V))
    except np.linalg.LinAlgError:
        raise NotPositiveDefiniteError("V has no Cholesky factor") from None
    if not np.isfinite(inverses).all():
        raise NotPositiveDefiniteError("V has no Cholesky factor")
    return _Stack(np.tril(inverses) * root.reshape(g, 1, r))
