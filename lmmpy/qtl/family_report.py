"""What the results of all family studies are alike in: they hold a fit by maximum likelihood and show a report."""

from __future__ import annotations

import math

from lmmpy.model import LmmFit
from lmmpy.qtl.printed import Printed

__all__ = ["FamilyReport"]


class FamilyReport(Printed):
    """The result of a family study; `fit` and `n_records` are told by what inherits."""

    __slots__ = ()
    fit: LmmFit
    n_records: int

    @property
    def loglik(self) -> float:
        """Log-likelihood of the model."""
        return self.fit.loglik

    @property
    def loglik_solar(self) -> float:
        """Log-likelihood without −n/2·log 2π, n the values of traits, which SOLAR leaves out."""
        return self.fit.loglik + 0.5 * self.n_records * math.log(2.0 * math.pi)
