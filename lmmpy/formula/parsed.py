"""A model formula, cut into its response, its fixed part and its random terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from lmmpy.errors import FormulaError
from lmmpy.formula.grouping import Grouping, expand_grouping
from lmmpy.formula.kin import is_kin
from lmmpy.formula.reader import read_expression
from lmmpy.formula.syntax import Binary, Call, Name, Node, Number, Paren, Unary, deparse, walk
from lmmpy.formula.terms import Terms, expand_terms

__all__ = ["STRUCTURES", "Bar", "ParsedFormula", "RandomTerm", "as_bar", "parse_formula", "random_terms"]

STRUCTURES = ("us", "diag", "cs", "ar1")


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One random term: what varies, over which groups, and how it covaries.

    Attributes
    ----------
    lhs : Terms
        The left of the bar.
    grouping : Grouping
        The right of the bar.
    structure : str
        One of `STRUCTURES`.
    homogeneous : bool or None
        `hom=` as written; None leaves it to the structure.
    text : str
        The term as R would print it.
    bare : bool
        Whether it is a `kin()` written by itself, which is ``(1 | kin())``.
    """

    lhs: Terms
    grouping: Grouping
    structure: str
    homogeneous: bool | None
    text: str
    bare: bool = False


@dataclass(frozen=True, slots=True)
class ParsedFormula:
    """A mixed-model formula.

    Attributes
    ----------
    text : str
        The whole formula as R would print it.
    response : Node or None
        The left-hand side; None for a one-sided formula.
    fixed : Terms
        The fixed part.
    random : tuple of RandomTerm
        In the order in which lme4 lists them before it sorts by the number of levels.
    """

    text: str
    response: Node | None
    fixed: Terms
    random: tuple[RandomTerm, ...]


@lru_cache(maxsize=256)
def parse_formula(text: str) -> ParsedFormula:
    """
    Read a mixed-model formula by R's rules.

    Parameters
    ----------
    text : str
        For example ``"Reaction ~ Days + (Days | Subject)"``.

    Returns
    -------
    ParsedFormula

    Raises
    ------
    FormulaError
        When the text cannot be read, or a bar stands where it has no meaning.
    """
    tree = read_expression(text)
    response: Node | None = None
    match tree:
        case Binary("~", left, right):
            response = left
        case Unary("~", right):
            pass
        case _:
            raise FormulaError(f"The formula {text!r} has no '~'. Write response ~ predictors + (1 | group).")
    if response is not None:
        _check_response(response)
        _check_single(response)
    fixed_part, bars = _split(right)
    fixed = expand_terms(fixed_part, response)
    random = tuple(term for bar in bars for term in random_terms(bar))
    return ParsedFormula(deparse(tree), response, fixed, random)


def _check_response(response: Node) -> None:
    if any(isinstance(node, Binary) and node.operator in ("|", "||", "~") for node in walk(response)):
        raise FormulaError(
            f"The response {deparse(response)!r} holds a bar or a second '~'. It must be one expression."
        )


def _check_single(response: Node) -> None:
    if isinstance(response, Call) and response.function_name == "cbind":
        raise FormulaError(f"{deparse(response)!r}: several traits at once are not fitted by this version. Name one.")


@dataclass(frozen=True, slots=True)
class Bar:
    """A random term as it is written, before its grouping factors are expanded.

    Attributes
    ----------
    left, right : Node
        The sides of the bar.
    double : bool
        Whether it is ``||``.
    structure : str
        One of `STRUCTURES`.
    homogeneous : bool or None
        `hom=` as written.
    text : str
        Without the parentheses of an unstructured term.
    bare : bool
        Whether there is no bar: a `kin()` written by itself.
    """

    left: Node
    right: Node
    double: bool
    structure: str
    homogeneous: bool | None
    text: str
    bare: bool = False


def as_bar(node: Node) -> Bar | None:
    """A node that is a whole random term: `(x | g)`, `us(x | g)` and its like, or `kin(A)`."""
    match node:
        case Call() if is_kin(node):
            return Bar(Number(1), node, False, "us", None, deparse(node), bare=True)
        case Paren(Binary("|" | "||" as bar, left, right) as inner):
            return Bar(left, right, bar == "||", "us", None, deparse(inner))
        case Call(Name(structure), arguments) if structure in STRUCTURES and arguments:
            match arguments[0].value:
                case Binary("|", left, right):
                    return Bar(left, right, False, structure, _homogeneous(node), deparse(node))
                case Binary("||", _, _):
                    raise FormulaError(
                        f"{deparse(node)!r} asks for a structure and for no correlation at once. Write diag(x | g) "
                        "for independent effects, or a single bar."
                    )
    return None


