"""What the derivatives in the coordinates that constraints leave say about an optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.engines import Criterion
from lmmpy.fitting.constrained_search import in_coordinates
from lmmpy.fitting.convergence import PROMISE, ConvergenceReport, advice_on, curvatures, flat_limit, unidentified
from lmmpy.fitting.fit import Optimum

if TYPE_CHECKING:
    from lmmpy.fitting.constrained_fit import Constraint

__all__ = ["constrained_flat", "constrained_hessian", "constrained_report"]

Floats = NDArray[np.float64]

_STEP = 1e-4


def constrained_hessian(criterion: Criterion, constraint: Constraint) -> Floats:
    """
    Second derivatives of −2 log-likelihood in the free ψ, by central differences of the exact gradient.

    Parameters
    ----------
    criterion : Criterion
    constraint : Constraint

    Returns
    -------
    ndarray, shape (n_free, n_free)
        NaN where V is so nearly singular that the criterion cannot be computed near ψ.
    """
    places, columns = np.flatnonzero(constraint.free), []
    for place in places:
        step = _STEP * constraint.to.scale[place]
        ahead, behind = constraint.psi.copy(), constraint.psi.copy()
        ahead[place] += step
        behind[place] -= step
        there, here = (in_coordinates(criterion, constraint.to, point).gradient for point in (ahead, behind))
        if there is None or here is None:
            return np.full((len(places), len(places)), np.nan)
        columns.append((there - here)[places] / (2.0 * step))
    hessian = np.array(columns).reshape(len(places), len(places))
    return np.asarray(0.5 * (hessian + hessian.T))


def constrained_flat(criterion: Criterion, constraint: Constraint) -> tuple[str, ...]:
    """Combinations of free ψ that the average information says nothing about."""
    information = in_coordinates(criterion, constraint.to, constraint.psi).information
    if information is None:
        return ()
    free = constraint.free
    return unidentified(information[np.ix_(free, free)], constraint.to.scale[free], _free_names(constraint))


def _free_names(constraint: Constraint) -> list[str]:
    return [name for name, free in zip(constraint.to.names, constraint.free, strict=True) if free]


def constrained_report(criterion: Criterion, optimum: Optimum, constraint: Constraint) -> ConvergenceReport:
    """
    Judge an optimum under constraints; parameters are the coordinates ψ.

    Parameters
    ----------
    criterion : Criterion
    optimum : Optimum
    constraint : Constraint
        Of the optimum.

    Returns
    -------
    ConvergenceReport
    """
    names, free = _free_names(constraint), constraint.free
    gradient = in_coordinates(criterion, constraint.to, constraint.psi).gradient
    assert gradient is not None
    hessian, scale = constrained_hessian(criterion, constraint), constraint.to.scale[free]
    eigenvalues, vectors = curvatures(hessian, scale)
    limit = flat_limit(eigenvalues)
    curved = ~(np.abs(eigenvalues) < limit)
    along = (vectors.T @ (gradient[free] * scale))[curved]
    promised = float(0.5 * (along**2 / np.abs(eigenvalues[curved])).sum())
    flat, saddle = unidentified(hessian, scale, names), bool(np.any(eigenvalues < -limit))
    return ConvergenceReport(
        ok=optimum.converged and promised <= PROMISE and not saddle and not flat,
        gradient=pd.Series(gradient, index=constraint.to.names, name="gradient"),
        scaled_gradient=float(np.sqrt(2.0 * promised)),
        promised_decrease=promised,
        hessian=pd.DataFrame(hessian, index=names, columns=names),
        eigenvalues=eigenvalues,
        boundary=constraint.boundary,
        flat=flat,
        evaluations=optimum.evaluations,
        restarts=optimum.restarts,
        engine=criterion.name,
        factorization=criterion.description,
        held=False,
        advice=advice_on(optimum, promised, saddle, flat, constraint.boundary),
    )
