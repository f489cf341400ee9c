"""How the covariance T Tᵀ of one level changes: along parameters in which it is linear, where there are such."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmmpy.covariance.base import CovarianceStructure, Factor, Floats
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.covariance.diagonal import Diagonal
from lmmpy.covariance.unstructured import Unstructured

__all__ = ["Directions", "covariance_directions", "covariance_slopes"]


@dataclass(frozen=True, slots=True)
class Directions:
    """First and second derivatives of T Tᵀ in some parameters.

    Attributes
    ----------
    first : ndarray, shape (m, k, k)
    second : ndarray, shape (m, m, k, k), or None
        None where T Tᵀ is linear in the parameters.
    """

    first: Floats
    second: Floats | None = None


def covariance_directions(structure: CovarianceStructure, theta: Floats) -> Directions:
    """
    Derivatives of T Tᵀ in its variances and covariances where it is linear in them, else in θ.

    Linear are `us`, `diag`, and `cs` with one variance; `ar1`, and `cs` with several variances, are not.

    Parameters
    ----------
    structure : CovarianceStructure
    theta : ndarray, shape (n_theta,)

    Returns
    -------
    Directions
    """
    k = structure.k
    eye = np.eye(k)
    if isinstance(structure, Unstructured):
        rows, columns = np.tril_indices(k)
        first = np.zeros((len(rows), k, k))
        place = np.arange(len(rows))
        first[place, rows, columns] = first[place, columns, rows] = 1.0
        return Directions(first)
    if k == 1 or (isinstance(structure, Diagonal) and structure.homogeneous):
        return Directions(eye[None])
    if isinstance(structure, Diagonal):
        return Directions(np.einsum("ia,ib->iab", eye, eye))
    if isinstance(structure, OneCorrelation) and structure.homogeneous and not structure.ordered:
        return Directions(np.array([eye, np.ones((k, k)) - eye]))
    factor = structure.factor(theta)
    half = np.einsum("iac,jbc->ijab", factor.dT, factor.dT)
    if factor.d2T is not None:
        half = half + factor.d2T @ factor.T.T
    return Directions(covariance_slopes(factor), half + half.transpose(0, 1, 3, 2))


def covariance_slopes(factor: Factor) -> Floats:
    """∂(T Tᵀ)/∂θ_i, shape (n_theta, k, k)."""
    half = factor.dT @ factor.T.T
    return np.asarray(half + half.transpose(0, 2, 1))
