"""The same call with changes, and the models that a selection compares with a fit."""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmpy.design import Design
from lmmpy.design.kinship import relmat_in_use
from lmmpy.design.values import Floats
from lmmpy.errors import ConvergenceWarning, LmmpyWarning, ModelError
from lmmpy.fitting import Control
from lmmpy.formula import ResidualSpec, deparse, parse_formula, parse_residual
from lmmpy.formula.update import update_formula
from lmmpy.model.assemble import assemble_fit, warnings_from_caller
from lmmpy.model.results import Request
from lmmpy.model.scope import name_of
from lmmpy.model.source import Source

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["Changes", "Submodel", "submodel", "update_fit"]

_ARGUMENTS = ("weights", "offset", "subset", "contrasts", "varcomp", "relmat", "residual", "constraints")


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Changes:
    """Arguments of `lmer` to change; `...` stands for those of the fit.

    Attributes
    ----------
    formula : str or None
        See `update_formula`; None is the same.
    data, reml, control
        None is the same.
    weights, offset, subset, na_action, contrasts, relmat, residual, varcomp, constraints
        `...` is the same; of `relmat` what the new formula uses.
    start
        None estimates it from the data.
    """

    formula: str | None = None
    data: Any = None
    reml: bool | None = None
    weights: Any = ...
    offset: Any = ...
    subset: Any = ...
    na_action: Any = ...
    contrasts: Any = ...
    relmat: Any = ...
    residual: Any = ...
    varcomp: Any = ...
    constraints: Any = ...
    start: Any = None
    control: Control | None = None


def update_fit(fit: LmmFit, changes: Changes, scope: Mapping[str, Any], stacklevel: int = 2) -> LmmFit:
    """
    Fit again with some arguments changed.

    Parameters
    ----------
    fit : LmmFit
    changes : Changes
    scope : mapping
        Where the formula's names are looked up, before those that the fit kept.
    stacklevel : int
        As in `warnings.warn`, counted from this function.

    Returns
    -------
    LmmFit

    Raises
    ------
    FormulaError, DataError, ModelError
        As `lmer` does; and for a term that is to be taken away and is not there.
    """
    formula = fit.formula if changes.formula is None else update_formula(fit.formula, changes.formula)
    request = _changed_request(fit, changes, formula, scope)
    names = ChainMap(dict(scope), dict(fit.blueprint.scope))
    with warnings_from_caller(stacklevel + 1):
        new = assemble_fit(type(fit), formula, request, names, changes.start)
        if changes.relmat is ...:  # whole, for a further change that brings a term back
            new.request = replace(request, source=replace(request.source, relmat=fit.request.source.relmat))
        same_response = new.blueprint.response_text == fit.blueprint.response_text
        if fit.request.refitted and changes.data is None and same_response:
            return _refitted_alike(new, fit)
        return new


def _refitted_alike(new: LmmFit, fit: LmmFit) -> LmmFit:
    """The new model of the response to which the fit was refitted, which its data do not have."""
    rows = new.design.rows
    if (rows & ~fit.design.rows).any():
        raise ModelError(
            "This fit was refitted to another response, which is known for its own rows only, and the model would use "
            "others. Give it the same rows (subset=, na_action=), or data= with the response."
        )
    return new.refit(_on_all_rows(fit.design, fit.design.y)[rows])


def _changed_request(fit: LmmFit, changes: Changes, formula: str, scope: Mapping[str, Any]) -> Request:
    old, source = fit.request, fit.request.source
    reml = old.reml if changes.reml is None else changes.reml
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml must be True or False, not {reml!r}.")
    if changes.control is not None and not isinstance(changes.control, Control):
        raise ModelError(f"control must be an lmm.Control(...), not a {type(changes.control).__name__}.")

    def kept(name: str) -> Any:
        value = getattr(changes, name)
        if value is not ...:
            return value
        if name == "relmat" and source.relmat is not None:
            return relmat_in_use(parse_formula(formula), source.relmat, _residual(kept("residual")))
        return _still_there(source.contrasts, formula) if name == "contrasts" else getattr(source, name)

    def text(name: str) -> str | None:
        value = getattr(changes, name)
        if value is ...:
            known: str | None = getattr(old, name)
            return known
        return value if value is None or isinstance(value, str) else name_of(value, scope) or "(values)"

    data = source.data if changes.data is None else changes.data
    return Request(
        reml=bool(reml),
        na_action=old.na_action if changes.na_action is ... else changes.na_action,
        control=old.control if changes.control is None else changes.control,
        source=Source(data, **{name: kept(name) for name in _ARGUMENTS}),
        data_name=old.data_name if changes.data is None else name_of(data, scope),
        weights=text("weights"),
        offset=text("offset"),
        subset=text("subset"),
    )


