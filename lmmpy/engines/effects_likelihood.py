"""What engines that factorise M = ΛᵀZᵀR⁻¹ZΛ + P have in common: the derivatives in the covariances of random effects.

Notation and formulas follow Bates, Mächler, Bolker & Walker (2015, §3) for the criterion, Gilmour, Thompson & Cullis
(1995) and Johnson & Thompson (1995) for the average information.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.engines.criterion import Evaluation
from lmmpy.engines.profiled import ProfiledLikelihood, block_diagonal, cho_solve, half_solve
from lmmpy.engines.system import FactoredSystem, by_level, multiply_levels, summed_product

__all__ = ["EffectsLikelihood", "block_diagonal", "directions"]

Floats = NDArray[np.float64]


class EffectsState(Protocol):
    """
    What one θ gives before any derivative, besides what `ProfiledLikelihood` asks.

    `inverses` are T⁻¹ of each term, None where T cannot be divided by; `U` is M⁻¹ΛᵀZᵀR⁻¹[Q e] and `ZtVF` is
    ZᵀV⁻¹[Q e], both (q, p + 1).
    """

    @property
    def factors(self) -> list[Factor]: ...
    @property
    def inverses(self) -> list[Floats | None]: ...
    @property
    def factored(self) -> FactoredSystem: ...
    @property
    def U(self) -> Floats: ...
    @property
    def ZtVF(self) -> Floats: ...
    @property
    def S_chol(self) -> Floats: ...
    @property
    def g(self) -> Floats: ...
    @property
    def r2(self) -> float: ...


S = TypeVar("S", bound=EffectsState)


class EffectsLikelihood(ProfiledLikelihood[S]):
    """The profiled criterion of one design by a factorisation of M; see `ProfiledLikelihood`."""

    def _residual_products(self, inverses: Sequence[Floats | None], PU: Floats, ZtVF: Floats) -> Floats:
        """ZᵀV⁻¹[Q e]: from PU = ΛᵀZᵀV⁻¹[Q e] where T can be divided by, which keeps more digits for a large T."""
        for inverse, (start, end) in zip(inverses, itertools.pairwise(self.products.starts), strict=True):
            if inverse is not None:
                k = len(inverse)
                multiply_levels(inverse.T, by_level(PU[start:end], k), by_level(ZtVF[start:end], k))
        return ZtVF

    def _derivatives(self, state: S, value: float, r2: float, order: int) -> Evaluation:
        ZtEX, Zte = state.ZtVF[:, :-1], state.ZtVF @ state.g
        slopes = self._slopes(state, ZtEX, Zte)
        halves = zip(state.factors, slopes, strict=True)
        gradient = np.concatenate([np.einsum("iab,ab->i", factor.dT, 2.0 * (AT - BT)) for factor, (AT, BT) in halves])
        halves = zip(state.factors, slopes, strict=True)
        misfit = np.concatenate([np.einsum("iab,ab->i", f.dT, (-2.0 / self.dof) * BT) for f, (_, BT) in halves])
        found = self._balance(state, slopes, ZtEX, Zte)
        by_term = [(factor, A - B) for factor, (A, B) in zip(state.factors, found, strict=True)]
        balance = tuple(
            (A, B) if R is None else (R.T @ A @ R, R.T @ B @ R) for (A, B), R in zip(found, self.bases, strict=True)
        )
        if order == 1:
            return Evaluation(value, gradient, balance=balance, r2=r2, log_r2_gradient=misfit)
        bend = block_diagonal([factor.bend(slope) for factor, slope in by_term])
        return Evaluation(value, gradient, self._information(state, ZtEX, Zte), bend, balance, r2, misfit)

    @abstractmethod
    def _information(self, state: S, ZtEX: Floats, Zte: Floats) -> Floats:
        """The average information; of ZᵀV⁻¹Q and ZᵀPy."""

    def _slopes(self, state: S, ZtEX: Floats, Zte: Floats) -> list[tuple[Floats, Floats]]:
        """½ ∂d/∂T of each term as a difference, (A T, B T), both (k, k): log-determinants, and sum of squares."""
        starts, sizes, u = self.products.starts, self.products.sizes, state.U @ state.g
        through_X = cho_solve(state.S_chol, state.U[:, :-1].T).T if self.reml else None
        found = []
        for k, AT, (start, end) in zip(sizes, state.factored.slopes(), itertools.pairwise(starts), strict=True):
            BT = self.dof / state.r2 * (Zte[start:end].reshape(-1, k).T @ u[start:end].reshape(-1, k))
            if through_X is not None:
                found.append((AT - summed_product(ZtEX[start:end], through_X[start:end], k), BT))
            else:
                found.append((AT, BT))
        return found

    def _balance(
        self, state: S, slopes: Sequence[tuple[Floats, Floats]], ZtEX: Floats, Zte: Floats
    ) -> list[tuple[Floats, Floats]]:
        """∂d/∂(T Tᵀ) of each term as A − B, both symmetric (k, k)."""
        inverses = [inverse for inverse in state.inverses if inverse is not None]
        if len(inverses) == len(slopes):
            pairs = zip(slopes, inverses, strict=True)
            return [(_symmetric(AT @ inverse), _symmetric(BT @ inverse)) for (AT, BT), inverse in pairs]
        found = []
        through_X = half_solve(state.S_chol, ZtEX.T).T if self.reml else None
        starts, sizes = self.products.starts, self.products.sizes
        traces = state.factored.traces()
        for t, (k, A, (start, end)) in enumerate(zip(sizes, traces, itertools.pairwise(starts), strict=True)):
            z = Zte[start:end]
            B = self.dof / state.r2 * (z.reshape(-1, k).T @ self.penalty.relate(t, z).reshape(-1, k))
            if through_X is not None:
                half = through_X[start:end]
                found.append((A - summed_product(half, self.penalty.relate(t, half), k), _symmetric(B)))
            else:
                found.append((A, _symmetric(B)))
        return found


def _symmetric(A: Floats) -> Floats:
    return 0.5 * (A + A.T)


def directions(factors: Sequence[Factor], KZte: Floats, starts: Sequence[int]) -> Floats:
    """c_i = (Λ_i Λᵀ + Λ Λ_iᵀ) KZᵀ P y for every parameter, shape (q, n_theta)."""
    out = np.zeros((len(KZte), sum(len(factor.dT) for factor in factors)))
    i = 0
    for factor, start, end in zip(factors, starts[:-1], starts[1:], strict=True):
        k = len(factor.T)
        residual = KZte[start:end].reshape(-1, k)
        for slope in factor.dT:
            half = factor.T @ slope.T
            out[start:end, i] = (residual @ (half + half.T)).reshape(-1)
            i += 1
    return out
