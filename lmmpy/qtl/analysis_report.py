"""The report of a family analysis, laid out for someone who knows SOLAR's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from lmmpy.report.document import Document, Section
from lmmpy.report.grids import Grid
from lmmpy.report.numbers import pad_left, r_format

if TYPE_CHECKING:
    from lmmpy.qtl.analysis import FamilyAnalysis

__all__ = ["analysis_document", "estimates_grid", "tests_grid"]


def analysis_document(found: FamilyAnalysis, digits: int = 4) -> Document:
    """
    Arrange what was found as a document.

    Parameters
    ----------
    found : FamilyAnalysis
    digits : int
        Significant digits of estimates.

    Returns
    -------
    Document
    """
    header = [("Formula", found.fit.formula)]
    if found.fit.request.data_name is not None:
        header.append(("Data", found.fit.request.data_name))
    people = f"{found.n_people} used, of {found.n_pedigree} in the pedigree"
    if found.n_records != found.n_people:
        people += f"; {found.n_records} values"
    header.append(("People", people))
    likelihood = f"Log-likelihood: {found.loglik:.4f} (SOLAR's, without -n/2 log(2 pi): {found.loglik_solar:.4f})"
    sections = [
        Section("Variances", estimates_grid(found.estimates, digits, found.level), (likelihood,)),
        Section("Tests by likelihood ratio", tests_grid(found.tests)) if len(found.tests) else None,
        Section("Fixed effects", estimates_grid(found.covariates, digits, found.level))
        if len(found.covariates)
        else Section("", None, ("No fixed effects",)),
        Section("", None, found.notes) if found.notes else None,
    ]
    present = tuple(section for section in sections if section is not None)
    return Document(f"{found.title} fit by maximum likelihood", tuple(header), present)


def estimates_grid(rows: pd.DataFrame, digits: int, level: float) -> Grid:
    """
    Estimates as a table of texts.

    Parameters
    ----------
    rows : DataFrame
        Columns `parameter, estimate, std_error, conf_low, conf_high`.
    digits : int
    level : float
    """
    tails = [f"{50.0 * (1.0 - level):.4g} %", f"{50.0 * (1.0 + level):.4g} %"]
    texts = [r_format(rows[name], digits, missing="NA") for name in ("estimate", "std_error", "conf_low", "conf_high")]
    return Grid.named(
        [str(name) for name in rows["parameter"]], dict(zip(["Estimate", "Std. Error", *tails], texts, strict=True))
    )


def tests_grid(tests: pd.DataFrame) -> Grid:
    """
    Tests as a table of texts: χ² to four decimals and p-values to five digits however small, as SOLAR shows them.

    Parameters
    ----------
    tests : DataFrame
        Columns `hypothesis, chisq, df, p_value`.
    """
    columns = {
        "Chisq": pad_left(["NA" if math.isnan(x) else f"{x:.4f}" for x in tests["chisq"]]),
        "Df": r_format(tests["df"], missing=""),
        "p-value": pad_left(["NA" if math.isnan(x) else f"{x:.5g}" for x in tests["p_value"]]),
    }
    return Grid.named([str(name) for name in tests["hypothesis"]], columns)
