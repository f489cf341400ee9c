"""Linear mixed models by R's formulas: lme4 in spirit and in its numbers."""

from lmmpy import datasets
from lmmpy.model.lformula import lformula

__all__ = ["datasets", "lformula"]
