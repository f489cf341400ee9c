"""The profiled criterion and its exact derivatives from the covariance of the rows, V, whatever factorises it.

The twin of `penalized` for relatedness whose inverse is not sparse, or does not exist: nothing of the order of the
random effects is factorised, and V is linear in the covariances of effects C = T Tᵀ (Lange, Westlake & Spence 1976;
average information as in Gilmour, Thompson & Cullis 1995 and Johnson & Thompson 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.components import Components, connected_components
from lmmpy.engines.covariance_system import CovarianceSystem, FactoredCovariance
from lmmpy.engines.criterion import Evaluation, Solution
from lmmpy.engines.crossproducts import Basis, CrossProducts, times_Zt
from lmmpy.engines.marginal_operators import MarginalOperators, level_variances
from lmmpy.engines.profiled import ProfiledLikelihood, block_diagonal, cho_solve, half_solve
from lmmpy.engines.row_parts import RowValues
from lmmpy.engines.system import transpose_apply_factors

__all__ = ["MarginalLikelihood"]

Floats = NDArray[np.float64]

# A relative standard deviation of which not even the square is computed.
_IMPOSSIBLE = 1e100


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    """What one θ gives before any derivative.

    `VF` is Ṽ⁻¹[Q e] in the coordinates of the system, `gram` is [Q e]ᵀV⁻¹[Q e] with QᵀV⁻¹Q = R_XᵀR_X; `g` is (−γ, 1),
    with which [Q e]g is the residual of e on Q.
    """

    factors: list[Factor]
    rows: list[RowValues]
    factored: FactoredCovariance
    VF: Floats
    S_chol: Floats
    g: Floats
    r2: float


class MarginalLikelihood(ProfiledLikelihood[_State]):
    """
    The profiled criterion of one design.

    Pickles as what it was made of (see `choose`).

    Parameters
    ----------
    design, reml, rows, bases, products
        See `ProfiledLikelihood`.
    basis : Basis
        Of which the products were made.
    system : CovarianceSystem
        Factorises V; of `rows`.
    components : Components, optional
        Of `rows`; found when they are needed.
    """

    def __init__(
        self,
        design: Design,
        reml: bool,
        rows: Design,
        bases: tuple[Floats | None, ...],
        products: CrossProducts,
        basis: Basis,
        system: CovarianceSystem,
        components: Components | None = None,
    ) -> None:
        super().__init__(design, reml, rows, bases, products, system)
        self._system, self._basis, self._components = system, basis, components
        self._F = system.inside(basis.columns)
        self._E = system.outside(basis.columns, self._F)

    def with_response(self, y: Floats) -> MarginalLikelihood:
        """See `Criterion.with_response`: only what depends on y is made anew."""
        other, basis = self._turned_to(y, self._basis.Q, self._basis.R)
        other._basis = basis
        inside = self._system.inside(basis.e)
        other._F = np.column_stack([self._F[:, :-1], inside])
        outside = self._system.outside(basis.e, inside)
        other._E = None if self._E is None or outside is None else np.column_stack([self._E[:, :-1], outside])
        return other

    def solve(self, theta: Floats) -> Solution:
        """See `Criterion.solve`."""
        state, products, system = self._state_at(theta), self.products, self._system
        self._last = None  # the last question of a fit
        residual = system.rows(state.VF @ state.g[:, None])
        if self._E is not None:
            residual = residual + self._E @ state.g[:, None]
        ZtVr = self.penalty.inverse_times(times_Zt(self._rows, residual))
        u = transpose_apply_factors(state.factors, ZtVr, products.starts)[:, 0] * products.scale
        return self._solution(state, theta, u, self._functions(state))

    def _functions(self, state: _State) -> tuple[Floats, ...]:
        """Predictions of the random functions: their covariance with y times V⁻¹(y − Xβ̂)."""
        root = 1.0 if self._rows.weights is None else np.sqrt(self._rows.weights)
        v = state.VF @ state.g[:, None] * self.products.scale
        few = state.rows[: len(self.design.functions)]
        return tuple(self._system.rows(values.times(v))[:, 0] / root for values in few)

    def conditional_variances(self, theta: Floats) -> list[Floats]:
        """See `Criterion.conditional_variances`."""
        if self._components is None:
            self._components = connected_components(self._rows)
        state = self._state_at(theta)
        variances = level_variances(self._rows, state.factors, self._components, state.factored.solve_rows)
        return self._own_variances(variances)

    def operators(self, theta: Floats) -> MarginalOperators:
        """See `Criterion.operators`."""
        state = self._state_at(theta)
        self._last = None
        return MarginalOperators(
            rows=self._rows,
            products=self.products,
            penalty=self.penalty,
            bases=self.bases,
            factors=state.factors,
            rows_at=state.rows,
            factored=state.factored,
            VQ=state.VF[:, :-1],
            Q=self._basis.Q,
            QtVQ=state.S_chol @ state.S_chol.T,
        )

    def _state(self, theta: Floats) -> _State:
        factors, F, E = self._factors(theta), self._F, self._E
        if not all(np.abs(factor.T).max() < _IMPOSSIBLE for factor in factors):
            raise NotPositiveDefiniteError("the variances of random effects are too large for the arithmetic")
        rows = [part.at(phi) for part, phi in zip(self._system.row_parts, self.design.split_rows(theta), strict=True)]
        if not all(np.isfinite(values.entries).all() for values in rows):
            raise NotPositiveDefiniteError("a covariance between rows is too large for the arithmetic")
        factored = self._system.factorize(factors, [values.entries for values in rows])
        VF = factored.solve(F)
        gram = F.T @ VF if E is None else F.T @ VF + E.T @ E
        gram = 0.5 * (gram + gram.T)
        S_chol = np.asarray(np.linalg.cholesky(gram[:-1, :-1]), dtype=float)
        g = np.append(-cho_solve(S_chol, gram[:-1, -1]), 1.0)
        r2 = float((F @ g) @ (VF @ g))
        if E is not None:
            r2 += float(np.sum((E @ g) ** 2))
        if not r2 > 0.0:
            raise NotPositiveDefiniteError("the residual sum of squares vanishes")
        return _State(factors, rows, factored, VF, S_chol, g, r2)

    def _derivatives(self, state: _State, value: float, r2: float, order: int) -> Evaluation:
        """From A and B with ∂d/∂C = A − B; then ∂d/∂θ_i = ⟨∂T/∂θ_i, 2(A − B)T⟩."""
        v = state.VF @ state.g
        columns = v[:, None]
        if self.reml:
            columns = np.column_stack([columns, half_solve(state.S_chol, state.VF[:, :-1].T).T])
        spread = self._system.spread(columns)
        found, between = self._balance(state, columns, spread), self._between_rows(state, columns)
        gradient, misfit = [np.empty(0)], [np.empty(0)]
        for factor, (A, B) in zip(state.factors, found, strict=True):
            gradient.append(np.einsum("iab,ab->i", factor.dT, 2.0 * (A - B) @ factor.T))
            misfit.append(np.einsum("iab,ab->i", factor.dT, (-2.0 / self.dof) * B @ factor.T))
        for values, (a, b) in zip(state.rows, between, strict=True):
            along_b = values.contract(b)
            gradient.append(values.contract(a) - along_b)
            misfit.append(-along_b / self.dof)
        balance = tuple(
            (A, B) if R is None else (R.T @ A @ R, R.T @ B @ R) for (A, B), R in zip(found, self.bases, strict=True)
        )
        evaluation = Evaluation(
            value, np.concatenate(gradient), balance=balance, r2=r2, log_r2_gradient=np.concatenate(misfit)
        )
        if order == 1:
            return evaluation
        row_bends = tuple((x.bend(a), x.bend(b)) for x, (a, b) in zip(state.rows, between, strict=True))
        bends = [factor.bend(A - B) for factor, (A, B) in zip(state.factors, found, strict=True)]
        bends += [bend_A - bend_B for bend_A, bend_B in row_bends]
        information = self._information(state, v, [part[:, 0] for part in spread])
        return replace(evaluation, information=information, bend=block_diagonal(bends), row_bends=row_bends)

    def _between_rows(self, state: _State, columns: Floats) -> list[tuple[Floats, Floats]]:
        """∂d/∂Ṽ as A − B at the pairs of each covariance between rows; `columns` as for `_balance`."""
        found = []
        for f, part in enumerate(self._system.row_parts):
            A = state.factored.inverse_at(f) - part.products(columns[:, 1:])
            found.append((A, self.dof / state.r2 * part.products(columns[:, :1])))
        return found

    def _balance(self, state: _State, columns: Floats, spread: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
        """∂d/∂C of each term as A − B; `columns` are Py and, for REML, V⁻¹Q R_X⁻¹."""
        found = []
        for traces, X, Y in zip(state.factored.traces(), self._system.values, spread, strict=True):
            forms = np.einsum("ia,ij,ijb->jab", X, columns, Y)
            B = self.dof / state.r2 * forms[0]
            A = traces - forms[1:].sum(axis=0)
            found.append((0.5 * (A + A.T), 0.5 * (B + B.T)))
        return found

    def _information(self, state: _State, v: Floats, spread: Sequence[Floats]) -> Floats:
        """ν [w_iᵀP w_j / r² − (yᵀP w_i)(yᵀP w_j) / r⁴] with w_i = V_i P y."""
        parts: list[Floats] = []
        for factor, X, Y in zip(state.factors, self._system.values, spread, strict=True):
            for slope in factor.dT:
                half = factor.T @ slope.T
                parts.append(np.einsum("ia,ib,ab->i", X, Y, half + half.T))
        parts += [w for values in state.rows for w in values.slopes_times(v)]
        W = np.column_stack(parts) if parts else np.empty((len(v), 0))
        through_X = half_solve(state.S_chol, state.VF[:, :-1].T @ W)
        quadratic = W.T @ state.factored.solve(W) - through_X.T @ through_X
        along_y = v @ W
        information = self.dof * (0.5 * (quadratic + quadratic.T) / state.r2 - np.outer(along_y, along_y) / state.r2**2)
        return np.asarray(information)
