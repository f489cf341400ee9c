"""The `Design`: numbers only, everything that a criterion needs and nothing that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import CovarianceStructure, RowStructure
from lmmpy.design.values import Categorical, Codes, Floats
from lmmpy.formula import RandomTerm
from lmmpy.relatedness import Relatedness

__all__ = ["Design", "RandomEffects", "RowCovariance", "Traits"]


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """One random term with its data.

    Attributes
    ----------
    term : RandomTerm
        What the formula says.
    name : str
        The group's label, made unique as R does it (`g`, `g.1`).
    columns : tuple of str, length k
        Names of the effects.
    values : ndarray, shape (n, k)
        The columns left of the bar.
    grouping : Categorical
        Level of each row. Every level occurs, but for relatives without rows that link those with rows.
    structure : CovarianceStructure
    relatedness : Relatedness
        How the levels are related, in their order.
    """

    term: RandomTerm
    name: str
    columns: tuple[str, ...]
    values: Floats
    grouping: Categorical
    structure: CovarianceStructure
    relatedness: Relatedness

    def __repr__(self) -> str:
        return f"RandomEffects({', '.join(self.columns)} | {self.name}, {self.count})"

    @property
    def group(self) -> str:
        """R's label of the grouping factor, such as `h:g`."""
        return self.term.grouping.label

    @property
    def codes(self) -> Codes:
        """Level of each row, shape (n,)."""
        return self.grouping.codes

    @property
    def levels(self) -> list[str]:
        """Labels of the levels, in order."""
        return self.grouping.labels

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.grouping.levels)

    @cached_property
    def recorded(self) -> NDArray[np.bool_]:
        """Which levels rows have, shape (n_levels,)."""
        return np.bincount(self.codes, minlength=self.n_levels) > 0

    @property
    def n_recorded(self) -> int:
        """Number of levels that rows have."""
        return int(np.count_nonzero(self.recorded))

    @property
    def count(self) -> str:
        """Number of levels, in words; of relatives also how many are there without rows."""
        return f"{self.n_recorded} levels" + (f" with rows of {self.n_levels}" * (self.n_recorded < self.n_levels))

    @property
    def k(self) -> int:
        """Number of effects a level."""
        return len(self.columns)

    @property
    def q(self) -> int:
        """Number of random effects."""
        return self.n_levels * self.k

    @cached_property
    def Z(self) -> sparse.csr_array:
        """The term's columns of Z, shape (n, levels · k): levels in order, the term's columns within a level."""
        n = len(self.codes)
        columns = (self.codes[:, None] * self.k + np.arange(self.k)).ravel()
        pointers = np.arange(0, n * self.k + 1, self.k)
        return sparse.csr_array((self.values.ravel(), columns, pointers), shape=(n, self.q))


@dataclass(frozen=True, eq=False)
class RowCovariance:
    """A covariance between rows: that of the residual, or of a random function of a covariate.

    Rows i and j of one group have the covariance σ² r_ij/√(w_i w_j) for a residual, w the prior weights, and
    σ² r_ij K_ij for another term; rows of different groups have none.

    Attributes
    ----------
    name : str
        "Residual", or the text of the term.
    groups : ndarray of int, shape (n,)
        Number of each row's group.
    structure : RowStructure
        r.
    typical : ndarray, shape (n,)
        Typical standard deviations of the rows, relative to that of the reference row; for the arithmetic only.
    codes : ndarray of int, shape (n,), or None
        Level of each row among those of `relatedness`; None for a residual.
    relatedness : Relatedness or None
    levels : tuple of str
        Labels of those levels.
    """

    name: str
    groups: Codes
    structure: RowStructure
    typical: Floats
    codes: Codes | None = None
    relatedness: Relatedness | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Traits:
    """Which trait of which row of the data each row of a design with several responses is.

    Attributes
    ----------
    names : tuple of str, length d
    trait : ndarray of int, shape (n,)
        Rows of the data follow each other, in them traits do; missing ones are left out.
    row : ndarray of int, shape (n,)
        Number among the rows of the data that are used.
    """

    names: tuple[str, ...]
    trait: Codes
    row: Codes


