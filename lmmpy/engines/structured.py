"""The profiled criterion of a residual with structure, its groups of rows small, by a sparse factorisation of effects.

V = R(φ) + ZΛP⁻¹ΛᵀZᵀ with R block-diagonal over the groups of the residual. With M = ΛᵀZᵀR⁻¹ZΛ + P

    log|V| = log|M| − log|P| + log|R|,    V⁻¹ = R⁻¹ − R⁻¹ZΛM⁻¹ΛᵀZᵀR⁻¹,

and for the derivatives only the blocks of V⁻¹ between rows of one group are wanted, all of whose effects meet in M, so
that the inverse of M is needed on the pattern of its factor only (Meyer 1989; Thompson, Wray & Crump 1994). Everything
else is as in `penalized`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.coordinates import orthogonal_design, with_typical_weights
from lmmpy.engines.criterion import Evaluation, Solution
from lmmpy.engines.crossproducts import (
    Basis,
    CrossProducts,
    cross_products,
    fixed_basis,
    symmetric_matrix,
    times_Z,
    times_Zt,
    with_response,
)
from lmmpy.engines.effects_likelihood import EffectsLikelihood, block_diagonal, directions
from lmmpy.engines.profiled import cho_solve, half_solve
from lmmpy.engines.structured_operators import StructuredOperators
from lmmpy.engines.structured_rows import FactoredResidual
from lmmpy.engines.structured_system import FactoredStructure, StructuredSystem
from lmmpy.engines.system import apply_factors, regular_inverse, transpose_apply_factors
from lmmpy.errors import ModelError

__all__ = ["StructuredLikelihood", "structured_likelihood"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class _Fitted:
    """Generalised least squares of some columns F: `U` = M⁻¹ΛᵀZᵀR⁻¹F, `VF` = V⁻¹F and `gram` = FᵀV⁻¹F."""

    ZtRF: Floats
    U: Floats
    VF: Floats
    gram: Floats


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    """What one θ gives before any derivative; see `EffectsState`. `fitted` is that of [Q e]."""

    factors: list[Factor]
    inverses: list[Floats | None]
    factored: FactoredStructure
    fitted: _Fitted
    ZtVF: Floats
    S_chol: Floats
    g: Floats
    r2: float

    @property
    def U(self) -> Floats:
        return self.fitted.U

    @property
    def residual(self) -> FactoredResidual:
        return self.factored.residual


class StructuredLikelihood(EffectsLikelihood[_State]):
    """
    The profiled criterion of one design.

    Pickles as what it was made of.

    Parameters
    ----------
    design, reml, rows, bases, products
        See `ProfiledLikelihood`.
    basis : Basis
        Of which the products were made.
    system : StructuredSystem
        Factorises R and M.
    """

    def __init__(
        self,
        design: Design,
        reml: bool,
        rows: Design,
        bases: tuple[Floats | None, ...],
        products: CrossProducts,
        basis: Basis,
        system: StructuredSystem,
    ) -> None:
        super().__init__(design, reml, rows, bases, products, system)
        self._system, self._basis = system, basis

    def with_response(self, y: Floats) -> StructuredLikelihood:
        """See `Criterion.with_response`: only what depends on y is made anew."""
        other, basis = self._turned_to(y, self._basis.Q, self._basis.R)
        other._basis = basis
        return other

    def solve(self, theta: Floats) -> Solution:
        """See `Criterion.solve`."""
        state = self._state_at(theta)
        self._last = None  # the last question of a fit
        return self._solution(state, theta, state.U @ state.g * self.products.scale)

    def conditional_variances(self, theta: Floats) -> list[Floats]:
        """See `Criterion.conditional_variances`."""
        return self._own_variances(self._state_at(theta).factored.variances())

    def operators(self, theta: Floats) -> StructuredOperators:
        """See `Criterion.operators`."""
        state, starts = self._state_at(theta), self.products.starts
        self._last = None
        values = zip(self._system.blocks, state.factored.values, strict=True)
        blocks = tuple(replace(block, values=value) for block, value in values)
        ZtZ = symmetric_matrix(blocks, self.products.sizes, starts)
        return StructuredOperators(
            products=replace(self.products, blocks=blocks, ZtZ=ZtZ, ZtXy=state.fitted.ZtRF),
            penalty=self.penalty,
            bases=self.bases,
            spherical=state.factored.effects,
            random=partial(apply_factors, state.factors, starts=starts),
            transposed=partial(transpose_apply_factors, state.factors, starts=starts),
            regular=all(inverse is not None for inverse in state.inverses),
            divide=partial(self._residual_products, state.inverses),
            ZtVQ=state.ZtVF[:, :-1],
            QtVQ=state.S_chol @ state.S_chol.T,
            sums=state.factored.traces,
            eliminated_squares=state.factored.squares,
            rows=self._rows,
            ZtWQ=self.products.ZtXy[:, :-1],
            VQ=state.fitted.VF[:, :-1],
            residual=state.residual,
        )

    def _state(self, theta: Floats) -> _State:
        factors = self._factors(theta)
        (phi,) = self.design.split_rows(theta)
        factored = self._system.factorize(phi, factors)
        fitted = self._fit(factors, factored, self._basis.columns)
        S_chol = np.asarray(np.linalg.cholesky(fitted.gram[:-1, :-1]), dtype=float)
        g = np.append(-cho_solve(S_chol, fitted.gram[:-1, -1]), 1.0)
        r2 = float(g @ fitted.gram @ g)
        if not r2 > 0.0:
            raise NotPositiveDefiniteError("the residual sum of squares vanishes")
        inverses = [regular_inverse(f.T, unit) for f, unit in zip(factors, self.products.units, strict=True)]
        ZtVF = self._residual_products(inverses, self.penalty.times(fitted.U), times_Zt(self._rows, fitted.VF))
        return _State(factors, inverses, factored, fitted, ZtVF, S_chol, g, r2)

    def _fit(self, factors: Sequence[Factor], factored: FactoredStructure, F: Floats) -> _Fitted:
        """
        By what the effects leave, D = F − ZΛU: FᵀV⁻¹F = DᵀR⁻¹D + UᵀPU and V⁻¹F = R⁻¹D.

        A sum of squares, and least at this U, so that it is accurate when the effects explain almost everything.
        """
        ZtRF = times_Zt(self._rows, factored.residual.solve(F))
        U = factored.effects(ZtRF)
        D = F - times_Z(self._rows, apply_factors(factors, U, self.products.starts))
        VF = factored.residual.solve(D)
        gram = D.T @ VF + U.T @ self.penalty.times(U)
        return _Fitted(ZtRF, U, VF, 0.5 * (gram + gram.T))

    def _derivatives(self, state: _State, value: float, r2: float, order: int) -> Evaluation:
        """With ∂d/∂R = A − B at the pairs of rows of one group, ∂d/∂φ_i is ⟨A − B, ∂R/∂φ_i⟩."""
        found = super()._derivatives(state, value, r2, order)
        assert found.gradient is not None and found.log_r2_gradient is not None
        values, (A, B) = state.residual.values, self._between_rows(state)
        along_B = values.contract(B)
        gradient = np.concatenate([found.gradient, values.contract(A) - along_B])
        misfit = np.concatenate([found.log_r2_gradient, -along_B / self.dof])
        found = replace(found, gradient=gradient, log_r2_gradient=misfit)
        if order == 1:
            return found
        assert found.bend is not None
        bends = values.bend(A), values.bend(B)
        return replace(found, bend=block_diagonal([found.bend, bends[0] - bends[1]]), row_bends=(bends,))

    def _between_rows(self, state: _State) -> tuple[Floats, Floats]:
        """A and B as weights of the pairs of rows of one group."""
        groups, matrices = state.residual.groups, state.factored.inverse_of_rows()
        if self.reml:
            through_X = half_solve(state.S_chol, state.fitted.VF[:, :-1].T).T
            own = [through_X[stack.members] for stack in groups.stacks]
            matrices = [A - F @ F.transpose(0, 2, 1) for A, F in zip(matrices, own, strict=True)]
        B = self.dof / state.r2 * groups.outer(state.fitted.VF @ state.g)
        return groups.contraction(matrices), B

    def _information(self, state: _State, ZtEX: Floats, Zte: Floats) -> Floats:
        """ν [w_iᵀP w_j / r² − (yᵀP w_i)(yᵀP w_j) / r⁴] with w_i = V_i P y."""
        v = state.fitted.VF @ state.g
        C = directions(state.factors, self.penalty.inverse_times(Zte), self.products.starts)
        rows = state.residual.slopes_times(v[:, None])
        W = np.column_stack([times_Z(self._rows, C), *rows])
        through_X = half_solve(state.S_chol, state.fitted.VF[:, :-1].T @ W)
        quadratic = self._fit(state.factors, state.factored, W).gram - through_X.T @ through_X
        along_y = v @ W
        return np.asarray(self.dof * (quadratic / state.r2 - np.outer(along_y, along_y) / state.r2**2))


def structured_likelihood(design: Design, reml: bool) -> StructuredLikelihood:
    """
    The criterion of a design whose residual has structure, by a sparse factorisation of the random effects.

    Parameters
    ----------
    design : Design
        With a residual whose groups of rows are small, and random effects with a precision that is sparse.
    reml : bool

    Returns
    -------
    StructuredLikelihood
        Infinite where the covariance of the residual is singular; V need not be.

    Raises
    ------
    ModelError
        Without random effects, or with random functions.
    """
    if design.residual is None:
        raise ValueError("the residual has no structure")
    if not design.random or design.functions:
        what = f"the random function {design.functions[0].name}" if design.functions else "a model without random terms"
        raise ModelError(f"control: engine 'sparse' cannot take {what}. Take 'auto' or 'marginal'.")
    rows, bases = orthogonal_design(with_typical_weights(design))
    basis = with_response(rows, *fixed_basis(rows))
    products = cross_products(rows, basis)
    return StructuredLikelihood(design, reml, rows, bases, products, basis, StructuredSystem(rows))


def _recipe(criterion: StructuredLikelihood) -> tuple[object, tuple[Design, bool]]:
    return structured_likelihood, (criterion.design, criterion.reml)


copyreg.pickle(StructuredLikelihood, _recipe)  # type: ignore[arg-type]  # the stub asks for a str or a tuple of Any
