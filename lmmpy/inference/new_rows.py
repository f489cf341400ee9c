"""The residual variance of new observations, as far as new data tell it: by stratum, trait, covariate or id.

The residual of a new observation is taken as independent of those of the fit. Where residuals are correlated within a
group, one in a group of the fit is known better than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from lmmpy.covariance import Product, RowStructure
from lmmpy.design import Blueprint, Design
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.reading import TRAIT
from lmmpy.design.values import Categorical, Codes, Floats, Named, combine, factorize
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.formula import Node, RowCorrelation, RowVariance, deparse

__all__ = ["new_residual_variance"]

_OTHERWISE = "interval='confidence' needs no residual variance."


def new_residual_variance(
    design: Design, blueprint: Blueprint, evaluator: Evaluator, phi: Floats, predicted: Floats
) -> Floats:
    """
    r_ii of new rows, relative to σ² and without prior weights.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    evaluator : Evaluator
        Over the new data.
    phi : ndarray
        Parameters of the residual.
    predicted : ndarray, shape (m,)
        Predictions of the rows, for a variance that is a function of the mean.

    Returns
    -------
    ndarray, shape (m,)
        NaN where the row misses what tells it.

    Raises
    ------
    DataError
        For a missing column, and for a stratum or an id that the fit does not have.
    ModelError
        Where the order of the rows tells the variance.
    """
    found, spec = np.ones(len(predicted)), blueprint.residual
    if design.residual is None or spec is None:
        return found
    structure = design.residual.structure
    parts = list(structure.parts if isinstance(structure, Product) else (structure,))
    pieces = structure.split(phi) if isinstance(structure, Product) else [phi]
    rows = _NewRows(design, evaluator, predicted)
    todo = list(zip(parts, pieces, strict=True))
    if spec.correlation is not None:
        found = found * rows.of_correlation(spec.correlation, *todo.pop(0))
    if spec.known is not None:
        todo.pop(0)
        found = found * rows.of_known(blueprint, spec.known.label, spec.known.factors)
    for variance, (part, piece) in zip(spec.variances, todo, strict=True):
        found = found * rows.of_variance(variance, part, piece)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class _NewRows:
    """New rows, with several traits all traits of each."""

    design: Design
    evaluator: Evaluator
    predicted: Floats

    def of_correlation(self, spec: RowCorrelation, structure: RowStructure, phi: Floats) -> Floats:
        """Of a correlation whose places have variances of their own."""
        if spec.one_variance:
            return np.ones(len(self.predicted))
        if not spec.places:
            raise ModelError(
                f"A prediction interval needs the residual variance of each new row, and in {spec.text} that goes by "
                f"the order of the rows within a group, which new rows do not have. {_OTHERWISE}"
            )
        return self._of_places(spec.places, structure, phi)

    def of_known(self, blueprint: Blueprint, label: str, factors: Sequence[Node]) -> Floats:
        """The diagonal of a known covariance, by id."""
        K = blueprint.relatedness[label]
        grouping = combine([factorize(self._column(node)) for node in factors])
        labels = [*(K.labels or ()), *K.aliases]
        codes, unseen = grouping.codes_among(labels)
        if unseen:
            raise DataError(
                f"A prediction interval needs the residual variance of each new row, and the covariance of {label} "
                f"does not have {shown(unseen)}. {_OTHERWISE}"
            )
        own = np.append(K.diagonal()[np.asarray(K.positions(labels))], np.nan)[codes]
        return np.asarray(self._by_row(own))

    def of_variance(self, spec: RowVariance, structure: RowStructure, phi: Floats) -> Floats:
        """Of a variance by strata, or as a function of a covariate."""
        if spec.kind == "varident":
            return self._of_places(spec.variables, structure, phi)
        if spec.of_mean:
            covariate = self.predicted
        else:
            value = self._column(spec.variables[0])
            if isinstance(value, Categorical | Named) or value.ndim > 1:
                raise DataError(f"{deparse(spec.variables[0])!r} of {spec.text} must be one number a row in new data.")
            covariate = np.asarray(self._by_row(np.asarray(value, dtype=float)), dtype=float)
        if spec.kind == "varpower" and (covariate == 0.0).any():
            zero = shown(np.unique(np.flatnonzero(covariate == 0.0) // self._n_traits).tolist())
            raise DataError(
                f"The covariate of {spec.text} is zero in the new rows {zero}; a power of zero is no variance."
            )
        every, given = np.arange(len(covariate)), cast("Any", structure)
        values = replace(given, covariate=covariate).between(every, every).at(phi).values
        return np.asarray(values, dtype=float)

    def _of_places(self, nodes: Sequence[Node], structure: RowStructure, phi: Floats) -> Floats:
        """The variance of the level of each row, as some row of the fit has it."""
        given = cast("Any", structure)
        codes = self._codes(nodes, list(given.labels))
        first = np.unique(given.places, return_index=True)[1]
        return np.asarray(np.append(structure.between(first, first).at(phi).values, np.nan)[codes])

    def _codes(self, nodes: Sequence[Node], labels: Sequence[str]) -> Codes:
        factor = combine([self._factor(node) for node in nodes])
        codes, unseen = factor.codes_among(labels)
        if unseen:
            text = ":".join(map(deparse, nodes))
            raise DataError(
                f"A prediction interval needs the residual variance of each new row, and {text} "
                f"has levels that the fit has not seen: {shown(unseen)}; known are {shown(labels)}. {_OTHERWISE}"
            )
        return codes

    def _factor(self, node: Node) -> Categorical:
        traits = self.design.traits
        if traits is not None and deparse(node) == TRAIT:
            every = np.tile(np.arange(len(traits.names)), self.evaluator.columns.n_rows)
            return Categorical(every, np.array(traits.names, dtype=object))
        factor = factorize(self._column(node))
        return replace(factor, codes=self._by_row(factor.codes))

    def _column(self, node: Node) -> Any:
        try:
            return self.evaluator.column(node)
        except DataError as error:
            raise DataError(
                f"A prediction interval needs {deparse(node)!r}, which tells the residual variance of each new row. "
                f"{error} {_OTHERWISE}"
            ) from None

    @property
    def _n_traits(self) -> int:
        return 1 if self.design.traits is None else len(self.design.traits.names)

    def _by_row(self, values: Any) -> Any:
        return np.repeat(values, self._n_traits)