def _homogeneous(call: Call) -> bool | None:
    """Read `hom=` of a structure around a bar; R's constants and Python's."""
    extra = call.arguments[1:]
    if not extra:
        return None
    constants = {"TRUE": True, "T": True, "True": True, "FALSE": False, "F": False, "False": False}
    if (
        len(extra) == 1
        and extra[0].name == "hom"
        and isinstance(extra[0].value, Name)
        and extra[0].value.id in constants
    ):
        return constants[extra[0].value.id]
    raise FormulaError(f"In {deparse(call)!r}, the only argument after the bar is hom = TRUE or hom = FALSE.")


def _has_bar(node: Node) -> bool:
    """Whether a random term stands somewhere at formula level; a `|` inside a call is R's 'or'."""
    if as_bar(node) is not None:
        return True
    match node:
        case Binary("|" | "||", _, _):
            return True
        case Binary(_, left, right):
            return _has_bar(left) or _has_bar(right)
        case Unary(_, inner) | Paren(inner):
            return _has_bar(inner)
    return False


def _split(node: Node) -> tuple[Node | None, list[Bar]]:
    """Part a right-hand side into what is fixed and its bars."""
    if not _has_bar(node):
        return node, []
    bar = as_bar(node)
    if bar is not None:
        return None, [bar]
    match node:
        case Paren(inner):
            fixed, bars = _split(inner)
            return (Paren(fixed) if fixed is not None else None), bars
        case Binary("+", left, right):
            first, bars = _split(left)
            second, more = _split(right)
            both = Binary("+", first, second) if first is not None and second is not None else first or second
            return both, bars + more
        case Binary("-", left, right) if not _has_bar(right):
            first, bars = _split(left)
            return (Binary("-", first, right) if first is not None else Unary("-", right)), bars
        case Unary("+", inner):
            return _split(inner)
        case Binary("|" | "||", left, right):
            raise FormulaError(
                f"The bar in {deparse(node)!r} has no parentheses around it. A random term is written "
                f"(effects | group), for example ({deparse(_last(left))} | {deparse(right)})."
            )
    operator = node.operator if isinstance(node, Binary | Unary) else "?"
    raise FormulaError(
        f"A random term can only be added: {deparse(node)!r} joins one with {operator!r}. Write {_added(node)}."
    )


def _added(node: Node) -> str:
    """What may be meant by an operator beside a random term."""
    if isinstance(node, Binary) and node.operator in ("*", ":", "/"):
        for related, other in ((node.left, node.right), (node.right, node.left)):
            if is_kin(related) and not _has_bar(other):
                varying = f"({deparse(other)} | {deparse(related)})"
                return f"'+ {varying}' for effects of {deparse(other)} that relatives share"
    return "'+ (effects | group)'"


def _last(node: Node) -> Node:
    return _last(node.right) if isinstance(node, Binary) and node.operator in ("+", "-") else node


def random_terms(bar: Bar) -> Iterator[RandomTerm]:
    """
    The random terms that a bar stands for: one a grouping factor, and for ``||`` one an effect.

    Parameters
    ----------
    bar : Bar

    Raises
    ------
    FormulaError
        When nothing, or an offset, stands left of the bar.
    """
    groupings = expand_grouping(bar.right)
    for left in _uncorrelated(bar.left) if bar.double else [bar.left]:
        lhs = expand_terms(left)
        if lhs.offsets:
            raise FormulaError(f"offset() in the random term ({bar.text}) has no meaning; add it to the fixed part.")
        if not lhs.terms and not lhs.intercept:
            raise FormulaError(f"The random term ({bar.text}) has nothing left of the bar. Write 1 for an intercept.")
        for grouping in groupings:
            text = f"{deparse(left)} | {grouping.label}" if bar.structure == "us" else bar.text
            yield RandomTerm(lhs, grouping, bar.structure, bar.homogeneous, text, bar.bare)


def _uncorrelated(left: Node) -> list[Node]:
    """`(1 + x + f || g)` term by term, as lme4 does it: by syntax, so that a factor stays one correlated block."""
    terms = expand_terms(left)
    zero = Number(0)
    nodes: list[Node] = [Number(1)] if terms.intercept else []
    for term in terms.terms:
        product: Node = terms.variables[term.variables[0]]
        for place in term.variables[1:]:
            product = Binary(":", product, terms.variables[place])
        nodes.append(Binary("+", zero, product))
    return nodes
