"""What the exact derivatives say about an optimum, in words that tell what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines import Criterion
from lmmpy.errors import ConvergenceWarning
from lmmpy.fitting.boundary import pinned
from lmmpy.fitting.fit import Optimum
from lmmpy.fitting.saturation import held_at_limit
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.unbounded import no_maximum

__all__ = [
    "ConvergenceReport",
    "convergence_report",
    "curvatures",
    "flat_directions",
    "in_coordinates_of_search",
    "observed_curvature",
    "observed_hessian",
    "unbounded",
    "unidentified",
    "warn_if_doubtful",
]

Floats = NDArray[np.float64]
# What in a design leaves parameters undetermined, and how to mend it, a sentence or two each.
Causes = Callable[[Design], Sequence[str]]

_STEP = 1e-4
_FLAT = 1e-7
PROMISE = 1e-6
_TYPICAL, _ROUNDING = 1e3, 1e-10
# Combinations that a warning names; a combination names the parameters with the largest parts in it.
_TOLD, _NAMED = 2, 4
_REMEDY = "Centre predictors that lie far from zero; else simplify the random terms, or collect more levels or repeats."


@dataclass(frozen=True, eq=False)
class ConvergenceReport:
    """
    How good an optimum is.

    Attributes
    ----------
    ok : bool
        Whether everything below confirms a minimum.
    gradient : Series, shape (n_theta,)
        Exact derivative of the criterion by parameter.
    scaled_gradient : float
        √(gᵀH⁻¹g), the length of the gradient in units in which every parameter has one standard error, whatever the
        units of the predictors.
    promised_decrease : float
        How much lower a Newton step with the observed Hessian would bring the criterion; in units of −2 log-likelihood,
        so that it means the same whatever the units of the predictors; half the square of the scaled gradient.
    hessian : DataFrame, shape (n_free, n_free)
        Observed Hessian of the criterion in θ, over the parameters that are free (not at a zero of the factor).
    eigenvalues : ndarray, shape (n_free,)
        Of the Hessian with every parameter in units of its typical change, and the effects of an unstructured term
        made orthogonal, ascending.
    boundary : tuple of str
        Parameters at a value that makes a covariance singular.
    flat : tuple of str
        Combinations of parameters that the data say nothing about (of orthogonal effects, as for the eigenvalues).
    evaluations : int
    restarts : int
        How often the optimiser left a zero from which the criterion falls.
    engine : str
        Name of the engine that computed the criterion.
    factorization : str
        What that means for this model.
    held : bool
        Whether the variance components were given, so that there was nothing to find.
    advice : tuple of str
        What it means and what to do; empty when all is well.
    """

    ok: bool
    gradient: pd.Series
    scaled_gradient: float
    promised_decrease: float
    hessian: pd.DataFrame
    eigenvalues: Floats
    boundary: tuple[str, ...]
    flat: tuple[str, ...]
    evaluations: int
    restarts: int
    engine: str
    factorization: str
    held: bool
    advice: tuple[str, ...]

    def __str__(self) -> str:
        if self.held:
            return f"Convergence: nothing to judge. {self.advice[0]}"
        spread = f"{self.eigenvalues[0]:.3g} to {self.eigenvalues[-1]:.3g}" if len(self.eigenvalues) else "(none free)"
        largest = float(np.abs(self.gradient.to_numpy()).max(initial=0.0))
        lines = [
            f"Convergence: {'confirmed' if self.ok else 'NOT confirmed'} by exact derivatives",
            f"  evaluations           {self.evaluations} ({self.restarts} restarts from a zero)",
            f"  engine                {self.engine}: {self.factorization}",
            f"  largest |gradient|    {largest:.3g}",
            f"  scaled gradient       {self.scaled_gradient:.3g} standard errors",
            f"  decrease still to get {self.promised_decrease:.3g} in -2 log-likelihood",
            f"  Hessian eigenvalues   {spread} (scaled)",
            f"  on the boundary       {', '.join(self.boundary) or 'none'}",
        ]
        return "\n".join(lines + [f"  * {text}" for text in self.advice])

    __repr__ = __str__


def observed_hessian(criterion: Criterion, theta: Floats, scale: Floats, free: NDArray[np.bool_]) -> Floats:
    """
    Second derivatives of the criterion by central differences of its exact gradient.

    Parameters
    ----------
    criterion : Criterion
    theta, scale : ndarray, shape (n_theta,)
    free : ndarray of bool, shape (n_theta,)

    Returns
    -------
    ndarray, shape (free.sum(), free.sum())
        Symmetric; NaN where V is so nearly singular that the criterion cannot be computed near θ.
    """
    places = np.flatnonzero(free)
    columns = []
    for place in places:
        ahead, behind = theta.copy(), theta.copy()
        step = _STEP * scale[place]
        ahead[place] += step
        behind[place] -= step
        there, here = (criterion.evaluate(point, 1).gradient for point in (ahead, behind))
        if there is None or here is None:
            return np.full((len(places), len(places)), np.nan)
        columns.append((there - here)[places] / (2.0 * step))
    hessian = np.array(columns).reshape(len(places), len(places))
    return np.asarray(0.5 * (hessian + hessian.T))


def _reach(criterion: Criterion, theta: Floats) -> Floats:
    """A typical change of each parameter: that of its units, or its own size where that is larger."""
    return np.maximum(typical_scale(criterion), np.abs(theta))


def in_coordinates_of_search(criterion: Criterion, optimum: Optimum) -> tuple[Criterion, Optimum]:
    """Criterion and optimum where the search took place; a θ that was given was not searched for."""
    return (criterion, optimum) if optimum.orthogonal is None else (criterion.orthogonal(), optimum.orthogonal)


def flat_directions(criterion: Criterion, optimum: Optimum, names: Sequence[str]) -> tuple[str, ...]:
    """
    Combinations of parameters that the average information at an optimum says nothing about.

    Parameters
    ----------
    criterion : Criterion
    optimum : Optimum
    names : sequence of str
        Of the parameters.

    Returns
    -------
    tuple of str
    """
    if optimum.constraint is not None:
        return optimum.constraint.flat(criterion)
    criterion, optimum = in_coordinates_of_search(criterion, optimum)
    information = optimum.evaluation.information
    if information is None:
        return ()
    free = ~_stuck(criterion, optimum)
    free_names = [name for name, is_free in zip(names, free, strict=True) if is_free]
    return unidentified(information[np.ix_(free, free)], _reach(criterion, optimum.theta)[free], free_names)


def _stuck(criterion: Criterion, optimum: Optimum) -> NDArray[np.bool_]:
    """Parameters that do not move: at a zero; and the largest of all where no residual variance is left."""
    stuck = pinned(criterion.design, optimum.theta)
    if not optimum.saturated:
        return stuck
    return stuck | held_at_limit(optimum.theta, typical_scale(criterion), criterion.design.n_theta_random)


def curvatures(hessian: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, ascending, and eigenvectors of a Hessian in typical scales; NaN where it is."""
    if not np.isfinite(hessian).all():
        return np.full(len(scale), np.nan), np.eye(len(scale))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    return values, vectors


