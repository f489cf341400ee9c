"""The `Design`: numbers only, everything that a criterion needs and nothing that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import CovarianceStructure
from lmmpy.design.values import Categorical, Codes, Floats
from lmmpy.formula import RandomTerm
from lmmpy.relatedness import Relatedness

__all__ = ["Design", "RandomEffects"]


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
        """Number of covariance parameters."""
        return int(sum(term.structure.n_theta for term in self.random))

    @cached_property
    def Z(self) -> sparse.csr_array:
        """The random-effects matrix, shape (n, q), term by term."""
        return sparse.csr_array(sparse.hstack([term.Z for term in self.random], format="csr"))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each term's columns begin in Z, and the end."""
        return tuple(np.concatenate([[0], np.cumsum([term.q for term in self.random])]).astype(int).tolist())

    def split_theta(self, theta: Floats) -> list[Floats]:
        """The part of θ that belongs to each term."""
        cuts = np.cumsum([term.structure.n_theta for term in self.random])[:-1]
        return np.split(theta, cuts)
