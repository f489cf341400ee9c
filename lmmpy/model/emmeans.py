"""`emmeans`: estimated marginal means of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.values import label_of
from lmmpy.errors import FormulaError, ModelError, shown
from lmmpy.formula import Node, deparse, expand_terms, names_in, read_expression
from lmmpy.formula.syntax import Binary, Call, Name, Unary
from lmmpy.inference.estimability import Estimability, estimability
from lmmpy.inference.intervals import checked_level
from lmmpy.inference.multiplicity import checked_adjustment
from lmmpy.inference.reference_grid import WEIGHTS, ReferenceGrid, predictors, reference_grid
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.marginal_means import Basis, MarginalMeans

__all__ = ["emmeans"]

_FACTOR_CALLS = ("factor", "as.factor", "ordered", "as.ordered")


def emmeans(
    fit: LmmFit,
    specs: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    contrast: Any = None,
    adjust: str | None = None,
    ddf: str = "satterthwaite",
    level: float = 0.95,
    weights: str = "equal",
    infer: bool | tuple[bool, bool] | None = None,
) -> MarginalMeans:
    """
    Estimated marginal means: averages of the fixed part's predictions over a grid of the predictors.

    As R's emmeans has them (Searle, Speed and Milliken 1980). The grid holds all levels of every factor, text or truth
    value, of numbers that the formula turns into a factor, and of numbers with just two values; any other number stands
    at its mean over the rows of the fit, transformations being replayed there. What the data do not determine (empty
    cells of a rank-deficient fit) is NaN.

    Parameters
    ----------
    fit : LmmFit
    specs : str or sequence of str
        Factors whose means are wanted, or R's forms: ``"~ f"``, ``"~ f * g"``, ``"~ f | g"``, ``"pairwise ~ f"``,
        ``"~ 1"``.
    by : str or sequence of str, optional
        Factors at whose levels to give separate tables.
    at : mapping, optional
        Values of predictors in the grid, ``{"x": [0, 5]}``.
    contrast : str or mapping, optional
        Contrasts between the means, found in `.contrasts`; see `MarginalMeans.contrast`.
    adjust : str, optional
        For the number of contrasts when there are any, else of means; see `MarginalMeans.contrast`.
    ddf : {"satterthwaite", "kenward-roger", "asymptotic"}
    level : float
        Confidence of intervals.
    weights : {"equal", "proportional", "outer", "cells"}
        Of what is averaged over: all combinations the same; by their frequencies in the data; by the products of each
        factor's frequencies; by the frequencies in each cell of the result.
    infer : bool or pair of bool, optional
        Whether to show intervals, and tests; by default the first for means, the second for contrasts.

    Returns
    -------
    MarginalMeans

    Raises
    ------
    ModelError
        For factors that the fixed part does not have, unknown options, or too large a grid.
    DataError
        For a level in `at` that does not exist.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
    >>> means = lmm.emmeans(fit, "Machine")
    >>> means.to_frame()[["Machine", "emmean", "SE", "df"]].round(2)
      Machine  emmean    SE    df
    0       A   52.36  2.23  5.83
    1       B   60.32  2.23  5.83
    2       C   66.27  2.23  5.83
    >>> means.pairs().to_frame()[["contrast", "estimate", "p.value"]].round(4)
      contrast  estimate  p.value
    0    A - B   -7.9667      0.0
    1    A - C  -13.9167      0.0
    2    B - C   -5.9500      0.0
    """
    if not isinstance(fit, LmmFit):
        raise ModelError(f"emmeans wants a fit, not a {type(fit).__name__}.")
    if fit.design.traits is not None:
        raise ModelError(
            "emmeans is not there for several traits at once. predict(newdata, re_form='none', se=True) gives the "
            "means of each at any values of the predictors, and contest tests contrasts of the coefficients."
        )
    if weights not in WEIGHTS:
        raise ModelError(f"weights is one of {shown(WEIGHTS)}, not {weights!r}.")
    asked = _read_specs(specs, by, contrast)
    frame = _frame(fit)
    known = predictors(fit.blueprint, frame)
    asked = _resolved(asked, known, fit)
    grid = reference_grid(fit.blueprint, frame, fit.design.offset, at)
    kept = [*asked.factors, *asked.by]
    L, offset = grid.margins(kept, weights)
    means = MarginalMeans(
        Basis(fit.contrast_tests(ddf), _estimability(fit, frame, grid), grid.names),
        L,
        offset,
        _levels(grid, kept),
        asked.by,
        adjust="none" if adjust is None or asked.contrast is not None else checked_adjustment(adjust),
        level=checked_level(level),
        averaged=tuple(v.name for v in grid.variables if v.name not in kept and len(v) > 1),
        notes=_notes(fit, grid, kept),
    )
    contrasts = None if asked.contrast is None else means.contrast(asked.contrast, adjust)
    if infer is not None:
        both = (infer, infer) if isinstance(infer, bool) else (bool(infer[0]), bool(infer[1]))
        means = replace(means, infer=both)
        contrasts = None if contrasts is None else replace(contrasts, infer=both)
    return replace(means, contrasts=contrasts)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `specs`, `by` and `contrast` say together."""

    factors: tuple[str, ...]
    by: tuple[str, ...]
    contrast: Any


