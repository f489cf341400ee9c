"""Relatedness between the levels of a random term: matrices, genotypes, pedigrees."""

from lmmpy.relatedness.convert import as_relatedness
from lmmpy.relatedness.pedigree import Pedigree
from lmmpy.relatedness.relatedness import Relatedness

__all__ = ["Pedigree", "Relatedness", "as_relatedness"]
