"""The sparse engine: penalised least squares on all of M by CHOLMOD, with exact derivatives.

Notation and formulas follow Bates, Mächler, Bolker & Walker (2015, §3) for the criterion, Gilmour, Thompson & Cullis
(1995) and Johnson & Thompson (1995) for the average information.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines.cholmod import NotPositiveDefiniteError, SparseFactor, SymbolicCholesky
from lmmpy.engines.criterion import Evaluation, Solution
from lmmpy.engines.crossproducts import (
    Basis,
    CrossProducts,
    cross_products,
    orthonormal_basis,
    times_Z,
    times_Zt,
)
from lmmpy.engines.selected_inverse import SelectedInverse
from lmmpy.engines.system import SystemPattern, apply_factors, transpose_apply_factors

__all__ = ["SparseCriterion"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class _Anchor:
    """
    [Q e] = ZC + E with C close to least squares: what the random effects can explain at most, and the rest.

    With V = W⁻¹ + ZΛΛᵀZᵀ and U = M⁻¹ΛᵀZᵀW[Q e], D = C − ΛU,

        [Q e]ᵀV⁻¹[Q e] = EᵀWE + DᵀZᵀWZD + DᵀZᵀWE + EᵀWZD + UᵀU,

    a sum of squares (but for ZᵀWE, which is nearly zero) that stays accurate when the random effects explain almost
    everything, where I − HᵀH loses all digits.

    Attributes
    ----------
    C : ndarray, shape (q, p + 1)
    EE : ndarray, shape (p + 1, p + 1)
        EᵀWE.
    ZtE : ndarray, shape (q, p + 1)
        ZᵀWE.
    """

    C: Floats
    EE: Floats
    ZtE: Floats


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    """What one θ gives before any derivative.

    `U` is M⁻¹ΛᵀZᵀW[Q e] and `ZtVF` is ZᵀV⁻¹[Q e], both (q, p + 1); S = QᵀV⁻¹Q = R_XᵀR_X in the orthonormal basis; `g`
    is (−γ, 1), with which [Q e]g is the residual of e on Q.
    """

    factors: list[Factor]
    factor: SparseFactor
    U: Floats
    ZtVF: Floats
    S_chol: Floats
    g: Floats
    r2: float
    logdet_M: float


_WIDE = 1e4


class SparseCriterion:
    """
    The profiled criterion by a sparse Cholesky factorisation of M.

    Parameters
    ----------
    design : Design
        All levels unrelated.
    reml : bool
    """

    name = "sparse"

    def __init__(self, design: Design, reml: bool = True) -> None:
        if any(not term.relatedness.is_identity for term in design.random):
            raise NotImplementedError("the sparse engine takes unrelated levels only, so far")
        self.design, self.reml = design, reml
        basis = orthonormal_basis(design)
        self.products: CrossProducts = cross_products(design, basis)
        self._pattern = SystemPattern(self.products, [term.k for term in design.random])
        self._symbolic = SymbolicCholesky(self._pattern.indptr, self._pattern.indices)
        self._ZtZ = self._pattern.cross_product_matrix()
        self._selected: tuple[SelectedInverse, NDArray[np.intp]] | None = None
        self._cuts = np.cumsum([term.structure.n_theta for term in design.random])[:-1]
        self._anchor = self._make_anchor(basis)

    def _make_anchor(self, basis: Basis) -> _Anchor:
        """Least squares on Z by a wide prior and one step of refinement; the rest is computed from the rows."""
        products = self.products
        wide = [Factor(np.diag(_WIDE * unit), np.empty((0, len(unit), len(unit)))) for unit in products.units()]
        factor = self._symbolic.factorize(self._pattern.assemble(wide))
        C = np.zeros_like(products.ZtXy)
        for _ in range(2):
            left = transpose_apply_factors(wide, products.ZtXy - self._ZtZ @ C, products.starts)
            C = C + apply_factors(wide, factor.solve(left), products.starts)
        E = basis.columns - times_Z(self.design, C)
        return _Anchor(C, E.T @ E, times_Zt(self.design, E))

    def __reduce__(self) -> tuple[type[SparseCriterion], tuple[Design, bool]]:
        """Pickle the design only: CHOLMOD's factors do not pickle, and are quickly made again."""
        return SparseCriterion, (self.design, self.reml)

    def by_ml(self) -> SparseCriterion:
        """See `Criterion.by_ml`."""
        other = copy.copy(self) if self.reml else self
        other.reml = False
        return other

    @property
    def dof(self) -> int:
        """Degrees of freedom of the residual: n − p for REML, n for ML."""
        return self.products.n - self.products.p * self.reml

    def evaluate(self, theta: Floats, order: int = 0) -> Evaluation:
        """See `Criterion.evaluate`."""
        try:
            state = self._state(theta)
        except (NotPositiveDefiniteError, np.linalg.LinAlgError):
            return Evaluation(math.inf)
        value = self._value(state)
        if order == 0:
            return Evaluation(value)
        return Evaluation(value, *self._derivatives(state, order))

    def solve(self, theta: Floats) -> Solution:
        """See `Criterion.solve`."""
        state, products = self._state(theta), self.products
        u = state.U @ state.g * products.scale
        R_inverse = linalg.solve_triangular(products.R, np.eye(products.p))
        half = linalg.solve_triangular(state.S_chol, R_inverse.T, lower=True)
        r2 = state.r2 * products.scale**2
        return Solution(
            beta=products.beta0 + products.scale * (R_inverse @ -state.g[:-1]),
            unscaled_vcov=half.T @ half,
            u=u,
            b=apply_factors(state.factors, u, products.starts),
            sigma=math.sqrt(r2 / self.dof),
            r2=r2,
        )

    def conditional_variances(self, theta: Floats) -> list[Floats]:
        """See `Criterion.conditional_variances`."""
        state = self._state(theta)
        blocks = self._inverse_blocks(state.factor)
        diagonal = {b.t: v for b, v in zip(self.products.blocks, blocks, strict=True) if b.t == b.s}
        return [f.T @ diagonal[t] @ f.T.T for t, f in enumerate(state.factors)]

    def _factors(self, theta: Floats) -> list[Factor]:
        parts = np.split(np.asarray(theta, dtype=float), self._cuts)
        return [term.structure.factor(part) for term, part in zip(self.design.random, parts, strict=True)]

    def _state(self, theta: Floats) -> _State:
        products, anchor, factors = self.products, self._anchor, self._factors(theta)
        factor = self._symbolic.factorize(self._pattern.assemble(factors))
        U = factor.solve(transpose_apply_factors(factors, products.ZtXy, products.starts))
        D = anchor.C - apply_factors(factors, U, products.starts)
        ZtZD = self._ZtZ @ D
        cross = D.T @ anchor.ZtE
        gram = anchor.EE + D.T @ ZtZD + cross + cross.T + U.T @ U
        S_chol = np.asarray(np.linalg.cholesky(gram[:-1, :-1]), dtype=float)
        g = np.append(-linalg.cho_solve((S_chol, True), gram[:-1, -1]), 1.0)
        d, u = D @ g, U @ g
        r2 = float(g @ anchor.EE @ g + d @ (ZtZD @ g) + 2.0 * d @ (anchor.ZtE @ g) + u @ u)
        if r2 <= 0.0:
            raise NotPositiveDefiniteError("the residual sum of squares vanishes")
        return _State(factors, factor, U, ZtZD + anchor.ZtE, S_chol, g, r2, factor.logdet())

    def _value(self, state: _State) -> float:
        products, dof = self.products, self.dof
        value = state.logdet_M + products.logdet_relatedness - products.logdet_weights
        value += dof * (1.0 + math.log(2.0 * math.pi * state.r2 * products.scale**2 / dof))
        if self.reml:
            value += 2.0 * float(np.log(np.diag(state.S_chol)).sum() + np.log(np.abs(np.diag(products.R))).sum())
        return value

    def _derivatives(self, state: _State, order: int) -> tuple[Floats, Floats | None, Floats | None]:
        starts = self.products.starts
        ZtEX, Zte = state.ZtVF[:, :-1], state.ZtVF @ state.g
        UX, u = state.U[:, :-1], state.U @ state.g
        UXS = linalg.cho_solve((state.S_chol, True), UX.T).T
        slopes = self._logdet_slopes(state)
        for t, (start, end) in enumerate(itertools.pairwise(starts)):
            k = len(slopes[t])
            slopes[t] *= 2.0
            slopes[t] -= 2.0 * self.dof / state.r2 * Zte[start:end].reshape(-1, k).T @ u[start:end].reshape(-1, k)
            if self.reml:
                slopes[t] -= 2.0 * np.einsum("lap,lcp->ac", _levels(ZtEX[start:end], k), _levels(UXS[start:end], k))
        by_term = list(zip(state.factors, slopes, strict=True))
        gradient = np.concatenate([np.einsum("iac,ac->i", factor.dT, slope) for factor, slope in by_term])
        if order == 1:
            return gradient, None, None
        bend = linalg.block_diag(*(_bend(factor, slope) for factor, slope in by_term))
        return gradient, self._information(state, ZtEX, Zte), bend

    def _logdet_slopes(self, state: _State) -> list[Floats]:
        """For each term ½ ∂log|M|/∂T, from the entries of M⁻¹ on the pattern of M."""
        slopes = [np.zeros_like(factor.T) for factor in state.factors]
        inverse = self._inverse_blocks(state.factor)
        for block, Sigma in zip(self.products.blocks, inverse, strict=True):
            left, right = state.factors[block.t].T, state.factors[block.s].T
            slopes[block.t] += np.tensordot(block.values @ right, Sigma, axes=([0, 2], [0, 2]))
            if block.t != block.s:
                turned = block.values.transpose(0, 2, 1)
                slopes[block.s] += np.tensordot(turned @ left, Sigma, axes=([0, 2], [0, 1]))
        return slopes

    def _inverse_blocks(self, factor: SparseFactor) -> list[Floats]:
        L = factor.lower()
        if self._selected is None:
            self._selected = SelectedInverse(L), self._pattern.places_in(L, factor.permutation())
        inverse, places = self._selected
        return self._pattern.read_blocks(inverse.compute(L.data)[places])

    def _information(self, state: _State, ZtEX: Floats, Zte: Floats) -> Floats:
        """ν [w_iᵀP w_j / r² − (yᵀP w_i)(yᵀP w_j) / r⁴] with w_i = V_i P y = Z c_i."""
        products = self.products
        C = np.column_stack(_directions(state.factors, Zte, products.starts))
        ZtZC = self._ZtZ @ C
        half = state.factor.half_solve(transpose_apply_factors(state.factors, ZtZC, products.starts))
        through_X = linalg.solve_triangular(state.S_chol, ZtEX.T @ C, lower=True)
        quadratic = C.T @ ZtZC - half.T @ half - through_X.T @ through_X
        along_y = Zte @ C
        return np.asarray(self.dof * (quadratic / state.r2 - np.outer(along_y, along_y) / state.r2**2))


