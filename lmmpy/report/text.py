"""Plain text in lme4's layout: what `print` shows of a fit, its summary, variances and comparisons."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from lmmpy.report.document import (
    ANOVA_DIGITS,
    MAX_CORRELATION,
    QUANTILE_NAMES,
    SUMMARY_DIGITS,
    correlation_section,
    counts_lines,
    criterion_texts,
    fixed_sections,
    header_pairs,
    parameter_texts,
    quantile_texts,
    random_title,
    with_legend,
)
from lmmpy.report.grids import Grid, anova_grid, varcorr_grid
from lmmpy.report.layout import grid_lines, named_lines
from lmmpy.report.numbers import STAR_LEGEND, r_format
from lmmpy.report.tables import SummaryData, VarCorrTable

_TITLE_WIDTH = 71
_LABEL_WIDTH = 7
_NO_FIXED = "No fixed effects"


def _header_lines(data: SummaryData) -> list[str]:
    title = textwrap.wrap(data.method_line, _TITLE_WIDTH, subsequent_indent="  ", break_long_words=False)
    pairs = header_pairs(data)
    width = max(_LABEL_WIDTH, *(len(label) for label, _ in pairs))
    return title + [f"{label:>{width}}: {text}" for label, text in pairs]


def _criterion_lines(data: SummaryData, decimals: int) -> list[str]:
    texts = criterion_texts(data, decimals)
    if len(texts) == 1:
        return [f"{name}: {text}" for name, text in texts.items()]
    return named_lines(list(texts), list(texts.values()))


def _table_lines(grid: Grid) -> list[str]:
    legend = with_legend(grid)
    return grid_lines(grid) + (["---", *legend] if legend else [])


def _structure_blocks(data: SummaryData, digits: int) -> list[list[str]]:
    """Parameters of covariances between rows, a block each."""
    return [[f"{t.title}:", *named_lines(t.names, parameter_texts(t, digits))] for t in data.row_parameters]


def _joined(*blocks: Sequence[str]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block)


def summary_text(
    data: SummaryData,
    digits: int = SUMMARY_DIGITS,
    max_correlation: int = MAX_CORRELATION,
    signif_stars: bool = True,
) -> str:
    """Write a summary, as R's `print(summary(fit))`.

    Parameters
    ----------
    data : SummaryData
    digits : int
        Significant digits; R's is `getOption("digits") - 3`, that is 4.
    max_correlation : int
        With more coefficients than this, their correlations are left out.
    signif_stars : bool
        Whether p-values get stars.

    Returns
    -------
    str
        Without a newline at the end.
    """
    quantiles = quantile_texts(data, digits)
    residuals = ["Scaled residuals:", *named_lines(QUANTILE_NAMES, quantiles)] if quantiles else []
    random = [f"{random_title(data)}:", *grid_lines(varcorr_grid(data.varcorr, digits)), *counts_lines(data)]
    structures = _structure_blocks(data, digits)
    tables = fixed_sections(data, digits, signif_stars)
    fixed = [[f"{title}:", *grid_lines(grid)] for title, grid in tables] or [[_NO_FIXED]]
    if any(grid.legend for _, grid in tables):
        fixed[-1] += ["---", STAR_LEGEND]
    section = correlation_section(data, max_correlation)
    correlation: list[str] = []
    if section is not None:
        correlation = [f"{section.title}:", *grid_lines(section.grid)] if section.grid else list(section.lines)
    head = (_header_lines(data), _criterion_lines(data, decimals=1), residuals)
    body = (*head, random, *structures, *fixed, correlation)
    return "\n".join([_joined(*body), *data.notes])


def print_text(data: SummaryData, digits: int = SUMMARY_DIGITS) -> str:
    """Write a fit in short, as R's `print(fit)`.

    Parameters
    ----------
    data : SummaryData
    digits : int
        Significant digits.

    Returns
    -------
    str
        Without a newline at the end.
    """
    lines = _header_lines(data) + _criterion_lines(data, decimals=4)
    lines += [f"{random_title(data)}:", *grid_lines(varcorr_grid(data.varcorr, digits, variance=False))]
    lines += counts_lines(data)
    lines += [line for block in _structure_blocks(data, digits) for line in block]
    for trait, table in data.fixed.by_trait().items() if data.fixed.names else ():
        title = f"Fixed Effects of {trait}:" if trait else "Fixed Effects:"
        lines += [title, *named_lines(table.names, r_format(table.estimate, digits), gap=2)]
    if not data.fixed.names:
        lines.append(_NO_FIXED)
    return "\n".join([*lines, *data.notes])


def varcorr_text(table: VarCorrTable, digits: int = 5, variance: bool = False, std_dev: bool = True) -> str:
    """Write the random effects' variances and correlations, as R's `print(VarCorr(fit))`.

    Parameters
    ----------
    table : VarCorrTable
    digits : int
        Significant digits.
    variance, std_dev : bool
        Which of the two columns to show.

    Returns
    -------
    str
        Without a newline at the end.
    """
    return "\n".join(grid_lines(varcorr_grid(table, digits, variance, std_dev)))


def anova_text(
    frame: pd.DataFrame, headings: Sequence[str] = (), digits: int = ANOVA_DIGITS, signif_stars: bool = True
) -> str:
    """Write a table of comparison or of terms, as R's `print(anova(…))`.

    Parameters
    ----------
    frame : DataFrame
        Index: models or terms; columns by their R names, e.g. `npar, AIC, BIC, logLik, deviance, Chisq, Df,
        Pr(>Chisq)`. NaN is left blank.
    headings : sequence of str
        Lines above the table.
    digits : int
        Significant digits.
    signif_stars : bool
        Whether p-values get stars, and the table a legend.

    Returns
    -------
    str
        Without a newline at the end.
    """
    return "\n".join([*headings, *_table_lines(anova_grid(frame, digits, signif_stars))])
