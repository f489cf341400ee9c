"""What inference asks of the linear algebra at one θ, from the covariance of the rows; see `operators`.

With G = Λ(K ⊗ I)Λᵀ the covariance of the effects, Cov(b | y, β)/σ² = G − GZᵀV⁻¹ZG.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design, RandomEffects
from lmmpy.engines.components import Components
from lmmpy.engines.covariance_system import FactoredCovariance
from lmmpy.engines.crossproducts import times_Z, times_Zt
from lmmpy.engines.row_parts import RowValues
from lmmpy.engines.squares import Squares, turned_squares
from lmmpy.engines.system import apply_factors, transpose_apply_factors
from lmmpy.engines.turned_operators import TurnedOperators, weighted_rows

__all__ = ["MarginalOperators", "level_variances"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Numbers in some columns over the rows: 64 MB.
_BLOCK = 8_000_000


@dataclass(frozen=True, eq=False)
class MarginalOperators(TurnedOperators):
    """
    Linear maps at one θ; the public methods are those of `Operators`.

    Attributes
    ----------
    products, penalty, bases
        See `TurnedOperators`.
    rows : Design
        In the engine's coordinates.
    factors : list of Factor
        In the engine's coordinates.
    rows_at : list of RowValues
        Of the covariances between rows.
    factored : FactoredCovariance
        V.
    VQ : ndarray, shape (m, p)
        V⁻¹Q in the coordinates of the system.
    Q : ndarray, shape (n, p)
        Orthonormal basis W^½XR⁻¹ of the fixed effects.
    QtVQ : ndarray, shape (p, p)
        QᵀV⁻¹Q.
    """

    rows: Design
    factors: list[Factor]
    rows_at: list[RowValues]
    factored: FactoredCovariance
    VQ: Floats
    Q: Floats
    QtVQ: Floats

    def _traces(self) -> list[Floats]:
        return self.factored.traces()

    @cached_property
    def ZtVQ(self) -> Floats:
        """ZᵀV⁻¹Q in the engine's coordinates, shape (q, p)."""
        return times_Zt(self.rows, self.factored.solve_rows(self.Q))

    @cached_property
    def GZtVX(self) -> Floats:
        """See `Operators.GZtVX`."""
        return self._back(self._covariance(self.ZtVQ @ self.products.R))

    def row_slopes(self) -> Floats:
        """See `Operators.row_slopes`."""
        found = [self.VQ.T @ columns for values in self.rows_at for columns in values.slopes_times(self.VQ)]
        p = self.VQ.shape[1]
        return np.stack(found) if found else np.empty((0, p, p))

    def _conditional_covariance(self, c: Floats) -> Floats:
        Gc = self._covariance(c)
        return Gc - self._covariance(self._ZtVZ(Gc))

    def _covariance(self, c: Floats) -> Floats:
        """G times some columns, in the engine's coordinates."""
        right = transpose_apply_factors(self.factors, np.ascontiguousarray(c), self.products.starts)
        return apply_factors(self.factors, self.penalty.inverse_times(right), self.products.starts)

    def _ZtVZ(self, c: Floats) -> Floats:
        return times_Zt(self.rows, self.factored.solve_rows(times_Z(self.rows, c)))

    def solve_rows(self, F: Floats) -> Floats:
        """See `Operators.solve_rows`."""
        return weighted_rows(self.factored.solve_rows(weighted_rows(F, self.rows)), self.rows)

    def squares(self) -> Squares:
        """tr(V⁻¹V_ab V⁻¹V_dc), V_ab = Z_a K Z_bᵀ, by pairs of terms; see `squares`."""
        return turned_squares(self.factored.squares(), self.bases)


def level_variances(
    rows: Design, factors: Sequence[Factor], components: Components, solve: Callable[[Floats], Floats]
) -> list[Floats]:
    """
    The diagonal blocks of G − GZᵀV⁻¹ZG, for each term of shape (levels, k, k).

    The columns of ZG of levels in different components have no row in common and are solved for as one.

    Parameters
    ----------
    rows : Design
    factors : sequence of Factor
    components : Components
    solve : callable
        W^½f → W^-½V⁻¹f of columns over the rows.
    """
    order = np.argsort(components.rows, kind="stable")
    root = np.ones(rows.n) if rows.weights is None else np.sqrt(rows.weights)
    found = []
    for t, (term, factor) in enumerate(zip(rows.random, factors, strict=True)):
        C = factor.T @ factor.T.T
        XC = term.values @ C * root[:, None]
        variances = term.relatedness.diagonal()[:, None, None] * C
        ranks = components.ranks(t)
        step = max(1, _BLOCK // (rows.n * term.k**2))
        for first in range(0, int(ranks.max(initial=-1)) + 1, step):
            levels = np.flatnonzero((ranks >= first) & (ranks < first + step))
            K = _summed_columns(term, levels, ranks[levels] - first)
            f = (K[term.codes][:, :, None] * XC[:, None, :]).reshape(rows.n, -1)
            left, right = (x[order].reshape(rows.n, -1, term.k) for x in (f, solve(f)))
            seen, explained = _by_component(left, right, components.rows[order])
            place = np.minimum(np.searchsorted(seen, components.levels[t][levels]), len(seen) - 1)
            met = seen[place] == components.levels[t][levels]
            variances[levels[met]] -= explained[place[met], ranks[levels[met]] - first]
        found.append(variances)
    return found


def _summed_columns(term: RandomEffects, levels: Ints, columns: Ints) -> Floats:
    """Columns of K of some levels, those with the same number added up, shape (levels, columns)."""
    width = int(columns.max()) + 1
    if width == len(levels) and not term.relatedness.is_identity:
        found = np.empty((term.n_levels, width))
        found[:, columns] = term.relatedness.block(np.arange(term.n_levels), levels)
        return found
    units = np.zeros((term.n_levels, width))
    units[levels, columns] = 1.0
    return units if term.relatedness.is_identity else np.asarray(term.relatedness.times(units))


def _by_component(left: Floats, right: Floats, component: Ints) -> tuple[Ints, Floats]:
    """Components in order, and Σ leftᵀright over the rows of each, column by column: (n, m, k) → (·, m, k, k)."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(component)) + 1])
    products = left[:, :, :, None] * right[:, :, None, :]
    return component[starts], np.add.reduceat(products, starts, axis=0)
