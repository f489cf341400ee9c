"""The settings of the study of scans, and the people, genes and traits that are drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from lmmpy import datasets
from lmmpy.markers import DroppedGenes
from lmmpy.relatedness import Pedigree
from scripts.make_family import Descent

__all__ = ["KIN", "SEED", "SETTINGS", "Family", "Setting", "draw_trait", "draw_two_traits", "family", "seed_of"]

Floats = NDArray[np.float64]

SEED = 20241201
KIN = "y ~ age + sex + kin(ID, pedigree)"
HOUSE = "y ~ age + sex + (1 | household) + kin(ID, pedigree)"
TWO = "cbind(y1, y2) ~ age + sex + kin(ID, pedigree)"
# Of the locus with two alleles, and of the SNPs with an effect.
TWO_ALLELES, EFFECT = 0.3, 0.3
# Frequencies of the SNPs without effect.
RARE, COMMON = 0.05, 0.5
# Structure: how far two populations differ (Wright's F), and by how many standard deviations the trait does.
DISTANCE, DIFFERENCE = 0.05, 0.5
# Two traits: correlations of the genetic effects and of the residuals.
RHO = 0.5
# Makes the rows of identical twins factorisable.
_RIDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is true in one setting, and how it is analysed.

    Attributes
    ----------
    name, title : str
    kind : {"linkage", "bivariate", "adjusted", "association", "structure"}
    studies, items : int
        Number of studies, and of loci or SNPs in each; of an effect there is one, at the first.
    h2, c2 : float
        Shares of the variance of the trait that are due to genes, the locus or the SNP included, and to households.
    share : float
        That of the locus or the SNP.
    two_alleles : bool
        Whether the locus has two alleles; else each founder's alleles have effects of their own.
    log_sd : float
        If positive the trait is exp(log_sd · y).
    normal_scores : bool
        Whether the trait is transformed, by ranks, to a normal one before it is analysed.
    formula : str
        The null model.
    """

    name: str
    title: str
    kind: str
    studies: int
    items: int
    h2: float = 0.5
    c2: float = 0.0
    share: float = 0.0
    two_alleles: bool = False
    log_sd: float = 0.0
    normal_scores: bool = False
    formula: str = KIN


def _settings() -> tuple[Setting, ...]:
    skew = {"log_sd": 0.6, "title": "a log-normal trait, of standard deviation 0.6 in the logarithm"}
    return (
        Setting(name="linkage", title="no locus", kind="linkage", studies=1000, items=10),
        Setting(
            name="linkage, household", title="no locus; households, in the model", kind="linkage", studies=1000,
            items=10, h2=0.4, c2=0.2, formula=HOUSE,
        ),
        Setting(
            name="linkage, household left out", title="no locus; households, not in the model", kind="linkage",
            studies=1000, items=10, h2=0.4, c2=0.2,
        ),
        Setting(
            name="linkage, not heritable", title="no locus and no heritability", kind="linkage", studies=1000,
            items=10, h2=0.0,
        ),
        Setting(name="linkage, skewed", kind="linkage", studies=1000, items=10, **skew),
        Setting(
            name="linkage, normal scores", title="the same, transformed by `qtl.inormal`", kind="linkage",
            studies=1000, items=10, log_sd=0.6, normal_scores=True,
        ),
        Setting(name="share 0.1", title="a locus of 10 %", kind="linkage", studies=1000, items=1, share=0.1),
        Setting(name="share 0.2", title="a locus of 20 %", kind="linkage", studies=1000, items=1, share=0.2),
        Setting(name="share 0.3", title="a locus of 30 %", kind="linkage", studies=1000, items=1, share=0.3),
        Setting(
            name="share 0.2, two alleles", title="a locus of 20 % with two alleles, of frequency 0.3", kind="linkage",
            studies=1000, items=1, share=0.2, two_alleles=True,
        ),
        Setting(name="SNPs", title="no SNP has an effect", kind="association", studies=1000, items=50),
        Setting(
            name="SNPs, household left out", title="the same; households, not in the model", kind="association",
            studies=500, items=50, h2=0.4, c2=0.2,
        ),
        Setting(name="effect 0.01", title="a SNP of 1 %", kind="association", studies=500, items=1, share=0.01),
        Setting(name="effect 0.02", title="a SNP of 2 %", kind="association", studies=500, items=1, share=0.02),
        Setting(name="effect 0.04", title="a SNP of 4 %", kind="association", studies=500, items=1, share=0.04),
        Setting(
            name="structure", kind="structure", studies=500, items=50,
            title="no SNP has an effect; families are of two populations that differ in both",
        ),
        Setting(name="adjusted", title="no locus; by `lod_adjust`", kind="adjusted", studies=100, items=20),
        Setting(
            name="adjusted, not heritable", title="no locus and no heritability; by `lod_adjust`", kind="adjusted",
            studies=100, items=20, h2=0.0,
        ),
        Setting(
            name="adjusted, skewed", kind="adjusted", studies=100, items=20, log_sd=0.6,
            title="no locus, the log-normal trait; by `lod_adjust`",
        ),
        Setting(
            name="two traits", kind="bivariate", studies=400, items=3, formula=TWO,
            title="no locus; two traits, all correlations 0.5",
        ),
    )  # fmt: skip


