"""A model formula, cut into its response, its fixed part and its random terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from lmmpy.errors import FormulaError, shown
from lmmpy.formula.grouping import Grouping, expand_grouping
from lmmpy.formula.kin import is_kin
from lmmpy.formula.reader import read_expression
from lmmpy.formula.structures import FUNCTION, STRUCTURES, read_homogeneous
from lmmpy.formula.syntax import Argument, Binary, Call, Name, Node, Number, Paren, Unary, deparse, walk
from lmmpy.formula.terms import Terms, expand_terms
from lmmpy.formula.traits import Trait, as_at, at_trait, read_traits

__all__ = [
    "FUNCTION",
    "STRUCTURES",
    "Bar",
    "Own",
    "ParsedFormula",
    "RandomTerm",
    "as_bar",
    "parse_formula",
    "random_terms",
    "split_right",
]


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
        One of `STRUCTURES`; `FUNCTION` for a random function of a covariate, ``exp(x | g)``.
    homogeneous : bool or None
        `hom=` as written; None leaves it to the structure.
    text : str
        The term as R would print it.
    bare : bool
        Whether it is a `kin()` written by itself, which is ``(1 | kin())``.
    trait : str or None
        The trait of ``at(trait, …)``; None for a term of all traits.
    """

    lhs: Terms
    grouping: Grouping
    structure: str
    homogeneous: bool | None
    text: str
    bare: bool = False
    trait: str | None = None


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
        The fixed part; with several traits what they share.
    random : tuple of RandomTerm
        In the order in which lme4 lists them before it sorts by the number of levels.
    functions : tuple of RandomTerm
        Random functions of a covariate.
    traits : tuple of Trait
        The responses joined by `cbind`; () for a single one.
    by_trait : tuple of Terms
        The whole fixed part of each trait, what ``at()`` says of it included.
    """

    text: str
    response: Node | None
    fixed: Terms
    random: tuple[RandomTerm, ...]
    functions: tuple[RandomTerm, ...] = ()
    traits: tuple[Trait, ...] = ()
    by_trait: tuple[Terms, ...] = ()

    @property
    def all_random(self) -> tuple[RandomTerm, ...]:
        """The random terms and the random functions."""
        return self.random + self.functions

    @property
    def responses(self) -> tuple[Node, ...]:
        """The expression of each response."""
        if self.traits:
            return tuple(trait.node for trait in self.traits)
        return () if self.response is None else (self.response,)

    @property
    def fixed_parts(self) -> tuple[Terms, ...]:
        """The fixed part of each response."""
        return self.by_trait or (self.fixed,)


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
    traits = read_traits(response)
    if response is not None:
        _check_response(response)
    fixed_part, bars, own = split_right(right)
    fixed = replace(
        expand_terms(fixed_part, response),
        own=tuple(deparse(at_trait(part.trait, part.fixed)) for part in own),
    )
    _check_own(own, bars, traits, response)
    terms = [term for bar in bars for term in random_terms(bar)]
    return ParsedFormula(
        deparse(tree),
        response,
        fixed,
        tuple(term for term in terms if term.structure != FUNCTION),
        tuple(term for term in terms if term.structure == FUNCTION),
        traits,
        tuple(_fixed_of(trait, fixed_part, own, traits) for trait in traits),
    )


def _check_response(response: Node) -> None:
    if any(isinstance(node, Binary) and node.operator in ("|", "||", "~") for node in walk(response)):
        raise FormulaError(
            f"The response {deparse(response)!r} holds a bar or a second '~'. It must be one expression."
        )


def _check_own(own: list[Own], bars: list[Bar], traits: tuple[Trait, ...], response: Node | None) -> None:
    """Refuse an `at()` of a trait that is not there."""
    named = dict.fromkeys([part.trait for part in own] + [bar.trait for bar in bars if bar.trait is not None])
    if response is None or not named:
        return
    if not traits:
        raise FormulaError(
            f"at({next(iter(named))}, …) speaks of one trait among several, and the response {deparse(response)!r} is "
            "a single one. Add the terms without at(), or join traits by cbind(a, b)."
        )
    names = [trait.name for trait in traits]
    unknown = [name for name in named if name not in names]
    if unknown:
        raise FormulaError(f"at() names {shown(unknown)}, which is no trait. The traits are {shown(names, 20)}.")


def _fixed_of(trait: Trait, shared: Node | None, own: list[Own], traits: tuple[Trait, ...]) -> Terms:
    """The whole fixed part of a trait."""
    part = shared
    for extra in own:
        if extra.trait == trait.name:
            part = extra.fixed if part is None else Binary("+", part, extra.fixed)
    terms = expand_terms(part)
    for other in traits:
        if other.node in terms.variables:
            raise FormulaError(
                f"The trait {other.name!r} also stands on the right-hand side. Take it out of one side: what is known "
                "of one trait by another is in the covariances."
            )
    return terms


@dataclass(frozen=True, slots=True)
class Own:
    """A part of the fixed effects that one trait has.

    Attributes
    ----------
    trait : str
    fixed : Node
    """

    trait: str
    fixed: Node


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
        One of `STRUCTURES`, or `FUNCTION`.
    homogeneous : bool or None
        `hom=` as written.
    text : str
        Without the parentheses of an unstructured term.
    bare : bool
        Whether there is no bar: a `kin()` written by itself.
    trait : str or None
        The trait of an ``at()`` around it.
    """

    left: Node
    right: Node
    double: bool
    structure: str
    homogeneous: bool | None
    text: str
    bare: bool = False
    trait: str | None = None


