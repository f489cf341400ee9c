"""The covariance of one random effect, diagonalised once for thousands of columns.

Where `spectral` stops at a tridiagonal matrix, which is enough for one likelihood, here eigenvectors are formed: then
V⁻¹ is diagonal at every ratio of variances, and a column is rotated once (Kang et al. 2008; Lippert et al. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from lmmpy.design import Design, RandomEffects
from lmmpy.engines.between_rows import between_levels
from lmmpy.engines.components import related_groups, stacks_of_equal
from lmmpy.engines.reduction import Blockwise, Diagonalised
from lmmpy.engines.threads import one_blas_thread, threads_for

__all__ = ["Spectrum", "spectrum_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Levels that are related among each other, all of them: more would take hours, and five arrays of 3 GiB.
_LARGEST = 20_000
# A factor of K with so many fewer columns than levels is diagonalised instead of K.
_LOW_RANK = 0.7


@dataclass(frozen=True, eq=False, slots=True)
class Spectrum:
    """S = W^½ZKZᵀW^½ = H diag(d) Hᵀ, with orthonormal columns of H; V is I + λS in the metric of the weights.

    Attributes
    ----------
    n : int
        Rows.
    eigenvalues : ndarray, shape (m,)
        d, none negative.
    levels : csr_array, shape (l, n)
        Rows to levels, whose columns are orthonormal.
    vectors : Blockwise or ndarray, shape (l, m)
        Between levels.
    """

    n: int
    eigenvalues: Floats
    levels: sparse.csr_array
    vectors: Blockwise | Floats

    @property
    def is_complete(self) -> bool:
        """Whether H is square; else V is the identity in the directions that H leaves out."""
        return len(self.eigenvalues) == self.n

    @property
    def typical(self) -> float:
        """The mean diagonal entry of S."""
        return float(self.eigenvalues.sum()) / self.n

    def inside(self, columns: Floats) -> Floats:
        """Hᵀ times some columns, shape (n, c) → (m, c)."""
        by_level = self.levels @ columns
        if isinstance(self.vectors, Blockwise):
            return self.vectors.turn(by_level)
        return np.asarray(self.vectors.T @ by_level)


def spectrum_of(design: Design) -> Spectrum | None:
    """
    Diagonalise the only random effect of a design.

    From 2,000 related levels on with all threads of BLAS, so that the last digits depend on their number.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Spectrum or None
        None where there is another covariance (further terms, several effects a level, random functions, a structured
        residual, several traits), where no row has the effect, and where more than 20,000 levels are related among
        each other.
    """
    if len(design.random) != 1 or design.random[0].k != 1 or design.row_covariances or design.traits is not None:
        return None
    (term,) = design.random
    x = term.values[:, 0] if design.weights is None else term.values[:, 0] * np.sqrt(design.weights)
    D: Floats = np.bincount(term.codes, weights=x**2, minlength=term.n_levels).astype(float)
    levels = np.flatnonzero(D)  # of others the rows know nothing
    low = term.relatedness.rank < _LOW_RANK * len(levels)
    groups = related_groups(term.relatedness)[levels]
    if not len(levels) or (not low and int(np.bincount(groups).max()) > _LARGEST):
        return None
    with one_blas_thread():
        if low:
            eigenvalues, vectors = _of_factor(term.relatedness.factor()[levels] * np.sqrt(D[levels])[:, None])
            return Spectrum(design.n, eigenvalues, _by_level(term, x, D, levels), vectors)
        order, stacks = stacks_of_equal(groups)
        levels = levels[order]
        parts = Blockwise([_of_blocks(term, levels[place].reshape(-1, r), np.sqrt(D)) for place, r in stacks])
    return Spectrum(design.n, np.maximum(parts.eigenvalues, 0.0), _by_level(term, x, D, levels), parts)


def _of_factor(F: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues that are not zero, and eigenvectors, of FFᵀ of few columns."""
    with threads_for(F.shape[1]):
        vectors, roots, _ = linalg.svd(F, full_matrices=False, overwrite_a=True, check_finite=False)
    kept = roots > roots.max(initial=0.0) * len(F) * np.finfo(float).eps
    return roots[kept] ** 2, np.asfortranarray(vectors[:, kept])


def _of_blocks(term: RandomEffects, among: Ints, root: Floats) -> Diagonalised:
    """Of D^½KD^½ between the levels of some blocks, shape (blocks, levels of one)."""
    S = between_levels(term.relatedness, among)
    S *= root[among][:, None, :]
    S *= root[among][:, :, None]
    with threads_for(among.shape[1]):
        return Diagonalised(S)


def _by_level(term: RandomEffects, x: Floats, D: Floats, levels: Ints) -> sparse.csr_array:
    """The transpose of W^½ZD^-½, of some levels in an order."""
    column = np.zeros(term.n_levels, dtype=np.intp)
    column[levels] = np.arange(len(levels))
    unit = np.divide(x, np.sqrt(D[term.codes]), out=np.zeros_like(x), where=D[term.codes] > 0.0)
    places = column[term.codes], np.arange(len(x))
    return sparse.csr_array((unit, places), shape=(len(levels), len(x)))
