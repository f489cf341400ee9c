"""Everything a criterion needs of the n rows, formed once: blocks of ZᵀWZ, and ZᵀW[X y] in a stable basis.

X is replaced by an orthonormal basis of its columns (in the metric W) and y by its residual on X, scaled to length
one. Neither changes the criterion but by known constants, and both keep digits: with an intercept of 10⁶ or a year as
a predictor, differences of large sums would lose them. Z itself is never formed: sums run over codes and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from lmmpy.design import Design, RandomEffects
from lmmpy.engines import _kernels
from lmmpy.errors import ModelError

__all__ = [
    "Basis",
    "Block",
    "CrossProducts",
    "cross_products",
    "fixed_basis",
    "for_response",
    "places",
    "symmetric_matrix",
    "times_Z",
    "times_Zt",
    "with_response",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_DENSE = 128
_LONG, _ILL_CONDITIONED = 10_000, 1e5


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """The part of a symmetric matrix over random effects between two terms, as the blocks of pairs of levels that meet.

    Attributes
    ----------
    t, s : int
        The terms; t ≥ s, so that the block lies in the lower triangle.
    rows, columns : ndarray of int, shape (m,)
        Levels of t and of s, by rows, then columns.
    values : ndarray, shape (m, k_t, k_s)
    diagonal : bool
        Whether each level meets itself only: then each value is symmetric, and rows and columns are the same.
    """

    t: int
    s: int
    rows: Ints
    columns: Ints
    values: Floats
    diagonal: bool


@dataclass(frozen=True, eq=False)
class CrossProducts:
    """Sufficient statistics of a linear mixed model with known weights.

    Attributes
    ----------
    n, p, q : int
    sizes : tuple of int
        k of each term.
    starts : tuple of int
        Where each term begins in q, and the end.
    blocks : tuple of Block
        The lower triangle of ZᵀWZ.
    ZtZ : ndarray or csr_array, shape (q, q)
        ZᵀWZ itself; an ordinary array when it is small.
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
    spreads : tuple of float
        Root of the typical diagonal of each term's K; one for unrelated levels.
    """

    n: int
    p: int
    q: int
    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    blocks: tuple[Block, ...]
    ZtZ: Floats | sparse.csr_array
    ZtXy: Floats
    R: Floats
    beta0: Floats
    scale: float
    logdet_weights: float
    spreads: tuple[float, ...]

    @property
    def Zty(self) -> Floats:
        """ZᵀWe, shape (q,)."""
        return self.ZtXy[:, -1]

    @cached_property
    def logdet_XtX(self) -> float:
        """log|XᵀWX|."""
        return 2.0 * float(np.log(np.abs(np.diag(self.R))).sum())

    @cached_property
    def units(self) -> list[Floats]:
        """For each term the relative standard deviations, shape (k,), at which each effect varies y as σ does."""
        found = []
        for block in self.blocks:
            if block.diagonal:
                squares = np.einsum("laa->a", block.values) / self.n
                found.append(1.0 / np.sqrt(np.where(squares > 0, squares, 1.0)) / self.spreads[block.t])
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Basis:
    """X and y in stable coordinates, multiplied by the root of the weights.

    Attributes
    ----------
    columns : ndarray, shape (n, p + 1)
        [Q e]: Q = W^½X R⁻¹, orthonormal, and the weighted residual of y on X, of length one.
    R, beta0, scale
        As in `CrossProducts`.
    """

    columns: Floats
    R: Floats
    beta0: Floats
    scale: float

    @property
    def Q(self) -> Floats:
        """W^½X R⁻¹, shape (n, p)."""
        return self.columns[:, :-1]

    @property
    def e(self) -> Floats:
        """The residual of y, shape (n, 1)."""
        return self.columns[:, -1:]


def fixed_basis(design: Design) -> tuple[Floats, Floats]:
    """Q and R with W^½X = QR; by columns of equal length, since predictors come in all units."""
    X = design.X if design.weights is None else design.X * np.sqrt(design.weights)[:, None]
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    X = X / norms
    Q, R = _cholesky_qr(X) if len(X) > _LONG and design.p else np.linalg.qr(X)
    return Q, R * norms


def _cholesky_qr(X: Floats) -> tuple[Floats, Floats]:
    """QR of a long matrix by two Cholesky factorisations (Yamamoto et al. 2015), for all but the worst conditioned."""
    R = np.eye(X.shape[1])
    Q = X
    for _ in range(2):
        try:
            step = np.linalg.cholesky(Q.T @ Q).T
        except np.linalg.LinAlgError:
            return np.linalg.qr(X)
        if np.linalg.cond(step) > _ILL_CONDITIONED:
            return np.linalg.qr(X)
        Q, R = Q @ np.linalg.inv(step), step @ R
    return Q, R


def with_response(design: Design, Q: Floats, R: Floats) -> Basis:
    """
    Add the scaled residual of the response to a basis of the fixed effects.

    Parameters
    ----------
    design : Design
    Q, R : ndarray
        By `fixed_basis`.

    Returns
    -------
    Basis

    Raises
    ------
    ModelError
        When the fixed effects leave no residual.
    """
    y = design.y if design.offset is None else design.y - design.offset
    y = y if design.weights is None else y * np.sqrt(design.weights)
    coordinates = Q.T @ y
    residual = y - Q @ coordinates
    residual -= Q @ (Q.T @ residual)
    _require_variation(design, y, residual)
    scale = float(np.linalg.norm(residual))
    beta0 = linalg.solve_triangular(R, coordinates) if design.p else coordinates
    residual /= scale
    return Basis(np.column_stack([Q, residual]), R, beta0, scale)


def _require_variation(design: Design, y: Floats, residual: Floats) -> None:
    """Refuse a response, or one of several traits, of which the fixed effects leave nothing."""
    parts: list[tuple[str, Any]] = [("the response", slice(None))]
    if design.traits is not None:
        parts = [(f"the trait {name!r}", design.traits.trait == t) for t, name in enumerate(design.traits.names)]
    for what, rows in parts:
        size = float(np.linalg.norm(residual[rows]))
        if size <= 1e-13 * float(np.linalg.norm(y[rows])):
            raise ModelError(
                f"The fixed effects reproduce {what} exactly, so there is no variation left for random effects. Is "
                f"{what} among the predictors, or constant?"
            )


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
    sizes, blocks = tuple(term.k for term in design.random), tuple(_blocks(design))
    return CrossProducts(
        n=design.n,
        p=design.p,
        q=design.q,
        sizes=sizes,
        starts=design.starts,
        blocks=blocks,
        ZtZ=symmetric_matrix(blocks, sizes, design.starts),
        ZtXy=times_Zt(design, basis.columns),
        R=basis.R,
        beta0=basis.beta0,
        scale=basis.scale,
        logdet_weights=0.0 if w is None else float(np.log(w).sum()),
        spreads=tuple(np.sqrt(term.relatedness.typical_variance) for term in design.random),
    )


def for_response(products: CrossProducts, design: Design, basis: Basis) -> CrossProducts:
    """The cross-products of the same design with another response."""
    ZtXy = products.ZtXy.copy()
    ZtXy[:, -1] = times_Zt(design, basis.e)[:, 0]
    return replace(products, ZtXy=ZtXy, beta0=basis.beta0, scale=basis.scale)


def times_Zt(design: Design, columns: Floats) -> Floats:
    """ZᵀW^½ V of some columns V, shape (n, m) → (q, m)."""
    if design.weights is not None:
        columns = columns * np.sqrt(design.weights)[:, None]
    columns = np.ascontiguousarray(columns)
    out = np.zeros((design.q, columns.shape[1]))
    for term, start in zip(design.random, design.starts[:-1], strict=True):
        _kernels.add_Zt_product(term.codes, term.values, columns, out[start : start + term.q])
    return out


def times_Z(design: Design, effects: Floats) -> Floats:
    """W^½Z B of some effects B, shape (q, m) → (n, m)."""
    effects = np.ascontiguousarray(effects)
    value = np.zeros((design.n, effects.shape[1]))
    for term, start in zip(design.random, design.starts[:-1], strict=True):
        _kernels.add_Z_product(term.codes, term.values, effects[start : start + term.q], value)
    if design.weights is not None:
        value *= np.sqrt(design.weights)[:, None]
    return value


def places(block: Block, sizes: tuple[int, ...], starts: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Row and column of each number of a block, both of shape (m, k_t, k_s) after broadcasting."""
    rows = starts[block.t] + block.rows[:, None, None] * sizes[block.t] + np.arange(sizes[block.t])[:, None]
    columns = starts[block.s] + block.columns[:, None, None] * sizes[block.s] + np.arange(sizes[block.s])
    return rows, columns


