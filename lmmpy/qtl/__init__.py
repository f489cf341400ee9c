"""Quantitative genetics of families: SOLAR's analyses, as functions of a formula, data and a pedigree."""

from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.association import association
from lmmpy.qtl.association_scan import AssociationScan
from lmmpy.qtl.bivariate import bivariate
from lmmpy.qtl.decomposition import decompose, parent_of_origin
from lmmpy.qtl.gxe import gene_by_environment
from lmmpy.qtl.maternal import maternal_effects
from lmmpy.qtl.maternal_result import MaternalEffects
from lmmpy.qtl.multivariate import multivariate
from lmmpy.qtl.polygenic import polygenic
from lmmpy.qtl.result import Polygenic
from lmmpy.qtl.sex_specific import sex_specific
from lmmpy.qtl.traits_result import Bivariate, Multivariate
from lmmpy.qtl.transform import inormal

__all__ = [
    "AssociationScan",
    "Bivariate",
    "FamilyAnalysis",
    "MaternalEffects",
    "Multivariate",
    "Polygenic",
    "association",
    "bivariate",
    "decompose",
    "gene_by_environment",
    "inormal",
    "maternal_effects",
    "multivariate",
    "parent_of_origin",
    "polygenic",
    "sex_specific",
]
