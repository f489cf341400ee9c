"""From a criterion to θ̂: start, Newton steps, the boundary, and a record of it all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import ENGINES, Criterion, Evaluation
from lmmpy.errors import ModelError, shown
from lmmpy.fitting.boundary import canonical, descent_from_zero, near_boundary, pinned
from lmmpy.fitting.start import start_values, typical_scale
from lmmpy.fitting.trust_region import Minimum, Step, minimise

__all__ = ["Control", "Optimum", "fit_theta", "hold_theta"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_RESTARTS = 5
_SNAP = 0.05
_LEAP = 0.3
_COARSE, _COST = 1e-7, 1e-9


@dataclass(frozen=True, slots=True)
class Control:
    """How to fit.

    Attributes
    ----------
    tolerance : float
        Stop when the next step promises to lower the criterion by less than this.
    max_evaluations : int
        Give up, with a warning, after so many evaluations.
    check_sizes : {"stop", "ignore"}
        Whether to refuse models with as many random effects as observations.
    engine : {"auto", "sparse"}
        How the criterion is computed.
    """

    tolerance: float = 1e-14
    max_evaluations: int = 500
    check_sizes: str = "stop"
    engine: str = "auto"

    def __post_init__(self) -> None:
        numbers = isinstance(self.tolerance, float | int) and isinstance(self.max_evaluations, int)
        if not numbers or not self.tolerance > 0 or self.max_evaluations < 1:
            raise ModelError("control: tolerance must be positive and max_evaluations at least 1.")
        if self.check_sizes not in ("stop", "ignore"):
            raise ModelError(f"control: check_sizes is 'stop' or 'ignore', not {self.check_sizes!r}.")
        engines = ("auto", *ENGINES)
        if self.engine not in engines:
            raise ModelError(f"control: engine is one of {shown(engines)}, not {self.engine!r}.")


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the criterion is least, and how that was found.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
        Canonical: no negative standard deviation; exact zeros on the boundary.
    evaluation : Evaluation
        Value, gradient and average information there.
    converged : bool
        Whether the optimiser's own stopping rule was met.
    on_boundary : ndarray of bool, shape (n_theta,)
        Parameters at a value that makes a factor singular.
    held : bool
        Whether θ was given, not estimated.
    restarts : int
        How often a zero was left because the criterion falls away from it.
    evaluations : int
        How often the criterion was computed in all, probes of the boundary included.
    log : tuple of Step
        Every step that the optimiser tried.
    """

    theta: Floats
    evaluation: Evaluation
    converged: bool
    on_boundary: Mask
    held: bool
    restarts: int
    evaluations: int
    log: tuple[Step, ...]


def hold_theta(criterion: Criterion, theta: Floats) -> Optimum:
    """The record of a θ that is known."""
    evaluation = criterion.evaluate(theta, 2)
    return Optimum(theta, evaluation, True, np.zeros(len(theta), dtype=bool), True, 0, 1, ())


def fit_theta(criterion: Criterion, control: Control, start: Floats | None = None) -> Optimum:
    """
    Minimise a criterion over θ.

    Parameters
    ----------
    criterion : Criterion
    control : Control
    start : ndarray, shape (n_theta,), optional
        Default: moment estimates from the data.

    Returns
    -------
    Optimum

    Raises
    ------
    ModelError
        When the criterion cannot be computed at the start.
    """
    design = criterion.design
    scale = typical_scale(design, criterion.products)
    suggested, others = start_values(design, criterion.products)
    search = _Search(criterion, control, scale)
    minimum = search.descend(suggested if start is None else _checked(start, design.n_theta))
    if not np.isfinite(minimum.evaluation.value):
        raise ModelError(
            f"The criterion cannot be computed at the start values {search.log[0].theta.tolist()}: the system is not "
            "positive definite. Look for predictors on wildly different scales, or give start=."
        )
    if start is None and search.may_be_local(minimum):
        for other in others:
            if search.left() <= 0:
                break
            rival = search.descend(other)
            if rival.evaluation.value < minimum.evaluation.value - 1e-9 * (1.0 + abs(minimum.evaluation.value)):
                minimum = rival
    theta = minimum.theta
    boundary = np.zeros(len(theta), dtype=bool)
    boundary[search.on_boundary(theta)] = True
    return Optimum(
        theta,
        minimum.evaluation,
        minimum.converged,
        boundary,
        False,
        search.restarts,
        search.evaluations,
        tuple(search.log),
    )


