"""The matrices of a model over new data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Blueprint, Design, ModelMatrix
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.traits import Stack, side_by_side, stacked_fixed, stacked_random
from lmmpy.design.values import Categorical, Floats, Named
from lmmpy.errors import DataError
from lmmpy.formula import Node, RandomTerm, Terms, deparse

__all__ = ["ColumnsOfData"]


@dataclass(frozen=True, eq=False, slots=True)
class ColumnsOfData:
    """
    The matrices of a model over some data; with several traits one below the other, row by row, all traits in each.

    Attributes
    ----------
    design, blueprint
        Of the fit.
    evaluator : Evaluator
        Over the data.
    """

    design: Design
    blueprint: Blueprint
    evaluator: Evaluator

    @property
    def stack(self) -> Stack | None:
        """All traits of all rows; None for a single response."""
        traits = self.design.traits
        if traits is None:
            return None
        return Stack(traits.names, np.ones((self.evaluator.columns.n_rows, len(traits.names)), dtype=bool))

    def by_row(self, values: NDArray[Any]) -> NDArray[Any]:
        """One value a row of the data, for each of its traits."""
        return values if self.design.traits is None else np.repeat(values, len(self.design.traits.names))

    def fixed(self) -> tuple[tuple[str, ...], Floats]:
        """Names and values of all fixed-effects columns, those that were dropped from the fit too."""
        stack = self.stack
        if stack is None:
            found = self.blueprint.fixed_matrix(self.evaluator)
            return found.names, found.X
        parts = [self._fixed_of(terms) for terms in self.blueprint.parsed.by_trait]
        return side_by_side(self.blueprint.parsed, parts)[0], stacked_fixed(stack, [part.X for part in parts])

    def of_rows(self) -> Floats:
        """All fixed-effects columns in the rows of the design, when the data are those of the fit."""
        X, traits = self.fixed()[1], self.design.traits
        return X if traits is None else X[traits.row * len(traits.names) + traits.trait]

    def _fixed_of(self, terms: Terms) -> ModelMatrix:
        return self.blueprint.matrix(terms, self.evaluator, self.blueprint.contrasts)

    def random(self, term: RandomTerm) -> tuple[tuple[str, ...], Floats]:
        """Names and values of the columns left of a bar."""
        stack, coded = self.stack, self.blueprint.random_matrix(term, self.evaluator)
        return (coded.names, coded.X) if stack is None else stacked_random(stack, term, coded)

    def offset(self) -> Floats | None:
        """The sum of all offsets; None when there are none."""
        parsed, own = self.blueprint.parsed, self.blueprint.offset
        parts = [self._offset_of((*terms.offsets, *(() if own is None else (own,)))) for terms in parsed.fixed_parts]
        if all(part is None for part in parts):
            return None
        nothing = np.zeros(self.evaluator.columns.n_rows)
        return np.column_stack([nothing if part is None else part for part in parts]).ravel()

    def _offset_of(self, nodes: Sequence[Node]) -> Floats | None:
        return np.sum([_numbers(node, self.evaluator) for node in nodes], axis=0) if nodes else None


def _numbers(node: Node, evaluator: Evaluator) -> Floats:
    value = evaluator.column(node)
    if isinstance(value, Categorical | Named) or value.ndim > 1:
        raise DataError(f"The offset {deparse(node)!r} must be one number a row in the new data, too.")
    return np.asarray(value, dtype=float)
