"""Coordinates in which no residual variance is a place like any other: (θσ, σ) instead of (θ, log σ).

Beside related levels a likelihood may reach its maximum, or the edge of its region, where σ = 0 and θ is infinite.
There the likelihood is that of θ very large, and even in σ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import (
    CovarianceStructure,
    Diagonal,
    Indexed,
    Product,
    RandomFunction,
    RowStructure,
    Unstructured,
)
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.covariance.deviations import LogLinear
from lmmpy.design import Design

__all__ = ["AsTheyAre", "Chart", "Deviations", "Sizes", "chart_of", "faces_of"]

Floats = NDArray[np.float64]

# σ as a share of the largest deviation, in typical sizes, that stands for zero.
_NONE = 1e-4
# |log σ| beyond any that a search should try.
_FAR = 300.0


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


@dataclass(frozen=True, eq=False, slots=True)
class Sizes:
    """
    y = (θσ, log σ), for a residual variance that is a function of a covariate.

    There σ is the standard deviation where the function is one. Far from the data it goes up and down with a power by
    orders of magnitude, and θ with it, while the deviations θσ stay where they are, and log σ follows the power on a
    line.

    Attributes
    ----------
    linear : ndarray of bool, shape (n_theta,)
        Which θ are relative deviations.
    """

    linear: NDArray[np.bool_]

    def to_x(self, y: Floats) -> tuple[Floats, Floats]:
        """X = (θ, log σ), shape (m,), and ∂x/∂y, shape (m, m)."""
        by = math.exp(min(max(-float(y[-1]), -_FAR), _FAR))
        theta = np.where(self.linear, y[:-1] * by, y[:-1])
        jacobian = np.diag(np.append(np.where(self.linear, by, 1.0), 1.0))
        jacobian[:-1, -1] = np.where(self.linear, -theta, 0.0)
        return np.append(theta, y[-1]), jacobian

    def of(self, theta: Floats, sigma: float) -> Floats:
        """Y at θ and σ."""
        return np.append(np.where(self.linear, theta * sigma, theta), math.log(sigma))


Chart = AsTheyAre | Deviations | Sizes


def chart_of(design: Design, scale: Floats) -> Chart:
    """
    The coordinates that suit a design.

    Parameters
    ----------
    design : Design
    scale : ndarray, shape (n_theta,)
        A typical size of each θ.
    """
    if any(_is_function(rows.structure) for rows in design.row_covariances):
        return Sizes(np.concatenate([_deviations(structure) for structure in design.structures]))
    related = any(not term.relatedness.is_identity for term in design.random)
    random = [isinstance(t.structure, Unstructured | Diagonal) or t.structure.k == 1 for t in design.random]
    if not (related and all(random)):
        return AsTheyAre()
    linear = [True] * design.n_theta_random
    for rows in design.row_covariances:
        linear += [_in_deviations(rows.structure)] * rows.structure.n_theta
    return Deviations(scale, np.array(linear))


def faces_of(design: Design) -> list[NDArray[np.intp]]:
    """
    The parameters that are zero where a variance of a random effect is: each set once.

    Parameters
    ----------
    design : Design
    """
    masks, start = [], 0
    for term in design.random:
        structure, sizes = term.structure, np.zeros(design.n_theta, dtype=bool)
        sizes[start : start + structure.n_theta] = _deviations(structure)
        rows = np.zeros((term.k, design.n_theta), dtype=bool)
        slopes = structure.factor(structure.start(np.ones(term.k))).dT
        rows[:, start : start + structure.n_theta] = slopes.any(axis=2).T
        masks += [row & sizes for row in rows]
        start += structure.n_theta
    for rows_covariance in design.row_covariances:
        mask = np.zeros(design.n_theta, dtype=bool)
        mask[start : start + rows_covariance.structure.n_theta] = _deviations(rows_covariance.structure)
        masks.append(mask)
        start += rows_covariance.structure.n_theta
    faces = {mask.tobytes(): np.flatnonzero(mask) for mask in masks if mask.any()}
    return list(faces.values())


def _is_function(structure: RowStructure) -> bool:
    """Whether a part of a residual covariance is a function of a number."""
    parts = structure.parts if isinstance(structure, Product) else (structure,)
    return any(isinstance(part, LogLinear) for part in parts)


def _deviations(structure: CovarianceStructure | RowStructure) -> NDArray[np.bool_]:
    """Which parameters of a random term or function are deviations relative to σ; of a residual none is."""
    found = np.zeros(structure.n_theta, dtype=bool)
    if isinstance(structure, Unstructured | Diagonal):
        found[:] = True
    elif isinstance(structure, OneCorrelation):
        found[: structure.n_sd] = True
    elif isinstance(structure, RandomFunction):
        found[0] = True
    return found


def _in_deviations(structure: RowStructure) -> bool:
    """Whether a covariance between rows is that of a factor linear in its parameters, all of them deviations."""
    if not isinstance(structure, Indexed):
        return False
    inner = structure.structure
    return isinstance(inner, Unstructured) or (isinstance(inner, Diagonal) and not inner.homogeneous)
