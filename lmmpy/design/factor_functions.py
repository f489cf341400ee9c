"""R's functions that make or read factors; those that depend on the levels remember them for new data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

import numpy as np

from lmmpy.design.contrasts import Contrast, contrast_columns
from lmmpy.design.values import Categorical, Floats, Named, combine, factorize, label_of, truth
from lmmpy.errors import FormulaError, shown

__all__ = ["FACTOR_FUNCTIONS", "REMEMBERING_FACTORS", "numeric", "plain"]

State = MutableMapping[str, Any]


def numeric(x: Any, where: str = "this expression") -> Any:
    """The numbers of a value: truth values count 0 and 1, a missing one is NaN; any other factor has none."""
    if isinstance(x, Categorical):
        if x.levels.dtype.kind == "b":
            return x.by_row(x.levels.astype(float).tolist(), np.nan)
        raise FormulaError(
            f"{where} does arithmetic on a factor or text with the levels {shown(x.labels)}. Turn it into numbers "
            "first, as.numeric(as.character(...))."
        )
    array = np.asarray(x)
    return array.astype(float) if array.dtype.kind in "biu" else array


def plain(value: Any) -> Any:
    """The labels of a factor by row, None where missing; anything else as it is."""
    return value.by_row(value.labels, None) if isinstance(value, Categorical) else value


def _remembered(factor: Categorical, state: State) -> Categorical:
    """On first call keep the levels; later give the factor on those that were kept."""
    if "levels" not in state:
        state["levels"] = replace(factor, codes=np.empty(0, dtype=np.intp))
        return factor
    return factor.aligned(state["levels"])


def _factor(
    x: Any, levels: Any = None, labels: Any = None, ordered: bool | None = None, *, state: State
) -> Categorical:
    factor = _remembered(replace(factorize(x).drop_unused(), is_text=False), state)
    if levels is not None:
        wanted = [label_of(level) for level in np.atleast_1d(plain(levels))]
        place = {label: i for i, label in enumerate(wanted)}
        codes = factor.by_row([place.get(label, -1) for label in factor.labels], -1)
        factor = Categorical(codes.astype(np.intp), np.array(wanted, dtype=object), factor.ordered)
    if labels is not None:
        new = np.atleast_1d(plain(labels)).astype(object)
        if len(new) != len(factor.levels):
            raise FormulaError(f"factor(): {len(new)} labels were given for {len(factor.levels)} levels.")
        factor = replace(factor, levels=new)
    keep = factor.ordered if ordered is None else bool(ordered)
    return replace(factor, ordered=keep)


def _ordered(x: Any, levels: Any = None, labels: Any = None, *, state: State) -> Categorical:
    return _factor(x, levels, labels, True, state=state)


def _as_factor(x: Any) -> Categorical:
    return replace(factorize(x), is_text=False)


def _as_character(x: Any) -> Categorical:
    factor = factorize(x)
    return replace(factorize(factor.by_row(factor.labels, None)), is_text=True)


def as_numeric(x: Any) -> Any:
    """R's `as.numeric`: of a factor the codes from 1, of text the numbers in it."""
    if not isinstance(x, Categorical) or x.levels.dtype.kind == "b":
        return numeric(x)
    if not x.is_text:
        return np.where(x.codes < 0, np.nan, x.codes + 1.0)
    try:
        numbers = [float(label) for label in x.labels]
    except ValueError:
        raise FormulaError(f"as.numeric(): the text {shown(x.labels)} is not all numbers.") from None
    return x.by_row(numbers, np.nan)


def _as_integer(x: Any) -> Any:
    return np.trunc(as_numeric(x))


def _as_logical(x: Any) -> Any:
    number = numeric(x, "as.logical()")
    return truth(number != 0, np.isnan(number))


def _interaction(*factors: Any, sep: str = ".") -> Categorical:
    """All combinations that occur; unlike `:`, R lets the first factor run fastest here."""
    made = [factorize(f) for f in factors]
    joint = combine(made[::-1], separator="\0")
    labels = [sep.join(reversed(label.split("\0"))) for label in joint.labels]
    return Categorical(joint.codes, np.array(labels, dtype=object))


def _relevel(x: Any, ref: Any) -> Categorical:
    factor = factorize(x)
    if label_of(ref) not in factor.labels:
        raise FormulaError(f"relevel(): {ref!r} is not one of the levels {shown(factor.labels)}.")
    first = factor.labels.index(label_of(ref))
    order = np.array([first, *(i for i in range(len(factor.levels)) if i != first)])
    codes = factor.by_row(np.argsort(order).tolist(), -1)
    return Categorical(codes.astype(np.intp), factor.levels[order], factor.ordered)


