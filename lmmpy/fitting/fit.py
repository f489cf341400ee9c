"""From a criterion to θ̂: start, Newton steps, the boundary, and a record of it all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Unstructured
from lmmpy.design import Design
from lmmpy.engines import Criterion, Evaluation
from lmmpy.errors import ModelError
from lmmpy.fitting.boundary import canonical
from lmmpy.fitting.control import Control
from lmmpy.fitting.saturation import is_at_limit
from lmmpy.fitting.search import Search, on_boundary, slack
from lmmpy.fitting.start import start_values, typical_scale
from lmmpy.fitting.trust_region import Step

if TYPE_CHECKING:
    from lmmpy.fitting.convergence import ConvergenceReport

__all__ = ["Optimum", "fit_theta", "hold_theta", "own_theta", "refit_theta"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Constrained(Protocol):
    """What an optimum under constraints must know to be found again; see `constrained_fit.Constraint`."""

    @property
    def sigma(self) -> float:
        """The residual standard deviation."""

    @property
    def value(self) -> float:
        """−2 log-likelihood."""

    @property
    def n_parameters(self) -> int:
        """Covariance parameters that are estimated, σ among them."""

    @property
    def fixes_scale(self) -> bool:
        """Whether σ is another than that of the sum of squares."""

    def flat(self, criterion: Criterion) -> tuple[str, ...]:
        """Combinations of free parameters that the data say nothing about."""

    def report(self, criterion: Criterion, optimum: Optimum) -> ConvergenceReport:
        """How good the optimum is."""

    def refit(self, criterion: Criterion, optimum: Optimum, control: Control) -> Optimum:
        """The optimum of another criterion under the same constraints."""


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
    log : tuple of Step
        Every evaluation of the criterion, in order.
    orthogonal : Optimum or None
        The same in the coordinates of the engine, where the search took place; None when they are those of the model.
    saturated : bool
        Whether the residual variance is zero, as far as numbers go: θ is very large.
    constraint : Constrained or None
        What held parameters at values or tied them; None when nothing did.
    adrift : bool
        Whether the search stopped where parameters had grown far beyond their typical sizes; see `fit_theta`.
    """

    theta: Floats
    evaluation: Evaluation
    converged: bool
    on_boundary: Mask
    held: bool
    restarts: int
    log: tuple[Step, ...]
    orthogonal: Optimum | None = None
    saturated: bool = False
    constraint: Constrained | None = None
    adrift: bool = False

    @property
    def at_boundary(self) -> bool:
        """Whether a factor is singular, or no residual variance is left."""
        return self.saturated or bool(self.on_boundary.any())

    @property
    def value(self) -> float:
        """−2 log-likelihood, at the σ that constraints leave where they concern it."""
        return self.evaluation.value if self.constraint is None else self.constraint.value

    def sigma(self, profiled: float) -> float:
        """σ, given that of the sum of squares."""
        return profiled if self.constraint is None else self.constraint.sigma

    @property
    def evaluations(self) -> int:
        """How often the criterion was computed."""
        return len(self.log)


def hold_theta(criterion: Criterion, theta: Floats) -> Optimum:
    """The record of a θ that is known."""
    evaluation = criterion.evaluate(theta, 2)
    log = (Step(theta, evaluation.value, True, "start"),)
    return Optimum(theta, evaluation, True, np.zeros(len(theta), dtype=bool), True, 0, log)


def refit_theta(criterion: Criterion, optimum: Optimum, control: Control) -> Optimum:
    """
    Minimise a criterion that is like one whose optimum is known: that of the same model for another response.

    Parameters
    ----------
    criterion : Criterion
    optimum : Optimum
        Of the other one; a θ that was given, not estimated, is held.
    control : Control

    Returns
    -------
    Optimum
    """
    if optimum.held:
        return hold_theta(criterion, optimum.theta)
    if optimum.constraint is not None:
        return optimum.constraint.refit(criterion, optimum, control)
    return fit_theta(criterion, control, near=None if optimum.at_boundary else optimum.theta)


def fit_theta(
    criterion: Criterion,
    control: Control,
    start: Floats | None = None,
    near: Floats | None = None,
    *,
    wander: bool = True,
) -> Optimum:
    """
    Minimise a criterion over θ.

    Parameters
    ----------
    criterion : Criterion
    control : Control
    start : ndarray, shape (n_theta,), optional
        Default: moment estimates from the data.
    near : ndarray, shape (n_theta,), optional
        Where the optimum is expected, instead of the moment estimates; not to be relied upon as a `start` is.
    wander : bool
        Whether to go on where parameters grow far beyond their typical sizes, beside a structured residual; else the
        optimum is `adrift`.

    Returns
    -------
    Optimum

    Raises
    ------
    ModelError
        When the criterion cannot be computed at the start.
    """
    start = None if start is None else checked_start(start, criterion.design)
    if not criterion.design.n_theta:  # nothing but β and σ is unknown
        optimum = replace(hold_theta(criterion, np.empty(0)), held=False)
        _require_value(optimum.value, optimum.theta)
        return optimum
    inner = criterion.orthogonal()
    if inner is criterion:
        return _fit(criterion, control, start, near, wander)
    start, near = (None if theta is None else _turned(criterion, theta, back=False) for theta in (start, near))
    return _in_own_coordinates(criterion, _fit(inner, control, start, near, wander))


