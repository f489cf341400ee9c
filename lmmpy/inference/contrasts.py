"""Tests of linear hypotheses about fixed effects, Lβ = 0, whatever the method for their degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["DDF_METHODS", "Asymptotic", "ContrastTests", "DenominatorDf", "Estimates", "FTest"]

Floats = NDArray[np.float64]

DDF_METHODS = ("satterthwaite", "kenward-roger", "asymptotic")

# An eigenvalue of L C Lᵀ that is nil against the largest: the rows of L depend on each other.
_DEPENDENT = 1e-10


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
        finite = np.isfinite(self.df)
        return np.where(finite, 2.0 * stats.t.sf(t, np.where(finite, self.df, 1.0)), 2.0 * stats.norm.sf(t))

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Two-sided confidence limits, each of shape (m,)."""
        finite = np.isfinite(self.df)
        upper = 0.5 * (1.0 + level)
        width = np.where(finite, stats.t.ppf(upper, np.where(finite, self.df, 1.0)), stats.norm.ppf(upper))
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

    def single(self, L: Floats) -> Floats:
        """Degrees of freedom of the t tests of the rows of L, shape (m,)."""

    def joint(self, L: Floats) -> tuple[float, float]:
        """Degrees of freedom and scaling λ of the F test of a hypothesis with independent rows."""


@dataclass(frozen=True, eq=False, slots=True)
class Asymptotic:
    """No correction: normal and χ² tests.

    Attributes
    ----------
    vcov : ndarray, shape (p, p)
    """

    vcov: Floats
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

    def single(self, L: Floats, rhs: Floats | float = 0.0) -> Estimates:
        """
        The rows of L one by one.

        Parameters
        ----------
        L : ndarray, shape (m, p)
        rhs : float or ndarray, shape (m,)
            Values under the hypothesis, subtracted from the estimates.

        Returns
        -------
        Estimates
        """
        variance = np.einsum("ma,ab,mb->m", L, self.vcov, L)
        return Estimates(L @ self.beta - rhs, np.sqrt(np.maximum(variance, 0.0)), self.method.single(L))

    def joint(self, L: Floats, rhs: Floats | float = 0.0) -> FTest:
        """
        The rows of L together; rows that depend on others count once.

        Parameters
        ----------
        L : ndarray, shape (m, p)
        rhs : float or ndarray, shape (m,)

        Returns
        -------
        FTest
        """
        rows, values = independent_rows(L, L @ self.beta - rhs, self.vcov)
        if not len(rows):
            return FTest(np.nan, 0, np.nan)
        den_df, scaling = self.method.joint(rows)
        quadratic = float(values @ np.linalg.solve(rows @ self.vcov @ rows.T, values))
        return FTest(scaling * quadratic / len(rows), len(rows), den_df, scaling)


def independent_rows(L: Floats, values: Floats, vcov: Floats) -> tuple[Floats, Floats]:
    """
    As many combinations of the rows of L, and of their values, as are independent in the metric of `vcov`.

    The combinations are the eigenvectors of L C Lᵀ, for which the contrasts are uncorrelated.
    """
    eigenvalues, vectors = np.linalg.eigh(L @ vcov @ L.T)
    kept = eigenvalues > _DEPENDENT * max(float(eigenvalues.max(initial=0.0)), 0.0)
    return vectors[:, kept].T @ L, vectors[:, kept].T @ values
