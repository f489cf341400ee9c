"""R expressions as a tree: the nodes, and how R would print them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "Argument",
    "Binary",
    "Call",
    "Index",
    "Name",
    "Node",
    "Number",
    "Paren",
    "Python",
    "String",
    "Unary",
    "deparse",
    "names_in",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric literal; `integer` when it was written with R's `L`."""

    value: float
    integer: bool = False


@dataclass(frozen=True, slots=True)
class String:
    """A quoted text."""

    value: str


@dataclass(frozen=True, slots=True)
class Name:
    """A name, without its backticks."""

    id: str


@dataclass(frozen=True, slots=True)
class Python:
    """Python code between braces, taken as it is."""

    code: str


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call, named or not."""

    value: Node
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    function: Node
    arguments: tuple[Argument, ...]

    @property
    def function_name(self) -> str:
        """Name of the function, or an empty text when it is itself an expression."""
        return self.function.id if isinstance(self.function, Name) else ""


@dataclass(frozen=True, slots=True)
class Index:
    """`x[i]`, `x[[i]]` or `x$name` (the last with a `String` index)."""

    value: Node
    arguments: tuple[Argument, ...]
    bracket: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `+x` or `!x`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and an operator between them."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Paren:
    """An expression in parentheses; kept, because R prints them."""

    inner: Node


Node = Number | String | Name | Python | Call | Index | Unary | Binary | Paren

_SYNTACTIC = re.compile(r"^(?:[^\W\d_]|\.(?!\d))[\w.]*$|^\.$")
_RESERVED = {"if", "else", "repeat", "while", "function", "for", "next", "break", "in"}
_TIGHT = {"/", "^", ":", "%%", "%/%"}


def deparse(node: Node) -> str:
    """Render an expression as R's `deparse` does, which is how R names columns and groups."""
    match node:
        case Number(value):
            return _deparse_number(value)
        case String(value):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Name(name):
            return _deparse_name(name)
        case Python(code):
            return "{" + code + "}"
        case Call(function, arguments):
            return f"{deparse(function)}({_deparse_arguments(arguments)})"
        case Index(value, arguments, "$"):
            field = arguments[0].value
            return f"{deparse(value)}${field.value if isinstance(field, String) else deparse(field)}"
        case Index(value, arguments, bracket):
            closing = "]" * len(bracket)
            return f"{deparse(value)}{bracket}{_deparse_arguments(arguments)}{closing}"
        case Unary(operator, operand):
            return operator + deparse(operand)
        case Binary(operator, left, right):
            gap = "" if operator in _TIGHT else " "
            return f"{deparse(left)}{gap}{operator}{gap}{deparse(right)}"
        case Paren(inner):
            return f"({deparse(inner)})"


def _deparse_arguments(arguments: tuple[Argument, ...]) -> str:
    return ", ".join((f"{_deparse_name(a.name)} = " if a.name else "") + deparse(a.value) for a in arguments)


def _deparse_name(name: str) -> str:
    """Quote a name that R could not read back bare; a Python attribute chain such as `np.log` is bare in R too."""
    return name if _SYNTACTIC.match(name) and name not in _RESERVED else f"`{name}`"


def _deparse_number(value: float) -> str:
    """R's choice: 15 significant digits, fixed notation unless it is wider than scientific."""
    if math.isinf(value):
        return "Inf"
    scientific = f"{value:.14e}"
    mantissa, exponent = scientific.split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    digits = len(mantissa.replace(".", "").replace("-", ""))
    power = int(exponent)
    fixed = f"{value:.{max(0, digits - 1 - power)}f}"
    compact = f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return fixed if len(fixed) <= len(compact) else compact


def walk(node: Node) -> Iterator[Node]:
    """Every node of a tree, the outer before the inner, left to right."""
    yield node
    match node:
        case Call(function, arguments) | Index(function, arguments, _):
            yield from walk(function)
            for argument in arguments:
                yield from walk(argument.value)
        case Unary(_, operand) | Paren(operand):
            yield from walk(operand)
        case Binary(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case _:
            pass


def names_in(node: Node) -> tuple[str, ...]:
    """The names an expression refers to, functions included, in order of first appearance."""
    return tuple(dict.fromkeys(n.id for n in walk(node) if isinstance(n, Name)))
