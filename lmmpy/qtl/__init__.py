"""Quantitative genetics of families: SOLAR's analyses, as functions of a formula, data and a pedigree."""

from lmmpy.qtl.polygenic import polygenic
from lmmpy.qtl.result import Polygenic
from lmmpy.qtl.transform import inormal

__all__ = ["Polygenic", "inormal", "polygenic"]
