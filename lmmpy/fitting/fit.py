"""From a criterion to θ̂: start, Newton steps, the boundary, and a record of it all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Unstructured
from lmmpy.engines import ENGINES, MARGINAL_ENGINES, Criterion, Evaluation
from lmmpy.errors import ModelError, shown
from lmmpy.fitting.boundary import canonical, descent_from_zero, near_boundary, pinned
from lmmpy.fitting.derivative_free import minimise_by_values
from lmmpy.fitting.progress import Progress
from lmmpy.fitting.saturation import DISTANT, falls_outwards, held_at_limit, is_at_limit, limit, may_saturate, outlook
from lmmpy.fitting.scoring import scoring_step
from lmmpy.fitting.start import start_values, typical_scale
from lmmpy.fitting.trust_region import Minimum, Step, minimise

__all__ = ["Control", "Optimum", "fit_theta", "hold_theta", "own_theta", "refit_theta"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# How often a zero from which the criterion falls is left before the search gives up.
_RESTARTS = 5
# What is within so many typical sizes of the boundary is tried on it; a leap off it is so long.
SNAP, _LEAP = 0.05, 0.3
# A search stops coarsely before it looks at the boundary.
_COARSE = 1e-7
# What the boundary may cost, or another start gain, for nothing: and what rounding makes of it, relatively.
_COST, _ROUNDING = 1e-6, 1e-12
# Long steps are taken while they promise more than the first; however much they gain, no more than so many.
_WORTHWHILE, _LARGE, _SCORING_STEPS = 0.3, 5.0, 6
_MINIMISERS = {"newton": minimise, "cobyqa": minimise_by_values}
_MOST_EVALUATIONS = {"newton": 500, "cobyqa": 20_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How to fit.

    Attributes
    ----------
    tolerance : float
        Stop when the next step promises to lower the criterion by less than this.
    max_evaluations : int, optional
        Give up, with a warning, after so many evaluations; by default 500, or 20,000 without derivatives.
    check_sizes : {"stop", "ignore"}
        Whether to refuse models with as many random effects as observations.
    engine : {"auto", "blocked", "blocked-dense", "blocked-sparse", "sparse", "marginal", "spectral"}
        How the criterion is computed. "blocked" eliminates the grouping factor with the most random effects level by
        level; what is left is factorised densely or sparsely, by cost or, whatever that is, as the longer names say.
        "sparse" leaves all of the system to CHOLMOD. "marginal" factorises the covariance of the rows, by families
        where they are unrelated; "spectral" reduces one relatedness to a tridiagonal matrix, once for all steps.
        "auto" is "blocked" but for very large crossed factors; with relatedness "sparse" for pedigrees and other
        sparse precisions, and one of the last two, by cost, for other kernels. The fit's `convergence.engine` names
        the one that was used, just "blocked" where nothing is left.
    optimizer : {"newton", "cobyqa"}
        Newton's method with exact derivatives; or, as a check on it, a search that asks for values only.
    progress : bool, optional
        Whether to tell on the standard error stream how far the search is. By default in a terminal, after 5 seconds.
    """

    tolerance: float = 1e-12
    max_evaluations: int | None = None
    check_sizes: str = "stop"
    engine: str = "auto"
    optimizer: str = "newton"
    progress: bool | None = None

    def __post_init__(self) -> None:
        most = self.most_evaluations
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, float | int) or not self.tolerance > 0:
            raise ModelError(f"control: tolerance must be a positive number, not {self.tolerance!r}.")
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ModelError(f"control: max_evaluations must be a whole number from 1, not {most!r}.")
        if self.check_sizes not in ("stop", "ignore"):
            raise ModelError(f"control: check_sizes is 'stop' or 'ignore', not {self.check_sizes!r}.")
        engines = ("auto", *ENGINES, *MARGINAL_ENGINES)
        if self.engine not in engines:
            raise ModelError(f"control: engine is one of {shown(engines)}, not {self.engine!r}.")
        if self.progress not in (None, True, False):
            raise ModelError(f"control: progress is True, False or None, not {self.progress!r}.")
        if self.optimizer not in _MINIMISERS:
            raise ModelError(f"control: optimizer is one of {shown(tuple(_MINIMISERS))}, not {self.optimizer!r}.")

    @property
    def most_evaluations(self) -> int:
        """`max_evaluations`, or its default."""
        return _MOST_EVALUATIONS.get(self.optimizer, 1) if self.max_evaluations is None else self.max_evaluations


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
    far = optimum.saturated or optimum.on_boundary.any()
    return fit_theta(criterion, control, near=None if far else optimum.theta)


