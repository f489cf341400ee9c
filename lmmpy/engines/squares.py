"""Sums of squares of K = ZᵀV⁻¹Z by pairs of terms, all that traces of two derivatives of V need.

With K_lm the (k_s, k_t) block between level l of term s and level m of term t, the entry [t][s] (t ≤ s) is
Σ_lm K_lm[c, a] K_lm[d, b], shape (k_s, k_t, k_s, k_t) in the order c, a, d, b, so that for derivatives D of the
covariance of term t and E of that of s

    tr(V⁻¹Z_tDZ_tᵀ V⁻¹Z_sEZ_sᵀ) = Σ [t][s][c, a, d, b] D[a, b] E[c, d].

Where levels are related, A_t among those of t, the second factor is Σ A_s[l, l'] K_l'm'[d, b] A_t[m', m], and the
trace that of V⁻¹Z_t(A_t⊗D)Z_tᵀ V⁻¹Z_s(A_s⊗E)Z_sᵀ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.penalty import Penalty

__all__ = [
    "Gone",
    "Remaining",
    "Squares",
    "level_groups",
    "squares_by_columns",
    "squares_by_elimination",
    "turned_squares",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Squares = list[list[Floats]]

# Numbers in a dense block of columns: 64 MB.
_BLOCK = 8_000_000


def level_groups(products: CrossProducts, penalty: Penalty) -> list[list[Ints]]:
    """
    For each term groups of levels of which no two are connected by the data.

    Their columns of K have no row in common and can be solved for as one: with a single grouping factor all levels are
    one group. Related levels are connected.
    """
    connected = sparse.csr_array(products.ZtZ)
    if not penalty.is_identity:
        connected = sparse.csr_array(connected + sparse.block_diag(_links(penalty), format="csr"))
    components = csgraph.connected_components(connected, directed=False)[1]
    found = []
    for k, start, end in zip(products.sizes, products.starts[:-1], products.starts[1:], strict=True):
        of_level = components[start:end:k]
        order = np.argsort(of_level, kind="stable")
        rank = np.arange(len(order)) - np.searchsorted(of_level[order], of_level[order])
        by_rank = np.argsort(rank, kind="stable")
        cuts = np.searchsorted(rank[by_rank], np.arange(1, rank.max(initial=0) + 1))
        found.append([order[part] for part in np.split(by_rank, cuts)])
    return found


def _links(penalty: Penalty) -> list[sparse.csr_array]:
    """Which effects of each term are related: every one to the first of its group of levels."""
    found = []
    for k, relatedness in zip(penalty.sizes, penalty.relatedness, strict=True):
        if relatedness.is_identity:
            found.append(sparse.csr_array((relatedness.size * k, relatedness.size * k)))
            continue
        _, first, group = np.unique(relatedness.components(), return_index=True, return_inverse=True)
        links = sparse.csr_array((np.ones(len(group)), (np.arange(len(group)), first[group])), shape=(len(group),) * 2)
        found.append(sparse.csr_array(sparse.kron(links, np.ones((k, k)))))
    return found


def squares_by_columns(
    products: CrossProducts,
    penalty: Penalty,
    groups: Sequence[Sequence[Ints]],
    solve: Callable[[Floats], Floats],
) -> Squares:
    """
    From the columns of K, some at a time.

    Parameters
    ----------
    products : CrossProducts
    penalty : Penalty
        Tells the relatedness of levels.
    groups : sequence, one a term, of sequences of arrays
        By `level_groups`.
    solve : callable
        ZᵀWZc → ZᵀV⁻¹Zc, shape (q, m).
    """
    found = _nothing(products.sizes)
    for t, (k, columns) in enumerate(zip(products.sizes, groups, strict=True)):
        width = max(1, _BLOCK // (products.q * k))
        for start in range(0, len(columns), width):
            units = _unit_columns(products, t, columns[start : start + width])
            block = solve(_times_ZtZ(products, units))
            if penalty.relatedness[t].is_identity:
                other = block
            else:
                related = units.toarray()
                own = slice(products.starts[t], products.starts[t + 1])
                related[own] = penalty.relate(t, related[own])
                other = solve(_times_ZtZ(products, related))
            for s in range(t, len(products.sizes)):
                rows = slice(products.starts[s], products.starts[s + 1])
                found[t][s] += _products_of(block[rows], penalty.relate(s, other[rows]), products.sizes[s], k)
    return found


def _times_ZtZ(products: CrossProducts, columns: Any) -> Floats:
    return np.ascontiguousarray(_dense(products.ZtZ @ columns))


def _unit_columns(products: CrossProducts, t: int, groups: Sequence[Ints]) -> sparse.csc_array:
    """The sum over each group of its levels' unit vectors."""
    k, start = products.sizes[t], products.starts[t]
    rows = [start + levels[:, None] * k + np.arange(k) for levels in groups]
    columns = [np.broadcast_to(g * k + np.arange(k), row.shape) for g, row in enumerate(rows)]
    places = np.concatenate([r.ravel() for r in rows]), np.concatenate([c.ravel() for c in columns])
    return sparse.csc_array((np.ones(len(places[0])), places), shape=(products.q, len(groups) * k))


def _squares_of(K: Floats, k_s: int, k_t: int) -> Floats:
    """Σ_lm of the blocks of a part of K."""
    return _products_of(K, K, k_s, k_t)


def _products_of(K: Floats, other: Floats, k_s: int, k_t: int) -> Floats:
    """Σ_lm of products of the blocks of two matrices like K."""
    left = _by_blocks(K, k_s, k_t)
    right = left if other is K else _by_blocks(other, k_s, k_t)
    return np.asarray(left.T @ right).reshape(k_s, k_t, k_s, k_t)


