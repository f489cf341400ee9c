"""Constraints on standard deviations, correlations and other covariance parameters: fixed values, and ties.

Parameters with one value make a class. What a structure holds equal by itself (one variance, one correlation) is a
class from the beginning; a constraint joins classes, or gives one its value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmmpy.covariance import Correlation, Diagonal, RandomFunction, Unstructured
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.design import Design
from lmmpy.errors import ModelError, shown, similar
from lmmpy.fitting.quantities import Block, Quantity, blocks, quantities

__all__ = ["Class", "Classes", "resolve"]


@dataclass(frozen=True, slots=True)
class Class:
    """Quantities that have one value.

    Attributes
    ----------
    members : tuple of int
        Places among the quantities.
    kind : {"sd", "cor", "parameter"}
    value : float or None
        Held at; None when it is estimated. Of a standard deviation in the units of the data.
    found : bool
        Whether the search put it there, on the boundary; else the user did.
    """

    members: tuple[int, ...]
    kind: str
    value: float | None = None
    found: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Classes:
    """The parameters of a model under constraints.

    Attributes
    ----------
    blocks : tuple of Block
    quantities : tuple of Quantity
    classes : tuple of Class
    free : tuple of tuple of int
        Members of each class of the model without constraints, the last of which has sigma.
    given : dict
        The constraints as they were given, names spelt as in the table of parameters.
    """

    blocks: tuple[Block, ...]
    quantities: tuple[Quantity, ...]
    classes: tuple[Class, ...]
    free: tuple[tuple[int, ...], ...]
    given: dict[str, float | str]

    def of(self, quantity: int) -> int:
        """The class of a quantity."""
        return next(c for c, found in enumerate(self.classes) if quantity in found.members)

    @property
    def sigma(self) -> int:
        """The class that has sigma."""
        return self.of(len(self.quantities) - 1)

    @property
    def by_place(self) -> dict[tuple[int, str, tuple[int, ...]], int]:
        """Class of each quantity by its block, kind and places."""
        place = {q: c for c, found in enumerate(self.classes) for q in found.members}
        return {(q.block, q.kind, q.places): place[i] for i, q in enumerate(self.quantities)}

    def is_plain(self, c: int) -> bool:
        """Whether a class is estimated, and no larger than its structure makes it."""
        return self.classes[c].value is None and self.classes[c].members in self.free

    def name(self, c: int) -> str:
        """What to call a class: the name of its first member."""
        return self.quantities[self.classes[c].members[0]].name

    def held(self, c: int, value: float) -> Classes:
        """The same with one more class on the boundary, where a search has found it."""
        changed = replace(self.classes[c], value=value, found=True)
        return replace(self, classes=(*self.classes[:c], changed, *self.classes[c + 1 :]))

    def released(self, c: int) -> Classes:
        """The same without that."""
        changed = replace(self.classes[c], value=None, found=False)
        return replace(self, classes=(*self.classes[:c], changed, *self.classes[c + 1 :]))

    def constrains(self, b: int) -> bool:
        """Whether a constraint, or a boundary that was found, concerns a block."""
        own = [i for i, q in enumerate(self.quantities) if q.block == b and i not in self.free[-1]]
        return not all(self.is_plain(self.of(i)) for i in own)

    @property
    def texts(self) -> tuple[str, ...]:
        """The constraints, one a line."""
        return tuple(f"{name} = {v if isinstance(v, str) else f'{v:g}'}" for name, v in self.given.items())


def resolve(design: Design, units: Sequence[Any], given: Mapping[str, Any]) -> Classes:
    """
    Read constraints.

    Parameters
    ----------
    design : Design
    units : sequence of ndarray
        See `blocks`.
    given : mapping
        From a parameter's name to a number, at which it is held, or to another's name, to which it is equal.

    Returns
    -------
    Classes

    Raises
    ------
    ModelError
        For an unknown name, a value out of range, constraints that contradict each other, say nothing, or hold a
        parameter of which another leaves nothing.
    """
    if not isinstance(given, Mapping) or not given:
        raise ModelError(
            "constraints must map names of parameters to numbers or to other names, as in {'sd_a|g': 'sd_b|g'}; got "
            f"{given!r}."
        )
    parts = blocks(design, units)
    known = quantities(parts)
    state = _Union(parts, known)
    free = [c.members for c in state.classes()]
    free = [m for m in free if len(known) - 1 not in m] + [m for m in free if len(known) - 1 in m]
    spelt: dict[str, float | str] = {}
    for name, value in given.items():
        i = _place(parts, known, name, design.names)
        if known[i].name in spelt:
            raise ModelError(f"constraints: {known[i].name!r} is constrained twice.")
        if isinstance(value, str):
            j = _place(parts, known, value, design.names)
            state.tie(i, j)
            spelt[known[i].name] = known[j].name
        else:
            state.fix(i, value)
            spelt[known[i].name] = float(value)
    found = Classes(tuple(parts), tuple(known), state.classes(), tuple(free), spelt)
    _check_classes(found)
    return found


def _place(parts: Sequence[Block], known: Sequence[Quantity], name: Any, fixed: Sequence[str]) -> int:
    names = [q.name for q in known]
    if name in names:
        return names.index(name)
    for i, q in enumerate(known):
        if q.kind == "cor" and name == _turned(parts[q.block], q):
            return i
    if name in fixed:
        raise ModelError(
            f"constraints: {name!r} is a fixed effect; constraints are for covariance parameters. A fixed effect is "
            "held at zero by leaving it out, at another value by offset()."
        )
    close = similar(str(name), names)
    hint = f" Did you mean {shown(close)}?" if close else ""
    raise ModelError(f"constraints: there is no parameter {name!r}.{hint} The parameters are {shown(names, 40)}.")


def _turned(block: Block, quantity: Quantity) -> str:
    """The name of a correlation with its effects in the other order."""
    a, b = quantity.places
    return f"cor_{block.labels[b]}.{block.labels[a]}|{block.name}"


class _Union:
    """Classes as they are joined."""

    def __init__(self, parts: Sequence[Block], known: Sequence[Quantity]) -> None:
        self.parts, self.known = parts, known
        self.parent = list(range(len(known)))
        self.values: dict[int, float] = {}
        for b, block in enumerate(parts):
            self._join_own(block, [i for i, q in enumerate(known) if q.block == b])

    def _join_own(self, block: Block, own: Sequence[int]) -> None:
        """What a structure holds equal by itself; the standard deviation of the reference row is sigma."""
        sds, sigma = [i for i in own if self.known[i].kind == "sd"], len(self.known) - 1
        if block.matrix is None:
            assert block.rows is not None
            reported = block.rows.reported(block.rows.start())
            references = [i for i in sds if not reported[self.known[i].places[0]].gradient.any()]
        else:
            references = sds[:1] if block.reference else []
        for i in references:
            self._join(i, sigma)
        for i in sds[1:] if block.one_variance else ():
            self._join(sds[0], i)
        cors = [i for i in own if self.known[i].kind == "cor" and _tells(block, self.known[i])]
        for i in cors[1:] if block.one_correlation else ():
            self._join(cors[0], i)

    def root(self, i: int) -> int:
        """A representative of the class of a quantity."""
        while self.parent[i] != i:
            i = self.parent[i]
        return i

    def _join(self, i: int, j: int) -> None:
        self.parent[self.root(j)] = self.root(i)

    def tie(self, i: int, j: int) -> None:
        """Make two quantities equal."""
        one, other = self.known[i], self.known[j]
        for q in (one, other):
            self._check_telling(q)
        if one.kind != other.kind:
            raise ModelError(
                f"constraints: {one.name!r} and {other.name!r} cannot be equal: a {_WORDS[one.kind]} and a "
                f"{_WORDS[other.kind]}."
            )
        if one.kind == "parameter" and not (self._is_direct(one) and self._is_direct(other)):
            raise ModelError(f"constraints: {one.name!r} can be held at a number, not at another parameter.")
        a, b = self.root(i), self.root(j)
        if a == b:
            raise ModelError(f"constraints: {one.name!r} and {other.name!r} are equal anyway; leave that out.")
        if a in self.values and b in self.values and self.values[a] != self.values[b]:
            raise ModelError(
                f"constraints: {one.name!r} cannot be equal to {other.name!r} when one is {self.values[a]:g} and the "
                f"other {self.values[b]:g}."
            )
        value = self.values.get(a, self.values.get(b))
        self.parent[b] = a
        if value is not None:
            self.values[a] = value

    def fix(self, i: int, value: Any) -> None:
        """Hold a quantity at a number."""
        quantity, a = self.known[i], self.root(i)
        self._check_telling(quantity)
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ModelError(
                f"constraints[{quantity.name!r}] must be a number or the name of another parameter, not {value!r}."
            )
        low, high = _range(self.parts, quantity)
        if not low <= value <= high:
            raise ModelError(
                f"constraints[{quantity.name!r}] is {value:g}; a {_WORDS[quantity.kind]} lies between {low:g} and "
                f"{high:g} here."
            )
        if a in self.values and self.values[a] != value:
            raise ModelError(
                f"constraints: {quantity.name!r} cannot be {value:g}, for others hold it at {self.values[a]:g}."
            )
        if a in self.values:
            raise ModelError(f"constraints: {quantity.name!r} is {value:g} anyway; leave that out.")
        self.values[a] = float(value)

    def _check_telling(self, quantity: Quantity) -> None:
        block = self.parts[quantity.block]
        known = Unstructured | Diagonal | OneCorrelation | Correlation
        if quantity.block >= 0 and block.matrix is not None and not isinstance(block.matrix, known):
            raise ModelError(
                f"constraints: {quantity.name!r} cannot be constrained: how the structure of {block.name!r} follows "
                "from standard deviations and correlations is not known."
            )
        if quantity.kind == "cor" and block.one_correlation and not _tells(block, quantity):
            raise ModelError(
                f"constraints: {quantity.name!r} is a power of the correlation between neighbours; constrain that one, "
                f"'cor_{block.labels[1]}.{block.labels[0]}|{block.name}'."
            )
        if (
            quantity.kind != "parameter"
            and block.matrix is None
            and quantity.block >= 0
            and not self._is_direct(quantity)
        ):
            raise ModelError(f"constraints: {quantity.name!r} cannot be constrained in this structure.")

    def _is_direct(self, quantity: Quantity) -> bool:
        """Whether it is an entry of θ itself, or σ."""
        block = self.parts[quantity.block]
        if quantity.block < 0 or block.matrix is not None:
            return True
        assert block.rows is not None
        start = np.abs(block.rows.start()) + 0.5
        found = block.rows.reported(start)[quantity.places[0]]
        at = np.flatnonzero(found.gradient)
        if not len(at):
            return quantity.kind == "sd"
        return len(at) == 1 and found.gradient[at[0]] == 1.0 and found.value == start[at[0]]

    def classes(self) -> tuple[Class, ...]:
        """All classes, by the first member; sorted as the quantities are."""
        members: dict[int, list[int]] = {}
        for i in range(len(self.known)):
            members.setdefault(self.root(i), []).append(i)
        values = {self.root(i): value for i, value in self.values.items()}
        return tuple(Class(tuple(m), self.known[m[0]].kind, values.get(r)) for r, m in members.items())


_WORDS = {"sd": "standard deviation", "cor": "correlation", "parameter": "parameter"}


def _tells(block: Block, quantity: Quantity) -> bool:
    """Whether a correlation of a structure with one parameter is that parameter, not a power of it."""
    lag = abs(quantity.places[0] - quantity.places[-1])
    return not isinstance(block.matrix, OneCorrelation) or block.matrix.power(lag) == 1


def _range(parts: Sequence[Block], quantity: Quantity) -> tuple[float, float]:
    """Between which values a quantity lies."""
    if quantity.kind == "sd":
        return 0.0, math.inf
    if quantity.kind == "parameter":
        return -math.inf, math.inf
    return parts[quantity.block].least, 1.0


def _check_classes(found: Classes) -> None:
    for c in found.classes:
        for q in (found.quantities[i] for i in c.members):
            low, _ = _range(found.blocks, q)
            if c.value is not None and c.value < low:
                raise ModelError(f"constraints: {q.name!r} cannot be {c.value:g}, for it is {low:g} at least.")
    if found.classes[found.sigma].value == 0.0:
        raise ModelError("constraints: sigma, the residual standard deviation, cannot be zero.")
    where = found.by_place
    zeros = {key for key, c in where.items() if key[1] == "sd" and found.classes[c].value == 0.0}
    for b, block in enumerate(found.blocks):
        here = {places[0] for block_, _, places in zeros if block_ == b}
        if here and isinstance(block.rows, RandomFunction):
            raise ModelError(
                f"constraints: without its standard deviation nothing is left of {block.name!r}; leave it out of the "
                "formula."
            )
        if here and block.one_variance and block.correlates:
            raise ModelError(
                f"constraints: without its standard deviation nothing is left of {block.name!r}; leave the term out of "
                "the formula."
            )
        for i, q in enumerate(found.quantities):
            if q.block != b or q.kind != "cor" or found.is_plain(found.of(i)):
                continue
            pointless = len(here) > len(block.labels) - 2 if block.one_correlation else bool(here & set(q.places))
            if pointless:
                raise ModelError(
                    f"constraints: {q.name!r} means nothing, for a standard deviation of its effects is held at zero. "
                    "Leave one of the two out."
                )
