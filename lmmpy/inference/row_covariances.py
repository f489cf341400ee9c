"""Covariances between rows in numbers: of the residual, group by group, and of random functions, at one θ.

Everything is in units of σ². What has to be known of all pairs of rows, V itself, is in `projection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lmmpy.covariance import Indexed, Product, RowStructure, Strata
from lmmpy.design import Design, RandomEffects, RowCovariance
from lmmpy.design.values import Codes, Floats
from lmmpy.engines.components import stacks_of_equal
from lmmpy.errors import ModelError

__all__ = ["ResidualCovariance", "covariance_of_function", "levels_between", "parts_of_rows", "root_of"]

# Pairs of rows that are looked up at once.
_PAIRS = 4_000_000
# Eigenvalues below this share of the largest are rounding.
_NIL = 1e-10


def parts_of_rows(design: Design, theta: Floats) -> tuple[list[Floats], Floats]:
    """The parameters of each random function, and of the residual; none of an independent one."""
    parts = design.split_rows(theta)
    return (parts, np.empty(0)) if design.residual is None else (parts[:-1], parts[-1])


@dataclass(frozen=True, eq=False)
class ResidualCovariance:
    """
    R, the covariance of the residual over σ²: r_ij/√(w_i w_j) within a group, else zero.

    Attributes
    ----------
    design : Design
    phi : ndarray
        Parameters of its structure; empty when residuals are independent.
    """

    design: Design
    phi: Floats

    @classmethod
    def of(cls, design: Design, theta: Floats) -> ResidualCovariance:
        """That of a design at some θ."""
        return cls(design, parts_of_rows(design, theta)[1])

    @cached_property
    def root_weights(self) -> Floats:
        """W^½, shape (n,)."""
        weights = self.design.weights
        return np.ones(self.design.n) if weights is None else np.sqrt(weights)

    @cached_property
    def groups(self) -> Codes:
        """Group of each row, numbered without gaps, shape (n,); one a row for independent residuals."""
        residual = self.design.residual
        if residual is None:
            return np.arange(self.design.n)
        return np.asarray(np.unique(residual.groups, return_inverse=True)[1], dtype=np.intp)

    @cached_property
    def members(self) -> list[Codes]:
        """The rows of groups of one size, each of shape (groups, size), in the order of the data within a group."""
        order, stacks = stacks_of_equal(self.groups)
        return [np.sort(order[place].reshape(-1, size), axis=1) for place, size in stacks]

    @cached_property
    def stacks(self) -> list[Floats]:
        """R of the groups of `members`, each of shape (groups, size, size)."""
        return [self._of(rows) for rows in self.members]

    def _of(self, rows: Codes) -> Floats:
        i, j = np.broadcast_arrays(rows[:, :, None], rows[:, None, :])
        return self.pairs(i.ravel(), j.ravel()).reshape(i.shape)

    def pairs(self, i: Codes, j: Codes) -> Floats:
        """R of pairs of rows of one group, shape (m,)."""
        root, residual = self.root_weights, self.design.residual
        values = np.ones(len(i)) if residual is None else residual.structure.between(i, j).at(self.phi).values
        return np.asarray(values / (root[i] * root[j]))

    @cached_property
    def variance(self) -> Floats:
        """The diagonal of R, shape (n,)."""
        every = np.arange(self.design.n)
        return self.pairs(every, every)

    def block(self, rows: Codes) -> Floats:
        """R between some rows, shape (m, m)."""
        if self.design.residual is None:
            return np.diag(self.variance[rows])
        found = np.zeros((len(rows), len(rows)))
        groups = self.groups[rows]
        step = max(1, _PAIRS // max(len(rows), 1))
        for first in range(0, len(rows), step):
            i, j = np.nonzero(groups[first : first + step, None] == groups)
            found[first + i, j] = self.pairs(rows[first + i], rows[j])
        return found

    def times(self, values: Floats) -> Floats:
        """R times some columns, shape (n,) or (n, m)."""
        found = np.empty_like(values)
        for rows, R in zip(self.members, self.stacks, strict=True):
            found[rows] = np.einsum("gij,gj...->gi...", R, values[rows])
        return found

    def is_singular(self, tol: float) -> bool:
        """Whether the root of a group's correlation matrix has a singular value below `tol`, or a row no variance."""
        if self.design.residual is not None and _has_zero(self.design.residual.structure, self.phi, tol):
            return True
        for rows, R in zip(self.members, self.stacks, strict=True):
            own = np.sqrt(self.variance[rows])
            correlation = R / (own[:, :, None] * own[:, None, :])
            if (np.linalg.eigvalsh(correlation)[:, 0] < tol**2).any():
                return True
        return False

    @property
    def is_regular(self) -> bool:
        """Whether R has an inverse."""
        try:
            return bool(self.factors)
        except ModelError:
            return False

    @cached_property
    def factors(self) -> list[Floats]:
        """
        L of the groups of `members`, lower triangular, LLᵀ = R.

        Raises
        ------
        ModelError
            Where R is singular.
        """
        try:
            return [np.asarray(np.linalg.cholesky(R), dtype=float) for R in self.stacks]
        except np.linalg.LinAlgError:
            raise ModelError(
                "The covariance of the residual is singular (a correlation of ±1, or a standard deviation of zero), so "
                "that residuals cannot be made uncorrelated. type='response' and type='pearson' need not that."
            ) from None

    def whitened(self, values: Floats) -> Floats:
        """L⁻¹ times a column, group by group in the order of the rows, shape (n,)."""
        found = np.empty_like(values)
        for rows, L in zip(self.members, self.factors, strict=True):
            found[rows] = np.linalg.solve(L, values[rows][:, :, None])[:, :, 0]
        return found

    @cached_property
    def inverse_diagonal(self) -> Floats:
        """The diagonal of R⁻¹, shape (n,)."""
        found = np.empty(self.design.n)
        for rows, L in zip(self.members, self.factors, strict=True):
            inverse = np.linalg.inv(L)
            found[rows] = np.einsum("gij,gij->gj", inverse, inverse)
        return found

    @cached_property
    def roots(self) -> list[Floats]:
        """Any B with BBᵀ = R, for the groups of `members`; L where R is regular."""
        return [root_of(R) for R in self.stacks]

    def draw(self, generator: Generator) -> Floats:
        """A residual over σ, normal with covariance R, shape (n,)."""
        noise = generator.standard_normal(self.design.n)
        if self.design.residual is None:
            return noise / self.root_weights
        found = np.empty(self.design.n)
        for rows, B in zip(self.members, self.roots, strict=True):
            found[rows] = np.einsum("gij,gj->gi", B, noise[rows])
        return found