@dataclass(frozen=True, eq=False)
class Design:
    """A mixed model in numbers, after the row mask.

    Attributes
    ----------
    y : ndarray, shape (n,)
        The response, the offset still in it.
    X : ndarray, shape (n, p)
        Fixed-effects matrix of full column rank.
    names : tuple of str, length p
    assign : tuple of int, length p
        Term of each column, 0 for the intercept.
    dropped : tuple of str
        Columns that others determine, left out of X.
    random : tuple of RandomEffects
        In the order in which they are reported: by decreasing number of levels.
    weights : ndarray, shape (n,), or None
        Prior weights; None stands for ones.
    offset : ndarray, shape (n,), or None
    rows : ndarray of bool, shape (n_rows,)
        Which rows of the data are used.
    left_out : ndarray of bool, shape (n_rows,)
        Rows that miss a value (and are not excluded by `subset`).
    functions : tuple of RowCovariance
        Random functions of a covariate, whose effects are those of rows.
    residual : RowCovariance or None
        The covariance of the residual; None stands for independence.
    traits : Traits or None
        With several responses, one below the other in `y`.
    """

    y: Floats
    X: Floats
    names: tuple[str, ...]
    assign: tuple[int, ...]
    dropped: tuple[str, ...]
    random: tuple[RandomEffects, ...]
    weights: Floats | None
    offset: Floats | None
    rows: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    functions: tuple[RowCovariance, ...] = ()
    residual: RowCovariance | None = None
    traits: Traits | None = None

    @property
    def n(self) -> int:
        """Number of observations."""
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of fixed-effects coefficients."""
        return int(self.X.shape[1])

    @property
    def q(self) -> int:
        """Number of random effects in all."""
        return sum(term.q for term in self.random)

    @property
    def n_theta(self) -> int:
        """Number of covariance parameters: of the random terms, then of the random functions, then of the residual."""
        return int(sum(structure.n_theta for structure in self.structures))

    @property
    def n_theta_random(self) -> int:
        """Number of those of the random terms, which are the first."""
        return int(sum(term.structure.n_theta for term in self.random))

    @property
    def row_covariances(self) -> tuple[RowCovariance, ...]:
        """The random functions and the structured residual, as their parameters follow in θ."""
        return self.functions if self.residual is None else (*self.functions, self.residual)

    @property
    def structures(self) -> tuple[CovarianceStructure | RowStructure, ...]:
        """All structures, as their parameters follow in θ."""
        return (*(term.structure for term in self.random), *(rows.structure for rows in self.row_covariances))

    @cached_property
    def lower(self) -> Floats:
        """Lower bounds of θ."""
        return np.concatenate([np.empty(0), *(structure.lower for structure in self.structures)])

    @cached_property
    def Z(self) -> sparse.csr_array:
        """The random-effects matrix, shape (n, q), term by term."""
        if not self.random:
            return sparse.csr_array((self.n, 0))
        return sparse.csr_array(sparse.hstack([term.Z for term in self.random], format="csr"))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each term's columns begin in Z, and the end."""
        return tuple(np.concatenate([[0], np.cumsum([term.q for term in self.random])]).astype(int).tolist())

    def split_theta(self, theta: Floats) -> list[Floats]:
        """The part of θ that belongs to each random term."""
        ends = np.cumsum([term.structure.n_theta for term in self.random])
        return np.split(np.asarray(theta)[: self.n_theta_random], ends[:-1]) if self.random else []

    def split_rows(self, theta: Floats) -> list[Floats]:
        """The part of θ that belongs to each of `row_covariances`."""
        ends = np.cumsum([rows.structure.n_theta for rows in self.row_covariances])
        return np.split(np.asarray(theta)[self.n_theta_random :], ends[:-1]) if self.row_covariances else []
