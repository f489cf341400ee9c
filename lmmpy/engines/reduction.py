"""A symmetric matrix S = H T Hᵀ with T of so few diagonals that I + cT costs O(m) at every c.

T is tridiagonal where S is large: a third of the work of an eigendecomposition, and all that a likelihood needs (Golub
& Van Loan 2013, §8.3). Small diagonal blocks of one size are diagonalised together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.threads import threads_for

__all__ = ["Blockwise", "Diagonalised", "Reduction", "Tridiagonal"]

Floats = NDArray[np.float64]

# An eigenvalue below zero by so little, relatively to the largest, is zero.
_ROUNDING = 1e-10
# All threads work on a product with so many times fewer columns than a factorisation has; and from this order on a
# reduction, half of which is bound by memory and waits for all threads at every column.
_MANY_COLUMNS, _LONG_REDUCTION = 20, 3_000


class Reduction(Protocol):
    """S = H T Hᵀ, H orthogonal, of order m."""

    eigenvalues: Floats
    """Shape (m,); those that only rounding made negative are zero."""

    def turn(self, columns: Floats, back: bool = False) -> Floats:
        """Hᵀ times some columns, shape (m, c); H when `back`."""

    def times(self, columns: Floats) -> Floats:
        """T times some columns."""

    def solver(self, c: float) -> Callable[[Floats], Floats]:
        """F → (I + cT)⁻¹F; NotPositiveDefiniteError when there is none."""


class Tridiagonal:
    """
    See `Reduction`; by Householder reflections.

    Parameters
    ----------
    S : ndarray, shape (m, m)
        Symmetric; its room is used.
    """

    def __init__(self, S: Floats) -> None:
        m = len(S)
        with threads_for(m, _LONG_REDUCTION):
            room = int(lapack.dsytrd_lwork(m, lower=1)[0])
            reflectors, self._diagonal, self._beside, self._tau, _ = lapack.dsytrd(
                S.T, lower=1, lwork=room, overwrite_a=1
            )
        self._reflectors = np.asfortranarray(reflectors[1:, : m - 1])
        values = lapack.dsterf(self._diagonal, self._beside)[0] if m > 1 else self._diagonal.copy()
        self.eigenvalues = _cleaned(values)

    def turn(self, columns: Floats, back: bool = False) -> Floats:
        """See `Reduction`."""
        out = np.array(columns, order="F")
        if len(self._tau) and columns.shape[1]:
            side, lower = ("L", "N" if back else "T"), np.asfortranarray(out[1:])
            with threads_for(min(len(out), _MANY_COLUMNS * columns.shape[1])):
                room = int(lapack.dormqr(*side, self._reflectors, self._tau, lower, -1)[1][0])
                out[1:] = lapack.dormqr(*side, self._reflectors, self._tau, lower, room, overwrite_c=1)[0]
        return out

    def times(self, columns: Floats) -> Floats:
        """See `Reduction`."""
        out = self._diagonal[:, None] * columns
        out[1:] += self._beside[:, None] * columns[:-1]
        out[:-1] += self._beside[:, None] * columns[1:]
        return np.asarray(out)

    def solver(self, c: float) -> Callable[[Floats], Floats]:
        """See `Reduction`."""
        D, beside = 1.0 + c * self._diagonal, c * self._beside
        if not len(beside):
            return lambda F: np.asarray(F / D[:, None])
        D, beside, info = lapack.dpttrf(D, beside)
        if info != 0:
            raise NotPositiveDefiniteError(f"the covariance of the rows has no factor (pivot {info})")
        return lambda F: np.ascontiguousarray(lapack.dpttrs(D, beside, F)[0]) if F.shape[1] else F


class Diagonalised:
    """
    See `Reduction`; of equal diagonal blocks.

    Parameters
    ----------
    S : ndarray, shape (g, r, r)
    """

    def __init__(self, S: Floats) -> None:
        values, self._vectors = np.linalg.eigh(S)
        self.eigenvalues = _cleaned(values.ravel())

    def turn(self, columns: Floats, back: bool = False) -> Floats:
        """See `Reduction`."""
        g, r, _ = self._vectors.shape
        H = self._vectors if back else self._vectors.transpose(0, 2, 1)
        return np.asarray(H @ columns.reshape(g, r, columns.shape[1])).reshape(columns.shape)

    def times(self, columns: Floats) -> Floats:
        """See `Reduction`."""
        return self.eigenvalues[:, None] * columns

    def solver(self, c: float) -> Callable[[Floats], Floats]:
        """See `Reduction`."""
        D = (1.0 + c * self.eigenvalues)[:, None]
        return lambda F: np.asarray(F / D)


class Blockwise:
    """
    See `Reduction`; one reduction after the other along the diagonal.

    Parameters
    ----------
    parts : iterable of Reduction
    """

    def __init__(self, parts: Iterable[Reduction]) -> None:
        self._parts = list(parts)
        ends = np.cumsum([0, *(len(part.eigenvalues) for part in self._parts)]).tolist()
        self._places = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self.eigenvalues = np.concatenate([part.eigenvalues for part in self._parts])

    def _each(self, functions: Iterable[Callable[[Floats], Floats]], columns: Floats) -> Floats:
        out = np.empty(columns.shape)
        for function, place in zip(functions, self._places, strict=True):
            out[place] = function(columns[place])
        return out

    def turn(self, columns: Floats, back: bool = False) -> Floats:
        """See `Reduction`."""
        return self._each([partial(part.turn, back=back) for part in self._parts], columns)

    def times(self, columns: Floats) -> Floats:
        """See `Reduction`."""
        return self._each([part.times for part in self._parts], columns)

    def solver(self, c: float) -> Callable[[Floats], Floats]:
        """See `Reduction`."""
        return partial(self._each, [part.solver(c) for part in self._parts])


def _cleaned(values: Floats) -> Floats:
    least = -_ROUNDING * np.abs(values).max(initial=0.0)
    return np.where((values < 0.0) & (values > least), 0.0, values)
