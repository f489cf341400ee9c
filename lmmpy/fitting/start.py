"""Start values from the data: how much the group means (or slopes) vary beyond what noise makes them vary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion

__all__ = ["start_values", "typical_scale"]

Floats = NDArray[np.float64]

_LEAST, _MOST = 0.3, 3.0


def typical_scale(criterion: Criterion) -> Floats:
    """Size of a typical change of each θ, shape (n_theta,); makes the optimiser blind to the units of predictors."""
    scales = [t.structure.scale(unit) for t, unit in zip(criterion.design.random, criterion.units, strict=True)]
    return np.concatenate(scales)


def start_values(criterion: Criterion) -> tuple[Floats, list[Floats]]:
    """
    Moment estimates of θ, effect by effect, kept between moderate bounds; and further starts around them.

    With b̂ the least-squares effect of one column in one level, A its cross-product there and s² the residual variance
    about the fixed effects, E b̂² ≈ σ_b² + s²/A; the mean of b̂² − s²/A over levels is compared with what is left of s².

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
    design, products = criterion.design, criterion.products
    total = 1.0 / max(design.n - design.p, 1)  # the residual has length one
    start, others = [], []
    for t, (term, unit) in enumerate(zip(design.random, products.units, strict=True)):
        block = next(b for b in products.blocks if b.diagonal and b.t == t)
        A = np.einsum("laa->la", block.values)
        effect = products.Zty[products.starts[t] : products.starts[t + 1]].reshape(A.shape)
        seen = A > 0
        safe = np.where(seen, A, 1.0)
        excess = np.where(seen, (effect / safe) ** 2 - total / safe, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        share = np.clip(excess / unit**2 / total, 0.0, 0.9)
        sd = unit * np.clip(np.sqrt(share / (1.0 - share)), _LEAST, _MOST)
        start.append(term.structure.start(sd))
        others.append(term.structure.other_starts(sd))
    most = max(len(found) for found in others)
    joined = [np.concatenate([found[i % len(found)] for found in others]) for i in range(most)]
    return np.concatenate(start), joined
