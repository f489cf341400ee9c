"""What it takes to read new data as the data of a fit were read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import ModuleType
from typing import Any

from lmmpy.design.coding import ModelMatrix, model_matrix
from lmmpy.design.columns import Columns
from lmmpy.design.contrasts import Contrasts
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.traits import Stack, side_by_side, stacked_fixed
from lmmpy.design.values import Categorical, as_factor
from lmmpy.errors import DataError, shown
from lmmpy.formula import Node, ParsedFormula, RandomTerm, ResidualSpec, Terms, deparse
from lmmpy.relatedness import Relatedness

__all__ = ["Blueprint"]


@dataclass(frozen=True, slots=True)
class _Module:
    """A module, by name."""

    name: str


@dataclass(frozen=True, eq=False)
class Blueprint:
    """
    What it takes to read new data as the old was read: expressions, contrasts, levels, and what transforms remember.

    Attributes
    ----------
    parsed : ParsedFormula
    contrasts : Contrasts
    scope : mapping
        The caller's names that the formula uses.
    memory : dict
        What each remembering transform fixed, by the text of its call.
    levels : dict
        Levels of each categorical variable of the fixed part and the left of the bars, by its expression.
    column_levels : mapping
        Levels of the categorical columns that were read, by name.
    offset : Node or None
        The `offset` argument, when it was an expression.
    has_numeric_offset : bool
        Whether it was given as numbers, which new data do not have.
    ids : dict
        What stands for the ids of each call of `kin`: an expression, or the rows of the data.
    relatedness : dict of Relatedness
        By label of the grouping factor, of everybody that it knows, whom the fit uses or not; not for unrelated levels.
    residual : ResidualSpec or None
        What `residual=` says, the default with several traits included.
    """

    parsed: ParsedFormula
    contrasts: Contrasts
    scope: Mapping[str, Any]
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    levels: dict[str, Categorical] = field(default_factory=dict)
    column_levels: Mapping[str, Categorical] = field(default_factory=dict)
    offset: Node | None = None
    has_numeric_offset: bool = False
    ids: dict[Node, Node | Categorical] = field(default_factory=dict)
    relatedness: dict[str, Relatedness] = field(default_factory=dict)
    residual: ResidualSpec | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Modules of the scope (np) do not pickle; their names do."""
        scope = {name: _Module(v.__name__) if isinstance(v, ModuleType) else v for name, v in self.scope.items()}
        return {**self.__dict__, "scope": scope}

    def __setstate__(self, state: dict[str, Any]) -> None:
        scope = {n: import_module(v.name) if isinstance(v, _Module) else v for n, v in state["scope"].items()}
        self.__dict__.update({**state, "scope": scope})

    @property
    def response_text(self) -> str:
        """The response as R would print it."""
        return deparse(self.parsed.response) if self.parsed.response is not None else ""

    def evaluator(self, data: Any, own: bool = False) -> Evaluator:
        """
        An evaluator over new data that replays the remembered transforms and leaves the memory as it is.

        Parameters
        ----------
        data : frame or mapping
        own : bool
            Whether these are the data of the fit, of whose rows a relatedness without labels speaks.
        """
        ids = {node: None if isinstance(value, Categorical) and not own else value for node, value in self.ids.items()}
        return Evaluator(Columns(data, self.column_levels), self.scope, copy.deepcopy(self.memory), ids)

    def fixed_matrix(self, evaluator: Evaluator) -> ModelMatrix:
        """
        The fixed-effects matrix of new data, before any column is dropped.

        With several traits that of all traits of each row, one below the other as in a design.
        """
        if not self.parsed.traits:
            return self.matrix(self.parsed.fixed, evaluator, self.contrasts)
        parts = [self.matrix(terms, evaluator, self.contrasts) for terms in self.parsed.by_trait]
        stack = Stack.complete(tuple(trait.name for trait in self.parsed.traits), evaluator.columns.n_rows)
        return ModelMatrix(stacked_fixed(stack, [part.X for part in parts]), *side_by_side(self.parsed, parts))

    def random_matrix(self, term: RandomTerm, evaluator: Evaluator) -> ModelMatrix:
        """The columns left of a bar for new data, one row a row; see `stacked_random` for several traits."""
        return self.matrix(term.lhs, evaluator, self.bar_contrasts)

    @property
    def bar_contrasts(self) -> Contrasts:
        """Contrasts left of a bar: the global ones only, as in lme4, where `contrasts=` speaks of the fixed part."""
        return replace(self.contrasts, columns=None)

    def matrix(self, terms: Terms, evaluator: Evaluator, contrasts: Contrasts) -> ModelMatrix:
        values = [self.relevelled(node, evaluator) for node in terms.variables]
        return model_matrix(terms, values, contrasts, evaluator.columns.n_rows)

    def relevelled(self, node: Node, evaluator: Evaluator) -> Any:
        """A variable of new data on the levels of the fit; an unseen level is an error, never a row of zeros."""
        text, value = deparse(node), evaluator.column(node)
        if text not in self.levels:
            if isinstance(value, Categorical):
                raise DataError(
                    f"{text!r} was a number when the model was fitted; in the new data it is a factor or text."
                )
            return value
        known = self.levels[text]
        factor = as_factor(value)
        if not isinstance(factor, Categorical):
            raise DataError(f"{text!r} was a factor when the model was fitted; in the new data it holds numbers.")
        codes, unseen = factor.codes_among(known.labels)
        if unseen:
            raise DataError(
                f"The factor {text!r} has levels in the new data that the fit has not seen: {shown(unseen)}. The "
                f"model says nothing about them; known are {shown(known.labels)}."
            )
        return replace(known, codes=codes)
