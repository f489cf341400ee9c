"""Terms and values → the columns of a model matrix, with R's names in R's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from lmmpy.design.contrasts import Contrasts, contrast_columns
from lmmpy.design.values import Categorical, Floats, Named, as_factor
from lmmpy.formula import Terms, deparse

__all__ = ["ModelMatrix", "model_matrix"]

INTERCEPT = "(Intercept)"


@dataclass(frozen=True, slots=True)
class ModelMatrix:
    """A coded model matrix.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    names : tuple of str, length p
        R's names of the columns.
    assign : tuple of int, length p
        The term that each column belongs to; 0 is the intercept.
    """

    X: Floats
    names: tuple[str, ...]
    assign: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """The columns of one variable in one term; `codes` picks a row of `matrix` when they come from a factor."""

    names: list[str]
    matrix: Floats
    codes: Any = None

    @property
    def width(self) -> int:
        return int(self.matrix.shape[1])

    def column(self, j: int) -> Floats:
        """One column; NaN where the factor is missing (which happens in new data only)."""
        if self.codes is None:
            return self.matrix[:, j]
        picked = np.append(self.matrix[:, j], np.nan)[self.codes]
        return np.asarray(picked)


def model_matrix(
    terms: Terms, values: Sequence[Any], contrasts: Contrasts, n: int, order: Literal["C", "F"] = "F"
) -> ModelMatrix:
    """
    Code terms as columns.

    Parameters
    ----------
    terms : Terms
    values : sequence, one a variable of `terms`
        Each of length n.
    contrasts : Contrasts
    n : int
        Number of rows.
    order : {"C", "F"}
        Whether rows or columns of X are contiguous.

    Returns
    -------
    ModelMatrix
    """
    values = [as_factor(value) for value in values]
    by_contrasts = _adjusted(terms, values)
    blocks: list[list[_Block]] = []
    for term, flags in zip(terms.terms, by_contrasts, strict=True):
        blocks.append(
            [
                _block(deparse(terms.variables[place]), values[place], flag, contrasts)
                for place, flag in zip(term.variables, flags, strict=True)
            ]
        )
    widths = [prod(block.width for block in term) for term in blocks]
    X = np.empty((n, terms.intercept + sum(widths)), order=order)
    names: list[str] = []
    assign: list[int] = []
    if terms.intercept:
        X[:, 0] = 1.0
        names, assign = [INTERCEPT], [0]
    for place, (term_blocks, width) in enumerate(zip(blocks, widths, strict=True), 1):
        _fill(X[:, len(names) : len(names) + width], term_blocks)
        names += _crossed_names(term_blocks)
        assign += [place] * width
    return ModelMatrix(X, tuple(names), tuple(assign))


def _adjusted(terms: Terms, values: Sequence[Any]) -> list[list[bool]]:
    """Without an intercept, the first factor that occurs is coded by indicators, as R does."""
    flags = [list(term.by_contrasts) for term in terms.terms]
    if not terms.intercept:
        for term, term_flags in zip(terms.terms, flags, strict=True):
            for i, place in enumerate(term.variables):
                if isinstance(values[place], Categorical):
                    term_flags[i] = False
                    return flags
    return flags


def _block(name: str, value: Any, by_contrasts: bool, contrasts: Contrasts) -> _Block:
    if isinstance(value, Categorical):
        if by_contrasts:
            suffixes, coding = contrast_columns(contrasts.choose(name, value), value, name)
        else:
            suffixes, coding = value.labels, np.eye(len(value.levels))
        return _Block([name + suffix for suffix in suffixes], coding, value.codes)
    if isinstance(value, Named):
        matrix, suffixes = value.matrix, value.names
    else:
        matrix = np.asarray(value, dtype=float)
        matrix = matrix if matrix.ndim == 2 else matrix[:, None]
        suffixes = [str(i + 1) for i in range(matrix.shape[1])]
    return _Block([name] if matrix.shape[1] == 1 else [name + s for s in suffixes], matrix)


def _fill(out: Floats, blocks: list[_Block]) -> None:
    """Write the products of all columns, those of the first variable running fastest."""
    for j in range(out.shape[1]):
        rest = j
        for first, block in enumerate(blocks):
            rest, k = divmod(rest, block.width)
            if first == 0:
                out[:, j] = block.column(k)
            else:
                out[:, j] *= block.column(k)


def _crossed_names(blocks: list[_Block]) -> list[str]:
    names = blocks[0].names
    for block in blocks[1:]:
        names = [f"{a}:{b}" for b in block.names for a in names]
    return names
