"""R's algebra of terms: what `+ : * / ^ %in% -` make of variables, and how each factor is to be coded.

Reproduces the behaviour documented for R's `terms.formula`: terms by degree, then by appearance; inside an
interaction, variables by first appearance in the formula; a factor is coded by contrasts in a term when the term
without it is (part of) an earlier term, else by one indicator a level (Chambers & Hastie 1992, §2.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lmmpy.errors import FormulaError
from lmmpy.formula.kin import require_no_kin
from lmmpy.formula.syntax import Binary, Call, Name, Node, Number, Paren, Unary, deparse, walk
from lmmpy.formula.traits import require_no_at

__all__ = ["Algebra", "Term", "Terms", "expand_terms"]

_FORMULA_OPERATORS = {"+", "-", "*", "/", ":", "^", "%in%"}
_BARS = {"|", "||"}


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a linear formula.

    Attributes
    ----------
    variables : tuple of int
        Which variables are multiplied, as places in `Terms.variables`, ascending.
    by_contrasts : tuple of bool
        Whether each of them, if it is a factor, is coded by contrasts (else by one indicator a level).
    label : str
        R's label, such as ``h:g``.
    """

    variables: tuple[int, ...]
    by_contrasts: tuple[bool, ...]
    label: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one linear formula (the fixed part, or the left of a bar).

    Attributes
    ----------
    variables : tuple of Node
        The expressions to evaluate, in order of first appearance.
    terms : tuple of Term
        Without the intercept.
    intercept : bool
        Whether there is a column of ones.
    offsets : tuple of Node
        The arguments of each ``offset()``.
    own : tuple of str
        What stands beside them for single traits, such as ``at(bmi, age)``.
    collapsed : tuple of Binary
        Powers of a single variable, such as ``x^2``, which are that variable.
    """

    variables: tuple[Node, ...]
    terms: tuple[Term, ...]
    intercept: bool
    offsets: tuple[Node, ...] = ()
    own: tuple[str, ...] = ()
    collapsed: tuple[Binary, ...] = field(default=(), compare=False)


def expand_terms(node: Node | None, response: Node | None = None) -> Terms:
    """
    Expand the right-hand side of a formula into terms.

    Parameters
    ----------
    node : Node or None
        The right-hand side, free of bars; None stands for an intercept alone.
    response : Node, optional
        The left-hand side, to refuse a response that is its own predictor.

    Returns
    -------
    Terms

    Raises
    ------
    FormulaError
        For a number that is not 0 or 1, a power that is no positive integer, `.`, or the response on the right.
    """
    algebra = Algebra()
    sets = algebra.expand(node, 1) if node is not None else []
    if response is not None and response in algebra.variables:
        raise FormulaError(
            f"The response {deparse(response)!r} also stands on the right-hand side. Take it out of one side."
        )
    ordered = sorted((s for s in sets if s), key=len)
    labels = [":".join(deparse(algebra.variables[i]) for i in sorted(s)) for s in ordered]
    terms = tuple(
        Term(
            tuple(sorted(s)),
            tuple(_by_contrasts(s - {i}, ordered[:place]) for i in sorted(s)),
            labels[place],
        )
        for place, s in enumerate(ordered)
    )
    collapsed = tuple(algebra.collapsed)
    return Terms(tuple(algebra.variables), terms, algebra.intercept, tuple(algebra.offsets), collapsed=collapsed)


def _by_contrasts(rest: frozenset[int], earlier: list[frozenset[int]]) -> bool:
    """R's rule: nothing else in the term, or the rest is contained in an earlier term."""
    return not rest or any(rest <= term for term in earlier)


