"""Kenward and Roger's (1997) adjusted covariance of β̂ and degrees of freedom, without any n × n matrix.

Everything is in units of σ², V = W⁻¹ + Σ_t Z_t C_t Z_tᵀ with C_t = T_tT_tᵀ over the levels (K ⊗ T_tT_tᵀ where they are
related by K, and so each D_i below). The derivatives of V are
G_i = Z D_i Zᵀ for the variances and covariances (or θ, where C is not linear in them), and G_e = W⁻¹ = V − Z C Zᵀ for
the residual variance. With K = ZᵀV⁻¹Z, F = ZᵀV⁻¹X and Φ = (XᵀV⁻¹X)⁻¹,

    P_i = −XᵀV⁻¹G_iV⁻¹X = −FᵀD_iF,   Q_ij = XᵀV⁻¹G_iV⁻¹G_jV⁻¹X = FᵀD_iKD_jF,
    tr(V⁻¹G_iV⁻¹G_j) = tr(KD_iKD_j),
    I_ij = ½ [tr(V⁻¹G_iV⁻¹G_j) − 2 tr(ΦQ_ij) + tr(ΦP_iΦP_j)],   W = I⁻¹,
    Φ_A = Φ + 2Φ {Σ_ij W_ij (Q_ij − P_iΦP_j − ¼R_ij)} Φ,   R_ij = XᵀV⁻¹ ∂²V/∂i∂j V⁻¹X,

and what holds for G_e follows from those for C, since G_e is a difference. X stands in an orthonormal basis, and the
columns of unstructured terms in orthogonal coordinates, so that predictors far from zero cost no digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Directions, covariance_directions
from lmmpy.design import Design
from lmmpy.engines import Operators
from lmmpy.inference.contrasts import InBasis
from lmmpy.inference.related import among_levels

__all__ = ["KenwardRoger", "kenward_roger"]

Floats = NDArray[np.float64]

# A parameter, or a combination, of which the information is nil.
_NIL = 1e-12
# Both of two factors whose ratio tends to one.
_VANISHING = 1e-10


@dataclass(frozen=True, eq=False, slots=True)
class KenwardRoger(InBasis):
    """See `DenominatorDf`.

    Attributes
    ----------
    R, of_basis
        See `InBasis`; Φ_A.
    unadjusted : ndarray, shape (p, p)
        Φ.
    P : ndarray, shape (m, p, p)
        P_i for each variance parameter.
    W : ndarray, shape (m, m)
        Their asymptotic covariance.
    """

    unadjusted: Floats
    P: Floats
    W: Floats
    name: str = "kenward-roger"
    title: str = "Kenward-Roger's"

    def single(self, L: Floats) -> Floats:
        return np.array([self.joint(row[None])[0] if row.any() else np.nan for row in L])

    def joint(self, L: Floats) -> tuple[float, float]:
        """Degrees of freedom m and scaling λ (Kenward & Roger 1997, §4)."""
        rank, L = len(L), self.turned(L)
        theta = L.T @ np.linalg.solve(L @ self.unadjusted @ L.T, L)
        half = theta @ self.unadjusted @ self.P @ self.unadjusted
        traces = np.einsum("iaa->i", half)
        A1 = float(traces @ self.W @ traces)
        A2 = float(np.einsum("ij,iab,jba->", self.W, half, half))
        return moments_matched(A1, A2, rank)


def moments_matched(A1: float, A2: float, rank: int) -> tuple[float, float]:
    """
    M and λ of λF ~ F(rank, m) whose first two moments are the approximate ones of the Wald statistic.

    For one contrast A1 = A2, and the formulas reduce to m = 2/A2 and λ = 1, through factors that may vanish.
    """
    if A2 <= 0.0:  # the covariance does not change with the variance parameters: a χ² test
        return np.inf, 1.0
    if rank == 1:
        return 2.0 / A2, 1.0
    B = (A1 + 6.0 * A2) / (2.0 * rank)
    g = ((rank + 1) * A1 - (rank + 4) * A2) / ((rank + 2) * A2)
    base = 3.0 * rank + 2.0 * (1.0 - g)
    c1, c2, c3 = g / base, (rank - g) / base, (rank + 2.0 - g) / base
    mean_inverse, first = 1.0 - A2 / rank, 1.0 - c2 * B
    ratio = 1.0 if max(abs(mean_inverse), abs(first)) < _VANISHING else mean_inverse / first
    # rank ρ = N/D with ρ = V*/(2 E*²)
    N, D = ratio**2 * (1.0 + c1 * B), 1.0 - c3 * B
    m = 4.0 + (rank + 2) * D / (N - D)
    if not m > 2.0:  # the mean of an F distribution with so few degrees of freedom is infinite
        return m, np.nan
    return m, m * mean_inverse / (m - 2.0)


@dataclass(frozen=True, eq=False, slots=True)
class _Direction:
    """A symmetric (k, k) change of the covariance of one term, and what it does to X."""

    term: int
    D: Floats
    DF: Floats
    KDF: Floats


def kenward_roger(design: Design, theta: Floats, sigma: float, operators: Operators) -> KenwardRoger:
    """
    Prepare Kenward and Roger's method for a REML fit.

    Parameters
    ----------
    design : Design
        In the coordinates of the search.
    theta : ndarray, shape (n_theta,)
    sigma : float
    operators : Operators
        At θ̂, in the same.

    Returns
    -------
    KenwardRoger
    """
    parts = design.split_theta(theta)
    families = [covariance_directions(t.structure, part) for t, part in zip(design.random, parts, strict=True)]
    factors = [t.structure.factor(part).T for t, part in zip(design.random, parts, strict=True)]
    changes = [(t, D) for t, family in enumerate(families) for D in family.first]
    present = [(t, T @ T.T) for t, T in enumerate(factors)]
    directions = [_direction(design, operators, t, D) for t, D in changes + present]
    # The residual variance is V less the sum of what is present.
    to_parameters = np.zeros((len(changes) + 1, len(directions)))
    to_parameters[: len(changes), : len(changes)] = np.eye(len(changes))
    to_parameters[-1, len(changes) :] = -1.0
    Phi = np.asarray(np.linalg.inv(operators.QtVQ), dtype=float)
    P, Q = _fixed_parts(directions, to_parameters, operators)
    traces = _traces(directions, to_parameters, operators)
    W = _covariance(traces, P, Q, Phi)
    inner = np.einsum("ij,ijab->ab", W, Q - np.einsum("iac,cd,jdb->ijab", P, Phi, P))
    inner = inner - 0.25 * _curvature(design, families, W, operators.ZtVQ)
    adjusted = Phi + 2.0 * Phi @ (0.5 * (inner + inner.T)) @ Phi
    return KenwardRoger(operators.products.R, sigma**2 * adjusted, sigma**2 * Phi, P / sigma**4, W * sigma**4)


def _direction(design: Design, operators: Operators, t: int, D: Floats) -> _Direction:
    term, start, end = design.random[t], design.starts[t], design.starts[t + 1]
    DF = np.zeros_like(operators.ZtVQ)
    levels = among_levels(term, operators.ZtVQ[start:end]).reshape(term.n_levels, term.k, design.p)
    DF[start:end] = (D @ levels).reshape(end - start, design.p)
    return _Direction(t, D, DF, operators.ZtVZ(DF))


def _fixed_parts(directions: list[_Direction], to_parameters: Floats, operators: Operators) -> tuple[Floats, Floats]:
    """P, shape (m, p, p), and Q, shape (m, m, p, p), for all variance parameters, the residual variance last."""
    S, F = operators.QtVQ, operators.ZtVQ
    FDF = np.array([d.DF.T @ F for d in directions])
    FDKDF = np.array([[a.DF.T @ b.KDF for b in directions] for a in directions])
    P = -np.einsum("ia,axy->ixy", to_parameters, FDF)
    Q = np.einsum("ia,jb,abxy->ijxy", to_parameters, to_parameters, FDKDF)
    P[-1] -= S
    Q[-1] += np.einsum("jb,bxy->jxy", to_parameters, FDF)
    Q[:, -1] += np.einsum("ia,axy->ixy", to_parameters, FDF)
    Q[-1, -1] += S
    return P, Q


def _traces(directions: list[_Direction], to_parameters: Floats, operators: Operators) -> Floats:
    """tr(V⁻¹G_iV⁻¹G_j), shape (m, m)."""
    squares, sums = operators.squares(), operators.traces()
    size = len(directions)
    pairs = np.zeros((size, size))
    for i, a in enumerate(directions):
        for j, b in enumerate(directions):
            if a.term <= b.term:
                pairs[i, j] = pairs[j, i] = np.einsum("cadb,ab,cd->", squares[a.term][b.term], a.D, b.D)
    single = np.array([float((sums[d.term] * d.D).sum()) for d in directions])
    traces = to_parameters @ pairs @ to_parameters.T
    alone = to_parameters @ single
    traces[-1] += alone
    traces[:, -1] += alone
    traces[-1, -1] += operators.products.n
    return traces


def _covariance(traces: Floats, P: Floats, Q: Floats, vcov: Floats) -> Floats:
    """W, the inverse of the expected information; nil along parameters that V does not depend on."""
    PV = P @ vcov
    information = 0.5 * (traces - 2.0 * np.einsum("ab,ijba->ij", vcov, Q) + np.einsum("iab,jba->ij", PV, PV))
    scale = np.sqrt(np.maximum(np.diag(information), 0.0))
    scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    known = values > _NIL * max(float(values.max(initial=0.0)), 0.0)
    along = vectors[:, known] * scale[:, None]
    return np.asarray((along / values[known]) @ along.T)


def _curvature(design: Design, families: list[Directions], W: Floats, F: Floats) -> Floats:
    """Σ_ij W_ij R_ij, of the terms whose covariance is not linear in their parameters."""
    total, place = np.zeros((design.p, design.p)), 0
    for t, (term, family) in enumerate(zip(design.random, families, strict=True)):
        parameters = slice(place, place + len(family.first))
        place = parameters.stop
        if family.second is None:
            continue
        bend = np.einsum("ij,ijab->ab", W[parameters, parameters], family.second)
        own = F[design.starts[t] : design.starts[t + 1]]
        levels, others = (x.reshape(term.n_levels, term.k, design.p) for x in (own, among_levels(term, own)))
        total += np.einsum("lax,ab,lby->xy", levels, bend, others, optimize=True)
    return total
