"""Data sets of R's lme4 and nlme, pedigrees and a study of families, with their provenance.

>>> from lmmpy import datasets
>>> datasets.load("Dyestuff").shape
(30, 2)
"""

from .catalogue import ColumnInfo, DatasetInfo, UnknownDatasetError, describe, names
from .reader import load

__all__ = ["ColumnInfo", "DatasetInfo", "UnknownDatasetError", "describe", "load", "names"]
