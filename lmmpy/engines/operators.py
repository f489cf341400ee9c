"""What inference asks of the linear algebra at one θ: conditional covariances, and products with V⁻¹.

Everything is in units of σ², with V = W⁻¹ + ZΛΛᵀZᵀ, and nothing of size n × n or n × q appears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.system import by_level, multiply_levels

__all__ = ["Operators"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Numbers in a dense block of columns: 64 MB.
_BLOCK = 8_000_000
# What a solution leaves over, relatively, that is more than rounding.
_MISSED = 1e-8


@dataclass(frozen=True, eq=False)
class Operators:
    """
    Linear maps at one θ.

    Attributes
    ----------
    products : CrossProducts
        In the engine's coordinates.
    bases : tuple of ndarray or None
        R of each term whose effects the engine has in other coordinates, b' = R b.
    spherical : callable
        ΛᵀZᵀV⁻¹f of vectors f with ZᵀWf = c: (q, m) → (q, m).
    random : callable
        Λu: (q, m) → (q, m).
    transposed : callable
        Λᵀc: (q, m) → (q, m).
    regular : bool
        Whether every T can be divided by.
    divide : callable
        (ΛᵀZᵀV⁻¹f, ZᵀV⁻¹f by subtraction) → ZᵀV⁻¹f with more digits, in place.
    ZtVQ : ndarray, shape (q, p)
        ZᵀV⁻¹Q in the engine's coordinates.
    sums : callable
        () → Σ_l (ZᵀV⁻¹Z)_ll of each term, in the engine's coordinates.
    """

    products: CrossProducts
    bases: tuple[Floats | None, ...]
    spherical: Callable[[Floats], Floats]
    random: Callable[[Floats], Floats]
    transposed: Callable[[Floats], Floats]
    regular: bool
    divide: Callable[[Floats, Floats], Floats]
    ZtVQ: Floats
    sums: Callable[[], list[Floats]]

    @property
    def q(self) -> int:
        """Number of random effects."""
        return self.products.q

    @cached_property
    def ZtVX(self) -> Floats:
        """ZᵀV⁻¹X, shape (q, p)."""
        return self._turned(self.ZtVQ @ self.products.R, [None if R is None else R.T for R in self.bases])

    def traces(self) -> list[Floats]:
        """Σ_l (ZᵀV⁻¹Z)_ll over the levels of each term, shape (k, k)."""
        return [A if R is None else R.T @ A @ R for A, R in zip(self.sums(), self.bases, strict=True)]

    @cached_property
    def ZtWX(self) -> Floats:
        """ZᵀWX, shape (q, p)."""
        ZtWX = self.products.ZtXy[:, :-1] @ self.products.R
        return self._turned(ZtWX, [None if R is None else R.T for R in self.bases])

    def conditional_covariance(self, c: Floats) -> Floats:
        """
        Cov(b | y, β)/σ² times some columns, ΛM⁻¹Λᵀc.

        Parameters
        ----------
        c : ndarray, shape (q, m)

        Returns
        -------
        ndarray, shape (q, m)
        """
        inner = self._turned(c, [None if R is None else _inverse(R).T for R in self.bases])
        found = self.random(self._solved(inner))
        return self._turned(found, [None if R is None else _inverse(R) for R in self.bases])

    def _solved(self, c: Floats) -> Floats:
        """
        M⁻¹Λᵀc for any c.

        `spherical` wants c = ZᵀWf, and takes nothing along a direction of a level that has no data, such as the slope
        of a level with one row. What it leaves over is solved by M⁻¹ = I − ΛᵀZᵀV⁻¹ZΛ.
        """
        u, right = self.spherical(c), self.transposed(c)
        left = right - u - self.transposed(np.ascontiguousarray(self.products.ZtZ @ self.random(u)))
        missed = np.flatnonzero(
            np.abs(left).max(axis=0, initial=0.0) > _MISSED * np.abs(right).max(axis=0, initial=0.0)
        )
        if len(missed):
            rest = np.ascontiguousarray(left[:, missed])
            u[:, missed] += rest - self.spherical(np.ascontiguousarray(self.products.ZtZ @ self.random(rest)))
        return u

    def ZtVZ(self, c: Floats) -> Floats:
        """
        ZᵀV⁻¹Z times some columns.

        Parameters
        ----------
        c : ndarray, shape (q, m)

        Returns
        -------
        ndarray, shape (q, m)
        """
        return self._through_V(np.ascontiguousarray(self.products.ZtZ @ self._turned(c, self.bases)))

    def _through_V(self, ZtZc: Floats) -> Floats:
        """ZᵀV⁻¹Zc from ZᵀWZc."""
        u = self.spherical(ZtZc)
        found = ZtZc if self.regular else ZtZc - self.products.ZtZ @ self.random(u)
        return self._turned(self.divide(u, found), [None if R is None else R.T for R in self.bases])

    def covariance_of_levels(self, t: int, levels: Ints) -> Floats:
        """Cov(b | y, β)/σ² between all effects and those of some levels of term t, shape (q, levels · k)."""
        k = self.products.sizes[t]
        c = np.zeros((self.q, len(levels) * k))
        rows = self.products.starts[t] + levels[:, None] * k + np.arange(k)
        c[rows.ravel(), np.arange(c.shape[1])] = 1.0
        return self.conditional_covariance(c)

    def level_batches(self, t: int) -> Iterator[Ints]:
        """The levels of term t in batches for which (q, levels · k) numbers find room."""
        k, n_levels = self.products.sizes[t], (self.products.starts[t + 1] - self.products.starts[t])
        n_levels //= k
        size = max(1, _BLOCK // (self.q * k))
        for start in range(0, n_levels, size):
            yield np.arange(start, min(start + size, n_levels))

    def squares(self) -> list[list[Floats]]:
        """
        Sums of squares of ZᵀV⁻¹Z by pairs of terms.

        With K_lm the (k_s, k_t) block between level l of s and level m of t, the entry [t][s] (t ≤ s) is
        Σ_lm K_lm[c, a] K_lm[d, b], shape (k_s, k_t, k_s, k_t) in the order c, a, d, b: all that traces such as
        tr(V⁻¹ZE_iZᵀ V⁻¹ZE_jZᵀ) need. Levels of different connected components of the data share columns, since they
        cannot meet: for one grouping factor k columns are all there is to solve.
        """
        products = self.products
        found = [[np.zeros((k_s * k_t, k_s * k_t)) for k_s in products.sizes] for k_t in products.sizes]
        for t, (k, columns) in enumerate(zip(products.sizes, self._columns(), strict=True)):
            width = max(1, _BLOCK // (self.q * k))
            for start in range(0, len(columns), width):
                block = self._kept(t, columns[start : start + width])
                for s in range(t, len(products.sizes)):
                    a, b = products.starts[s], products.starts[s + 1]
                    part = block[a:b].reshape(-1, products.sizes[s], block.shape[1] // k, k)
                    flat = part.transpose(0, 2, 1, 3).reshape(-1, products.sizes[s] * k)
                    found[t][s] += flat.T @ flat
        shaped = []
        for row, k_t in zip(found, products.sizes, strict=True):
            shaped.append([f.reshape(k_s, k_t, k_s, k_t) for f, k_s in zip(row, products.sizes, strict=True)])
        return shaped

    def _columns(self) -> list[list[Ints]]:
        """For each term groups of levels, no two of one component."""
        products = self.products
        components = self._components
        found = []
        for k, start, end in zip(products.sizes, products.starts[:-1], products.starts[1:], strict=True):
            of_level = components[start:end:k]
            order = np.argsort(of_level, kind="stable")
            sorted_ = of_level[order]
            first = np.searchsorted(sorted_, sorted_)
            rank = np.arange(len(order)) - first
            by_rank = np.argsort(rank, kind="stable")
            cuts = np.searchsorted(rank[by_rank], np.arange(1, rank.max(initial=0) + 1))
            found.append([order[part] for part in np.split(by_rank, cuts)])
        return found

    @cached_property
    def _components(self) -> Ints:
        """The connected component of each effect."""
        return np.asarray(csgraph.connected_components(sparse.csr_array(self.products.ZtZ), directed=False)[1])

    def _kept(self, t: int, groups: Sequence[Ints]) -> Floats:
        """Columns of ZᵀV⁻¹Z, each the sum over a group of levels of t."""
        k, start, R = self.products.sizes[t], self.products.starts[t], self.bases[t]
        rows = [start + levels[:, None] * k + np.arange(k) for levels in groups]
        columns = [np.broadcast_to(g * k + np.arange(k), row.shape) for g, row in enumerate(rows)]
        places = np.concatenate([r.ravel() for r in rows]), np.concatenate([c.ravel() for c in columns])
        ones = sparse.csc_array((np.ones(len(places[0])), places), shape=(self.q, len(groups) * k))
        found = self.products.ZtZ @ ones
        dense = np.ascontiguousarray(found if isinstance(found, np.ndarray) else found.toarray())
        if R is not None:
            dense = np.ascontiguousarray((dense.reshape(self.q, -1, k) @ R).reshape(self.q, -1))
        return self._through_V(dense)

    def _turned(self, values: Floats, matrices: Sequence[Floats | None]) -> Floats:
        """Each term's effects in other coordinates."""
        if all(matrix is None for matrix in matrices):
            return values
        out = np.array(values, order="C")
        products = self.products
        for matrix, k, start, end in zip(
            matrices, products.sizes, products.starts[:-1], products.starts[1:], strict=True
        ):
            if matrix is not None:
                source = np.ascontiguousarray(values[start:end])
                multiply_levels(matrix, by_level(source, k), by_level(out[start:end], k))
        return out


def _inverse(R: Floats) -> Floats:
    return np.asarray(np.linalg.inv(R), dtype=float)
