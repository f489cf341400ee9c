"""`ParsedFormula` + data → `Design`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.blueprint import Blueprint
from lmmpy.design.columns import Columns
from lmmpy.design.contrasts import Contrasts
from lmmpy.design.design import Design
from lmmpy.design.evaluate import Evaluator, names_needed
from lmmpy.design.kinship import Kinship, groupings, read_kinships
from lmmpy.design.misreadings import warn_about_misreadings
from lmmpy.design.random_effects import levels_of_groups, random_effects, random_functions
from lmmpy.design.reading import ROW, TRAIT, Reading, read_model, read_subset_argument, warn_about_new_gaps
from lmmpy.design.residual import RowView, make_residual
from lmmpy.design.responses import checked_weights, read_responses
from lmmpy.design.rows import NA_ACTIONS, missing_rows
from lmmpy.design.traits import Stack, observed, outside
from lmmpy.design.values import Categorical, as_factor
from lmmpy.errors import DataError, FormulaError, shown
from lmmpy.formula import (
    INDEPENDENT,
    Node,
    ParsedFormula,
    ResidualSpec,
    Terms,
    deparse,
    names_in,
    parse_formula,
    parse_residual,
    read_expression,
)
from lmmpy.formula.kin import is_kin

__all__ = ["Blueprint", "build_design"]

Rows = NDArray[np.bool_]


def build_design(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Any = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    scope: Mapping[str, Any] | None = None,
) -> tuple[Design, Blueprint]:
    """
    Read a formula over data.

    Parameters
    ----------
    formula : str
    data : frame or mapping of arrays
    weights, offset, subset : str or array-like, optional
        An expression over the columns, or one value a row.
    na_action : {"omit", "exclude", "fail"}
    contrasts : optional
        See `Contrasts.read`.
    relmat : mapping, optional
        See `read_kinships`.
    residual : str, optional
        See `parse_residual`; by default independent, with several traits unstructured over those of a row.
    scope : mapping, optional
        The caller's variables.

    Returns
    -------
    Design
    Blueprint
        To read new data in the same way.

    Raises
    ------
    FormulaError, DataError
    ModelError
        For what `relmat` holds and the formula does not use.
    """
    if na_action not in NA_ACTIONS:
        raise DataError(f"na_action={na_action!r} is unknown; choose one of {shown(NA_ACTIONS)}.")
    if not isinstance(formula, str):
        raise FormulaError(f"The formula must be a text such as 'y ~ x + (1 | g)', not a {type(formula).__name__}.")
    parsed = parse_formula(formula)
    if parsed.response is None:
        raise FormulaError(f"The formula {formula!r} has no response left of '~'.")
    spec = _residual_spec(parsed, residual)
    chosen = Contrasts.read(contrasts)
    columns = Columns(data)
    if columns.names and columns.n_rows == 0:
        raise DataError("No rows are left to fit: the data have none.")
    offset_node, *others = [
        read_expression(argument) if isinstance(argument, str) else None for argument in (offset, weights, subset)
    ]
    memory: dict[str, dict[str, Any]] = {}
    _refuse_trait(parsed, columns, scope or {})
    _refuse_shadowed(parsed, spec, columns)
    kinships = read_kinships(parsed, columns, relmat, scope or {}, spec)
    ids = _ids(parsed, spec, kinships)
    evaluator = Evaluator(columns, scope or {}, memory, ids)
    reading = read_model(parsed, spec, evaluator, weights, offset)
    kept = np.ones(columns.n_rows, dtype=bool) if subset is None else read_subset_argument(subset, evaluator)
    rows, absent, present = _rows_in_use(parsed, spec, reading, columns, kept, na_action)
    unused = None if present is None else outside(parsed, spec, present)
    reading = reading.used(rows, unused)
    warn_about_misreadings(parsed, reading, columns, stacklevel=2)
    related = {label: kinship.of_rows(rows) for label, kinship in kinships.items()}
    blueprint = Blueprint(
        parsed,
        chosen,
        scope=_scope(_nodes(parsed, spec, offset_node, *others), parsed, spec, columns, relmat or {}, scope or {}),
        memory=memory,
        levels=_levels(reading.values),
        column_levels=columns.levels_seen(),
        offset=offset_node,
        has_numeric_offset=offset is not None and offset_node is None,
        ids=ids,
        relatedness=related,
        residual=spec,
    )
    stack = None if present is None else Stack(tuple(trait.name for trait in parsed.traits), present[rows])
    return _assemble(blueprint, reading, kinships, rows, absent, stack), blueprint


def _rows_in_use(
    parsed: ParsedFormula, spec: ResidualSpec | None, reading: Reading, columns: Columns, kept: Rows, na_action: str
) -> tuple[Rows, Rows, Rows | None]:
    """Rows that are used, rows that miss a value, and, of several traits, which each row has, shape (n_rows, d)."""
    if parsed.traits:
        present = observed(parsed, spec, reading, kept, na_action)
        absent = kept & ~present.any(axis=1)
        new_gaps = bool((kept & ~present.all(axis=1)).any())
    else:
        present = None
        absent = missing_rows(_everything(parsed, reading), kept, na_action)
        new_gaps = bool(absent.any())
    if new_gaps:
        warn_about_new_gaps(reading, columns, kept, stacklevel=3)
    return kept & ~absent, absent, present


_BETWEEN_ROWS = {
    "ar1": "ar1(1 | g) for the rows of each g in their order, or ar1(t | g) for times t",
    "cs": "cs(1 | g) for the rows of each g",
    "diag": "diag(0 + f | 1) for a variance of each level of f",
    "us": "us(0 + f | g) for the levels of f in each g",
}
"""What the word for a structure over traits may have been meant to be."""


def _residual_spec(parsed: ParsedFormula, residual: str | None) -> ResidualSpec | None:
    if residual is None:
        return parse_residual("us") if parsed.traits else None
    spec = parse_residual(residual)
    if spec.text == INDEPENDENT and parsed.all_random and not parsed.traits:
        return None
    if spec.over_traits and not parsed.traits:
        raise FormulaError(
            f"residual={spec.text!r} alone is a structure over the traits of cbind(a, b), and the response is a single "
            f"one. Write {_BETWEEN_ROWS[spec.text]}."
        )
    return spec


def _refuse_shadowed(parsed: ParsedFormula, spec: ResidualSpec | None, columns: Columns) -> None:
    """Refuse columns of the user by the names that mean traits and rows in a residual."""
    if not parsed.traits or spec is None or spec.over_traits:
        return
    taken = [name for name in (TRAIT, ROW) if name in columns and name in {deparse(node) for node in spec.nodes}]
    if taken:
        meant = " and ".join(f"{name}s" for name in taken)
        raise FormulaError(
            f"residual={spec.text!r}: with cbind() {shown(taken)} mean{'s' * (len(taken) == 1)} the {meant} of the "
            "response, and the data have a column of that name too. Rename the column."
        )


def _refuse_trait(parsed: ParsedFormula, columns: Columns, scope: Mapping[str, Any]) -> None:
    """Say what takes the place of `trait`, which other programs have in the formulas of several traits."""
    names = {name for node in _nodes(parsed, None) for name in names_in(node)}
    if parsed.traits and TRAIT in names and TRAIT not in columns and TRAIT not in scope:
        raise FormulaError(
            "'trait' is no column and has no place in the formula: with cbind() every fixed effect is by trait, and "
            "every random term is over the traits, (1 | g) as well as kin(A). Write at(<trait>, x) for one trait only; "
            "residual= knows `trait` and `row`."
        )


def _everything(parsed: ParsedFormula, reading: Reading) -> list[tuple[str, Any]]:
    """All values of a model with one response, with their texts."""
    named = [(deparse(node), value) for node, value in reading.values.items()] + list(reading.groups.items())
    extra = [("weights", reading.weights), ("offset", reading.total_offset(parsed.fixed.offsets))]
    return named + [(text, value) for text, value in extra if value is not None]


def _ids(
    parsed: ParsedFormula, spec: ResidualSpec | None, kinships: Mapping[str, Kinship]
) -> dict[Node, Node | Categorical]:
    """What stands for the ids of each call of `kin`."""
    related = {g.factors[0]: g for g in groupings(parsed, spec) if g.kin is not None}
    found = {node: kinships[grouping.label].id for node, grouping in related.items()}
    return {node: ids for node, ids in found.items() if ids is not None}


def _scope(
    nodes: list[Node],
    parsed: ParsedFormula,
    spec: ResidualSpec | None,
    columns: Columns,
    relmat: Mapping[str, Any],
    scope: Mapping[str, Any],
) -> dict[str, Any]:
    """The part of the caller's scope that is kept; a relatedness is looked for in `relmat` and not among columns."""
    kins = [grouping.kin for grouping in groupings(parsed, spec) if grouping.kin is not None]
    rest = [node for node in nodes if not is_kin(node)] + [kin.id for kin in kins if kin.id is not None]
    related = [kin.relatedness for kin in kins]
    return {**names_needed(rest, columns, scope), **names_needed(related, relmat, scope)}