class Algebra:
    """
    Expands a tree into sets of variables; sees variables in the order in which R does.

    Attributes
    ----------
    variables : list of Node
        In order of first appearance; the sets hold places in it.
    offsets : list of Node
    collapsed : list of Binary
        Powers of a single variable.
    intercept : bool
    """

    def __init__(self) -> None:
        self.variables: list[Node] = []
        self.offsets: list[Node] = []
        self.collapsed: list[Binary] = []
        self.intercept = True

    def expand(self, node: Node, parity: int) -> list[frozenset[int]]:
        """Sets of variables of a (sub)tree; `parity` is −1 below a minus sign, where 1 takes the intercept away."""
        match node:
            case Paren(inner):
                return self.expand(inner, parity)
            case Number(value):
                if value not in (0, 1):
                    raise FormulaError(
                        f"The number {deparse(node)} stands as a term of its own. Only 0 and 1 can (the intercept); "
                        "write I(...) for arithmetic, offset(...) for a known part."
                    )
                self.intercept = (value == 1) == (parity > 0)
                return []
            case Unary("+", operand):
                return self.expand(operand, parity)
            case Unary("-", operand):
                self.expand(operand, -parity)
                return []
            case Binary(operator, left, right) if operator in _FORMULA_OPERATORS:
                return self.combine(operator, left, right, parity)
            case Call() if node.function_name == "offset":
                return self.add_offset(node, parity)
            case Binary(operator, _, _) if operator in _BARS or operator == "~":
                raise FormulaError(
                    f"{deparse(node)!r} is a bar or tilde where a plain term is expected. A random term needs its own "
                    f"parentheses: write ({deparse(node)}), added with '+'."
                )
            case _:
                return [frozenset({self.place(node)})]

    def combine(self, operator: str, left: Node, right: Node, parity: int) -> list[frozenset[int]]:
        a = self.expand(left, parity)
        if operator == "^":
            powered = _power(a, right)
            if parity > 0 and right != Number(1) and len(a) == 1 and len(a[0]) == 1:
                self.collapsed.append(Binary("^", left, right))
            return powered
        b = self.expand(right, -parity if operator == "-" else parity)
        match operator:
            case "+":
                return _unique(a + b)
            case "-":
                return [term for term in a if term not in b]
            case ":":
                return _cross(a, b)
            case "*":
                return _unique(a + b + _cross(a, b))
            case "/":
                return _unique(a + [frozenset().union(*a) | term for term in b])
        together: frozenset[int] = frozenset().union(*b)
        return _unique([term | together for term in a])

    def add_offset(self, node: Call, parity: int) -> list[frozenset[int]]:
        if len(node.arguments) != 1 or parity < 0:
            raise FormulaError(f"{deparse(node)!r} must have one argument and be added, not subtracted.")
        self.offsets.append(node.arguments[0].value)
        return []

    def place(self, node: Node) -> int:
        if node == Name("."):
            raise FormulaError("'.' (all other columns) is not understood in a mixed-model formula. Name the columns.")
        if any(isinstance(inner, Call) and inner.function_name == "offset" for inner in walk(node)):
            raise FormulaError(f"offset() inside {deparse(node)!r} has no meaning; add it as a term: + offset(...).")
        require_no_kin(node)
        require_no_at(node)
        if node not in self.variables:
            self.variables.append(node)
        return self.variables.index(node)


def _unique(terms: list[frozenset[int]]) -> list[frozenset[int]]:
    return list(dict.fromkeys(terms))


def _cross(a: list[frozenset[int]], b: list[frozenset[int]]) -> list[frozenset[int]]:
    return _unique([s | t for s in a for t in b])


def _power(terms: list[frozenset[int]], exponent: Node) -> list[frozenset[int]]:
    while isinstance(exponent, Paren):
        exponent = exponent.inner
    if not isinstance(exponent, Number) or exponent.value < 1 or exponent.value % 1:
        raise FormulaError(
            f"The power {deparse(exponent)!r} of a formula must be a positive whole number. For the power of a "
            "variable write I(x^...)."
        )
    powered = terms
    for _ in range(int(exponent.value) - 1):
        powered = _unique(powered + _cross(powered, terms))
    return powered
