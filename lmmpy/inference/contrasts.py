"""Tests of linear hypotheses about fixed effects, Lβ = 0, whatever the method for their degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, stats

from lmmpy.errors import ModelError

__all__ = ["DDF_METHODS", "Asymptotic", "ContrastTests", "DenominatorDf", "Estimates", "FTest", "InBasis"]

Floats = NDArray[np.float64]

DDF_METHODS = ("satterthwaite", "kenward-roger", "asymptotic")

# An eigenvalue of L C Lᵀ that is nil against the largest: the rows of L depend on each other.
_DEPENDENT = 1e-10
# What contradicts itself, in standard errors.
_CONTRADICTION = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Estimates:
    """Single contrasts.

    Attributes
    ----------
    estimate, std_error, df : ndarray, shape (m,)
    """

    estimate: Floats
    std_error: Floats
    df: Floats

    @property
    def statistic(self) -> Floats:
        """Estimate over standard error; NaN where both are nil."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.estimate / self.std_error

    @property
    def p_value(self) -> Floats:
        """Two-sided, by Student's t; by the normal distribution where df is infinite."""
        t = np.abs(self.statistic)
        normal = np.isposinf(self.df)
        return np.where(normal, 2.0 * stats.norm.sf(t), 2.0 * stats.t.sf(t, np.where(normal, 1.0, self.df)))

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Two-sided confidence limits, each of shape (m,)."""
        normal, upper = np.isposinf(self.df), 0.5 * (1.0 + level)
        width = np.where(normal, stats.norm.ppf(upper), stats.t.ppf(upper, np.where(normal, 1.0, self.df)))
        return self.estimate - width * self.std_error, self.estimate + width * self.std_error


@dataclass(frozen=True, slots=True)
class FTest:
    """A joint test.

    Attributes
    ----------
    statistic : float
        F, scaled by Kenward and Roger's λ where that method is used.
    num_df : int
        Rank of the hypothesis.
    den_df : float
        Infinite when the statistic times num_df is referred to χ².
    scaling : float
        Kenward and Roger's λ; else one.
    """

    statistic: float
    num_df: int
    den_df: float
    scaling: float = 1.0

    @property
    def p_value(self) -> float:
        """Upper tail."""
        if self.num_df == 0:
            return float("nan")
        if np.isinf(self.den_df):
            return float(stats.chi2.sf(self.statistic * self.num_df, self.num_df))
        return float(stats.f.sf(self.statistic, self.num_df, self.den_df))


class DenominatorDf(Protocol):
    """A method for the denominator degrees of freedom."""

    @property
    def name(self) -> str:
        """As a user asks for it."""

    @property
    def title(self) -> str:
        """As a heading says it."""

    @property
    def vcov(self) -> Floats:
        """The covariance of β̂ that its tests use, shape (p, p)."""

    def covariance(self, L: Floats) -> Floats:
        """The covariance of Lβ̂ that its tests use, shape (m, m)."""

    def single(self, L: Floats) -> Floats:
        """Degrees of freedom of the t tests of the rows of L, shape (m,)."""

    def joint(self, L: Floats) -> tuple[float, float]:
        """Degrees of freedom and scaling λ of the F test of a hypothesis with independent rows."""


@dataclass(frozen=True, eq=False, slots=True)
class InBasis:
    """
    A covariance of the fixed effects in an orthonormal basis of X, where a predictor far from zero costs no digits.

    Attributes
    ----------
    R : ndarray, shape (p, p)
        Upper triangular, W^½X = QR; γ = Rβ.
    of_basis : ndarray, shape (p, p)
        Cov(γ̂).
    """

    R: Floats
    of_basis: Floats

    @property
    def vcov(self) -> Floats:
        """Of β̂, shape (p, p)."""
        return self.covariance(np.eye(len(self.R)))

    def covariance(self, L: Floats) -> Floats:
        """Of Lβ̂, shape (m, m)."""
        turned = self.turned(L)
        return np.asarray(turned @ self.of_basis @ turned.T)

    def turned(self, L: Floats) -> Floats:
        """Contrasts of γ, L R⁻¹."""
        return np.asarray(linalg.solve_triangular(self.R, L.T, trans="T").T) if self.R.size else L


@dataclass(frozen=True, eq=False, slots=True)
class Asymptotic(InBasis):
    """No correction: normal and χ² tests.

    Attributes
    ----------
    R, of_basis
        See `InBasis`.
    """

    name: str = "asymptotic"
    title: str = "asymptotic"

    def single(self, L: Floats) -> Floats:
        return np.full(len(L), np.inf)

    def joint(self, L: Floats) -> tuple[float, float]:
        return np.inf, 1.0


@dataclass(frozen=True, eq=False, slots=True)
class ContrastTests:
    """
    Tests about the fixed effects of one fit by one method.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    method : DenominatorDf
    """

    beta: Floats
    method: DenominatorDf

    @property
    def vcov(self) -> Floats:
        """Covariance of β̂, adjusted where the method does that."""
        return self.method.vcov

    def single(self, L: ArrayLike, rhs: Floats | float = 0.0) -> Estimates:
        """
        The rows of L one by one.

        Parameters
        ----------
        L : array-like, shape (m, p) or (p,)
        rhs : float or array-like, shape (m,)
            Values under the hypothesis, subtracted from the estimates.

        Returns
        -------
        Estimates
        """
        L = self._rows(L)
        if not len(L):
            return Estimates(*np.zeros((3, 0)))
        variance = np.diag(self.method.covariance(L))
        return Estimates(L @ self.beta - rhs, np.sqrt(variance), self.method.single(L))

    def joint(self, L: ArrayLike, rhs: Floats | float = 0.0) -> FTest:
        """
        The rows of L together; rows that depend on others count once.

        Parameters
        ----------
        L : array-like, shape (m, p) or (p,)
        rhs : float or array-like, shape (m,)

        Returns
        -------
        FTest
        """
        L = self._rows(L)
        if not len(L):
            return FTest(np.nan, 0, np.nan)
        rows, values = independent_rows(L, L @ self.beta - rhs, L @ self.beta, self.method.covariance(L))
        if not len(rows):
            return FTest(np.nan, 0, np.nan)
        den_df, scaling = self.method.joint(rows)
        quadratic = float(values @ np.linalg.solve(self.method.covariance(rows), values))
        return FTest(scaling * quadratic / len(rows), len(rows), den_df, scaling)

    def _rows(self, L: ArrayLike) -> Floats:
        rows = np.atleast_2d(np.asarray(L, dtype=float))
        if not rows.size:
            return np.empty((0, len(self.beta)))
        if rows.ndim != 2 or rows.shape[1] != len(self.beta):
            size = len(self.beta)
            raise ModelError(
                f"L has the shape {np.shape(L)}; expected (contrasts, {size}), a weight for a coefficient."
            )
        return rows


def independent_rows(L: Floats, values: Floats, estimates: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """
    As many combinations of the rows of L, and of their values, as are independent.

    The combinations are the eigenvectors of L C Lᵀ, for which the contrasts are uncorrelated. How many there are is
    judged with every contrast in units of its own standard error.

    Parameters
    ----------
    L : ndarray, shape (m, p)
    values : ndarray, shape (m,)
        Lβ̂ less what the hypothesis says it is.
    estimates : ndarray, shape (m,)
        Lβ̂.
    covariance : ndarray, shape (m, m)
        Of Lβ̂.

    Raises
    ------
    ModelError
        When rows that depend on each other are said to have values that cannot hold together.
    """
    se = np.sqrt(np.diag(covariance))
    unit = np.divide(1.0, se, out=np.zeros_like(se), where=se > 0.0)
    correlations, among = np.linalg.eigh(covariance * np.outer(unit, unit))
    rank = int((correlations > _DEPENDENT * max(float(correlations.max(initial=0.0)), 0.0)).sum())
    nil, rhs = among[:, : len(L) - rank], estimates - values
    contradicts = np.abs(nil.T @ (rhs * unit)) > _CONTRADICTION * (1.0 + np.abs(rhs * unit).max(initial=0.0))
    if contradicts.any() or (rhs[unit == 0.0] != 0.0).any():
        raise ModelError(
            "The rows of L depend on each other, or are nil, and the values that rhs gives them contradict each other. "
            "Leave rows out, or give them values that follow from those of the others."
        )
    kept = np.linalg.eigh(covariance)[1][:, len(L) - rank :]
    if rank < len(L) and np.linalg.cond(kept.T @ covariance @ kept) > 1.0 / _DEPENDENT:
        kept = (among * unit[:, None])[:, len(L) - rank :]  # units so different that one of them was lost
    return kept.T @ L, kept.T @ values
