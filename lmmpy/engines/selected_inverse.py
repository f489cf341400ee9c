"""The entries of M⁻¹ on the pattern of its Cholesky factor, front by front.

Takahashi's recursion (Takahashi, Fagan & Chin 1973; Erisman & Tinney 1975) by supernodes: with C the columns of a
supernode, S the rows below it, and Y = L_SC L_CC⁻¹,

    Σ_SC = −Σ_SS Y,    Σ_CC = L_CC⁻ᵀ L_CC⁻¹ + Yᵀ Σ_SS Y,

and Σ_SS is a part of the front of the parent, since S lies in the parent's columns and rows. The fronts are dense and
compiled; each is kept until the last of its children has taken its part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.engines import _fronts

__all__ = ["SelectedInverse"]

Floats = NDArray[np.float64]


class SelectedInverse:
    """
    The symbolic part: supernodes of L and where each one's rows lie in its parent.

    Parameters
    ----------
    L : csc_array, shape (q, q)
        A Cholesky factor, rows ascending in each column; only its pattern is used.

    Attributes
    ----------
    flops : float
        Multiplications, Σ (entries of a column of L)².
    """

    def __init__(self, L: sparse.csc_array) -> None:
        self._pointers = L.indptr.astype(np.int32)
        self.flops = float((np.diff(L.indptr).astype(float) ** 2).sum())
        self._supernodes = _fronts.supernodes(self._pointers, L.indices.astype(np.int32))

    def compute(self, values: Floats) -> Floats:
        """
        The selected inverse of L Lᵀ.

        Parameters
        ----------
        values : ndarray, shape (nnz,)
            Values of L on its pattern.

        Returns
        -------
        ndarray, shape (nnz,)
            Entries of (L Lᵀ)⁻¹ at the places of L's entries.
        """
        out = np.empty_like(values)
        _fronts.selected_inverse(self._pointers, values, *self._supernodes, out)
        return out