def _read_specs(specs: Any, by: Any, contrast: Any) -> _Asked:
    wanted = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    if not (isinstance(specs, str) and "~" in specs):
        names = (specs,) if isinstance(specs, str) else tuple(specs)
        return _Asked(names, wanted, contrast)
    tree = read_expression(specs)
    left: Node | None = None
    match tree:
        case Binary("~", left, right):
            pass
        case Unary("~", right):
            pass
        case _:
            raise FormulaError(f"{specs!r} is not understood. Write '~ f', '~ f | g' or 'pairwise ~ f'.")
    if isinstance(right, Binary) and right.operator == "|":
        if wanted:
            raise ModelError(f"{specs!r} already has a bar; leave by={by!r} out.")
        wanted, right = _names_of(right.right), right.left
    if left is not None:
        if contrast is not None:
            raise ModelError(f"{specs!r} already names a contrast; leave contrast={contrast!r} out.")
        contrast = left.id if isinstance(left, Name) else deparse(left)
    return _Asked(_names_of(right), wanted, contrast)


def _names_of(node: Node) -> tuple[str, ...]:
    return tuple(v.id if isinstance(v, Name) else deparse(v) for v in expand_terms(node).variables)


def _resolved(asked: _Asked, known: Sequence[str], fit: LmmFit) -> _Asked:
    """The same in the names of columns; `factor(x)` means the column x."""
    columns: dict[str, str] = {name: name for name in known}
    for node in fit.blueprint.parsed.fixed.variables:
        if isinstance(node, Call) and node.function_name in _FACTOR_CALLS:
            first = node.arguments[0].value
            if isinstance(first, Name) and first.id in columns:
                columns.setdefault(deparse(node), first.id)
    parts = []
    for names in (asked.factors, asked.by):
        for name in names:
            if name not in columns:
                raise ModelError(_unknown(name, known, fit))
        parts.append(tuple(columns[name] for name in names))
    every = parts[0] + parts[1]
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        raise ModelError(f"{shown(twice)} is named more than once in specs and by.")
    return replace(asked, factors=parts[0], by=parts[1])


def _unknown(name: Any, known: Sequence[str], fit: LmmFit) -> str:
    parsed = fit.blueprint.parsed
    random = {
        n for term in parsed.random for node in (*term.grouping.factors, *term.lhs.variables) for n in names_in(node)
    }
    have = f"It has {shown(known, 20)}." if known else "It has none."
    if name in random:
        return f"{name!r} is only in the random part; means are of the predictors in the fixed part. {have}"
    return f"{name!r} is no predictor in the fixed part of {fit.formula}. {have}"


def _frame(fit: LmmFit) -> pd.DataFrame:
    """The rows of the fit; columns that the formula found in the caller's scope are put beside the data's own."""
    frame = fit.frame()
    frame.columns = frame.columns.map(str)
    rows = fit.design.rows
    for name, value in fit.blueprint.scope.items():
        if name not in frame and np.ndim(value) == 1 and len(value) == len(rows):
            frame[name] = np.asarray(value)[rows]
    return frame


def _estimability(fit: LmmFit, frame: pd.DataFrame, grid: ReferenceGrid) -> Estimability:
    X = fit.blueprint.fixed_matrix(fit.blueprint.evaluator(frame)).X if fit.dropped else None
    return estimability(X, grid.names, fit.design.names)


def _levels(grid: ReferenceGrid, kept: Sequence[str]) -> pd.DataFrame:
    """One row a cell, the first factor fastest."""
    if not kept:
        return pd.DataFrame({"1": ["overall"]})
    variables = [grid.variables[grid.place(name)] for name in kept]
    shape = tuple(len(v) for v in variables[::-1])
    places = np.indices(shape).reshape(len(shape), -1)[::-1]
    return pd.DataFrame({v.name: v.column(p) for v, p in zip(variables, places, strict=True)})


def _notes(fit: LmmFit, grid: ReferenceGrid, kept: Sequence[str]) -> tuple[str, ...]:
    notes = []
    fixed = fit.blueprint.parsed.fixed
    terms = [{n for i in term.variables for n in names_in(fixed.variables[i])} for term in fixed.terms]
    others = {v.name for v in grid.variables}.difference(kept)
    if kept and any(term.issuperset(kept) and term & others for term in terms):
        notes.append("NOTE: Results may be misleading due to involvement in interactions")
    two = [v for v in grid.variables if v.two_valued and v.name not in kept and len(v) == 2]
    if two:
        said = "; ".join(f"{v.name} ({' and '.join(map(label_of, v.values.tolist()))})" for v in two)
        notes.append(f"Numbers with two values count as factors: {said}")
    if fit.design.offset is not None:
        notes.append("The offset is included: at the values above where the formula has it, else its mean")
    response = fit.blueprint.parsed.response
    if isinstance(response, Call):
        notes.append(f"Results are given on the scale of {deparse(response)}, which is what was fitted")
    return tuple(notes)
