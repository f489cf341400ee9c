"""Text → tree, by R's grammar and R's precedence of operators."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lmmpy.errors import FormulaError
from lmmpy.formula.syntax import Argument, Binary, Call, Index, Name, Node, Number, Paren, Python, String, Unary

__all__ = ["read_expression"]

_TOKENS = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?)
  | (?P<name>(?:[^\W\d_]|\.(?!\d)|_)[\w.]*)
  | `(?P<quoted>[^`]+)`
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<operator>%[^%\s]*%|\*\*|\|\||&&|<=|>=|==|!=|\[\[|[-+*/^:~|&!<>=()\[\],$])
    """,
    re.VERBOSE,
)

# (left, right) binding powers; R's table, `?Syntax`. The right one is smaller where R associates to the right.
_BINDING = {
    "~": (10, 11),
    "|": (20, 21),
    "||": (20, 21),
    "&": (30, 31),
    "&&": (30, 31),
    **dict.fromkeys(["==", "!=", "<", ">", "<=", ">="], (50, 51)),
    "+": (60, 61),
    "-": (60, 61),
    "*": (70, 71),
    "/": (70, 71),
    "%%": (80, 81),
    ":": (90, 91),
    "^": (111, 110),
}
_PREFIX = {"~": 10, "!": 40, "-": 100, "+": 100}
_POSTFIX = 120
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


@lru_cache(maxsize=512)
def read_expression(text: str) -> Node:
    """
    Read one R expression or formula.

    Parameters
    ----------
    text : str
        For example ``"y ~ x + (1 | g)"`` or ``"log(w) + 1"``. Python code may stand between braces.

    Returns
    -------
    Node
        The tree.

    Raises
    ------
    FormulaError
        When the text is no R expression; the message shows the place.
    """
    reader = _Reader(text, _tokenise(text))
    node = reader.expression(0)
    if reader.current.kind != "end":
        raise reader.error(f"did not expect {reader.current.text!r} here")
    return node


def _tokenise(text: str) -> list[_Token]:
    tokens, position = [], 0
    while position < len(text):
        if text[position] == "{":
            end = _closing_brace(text, position)
            tokens.append(_Token("python", text[position + 1 : end], position))
            position = end + 1
            continue
        match = _TOKENS.match(text, position)
        if match is None:
            raise FormulaError(_pointing(text, position, f"cannot read {text[position]!r}"))
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, match.group(kind), position))
        position = match.end()
    tokens.append(_Token("end", "the end", len(text)))
    return tokens


def _closing_brace(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise FormulaError(_pointing(text, start, "this brace is never closed"))


def _pointing(text: str, position: int, message: str) -> str:
    line = text.replace("\n", " ")
    hint = "" if "~" in text else "\n(A formula reads response ~ predictors + (1 | group).)"
    return f"In the formula, {message}:\n    {line}\n    {' ' * position}^{hint}"


class _Reader:
    """A precedence-climbing parser over the tokens of one text."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.tokens, self.place = text, tokens, 0

    @property
    def current(self) -> _Token:
        return self.tokens[self.place]

    def advance(self) -> _Token:
        token = self.current
        self.place += 1
        return token

    def error(self, message: str) -> FormulaError:
        return FormulaError(_pointing(self.text, self.current.position, message))

    def at(self, operator: str) -> bool:
        return self.current.kind == "operator" and self.current.text == operator

    def expect(self, operator: str) -> None:
        if not self.at(operator):
            raise self.error(f"expected {operator!r} but found {self.current.text!r}")
        self.advance()

    def expression(self, minimum: int) -> Node:
        left = self.postfix(self.operand())
        while self.current.kind == "operator":
            operator = "^" if self.current.text == "**" else self.current.text
            powers = _BINDING.get("%%" if operator.startswith("%") else operator)
            if powers is None or powers[0] < minimum:
                break
            self.advance()
            left = Binary(operator, left, self.expression(powers[1]))
        return left

    def operand(self) -> Node:
        token = self.advance()
        match token.kind:
            case "number":
                return Number(float(token.text.rstrip("L")), token.text.endswith("L"))
            case "name" | "quoted":
                return Name(token.text)
            case "string":
                return String(_unescape(token.text[1:-1]))
            case "python":
                return Python(token.text)
            case "operator" if token.text == "(":
                inner = self.expression(0)
                self.expect(")")
                return Paren(inner)
            case "operator" if token.text in _PREFIX:
                return Unary(token.text, self.expression(_PREFIX[token.text]))
        self.place -= 1
        raise self.error(f"expected a term but found {token.text!r}")

    def postfix(self, node: Node) -> Node:
        while self.current.kind == "operator" and self.current.text in ("(", "[", "[[", "$"):
            opening = self.advance().text
            if opening == "(":
                node = Call(node, self.arguments(")"))
            elif opening == "$":
                if self.current.kind not in ("name", "quoted", "string"):
                    raise self.error("expected a name after '$'")
                field = self.advance()
                node = Index(node, (Argument(String(field.text)),), "$")
            else:
                arguments = self.arguments("]")
                if opening == "[[":
                    self.expect("]")
                node = Index(node, arguments, opening)
        return node

    def arguments(self, closing: str) -> tuple[Argument, ...]:
        found: list[Argument] = []
        while not self.at(closing):
            name = None
            following = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else self.current
            if self.current.kind in ("name", "quoted", "string") and following.text == "=":
                name = self.advance().text.strip("\"'")
                self.advance()
            found.append(Argument(self.expression(0), name))
            if not self.at(closing):
                self.expect(",")
        self.advance()
        return tuple(found)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), text)
