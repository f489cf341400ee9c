"""The reference grid: all combinations of the predictors' levels and typical values, and the model matrix over them."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design import Blueprint
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.values import Categorical, Codes, Floats, as_factor, factorize, label_of
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.formula import Node, names_in
from lmmpy.formula.syntax import Call, Name, Python, walk

__all__ = ["WEIGHTS", "GridVariable", "ReferenceGrid", "predictors", "reference_grid"]

WEIGHTS = ("equal", "proportional", "outer", "cells")
MAX_ROWS = 100_000
_COERCIONS = ("factor", "as.factor", "ordered", "as.ordered", "as.character", "C", "interaction", "dummy")


@dataclass(frozen=True, eq=False, slots=True)
class GridVariable:
    """One predictor in the grid.

    Attributes
    ----------
    name : str
    levels : Categorical or ndarray, length m
        Its values in the grid.
    codes : ndarray of int, shape (n,), or None
        Which of them each row of the fit has, −1 for none; None for a covariate, which has no frequencies.
    two_valued : bool
        Whether it is a number with two values, kept as if it were a factor.
    """

    name: str
    levels: Any
    codes: Codes | None
    two_valued: bool = False

    @property
    def values(self) -> NDArray[Any]:
        """The levels themselves, shape (m,)."""
        if isinstance(self.levels, Categorical):
            return np.asarray(self.levels.by_row(self.levels.levels.tolist(), None))
        return np.asarray(self.levels)

    @property
    def labels(self) -> list[str]:
        """The levels as R prints them."""
        return [label_of(value) for value in self.values.tolist()]

    def column(self, places: Codes) -> Any:
        """The levels at some places, as a frame holds them."""
        if isinstance(self.levels, Categorical):
            factor = self.levels
            return pd.Categorical.from_codes(factor.codes[places], factor.levels.tolist(), ordered=factor.ordered)
        return self.levels[places]

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True, eq=False, slots=True)
class ReferenceGrid:
    """All combinations of the predictors' values; the last predictor runs fastest.

    Attributes
    ----------
    variables : tuple of GridVariable
    names : tuple of str, length p
        Columns of the model matrix, also those that the fit dropped.
    X : ndarray, shape (rows, p)
    offset : ndarray, shape (rows,)
    counts : ndarray, one axis a variable
        How many rows of the fit are in each cell; covariates do not count.
    """

    variables: tuple[GridVariable, ...]
    names: tuple[str, ...]
    X: Floats
    offset: Floats
    counts: Floats

    def place(self, name: str) -> int:
        """The axis of a variable."""
        return [variable.name for variable in self.variables].index(name)

    def margins(self, kept: Sequence[str], weights: str) -> tuple[Floats, Floats]:
        """
        Average over all variables but some.

        Parameters
        ----------
        kept : sequence of str
            The first runs fastest in the result.
        weights : {"equal", "proportional", "outer", "cells"}
            Of the combinations that are averaged over: all the same; their frequencies; the products of each variable's
            frequencies; or the frequencies within each cell of the result, which is NaN when the cell is empty.

        Returns
        -------
        L : ndarray, shape (cells, p)
        offset : ndarray, shape (cells,)
        """
        shape = self.counts.shape
        rows = [self.place(name) for name in kept]
        rest = [i for i in range(len(shape)) if i not in rows]
        axes = [*rows[::-1], *rest]
        cells = math.prod(shape[i] for i in rows)

        def folded(values: NDArray[Any]) -> NDArray[Any]:
            return values.transpose(axes).reshape(cells, -1)

        w = folded(self._weights(rows, rest, weights))
        total = w.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            w = w / total
        places = folded(np.arange(len(self.X)).reshape(shape))
        L = np.array([weight @ self.X[place] for weight, place in zip(w, places, strict=True)])
        return L, np.einsum("ca,ca->c", w, self.offset[places])

    def _weights(self, rows: list[int], rest: list[int], weights: str) -> Floats:
        if weights == "equal":
            return np.ones(self.counts.shape)
        if weights == "cells":
            return self.counts
        if weights == "proportional":
            return np.broadcast_to(self.counts.sum(axis=tuple(rows), keepdims=True), self.counts.shape)
        product = np.ones(self.counts.shape)
        for axis in rest:
            others = tuple(i for i in range(self.counts.ndim) if i != axis)
            product = product * self.counts.sum(axis=others, keepdims=True)
        return product


def predictors(blueprint: Blueprint, frame: pd.DataFrame) -> list[str]:
    """The columns that the fixed part needs (its offsets, too), in order of first appearance."""
    fixed = blueprint.parsed.fixed
    return _columns_in([*fixed.variables, *fixed.offsets], set(map(str, frame.columns)))


def _columns_in(nodes: Sequence[Node], columns: set[str]) -> list[str]:
    found: dict[str, None] = {}
    for node in nodes:
        functions = {id(inner.function) for inner in walk(node) if isinstance(inner, Call)}
        for inner in walk(node):
            match inner:
                case Name(name) if id(inner) not in functions and name in columns:
                    found[name] = None
                case Python(code):
                    found |= dict.fromkeys(name for name in _names_in_python(code) if name in columns)
    return list(found)


def _names_in_python(code: str) -> list[str]:
    tree = ast.walk(ast.parse(code.strip(), mode="eval"))
    return [node.id for node in tree if isinstance(node, ast.Name)]


def _coerced(blueprint: Blueprint) -> set[str]:
    """Columns that the formula makes a factor of; each of their values is a level."""
    names: set[str] = set()
    for node in blueprint.parsed.fixed.variables:
        for inner in walk(node):
            if isinstance(inner, Call) and inner.function_name in _COERCIONS:
                names |= {name for argument in inner.arguments for name in names_in(argument.value)}
    return names


def reference_grid(
    blueprint: Blueprint, frame: pd.DataFrame, offset: Floats | None, at: Mapping[str, Any] | None = None
) -> ReferenceGrid:
    """
    The reference grid of a fit.

    Factors, text and truth values stand at all their levels, and so do numbers that the formula turns into a factor or
    that have two values; every other number stands at its mean over the rows of the fit. Transformations are replayed
    on these values.

    Parameters
    ----------
    blueprint : Blueprint
    frame : DataFrame
        The rows of the fit, with all columns that the formula needs.
    offset : ndarray, shape (n,), or None
        The whole offset of the fit. What of it stands in the formula is evaluated over the grid; the mean of the rest
        is added.
    at : mapping, optional
        Values of some predictors, instead of those.

    Returns
    -------
    ReferenceGrid

    Raises
    ------
    ModelError
        For a name in `at` that is no predictor, or a grid of too many rows.
    DataError
        For a value in `at` that is no level, or where the model is not defined.
    """
    names = predictors(blueprint, frame)
    chosen = dict(at or {})
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ModelError(f"at names {shown(unknown)}, which the fixed part does not use. It uses {shown(names, 20)}.")
    evaluator = blueprint.evaluator(frame)
    coerced = _coerced(blueprint)
    variables = tuple(
        _at(name, evaluator, name in coerced, chosen[name])
        if name in chosen
        else _typical(name, evaluator, name in coerced)
        for name in names
    )
    _require_bounded(variables)
    shape = tuple(len(variable) for variable in variables)
    places = np.indices(shape).reshape(len(shape), _rows(shape))
    table = pd.DataFrame(
        {v.name: v.column(p) for v, p in zip(variables, places, strict=True)}, index=range(_rows(shape))
    )
    over = blueprint.evaluator(table)
    fixed = blueprint.fixed_matrix(over)
    _require_defined(fixed.X, fixed.names, table)
    known = _formula_offset(blueprint, over)
    if offset is not None:
        known = known + float(np.mean(offset - _formula_offset(blueprint, evaluator)))
    return ReferenceGrid(variables, fixed.names, fixed.X, known, _counts(variables, len(frame)))


def _rows(shape: Sequence[int]) -> int:
    return math.prod(shape)


def _typical(name: str, evaluator: Evaluator, coerced: bool) -> GridVariable:
    value = as_factor(evaluator.columns[name])
    if not isinstance(value, Categorical) and not coerced:
        unique = np.unique(value)
        if len(unique) > 2:
            return GridVariable(name, np.array([np.mean(value)]), None)
        return GridVariable(name, unique, np.searchsorted(unique, value), two_valued=len(unique) == 2)
    factor = (value if isinstance(value, Categorical) else factorize(value)).drop_unused()
    return _levels(name, factor, np.arange(len(factor.levels)), isinstance(value, Categorical))


def _levels(name: str, factor: Categorical, chosen: Codes, is_factor: bool) -> GridVariable:
    place = np.full(len(factor.levels) + 1, -1, dtype=np.intp)
    place[chosen] = np.arange(len(chosen))
    codes = place[factor.codes]
    if factor.levels.dtype.kind == "b":
        return GridVariable(name, factor.levels[chosen].astype(bool), codes)
    if not is_factor:
        return GridVariable(name, factor.levels[chosen], codes)
    kept = Categorical(chosen, factor.levels, factor.ordered, factor.contrast, factor.is_text)
    return GridVariable(name, kept, codes)


def _at(name: str, evaluator: Evaluator, coerced: bool, wanted: Any) -> GridVariable:
    """A predictor at values that were asked for."""
    values = [wanted] if isinstance(wanted, str) or np.ndim(wanted) == 0 else list(wanted)
    value = as_factor(evaluator.columns[name])
    if not values:
        raise DataError(f"at gives no value for {name!r}.")
    if isinstance(value, Categorical) or coerced:
        factor = (value if isinstance(value, Categorical) else factorize(value)).drop_unused()
        labels = [label_of(v) for v in values]
        absent = [label for label in labels if label not in factor.labels]
        if absent:
            raise DataError(f"at: {name!r} has no level {shown(absent)}. Its levels are {shown(factor.labels, 20)}.")
        places = np.array([factor.labels.index(label) for label in dict.fromkeys(labels)], dtype=np.intp)
        return _levels(name, factor, places, isinstance(value, Categorical))
    try:
        numbers = np.array(list(dict.fromkeys(map(float, values))))
    except (TypeError, ValueError):
        raise DataError(f"at: {name!r} is a number, and {shown(values)} is not.") from None
    if not np.isfinite(numbers).all():
        raise DataError(f"at: the values of {name!r} must be finite, not {shown(values)}.")
    unique = np.unique(value)
    if len(unique) != 2:
        return GridVariable(name, numbers, None)
    codes = np.full(len(value), -1, dtype=np.intp)
    for place, number in enumerate(numbers):
        codes[value == number] = place
    return GridVariable(name, numbers, codes if (codes >= 0).any() else None, two_valued=True)


def _require_bounded(variables: Sequence[GridVariable]) -> None:
    total = _rows([len(variable) for variable in variables])
    if total > MAX_ROWS:
        largest = sorted(variables, key=len, reverse=True)[:4]
        sizes = ", ".join(f"{variable.name!r} has {len(variable)}" for variable in largest)
        raise ModelError(
            f"The grid of all combinations would have {total} rows, more than {MAX_ROWS}: {sizes} levels. Hold some of "
            "them at fewer levels with at={...}."
        )


def _require_defined(X: Floats, names: Sequence[str], table: pd.DataFrame) -> None:
    bad = ~np.isfinite(X)
    if bad.any():
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        columns = [name for name, is_bad in zip(names, bad.T, strict=True) if is_bad.any()]
        where = ", ".join(f"{name} = {label_of(table[name].iloc[row])}" for name in table)
        raise DataError(f"{shown(columns)} is not defined at {where}. Choose other values with at={{...}}.")


def _formula_offset(blueprint: Blueprint, evaluator: Evaluator) -> Floats:
    total = np.zeros(evaluator.columns.n_rows)
    for node in blueprint.parsed.fixed.offsets:
        total = total + np.asarray(evaluator.column(node), dtype=float)
    return total


def _counts(variables: Sequence[GridVariable], n: int) -> Floats:
    """Rows of the fit in each cell of the factors, repeated over the covariates."""
    shape = tuple(len(variable) for variable in variables)
    counted = [(i, variable) for i, variable in enumerate(variables) if variable.codes is not None]
    sizes = [len(variable) for _, variable in counted]
    joint = np.zeros(n, dtype=np.intp)
    inside = np.ones(n, dtype=bool)
    for _, variable in counted:
        assert variable.codes is not None
        joint = joint * len(variable) + variable.codes
        inside &= variable.codes >= 0
    counts = np.bincount(joint[inside], minlength=_rows(sizes)).astype(float)
    axes = {i for i, _ in counted}
    folded = counts.reshape([size if i in axes else 1 for i, size in enumerate(shape)])
    return np.ascontiguousarray(np.broadcast_to(folded, shape))
