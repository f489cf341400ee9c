"""Which members of a class are its public interface, for the pages of the reference."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Members:
    """Names in the order of the class' bases, then of the source."""

    properties: list[str]
    methods: list[str]


def public_members(cls: type) -> Members:
    """
    Properties and methods that lmmpy defines for a class, and what else its users call.

    Parameters
    ----------
    cls : type

    Returns
    -------
    Members
        Exceptions have none of their own.
    """
    properties: dict[str, None] = {}
    methods: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("lmmpy"):
            continue
        for name, value in vars(base).items():
            if name.startswith("_"):
                continue
            if isinstance(value, property | cached_property):
                properties[name] = None
            elif inspect.isfunction(value) or isinstance(value, classmethod | staticmethod):
                methods[name] = None
    return Members(sorted(properties), sorted(methods))


def member_tables(modules: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """
    `public_members` of all classes that modules give out, for templates.

    Parameters
    ----------
    modules : tuple of str

    Returns
    -------
    dict
        By the class' name with its module's; only plain values, which Sphinx can store.
    """
    tables = {}
    for module in map(importlib.import_module, modules):
        for name, value in vars(module).items():
            if inspect.isclass(value) and not name.startswith("_"):
                found = public_members(value)
                tables[f"{module.__name__}.{name}"] = {"properties": found.properties, "methods": found.methods}
    return tables
