"""What the engines over effects and those over rows have in common: the profiled criterion around one state a θ."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg import lapack

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.criterion import Evaluation, Solution
from lmmpy.engines.crossproducts import Basis, CrossProducts, for_response, with_response
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.system import apply_factors

__all__ = ["ProfiledLikelihood", "block_diagonal", "cho_solve", "half_solve"]

Floats = NDArray[np.float64]


class _Factored(Protocol):
    @property
    def logdet(self) -> float:
        """log|WV|."""


class _Named(Protocol):
    name: str

    @property
    def description(self) -> str:
        """How it factorises, in words."""


class _State(Protocol):
    """What one θ gives before any derivative: `S_chol` of QᵀV⁻¹Q, `g` = (−γ, 1) with [Q e]g the residual, and r²."""

    @property
    def factored(self) -> _Factored: ...
    @property
    def S_chol(self) -> Floats: ...
    @property
    def g(self) -> Floats: ...
    @property
    def r2(self) -> float: ...


S = TypeVar("S", bound=_State)


class ProfiledLikelihood(ABC, Generic[S]):
    """
    The profiled criterion of one design, but for what one θ gives and its derivatives.

    Parameters
    ----------
    design : Design
    reml : bool
    rows : Design
        The same in the coordinates, and with the weights, in which the engine computes.
    bases : tuple of ndarray or None
        R of each term, by `orthogonal_design`.
    products : CrossProducts
        Of `rows`.
    system
        What factorises.
    """

    def __init__(
        self,
        design: Design,
        reml: bool,
        rows: Design,
        bases: tuple[Floats | None, ...],
        products: CrossProducts,
        system: _Named,
    ) -> None:
        self.design, self.reml, self.products = design, reml, products
        self._rows, self.bases, self._named = rows, bases, system
        self.penalty = Penalty(rows.random)
        ends = list(itertools.accumulate(term.structure.n_theta for term in design.random))
        self._spans = [slice(end - term.structure.n_theta, end) for term, end in zip(design.random, ends, strict=True)]
        self._last: tuple[bytes, S] | None = None

    @property
    def units(self) -> list[Floats]:
        """See `Criterion.units`."""
        terms = zip(self.products.units, self.bases, self.products.spreads, strict=True)
        return [unit if R is None else 1.0 / np.sqrt(np.einsum("ab,ab->b", R, R)) / spread for unit, R, spread in terms]

    @property
    def name(self) -> str:
        """Name of the engine."""
        return self._named.name

    @property
    def description(self) -> str:
        """How the engine factorises, in words."""
        return self._named.description

    @property
    def dof(self) -> int:
        """Degrees of freedom of the residual: n − p for REML, n for ML."""
        return self.products.n - self.products.p * self.reml

    def orthogonal(self) -> Self:
        """See `Criterion.orthogonal`."""
        if all(R is None for R in self.bases):
            return self
        other = self._twin()
        other.design, other.bases = replace(self.design, random=self._rows.random), (None,) * len(self.bases)
        return other

    def by_ml(self) -> Self:
        """See `Criterion.by_ml`."""
        if not self.reml:
            return self
        other = self._twin()
        other.reml = False
        return other

    def _twin(self) -> Self:
        """Another one that shares everything but the last state; `copy.copy` would make it anew, as unpickling does."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._last = None
        return other

    def _turned_to(self, y: Floats, Q: Floats, R: Floats) -> tuple[Self, Basis]:
        """The twin with another response, but for what an engine keeps of it; Q R is W^½X with the internal weights."""
        other = self._twin()
        other.design, other._rows = replace(self.design, y=y), replace(self._rows, y=y)
        basis = with_response(other._rows, Q, R)
        other.products = for_response(self.products, other._rows, basis)
        return other, basis

    def evaluate(self, theta: Floats, order: int = 0) -> Evaluation:
        """See `Criterion.evaluate`."""
        try:
            state = self._state_at(theta)
            value = self._value(state)
            r2 = state.r2 * self.products.scale**2
            return Evaluation(value, r2=r2) if order == 0 else self._derivatives(state, value, r2, order)
        except (NotPositiveDefiniteError, np.linalg.LinAlgError):
            return Evaluation(math.inf)

    @abstractmethod
    def _state(self, theta: Floats) -> S:
        """What a θ gives."""

    @abstractmethod
    def _derivatives(self, state: S, value: float, r2: float, order: int) -> Evaluation:
        """The whole evaluation, of order 1 or 2."""

    def _state_at(self, theta: Floats) -> S:
        """The state at θ; that of the last θ is kept, because more is often asked about it."""
        last = self._last  # one look, since threads may share a criterion
        if last is not None and last[0] == theta.tobytes():
            return last[1]
        self._last = last = None  # before the next one takes its room
        state = self._state(theta)
        self._last = theta.tobytes(), state
        return state

    def _value(self, state: S) -> float:
        products, dof = self.products, self.dof
        value = state.factored.logdet - products.logdet_weights
        value += dof * (1.0 + math.log(2.0 * math.pi * state.r2 * products.scale**2 / dof))
        if self.reml:
            value += 2.0 * float(np.log(state.S_chol.diagonal()).sum()) + products.logdet_XtX
        return value

    def _solution(self, state: S, theta: Floats, u: Floats, functions: tuple[Floats, ...] = ()) -> Solution:
        """Everything that follows from a state and the spherical effects, shape (q,)."""
        products = self.products
        R_inverse = linalg.solve_triangular(products.R, np.eye(products.p))
        half = linalg.solve_triangular(state.S_chol, R_inverse.T, lower=True)
        r2 = state.r2 * products.scale**2
        return Solution(
            beta=products.beta0 + products.scale * (R_inverse @ -state.g[:-1]),
            unscaled_vcov=half.T @ half,
            u=u,
            b=apply_factors(self._own_factors(theta), u, products.starts),
            sigma=math.sqrt(r2 / self.dof),
            r2=r2,
            functions=functions,
        )

    def _own_factors(self, theta: Floats) -> list[Factor]:
        terms = zip(self.design.random, self._spans, strict=True)
        return [term.structure.factor(theta[span]) for term, span in terms]

    def _factors(self, theta: Floats) -> list[Factor]:
        """Those of the coordinates in which the engine computes, T' = R T."""
        own = self._own_factors(theta)
        return [f if R is None else Factor(R @ f.T, R @ f.dT) for f, R in zip(own, self.bases, strict=True)]

    def _own_variances(self, variances: list[Floats]) -> list[Floats]:
        """Covariances of the effects of each level, each of shape (levels, k, k), in the model's coordinates."""
        backs = [None if R is None else np.linalg.inv(R) for R in self.bases]
        return [v if back is None else back @ v @ back.T for v, back in zip(variances, backs, strict=True)]


def block_diagonal(blocks: Sequence[Floats]) -> Floats:
    """Square blocks along the diagonal of a matrix of zeros."""
    ends = list(itertools.accumulate((len(block) for block in blocks), initial=0))
    out = np.zeros((ends[-1], ends[-1]))
    for block, (start, end) in zip(blocks, itertools.pairwise(ends), strict=True):
        out[start:end, start:end] = block
    return out


def cho_solve(L: Floats, b: Floats) -> Floats:
    """(L Lᵀ)⁻¹b; also of order zero."""
    return np.asarray(lapack.dpotrs(L, b, lower=1)[0]) if len(L) else b


def half_solve(L: Floats, B: Floats) -> Floats:
    """L⁻¹B; also of order zero."""
    return np.asarray(lapack.dtrtrs(L, B, lower=1)[0]) if len(L) else B
