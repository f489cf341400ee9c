"""Tests of many columns beside X at the variance ratios of a null model: one solution with V⁻¹ for each column.

With G the k columns of a group, P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹, U = GᵀPy, I = GᵀPG and r² = yᵀPy, all at the null's θ,
β̂ = I⁻¹U and r² falls by UᵀI⁻¹U (Kang et al. 2010; Zhang et al. 2010; score tests as in Zhou & Stephens 2012).

G is made orthogonal to X in the metric V⁻¹ before anything is squared, and its columns to each other and of length one,
so that I loses no digits to what X explains, nor to units: single precision is enough for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from lmmpy.engines import Criterion
from lmmpy.engines.row_solver import RowSolver, row_solver
from lmmpy.engines.row_solver_blocks import disagree, tried_columns
from lmmpy.engines.row_solver_triangle import over_columns
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.fitting.saturation import is_at_limit, may_saturate
from lmmpy.fitting.start import typical_scale
from lmmpy.inference.column_reduction import Pieces, Reduced, orthonormalised, reduced

__all__ = ["ColumnTests", "NullAtTheta", "null_at_theta", "refuse_null"]

Floats = NDArray[np.float64]
Reals = NDArray[Any]

# A column that varies by no more than that around its mean, relatively and squared, is constant but for rounding.
_CONSTANT = 1e-24
# What X may leave of the constant that it spans, relatively.
_SPANNED = 1e-8
# Columns that are prepared at a time.
_AT_A_TIME = 32
# Of r², what a group must leave; else it reproduces the response, and there is no test.
_REPRODUCED = 1e-12
_TESTS = ("score", "wald", "lrt")
_REFERENCES = ("F", "chisq")


@dataclass(frozen=True, eq=False, slots=True)
class ColumnTests:
    """
    Tests of m groups of k columns; everything is NaN for a collinear group.

    Attributes
    ----------
    beta : ndarray, shape (m, k)
    std_error : ndarray, shape (m, k)
    statistic, p_value : ndarray, shape (m,)
        Of all columns of a group: F, or for a likelihood ratio and on request χ².
    last_statistic, last_p_value : ndarray, shape (m,)
        Of the last column of a group, those before it in the model.
    collinear : ndarray of bool, shape (m,)
        Whether X and the columns before determine a column of the group, or the group reproduces the response.
    failed : ndarray of bool, shape (m,)
        Whether a model with the group was fitted and the search did not converge.
    note : str
        Why numbers are in double precision where single was to do; else empty.
    """

    beta: Floats
    std_error: Floats
    statistic: Floats
    p_value: Floats
    last_statistic: Floats
    last_p_value: Floats
    collinear: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    note: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class NullAtTheta:
    """
    A null model at its θ; pickles.

    Attributes
    ----------
    solver : RowSolver
    basis : ndarray, shape (n, p)
        Columns that span those of X, orthonormal in the metric V⁻¹.
    weighted : ndarray, shape (n, p)
        V⁻¹ times these.
    Py : ndarray, shape (n,)
        V⁻¹(y − Xβ̂).
    r2 : float
        (y − Xβ̂)ᵀV⁻¹(y − Xβ̂).
    reml : bool
        Whether σ̂₀² is r²/(n − p), else r²/n.
    intercept : bool
        Whether X spans the constant.
    """

    solver: RowSolver
    basis: Floats
    weighted: Floats
    Py: Floats
    r2: float
    reml: bool
    intercept: bool

    @property
    def n(self) -> int:
        """Number of observations."""
        return len(self.Py)

    @property
    def p(self) -> int:
        """Number of fixed effects of the null model."""
        return int(self.basis.shape[1])

    @property
    def description(self) -> str:
        """How V⁻¹ is applied, in words."""
        return self.solver.description

    def score(self, G: Reals, k: int = 1, reference: str = "F") -> ColumnTests:
        """
        Score tests: σ² of the null model.

        The statistic is UᵀI⁻¹U/(kσ̂₀²), with σ̂₀² of the null's own criterion, against F(k, n − p − k), for an ML null as
        GEMMA has it (Zhou & Stephens 2012). That of the last column has those before it in the null model.

        Parameters
        ----------
        G : ndarray, shape (n, m·k), of double or single precision
            Rows as in the null's design, the columns of a group one after the other.
        k : int
        reference : {"F", "chisq"}
            "chisq": k times the statistic against χ²(k).

        Returns
        -------
        ColumnTests

        Raises
        ------
        DataError
            When G has another shape, or values that are no finite numbers.
        ModelError
            When no degree of freedom is left.
        """
        return self.tests(G, k, ("score",), reference)["score"]

    def wald(self, G: Reals, k: int = 1, reference: str = "F") -> ColumnTests:
        """Wald's tests: σ² estimated with G in the model, r₁²/(n − p − k); otherwise as `score`."""
        return self.tests(G, k, ("wald",), reference)["wald"]

    def lrt(self, G: Reals, k: int = 1) -> ColumnTests:
        """Likelihood ratios at the null's θ, n log(r₀²/r₁²) against χ²(k), by ML; standard errors with r₁²/n."""
        return self.tests(G, k, ("lrt",))["lrt"]

    def tests(
        self, G: Reals, k: int = 1, tests: Sequence[str] = _TESTS, reference: str = "F"
    ) -> Mapping[str, ColumnTests]:
        """
        Several tests from one pass over the columns.

        Parameters
        ----------
        G, k, reference
            See `score`.
        tests : sequence of {"score", "wald", "lrt"}

        Returns
        -------
        dict of str to ColumnTests
        """
        self._check(G, k, tests, reference)
        pieces, note = self._trusted(G, k)
        gains = reduced(pieces)
        gains = gains._replace(collinear=gains.collinear | (gains.gain > (1.0 - _REPRODUCED) * self.r2))
        made: dict[str, Callable[[Reduced, int], ColumnTests]]
        made = {"score": partial(self._score, reference), "wald": partial(self._wald, reference), "lrt": self._lrt}
        found = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for name in tests:
                found[name] = replace(made[name](gains, k), note=note)
        return found

    def _check(self, G: Reals, k: int, tests: Sequence[str], reference: str) -> None:
        unknown = [name for name in tests if name not in _TESTS]
        if unknown or reference not in _REFERENCES:
            what, known = (unknown[0], _TESTS) if unknown else (reference, _REFERENCES)
            raise ModelError(f"{what!r} is none of {', '.join(map(repr, known))}.")
        if k < 1 or G.ndim != 2 or len(G) != self.n or G.shape[1] % k:
            raise DataError(
                f"Columns to test have the shape {G.shape}; expected one row for each of the {self.n} observations of "
                f"the null model and a number of columns that {k} divides."
            )
        if not self.n - self.p - k > 0:
            raise ModelError(
                f"{self.n} observations, {self.p} fixed effects and {k} more leave nothing to test with. Take fewer "
                "covariates."
            )

    def _trusted(self, G: Reals, k: int) -> tuple[Pieces, str]:
        """In single precision if that is the solver's, unless it differs from double precision where both are tried."""
        pieces = self._pieces(G, k, self.solver.single)
        if not self.solver.checked or not G.shape[1]:
            return pieces, ""
        tried = tried_columns(G.shape[1] // k, k)
        exact = self._pieces(G[:, tried], k, single=False)
        some = pieces.I[tried[::k] // k]
        if not disagree(some, exact.I):
            return pieces, ""
        return self._pieces(G, k, single=False), "double precision: single differed where both were tried"

    def _pieces(self, G: Reals, k: int, single: bool) -> Pieces:
        task = partial(self._pieces_of_some, G, k, single)
        parts = over_columns(task, G.shape[1], k, self.solver.parallel)
        return Pieces(*(np.concatenate(found) for found in zip(*parts, strict=True)))

    def _pieces_of_some(self, G: Reals, k: int, single: bool, columns: slice) -> Pieces:
        """A column after the other in memory, and few at a time, so that they stay in the cache."""
        width, m = columns.stop - columns.start, (columns.stop - columns.start) // k
        H = np.empty((width, self.n), dtype=np.float32 if single else np.float64)
        U, R, squares = np.empty(width), np.empty((m, k, k)), np.empty(width)
        step = max(1, _AT_A_TIME // k) * k
        for start in range(0, width, step):
            some = slice(start, min(start + step, width))
            first = columns.start + start
            F = np.array(G[:, first : first + some.stop - start].T, dtype=np.float64, order="C")
            self._centre(F, first)
            along = F @ self.weighted
            F -= along @ self.basis.T
            R[start // k : some.stop // k] = orthonormalised(F.reshape(-1, k, self.n))
            U[some], squares[some], H[some] = F @ self.Py, np.einsum("mp,mp->m", along, along), F
        return Pieces(U.reshape(m, k), self.solver.gram_of(H, k, single), R, squares.reshape(m, k))

    def _centre(self, F: Floats, first: int) -> None:
        """Less the means where X spans the constant; a column that is constant, zero. Of shape (columns, n)."""
        mean = F.mean(axis=1)
        bad = np.flatnonzero(~np.isfinite(mean))
        if len(bad):
            raise DataError(
                f"Columns to test hold values that are missing or infinite: numbers {shown((bad + first).tolist())} of "
                "them. Impute or leave them out first."
            )
        if self.intercept:
            F -= mean[:, None]
            F[np.einsum("mn,mn->m", F, F) <= _CONSTANT * self.n * mean**2] = 0.0

    def _score(self, reference: str, found: Reduced, k: int) -> ColumnTests:
        dof = self.n - self.p if self.reml else self.n
        before = (self.r2 - found.gain_before) / (dof - (k - 1) * self.reml)
        return self._compared(found, k, np.full(len(found.gain), self.r2 / dof), before, reference)

    def _wald(self, reference: str, found: Reduced, k: int) -> ColumnTests:
        variance = self._left(found.gain) / (self.n - self.p - k)
        return self._compared(found, k, variance, variance, reference)

    def _compared(self, found: Reduced, k: int, variance: Floats, before: Floats, reference: str) -> ColumnTests:
        """Gains over variances: `variance` is σ² for the whole group, `before` for the last column alone."""
        dof = self.n - self.p - k
        every, last = found.gain / variance, (found.gain - found.gain_before) / before
        tail: Callable[[int, Floats], Floats] = special.chdtrc
        if reference == "F":
            every = every / k
            tail = partial(_f_tail, dof)
        return _masked(found, variance, (every, tail(k, every)), (last, tail(1, last)))

    def _lrt(self, found: Reduced, k: int) -> ColumnTests:
        left, before = self._left(found.gain), self._left(found.gain_before)
        every, last = self.n * -np.log1p(-found.gain / self.r2), self.n * np.log(before / left)
        return _masked(found, left / self.n, (every, special.chdtrc(k, every)), (last, special.chdtrc(1, last)))

    def _left(self, gain: Floats) -> Floats:
        return np.maximum(self.r2 - gain, 0.0)


def _f_tail(dof: int, k: int, statistic: Floats) -> Floats:
    return np.asarray(special.fdtrc(k, dof, statistic))


def _masked(found: Reduced, variance: Floats, every: tuple[Floats, Floats], last: tuple[Floats, Floats]) -> ColumnTests:
    """NaN for collinear groups."""
    gone = found.collinear

    def shown_only(values: Floats) -> Floats:
        return np.where(gone.reshape(-1, *(1,) * (values.ndim - 1)), np.nan, values)

    std_error = np.sqrt(variance[:, None] * np.einsum("maa->ma", found.vcov))
    numbers = (found.beta, std_error, *every, *last)
    beta, std_error, statistic, p_value, last_statistic, last_p_value = (shown_only(x) for x in numbers)
    return ColumnTests(beta, std_error, statistic, p_value, last_statistic, last_p_value, gone, np.zeros_like(gone))


def refuse_null(criterion: Criterion, theta: Floats) -> None:
    """
    Refuse a null model beside which no column can be tested.

    Parameters
    ----------
    criterion : Criterion
    theta : ndarray, shape (n_theta,)

    Raises
    ------
    ModelError
        For several traits, and without residual variance.
    """
    design = criterion.design
    if design.traits is not None:
        raise ModelError(
            f"Columns are tested beside a model of one trait, and this one has {len(design.traits.names)}: "
            f"{shown(design.traits.names)}. Fit each trait alone, and test them one after the other."
        )
    if may_saturate(design) and is_at_limit(theta, typical_scale(criterion), design.n_theta_random):
        raise ModelError(
            "The null model leaves no variance to the residual (a heritability of one), so that σ² of a test is not "
            "defined. Look for the same person under several names, add the covariates that are missing, or take a "
            "relatedness that does not explain everything; with varcomp= the null model can be held off that limit."
        )


def null_at_theta(criterion: Criterion, theta: Floats, precision: str = "auto") -> NullAtTheta:
    """
    Prepare tests of columns beside X, at one θ.

    Parameters
    ----------
    criterion : Criterion
        Of the null model, by REML or ML and by any engine.
    theta : ndarray, shape (n_theta,)
    precision : {"auto", "double", "single"}
        See `row_solver`.

    Returns
    -------
    NullAtTheta

    Raises
    ------
    ModelError
        For several traits, without residual variance, and where V is singular.
    """
    design, theta = criterion.design, np.asarray(theta, dtype=float)
    refuse_null(criterion, theta)
    solver = row_solver(criterion, theta, precision)
    Q = np.linalg.qr(_scaled(design.X))[0]
    y = design.y if design.offset is None else design.y - design.offset
    e = y - Q @ (Q.T @ y)
    solved = solver.solve(np.column_stack([Q, e]))
    VQ, Ve = solved[:, :-1], solved[:, -1]
    gram = Q.T @ VQ
    root = np.linalg.cholesky(0.5 * (gram + gram.T))
    basis, weighted = (linalg.solve_triangular(root, x.T, lower=True).T if design.p else x for x in (Q, VQ))
    along = weighted.T @ e
    left, Py = e - basis @ along, Ve - weighted @ along
    one = np.full(design.n, 1.0 / np.sqrt(design.n))
    intercept = bool(np.linalg.norm(one - Q @ (Q.T @ one)) < _SPANNED)
    return NullAtTheta(solver, basis, weighted, Py, float(left @ Py), criterion.reml, intercept)


def _scaled(X: Floats) -> Floats:
    """Columns of length one."""
    length = np.sqrt(np.einsum("np,np->p", X, X))
    return np.asarray(X / np.where(length > 0.0, length, 1.0))