def _bend(factor: Factor, slope: Floats) -> Floats:
    """2 tr(∂T_iᵀ S ∂T_j), S from ∂d/∂T = 2 S T; rows of T at one length, since effects come in all units."""
    length = np.linalg.norm(factor.T, axis=1)
    length = np.where(length > 0, length, 1.0)
    S = 0.5 * slope @ np.linalg.pinv(factor.T / length[:, None], rcond=1e-10) / length
    S = 0.5 * (S + S.T)
    return np.asarray(2.0 * np.einsum("iac,ab,jbc->ij", factor.dT, S, factor.dT))


def _levels(values: Floats, k: int) -> Floats:
    return values.reshape(len(values) // k, k, values.shape[1])


def _directions(factors: Sequence[Factor], Zte: Floats, starts: Sequence[int]) -> list[Floats]:
    """c_i = (Λ_i Λᵀ + Λ Λ_iᵀ) Zᵀ P y for every parameter."""
    directions = []
    for factor, start, end in zip(factors, starts[:-1], starts[1:], strict=True):
        k = len(factor.T)
        residual = Zte[start:end].reshape(-1, k)
        for slope in factor.dT:
            c = np.zeros_like(Zte)
            c[start:end] = (residual @ (factor.T @ slope.T + slope @ factor.T.T)).reshape(-1)
            directions.append(c)
    return directions
