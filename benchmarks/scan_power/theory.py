"""What tests should find: non-centralities from the covariance that is true, and the power that follows.

Twice the expected loss of log-likelihood of the nearest model without a locus, given who shares what at it, is

    λ = min over s, h of  n log s + tr(V₀(h)⁻¹V₁)/s − n + log|V₀(h)| − log|V₁|,

V₁ the true covariance and V₀ that of the model (Williams & Blangero 1999; Sham et al. 2000). The likelihood ratio
is then about max(0, Z)², Z ~ N(√λ, 1). Of a SNP with effect a, λ = a² gᵀPg at the true variances. Both are large-sample
theory: variances that are estimated cost something that it does not know of.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from benchmarks.scan_power.designs import Setting, effect_of, family
from lmmpy.markers.pairs import Pairs

__all__ = ["association_power", "expected_lod", "locus_information", "lod_power", "snp_information"]

Floats = NDArray[np.float64]

_LN10 = math.log(10.0)


def by_families(pairs: Pairs | tuple[Floats, ...]) -> Floats:
    """A covariance between people as blocks, shape (families, largest, largest); zero where a family has fewer."""
    first, second, value = pairs
    who = family()
    sizes = np.bincount(who.families)
    place = np.arange(who.n) - np.concatenate([[0], np.cumsum(sizes)])[who.families]
    if np.any(who.families[first] != who.families[second]):
        raise ValueError("people of two families share something")
    blocks = np.zeros((len(sizes), sizes.max(), sizes.max()))
    blocks[who.families[first], place[first], place[second]] = value
    blocks[who.families[first], place[second], place[first]] = value
    return blocks


def locus_information(setting: Setting, shared: Pairs) -> float:
    """
    λ of a locus, of people who share so.

    Parameters
    ----------
    setting : Setting
        Without households.
    shared : Pairs
        The sharing at the locus.
    """
    n, kinship, identity = _parts()
    own = by_families(shared)
    true = setting.share * own + (setting.h2 - setting.share) * kinship + (1.0 - setting.h2) * identity
    there = identity.any(axis=2, keepdims=True)
    true = true + np.where(there, 0.0, np.eye(true.shape[1]))

    def loss(h: float) -> float:
        model = h * kinship + (1.0 - h) * identity + np.where(there, 0.0, np.eye(true.shape[1]))
        trace = np.trace(np.linalg.solve(model, true), axis1=1, axis2=2).sum() - (model.shape[0] * model.shape[1] - n)
        return float(n * np.log(trace / n) + np.linalg.slogdet(model)[1].sum())

    best = optimize.minimize_scalar(loss, bounds=(0.0, 0.99), method="bounded", options={"xatol": 1e-6})
    return max(float(best.fun - np.linalg.slogdet(true)[1].sum()), 0.0)


def _parts() -> tuple[int, Floats, Floats]:
    """Number of people, A and I by families."""
    who = family()
    first, second = np.nonzero(who.relationships)
    kinship = by_families((first, second, who.relationships[first, second]))
    everybody = np.arange(who.n)
    return who.n, kinship, by_families((everybody, everybody, np.ones(who.n)))


def snp_information(setting: Setting, X: Floats, counts: Floats) -> float:
    """
    λ of a SNP with an effect.

    Parameters
    ----------
    setting : Setting
    X : ndarray, shape (n, p)
        Fixed effects of the null model.
    counts : ndarray, shape (n,)
        Of the alleles.
    """
    who = family()
    V = (setting.h2 - setting.share) * who.relationships + (1.0 - setting.h2) * np.eye(who.n)
    root = np.linalg.cholesky(V)
    solved = np.linalg.solve(root, np.column_stack([X, counts]))
    Q = np.linalg.qr(solved[:, :-1])[0]
    left = solved[:, -1] - Q @ (Q.T @ solved[:, -1])
    return effect_of(setting) ** 2 * float(left @ left)


def expected_lod(information: Floats) -> float:
    """E max(0, Z)²/(2 ln 10), Z ~ N(√λ, 1), over studies."""
    mu = np.sqrt(information)
    squared = (1.0 + mu**2) * stats.norm.cdf(mu) + mu * stats.norm.pdf(mu)
    return float(squared.mean()) / (2.0 * _LN10)


def lod_power(information: Floats, lod: float) -> float:
    """P(max(0, Z)² ≥ 2 ln 10 · LOD), over studies."""
    return float(stats.norm.sf(math.sqrt(2.0 * _LN10 * lod) - np.sqrt(information)).mean())


def association_power(information: Floats, dof: int, level: float) -> float:
    """P(F(1, dof; λ) above the quantile of the level), over studies."""
    # not ncf.sf, which scipy 1.17 has as −0.95 where that is 0.05, of a non-centrality of zero
    return float(1.0 - stats.ncf.cdf(stats.f.isf(level, 1, dof), 1, dof, information).mean())
