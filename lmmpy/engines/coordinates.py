"""Coordinates in which the effects of an unstructured term are orthogonal.

An unstructured covariance stays one under any change of basis of its columns, values = V R and b' = R b, T' = R T. With
V orthonormal over the rows, intercept and slope are told apart as well for a predictor far from zero (a year, an
altitude) as for a centred one: factorisations lose no digits, and a search takes the same steps.

Rows whose residuals are of very different sizes, such as those of several traits, are weighted for the same reason.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Unstructured
from lmmpy.design import Design, RandomEffects

__all__ = ["orthogonal_design", "with_typical_weights"]

Floats = NDArray[np.float64]

_ORTHOGONAL_ENOUGH, _COLLINEAR = 30.0, 1e-9


def orthogonal_design(design: Design) -> tuple[Design, tuple[Floats | None, ...]]:
    """
    Turn the columns of unstructured terms, where that is worth it.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Design
        With orthonormal columns in terms that were turned.
    tuple of ndarray, each of shape (k, k), or None
        R of each term, upper triangular; None for a term that was left as it is.
    """
    bases = tuple(_basis(term, design.weights) for term in design.random)
    if all(R is None for R in bases):
        return design, bases
    turned = [
        term if R is None else replace(term, values=np.ascontiguousarray(term.values @ np.linalg.inv(R)))
        for term, R in zip(design.random, bases, strict=True)
    ]
    return replace(design, random=tuple(turned)), bases


def _basis(term: RandomEffects, weights: Floats | None) -> Floats | None:
    if term.k == 1 or not isinstance(term.structure, Unstructured):
        return None
    values = term.values if weights is None else term.values * np.sqrt(weights)[:, None]
    gram = values.T @ values
    length = np.sqrt(np.diag(gram))
    if not (length > 0).all() or np.linalg.cond(gram / np.outer(length, length)) <= _ORTHOGONAL_ENOUGH:
        return None
    _, R = np.linalg.qr(values / length)
    R *= np.sign(np.diag(R))[:, None]
    # Columns that nothing tells apart are left to the convergence report, which names them.
    return R * length / np.sqrt(len(values)) if np.abs(np.diag(R)).min() > _COLLINEAR else None


def with_typical_weights(design: Design) -> Design:
    """
    The design with the weights with which an engine computes, w/s², s the typical standard deviations of its residual.

    With them traits of very different units keep their digits, and the residual is r_ij/(s_i s_j) between rows. The
    likelihood does not depend on s.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Design
        The same but for its weights; itself where all s are one.
    """
    if design.residual is None or np.all(design.residual.typical == 1.0):
        return design
    precision = 1.0 / design.residual.typical**2
    return replace(design, weights=precision if design.weights is None else design.weights * precision)
