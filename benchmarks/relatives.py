"""Simulated records of relatives: genotyped people, families and herds, with a heritability of one half."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.pedigrees import UNKNOWN, Animals, Breeding, livestock, nuclear_families

Floats = NDArray[np.float64]
MARKERS = 5_000
CHILDREN = 2


@dataclass(frozen=True, slots=True)
class Records:
    """Records, and how those who have them are related.

    Attributes
    ----------
    frame : DataFrame
        `y`, a covariate `x`, and the categorical `id`; its categories are the order of matrix and pedigree.
    matrix : ndarray or csc_array of shape (levels, levels), or None
        The relatedness.
    animals : Animals or None
        The pedigree.
    """

    frame: pd.DataFrame
    matrix: "Floats | sparse.csc_array | None" = None
    animals: Animals | None = None


def _records(rng: np.random.Generator, values: Floats, each: int = 1, lasting: float = 0.0) -> pd.DataFrame:
    """Return y = 1 + x/2 + g + p + e, `each` times for each genetic value g; var(e) is 1, sd(p) is `lasting`."""
    size = values.size
    names = pd.Index([f"i{number + 1}" for number in range(size)])
    codes = np.repeat(np.arange(size), each)
    x = rng.standard_normal(codes.size)
    own = values + lasting * rng.standard_normal(size)
    y = 1.0 + 0.5 * x + own[codes] + rng.standard_normal(codes.size)
    return pd.DataFrame({"y": y, "x": x, "id": pd.Categorical.from_codes(codes, categories=names)})


@lru_cache(maxsize=1)
def genotyped(n: int, seed: int) -> Records:
    """Simulate `n` people with standardised genotypes G at 5,000 unlinked loci; K = GGᵀ/5,000."""
    rng = np.random.default_rng(seed)
    genotypes = _genotypes(rng, n)
    values = genotypes @ rng.standard_normal(MARKERS) / np.sqrt(MARKERS)
    return Records(_records(rng, values), genotypes @ genotypes.T / MARKERS)


def _genotypes(rng: np.random.Generator, n: int) -> Floats:
    """Return standardised allele counts, shape (n, MARKERS)."""
    frequency = rng.uniform(0.05, 0.5, MARKERS)
    counts = rng.binomial(2, frequency, (n, MARKERS)).astype(np.float64)
    return np.asarray((counts - counts.mean(axis=0)) / counts.std(axis=0))


def breeding_values(animals: Animals, rng: np.random.Generator) -> Floats:
    """Return values with variance 1 in the base, shape (n,): the parents' mean and a draw; inbreeding is left out."""
    size = len(animals)
    values = np.append(np.zeros(size), 0.0)  # the last is the unknown parent's
    parents = np.stack([animals.father, animals.mother])
    known = (parents != UNKNOWN).sum(axis=0)
    draws = rng.standard_normal(size) * np.sqrt(1.0 - 0.25 * known)
    for year in np.unique(animals.born):  # parents are of earlier years
        now = np.flatnonzero(animals.born == year)
        values[now] = 0.5 * values[parents[:, now]].sum(axis=0) + draws[now]
    return values[:size]


