"""Newton's method for one model and many responses, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion
from lmmpy.engines.batched import BatchedCriterion, batched_criterion
from lmmpy.engines.crossproducts import fixed_basis
from lmmpy.fitting.boundary import near_boundary
from lmmpy.fitting.fit import own_theta
from lmmpy.fitting.search import SNAP
from lmmpy.fitting.start import typical_scale

__all__ = ["Refits", "Together"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ITERATIONS = 25
_NOISE = 1e-12
# r² was a difference: with less of a share it has lost too many digits.
_LEAST_SHARE = 1e-5


@dataclass(frozen=True, eq=False, slots=True)
class Refits:
    """Refits to m responses.

    Attributes
    ----------
    theta : ndarray, shape (m, n_theta)
        In the coordinates of the model.
    beta : ndarray, shape (m, p)
    sigma : ndarray, shape (m,)
    settled : ndarray of bool, shape (m,)
        Whether the optimum was found, inside and away from the boundary; the others need a search of their own.
    """

    theta: Floats
    beta: Floats
    sigma: Floats
    settled: Mask


class Together:
    """
    Refits of a small model, many responses in one go.

    Parameters
    ----------
    criterion : Criterion
        Of the model.
    batched : BatchedCriterion
        By `Together.of`.
    start : ndarray, shape (n_theta,)
        Where the searches begin, in the engine's coordinates.
    tolerance : float
        Stop when the next step promises to lower the criterion by less than this.
    """

    def __init__(self, criterion: Criterion, batched: BatchedCriterion, start: Floats, tolerance: float) -> None:
        self._criterion, self._inner = criterion, criterion.orthogonal()
        self._batched, self._start, self._tolerance = batched, start, tolerance
        self._scale = typical_scale(self._inner)
        self._basis = fixed_basis(criterion.design)

    @classmethod
    def of(cls, criterion: Criterion, start: Floats, tolerance: float) -> Together | None:
        """The refits of a model, when it is one of those that can be refitted so; else None."""
        batched = batched_criterion(criterion.orthogonal())
        return None if batched is None else cls(criterion, batched, start, tolerance)

    def refit(self, responses: list[Floats]) -> Refits:
        """
        Refit the model to responses.

        Parameters
        ----------
        responses : list of ndarray, each of shape (n,)

        Raises
        ------
        ModelError
            When the fixed effects reproduce a response.
        """
        batch = self._batched.batch(responses, *self._basis)
        m = len(responses)
        theta, done = np.tile(self._start, (m, 1)), np.zeros(m, dtype=bool)
        beta, sigma = np.full((m, self._batched.products.p), np.nan), np.full(m, np.nan)
        share = np.zeros(m)
        active = np.arange(m)
        now = self._batched.evaluate(theta, batch)
        value, gradient, curvature, shrink = now.value, now.gradient, now.curvature, np.ones(m)
        beta[:], sigma[:], share[:] = now.beta, now.sigma, now.share
        for _ in range(_ITERATIONS):
            step, promised = self._steps(gradient[active], curvature[active])
            finished = promised <= self._tolerance
            done[active[finished]] = True
            active, step = active[~finished], step[~finished]
            if not len(active):
                break
            trial = theta[active] + shrink[active, None] * step * self._scale
            found = self._batched.evaluate(trial, batch.take(active))
            better = found.value <= value[active] + _NOISE * (1.0 + np.abs(value[active]))
            places = active[better]
            theta[places], value[places] = trial[better], found.value[better]
            gradient[places], curvature[places] = found.gradient[better], found.curvature[better]
            beta[places], sigma[places], share[places] = found.beta[better], found.sigma[better], found.share[better]
            shrink[active] = np.where(better, 1.0, 0.25 * shrink[active])
        return Refits(self._own(theta), beta, sigma, done & (share > _LEAST_SHARE) & self._inside(theta))

    def _steps(self, gradient: Floats, curvature: Floats) -> tuple[Floats, Floats]:
        """Newton steps in typical scales, no longer than one, and what they promise."""
        g = gradient * self._scale
        with np.errstate(invalid="ignore"):
            values, vectors = np.linalg.eigh(np.nan_to_num(curvature) * np.outer(self._scale, self._scale))
            size = np.maximum(np.abs(values), 1e-10 * np.maximum(1.0, np.abs(values).max(axis=1, keepdims=True)))
            along = np.einsum("mab,ma->mb", vectors, np.nan_to_num(g))
            step = -np.einsum("mab,mb->ma", vectors, along / size)
            promised = 0.5 * (along**2 / size).sum(axis=1)
            length = np.linalg.norm(step, axis=1)
        promised[~np.isfinite(gradient).all(axis=1)] = np.inf
        return step / np.maximum(length, 1.0)[:, None], promised

    def _inside(self, theta: Floats) -> Mask:
        tolerance = SNAP * self._scale
        return np.array([not near_boundary(self._inner.design, row, tolerance) for row in theta])

    def _own(self, theta: Floats) -> Floats:
        if self._inner is self._criterion:
            return theta
        return np.array([own_theta(self._criterion, row) for row in theta])
