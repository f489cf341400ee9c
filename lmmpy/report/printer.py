"""One object that prints a summary in every form."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lmmpy.report.document import (
    ANOVA_DIGITS,
    MAX_CORRELATION,
    SUMMARY_DIGITS,
    anova_document,
    summary_document,
)
from lmmpy.report.frames import summary_frame
from lmmpy.report.html import render_html
from lmmpy.report.latex import render_latex
from lmmpy.report.tables import SummaryData
from lmmpy.report.text import summary_text


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """A summary that shows itself as text, as HTML in a notebook, as LaTeX or as a data frame.

    Attributes
    ----------
    data : SummaryData
    digits : int
        Significant digits.
    max_correlation : int
        With more coefficients than this, their correlations are left out.
    signif_stars : bool
        Whether p-values get stars.
    """

    data: SummaryData
    digits: int = SUMMARY_DIGITS
    max_correlation: int = MAX_CORRELATION
    signif_stars: bool = True

    def to_text(self) -> str:
        """
        Write plain text in lme4's layout.

        Returns
        -------
        str
        """
        return summary_text(self.data, self.digits, self.max_correlation, self.signif_stars)

    def to_html(self) -> str:
        """
        Write a fragment of HTML.

        Returns
        -------
        str
        """
        return summary_html(self.data, self.digits, self.max_correlation, self.signif_stars)

    def to_latex(self) -> str:
        """
        Write LaTeX; it needs the booktabs package.

        Returns
        -------
        str
        """
        return summary_latex(self.data, self.digits, self.max_correlation, self.signif_stars)

    def to_frame(self) -> pd.DataFrame:
        """
        List the fixed effects, one a row.

        Returns
        -------
        DataFrame
            As the table of fixed effects that is printed, unrounded.
        """
        return summary_frame(self.data.fixed)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()


def summary_html(
    data: SummaryData,
    digits: int = SUMMARY_DIGITS,
    max_correlation: int = MAX_CORRELATION,
    signif_stars: bool = True,
) -> str:
    """Write a summary as an HTML fragment; the arguments are those of `summary_text`."""
    return render_html(summary_document(data, digits, max_correlation, signif_stars))


def summary_latex(
    data: SummaryData,
    digits: int = SUMMARY_DIGITS,
    max_correlation: int = MAX_CORRELATION,
    signif_stars: bool = True,
) -> str:
    """Write a summary as LaTeX; the arguments are those of `summary_text`."""
    return render_latex(summary_document(data, digits, max_correlation, signif_stars))


def anova_html(
    frame: pd.DataFrame, headings: Sequence[str] = (), digits: int = ANOVA_DIGITS, signif_stars: bool = True
) -> str:
    """Write a table of comparison as an HTML fragment; the arguments are those of `anova_text`."""
    return render_html(anova_document(frame, headings, digits, signif_stars))


def anova_latex(
    frame: pd.DataFrame, headings: Sequence[str] = (), digits: int = ANOVA_DIGITS, signif_stars: bool = True
) -> str:
    """Write a table of comparison as LaTeX; the arguments are those of `anova_text`."""
    return render_latex(anova_document(frame, headings, digits, signif_stars))