def _nodes(parsed: ParsedFormula, spec: ResidualSpec | None, *arguments: Node | None) -> list[Node]:
    nodes = [node for terms in parsed.fixed_parts for node in (*terms.variables, *terms.offsets)]
    for term in parsed.all_random:
        nodes += [*term.lhs.variables, *term.grouping.factors]
    nodes += [] if spec is None else spec.nodes
    return [*nodes, *parsed.responses, *(node for node in arguments if node is not None)]


def _assemble(
    blueprint: Blueprint,
    reading: Reading,
    kinships: Mapping[str, Kinship],
    rows: Rows,
    absent: Rows,
    stack: Stack | None,
) -> Design:
    _check_contrast_names(blueprint.contrasts, blueprint.parsed.fixed_parts, reading.values)
    responses = read_responses(blueprint, reading, rows, stack)
    weights = None if reading.weights is None else checked_weights(reading.weights, rows)[responses.row]
    groups = levels_of_groups(blueprint, reading, kinships, stack)
    design = Design(
        y=responses.y,
        X=responses.X,
        names=responses.names,
        assign=responses.assign,
        dropped=responses.dropped,
        random=random_effects(blueprint, reading, groups, rows, stack),
        weights=weights,
        offset=responses.offset,
        rows=rows,
        left_out=absent,
        functions=random_functions(blueprint, reading, groups, rows),
        traits=None if stack is None else stack.traits,
    )
    spec = blueprint.residual
    if spec is None:
        return design
    mean, root = responses.mean(weights), 1.0 if weights is None else np.sqrt(weights)
    known = None if spec.known is None else groups[spec.known.label]
    data_rows = np.flatnonzero(rows)[responses.row]
    view = RowView(reading, data_rows, (design.y - mean) * root, mean, known, design.traits)
    return replace(design, residual=make_residual(spec, view))


def _levels(values: Mapping[Node, Any]) -> dict[str, Categorical]:
    """Levels of the categorical values, without their rows, by expression."""
    factors = {deparse(node): as_factor(value) for node, value in values.items()}
    empty = np.empty(0, dtype=np.intp)
    return {text: replace(f, codes=empty) for text, f in factors.items() if isinstance(f, Categorical)}


def _check_contrast_names(contrasts: Contrasts, fixed: Sequence[Terms], values: Mapping[Node, Any]) -> None:
    nodes = dict.fromkeys(node for terms in fixed for node in terms.variables)
    factors = [deparse(node) for node in nodes if isinstance(as_factor(values[node]), Categorical)]
    unknown = [name for name in contrasts.columns or {} if name not in factors]
    if unknown:
        raise DataError(
            f"contrasts names {shown(unknown)}, which is no factor of the fixed part. Its factors are "
            f"{shown(factors) or '(none)'}."
        )
