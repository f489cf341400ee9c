"""`kin(A)` and `kin(id, A)`: a grouping factor whose levels are related."""

from __future__ import annotations

from dataclasses import dataclass

from lmmpy.errors import FormulaError
from lmmpy.formula.syntax import Call, Index, Name, Node, Python, deparse, walk

__all__ = ["Kin", "is_kin", "read_kin", "require_no_kin"]

_USE = (
    "Write kin(A) with a relatedness A, such as a pedigree, kin(id, A) to name the column of ids, or (x | kin(id, A)) "
    "for effects of x that relatives share."
)


@dataclass(frozen=True, slots=True)
class Kin:
    """What is written in one `kin()`.

    Attributes
    ----------
    id : Node or None
        The expression whose values are the levels; None leaves it to the relatedness, which may know its column.
    relatedness : Node
        The expression that is worth the relatedness.
    """

    id: Node | None
    relatedness: Node


def is_kin(node: Node) -> bool:
    """Whether an expression is a call of `kin`."""
    return isinstance(node, Call) and node.function_name == "kin"


def read_kin(node: Node) -> Kin:
    """
    Read a call of `kin`.

    Parameters
    ----------
    node : Node

    Returns
    -------
    Kin

    Raises
    ------
    FormulaError
        For another number of arguments than one or two, for named ones, or for a relatedness that is no name.
    """
    assert isinstance(node, Call)
    text, arguments = deparse(node), [argument.value for argument in node.arguments]
    if not 1 <= len(arguments) <= 2:
        raise FormulaError(f"{text!r} has {len(arguments) or 'no'} arguments; one or two are understood. {_USE}")
    if any(argument.name for argument in node.arguments):
        raise FormulaError(f"{text!r}: the arguments of kin() have no names. {_USE}")
    if any(is_kin(inner) for argument in arguments for inner in walk(argument)):
        raise FormulaError(f"{text!r} holds another kin(). {_USE}")
    *ids, relatedness = arguments
    if not isinstance(relatedness, Name | Call | Index | Python):
        raise FormulaError(
            f"{text!r}: {deparse(relatedness)!r} cannot be a relatedness, which is a name, a call such as "
            f'ped.dominance(), an element such as K["add"], or Python code in braces. {_USE}'
        )
    return Kin(ids[0] if ids else None, relatedness)


def require_no_kin(node: Node) -> None:
    """Refuse `kin()` inside an expression that is no random term."""
    for inner in walk(node):
        if is_kin(inner):
            raise FormulaError(
                f"{deparse(node)!r}: {deparse(inner)} is a random term and has no value to compute with. {_USE}"
            )
