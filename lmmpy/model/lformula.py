"""`lformula`: the design of a model without its fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design import Blueprint, Design, RandomEffects, build_design
from lmmpy.design.values import Floats
from lmmpy.model.row_frames import RowLabels
from lmmpy.model.scope import caller_scope

__all__ = ["ModelDesign", "lformula"]


@dataclass(frozen=True, eq=False, slots=True)
class ModelDesign:
    """
    What a formula means over some data.

    Attributes
    ----------
    design : Design
        The numbers.
    blueprint : Blueprint
        How new data are read in the same way.
    index : pandas.Index
        Labels of the rows used, with several traits each with its trait.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> design = lmm.lformula("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    >>> design.X.head(2)
       (Intercept)  Days
    0          1.0   0.0
    1          1.0   1.0
    """

    design: Design
    blueprint: Blueprint
    index: pd.Index

    @property
    def X(self) -> pd.DataFrame:
        """Fixed-effects matrix, shape (n, p), with R's column names."""
        return pd.DataFrame(self.design.X.copy(), columns=list(self.design.names), index=self.index)

    @property
    def y(self) -> Floats:
        """The response, shape (n,)."""
        return self.design.y

    @property
    def offset(self) -> Floats:
        """The offset, shape (n,); zeros when there is none."""
        return self.design.offset if self.design.offset is not None else np.zeros(self.design.n)

    @property
    def dropped(self) -> list[str]:
        """Columns left out of X because others determine them."""
        return list(self.design.dropped)

    @property
    def random(self) -> tuple[RandomEffects, ...]:
        """The random terms, by decreasing number of levels; each has `.group`, `.columns`, `.levels` and `.Z`."""
        return self.design.random

    def __repr__(self) -> str:
        design = self.design
        lines = [
            f"Design of {self.blueprint.parsed.text}",
            f"  {_counts(design)}; fixed: {', '.join(design.names) or '(none)'}",
        ]
        if design.dropped:
            lines.append(f"  dropped, others determine them: {', '.join(design.dropped)}")
        for term in design.random:
            lines.append(f"  random: {', '.join(term.columns)} | {term.name} ({term.count})")
        lines += [f"  random function: {function.name}" for function in design.functions]
        if self.blueprint.residual is not None:
            lines.append(f"  residual: {self.blueprint.residual.text}")
        return "\n".join(lines)


def _counts(design: Design) -> str:
    if design.traits is None:
        return f"{design.n} rows"
    counts = np.bincount(design.traits.trait).tolist()
    by_trait = ", ".join(f"{name} {count}" for name, count in zip(design.traits.names, counts, strict=True))
    return f"{int(design.rows.sum())} rows, {design.n} values ({by_trait})"


def data_index(data: Any, design: Design) -> pd.Index:
    """Labels of all rows of the data: its own index where it has one, else numbers from 0."""
    return data.index if isinstance(data, pd.DataFrame) else pd.RangeIndex(len(design.rows))


def lformula(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Any = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    scope: Mapping[str, Any] | None = None,
) -> ModelDesign:
    """
    Read a mixed-model formula over data, without fitting.

    Parameters
    ----------
    formula : str
        By R's rules, for example ``"y ~ x + (x | g)"``. A formula is code: it is evaluated.
    data : pandas or polars DataFrame, or a mapping of arrays
    weights, offset, subset : str or array-like, optional
        An expression over the columns, or one value a row.
    na_action : {"omit", "exclude", "fail"}
        What to do with rows that miss a value.
    contrasts : str, pair of str or mapping, optional
        ``"sum"`` for all unordered factors, ``("sum", "poly")`` for unordered and ordered ones, or
        ``{"f": "helmert"}`` by column (which, as in lme4, speaks of the fixed part only).
    relmat : mapping, optional
        How the levels of random terms are related; see `lmer`.
    residual : str, optional
        How residuals covary and differ in variance; see `lmer`.
    scope : mapping, optional
        Names that the formula may use; by default the caller's variables.

    Returns
    -------
    ModelDesign

    Raises
    ------
    FormulaError, DataError
    ModelError
        For what `relmat` holds and the formula does not use.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> design = lmm.lformula("strength ~ 1 + (1 | batch/cask)", lmm.datasets.load("Pastes"))
    >>> design
    Design of strength ~ 1 + (1 | batch/cask)
      60 rows; fixed: (Intercept)
      random: (Intercept) | cask:batch (30 levels)
      random: (Intercept) | batch (10 levels)
    """
    scope = caller_scope() if scope is None else scope
    design, blueprint = build_design(
        formula,
        data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        relmat=relmat,
        residual=residual,
        scope=scope,
    )
    return ModelDesign(design, blueprint, RowLabels(design, data_index(data, design), False).observations)