@lru_cache(maxsize=1)
def families(n: int, seed: int) -> Records:
    """Simulate `n` people in families of two parents and two children; the matrix is sparse, twice the kinship."""
    rng = np.random.default_rng(seed)
    people = nuclear_families(n, CHILDREN)
    block = np.full((2 + CHILDREN, 2 + CHILDREN), 0.5) + 0.5 * np.eye(2 + CHILDREN)
    block[0, 1] = block[1, 0] = 0.0
    matrix = sparse.csc_array(sparse.kron(sparse.eye_array(len(people) // (2 + CHILDREN)), block, format="csc"))
    matrix.eliminate_zeros()
    return Records(_records(rng, breeding_values(people, rng)), matrix, people)


@lru_cache(maxsize=1)
def herds(n: int, how: Breeding, seed: int, each: int = 1, lasting: float = 0.0) -> Records:
    """Simulate livestock, every animal with `each` records; `lasting` is the sd of its permanent environment."""
    rng = np.random.default_rng(seed)
    animals = livestock(n, how, seed)
    return Records(_records(rng, breeding_values(animals, rng), each, lasting), animals=animals)


# Covariances of two traits, and the share of records that miss each.
GENETIC, RESIDUAL, MISSING = ((1.0, 0.5), (0.5, 1.5)), ((1.0, 0.3), (0.3, 2.0)), (0.05, 0.3)


def _traits(rng: np.random.Generator, values: Floats, residual: Floats, shift: Floats, unit: Floats) -> pd.DataFrame:
    """Return `y1`, `y2`, … in their units from genetic values, shape (n, d), and a covariate `x` and the `id`."""
    size, d = values.shape
    x = rng.standard_normal(size)
    own = rng.standard_normal((size, d)) @ np.linalg.cholesky(residual).T
    y = (0.5 * x[:, None] + values + own + shift) * unit
    ids = pd.Categorical.from_codes(np.arange(size), categories=pd.Index([f"i{number + 1}" for number in range(size)]))
    return pd.DataFrame({**{f"y{t + 1}": y[:, t] for t in range(d)}, "x": x, "id": ids})


@lru_cache(maxsize=1)
def genotyped_traits(n: int, seed: int) -> Records:
    """Simulate two complete traits of people as those of `genotyped`, with the covariances of `two_traits`."""
    rng = np.random.default_rng(seed)
    genotypes = _genotypes(rng, n)
    effects = rng.standard_normal((MARKERS, 2)) @ np.linalg.cholesky(np.array(GENETIC)).T
    values = genotypes @ effects / np.sqrt(MARKERS)
    frame = _traits(rng, values, np.array(RESIDUAL), np.array([1.0, 20.0]), np.array([1.0, 10.0]))
    return Records(frame, genotypes @ genotypes.T / MARKERS)


TRAITS, SIBS = 5, 3


@lru_cache(maxsize=1)
def five_traits(n: int, seed: int) -> Records:
    """Simulate five traits of `n` people in families of two parents and three children; one value in ten is missing.

    Heritabilities are from 0.3 to 0.7, genetic correlations 0.4, environmental ones 0.2.
    """
    rng = np.random.default_rng(seed)
    people, one = nuclear_families(n, SIBS), np.eye(TRAITS)
    share = np.linspace(0.3, 0.7, TRAITS)
    genetic = (0.4 + 0.6 * one) * np.sqrt(np.outer(share, share))
    residual = (0.2 + 0.8 * one) * np.sqrt(np.outer(1.0 - share, 1.0 - share))
    values = np.column_stack([breeding_values(people, rng) for _ in range(TRAITS)]) @ np.linalg.cholesky(genetic).T
    frame = _traits(rng, values, residual, np.arange(TRAITS) + 1.0, np.array([1.0, 0.5, 2.0, 1.0, 0.2]))
    names = [f"y{t + 1}" for t in range(TRAITS)]
    frame[names] = frame[names].mask(rng.random((len(frame), TRAITS)) < 0.1)
    return Records(frame, animals=people)


@lru_cache(maxsize=1)
def two_traits(n: int, how: Breeding, seed: int) -> Records:
    """Simulate livestock with `y1`, and `y2` in a unit of its own; some animals miss one or both."""
    rng = np.random.default_rng(seed)
    animals = livestock(n, how, seed)
    values = np.column_stack([breeding_values(animals, rng) for _ in MISSING]) @ np.linalg.cholesky(np.array(GENETIC)).T
    frame = _traits(rng, values, np.array(RESIDUAL), np.array([1.0, 20.0]), np.array([1.0, 10.0]))
    frame[["y1", "y2"]] = frame[["y1", "y2"]].mask(rng.random((len(frame), 2)) < MISSING)
    return Records(frame, animals=animals)


def pedigree_frame(names: "pd.Index[str]", father: NDArray[np.int64], mother: NDArray[np.int64]) -> pd.DataFrame:
    """Return `id`, `father`, `mother` as strings, None where unknown; parents come by number, -1 for unknown."""
    labels = np.array([*names, None], dtype=object)
    return pd.DataFrame({"id": labels[:-1], "father": labels[father], "mother": labels[mother]})