def _cut(
    x: Any, breaks: Any, labels: Any = None, include_lowest: bool = False, right: bool = True, *, state: State
) -> Categorical:
    x = numeric(x, "cut()")
    if "breaks" not in state:
        state["breaks"] = _breaks(x, breaks)
    edges = state["breaks"]
    place = np.searchsorted(edges, x, side="left" if right else "right") - 1
    if include_lowest:
        place[x == (edges[0] if right else edges[-1])] = 0 if right else len(edges) - 2
    place[(place < 0) | (place >= len(edges) - 1) | np.isnan(x)] = -1
    names = _interval_names(edges, right) if labels is None else [str(s) for s in np.atleast_1d(plain(labels))]
    if len(names) != len(edges) - 1:
        raise FormulaError(f"cut(): {len(names)} labels were given for {len(edges) - 1} intervals.")
    return Categorical(place.astype(np.intp), np.array(names, dtype=object))


def _breaks(x: Floats, breaks: Any) -> Floats:
    edges = np.sort(np.atleast_1d(np.asarray(breaks, dtype=float)))
    if len(edges) > 1:
        return edges
    low, high = np.nanmin(x), np.nanmax(x)
    edges = np.linspace(low, high, int(edges[0]) + 1)
    edges[[0, -1]] = low - (high - low) / 1000, high + (high - low) / 1000
    return edges


def _interval_names(edges: Floats, right: bool) -> list[str]:
    """Labels with the fewest digits, from 3, that tell the edges apart."""
    texts: list[str] = []
    for digits in range(3, 13):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    opening, closing = ("(", "]") if right else ("[", ")")
    return [f"{opening}{a},{b}{closing}" for a, b in itertools.pairwise(texts)]


def _dummy(x: Any, level: Any = None, *, state: State) -> Any:
    factor = _remembered(factorize(x).drop_unused(), state)
    if level is None:
        names, matrix = contrast_columns(Contrast("treatment"), factor, "dummy()")
        return Named(np.vstack([matrix, np.full(matrix.shape[1], np.nan)])[factor.codes], names)
    wanted = [label_of(v) for v in np.atleast_1d(plain(level))]
    absent = [w for w in wanted if w not in factor.labels]
    if absent:
        raise FormulaError(f"dummy(): {shown(absent)} is not among the levels {shown(factor.labels)}.")
    columns = [factor.by_row([float(label == w) for label in factor.labels], np.nan) for w in wanted]
    return columns[0] if len(wanted) == 1 else Named(np.column_stack(columns), wanted)


def _contrast(x: Any, contr: Any = None, base: int = 1) -> Categorical:
    factor = factorize(x)
    if contr is None:
        return factor
    chosen = Contrast.read(contr() if callable(contr) else contr, "C()")
    return replace(factor, contrast=replace(chosen, base=int(base)) if base != 1 else chosen)


def _contr(name: str) -> Callable[..., Contrast]:
    def make(n: Any = None, base: int = 1) -> Contrast:
        return Contrast(name, int(base), numbered=True)

    return make


def _is_na(x: Any) -> Any:
    return x.codes < 0 if isinstance(x, Categorical) else np.isnan(x)


def _ifelse(test: Any, yes: Any, no: Any) -> Any:
    condition = np.asarray(numeric(test, "ifelse()"))
    absent = np.isnan(condition)
    chosen = np.where(condition != 0, plain(yes), plain(no))
    if chosen.dtype.kind in "OU":
        return factorize(np.where(absent, None, chosen.astype(object)))
    return np.where(absent, np.nan, chosen)


def _paste(*values: Any, sep: str = " ") -> Categorical:
    factors = [
        factorize(v if np.ndim(v) or isinstance(v, Categorical) else np.array([v], dtype=object)) for v in values
    ]
    columns = [factor.by_row(factor.labels, "NA") for factor in factors]
    n = max(len(column) for column in columns)
    rows = zip(*(np.broadcast_to(column, (n,)) for column in columns), strict=True)
    return factorize(np.array([sep.join(row) for row in rows], dtype=object))


#: Functions whose first result fixes the levels or breaks that new data must use again.
REMEMBERING_FACTORS: dict[str, Callable[..., Any]] = {
    "cut": _cut,
    "factor": _factor,
    "ordered": _ordered,
    "dummy": _dummy,
}

FACTOR_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "as.factor": _as_factor,
    "as.ordered": lambda x: replace(_as_factor(x), ordered=True),
    "as.character": _as_character,
    "as.numeric": as_numeric,
    "as.double": as_numeric,
    "as.integer": _as_integer,
    "as.logical": _as_logical,
    "is.na": _is_na,
    "ifelse": _ifelse,
    "interaction": _interaction,
    "relevel": _relevel,
    "droplevels": lambda x: factorize(x).drop_unused(),
    "levels": lambda x: np.array(factorize(x).labels, dtype=object),
    "C": _contrast,
    "contr.treatment": _contr("treatment"),
    "contr.SAS": _contr("SAS"),
    "contr.sum": _contr("sum"),
    "contr.helmert": _contr("helmert"),
    "contr.poly": _contr("poly"),
    "paste": _paste,
    "paste0": lambda *values: _paste(*values, sep=""),
    **REMEMBERING_FACTORS,
}
