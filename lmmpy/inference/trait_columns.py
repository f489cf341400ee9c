"""Which columns of a design with several responses belong to which of them."""

from __future__ import annotations

import numpy as np

from lmmpy.design import Traits
from lmmpy.design.values import Floats

__all__ = ["trait_of_columns"]


def trait_of_columns(columns: Floats, traits: Traits) -> list[int]:
    """
    The trait in whose rows each column has its values.

    Parameters
    ----------
    columns : ndarray, shape (n, k)
        Of X, or left of a bar; none is zero in all rows.
    traits : Traits

    Returns
    -------
    list of int, length k
    """
    return traits.trait[np.argmax(columns != 0.0, axis=0)].tolist() if columns.shape[1] else []
