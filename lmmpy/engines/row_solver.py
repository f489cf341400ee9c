"""V⁻¹ at one θ for very many columns: by factors of V, or by what the engine has; of every model."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.choose import MARGINAL_ENGINES
from lmmpy.engines.components import Components, connected_components
from lmmpy.engines.criterion import Criterion
from lmmpy.engines.operators import Operators
from lmmpy.engines.row_solver_blocks import block_row_solver
from lmmpy.engines.row_solver_triangle import over_columns
from lmmpy.errors import ModelError

__all__ = ["PRECISIONS", "OperatorsRowSolver", "RowSolver", "row_solver"]

Floats = NDArray[np.float64]
Reals = NDArray[Any]

PRECISIONS = ("auto", "double", "single")

# Rows of a block of V whose factors are kept in double and in single precision, 2 GiB together.
_LARGEST = 18_000
# CHOLMOD takes as long for each row and effect as a dense solution for so many rows of its block (measured on
# pedigrees); levels that are eliminated one by one take less than either.
_SPARSE_IS_SLOWER = 1_000.0


class RowSolver(Protocol):
    """
    V⁻¹ relative to σ², with the weights in it, rows as in the design; pickles.

    The bits of what it gives for some columns depend neither on the number of threads nor on the process.
    """

    @property
    def description(self) -> str:
        """How it solves, in words."""

    @property
    def single(self) -> bool:
        """Whether V⁻¹ is to be had in single precision too, and is to be used so."""

    @property
    def checked(self) -> bool:
        """Whether some columns are to be tried in double precision then, and all when they differ."""

    @property
    def parallel(self) -> bool:
        """Whether threads may share it."""

    def solve(self, F: Floats) -> Floats:
        """
        V⁻¹F, in double precision.

        Parameters
        ----------
        F : ndarray, shape (n, c)

        Returns
        -------
        ndarray, shape (n, c)
        """

    def gram_of(self, F: Reals, k: int, single: bool) -> Floats:
        """
        FᵀV⁻¹F of each group of k columns that follow each other, by one thread and in the precision that is asked for.

        Parameters
        ----------
        F : ndarray, shape (m·k, n)
            A few columns of about length one, a column after the other in memory.
        k : int
        single : bool

        Returns
        -------
        ndarray, shape (m, k, k)
        """


class OperatorsRowSolver:
    """
    See `RowSolver`; by the operators of an engine, in double precision.

    Pickles as what it was made of.

    Parameters
    ----------
    criterion : Criterion
    theta : ndarray, shape (n_theta,)
    """

    single = checked = parallel = False

    def __init__(self, criterion: Criterion, theta: Floats) -> None:
        self._criterion, self._theta = criterion, theta
        self._operators: Operators = criterion.operators(theta)

    def __reduce__(self) -> tuple[type[OperatorsRowSolver], tuple[Criterion, Floats]]:
        return OperatorsRowSolver, (self._criterion, self._theta)

    @property
    def description(self) -> str:
        """See `RowSolver.description`."""
        return self._criterion.description

    def solve(self, F: Floats) -> Floats:
        """See `RowSolver.solve`."""
        parts = over_columns(lambda some: self._operators.solve_rows(F[:, some]), F.shape[1], parallel=False)
        return np.concatenate(parts, axis=1)

    def gram_of(self, F: Reals, k: int, single: bool) -> Floats:
        """See `RowSolver.gram_of`."""
        return self._operators.row_grams(np.ascontiguousarray(F.T, dtype=np.float64), k)


def row_solver(criterion: Criterion, theta: Floats, precision: str = "auto") -> RowSolver:
    """
    V⁻¹ at one θ for many columns.

    Parameters
    ----------
    criterion : Criterion
        By any engine.
    theta : ndarray, shape (n_theta,)
    precision : {"auto", "double", "single"}
        Of `gram_of` where V has large dense blocks. "auto" takes single precision, which is twice as fast, if it agrees
        with double precision on columns that are tried; "single" takes it unseen.

    Returns
    -------
    RowSolver

    Raises
    ------
    ModelError
        Where V is singular.
    """
    if precision not in PRECISIONS:
        raise ModelError(f"precision: {precision!r} is none of {', '.join(map(repr, PRECISIONS))}.")
    theta = np.asarray(theta, dtype=float)
    components = connected_components(criterion.design)
    try:
        if _by_blocks(criterion, components):
            return block_row_solver(criterion.design, theta, components, precision)
        return OperatorsRowSolver(criterion, theta)
    except (NotPositiveDefiniteError, np.linalg.LinAlgError):
        raise ModelError(
            f"The covariance of the observations is singular at θ = {np.round(theta, 6).tolist()}, so that nothing can "
            "be tested there. Rows that share everything need a residual variance of their own; see fit.convergence."
        ) from None


def _by_blocks(criterion: Criterion, components: Components) -> bool:
    """Whether factors of V cost less, for each column, than what the engine does."""
    design, sizes = criterion.design, np.bincount(components.rows).astype(float)
    dense, largest = float(sizes @ sizes), float(sizes.max())
    if criterion.name == "spectral" and not design.row_covariances:
        (kernel,) = (term.relatedness for term in design.random)
        rank = min(kernel.rank, design.random[0].n_recorded)
        # There and back over the rows, and in both directions over the levels.
        return largest <= _LARGEST and dense <= 4.0 * rank * (design.n + rank)
    if criterion.name in MARGINAL_ENGINES:
        return criterion.name == "marginal" or largest <= _LARGEST
    return criterion.name == "sparse" and largest <= _LARGEST and dense <= _SPARSE_IS_SLOWER * (design.n + design.q)
