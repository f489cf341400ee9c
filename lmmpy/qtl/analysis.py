"""`FamilyAnalysis`: what the analyses of families other than `polygenic` come back with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from lmmpy.model import LmmFit
from lmmpy.qtl.analysis_report import analysis_document
from lmmpy.qtl.family_report import FamilyReport
from lmmpy.report.document import Document

__all__ = ["FamilyAnalysis"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FamilyAnalysis(FamilyReport):
    """
    A model of families, estimates that follow from it, and tests of hypotheses about them. Printing it shows a report.

    Attributes
    ----------
    title : str
    fit : LmmFit
        By maximum likelihood.
    level : float
        Of the confidence intervals.
    estimates : DataFrame
        Columns `parameter, estimate, std_error, conf_low, conf_high`; see the function that made it. Standard errors
        are from the observed information; NaN where an estimate, or a variance that it rests on, is at the end of its
        range.
    covariates : DataFrame
        The same of the fixed effects; standard errors from the observed information of all parameters together, a
        little larger than ``fit.se``, which takes the variances as known.
    tests : DataFrame
        Columns `hypothesis, chisq, df, p_value`, by likelihood ratio. A hypothesis on the edge of what the parameters
        may be, such as ``|rho_g| = 1`` or a variance of zero, has its p-value from a mixture of χ² distributions, which
        presumes that the other parameters are not at theirs. NaN where the hypothesis has no meaning, as that of a
        correlation with what does not vary.
    n_people, n_records, n_pedigree : int
        People and values of traits used, and members of the pedigree.
    notes : tuple of str
    """

    title: str
    fit: LmmFit
    level: float
    estimates: pd.DataFrame
    covariates: pd.DataFrame
    tests: pd.DataFrame
    n_people: int
    n_records: int
    n_pedigree: int
    notes: tuple[str, ...]

    def _of(self, parameter: str, column: str = "estimate") -> float:
        found = self.estimates.loc[self.estimates["parameter"] == parameter, column]
        return float(found.iloc[0]) if len(found) else math.nan

    def p_value(self, hypothesis: str) -> float:
        """
        The p-value of one of the tests.

        Parameters
        ----------
        hypothesis : str
            As `tests` has it.

        Returns
        -------
        float

        Raises
        ------
        KeyError
        """
        found = self.tests.loc[self.tests["hypothesis"] == hypothesis, "p_value"]
        if found.empty:
            raise KeyError(f"no test of {hypothesis!r}; there are {', '.join(self.tests['hypothesis']) or 'none'}")
        return float(found.iloc[0])

    def document(self, digits: int = 4) -> Document:
        return analysis_document(self, digits)
