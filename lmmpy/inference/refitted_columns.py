"""Exact tests of columns beside X in any model: by the ordinary search, begun where the null model ended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion, make_criterion
from lmmpy.fitting import Control, fit_theta

__all__ = ["Refitted", "RefittedColumns"]

Floats = NDArray[np.float64]

# What X leaves of a column, relatively in weighted squares, below which the column is taken as one of X.
_COLLINEAR = 1e-10


class Refitted:
    """One model with further columns.

    Attributes
    ----------
    value : float
        −2 log-likelihood, or −2 restricted log-likelihood.
    beta : ndarray, shape (k,)
        Of the further columns.
    vcov : ndarray, shape (k, k)
        Of `beta`.
    theta : ndarray, shape (n_theta,)
    """

    __slots__ = ("beta", "theta", "value", "vcov")

    def __init__(self, value: float, beta: Floats, vcov: Floats, theta: Floats) -> None:
        self.value, self.beta, self.vcov, self.theta = value, beta, vcov, theta


class RefittedColumns:
    """
    Refits a model with further columns of X.

    Parameters
    ----------
    criterion : Criterion
        Of the null model; by REML or ML.
    theta : ndarray, shape (n_theta,)
        Where it is least.
    control : Control
    """

    def __init__(self, criterion: Criterion, theta: Floats, control: Control) -> None:
        self.design, self.reml, self.theta = criterion.design, criterion.reml, theta
        # A terminal would be told of each little search.
        self._control = replace(control, progress=False)
        X = self.design.X if self.design.weights is None else self.design.X * np.sqrt(self.design.weights)[:, None]
        self._Q = np.linalg.qr(X)[0]

    def collinear(self, columns: Floats) -> bool:
        """Whether X and the columns before determine one of some columns, shape (n, k)."""
        G = columns if self.design.weights is None else columns * np.sqrt(self.design.weights)[:, None]
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

    def fit(self, columns: Floats) -> Refitted:
        """
        The model with further columns.

        Parameters
        ----------
        columns : ndarray, shape (n, k)
            Not collinear with X.
        """
        design, k = self.design, columns.shape[1]
        names = tuple(f"column {j + 1}" for j in range(k))
        assign = (*design.assign, *(max(design.assign, default=0) + 1 + j for j in range(k)))
        wider = replace(design, X=np.column_stack([design.X, columns]), names=(*design.names, *names), assign=assign)
        criterion = make_criterion(wider, self.reml, self._control.engine)
        optimum = fit_theta(criterion, self._control, near=self.theta)
        solution = criterion.solve(optimum.theta)
        vcov = solution.sigma**2 * solution.unscaled_vcov[-k:, -k:]
        return Refitted(optimum.evaluation.value, solution.beta[-k:], vcov, optimum.theta)
