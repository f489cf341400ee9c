"""Start values from the data: how much the group means (or slopes) vary beyond what noise makes them vary.

With relatives there need not be a second record of anybody; there the start is where the products of residuals have the
expectation that relatedness gives them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from lmmpy.engines import Criterion
from lmmpy.fitting.moments import by_level, internal_root, less_fixed, orthonormal_fixed, random_signs
from lmmpy.fitting.start_traits import by_pairs_of_traits

__all__ = ["start_values", "typical_scale"]

Floats = NDArray[np.float64]

_LEAST, _MOST = 0.3, 3.0
# With relatedness: the least standard deviation, and the least share of the residual.
_LITTLE, _RESIDUAL = 0.1, 0.05
# Eigenvalues of the least squares below it, relatively, are rounding.
_NIL = 1e-8


def typical_scale(criterion: Criterion) -> Floats:
    """Size of a typical change of each θ, shape (n_theta,); makes the optimiser blind to the units of predictors."""
    design = criterion.design
    scales = [term.structure.scale(unit) for term, unit in zip(design.random, criterion.units, strict=True)]
    return np.concatenate([np.empty(0), *scales, *(rows.structure.scale() for rows in design.row_covariances)])


def start_values(criterion: Criterion) -> tuple[Floats, list[Floats]]:
    """
    Moment estimates of θ, effect by effect, kept between moderate bounds; and further starts around them.

    With b̂ the least-squares effect of one column in one level, A its cross-product there and s² the residual variance
    about the fixed effects, E b̂² ≈ σ_b² + s²/A; the mean of b̂² − s²/A over levels is compared with what is left of s².
    Where levels of some term are related, see `_by_relatedness`; of several traits, `by_pairs_of_traits`.

    Parameters
    ----------
    criterion : Criterion
        In the coordinates of its engine.

    Returns
    -------
    start : ndarray, shape (n_theta,)
    others : list of ndarray, each of shape (n_theta,)
        For a search that ends on the boundary, or a structure whose likelihood may have several optima.
    """
    terms = [term.structure for term in criterion.design.random]
    rows = [row.structure for row in criterion.design.row_covariances]
    by_pairs = by_pairs_of_traits(criterion)
    if by_pairs is not None:
        start = [by_pairs]
        parts = zip(terms, criterion.design.split_theta(by_pairs), strict=True)
        deviations = [np.linalg.norm(structure.factor(part).T, axis=1) for structure, part in parts]
    else:
        related = any(not term.relatedness.is_identity for term in criterion.design.random)
        deviations = _by_relatedness(criterion) if related else _by_excess(criterion)
        start = [structure.start(sd) for structure, sd in zip(terms, deviations, strict=True)]
        start += [structure.start() for structure in rows]
    others = [structure.other_starts(sd) for structure, sd in zip(terms, deviations, strict=True)]
    others += [structure.other_starts() for structure in rows]
    most = max((len(found) for found in others), default=0)
    joined = [np.concatenate([found[i % len(found)] for found in others]) for i in range(most)]
    return np.concatenate([np.empty(0), *start]), joined


def _by_excess(criterion: Criterion) -> list[Floats]:
    """Relative standard deviations of each term, shape (k,), from the excess of the effects of single levels."""
    design, products, found = criterion.design, criterion.products, []
    total = 1.0 / max(design.n - design.p, 1)  # the residual has length one
    for t, unit in enumerate(products.units):
        block = next(b for b in products.blocks if b.diagonal and b.t == t)
        A = np.einsum("laa->la", block.values)
        effect = products.Zty[products.starts[t] : products.starts[t + 1]].reshape(A.shape)
        seen = A > 0
        safe = np.where(seen, A, 1.0)
        excess = np.where(seen, (effect / safe) ** 2 - total / safe, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        share = np.clip(excess / unit**2 / total, 0.0, 0.9)
        found.append(unit * np.clip(np.sqrt(share / (1.0 - share)), _LEAST, _MOST))
    return found


def _by_relatedness(criterion: Criterion) -> list[Floats]:
    """
    Relative standard deviations of each term, shape (k,), by least squares of eeᵀ on its expectation.

    With e the residual about the fixed effects, M what takes those away and V_a = Z_aKZ_aᵀ of one effect,
    E eᵀV_ae = Σ_b σ_b² tr(MV_aMV_b), also for the residual variance, V = I (Haseman & Elston 1972; Rao 1971). Random
    signs estimate the traces, the same for all of them so that they are a Gram matrix.
    """
    design, products = criterion.design, criterion.products
    root = internal_root(design)
    Q = orthonormal_fixed(criterion, root)
    signs = less_fixed(Q, random_signs(design.n))
    m = signs.shape[1]
    columns, right = [], []
    for term, start in zip(design.random, products.starts[:-1], strict=True):
        for a in range(term.k):
            z, Zty = term.values[:, a] * root, products.Zty[start + a : start + term.q : term.k]
            both = np.column_stack([by_level(term.codes, z[:, None] * signs, term.n_levels), Zty])
            among = np.asarray(term.relatedness.times(both)) if not term.relatedness.is_identity else both
            columns.append(less_fixed(Q, z[:, None] * among[term.codes, :m]).ravel())
            right.append(float(Zty @ among[:, m]))
    F = np.array([*columns, signs.ravel()])
    variances, sizes = _least_squares(F @ F.T / m, np.array([*right, 1.0]))
    residual = max(float(variances[-1]), _RESIDUAL * float(variances @ sizes))
    bounded = np.clip(np.sqrt(variances * sizes / residual), _LITTLE, _MOST) / np.sqrt(sizes)
    return np.split(bounded[:-1], np.cumsum([term.k for term in design.random])[:-1])


def _least_squares(gram: Floats, right: Floats) -> tuple[Floats, Floats]:
    """
    Solve Gram matrix · variances = right side with no variance negative, the residual's last.

    Returns
    -------
    variances : ndarray, shape (m,)
    sizes : ndarray, shape (m,)
        The variance that each effect gives a row on average when its own is one, tr(MV_a)/(n − p).
    """
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    half = vectors * np.sqrt(np.maximum(values, _NIL))
    variances = optimize.nnls(half.T, np.linalg.solve(half, right / scale))[0] / scale
    sizes = gram[-1] / gram[-1, -1]
    return variances, np.where(sizes > 0.0, sizes, 1.0)
