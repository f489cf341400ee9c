"""Many models that differ from one by a kernel or by columns of X, block by block: linkage and exact association.

With unrelated blocks of rows (families) and scalar random terms the covariance of y is

    σ²V(s),  V(s) = Σ_t s_t K_t + s_e W⁻¹,  K_t = z_t K z_tᵀ between rows,  Σ_t s_t + s_e = 1,

where s are shares of the total variance σ², which is profiled out. A problem adds a kernel K_q with a share of its
own, last among the kernels (Almasy & Blangero 1998), or columns to X. The criterion is the −2 log (restricted)
likelihood with all constants, the number that any engine gives. It does not depend on the scale of s, and its average
information (Gilmour, Thompson & Cullis 1995) is given in s as it is; a search has to stay where Σs = 1.

Each problem is computed alone and by one thread: its bits do not depend on the company it is in.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines.block_layout import BlockLayout, joined_blocks, stacked_kernels
from lmmpy.engines.block_problems import Alike, ColumnEstimates, Columns, Problems, ProblemValues
from lmmpy.engines.components import connected_components
from lmmpy.engines.crossproducts import Basis, fixed_basis, with_response
from lmmpy.errors import DataError, ModelError

__all__ = ["BlockFamilies", "ColumnEstimates", "ProblemValues", "Problems", "block_families"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Pairs = tuple[Ints, Ints, Floats]

# Numbers of one kernel over all blocks: 160 MB. Larger ones are left to the ordinary search.
_MOST_NUMBERS = 20_000_000
# The rule by which a design drops columns of X.
_COLLINEAR = 1e-7


class BlockFamilies:
    """
    A null model by blocks of rows, from which problems are made; see `block_families`.

    Pickles.

    Attributes
    ----------
    design : Design
    reml : bool
    layout : BlockLayout
    """

    def __init__(self, design: Design, reml: bool, layout: BlockLayout) -> None:
        self.design, self.reml, self.layout = design, reml, layout
        self._root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
        self._kernels = stacked_kernels(layout, design.random, self._root)
        Q, R = fixed_basis(design)
        self._basis: Basis = with_response(design, Q, R)
        self._logdet_weights = 0.0 if design.weights is None else float(np.log(design.weights).sum())
        self._logdet_XtWX = 2.0 * float(np.log(np.abs(np.diag(R))).sum())

    @property
    def _constant(self) -> float:
        """What the criterion of all problems has."""
        return self._logdet_XtWX * self.reml - self._logdet_weights

    def by(self, reml: bool) -> BlockFamilies:
        """The same model by REML or ML; shares all arrays."""
        other = copy.copy(self)
        other.reml = reml
        return other

    def shares(self, theta: Floats) -> Floats:
        """
        Shares of the null model at θ.

        Parameters
        ----------
        theta : ndarray, shape (n_theta,)
            Of the design: standard deviations of its terms relative to that of the residual.

        Returns
        -------
        ndarray, shape (n_theta + 1,)
        """
        ratios = np.append(np.square(theta), 1.0)
        return np.asarray(ratios / ratios.sum())

    def alone(self) -> Problems:
        """The null model itself, one problem."""
        return Problems([(np.arange(1), self._alike(self.layout, self._kernels, None))])

    def with_kernels(self, kernels: Sequence[Pairs]) -> Problems:
        """
        The null model with a further kernel, one for each problem; its share is the last of those of kernels.

        Parameters
        ----------
        kernels : sequence of (first, second, value)
            Pairs of rows of the design, each pair once, in either order, rows with themselves included; and the
            covariance of the two, before weights. Pairs that are not listed have none. They may join blocks of the
            null.

        Returns
        -------
        Problems

        Raises
        ------
        DataError
            When a row is none of the design, or a covariance not a finite number.
        """
        layouts: dict[bytes, tuple[BlockLayout, Floats, list[int]]] = {}
        for j, (first, second, value) in enumerate(kernels):
            _require_pairs(j, first, second, value, self.design.n)
            blocks = joined_blocks(self.layout.blocks, first, second)
            key = b"" if blocks is self.layout.blocks else blocks.tobytes()
            if key not in layouts:
                layouts[key] = (*self._joined(blocks), [])
            layouts[key][2].append(j)
        groups = []
        for layout, own, members in layouts.values():
            further = np.zeros((len(members), layout.numbers))
            for stack, j in zip(further, members, strict=True):
                first, second, value = kernels[j]
                weighted = value * (self._root[first] * self._root[second])
                stack[layout.places(first, second)] = weighted
                stack[layout.places(second, first)] = weighted
            groups.append((np.array(members), self._alike(layout, own, further)))
        return Problems(groups)

    def with_columns(self, G: Floats, k: int = 1) -> Problems:
        """
        The null model with further columns of X, k for each problem.

        Parameters
        ----------
        G : ndarray, shape (n, m·k)
            Columns of the first problem, of the second, …, at the rows of the design; nothing missing.
        k : int

        Returns
        -------
        Problems
            Those whose columns X or the others of the problem determine, as a design drops them, have an infinite
            value.

        Raises
        ------
        DataError
            When a value is not a finite number.
        ModelError
            When no degrees of freedom are left.
        """
        if not np.isfinite(G).all():
            row, column = np.argwhere(~np.isfinite(G))[0].tolist()
            raise DataError(f"Column {column} of the further columns has no finite value at row {row}.")
        n, m = self.design.n, G.shape[1] // k
        own = np.ascontiguousarray(G.T.reshape(m, k, n).transpose(0, 2, 1)) * self._root[:, None]
        columns, own, logdet = _orthonormal(own, self._basis)
        dof = n - (self.design.p + k) * self.reml
        if dof <= 0:
            raise ModelError(f"{n} rows leave nothing to estimate variances from beside {self.design.p} + {k} columns.")
        constants = self._constant + dof * (1.0 + np.log(2.0 * math.pi * columns.scale**2 / dof)) + logdet * self.reml
        constants[~columns.sound] = np.inf
        layout = self.layout
        Q = np.ascontiguousarray(self._basis.Q[layout.order])
        own = np.ascontiguousarray(own[:, layout.order])
        none = np.empty((0, layout.numbers))
        alike = Alike(layout, self._kernels, none, Q, own, constants, dof, self.reml)
        return Problems([(np.arange(m), alike)], columns)

    def _joined(self, blocks: Ints) -> tuple[BlockLayout, Floats]:
        """Another layout, of blocks that are unions of those of the null, and the kernels of the null in it."""
        if blocks is self.layout.blocks:
            return self.layout, self._kernels
        layout = BlockLayout(blocks)
        kernels = np.zeros((len(self._kernels), layout.numbers))
        kernels[:, layout.places(*self.layout.pairs)] = self._kernels
        return layout, kernels

    def _alike(self, layout: BlockLayout, kernels: Floats, further: Floats | None) -> Alike:
        """Problems with the X of the null."""
        dof = self.design.n - self.design.p * self.reml
        further = np.empty((0, layout.numbers)) if further is None else further
        constant = self._constant + dof * (1.0 + math.log(2.0 * math.pi * self._basis.scale**2 / dof))
        constants = np.full(max(1, len(further)), constant)
        Q = np.ascontiguousarray(self._basis.Q[layout.order])
        own = np.ascontiguousarray(self._basis.e[layout.order])[None]
        return Alike(layout, kernels, further, Q, own, constants, dof, self.reml)


def _require_pairs(number: int, first: Ints, second: Ints, value: Floats, n: int) -> None:
    rows = np.concatenate([first, second])
    if not np.all((rows >= 0) & (rows < n)):
        bad = int(rows[(rows < 0) | (rows >= n)][0])
        raise DataError(f"Kernel {number} names row {bad}; the rows of the design are 0 to {n - 1}.")
    if not np.isfinite(value).all():
        bad = int(np.flatnonzero(~np.isfinite(value))[0])
        raise DataError(
            f"The relatedness of rows {int(first[bad])} and {int(second[bad])} in kernel {number} is "
            f"{float(value[bad])}; it must be a finite number."
        )


def _orthonormal(G: Floats, basis: Basis) -> tuple[Columns, Floats, Floats]:
    """Further columns on Q and each other, and y's residual on all, shape (m, n, k + 1); and what log|XᵀWX| gains."""
    Q, k = basis.Q, G.shape[2]
    norms = np.sqrt(np.einsum("jnk,jnk->jk", G, G))
    rest = G - Q @ (Q.T @ G)
    rest -= Q @ (Q.T @ rest)
    q, R = np.linalg.qr(rest)
    with np.errstate(invalid="ignore"):
        sound = np.all(np.abs(np.einsum("jkk->jk", R)) > _COLLINEAR * norms, axis=1)
    q[~sound], R[~sound] = 0.0, np.eye(k)
    e = np.broadcast_to(basis.e, (len(G), *basis.e.shape))
    b = q.transpose(0, 2, 1) @ e
    residual = e - q @ b
    length = np.sqrt(residual.transpose(0, 2, 1) @ residual)[:, 0, 0]
    own = np.concatenate([q, residual / length[:, None, None]], axis=2)
    logdet = 2.0 * np.log(np.abs(np.einsum("jkk->jk", R))).sum(axis=1)
    return Columns(R, b[:, :, 0] * basis.scale, length * basis.scale, sound), own, logdet


def block_families(design: Design, reml: bool) -> BlockFamilies | None:
    """
    The null model by blocks of rows.

    Parameters
    ----------
    design : Design
    reml : bool

    Returns
    -------
    BlockFamilies or None
        None where the design has terms of several effects, random functions, a structured residual or several
        responses, or blocks that are too large for dense arrays (of 4,500 rows, if there is one).
    """
    if design.row_covariances or design.traits is not None:
        return None
    if any(term.k != 1 or term.structure.n_theta != 1 for term in design.random):
        return None
    layout = BlockLayout(np.unique(connected_components(design).rows, return_inverse=True)[1].astype(np.intp))
    return BlockFamilies(design, reml, layout) if layout.numbers <= _MOST_NUMBERS else None
