"""Long steps from afar: the fixed point of the score equations, term by term.

With C = T Tᵀ, the derivative of the criterion in C is A − B: A from the log-determinants, B from the sum of squares.
At an optimum TᵀA T = TᵀB T and, for the residual variance, ν − Σ tr(TᵀB T) = ν − Σ tr(TᵀA T); solving each equation
for its own variance gives an iteration (Harville 1977; Schall 1991) that comes near the optimum from anywhere in a few
steps, where Newton's are short, and then crawls, where Newton's are best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, Evaluation

__all__ = ["scoring_step"]

Floats = NDArray[np.float64]

_LEAST = 1e-12


def scoring_step(criterion: Criterion, theta: Floats, evaluation: Evaluation) -> Floats | None:
    """
    The next θ of the iteration.

    Parameters
    ----------
    criterion : Criterion
    theta : ndarray, shape (n_theta,)
    evaluation : Evaluation
        There, of order 1 or more.

    Returns
    -------
    ndarray, shape (n_theta,), or None
        None where no degrees of freedom are left for the residual.
    """
    assert evaluation.balance is not None
    structures = [term.structure for term in criterion.design.random]
    parts = np.split(theta, np.cumsum([s.n_theta for s in structures])[:-1])
    Ts = [structure.factor(part).T for structure, part in zip(structures, parts, strict=True)]
    turned = [(T.T @ A @ T, T.T @ B @ T) for T, (A, B) in zip(Ts, evaluation.balance, strict=True)]
    used = [sum(float(np.trace(pair[i])) for pair in turned) for i in (0, 1)]
    if min(criterion.dof - used[0], criterion.dof - used[1]) <= 0.0:
        return None
    residual = (criterion.dof - used[1]) / (criterion.dof - used[0])
    found = []
    for structure, T, (A, B) in zip(structures, Ts, turned, strict=True):
        if len(T) == 1:
            found.append(structure.nearest(T * B / np.maximum(A, _LEAST) * T / residual))
            continue
        values, vectors = np.linalg.eigh(A)
        values = np.maximum(values, _LEAST * max(1.0, float(values[-1])))
        half = T @ (vectors / np.sqrt(values)) @ vectors.T
        found.append(structure.nearest(half @ B @ half.T / residual))
    return np.concatenate(found)
