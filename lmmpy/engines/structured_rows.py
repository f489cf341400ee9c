"""The covariance R of a residual with structure: block-diagonal, its groups in stacks of equal shape.

Rows are in the metric of the internal weights, so that R has about ones on its diagonal whatever the units of traits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import PairValues
from lmmpy.design import RowCovariance
from lmmpy.errors import ModelError

__all__ = ["FactoredResidual", "GroupStack", "ResidualGroups", "group_stacks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Numbers in a stack, 64 MB; and in all stacks of one kind of matrix, some 1.5 GiB for what is kept of all kinds.
_STACK, _MOST = 8_000_000, 120_000_000
# What the other rows of a group leave of a variance; where it is less, R⁻¹ has too few digits for V⁻¹.
_NIL = 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class GroupStack:
    """Groups with equally many rows and equally many random effects.

    Attributes
    ----------
    groups : ndarray of int, shape (g,)
    members : ndarray of int, shape (g, r)
        The rows of each.
    """

    groups: Ints
    members: Ints


def group_stacks(groups: Ints, widths: Ints) -> list[GroupStack]:
    """
    Put groups of one shape together.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        Number of each row's group, from zero, none left out.
    widths : ndarray of int, shape (groups,)
        Number of random effects that a group has.

    Raises
    ------
    ModelError
        When their matrices have no room.
    """
    sizes = np.bincount(groups, minlength=len(widths))
    numbers = float((np.maximum(sizes, widths).astype(float) ** 2).sum())
    if numbers > _MOST:
        raise ModelError(
            f"Residual: the groups have up to {sizes.max():,} rows and {widths.max():,} random effects; their matrices "
            f"would hold {numbers:,.0f} numbers, and there is room for {_MOST:,}. Give smaller groups."
        )
    by_group = np.argsort(groups, kind="stable")
    firsts = np.cumsum(sizes) - sizes
    order = np.lexsort((widths, sizes))
    change = (np.diff(sizes[order]) != 0) | (np.diff(widths[order]) != 0)
    edges = [0, *(np.flatnonzero(change) + 1).tolist(), len(order)]
    found = []
    for start, end in itertools.pairwise(edges):
        r, e = int(sizes[order[start]]), int(widths[order[start]])
        step = max(1, _STACK // max(r, e) ** 2)
        for first in range(start, end, step):
            some = order[first : min(first + step, end)]
            found.append(GroupStack(some, by_group[firsts[some][:, None] + np.arange(r)]))
    return found


class ResidualGroups:
    """
    The pattern of R, and its covariances prepared for any φ.

    Parameters
    ----------
    residual : RowCovariance
    stacks : sequence of GroupStack
        Of its groups.
    """

    def __init__(self, residual: RowCovariance, stacks: Sequence[GroupStack]) -> None:
        self.stacks = tuple(stacks)
        lower = [np.tril_indices(stack.members.shape[1]) for stack in stacks]
        self.i, self.j = (
            np.concatenate([stack.members[:, sides[side]].ravel() for stack, sides in zip(stacks, lower, strict=True)])
            for side in (0, 1)
        )
        ends = np.cumsum([stack.members.shape[0] * len(a) for stack, (a, _) in zip(stacks, lower, strict=True)])
        self._parts = [slice(a, b) for a, b in itertools.pairwise([0, *ends.tolist()])]
        self.lower = lower
        self._pairs = residual.structure.between(self.i, self.j)
        self.scale = 1.0 / (residual.typical[self.i] * residual.typical[self.j])
        # A pair off the diagonal stands for two entries.
        self.count = np.where(self.i == self.j, self.scale, 2.0 * self.scale)
        self.n_theta = residual.structure.n_theta

    @property
    def description(self) -> str:
        """The groups, in words."""
        count = sum(len(stack.members) for stack in self.stacks)
        return f"{count:,} groups of up to {max(stack.members.shape[1] for stack in self.stacks):,} rows"

    def factorize(self, phi: Floats) -> FactoredResidual:
        """
        R at φ.

        Raises
        ------
        LinAlgError
            When it is not positive definite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return FactoredResidual(self, self._pairs.at(phi))

    def matrices(self, values: Floats) -> list[Floats]:
        """Symmetric matrices, for each stack (g, r, r), from values of all pairs."""
        found = []
        for stack, (a, b), part in zip(self.stacks, self.lower, self._parts, strict=True):
            g, r = stack.members.shape
            whole = np.empty((g, r, r))
            whole[:, a, b] = whole[:, b, a] = values[part].reshape(g, -1)
            found.append(whole)
        return found

    def contraction(self, matrices: Sequence[Floats]) -> Floats:
        """Weights of the pairs with Σ weights · r = Σ A_ij R_ij, of symmetric A for each stack (g, r, r)."""
        parts = zip(matrices, self.lower, strict=True)
        return np.asarray(np.concatenate([A[:, a, b].ravel() for A, (a, b) in parts]) * self.count)

    def outer(self, v: Floats) -> Floats:
        """Such weights of A = v vᵀ, v of shape (n,)."""
        return np.asarray(v[self.i] * v[self.j] * self.count)

    @cached_property
    def _pattern(self) -> tuple[Ints, NDArray[np.int32], NDArray[np.int32]]:
        """Row by row: the place of each entry of R among those of all stacks, its column, and where rows begin."""
        shapes = [(stack.members[:, :, None], stack.members[:, None, :]) for stack in self.stacks]
        whole = [np.broadcast_arrays(*shape) for shape in shapes]
        rows, columns = (np.concatenate([part[side].ravel() for part in whole]) for side in (0, 1))
        order = np.lexsort((columns, rows))
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows))])
        return order, columns[order].astype(np.int32), starts.astype(np.int32)

    def joined(self, matrices: Sequence[Floats]) -> sparse.csr_array:
        """Such matrices along the diagonal of one, shape (n, n)."""
        order, columns, starts = self._pattern
        flat = np.concatenate([A.ravel() for A in matrices])
        n = len(starts) - 1
        return sparse.csr_array((flat[order], columns, starts), shape=(n, n))