def unidentified(information: Floats, scale: Floats, names: Sequence[str]) -> tuple[str, ...]:
    """Combinations of parameters along which a curvature, in typical scales, is nil against the largest."""
    if not len(names):
        return ()
    values, vectors = curvatures(information, scale)
    limit = flat_limit(values)
    return tuple(_combination(vectors[:, i], names) for i in np.flatnonzero(np.abs(values) < limit))


def flat_limit(eigenvalues: Floats) -> float:
    """Below which a curvature is nil: against a typical one, and against the rounding of the largest."""
    largest = float(np.abs(eigenvalues).max(initial=0.0))
    return _FLAT * min(max(1.0, largest), _TYPICAL) + _ROUNDING * largest


def _combination(vector: Floats, names: Sequence[str]) -> str:
    sizes = np.abs(vector)
    largest = sizes.max()
    vector = vector * np.sign(vector[np.argmax(sizes > 0.99 * largest)])  # either sign would do: the same everywhere
    parts = [(weight, name) for weight, name in zip(vector, names, strict=True) if abs(weight) > 0.1 * largest]
    told = sorted(sorted(range(len(parts)), key=lambda i: -abs(parts[i][0]))[:_NAMED])
    text = " ".join(f"{parts[i][0] / largest:+.2g}·{parts[i][1]}" for i in told)
    return text + " …" * (len(parts) > _NAMED)


