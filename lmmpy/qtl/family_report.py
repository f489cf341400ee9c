"""What the results of all family studies are alike in: they hold a fit by maximum likelihood and show a report."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from lmmpy.model import LmmFit
from lmmpy.report.document import Document
from lmmpy.report.html import render_html
from lmmpy.report.plain import render_plain

__all__ = ["FamilyReport"]


class FamilyReport(ABC):
    """The result of a family study; `fit` and `n_records` are told by what inherits."""

    __slots__ = ()
    fit: LmmFit
    n_records: int

    @abstractmethod
    def document(self, digits: int = 4) -> Document:
        """
        Arrange what was found as a document.

        Parameters
        ----------
        digits : int
            Significant digits of estimates.
        """

    @property
    def loglik(self) -> float:
        """Log-likelihood of the model."""
        return self.fit.loglik

    @property
    def loglik_solar(self) -> float:
        """Log-likelihood without −n/2·log 2π, n the values of traits, which SOLAR leaves out."""
        return self.fit.loglik + 0.5 * self.n_records * math.log(2.0 * math.pi)

    def summary(self, digits: int = 4) -> str:
        """
        Write the report.

        Parameters
        ----------
        digits : int
            Significant digits of estimates.
        """
        return render_plain(self.document(digits))

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render_html(self.document())
