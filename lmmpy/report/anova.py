"""A table of comparison that prints itself as R does."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lmmpy.report.printer import anova_html, anova_latex
from lmmpy.report.text import anova_text


class AnovaTable(pd.DataFrame):
    """A DataFrame that shows itself as R's anova table, headings above it.

    Attributes
    ----------
    headings : tuple of str
        Lines above the table.
    """

    _metadata = ["headings"]  # noqa: RUF012  (pandas' own protocol)
    headings: tuple[str, ...] = ()

    @classmethod
    def under(cls, headings: tuple[str, ...], table: pd.DataFrame) -> AnovaTable:
        """
        Put headings above a table.

        Parameters
        ----------
        headings : tuple of str
        table : DataFrame

        Returns
        -------
        AnovaTable
        """
        made = cls(table)
        made.headings = headings
        return made

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame  # a part of the table is plain data again

    def to_text(self) -> str:
        """
        Write plain text in R's layout.

        Returns
        -------
        str
        """
        return anova_text(pd.DataFrame(self), self.headings)

    def to_latex(self, *_: Any, **__: Any) -> str:  # type: ignore[override]
        """
        Write LaTeX in the layout of the print; it needs the booktabs package.

        Parameters
        ----------
        *_, **__
            Arguments of pandas' method, which do not matter here.

        Returns
        -------
        str
        """
        return anova_latex(pd.DataFrame(self), self.headings)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return anova_html(pd.DataFrame(self), self.headings)