def convergence_report(
    criterion: Criterion, optimum: Optimum, names: Sequence[str], causes: Causes | None = None
) -> ConvergenceReport:
    """
    Judge an optimum.

    Parameters
    ----------
    criterion : Criterion
    optimum : Optimum
    names : sequence of str
        Of the parameters.
    causes : callable, optional
        Asked when the data do not determine all parameters.

    Returns
    -------
    ConvergenceReport
    """
    if optimum.constraint is not None:
        return optimum.constraint.report(criterion, optimum)
    gradient = optimum.evaluation.gradient
    assert gradient is not None
    inner, found = in_coordinates_of_search(criterion, optimum)
    free, hessian = observed_curvature(inner, found)
    free_names = [name for name, is_free in zip(names, free, strict=True) if is_free]
    scale = _reach(inner, found.theta)[free]
    eigenvalues, vectors = curvatures(hessian, scale)
    assert found.evaluation.gradient is not None
    along = vectors.T @ (found.evaluation.gradient[free] * scale)
    limit = flat_limit(eigenvalues)
    curved = ~(np.abs(eigenvalues) < limit)
    promised = float(0.5 * (along[curved] ** 2 / np.abs(eigenvalues[curved])).sum())
    flat = unidentified(hessian, scale, free_names)
    if not flat and not optimum.held:  # the differences of gradients leave a little of a curvature that is nil
        flat = flat_directions(criterion, optimum, names)
    boundary = tuple(name for name, on in zip(names, optimum.on_boundary, strict=True) if on)
    saddle = bool(np.any(eigenvalues < -limit))
    if inner is not criterion:
        free, hessian = observed_curvature(criterion, optimum)
        free_names = [name for name, is_free in zip(names, free, strict=True) if is_free]
    return ConvergenceReport(
        ok=optimum.converged and promised <= PROMISE and not saddle and not flat,
        gradient=pd.Series(gradient, index=list(names), name="gradient"),
        scaled_gradient=float(np.sqrt(2.0 * promised)),
        promised_decrease=promised,
        hessian=pd.DataFrame(hessian, index=free_names, columns=free_names),
        eigenvalues=eigenvalues,
        boundary=boundary + ("Residual",) * optimum.saturated,
        flat=flat,
        evaluations=optimum.evaluations,
        restarts=optimum.restarts,
        engine=criterion.name,
        factorization=criterion.description,
        held=optimum.held,
        advice=tuple(filter(None, [unbounded(criterion, optimum)]))
        + advice_on(optimum, promised, saddle, flat, boundary, _found(causes, criterion, flat)),
    )


def _found(causes: Causes | None, criterion: Criterion, flat: Sequence[str]) -> str:
    return " ".join(causes(criterion.design)) if causes is not None and flat else ""


def unbounded(criterion: Criterion, optimum: Optimum) -> str | None:
    """Why the likelihood has no maximum, and what an optimum then is; None where nothing says so."""
    reason = None if optimum.held or optimum.constraint is not None else no_maximum(criterion.design)
    if reason is None:
        return None
    if optimum.converged:
        return f"{reason} What is given is a local maximum."
    return f"{reason} The search stopped on its way there, and what it gives means nothing."


