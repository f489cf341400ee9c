"""Summaries, short prints, variance tables and comparisons as text, HTML, LaTeX and data frames."""

from lmmpy.report.anova import AnovaTable
from lmmpy.report.frames import summary_frame, varcorr_frame
from lmmpy.report.numbers import format_p, r_format, stars
from lmmpy.report.printer import Summary, anova_html, anova_latex, summary_html, summary_latex
from lmmpy.report.tables import (
    FixedEffectsTable,
    RowParametersTable,
    SummaryData,
    TraitCounts,
    VarCorrRow,
    VarCorrTable,
)
from lmmpy.report.text import anova_text, print_text, summary_text, varcorr_text

__all__ = [
    "AnovaTable",
    "FixedEffectsTable",
    "RowParametersTable",
    "Summary",
    "SummaryData",
    "TraitCounts",
    "VarCorrRow",
    "VarCorrTable",
    "anova_html",
    "anova_latex",
    "anova_text",
    "format_p",
    "print_text",
    "r_format",
    "stars",
    "summary_frame",
    "summary_html",
    "summary_latex",
    "summary_text",
    "varcorr_frame",
    "varcorr_text",
]
