"""Residuals of every kind: of the fitted values or of the mean, and what makes them comparable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Codes, Floats
from lmmpy.errors import ModelError
from lmmpy.inference.leverage import components_of_levels

__all__ = ["cholesky_residuals", "deleted_sigma", "marginal_variance"]

# Rows that hang together and whose covariance matrix is formed: 200 MB.
_LARGEST_BLOCK = 5_000


def marginal_variance(design: Design, Ts: Sequence[Floats]) -> Floats:
    """
    Var(y)/σ² of each row, 1/w + Σ_t K_ll zᵀT Tᵀz with l its level, shape (n,).

    Parameters
    ----------
    design : Design
    Ts : sequence of ndarray, each of shape (k, k)
        Relative factor of each term.
    """
    v = np.ones(design.n) if design.weights is None else 1.0 / design.weights
    for term, T in zip(design.random, Ts, strict=True):
        zT = term.values @ T
        own = np.einsum("nk,nk->n", zT, zT)
        v = v + (own if term.relatedness.is_identity else own * term.relatedness.diagonal()[term.codes])
    return v


def cholesky_residuals(design: Design, Ts: Sequence[Floats], residual: Floats) -> Floats:
    """
    L⁻¹(y − Xβ̂) with LLᵀ = V, block by block: uncorrelated under the model, with variance σ².

    Each is the deviation of a row from what the rows before it in its block let expect (Schabenberger 2004;
    Fitzmaurice, Laird & Ware 2011, §9.2), so that they depend on the order of the rows.

    Parameters
    ----------
    design : Design
    Ts : sequence of ndarray, each of shape (k, k)
        Relative factor of each term.
    residual : ndarray, shape (n,)
        y − Xβ̂.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ModelError
        When too many rows hang together through crossed factors or relatives.
    """
    component = components_of_levels(design)[0][design.random[0].codes]
    order = np.argsort(component, kind="stable")
    cuts = np.flatnonzero(np.diff(component[order])) + 1
    blocks = np.split(order, cuts)
    largest = max(len(rows) for rows in blocks)
    if largest > _LARGEST_BLOCK:
        raise ModelError(
            f"Scaled marginal residuals need the covariance matrix of all rows that hang together through the "
            f"grouping factors {', '.join(term.name for term in design.random)}, and {largest} do; at most "
            f"{_LARGEST_BLOCK} can. Use type='standardized', or level='conditional'."
        )
    zTs = [term.values @ T for term, T in zip(design.random, Ts, strict=True)]
    own = np.ones(design.n) if design.weights is None else 1.0 / design.weights
    scaled = np.empty(design.n)
    for rows in blocks:
        V = np.diag(own[rows])
        for term, zT in zip(design.random, zTs, strict=True):
            V += (zT[rows] @ zT[rows].T) * _between(term, term.codes[rows])
        scaled[rows] = np.linalg.solve(np.linalg.cholesky(V), residual[rows])
    return scaled


def _between(term: RandomEffects, codes: Codes) -> NDArray[Any]:
    """K between the levels of some rows, shape (m, m)."""
    if term.relatedness.is_identity:
        return np.asarray(codes[:, None] == codes)
    levels, places = np.unique(codes, return_inverse=True)
    return np.asarray(term.relatedness.block(levels, levels))[np.ix_(places, places)]


def deleted_sigma(r2: float, dof: int, residual: Floats, hat: Floats) -> Floats:
    """
    σ̂ without each row, θ held: σ̂²₋ᵢ = (r² − ê²/(1 − h))/(ν − 1).

    Parameters
    ----------
    r2 : float
        The penalised weighted residual sum of squares.
    dof : int
        Its degrees of freedom ν.
    residual : ndarray, shape (n,)
        W^½(y − Xβ̂ − Zb).
    hat : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        NaN where a row has a hat value of one.
    """
    left = np.where(hat < 1.0, 1.0 - hat, np.nan)
    return np.asarray(np.sqrt(np.maximum(r2 - residual**2 / left, 0.0) / (dof - 1)))
