"""Arithmetic on named quantities: a small parser, and values with exact derivatives (forward mode).

Nothing is evaluated as Python: an expression may hold numbers, the known names, ``+ - * / ** ^``, parentheses and the
functions sqrt, log, exp and abs. Names may contain any characters (``cask:batch``, ``Subject.(Intercept)``): the
longest known name that fits is read first, blanks after its parentheses and commas do not matter, and backticks quote a
name or, as in the formula, that of a column within it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import ModelError, shown

__all__ = ["Expression", "parse_expression"]

Floats = NDArray[np.float64]

_LONGEST, _DEEPEST = 400, 60
_FUNCTIONS = ("sqrt", "log", "exp", "abs")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\s+\-*/^()`]+")
_OPERATORS = ("**", "+", "-", "*", "/", "^", "(", ")")


@dataclass(frozen=True, eq=False, slots=True)
class Dual:
    """A value and its gradient."""

    value: np.float64
    gradient: Floats

    def through(self, value: float, slope: float) -> Dual:
        """A function of this, given its value and derivative here."""
        # A quantity that does not change stays so, where the derivative is infinite as well.
        return Dual(np.float64(value), np.where(self.gradient == 0.0, 0.0, slope * self.gradient))


def _power(base: Dual, exponent: Dual) -> Dual:
    value = base.value**exponent.value
    if not exponent.gradient.any():
        return base.through(value, exponent.value * base.value ** (exponent.value - 1.0))
    change = base.through(value, exponent.value * base.value ** (exponent.value - 1.0)).gradient
    return Dual(value, change + value * np.log(base.value) * exponent.gradient)


_BINARY: dict[str, Callable[[Dual, Dual], Dual]] = {
    "+": lambda a, b: Dual(a.value + b.value, a.gradient + b.gradient),
    "-": lambda a, b: Dual(a.value - b.value, a.gradient - b.gradient),
    "*": lambda a, b: Dual(a.value * b.value, a.value * b.gradient + b.value * a.gradient),
    "/": lambda a, b: Dual(a.value / b.value, (a.gradient - a.value / b.value * b.gradient) / b.value),
    "^": _power,
}
_UNARY: dict[str, Callable[[Dual], Dual]] = {
    "-": lambda a: Dual(-a.value, -a.gradient),
    "+": lambda a: a,
    "sqrt": lambda a: a.through(np.sqrt(a.value), 0.5 / np.sqrt(a.value)),
    "log": lambda a: a.through(np.log(a.value), 1.0 / a.value),
    "exp": lambda a: a.through(np.exp(a.value), np.exp(a.value)),
    "abs": lambda a: a.through(np.abs(a.value), np.sign(a.value)),
}


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """One of the known quantities."""

    place: int


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator or function of one or two parts."""

    name: str
    parts: tuple[Node, ...]


