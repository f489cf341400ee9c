"""Responses drawn from a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, SeedSequence

from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Codes, Floats
from lmmpy.engines.components import connected_components
from lmmpy.errors import ModelError
from lmmpy.inference.row_covariances import (
    ResidualCovariance,
    covariance_of_function,
    parts_of_rows,
    root_of,
)
from lmmpy.relatedness.components import members

__all__ = ["RootOfFunction", "draw_response", "seed_sequences"]


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
    design: Design,
    mean: Floats,
    factors: Sequence[Floats],
    sigma: float,
    generator: Generator,
    residual: ResidualCovariance | None = None,
    functions: Sequence[RootOfFunction] = (),
) -> Floats:
    """
    Draw y = mean + Zb + Σg + e.

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
    residual : ResidualCovariance, optional
        By default that of independent residuals.
    functions : sequence of RootOfFunction
        Of the random functions; empty when they are held.

    Returns
    -------
    ndarray, shape (n,)
    """
    y = mean.copy()
    for term, T in zip(design.random, factors, strict=False):
        b = sigma * _draw_levels(term, generator) @ T.T
        for column in range(term.k):
            y += term.values[:, column] * b[term.codes, column]
    for function in functions:
        y += sigma * function.draw(generator)
    residual = ResidualCovariance(design, np.empty(0)) if residual is None else residual
    return y + sigma * residual.draw(generator)


@dataclass(frozen=True, eq=False, slots=True)
class RootOfFunction:
    """
    Draws a random function of a covariate at the rows.

    Attributes
    ----------
    n : int
        Number of rows.
    parts : list of (ndarray of int, ndarray)
        Rows that hang together, and B with BBᵀ their covariance over σ².
    """

    n: int
    parts: list[tuple[Codes, Floats]]

    @classmethod
    def of(cls, design: Design, theta: Floats) -> list[RootOfFunction]:
        """Those of all random functions of a design."""
        if not design.functions:
            return []
        blocks = members(connected_components(design).rows)
        pairs = zip(design.functions, parts_of_rows(design, theta)[0], strict=True)
        return [
            cls(design.n, [(rows, root_of(covariance_of_function(function, phi, rows, rows))) for rows in blocks])
            for function, phi in pairs
        ]

    def draw(self, generator: Generator) -> Floats:
        """One function over σ, shape (n,)."""
        noise, found = generator.standard_normal(self.n), np.empty(self.n)
        for rows, B in self.parts:
            found[rows] = B @ noise[rows]
        return found


def _draw_levels(term: RandomEffects, generator: Generator) -> Floats:
    """Effects with covariance K between levels, independent within, shape (levels, k)."""
    if term.relatedness.is_identity:
        return generator.standard_normal((term.n_levels, term.k))
    return np.asarray(term.relatedness.root_times(generator.standard_normal((term.relatedness.rank, term.k))))
