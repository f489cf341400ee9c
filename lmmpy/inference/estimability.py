"""Which linear functions of the coefficients the data determine, when columns of the model matrix were dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.values import Codes, Floats

__all__ = ["Estimability", "estimability"]

_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class Estimability:
    """
    How the dropped columns of a model matrix follow from those kept, X₂ = X₁C.

    Then lᵀβ is estimable if and only if l is orthogonal to the null space of X = [X₁ X₂], that is l₂ = Cᵀl₁ (Searle
    1971, ch. 5), and its estimate is l₁ᵀβ̂₁.

    Attributes
    ----------
    kept, dropped : ndarray of int
        Places of the columns.
    C : ndarray, shape (kept, dropped)
    scale : ndarray, shape (dropped,)
        Largest entry of each dropped column.
    """

    kept: Codes
    dropped: Codes
    C: Floats
    scale: Floats

    def estimable(self, L: Floats) -> NDArray[np.bool_]:
        """Which rows of L, shape (m, all columns), are estimable; one with NaN is not."""
        defined = np.asarray(~np.isnan(L).any(axis=1))
        if not len(self.dropped):
            return defined
        with np.errstate(invalid="ignore"):
            gap = np.abs(L[:, self.dropped] - L[:, self.kept] @ self.C)
            return np.asarray(defined & (gap <= _TOLERANCE * self.scale).all(axis=1))


def estimability(X: Floats | None, names: Sequence[str], kept_names: Sequence[str]) -> Estimability:
    """
    The relation between the columns of a model matrix that were kept and those that were dropped.

    Parameters
    ----------
    X : ndarray, shape (n, p), or None
        The matrix before columns were dropped, over the rows of the fit; None when none was.
    names : sequence of str, length p
    kept_names : sequence of str
        Columns that the fit has.

    Returns
    -------
    Estimability
    """
    kept = np.array([names.index(name) for name in kept_names], dtype=np.intp)
    dropped = np.array([i for i in range(len(names)) if i not in set(kept.tolist())], dtype=np.intp)
    if X is None or not len(dropped):
        return Estimability(kept, dropped[:0], np.zeros((len(kept), 0)), np.zeros(0))
    sizes = np.abs(X).max(axis=0)
    scale = np.where(sizes > 0, sizes, 1.0)
    solved = np.linalg.lstsq(X[:, kept] / scale[kept], X[:, dropped], rcond=None)[0]
    return Estimability(kept, dropped, solved / scale[kept][:, None], scale[dropped])
