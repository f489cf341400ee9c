"""Which columns of X are determined by those before them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from lmmpy.design.values import Codes, Floats

__all__ = ["independent_columns"]

_TOLERANCE = 1e-7
_CLEARLY_REGULAR = 1e-4
_BLOCK = 10_000


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
    norms = np.sqrt(gram.diagonal())
    if _clearly_regular(gram, norms):
        return np.arange(len(norms))
    kept = np.arange(len(norms))
    # R has the cross-products of X's columns, so dropping one of them never needs the rows again.
    R: Any = _triangle(X, np.where(norms > 0, norms, 1.0))
    Q: Any = np.eye(len(norms))
    place = 0
    while place < len(kept):
        if abs(R[place, place]) < _TOLERANCE:
            Q, R = linalg.qr_delete(Q, R, place, which="col", overwrite_qr=True)
            kept = np.delete(kept, place)
        else:
            place += 1
    return kept


def _triangle(X: Floats, norms: Floats) -> Floats:
    """R of QR = X with columns of length one, shape (p, p), from some rows at a time so that X is never copied."""
    p = len(norms)
    R = np.zeros((p, p))
    step = max(_BLOCK, 4 * p)
    for start in range(0, len(X), step):
        R = np.asarray(np.linalg.qr(np.vstack([R, X[start : start + step] / norms]), mode="r"))
    return R


def _clearly_regular(gram: Floats, norms: Floats) -> bool:
    """A cheap yes from the Gram matrix: it loses half the digits, so only far from the tolerance is it believed."""
    try:
        L = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return False
    return bool((L.diagonal() > _CLEARLY_REGULAR * norms).all())
