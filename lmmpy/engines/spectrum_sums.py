"""Sums of products of columns over a spectrum: those of the null model once, those of tested columns by the chunk.

The columns of a model are ordered as X, G, y; its Gram matrix in the metric of V⁻¹ holds everything that a likelihood
needs. X and y are in stable coordinates (`crossproducts`), the columns of G have been made orthogonal to X and to each
other, all of length one: so the Gram matrix at λ = 0 is the identity but for the products of G and y.

V is (I + λS)/√(1 + λs), s the mean diagonal entry of S: no likelihood depends on its scale, and so the sums keep their
digits at both ends of the range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.spectrum_batch import Spectrum
from lmmpy.engines.spectrum_curves import RATIOS, coefficients, curve_values

__all__ = ["ColumnSums", "NullSums", "cholesky_factors", "inverse_factors"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_SCALE = np.sqrt(1.0 + RATIOS)


class NullSums:
    """
    What does not depend on the tested columns.

    Parameters
    ----------
    spectrum : Spectrum
    columns : ndarray, shape (n, p + 1)
        [Q e] of the rows, orthonormal.

    Attributes
    ----------
    p : int
    inside : ndarray, shape (m, p + 1)
        The columns rotated.
    shrink : ndarray, shape (129, m)
        √(1 + λs)/(1 + λd) at the grid of ratios.
    gram : ndarray, shape (129, p + 1, p + 1)
        [Q e]ᵀV⁻¹[Q e] at the grid.
    logdet : ndarray, shape (129,)
        log|V|, likewise.
    """

    def __init__(self, spectrum: Spectrum, columns: Floats) -> None:
        self.p = columns.shape[1] - 1
        self.spectrum = spectrum
        self.inside = spectrum.inside(columns)
        d = spectrum.eigenvalues / spectrum.typical
        self.shrink = _SCALE[:, None] / (1.0 + RATIOS[:, None] * d)
        self.logdet = np.array([np.log1p(ratio * d).sum() for ratio in RATIOS]) - spectrum.n * np.log(_SCALE)
        first, second = np.tril_indices(self.p + 1)
        products = self.inside[:, first] * self.inside[:, second]
        values = self.shrink @ products
        if not spectrum.is_complete:
            values += _SCALE[:, None] * ((first == second) - products.sum(axis=0))
        self.gram = np.empty((len(RATIOS), self.p + 1, self.p + 1))
        self.gram[:, first, second] = self.gram[:, second, first] = values
        self.at_zero = np.append((first == second).astype(float), 0.0)
        self._coefficients = coefficients(np.column_stack([values, self.logdet]))

    def curves(self, weights: Floats) -> Floats:
        """Of the lower triangle of `gram`, and of `logdet`; (c, 3, 129) → (c, 3, functions)."""
        return np.asarray(weights @ self._coefficients)


@dataclass(frozen=True, eq=False, slots=True)
class ColumnSums:
    """Sums with the tested columns of one chunk, w tests of k columns each.

    Attributes
    ----------
    null : NullSums
    k : int
    at_zero : ndarray, shape (w, functions)
        At λ = 0. Functions are, for each column a, the products with Q and with e, and those with columns 0 … a.
    values : ndarray, shape (129, functions, w)
        At the grid of ratios.
    coefficients : ndarray, shape (w, 129, functions)
    """

    null: NullSums
    k: int
    at_zero: Floats
    values: Floats
    coefficients: Floats

    @classmethod
    def of(cls, null: NullSums, G: Floats, Gte: Floats) -> ColumnSums:
        """
        Sum the products.

        Parameters
        ----------
        null : NullSums
        G : ndarray, shape (k, n, w)
            Orthogonal to X and to each other, of length one.
        Gte : ndarray, shape (k, w)
            Gᵀe.
        """
        k, _, w = G.shape
        inside = [null.spectrum.inside(columns) for columns in G]
        at_zero = _totals(null.p, Gte)
        values = np.empty((len(RATIOS), len(at_zero), w))
        products = np.empty_like(inside[0])
        for f, (a, b) in enumerate(_functions(null.p, k)):
            other = null.inside[:, b, None] if b <= null.p else inside[b - null.p - 1]
            np.multiply(inside[a], other, out=products)
            values[:, f] = null.shrink @ products
            if not null.spectrum.is_complete:
                values[:, f] += _SCALE[:, None] * (at_zero[f] - products.sum(axis=0))
        curves = coefficients(values.reshape(len(RATIOS), -1)).reshape(values.shape)
        return cls(null, k, at_zero.T.copy(), values, np.ascontiguousarray(curves.transpose(2, 0, 1)))

    @classmethod
    def none(cls, null: NullSums) -> ColumnSums:
        """One test of no columns."""
        return cls(null, 0, np.empty((1, 0)), np.empty((len(RATIOS), 0, 1)), np.empty((1, len(RATIOS), 0)))

    def take(self, tests: Ints) -> ColumnSums:
        """The same of some tests."""
        return ColumnSums(self.null, self.k, self.at_zero[tests], self.values[:, :, tests], self.coefficients[tests])

    def leading(self, k: int) -> ColumnSums:
        """The same of the first k columns of each test."""
        few = len(_functions(self.null.p, k))
        return ColumnSums(self.null, k, self.at_zero[:, :few], self.values[:, :few], self.coefficients[:, :, :few])

    def reduced(self) -> tuple[Floats, Floats]:
        """
        At the grid, what X leaves over.

        Returns
        -------
        logdet : ndarray, shape (129,)
            log|QᵀV⁻¹Q|.
        gram : ndarray, shape (129, w, k + 1, k + 1)
            [G e]ᵀP[G e], P = V⁻¹ − V⁻¹Q(QᵀV⁻¹Q)⁻¹QᵀV⁻¹.
        """
        null, k, w = self.null, self.k, self.values.shape[2]
        p = null.p
        R = cholesky_factors(null.gram)
        half = inverse_factors(R[:, :p, :p])
        found = np.empty((len(RATIOS), w, k + 1, k + 1))
        found[:, :, k, k] = (R[:, p, p] ** 2)[:, None]
        turned: list[Floats] = []
        for f, (a, b) in enumerate(_functions(p, k)):
            if b == 0:
                turned.append(half @ self.values[:, f : f + p])
            if b == p:
                along = (R[:, p, :p, None] * turned[a]).sum(axis=1)
                found[:, :, k, a] = found[:, :, a, k] = self.values[:, f] - along
            if b > p:
                along = (turned[a] * turned[b - p - 1]).sum(axis=1)
                found[:, :, a, b - p - 1] = found[:, :, b - p - 1, a] = self.values[:, f] - along
        logdet = 2.0 * np.log(R[:, np.arange(p), np.arange(p)]).sum(axis=1)
        return logdet, found

    def gram_at(self, angles: Floats, tests: Ints) -> tuple[Floats, Floats]:
        """
        The Gram matrix of the columns of some tests, each at its own ratio, with derivatives in φ.

        Parameters
        ----------
        angles : ndarray, shape (c,)
        tests : ndarray of int, shape (c,)

        Returns
        -------
        gram : ndarray, shape (c, 3, s, s)
            s = p + k + 1; value and two derivatives.
        logdet : ndarray, shape (c, 3)
            log|V|, likewise.
        """
        weights = curve_values(angles)
        null, own = self.null.curves(weights), weights @ self.coefficients[tests]
        both = np.concatenate([null[:, :, :-1], own], axis=2)
        return both[:, :, _places(self.null.p, self.k)], null[:, :, -1]

    def gram_at_zero(self, tests: Ints) -> Floats:
        """The same at λ = 0, values only, shape (c, s, s)."""
        null = np.broadcast_to(self.null.at_zero[:-1], (len(tests), len(self.null.at_zero) - 1))
        both = np.concatenate([null, self.at_zero[tests]], axis=1)
        return np.asarray(both[:, _places(self.null.p, self.k)])


def _functions(p: int, k: int) -> list[tuple[int, int]]:
    """Which products are summed: column a of G with 0 … p of [Q e], or with p + 1 + b of the columns b ≤ a of G."""
    return [(a, b) for a in range(k) for b in range(p + 2 + a)]


def _totals(p: int, Gte: Floats) -> Floats:
    """The products over all rows, shape (functions, w), from those with e."""
    k, w = Gte.shape
    rows = [Gte[a] if b == p else np.full(w, float(b == p + 1 + a)) for a, b in _functions(p, k)]
    return np.array(rows).reshape(-1, w)


def _places(p: int, k: int) -> Ints:
    """Where the entries of the Gram matrix of X, G, y are among the functions of the null and then of the columns."""
    s = p + k + 1
    found = np.empty((s, s), dtype=np.intp)
    own = [*range(p), s - 1]  # of X and y in the matrix
    lower = [(i, j) for i in range(p + 1) for j in range(i + 1)]
    for number, (i, j) in enumerate(lower):
        found[own[i], own[j]] = found[own[j], own[i]] = number
    start = (p + 1) * (p + 2) // 2
    for number, (a, b) in enumerate(_functions(p, k)):
        i, j = p + a, own[b] if b <= p else b - 1
        found[i, j] = found[j, i] = start + number
    return found


def cholesky_factors(A: Floats) -> Floats:
    """L with A = LLᵀ of each of a stack of small matrices; NaN where there is none."""
    L = np.zeros_like(A)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for j in range(A.shape[-1]):
            before = L[..., j, :j]
            L[..., j, j] = np.sqrt(A[..., j, j] - (before * before).sum(axis=-1))
            for i in range(j + 1, A.shape[-1]):
                L[..., i, j] = (A[..., i, j] - (L[..., i, :j] * before).sum(axis=-1)) / L[..., j, j]
    return L


def inverse_factors(L: Floats) -> Floats:
    """L⁻¹ of each of a stack of small lower triangular matrices."""
    found = np.zeros_like(L)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for i in range(L.shape[-1]):
            found[..., i, i] = 1.0 / L[..., i, i]
            for j in range(i):
                found[..., i, j] = -(L[..., i, j:i] * found[..., j:i, j]).sum(axis=-1) / L[..., i, i]
    return found
