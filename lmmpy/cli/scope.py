"""Where formulas of the command line are evaluated: among the columns, and no variables of ours."""

from collections.abc import Callable as _Callable
from collections.abc import Mapping as _Mapping
from typing import Any as _Any
from typing import TypeVar as _TypeVar

__all__ = ["called"]

_T = _TypeVar("_T")


def called(
    _function: _Callable[..., _T], /, *_arguments: _Any, _names: _Mapping[str, _Any] | None = None, **_options: _Any
) -> _T:
    """
    Call a function that looks into the variables of its caller; there are none here.

    Parameters
    ----------
    _function : callable
    *_arguments, **_options
        Its own.
    _names : mapping, optional
        What it shall find all the same.
    """
    # an expression's variables are those that it is given, and no others
    _scope = {**(_names or {}), "_function": _function}
    _scope |= {"_arguments": _arguments, "_options": _options}
    _found: _T = eval("_function(*_arguments, **_options)", _scope)
    return _found
