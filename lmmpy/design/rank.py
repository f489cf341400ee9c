"""Which columns of X are determined by those before them."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from lmmpy.design.values import Codes, Floats

__all__ = ["independent_columns"]

_TOLERANCE = 1e-7
_CLEARLY_REGULAR = 1e-4


def independent_columns(X: Floats) -> Codes:
    """
    The columns that R would keep: each whose residual on those kept before it is not negligible.

    A column is dependent when the norm of that residual is below 1e-7 of its own norm, the rule of R's `qr`
    (LINPACK's dqrdc2) with lme4's tolerance.

    Parameters
    ----------
    X : ndarray, shape (n, p)

    Returns
    -------
    ndarray of int
        Places of the columns to keep, ascending.
    """
    gram = X.T @ X
    norms = np.sqrt(np.diag(gram))
    kept = np.flatnonzero(norms > 0)
    if _clearly_regular(gram[np.ix_(kept, kept)] / np.outer(norms[kept], norms[kept])):
        return kept
    while len(kept):
        R = linalg.qr(X[:, kept] / norms[kept], mode="r", check_finite=False)[0]
        residual = np.zeros(len(kept))
        residual[: min(R.shape)] = np.abs(np.diag(R))
        dependent = np.flatnonzero(residual < _TOLERANCE)
        if not len(dependent):
            return kept
        kept = np.delete(kept, dependent[0])
    return kept


def _clearly_regular(gram: Floats) -> bool:
    """A cheap yes from the Gram matrix: it loses half the digits, so only far from the tolerance is it believed."""
    try:
        L = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return False
    return bool(np.all(np.diag(L) > _CLEARLY_REGULAR))
