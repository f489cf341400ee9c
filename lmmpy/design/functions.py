"""R's functions, as far as formulas use them, over lmmpy's values."""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

import numpy as np
from formulaic.transforms import basis_spline, poly, scale

from lmmpy.design.contrasts import Contrast, contrast_columns
from lmmpy.design.splines import natural_spline
from lmmpy.design.values import Categorical, Floats, combine, factorize
from lmmpy.errors import FormulaError, shown

__all__ = ["CONSTANTS", "FUNCTIONS", "REMEMBERING", "Named", "numeric"]

State = MutableMapping[str, Any]


class Named:
    """A matrix of columns together with their names."""

    def __init__(self, matrix: Floats, names: list[str]) -> None:
        self.matrix, self.names = matrix, names


def numeric(x: Any, where: str = "this expression") -> Any:
    """The numbers of a value; a categorical has none."""
    if isinstance(x, Categorical):
        raise FormulaError(
            f"{where} does arithmetic on a factor or text with the levels {shown(x.labels)}. Turn it "
            "into numbers first, "
            "as.numeric(as.character(...))."
        )
    array = np.asarray(x)
    return array.astype(float) if array.dtype.kind in "biu" else array


def _math(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def apply(x: Any, *rest: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(numeric(x, f"{name}()"), *rest)

    return apply


def _log(x: Any, base: float | None = None) -> Any:
    with np.errstate(all="ignore"):
        value = np.log(numeric(x, "log()"))
    return value if base is None else value / np.log(base)


def _round(x: Any, digits: int = 0) -> Any:
    return np.round(numeric(x, "round()"), int(digits))


def _ifelse(test: Any, yes: Any, no: Any) -> Any:
    chosen = np.where(np.asarray(test, dtype=bool), *(_plain(v) for v in (yes, no)))
    return factorize(chosen.astype(object)) if chosen.dtype.kind in "OU" else chosen


def _plain(value: Any) -> Any:
    return np.array(value.labels, dtype=object)[value.codes] if isinstance(value, Categorical) else value


def _factor(x: Any, levels: Any = None, labels: Any = None, ordered: bool | None = None) -> Categorical:
    factor = factorize(x).drop_unused()
    if levels is not None:
        wanted = [str(_text(level)) for level in np.atleast_1d(_plain(levels))]
        place = {label: i for i, label in enumerate(wanted)}
        renumbered = np.array([place.get(label, -1) for label in factor.labels] + [-1], dtype=np.intp)
        factor = Categorical(renumbered[factor.codes], np.array(wanted, dtype=object), factor.ordered)
    if labels is not None:
        new = np.atleast_1d(_plain(labels)).astype(object)
        if len(new) != len(factor.levels):
            raise FormulaError(f"factor(): {len(new)} labels were given for {len(factor.levels)} levels.")
        factor = replace(factor, levels=new)
    keep = factor.ordered if ordered is None else bool(ordered)
    return replace(factor, ordered=keep)


def _text(value: object) -> str:
    return factorize(np.array([value], dtype=object)).labels[0] if not isinstance(value, str) else value


def _as_numeric(x: Any) -> Any:
    """R's `as.numeric`: a factor gives its codes (from 1), text that came from as.character its numbers."""
    if not isinstance(x, Categorical):
        return numeric(x)
    if getattr(x, "is_text", False):
        return np.array([float(label) for label in x.labels])[x.codes]
    return np.where(x.codes < 0, np.nan, x.codes + 1.0)


class _Text(Categorical):
    """What `as.character` gives: a factor to the model, but numbers to `as.numeric`."""

    is_text = True


def _as_character(x: Any) -> Categorical:
    factor = factorize(x)
    again = factorize(np.array(factor.labels, dtype=object)[factor.codes])
    return _Text(np.where(factor.codes < 0, -1, again.codes), again.levels)


def _as_integer(x: Any) -> Any:
    return np.trunc(_as_numeric(x))


def _interaction(*factors: Any, sep: str = ".") -> Categorical:
    """All combinations that occur; unlike `:`, R lets the first factor run fastest here."""
    made = [factorize(f) for f in factors]
    joint = combine(made[::-1], separator="\0")
    labels = [sep.join(reversed(label.split("\0"))) for label in joint.labels]
    return Categorical(joint.codes, np.array(labels, dtype=object))


def _relevel(x: Any, ref: Any) -> Categorical:
    factor = factorize(x)
    if str(ref) not in factor.labels:
        raise FormulaError(f"relevel(): {ref!r} is not one of the levels {shown(factor.labels)}.")
    first = factor.labels.index(str(ref))
    order = np.array([first, *(i for i in range(len(factor.levels)) if i != first)])
    rank = np.append(np.argsort(order), -1)
    return Categorical(rank[factor.codes], factor.levels[order], factor.ordered)


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
    names = _interval_names(edges, right) if labels is None else [str(s) for s in np.atleast_1d(labels)]
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


def _dummy(x: Any, level: Any = None) -> Any:
    factor = factorize(x).drop_unused()
    if level is None:
        names, matrix = contrast_columns(Contrast("treatment"), factor, "dummy()")
        return Named(matrix[factor.codes], names)
    wanted = [str(v) for v in np.atleast_1d(_plain(level))]
    absent = [w for w in wanted if w not in factor.labels]
    if absent:
        raise FormulaError(f"dummy(): {shown(absent)} is not among the levels {shown(factor.labels)}.")
    columns = np.column_stack([(factor.codes == factor.labels.index(w)).astype(float) for w in wanted])
    return columns[:, 0] if len(wanted) == 1 else Named(columns, wanted)


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


def _scale(x: Any, center: Any = True, scale: Any = True, *, state: State) -> Floats:
    x = numeric(x, "scale()")
    if not state:
        transform_scale(x[~np.isnan(x)], center=center, scale=scale, _state=state)
    return np.asarray(transform_scale(x, center=center, scale=scale, _state=state), dtype=float)


transform_scale = scale


def _poly(x: Any, degree: int = 1, raw: bool = False, *, state: State) -> Named:
    x = numeric(x, "poly()")
    degree = int(degree)
    if not raw and not state and degree >= len(np.unique(x[~np.isnan(x)])):
        raise FormulaError(f"poly(): the degree {degree} must be less than the number of distinct values.")
    matrix = np.asarray(poly(x, degree, raw=bool(raw), _state=state), dtype=float).reshape(len(x), degree)
    return Named(matrix, [str(i + 1) for i in range(degree)])


def _ns(
    x: Any, df: Any = None, knots: Any = None, intercept: bool = False, Boundary_knots: Any = None, *, state: State
) -> Named:
    matrix = natural_spline(numeric(x, "ns()"), df, knots, bool(intercept), Boundary_knots, state=state)
    return Named(matrix, [str(i + 1) for i in range(matrix.shape[1])])


def _bs(
    x: Any,
    df: Any = None,
    knots: Any = None,
    degree: int = 3,
    intercept: bool = False,
    Boundary_knots: Any = None,
    *,
    state: State,
) -> Named:
    low, high = Boundary_knots if Boundary_knots is not None else (None, None)
    columns = basis_spline(
        numeric(x, "bs()"),
        df=None if df is None else int(df),
        knots=None if knots is None else list(np.atleast_1d(knots)),
        degree=int(degree),
        include_intercept=bool(intercept),
        lower_bound=low,
        upper_bound=high,
        extrapolation="extend",
        _state=state,
    )
    matrix = np.column_stack([np.asarray(column, dtype=float) for column in columns.values()])
    return Named(matrix, [str(i + 1) for i in range(matrix.shape[1])])


def _summary(function: Callable[[Floats], Any], name: str) -> Callable[..., Any]:
    """A statistic of the column, kept for new data so that `x - mean(x)` means the same there."""

    def apply(x: Any, na_rm: bool = False, *, state: State) -> Any:
        if "value" not in state:
            x = np.asarray(numeric(x, f"{name}()"))
            state["value"] = function(x[~np.isnan(x)] if na_rm else x)
        return state["value"]

    return apply


def _concatenate(*values: Any) -> Any:
    parts = [np.atleast_1d(_plain(v)) for v in values]
    textual = any(p.dtype.kind in "OU" for p in parts)
    return np.concatenate([p.astype(object) if textual else p for p in parts])


def _paste(*values: Any, sep: str = " ") -> Categorical:
    columns = [_plain(factorize(v)) if np.ndim(v) or isinstance(v, Categorical) else v for v in values]
    columns = [
        np.array(factorize(c).labels, dtype=object)[factorize(c).codes] if np.ndim(c) else _text(c) for c in columns
    ]
    n = max(len(c) for c in columns if not isinstance(c, str))
    rows = zip(*([c] * n if isinstance(c, str) else c for c in columns), strict=True)
    return factorize(np.array([sep.join(row) for row in rows], dtype=object))


def _extreme(choose: Callable[..., Any], name: str) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        result = numeric(values[0], f"{name}()")
        for value in values[1:]:
            result = choose(result, numeric(value, f"{name}()"))
        return result

    return apply


def _identity(x: Any) -> Any:
    return x


_MATH: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceiling": np.ceil,
    "trunc": np.trunc,
    "sign": np.sign,
    "cumsum": np.cumsum,
}
_STATISTICS: dict[str, Callable[[Floats], Any]] = {
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "sum": np.sum,
    "sd": lambda x: np.std(x, ddof=1),
    "var": lambda x: np.var(x, ddof=1),
}

#: Functions whose first result fixes something (knots, means, breaks) that new data must use again.
REMEMBERING: dict[str, Callable[..., Any]] = {
    "poly": _poly,
    "scale": _scale,
    "center": lambda x, *, state: _scale(x, True, False, state=state),
    "ns": _ns,
    "bs": _bs,
    "cut": _cut,
    **{name: _summary(function, name) for name, function in _STATISTICS.items()},
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _math(function, name) for name, function in _MATH.items()},
    "log": _log,
    "round": _round,
    "I": _identity,
    "as.vector": _identity,
    "factor": _factor,
    "ordered": lambda x, levels=None, labels=None: _factor(x, levels, labels, True),
    "as.factor": factorize,
    "as.ordered": lambda x: replace(factorize(x), ordered=True),
    "as.character": _as_character,
    "as.numeric": _as_numeric,
    "as.double": _as_numeric,
    "as.integer": _as_integer,
    "as.logical": lambda x: numeric(x, "as.logical()") != 0,
    "is.na": lambda x: np.isnan(x) if not isinstance(x, Categorical) else x.codes < 0,
    "ifelse": _ifelse,
    "interaction": _interaction,
    "relevel": _relevel,
    "droplevels": lambda x: factorize(x).drop_unused(),
    "levels": lambda x: np.array(factorize(x).labels, dtype=object),
    "dummy": _dummy,
    "C": _contrast,
    "contr.treatment": _contr("treatment"),
    "contr.SAS": _contr("SAS"),
    "contr.sum": _contr("sum"),
    "contr.helmert": _contr("helmert"),
    "contr.poly": _contr("poly"),
    "pmin": _extreme(np.minimum, "pmin"),
    "pmax": _extreme(np.maximum, "pmax"),
    "c": _concatenate,
    "rev": lambda x: np.asarray(x)[::-1],
    "seq": lambda start, stop, by=1: np.arange(start, stop + by * 1e-10, by),
    "paste": _paste,
    "paste0": lambda *values: _paste(*values, sep=""),
    **REMEMBERING,
}

CONSTANTS: dict[str, Any] = {
    "pi": np.pi,
    "TRUE": True,
    "FALSE": False,
    "T": True,
    "F": False,
    "NULL": None,
    "NA": np.nan,
    "NaN": np.nan,
    "Inf": np.inf,
    "letters": np.array(list(string.ascii_lowercase), dtype=object),
    "LETTERS": np.array(list(string.ascii_uppercase), dtype=object),
}
