"""The dense likelihood of several traits and kernels: V is formed whole, and nothing is shared with the package."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_solve

from tests.qtl.family import kinship

Array = Any


def relatedness(frame: pd.DataFrame) -> Array:
    """A of the rows."""
    return kinship().loc[frame.ID, frame.ID].to_numpy()


def same(values: Sequence[Any]) -> Array:
    """One for rows with the same value."""
    array = np.asarray(values)
    return (array[:, None] == array).astype(float)


def loglik(y: Array, X: Array, V: Array) -> float:
    """Of a normal distribution with the covariance V, its mean in the columns of X at its maximum."""
    L, both, p = np.linalg.cholesky(V), np.column_stack([X, y]), X.shape[1]
    S = both.T @ cho_solve((L, True), both)
    r2 = S[p, p] - S[p, :p] @ np.linalg.solve(S[:p, :p], S[:p, p])
    return float(-np.log(np.diag(L)).sum() - 0.5 * r2 - 0.5 * len(y) * np.log(2.0 * np.pi))


class Traits:
    """Several traits one below the other, people in the order of the frame, missing values left out."""

    def __init__(self, frame: pd.DataFrame, traits: Sequence[str], X: Array) -> None:
        self.d = len(traits)
        values = frame[list(traits)].to_numpy()
        self.trait, self.row = np.nonzero(~np.isnan(values.T))
        self.y = values[self.row, self.trait]
        self.X = np.zeros((len(self.y), X.shape[1] * self.d))
        for i, (t, r) in enumerate(zip(self.trait, self.row, strict=True)):
            self.X[i, t * X.shape[1] : (t + 1) * X.shape[1]] = X[r]

    def spread(self, C: Array, K: Array) -> Array:
        """Covariance that C between traits and K between people make."""
        return np.asarray(C)[np.ix_(self.trait, self.trait)] * K[np.ix_(self.row, self.row)]

    def loglik(self, *parts: tuple[Array, Array]) -> float:
        """At the sum of some C and K."""
        return loglik(self.y, self.X, sum(self.spread(C, K) for C, K in parts))


def covariance(sd: Sequence[float], rho: float) -> Array:
    """Of two traits."""
    C = np.outer(sd, sd)
    C[0, 1] *= rho
    C[1, 0] *= rho
    return C


def slope(f: Any, x: Array, step: Array) -> Array:
    """The gradient by differences, extrapolated to a step of zero."""
    found = []
    for i, h in enumerate(step):
        e = np.eye(len(x))[i] * h
        near, far = (f(x + e) - f(x - e)) / (2 * h), (f(x + 2 * e) - f(x - 2 * e)) / (4 * h)
        found.append((4 * near - far) / 3)
    return np.array(found)