def _has_zero(structure: RowStructure, phi: Floats, tol: float) -> bool:
    """Whether the standard deviation of some place is nearly zero, against a typical one."""
    if isinstance(structure, Product):
        return any(
            _has_zero(part, piece, tol) for part, piece in zip(structure.parts, structure.split(phi), strict=True)
        )
    if not isinstance(structure, Indexed | Strata):
        return False
    sds = np.array([found.value for found in structure.reported(phi) if found.kind == "sd"])
    return len(sds) == len(structure.sizes) and bool((sds < tol * structure.sizes).any())


def root_of(C: Floats) -> Floats:
    """B with BBᵀ = C, of one matrix or of a stack; Cholesky's where C is regular."""
    try:
        return np.asarray(np.linalg.cholesky(C))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(C)
        values = np.where(values > _NIL * values[..., -1:], values, 0.0)
        return np.asarray(vectors * np.sqrt(values)[..., None, :])


def covariance_of_function(rows: RowCovariance, phi: Floats, i: Codes, j: Codes) -> Floats:
    """
    Covariance of a random function between two sets of rows, r_ij K_ij.

    Parameters
    ----------
    rows : RowCovariance
    phi : ndarray
        Its parameters.
    i, j : ndarray of int, shape (m,) and (k,)

    Returns
    -------
    ndarray, shape (m, k)
    """
    a, b = np.broadcast_arrays(i[:, None], j)
    values = rows.structure.between(a.ravel(), b.ravel()).at(phi).values.reshape(a.shape)
    values = np.where(rows.groups[a] == rows.groups[b], values, 0.0)
    if rows.relatedness is None or rows.codes is None:
        return values
    levels, place = np.unique(np.concatenate([rows.codes[i], rows.codes[j]]), return_inverse=True)
    K = rows.relatedness.block(levels, levels)
    return np.asarray(values * K[np.ix_(place[: len(i)], place[len(i) :])])


def levels_between(term: RandomEffects, codes: Codes, others: Codes | None = None) -> NDArray[np.float64]:
    """K between the levels of some rows and those of others (or the same), shape (m, k)."""
    others = codes if others is None else others
    if term.relatedness.is_identity:
        return np.asarray(codes[:, None] == others, dtype=float)
    levels, place = np.unique(np.concatenate([codes, others]), return_inverse=True)
    K = np.asarray(term.relatedness.block(levels, levels))
    return np.asarray(K[np.ix_(place[: len(codes)], place[len(codes) :])])
