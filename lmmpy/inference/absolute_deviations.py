"""Coordinates in which no residual variance is a place like any other: (θσ, σ) instead of (θ, log σ).

Beside related levels a likelihood may reach its maximum, or the edge of its region, where σ = 0 and θ is infinite.
There the likelihood is that of θ very large, and even in σ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Diagonal, Indexed, RowStructure, Unstructured
from lmmpy.design import Design

__all__ = ["AsTheyAre", "Chart", "Deviations", "chart_of"]

Floats = NDArray[np.float64]

# σ as a share of the largest deviation, in typical sizes, that stands for zero.
_NONE = 1e-4


@dataclass(frozen=True, eq=False, slots=True)
class AsTheyAre:
    """(θ, log σ) itself."""

    def to_x(self, y: Floats) -> tuple[Floats, Floats]:
        """X = (θ, log σ), shape (m,), and ∂x/∂y, shape (m, m)."""
        return y, np.eye(len(y))

    def of(self, theta: Floats, sigma: float) -> Floats:
        """Y at θ and σ."""
        return np.append(theta, math.log(sigma))


@dataclass(frozen=True, eq=False, slots=True)
class Deviations:
    """y = (θσ, σ), for factors that are linear in θ; other parameters, such as an autocorrelation, stay as they are.

    Attributes
    ----------
    scale : ndarray, shape (n_theta,)
        A typical size of each θ.
    linear : ndarray of bool, shape (n_theta,)
        Which of them are relative deviations.
    """

    scale: Floats
    linear: NDArray[np.bool_]

    def to_x(self, y: Floats) -> tuple[Floats, Floats]:
        """X = (θ, log σ), shape (m,), and ∂x/∂y, shape (m, m); without slope in σ where that is next to nothing."""
        size = len(y) - 1
        least = _NONE * float(np.abs((y[:-1] / self.scale)[self.linear]).max())
        sigma = max(abs(float(y[-1])), least)
        if sigma == 0.0:
            return np.append(np.zeros(size), -math.inf), np.zeros((size + 1, size + 1))
        theta = np.where(self.linear, y[:-1] / sigma, y[:-1])
        jacobian = np.zeros((size + 1, size + 1))
        jacobian[:size, :size] = np.diag(np.where(self.linear, 1.0 / sigma, 1.0))
        if abs(float(y[-1])) >= least:
            along = math.copysign(1.0, float(y[-1])) / sigma
            jacobian[:size, size] = np.where(self.linear, -theta * along, 0.0)
            jacobian[size, size] = along
        return np.append(theta, math.log(sigma)), jacobian

    def of(self, theta: Floats, sigma: float) -> Floats:
        """Y at θ and σ."""
        return np.append(np.where(self.linear, theta * sigma, theta), sigma)


Chart = AsTheyAre | Deviations


def chart_of(design: Design, scale: Floats) -> Chart:
    """
    The coordinates that suit a design.

    Parameters
    ----------
    design : Design
    scale : ndarray, shape (n_theta,)
        A typical size of each θ.
    """
    related = any(not term.relatedness.is_identity for term in design.random)
    random = [isinstance(t.structure, Unstructured | Diagonal) or t.structure.k == 1 for t in design.random]
    if not (related and all(random)):
        return AsTheyAre()
    linear = [True] * design.n_theta_random
    for rows in design.row_covariances:
        linear += [_in_deviations(rows.structure)] * rows.structure.n_theta
    return Deviations(scale, np.array(linear))


def _in_deviations(structure: RowStructure) -> bool:
    """Whether a covariance between rows is that of a factor linear in its parameters, all of them deviations."""
    if not isinstance(structure, Indexed):
        return False
    inner = structure.structure
    return isinstance(inner, Unstructured) or (isinstance(inner, Diagonal) and not inner.homogeneous)
