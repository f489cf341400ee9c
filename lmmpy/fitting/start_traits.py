"""Start values of several traits, or strata: covariances between them too, by the moments of pairs of residuals.

With e_t the residuals of trait t about the fixed effects, and B_j = Z_tK_jZ_uᵀ the covariance that term j gives traits
t and u, or the identity between residuals of one row, E e_te_uᵀ = Σ_j c_j B_j but for what the fixed effects take.
Least squares, whose traces random signs estimate, give the c_j of each pair of traits (Haseman & Elston 1972; Rao
1971).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Indexed
from lmmpy.design import Design, RandomEffects
from lmmpy.engines import Criterion
from lmmpy.fitting.moments import by_level, internal_root, less_fixed, orthonormal_fixed, random_signs

__all__ = ["by_pairs_of_traits"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# The least share of a variance, and the largest correlation, at a start.
_LEAST, _LARGEST = 0.05, 0.9


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Rows with one trait each: `e` their residuals and `signs` the random signs, in units typical of the trait."""

    trait: Ints
    groups: Ints
    root: Floats
    e: Floats
    signs: Floats

    def spread(self, term: RandomEffects | None, u: int) -> Floats:
        """B times the signs and the residuals of trait u, over all rows, shape (n, m + 1)."""
        own = np.column_stack([self.signs, self.e]) * (self.trait == u)[:, None]
        codes, size = (self.groups, int(self.groups.max()) + 1) if term is None else (term.codes, term.n_levels)
        scale = np.ones((len(codes), 1)) if term is None else self.root[:, None]
        summed = by_level(codes, scale * own, size)
        if term is not None and not term.relatedness.is_identity:
            summed = np.asarray(term.relatedness.times(summed))
        return np.asarray(scale * summed[codes])


def by_pairs_of_traits(criterion: Criterion) -> Floats | None:
    """
    θ by moments, where each row has one effect of every term and the residual is one of strata.

    Parameters
    ----------
    criterion : Criterion
        In the coordinates of its engine.

    Returns
    -------
    ndarray, shape (n_theta,), or None
        None for another kind of design.
    """
    design = criterion.design
    traits = _traits(design)
    if traits is None:
        return None
    assert design.residual is not None and isinstance(design.residual.structure, Indexed)
    structure, d = design.residual.structure, design.random[0].k
    rows = _rows(criterion, traits)
    found = np.zeros((len(design.random) + 1, d, d))
    for u in range(d):
        spread = [rows.spread(term, u) for term in (*design.random, None)]
        for t in range(u, d):
            found[:, t, u] = found[:, u, t] = _least_squares(rows, spread, t)
    total = np.maximum(found.sum(axis=0).diagonal(), np.finfo(float).tiny)
    covariances = [_bounded(C, total) for C in found]
    sizes = structure.sizes[_places(traits, structure, d)]
    scale = np.outer(sizes, sizes) / covariances[-1][0, 0]
    parts = [term.structure.nearest(scale * C) for term, C in zip(design.random, covariances, strict=False)]
    return np.concatenate([*parts, structure.structure.nearest(scale * covariances[-1])[1:]])


def _traits(design: Design) -> Ints | None:
    """The effect of each row, the same in all terms and for the residual; None when there is no such."""
    if design.functions or design.residual is None or not isinstance(design.residual.structure, Indexed):
        return None
    structure, d = design.residual.structure, len(design.residual.structure.labels)
    if not design.random or d < 2 or any(term.k != d for term in design.random):
        return None
    unit = np.eye(d)
    trait = design.random[0].values.argmax(axis=1)
    alike = all(np.array_equal(term.values, unit[trait]) for term in design.random)
    return trait if alike and np.array_equal(np.sort(np.unique(structure.places)), np.arange(d)) else None


def _places(trait: Ints, structure: Indexed, d: int) -> Ints:
    """The place of each trait among those of the residual."""
    first = np.array([int(np.argmax(trait == t)) for t in range(d)])
    found: Ints = structure.places[first]
    return found


def _rows(criterion: Criterion, trait: Ints) -> _Rows:
    design = criterion.design
    assert design.residual is not None
    root = internal_root(design)
    y = design.y if design.offset is None else design.y - design.offset
    e = less_fixed(orthonormal_fixed(criterion, root), root * y)
    signs = random_signs(design.n)
    groups = np.unique(design.residual.groups, return_inverse=True)[1].astype(np.intp)
    return _Rows(trait, groups, root * design.residual.typical, e, signs)


def _least_squares(rows: _Rows, spread: list[Floats], t: int) -> Floats:
    """The c_j of trait t and the one whose rows were spread."""
    own = rows.trait == t
    F = np.array([x[own, :-1].ravel() for x in spread])
    gram = F @ F.T / rows.signs.shape[1]
    right = np.array([float(rows.e[own] @ x[own, -1]) for x in spread])
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    return np.asarray(np.linalg.lstsq(gram / np.outer(scale, scale), right / scale, rcond=1e-8)[0] / scale)


def _bounded(C: Floats, total: Floats) -> Floats:
    """A positive definite matrix near C, whose variances are no small part of the totals."""
    sd = np.sqrt(np.clip(np.diag(C), _LEAST * total, total))
    rho = np.clip(C / np.outer(sd, sd), -_LARGEST, _LARGEST)
    np.fill_diagonal(rho, 1.0)
    values, vectors = np.linalg.eigh(rho)
    rho = (vectors * np.maximum(values, 1.0 - _LARGEST)) @ vectors.T
    unit = np.sqrt(np.diag(rho))
    return np.asarray(rho / np.outer(unit, unit) * np.outer(sd, sd))
