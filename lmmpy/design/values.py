"""What an expression can be worth: numbers, truth values, or a categorical with R's levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lmmpy.design.contrasts import Contrast

__all__ = [
    "Categorical",
    "Codes",
    "Floats",
    "Named",
    "as_factor",
    "combine",
    "factorize",
    "label_of",
    "missing",
    "take",
    "truth",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Categorical:
    """
    A factor in R's sense.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Place of each row's value in `levels`; −1 where it is missing.
    levels : ndarray, shape (m,)
        The values, in order; text, numbers or whatever the column held.
    ordered : bool
        Whether the order means something (polynomial contrasts by default).
    contrast : Contrast, optional
        Set by ``C()``; overrides every other choice.
    is_text : bool
        Whether it is a column of text, whose levels are an implementation's business: `as.numeric` reads the text.
    """

    codes: Codes
    levels: NDArray[Any]
    ordered: bool = False
    contrast: Contrast | None = None
    is_text: bool = False

    @cached_property
    def labels(self) -> list[str]:
        """The levels as R prints them."""
        levels = self.levels.tolist()
        if self.levels.dtype.kind in "iu":
            return list(map(str, levels))
        return levels if set(map(type, levels)) == {str} else [label_of(level) for level in self.levels]

    def __len__(self) -> int:
        return len(self.codes)

    def by_row(self, values: Sequence[Any], absent: Any) -> NDArray[Any]:
        """One of `values`, one a level, for each row; `absent` where the level is missing."""
        return np.array([*values, absent], dtype=object if absent is None else None)[self.codes]

    def aligned(self, known: Categorical) -> Categorical:
        """The same values on the levels of `known`, those that it lacks behind them."""
        place = {label: i for i, label in enumerate(known.labels)}
        used = self.drop_unused()
        extra = [i for i, label in enumerate(used.labels) if label not in place]
        place |= {used.labels[i]: len(known.levels) + j for j, i in enumerate(extra)}
        levels = np.concatenate([known.levels.astype(object), used.levels[extra].astype(object)])
        codes = used.by_row([place[label] for label in used.labels], -1).astype(np.intp)
        return replace(known, codes=codes, levels=levels if extra else known.levels)

    def codes_among(self, labels: Sequence[str]) -> tuple[Codes, list[str]]:
        """The place of each row's level in `labels`, shape (n,), −1 where it is not there; and which are not."""
        place = {label: i for i, label in enumerate(labels)}
        used = self.drop_unused()
        places = np.array([place.get(label, -1) for label in used.labels] + [-1], dtype=np.intp)
        return places[used.codes], [label for label in used.labels if label not in place]

    def drop_unused(self) -> Categorical:
        """Without the levels that no row has."""
        used = np.zeros(len(self.levels) + 1, dtype=bool)
        used[self.codes] = True  # the code −1 of a missing value marks the place behind the last level
        used = used[:-1]
        if used.all():
            return self
        renumbered = np.append(np.cumsum(used) - 1, -1)
        return replace(self, codes=renumbered[self.codes], levels=self.levels[used])


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """
    A matrix of numbers whose columns have names of their own, such as a polynomial basis.

    Attributes
    ----------
    matrix : ndarray, shape (n, m)
    names : list of str, length m
    """

    matrix: Floats
    names: list[str]

    def __len__(self) -> int:
        return len(self.matrix)


def label_of(value: object) -> str:
    """How R prints one level: TRUE/FALSE, numbers to 15 significant digits, text as it is."""
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return f"{value:.15g}"
    return str(value)


@dataclass(frozen=True, eq=False)
class _Combination(Categorical):
    """
    What occurs of the combinations of several factors; its labels are joined when they are first asked for.

    Attributes
    ----------
    levels : ndarray of int, shape (m,)
        Each combination's place among all, the first factor slowest.
    factors : tuple of Categorical
    separator : str
    """

    factors: tuple[Categorical, ...] = ()
    separator: str = ":"

    @cached_property
    def labels(self) -> list[str]:
        places = np.unravel_index(self.levels, [len(factor.levels) for factor in self.factors])
        parts = [[f.labels[i] for i in place] for f, place in zip(self.factors, places, strict=True)]
        return [self.separator.join(row) for row in zip(*parts, strict=True)]


