"""What results that print a report have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from lmmpy.report.document import Document
from lmmpy.report.html import render_html
from lmmpy.report.plain import render_plain

__all__ = ["Printed"]


class Printed(ABC):
    """Shows its document, as text and as HTML."""

    __slots__ = ()

    @abstractmethod
    def document(self, digits: int = 4) -> Document:
        """
        Arrange what was found as a document.

        Parameters
        ----------
        digits : int
            Significant digits of estimates.

        Returns
        -------
        Document
        """

    def summary(self, digits: int = 4) -> str:
        """
        Write the report.

        Parameters
        ----------
        digits : int
            Significant digits of estimates.

        Returns
        -------
        str
        """
        return render_plain(self.document(digits))

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render_html(self.document())
