"""Expressions → values: columns first, then R's functions, then what the caller has in scope."""

from __future__ import annotations

import ast
import operator
import types
from collections.abc import Callable, Container, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lmmpy.design.columns import Columns
from lmmpy.design.contrasts import CONTRAST_NAMES, Contrast
from lmmpy.design.factor_functions import numeric
from lmmpy.design.functions import CONSTANTS, FUNCTIONS, REMEMBERING, RESERVED
from lmmpy.design.values import Categorical, Named, factorize, label_of, missing, truth
from lmmpy.errors import DataError, FormulaError, LmmpyError, shown, similar
from lmmpy.formula import Node, deparse
from lmmpy.formula.kin import is_kin
from lmmpy.formula.syntax import Argument, Binary, Call, Index, Name, Number, Paren, Python, String, Unary, walk

__all__ = ["Evaluator", "names_in_python", "names_needed"]

Value = Any  # a Categorical, a Named matrix, or an array with one entry a row

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "%%": operator.mod,
    "%/%": operator.floordiv,
}
_COMPARISON: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Evaluator:
    """
    Evaluates the expressions of one formula over one data set.

    Parameters
    ----------
    columns : Columns
    scope : mapping
        Names that are neither columns nor R's: the caller's variables and functions.
    memory : mutable mapping
        What transforms remember, by the text of their call. Pass that of a fit to replay it on new data.
    ids : mapping, optional
        The ids that a call of `kin` stands for: an expression; one level a row; or None where they are not known.
    """

    def __init__(
        self,
        columns: Columns,
        scope: Mapping[str, Any],
        memory: MutableMapping[str, dict[str, Any]],
        ids: Mapping[Node, Node | Categorical | None] | None = None,
    ) -> None:
        self.columns, self.scope, self.memory, self.ids = columns, scope, memory, ids or {}

    def column(self, node: Node) -> Value:
        """
        The value of an expression as something with one entry a row.

        Raises
        ------
        DataError
            When a name is not found, or the length is wrong.
        FormulaError
            When an operation has no meaning for its operands.
        """
        value: Value = self.value(node)
        if isinstance(value, Categorical | Named):
            length = len(value)
        else:
            value = np.asarray(value)
            if value.ndim > 2 or (value.ndim == 2 and value.dtype.kind not in "biuf"):
                raise FormulaError(f"{deparse(node)!r} is a table, not a column or a matrix of numbers.")
            if value.dtype.kind in "OUT":
                value = factorize(
                    value.astype(object) if value.ndim else np.full(self.columns.n_rows, value, dtype=object)
                )
            elif value.ndim == 0:
                value = np.full(self.columns.n_rows, value)
            length = len(value)
        if length != self.columns.n_rows:
            raise DataError(f"{deparse(node)!r} has {length} values, the data {self.columns.n_rows} rows.")
        return value

    def value(self, node: Node) -> Any:
        """The value of an expression, a scalar left as it is."""
        match node:
            case Unary("~", _) | Binary("~", _, _):
                raise FormulaError(f"{deparse(node)!r} is a formula, not a value. For 'not' write !, as in R.")
            case Number(number) | String(number):
                return number
            case Paren(inner):
                return self.value(inner)
            case Name(name):
                return self.lookup(name)
            case Unary(sign, operand):
                inner = self.value(operand)
                with self.guarded(node):
                    return _unary(sign, inner, node)
            case Binary(symbol, left, right):
                a, b = self.value(left), self.value(right)
                with self.guarded(node):
                    return self.binary(symbol, a, b, node)
            case Call():
                return self.ids_of(node) if is_kin(node) else self.call(node)
            case Index():
                whole, place = self.value(node.value), self.place(node)
                with self.guarded(node):
                    return _index(whole, place, node)
            case Python(code):
                with self.guarded(node, "The Python code {} in the formula fails"):
                    return self.python(code)

    @contextmanager
    def guarded(self, node: Node, complaint: str = "'{}' cannot be evaluated") -> Iterator[None]:
        """Python's complaints about an operation of the formula's, in terms of the formula."""
        try:
            yield
        except LmmpyError:
            raise
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
            raise FormulaError(f"{complaint.format(deparse(node))}: {error}.") from error

    def lookup(self, name: str) -> Any:
        if name in self.columns:
            return self.columns[name]
        if name in RESERVED:
            return RESERVED[name]
        found, value = self.in_scope(name)
        if found:
            return value
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            return FUNCTIONS[name]
        raise DataError(self.columns.not_found(name) + " (Nor is there a variable of that name in your Python scope.)")

    def in_scope(self, name: str) -> tuple[bool, Any]:
        """Look a name up in the caller's scope; a dot may be Python's, as in np.log."""
        if name in self.scope:
            return True, self.scope[name]
        first, *rest = name.split(".")
        if not rest or first not in self.scope:
            return False, None
        value = self.scope[first]
        for part in rest:
            if not hasattr(value, part):
                return False, None
            value = getattr(value, part)
        return True, value

    def binary(self, symbol: str, left: Any, right: Any, node: Node) -> Any:
        if symbol in _COMPARISON:
            return _compare(symbol, left, right, node)
        if symbol == "%in%":
            wanted = {label_of(v) for v in np.atleast_1d(right)}
            factor = factorize(left)
            return factor.by_row([label in wanted for label in factor.labels], False)
        if symbol == ":" and np.ndim(left) == 0 and np.ndim(right) == 0 and not isinstance(left, Categorical):
            step = 1 if right >= left else -1
            return np.arange(int(left), int(right) + step, step)
        a, b = (numeric(v, repr(deparse(node))) for v in (left, right))
        if symbol in _ARITHMETIC:
            with np.errstate(all="ignore"):
                return _ARITHMETIC[symbol](a, b)
        if symbol in ("&", "&&", "|", "||"):
            return _logical(symbol[0], a, b)
        raise FormulaError(f"The operator {symbol!r} in {deparse(node)!r} is not known here.")

    def ids_of(self, node: Call) -> Any:
        """The ids of a term with a relatedness."""
        if node not in self.ids:
            raise FormulaError(f"{deparse(node)!r} is no random term of the model, and has no other meaning.")
        ids = self.ids[node]
        if ids is None:
            raise DataError(
                f"The relatedness of {deparse(node)} has a row for each row of the data of the fit and no labels, so "
                "it says nothing of new data. Give it labels and name the column of ids, kin(<column>, A), to be able "
                "to."
            )
        return ids if isinstance(ids, Categorical) else self.value(ids)

    def call(self, node: Call) -> Any:
        name = node.function_name
        function, remembers = self.function(node)
        positional = [self.argument(node, a) for a in node.arguments if a.name is None]
        named = {a.name.replace(".", "_"): self.argument(node, a) for a in node.arguments if a.name is not None}
        if remembers:
            named["state"] = self.memory.setdefault(deparse(node), {})
        elif getattr(function, "__is_stateful_transform__", False):
            named["_state"] = self.memory.setdefault(deparse(node), {})
        if function is FUNCTIONS.get(name):
            with self.guarded(node, "'{}' could not be called"):
                return function(*positional, **named)
        return function(*map(_for_python, positional), **{key: _for_python(v) for key, v in named.items()})

    def argument(self, call: Call, argument: Argument) -> Any:
        """An argument's value; `C(f, sum)` names a contrast bare, as in R."""
        value = argument.value
        if call.function_name == "C" and value is not call.arguments[0].value and isinstance(value, Name):
            if value.id in CONTRAST_NAMES:
                return Contrast(value.id, numbered=True)
        return self.value(value)

    def function(self, node: Call) -> tuple[Callable[..., Any], bool]:
        """The function to call, and whether it remembers. The caller's own Python function hides R's of that name."""
        name = node.function_name
        if not name:
            return self.value(node.function), False
        found, own = self.in_scope(name)
        if name in FUNCTIONS and not isinstance(own, types.FunctionType):
            return FUNCTIONS[name], name in REMEMBERING
        if not found:
            raise FormulaError(
                f"The function {name!r} in {deparse(node)!r} is not known: it is neither among R's functions that "
                f"lmmpy has nor in your Python scope.{self.similar(name)} Define it, or compute the column first."
            )
        if not callable(own):
            raise FormulaError(f"{name!r} in {deparse(node)!r} is a {type(own).__name__}, not a function.")
        return own, False

    def similar(self, name: str) -> str:
        """A suggestion for the name of a function."""
        known = [*FUNCTIONS, *(key for key, value in self.scope.items() if callable(value))]
        close = similar(name, known, limit=2)
        return f" Did you mean {shown(close)}?" if close else ""

    def place(self, node: Index) -> Any:
        """What stands between the brackets."""
        inside = node.arguments[0].value if len(node.arguments) == 1 else None
        if inside is None:
            raise FormulaError(f"{deparse(node)!r}: exactly one index is understood.")
        if node.bracket == "$":
            return inside.value if isinstance(inside, String) else deparse(inside)
        return self.value(inside)

    def python(self, code: str) -> Any:
        try:
            names = {name: _for_python(self.columns[name]) for name in names_in_python(code) if name in self.columns}
            return eval(code.strip(), {"np": np, **self.scope, **names})
        except (NameError, SyntaxError) as error:
            raise FormulaError(f"The Python code {{{code}}} in the formula fails: {error}.") from error


