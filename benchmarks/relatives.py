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
    frequency = rng.uniform(0.05, 0.5, MARKERS)
    counts = rng.binomial(2, frequency, (n, MARKERS)).astype(np.float64)
    genotypes = (counts - counts.mean(axis=0)) / counts.std(axis=0)
    values = genotypes @ rng.standard_normal(MARKERS) / np.sqrt(MARKERS)
    return Records(_records(rng, values), genotypes @ genotypes.T / MARKERS)


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


@lru_cache(maxsize=1)
def two_traits(n: int, how: Breeding, seed: int) -> Records:
    """Simulate livestock with `y1`, and `y2` in a unit of its own; some animals miss one or both."""
    rng = np.random.default_rng(seed)
    animals = livestock(n, how, seed)
    values = np.column_stack([breeding_values(animals, rng) for _ in MISSING])
    size, x = len(animals), rng.standard_normal(len(animals))
    own = rng.standard_normal((size, 2)) @ np.linalg.cholesky(np.array(RESIDUAL)).T
    y = 0.5 * x[:, None] + values @ np.linalg.cholesky(np.array(GENETIC)).T + own
    y = np.where(rng.random((size, 2)) < MISSING, np.nan, (y + [1.0, 20.0]) * [1.0, 10.0])
    names = pd.Index([f"i{number + 1}" for number in range(size)])
    ids = pd.Categorical.from_codes(np.arange(size), categories=names)
    return Records(pd.DataFrame({"y1": y[:, 0], "y2": y[:, 1], "x": x, "id": ids}), animals=animals)


def pedigree_frame(names: "pd.Index[str]", father: NDArray[np.int64], mother: NDArray[np.int64]) -> pd.DataFrame:
    """Return `id`, `father`, `mother` as strings, None where unknown; parents come by number, -1 for unknown."""
    labels = np.array([*names, None], dtype=object)
    return pd.DataFrame({"id": labels[:-1], "father": labels[father], "mother": labels[mother]})
