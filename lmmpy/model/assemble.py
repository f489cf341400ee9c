"""From a formula and a request to a fit: what `lmer` and `LmmFit.update` share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmpy.design import build_design
from lmmpy.engines import Criterion, make_criterion, one_blas_thread
from lmmpy.errors import ModelError
from lmmpy.fitting import Optimum, fit_theta, hold_theta
from lmmpy.model.checks import check_design, warn_about_design
from lmmpy.model.components import theta_from_components
from lmmpy.model.lformula import data_index
from lmmpy.model.results import Request
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
            scope=scope,
        )
        check_design(design, sizes=request.control.check_sizes == "stop" and source.varcomp is None)
        warn_about_design(design)
        criterion = make_criterion(design, request.reml, request.control.engine)
        if source.varcomp is None:
            optimum = fit_theta(criterion, request.control, start)
        else:
            optimum, known_sigma = _known(criterion, source.varcomp)
        fit = kind(design, blueprint, criterion, optimum, request, data_index(source.data, design), known_sigma)
    judge(fit, stacklevel=2, response=f"the response {blueprint.response_text!r}")
    return fit


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
