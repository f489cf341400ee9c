"""From a criterion and constraints to θ̂, with what is needed to judge it and to use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Indexed
from lmmpy.design import Design
from lmmpy.engines import Criterion
from lmmpy.errors import ModelError
from lmmpy.fitting.boundary import near_boundary
from lmmpy.fitting.constrained_convergence import constrained_flat, constrained_hessian, constrained_report
from lmmpy.fitting.constrained_search import ConstrainedSearch, State, as_minimum
from lmmpy.fitting.constraints import Classes, resolve
from lmmpy.fitting.control import Control
from lmmpy.fitting.convergence import ConvergenceReport
from lmmpy.fitting.fit import Optimum, checked_start, own_theta
from lmmpy.fitting.quantities import SIGMA
from lmmpy.fitting.reparametrisation import Parametrisation
from lmmpy.fitting.search import slack
from lmmpy.fitting.start import start_values, typical_scale
from lmmpy.fitting.triangle import InfeasibleError

__all__ = ["Constraint", "fit_constrained", "names_sigma"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Further starts that are worth their cost.
_OTHERS = 3
# What is left of a standard deviation where a search begins that may end at zero.
_SMALL = 0.05


@dataclass(frozen=True, eq=False)
class Constraint:
    """What was held, and the coordinates in which the rest was estimated.

    Attributes
    ----------
    classes : Classes
        As given.
    to : Parametrisation
        ψ → (θ, log σ); also what the search found on the boundary is held in it.
    psi : ndarray, shape (m,)
    free : ndarray of bool, shape (m,)
        Coordinates that are inside their range.
    jacobian : ndarray, shape (n_theta + 1, m)
        ∂(θ, log σ)/∂ψ.
    sigma : float
        The residual standard deviation.
    value : float
        −2 log-likelihood (the restricted one by REML).
    n_parameters : int
        Covariance parameters that are estimated, σ among them.
    number : int
        How many parameters fewer than without constraints.
    boundary : tuple of str
        What the search found on the boundary, beside what the constraints put there.
    """

    classes: Classes
    to: Parametrisation
    psi: Floats
    free: Mask
    jacobian: Floats
    sigma: float
    value: float
    n_parameters: int
    number: int
    boundary: tuple[str, ...]

    @property
    def given(self) -> dict[str, float | str]:
        """The constraints as `lmer` takes them."""
        return self.classes.given

    @property
    def texts(self) -> tuple[str, ...]:
        """The constraints, one a line."""
        return self.classes.texts

    @property
    def held(self) -> set[str]:
        """Names of the parameters that have a given value, or none."""
        classes = self.classes
        found = {i for c in classes.classes if c.value is not None for i in c.members}
        return {classes.quantities[i].name for i in found} | self.silent

    @property
    def silent(self) -> set[str]:
        """Names of the correlations that mean nothing, a standard deviation being held at zero."""
        classes = self.classes
        zero = {
            (q.block, q.places[0])
            for c in classes.classes
            for q in (classes.quantities[i] for i in c.members)
            if c.kind == "sd" and c.value == 0.0 and q.places
        }
        return {q.name for q in classes.quantities if q.kind == "cor" and any((q.block, a) in zero for a in q.places)}

    @property
    def fixes_scale(self) -> bool:
        """Whether σ is not that of the sum of squares, a standard deviation being held in units of the data."""
        classes = self.classes
        return any(c.kind == "sd" and c.value is not None and c.value > 0.0 for c in classes.classes)

    def flat(self, criterion: Criterion) -> tuple[str, ...]:
        """Combinations of free coordinates that the data say nothing about."""
        return constrained_flat(criterion, self)

    def report(self, criterion: Criterion, optimum: Optimum) -> ConvergenceReport:
        """How good the optimum is."""
        return constrained_report(criterion, optimum, self)

    def refit(self, criterion: Criterion, optimum: Optimum, control: Control) -> Optimum:
        """The same constraints for a criterion that is like the fit's: for another response, or by ML."""
        near = None if optimum.at_boundary else np.append(optimum.theta, np.log(self.sigma))
        return fit_constrained(criterion, self.given, control, near)


def fit_constrained(
    criterion: Criterion, given: Mapping[str, Any], control: Control, near: Floats | None = None, start: Any = None
) -> Optimum:
    """
    Minimise −2 log-likelihood over θ and σ under constraints.

    Parameters
    ----------
    criterion : Criterion
    given : mapping
        See `resolve`.
    control : Control
    near : ndarray, shape (n_theta + 1,), optional
        (θ, log σ) near which the search begins, such as the optimum without the constraints; it need not obey them.
    start : array-like, shape (n_theta,), optional
        θ at which the user wants it to begin instead.

    Returns
    -------
    Optimum
        With `.constraint`.

    Raises
    ------
    ModelError
        For constraints that are wrong or impossible, or when the criterion cannot be computed at the start.
    """
    _require_own_sigma(criterion.design, given)
    classes = resolve(criterion.design, criterion.units, given)
    if start is not None:
        near = np.append(checked_start(start, criterion.design), 0.0)
    search = ConstrainedSearch(criterion, classes, control)
    try:
        state = _best(search, near)
    except InfeasibleError:
        raise ModelError(
            f"constraints: {'; '.join(classes.texts)} cannot hold at once: effects with a correlation of ±1 have the "
            "same correlations with others. Leave out what follows from the rest."
        ) from None
    finally:
        search.progress.close()
    optimum = _optimum(search, state)
    if not all(np.isfinite(step.value) for step in search.log):
        _require_nearby(criterion, optimum)
    return optimum


