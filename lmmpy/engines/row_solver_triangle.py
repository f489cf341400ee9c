"""A large triangle by panels: Cholesky factorisation, and solutions for many columns in double or single precision.

All the work is in products of matrices of fixed sizes, each by one BLAS thread, so that bits do not depend on the
number of threads; they share the panels and columns among themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.threads import workers

__all__ = ["PANEL", "Triangle", "column_grams", "factorised", "over_columns", "row_grams"]

Floats = NDArray[np.float64]
Reals = NDArray[Any]
A = TypeVar("A")
B = TypeVar("B")

# Rows of a panel, and columns that are worked on at a time: both matrices of a product stay in the cache.
PANEL = 256
# Numbers of a row that are summed at a time, for the same reason.
_SUMMED = 512


@dataclass(frozen=True, eq=False, slots=True)
class Triangle:
    """
    L with V = LLᵀ, a panel of rows after the other.

    Attributes
    ----------
    panels : tuple of ndarray, each of shape (rows, rows before)
        L left of the diagonal block.
    inverses : tuple of ndarray, each of shape (rows, rows)
        Of the diagonal blocks.
    """

    panels: tuple[Reals, ...]
    inverses: tuple[Reals, ...]

    def single(self) -> Triangle:
        """The same in single precision."""
        return Triangle(*(tuple(x.astype(np.float32) for x in part) for part in (self.panels, self.inverses)))

    def half(self, F: Reals) -> Reals:
        """L⁻¹ times each row of F, shape (c, n), in the precision of the triangle."""
        Y = np.empty(F.shape, dtype=self.inverses[0].dtype)
        F = F.astype(Y.dtype, copy=False)
        for panel, inverse in zip(self.panels, self.inverses, strict=True):
            start, end = panel.shape[1], panel.shape[1] + len(panel)
            rest = F[:, start:end] - Y[:, :start] @ panel.T if start else F[:, start:end]
            np.matmul(rest, inverse.T, out=Y[:, start:end])
        return Y

    def back(self, Y: Reals) -> Reals:
        """L⁻ᵀ times each row of Y, shape (c, n)."""
        X = np.array(Y, dtype=self.inverses[0].dtype, order="C")
        for panel, inverse in zip(reversed(self.panels), reversed(self.inverses), strict=True):
            start, end = panel.shape[1], panel.shape[1] + len(panel)
            X[:, start:end] = X[:, start:end] @ inverse
            if start:
                X[:, :start] -= X[:, start:end] @ panel
        return X


def factorised(V: Floats) -> Triangle:
    """
    The Cholesky factorisation.

    Parameters
    ----------
    V : ndarray, shape (n, n)
        Symmetric.

    Raises
    ------
    NotPositiveDefiniteError
    """
    starts = range(0, len(V), PANEL)
    panels: list[Floats] = [np.empty((min(PANEL, len(V) - start), start)) for start in starts]
    inverses: list[Floats] = []
    with workers() as each:
        for j, start in enumerate(starts):
            end = start + len(panels[j])
            own = V[start:end, start:end] - panels[j] @ panels[j].T
            inverses.append(_inverse_factor(own))

            def below(i: int, j: int = j, start: int = start, end: int = end) -> None:
                rows = slice(i * PANEL, i * PANEL + len(panels[i]))
                rest = V[rows, start:end] - panels[i][:, :start] @ panels[j].T
                np.matmul(rest, inverses[j].T, out=panels[i][:, start:end])

            each(below, range(j + 1, len(panels)))
    return Triangle(tuple(panels), tuple(inverses))


def _inverse_factor(V: Floats) -> Floats:
    """L⁻¹ of a small V = LLᵀ."""
    try:
        L = np.linalg.cholesky(V)
    except np.linalg.LinAlgError:
        raise NotPositiveDefiniteError("V has no Cholesky factor") from None
    if not np.isfinite(L).all():
        raise NotPositiveDefiniteError("V has no Cholesky factor")
    return np.ascontiguousarray(np.tril(np.linalg.inv(L)))


def row_grams(Y: Reals, k: int) -> Floats:
    """
    The products YYᵀ of each group of k rows, summed in double precision.

    Parameters
    ----------
    Y : ndarray, shape (m·k, n)
    k : int

    Returns
    -------
    ndarray, shape (m, k, k)
    """
    m, n = len(Y) // k, Y.shape[1]
    found = np.zeros((m, k, k))
    for start in range(0, n, _SUMMED):
        part = Y[:, start : start + _SUMMED].astype(np.float64, order="C", copy=False)
        if k == 1:
            found[:, 0, 0] += np.einsum("mn,mn->m", part, part)
        else:
            groups = part.reshape(m, k, part.shape[1])
            found += np.einsum("man,mbn->mab", groups, groups)
    return found


def column_grams(Y: Floats, Z: Floats, k: int) -> Floats:
    """
    The products YᵀZ of each group of k columns, both of shape (n, m·k).

    Returns
    -------
    ndarray, shape (m, k, k)
    """
    n, m = len(Y), Y.shape[1] // k
    return np.asarray(np.einsum("nma,nmb->mab", Y.reshape(n, m, k), Z.reshape(n, m, k)))


def over_columns(task: Callable[[slice], B], columns: int, k: int = 1, parallel: bool = True) -> list[B]:
    """
    What a task makes of runs of columns of a fixed width, in order, by as many threads as BLAS was given.

    Parameters
    ----------
    task : callable
        Of a slice of the columns; once, of an empty one, where there are none.
    columns : int
    k : int
        Columns of a group, which stay together.
    parallel : bool
        Whether threads may share the task.
    """
    width = max(1, PANEL // k) * k
    slices = [slice(start, min(start + width, columns)) for start in range(0, columns, width)] or [slice(0, 0)]
    with workers(parallel and len(slices) > 1) as each:
        return each(task, slices)
