"""Coordinates in which no residual variance is a place like any other: (θσ, σ) instead of (θ, log σ).

Beside related levels a likelihood may reach its maximum, or the edge of its region, where σ = 0 and θ is infinite.
There the likelihood is that of θ very large, and even in σ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Diagonal, Unstructured
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
    """y = (θσ, σ), for factors that are linear in θ.

    Attributes
    ----------
    scale : ndarray, shape (n_theta,)
        A typical size of each θ.
    """

    scale: Floats

    def to_x(self, y: Floats) -> tuple[Floats, Floats]:
        """X = (θ, log σ), shape (m,), and ∂x/∂y, shape (m, m); without slope in σ where that is next to nothing."""
        size = len(y) - 1
        least = _NONE * float(np.abs(y[:-1] / self.scale).max())
        sigma = max(abs(float(y[-1])), least)
        if sigma == 0.0:
            return np.append(np.zeros(size), -math.inf), np.zeros((size + 1, size + 1))
        jacobian = np.zeros((size + 1, size + 1))
        jacobian[:size, :size] = np.eye(size) / sigma
        if abs(float(y[-1])) >= least:
            along = math.copysign(1.0, float(y[-1])) / sigma
            jacobian[:size, size] = -y[:-1] / sigma * along
            jacobian[size, size] = along
        return np.append(y[:-1] / sigma, math.log(sigma)), jacobian

    def of(self, theta: Floats, sigma: float) -> Floats:
        """Y at θ and σ."""
        return np.append(theta * sigma, sigma)


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
    linear = all(isinstance(t.structure, Unstructured | Diagonal) or t.structure.k == 1 for t in design.random)
    return Deviations(scale) if related and linear else AsTheyAre()
