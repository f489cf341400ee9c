"""The value of the A in `kin(id, A)`: a name, what it holds, or what it makes, never a column of the data."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.evaluate import names_in_python
from lmmpy.errors import FormulaError, LmmpyError, shown
from lmmpy.formula import Node, deparse, names_in
from lmmpy.formula.syntax import Call, Index, Name, Number, Paren, Python, String, walk
from lmmpy.relatedness import Pedigree, Relatedness

__all__ = ["look_up", "names_used"]


def look_up(node: Node, names: Mapping[str, Any], columns: Container[str], text: str) -> Any:
    """
    Evaluate the relatedness of a term.

    Parameters
    ----------
    node : Node
        A name, possibly with dots; a call; an element ``K["add"]`` or ``K$add``; or Python code.
    names : mapping
        `relmat=`, then the caller's variables.
    columns : container of str
        Names of the columns, to say that one of them is no relatedness.
    text : str
        The whole term, for messages.

    Returns
    -------
    object

    Raises
    ------
    FormulaError
        When a name is not found, or Python complains.
    """
    try:
        return _value(node, names)
    except _NotFoundError as missing:
        raise FormulaError(_not_found(missing.name, names, columns, text)) from None
    except LmmpyError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, NameError, SyntaxError, ArithmeticError) as error:
        raise FormulaError(
            f"The relatedness {deparse(node)!r} of {text} cannot be evaluated: {type(error).__name__}: {error}."
        ) from error


def names_used(node: Node) -> set[str]:
    """The names that an expression begins with: ``ped`` of ``ped.dominance()``."""
    inside = (names_in_python(inner.code) for inner in walk(node) if isinstance(inner, Python))
    return {name.split(".")[0] for name in names_in(node)}.union(*inside)


class _NotFoundError(Exception):
    """A name that is nowhere."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _value(node: Node, names: Mapping[str, Any]) -> Any:
    match node:
        case Name(name):
            return _named(name, names)
        case String(text):
            return text
        case Number(number, integer):
            return int(number) if integer or number == int(number) else number
        case Paren(inner):
            return _value(inner, names)
        case Python(code):
            return eval(code.strip(), {"np": np}, names)
        case Index(whole, (argument,), _):
            key, value = _value(argument.value, names), _value(whole, names)
            if not isinstance(key, str):
                raise TypeError("elements are taken by a text; for others write Python code in braces")
            return value[key] if hasattr(value, "__getitem__") else getattr(value, key)
        case Call(function, arguments):
            given = [_value(argument.value, names) for argument in arguments if argument.name is None]
            named = {argument.name: _value(argument.value, names) for argument in arguments if argument.name}
            return _value(function, names)(*given, **named)
    raise TypeError("this is no name, call or element; for more write Python code in braces")


def _named(name: str, names: Mapping[str, Any]) -> Any:
    """A name; its dots may be Python's, as in ``family.pedigree``."""
    constants = {"TRUE": True, "FALSE": False, "True": True, "False": False, "NULL": None, "None": None}
    if name in names:
        return names[name]
    first, *rest = name.split(".")
    if first not in names:
        if name in constants:
            return constants[name]
        raise _NotFoundError(first)
    value = names[first]
    for part in rest:
        value = getattr(value, part)
    return value


def _not_found(name: str, names: Mapping[str, Any], columns: Container[str], text: str) -> str:
    related = sorted(known for known, value in names.items() if _is_related(value) and not known.startswith("_"))
    there = f" Variables that are one: {shown(related, 8)}." if related else ""
    if name in columns:
        return (
            f"{text}: {name!r} is a column of the data, not a relatedness. For ids in that column write kin({name}, A) "
            f"with a relatedness A.{there}"
        )
    return (
        f"{text}: there is no relatedness {name!r}, neither in relmat nor among your variables.{there} Make it first, "
        f"or pass it: relmat={{{name!r}: ...}}."
    )


def _is_related(value: object) -> bool:
    square = isinstance(value, pd.DataFrame) and 1 < len(value) == value.shape[1] and value.index.equals(value.columns)
    return square or isinstance(value, Relatedness | Pedigree)
