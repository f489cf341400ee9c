"""The problems that `block_batch` makes: the criterion of each at its own shares, and estimates of its own columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import _block_batch
from lmmpy.engines.block_layout import BlockLayout
from lmmpy.engines.threads import workers

__all__ = ["Alike", "ColumnEstimates", "Columns", "ProblemValues", "Problems"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


# Problems that a thread computes at a time; of fewer, threads cost more than they save.
_TOGETHER = 50


@dataclass(frozen=True, eq=False, slots=True)
class ProblemValues:
    """The criterion of a problems, each at its own shares.

    Attributes
    ----------
    value : ndarray, shape (a,)
        Infinite where it cannot be computed: where V is singular, or the further columns are collinear with X.
    gradient : ndarray, shape (a, T)
        In the shares of the kernels and, last, of the residual, each by itself. NaN where not computed.
    information : ndarray, shape (a, T, T)
        The average information in the same.
    """

    value: Floats
    gradient: Floats
    information: Floats


@dataclass(frozen=True, eq=False, slots=True)
class ColumnEstimates:
    """Estimates of the further columns of X at given shares, NaN where collinear.

    Attributes
    ----------
    beta : ndarray, shape (m, k)
    vcov : ndarray, shape (m, k, k)
        With the estimate of σ² of the criterion: over n − p − k degrees of freedom by REML, over n by ML.
    sigma2 : ndarray, shape (m,)
        The total variance σ².
    """

    beta: Floats
    vcov: Floats
    sigma2: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Alike:
    """Problems whose rows fall into the same blocks.

    `further` has a row a problem, or none; `own` one array a problem, or one for all. `dof` is that of the criterion.
    """

    layout: BlockLayout
    kernels: Floats
    further: Floats
    Q: Floats
    own: Floats
    constants: Floats
    dof: int
    reml: bool

    @property
    def n_shares(self) -> int:
        """Number of shares, that of the residual included."""
        return len(self.kernels) + bool(len(self.further)) + 1

    def evaluate(self, places: Ints, shares: Floats, derivatives: bool) -> tuple[Floats, Floats, Floats, Floats]:
        """Value, gradient, average information, and [Q own]ᵀV⁻¹[Q own]."""
        a, T, c = len(places), self.n_shares, self.Q.shape[1] + self.own.shape[2]
        found = (np.empty(a), np.full((a, T), np.nan), np.full((a, T, T), np.nan), np.full((a, c, c), np.nan))
        shares = np.ascontiguousarray(shares, dtype=float)

        def some(part: slice) -> None:
            _block_batch.evaluate(
                self.layout.starts,
                self.layout.offsets,
                self.kernels,
                self.further,
                self.Q,
                self.own,
                self.constants,
                places[part],
                shares[part],
                float(self.dof),
                self.reml,
                derivatives,
                *(numbers[part] for numbers in found),
            )

        with workers(a > _TOGETHER) as each:
            each(some, [slice(start, start + _TOGETHER) for start in range(0, a, _TOGETHER)])
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """How further columns were made orthonormal: G = (…) + q R, y = (…) + q b + …; `sound` where not collinear."""

    R: Floats
    b: Floats
    scale: Floats
    sound: NDArray[np.bool_]


class Problems:
    """
    Problems of one family of models.

    Attributes
    ----------
    count : int
        Number of problems.
    n_shares : int
        Number of shares of each: of the kernels, and last of the residual.
    """

    def __init__(self, groups: Sequence[tuple[Ints, Alike]], columns: Columns | None = None) -> None:
        self._groups, self._columns = tuple(groups), columns
        self.count = sum(len(places) for places, _ in groups)
        self.n_shares = groups[0][1].n_shares if groups else 1
        self._group, self._local = np.empty(self.count, dtype=np.intp), np.empty(self.count, dtype=np.intp)
        for number, (places, _) in enumerate(groups):
            self._group[places], self._local[places] = number, np.arange(len(places))

    def evaluate(self, places: Ints, shares: Floats, derivatives: bool = True) -> ProblemValues:
        """
        The criterion of some problems.

        Parameters
        ----------
        places : ndarray of int, shape (a,)
            Numbers of the problems.
        shares : ndarray, shape (a, T)
            None negative; of sum one, though the criterion does not ask for it.
        derivatives : bool
            Whether gradient and information are wanted; they take three times as long as the value.

        Returns
        -------
        ProblemValues

        Raises
        ------
        ValueError
            When there are not as many shares as places and kernels, or no such place.
        """
        shape = len(places), self.n_shares
        if shares.shape != shape or not np.all((places >= 0) & (places < self.count)):
            raise ValueError(f"shares are {shares.shape}, not {shape}, or a place is not below {self.count}")
        value, gradient, information, _ = self._evaluate(places, shares, derivatives)
        return ProblemValues(value, gradient, information)

    def _evaluate(self, places: Ints, shares: Floats, derivatives: bool) -> tuple[Floats, Floats, Floats, Floats]:
        if len(self._groups) == 1:
            return self._groups[0][1].evaluate(places, shares, derivatives)
        of_group = self._group[places]
        c = max((alike.Q.shape[1] + alike.own.shape[2] for _, alike in self._groups), default=0)
        a, T = len(places), self.n_shares
        found = np.empty(a), np.empty((a, T)), np.empty((a, T, T)), np.empty((a, c, c))
        for number in np.unique(of_group):
            some = np.flatnonzero(of_group == number)
            parts = self._groups[number][1].evaluate(self._local[places[some]], shares[some], derivatives)
            for out, part in zip(found, parts, strict=True):
                out[some] = part
        return found

    def estimates(self, shares: Floats) -> ColumnEstimates:
        """
        Generalised least squares of the further columns.

        Parameters
        ----------
        shares : ndarray, shape (m, T)
            Of all problems.

        Returns
        -------
        ColumnEstimates

        Raises
        ------
        ValueError
            When the problems have no further columns, or the shares are not those of all of them.
        """
        columns = self._columns
        if columns is None:
            raise ValueError("these problems have no columns of their own")
        m, k = columns.b.shape
        if shares.shape != (m, self.n_shares):
            raise ValueError(f"shares are {shares.shape}, not {(m, self.n_shares)}")
        beta, vcov, sigma2 = np.full((m, k), np.nan), np.full((m, k, k), np.nan), np.full(m, np.nan)
        value, _, _, gram = self._evaluate(np.arange(m), shares, False)
        for j in np.flatnonzero(columns.sound & np.isfinite(value)):
            S, s = gram[j, :-1, :-1], gram[j, :-1, -1]
            gamma, back = np.linalg.solve(S, s), np.linalg.inv(columns.R[j])
            dof = self._groups[self._group[j]][1].dof
            sigma2[j] = (gram[j, -1, -1] - s @ gamma) * columns.scale[j] ** 2 / dof
            beta[j] = back @ (columns.b[j] + columns.scale[j] * gamma[-k:])
            vcov[j] = sigma2[j] * (back @ np.linalg.inv(S)[-k:, -k:] @ back.T)
        return ColumnEstimates(beta, vcov, sigma2)