class FactoredResidual:
    """R at one φ; see `ResidualGroups`.

    Attributes
    ----------
    values : PairValues
    inverses : list of ndarray, each of shape (g, r, r)
        R⁻¹ by stacks.
    inverse : csr_array, shape (n, n)
        R⁻¹.
    logdet : float
        log|R|.
    """

    def __init__(self, groups: ResidualGroups, values: PairValues) -> None:
        self.groups, self.values = groups, values
        entries = values.values * groups.scale
        if not np.isfinite(entries).all():
            raise np.linalg.LinAlgError("the covariance of the residual is no finite number")
        matrices = groups.matrices(entries)
        diagonals = [_pivots(R) for R in matrices]
        self.logdet = 2.0 * float(sum(np.log(diagonal).sum() for diagonal in diagonals))
        self.inverses: list[Floats] = [_symmetric_inverse(R) for R in matrices]
        self.inverse = groups.joined(self.inverses)

    def solve(self, columns: Floats) -> Floats:
        """R⁻¹ times columns, shape (n, m)."""
        return np.asarray(self.inverse @ np.ascontiguousarray(columns))

    def slopes_times(self, columns: Floats) -> Iterator[Floats]:
        """∂R/∂φ_i times columns, shape (n, m), for each parameter."""
        groups = self.groups
        off = np.flatnonzero(groups.i != groups.j)
        i, j, n = groups.i, groups.j, len(columns)
        for a in range(groups.n_theta):
            slope = self.values.slope(a) * groups.scale
            out = np.empty(columns.shape)
            for b, v in enumerate(columns.T):
                mirrored = slope[off] * v[i[off]]
                out[:, b] = np.bincount(i, slope * v[j], n) + np.bincount(j[off], mirrored, n)
            yield out


def _pivots(R: Floats) -> Floats:
    """The diagonals of Cholesky factors, shape (g, r)."""
    pivots: Floats = np.einsum("gii->gi", np.linalg.cholesky(R))
    if (pivots**2 < _NIL * np.einsum("gii->gi", R)).any():
        raise np.linalg.LinAlgError("the covariance of the residual is singular but for rounding")
    return pivots


def _symmetric_inverse(R: Floats) -> Floats:
    inverse = np.linalg.inv(R)
    return np.asarray(0.5 * (inverse + inverse.transpose(0, 2, 1)))
