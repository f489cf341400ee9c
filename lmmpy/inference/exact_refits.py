"""Exact tests of columns in any model: by the ordinary search, begun where the null model ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, make_criterion
from lmmpy.errors import ModelError
from lmmpy.fitting import Control, fit_theta
from lmmpy.inference.column_tests import ColumnTests
from lmmpy.inference.estimate_tests import lrt_tests, wald_tests, without

__all__ = ["RefitScanner"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class _Fitted:
    """−2 log-likelihood, and the coefficients of the further columns with their covariance."""

    value: float
    beta: Floats
    vcov: Floats
    converged: bool


class RefitScanner:
    """
    See `ColumnScanner`. One fit a column and test: for some variants, not for a genome.

    Parameters
    ----------
    criterion : Criterion
        Of the null model.
    theta : ndarray, shape (n_theta,)
        Where it is least.
    tests : tuple of {"wald", "lrt"}
    control : Control
    """

    def __init__(self, criterion: Criterion, theta: Floats, tests: tuple[str, ...], control: Control) -> None:
        self._design, self._theta, self._tests = criterion.design, theta, tests
        self._control = replace(control, progress=False)  # a terminal would be told of each search
        self._name = criterion.name
        self._criterion = criterion

    @cached_property
    def _null(self) -> float:
        """−2 log-likelihood of the null model by ML; found where a likelihood ratio is asked for."""
        optimum = fit_theta(self._criterion.by_ml(), self._control, near=self._theta)
        if not optimum.converged:
            raise ModelError(
                "The null model by maximum likelihood did not converge, so that there is no likelihood ratio to it. "
                "Look at fit.refit_ml().convergence; or take test='wald'."
            )
        return optimum.evaluation.value

    @property
    def method(self) -> str:
        """How, in words."""
        return f"every model fitted, one by one, by the engine {self._name!r}"

    def __call__(self, G: NDArray[Any], k: int = 1) -> Mapping[str, ColumnTests]:
        """See `ColumnScanner`."""
        groups = np.asarray(G, dtype=float).T.reshape(-1, k, len(G)).transpose(0, 2, 1)
        found = {}
        if "wald" in self._tests:
            fits = self._fits(groups, True)
            tests = wald_tests(*_stacked(fits, k), self._design.n - self._design.p - k)
            found["wald"] = without(tests, _failed(fits))
        if "lrt" in self._tests:
            fits = self._fits(groups, False)
            value, before, failed = _values(fits), np.full(len(fits), self._null), _failed(fits)
            if k > 1:
                fewer = self._fits(groups[:, :, :-1], False)
                before, failed = _values(fewer), failed | _failed(fewer)
            found["lrt"] = without(lrt_tests(*_stacked(fits, k), self._null - value, before - value), failed)
        return found

    def _fits(self, groups: Floats, reml: bool) -> list[_Fitted]:
        return [self._fit(columns, reml) for columns in groups]

    def _fit(self, columns: Floats, reml: bool) -> _Fitted:
        """The model with further columns."""
        design, k = self._design, columns.shape[1]
        last = max(design.assign, default=0)
        wider = replace(
            design,
            X=np.column_stack([design.X, columns]),
            names=(*design.names, *(f"column {j + 1}" for j in range(k))),
            assign=(*design.assign, *(last + 1 + j for j in range(k))),
        )
        criterion = make_criterion(wider, reml, self._control.engine)
        optimum = fit_theta(criterion, self._control, near=self._theta)
        solution = criterion.solve(optimum.theta)
        vcov = solution.sigma**2 * solution.unscaled_vcov[-k:, -k:]
        return _Fitted(optimum.evaluation.value, solution.beta[-k:], vcov, optimum.converged)


def _stacked(fits: list[_Fitted], k: int) -> tuple[Floats, Floats]:
    beta = np.array([fit.beta for fit in fits]).reshape(len(fits), k)
    return beta, np.array([fit.vcov for fit in fits]).reshape(len(fits), k, k)


def _values(fits: list[_Fitted]) -> Floats:
    return np.array([fit.value for fit in fits], dtype=float)


def _failed(fits: list[_Fitted]) -> NDArray[np.bool_]:
    return np.array([not fit.converged for fit in fits], dtype=bool)
