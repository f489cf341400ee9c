"""Where formulas of the command line are evaluated: among the columns, and no variables of ours."""

from collections.abc import Callable as _Callable
from typing import Any as _Any
from typing import TypeVar as _TypeVar

__all__ = ["called"]

_T = _TypeVar("_T")


def called(_function: _Callable[..., _T], /, *_arguments: _Any, **_options: _Any) -> _T:
    """
    Call a function that looks into the variables of its caller; there are none here.

    Parameters
    ----------
    _function : callable
    *_arguments, **_options
        Its own.
    """
    return _function(*_arguments, **_options)