def _collated(texts: Sequence[Any]) -> list[int]:
    """The order of different texts in a language's locale, as R has it: letters before case, small before capital."""
    folded = [str(text).casefold() for text in texts]
    order: Sequence[int] = range(len(folded))
    if len(set(folded)) < len(folded):
        order = sorted(order, key=lambda i: str(texts[i]).swapcase())
    return sorted(order, key=folded.__getitem__)


def factorize(values: Any) -> Categorical:
    """
    Make a factor of a column: numbers and truth values sorted by value, text as a locale sorts it.

    Parameters
    ----------
    values : array-like, shape (n,)
        NaN and None are missing.

    Returns
    -------
    Categorical
    """
    if isinstance(values, Categorical):
        return values
    codes, levels = pd.factorize(values, use_na_sentinel=True)
    levels = np.asarray(levels)
    is_text = levels.dtype.kind in "OUT" and all(isinstance(level, str) for level in levels[:1])
    if levels.dtype.kind in "OUT":
        levels = levels.astype(object)
        order = np.array(_collated(levels.tolist()), dtype=np.intp)
    else:
        order = np.argsort(levels)
    rank = np.empty(len(levels) + 1, dtype=np.intp)
    rank[order], rank[-1] = np.arange(len(levels)), -1
    return Categorical(np.asarray(rank.take(codes)), levels[order], is_text=is_text)


def truth(values: Any, absent: Any) -> Any:
    """Truth values, shape (n,); a factor with the levels FALSE and TRUE when some are missing."""
    values, absent = np.asarray(values, dtype=bool), np.asarray(absent, dtype=bool)
    if not absent.any():
        return values
    return Categorical(np.where(absent, -1, values.astype(np.intp)), np.array([False, True]))


def combine(factors: Sequence[Categorical], separator: str = ":") -> Categorical:
    """
    The combinations of several factors that occur, the first factor slowest, labels joined as R joins them.

    Parameters
    ----------
    factors : sequence of Categorical
    separator : str

    Returns
    -------
    Categorical
    """
    if len(factors) == 1:
        return factors[0]
    if len(factors) > 2 and math.prod(len(factor.levels) for factor in factors) > np.iinfo(np.int64).max:
        # What occurs is never more than the rows, so a pair of factors always fits in 64 bits.
        return combine([combine(factors[:-1], separator), factors[-1].drop_unused()], separator)
    joint = np.zeros(len(factors[0]), dtype=np.int64)
    for factor in factors:
        joint *= len(factor.levels)
        joint += factor.codes
    for factor in factors:
        joint[factor.codes < 0] = -1
    found = factorize(joint)
    absent = int(len(found.levels) > 0 and found.levels[0] < 0)
    empty = np.empty(0, dtype=np.intp)
    return _Combination(
        found.codes - absent if absent else found.codes,
        found.levels[absent:],
        factors=tuple(replace(factor, codes=empty) for factor in factors),
        separator=separator,
    )


def take(value: Any, rows: NDArray[np.bool_]) -> Any:
    """Keep some rows of a value."""
    if isinstance(value, Categorical):
        return replace(value, codes=value.codes[rows])
    if isinstance(value, Named):
        return Named(value.matrix[rows], value.names)
    return value[rows]


def missing(value: Any) -> NDArray[np.bool_]:
    """Which rows of a value are missing, shape (n,)."""
    if isinstance(value, Categorical):
        return value.codes < 0
    if isinstance(value, Named):
        value = value.matrix
    if value.dtype.kind == "f":
        nan = np.isnan(value)
        return np.asarray(nan if nan.ndim == 1 else nan.any(axis=1))
    return np.zeros(len(value), dtype=bool)


def as_factor(value: Any) -> Any:
    """R's view of a value in a model matrix: truth values are a factor with the levels FALSE and TRUE."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "b":
        return Categorical(value.astype(np.intp), np.array([False, True]))
    return value
