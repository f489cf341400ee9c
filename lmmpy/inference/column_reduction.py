"""Least squares of groups of columns from their products: by how much each group reduces r², and its coefficients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pieces", "Reduced", "orthonormalised", "reduced"]

Floats = NDArray[np.float64]

# What X and the columns before must leave of a column, of its squares in the metric V⁻¹.
_COLLINEAR = 1e-8


class Pieces(NamedTuple):
    """Of G = X B + H R with H orthogonal to X: U and I of H, R, and the squares of X B, in the metric V⁻¹."""

    U: Floats
    I: Floats  # noqa: E741 - the information
    R: Floats
    squares_of_X: Floats


class Reduced(NamedTuple):
    """β̂ and I⁻¹ of G, by how much all columns and all but the last reduce r², and whether some is collinear."""

    beta: Floats
    vcov: Floats
    gain: Floats
    gain_before: Floats
    collinear: NDArray[np.bool_]


def orthonormalised(F: Floats) -> Floats:
    """Make the columns of each group, shape (m, k, n), orthonormal in place; R of shape (m, k, k), Fᵀ = HᵀR."""
    m, k, _ = F.shape
    R = np.zeros((m, k, k))
    for j in range(k):
        column = F[:, j]
        for i in range(j):
            R[:, i, j] = np.einsum("mn,mn->m", F[:, i], column)
            column -= F[:, i] * R[:, i, j, None]
        R[:, j, j] = np.sqrt(np.einsum("mn,mn->m", column, column))
        column *= 1.0 / np.where(R[:, j, j] > 0.0, R[:, j, j], 1.0)[:, None]
    return R


def reduced(pieces: Pieces) -> Reduced:
    """Solve for each group, its columns one after the other."""
    U, information, R = pieces.U, pieces.I, pieces.R
    k = U.shape[1]
    own = np.einsum("mab,mac,mcb->mb", R, information, R)
    pivots, gains = _eliminated(information, U)
    collinear = ~(pivots * np.einsum("maa->ma", R) ** 2 > _COLLINEAR * (own + pieces.squares_of_X)).all(axis=1)
    eye = np.eye(k)
    information = np.where(collinear[:, None, None], eye, information)
    back = np.linalg.inv(np.where(collinear[:, None, None], eye, R))
    vcov = back @ np.linalg.inv(information) @ back.transpose(0, 2, 1)
    beta = np.einsum("mab,mb->ma", back, np.linalg.solve(information, U[:, :, None])[:, :, 0])
    return Reduced(beta, vcov, gains.sum(axis=1), gains[:, :-1].sum(axis=1), collinear)


def _eliminated(information: Floats, U: Floats) -> tuple[Floats, Floats]:
    """Pivots of I, and UᵀI⁻¹U column by column, each of shape (m, k)."""
    A, u = information.copy(), U.copy()
    pivots, gains = np.empty(u.shape), np.empty(u.shape)
    for j in range(u.shape[1]):
        pivots[:, j] = A[:, j, j]
        safe = np.where(pivots[:, j] > 0.0, pivots[:, j], 1.0)
        gains[:, j] = u[:, j] ** 2 / safe
        factor = A[:, j, j + 1 :] / safe[:, None]
        u[:, j + 1 :] -= factor * u[:, j, None]
        A[:, j + 1 :, j + 1 :] -= factor[:, :, None] * A[:, None, j, j + 1 :]
    return pivots, gains