SETTINGS = {setting.name: setting for setting in _settings()}


@dataclass(frozen=True, eq=False)
class Family:
    """The people of the study of families that comes with the package; their traits are drawn anew.

    Attributes
    ----------
    frame : DataFrame
        `ID`, `age`, `sex`, `household`; a row a person.
    pedigree : Pedigree
    families : ndarray of int, shape (n,)
        Numbers of the families, from 0.
    relationships : ndarray, shape (n, n)
        A, twice the kinship.
    """

    frame: pd.DataFrame
    pedigree: Pedigree
    families: NDArray[np.intp]
    relationships: Floats

    @property
    def n(self) -> int:
        """Number of people."""
        return len(self.frame)

    @cached_property
    def root(self) -> Floats:
        """L with L Lᵀ = A."""
        return np.asarray(np.linalg.cholesky(self.relationships + _RIDGE * np.eye(self.n)))

    @cached_property
    def households(self) -> NDArray[np.intp]:
        """Numbers of the households, from 0."""
        return np.unique(self.frame["household"], return_inverse=True)[1]


@lru_cache(maxsize=1)
def family() -> Family:
    """The 398 people in 21 families."""
    frame, people = datasets.load("family"), datasets.load("family_pedigree")
    if frame["ID"].tolist() != people["ID"].tolist():
        raise ValueError("the pedigree has other people")
    return Family(
        frame[["ID", "age", "sex", "household"]],
        Pedigree.from_frame(people),
        np.unique(people["FAMID"], return_inverse=True)[1],
        Descent(people).relationships(),
    )


def seed_of(setting: str, study: int) -> SeedSequence:
    """The seed of one study, the same whatever else is run."""
    return SeedSequence(SEED, spawn_key=(list(SETTINGS).index(setting), study))


def draw_trait(setting: Setting, genes: DroppedGenes, counts: Floats | None, rng: Generator) -> Floats:
    """
    A trait of variance 1 and mean 0, before it is made skew; no test depends on what age and sex do.

    Parameters
    ----------
    setting : Setting
    genes : DroppedGenes
        The first position is that of the locus.
    counts : ndarray, shape (n,), or None
        Alleles of the SNP with an effect, of frequency `EFFECT`; None where the effect is a locus's.
    rng : Generator

    Returns
    -------
    ndarray, shape (n,)
    """
    who = family()
    polygenic = np.sqrt(setting.h2 - setting.share) * (who.root @ rng.standard_normal(who.n))
    household = np.sqrt(setting.c2) * rng.standard_normal(who.households.max() + 1)[who.households]
    residual = np.sqrt(1.0 - setting.h2 - setting.c2) * rng.standard_normal(who.n)
    trait = polygenic + household + residual
    if setting.share > 0.0:
        trait += _locus(setting, genes, rng) if counts is None else effect_of(setting) * (counts - 2.0 * EFFECT)
    return np.asarray(np.exp(setting.log_sd * trait) if setting.log_sd else trait)


def effect_of(setting: Setting) -> float:
    """Of one copy of the allele of the SNP."""
    return float(np.sqrt(setting.share / (2.0 * EFFECT * (1.0 - EFFECT))))


def _locus(setting: Setting, genes: DroppedGenes, rng: Generator) -> Floats:
    """Effects of the alleles at the first position, of variance `share` in people who are not inbred."""
    if setting.two_alleles:
        has = rng.random(genes.n_founder_alleles) < TWO_ALLELES
        effects = (has - TWO_ALLELES) * np.sqrt(setting.share / (2.0 * TWO_ALLELES * (1.0 - TWO_ALLELES)))
    else:
        effects = np.sqrt(0.5 * setting.share) * rng.standard_normal(genes.n_founder_alleles)
    return np.asarray(effects[genes.alleles[0]].sum(axis=1))


def draw_two_traits(setting: Setting, rng: Generator) -> Floats:
    """Two traits of one heritability, whose genetic effects and residuals have correlation `RHO`; shape (n, 2)."""
    who, mixed = family(), np.linalg.cholesky(np.array([[1.0, RHO], [RHO, 1.0]])).T
    genetic = who.root @ rng.standard_normal((who.n, 2)) @ mixed
    residual = rng.standard_normal((who.n, 2)) @ mixed
    return np.asarray(np.sqrt(setting.h2) * genetic + np.sqrt(1.0 - setting.h2) * residual)
