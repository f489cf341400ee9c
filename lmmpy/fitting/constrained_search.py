"""Runs of the optimiser in the coordinates that constraints leave, onto the boundary and off it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, Evaluation
from lmmpy.fitting.boundary import canonical, near_boundary
from lmmpy.fitting.constraints import Classes
from lmmpy.fitting.control import Control
from lmmpy.fitting.derivative_free import minimise_by_values
from lmmpy.fitting.free_scale import free_scale
from lmmpy.fitting.progress import Progress
from lmmpy.fitting.projected import projected
from lmmpy.fitting.reparametrisation import Parametrisation
from lmmpy.fitting.search import SNAP, slack
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.triangle import InfeasibleError
from lmmpy.fitting.trust_region import Minimum, Step, minimise

__all__ = ["ConstrainedSearch", "State", "as_minimum", "in_coordinates"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Key = tuple[str, tuple[int, ...]]

_COARSE = 1e-7
# How far off the boundary it is looked, in typical changes, and at which angles.
_LEAPS, _ANGLES = (0.3, 0.03, 0.003), (0.0, 1.0, -1.0)
_RESTARTS = 5
# A curvature that is none against the largest, and angles that differ by rounding.
_NIL, _SAME = 1e-20, 1e-9


@dataclass(frozen=True, eq=False)
class State:
    """A point of the search, and what is held on the boundary there.

    Attributes
    ----------
    to : Parametrisation
        Classes that were found on the boundary are held in it.
    held : dict
        Coordinates that are held there, by kind and key, with their values.
    psi : ndarray, shape (m,)
    evaluation : Evaluation
        In ψ.
    converged : bool
    """

    to: Parametrisation
    held: dict[Key, float]
    psi: Floats
    evaluation: Evaluation
    converged: bool = False

    @property
    def found(self) -> list[int]:
        """Classes that the search put on the boundary."""
        return [c for c, kept in enumerate(self.to.classes.classes) if kept.found]

    @property
    def on_boundary(self) -> bool:
        """Whether anything is on the boundary but what the constraints put there."""
        return bool(self.held or self.found)

    @property
    def free(self) -> Mask:
        """Coordinates that may move: neither held nor without any effect."""
        free = np.ones(self.to.size, dtype=bool)
        for kind, key in self.held:
            place = self.to.place(kind, *key)
            if place is not None:
                free[place] = False
        information = self.evaluation.information
        if information is not None and len(information):
            size = np.diag(information) * self.to.scale**2
            free &= size > _NIL * max(float(size.max()), 1.0)
        return free


def in_coordinates(criterion: Criterion, to: Parametrisation, psi: Floats) -> Evaluation:
    """
    −2 log-likelihood as a function of ψ, with its derivatives by the chain rule.

    Parameters
    ----------
    criterion : Criterion
    to : Parametrisation
    psi : ndarray, shape (m,)
    """
    image = to.at(psi)
    if image is None:
        return Evaluation(math.inf)
    found = free_scale(criterion, image.x)
    if not math.isfinite(found.value):
        return Evaluation(math.inf)
    assert found.gradient is not None and found.information is not None and found.bend is not None
    J = image.jacobian
    bend = J.T @ found.bend @ J + np.tensordot(found.gradient, image.second, axes=1)
    return Evaluation(found.value, J.T @ found.gradient, J.T @ found.information @ J, bend, r2=found.r2)


@dataclass
class ConstrainedSearch:
    """
    Runs of the optimiser under one set of constraints, their log joined.

    Attributes
    ----------
    criterion : Criterion
    classes : Classes
    control : Control
    log : list of Step
        In θ.
    restarts : int
        How often the boundary was left again.
    """

    criterion: Criterion
    classes: Classes
    control: Control
    log: list[Step] = field(default_factory=list)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.scale = typical_scale(self.criterion)
        self.design = self.criterion.design
        self._now: Parametrisation | None = None
        self.progress = Progress(self._evaluate, self.control.progress)

    def parametrisation(self, classes: Classes) -> Parametrisation:
        """H of some classes."""
        return Parametrisation(classes, self.scale, self.design.lower)

    def _evaluate(self, psi: Floats, order: int = 2) -> Evaluation:
        assert self._now is not None
        return in_coordinates(self.criterion, self._now, psi)

    def _left(self) -> int:
        return max(self.control.most_evaluations - len(self.log), 1)

    def look(self, to: Parametrisation, psi: Floats, purpose: str, below: float = np.inf) -> Evaluation:
        """The criterion outside of a run, logged."""
        self._now = to
        evaluation = self.progress.evaluate(psi, 2)
        self._note(to, [Step(psi, evaluation.value, evaluation.value <= below, purpose)])
        return evaluation

    def _note(self, to: Parametrisation, steps: list[Step]) -> None:
        for step in steps:
            image = to.at(step.theta)
            theta = np.full(self.design.n_theta, np.nan) if image is None else image.x[:-1]
            self.log.append(replace(step, theta=theta))

    def run(self, state: State, tolerance: float) -> State:
        """One run of the optimiser over what is free."""
        self._now = state.to
        search = minimise if self.control.optimizer == "newton" else minimise_by_values
        minimum = search(
            self.progress.evaluate,
            state.psi,
            state.to.scale,
            state.to.lower,
            state.free,
            tolerance=max(tolerance, self.control.tolerance),
            max_evaluations=self._left(),
            known=state.evaluation,
        )
        self._note(state.to, minimum.log)
        return self.canonical(
            replace(state, psi=minimum.theta, evaluation=minimum.evaluation, converged=minimum.converged)
        )

    def canonical(self, state: State) -> State:
        """The same covariances by non-negative standard deviations and angles in range."""
        image = state.to.at(state.psi)
        if image is None:
            return state
        theta = canonical(self.design, image.x[:-1])
        if np.allclose(theta, image.x[:-1], rtol=_SAME, atol=_SAME * float(self.scale.max(initial=1.0))):
            return state
        psi = self._with_held(state.to, state.held, projected(state.to, np.append(theta, image.x[-1]), exact=True))
        return replace(state, psi=psi, evaluation=self.look(state.to, psi, "equivalent"))

    def start(self, x: Floats) -> State:
        """Near a point (θ, log σ); σ is what the likelihood makes of it."""
        to = self.parametrisation(self.classes)
        psi = projected(to, x)
        image, place = to.at(psi), to.place("log_sigma")
        if image is not None and place is not None:
            r2 = self.criterion.evaluate(image.x[:-1], 0).r2
            psi[place] = 0.5 * math.log(r2 / self.criterion.dof) if r2 > 0.0 else 0.0
        return State(to, {}, psi, self.look(to, psi, "start"))

    def descend(self, start: State) -> State:
        """From a start to a minimum that no boundary hides."""
        if not math.isfinite(start.evaluation.value):
            return start
        state = self.settle(self.run(start, _COARSE), set())
        left: set[Key] = set()
        for _ in range(_RESTARTS):
            off = self.leave(state, left)
            if off is None:
                break
            self.restarts += 1
            state = self.settle(self.run(off, _COARSE), left)
        return self.run(state, self.control.tolerance)

    # ---- onto the boundary

    def settle(self, state: State, left: set[Key]) -> State:
        """Put what is nearly on the boundary exactly on it, where that costs nothing, and refit the rest."""
        tried = set(left)
        while True:
            candidate = next((c for c in self._near(state) if c[0] not in tried), None)
            if candidate is None:
                return state
            tried.add(candidate[0])
            snapped = self._snapped(state, *candidate)
            if snapped is not None and snapped.evaluation.value <= state.evaluation.value + slack(as_minimum(state)):
                state = self.run(snapped, _COARSE)

    def _near(self, state: State) -> Iterator[tuple[Key, float]]:
        """Coordinates near the boundary, with the value there."""
        image = state.to.at(state.psi)
        assert image is not None
        for slot, psi in zip(state.to.slots, state.psi, strict=True):
            key = (slot.kind, slot.key)
            if key in state.held:
                continue
            if slot.kind == "sd" and abs(psi) < SNAP * slot.scale:
                yield key, 0.0
            elif slot.kind in ("cor", "angle"):
                end = math.copysign(math.pi / 2, psi)
                if abs(psi - end) < SNAP:
                    yield key, end
            if slot.kind == "cor" and abs(math.sin(psi) - self._least(state, slot.key[0])) < SNAP:
                yield key, math.asin(self._least(state, slot.key[0]))
        for place, value in near_boundary(self.design, image.x[:-1], SNAP * self.scale):
            if state.to.place("theta", place) is not None and ("theta", (place,)) not in state.held:
                yield ("theta", (place,)), value

    def _least(self, state: State, c: int) -> float:
        """The least correlation that the structures of a class allow."""
        classes = state.to.classes
        return max(classes.blocks[classes.quantities[i].block].least for i in classes.classes[c].members)

    def _snapped(self, state: State, key: Key, value: float) -> State | None:
        """A coordinate on the boundary; a class of which something is left becomes one that is held."""
        kind, places = key
        image = state.to.at(state.psi)
        assert image is not None
        to, held = state.to, dict(state.held)
        try:
            if kind == "cor" or (kind == "sd" and self._may_vanish(state, places[0])):
                to = self.parametrisation(to.classes.held(places[0], math.sin(value) if kind == "cor" else 0.0))
            else:
                held[key] = value
        except InfeasibleError:
            return None
        psi = self._with_held(to, held, projected(to, image.x, exact=True))
        evaluation = self.look(to, psi, "boundary", below=state.evaluation.value + slack(as_minimum(state)))
        return State(to, held, psi, evaluation)

    def _may_vanish(self, state: State, c: int) -> bool:
        """Whether other parameters keep their meaning when a standard deviation is zero."""
        classes = state.to.classes
        blocks = [classes.blocks[classes.quantities[i].block] for i in classes.classes[c].members]
        return all(b.matrix is not None and not (b.one_variance and b.correlates) for b in blocks)

    @staticmethod
    def _with_held(to: Parametrisation, held: dict[Key, float], psi: Floats) -> Floats:
        for (kind, key), value in held.items():
            place = to.place(kind, *key)
            if place is not None:
                psi[place] = value
        return psi

    # ---- off it

    def leave(self, state: State, left: set[Key]) -> State | None:
        """A point off the boundary where the criterion is lower, if there is one."""
        least = state.evaluation.value - slack(as_minimum(state))
        for key, to, held, psi in self._off(state):
            evaluation = self.look(to, psi, "leap", below=least)
            if evaluation.value < least:
                left.add(key)
                return State(to, held, psi, evaluation)
        return None

    def _off(self, state: State) -> Iterator[tuple[Key, Parametrisation, dict[Key, float], Floats]]:
        image = state.to.at(state.psi)
        assert image is not None
        for key, value in state.held.items():
            held = {k: v for k, v in state.held.items() if k != key}
            place = state.to.place(key[0], *key[1])
            if place is None:
                continue
            for leap in _LEAPS:
                inward = -math.copysign(1.0, value) if value else 1.0
                yield key, state.to, held, _moved(state.psi, place, value + inward * leap * state.to.scale[place])
        for c in state.found:
            kept = state.to.classes.classes[c]
            to = self.parametrisation(state.to.classes.released(c))
            psi = self._with_held(to, state.held, projected(to, image.x, exact=True))
            place = to.place(kept.kind, c)
            assert place is not None and kept.value is not None
            for leap in _LEAPS:
                if kept.kind == "cor":
                    end = math.asin(kept.value)
                    yield (kept.kind, (c,)), to, state.held, _moved(psi, place, end - math.copysign(leap, end))
                    continue
                off = _moved(psi, place, leap * to.scale[place])
                for turned in self._turned(state.to, to, off):
                    yield (kept.kind, (c,)), to, state.held, turned

    @staticmethod
    def _turned(before: Parametrisation, to: Parametrisation, psi: Floats) -> Iterator[Floats]:
        """An effect that vanished may correlate with others in any way."""
        new = [
            i for i, slot in enumerate(to.slots) if slot.kind == "angle" and before.place("angle", *slot.key) is None
        ]
        for angle in _ANGLES if new else (0.0,):
            found = psi.copy()
            found[new] = angle
            yield found


def _moved(psi: Floats, place: int, value: float) -> Floats:
    found = psi.copy()
    found[place] = value
    return found


def as_minimum(state: State) -> Minimum:
    """A state as the optimiser would have it."""
    return Minimum(state.psi, state.evaluation, state.converged)
