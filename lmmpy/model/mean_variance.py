"""Variances that are functions of a covariate or of the mean: `varpower` and `varexp`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Exponential, Power, Product, RandomFunction, RowStructure
from lmmpy.covariance.deviations import LogLinear
from lmmpy.design import Design
from lmmpy.engines import Criterion, Solution, make_criterion
from lmmpy.errors import ConvergenceWarning, DataError, ModelError
from lmmpy.fitting import Control, Optimum, fit_theta
from lmmpy.formula import ResidualSpec

__all__ = ["fit_variance_functions", "has_variance_functions"]

Floats = NDArray[np.float64]
Fit = Callable[[Criterion, Floats | None], Optimum]

# The mean is settled when no parameter changes by more, relatively; how many fits that may take.
_SETTLED, _FITS = 1e-8, 200
# What a difference between the mean and its covariate counts against that of parameters; the shortest step towards it.
_WEIGHT, _SHORTEST = 0.01, 0.1
# Logarithm of a standard deviation, relative to σ, whose square is still a number.
_LARGEST = 300.0


def has_variance_functions(spec: ResidualSpec | None) -> bool:
    """Whether a variance is a function of a number, which `fit_variance_functions` is for."""
    return spec is not None and any(variance.kind != "varident" for variance in spec.variances)


def fit_variance_functions(
    spec: ResidualSpec, criterion: Criterion, control: Control, fit: Fit, centred: bool
) -> tuple[Criterion, Optimum]:
    """
    Fit a model whose residual variance is a function of a covariate or of the mean.

    σ is the standard deviation where the power or exponential is one, which may be far from the data. The search is
    then for σ where the exponents are at their mean, and ends with a fit that begins at what it found, in units that
    are typical there.

    The mean is that of the last fit: Xβ̂ + Zb̂, all random effects in it, or Xβ̂ where there are none; fits follow each
    other until no parameter changes and the covariate is the mean. The likelihood is that of the covariate taken as
    given, the restricted one likewise, and so are derivatives and what follows from them (Davidian & Giltinan 1995,
    section 2.3; Pinheiro & Bates 2000, section 5.2): it is maximal in β, θ and σ for the covariate that it ends with,
    not over covariates. Refits to other responses, and by maximum likelihood, keep that covariate.

    Parameters
    ----------
    spec : ResidualSpec
    criterion : Criterion
        With a first guess of the mean.
    control : Control
    fit : callable
        (criterion, start or None) → Optimum.
    centred : bool
        Whether the search may be for another σ; not where that, or θ, is held or given.

    Returns
    -------
    Criterion
        Of the design with the mean that is settled.
    Optimum
        There; its log has all fits.

    Raises
    ------
    DataError
        When a fitted value is zero, where a power of it is no variance.
    ModelError
        When all fitted values are the same, or σ is so far from the data that it is no number.

    Warns
    -----
    ConvergenceWarning
        When the mean does not settle.
    """

    def criterion_of(design: Design) -> Criterion:
        return make_criterion(design, criterion.reml, control.engine)

    design = criterion.design
    if _is_constant(design, spec):
        design = _with_first_mean(design, spec, criterion_of, control)
    if centred:
        design = _with_parts(design, [_about_mean(part) for part in _parts(design)])
    current = criterion if design is criterion.design else criterion_of(design)
    optimum = fit(current, None)
    if spec.of_mean:
        current, optimum = _settled(spec, current, optimum, criterion_of, fit)
    design, theta = _about_origin(spec, current.design, optimum.theta)
    current = criterion_of(design)
    last = fit(current, theta)
    return current, replace(last, log=(*optimum.log, *last.log))


def _is_constant(design: Design, spec: ResidualSpec) -> bool:
    """Whether the first guess of the mean is the same in all rows."""
    parts = _parts(design)[-len(spec.variances) :]
    covariates = [
        part.covariate
        for part, variance in zip(parts, spec.variances, strict=True)
        if variance.of_mean and isinstance(part, LogLinear)
    ]
    return any(np.ptp(covariate) == 0.0 for covariate in covariates)


def _with_first_mean(
    design: Design, spec: ResidualSpec, criterion_of: Callable[[Design], Criterion], control: Control
) -> Design:
    """The design with the mean of the model whose variance is no function of the mean."""
    parts, first = _parts(design), len(_parts(design)) - len(spec.variances)
    others = [part for at, part in enumerate(parts) if at < first or not spec.variances[at - first].of_mean]
    if not design.random and not design.functions:
        raise _constant(spec.text)
    plain = criterion_of(_with_parts(design, others) if others else replace(design, residual=None))
    return _with_mean(design, spec, plain.solve(fit_theta(plain, control).theta))


def _constant(text: str) -> ModelError:
    return ModelError(
        f"residual: the mean that {text} is a function of is the same in all rows, so that nothing varies with it."
    )


def _settled(
    spec: ResidualSpec, criterion: Criterion, optimum: Optimum, criterion_of: Callable[[Design], Criterion], fit: Fit
) -> tuple[Criterion, Optimum]:
    """
    Fit again and again with the fitted values as the covariate, in shorter steps where they swing.

    A step goes from the covariate of a fit towards its fitted values, whole until successive ones oppose each other;
    then so far as they would have met on the way (Irons & Tuck 1969).
    """
    solution, change = criterion.solve(optimum.theta), math.inf
    mean, misfit, share = _fitted(criterion.design, spec, solution), None, 1.0
    for _ in range(_FITS):
        last, before, old = optimum, solution, misfit
        criterion = criterion_of(_with_covariate(criterion.design, spec, mean))
        optimum = fit(criterion, last.theta)
        optimum = replace(optimum, log=(*last.log, *optimum.log))
        solution = criterion.solve(optimum.theta)
        misfit = _fitted(criterion.design, spec, solution) - mean
        off = float(np.abs(misfit).max()) / float(np.ptp(mean))
        change = max(_change(last.theta, optimum.theta, before, solution), _WEIGHT * off)
        if change < _SETTLED:
            return criterion, optimum
        if old is not None:
            turn = misfit - old
            share = float(np.clip(-share * (old @ turn) / (turn @ turn), _SHORTEST, 1.0))
        mean = mean + share * misfit
    warnings.warn(
        f"The mean that {spec.text} is a function of has not settled in {_FITS} fits: fitted values still differ from "
        f"the covariate by {off:.1e} of their range, so that estimates and likelihood are those of the last fit and of "
        "no solution. The variance may hardly depend on the mean, or fitted values come near zero.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return criterion, optimum


def _change(theta: Floats, new_theta: Floats, before: Solution, after: Solution) -> float:
    """The largest change of θ and of σ; of θ relative to one where it is larger."""
    of_theta = np.abs(new_theta - theta) / np.maximum(np.abs(theta), 1.0)
    return max(float(of_theta.max(initial=0.0)), abs(math.log(after.sigma / before.sigma)))


# ---- the parts of a residual


def _parts(design: Design) -> tuple[RowStructure, ...]:
    assert design.residual is not None
    structure = design.residual.structure
    return structure.parts if isinstance(structure, Product) else (structure,)


def _with_parts(design: Design, parts: list[RowStructure], typical: Floats | None = None) -> Design:
    assert design.residual is not None
    structure = parts[0] if len(parts) == 1 else Product(*parts)
    typical = design.residual.typical if typical is None else typical
    return replace(design, residual=replace(design.residual, structure=structure, typical=typical))


def _about_mean(part: RowStructure) -> RowStructure:
    return part.about(None) if isinstance(part, LogLinear) else part


def _with_mean(design: Design, spec: ResidualSpec, solution: Solution) -> Design:
    """The design with the fitted values as the covariate of those variances that are functions of the mean."""
    return _with_covariate(design, spec, _fitted(design, spec, solution))


def _fitted(design: Design, spec: ResidualSpec, solution: Solution) -> Floats:
    """Fitted values, shape (n,)."""
    mean = design.X @ solution.beta + design.Z @ solution.b + sum(solution.functions, np.zeros(design.n))
    if design.offset is not None:
        mean = mean + design.offset
    if np.ptp(mean) <= 1e-10 * np.abs(mean).max():
        raise _constant(spec.text)
    return np.asarray(mean)


def _with_covariate(design: Design, spec: ResidualSpec, mean: Floats) -> Design:
    """The design with this covariate of those variances."""
    found = list(_parts(design))
    for at, variance in enumerate(spec.variances, len(found) - len(spec.variances)):
        part = found[at]
        if not variance.of_mean or not isinstance(part, LogLinear):
            continue
        if isinstance(part, Power) and np.any(mean == 0.0):
            raise DataError(
                f"residual: a fitted value is zero, and a power of it as in {variance.text} is no variance. Use "
                "varexp()."
            )
        found[at] = (Power if isinstance(part, Power) else Exponential)(mean, part.centre)
    return _with_parts(design, found)


def _about_origin(spec: ResidualSpec, design: Design, theta: Floats) -> tuple[Design, Floats]:
    """The same model with σ where users have it, what is typical at these parameters, and θ relative to that σ."""
    assert design.residual is not None
    parts, exponent, shift, at = list(_parts(design)), np.zeros(design.n), 0.0, design.n_theta
    for place in reversed(range(len(parts))):
        part = parts[place]
        at -= part.n_theta
        if isinstance(part, LogLinear):
            shift += theta[at] * part.centre
            parts[place] = origin = part.about(0.0)
            exponent += theta[at] * origin.exponents
    if max(float(np.abs(exponent).max()), abs(shift)) > _LARGEST:
        raise ModelError(
            f"residual: σ is the standard deviation where the function in {spec.text} is one, too far from the data to "
            "be a number. Write the covariate as a difference from one in the data, such as varexp(I(x - 2000)), or "
            "relative to it, such as varpower(I(x / 1000))."
        )
    theta = theta if shift == 0.0 else _magnified(design, theta, math.exp(shift))
    return _with_parts(design, parts, design.residual.typical * np.exp(exponent)), theta


def _magnified(design: Design, theta: Floats, factor: float) -> Floats:
    """θ of the same variances where σ is `factor` times smaller."""
    found = []
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        T = factor * term.structure.factor(part).T
        found.append(term.structure.nearest(T @ T.T))
    for rows, part in zip(design.row_covariances, design.split_rows(theta), strict=True):
        first = factor if isinstance(rows.structure, RandomFunction) else 1.0
        found.append(np.concatenate([first * part[:1], part[1:]]))
    return np.concatenate(found)
