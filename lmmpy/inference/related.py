"""Products with the relatedness of the levels of a random term, which change nothing for an ordinary factor."""

from __future__ import annotations

import numpy as np

from lmmpy.design import RandomEffects
from lmmpy.design.values import Floats

__all__ = ["among_levels"]


def among_levels(term: RandomEffects, values: Floats) -> Floats:
    """
    (K ⊗ I) times some columns, K the relatedness of the levels of a term.

    Parameters
    ----------
    term : RandomEffects
    values : ndarray, shape (levels · k, m)
        Level by level, the term's effects within.

    Returns
    -------
    ndarray, shape (levels · k, m)
    """
    if term.relatedness.is_identity:
        return values
    by_level = np.ascontiguousarray(values).reshape(term.n_levels, -1)
    return np.asarray(term.relatedness.times(by_level)).reshape(values.shape)