def own_theta(criterion: Criterion, theta: Floats) -> Floats:
    """θ of the model, given that of the engine's coordinates."""
    return _turned(criterion, theta, back=True)


def _turned(criterion: Criterion, theta: Floats, back: bool) -> Floats:
    """θ in other coordinates: of R T, or of R⁻¹T."""
    design, found = criterion.design, []
    for term, part, R in zip(design.random, design.split_theta(theta), criterion.bases, strict=True):
        structure = term.structure
        if R is None or not isinstance(structure, Unstructured):
            found.append(part)
            continue
        T = structure.factor(part).T
        turned = np.asarray(np.linalg.solve(R, T) if back else R @ T, dtype=float)
        found.append(structure.from_factor(turned))
    return np.concatenate([*found, theta[design.n_theta_random :]])


def _in_own_coordinates(criterion: Criterion, optimum: Optimum) -> Optimum:
    """The record of a search in the engine's coordinates, told in those of the model."""
    theta = own_theta(criterion, optimum.theta)
    evaluation = criterion.evaluate(theta, 2)
    log = [replace(step, theta=own_theta(criterion, step.theta)) for step in optimum.log]
    log.append(Step(theta, evaluation.value, True, "equivalent"))
    boundary = on_boundary(criterion, theta)
    return Optimum(
        theta,
        evaluation,
        optimum.converged,
        boundary,
        False,
        optimum.restarts,
        tuple(log),
        optimum,
        optimum.saturated,
        adrift=optimum.adrift,
    )


def _fit(criterion: Criterion, control: Control, start: Floats | None, near: Floats | None, wander: bool) -> Optimum:
    search = Search(criterion, control, typical_scale(criterion), wander)
    try:
        return _searched(search, start, near)
    finally:
        search.progress.close()


def _searched(search: Search, start: Floats | None, near: Floats | None) -> Optimum:
    criterion = search.criterion
    suggested, others = start_values(criterion)
    if start is not None:
        minimum = search.descend(start)
    elif near is not None:
        minimum = search.descend(near)
        if not np.isfinite(minimum.evaluation.value):
            minimum = search.descend(*search.approach(suggested))
    else:
        minimum = search.descend(*search.approach(suggested))
    _require_value(minimum.evaluation.value, search.log[0].theta)
    if start is None and not search.adrift and search.may_be_local(minimum):
        for other in others:
            if search.left() <= 0:  # a minimum, but who knows of which valley
                minimum = replace(minimum, converged=False)
                break
            rival = search.descend(*search.approach(other))
            if rival.evaluation.value < minimum.evaluation.value - slack(minimum):
                minimum = rival
    theta, boundary = minimum.theta, on_boundary(criterion, minimum.theta)
    log, m = tuple(search.log), search.design.n_theta_random
    saturated = search.held_far and is_at_limit(theta, search.scale, m)
    return Optimum(
        theta,
        minimum.evaluation,
        minimum.converged,
        boundary,
        False,
        search.restarts,
        log,
        saturated=saturated,
        adrift=search.adrift,
    )


def _require_value(value: float, theta: Floats) -> None:
    """Refuse a model whose criterion cannot be computed where a search begins."""
    if np.isfinite(value):
        return
    if not len(theta):
        raise ModelError(
            "The criterion cannot be computed: the covariance of the residuals is singular, as that of identical twins "
            "in a known one is. Leave one of such rows out, or add a random effect that tells them apart."
        )
    raise ModelError(
        f"The criterion cannot be computed at the start values {theta.tolist()}: the system is not positive definite. "
        "Look for predictors on wildly different scales and for rows with equal residuals, such as those of identical "
        "twins in a known covariance; or give lmer another start=."
    )


def checked_start(start: Floats, design: Design) -> Floats:
    """A start that the user gave, as numbers within their bounds."""
    size = design.n_theta
    try:
        theta = np.asarray(start, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise ModelError(f"start must hold {size} finite numbers, one a covariance parameter; got {start!r}.") from None
    if theta.shape != (size,) or not np.isfinite(theta).all():
        raise ModelError(f"start must hold {size} finite numbers, one a covariance parameter; got {start!r}.")
    if (theta < design.lower).any():
        theta = canonical(design, theta)  # the sign of a standard deviation means nothing
        for i in np.flatnonzero(theta < design.lower):
            raise ModelError(f"start[{i}] is {theta[i]:g}, and that parameter is {design.lower[i]:g} at least.")
    return theta
