"""`ParsedFormula` + data → `Design`."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import make_structure
from lmmpy.design.blueprint import Blueprint
from lmmpy.design.coding import ModelMatrix, model_matrix
from lmmpy.design.columns import Columns
from lmmpy.design.contrasts import Contrasts
from lmmpy.design.design import Design, RandomEffects
from lmmpy.design.evaluate import Evaluator, names_needed
from lmmpy.design.factor_functions import numeric
from lmmpy.design.kinship import Kinship, read_kinships
from lmmpy.design.rank import independent_columns
from lmmpy.design.rows import NA_ACTIONS, missing_rows, read_subset, require_finite
from lmmpy.design.values import Categorical, Floats, Named, as_factor, combine, factorize, missing, take
from lmmpy.errors import DataError, FormulaError, MissingValuesWarning, shown
from lmmpy.formula import Node, ParsedFormula, RandomTerm, Terms, deparse, names_in, parse_formula, read_expression
from lmmpy.formula.kin import is_kin
from lmmpy.relatedness import Relatedness

__all__ = ["Blueprint", "build_design"]

Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class _Reading:
    """All expressions of a model, evaluated on every row of the data or on those that are used."""

    values: dict[Node, Any]
    groups: dict[str, Categorical]
    weights: Floats | None
    offset: Floats | None

    def everything(self) -> list[tuple[str, Any]]:
        named = [(deparse(node), value) for node, value in self.values.items()] + list(self.groups.items())
        extra = [("weights", self.weights), ("offset", self.offset)]
        return named + [(text, value) for text, value in extra if value is not None]

    def used(self, rows: Rows) -> _Reading:
        """The rows that are used, without the levels that they do not have."""
        every = bool(rows.all())
        taken = {node: value if every else take(value, rows) for node, value in self.values.items()}
        groups = {label: factor if every else take(factor, rows) for label, factor in self.groups.items()}
        weights, offset = (v if v is None or every else take(v, rows) for v in (self.weights, self.offset))
        return _Reading(
            {node: _without_unused(value) for node, value in taken.items()},
            {label: factor.drop_unused() for label, factor in groups.items()},
            weights,
            offset,
        )


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
    chosen = Contrasts.read(contrasts)
    columns = Columns(data)
    if columns.names and columns.n_rows == 0:
        raise DataError("No rows are left to fit: the data have none.")
    offset_node, *others = [
        read_expression(argument) if isinstance(argument, str) else None for argument in (offset, weights, subset)
    ]
    memory: dict[str, dict[str, Any]] = {}
    kinships = read_kinships(parsed, columns, relmat, scope or {})
    ids = _ids(parsed, kinships)
    evaluator = Evaluator(columns, scope or {}, memory, ids)
    reading = _read(parsed, evaluator, weights, offset)
    kept = np.ones(columns.n_rows, dtype=bool) if subset is None else _subset(subset, evaluator)
    absent = missing_rows(reading.everything(), kept, na_action)
    if absent.any():
        _warn_about_new_gaps(reading, columns, kept)
    rows = kept & ~absent
    reading = reading.used(rows)
    related = {label: kinship.of_rows(rows) for label, kinship in kinships.items()}
    blueprint = Blueprint(
        parsed,
        chosen,
        scope=_scope(_nodes(parsed, offset_node, *others), parsed, columns, relmat or {}, scope or {}),
        memory=memory,
        levels=_levels(reading.values),
        column_levels=columns.levels_seen(),
        offset=offset_node,
        has_numeric_offset=offset is not None and offset_node is None,
        ids=ids,
        relatedness=related,
    )
    return _assemble(blueprint, reading, kinships, rows, absent), blueprint


def _ids(parsed: ParsedFormula, kinships: Mapping[str, Kinship]) -> dict[Node, Node | Categorical]:
    """What stands for the ids of each call of `kin`."""
    groupings = {term.grouping.factors[0]: term.grouping for term in parsed.random if term.grouping.kin is not None}
    found = {node: kinships[grouping.label].id for node, grouping in groupings.items()}
    return {node: ids for node, ids in found.items() if ids is not None}


def _scope(
    nodes: list[Node], parsed: ParsedFormula, columns: Columns, relmat: Mapping[str, Any], scope: Mapping[str, Any]
) -> dict[str, Any]:
    """The part of the caller's scope that is kept; a relatedness is looked for in `relmat` and not among columns."""
    related = [term.grouping.kin.relatedness for term in parsed.random if term.grouping.kin is not None]
    rest = [node for node in nodes if not is_kin(node)]
    rest += [term.grouping.kin.id for term in parsed.random if term.grouping.kin and term.grouping.kin.id]
    return {**names_needed(rest, columns, scope), **names_needed(related, relmat, scope)}


