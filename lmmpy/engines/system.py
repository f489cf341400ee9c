"""What a criterion asks of the linear algebra: a factorisation of M = ΛᵀZᵀWZΛ + I, however it is made.

With V = W⁻¹ + ZΛΛᵀZᵀ everything is asked in terms that stay meaningful where Λ is singular: log|M| = log|WV|, the
spherical effects ΛᵀZᵀV⁻¹f, and the diagonal blocks of ZᵀV⁻¹Z, whose sum over a term's levels is ∂log|M|/∂(TTᵀ).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.engines import _kernels
from lmmpy.engines.squares import Squares

__all__ = [
    "FactoredSystem",
    "System",
    "apply_factors",
    "by_level",
    "multiply_levels",
    "regular_inverse",
    "summed_product",
    "transpose_apply_factors",
]

Floats = NDArray[np.float64]

_REGULAR = 1e12


class FactoredSystem(Protocol):
    """M at one θ, factorised."""

    @property
    def logdet(self) -> float:
        """log|M|."""

    def effects(self, c: Floats) -> Floats:
        """
        Spherical effects u = ΛᵀZᵀV⁻¹f = M⁻¹Λᵀc of vectors f with ZᵀWf = c.

        Parameters
        ----------
        c : ndarray, shape (q, m)

        Returns
        -------
        ndarray, shape (q, m)
        """

    def slopes(self) -> list[Floats]:
        """½ ∂log|M|/∂T of each term, Σ_l (ZᵀV⁻¹Z)_ll T, shape (k, k)."""

    def traces(self) -> list[Floats]:
        """
        ∂log|M|/∂(TTᵀ) of each term, Σ_l (ZᵀV⁻¹Z)_ll, shape (k, k); also where T is singular.

        Times T it is `slopes()`, but for digits that are lost where T is large.
        """

    def variances(self) -> list[Floats]:
        """The diagonal blocks of ΛM⁻¹Λᵀ, for each term of shape (levels, k, k)."""

    def squares(self, columns: int) -> Squares | None:
        """Sums of squares of ZᵀV⁻¹Z (see `squares`), where that takes less than to solve for so many columns."""


class System(Protocol):
    """A design's M for any θ: what can be prepared once is."""

    name: str

    @property
    def description(self) -> str:
        """How M is factorised, in words."""

    def factorize(self, factors: Sequence[Factor]) -> FactoredSystem:
        """
        Factorise M.

        Parameters
        ----------
        factors : sequence of Factor
            T of each term.

        Raises
        ------
        NotPositiveDefiniteError
            When that fails, for T of an impossible size.
        """


def apply_factors(factors: Sequence[Factor], values: Floats, starts: Sequence[int]) -> Floats:
    """Λ v, level by level; v of shape (q,) or (q, m)."""
    return _multiplied([factor.T for factor in factors], values, starts)


def transpose_apply_factors(factors: Sequence[Factor], values: Floats, starts: Sequence[int]) -> Floats:
    """Λᵀ v, level by level; v of shape (q,) or (q, m)."""
    return _multiplied([factor.T.T for factor in factors], values, starts)


def _multiplied(matrices: Sequence[Floats], values: Floats, starts: Sequence[int]) -> Floats:
    out = np.empty(values.shape)
    width = values.shape[1] if values.ndim > 1 else 1
    for matrix, start, end in zip(matrices, starts[:-1], starts[1:], strict=True):
        k = len(matrix)
        if k == 1:
            np.multiply(values[start:end], matrix[0, 0], out=out[start:end])
            continue
        levels = values[start:end].reshape((end - start) // k, k, width)
        multiply_levels(matrix, levels, out[start:end].reshape(levels.shape))
    return out


def multiply_levels(matrix: Floats, levels: Floats, out: Floats) -> None:
    """Put matrix @ levels, (k, k) times (levels, k, m), into `out`."""
    k = len(matrix)
    if k == 1:
        np.multiply(levels, matrix[0, 0], out=out)
    else:
        _kernels.level_products(np.ascontiguousarray(matrix)[None], np.ascontiguousarray(levels), False, out)


def by_level(values: Floats, k: int) -> Floats:
    """(levels · k, m) as (levels, k, m), without a copy."""
    return values.reshape(len(values) // k, k, values.shape[1])


def summed_product(A: Floats, B: Floats, k: int) -> Floats:
    """Σ_l A_l B_lᵀ over the levels' k rows; A and B of shape (levels · k, m)."""
    if k == 1:
        return np.array([[np.vdot(A, B)]])
    left, right = (by_level(x, k).transpose(1, 0, 2).reshape(k, -1) for x in (A, B))
    return np.asarray(left @ right.T)


def regular_inverse(T: Floats, unit: Floats) -> Floats | None:
    """
    T⁻¹, or None where T is too near to singular to be divided by.

    Parameters
    ----------
    T : ndarray, shape (k, k)
    unit : ndarray, shape (k,)
        A typical size of each effect, since they come in all units.

    Returns
    -------
    ndarray, shape (k, k), or None
    """
    if len(T) == 1:
        return 1.0 / T if T[0, 0] != 0.0 else None
    try:
        inverse = np.asarray(np.linalg.inv(T), dtype=float)
    except np.linalg.LinAlgError:
        return None
    ahead, back = T / unit[:, None], inverse * unit
    condition = float(np.vdot(ahead, ahead)) * float(np.vdot(back, back))
    return inverse if condition < _REGULAR else None
