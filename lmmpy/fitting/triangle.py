"""S of one block of which any correlations are possible: copies of rows, effects without variance, what is tied."""

from __future__ import annotations

from dataclasses import dataclass

from lmmpy.fitting.constraints import Classes

__all__ = ["InfeasibleError", "Triangle", "triangle_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Triangle:
    """What is known beforehand of S, for one block of which any correlations are possible.

    Attributes
    ----------
    copies : tuple of (int, float)
        Of each effect the first one that it is a copy of (itself), and with which sign.
    dropped : tuple of bool
        Whether an effect has no variance.
    tied : dict
        Class and sign of the correlation of two effects that are no copies.
    """

    copies: tuple[tuple[int, float], ...]
    dropped: tuple[bool, ...]
    tied: dict[tuple[int, int], tuple[int, float]]

    @property
    def own(self) -> list[int]:
        """Effects that vary and are no copies."""
        return [a for a, (first, _) in enumerate(self.copies) if first == a and not self.dropped[a]]

    @property
    def free(self) -> list[tuple[int, int]]:
        """Entries of S that an angle gives."""
        return [(i, j) for i in self.own for j in self.own if j < i and (i, j) not in self.tied]


class InfeasibleError(ArithmeticError):
    """No correlation matrix has the correlations that are held."""


def triangle_of(classes: Classes, b: int) -> Triangle:
    """
    Copies, effects without variance, and tied correlations of a block.

    Parameters
    ----------
    classes : Classes
    b : int
        The block.

    Raises
    ------
    InfeasibleError
        When correlations of ±1 contradict each other, or what is held beside them.
    """
    block, where = classes.blocks[b], classes.by_place
    k = len(block.labels)
    dropped = tuple(block.scaled and classes.classes[where[b, "sd", (a,)]].value == 0.0 for a in range(k))
    pairs = [(i, j) for i in range(k) for j in range(i) if not (dropped[i] or dropped[j])]
    cor = {pair: where[b, "cor", pair] for pair in pairs}
    copies = _copies(k, {pair: classes.classes[c].value for pair, c in cor.items()})
    tied: dict[tuple[int, int], tuple[int, float]] = {}
    for (i, j), c in cor.items():
        if classes.is_plain(c) or abs(classes.classes[c].value or 0.0) == 1.0:
            continue
        (first, sign), (other, turn) = sorted((copies[i], copies[j]), reverse=True)
        if first == other or tied.get((first, other), (c, sign * turn)) != (c, sign * turn):
            raise InfeasibleError
        tied[first, other] = (c, sign * turn)
    return Triangle(copies, dropped, tied)


def _copies(k: int, values: dict[tuple[int, int], float | None]) -> tuple[tuple[int, float], ...]:
    """Of each effect the first one that it is a copy of, and the sign."""
    copies = [(a, 1.0) for a in range(k)]
    for (i, j), value in values.items():
        if value is None or abs(value) < 1.0:
            continue
        (first, sign), (other, turn) = copies[j], copies[i]
        if first == other and sign * turn != value:
            raise InfeasibleError
        low, high, factor = min(first, other), max(first, other), value * sign * turn
        copies = [(low, s * factor) if a == high else (a, s) for a, s in copies]
    return tuple(copies)