def _warn_about_new_gaps(reading: _Reading, columns: Columns, kept: Rows) -> None:
    """Say which transformations made a missing value of one that was there, such as the log of a negative number."""
    for node, value in reading.values.items():
        names = names_in(node)
        if isinstance(value, Categorical | Named) or {"NA", "NaN"} & set(names):
            continue
        made = missing(value) & kept
        for name in names:
            if name in columns:
                made &= ~missing(columns[name])
        if made.any():
            warnings.warn(
                f"{deparse(node)!r} is undefined in {made.sum()} rows (first: "
                f"{shown(np.flatnonzero(made).tolist())}, counted "
                "from 0), although nothing is missing there; these rows are left out.",
                MissingValuesWarning,
                stacklevel=4,
            )


def _nodes(parsed: ParsedFormula, *arguments: Node | None) -> list[Node]:
    nodes = [*parsed.fixed.variables, *parsed.fixed.offsets]
    for term in parsed.random:
        nodes += [*term.lhs.variables, *term.grouping.factors]
    return nodes + [node for node in (parsed.response, *arguments) if node is not None]


def _read(parsed: ParsedFormula, evaluator: Evaluator, weights: Any, offset: Any) -> _Reading:
    assert parsed.response is not None
    nodes = [parsed.response, *parsed.fixed.variables]
    nodes += [node for term in parsed.random for node in term.lhs.variables]
    values = {node: evaluator.column(node) for node in dict.fromkeys(nodes)}
    groups: dict[str, Categorical] = {}
    for term in parsed.random:
        label = term.grouping.label
        if label not in groups:
            groups[label] = combine([_grouping_factor(node, evaluator) for node in term.grouping.factors])
    offsets = [_numbers(evaluator.column(node), f"offset({deparse(node)})") for node in parsed.fixed.offsets]
    if offset is not None:
        offsets.append(_per_row(offset, "offset", evaluator))
    total = np.sum(offsets, axis=0) if offsets else None
    return _Reading(values, groups, None if weights is None else _per_row(weights, "weights", evaluator), total)


def _grouping_factor(node: Node, evaluator: Evaluator) -> Categorical:
    value = evaluator.column(node)
    if isinstance(value, Named) or (not isinstance(value, Categorical) and value.ndim > 1):
        raise FormulaError(f"The grouping factor {deparse(node)!r} is a matrix; it must be one value a row.")
    return factorize(value)


def _numbers(value: Any, what: str) -> Floats:
    if isinstance(value, Categorical | Named) or value.ndim > 1 or value.dtype.kind == "b":
        raise DataError(f"The {what} must be one number a row.")
    return np.asarray(value, dtype=float)


def _per_row(spec: Any, what: str, evaluator: Evaluator) -> Floats:
    """An argument that is an expression over the columns, or holds one number a row."""
    if isinstance(spec, str):
        return _numbers(evaluator.column(read_expression(spec)), f"{what} {spec!r}")
    evaluator.columns.require_same_index(what, spec)
    array = np.asarray(spec)
    if array.shape != (evaluator.columns.n_rows,) or array.dtype.kind not in "biuf":
        raise DataError(
            f"{what} has the shape {array.shape} and the type {array.dtype}; expected {evaluator.columns.n_rows} "
            "numbers, one a row of the data, or an expression over its columns."
        )
    return array.astype(float)