def _unary(sign: str, operand: Any, node: Node) -> Any:
    value = numeric(operand, repr(deparse(node)))
    if sign == "!":
        return truth(value == 0, np.isnan(value))
    return -value if sign == "-" else value


def _index(value: Any, place: Any, node: Index) -> Any:
    """R's indexing: from 1, or by truth values."""
    if node.bracket == "$":
        return value[place]
    array = np.asarray(_for_python(value))
    where = np.asarray(_for_python(place))
    return array[where if where.dtype.kind == "b" else where.astype(int) - 1]


def _logical(symbol: str, a: Any, b: Any) -> Any:
    """Three-valued 'and' and 'or': FALSE & NA is FALSE, TRUE | NA is TRUE, else NA stays NA."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    absent = np.isnan(a) | np.isnan(b)
    if symbol == "&":
        decided = (a == 0) | (b == 0)
        return truth((a != 0) & (b != 0) & ~decided, absent & ~decided)
    decided = ((a != 0) & ~np.isnan(a)) | ((b != 0) & ~np.isnan(b))
    return truth(decided, absent & ~decided)


def _compare(symbol: str, left: Any, right: Any, node: Node) -> Any:
    if isinstance(right, Categorical) and not isinstance(left, Categorical):
        flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(symbol, symbol)
        return _compare(flipped, right, left, node)
    if not isinstance(left, Categorical):
        a, b = np.asarray(left), np.asarray(right)
        absent = np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=bool)
        for side in (a, b):
            if side.dtype.kind == "f":
                absent = absent | np.isnan(side)
        return truth(_COMPARISON[symbol](a, b), absent) if absent.ndim else _COMPARISON[symbol](left, right)
    if isinstance(right, Categorical):
        labels = left.by_row(left.labels, None), right.by_row(right.labels, None)
        return truth(_COMPARISON[symbol](*labels), missing(left) | missing(right))
    text = label_of(right)
    if symbol in ("==", "!="):
        equal = [_COMPARISON[symbol](label, text) for label in left.labels]
        return truth(left.by_row(equal, False), missing(left))
    if not left.ordered or text not in left.labels:
        raise FormulaError(
            f"{deparse(node)!r} compares by size, but the factor is not ordered or has no level {text!r}."
        )
    return truth(_COMPARISON[symbol](left.codes, left.labels.index(text)), missing(left))


def _for_python(value: Any) -> Any:
    """What a Python function of the user's sees: plain arrays."""
    if isinstance(value, Categorical):
        return value.by_row(value.labels, None)
    return value.matrix if isinstance(value, Named) else value


def names_needed(nodes: Sequence[Node], columns: Container[str], scope: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a caller's scope that some expressions use, to be kept for new data."""
    names: set[str] = set()
    for node in (inner for outer in nodes for inner in walk(outer)):
        match node:
            case Name(name) if name not in columns:
                names.add(name)
            case Call():
                names.add(node.function_name)
            case Python(code):
                names |= names_in_python(code)
    return {first: scope[first] for first in {name.split(".")[0] for name in names} if first in scope}


def names_in_python(code: str) -> set[str]:
    """The names that Python code between braces refers to."""
    return {node.id for node in ast.walk(ast.parse(code.strip(), mode="eval")) if isinstance(node, ast.Name)}
