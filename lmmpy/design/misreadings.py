"""What is read by the rules, but may not have been meant: numbers that are text, powers that are none."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.design.reading import Reading
from lmmpy.design.values import Categorical
from lmmpy.errors import FormulaWarning, shown
from lmmpy.formula import ParsedFormula, deparse
from lmmpy.formula.syntax import Name, Paren

__all__ = ["warn_about_misreadings"]

# From how many numbers, and from which share of them, text seems to be meant as numbers.
_NUMBERS, _SHARE = 3, 0.9


def warn_about_misreadings(parsed: ParsedFormula, reading: Reading, columns: Columns, stacklevel: int) -> None:
    """
    Warn of predictors that are text of which nearly all are numbers, and of powers that R's algebra takes away.

    Text of which all are numbers is a factor that somebody asked for: no reader of files makes it.

    Parameters
    ----------
    parsed : ParsedFormula
    reading : Reading
        On the rows that are used.
    columns : Columns
    stacklevel : int
        As in `warnings.warn`, counted from the caller of this function.

    Warns
    -----
    FormulaWarning
    """
    variables = dict.fromkeys(node for terms in parsed.fixed_parts for node in terms.variables)
    powers = dict.fromkeys(power for terms in parsed.fixed_parts for power in terms.collapsed)
    for node in variables:
        value = reading.values[node]
        if isinstance(node, Name) and isinstance(value, Categorical) and columns.is_text(node.id):
            _warn_of_numbers(node.id, value, stacklevel + 1)
    for power in powers:
        base = power.left
        while isinstance(base, Paren):
            base = base.inner
        if not isinstance(reading.values.get(base), Categorical):
            text, own = deparse(power), deparse(base)
            warnings.warn(
                f"In a formula {text} is {own}: a power crosses terms there, as in R. Write I({text}) for the power of "
                "the values.",
                FormulaWarning,
                stacklevel=stacklevel + 1,
            )


def _warn_of_numbers(name: str, factor: Categorical, stacklevel: int) -> None:
    counts = np.bincount(factor.codes[factor.codes >= 0], minlength=len(factor.levels))
    is_number = _numbers(factor)
    number = int(is_number.sum())
    share = max(number / len(is_number), counts[is_number].sum() / counts.sum()) if len(is_number) else 0.0
    if is_number.all() or number < _NUMBERS or share < _SHARE:
        return
    others = [label for label, found in zip(factor.labels, is_number, strict=True) if not found]
    warnings.warn(
        f"{name!r} is text, and so a factor of {len(is_number)} levels; but all its values are numbers except "
        f"{shown(others)}. Make it numeric, pd.to_numeric(data[{name!r}], errors='coerce'); or categorical, if it is "
        "to be a factor.",
        FormulaWarning,
        stacklevel=stacklevel + 1,
    )


def _numbers(factor: Categorical) -> NDArray[np.bool_]:
    """Which levels are numbers."""
    numbers = pd.to_numeric(pd.Series(factor.labels, dtype=object), errors="coerce").to_numpy(dtype=float)
    return np.asarray(np.isfinite(numbers))