def _subset(spec: Any, evaluator: Evaluator) -> Rows:
    if not isinstance(spec, str):
        evaluator.columns.require_same_index("subset", spec)
        return read_subset(spec, evaluator.columns.n_rows)
    value = evaluator.column(read_expression(spec))
    number = value if isinstance(value, Named) else as_factor(value)
    if isinstance(number, Named) or (isinstance(number, Categorical) and number.levels.dtype.kind != "b"):
        raise DataError(f"subset={spec!r} is no condition; it must be true or false for each row.")
    number = numeric(number)
    if not np.isin(number[~np.isnan(number)], (0.0, 1.0)).all():
        raise DataError(f"subset={spec!r} gives numbers; it must be true or false for each row, as in 'x > 0'.")
    return read_subset(np.nan_to_num(number) != 0, evaluator.columns.n_rows)


def _assemble(
    blueprint: Blueprint, reading: _Reading, kinships: Mapping[str, Kinship], rows: Rows, absent: Rows
) -> Design:
    parsed, values = blueprint.parsed, reading.values
    _check_contrast_names(blueprint.contrasts, parsed.fixed, values)
    y = _response(parsed, values, rows)
    fixed = model_matrix(parsed.fixed, [values[v] for v in parsed.fixed.variables], blueprint.contrasts, len(y))
    _require_finite_columns(fixed, "fixed effect", rows)
    kept = independent_columns(fixed.X).tolist() if fixed.names else []
    dropped = tuple(fixed.names[i] for i in sorted(set(range(len(fixed.names))).difference(kept)))
    weights, offset = reading.weights, reading.offset
    if offset is not None:
        require_finite("offset", "value", offset, rows)
    return Design(
        y=y,
        X=np.asfortranarray(fixed.X[:, kept]) if dropped else fixed.X,
        names=tuple(fixed.names[i] for i in kept),
        assign=tuple(fixed.assign[i] for i in kept),
        dropped=dropped,
        random=_random(blueprint, reading, _levels_of_groups(blueprint, reading, kinships), rows),
        weights=None if weights is None else _checked_weights(weights, rows).copy(),
        offset=None if offset is None else offset.copy(),
        rows=rows,
        left_out=absent,
    )


def _require_finite_columns(matrix: ModelMatrix, what: str, rows: Rows) -> None:
    if not np.isfinite(matrix.X).all():
        for text, column in zip(matrix.names, matrix.X.T, strict=True):
            require_finite(text, what, column, rows)


def _levels(values: Mapping[Node, Any]) -> dict[str, Categorical]:
    """Levels of the categorical values, without their rows, by expression."""
    factors = {deparse(node): as_factor(value) for node, value in values.items()}
    empty = np.empty(0, dtype=np.intp)
    return {text: replace(f, codes=empty) for text, f in factors.items() if isinstance(f, Categorical)}


def _without_unused(value: Any) -> Any:
    """Drop the levels that no row has; truth values keep both, as in R."""
    has_levels = isinstance(value, Categorical) and value.levels.dtype.kind != "b"
    return value.drop_unused() if has_levels else value


def _check_contrast_names(contrasts: Contrasts, fixed: Terms, values: Mapping[Node, Any]) -> None:
    factors = [deparse(node) for node in fixed.variables if isinstance(as_factor(values[node]), Categorical)]
    unknown = [name for name in contrasts.columns or {} if name not in factors]
    if unknown:
        raise DataError(
            f"contrasts names {shown(unknown)}, which is no factor of the fixed part. Its factors are "
            f"{shown(factors) or '(none)'}."
        )