def names_sigma(given: Mapping[str, Any]) -> bool:
    """
    Whether constraints speak of the residual standard deviation of the reference, by the name of sigma.

    Parameters
    ----------
    given : mapping
        See `resolve`; other things have no names, and are refused there.
    """
    return isinstance(given, Mapping) and (SIGMA in given or SIGMA in map(str, given.values()))


def _require_own_sigma(design: Design, given: Mapping[str, Any]) -> None:
    """Sigma must be that of the first stratum, as it is unless the first has no residual."""
    structure = design.residual.structure if design.residual is not None else None
    if isinstance(structure, Indexed) and structure.order[0] != 0 and names_sigma(given):
        own = structure.labels[0]
        raise ModelError(
            f"constraints: sigma is the residual standard deviation of {own!r} in this fit, not of the first stratum, "
            f"which has next to no residual. Name 'sd_{own}|Residual'."
        )


def _require_nearby(criterion: Criterion, optimum: Optimum) -> None:
    """Refuse an optimum that only rounding makes one: V is singular, and nearby not even the criterion is there."""
    constraint = optimum.constraint
    assert isinstance(constraint, Constraint)
    if not np.isfinite(constrained_hessian(criterion, constraint)).all():
        raise _singular(constraint.texts)


def _singular(texts: tuple[str, ...]) -> ModelError:
    return ModelError(
        f"constraints: under {'; '.join(texts)} the covariance of the observations is singular, so that the likelihood "
        "has no maximum. Some combination of residuals has no variance there, and records that no random effect tells "
        "apart (of identical twins, or repeats) either differ in it, which is then impossible, or have equal values. "
        "Leave out all but one of such records, or relax the constraints."
    )


def _best(search: ConstrainedSearch, near: Floats | None) -> State:
    """The lowest minimum from the first start, and from others where there may be several."""
    criterion = search.criterion
    inner = criterion.orthogonal()
    suggested, others = start_values(inner)
    first = np.append(own_theta(criterion, suggested), 0.0) if near is None else near
    state = search.descend(search.start(first))
    several = any(structure.several_optima for structure in criterion.design.structures)
    if np.isfinite(state.evaluation.value) and not (state.on_boundary or several or not state.converged):
        return _lowest(search, state, _without_one(search, state))
    starts = [suggested, *others] if near is not None else others
    state = _lowest(search, state, (np.append(own_theta(criterion, other), 0.0) for other in starts[:_OTHERS]))
    if not np.isfinite(state.evaluation.value):
        raise _singular(search.classes.texts)
    return state


def _lowest(search: ConstrainedSearch, state: State, starts: Iterable[Floats]) -> State:
    """The lowest of a minimum and those that other starts (θ, log σ) lead to."""
    for start in starts:
        if len(search.log) >= search.control.most_evaluations:
            break
        rival = search.descend(search.start(start))
        least = state.evaluation.value
        if rival.evaluation.value < least - (slack(as_minimum(state)) if np.isfinite(least) else 0.0):
            state = rival
    return state


def _without_one(search: ConstrainedSearch, state: State) -> Iterator[Floats]:
    """
    Starts with one of two effects nearly absent whose correlation is held.

    Data that contradict the correlation may rather have no variance of one than that correlation, and the minimum
    there is not always downhill from another.
    """
    to, classes = state.to, search.classes
    held = [c for c in classes.classes if c.kind == "cor" and c.value]
    effects = {(q.block, place) for c in held for q in (classes.quantities[i] for i in c.members) for place in q.places}
    deviations = {classes.by_place.get((block, "sd", (place,))) for block, place in effects}
    for sd in sorted(sd for sd in deviations if sd is not None):
        place = to.place("sd", sd)
        if place is not None:
            psi = state.psi.copy()
            psi[place] *= _SMALL
            image = to.at(psi)
            if image is not None:
                yield image.x


def _optimum(search: ConstrainedSearch, state: State) -> Optimum:
    criterion, classes = search.criterion, search.classes
    image = state.to.at(state.psi)
    assert image is not None
    theta = image.x[:-1]
    given = search.parametrisation(classes)
    gradient = state.evaluation.gradient
    assert gradient is not None
    at_bound = (state.psi <= state.to.lower) & (gradient > 0.0)
    constraint = Constraint(
        classes,
        state.to,
        state.psi,
        state.free & ~at_bound,
        image.jacobian,
        float(np.exp(image.x[-1])),
        state.evaluation.value,
        given.size,
        search.design.n_theta + 1 - given.size,
        _found_names(state),
    )
    return Optimum(
        theta,
        criterion.evaluate(theta, 2),
        state.converged,
        _boundary(criterion, theta) & ~_boundary(criterion, _inside(given)),
        False,
        search.restarts,
        tuple(search.log),
        constraint=constraint,
    )


def _found_names(state: State) -> tuple[str, ...]:
    """What to call what is on the boundary."""
    names = [state.to.classes.name(c) for c in state.found]
    places = [state.to.place(kind, *key) for kind, key in state.held]
    return (*names, *(state.to.names[place] for place in places if place is not None))


def _inside(given: Parametrisation) -> Floats:
    """Some θ that obeys the constraints and lies on no other boundary."""
    psi = np.array([0.1 if slot.kind in ("cor", "angle") else slot.scale for slot in given.slots])
    image = given.at(psi)
    return np.full(given.n_theta, np.nan) if image is None else image.x[:-1]


def _boundary(criterion: Criterion, theta: Floats) -> Mask:
    """Parameters at a value that makes a covariance singular."""
    boundary = np.zeros(len(theta), dtype=bool)
    if np.isfinite(theta).all():
        near = near_boundary(criterion.design, theta, 1e-12 * typical_scale(criterion))
        boundary[[place for place, value in near if theta[place] == value]] = True
    return boundary