Node = Number | Name | Apply


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression.

    Attributes
    ----------
    text : str
    root : Node
    """

    text: str
    root: Node

    def __call__(self, values: Floats) -> tuple[float, Floats]:
        """
        Value and gradient.

        Parameters
        ----------
        values : ndarray, shape (m,)
            Of the names, in the order in which the parser was given them.

        Returns
        -------
        float
            NaN or infinite where the expression is not defined.
        ndarray, shape (m,)
        """
        with np.errstate(all="ignore"):
            found = _evaluate(self.root, np.asarray(values, dtype=float))
        return float(found.value), found.gradient

    @property
    def places(self) -> frozenset[int]:
        """Which of the names occur."""
        return frozenset(_places(self.root))


def _places(node: Node) -> list[int]:
    if isinstance(node, Name):
        return [node.place]
    return [place for part in node.parts for place in _places(part)] if isinstance(node, Apply) else []


def _evaluate(node: Node, values: Floats) -> Dual:
    if isinstance(node, Number):
        return Dual(np.float64(node.value), np.zeros(len(values)))
    if isinstance(node, Name):
        gradient = np.zeros(len(values))
        gradient[node.place] = 1.0
        return Dual(np.float64(values[node.place]), gradient)
    parts = [_evaluate(part, values) for part in node.parts]
    return _UNARY[node.name](parts[0]) if len(parts) == 1 else _BINARY[node.name](parts[0], parts[1])


def parse_expression(text: str, names: Sequence[str], others: Mapping[str, str] | None = None) -> Expression:
    """
    Read an expression.

    Parameters
    ----------
    text : str
    names : sequence of str
        Known names.
    others : mapping from str to str, optional
        Further names of some of them, which messages leave out.

    Returns
    -------
    Expression

    Raises
    ------
    ModelError
        For an unknown name, listing those that are known, or text that is no expression.
    """
    if not isinstance(text, str) or not text.strip():
        raise ModelError(f"an expression is text such as {_example(names)!r}; got {text!r}.")
    known = {name: place for place, name in enumerate(names)}
    known = {other: known[name] for other, name in (others or {}).items()} | known
    parser = _Parser(text, _tokens(text, known))
    if len(parser.tokens) > _LONGEST:
        raise ModelError(f"an expression of {len(parser.tokens)} parts is too long; {_LONGEST} are allowed.")
    root = parser.sum()
    if parser.here is not None:
        raise parser.error()
    return Expression(text, root)


def _example(names: Sequence[str]) -> str:
    return f"{names[0]} / ({names[0]} + {names[-1]})" if names else "2 * x"


Token = tuple[str, Number | Name | str, int]


def _tokens(text: str, known: Mapping[str, int]) -> list[Token]:
    ordered = sorted(known, key=len, reverse=True)
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        kind, value, length = _token(text, at, known, ordered)
        tokens.append((kind, value, at))
        at += length
    return tokens


def _token(
    text: str, at: int, known: Mapping[str, int], ordered: Sequence[str]
) -> tuple[str, Number | Name | str, int]:
    if text[at] == "`":
        for name in ordered:  # a column with a space has its backticks within the name: `patient id`.Days
            if name[0] == "`" and (read := _spaced(name).match(text, at)) and _ends(text, read.end(), name):
                return "value", Name(known[name]), len(read[0])
        end = text.find("`", at + 1)
        if end < 0:
            raise ModelError(f"{text!r}: the backtick at character {at + 1} is not closed.")
        return "value", _named(text[at + 1 : end], known, text), end + 1 - at
    called = re.compile(rf"({'|'.join(_FUNCTIONS)})\s*\(").match(text, at)
    for name in ordered:
        read = _spaced(name).match(text, at)
        if read and _ends(text, read.end(), name) and not (called and called[1] == name):
            return "value", Name(known[name]), len(read[0])
    if called:
        return "function", called[1], len(called[1])
    for operator in _OPERATORS:
        if text.startswith(operator, at):
            return "operator", "^" if operator == "**" else operator, len(operator)
    number = _NUMBER.match(text, at)
    word = _WORD.match(text, at)
    assert word is not None
    if number and (number.end() >= word.end()):
        return "value", Number(float(number[0])), number.end() - at
    return "value", _named(word[0], known, text), len(word[0])


@cache
def _spaced(name: str) -> re.Pattern[str]:
    """A name with any blanks within its parentheses and around its commas: kin(id,A) is kin(id, A)."""
    parts = re.split(r"\s*([(,])\s*|\s*(\))", name)
    return re.compile("".join(_blanks(part) for part in parts if part))


def _blanks(part: str) -> str:
    return rf"\s*{re.escape(part)}\s*" if part in "(," else rf"\s*{re.escape(part)}" if part == ")" else re.escape(part)


def _ends(text: str, at: int, name: str) -> bool:
    """Whether a name may end here: what follows does not go on with it."""
    if at == len(text) or not (name[-1].isalnum() or name[-1] in "_`"):
        return True
    return not (text[at].isalnum() or text[at] in "_.:")


def _named(name: str, known: Mapping[str, int], text: str) -> Name:
    if name not in known:
        for other, place in known.items():
            plain = other.replace("`", "")  # the name of a column with a space has its backticks
            if plain == name or _spaced(other).fullmatch(name):
                return Name(place)
        own = {place: name for name, place in known.items()}  # the last of several is the known one
        names = [own[place] for place in sorted(own)]
        raise ModelError(f"{text!r}: {name!r} is no variance component; known are {shown(names, 20)}.")
    return Name(known[name])


class _Parser:
    """Recursive descent: sum, product, sign, power, atom; powers bind to the right and before a sign, as in R."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text, self.tokens, self.at, self.depth = text, tokens, 0, 0

    @property
    def here(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def error(self) -> ModelError:
        if self.here is None:
            return ModelError(f"{self.text!r} ends too early: an operand or a parenthesis is missing.")
        return ModelError(f"{self.text!r}: unexpected {self.text[self.here[2] :]!r} at character {self.here[2] + 1}.")

    def takes(self, *operators: str) -> str | None:
        if self.here is not None and self.here[0] == "operator" and self.here[1] in operators:
            self.at += 1
            return str(self.tokens[self.at - 1][1])
        return None

    def sum(self) -> Node:
        node = self.product()
        while operator := self.takes("+", "-"):
            node = Apply(operator, (node, self.product()))
        return node

    def product(self) -> Node:
        node = self.sign()
        while operator := self.takes("*", "/"):
            node = Apply(operator, (node, self.sign()))
        return node

    def sign(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ModelError(f"{self.text!r} is nested too deeply.")
        operator = self.takes("+", "-")
        node = Apply(operator, (self.sign(),)) if operator else self.power()
        self.depth -= 1
        return node

    def power(self) -> Node:
        base = self.atom()
        return Apply("^", (base, self.sign())) if self.takes("^") else base

    def atom(self) -> Node:
        token = self.here
        if token is None:
            raise self.error()
        kind, value, _ = token
        if kind == "function":
            self.at += 1
            return Apply(str(value), (self.atom(),))
        if kind == "value":
            self.at += 1
            assert not isinstance(value, str)
            return value
        if self.takes("("):
            node = self.sum()
            if not self.takes(")"):
                raise self.error()
            return node
        raise self.error()
