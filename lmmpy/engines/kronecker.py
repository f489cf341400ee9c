"""Ṽ of several traits with one relatedness and complete data, by one eigendecomposition of K for all steps.

With every trait in every row and K = U S Uᵀ among the rows of the data, Ṽ is C_G ⊗ K + C_E ⊗ I, and in the coordinates
U it falls into blocks s_i C_G + C_E of the order of the traits (Meyer 1985; Zhou & Stephens 2014). With C_E = L Lᵀ and
L⁻¹C_GL⁻ᵀ = Q D Qᵀ all of them are diagonal at once, LQ (s_i D + I) QᵀLᵀ, so that an evaluation takes O(n d²).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor, Indexed
from lmmpy.design import Design, RandomEffects
from lmmpy.engines.between_rows import between_levels
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.components import Components, stacks_of_equal
from lmmpy.engines.reduction import Blockwise, Diagonalised
from lmmpy.engines.row_parts import row_parts
from lmmpy.engines.squares import Squares
from lmmpy.engines.threads import threads_for

__all__ = ["KroneckerSystem", "takes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Rows of a block of K that may be decomposed; of a K whose inverse is sparse, by a pedigree's families only.
_LARGEST, _LARGEST_OF_SPARSE = 12_000, 250
_EQUAL = 1e-12


def takes(design: Design, components: Components) -> bool:
    """
    Whether the covariance of the rows is C_G ⊗ K + C_E ⊗ I.

    Parameters
    ----------
    design : Design
        In the coordinates of the engine, with its internal weights.
    components : Components
        Of the same.
    """
    if len(design.random) != 1 or design.functions or design.residual is None:
        return False
    (term,), structure = design.random, design.residual.structure
    if not isinstance(structure, Indexed) or term.relatedness.is_identity or len(structure.labels) != term.k:
        return False
    d, n = term.k, design.n
    most = _LARGEST_OF_SPARSE if term.relatedness.is_sparse else _LARGEST
    if n != d * term.n_recorded or components.largest > most * d:
        return False
    order = _order(design)
    levels, groups, places = (x[order].reshape(-1, d) for x in (term.codes, design.residual.groups, structure.places))
    if not all(np.array_equal(x, np.broadcast_to(x[:, :1], x.shape)) for x in (levels, groups)):
        return False
    alone = len(np.unique(groups[:, 0])) == len(groups)
    complete = bool((places == places[:1]).all()) and len(np.unique(places[0])) == d and alone
    return complete and _is_by_trait(term, design, order)


def _order(design: Design) -> Ints:
    """Rows level by level, in them trait by trait."""
    (term,) = design.random
    return np.lexsort((term.values.argmax(axis=1), term.codes))


def _is_by_trait(term: RandomEffects, design: Design, order: Ints) -> bool:
    """Whether each trait has its own effect, and weights are a factor of the row times one of the trait."""
    values = term.values[order].reshape(-1, term.k, term.k)
    if not (values == np.eye(term.k)).all():
        return False
    if design.weights is None:
        return True
    weights = design.weights[order].reshape(-1, term.k)
    ratio = weights / weights[:, :1]
    return bool(np.allclose(ratio, ratio[:1], rtol=_EQUAL, atol=0.0))


class KroneckerSystem:
    """
    See `CovarianceSystem`. The coordinates are the eigenvectors of K, in each of them trait by trait.

    Parameters
    ----------
    design : Design
        Which `takes` approves of.
    components : Components
        Of the same.
    """

    name = "spectral"

    def __init__(self, design: Design, components: Components) -> None:
        (term,) = design.random
        self.d, by_level = term.k, _order(design)
        levels = term.codes[by_level[:: self.d]]
        by_component, stacks = stacks_of_equal(components.levels[0][levels])
        self._order = by_level.reshape(-1, self.d)[by_component].ravel()
        self._back = np.empty_like(self._order)
        self._back[self._order] = np.arange(len(self._order))
        root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
        ordered = root[self._order].reshape(-1, self.d)
        self.tau = ordered[0] / ordered[0, 0]
        self._reduction = _decomposed(term, levels[by_component], ordered[:, 0], stacks)
        self.spectrum = self._reduction.eigenvalues
        self.values = (np.tile(np.diag(self.tau), (len(self.spectrum), 1)),)
        self.row_parts = row_parts(design, self._back)
        largest = max(r for _, r in stacks)
        blocks = "" if len(stacks) == 1 and stacks[0][0].stop == largest else f" by blocks of up to {largest:,}"
        of = f"{len(self.spectrum):,} levels{blocks}"
        self.description = f"one eigendecomposition of the relatedness of {of}, {self.d} traits together"

    def inside(self, columns: Floats) -> Floats:
        """See `CovarianceSystem`."""
        wide = columns[self._order].reshape(len(self.spectrum), -1)
        return np.asarray(self._reduction.turn(wide)).reshape(len(columns), -1)

    def outside(self, columns: Floats, inside: Floats) -> Floats | None:
        """See `CovarianceSystem`."""
        return None

    def rows(self, inside: Floats) -> Floats:
        """See `CovarianceSystem`."""
        wide = inside.reshape(len(self.spectrum), -1)
        return np.asarray(self._reduction.turn(wide, back=True)).reshape(len(inside), -1)[self._back]

    def spread(self, v: Floats) -> list[Floats]:
        """See `CovarianceSystem`."""
        m, c = len(self.spectrum), v.shape[1]
        own = (self.spectrum[:, None] * self.tau)[:, :, None] * v.reshape(m, self.d, c)
        return [np.broadcast_to(own.transpose(0, 2, 1)[:, None], (m, self.d, c, self.d)).reshape(-1, c, self.d)]

    def factorize(self, factors: Sequence[Factor], entries: Sequence[Floats] = ()) -> FactoredKronecker:
        """See `CovarianceSystem`."""
        T = self.tau[:, None] * factors[0].T
        residual = np.zeros((self.d, self.d))
        part = self.row_parts[0]
        some = slice(0, self.d * (self.d + 1) // 2)  # the pairs of the first block, of which all are copies
        i, j = part.first[some], part.second[some]
        residual[i, j] = residual[j, i] = entries[0][some]
        return FactoredKronecker(self, T, residual)


def _decomposed(term: RandomEffects, levels: Ints, root: Floats, stacks: Sequence[tuple[slice, int]]) -> Blockwise:
    """Of K between the rows of the data, times the roots of their weights."""
    found = []
    for place, r in stacks:
        scale = root[place].reshape(-1, r)
        K = between_levels(term.relatedness, levels[place].reshape(-1, r)) * scale[:, None, :] * scale[:, :, None]
        with threads_for(r):
            found.append(Diagonalised(K))
    return Blockwise(found)


class FactoredKronecker:
    """See `FactoredCovariance`; T Tᵀ = C_G and `residual` C_E, in the metric of the internal weights."""

    def __init__(self, system: KroneckerSystem, T: Floats, residual: Floats) -> None:
        self._system = system
        try:
            self._by_factor(T, residual)
        except np.linalg.LinAlgError:
            self._by_blocks(T, residual)

    def _by_factor(self, T: Floats, residual: Floats) -> None:
        """All blocks diagonal at once."""
        L = np.linalg.cholesky(residual)
        vectors, values, _ = np.linalg.svd(np.linalg.solve(L, T))
        shares = 1.0 + self._system.spectrum[:, None] * values**2
        if not (np.isfinite(shares).all() and shares.min() > 0.0):
            raise NotPositiveDefiniteError("the covariance of the rows has an eigenvalue that is not positive")
        self._turn: Floats | None = np.linalg.solve(L.T, vectors).T  # (LQ)⁻¹
        self._weights = 1.0 / shares
        self.logdet = float(len(shares) * 2.0 * np.log(np.diag(L)).sum() + np.log(shares).sum())

    def _by_blocks(self, T: Floats, residual: Floats) -> None:
        """Block by block, where the traits have a residual in common only."""
        V = self._system.spectrum[:, None, None] * (T @ T.T) + residual
        try:
            L = np.linalg.cholesky(V)
        except np.linalg.LinAlgError:
            raise NotPositiveDefiniteError("the covariance of the traits has no Cholesky factor") from None
        self.logdet = 2.0 * float(np.log(np.einsum("iaa->ia", L)).sum())
        self._turn = None
        self.inverse = np.asarray(np.linalg.inv(V), dtype=float)

    @cached_property
    def inverse(self) -> Floats:
        """The inverse of each block, shape (levels, d, d)."""
        assert self._turn is not None
        d = self._system.d
        products = (self._turn[:, :, None] * self._turn[:, None, :]).reshape(d, d * d)
        return np.asarray(self._weights @ products).reshape(-1, d, d)

    def solve(self, F: Floats) -> Floats:
        """See `FactoredCovariance`."""
        blocks = F.reshape(-1, self._system.d, F.shape[1])
        if self._turn is None:
            return np.asarray(self.inverse @ blocks).reshape(F.shape)
        turned = (self._turn @ blocks) * self._weights[:, :, None]
        return np.asarray(self._turn.T @ turned).reshape(F.shape)

    def solve_rows(self, F: Floats) -> Floats:
        """See `FactoredCovariance`."""
        return self._system.rows(self.solve(self._system.inside(F)))

    def traces(self) -> list[Floats]:
        """See `FactoredCovariance`."""
        tau = self._system.tau
        return [np.einsum("i,iab->ab", self._system.spectrum, self.inverse) * np.outer(tau, tau)]

    def inverse_at(self, f: int) -> Floats:
        """See `FactoredCovariance`."""
        part, d = self._system.row_parts[f], self._system.d
        return np.asarray(self.inverse.reshape(-1, d)[part.first, part.second % d])

    def squares(self) -> Squares:
        """See `FactoredCovariance`."""
        tau = self._system.tau
        scaled = self.inverse * (self._system.spectrum[:, None, None] * np.outer(tau, tau))
        return [[np.einsum("ica,ibd->cadb", scaled, scaled)]]
