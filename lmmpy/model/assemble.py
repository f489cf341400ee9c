"""From a formula and a request to a fit: what `lmer` and `LmmFit.update` share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmpy.design import Design, build_design
from lmmpy.engines import Criterion, make_criterion, one_blas_thread
from lmmpy.errors import ModelError
from lmmpy.fitting import Control, Optimum, fit_by_reference, fit_constrained, fit_theta, hold_theta, names_sigma
from lmmpy.formula import ResidualSpec
from lmmpy.model.checks import check_design, warn_about_design
from lmmpy.model.components import theta_from_components
from lmmpy.model.lformula import data_index
from lmmpy.model.mean_variance import fit_variance_functions, has_variance_functions
from lmmpy.model.results import Request
from lmmpy.model.source import Source
from lmmpy.model.trait_checks import check_traits
from lmmpy.model.verdict import judge

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["assemble_fit", "warnings_from_caller"]


def assemble_fit(kind: type[LmmFit], formula: str, request: Request, scope: Mapping[str, Any], start: Any) -> LmmFit:
    """
    Read, fit and judge a model.

    Parameters
    ----------
    kind : type
        `LmmFit`, which imports this module.
    formula : str
    request : Request
    scope : mapping
        The caller's variables.
    start : array-like or None

    Returns
    -------
    LmmFit
    """
    source, known_sigma = request.source, None
    with one_blas_thread():
        design, blueprint = build_design(
            formula,
            source.data,
            weights=source.weights,
            offset=source.offset,
            subset=source.subset,
            na_action=request.na_action,
            contrasts=source.contrasts,
            relmat=source.relmat,
            residual=source.residual,
            scope=scope,
        )
        check_design(design, sizes=request.control.check_sizes == "stop" and not _knows_residual(design, source))
        warn_about_design(design)
        if source.varcomp is None and source.constraints is None:
            check_traits(design)
        criterion = make_criterion(design, request.reml, request.control.engine)
        if source.varcomp is None or source.constraints is not None:
            criterion, optimum = _estimated(criterion, blueprint.residual, request, start)
            design = criterion.design
        else:
            optimum, known_sigma = _known(criterion, source.varcomp)
        fit = kind(design, blueprint, criterion, optimum, request, data_index(source.data, design), known_sigma)
    judge(fit, stacklevel=2, response=f"the response {blueprint.response_text!r}")
    return fit


def _knows_residual(design: Design, source: Source) -> bool:
    """Whether the variance of all residuals is given: then one row a level is enough, as in a meta-analysis."""
    held = source.constraints.get("sigma") if isinstance(source.constraints, Mapping) else None
    return source.varcomp is not None or (isinstance(held, Real) and design.residual is None)


def _estimated(
    criterion: Criterion, residual: ResidualSpec | None, request: Request, start: Any
) -> tuple[Criterion, Optimum]:
    """The optimum, under constraints where there are such; and its criterion, whose design a residual may change."""
    source, control = request.source, request.control
    if source.constraints is not None and source.varcomp is not None:
        raise ModelError("Give constraints or varcomp, not both: with varcomp nothing is estimated that could be held.")

    def fit(one: Criterion, near: Any) -> Optimum:
        if source.constraints is None:
            return fit_theta(one, control, near)
        return fit_constrained(one, source.constraints, control, start=near)  # which need not obey them

    if residual is None or not has_variance_functions(residual):
        if source.constraints is None:
            return fit_by_reference(criterion, control, start, control.engine)
        return _constrained(criterion, source.constraints, control, start)
    free = start is None and source.constraints is None
    return fit_variance_functions(
        residual, criterion, control, lambda one, near: fit(one, start if near is None else near), free
    )


def _constrained(criterion: Criterion, constraints: Any, control: Control, start: Any) -> tuple[Criterion, Optimum]:
    """The optimum under constraints; where the search does not end, relative to the stratum that suits the free fit."""
    optimum = fit_constrained(criterion, constraints, control, start=start)
    if optimum.converged or start is not None or names_sigma(constraints):
        return criterion, optimum
    turned, free = fit_by_reference(criterion, control, None, control.engine)
    if turned is criterion:
        return criterion, optimum
    near = np.append(free.theta, np.log(turned.solve(free.theta).sigma))
    return turned, fit_constrained(turned, constraints, control, near=near)


def _known(criterion: Criterion, varcomp: Any) -> tuple[Optimum, float]:
    """θ and σ of known variance components."""
    if not isinstance(varcomp, Mapping):
        raise ModelError(f"varcomp must map terms and 'Residual' to variances, not be a {type(varcomp).__name__}.")
    theta, sigma = theta_from_components(criterion.design, varcomp)
    optimum = hold_theta(criterion, theta)
    if not np.isfinite(optimum.evaluation.value):
        raise ModelError(
            f"The likelihood cannot be computed at varcomp={dict(varcomp)!r}: a component is too large against the "
            "residual variance. Give smaller ones."
        )
    return optimum, sigma


@contextmanager
def warnings_from_caller(stacklevel: int) -> Iterator[None]:
    """
    Say what is warned of inside as if the caller's line said it, however deep it arose.

    Parameters
    ----------
    stacklevel : int
        As in `warnings.warn`, counted from the function that uses this.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        warnings.warn(str(warning.message), warning.category, stacklevel=stacklevel + 2)
