"""Coordinates of a random term in which the effects whose parameter is held come first, and apart from the others.

The columns of an unstructured term may be orthogonal in the engine, values = V R (see `engines.coordinates`). With the
effects in the order o, those that are held first, the same columns are values[o] = V Q L, Q orthogonal and L lower
triangular: b'' = L b[o] is orthogonal too, and its first entry is L_11 times the first effect, its second one concerns
no more than the first two. However far a predictor is from zero, its effect alone and the pair with the intercept are
thus held without loss of digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from lmmpy.covariance import Unstructured
from lmmpy.engines import Criterion, make_criterion
from lmmpy.fitting.saturation import may_saturate
from lmmpy.fitting.start import typical_scale

__all__ = ["Coordinates", "Order", "coordinates", "in_order"]

Floats = NDArray[np.float64]

# In typical sizes of θ, far from any that is estimated and near to what stands for infinity.
_FAR = 3e3


@dataclass(frozen=True, eq=False, slots=True)
class Coordinates:
    """
    A model in the coordinates of its engine.

    Attributes
    ----------
    own : Criterion
        As a function of the model's θ.
    criterion : Criterion
        The same as a function of θ' (`Criterion.orthogonal`).
    own_theta, theta : ndarray, shape (n_theta,)
        θ and θ' of one covariance.
    """

    own: Criterion
    criterion: Criterion
    own_theta: Floats
    theta: Floats

    @property
    def turned(self) -> bool:
        """Whether they differ from those of the model."""
        return self.criterion is not self.own

    @property
    def far(self) -> bool:
        """Whether next to nothing is left to the residual beside related levels."""
        size = np.abs(self.theta / typical_scale(self.criterion)).max(initial=0.0)
        return bool(size > _FAR) and may_saturate(self.criterion.design)

    def back(self, theta: Floats, held: int | None = None, order: Order | None = None) -> Floats:
        """θ of the model at a θ', one term of which may have its effects in another order."""
        if not self.turned and order is None:
            return theta
        parts = self.own.design.split_theta(theta)
        for t, (term, R) in enumerate(zip(self.own.design.random, self.own.bases, strict=True)):
            structure = term.structure
            if order is not None and t == held:
                parts[t] = order.back(parts[t])
            elif R is not None and isinstance(structure, Unstructured):
                parts[t] = structure.from_factor(solve_triangular(R, structure.factor(parts[t]).T))
        return np.concatenate([*parts, theta[self.own.design.n_theta_random :]])


def coordinates(criterion: Criterion, theta: Floats) -> Coordinates:
    """
    Those of the engine at a θ of the model.

    Parameters
    ----------
    criterion : Criterion
    theta : ndarray, shape (n_theta,)
    """
    inner = criterion.orthogonal()
    if inner is criterion:
        return Coordinates(criterion, criterion, theta, theta)
    parts = criterion.design.split_theta(theta)
    for t, (term, R) in enumerate(zip(criterion.design.random, criterion.bases, strict=True)):
        if R is not None and isinstance(term.structure, Unstructured):
            parts[t] = term.structure.from_factor(R @ term.structure.factor(parts[t]).T)
    parts.append(theta[criterion.design.n_theta_random :])
    return Coordinates(criterion, inner, theta, np.concatenate(parts))


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """
    The effects of an unstructured term in an order that suits a chart.

    Attributes
    ----------
    effects : tuple of int
        Their places in the model.
    L : ndarray, shape (k, k), or None
        Lower triangular, positive on the diagonal: b'' = L b[effects]; None for the effects themselves.
    """

    effects: tuple[int, ...]
    L: Floats | None

    @property
    def size(self) -> float:
        """L_11, by which the first standard deviation is multiplied."""
        return 1.0 if self.L is None else float(self.L[0, 0])

    @property
    def tilt(self) -> float | None:
        """L_21/L_11, how much of the first effect the second coordinate has; None for the effects themselves."""
        return None if self.L is None else float(self.L[1, 0] / self.L[0, 0])

    def there(self, theta: Floats) -> Floats:
        """The term's θ in this order, given that of the model."""
        structure = Unstructured(len(self.effects))
        T = structure.factor(theta).T[list(self.effects)]
        return structure.from_factor(T if self.L is None else self.L @ T)

    def back(self, theta: Floats) -> Floats:
        """The term's θ of the model."""
        structure = Unstructured(len(self.effects))
        T = structure.factor(theta).T
        T = T if self.L is None else solve_triangular(self.L, T, lower=True)
        return structure.from_factor(T[np.argsort(self.effects)])


def in_order(at: Coordinates, t: int, effects: tuple[int, ...]) -> tuple[Criterion, Floats, Order | None]:
    """
    The criterion with the effects of an unstructured term in another order.

    Parameters
    ----------
    at : Coordinates
    t : int
        The term.
    effects : tuple of int
        Places of its effects, those that are held first.

    Returns
    -------
    criterion : Criterion
    theta : ndarray, shape (n_theta,)
        Of that criterion.
    order : Order or None
        None when it is that of the model.
    """
    R = at.own.bases[t]
    if R is None and effects == tuple(range(len(effects))):
        return at.criterion, at.theta, None
    design = at.criterion.design
    term = design.random[t]
    if R is None:
        order, values = Order(effects, None), term.values[:, list(effects)]
    else:
        Q, U = np.linalg.qr(R[:, effects[::-1]])
        sign = np.where(np.diag(U) < 0, -1.0, 1.0)
        order = Order(effects, (U * sign[:, None])[::-1, ::-1])
        values = term.values @ (Q * sign)[:, ::-1]
    columns = tuple(at.own.design.random[t].columns[i] for i in effects)
    turned = replace(term, columns=columns, values=np.ascontiguousarray(values))
    random = (*design.random[:t], turned, *design.random[t + 1 :])
    parts = design.split_theta(at.theta)
    parts[t] = order.there(at.own.design.split_theta(at.own_theta)[t])
    other = make_criterion(replace(design, random=random), at.criterion.reml, at.criterion.name)
    return other, np.concatenate(parts), order
