"""The criterion of a small model for many responses at once, each at its own θ, by dense products of stacked matrices.

A fit of a few dozen rows spends its time in calls, not in arithmetic. Here one call serves all responses. The matrices
of the replicates do not mix, so that a response gives the same bits in whatever company.

The formulas are those of `penalized`, with M⁻¹ formed and r² by subtraction, which keeps digits as long as the random
effects leave something to the residual.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Diagonal, Unstructured
from lmmpy.engines.crossproducts import CrossProducts, times_Zt, with_response
from lmmpy.engines.penalized import PenalizedLeastSquares

__all__ = ["Batch", "BatchedCriterion", "Stack", "batched_criterion"]

Floats = NDArray[np.float64]

# Above so many random effects a dense inverse for each response takes longer than the engine does.
_LARGEST = 100


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """What depends on the responses.

    Attributes
    ----------
    Zte : ndarray, shape (m, q)
        ZᵀWe of the scaled residual e of each response on X.
    beta0 : ndarray, shape (m, p)
    scale : ndarray, shape (m,)
        See `CrossProducts`.
    """

    Zte: Floats
    beta0: Floats
    scale: Floats

    def take(self, places: NDArray[np.intp]) -> Batch:
        """Some of the responses."""
        return Batch(self.Zte[places], self.beta0[places], self.scale[places])


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """The criterion of m responses, each at its own θ.

    Attributes
    ----------
    value : ndarray, shape (m,)
        Infinite where it cannot be computed.
    gradient : ndarray, shape (m, n_theta)
    curvature : ndarray, shape (m, n_theta, n_theta)
        Average information and bend; see `Evaluation`.
    beta : ndarray, shape (m, p)
    sigma : ndarray, shape (m,)
    share : ndarray, shape (m,)
        r² as a share of what X leaves over; the digits that it lost.
    """

    value: Floats
    gradient: Floats
    curvature: Floats
    beta: Floats
    sigma: Floats
    share: Floats


@dataclass(frozen=True, eq=False, slots=True)
class _At:
    """What the values gave, for the derivatives: T, ZᵀWZΛ, M⁻¹, ZᵀV⁻¹Q, (QᵀV⁻¹Q)⁻¹, Zᵀ P e and r², each stacked."""

    Ts: list[Floats]
    ZtZL: Floats
    inverse: Floats
    ZtVX: Floats
    S_inverse: Floats
    z: Floats
    share: Floats


class BatchedCriterion:
    """
    The criterion of a small design whose factors are linear in θ.

    Parameters
    ----------
    criterion : PenalizedLeastSquares
        In the coordinates of its engine, so that it has no `bases`.
    """

    def __init__(self, criterion: PenalizedLeastSquares) -> None:
        self.design, self.reml, self.dof = criterion.design, criterion.reml, criterion.dof
        self.products: CrossProducts = criterion.products
        products = self.products
        ZtZ = products.ZtZ
        self._ZtZ = ZtZ if isinstance(ZtZ, np.ndarray) else np.asarray(ZtZ.toarray())
        self._ZtQ = products.ZtXy[:, :-1]
        self._dT = [term.structure.factor(np.ones(term.structure.n_theta)).dT for term in self.design.random]
        self._spans = list(itertools.pairwise(np.cumsum([0, *(len(dT) for dT in self._dT)]).tolist()))
        self._R_inverse = np.linalg.inv(products.R) if products.p else products.R
        self._constant = -products.logdet_weights
        if self.reml:
            self._constant += products.logdet_XtX

    def batch(self, responses: Sequence[Floats], Q: Floats, R: Floats) -> Batch:
        """
        Prepare responses.

        Parameters
        ----------
        responses : sequence of ndarray, each of shape (n,)
        Q, R : ndarray
            By `fixed_basis`.
        """
        bases = [with_response(replace(self.design, y=y), Q, R) for y in responses]
        return Batch(
            np.array([times_Zt(self.design, basis.e)[:, 0] for basis in bases]),
            np.array([basis.beta0 for basis in bases]),
            np.array([basis.scale for basis in bases]),
        )

    def evaluate(self, theta: Floats, batch: Batch) -> Stack:
        """
        Value, gradient and curvature.

        Parameters
        ----------
        theta : ndarray, shape (m, n_theta)
        batch : Batch
            Of m responses.

        Returns
        -------
        Stack
        """
        m, q, p = len(theta), self.products.q, self.products.p
        Ts = [np.einsum("mi,iab->mab", theta[:, a:b], dT) for (a, b), dT in zip(self._spans, self._dT, strict=True)]
        ZtZL = self._times_factors(np.broadcast_to(self._ZtZ, (m, q, q)), Ts)
        M = self._transposed_factors(ZtZL, Ts)
        M[:, np.arange(q), np.arange(q)] += 1.0
        chol = np.linalg.cholesky(M)
        logdet = 2.0 * np.log(np.einsum("mqq->mq", chol)).sum(axis=1)
        ZtF = np.concatenate([np.broadcast_to(self._ZtQ, (m, q, p)), batch.Zte[:, :, None]], axis=2)
        inverse = np.asarray(np.linalg.inv(M), dtype=float)
        right = self._transposed_factors(ZtF, Ts)
        U = inverse @ right
        gram = -(right.transpose(0, 2, 1) @ U)
        gram[:, np.arange(p + 1), np.arange(p + 1)] += 1.0
        S, s = gram[:, :p, :p], gram[:, :p, p]
        S_inverse = np.asarray(np.linalg.inv(S), dtype=float)
        gamma = np.einsum("mab,mb->ma", S_inverse, s)
        share = gram[:, p, p] - np.einsum("ma,ma->m", s, gamma)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = (
                logdet + self._constant + self.dof * (1.0 + np.log(2.0 * math.pi * share * batch.scale**2 / self.dof))
            )
            if self.reml:
                value = value + np.linalg.slogdet(S)[1]
            sigma = np.sqrt(share / self.dof) * batch.scale
        ZtVF = ZtF - ZtZL @ U
        beta = batch.beta0 + batch.scale[:, None] * (gamma @ self._R_inverse.T)
        z = ZtVF[:, :, p] - np.einsum("mqa,ma->mq", ZtVF[:, :, :p], gamma)
        gradient, curvature = self._derivatives(_At(Ts, ZtZL, inverse, ZtVF[:, :, :p], S_inverse, z, share))
        value = np.where(np.isfinite(value), value, np.inf)
        return Stack(value, gradient, curvature, beta, sigma, share)

    def _derivatives(self, at: _At) -> tuple[Floats, Floats]:
        m, products = len(at.z), self.products
        weight = (self.dof / at.share)[:, None, None]
        reduced = at.ZtZL @ at.inverse
        bends, gradients, directions = [], [], []
        spans = zip(at.Ts, self._dT, products.sizes, products.starts[:-1], products.starts[1:], strict=True)
        for T, dT, k, start, end in spans:
            levels = (m, (end - start) // k, k)
            own = np.arange(start, end).reshape(-1, k)
            within = self._ZtZ[own[:, :, None], own[:, None, :]].sum(axis=0)
            through = np.einsum(
                "mlaq,mlbq->mab",
                reduced[:, start:end].reshape(*levels, -1),
                at.ZtZL[:, start:end].reshape(*levels, -1),
            )
            residual = at.z[:, start:end].reshape(levels)
            slope = within - through - weight * np.einsum("mla,mlb->mab", residual, residual)
            if self.reml and products.p:
                half = at.ZtVX[:, start:end].reshape(*levels, -1)
                slope -= np.einsum("mlax,mxy,mlby->mab", half, at.S_inverse, half)
            by_T = 2.0 * np.einsum("mab,ibc->miac", slope, dT)
            gradients.append(np.einsum("miac,mac->mi", by_T, T))
            bends.append(np.einsum("miac,jac->mij", by_T, dT))
            half_slope = np.einsum("mab,icb->miac", T, dT)
            change = half_slope + half_slope.transpose(0, 1, 3, 2)
            direction = np.zeros((m, products.q, len(dT)))
            direction[:, start:end] = np.einsum("mla,miac->mlci", residual, change).reshape(m, end - start, len(dT))
            directions.append(direction)
        C = np.concatenate(directions, axis=2)
        curvature = self._information(at, C)
        for (a, b), bend in zip(self._spans, bends, strict=True):
            curvature[:, a:b, a:b] += bend
        return np.concatenate(gradients, axis=1), curvature

    def _information(self, at: _At, C: Floats) -> Floats:
        """See `PenalizedLeastSquares`."""
        ZtZC = self._ZtZ @ C
        right = self._transposed_factors(ZtZC, at.Ts)
        quadratic = C.transpose(0, 2, 1) @ ZtZC - right.transpose(0, 2, 1) @ (at.inverse @ right)
        if self.products.p:
            XC = at.ZtVX.transpose(0, 2, 1) @ C
            quadratic = quadratic - XC.transpose(0, 2, 1) @ (at.S_inverse @ XC)
        along = np.einsum("mq,mqi->mi", at.z, C)
        scaled = along / at.share[:, None]
        found = quadratic / at.share[:, None, None] - scaled[:, :, None] * scaled[:, None, :]
        return np.asarray(self.dof * found)

    def _times_factors(self, A: Floats, Ts: list[Floats]) -> Floats:
        """A Λ of stacked matrices, shape (m, r, q)."""
        out = np.empty(A.shape)
        starts = self.products.starts
        for T, start, end in zip(Ts, starts[:-1], starts[1:], strict=True):
            k = T.shape[1]
            if k == 1:
                np.multiply(A[:, :, start:end], T, out=out[:, :, start:end])
                continue
            part = A[:, :, start:end].reshape(*A.shape[:2], -1, k)
            out[:, :, start:end] = np.einsum("mrla,mab->mrlb", part, T).reshape(*A.shape[:2], end - start)
        return out

    def _transposed_factors(self, A: Floats, Ts: list[Floats]) -> Floats:
        """Λᵀ A of stacked matrices, shape (m, q, r)."""
        out = np.empty(A.shape)
        starts = self.products.starts
        for T, start, end in zip(Ts, starts[:-1], starts[1:], strict=True):
            k = T.shape[1]
            if k == 1:
                np.multiply(A[:, start:end], T, out=out[:, start:end])
                continue
            part = A[:, start:end].reshape(len(A), -1, k, A.shape[2])
            out[:, start:end] = np.einsum("mab,mlar->mlbr", T, part).reshape(len(A), end - start, A.shape[2])
        return out


def batched_criterion(criterion: object) -> BatchedCriterion | None:
    """
    The criterion for many responses, where the model is small and its factors are linear in θ; else None.

    Parameters
    ----------
    criterion : Criterion
        In the coordinates of its engine.
    """
    if not isinstance(criterion, PenalizedLeastSquares) or criterion.products.q > _LARGEST:
        return None
    structures = [term.structure for term in criterion.design.random]
    if any(R is not None for R in criterion.bases) or not criterion.penalty.is_identity:
        return None
    if not all(isinstance(structure, Unstructured | Diagonal) or structure.k == 1 for structure in structures):
        return None
    return BatchedCriterion(criterion)