def _checked(start: Floats, size: int) -> Floats:
    try:
        theta = np.asarray(start, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise ModelError(f"start must hold {size} finite numbers, one a covariance parameter; got {start!r}.") from None
    if theta.shape != (size,) or not np.isfinite(theta).all():
        raise ModelError(f"start must hold {size} finite numbers, one a covariance parameter; got {start!r}.")
    return theta


class _Search:
    """Runs of the optimiser on one criterion, their log joined."""

    def __init__(self, criterion: Criterion, control: Control, scale: Floats) -> None:
        self.criterion, self.control, self.scale = criterion, control, scale
        self.design = criterion.design
        self.lower = np.concatenate([term.structure.lower for term in self.design.random])
        self.log: list[Step] = []
        self.restarts, self.evaluations = 0, 0

    def evaluate(self, theta: Floats, order: int) -> Evaluation:
        """The criterion, counted."""
        self.evaluations += 1
        return self.criterion.evaluate(theta, order)

    def left(self) -> int:
        """How many evaluations are still allowed."""
        return self.control.max_evaluations - self.evaluations

    def descend(self, start: Floats) -> Minimum:
        """From a start to a minimum that no zero hides: search, settle, leave a zero where that is downhill, polish."""
        minimum = self.run(start, np.ones(len(start), dtype=bool), _COARSE)
        if not np.isfinite(minimum.evaluation.value):
            return minimum
        for attempt in range(_RESTARTS + 1):
            minimum = self.settle(minimum)
            stuck = pinned(self.design, minimum.theta)
            direction = descent_from_zero(self.evaluate, minimum.theta, self.scale, stuck)
            if direction is None or attempt == _RESTARTS:
                break
            self.restarts += 1
            minimum = self.leave(minimum, direction)
        polished = self.run(minimum.theta, ~stuck, self.control.tolerance, minimum.evaluation)
        polished = self.at(canonical(self.design, polished.theta), polished)
        # A zero from which the criterion still falls, after all restarts, is no minimum.
        return polished if direction is None else replace(polished, converged=False)

    def may_be_local(self, minimum: Minimum) -> bool:
        """Whether other starts are worth their cost: on the boundary, or with a correlation among the parameters."""
        several = any(term.structure.several_optima for term in self.design.random)
        return several or bool(self.on_boundary(minimum.theta))

    def on_boundary(self, theta: Floats) -> list[int]:
        """Parameters exactly at a value that makes a factor singular."""
        near = near_boundary(self.design, theta, 1e-12 * self.scale)
        return [place for place, value in near if theta[place] == value]

    def run(self, theta: Floats, free: Mask, tolerance: float, known: Evaluation | None = None) -> Minimum:
        minimum = minimise(
            self.evaluate,
            theta,
            self.scale,
            self.lower,
            free,
            tolerance=max(tolerance, self.control.tolerance),
            max_evaluations=max(self.left(), known is None),
            known=known,
        )
        self.log += minimum.log
        return minimum

    def settle(self, minimum: Minimum) -> Minimum:
        """Put what is nearly on the boundary exactly on it, where that costs nothing, and refit the rest."""
        minimum = self.at(canonical(self.design, minimum.theta), minimum)
        for place, value in near_boundary(self.design, minimum.theta, _SNAP * self.scale):
            if minimum.theta[place] == value:
                continue
            snapped = minimum.theta.copy()
            snapped[place] = value
            snapped = canonical(self.design, snapped)
            evaluation = self.evaluate(snapped, 2)
            if evaluation.value <= minimum.evaluation.value + _COST * (1.0 + abs(minimum.evaluation.value)):
                minimum = self.run(snapped, ~pinned(self.design, snapped), _COARSE, evaluation)
                minimum = self.at(canonical(self.design, minimum.theta), minimum)
        return minimum

    def at(self, theta: Floats, minimum: Minimum) -> Minimum:
        """The same minimum at an equivalent θ, derivatives taken there."""
        if np.array_equal(theta, minimum.theta):
            return minimum
        return Minimum(theta, self.evaluate(theta, 2), minimum.converged, minimum.log)

    def leave(self, minimum: Minimum, direction: Floats) -> Minimum:
        """Leap off the boundary downhill and search from there."""
        leap = _LEAP
        while leap > 1e-6:
            theta = minimum.theta + leap * direction * self.scale
            theta = np.where(np.isfinite(self.lower), np.abs(theta), theta)
            if self.evaluate(theta, 0).value < minimum.evaluation.value:
                return self.run(theta, np.ones(len(theta), dtype=bool), _COARSE)
            leap *= 0.3
        return minimum
