"""The blocked engine: one grouping factor is eliminated level by level, and what is left is small.

Let 0 stand for all effects of the grouping factor that is eliminated, r for all others, T_0 for the factor of the
covariance of 0, and C_lᵀC_l = Z_lᵀWZ_l for the Cholesky factorisation of the cross-products of level l. In the
orthonormal basis of each level,

    R_l = (I + C_l T_0 T_0ᵀ C_lᵀ)⁻¹,   N_l = R_l C_l T_0,   G_l = C_l⁻ᵀ Z_lᵀWZ_r.

Then, with V_0 = W⁻¹ + Z_0 Λ_0 Λ_0ᵀ Z_0ᵀ,

    log|M| = −Σ_l log|R_l| + log|S|,   S = I + Λ_rᵀ H Λ_r,
    H = Z_rᵀV_0⁻¹Z_r = (Z_rᵀWZ_r − Σ_l G_lᵀG_l) + Σ_l G_lᵀ R_l G_l,
    (Z_0ᵀV⁻¹Z_0)_ll = C_lᵀ (R_l − R_l G_l Λ_r S⁻¹ Λ_rᵀ G_lᵀ R_l) C_l.

The bracket in H does not depend on θ, nothing is divided by T, and nothing of size n or of size n × q appears.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from lmmpy.covariance import Factor
from lmmpy.engines import _kernels
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.squares import Gone, Remaining, Squares, squares_by_elimination
from lmmpy.engines.system import FactoredSystem, apply_factors

__all__ = ["BlockedSystem", "Eliminated", "FactoredSchur", "Meeting", "Schur", "batched", "eliminate", "meetings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ABSENT = 1e-13
_MANY_COLUMNS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Eliminated:
    """The grouping factor that is eliminated, each of its levels in an orthonormal basis.

    Attributes
    ----------
    terms : tuple of int
        Its terms.
    parts : tuple of slice
        The effects of each of them among the k of a level.
    starts : tuple of int
        Where each of them begins in q.
    C : ndarray, shape (levels, k, k)
        C_l, upper triangular.
    inverse : ndarray, shape (levels, k, k)
        C_l⁻¹, with a zero column for a direction that level l lacks.
    """

    terms: tuple[int, ...]
    parts: tuple[slice, ...]
    starts: tuple[int, ...]
    C: Floats
    inverse: Floats

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.C)

    @property
    def k(self) -> int:
        """Effects of one level."""
        return int(self.C.shape[1])

    def factor(self, factors: Sequence[Factor]) -> Floats:
        """T_0, block-diagonal over the terms."""
        if len(self.terms) == 1:
            return np.ascontiguousarray(factors[self.terms[0]].T)
        return np.asarray(linalg.block_diag(*(factors[t].T for t in self.terms)))

    def take(self, values: Floats) -> Floats:
        """The effects of the factor by level: (q, m) → (levels, k, m)."""
        found = [values[a : a + self._size(part)] for a, part in zip(self.starts, self.parts, strict=True)]
        shaped = [f.reshape(self.levels, -1, values.shape[1]) for f in found]
        return np.ascontiguousarray(shaped[0] if len(shaped) == 1 else np.concatenate(shaped, axis=1))

    def put(self, effects: Floats, out: Floats) -> None:
        """The way back."""
        for start, part in zip(self.starts, self.parts, strict=True):
            out[start : start + self._size(part)] = effects[:, part].reshape(-1, out.shape[1])

    def _size(self, part: slice) -> int:
        return int(part.stop - part.start) * self.levels


@dataclass(frozen=True, eq=False, slots=True)
class Meeting:
    """G_l over the levels of one other term.

    Attributes
    ----------
    levels, others : ndarray of int, shape (m,)
        Pairs of an eliminated level and a level of the term that occur together, by `levels`.
    values : ndarray, shape (m, k, k_s)
    """

    levels: Ints
    others: Ints
    values: Floats


class FactoredSchur(FactoredSystem, Protocol):
    """S at one θ; as a `FactoredSystem` of the terms that are left."""

    def forms(self) -> Floats:
        """G_l Λ_r S⁻¹ Λ_rᵀ G_lᵀ of every eliminated level, shape (levels, k, k)."""

    def remaining(self, terms: tuple[int, ...]) -> Remaining | None:
        """H, ΛS⁻¹Λᵀ and I − ΛS⁻¹ΛᵀH of the terms with these numbers; None when they are not dense."""


class Schur(Protocol):
    """What is left after an elimination: H as a function of R, and I + ΛᵀHΛ."""

    kind: str

    def factorize(self, R: Floats, factors: Sequence[Factor]) -> FactoredSchur:
        """Factorise S at the R of the eliminated levels, shape (levels, k, k), and the factors of the other terms."""


def eliminate(products: CrossProducts, terms: tuple[int, ...]) -> Eliminated:
    """
    Prepare the elimination of some terms of one grouping factor.

    Parameters
    ----------
    products : CrossProducts
    terms : tuple of int
    """
    sizes = [products.sizes[t] for t in terms]
    ends = np.cumsum([0, *sizes])
    parts = tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends))
    gram = None
    for block in products.blocks:
        if block.t in terms and block.s in terms:
            gram = np.zeros((len(block.rows), ends[-1], ends[-1])) if gram is None else gram
            t, s = parts[terms.index(block.t)], parts[terms.index(block.s)]
            gram[:, t, s] = block.values
            gram[:, s, t] = block.values.transpose(0, 2, 1)
    assert gram is not None
    C, inverse = _semidefinite_cholesky(gram)
    return Eliminated(terms, parts, tuple(products.starts[t] for t in terms), C, inverse)


def _semidefinite_cholesky(gram: Floats) -> tuple[Floats, Floats]:
    """C upper triangular with CᵀC = gram for every level, and its inverse; a direction without data has zeros."""
    k = gram.shape[1]
    C, inverse = np.zeros_like(gram), np.zeros_like(gram)
    for j in range(k):
        row = gram[:, j, j:].copy()
        for i in range(j):
            row -= C[:, i, j, None] * C[:, i, j:]
        there = row[:, 0] > _ABSENT * gram[:, j, j]
        reciprocal = np.where(there, 1.0 / np.sqrt(np.where(there, row[:, 0], 1.0)), 0.0)
        C[:, j, j:] = row * reciprocal[:, None]
        inverse[:, j, j] = reciprocal
        for i in range(j):
            inverse[:, : i + 1, j] -= inverse[:, : i + 1, i] * (C[:, i, j] * reciprocal)[:, None]
    return C, inverse


def meetings(products: CrossProducts, eliminated: Eliminated, rest: Sequence[int]) -> list[Meeting]:
    """G_l = C_l⁻ᵀ Z_lᵀWZ_s for each term s that is left."""
    return [_meeting(products, eliminated, s) for s in rest]


def _meeting(products: CrossProducts, eliminated: Eliminated, s: int) -> Meeting:
    levels = others = np.empty(0, dtype=np.intp)
    values: Floats | None = None
    for block in products.blocks:
        if block.t in eliminated.terms and block.s == s:
            part, levels, others, found = block.t, block.rows, block.columns, block.values
        elif block.s in eliminated.terms and block.t == s:
            order = np.argsort(block.columns, kind="stable")
            part, levels, others = block.s, block.columns[order], block.rows[order]
            found = block.values.transpose(0, 2, 1)[order]
        else:
            continue
        if values is None:
            values = np.empty((len(levels), eliminated.k, products.sizes[s]))
        values[:, eliminated.parts[eliminated.terms.index(part)]] = found
    assert values is not None
    return Meeting(levels, others, batched(eliminated.inverse[levels], values, transposed=True))


def batched(A: Floats, B: Floats, transposed: bool = False) -> Floats:
    """A_l B_l, or A_lᵀ B_l, for every level."""
    out = np.empty(B.shape)
    _kernels.level_products(np.ascontiguousarray(A), np.ascontiguousarray(B), transposed, out)
    return out


class BlockedSystem:
    """
    One grouping factor eliminated, the rest in a Schur complement.

    Parameters
    ----------
    products : CrossProducts
    eliminated : Eliminated
    schur : Schur or None
        None when there is no other term.
    G : ndarray or csr_array, shape (levels · k, r), or None
        All G_l, one below the other.
    """

    def __init__(
        self,
        products: CrossProducts,
        eliminated: Eliminated,
        schur: Schur | None = None,
        G: Floats | sparse.csr_array | None = None,
    ) -> None:
        self.name = "blocked" if schur is None else f"blocked-{schur.kind}"
        self.sizes = products.sizes
        self.q, self.eliminated, self.schur, self.G = products.q, eliminated, schur, G
        self.rest = tuple(t for t in range(len(products.sizes)) if t not in eliminated.terms)
        spans = [np.arange(products.starts[t], products.starts[t + 1]) for t in self.rest]
        self.rest_places = np.concatenate(spans) if spans else np.empty(0, dtype=np.intp)
        self.rest_starts = tuple(np.cumsum([0, *(len(span) for span in spans)]).tolist())

    @property
    def description(self) -> str:
        """See `System`."""
        eliminated = f"{self.eliminated.levels} levels of {self.eliminated.k} effects eliminated one by one"
        if self.schur is None:
            return eliminated
        return f"{eliminated}, the other {len(self.rest_places)} by a {self.schur.kind} Cholesky factorisation"

    def factorize(self, factors: Sequence[Factor]) -> FactoredBlocks:
        """See `System`."""
        return FactoredBlocks(self, factors)


class FactoredBlocks:
    """M at one θ, the eliminated levels apart."""

    def __init__(self, system: BlockedSystem, factors: Sequence[Factor]) -> None:
        self._system, eliminated = system, system.eliminated
        self._T = eliminated.factor(factors)
        self._R, self._N = np.empty_like(eliminated.C), np.empty_like(eliminated.C)
        self.logdet = _kernels.level_inverses(eliminated.C, self._T, self._R, self._N)
        if not np.isfinite(self.logdet):
            raise NotPositiveDefiniteError("a level's system is not positive definite")
        self._rest_factors = [factors[t] for t in system.rest]
        self._inner = None if system.schur is None else system.schur.factorize(self._R, self._rest_factors)
        if self._inner is not None:
            self.logdet += self._inner.logdet
        self._forms: Floats | None = None

    def effects(self, c: Floats) -> Floats:
        """See `FactoredSystem`."""
        system, eliminated = self._system, self._system.eliminated
        out = np.empty(c.shape)
        within = batched(eliminated.inverse, eliminated.take(c), transposed=True)
        if self._inner is not None:
            assert system.G is not None
            taken = within - batched(self._R, within)
            u = self._inner.effects(c[system.rest_places] - system.G.T @ taken.reshape(-1, c.shape[1]))
            out[system.rest_places] = u
            explained = system.G @ apply_factors(self._rest_factors, u, system.rest_starts)
            within -= explained.reshape(within.shape)
        eliminated.put(batched(self._N, within, transposed=True), out)
        return out

    def slopes(self) -> list[Floats]:
        """See `FactoredSystem`."""
        eliminated, k, inner = self._system.eliminated, self._system.eliminated.k, self._N
        if self._inner is not None:
            inner = inner - batched(batched(self._R, self._level_forms()), self._N)
        slope = eliminated.C.reshape(-1, k).T @ inner.reshape(-1, k)
        found = {t: slope[part, part] for t, part in zip(eliminated.terms, eliminated.parts, strict=True)}
        return self._joined(found, [] if self._inner is None else self._inner.slopes())

    def traces(self) -> list[Floats]:
        """See `FactoredSystem`."""
        eliminated, k = self._system.eliminated, self._system.eliminated.k
        inner = self._R
        if self._inner is not None:
            inner = inner - batched(batched(self._R, self._level_forms()), self._R)
        P = eliminated.C.reshape(-1, k).T @ batched(inner, eliminated.C).reshape(-1, k)
        P = 0.5 * (P + P.T)
        found = {t: P[part, part] for t, part in zip(eliminated.terms, eliminated.parts, strict=True)}
        return self._joined(found, [] if self._inner is None else self._inner.traces())

    def variances(self) -> list[Floats]:
        """See `FactoredSystem`."""
        eliminated, T = self._system.eliminated, self._T
        CT = eliminated.C @ T
        K = T @ np.linalg.solve(np.eye(eliminated.k) + CT.transpose(0, 2, 1) @ CT, np.broadcast_to(T.T, CT.shape))
        if self._inner is not None:
            CK = eliminated.C @ K
            K = K + CK.transpose(0, 2, 1) @ self._level_forms() @ CK
        found = {t: K[:, part, part] for t, part in zip(eliminated.terms, eliminated.parts, strict=True)}
        return self._joined(found, [] if self._inner is None else self._inner.variances())

    def squares(self, columns: int) -> Squares | None:
        """See `FactoredSystem`; dense products of order r cost as much as some solutions for each effect left."""
        if self._inner is None or columns < _MANY_COLUMNS * len(self._system.rest_places):
            return None
        left = self._inner.remaining(self._system.rest)
        if left is None:
            return None
        eliminated, sizes = self._system.eliminated, self._system.sizes
        CR = eliminated.C.transpose(0, 2, 1) @ self._R
        E = CR @ self._level_forms() @ CR.transpose(0, 2, 1)
        B = _level_products(CR, self._system.G)
        return squares_by_elimination(sizes, Gone(eliminated.terms, eliminated.parts, B, CR @ eliminated.C, E), left)

    def _level_forms(self) -> Floats:
        if self._forms is None:
            assert self._inner is not None
            self._forms = self._inner.forms()
        return self._forms

    def _joined(self, eliminated: dict[int, Floats], rest: Sequence[Floats]) -> list[Floats]:
        """Results by term, in the order of the terms."""
        by_term = eliminated | dict(zip(self._system.rest, rest, strict=True))
        return [by_term[t] for t in sorted(by_term)]


def _level_products(A: Floats, G: Floats | sparse.csr_array | None) -> Floats | sparse.csr_array:
    """A_l G_l of every level, one below the other."""
    assert G is not None
    levels, k = A.shape[:2]
    if isinstance(G, np.ndarray):
        return np.asarray(A @ G.reshape(levels, k, -1)).reshape(G.shape)
    blocks = sparse.bsr_array((A, np.arange(levels), np.arange(levels + 1)), shape=(levels * k, levels * k))
    return sparse.csr_array(blocks @ G)