def _response(parsed: ParsedFormula, values: Mapping[Node, Any], rows: Rows) -> Floats:
    assert parsed.response is not None
    text, value = deparse(parsed.response), values[parsed.response]
    if isinstance(value, Named):
        value = value.matrix
    if isinstance(value, Categorical):
        raise DataError(
            f"The response {text!r} is a factor or text with the levels {shown(value.labels)}; a linear mixed model "
            "needs numbers."
        )
    value = np.asarray(value, dtype=float)
    if value.ndim > 1 and value.shape[1] == 1:
        value = value[:, 0]
    if value.ndim > 1:
        raise DataError(f"The response {text!r} is a matrix with {value.shape[1]} columns; one is expected.")
    require_finite(text, "response", value, rows)
    return value.copy()  # what the caller does to the data later does not touch the design


def _checked_weights(weights: Floats, rows: Rows) -> Floats:
    bad = ~(np.isfinite(weights) & (weights > 0))
    if bad.any():
        places = np.flatnonzero(rows)[bad]
        raise DataError(
            f"weights must be positive and finite; {bad.sum()} are not (first rows "
            f"{shown(places.tolist())}: {shown(weights[bad].tolist())}; rows counted from 0). To leave a "
            "row out use subset."
        )
    return weights


def _levels_of_groups(
    blueprint: Blueprint, reading: _Reading, kinships: Mapping[str, Kinship]
) -> dict[str, tuple[Categorical, Relatedness]]:
    """Levels and relatedness of each grouping factor; those of the same ids and relatedness are the same objects."""
    found: dict[str, tuple[Categorical, Relatedness]] = {}
    alike: dict[Any, tuple[Categorical, Relatedness]] = {}
    for label, factor in reading.groups.items():
        if label not in kinships:
            found[label] = factor, Relatedness.identity(len(factor.levels))
            continue
        kinship, full = kinships[label], blueprint.relatedness[label]
        of_factors = kinship.id is None or isinstance(kinship.id, Categorical)
        key = (label if of_factors else kinship.id, id(full))
        if key not in alike:
            alike[key] = kinship.levels(factor, full)
        found[label] = alike[key]
    return found


def _random(
    blueprint: Blueprint, reading: _Reading, groups: Mapping[str, tuple[Categorical, Relatedness]], rows: Rows
) -> tuple[RandomEffects, ...]:
    effects: list[RandomEffects] = []
    for term in _in_order(blueprint.parsed.random, groups):
        values, (grouping, relatedness) = [reading.values[v] for v in term.lhs.variables], groups[term.grouping.label]
        coded = model_matrix(term.lhs, values, blueprint.bar_contrasts, len(grouping), order="C")
        _require_finite_columns(coded, f"column left of the bar in ({term.text})", rows)
        effects.append(
            RandomEffects(
                term=term,
                name=_unique(term.grouping.label, [e.name for e in effects]),
                columns=coded.names,
                values=coded.X,
                grouping=grouping,
                structure=_structure(term, len(coded.names)),
                relatedness=relatedness,
            )
        )
    return tuple(effects)


def _in_order(terms: Sequence[RandomTerm], groups: Mapping[str, tuple[Categorical, Relatedness]]) -> list[RandomTerm]:
    """By decreasing number of levels that rows have; lme4 leaves a decreasing order alone and else turns ties round."""
    counts = {label: int(np.count_nonzero(np.bincount(grouping.codes))) for label, (grouping, _) in groups.items()}
    sizes = [counts[term.grouping.label] for term in terms]
    if all(a >= b for a, b in itertools.pairwise(sizes)):
        return list(terms)
    return [terms[i] for i in np.argsort(sizes, kind="stable")[::-1]]


def _unique(label: str, taken: Sequence[str]) -> str:
    name, count = label, 0
    while name in taken:
        count += 1
        name = f"{label}.{count}"
    return name


def _structure(term: RandomTerm, k: int) -> Any:
    try:
        return make_structure(term.structure, k, term.homogeneous)
    except ValueError as error:
        raise FormulaError(f"In the random term {term.text}: {error}.") from None
