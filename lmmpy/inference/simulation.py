"""Responses drawn from a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator, SeedSequence

from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Floats
from lmmpy.errors import ModelError

__all__ = ["draw_response", "seed_sequences"]


def seed_sequences(seed: int | SeedSequence | None, n: int) -> list[SeedSequence]:
    """
    One seed for each of n replicates, so that replicate i is the same however the work is shared out.

    Parameters
    ----------
    seed : int, SeedSequence or None
        None takes fresh entropy.
    n : int
        At least 1.

    Raises
    ------
    ModelError
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"n, the number of replicates, must be a whole number from 1; got {n!r}.")
    if isinstance(seed, bool) or (seed is not None and not isinstance(seed, int | np.integer | SeedSequence)):
        raise ModelError(f"seed must be a whole number, a numpy SeedSequence or None, not a {type(seed).__name__}.")
    if isinstance(seed, int | np.integer) and seed < 0:
        raise ModelError(f"seed must not be negative; got {seed}.")
    # A fresh sequence with the same entropy, because spawning changes the one that was given.
    root = (
        SeedSequence(seed.entropy, spawn_key=seed.spawn_key) if isinstance(seed, SeedSequence) else SeedSequence(seed)
    )
    return root.spawn(int(n))


def draw_response(
    design: Design, mean: Floats, factors: Sequence[Floats], sigma: float, generator: Generator
) -> Floats:
    """
    Draw y = mean + Zb + e.

    Parameters
    ----------
    design : Design
    mean : ndarray, shape (n,)
        Xβ and offset; or Xβ + Zb̂ when the random effects are held.
    factors : sequence of ndarray, each of shape (k, k)
        T of each term whose effects are drawn, b ~ N(0, σ² K ⊗ TTᵀ) with K the relatedness of its levels; empty when
        they are held.
    sigma : float
    generator : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n,)
    """
    y = mean.copy()
    for term, T in zip(design.random, factors, strict=False):
        b = sigma * _draw_levels(term, generator) @ T.T
        for column in range(term.k):
            y += term.values[:, column] * b[term.codes, column]
    noise = sigma * generator.standard_normal(design.n)
    return y + (noise if design.weights is None else noise / np.sqrt(design.weights))


def _draw_levels(term: RandomEffects, generator: Generator) -> Floats:
    """Effects with covariance K between levels, independent within, shape (levels, k)."""
    if term.relatedness.is_identity:
        return generator.standard_normal((term.n_levels, term.k))
    return np.asarray(term.relatedness.root_times(generator.standard_normal((term.relatedness.rank, term.k))))
