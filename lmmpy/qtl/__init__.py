"""Quantitative genetics: SOLAR's analyses of families, and scans for linkage and association."""

from lmmpy.markers import (
    DroppedGenes,
    GenotypeSource,
    IbdMap,
    as_genotypes,
    as_ibd,
    drop_genes,
    grm,
    marker_ibd,
    read_grm,
    read_ibd_csv,
    read_merlin_ibd,
    read_mibd,
    read_phi2,
    unlinked,
    write_grm,
)
from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.association import association
from lmmpy.qtl.association_scan import AssociationScan
from lmmpy.qtl.bivariate import bivariate
from lmmpy.qtl.decomposition import decompose, parent_of_origin
from lmmpy.qtl.gxe import gene_by_environment
from lmmpy.qtl.linkage import linkage
from lmmpy.qtl.linkage_model import PositionFit
from lmmpy.qtl.linkage_run import LinkagePass
from lmmpy.qtl.linkage_scan import LinkageScan
from lmmpy.qtl.lod_adjust import LodAdjustment, lod_adjust
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
    "DroppedGenes",
    "FamilyAnalysis",
    "GenotypeSource",
    "IbdMap",
    "LinkagePass",
    "LinkageScan",
    "LodAdjustment",
    "MaternalEffects",
    "Multivariate",
    "Polygenic",
    "PositionFit",
    "as_genotypes",
    "as_ibd",
    "association",
    "bivariate",
    "decompose",
    "drop_genes",
    "gene_by_environment",
    "grm",
    "inormal",
    "linkage",
    "lod_adjust",
    "marker_ibd",
    "maternal_effects",
    "multivariate",
    "parent_of_origin",
    "polygenic",
    "read_grm",
    "read_ibd_csv",
    "read_merlin_ibd",
    "read_mibd",
    "read_phi2",
    "sex_specific",
    "unlinked",
    "write_grm",
]


def __dir__() -> list[str]:
    return __all__
