"""R's functions, as far as formulas use them, over lmmpy's values."""

from __future__ import annotations

import string
from collections.abc import Callable, MutableMapping
from typing import Any

import numpy as np
from formulaic.transforms import basis_spline, poly
from formulaic.transforms import scale as standardise

from lmmpy.design.factor_functions import FACTOR_FUNCTIONS, REMEMBERING_FACTORS, numeric, plain
from lmmpy.design.splines import natural_spline
from lmmpy.design.values import Floats, Named
from lmmpy.errors import FormulaError

__all__ = ["CONSTANTS", "FUNCTIONS", "REMEMBERING", "RESERVED"]

State = MutableMapping[str, Any]


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


def _scale(x: Any, center: Any = True, scale: Any = True, *, state: State) -> Floats:
    x = numeric(x, "scale()")
    if not state:
        standardise(x[~np.isnan(x)], center=center, scale=scale, _state=state)
    return np.asarray(standardise(x, center=center, scale=scale, _state=state), dtype=float)


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
    parts = [np.atleast_1d(plain(v)) for v in values]
    textual = any(p.dtype.kind in "OU" for p in parts)
    return np.concatenate([p.astype(object) if textual else p for p in parts])


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
    **REMEMBERING_FACTORS,
    **{name: _summary(function, name) for name, function in _STATISTICS.items()},
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _math(function, name) for name, function in _MATH.items()},
    "log": _log,
    "round": _round,
    "I": _identity,
    "as.vector": _identity,
    "pmin": _extreme(np.minimum, "pmin"),
    "pmax": _extreme(np.maximum, "pmax"),
    "c": _concatenate,
    "rev": lambda x: np.asarray(x)[::-1],
    "seq": lambda start, stop, by=1: np.arange(start, stop + by * 1e-10, by),
    **FACTOR_FUNCTIONS,
    **REMEMBERING,
}

#: R's reserved words, and Python's for the same: nothing hides them.
RESERVED: dict[str, Any] = {
    "TRUE": True,
    "FALSE": False,
    "NULL": None,
    "True": True,
    "False": False,
    "None": None,
    "NA": np.nan,
    "NaN": np.nan,
    "Inf": np.inf,
}

#: Names with a value in R that a variable of the caller's may take.
CONSTANTS: dict[str, Any] = {
    "pi": np.pi,
    "T": True,
    "F": False,
    "letters": np.array(list(string.ascii_lowercase), dtype=object),
    "LETTERS": np.array(list(string.ascii_uppercase), dtype=object),
}