def symmetric_matrix(
    blocks: tuple[Block, ...], sizes: tuple[int, ...], starts: tuple[int, ...]
) -> Floats | sparse.csr_array:
    """The whole matrix of which blocks are the lower triangle: dense when it is small."""
    q = starts[-1]
    if q <= _DENSE:
        dense = np.zeros((q, q))
        for block in blocks:
            rows, columns = places(block, sizes, starts)
            dense[rows, columns] = block.values
            dense[columns, rows] = block.values
        return dense
    parts = []
    for block in blocks:
        rows, columns = (x.ravel() for x in np.broadcast_arrays(*places(block, sizes, starts)))
        values = block.values.ravel()
        parts.append((rows, columns, values))
        if not block.diagonal:
            parts.append((columns, rows, values))
    rows, columns, values = (np.concatenate(x) for x in zip(*parts, strict=True))
    return sparse.csr_array(sparse.coo_array((values, (rows.astype(np.int32), columns.astype(np.int32))), (q, q)))


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
        rows, columns, pairs = _meetings(term, other)
    values = np.empty((len(rows), term.k, other.k))
    for a in range(term.k):
        for b in range(other.k):
            if t == s and b > a:
                continue
            product = weighted[:, a] * other.values[:, b]
            values[:, a, b] = np.bincount(pairs, weights=product, minlength=len(rows))
            if t == s:
                values[:, b, a] = values[:, a, b]
    return Block(t, s, rows, columns, values, t == s)


def _meetings(term: RandomEffects, other: RandomEffects) -> tuple[Ints, Ints, Ints]:
    """Pairs of levels that occur together, by rows, then columns; and the pair of each row of the data."""
    keys = term.codes * other.n_levels + other.codes
    size = term.n_levels * other.n_levels
    if size <= 4 * len(keys):
        seen = np.zeros(size, dtype=bool)
        seen[keys] = True
        met = np.flatnonzero(seen)
        number = np.empty(size, dtype=np.intp)
        number[met] = np.arange(len(met))
        pairs = number[keys]
    else:
        met, pairs = np.unique(keys, return_inverse=True)
    rows, columns = np.divmod(met, other.n_levels)
    return rows, columns, pairs
