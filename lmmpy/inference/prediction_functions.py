"""Predictions of models with random functions of a covariate, from the covariance of what is predicted with y.

With c the covariance of a row's random effects with y and v their variance, both over σ², the prediction is
xᵀβ̂ + cᵀV⁻¹(y − Xβ̂), and its error has the variance σ²[v − cᵀV⁻¹c + (x − XᵀV⁻¹c)ᵀ(XᵀV⁻¹X)⁻¹(x − XᵀV⁻¹c)]
(Henderson 1975). V is formed, which bounds the number of rows that hang together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Blueprint, Design, RowCovariance
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.values import Codes, Floats, combine, factorize
from lmmpy.engines import Solution
from lmmpy.errors import DataError, shown
from lmmpy.formula import RandomTerm, parse_formula
from lmmpy.inference.prediction import PredictionRows
from lmmpy.inference.projection import MarginalCovariance, Projection
from lmmpy.inference.row_covariances import covariance_of_function, levels_between, parts_of_rows

__all__ = ["FunctionRows", "JointPrediction", "chosen_functions"]


def chosen_functions(design: Design, blueprint: Blueprint, re_form: Any) -> list[bool]:
    """
    Which random functions a prediction adds; see `chosen_effects`.

    Parameters
    ----------
    design, blueprint
        Of the fit.
    re_form : "all", "none", None, sequence of str, or a one-sided formula
    """
    if re_form is None or (isinstance(re_form, str) and re_form == "all"):
        return [True] * len(design.functions)
    if isinstance(re_form, str) and "~" in re_form:
        asked = {term.text for term in parse_formula(re_form).functions}
        return [term.text in asked for term in blueprint.parsed.functions]
    names = [re_form] if isinstance(re_form, str) else list(re_form) if isinstance(re_form, Iterable) else []
    return [function.name in names for function in design.functions]


@dataclass(frozen=True, eq=False, slots=True)
class FunctionRows:
    """A random function at the rows of the fit and, behind them, at those of a prediction.

    Attributes
    ----------
    both : RowCovariance
        Over all these rows.
    phi : ndarray
        Its parameters.
    n : int
        Rows of the fit.
    known : ndarray of bool, shape (m,)
        Which rows of the prediction have a level of which the relatedness knows.
    added : bool
        Whether the prediction adds it.
    """

    both: RowCovariance
    phi: Floats
    n: int
    known: NDArray[np.bool_]
    added: bool

    @property
    def _new(self) -> Codes:
        return self.n + np.arange(len(self.known))

    def with_fit(self) -> Floats:
        """Covariance of the rows of the prediction with those of the fit, shape (m, n)."""
        found = covariance_of_function(self.both, self.phi, self._new, np.arange(self.n))
        return np.where(self.known[:, None], found, 0.0)

    def own(self) -> Floats:
        """Variance in each row of the prediction, shape (m,)."""
        found = self.both.structure.between(self._new, self._new).at(self.phi).values
        assert self.both.relatedness is not None and self.both.codes is not None
        K = self.both.relatedness.diagonal()[self.both.codes[self._new]]
        return np.asarray(found * np.where(self.known, K, 1.0))


def _of_fit(function: RowCovariance, phi: Floats, added: bool) -> FunctionRows:
    """At the rows of the fit themselves."""
    assert function.codes is not None
    covariate = cast("Any", function.structure).covariate
    both = _over(function, np.tile(covariate, 2), np.tile(function.codes, 2))
    return FunctionRows(both, phi, len(covariate), np.ones(len(covariate), dtype=bool), added)


def _of_data(
    function: RowCovariance,
    phi: Floats,
    added: bool,
    term: RandomTerm,
    blueprint: Blueprint,
    evaluator: Evaluator,
    allow_new_levels: bool,
) -> FunctionRows:
    """At the rows of new data, whose ids may be relatives without rows in the fit."""
    assert function.codes is not None and function.relatedness is not None
    given = cast("Any", function.structure)
    new = np.asarray(evaluator.column(term.lhs.variables[0]), dtype=float)
    grouping = combine([factorize(evaluator.column(node)) for node in term.grouping.factors])
    K = blueprint.relatedness.get(term.grouping.label, function.relatedness)
    labels = list(function.levels) if K.labels is None else [*K.labels, *K.aliases]
    place = np.arange(len(labels)) if K.labels is None else np.asarray(K.positions(labels))
    codes, unseen = grouping.codes_among(labels)
    if added and not allow_new_levels and (codes < 0).any():
        raise DataError(
            f"{term.text}: the new data have {f'levels that it does not know: {shown(unseen)}' if unseen else 'gaps'}. "
            "With allow_new_levels=True their effects are taken as zero; re_form='none' predicts without them."
        )
    index = {label: i for i, label in enumerate(labels)}
    old = place[[index[label] for label in function.levels]][function.codes]
    both = _over(replace(function, relatedness=K), np.append(given.covariate, new), np.append(old, place[codes]))
    return FunctionRows(both, phi, len(function.codes), codes >= 0, added)


def _over(function: RowCovariance, covariate: Floats, codes: Codes) -> RowCovariance:
    """The function over other rows; of unrelated levels K says that they do not covary."""
    structure = replace(cast("Any", function.structure), covariate=covariate)
    none = np.zeros(len(covariate), dtype=np.intp)
    return replace(function, structure=structure, codes=codes, groups=none, typical=np.ones(len(covariate)))


@dataclass(frozen=True, eq=False)
class JointPrediction:
    """
    The random functions of a prediction, and how sure it is with them.

    Attributes
    ----------
    projection : Projection
        Of the fit, over the levels that the rows of the prediction have.
    theta : ndarray, shape (n_theta,)
    functions : tuple of FunctionRows
        All of them, added or not.
    """

    projection: Projection
    theta: Floats
    functions: tuple[FunctionRows, ...]

    @classmethod
    def of(
        cls,
        design: Design,
        blueprint: Blueprint,
        theta: Floats,
        solution: Solution,
        evaluator: Evaluator | None,
        added: Sequence[bool],
        allow_new_levels: bool,
    ) -> JointPrediction:
        """At new data, or at the rows of the fit where `evaluator` is None."""
        parts = zip(design.functions, parts_of_rows(design, theta)[0], added, blueprint.parsed.functions, strict=True)
        functions = [
            _of_fit(function, phi, add)
            if evaluator is None
            else _of_data(function, phi, add, term, blueprint, evaluator, allow_new_levels)
            for function, phi, add, term in parts
        ]
        marginal = MarginalCovariance(design, theta)
        marginal.require_small("Predictions with random functions", "re_form='none' predicts without them.")
        projection = Projection(marginal, solution.beta, solution.unscaled_vcov, solution.r2)
        return cls(projection, theta, tuple(functions))

    @cached_property
    def effects(self) -> Floats:
        """The functions that are added, predicted at the rows, shape (m,)."""
        Py = self.projection.Py
        return np.asarray(sum((f.with_fit() @ Py for f in self.functions if f.added), np.zeros(self._m)))

    @property
    def _m(self) -> int:
        return len(self.functions[0].known)

    @property
    def left_out(self) -> Floats:
        """Variance of the functions that are not added, over σ², shape (m,)."""
        return np.asarray(sum((f.own() for f in self.functions if not f.added), np.zeros(self._m)))

    def variance(self, rows: PredictionRows) -> Floats:
        """
        Variance of what is predicted, less the prediction, relative to σ².

        Parameters
        ----------
        rows : PredictionRows

        Returns
        -------
        ndarray, shape (m,)
            NaN where the row misses a value.
        """
        design, c, v = self.projection.design, np.zeros((self._m, self.projection.design.n)), np.zeros(self._m)
        parts = design.split_theta(self.theta)
        for term in rows.terms:
            effects = design.random[term.place]
            T = effects.structure.factor(parts[term.place]).T
            z = term.added @ T
            K = levels_between(effects, np.maximum(term.codes, 0), effects.codes)
            c += (term.seen @ T) @ (effects.values @ T).T * K
            own = effects.relatedness.diagonal()[np.maximum(term.codes, 0)]
            v += np.einsum("mk,mk->m", z, z) * np.where(term.codes >= 0, own, 1.0)
        for function in self.functions:
            if function.added:
                c += function.with_fit()
                v += function.own()
        x = rows.X - c @ self.projection.VX
        fixed = np.einsum("mp,pq,mq->m", x, self.projection.unscaled_vcov, x)
        return np.asarray(np.maximum(v - np.einsum("mn,mn->m", c, self.projection.solve(c.T).T) + fixed, 0.0))