def _residual(text: str | None) -> ResidualSpec | None:
    return None if text is None else parse_residual(text)


def _still_there(contrasts: Any, formula: str) -> Any:
    """Contrasts by column, without those of factors that the fixed part has no more."""
    if not isinstance(contrasts, Mapping):
        return contrasts
    parts = parse_formula(formula).fixed_parts
    variables = {deparse(node) for terms in parts for node in terms.variables}
    return {name: contrast for name, contrast in contrasts.items() if str(name) in variables} or None


@dataclass(frozen=True, eq=False, slots=True)
class Submodel:
    """A model on the rows and weights of a fit.

    Attributes
    ----------
    fit : LmmFit
    singular : bool
        Whether it lies on the boundary.
    """

    fit: LmmFit
    singular: bool


def submodel(fit: LmmFit, formula: str, reml: bool | None = None) -> Submodel:
    """
    Another formula on exactly the rows of a fit, whatever is missing in variables that it lacks.

    It keeps the arguments of the fit as they were given, so that `predict` and `update` work as of the fit; an update
    looks for its rows anew.

    What is said of any fit (a singular one, predictors on different scales, dropped columns) is not said again of each
    model that is compared; that one did not converge is.

    Parameters
    ----------
    fit : LmmFit
    formula : str
    reml : bool, optional
        Default: as the fit.

    Returns
    -------
    Submodel

    Raises
    ------
    ModelError
        When the fit's own response or offset cannot be read again.

    Warns
    -----
    ConvergenceWarning
    """
    design = fit.design
    changes = Changes(
        formula=formula,
        reml=reml,
        weights=_weights_of_all_rows(fit.design) if design.weights is not None else ...,
        subset=... if design.rows.all() else design.rows,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LmmpyWarning)
        new = update_fit(fit, changes, {})
    for warning in caught:
        if not issubclass(warning.category, LmmpyWarning) or issubclass(warning.category, ConvergenceWarning):
            warnings.warn(f"{new.formula}: {warning.message}", warning.category, stacklevel=4)
    if not _same_observations(new.design, design):
        traits = " and traits" if design.traits is not None else ""
        raise ModelError(
            f"{new.formula} cannot use the rows{traits} of {fit.formula}, no more and no fewer: a variable that one of "
            "them lacks is missing on some. Fit both to the rows that both can use, with subset=."
        )
    _take_arguments(new, fit)
    return Submodel(new, not new.optimum.held and new.is_singular())


def _take_arguments(new: LmmFit, fit: LmmFit) -> None:
    """Give a submodel weights, subset and rows left out as the user gave them, so that it is used as the fit is."""
    request, source = fit.request, fit.request.source
    own = replace(new.request.source, weights=source.weights, subset=source.subset)
    new.request = replace(new.request, source=own, weights=request.weights, subset=request.subset)
    # The expression of the weights may need names that the formula does not.
    new.blueprint = replace(new.blueprint, scope={**fit.blueprint.scope, **new.blueprint.scope})
    # In place: the design of the criterion, from which further fits are made, shares the array.
    new.design.left_out[:] = fit.design.left_out


def _on_all_rows(design: Design, values: Floats) -> Floats:
    """Values of the rows of a design on all rows of the data, NaN elsewhere; with several traits a column for each."""
    if design.traits is None:
        found = np.full(len(design.rows), np.nan)
        found[design.rows] = values
        return found
    wide = np.full((len(design.rows), len(design.traits.names)), np.nan)
    wide[np.flatnonzero(design.rows)[design.traits.row], design.traits.trait] = values
    return wide


def _weights_of_all_rows(design: Design) -> Floats:
    """The prior weights, which the traits of a row share; one where a row is not used."""
    assert design.weights is not None
    found = _on_all_rows(design, design.weights)
    found = found if found.ndim == 1 else np.fmax.reduce(found, axis=1)
    return np.nan_to_num(found, nan=1.0)


def _same_observations(a: Design, b: Design) -> bool:
    """Whether two designs have the same rows of the data, and the same traits of them."""
    if not np.array_equal(a.rows, b.rows) or (a.traits is None) != (b.traits is None):
        return False
    if a.traits is None or b.traits is None:
        return True
    same = a.traits.names == b.traits.names and np.array_equal(a.traits.row, b.traits.row)
    return same and np.array_equal(a.traits.trait, b.traits.trait)