def _by_blocks(K: Floats, k_s: int, k_t: int) -> Floats:
    return K.reshape(-1, k_s, K.shape[1] // k_t, k_t).transpose(0, 2, 1, 3).reshape(-1, k_s * k_t)


def _nothing(sizes: Sequence[int]) -> Squares:
    return [[np.zeros((k_s, k_t, k_s, k_t)) for k_s in sizes] for k_t in sizes]


@dataclass(frozen=True, eq=False, slots=True)
class Remaining:
    """What is left after an elimination, dense; in the notation of `blocked`.

    Attributes
    ----------
    terms : tuple of int
    starts : tuple of int
        Where each of them begins among the r effects that are left, and the end.
    H : ndarray, shape (r, r)
    P : ndarray, shape (r, r)
        ΛS⁻¹Λᵀ.
    N : ndarray, shape (r, r)
        I − PH.
    """

    terms: tuple[int, ...]
    starts: tuple[int, ...]
    H: Floats
    P: Floats
    N: Floats

    def spans(self) -> list[tuple[int, int, int]]:
        """Each term with its first effect and the next one's."""
        return list(zip(self.terms, self.starts[:-1], self.starts[1:], strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class Gone:
    """The terms that were eliminated, level by level.

    Attributes
    ----------
    terms : tuple of int
    parts : tuple of slice
        The effects of each of them among the k of a level.
    B : ndarray or csr_array, shape (levels · k, r)
        Z_lᵀV₀⁻¹Z_r of all levels, one below the other.
    D : ndarray, shape (levels, k, k)
        Z_lᵀV₀⁻¹Z_l.
    E : ndarray, shape (levels, k, k)
        B_l P B_lᵀ.
    """

    terms: tuple[int, ...]
    parts: tuple[slice, ...]
    B: Floats | sparse.csr_array
    D: Floats
    E: Floats


def squares_by_elimination(sizes: Sequence[int], gone: Gone, left: Remaining) -> Squares:
    """
    From what the blocked engine has: no column of K is formed.

    With V₀ that of the eliminated terms alone,

        K_00 = D − B P Bᵀ,   K_0r = B N,   K_rr = H N,

    so that with M_ab = Σ_l B_l[a]ᵀB_l[b], of the order of what is left, sums of products of K_00 are traces of
    P M_ab P M_cd, and those of K_0r are sums over blocks of NᵀM_abN.

    Parameters
    ----------
    sizes : sequence of int
        Effects of a level of each term.
    gone : Gone
    left : Remaining
    """
    k = gone.D.shape[1]
    rows = [gone.B[a::k] for a in range(k)]
    M = [[_dense(rows[a].T @ rows[b]) for b in range(k)] for a in range(k)]
    found = _nothing(sizes)
    S = _among_gone(gone, left.P, M)
    for t, part_t in zip(gone.terms, gone.parts, strict=True):
        for s, part_s in zip(gone.terms, gone.parts, strict=True):
            found[t][s] = S[part_s, part_t, part_s, part_t]
    K = left.H @ left.N
    for t, start, end in left.spans():
        for s, first, last in left.spans():
            found[t][s] = _squares_of(K[first:last, start:end], sizes[s], sizes[t])
    for r, start, end in left.spans():
        across = _across(left.N[:, start:end], M, sizes[r])
        for t, part in zip(gone.terms, gone.parts, strict=True):
            if t < r:
                found[t][r] = across[:, part][:, :, :, part]
            else:
                found[r][t] = across.transpose(1, 0, 3, 2)[part][:, :, part]
    return found


def _among_gone(gone: Gone, P: Floats, M: Sequence[Sequence[Floats]]) -> Floats:
    """Σ_lm over the eliminated levels, shape (k, k, k, k)."""
    D, E, k = gone.D, gone.E, gone.D.shape[1]
    PMP = [[P @ M[a][b] @ P for b in range(k)] for a in range(k)]
    S = np.empty((k, k, k, k))
    for c, a, d, b in np.ndindex(k, k, k, k):
        own = D[:, c, a] * D[:, d, b] - D[:, c, a] * E[:, d, b] - E[:, c, a] * D[:, d, b]
        S[c, a, d, b] = own.sum() + float(np.vdot(PMP[a][b], M[c][d]))
    return S


def _across(N: Floats, M: Sequence[Sequence[Floats]], size: int) -> Floats:
    """Σ_m (NᵀM_abN)[mc, md] over the levels of one term that is left, in the order c, a, d, b."""
    k, by_level = len(M), N.reshape(len(N), -1, size)
    S = np.empty((size, k, size, k))
    for a, b in np.ndindex(k, k):
        S[:, a, :, b] = np.einsum("imc,imd->cd", by_level, (M[a][b] @ N).reshape(by_level.shape))
    return S


def _dense(A: Any) -> Floats:
    return A if isinstance(A, np.ndarray) else np.asarray(A.toarray())


def turned_squares(squares: Squares, bases: Sequence[Floats | None]) -> Squares:
    """In the coordinates of the model: K_lm becomes R_sᵀK_lmR_t."""
    out: Squares = []
    for R_t, row in zip(bases, squares, strict=True):
        out.append([])
        for R_s, S in zip(bases, row, strict=True):
            s, t = (np.eye(size) if R is None else R for R, size in ((R_s, S.shape[0]), (R_t, S.shape[1])))
            out[-1].append(np.einsum("cadb,cx,ay,dz,bw->xyzw", S, s, t, s, t, optimize=True))
    return out
