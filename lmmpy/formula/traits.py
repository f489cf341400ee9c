"""Several responses: `cbind(a, b)` on the left, and `at(a, …)` for what is of one trait only on the right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lmmpy.errors import FormulaError, shown
from lmmpy.formula.syntax import Argument, Call, Name, Node, String, deparse, walk

__all__ = ["At", "Trait", "as_at", "at_trait", "read_traits", "require_no_at"]

_USE = "Write at(<trait>, x + z) or at(<trait>, (1 | g)), added to the other terms, for terms of one trait only."


@dataclass(frozen=True, slots=True)
class Trait:
    """One of several responses.

    Attributes
    ----------
    name : str
        The name of the argument of `cbind`, or its text.
    node : Node
        The expression of its values.
    """

    name: str
    node: Node


@dataclass(frozen=True, slots=True)
class At:
    """Terms of one trait only, as they are written.

    Attributes
    ----------
    trait : str
        Name of the trait.
    inner : Node
        What stands behind it.
    """

    trait: str
    inner: Node

    def around(self, inner: Node) -> Call:
        """The same with other terms."""
        return at_trait(self.trait, inner)


def at_trait(trait: str, inner: Node) -> Call:
    """
    Write terms of one trait.

    Parameters
    ----------
    trait : str
    inner : Node
    """
    return Call(Name("at"), (Argument(Name(trait)), Argument(inner)))


def read_traits(response: Node | None) -> tuple[Trait, ...]:
    """
    The traits of a response that is a call of `cbind`; none of another one.

    Parameters
    ----------
    response : Node or None

    Raises
    ------
    FormulaError
        For fewer than two traits, or two that are the same.
    """
    if not isinstance(response, Call) or response.function_name != "cbind":
        return ()
    text = deparse(response)
    if len(response.arguments) < 2:
        raise FormulaError(
            f"{text!r} holds {len(response.arguments) or 'no'} trait{'' if response.arguments else 's'}; several are "
            "joined by cbind(a, b). Write a single one without cbind()."
        )
    found = tuple(Trait(a.name or _text(a.value), a.value) for a in response.arguments)
    for what, counts in (
        ("name", Counter(trait.name for trait in found)),
        ("trait", Counter(deparse(trait.node) for trait in found)),
    ):
        twice = [one for one, count in counts.items() if count > 1]
        if twice:
            raise FormulaError(f"{text!r} has the same {what} twice: {shown(twice)}. Each trait stands there once.")
    return found


def _text(node: Node) -> str:
    return node.id if isinstance(node, Name) else deparse(node)


def as_at(node: Node) -> At | None:
    """
    Read a call of `at`; None for anything else.

    Parameters
    ----------
    node : Node

    Raises
    ------
    FormulaError
        For another number of arguments than two, or a trait with an `at` in it.
    """
    if not isinstance(node, Call) or node.function_name != "at":
        return None
    if len(node.arguments) != 2 or any(argument.name for argument in node.arguments):
        raise FormulaError(f"{deparse(node)!r} is not understood: a trait and its terms stand in it. {_USE}")
    trait, inner = (argument.value for argument in node.arguments)
    require_no_at(inner, node)
    return At(trait.value if isinstance(trait, String) else _text(trait), inner)


def require_no_at(node: Node, within: Node | None = None) -> None:
    """Refuse `at()` inside another term; `within` is that term where `node` is a part of it."""
    for inner in walk(node):
        if isinstance(inner, Call) and inner.function_name == "at":
            raise FormulaError(f"{deparse(inner)!r} stands inside {deparse(within or node)!r}. {_USE}")
