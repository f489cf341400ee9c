"""Tables of formatted text: what goes into the cells, before any of the three outputs lays them out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lmmpy.report.abbreviation import abbreviate
from lmmpy.report.numbers import format_p, pad_left, pad_right, r_format, round_to, stars, zapsmall
from lmmpy.report.tables import FixedEffectsTable, VarCorrRow, VarCorrTable

ROW_NAME_LENGTH = 11
COLUMN_NAME_LENGTH = 6
CORRELATION_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text.

    Attributes
    ----------
    headings : tuple of str, length c
    row_names : tuple of str, length r
        All empty when the rows have no names.
    columns : tuple of tuple of str, c of length r
        Cells by column; the cells of a column have one width.
    justify_left : bool
        Whether headings and cells stand to the left of a wider column.
    text_columns : int
        How many leading columns are words, not numbers.
    legend : bool
        Whether the last column is stars, which a legend explains.
    """

    headings: tuple[str, ...]
    row_names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    justify_left: bool = False
    text_columns: int = 0
    legend: bool = False

    @classmethod
    def named(cls, row_names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> "Grid":
        """Rows by name, and columns by heading."""
        return cls(tuple(columns), tuple(row_names), tuple(tuple(cells) for cells in columns.values()))


def _made(
    names: Iterable[str],
    columns: dict[str, list[str]],
    marks: Sequence[str] = (),
    left: bool = False,
    words: int = 0,
) -> Grid:
    """Gather columns, and the stars when there are any."""
    legend = any(marks)
    headings, cells = list(columns), [tuple(column) for column in columns.values()]
    if legend:
        headings.append("")
        cells.append(tuple(pad_right(marks)))
    return Grid(tuple(headings), tuple(names), tuple(cells), left, words, legend)


# ---- random effects


def _correlation_columns(rows: Sequence[VarCorrRow], digits: int) -> list[list[str]]:
    """Columns of the correlations, one fewer than the largest term has effects."""
    n_columns = max((len(row.correlations) for row in rows), default=0)
    columns: list[list[str]] = [[] for _ in range(n_columns)]
    for _, members in groupby(rows, key=lambda row: row.group):
        term = list(members)
        flat = [r for row in term for r in row.correlations]
        # the diagonal's 1 takes part in the width, so that a term's correlations line up
        texts = iter(r_format([1.0, *round_to(flat, digits)], digits=7, nsmall=digits)[1:])
        for row in term:
            for j, column in enumerate(columns):
                column.append(next(texts) if j < len(row.correlations) else "")
    return columns


def varcorr_grid(table: VarCorrTable, digits: int, variance: bool = True, std_dev: bool = True) -> Grid:
    """Cells of the random-effects table.

    Parameters
    ----------
    table : VarCorrTable
    digits : int
        Significant digits of the smallest variance; correlations get two fewer decimals, at least two.
    variance, std_dev : bool
        Which of the two columns to show.

    Returns
    -------
    Grid
    """
    rows = table.all_rows
    groups = [row.group for row in rows]
    shown = [group if i == 0 or group != groups[i - 1] else "" for i, group in enumerate(groups)]
    columns = {"Groups": pad_right(shown), "Name": pad_right([row.name for row in rows])}
    if variance:
        columns["Variance"] = r_format([row.variance for row in rows], digits)
    if std_dev:
        columns["Std.Dev."] = r_format([row.std_dev for row in rows], digits)
    grid = _made([""] * len(rows), columns, left=True, words=2)
    correlations = _correlation_columns(rows, max(2, digits - 2))
    headings = grid.headings + tuple("Corr" if j == 0 else "" for j in range(len(correlations)))
    cells = grid.columns + tuple(tuple(pad_right(column)) for column in correlations)
    return Grid(headings, grid.row_names, cells, justify_left=True, text_columns=2)


# ---- fixed effects


def _estimates(values: NDArray[np.float64], digits: int) -> list[list[str]]:
    """Estimates and what is on their scale, shape (p, c): one number of decimals for all of them."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    smallest = 1 + int(np.floor(np.log10(sizes.min()))) if sizes.size else 1
    rounded = round_to(values, max(1, digits - smallest))
    texts = np.array(r_format(rounded.T, digits, missing="NA"), dtype=object).reshape(values.shape[::-1])
    return [_not_all_zeros(list(column), values[:, j], digits) for j, column in enumerate(texts)]


def _not_all_zeros(texts: list[str], values: ArrayLike, digits: int) -> list[str]:
    """Show a number that is not zero but was rounded to it on its own, with a digit less."""
    x = np.asarray(values, dtype=np.float64)
    lost = [i for i, text in enumerate(texts) if np.isfinite(x[i]) and x[i] != 0 and float(text) == 0]
    for i, text in zip(lost, r_format(x[lost], max(1, digits - 1)), strict=True):
        texts[i] = text
    return pad_left(texts)


def _test_digits(digits: int) -> int:
    return max(1, min(5, digits - 1))


def _statistics(values: ArrayLike, digits: int, missing: str) -> list[str]:
    texts = r_format(round_to(values, _test_digits(digits)), digits, missing=missing)
    return _not_all_zeros(texts, values, digits)


def fixed_grid(table: FixedEffectsTable, digits: int, signif_stars: bool = True) -> Grid:
    """Cells of the fixed-effects table.

    Parameters
    ----------
    table : FixedEffectsTable
    digits : int
        Significant digits of the smallest estimate or standard error.
    signif_stars : bool
        Whether p-values get stars.

    Returns
    -------
    Grid
    """
    parts = {"Estimate": table.estimate, "Std. Error": table.std_error}
    if table.df is not None:
        parts["df"] = table.df
    texts = _estimates(np.column_stack(list(parts.values())), digits)
    columns = dict(zip(parts, texts, strict=True))
    columns[table.statistic_name] = _statistics(table.statistic, digits, "NA")
    marks: list[str] = []
    if table.p_value is not None:
        columns[table.p_name] = pad_left(format_p(table.p_value, _test_digits(digits), "NA"))
        marks = stars(table.p_value) if signif_stars else []
    return _made(table.names, columns, marks)


def correlation_grid(names: Sequence[str], correlation: NDArray[np.float64]) -> Grid:
    """Cells of the lower triangle of the fixed effects' correlations, under shortened names.

    Parameters
    ----------
    names : sequence of str, length p
    correlation : ndarray, shape (p, p)

    Returns
    -------
    Grid
        p − 1 rows and columns.
    """
    p = len(names)
    rounded = round_to(correlation, CORRELATION_DIGITS)
    flat = r_format(rounded, digits=7, nsmall=CORRELATION_DIGITS)
    texts = np.array(flat, dtype=object).reshape(p, p)
    blank = " " * len(flat[0])
    return Grid(
        headings=tuple(abbreviate(names, COLUMN_NAME_LENGTH)[:-1]),
        row_names=tuple(abbreviate(names, ROW_NAME_LENGTH)[1:]),
        columns=tuple(tuple(texts[i, j] if i > j else blank for i in range(1, p)) for j in range(p - 1)),
        justify_left=True,
    )


# ---- comparisons


def _anova_column(name: str, values: NDArray[np.float64], digits: int) -> list[str]:
    if name.startswith("Pr("):
        return pad_left(format_p(values, _test_digits(digits)))
    if name in {"Chisq", "F", "Cp"} or re.fullmatch(r". value.*", name):
        return _statistics(values, digits, "")
    kept = values if name.endswith("Df") else zapsmall(values, digits)
    return _not_all_zeros(r_format(kept, digits, missing=""), kept, digits)


def anova_grid(frame: pd.DataFrame, digits: int = 5, signif_stars: bool = True) -> Grid:
    """Cells of a table of comparison or of terms.

    Columns are treated by their R names: `Pr(…)` as p-values (the last one gives the stars), `Chisq` and
    `F value` as test statistics, the rest as numbers. NaN is left blank.

    Parameters
    ----------
    frame : DataFrame, shape (r, c)
        Index: models or terms.
    digits : int
        Significant digits.
    signif_stars : bool
        Whether p-values get stars.

    Returns
    -------
    Grid
    """
    arrays = {str(name): frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in frame.columns}
    columns = {name: _anova_column(name, values, digits) for name, values in arrays.items()}
    p_names = [name for name in arrays if name.startswith("Pr(")]
    marks = stars(arrays[p_names[-1]]) if p_names and signif_stars else []
    return _made((str(name) for name in frame.index), columns, marks)
