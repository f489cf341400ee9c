"""Exact tests of columns in any model: by the ordinary search, begun where the null model ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, make_criterion
from lmmpy.fitting import Control, fit_theta
from lmmpy.inference.column_tests import ColumnTests
from lmmpy.inference.estimate_tests import lrt_tests, wald_tests

__all__ = ["RefitScanner"]

Floats = NDArray[np.float64]

# What X leaves of a column, relatively in squares, below which the column is taken as one of X; as a design does.
_COLLINEAR = 1e-14


@dataclass(frozen=True, eq=False, slots=True)
class _Fitted:
    """−2 log-likelihood, and the coefficients of the further columns with their covariance."""

    value: float
    beta: Floats
    vcov: Floats


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
        design = self._design
        self._root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
        self._Q = np.linalg.qr(design.X * self._root[:, None])[0]
        self._null = np.nan
        if "lrt" in tests:
            by_ml = criterion.by_ml()
            self._null = fit_theta(by_ml, self._control, near=theta).evaluation.value

    @property
    def method(self) -> str:
        """How, in words."""
        return f"every model fitted, one by one, by the engine {self._name!r}"

    def __call__(self, G: NDArray[Any], k: int = 1) -> Mapping[str, ColumnTests]:
        """See `ColumnScanner`."""
        groups = np.asarray(G, dtype=float).T.reshape(-1, k, len(G)).transpose(0, 2, 1)
        collinear = [self._collinear(columns) for columns in groups]
        found = {}
        if "wald" in self._tests:
            fits = [self._fit(c, True, gone) for c, gone in zip(groups, collinear, strict=True)]
            df = self._design.n - self._design.p - k
            found["wald"] = wald_tests(*_stacked(fits, k), df)
        if "lrt" in self._tests:
            fits = [self._fit(c, False, gone) for c, gone in zip(groups, collinear, strict=True)]
            value = np.array([fit.value for fit in fits])
            before = np.full(len(value), self._null)
            if k > 1:
                fewer = [self._fit(c[:, :-1], False, gone) for c, gone in zip(groups, collinear, strict=True)]
                before = np.array([fit.value for fit in fewer])
            found["lrt"] = lrt_tests(*_stacked(fits, k), self._null - value, before - value)
        return found

    def _collinear(self, columns: Floats) -> bool:
        """Whether X and the columns before determine one of some columns, shape (n, k)."""
        G = columns * self._root[:, None]
        sizes = np.einsum("ij,ij->j", G, G)
        rest = G - self._Q @ (self._Q.T @ G)
        rest -= self._Q @ (self._Q.T @ rest)
        for j in range(rest.shape[1]):
            left = float(rest[:, j] @ rest[:, j])
            if not left > _COLLINEAR * sizes[j]:
                return True
            unit = rest[:, j] / np.sqrt(left)
            rest[:, j + 1 :] -= np.outer(unit, unit @ rest[:, j + 1 :])
        return False

    def _fit(self, columns: Floats, reml: bool, collinear: bool) -> _Fitted:
        """The model with further columns."""
        design, k = self._design, columns.shape[1]
        if collinear:
            return _Fitted(np.nan, np.full(k, np.nan), np.full((k, k), np.nan))
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
        return _Fitted(optimum.evaluation.value, solution.beta[-k:], vcov)


def _stacked(fits: list[_Fitted], k: int) -> tuple[Floats, Floats]:
    beta = np.array([fit.beta for fit in fits]).reshape(len(fits), k)
    return beta, np.array([fit.vcov for fit in fits]).reshape(len(fits), k, k)
