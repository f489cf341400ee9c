"""Runs of the optimiser on one criterion: near from afar, onto the boundary and off it, to where σ = 0; and a log."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, Evaluation
from lmmpy.fitting.boundary import canonical, descent_from_zero, near_boundary, pinned
from lmmpy.fitting.control import Control
from lmmpy.fitting.derivative_free import minimise_by_values
from lmmpy.fitting.progress import Progress
from lmmpy.fitting.saturation import (
    DISTANT,
    falls_outwards,
    held_at_limit,
    is_level,
    limit,
    may_saturate,
    outlook,
    reach,
)
from lmmpy.fitting.scoring import scoring_step
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.trust_region import Minimum, Step, minimise

__all__ = ["SNAP", "Search", "on_boundary", "slack"]

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


def on_boundary(criterion: Criterion, theta: Floats) -> Mask:
    """Which parameters are exactly at a value that makes a factor singular."""
    near = near_boundary(criterion.design, theta, 1e-12 * typical_scale(criterion))
    boundary = np.zeros(len(theta), dtype=bool)
    boundary[[place for place, value in near if theta[place] == value]] = True
    return boundary


def slack(minimum: Minimum) -> float:
    """A difference of criteria that means nothing: it is in units of −2 log-likelihood, and so is its rounding."""
    return _COST + _ROUNDING * abs(minimum.evaluation.value)


class Search:
    """Runs of the optimiser on one criterion, their log joined."""

    def __init__(self, criterion: Criterion, control: Control, scale: Floats, wander: bool = True) -> None:
        self.wander, self.adrift = wander, False
        self.criterion, self.control, self.scale = criterion, control, scale
        self.progress = Progress(criterion.evaluate, control.progress)
        self.design = criterion.design
        self.lower = self.design.lower
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
        # These steps crawl where a level has one record, and there the start is near; for residuals there are none.
        if may_saturate(self.design) or self.design.row_covariances:
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
        if self.adrift or not np.isfinite(minimum.evaluation.value):
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
        free, m = np.ones(len(start), dtype=bool), self.design.n_theta_random
        distant = self._distant()
        size = reach(start, self.scale, m)
        if size > distant:  # where the criterion is flat nothing tells the way
            start, known = start * (distant / size), None
        minimum = self.run(start, free, _COARSE, known, distant)
        if not np.abs(minimum.theta / self.scale).max() > distant:
            return minimum
        if not self.wander:
            self.adrift = True
            return minimum
        if not reach(minimum.theta, self.scale, m) > distant:
            return self.run(minimum.theta, free, _COARSE, minimum.evaluation)
        ahead = outlook(minimum.theta, self.scale, m)
        seen = self.evaluate(ahead, "outlook", below=minimum.evaluation.value + slack(minimum))
        if seen.gradient is None or seen.value > minimum.evaluation.value + slack(minimum):
            return self.run(minimum.theta, free, _COARSE, minimum.evaluation)
        theta, allowed = limit(minimum.theta, self.scale, m), seen.value + slack(minimum)
        found = self.evaluate(theta, "no residual", below=allowed) if falls_outwards(ahead, seen.gradient, m) else seen
        level = found.gradient is not None and is_level(theta, found.gradient, self.criterion.dof, m)
        if found is seen or not level or found.value > allowed:
            return self.run(ahead, free, _COARSE, seen)
        self.held_far = True
        return self.run(theta, ~self.stuck(theta), _COARSE, found)

    def _distant(self) -> float:
        """So many typical sizes from zero one looks where the way leads."""
        newton = self.control.optimizer == "newton"
        return DISTANT if newton and (may_saturate(self.design) or not self.wander) else np.inf

    def stuck(self, theta: Floats) -> Mask:
        """Parameters that do not move."""
        stuck = pinned(self.design, theta)
        return stuck | held_at_limit(theta, self.scale, self.design.n_theta_random) if self.held_far else stuck

    def may_be_local(self, minimum: Minimum) -> bool:
        """Whether other starts are worth their cost: on the boundary, or with a correlation among the parameters."""
        several = any(structure.several_optima for structure in self.design.structures)
        return several or bool(on_boundary(self.criterion, minimum.theta).any())

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
            allowed = minimum.evaluation.value + slack(minimum)
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
