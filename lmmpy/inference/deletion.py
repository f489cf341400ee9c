"""What β̂ and σ̂ would be without some rows when θ is held, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lmmpy.design.values import Floats
from lmmpy.engines import Solution
from lmmpy.inference.leverage import Leverage

__all__ = ["Deletion", "delete_groups", "delete_rows"]

Ints = NDArray[np.intp]
_Line = tuple[Floats, Floats, float, float, Floats]

# Rows, and effects that they meet, from which a block of the hat matrix costs more than to solve anew.
_LARGE = 500
# The share of a fixed effect's information that other rows must have for the closed form to be trusted.
_LEFT = 1e-10


@dataclass(frozen=True, eq=False, slots=True)
class Deletion:
    """
    Changes when rows are left out and θ is held, in one line for each set of rows; NaN where β is then undetermined.

    Attributes
    ----------
    beta : ndarray, shape (m, p)
        β̂ without the rows less β̂.
    variance : ndarray, shape (m, p)
        Diagonal of (XᵀV⁻¹X)⁻¹ without them.
    r2 : ndarray, shape (m,)
        The penalised weighted residual sum of squares without them.
    distance : ndarray, shape (m,)
        Cook's distance p·D·σ² = dᵀ(XᵀV⁻¹X)d with d = beta.
    expected : ndarray, shape (m, 2)
        Under the model the distance over σ² is Σ λ χ²₁; Σ λ and Σ λ².
    """

    beta: Floats
    variance: Floats
    r2: Floats
    distance: Floats
    expected: Floats


def delete_rows(leverage: Leverage, residual: Floats, r2: float) -> Deletion:
    """
    Leave out each row in turn, θ held.

    With ê the conditional residual and h the hat value, β̂₋ᵢ − β̂ = −C x̃ᵢ ê/(1 − h) and r²₋ᵢ = r² − ê²/(1 − h), by the
    mean-shift model (Cook & Weisberg 1982; Haslett & Dillane 2004).

    Parameters
    ----------
    leverage : Leverage
    residual : ndarray, shape (n,)
        W^½(y − Xβ̂ − Zb).
    r2 : float

    Returns
    -------
    Deletion
    """
    C, XL, L = leverage.unscaled_vcov, leverage.XL, leverage.L
    Q = _orthonormal(leverage)
    rest = 1.0 - leverage.diagonal
    left = np.where((1.0 - np.einsum("np,np->n", Q, Q) > _LEFT) & (rest > 0), rest, np.nan)
    XC, share = XL @ L.T, np.einsum("np,np->n", XL, XL) / left
    return Deletion(
        beta=-XC * (residual / left)[:, None],
        variance=np.diag(C) + XC**2 / left[:, None],
        r2=r2 - residual**2 / left,
        distance=share * residual**2 / left,
        expected=np.column_stack([share, share**2]),
    )


def delete_groups(
    leverage: Leverage,
    residual: Floats,
    solution: Solution,
    groups: Sequence[Ints],
    solve_without: Callable[[Ints], Solution | None],
    closed: bool = True,
) -> Deletion:
    """
    Leave out each of several sets of rows, θ held.

    As for one row, with the block H of the hat matrix for its value h: β̂₋ − β̂ = −C X̃ᵀ(I − H)⁻¹ê and
    r²₋ = r² − êᵀ(I − H)⁻¹ê. Where the block is large it is quicker to solve the model without the rows; single rows,
    such as those of relatives with one record each, are done at once.

    Parameters
    ----------
    leverage : Leverage
    residual : ndarray, shape (n,)
        W^½(y − Xβ̂ − Zb).
    solution : Solution
        Of all rows.
    groups : sequence of ndarray of int
        The rows of each set.
    solve_without : callable
        Rows to leave out → the solution at θ without them; None when there is none.
    closed : bool
        Whether closed forms serve; else each set is left out and the rest solved.

    Returns
    -------
    Deletion
    """
    Q, lines = _orthonormal(leverage), []
    alone = delete_rows(leverage, residual, solution.r2) if closed and any(len(rows) == 1 for rows in groups) else None
    for rows in groups:
        if alone is not None and len(rows) == 1:
            lines.append(_line(alone, int(rows[0])))
        elif _all_of_a_direction(Q[rows]):
            lines.append(_nothing(leverage.design.p))
        elif not closed or (len(rows) > _LARGE and leverage.met(rows) > _LARGE):
            again = solve_without(rows)
            lines.append(_nothing(leverage.design.p) if again is None else _compared(leverage, solution, again))
        else:
            lines.append(_block(leverage, residual, solution.r2, rows))
    beta, variance, r2, distance, expected = zip(*lines, strict=True)
    return Deletion(np.array(beta), np.array(variance), np.array(r2), np.array(distance), np.array(expected))


def _line(found: Deletion, row: int) -> _Line:
    return found.beta[row], found.variance[row], float(found.r2[row]), float(found.distance[row]), found.expected[row]


def _nothing(p: int) -> _Line:
    return np.full(p, np.nan), np.full(p, np.nan), np.nan, np.nan, np.full(2, np.nan)


def _compared(leverage: Leverage, solution: Solution, again: Solution) -> _Line:
    change, C = again.beta - solution.beta, again.unscaled_vcov
    step = linalg.solve_triangular(leverage.L, change, lower=True)
    half = linalg.solve_triangular(leverage.L, C - leverage.unscaled_vcov, lower=True)
    A = linalg.solve_triangular(leverage.L, half.T, lower=True)
    return change, np.diag(C), again.r2, float(step @ step), np.array([np.trace(A), np.sum(A * A.T)])


def _block(leverage: Leverage, residual: Floats, r2: float, rows: Ints) -> _Line:
    L, XL, e = leverage.L, leverage.XL[rows], residual[rows]
    solved = _without(leverage, rows, np.column_stack([e, XL]))
    step, A = XL.T @ solved[:, 0], XL.T @ solved[:, 1:]
    variance = np.diag(leverage.unscaled_vcov) + np.einsum("ap,pq,aq->a", L, A, L)
    expected = np.array([np.trace(A), np.sum(A * A.T)])
    return -L @ step, variance, r2 - float(e @ solved[:, 0]), float(step @ step), expected


def _without(leverage: Leverage, rows: Ints, right: Floats) -> Floats:
    """(I − H)⁻¹ times some columns, H the block F S Fᵀ of the hat matrix, by the smaller of the two systems."""
    Z, B = leverage.random_part(rows)
    F = np.hstack([Z, leverage.XL[rows]])
    SFt = np.vstack([B @ Z.T, leverage.XL[rows].T])
    if len(rows) <= F.shape[1]:
        return np.asarray(np.linalg.solve(np.eye(len(rows)) - F @ SFt, right))
    return np.asarray(right + F @ np.linalg.solve(np.eye(F.shape[1]) - SFt @ F, SFt @ right))


def _all_of_a_direction(Q: Floats) -> bool:
    """Whether some rows of an orthonormal basis have all there is in a direction; the trace bounds the eigenvalue."""
    gram = Q.T @ Q
    return bool(np.trace(gram) > 1.0 - _LEFT and np.linalg.eigvalsh(gram)[-1] > 1.0 - _LEFT)


def _orthonormal(leverage: Leverage) -> Floats:
    """W^½X R⁻¹ with orthonormal columns, shape (n, p): how much of each direction of β rests on which rows."""
    X = leverage.design.X * leverage.root_weights[:, None]
    return np.asarray(np.linalg.qr(X)[0]) if leverage.design.p else X
