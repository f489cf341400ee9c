"""`ParsedFormula` + data → `Design`; and the same expressions replayed on new data."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import make_structure
from lmmpy.design.coding import ModelMatrix, model_matrix
from lmmpy.design.columns import Columns
from lmmpy.design.contrasts import Contrasts
from lmmpy.design.design import Design, RandomEffects
from lmmpy.design.evaluate import Evaluator, names_needed
from lmmpy.design.factor_functions import numeric
from lmmpy.design.rank import independent_columns
from lmmpy.design.rows import NA_ACTIONS, missing_rows, read_subset, require_finite
from lmmpy.design.values import Categorical, Floats, Named, as_factor, combine, factorize, missing, take
from lmmpy.errors import DataError, FormulaError, MissingValuesWarning, shown
from lmmpy.formula import Node, ParsedFormula, RandomTerm, Terms, deparse, names_in, parse_formula, read_expression
from lmmpy.relatedness import Relatedness

__all__ = ["Blueprint", "build_design"]

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Module:
    """A module, by name."""

    name: str


@dataclass(frozen=True, eq=False)
class Blueprint:
    """
    What it takes to read new data as the old was read: expressions, contrasts, levels, and what transforms remember.

    Attributes
    ----------
    parsed : ParsedFormula
    contrasts : Contrasts
    scope : mapping
        The caller's names that the formula uses.
    memory : dict
        What each remembering transform fixed, by the text of its call.
    levels : dict
        Levels of each categorical variable of the fixed part and the left of the bars, by its expression.
    column_levels : mapping
        Levels of the categorical columns that were read, by name.
    offset : Node or None
        The `offset` argument, when it was an expression.
    has_numeric_offset : bool
        Whether it was given as numbers, which new data do not have.
    """

    parsed: ParsedFormula
    contrasts: Contrasts
    scope: Mapping[str, Any]
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    levels: dict[str, Categorical] = field(default_factory=dict)
    column_levels: Mapping[str, Categorical] = field(default_factory=dict)
    offset: Node | None = None
    has_numeric_offset: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Modules of the scope (np) do not pickle; their names do."""
        scope = {name: _Module(v.__name__) if isinstance(v, ModuleType) else v for name, v in self.scope.items()}
        return {**self.__dict__, "scope": scope}

    def __setstate__(self, state: dict[str, Any]) -> None:
        scope = {n: import_module(v.name) if isinstance(v, _Module) else v for n, v in state["scope"].items()}
        self.__dict__.update({**state, "scope": scope})

    @property
    def response_text(self) -> str:
        """The response as R would print it."""
        return deparse(self.parsed.response) if self.parsed.response is not None else ""

    def evaluator(self, data: Any) -> Evaluator:
        """An evaluator over new data that replays the remembered transforms and leaves the memory as it is."""
        return Evaluator(Columns(data, self.column_levels), self.scope, copy.deepcopy(self.memory))

    def fixed_matrix(self, evaluator: Evaluator) -> ModelMatrix:
        """The fixed-effects matrix of new data, before any column is dropped."""
        return self.matrix(self.parsed.fixed, evaluator, self.contrasts)

    def random_matrix(self, term: RandomTerm, evaluator: Evaluator) -> ModelMatrix:
        """The columns left of a bar for new data."""
        return self.matrix(term.lhs, evaluator, self.bar_contrasts)

    @property
    def bar_contrasts(self) -> Contrasts:
        """Contrasts left of a bar: the global ones only, as in lme4, where `contrasts=` speaks of the fixed part."""
        return replace(self.contrasts, columns=None)

    def matrix(self, terms: Terms, evaluator: Evaluator, contrasts: Contrasts) -> ModelMatrix:
        values = [self.relevelled(node, evaluator) for node in terms.variables]
        return model_matrix(terms, values, contrasts, evaluator.columns.n_rows)

    def relevelled(self, node: Node, evaluator: Evaluator) -> Any:
        """A variable of new data on the levels of the fit; an unseen level is an error, never a row of zeros."""
        text, value = deparse(node), evaluator.column(node)
        if text not in self.levels:
            if isinstance(value, Categorical):
                raise DataError(
                    f"{text!r} was a number when the model was fitted; in the new data it is a factor or text."
                )
            return value
        known = self.levels[text]
        factor = as_factor(value)
        if not isinstance(factor, Categorical):
            raise DataError(f"{text!r} was a factor when the model was fitted; in the new data it holds numbers.")
        codes, unseen = factor.codes_among(known.labels)
        if unseen:
            raise DataError(
                f"The factor {text!r} has levels in the new data that the fit has not seen: {shown(unseen)}. The "
                f"model says nothing about them; known are {shown(known.labels)}."
            )
        return replace(known, codes=codes)


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
    evaluator = Evaluator(columns, scope or {}, memory)
    reading = _read(parsed, evaluator, weights, offset)
    kept = np.ones(columns.n_rows, dtype=bool) if subset is None else _subset(subset, evaluator)
    absent = missing_rows(reading.everything(), kept, na_action)
    if absent.any():
        _warn_about_new_gaps(reading, columns, kept)
    rows = kept & ~absent
    reading = reading.used(rows)
    blueprint = Blueprint(
        parsed,
        chosen,
        scope=names_needed(_nodes(parsed, offset_node, *others), columns, scope or {}),
        memory=memory,
        levels=_levels(reading.values),
        column_levels=columns.levels_seen(),
        offset=offset_node,
        has_numeric_offset=offset is not None and offset_node is None,
    )
    return _assemble(blueprint, reading, rows, absent), blueprint


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


def _assemble(blueprint: Blueprint, reading: _Reading, rows: Rows, absent: Rows) -> Design:
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
        random=_random(blueprint, reading, rows),
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


def _random(blueprint: Blueprint, reading: _Reading, rows: Rows) -> tuple[RandomEffects, ...]:
    effects: list[RandomEffects] = []
    for term in _in_order(blueprint.parsed.random, reading.groups):
        values, grouping = [reading.values[v] for v in term.lhs.variables], reading.groups[term.grouping.label]
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
                relatedness=Relatedness.identity(len(grouping.levels)),
            )
        )
    return tuple(effects)


def _in_order(terms: Sequence[RandomTerm], groups: Mapping[str, Categorical]) -> list[RandomTerm]:
    """By decreasing number of levels; lme4 leaves a decreasing order alone and else turns ties round."""
    sizes = [len(groups[term.grouping.label].levels) for term in terms]
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
