"""Ṽ as blocks, one a connected component of rows: those of equal size stacked, large ones by LAPACK one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from lmmpy.covariance import Factor
from lmmpy.design import Design, RandomEffects
from lmmpy.engines import _kernels
from lmmpy.engines.between_rows import BetweenRows, DenseBetweenRows, between_rows
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.components import STACKED, Components, stacks_of_equal
from lmmpy.engines.row_parts import RowPart, row_parts
from lmmpy.engines.squares import Squares
from lmmpy.engines.threads import threads_for

__all__ = ["BlockSystem", "FactoredBlocks"]

Floats = NDArray[np.float64]


Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class _PairsOfStack:
    """Where the pairs of one covariance between rows are in a stack: `some` of the pairs, `flat` in the stack's array.

    Those at `off` have another place, `mirror`, across the diagonal.
    """

    some: slice
    flat: Ints
    off: Ints
    mirror: Ints

    def add(self, V: Floats, entries: Floats) -> None:
        """Add to V, shape (g, r, r), the entries at all pairs of the part."""
        own, numbers = entries[self.some], V.reshape(-1)
        numbers[self.flat] += own
        numbers[self.mirror] += own[self.off]


@dataclass(frozen=True, eq=False, slots=True)
class _Stack:
    """
    Blocks of one size.

    `g` blocks of `r` rows are at `place` among the ordered rows, with K of each `terms` between them; `rows` tells the
    pairs of the covariances between rows, and without a `residual` among these Ṽ has the identity.
    """

    place: slice
    g: int
    r: int
    terms: tuple[BetweenRows, ...]
    rows: tuple[_PairsOfStack, ...]
    residual: bool

    def take(self, columns: Floats) -> Floats:
        """The part of ordered columns, (n, c) → (g, r, c)."""
        return columns[self.place].reshape(self.g, self.r, columns.shape[1])

    def covariance(self, Cs: Sequence[Floats], entries: Sequence[Floats]) -> Floats:
        """Ṽ, shape (g, r, r)."""
        terms = list(zip(self.terms, Cs, strict=True))
        if terms and not self.rows and isinstance(terms[0][0], DenseBetweenRows) and terms[0][0].X is None:
            first, C = terms.pop(0)
            V: Floats = first.K * C[0, 0]  # a large array is written once
            V.reshape(self.g, -1)[:, :: self.r + 1] += 1.0
        else:
            V = np.zeros((self.g, self.r, self.r))
            if not self.residual:
                V.reshape(self.g, -1)[:, :: self.r + 1] = 1.0
        for pairs, numbers in zip(self.rows, entries, strict=True):
            pairs.add(V, numbers)
        for term, C in terms:
            if C.any():
                term.add(V, C)
        return V

    def factorize(self, Cs: Sequence[Floats], entries: Sequence[Floats]) -> _FactoredStack | _FactoredBlock:
        V = self.covariance(Cs, entries)
        return _FactoredStack(V) if self.r <= STACKED else _FactoredBlock(V[0])


class _FactoredStack:
    """Small blocks by numpy, which goes over a stack without Python."""

    def __init__(self, V: Floats) -> None:
        L = np.linalg.cholesky(V)
        self.logdet = 2.0 * float(np.log(np.einsum("gii->gi", L)).sum())
        self.inverse = np.asarray(np.linalg.inv(V), dtype=float)

    def solve(self, F: Floats) -> Floats:
        return np.asarray(self.inverse @ F)


class _FactoredBlock:
    """One large block by LAPACK: its Cholesky factor, in whose place the inverse comes when that is asked for."""

    def __init__(self, V: Floats) -> None:
        with threads_for(len(V)):
            self._chol, info = lapack.dpotrf(V.T, lower=0, overwrite_a=1, clean=0)
        diagonal = np.diag(self._chol)
        if info != 0 or not np.isfinite(diagonal).all():
            raise NotPositiveDefiniteError(f"V has no Cholesky factor (pivot {info})")
        self.logdet = 2.0 * float(np.log(diagonal).sum())
        self._inverse: Floats | None = None
        self._lock = Lock()  # threads may share a criterion, and the factor goes when the inverse comes

    @property
    def inverse(self) -> Floats:
        """Shape (1, r, r)."""
        with self._lock:
            if self._inverse is None:
                self._inverse = self._inverted()[None]
            return self._inverse

    def _inverted(self) -> Floats:
        with threads_for(len(self._chol)):
            inverse, info = lapack.dpotri(self._chol, lower=0, overwrite_c=1)
        if info != 0:
            raise NotPositiveDefiniteError("V cannot be inverted")
        whole: Floats = inverse.T
        _kernels.symmetrize(whole)
        return whole

    def solve(self, F: Floats) -> Floats:
        with self._lock:
            if self._inverse is None:
                return np.asarray(lapack.dpotrs(self._chol, F[0], lower=0)[0])[None]
        return np.asarray(self._inverse @ F)


class FactoredBlocks:
    """See `FactoredCovariance`."""

    def __init__(self, system: BlockSystem, factors: Sequence[Factor], entries: Sequence[Floats]) -> None:
        self._system = system
        Cs = [factor.T @ factor.T.T for factor in factors]
        self._parts = [(stack, stack.factorize(Cs, entries)) for stack in system.stacks]
        self.logdet = float(sum(part.logdet for _, part in self._parts))

    def solve(self, F: Floats) -> Floats:
        out = np.empty_like(F)
        for stack, part in self._parts:
            out[stack.place] = part.solve(stack.take(F)).reshape(stack.g * stack.r, F.shape[1])
        return out

    def solve_rows(self, F: Floats) -> Floats:
        return self._system.rows(self.solve(self._system.inside(F)))

    def traces(self) -> list[Floats]:
        found = [np.zeros((k, k)) for k in self._system.sizes]
        for stack, part in self._parts:
            for t, term in enumerate(stack.terms):
                found[t] += term.form(part.inverse)
        return found

    def inverse_at(self, f: int) -> Floats:
        found = np.empty(len(self._system.row_parts[f].first))
        for stack, part in self._parts:
            pairs = stack.rows[f]
            found[pairs.some] = part.inverse.reshape(-1)[pairs.flat]
        return found

    def squares(self) -> Squares:
        sizes = self._system.sizes
        found = [[np.zeros((k_s, k_t, k_s, k_t)) for k_s in sizes] for k_t in sizes]
        for stack, part in self._parts:
            with threads_for(stack.r):
                _add_squares(found, stack, part.inverse, sizes)
        return found


def _add_squares(found: Squares, stack: _Stack, inverse: Floats, sizes: Sequence[int]) -> None:
    """Those of one stack; V_ba is V_abᵀ, so that half of the products do."""
    for t, k in enumerate(sizes):
        for a, b in itertools.combinations_with_replacement(range(k), 2):
            M = stack.terms[t].sandwich(inverse, a, b)
            for s in range(t, len(sizes)):
                form = stack.terms[s].form(M)
                found[t][s][:, a, :, b] += form
                if a != b:
                    found[t][s][:, b, :, a] += form.T


class BlockSystem:
    """
    See `CovarianceSystem`. The coordinates are the rows, ordered by blocks.

    Parameters
    ----------
    design : Design
        In the coordinates of the engine.
    components : Components
        Of the same.
    """

    name = "marginal"

    def __init__(self, design: Design, components: Components) -> None:
        self._order, places = stacks_of_equal(components.rows)
        self._back = np.empty_like(self._order)
        self._back[self._order] = np.arange(len(self._order))
        root = np.ones((design.n, 1)) if design.weights is None else np.sqrt(design.weights)[:, None]
        self.sizes = tuple(term.k for term in design.random)
        self.values = tuple((term.values * root)[self._order] for term in design.random)
        self.row_parts = row_parts(design, self._back)
        residual = design.residual is not None
        self.stacks = [self._stack(design.random, place, r, residual) for place, r in places]
        self.values = tuple(x if x.shape[1] > 1 else np.ones_like(x) for x in self.values)

    def _stack(self, terms: Sequence[RandomEffects], place: slice, r: int, residual: bool) -> _Stack:
        rows = self._order[place].reshape(-1, r)
        parts = zip(terms, self.values, strict=True)
        between = [between_rows(term, term.codes[rows], x[place].reshape(*rows.shape, -1)) for term, x in parts]
        pairs = tuple(_pairs_of_stack(part, place, r) for part in self.row_parts)
        return _Stack(place, len(rows), r, tuple(between), pairs, residual)

    @property
    def description(self) -> str:
        """See `CovarianceSystem`."""
        count, largest = sum(stack.g for stack in self.stacks), max(stack.r for stack in self.stacks)
        if count == 1:
            return "dense Cholesky factorisation of the covariance of all rows"
        return f"dense Cholesky factorisation of the covariance of rows by {count:,} blocks of up to {largest:,}"

    def inside(self, columns: Floats) -> Floats:
        """See `CovarianceSystem`."""
        return columns[self._order]

    def outside(self, columns: Floats, inside: Floats) -> Floats | None:
        """See `CovarianceSystem`."""
        return None

    def rows(self, inside: Floats) -> Floats:
        """See `CovarianceSystem`."""
        return inside[self._back]

    def spread(self, v: Floats) -> list[Floats]:
        """See `CovarianceSystem`."""
        found = [np.empty((*v.shape, k)) for k in self.sizes]
        for stack in self.stacks:
            part = stack.take(v)
            for out, term in zip(found, stack.terms, strict=True):
                out[stack.place] = term.spread(part).reshape(stack.g * stack.r, *out.shape[1:])
        return found

    def factorize(self, factors: Sequence[Factor], entries: Sequence[Floats] = ()) -> FactoredBlocks:
        """See `CovarianceSystem`."""
        return FactoredBlocks(self, factors, entries)


def _pairs_of_stack(part: RowPart, place: slice, r: int) -> _PairsOfStack:
    """Pairs are ordered by their first places, so that those of a stack follow each other."""
    first, last = np.searchsorted(part.first, (place.start, place.stop)).tolist()
    i, j = part.first[first:last] - place.start, part.second[first:last] - place.start
    off = np.flatnonzero(i != j)
    return _PairsOfStack(slice(first, last), i * r + j % r, off, (j * r + i % r)[off])
