"""The variables of whoever called lmmpy, so that formulas see them as R's formulas see their environment."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

__all__ = ["caller_scope", "name_of"]


def caller_scope(depth: int = 1) -> Mapping[str, Any]:
    """
    Local and global variables of the caller's caller.

    Parameters
    ----------
    depth : int
        How many frames above the function that calls this one.

    Returns
    -------
    mapping
    """
    frame = sys._getframe(depth + 1)
    return ChainMap(dict(frame.f_locals), frame.f_globals)


def name_of(value: Any, scope: Mapping[str, Any]) -> str | None:
    """The name under which the caller knows a value, if it has one."""
    for name, known in scope.items():
        if known is value and not name.startswith("_"):
            return name
    return None
