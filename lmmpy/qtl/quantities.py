"""What a family study estimates: functions of variance components, by the text that `vpredict` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from lmmpy.design.values import Floats
from lmmpy.inference.expression import Expression, parse_expression
from lmmpy.inference.observed_vcov import observed_vcov
from lmmpy.inference.variance_parameters import components
from lmmpy.model import LmmFit
from lmmpy.model.vpredict import profile_intervals, standard_errors, without_residual

__all__ = [
    "Quantity",
    "correlation",
    "effects_table",
    "estimated",
    "quantities_table",
    "quoted",
    "read_quantity",
    "share",
    "total",
]

# A profile limit nearer to the end of the range than this is that end.
_NIL = 1e-8
# An estimate so near is there but for rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Quantity:
    """One function of the variance components.

    Attributes
    ----------
    text : str
        As `vpredict` takes it.
    needs : tuple of str
        Components without which, being zero, it has no standard error.
    low, high : float
        The ends of its range.
    """

    text: str
    needs: tuple[str, ...] = ()
    low: float = -np.inf
    high: float = np.inf


def quoted(name: str) -> str:
    """A component's name as it stands in an expression; see `read_quantity` on backticks of its own."""
    return f"`{_without_backticks(name)}`"


def read_quantity(quantity: Quantity, names: Sequence[str]) -> Expression:
    """
    The function that a quantity's text says.

    Parameters
    ----------
    quantity : Quantity
    names : sequence of str
        Of the components; backticks in them, as of a column with a blank in its name, are apostrophes in the text.
    """
    return parse_expression(quantity.text, [_without_backticks(name) for name in names])


def _without_backticks(name: str) -> str:
    return name.replace("`", "'")


def total(names: Sequence[str]) -> str:
    """The sum of some components."""
    return " + ".join(map(quoted, names))


def share(part: str, of: Sequence[str]) -> Quantity:
    """A component's share in the sum of several."""
    return Quantity(f"{quoted(part)} / ({total(of)})", (part,), 0.0, 1.0)


def correlation(covariances: Sequence[str], one: Sequence[str], other: Sequence[str]) -> Quantity:
    """The sum of covariances over the root of two sums of variances."""
    text = f"({total(covariances)}) / sqrt(({total(one)}) * ({total(other)}))"
    alone = (one[0], other[0]) if len(one) == len(other) == 1 else ()
    return Quantity(text, alone, -1.0, 1.0)


@dataclass(frozen=True, eq=False, slots=True)
class _OfComponents:
    """An expression, and the components that must not vanish."""

    expression: Expression
    places: frozenset[int] = field(default_factory=frozenset)

    def __call__(self, values: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        return self.expression(values)


def _functions(fit: LmmFit, quantities: Mapping[str, Quantity]) -> tuple[dict[str, _OfComponents], Floats]:
    """The quantities as functions of the components, and these."""
    at = components(fit.design, fit.optimum.theta, fit.sigma)
    place = {name: i for i, name in enumerate(at.names)}
    functions = {
        name: _OfComponents(read_quantity(q, at.names), frozenset(place[need] for need in q.needs))
        for name, q in quantities.items()
    }
    return functions, without_residual(fit, at.values)


def estimated(fit: LmmFit, quantities: Mapping[str, Quantity]) -> dict[str, float]:
    """
    Estimates alone; NaN for what is not defined, as a correlation with what does not vary.

    Parameters
    ----------
    fit : LmmFit
    quantities : mapping
    """
    functions, values = _functions(fit, quantities)
    return {name: _within(function(values)[0], quantities[name]) for name, function in functions.items()}


def _within(value: float, quantity: Quantity) -> float:
    """A value that rounding took from the end of the range is at the end."""
    for end in (quantity.low, quantity.high):
        if abs(value - end) < _ROUNDING:
            return end
    return value


def quantities_table(fit: LmmFit, quantities: Mapping[str, Quantity], interval: str, level: float) -> pd.DataFrame:
    """
    Estimates, standard errors by the delta method, and intervals.

    Parameters
    ----------
    fit : LmmFit
    quantities : mapping
    interval : {"wald", "profile"}
    level : float

    Returns
    -------
    DataFrame
        Columns `parameter, estimate, std_error, conf_low, conf_high`. At an end of its range a quantity has no standard
        error.
    """
    functions, _ = _functions(fit, quantities)
    estimates = estimated(fit, quantities)
    se, _ = standard_errors(fit, functions)
    se[[estimates[name] in (q.low, q.high) for name, q in quantities.items()]] = np.nan
    table = with_limits(list(estimates), np.array(list(estimates.values())), se, level)
    if interval == "profile":
        limits = profile_intervals(fit, functions, level)
        for i, quantity in enumerate(quantities.values()):
            limits[i] = [_at_end(limit, quantity) for limit in limits[i]]
        table[["conf_low", "conf_high"]] = limits
    return table


def _at_end(limit: float, quantity: Quantity) -> float:
    for end in (quantity.low, quantity.high):
        if abs(limit - end) < _NIL:
            return end
    return limit


def with_limits(names: Sequence[str], estimates: Floats, se: Floats, level: float) -> pd.DataFrame:
    """Estimates ± z standard errors.

    Parameters
    ----------
    names : sequence of str
    estimates, se : ndarray, shape (m,)
    level : float
    """
    z = float(norm.ppf(0.5 + 0.5 * level))
    columns: dict[str, Any] = {"parameter": list(names), "estimate": estimates, "std_error": se}
    return pd.DataFrame({**columns, "conf_low": estimates - z * se, "conf_high": estimates + z * se})


def effects_table(fit: LmmFit, level: float) -> pd.DataFrame:
    """
    The fixed effects, with standard errors from the observed information of all parameters, as SOLAR's are.

    Parameters
    ----------
    fit : LmmFit
    level : float

    Returns
    -------
    DataFrame
        Columns as of `quantities_table`.
    """
    vcov = observed_vcov(fit.criterion, fit.optimum, fit.sigma, fit.vcov().to_numpy())
    return with_limits(fit.design.names, np.asarray(fit.solution.beta), np.sqrt(np.diag(vcov)), level)
