"""Constraints of a fit: what it is asked to obey, the fit under more of them, and what is refused then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmmpy.errors import ModelError
from lmmpy.fitting.constrained_fit import Constraint

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit
    from lmmpy.model.results import FitResults

__all__ = ["constraint_of", "held_components", "joined", "refuse_constrained"]


def constraint_of(fit: FitResults) -> Constraint | None:
    """What held parameters of a fit at values or tied them; None when nothing did."""
    found = fit.optimum.constraint
    assert found is None or isinstance(found, Constraint)
    return found


def joined(fit: LmmFit, constraints: Any) -> Any:
    """
    The constraints of a fit and further ones.

    Raises
    ------
    ModelError
        When they are no mapping, or speak of what is constrained already.
    """
    old = constraint_of(fit)
    if old is None:
        return constraints
    if not isinstance(constraints, Mapping):
        raise ModelError(f"constraints must map names of parameters to numbers or names; got {constraints!r}.")
    again = [name for name in constraints if name in old.given]
    if again:
        raise ModelError(
            f"constraints: {again[0]!r} is constrained in this fit already ({'; '.join(old.texts)}). "
            "fit.update(constraints=…) replaces all constraints."
        )
    return {**old.given, **constraints}


def refuse_constrained(fit: FitResults, what: str, instead: str) -> None:
    """
    Refuse a fit with constraints.

    Parameters
    ----------
    fit : FitResults
    what : str
        What does not know of constraints.
    instead : str
        A sentence that says what to do.

    Raises
    ------
    ModelError
    """
    constraint = constraint_of(fit)
    if constraint is not None:
        raise ModelError(
            f"{what} does not keep to the constraints of this fit ({'; '.join(constraint.texts)}). {instead}"
        )


def held_components(fit: FitResults) -> set[str]:
    """Names of the variance components that are held at zero, as `components` names them."""
    constraint = constraint_of(fit)
    if constraint is None:
        return set()
    classes, found = constraint.classes, set()
    for i, q in enumerate(classes.quantities):
        if q.kind == "sd" and q.places and classes.classes[classes.of(i)].value == 0.0:
            block = classes.blocks[q.block]
            labels = block.labels
            if block.rows is not None and block.matrix is None:
                labels = tuple(".".join(r.labels) for r in block.rows.reported(block.rows.start()))
            single = len(labels) == 1 and block.rows is None
            found.add(block.name if single else f"{block.name}.{labels[q.places[0]]}")
    return found
