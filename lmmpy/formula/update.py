"""A change to a formula, by R's rules of `update.formula`: a dot stands for the old side, minus takes terms away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmmpy.errors import FormulaError, shown
from lmmpy.formula.parsed import FUNCTION, Bar, RandomTerm, as_bar, parse_formula, random_terms, split_right
from lmmpy.formula.reader import read_expression
from lmmpy.formula.syntax import Argument, Binary, Call, Index, Name, Node, Number, Paren, Unary, deparse, walk
from lmmpy.formula.terms import Algebra, Terms, expand_terms
from lmmpy.formula.traits import At, as_at

__all__ = ["RandomKey", "fixed_text", "formula_text", "random_key", "random_text", "update_formula"]

_DOT = Name(".")

RandomKey = tuple[bool, frozenset[frozenset[str]], frozenset[str], str, bool | None, str | None]


def update_formula(old: str, change: str) -> str:
    """
    Change a mixed-model formula.

    Parameters
    ----------
    old : str
        The formula of a fit.
    change : str
        A formula in which `.` stands for the old left or right side, such as ``". ~ . - x + (1 | h)"``; without a left
        side the old response stays. One without a dot on its right replaces the old right side as it is written.

    Returns
    -------
    str
        The new formula: fixed terms by degree, then by appearance, then offsets, then random terms.

    Raises
    ------
    FormulaError
        When the change cannot be read, or takes away a term that is not there (which R passes over in silence).
        Random terms are the same when they say the same: ``(1 + x | g)`` is ``(x | g)``, and ``(x || g)`` is
        ``(1 | g) + (0 + x | g)``.
    """
    if not isinstance(change, str):
        raise FormulaError(f"A change of a formula is a text such as '. ~ . - x', not a {type(change).__name__}.")
    left, right = _sides(read_expression(change), change)
    old_left, old_right = _sides(read_expression(old), old)
    response = old_left if left is None else _with_old_response(left, old_left, change)
    if _holds_dot(right):
        algebra = _Change(old_right)
        sets = algebra.expand(right, 1)
        fixed = algebra.terms(sets)
        new = formula_text(response, fixed, _as_written(algebra.random))
    else:
        new = f"{'' if response is None else deparse(response) + ' '}~ {deparse(right)}"
    parse_formula(new)  # says what is wrong with it
    return new


def formula_text(response: Node | None, fixed: Terms, random: Sequence[str]) -> str:
    """
    Write a formula.

    Parameters
    ----------
    response : Node or None
    fixed : Terms
    random : sequence of str
        Random terms, in their parentheses.
    """
    left = "" if response is None else deparse(response) + " "
    return f"{left}~ {' + '.join([fixed_text(fixed), *random])}"


def fixed_text(terms: Terms) -> str:
    """Write the terms of one linear formula, ``0 +`` first when there is no intercept."""
    parts = [term.label for term in terms.terms]
    if not terms.intercept:
        parts.insert(0, "0")
    elif not parts:
        parts = ["1"]
    return " + ".join([*parts, *(f"offset({deparse(node)})" for node in terms.offsets), *terms.own])


def random_text(term: RandomTerm, lhs: Terms | None = None) -> str:
    """
    Write one random term, such as ``(Days | Subject)``, ``diag(x | g, hom = TRUE)`` or ``kin(A)``.

    Parameters
    ----------
    term : RandomTerm
    lhs : Terms, optional
        What to write left of the bar instead.
    """
    text = _random_text(term, lhs)
    return text if term.trait is None else f"at({deparse(Name(term.trait))}, {text})"


def _random_text(term: RandomTerm, lhs: Terms | None) -> str:
    if lhs is None and term.structure == "us":
        return term.grouping.label if term.bare else f"({term.text})"
    if lhs is None and len(parse_formula(f"~ {term.text}").all_random) == 1:
        return term.text  # as it was written; of `cs(x | a/b)` that would be two terms
    if term.structure == FUNCTION:
        covariate = term.lhs.variables[0] if lhs is None else lhs.variables[0]
        return f"{FUNCTION}({deparse(covariate)} | {term.grouping.label})"
    text = f"{fixed_text(term.lhs if lhs is None else lhs)} | {term.grouping.label}"
    if term.structure == "us":
        return f"({text})"
    hom = "" if term.homogeneous is None else f", hom = {str(term.homogeneous).upper()}"
    return f"{term.structure}({text}{hom})"


def random_key(term: RandomTerm) -> RandomKey:
    """
    What two spellings of the same random term share: intercept, effects, groups, structure, `hom=`, trait.

    Parameters
    ----------
    term : RandomTerm
    """
    lhs = term.lhs
    effects = frozenset(frozenset(deparse(lhs.variables[i]) for i in effect.variables) for effect in lhs.terms)
    groups = frozenset(deparse(factor) for factor in term.grouping.factors)
    return lhs.intercept, effects, groups, term.structure, term.homogeneous, term.trait


def _sides(tree: Node, text: str) -> tuple[Node | None, Node]:
    match tree:
        case Binary("~", left, right):
            return left, right
        case Unary("~", right):
            return None, right
    raise FormulaError(f"The formula {text!r} has no '~'. Write a change as '. ~ . + x' or '~ . - x'.")


def _holds_dot(node: Node) -> bool:
    return any(inner == _DOT for inner in walk(node))


def _with_old_response(node: Node, old: Node | None, change: str) -> Node:
    """The left side of a change with the old response for its dots."""
    if not _holds_dot(node):
        return node
    if old is None:
        raise FormulaError(f"{change!r} speaks of the old response ('.'), but the old formula has none.")
    return _substituted(node, old)


def _substituted(node: Node, old: Node) -> Node:
    def inside(child: Node) -> Node:
        """An operand: what was an operation keeps its bounds."""
        return Paren(old) if child == _DOT and isinstance(old, Binary | Unary) else _substituted(child, old)

    def each(arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
        return tuple(replace(argument, value=_substituted(argument.value, old)) for argument in arguments)

    match node:
        case Name("."):
            return old
        case Call(function, arguments):
            return Call(function, each(arguments))
        case Index(value, arguments, bracket):
            return Index(inside(value), each(arguments), bracket)
        case Unary(operator, operand):
            return Unary(operator, inside(operand))
        case Binary(operator, left, right):
            return Binary(operator, inside(left), inside(right))
        case Paren(inner):
            return Paren(_substituted(inner, old))
    return node


@dataclass(frozen=True, slots=True)
class _Piece:
    """One random term, and the bar as it was written that it is a part of."""

    term: RandomTerm
    whole: str
    of: int

    @property
    def key(self) -> RandomKey:
        """Its identity."""
        return random_key(self.term)


def _pieces(bar: Bar) -> list[_Piece]:
    terms = list(random_terms(bar))
    return [_Piece(term, _whole(bar), len(terms)) for term in terms]


def _whole(bar: Bar) -> str:
    """The term as it stands in a formula."""
    written = read_expression(bar.text)  # `us(x | g)` has its own parentheses and `kin(A)` needs none, `x | g` does
    text = bar.text if as_bar(written) is not None else f"({bar.text})"
    return text if bar.trait is None else f"at({deparse(Name(bar.trait))}, {text})"


def _as_written(pieces: Sequence[_Piece]) -> list[str]:
    """Bars of which everything is left as they were written, else what is left of them."""
    left = [piece.whole for piece in pieces]
    texts = [piece.whole if left.count(piece.whole) == piece.of else random_text(piece.term) for piece in pieces]
    return list(dict.fromkeys(texts))


def _single_terms(node: Node) -> list[Node]:
    """The terms of a fixed part, each by itself; 0 or 1 where it speaks of the intercept."""
    found: list[Node] = []
    with_one, without = Algebra(), Algebra()
    without.intercept = False
    with_one.expand(node, 1)
    without.expand(node, 1)
    if with_one.intercept == without.intercept:
        found.append(Number(float(with_one.intercept)))
    terms = expand_terms(node)
    for term in terms.terms:
        product: Node = terms.variables[term.variables[0]]
        for place in term.variables[1:]:
            product = Binary(":", product, terms.variables[place])
        found.append(product)
    return found + [Call(Name("offset"), (Argument(offset),)) for offset in terms.offsets]


class _Change(Algebra):
    """The algebra of terms with a dot in it; random terms are kept beside the fixed ones."""

    def __init__(self, old: Node) -> None:
        super().__init__()
        self.old, self.random = old, list[_Piece]()
        self.strict, self.factors = True, 0

    def terms(self, sets: list[frozenset[int]]) -> Terms:
        """The fixed part that the sets make, as far as its text goes."""
        own = [s for s in sets if any(as_at(self.variables[i]) is not None for i in s)]
        ordered = sorted((s for s in sets if s and s not in own), key=len)
        parts = [" + ".join(":".join(deparse(self.variables[i]) for i in sorted(s)) for s in ordered)]
        if not self.intercept:
            parts.insert(0, "0")
        parts += [f"offset({deparse(node)})" for node in self.offsets]
        parts += [deparse(self.variables[i]) for s in own for i in s]
        text = " + ".join(part for part in parts if part)
        return parse_formula(f"~ {text or '1'}").fixed

    def expand(self, node: Node, parity: int) -> list[frozenset[int]]:
        if node == _DOT:
            return self.insert_old(parity)
        at, bar = as_at(node), as_bar(node)
        if at is not None:
            return self.of_one_trait(at, parity)
        if bar is not None:
            self.change_random(bar, parity)
            return []
        if isinstance(node, Unary) and node.operator == "-" and self.strict and not isinstance(node.operand, Number):
            raise FormulaError(
                f"{deparse(node)!r} takes a term from nothing. Write '. {deparse(node)}', the dot first."
            )
        return super().expand(node, parity)

    def combine(self, operator: str, left: Node, right: Node, parity: int) -> list[frozenset[int]]:
        self.factors += operator not in ("+", "-")
        try:
            if operator == "-" and self.strict and parity > 0:
                return self.without(left, right)
            return super().combine(operator, left, right, parity)
        finally:
            self.factors -= operator not in ("+", "-")

    def without(self, left: Node, right: Node) -> list[frozenset[int]]:
        """Terms less terms that must be there."""
        a = self.expand(left, 1)
        b = self.expand(right, -1)
        absent = [term for term in b if term and term not in a]
        if absent:
            raise FormulaError(
                f"There is no term {self.label(absent[0])!r} to take away; the fixed terms are "
                f"{shown([self.label(term) for term in a if term], 20) or 'none'}."
            )
        return [term for term in a if term not in b]

    def label(self, term: frozenset[int]) -> str:
        return ":".join(deparse(self.variables[i]) for i in sorted(term))

    def insert_old(self, parity: int) -> list[frozenset[int]]:
        if parity < 0:
            raise FormulaError("'.' cannot be taken away: nothing of the old formula would be left.")
        strict, factors = self.strict, self.factors
        self.strict, self.factors = False, 0
        try:
            return self.expand(self.old, parity)
        finally:
            self.strict, self.factors = strict, factors

    def of_one_trait(self, at: At, parity: int) -> list[frozenset[int]]:
        """The terms of an `at`, each in one of its own."""
        if self.factors:
            raise FormulaError(f"{deparse(at.around(at.inner))} can only be added or taken away.")
        fixed, bars, _ = split_right(at.inner)
        for bar in bars:
            self.change_random(replace(bar, trait=at.trait), parity)
        found: list[frozenset[int]] = []
        for node in [] if fixed is None else _single_terms(fixed):
            own = at.around(node)
            if own not in self.variables:
                self.variables.append(own)
            found.append(frozenset({self.variables.index(own)}))
        return found

    def change_random(self, bar: Bar, parity: int) -> None:
        """Add a bar, or take one away."""
        if self.factors:
            raise FormulaError(f"The random term {_whole(bar)} can only be added or taken away.")
        pieces = _pieces(bar)
        if parity > 0:
            known = {piece.key for piece in self.random}
            self.random += [piece for piece in pieces if piece.key not in known]
            return
        keys = [piece.key for piece in self.random]
        for piece in pieces:
            if piece.key not in keys:
                texts = dict.fromkeys(random_text(known.term) for known in self.random)
                raise FormulaError(
                    f"There is no random term {random_text(piece.term)} to take away; the random terms are "
                    f"{', '.join(texts) or 'none'}."
                )
        gone = {piece.key for piece in pieces}
        self.random = [piece for piece in self.random if piece.key not in gone]

    def add_offset(self, node: Call, parity: int) -> list[frozenset[int]]:
        if parity > 0:
            return super().add_offset(node, parity)
        known = [argument.value for argument in node.arguments]
        if len(known) != 1 or known[0] not in self.offsets:
            names = shown([f"offset({deparse(offset)})" for offset in self.offsets]) or "none"
            raise FormulaError(f"There is no {deparse(node)} to take away; the offsets are {names}.")
        self.offsets.remove(known[0])
        return []

    def place(self, node: Node) -> int:
        if _holds_dot(node):
            raise FormulaError(
                f"{deparse(node)!r}: on the right of a change, '.' stands for all the old terms together and cannot be "
                "the argument of a function. Name the columns."
            )
        return super().place(node)
