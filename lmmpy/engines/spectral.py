"""Ṽ = I + cS of a single random effect, by one reduction of S = W^½Z K ZᵀW^½ for all c.

Nothing of order n is factorised. With D = ZᵀWZ, which is diagonal, N = W^½ZD^-½ has orthonormal columns, one a level
that has records, and S = N (D^½KD^½) Nᵀ, in blocks of related levels; with K = FFᵀ of few columns and D^½F = QR,
S = NQ (RRᵀ) QᵀNᵀ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from lmmpy.covariance import Factor
from lmmpy.design import Design, RandomEffects
from lmmpy.engines.between_rows import between_levels
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.components import Components, stacks_of_equal
from lmmpy.engines.reduction import Blockwise, Diagonalised, Reduction, Tridiagonal
from lmmpy.engines.row_parts import RowPart
from lmmpy.engines.squares import Squares

__all__ = ["SpectralSystem"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class SpectralSystem:
    """
    See `CovarianceSystem`. The coordinates are those in which S is diagonal or tridiagonal.

    Parameters
    ----------
    design : Design
        With one random term of one column.
    components : Components
        Of the same.
    factor : ndarray, shape (levels, rank), optional
        F with K = FFᵀ, if that has fewer columns than there are levels.
    """

    name = "spectral"
    row_parts: tuple[RowPart, ...] = ()

    def __init__(self, design: Design, components: Components, factor: Floats | None = None) -> None:
        (term,) = design.random
        x = term.values[:, 0] if design.weights is None else term.values[:, 0] * np.sqrt(design.weights)
        D = np.bincount(term.codes, weights=x**2, minlength=term.n_levels)
        levels = np.flatnonzero(D)  # of others the rows know nothing
        self._thin: Floats | None = None
        self._matrix: Reduction
        if factor is None:
            order, stacks = stacks_of_equal(components.levels[0][levels])
            levels = levels[order]
            self._matrix = Blockwise(_reductions(term, levels, np.sqrt(D), stacks))
            blocks = [rows for _, rows in stacks]
            self._dimensions = (
                f"{len(levels):,} levels" if len(blocks) == 1 else f"levels by blocks of up to {max(blocks):,}"
            )
        else:
            Q, R = linalg.qr(factor[levels] * np.sqrt(D[levels])[:, None], mode="economic", overwrite_a=True)
            self._thin = np.asarray(Q, dtype=float)
            self._matrix = Tridiagonal(R @ R.T)
            self._dimensions = f"{len(levels):,} levels, of rank {len(R):,}"
        column = np.zeros(term.n_levels, dtype=np.intp)
        column[levels] = np.arange(len(levels))
        unit = np.divide(x, np.sqrt(D[term.codes]), out=np.zeros_like(x), where=D[term.codes] > 0.0)
        places = np.arange(design.n), column[term.codes]
        self._levels = sparse.csr_array((unit, places), shape=(design.n, len(levels)))
        self._complete = factor is None and len(levels) == design.n
        self.values = (np.ones((len(self._matrix.eigenvalues), 1)),)

    @property
    def description(self) -> str:
        """See `CovarianceSystem`."""
        return f"one reduction of the relatedness of {self._dimensions} to its spectrum"

    def inside(self, columns: Floats) -> Floats:
        """See `CovarianceSystem`."""
        by_level = self._levels.T @ columns
        return self._matrix.turn(by_level if self._thin is None else self._thin.T @ by_level)

    def outside(self, columns: Floats, inside: Floats) -> Floats | None:
        """See `CovarianceSystem`."""
        return None if self._complete else columns - self.rows(inside)

    def rows(self, inside: Floats) -> Floats:
        """See `CovarianceSystem`."""
        return self._to_rows(self._matrix.turn(inside, back=True))

    def _to_rows(self, columns: Floats) -> Floats:
        return np.asarray(self._levels @ (columns if self._thin is None else self._thin @ columns))

    def spread(self, v: Floats) -> list[Floats]:
        """See `CovarianceSystem`."""
        return [self._matrix.times(v)[..., None]]

    def factorize(self, factors: Sequence[Factor], entries: Sequence[Floats] = ()) -> FactoredSpectrum:
        """See `CovarianceSystem`."""
        return FactoredSpectrum(self, self._matrix, float(factors[0].T[0, 0]) ** 2)


class FactoredSpectrum:
    """See `FactoredCovariance`."""

    def __init__(self, system: SpectralSystem, matrix: Reduction, c: float) -> None:
        within = 1.0 + c * matrix.eigenvalues
        if not np.isfinite(within).all() or not np.all(within > 0.0):
            raise NotPositiveDefiniteError("the covariance of the rows has an eigenvalue that is not positive")
        self._system, self._shares = system, matrix.eigenvalues / within
        self.logdet = float(np.log1p(c * matrix.eigenvalues).sum())
        self.solve = matrix.solver(c)

    def solve_rows(self, F: Floats) -> Floats:
        """See `FactoredCovariance`."""
        inside = self._system.inside(F)
        found = self._system.rows(self.solve(inside))
        outside = self._system.outside(F, inside)
        return found if outside is None else found + outside

    def traces(self) -> list[Floats]:
        """See `FactoredCovariance`."""
        return [np.array([[self._shares.sum()]])]

    def inverse_at(self, f: int) -> Floats:
        """See `FactoredCovariance`."""
        raise IndexError("there are no covariances between rows")

    def squares(self) -> Squares:
        """See `FactoredCovariance`."""
        return [[np.full((1, 1, 1, 1), self._shares @ self._shares)]]


def _reductions(
    term: RandomEffects, levels: Ints, root: Floats, stacks: Sequence[tuple[slice, int]]
) -> Iterator[Reduction]:
    """Of D^½KD^½ among some levels, block by block."""
    for place, r in stacks:
        among = levels[place].reshape(-1, r)
        S = between_levels(term.relatedness, among)
        S *= root[among][:, None, :]
        S *= root[among][:, :, None]
        yield Tridiagonal(S[0]) if len(S) == 1 else Diagonalised(S)
