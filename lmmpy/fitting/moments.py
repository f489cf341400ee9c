"""What moment estimates are made of: weights, residuals about the fixed effects, sums by level, random signs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lmmpy.design import Design
from lmmpy.engines import Criterion

__all__ = ["by_level", "internal_root", "less_fixed", "orthonormal_fixed", "random_signs"]

Floats = NDArray[np.float64]

# Numbers in the random signs: few columns do where there are many rows.
_PROBED = 8_000


def internal_root(design: Design) -> Floats:
    """Roots of the weights of the engines' coordinates, shape (n,): those of the rows over their typical sizes."""
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    return root if design.residual is None else np.asarray(root / design.residual.typical)


def orthonormal_fixed(criterion: Criterion, root: Floats) -> Floats | None:
    """Orthonormal basis of the weighted fixed effects, shape (n, p); None when there are none."""
    design = criterion.design
    if not design.p:
        return None
    return np.asarray(linalg.solve_triangular(criterion.products.R, (root[:, None] * design.X).T, trans="T").T)


def less_fixed(Q: Floats | None, columns: Floats) -> Floats:
    """What a basis of the fixed effects leaves of some columns."""
    return columns if Q is None else np.asarray(columns - Q @ (Q.T @ columns))


def by_level(codes: NDArray[np.intp], columns: Floats, n_levels: int) -> Floats:
    """Sums of the rows of each level, shape (levels, m)."""
    return np.column_stack([np.bincount(codes, column, minlength=n_levels) for column in columns.T]).astype(float)


def random_signs(n: int) -> Floats:
    """Columns of −1 and 1 that estimate traces, shape (n, m); the same at every call."""
    m = int(np.clip(_PROBED // n, 2, 16))
    return np.random.default_rng(0).choice([-1.0, 1.0], size=(n, m))
