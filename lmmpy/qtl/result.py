"""`Polygenic`: the estimates, tests and models of a polygenic analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from lmmpy.model import LmmFit
from lmmpy.qtl.family_report import FamilyReport
from lmmpy.qtl.polygenic_report import polygenic_document
from lmmpy.qtl.shares import share_rows
from lmmpy.qtl.submodels import boundary_tests
from lmmpy.report.document import Document

__all__ = ["Polygenic"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Polygenic(FamilyReport):
    """
    A polygenic model, the smaller models it is held against, and what follows from the comparison.

    Made by `polygenic`. Printing it shows a report.

    Attributes
    ----------
    fit : LmmFit
        The final model: with the household term unless its variance is zero, and the covariates that were kept.
    trait : str
    transform : str or None
    level : float
        Of the confidence intervals.
    estimates : DataFrame
        Columns `parameter, estimate, std_error, conf_low, conf_high`: ``h2`` (SOLAR's H2r), ``c2``, the share of each
        further random term, ``e2``, ``sd`` (the total standard deviation), and the fixed effects, in this order. A
        further term of which the group is called like one of these is ``(1 | group)``; a covariate may have such a
        name. Standard errors are from the observed information of all parameters together; those of the fixed effects
        are therefore a little larger than ``fit.se``, which takes the variances as known. NaN for a share of zero or
        one; the others' are those with that share held at zero. NaN for all when e2 is zero.
    tests : DataFrame
        Columns `hypothesis, chisq, df, p_value`. ``h2 = 0`` is tested against the model without relatedness (with the
        household, if it was retained), ``c2 = 0`` against the model without household, both by ½χ²₀ + ½χ²₁;
        covariates by χ², if they were screened.
    models : DataFrame
        Index ``sporadic, household, polygenic, household polygenic``, columns `loglik, loglik_solar, h2, c2, e2, sd`;
        all with the same rows and covariates. `loglik_solar` leaves out the constant −n/2·log 2π, as SOLAR does.
    covariates : DataFrame or None
        Of the screening. Index: terms, columns `chisq, df, p_value, kept`.
    covariate_share : float
        Proportion of variance due to the covariates, 1 − (sd with them / sd without)², both of the final model; NaN
        without covariates.
    kurtosis : float
        Excess kurtosis of y − Xβ̂, corrected for bias: 0 for a normal distribution.
    n_people, n_records, n_pedigree : int
        People and rows used, and members of the pedigree.
    notes : tuple of str

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> null = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
    >>> print(f"{null.h2:.3f} {null.h2_se:.3f}")
    0.740 0.076
    >>> null.models["loglik"].round(2).to_dict()
    {'sporadic': -724.65, 'polygenic': -678.61}
    """

    fit: LmmFit
    trait: str
    transform: str | None
    level: float
    estimates: pd.DataFrame
    tests: pd.DataFrame
    models: pd.DataFrame
    covariates: pd.DataFrame | None
    covariate_share: float
    kurtosis: float
    n_people: int
    n_records: int
    n_pedigree: int
    notes: tuple[str, ...]

    def _of(self, parameter: str, column: str) -> float:
        rows = share_rows(self.estimates, self.fit)
        found = rows.loc[rows["parameter"] == parameter, column]
        return float(found.iloc[0]) if len(found) else math.nan

    def _p(self, hypothesis: str) -> float:
        rows = boundary_tests(self.tests, self.covariates)
        found = rows.loc[rows["hypothesis"] == hypothesis, "p_value"]
        return float(found.iloc[0]) if len(found) else math.nan

    @property
    def h2(self) -> float:
        """Heritability: the share of the variance that the covariates leave which relatedness accounts for."""
        return self._of("h2", "estimate")

    @property
    def h2_se(self) -> float:
        """Standard error of `h2`."""
        return self._of("h2", "std_error")

    @property
    def h2_p_value(self) -> float:
        """Of the test that `h2` is zero."""
        return self._p("h2 = 0")

    @property
    def c2(self) -> float:
        """Share of the household; NaN when none was asked for, 0 when it was left out as its variance is zero."""
        return self._of("c2", "estimate")

    @property
    def c2_se(self) -> float:
        """Standard error of `c2`."""
        return self._of("c2", "std_error")

    @property
    def c2_p_value(self) -> float:
        """Of the test that `c2` is zero."""
        return self._p("c2 = 0")

    @property
    def e2(self) -> float:
        """Share of the residual."""
        return self._of("e2", "estimate")

    @property
    def sd(self) -> float:
        """Total standard deviation, given the covariates."""
        return self._of("sd", "estimate")

    def document(self, digits: int = 4) -> Document:
        return polygenic_document(self, digits)
