"""Genotypes, relatedness from them, and sharing identical by descent: files, arrays and simulation."""

from lmmpy.markers.bimbam import BimbamGenotypes
from lmmpy.markers.gene_drop import DroppedGenes, drop_genes, unlinked
from lmmpy.markers.genotypes import as_genotypes
from lmmpy.markers.grm import grm
from lmmpy.markers.grm_files import read_grm, write_grm
from lmmpy.markers.ibd import IbdMap
from lmmpy.markers.ibd_files import read_ibd_csv
from lmmpy.markers.ibd_input import as_ibd
from lmmpy.markers.marker_ibd import marker_ibd
from lmmpy.markers.merlin import read_merlin_ibd
from lmmpy.markers.plink import PlinkGenotypes
from lmmpy.markers.solar_mibd import read_mibd, read_phi2
from lmmpy.markers.source import GenotypeSource
from lmmpy.markers.summaries import VariantSummary, impute_mean, summarise

__all__ = [
    "BimbamGenotypes",
    "DroppedGenes",
    "GenotypeSource",
    "IbdMap",
    "PlinkGenotypes",
    "VariantSummary",
    "as_genotypes",
    "as_ibd",
    "drop_genes",
    "grm",
    "impute_mean",
    "marker_ibd",
    "read_grm",
    "read_ibd_csv",
    "read_merlin_ibd",
    "read_mibd",
    "read_phi2",
    "summarise",
    "unlinked",
    "write_grm",
]
