"""The parts of a printed model in order: what the HTML and the LaTeX output share with the text."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lmmpy.report.grids import Grid, anova_grid, correlation_grid, fixed_grid, varcorr_grid
from lmmpy.report.numbers import STAR_LEGEND, r_format, round_to, zapsmall
from lmmpy.report.tables import RowParametersTable, SummaryData

QUANTILE_NAMES = ("Min", "1Q", "Median", "3Q", "Max")
SUMMARY_DIGITS = 4
ANOVA_DIGITS = 5
MAX_CORRELATION = 12
"""lme4 leaves the correlations out of a summary with more coefficients than this."""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table, or lines, or both.

    Attributes
    ----------
    title : str
        Empty for none.
    grid : Grid or None
    lines : tuple of str
        Follow the table.
    """

    title: str
    grid: Grid | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A title, labelled lines under it, and sections.

    Attributes
    ----------
    title : str
    header : tuple of (str, str)
        Label and text, e.g. `("Formula", "y ~ x + (1 | g)")`.
    sections : tuple of Section
    """

    title: str
    header: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def header_pairs(data: SummaryData) -> tuple[tuple[str, str], ...]:
    """Label and text of the heading's lines, without those that are None."""
    pairs = (
        ("Family", data.family),
        ("Formula", data.formula),
        ("Residual", data.residual),
        ("Data", data.data_name),
        ("Weights", data.weights),
        ("Offset", data.offset),
        ("Subset", data.subset),
    )
    return tuple((label, text) for label, text in pairs if text is not None)


def criterion_texts(data: SummaryData, decimals: int) -> dict[str, str]:
    """Criterion values, rounded together; degrees of freedom stay whole."""
    values = {name: value for name, value in data.criterion.items() if name != "df.resid"}
    texts = dict(zip(values, r_format(round_to(list(values.values()), decimals)), strict=True))
    if "df.resid" in data.criterion:
        texts["df.resid"] = f"{data.criterion['df.resid']:.0f}"
    return {name: texts[name] for name in data.criterion}


def quantile_texts(data: SummaryData, digits: int) -> list[str]:
    """Quantiles of the scaled residuals, empty when there are none."""
    if data.scaled_residual_quantiles is None:
        return []
    return r_format(zapsmall(data.scaled_residual_quantiles, digits + 1), digits)


def counts_lines(data: SummaryData) -> list[str]:
    """Numbers of observations and of levels; with several responses also how many rows have which."""
    groups, counts = "; ".join(f"{name}, {n}" for name, n in data.n_groups.items()), data.trait_counts
    by_trait = "; ".join(f"{name}, {n}" for name, n in counts.n_obs.items()) if counts else ""
    observed = f"Number of obs: {data.n_obs}" + (f" ({by_trait})" if counts else "")
    lines = [f"{observed}, groups:  {groups}" if groups else observed]
    if counts:
        lines.append(f"Rows: {counts.n_rows}, with all responses {counts.n_complete}")
    return lines


def random_title(data: SummaryData) -> str:
    """What the table of variances is called."""
    return "Random effects" if data.varcorr.rows else "Residual"


def row_parameters_grid(table: RowParametersTable, digits: int) -> Grid:
    """Parameters in a row under their names."""
    return _one_row(table.names, parameter_texts(table, digits))


def parameter_texts(table: RowParametersTable, digits: int) -> list[str]:
    """Each number to its own significant digits, for they have different units."""
    return [r_format([value], digits)[0] for value in table.values.tolist()]


def fixed_sections(data: SummaryData, digits: int, signif_stars: bool) -> list[tuple[str, Grid]]:
    """Tables of fixed effects with their titles, one for each response."""
    tables = data.fixed.by_trait() if data.fixed.names else {}
    grids = {trait: fixed_grid(table, digits, signif_stars) for trait, table in tables.items()}
    return [(f"Fixed effects of {trait}" if trait else "Fixed effects", grid) for trait, grid in grids.items()]


def correlation_section(data: SummaryData, max_correlation: int) -> Section | None:
    """Show the fixed effects' correlations, or a note that they were left out; None when there are none."""
    p = len(data.fixed.names)
    if data.correlation is None or p < 2:
        return None
    if p > max_correlation:
        note = (
            f"Correlations of the {p} fixed effects are left out, being more than {max_correlation};",
            f"max_correlation={p} shows them.",
        )
        return Section("", lines=note)
    return Section("Correlation of Fixed Effects", correlation_grid(data.fixed.names, data.correlation))


def _one_row(names: Sequence[str], texts: Sequence[str]) -> Grid:
    return Grid(tuple(names), ("",), tuple((text,) for text in texts))


def with_legend(grid: Grid) -> tuple[str, ...]:
    """Give the legend's line when the table has stars."""
    return (STAR_LEGEND,) if grid.legend else ()


def summary_document(
    data: SummaryData,
    digits: int = SUMMARY_DIGITS,
    max_correlation: int = MAX_CORRELATION,
    signif_stars: bool = True,
) -> Document:
    """Arrange a summary in sections.

    Parameters
    ----------
    data : SummaryData
    digits : int
        Significant digits.
    max_correlation : int
        With more coefficients than this, their correlations are left out.
    signif_stars : bool
        Whether p-values get stars.

    Returns
    -------
    Document
    """
    criterion = criterion_texts(data, decimals=1)
    quantiles = quantile_texts(data, digits)
    fixed = fixed_sections(data, digits, signif_stars)
    legend = next((with_legend(grid) for _, grid in fixed if grid.legend), ())
    sections = [
        Section("Criterion", _one_row(list(criterion), list(criterion.values()))),
        Section("Scaled residuals", _one_row(QUANTILE_NAMES, quantiles)) if quantiles else None,
        Section(random_title(data), varcorr_grid(data.varcorr, digits), tuple(counts_lines(data))),
        *(Section(table.title, row_parameters_grid(table, digits)) for table in data.row_parameters),
        *(Section(title, grid, legend if grid is fixed[-1][1] else ()) for title, grid in fixed),
        correlation_section(data, max_correlation),
        Section("Notes", lines=data.notes) if data.notes else None,
    ]
    present = tuple(section for section in sections if section is not None)
    return Document(data.method_line, header_pairs(data), present)


def anova_document(
    frame: pd.DataFrame, headings: Sequence[str] = (), digits: int = ANOVA_DIGITS, signif_stars: bool = True
) -> Document:
    """Arrange a table of comparison: headings as lines, then the table.

    Parameters
    ----------
    frame : DataFrame
        See `anova_grid`.
    headings : sequence of str
        Lines above the table.
    digits : int
        Significant digits.
    signif_stars : bool
        Whether p-values get stars.

    Returns
    -------
    Document
    """
    grid = anova_grid(frame, digits, signif_stars)
    above = (Section("", lines=tuple(headings)),) if headings else ()
    return Document("", (), (*above, Section("", grid, with_legend(grid))))
