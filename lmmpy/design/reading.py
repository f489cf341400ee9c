"""All expressions of a model, evaluated on the rows of the data."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.factor_functions import numeric
from lmmpy.design.rows import read_subset
from lmmpy.design.values import Categorical, Floats, Named, as_factor, combine, factorize, missing, take
from lmmpy.errors import DataError, FormulaError, MissingValuesWarning, shown
from lmmpy.formula import Node, ParsedFormula, ResidualSpec, deparse, names_in, read_expression
from lmmpy.formula.kin import is_kin

__all__ = ["ROW", "TRAIT", "Reading", "read_model", "read_subset_argument", "residual_nodes", "warn_about_new_gaps"]

Rows = NDArray[np.bool_]

TRAIT, ROW = "trait", "row"


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """
    All expressions of a model, evaluated on every row of the data or on those that are used.

    Attributes
    ----------
    values : dict
        Of each expression of the response, the fixed part, the left of bars and the residual.
    groups : dict of Categorical
        By label of the grouping factor.
    weights : ndarray or None
    offset : ndarray or None
        The argument.
    offsets : dict of ndarray
        By the argument of each ``offset()``.
    """

    values: dict[Node, Any]
    groups: dict[str, Categorical]
    weights: Floats | None
    offset: Floats | None
    offsets: dict[Node, Floats]

    def total_offset(self, nodes: Iterable[Node]) -> Floats | None:
        """The sum of some ``offset()`` and of the argument; None when there are none."""
        parts = [self.offsets[node] for node in nodes]
        if self.offset is not None:
            parts.append(self.offset)
        return np.sum(parts, axis=0) if parts else None

    def used(self, rows: Rows, outside: Mapping[Node, Rows] | None = None) -> Reading:
        """
        The rows that are used, without the levels that they do not have.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows,)
        outside : mapping, optional
            Rows that do not use a value, whose levels do not count, by expression.
        """
        every, outside = bool(rows.all()), outside or {}
        taken = {node: value if every else take(value, rows) for node, value in self.values.items()}
        groups = {label: factor if every else take(factor, rows) for label, factor in self.groups.items()}
        weights, offset = (v if v is None or every else take(v, rows) for v in (self.weights, self.offset))
        for node, unused in outside.items():
            taken[node] = _blanked(taken[node], unused[rows])
        return Reading(
            {node: _without_unused(value) for node, value in taken.items()},
            {label: factor.drop_unused() for label, factor in groups.items()},
            weights,
            offset,
            {node: value if every else value[rows] for node, value in self.offsets.items()},
        )


def _blanked(value: Any, unused: Rows) -> Any:
    """A factor without the values that no trait uses."""
    if not isinstance(value, Categorical) or not unused.any():
        return value
    kept = take(value, np.ones(len(value), dtype=bool))
    kept.codes[unused] = -1
    return kept


def _without_unused(value: Any) -> Any:
    """Drop the levels that no row has; truth values keep both, as in R."""
    has_levels = isinstance(value, Categorical) and value.levels.dtype.kind != "b"
    return value.drop_unused() if has_levels else value


def residual_nodes(parsed: ParsedFormula, residual: ResidualSpec | None) -> list[Node]:
    """The expressions of a residual that are read from the data: with several traits all but `trait` and `row`."""
    if residual is None:
        return []
    nodes = [node for node in residual.nodes if not is_kin(node)]
    if not parsed.traits:
        return nodes
    return [node for node in nodes if deparse(node) not in (TRAIT, ROW)]


def read_model(
    parsed: ParsedFormula, residual: ResidualSpec | None, evaluator: Evaluator, weights: Any, offset: Any
) -> Reading:
    """
    Evaluate everything that a model uses on all rows of the data.

    Parameters
    ----------
    parsed : ParsedFormula
    residual : ResidualSpec or None
    evaluator : Evaluator
    weights, offset : str, array-like or None

    Returns
    -------
    Reading

    Raises
    ------
    FormulaError, DataError
    """
    nodes = [*parsed.responses, *(node for terms in parsed.fixed_parts for node in terms.variables)]
    nodes += [node for term in parsed.all_random for node in term.lhs.variables]
    nodes += residual_nodes(parsed, residual)
    values = {node: evaluator.column(node) for node in dict.fromkeys(nodes)}
    groups: dict[str, Categorical] = {}
    groupings = [term.grouping for term in parsed.all_random]
    if residual is not None and residual.known is not None:
        groupings.append(residual.known)
    for grouping in groupings:
        if grouping.label not in groups:
            groups[grouping.label] = combine([_grouping_factor(node, evaluator) for node in grouping.factors])
    offsets = dict.fromkeys(node for terms in parsed.fixed_parts for node in terms.offsets)
    return Reading(
        values,
        groups,
        None if weights is None else _per_row(weights, "weights", evaluator),
        None if offset is None else _per_row(offset, "offset", evaluator),
        {node: _numbers(evaluator.column(node), f"offset({deparse(node)})") for node in offsets},
    )


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


def read_subset_argument(spec: Any, evaluator: Evaluator) -> Rows:
    """
    The rows that `subset` keeps.

    Parameters
    ----------
    spec : str or array-like
        A condition over the columns; or see `read_subset`.
    evaluator : Evaluator
    """
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


def warn_about_new_gaps(reading: Reading, columns: Columns, kept: Rows, stacklevel: int) -> None:
    """
    Say which transformations made a missing value of one that was there, such as the log of a negative number.

    Parameters
    ----------
    reading : Reading
        On all rows of the data.
    columns : Columns
    kept : ndarray of bool, shape (n_rows,)
    stacklevel : int
    """
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
                stacklevel=stacklevel + 1,
            )
