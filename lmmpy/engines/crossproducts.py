"""Everything a criterion needs of the n rows, formed once: blocks of ZᵀWZ, and ZᵀW[X y] in a stable basis.

X is replaced by an orthonormal basis of its columns (in the metric W) and y by its residual on X, scaled to length
one. Neither changes the criterion but by known constants, and both keep digits: with an intercept of 10⁶ or a year as
a predictor, differences of large sums would lose them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lmmpy.design import Design, RandomEffects
from lmmpy.errors import ModelError

__all__ = ["Basis", "Block", "CrossProducts", "cross_products", "orthonormal_basis", "times_Z", "times_Zt"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Block:
    """The part of ZᵀWZ between two terms, as the k_t × k_s blocks of pairs of levels that meet.

    Attributes
    ----------
    t, s : int
        The terms; t ≥ s, so that the block lies in the lower triangle.
    rows, columns : ndarray of int, shape (m,)
        Levels of t and of s.
    values : ndarray, shape (m, k_t, k_s)
    """

    t: int
    s: int
    rows: Ints
    columns: Ints
    values: Floats


@dataclass(frozen=True, eq=False)
class CrossProducts:
    """Sufficient statistics of a linear mixed model with known weights.

    Attributes
    ----------
    n, p, q : int
    starts : tuple of int
        Where each term begins in q.
    blocks : tuple of Block
        The lower triangle of ZᵀWZ.
    ZtXy : ndarray, shape (q, p + 1)
        ZᵀW[Q e], with Q = X R⁻¹, QᵀWQ = I, and e = (y − Xβ₀)/scale.
    R : ndarray, shape (p, p)
        Upper triangular, RᵀR = XᵀWX.
    beta0 : ndarray, shape (p,)
        Weighted least-squares coefficients, random effects left out.
    scale : float
        Length of the weighted residual y − Xβ₀.
    logdet_weights : float
        log|W|.
    logdet_relatedness : float
        Σ_t k_t log|K_t|.
    """

    n: int
    p: int
    q: int
    starts: tuple[int, ...]
    blocks: tuple[Block, ...]
    ZtXy: Floats
    R: Floats
    beta0: Floats
    scale: float
    logdet_weights: float
    logdet_relatedness: float

    @property
    def Zty(self) -> Floats:
        """ZᵀWe, shape (q,)."""
        return self.ZtXy[:, -1]

    def units(self) -> list[Floats]:
        """For each term the relative standard deviations, shape (k,), at which each effect varies y as σ does."""
        found = []
        for block in self.blocks:
            if block.t == block.s:
                squares = np.einsum("laa->a", block.values) / self.n
                found.append(1.0 / np.sqrt(np.where(squares > 0, squares, 1.0)))
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Basis:
    """X and y in stable coordinates, multiplied by the root of the weights.

    Attributes
    ----------
    columns : ndarray, shape (n, p + 1)
        W^½[Q e], of length one and orthogonal.
    R, beta0, scale
        As in `CrossProducts`.
    """

    columns: Floats
    R: Floats
    beta0: Floats
    scale: float


def orthonormal_basis(design: Design) -> Basis:
    """
    Replace X by an orthonormal basis and y by its scaled residual.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Basis

    Raises
    ------
    ModelError
        When the fixed effects leave no residual.
    """
    w = design.weights
    root = None if w is None else np.sqrt(w)
    y = design.y if design.offset is None else design.y - design.offset
    X = design.X if root is None else design.X * root[:, None]
    y = y if root is None else y * root
    Q, R = _orthonormal(X)
    coordinates = Q.T @ y
    residual = y - Q @ coordinates
    residual -= Q @ (Q.T @ residual)
    scale = float(np.linalg.norm(residual))
    if scale <= 1e-13 * float(np.linalg.norm(y)) or scale == 0.0:
        raise ModelError(
            "The fixed effects reproduce the response exactly, so there is no variation left for random effects. "
            "Is the response among the predictors, or constant?"
        )
    beta0 = linalg.solve_triangular(R, coordinates) if design.p else coordinates
    return Basis(np.column_stack([Q, residual / scale]), R, beta0, scale)


def cross_products(design: Design, basis: Basis) -> CrossProducts:
    """
    Form the cross-products of a design.

    Parameters
    ----------
    design : Design
    basis : Basis
        Of the same design.

    Returns
    -------
    CrossProducts
    """
    w = design.weights
    return CrossProducts(
        n=design.n,
        p=design.p,
        q=design.q,
        starts=design.starts,
        blocks=tuple(_blocks(design)),
        ZtXy=times_Zt(design, basis.columns),
        R=basis.R,
        beta0=basis.beta0,
        scale=basis.scale,
        logdet_weights=0.0 if w is None else float(np.log(w).sum()),
        logdet_relatedness=sum(term.k * term.relatedness.logdet for term in design.random),
    )


def times_Zt(design: Design, columns: Floats) -> Floats:
    """ZᵀW^½ V of some columns V, shape (n, m) → (q, m)."""
    if design.weights is not None:
        columns = columns * np.sqrt(design.weights)[:, None]
    return np.concatenate([term.Z.T @ columns for term in design.random])


def times_Z(design: Design, effects: Floats) -> Floats:
    """W^½Z B of some effects B, shape (q, m) → (n, m)."""
    starts = design.starts
    value = sum(term.Z @ effects[a:b] for term, a, b in zip(design.random, starts[:-1], starts[1:], strict=True))
    return np.asarray(value if design.weights is None else value * np.sqrt(design.weights)[:, None])


def _orthonormal(X: Floats) -> tuple[Floats, Floats]:
    """Q and R with X = QR; by columns of equal length, since predictors come in all units."""
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    Q, R = np.linalg.qr(X / norms)
    return Q, R * norms


def _blocks(design: Design) -> list[Block]:
    terms = design.random
    blocks = []
    for t, term in enumerate(terms):
        weighted = term.values if design.weights is None else term.values * design.weights[:, None]
        for s, other in enumerate(terms[: t + 1]):
            blocks.append(_block(t, s, term, other, weighted))
    return blocks


def _block(t: int, s: int, term: RandomEffects, other: RandomEffects, weighted: Floats) -> Block:
    if t == s or term.grouping is other.grouping:
        rows = columns = np.arange(term.n_levels)
        pairs = term.codes
    else:
        keys = term.codes * other.n_levels + other.codes
        met, pairs = np.unique(keys, return_inverse=True)
        rows, columns = np.divmod(met, other.n_levels)
    values = np.empty((len(rows), term.k, other.k))
    for a in range(term.k):
        for b in range(other.k):
            product = weighted[:, a] * other.values[:, b]
            values[:, a, b] = np.bincount(pairs, weights=product, minlength=len(rows))
    return Block(t, s, rows, columns, values)
