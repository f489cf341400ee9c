"""What is computed for each simulated study: the calls that a user makes, and what they say."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator, default_rng
from scipy import stats

import lmmpy as lmm
from benchmarks.scan_power.designs import (
    COMMON,
    DIFFERENCE,
    DISTANCE,
    EFFECT,
    RARE,
    SETTINGS,
    Family,
    Floats,
    Setting,
    draw_trait,
    draw_two_traits,
    family,
    seed_of,
)
from benchmarks.scan_power.theory import locus_information, snp_information
from lmmpy import qtl
from lmmpy.engines import one_blas_thread
from lmmpy.errors import ConvergenceWarning, LmmpyError, SingularFitWarning
from lmmpy.markers import drop_genes, grm
from lmmpy.model import LmmFit
from lmmpy.scan import Block

__all__ = ["COLUMNS", "MARKERS", "Studies"]

# Rows of a study, one a locus or SNP, and what each has.
Rows = dict[str, Any]

# Unlinked markers by which `lod_adjust` adjusts.
MARKERS = 500
# SNPs from which relatedness is estimated; those that are tested are not among them.
BACKGROUND = 1000
COLUMNS = {
    "linkage": ("lod", "h2", "h2q", "noted", "information"),
    "bivariate": ("lod", "lod_raw", "p_value", "noted"),
    "adjusted": ("lod", "lod_adjusted", "multiplier"),
    "association": ("maf", "lm", "score", "wald_at_null", "lrt_at_null", "wald", "lrt", "information"),
    "structure": ("maf", "lm", "pedigree", "covariate", "grm"),
}


@dataclass(frozen=True, slots=True)
class Studies:
    """
    The studies of one setting as the task of a scan: see `lmmpy.scan.run_scan`.

    A block's table has a row for each locus or SNP of each study, with `study`, `item` (−1 where lmmpy refused, and
    `said` says why), the columns of its kind, and `warned`.
    """

    setting: str

    def __call__(self, block: Block) -> pd.DataFrame:
        """The rows of some studies."""
        return pd.concat([_study(SETTINGS[self.setting], n) for n in range(block.start, block.stop)], ignore_index=True)


def _study(setting: Setting, number: int) -> pd.DataFrame:
    """The rows of one study; when lmmpy refuses it, one that says why."""
    said = ""
    with warnings.catch_warnings(record=True) as caught, one_blas_thread():
        warnings.simplefilter("always")
        try:
            rows = KINDS[setting.kind](setting, default_rng(seed_of(setting.name, number)))
            items = setting.items
        except (LmmpyError, ArithmeticError, np.linalg.LinAlgError) as error:
            rows, items, said = {}, 1, f"{type(error).__name__}: {error}"
    others = [one for one in caught if not issubclass(one.category, SingularFitWarning)]
    if others and not said:
        said = str(others[0].message)
    table = {"study": number, "item": np.arange(items) if rows else -1}
    table |= {
        name: np.broadcast_to(np.asarray(rows.get(name, math.nan), float), items) for name in COLUMNS[setting.kind]
    }
    converged = not any(issubclass(one.category, ConvergenceWarning) for one in others)
    return pd.DataFrame({**table, "warned": bool(others), "converged": converged, "said": " ".join(said.split())})


# ---- null models


@lru_cache(maxsize=8)
def _template(formula: str) -> LmmFit:
    """A fit of the formula to noise, for those that are drawn to take its place: relatedness is looked at once."""
    who = family()
    noise = default_rng(0).standard_normal((3, who.n))
    frame = who.frame.assign(**dict(zip(("y", "y1", "y2"), noise, strict=True)))
    return lmm.lmer(formula, frame, reml=False, relmat={"pedigree": who.pedigree})


def _fixed(fit: LmmFit) -> Floats:
    return fit.design.X


def _lm(y: Floats, X: Floats, G: Floats) -> Floats:
    """p-values of ordinary regression, as if people were unrelated."""
    Q = np.linalg.qr(X)[0]
    y, G = y - Q @ (Q.T @ y), G - Q @ (Q.T @ G)
    along, size, dof = G.T @ y, np.einsum("nm,nm->m", G, G), len(y) - X.shape[1] - 1
    size[size < 1e-10] = np.nan  # monomorphic
    explained = along**2 / size
    return np.asarray(stats.f.sf(explained / ((y @ y - explained) / dof), 1, dof))


# ---- linkage


def _linkage(setting: Setting, rng: Generator) -> Rows:
    genes = drop_genes(family().pedigree, setting.items, rng)
    null = _template(setting.formula).refit(_analysed(setting, draw_trait(setting, genes, None, rng)))
    found = qtl.linkage(null, genes.ibd, progress=False).lod.assign(noted=_noted)
    rows = {name: found[name].to_numpy() for name in ("lod", "h2", "h2q", "noted")}
    if setting.share > 0.0:
        rows["information"] = locus_information(setting, genes.ibd.pairs(0))
    return rows


def _analysed(setting: Setting, trait: Floats) -> Floats:
    return np.asarray(qtl.inormal(trait), dtype=float) if setting.normal_scores else trait


def _noted(lod: pd.DataFrame) -> pd.Series:
    """Whether a note says that something is the matter with a position, as that its search did not converge."""
    return lod["note"] != ""


def _bivariate(setting: Setting, rng: Generator) -> Rows:
    genes = drop_genes(family().pedigree, setting.items, rng)
    null = _template(setting.formula).refit(draw_two_traits(setting, rng))
    found = qtl.linkage(null, genes.ibd, progress=False).lod.assign(noted=_noted)
    return {name: found[name].to_numpy() for name in COLUMNS["bivariate"]}


def _adjusted(setting: Setting, rng: Generator) -> Rows:
    """LODs at loci other than those by which they are adjusted."""
    who = family()
    genes = drop_genes(who.pedigree, setting.items, rng)
    null = _template(setting.formula).refit(draw_trait(setting, genes, None, rng))
    adjustment = qtl.lod_adjust(null, who.pedigree, MARKERS, seed=rng, progress=False)
    lod = qtl.linkage(null, genes.ibd, progress=False).lod["lod"].to_numpy()
    return {"lod": lod, "lod_adjusted": adjustment.multiplier * lod, "multiplier": adjustment.multiplier}


# ---- association


def _association(setting: Setting, rng: Generator) -> Rows:
    who, effect = family(), setting.share > 0.0
    genes = drop_genes(who.pedigree, setting.items, rng)
    at = np.full(1, EFFECT) if effect else rng.uniform(RARE, COMMON, setting.items)
    frame = genes.genotypes(at, rng)
    counts = frame.to_numpy(dtype=float)
    trait = draw_trait(setting, genes, counts[:, 0] if effect else None, rng)
    null = _template(setting.formula).refit(trait)
    exact = qtl.association(null, frame, "all", exact=True, progress=False).table
    quick = qtl.association(null, frame, "all", progress=False).table
    rows: Rows = {"maf": exact["maf"], "score": exact["p_score"], "wald": exact["p_wald"], "lrt": exact["p_lrt"]}
    rows |= {"wald_at_null": quick["p_wald"], "lrt_at_null": quick["p_lrt"], "lm": _lm(trait, _fixed(null), counts)}
    if effect:
        rows["information"] = snp_information(setting, _fixed(null), counts[:, 0])
    return rows


def _structure(setting: Setting, rng: Generator) -> Rows:
    """Score tests with several null models, and ordinary regression, where families are of two populations."""
    who = family()
    genes = drop_genes(who.pedigree, setting.items + BACKGROUND, rng)
    population = (rng.permutation(who.families.max() + 1) % 2)[who.families]
    counts = structured_counts(genes.alleles, genes.n_founder_alleles, population, rng)
    trait = draw_trait(setting, genes, None, rng) + DIFFERENCE * population
    ids = pd.Index(genes.people)
    tested = pd.DataFrame(counts[:, : setting.items], index=ids, columns=[f"snp{i}" for i in range(setting.items)])
    background = counts[:, setting.items :]
    related = grm(background[:, background.std(axis=0) > 0.0], people=ids)
    nulls = _structure_nulls(who, trait, population, related)
    rows: Rows = {"lm": _lm(trait, _fixed(nulls["pedigree"]), tested.to_numpy(dtype=float))}
    for name, null in nulls.items():
        found = qtl.association(null, tested, progress=False).table
        rows |= {name: found["p_value"], "maf": found["maf"]}
    return rows


def structured_counts(alleles: Any, n_alleles: int, population: Any, rng: Generator) -> Floats:
    """
    Counts of alleles whose frequencies differ between two populations (Balding & Nichols 1995).

    Parameters
    ----------
    alleles : ndarray of int, shape (L, n, 2)
        Numbers of founder alleles; families do not share any.
    n_alleles : int
    population : ndarray of int, shape (n,)
    rng : Generator

    Returns
    -------
    ndarray, shape (n, L)
    """
    L = len(alleles)
    ancestral = rng.uniform(2.0 * RARE, COMMON, L)
    scale = (1.0 - DISTANCE) / DISTANCE
    frequency = rng.beta(ancestral * scale, (1.0 - ancestral) * scale, (2, L))
    founder = np.zeros(n_alleles, dtype=int)
    for locus in alleles:  # all alleles are handed down at some locus
        founder[locus] = population[:, None]
    has = rng.random((L, n_alleles)) < frequency[founder].T
    return np.array([own[locus].sum(axis=1) for own, locus in zip(has, alleles, strict=True)], dtype=float).T


def _structure_nulls(who: Family, trait: Floats, population: Any, related: Any) -> dict[str, LmmFit]:
    frame = who.frame.assign(y=trait, population=population)
    covariate = "y ~ age + sex + population + kin(ID, pedigree)"
    by_genes = "y ~ age + sex + kin(ID, related)"
    return {
        "pedigree": _template(SETTINGS["structure"].formula).refit(trait),
        "covariate": lmm.lmer(covariate, frame, reml=False, relmat={"pedigree": who.pedigree}),
        "grm": lmm.lmer(by_genes, frame, reml=False, relmat={"related": related}),
    }


KINDS: dict[str, Callable[[Setting, Generator], Rows]] = {
    "linkage": _linkage,
    "bivariate": _bivariate,
    "adjusted": _adjusted,
    "association": _association,
    "structure": _structure,
}