def observed_curvature(criterion: Criterion, optimum: Optimum) -> tuple[NDArray[np.bool_], Floats]:
    """Which parameters are free at an optimum, and the observed Hessian over them."""
    theta, gradient = optimum.theta, optimum.evaluation.gradient
    assert gradient is not None
    lower = criterion.design.lower
    at_bound = (theta <= lower) & (gradient > 0)
    free = ~_stuck(criterion, optimum) & ~at_bound & (not optimum.held)
    return free, observed_hessian(criterion, theta, _reach(criterion, theta), free)


def advice_on(
    optimum: Optimum,
    promised: float,
    saddle: bool,
    flat: tuple[str, ...],
    boundary: tuple[str, ...],
    cause: str = "",
) -> tuple[str, ...]:
    if optimum.held:
        return ("The variance components were given, not estimated.",)
    found = []
    if np.isnan(promised):
        found.append(
            "The criterion cannot be computed nearby, for V is all but singular, so that there are no standard errors. "
            "Look for records that no random effect tells apart, such as those of identical twins, and that have equal "
            "values; leave out all but one of them, or simplify the residual."
        )
    elif saddle:
        found.append("The criterion still falls in some direction (a saddle point). Refit from other start= values.")
    if not optimum.converged and promised <= PROMISE and not saddle:
        found.append(
            f"The search stopped after {optimum.evaluations} evaluations without meeting its own rule, though no step "
            "promises a lower criterion. Raise max_evaluations, or compare lmm.all_fit(fit)."
        )
    elif promised > PROMISE and not saddle:
        found.append(
            f"A further step would lower the criterion by {promised:.2g}. Raise max_evaluations or give start=, for "
            "example the theta of this fit."
        )
    for combination in flat:
        found.append(f"The data do not determine {combination}. {cause or _REMEDY}")
    if optimum.saturated:
        found.append(
            "At the boundary: the residual variance is estimated as zero, the random terms take all of it. θ is very "
            "large and stands for infinity. Repeated records, or relatives of other degrees, would tell the two apart."
        )
    if boundary:
        found.append(
            f"At the boundary: {', '.join(boundary)}. A variance is estimated as zero or a correlation as one; the fit "
            "is a proper optimum, but the random terms say more than the data can support. Consider "
            "leaving the term out, "
            "or fewer effects left of the bar."
        )
    return tuple(found)


def warn_if_doubtful(
    criterion: Criterion, optimum: Optimum, names: Sequence[str], stacklevel: int, causes: Causes | None = None
) -> None:
    """
    Warn of an optimum that its own derivatives do not confirm.

    A likelihood without maximum is the reason where there is such; beside a local maximum that the derivatives confirm
    it is left to the report.

    Parameters
    ----------
    criterion : Criterion
    optimum : Optimum
    names : sequence of str
        Of the parameters.
    stacklevel : int
        As in `warnings.warn`, counted from the caller of this function.
    causes : callable, optional
        Asked when the data do not determine all parameters.
    """
    doubts = []
    if not optimum.converged:
        doubts.append(
            f"the optimiser stopped after {optimum.evaluations} evaluations without meeting its stopping rule"
        )
    flat = flat_directions(criterion, optimum, names)
    if flat:
        more = f" and {len(flat) - _TOLD} more" * (len(flat) > _TOLD)
        doubts.append(f"the data do not determine {'; '.join(flat[:_TOLD])}{more}")
    if doubts:
        remedy = _found(causes, criterion, flat) or "See fit.convergence for what to do."
        text = f"Doubtful fit: {', and '.join(doubts)}. {remedy}"
        reason = unbounded(criterion, optimum)
        warnings.warn(text if reason is None else reason, ConvergenceWarning, stacklevel=stacklevel + 1)
