"""Exact tests of many columns where the null model has one random effect: its ratio is estimated anew for each.

The tests are those of Zhou & Stephens (2012): Wald by REML, likelihood ratio by ML, score at the ML ratio of the null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lmmpy.engines.criterion import Criterion
from lmmpy.engines.crossproducts import fixed_basis, with_response
from lmmpy.engines.spectrum_batch import Spectrum, spectrum_of
from lmmpy.engines.spectrum_curves import RATIOS
from lmmpy.engines.spectrum_search import Optima, factors_at, optima
from lmmpy.engines.spectrum_sums import ColumnSums, NullSums
from lmmpy.engines.threads import one_blas_thread, workers
from lmmpy.errors import ModelError

__all__ = ["ExactTests", "GroupTests", "SpectralExact", "spectral_exact"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

TESTS = ("wald", "lrt", "score")

# Columns that are worked on at a time, always so many: of another shape BLAS might round differently.
_CHUNK = 256
# A column of which less than this share of the squares is left by X, or of y by the column, is determined.
_DETERMINED, _REPRODUCED = 1e-10, 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class GroupTests:
    """Statistics and p-values of m hypotheses; NaN where not asked for, and where there is no test.

    Attributes
    ----------
    wald, p_wald : ndarray, shape (m,)
        F by REML, to F(k, n − p − k).
    lrt, p_lrt : ndarray, shape (m,)
        Twice the gain in log-likelihood, to χ²(k).
    score, p_score : ndarray, shape (m,)
        n Uᵀ I⁻¹ U/(k r₀²) at the ML ratio without the columns, to F(k, n − p − k).
    """

    wald: Floats
    p_wald: Floats
    lrt: Floats
    p_lrt: Floats
    score: Floats
    p_score: Floats


@dataclass(frozen=True, eq=False, slots=True)
class ExactTests:
    """Tests of m groups of k columns.

    Attributes
    ----------
    beta, std_error : ndarray, shape (m, k)
        By REML where the Wald test was asked for, else by ML where the likelihood ratio was, else at the null's ratio.
    joint : GroupTests
        All k columns are zero.
    last : GroupTests
        The last one is, given the others.
    ratio_reml, ratio_ml : ndarray, shape (m,)
        Variance of the random effect (relative to its relatedness) over that of the residual; GEMMA's l_remle, l_mle.
    loglik : ndarray, shape (m,)
        By ML; GEMMA's logl_H1.
    collinear : ndarray of bool, shape (m,)
        Whether X and the columns before determine a column of the group (a constant one is determined by the
        intercept), or the group reproduces the response: no test.
    """

    beta: Floats
    std_error: Floats
    joint: GroupTests
    last: GroupTests
    ratio_reml: Floats
    ratio_ml: Floats
    loglik: Floats
    collinear: Mask

    @property
    def p_wald(self) -> Floats:
        """Of all columns of each group, shape (m,)."""
        return self.joint.p_wald

    @property
    def p_lrt(self) -> Floats:
        """Of all columns of each group, shape (m,)."""
        return self.joint.p_lrt

    @property
    def p_score(self) -> Floats:
        """Of all columns of each group, shape (m,)."""
        return self.joint.p_score

    @property
    def share_reml(self) -> Floats:
        """λ/(1 + λ) by REML, shape (m,): heritability where the relatedness has a diagonal of ones."""
        return self.ratio_reml / (1.0 + self.ratio_reml)

    @property
    def share_ml(self) -> Floats:
        """λ/(1 + λ) by ML, shape (m,)."""
        return self.ratio_ml / (1.0 + self.ratio_ml)


class SpectralExact:
    """
    The null model, diagonalised; see `spectral_exact`. Pickles with its eigenvectors.

    Parameters
    ----------
    criterion : Criterion
    spectrum : Spectrum
        Of its design.

    Attributes
    ----------
    n, p : int
    loglik : float
        Of the null model by ML.
    ratio_reml, ratio_ml : float
        Of the null model; see `ExactTests`.
    """

    def __init__(self, criterion: Criterion, spectrum: Spectrum) -> None:
        design = criterion.design
        basis = with_response(design, *fixed_basis(design))
        self.n, self.p = design.n, design.p
        self._root = None if design.weights is None else np.sqrt(design.weights)
        self._basis, self._null = basis.columns, NullSums(spectrum, basis.columns)
        self._scale = basis.scale
        weights = 0.0 if design.weights is None else float(np.log(design.weights).sum())
        self._constant = self.n * (1.0 + math.log(2.0 * math.pi * basis.scale**2 / self.n)) - weights
        nothing = ColumnSums.none(self._null)
        by_ml = optima(nothing, reml=False)
        self._value, self._angle = float(by_ml.value[0]), float(by_ml.angle[0])
        self.loglik = -0.5 * (self._value + self._constant)
        self.ratio_ml = float(by_ml.ratio[0]) / spectrum.typical
        self.ratio_reml = float(optima(nothing, reml=True).ratio[0]) / spectrum.typical

    @property
    def at_end(self) -> bool:
        """Whether the ratio of the null model is as large as any that is looked at, so that it may be larger."""
        return bool(max(self.ratio_ml, self.ratio_reml) * self._null.spectrum.typical > 0.99 * RATIOS[0])

    def tests(self, G: NDArray[np.floating], tests: Collection[str] = TESTS, k: int = 1) -> ExactTests:
        """
        Test columns.

        A test gives the same bits in any company and with any number of threads.

        Parameters
        ----------
        G : ndarray, shape (n, m · k)
            Rows as in the design; groups of k consecutive columns are tested together.
        tests : collection of {"wald", "lrt", "score"}
        k : int

        Returns
        -------
        ExactTests

        Raises
        ------
        ModelError
            When a test has no such name, the shape is wrong, or a value is missing or infinite.
        """
        self._check(G, tests, k)
        m, width = G.shape[1] // k, max(1, _CHUNK // k)
        starts = range(0, max(m, 1), width)

        def part(start: int) -> ExactTests:
            return self._chunk(G[:, start * k : (start + width) * k], tests, k, width)

        with workers(len(starts) > 1) as each:
            return _joined(each(part, starts))

    def _check(self, G: NDArray[np.floating], tests: Collection[str], k: int) -> None:
        unknown = [name for name in tests if name not in TESTS]
        if isinstance(tests, str) or unknown or not len(tests):
            raise ModelError(f"tests={tests!r}: give some of {', '.join(map(repr, TESTS))}, as a tuple.")
        if k < 1 or G.ndim != 2 or G.shape[0] != self.n or G.shape[1] % max(k, 1):
            raise ModelError(
                f"The columns to test have shape {G.shape}: there must be {self.n} rows, those of the null model, and "
                f"a multiple of k = {k} columns."
            )
        if self.n - self.p - k < 1:
            raise ModelError(
                f"{self.n} rows and {self.p} fixed effects leave nothing to test {k} further columns with."
            )

    def _chunk(self, G: NDArray[np.floating], tests: Collection[str], k: int, width: int) -> ExactTests:
        """Tests of at most `width` groups; what is missing to so many is filled up with zeros."""
        m = G.shape[1] // k
        columns = np.zeros((k, self.n, width))
        columns[:, :, :m] = G.reshape(self.n, m, k).transpose(2, 0, 1)
        if not np.isfinite(columns).all():
            raise ModelError(
                "The columns to test have values that are missing or infinite. Put the mean of the others, or leave "
                "the rows out of the null model."
            )
        R, determined = self._orthogonalise(columns)
        Gte = np.array([self._basis[:, -1] @ column for column in columns])
        determined |= 1.0 - (Gte * Gte).sum(axis=0) < _REPRODUCED
        kept = np.flatnonzero(~determined[:m])
        if not len(kept):
            return _missing(m, k)
        sums = ColumnSums.of(self._null, columns, Gte)
        return _placed(self._tests_of(sums.take(kept), R[kept], tests), kept, m)

    def _orthogonalise(self, columns: Floats) -> tuple[Floats, Mask]:
        """
        Make each column orthogonal to X and to those before it in its group, and of length one, in place.

        Returns
        -------
        R : ndarray, shape (w, k, k)
            Upper triangular: what is left by X is the result times R.
        determined : ndarray of bool, shape (w,)
        """
        k, _, w = columns.shape
        Q, R, determined = self._basis[:, :-1], np.zeros((w, k, k)), np.zeros(w, dtype=bool)
        if self._root is not None:
            columns *= self._root[:, None]
        for a in range(k):
            column = columns[a]
            whole = np.einsum("nw,nw->w", column, column)
            for _ in range(2):  # the second time removes what rounding left
                column -= Q @ (Q.T @ column)
                for b in range(a):
                    along = np.einsum("nw,nw->w", columns[b], column)
                    column -= columns[b] * along
                    R[:, b, a] += along
            left = np.einsum("nw,nw->w", column, column)
            gone = left <= _DETERMINED * whole
            R[:, a, a] = np.where(gone, 1.0, np.sqrt(left))
            column /= R[:, a, a]
            determined |= gone
        return R, determined

    def _tests_of(self, sums: ColumnSums, R: Floats, tests: Collection[str]) -> ExactTests:
        """Tests of orthogonal columns, none of which is determined."""
        k, nan = sums.k, np.full(len(R), np.nan)
        joint = last = GroupTests(nan, nan, nan, nan, nan, nan)
        ratio_reml, ratio_ml, loglik, df = nan, nan, nan, self.n - self.p - k
        before = optima(sums.leading(k - 1), reml=False) if k > 1 and {"lrt", "score"} & set(tests) else None
        if "score" in tests:
            factor = factors_at(sums, np.full(len(R), self._angle))
            estimates = self._estimates(factor, R, df)
            joint = self._score(joint, factor, k)
            last = joint if before is None else self._score(last, factors_at(sums, before.angle), 1)
        if "lrt" in tests:
            by_ml = optima(sums, reml=False)
            ratio_ml = by_ml.ratio / self._null.spectrum.typical
            estimates = self._estimates(by_ml.factor, R, self.n)
            loglik = -0.5 * (by_ml.value + self._constant)
            joint = _lrt(joint, np.full(len(R), self._value), by_ml, k)
            last = joint if before is None else _lrt(last, before.value, by_ml, 1)
        if "wald" in tests:
            by_reml = optima(sums, reml=True)
            ratio_reml = by_reml.ratio / self._null.spectrum.typical
            estimates = self._estimates(by_reml.factor, R, df)
            joint = self._wald(joint, by_reml.factor, k, df)
            last = joint if k == 1 else self._wald(last, by_reml.factor, 1, df)
        return ExactTests(*estimates, joint, last, ratio_reml, ratio_ml, loglik, np.zeros(len(R), dtype=bool))

    def _score(self, found: GroupTests, factor: Floats, few: int) -> GroupTests:
        explained, left = _squares(factor, few)
        statistic = self.n * explained / (few * (explained + left))
        return replace(found, score=statistic, p_score=special.fdtrc(few, self.n - len(factor[0]) + 1, statistic))

    def _wald(self, found: GroupTests, factor: Floats, few: int, df: int) -> GroupTests:
        explained, left = _squares(factor, few)
        statistic = explained / few / (left / df)
        return replace(found, wald=statistic, p_wald=special.fdtrc(few, df, statistic))

    def _estimates(self, factor: Floats, R: Floats, dof: int) -> tuple[Floats, Floats]:
        """Coefficients of the columns as they were given, and standard errors with σ² = r²/dof."""
        k = R.shape[1]
        # The columns as given are the orthogonal ones times R, and their block of the factor is Rᵀ times the other.
        upper = factor[:, -1 - k : -1, -1 - k : -1].transpose(0, 2, 1) @ R
        inverse = np.linalg.inv(upper)
        beta = np.einsum("wab,wb->wa", inverse, factor[:, -1, -1 - k : -1])
        sigma = factor[:, -1, -1] / math.sqrt(dof)
        std_error = np.sqrt((inverse * inverse).sum(axis=2)) * sigma[:, None]
        return self._scale * beta, self._scale * std_error


def spectral_exact(criterion: Criterion) -> SpectralExact | None:
    """
    Prepare exact tests of further fixed effects.

    Parameters
    ----------
    criterion : Criterion
        Of the null model; REML or ML does not matter.

    Returns
    -------
    SpectralExact or None
        None where the null model is not one scalar random effect and an independent residual; see `spectrum_of`.
    """
    spectrum = spectrum_of(criterion.design)
    if spectrum is None:
        return None
    with one_blas_thread():
        return SpectralExact(criterion, spectrum)


def _squares(factor: Floats, few: int) -> tuple[Floats, Floats]:
    """What the last few columns explain of r², and what they leave."""
    last = factor[:, -1]
    return (last[:, -1 - few : -1] ** 2).sum(axis=1), last[:, -1] ** 2


def _lrt(found: GroupTests, without: Floats, by_ml: Optima, few: int) -> GroupTests:
    gain = np.maximum(without - by_ml.value, 0.0)
    return replace(found, lrt=gain, p_lrt=special.chdtrc(few, gain))


def _missing(m: int, k: int) -> ExactTests:
    """No test of m groups."""
    nan = np.full(m, np.nan)
    joint = GroupTests(nan, nan, nan, nan, nan, nan)
    columns = np.full((m, k), np.nan)
    return ExactTests(columns, columns, joint, joint, nan, nan, nan, np.ones(m, dtype=bool))


def _joined(parts: list[ExactTests]) -> ExactTests:
    found: ExactTests = _each(np.concatenate, parts)
    return found


def _placed(found: ExactTests, kept: NDArray[np.intp], m: int) -> ExactTests:
    """The tests of some of m groups among the others, which have none."""

    def placed(values: Any) -> Any:
        out = np.full((m, *values[0].shape[1:]), np.nan)
        out[kept] = values[0]
        return out

    collinear = np.ones(m, dtype=bool)
    collinear[kept] = False
    wide: ExactTests = _each(placed, [found])
    return replace(wide, collinear=collinear)


def _each(function: Callable[[list[Any]], Any], parts: Sequence[Any]) -> Any:
    """A result whose arrays are a function of those of some results."""
    if isinstance(parts[0], np.ndarray):
        return function(list(parts))
    kind = type(parts[0])
    return kind(*(_each(function, [getattr(part, field.name) for part in parts]) for field in fields(kind)))