def as_bar(node: Node) -> Bar | None:
    """A node that is a whole random term: `(x | g)`, `us(x | g)` and its like, `exp(x | g)`, or `kin(A)`."""
    match node:
        case Call() if is_kin(node):
            return Bar(Number(1), node, False, "us", None, deparse(node), bare=True)
        case Paren(Binary("|" | "||" as bar, left, right) as inner):
            return Bar(left, right, bar == "||", "us", None, deparse(inner))
        case Call(Name(structure), arguments) if structure in STRUCTURES and arguments:
            match arguments[0].value:
                case Binary("|", left, right):
                    return Bar(left, right, False, structure, read_homogeneous(node), deparse(node))
                case Binary("||", _, _):
                    raise FormulaError(
                        f"{deparse(node)!r} asks for a structure and for no correlation at once. Write diag(x | g) "
                        "for independent effects, or a single bar."
                    )
        case Call(Name("exp"), (Argument(Binary("|", left, right), None),)):
            return Bar(left, right, False, FUNCTION, None, deparse(node))
    return None


def _has_bar(node: Node) -> bool:
    """Whether a random term stands somewhere at formula level; a `|` inside a call is R's 'or'."""
    if as_bar(node) is not None or as_at(node) is not None:
        return True
    match node:
        case Binary("|" | "||", _, _):
            return True
        case Binary(_, left, right):
            return _has_bar(left) or _has_bar(right)
        case Unary(_, inner) | Paren(inner):
            return _has_bar(inner)
    return False


def split_right(node: Node) -> tuple[Node | None, list[Bar], list[Own]]:
    """
    Part a right-hand side into what is fixed, its bars, and what is fixed for one trait only.

    Parameters
    ----------
    node : Node

    Raises
    ------
    FormulaError
        Where a random term or an `at` is anything but added.
    """
    if not _has_bar(node):
        return node, [], []
    at, bar = as_at(node), as_bar(node)
    if at is not None:
        fixed, bars, _ = split_right(at.inner)
        own = [] if fixed is None else [Own(at.trait, fixed)]
        return None, [replace(bar, trait=at.trait) for bar in bars], own
    if bar is not None:
        return None, [bar], []
    match node:
        case Paren(inner):
            fixed, bars, own = split_right(inner)
            return (Paren(fixed) if fixed is not None else None), bars, own
        case Binary("+", left, right):
            first, bars, own = split_right(left)
            second, more, extra = split_right(right)
            both = Binary("+", first, second) if first is not None and second is not None else first or second
            return both, bars + more, own + extra
        case Binary("-", left, right) if not _has_bar(right):
            first, bars, own = split_right(left)
            return (Binary("-", first, right) if first is not None else Unary("-", right)), bars, own
        case Unary("+", inner):
            return split_right(inner)
        case Binary("|" | "||", left, right):
            raise FormulaError(
                f"The bar in {deparse(node)!r} has no parentheses around it. A random term is written "
                f"(effects | group), for example ({deparse(_last(left))} | {deparse(right)})."
            )
    operator = node.operator if isinstance(node, Binary | Unary) else "?"
    what = "A random term" if not any(as_at(inner) for inner in walk(node)) else "at() or a random term"
    raise FormulaError(
        f"{what} can only be added: {deparse(node)!r} joins one with {operator!r}. Write {_added(node)}."
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
            if bar.structure == FUNCTION:
                _check_function(lhs, bar.text)
            yield RandomTerm(lhs, grouping, bar.structure, bar.homogeneous, text, bar.bare, bar.trait)


def _check_function(lhs: Terms, text: str) -> None:
    if len(lhs.terms) != 1 or len(lhs.variables) != 1 or not lhs.intercept:
        raise FormulaError(
            f"{text!r}: left of the bar of a random function stands one covariate, as in exp(age | kin(ped)): an "
            "effect whose variance grows with the covariate, and whose correlation falls with the difference."
        )


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
