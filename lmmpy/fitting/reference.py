"""Which stratum of the residual counts as one: another, where the first has next to no residual variance.

θ and the parameters of a structured residual are relative to the residual standard deviation of the reference stratum,
or trait. Where that goes to zero all of them grow without end, while relative to another stratum it is a boundary like
any other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Diagonal, Indexed, Unstructured
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.design import Design
from lmmpy.engines import Criterion, make_criterion
from lmmpy.fitting.control import Control
from lmmpy.fitting.fit import Optimum, fit_theta

__all__ = ["fit_by_reference", "theta_in", "with_reference"]

Floats = NDArray[np.float64]

# A stratum with so many times the residual of the reference, in typical sizes, is the better one.
_BETTER = 3.0


def fit_by_reference(
    criterion: Criterion, control: Control, start: Floats | None, engine: str
) -> tuple[Criterion, Optimum]:
    """
    Minimise a criterion, from where another reference is better relative to that.

    Parameters
    ----------
    criterion : Criterion
    control : Control
    start : ndarray, shape (n_theta,), or None
    engine : str
        With which to make the criterion of another reference.

    Returns
    -------
    criterion : Criterion
        The same likelihood; of a design whose residual may have another reference.
    optimum : Optimum
    """
    design = criterion.design
    if not _may_change(design):
        return criterion, fit_theta(criterion, control, start)
    optimum = fit_theta(criterion, control, start, wander=False)
    if not optimum.adrift:
        return criterion, optimum
    place = _most_residual(design, optimum.theta)
    if place == 0:
        return criterion, fit_theta(criterion, control, start)
    other = with_reference(design, place)
    near = theta_in(design, optimum.theta, other)
    turned = make_criterion(other, criterion.reml, engine)
    return turned, fit_theta(turned, control, near=near)


def _may_change(design: Design) -> bool:
    """Whether strata are alike but for their covariances, so that any of them may be the first."""
    if design.residual is None or design.functions or not isinstance(design.residual.structure, Indexed):
        return False
    kind = design.residual.structure.structure
    of_strata = isinstance(kind, Unstructured | Diagonal) or (
        isinstance(kind, OneCorrelation) and not kind.homogeneous and not kind.ordered
    )
    return of_strata and kind.k > 1 and kind.n_theta >= kind.k


def _most_residual(design: Design, theta: Floats) -> int:
    """The stratum with the most residual variance against its typical one; the first unless another has far more."""
    assert design.residual is not None and isinstance(design.residual.structure, Indexed)
    structure = design.residual.structure
    T = structure.factor(design.split_rows(theta)[-1]).T
    shares = np.linalg.norm(T, axis=1) / structure.sizes
    most = int(np.argmax(shares))
    return most if shares[most] > _BETTER * shares[0] else 0


def with_reference(design: Design, place: int) -> Design:
    """
    The same model, relative to another stratum.

    Parameters
    ----------
    design : Design
        With an `Indexed` residual.
    place : int
        Of the stratum, among those of the structure.

    Returns
    -------
    Design
    """
    assert design.residual is not None and isinstance(design.residual.structure, Indexed)
    residual, structure = design.residual, design.residual.structure
    order = np.array([place, *(i for i in range(len(structure.labels)) if i != place)])
    new = np.argsort(order)
    size = structure.sizes[place]
    turned = replace(
        structure,
        places=new[structure.places],
        labels=tuple(structure.labels[i] for i in order),
        sizes=structure.sizes[order] / size,
        shown=tuple(int(new[i]) for i in structure.order),
    )
    return replace(design, residual=replace(residual, structure=turned, typical=residual.typical / size))


def theta_in(design: Design, theta: Floats, other: Design) -> Floats:
    """
    θ of the same covariances relative to another stratum.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
        Its parameters.
    other : Design
        By `with_reference`.

    Returns
    -------
    ndarray, shape (n_theta,)
    """
    assert design.residual is not None and isinstance(design.residual.structure, Indexed)
    assert other.residual is not None and isinstance(other.residual.structure, Indexed)
    own, wanted = design.residual.structure, other.residual.structure
    T = own.factor(design.split_rows(theta)[-1]).T
    order = [own.labels.index(label) for label in wanted.labels]
    C = (T @ T.T)[np.ix_(order, order)]
    parts = []
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        factor = term.structure.factor(part).T
        parts.append(term.structure.nearest(factor @ factor.T / C[0, 0]))
    return np.concatenate([*parts, wanted.structure.nearest(C / C[0, 0])[1:]])