def fit_theta(
    criterion: Criterion, control: Control, start: Floats | None = None, near: Floats | None = None
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

    Returns
    -------
    Optimum

    Raises
    ------
    ModelError
        When the criterion cannot be computed at the start.
    """
    start = None if start is None else _checked(start, criterion.design.n_theta)
    inner = criterion.orthogonal()
    if inner is criterion:
        return _fit(criterion, control, start, near)
    start, near = (None if theta is None else _turned(criterion, theta, back=False) for theta in (start, near))
    return _in_own_coordinates(criterion, _fit(inner, control, start, near))


def own_theta(criterion: Criterion, theta: Floats) -> Floats:
    """θ of the model, given that of the engine's coordinates."""
    return _turned(criterion, theta, back=True)


def _turned(criterion: Criterion, theta: Floats, back: bool) -> Floats:
    """θ in other coordinates: of R T, or of R⁻¹T."""
    structures = [term.structure for term in criterion.design.random]
    parts = np.split(theta, np.cumsum([structure.n_theta for structure in structures])[:-1])
    found = []
    for structure, part, R in zip(structures, parts, criterion.bases, strict=True):
        if R is None or not isinstance(structure, Unstructured):
            found.append(part)
            continue
        T = structure.factor(part).T
        turned = np.asarray(np.linalg.solve(R, T) if back else R @ T, dtype=float)
        found.append(structure.from_factor(turned))
    return np.concatenate(found)


def _in_own_coordinates(criterion: Criterion, optimum: Optimum) -> Optimum:
    """The record of a search in the engine's coordinates, told in those of the model."""
    theta = own_theta(criterion, optimum.theta)
    evaluation = criterion.evaluate(theta, 2)
    log = [replace(step, theta=own_theta(criterion, step.theta)) for step in optimum.log]
    log.append(Step(theta, evaluation.value, True, "equivalent"))
    boundary = _on_boundary(criterion, theta)
    return Optimum(
        theta, evaluation, optimum.converged, boundary, False, optimum.restarts, tuple(log), optimum, optimum.saturated
    )


def _on_boundary(criterion: Criterion, theta: Floats) -> Mask:
    """Which parameters are exactly at a value that makes a factor singular."""
    near = near_boundary(criterion.design, theta, 1e-12 * typical_scale(criterion))
    boundary = np.zeros(len(theta), dtype=bool)
    boundary[[place for place, value in near if theta[place] == value]] = True
    return boundary


def _fit(criterion: Criterion, control: Control, start: Floats | None, near: Floats | None) -> Optimum:
    search = _Search(criterion, control, typical_scale(criterion))
    try:
        return _searched(search, start, near)
    finally:
        search.progress.close()


def _searched(search: _Search, start: Floats | None, near: Floats | None) -> Optimum:
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
    if not np.isfinite(minimum.evaluation.value):
        raise ModelError(
            f"The criterion cannot be computed at the start values {search.log[0].theta.tolist()}: the system is not "
            "positive definite. Look for predictors on wildly different scales, or give lmer another start=."
        )
    if start is None and search.may_be_local(minimum):
        for other in others:
            if search.left() <= 0:  # a minimum, but who knows of which valley
                minimum = replace(minimum, converged=False)
                break
            rival = search.descend(*search.approach(other))
            if rival.evaluation.value < minimum.evaluation.value - _slack(minimum):
                minimum = rival
    theta, boundary = minimum.theta, _on_boundary(criterion, minimum.theta)
    log, saturated = tuple(search.log), search.held_far and is_at_limit(theta, search.scale)
    return Optimum(
        theta, minimum.evaluation, minimum.converged, boundary, False, search.restarts, log, saturated=saturated
    )


def _checked(start: Floats, size: int) -> Floats:
    try:
        theta = np.asarray(start, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise ModelError(f"start must hold {size} finite numbers, one a covariance parameter; got {start!r}.") from None
    if theta.shape != (size,) or not np.isfinite(theta).all():
        raise ModelError(f"start must hold {size} finite numbers, one a covariance parameter; got {start!r}.")
    return theta


def _slack(minimum: Minimum) -> float:
    """A difference of criteria that means nothing: it is in units of −2 log-likelihood, and so is its rounding."""
    return _COST + _ROUNDING * abs(minimum.evaluation.value)


class _Search:
    """Runs of the optimiser on one criterion, their log joined."""

    def __init__(self, criterion: Criterion, control: Control, scale: Floats) -> None:
        self.criterion, self.control, self.scale = criterion, control, scale
        self.progress = Progress(criterion.evaluate, control.progress)
        self.design = criterion.design
        self.lower = np.concatenate([term.structure.lower for term in self.design.random])
        self.log: list[Step] = []
        self.restarts = 0
        # Parameters that were on the boundary when the criterion fell away from it; they are not put there again.
        self.left_for_good: set[int] = set()
        # Whether no residual variance is left; then the largest parameter stays where it is.
        self.held_far = False

    def left(self) -> int:
        """How many evaluations are still allowed."""
        return self.control.most_evaluations - len(self.log)

    def evaluate(self, theta: Floats, purpose: str, below: float = np.inf, order: int = 2) -> Evaluation:
        """The criterion outside of a run, logged; accepted when it is no more than `below`."""
        evaluation = self.progress.evaluate(theta, order)
        self.log.append(Step(theta, evaluation.value, evaluation.value <= below, purpose))
        return evaluation

    def approach(self, theta: Floats) -> tuple[Floats, Evaluation | None]:
        """Come near from afar, as long as every step gains a lot."""
        if self.control.optimizer != "newton":
            return theta, None
        if may_saturate(self.design):  # these steps crawl where a level has one record, and the start is near
            return theta, self.evaluate(theta, "start")
        now, gain = self.evaluate(theta, "start", order=1), np.inf
        for _ in range(_SCORING_STEPS):
            candidate = scoring_step(self.criterion, theta, now) if np.isfinite(now.value) and self.left() > 0 else None
            if candidate is None:
                break
            candidate = np.maximum(candidate, self.lower)
            trial = self.evaluate(candidate, "scoring", below=now.value, order=1)
            before, gain = gain, now.value - trial.value
            if not gain > 0.0:
                return theta, self.evaluate(theta, "scoring")
            theta, now = candidate, trial
            # Gains shrink by a constant ratio; where the next will be small, Newton's step is the better one.
            if gain * min(gain / before, 1.0) < _WORTHWHILE and gain < _LARGE:
                break
        return theta, self.criterion.evaluate(theta, 2)  # the same evaluation, completed

    def descend(self, start: Floats, known: Evaluation | None = None) -> Minimum:
        """From a start to a minimum that no zero hides: search, settle, leave a zero where that is downhill, polish."""
        self.left_for_good.clear()
        self.held_far = False
        minimum = self.explore(start, known)
        if not np.isfinite(minimum.evaluation.value):
            return minimum
        for attempt in range(_RESTARTS + 1):
            minimum = self.settle(minimum)
            stuck = self.stuck(minimum.theta)
            descent = descent_from_zero(self.design, minimum.theta, minimum.evaluation, self.scale, stuck)
            if descent is None or attempt == _RESTARTS:
                break
            self.restarts += 1
            self.left_for_good.update(np.flatnonzero(descent[1]).tolist())
            minimum = self.leave(minimum, *descent)
        polished = self.run(minimum.theta, ~stuck, self.control.tolerance, minimum.evaluation)
        polished = self.at(canonical(self.design, polished.theta), polished)
        # A zero from which the criterion still falls, after all restarts, is no minimum.
        return polished if descent is None else replace(polished, converged=False)

    def explore(self, start: Floats, known: Evaluation | None) -> Minimum:
        """The first run; where it goes far out, a look at the end of that way, where no residual variance is left."""
        free = np.ones(len(start), dtype=bool)
        distant = DISTANT if may_saturate(self.design) and self.control.optimizer == "newton" else np.inf
        size = float(np.abs(start / self.scale).max())
        if size > distant:  # where the criterion is flat nothing tells the way
            start, known = start * (distant / size), None
        minimum = self.run(start, free, _COARSE, known, distant)
        if not np.abs(minimum.theta / self.scale).max() > distant:
            return minimum
        allowed = minimum.evaluation.value + _slack(minimum)
        ahead = outlook(minimum.theta, self.scale)
        found = self.evaluate(ahead, "outlook", below=allowed)
        if found.gradient is None or found.value > allowed or not falls_outwards(ahead, found.gradient):
            return self.run(minimum.theta, free, _COARSE, minimum.evaluation)
        theta = limit(minimum.theta, self.scale)
        found = self.evaluate(theta, "no residual", below=allowed)
        if found.gradient is None or found.value > allowed:
            return self.run(minimum.theta, free, _COARSE, minimum.evaluation)
        self.held_far = True
        return self.run(theta, ~self.stuck(theta), _COARSE, found)

    def stuck(self, theta: Floats) -> Mask:
        """Parameters that do not move."""
        stuck = pinned(self.design, theta)
        return stuck | held_at_limit(theta, self.scale) if self.held_far else stuck

    def may_be_local(self, minimum: Minimum) -> bool:
        """Whether other starts are worth their cost: on the boundary, or with a correlation among the parameters."""
        several = any(term.structure.several_optima for term in self.design.random)
        return several or bool(_on_boundary(self.criterion, minimum.theta).any())

    def run(
        self, theta: Floats, free: Mask, tolerance: float, known: Evaluation | None = None, distant: float = np.inf
    ) -> Minimum:
        """One run of the optimiser over the free parameters; in steps of the size of what is large already."""
        scale = self.scale * np.abs(theta / self.scale).max() if self.held_far else self.scale
        minimum = _MINIMISERS[self.control.optimizer](
            self.progress.evaluate,
            theta,
            scale,
            self.lower,
            free,
            tolerance=max(tolerance, self.control.tolerance),
            max_evaluations=max(self.left(), known is None),
            known=known,
            **({"distant": distant} if np.isfinite(distant) else {}),
        )
        self.log += minimum.log
        return minimum

    def settle(self, minimum: Minimum) -> Minimum:
        """Put what is nearly on the boundary exactly on it, where that costs nothing, and refit the rest."""
        minimum = self.at(canonical(self.design, minimum.theta), minimum)
        for place, value in near_boundary(self.design, minimum.theta, SNAP * self.scale):
            if minimum.theta[place] == value or place in self.left_for_good:
                continue
            snapped = minimum.theta.copy()
            snapped[place] = value
            snapped = canonical(self.design, snapped)
            allowed = minimum.evaluation.value + _slack(minimum)
            evaluation, stuck = self.evaluate(snapped, "boundary", below=allowed), self.stuck(snapped)
            if evaluation.value <= allowed:
                minimum = self.run(snapped, ~stuck, _COARSE, evaluation)
                minimum = self.at(canonical(self.design, minimum.theta), minimum)
        return minimum

    def at(self, theta: Floats, minimum: Minimum) -> Minimum:
        """The same minimum at an equivalent θ, derivatives taken there."""
        if np.array_equal(theta, minimum.theta):
            return minimum
        return Minimum(theta, self.evaluate(theta, "equivalent"), minimum.converged, minimum.log)

    def leave(self, minimum: Minimum, origin: Floats, direction: Floats) -> Minimum:
        """Leap off the boundary downhill and search from there."""
        leap = _LEAP
        while leap > 1e-6:
            theta = origin + leap * direction * self.scale
            theta = np.where(np.isfinite(self.lower), np.abs(theta), theta)
            evaluation = self.evaluate(theta, "leap", below=minimum.evaluation.value)
            if evaluation.value < minimum.evaluation.value:
                return self.run(theta, np.ones(len(theta), dtype=bool), _COARSE, evaluation)
            leap *= 0.3
        return minimum
