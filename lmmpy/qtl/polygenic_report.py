"""The report of a polygenic analysis, laid out for someone who knows SOLAR's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from lmmpy.qtl.shares import share_rows
from lmmpy.qtl.submodels import boundary_tests
from lmmpy.report.document import Document, Section
from lmmpy.report.grids import Grid
from lmmpy.report.numbers import pad_left, r_format

if TYPE_CHECKING:
    from lmmpy.qtl.result import Polygenic

__all__ = ["KURTOSIS_LIMIT", "polygenic_document"]

KURTOSIS_LIMIT = 0.8
"""Above it tests of variance components, and LOD scores, are too large (SOLAR's limit)."""

_SOLAR_NAMES = {"h2": "h2 (H2r)"}
_DECIMALS = 6


def polygenic_document(found: Polygenic, digits: int = 4) -> Document:
    """
    Arrange what was found as a document.

    Parameters
    ----------
    found : Polygenic
    digits : int
        Significant digits of estimates.

    Returns
    -------
    Document
    """
    trait = found.trait if found.transform is None else f"{found.trait} ({found.transform})"
    people = f"{found.n_people} used, of {found.n_pedigree} in the pedigree"
    if found.n_records != found.n_people:
        people += f"; {found.n_records} records"
    header = [("Trait", trait), ("Formula", found.fit.formula)]
    if found.fit.request.data_name is not None:
        header.append(("Data", found.fit.request.data_name))
    sections = [_shares(found, digits), _fixed(found, digits)]
    if found.covariates is not None:
        sections.append(_screening(found.covariates))
    sections += [_models(found), Section("", None, tuple(_remarks(found)))]
    return Document("Polygenic model fit by maximum likelihood", (*header, ("People", people)), tuple(sections))


def _shares(found: Polygenic, digits: int) -> Section:
    rows = share_rows(found.estimates, found.fit)
    names = [_SOLAR_NAMES.get(name, name) for name in rows["parameter"]]
    tests = (
        boundary_tests(found.tests, found.covariates)
        .set_index("hypothesis")
        .reindex([f"{name} = 0" for name in rows["parameter"]])
    )
    columns = _estimate_columns(rows, digits, found.level) | _test_columns(tests)
    return Section("Shares of the variance that covariates leave, and its root (sd)", Grid.named(names, columns))


def _fixed(found: Polygenic, digits: int) -> Section:
    rows = found.estimates.iloc[len(share_rows(found.estimates, found.fit)) :]
    share = found.covariate_share
    lines = () if math.isnan(share) else (f"Proportion of variance due to covariates: {share:.7f}",)
    if rows.empty:
        return Section("", None, ("No fixed effects",))
    return Section(
        "Fixed effects", Grid.named(list(rows["parameter"]), _estimate_columns(rows, digits, found.level)), lines
    )


def _estimate_columns(rows: pd.DataFrame, digits: int, level: float) -> dict[str, list[str]]:
    tails = [f"{50.0 * (1.0 - level):.4g} %", f"{50.0 * (1.0 + level):.4g} %"]
    texts = [r_format(rows[name], digits, missing="NA") for name in ("estimate", "std_error", "conf_low", "conf_high")]
    return dict(zip(["Estimate", "Std. Error", *tails], texts, strict=True))


def _test_columns(tests: pd.DataFrame) -> dict[str, list[str]]:
    """χ² to four decimals and p-values to five digits however small, as SOLAR shows them."""
    chisq, p = ([float(x) for x in tests[name]] for name in ("chisq", "p_value"))
    return {
        "Chisq": pad_left(["" if math.isnan(x) else f"{x:.4f}" for x in chisq]),
        "p-value": pad_left(["" if math.isnan(x) else f"{x:.5g}" for x in p]),
    }


def _screening(table: pd.DataFrame) -> Section:
    columns = {"Df": r_format(table["df"], missing=""), **_test_columns(table)}
    columns[""] = ["kept   " if kept else "removed" for kept in table["kept"]]
    return Section(
        "Covariates, each left out of the model with all", Grid.named([str(name) for name in table.index], columns)
    )


def _models(found: Polygenic) -> Section:
    table = found.models
    columns = {"logLik": [f"{value:.4f}" for value in table["loglik"]]}
    for name in map(str, table.columns[1:]):
        shown = table[name].notna()
        cells = [f"{value:.{_DECIMALS}f}" if there else "" for value, there in zip(table[name], shown, strict=True)]
        columns["SOLAR's" if name == "loglik_solar" else name] = cells
    padded = {name: pad_left(cells) for name, cells in columns.items()}
    line = "SOLAR's log-likelihood is without the constant -n/2 log(2 pi)."
    return Section("Models", Grid.named([str(name) for name in table.index], padded), (line,))


def _remarks(found: Polygenic) -> list[str]:
    if math.isnan(found.kurtosis):
        verdict = "Residual kurtosis: not defined for so few or equal values"
    elif found.kurtosis > KURTOSIS_LIMIT:
        verdict = f"Residual kurtosis: {found.kurtosis:.4f}, too high (above {KURTOSIS_LIMIT})"
    else:
        verdict = f"Residual kurtosis: {found.kurtosis:.4f}, within the normal range (up to {KURTOSIS_LIMIT})"
    return [verdict, *found.notes]
