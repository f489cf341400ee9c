"""What the compiled loops compute, written plainly with numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


def level_inverses(C: Floats, T: Floats) -> tuple[float, Floats, Floats]:
    W = C @ T
    M = np.eye(len(T)) + W @ W.transpose(0, 2, 1)
    return float(np.linalg.slogdet(M)[1].sum()), np.linalg.inv(M), np.linalg.solve(M, W)


def level_inverses_of_rank_one(v: Floats, e: Floats, s: float) -> tuple[float, Floats, Floats]:
    """The same in closed form for W_l = s v_l eᵀ, v of shape (levels, k)."""
    square = s * s * float(e @ e)
    d = 1.0 + square * (v * v).sum(axis=1)
    R = np.eye(len(e)) - (square / d)[:, None, None] * v[:, :, None] * v[:, None, :]
    return float(np.log(d).sum()), R, (s / d)[:, None, None] * v[:, :, None] * e


def level_products(A: Floats, B: Floats, transposed: bool) -> Floats:
    return (A.transpose(0, 2, 1) if transposed else A) @ B


def Z_matrix(codes: NDArray[np.intp], values: Floats, levels: int) -> Floats:
    """Z of one term, shape (n, levels · k): a level's columns side by side."""
    out = np.zeros((len(codes), levels, values.shape[1]))
    out[np.arange(len(codes)), codes] = values
    return out.reshape(len(codes), levels * values.shape[1])


def level_matrices(pointers: Ints, columns: Ints, G: Floats, r: int) -> Floats:
    """G_l as dense matrices, shape (levels, k, r)."""
    out = np.zeros((len(pointers) - 1, G.shape[1], r))
    levels = np.repeat(np.arange(len(out)), np.diff(pointers))
    out[levels, :, columns] = G
    return out


def sum_of_forms(dense: Floats, R: Floats) -> Floats:
    return np.einsum("lai,lab,lbj->ij", dense, R, dense)


def quadratic_forms(dense: Floats, Q: Floats) -> Floats:
    return dense @ Q @ dense.transpose(0, 2, 1)


def selected_inverse(pointers: Ints, rows: Ints, L: Floats) -> Floats:
    columns = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    dense = np.zeros((len(pointers) - 1,) * 2)
    dense[rows, columns] = L
    return np.linalg.inv(dense @ dense.T)[rows, columns]


def symmetrized(A: Floats) -> Floats:
    return np.tril(A) + np.tril(A, -1).T
