"""The profiled criterion and its exact derivatives by penalised least squares, whatever factorises M.

Notation and formulas follow Bates, Mächler, Bolker & Walker (2015, §3) for the criterion, Gilmour, Thompson & Cullis
(1995) and Johnson & Thompson (1995) for the average information.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.criterion import Solution
from lmmpy.engines.crossproducts import (
    Basis,
    CrossProducts,
    fixed_basis,
    for_response,
    times_Z,
    times_Zt,
    with_response,
)
from lmmpy.engines.effects_likelihood import EffectsLikelihood, directions
from lmmpy.engines.penalized_operators import PenalizedOperators
from lmmpy.engines.profiled import cho_solve, half_solve
from lmmpy.engines.system import (
    FactoredSystem,
    System,
    apply_factors,
    regular_inverse,
    transpose_apply_factors,
)

__all__ = ["PenalizedLeastSquares"]

Floats = NDArray[np.float64]

# Relative standard deviations at which a penalty is nearly none; the system is well conditioned still.
_WIDE = 1e4
# Up to so many random effects the factorisation of that is kept for further responses.
_KEPT = 5_000


@dataclass(frozen=True, eq=False, slots=True)
class _Anchor:
    """
    [Q e] = ZC + E with C close to least squares: what the random effects can explain at most, and the rest.

    With V = W⁻¹ + ZΛP⁻¹ΛᵀZᵀ and U = M⁻¹ΛᵀZᵀW[Q e], D = C − ΛU,

        [Q e]ᵀV⁻¹[Q e] = EᵀWE + DᵀZᵀWZD + DᵀZᵀWE + EᵀWZD + UᵀPU,

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

    `inverses` are T⁻¹ of each term, None where T cannot be divided by; `U` is M⁻¹ΛᵀZᵀW[Q e] and `ZtVF` is ZᵀV⁻¹[Q e],
    both (q, p + 1); S = QᵀV⁻¹Q = R_XᵀR_X in the orthonormal basis; `g` is (−γ, 1), with which [Q e]g is the residual of
    e on Q.
    """

    factors: list[Factor]
    inverses: list[Floats | None]
    factored: FactoredSystem
    U: Floats
    ZtVF: Floats
    S_chol: Floats
    g: Floats
    r2: float


class PenalizedLeastSquares(EffectsLikelihood[_State]):
    """
    The profiled criterion of one design.

    Pickles as what it was made of (see `choose`): CHOLMOD's factors do not pickle, and are quickly made again.

    Parameters
    ----------
    design, reml, rows, bases, products
        See `ProfiledLikelihood`.
    basis : Basis
        Of which the products were made.
    system : System
        Factorises M.
    """

    def __init__(
        self,
        design: Design,
        reml: bool,
        rows: Design,
        bases: tuple[Floats | None, ...],
        products: CrossProducts,
        basis: Basis,
        system: System,
    ) -> None:
        super().__init__(design, reml, rows, bases, products, system)
        self._system = system
        self._wide = [Factor(np.diag(_WIDE * unit), np.empty((0, len(unit), len(unit)))) for unit in products.units]
        self._widest: FactoredSystem | None = None
        self._fixed: tuple[Floats, Floats] | None = None
        C = self._least_squares(products.ZtXy)
        E = basis.columns - times_Z(rows, C)
        self._anchor = _Anchor(C, E.T @ E, times_Zt(rows, E))

    def _least_squares(self, ZtF: Floats) -> Floats:
        """C with ZᵀWZ C close to ZᵀWF, by a wide prior and one step of refinement."""
        products = self.products
        widest = self._system.factorize(self._wide) if self._widest is None else self._widest
        if products.q <= _KEPT:
            self._widest = widest
        C = np.zeros_like(ZtF)
        for _ in range(2):
            C = C + apply_factors(self._wide, widest.effects(ZtF - products.ZtZ @ C), products.starts)
        return C

    def with_response(self, y: Floats) -> PenalizedLeastSquares:
        """See `Criterion.with_response`: only what depends on y is made anew."""
        other = self._twin()
        other.design, other._rows = replace(self.design, y=y), replace(self._rows, y=y)
        if self._fixed is None:
            self._fixed = other._fixed = fixed_basis(self.design)
        basis = with_response(other.design, *self._fixed)
        other.products = for_response(self.products, other._rows, basis)
        c = self._least_squares(other.products.Zty[:, None])
        e = basis.e - times_Z(self._rows, c)
        other._anchor = self._replace_last(c, e, basis)
        return other

    def _replace_last(self, c: Floats, e: Floats, basis: Basis) -> _Anchor:
        """The anchor with another response: c and e stand for its column of C and of E."""
        C, EE, ZtE = self._anchor.C.copy(), self._anchor.EE.copy(), self._anchor.ZtE.copy()
        C[:, -1:], ZtE[:, -1:] = c, times_Zt(self._rows, e)
        EE[-1, -1] = float(e[:, 0] @ e[:, 0])
        EE[-1, :-1] = EE[:-1, -1] = basis.Q.T @ e[:, 0] - C[:, :-1].T @ ZtE[:, -1]
        return _Anchor(C, EE, ZtE)

    def solve(self, theta: Floats) -> Solution:
        """See `Criterion.solve`."""
        state, products = self._state_at(theta), self.products
        self._last = None  # the last question of a fit
        u = state.U @ state.g * products.scale
        return self._solution(state, theta, u)

    def conditional_variances(self, theta: Floats) -> list[Floats]:
        """See `Criterion.conditional_variances`."""
        return self._own_variances(self._system.factorize(self._factors(theta)).variances())

    def operators(self, theta: Floats) -> PenalizedOperators:
        """See `Criterion.operators`."""
        state, starts = self._state_at(theta), self.products.starts
        self._last = None
        return PenalizedOperators(
            products=self.products,
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
        )

    def _state(self, theta: Floats) -> _State:
        products, anchor, factors = self.products, self._anchor, self._factors(theta)
        factored = self._system.factorize(factors)
        U = factored.effects(products.ZtXy)
        D = anchor.C - apply_factors(factors, U, products.starts)
        ZtZD = np.ascontiguousarray(products.ZtZ @ D)
        cross = D.T @ anchor.ZtE
        PU = self.penalty.times(U)
        gram = anchor.EE + D.T @ ZtZD + cross + cross.T + U.T @ PU
        S_chol = np.asarray(np.linalg.cholesky(gram[:-1, :-1]), dtype=float)
        g = np.append(-cho_solve(S_chol, gram[:-1, -1]), 1.0)
        d = D @ g
        r2 = float(g @ anchor.EE @ g + d @ (ZtZD @ g) + 2.0 * d @ (anchor.ZtE @ g) + (U @ g) @ (PU @ g))
        if not r2 > 0.0:
            raise NotPositiveDefiniteError("the residual sum of squares vanishes")
        inverses = [regular_inverse(f.T, unit) for f, unit in zip(factors, products.units, strict=True)]
        ZtVF = self._residual_products(inverses, PU, ZtZD + anchor.ZtE)
        return _State(factors, inverses, factored, U, ZtVF, S_chol, g, r2)

    def _information(self, state: _State, ZtEX: Floats, Zte: Floats) -> Floats:
        """ν [w_iᵀP w_j / r² − (yᵀP w_i)(yᵀP w_j) / r⁴] with w_i = V_i P y = Z c_i."""
        products = self.products
        C = directions(state.factors, self.penalty.inverse_times(Zte), products.starts)
        ZtZC = products.ZtZ @ C
        U = apply_factors(state.factors, state.factored.effects(ZtZC), products.starts)
        through_X = half_solve(state.S_chol, ZtEX.T @ C)
        quadratic = ZtZC.T @ (C - U) - through_X.T @ through_X
        along_y = Zte @ C
        information = self.dof * (0.5 * (quadratic + quadratic.T) / state.r2 - np.outer(along_y, along_y) / state.r2**2)
        return np.asarray(information)
