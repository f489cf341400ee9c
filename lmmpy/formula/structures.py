"""Names of covariance structures, and what may stand behind the bar in them."""

from __future__ import annotations

from lmmpy.errors import FormulaError
from lmmpy.formula.syntax import Call, Name, deparse

__all__ = ["FUNCTION", "STRUCTURES", "read_homogeneous"]

STRUCTURES = ("us", "diag", "cs", "ar1")
FUNCTION = "exp"

_CONSTANTS = {"TRUE": True, "T": True, "True": True, "FALSE": False, "F": False, "False": False}


def read_homogeneous(call: Call) -> bool | None:
    """
    Read `hom=` of a structure around a bar, R's constants and Python's; None when it is not there.

    Parameters
    ----------
    call : Call

    Raises
    ------
    FormulaError
        For anything else behind the bar.
    """
    extra = call.arguments[1:]
    if not extra:
        return None
    value = extra[0].value
    if len(extra) == 1 and extra[0].name == "hom" and isinstance(value, Name) and value.id in _CONSTANTS:
        return _CONSTANTS[value.id]
    raise FormulaError(f"In {deparse(call)!r}, the only argument after the bar is hom = TRUE or hom = FALSE.")
