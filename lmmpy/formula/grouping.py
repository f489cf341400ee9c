"""The right of a bar: `a/b`, `a:b`, `a*b`, `a + b`, calls and parentheses → grouping factors with lme4's labels."""

from __future__ import annotations

from dataclasses import dataclass

from lmmpy.errors import FormulaError
from lmmpy.formula.kin import Kin, is_kin, read_kin
from lmmpy.formula.syntax import Binary, Call, Index, Name, Node, Paren, deparse

__all__ = ["Grouping", "expand_grouping"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """One grouping factor.

    Attributes
    ----------
    label : str
        As lme4 prints it, such as ``h:g`` or ``g:(l:h)``.
    factors : tuple of Node
        The expressions whose combination makes the levels, the slowest first. For related levels the one call of
        `kin`, whose value is that of its ids.
    kin : Kin or None
        What that call says; None for levels of which the formula says no relatedness.
    """

    label: str
    factors: tuple[Node, ...]
    kin: Kin | None = None


def expand_grouping(node: Node) -> tuple[Grouping, ...]:
    """
    Expand the right of a bar into grouping factors, the innermost first.

    Parameters
    ----------
    node : Node
        For example the tree of ``a/b``.

    Returns
    -------
    tuple of Grouping
        For ``a/b``: ``b:a``, then ``a``.

    Raises
    ------
    FormulaError
        When an operator has no meaning between grouping factors.
    """
    return tuple({grouping.label: grouping for grouping in _expand(node)}.values())


def _expand(node: Node) -> list[Grouping]:
    match node:
        case Paren(inner):
            return _expand(inner)
        case Binary("+", left, right):
            return _expand(left) + _expand(right)
        case Binary("*", left, right):
            a, b = _expand(left), _expand(right)
            return a + b + [_interaction(s, t) for s in a for t in b]
        case Binary(":", left, right):
            return [_interaction(s, t) for s in _expand(left) for t in _expand(right)]
        case Binary("/", left, right):
            around, within = _expand(left), _expand(right)
            whole = _whole(around)
            return [_interaction(t, whole) for t in within] + around
        case Call() if is_kin(node):
            return [Grouping(deparse(node), (node,), read_kin(node))]
        case Name() | Call() | Index():
            return [Grouping(deparse(node), (node,))]
    raise FormulaError(
        f"{deparse(node)!r} cannot be a grouping factor. Right of a bar stand names or calls, joined by "
        "':', '/', '*' or '+'."
    )


def _whole(groupings: list[Grouping]) -> Grouping:
    """The combination of all factors that occur, which is what `x/…` nests within."""
    deepest = max(groupings, key=lambda g: len(g.factors))
    rest = [g for g in groupings if not set(g.factors) <= set(deepest.factors)]
    for grouping in rest:
        deepest = _interaction(deepest, grouping)
    return deepest


def _interaction(first: Grouping, second: Grouping) -> Grouping:
    for related, other in ((first, second), (second, first)):
        if related.kin is not None:
            raise FormulaError(
                f"{related.label} cannot be nested in or combined with another grouping factor ({other.label}). For "
                f"related effects of their own in each level of {other.label} write (0 + {other.label} | "
                f"{related.label}), and for others a term of their own: {related.label} + (1 | {other.label})."
            )
    factors = tuple(dict.fromkeys(first.factors + second.factors))
    return Grouping(f"{first.label}:{_bracketed(second)}", factors)


def _bracketed(grouping: Grouping) -> str:
    return f"({grouping.label})" if len(grouping.factors) > 1 else grouping.label
