"""Which columns of X are determined by those before them."""

from __future__ import annotations

import numpy as np

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
    # R has the cross-products of X's columns, so dropping one of them never needs the rows again.
    R = _triangle(X[:, kept] / norms[kept])
    columns = np.arange(len(kept))
    while len(columns):
        diagonal = np.abs(np.diag(_triangle(R[:, columns])))
        residual = np.zeros(len(columns))
        residual[: len(diagonal)] = diagonal
        dependent = np.flatnonzero(residual < _TOLERANCE)
        if not len(dependent):
            break
        columns = np.delete(columns, dependent[0])
    return kept[columns]


def _triangle(A: Floats) -> Floats:
    """R of A = QR, without Q."""
    return np.asarray(np.linalg.qr(A, mode="r"))


def _clearly_regular(gram: Floats) -> bool:
    """A cheap yes from the Gram matrix: it loses half the digits, so only far from the tolerance is it believed."""
    try:
        L = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return False
    return bool(np.all(np.diag(L) > _CLEARLY_REGULAR))
