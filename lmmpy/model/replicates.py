"""Fits of one model to many responses: refitting, simulation, the parametric bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
from numpy.random import SeedSequence, default_rng

from lmmpy.design import Design
from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.fitting import Control, Optimum, refit_theta
from lmmpy.fitting.together import Refits, Together
from lmmpy.inference import (
    Bootstrap,
    Replicate,
    draw_response,
    guarded,
    linear_predictor,
    run_bootstrap,
    seed_sequences,
)
from lmmpy.inference.parallel import check_n_jobs
from lmmpy.inference.row_covariances import ResidualCovariance
from lmmpy.inference.simulation import RootOfFunction
from lmmpy.model.checks import check_residual
from lmmpy.model.components import parameter_names, parameter_values
from lmmpy.model.results import sigma_at
from lmmpy.model.row_frames import RowLabels

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["ResponseSource", "aligned_response", "bootstrap_fit"]


def aligned_response(y: Any, labels: pd.Index, design: Design) -> Floats:
    """
    A response for the rows of a fit.

    Parameters
    ----------
    y : Series or array-like
        For the rows used, for those considered (`subset`, missing values included), or for all.
    labels : Index
        Of all rows of the data.
    design : Design
        Of the fit.

    Returns
    -------
    ndarray, shape (n,)
        A copy.

    Raises
    ------
    DataError
    """
    if design.traits is not None:
        return _stacked_response(y, labels, design)
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    used = labels[design.rows]
    values = _numbers(y)
    for rows in (design.rows, design.rows | design.left_out, np.ones(len(labels), dtype=bool)):
        fits = y.index.equals(labels[rows]) if isinstance(y, pd.Series) else values.shape == (int(rows.sum()),)
        if fits and values.shape == (int(rows.sum()),):
            values = values[design.rows[rows]].copy()
            break
    else:
        _refuse_layout(y, values, len(used), len(labels))
    wrong = used[~np.isfinite(values)]
    if len(wrong):
        raise DataError(
            f"The new response is missing or infinite in {len(wrong)} rows of the fit ({shown(list(wrong))}). A refit "
            "uses the same rows; to leave some out, call lmer again."
        )
    return values


def _stacked_response(y: Any, labels: pd.Index, design: Design) -> Floats:
    """Of several traits: a frame or an array of rows × traits, or one number for each of the fit's observations."""
    traits = design.traits
    assert traits is not None
    rows = RowLabels(design, labels, False)
    if isinstance(y, pd.DataFrame) and set(y.columns) == set(traits.names) and y.shape[1] == len(traits.names):
        found = [_one_trait(y[name], rows) for name in traits.names]
        values = np.column_stack(found)[traits.row, traits.trait]
    else:
        if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
            y = y.iloc[:, 0]
        values = _numbers(y)
        pairs, places = rows.pairs()
        if isinstance(y, pd.Series) and y.index.equals(pairs):
            values = values[places]  # with the rows that were left out
        elif isinstance(y, pd.DataFrame) or (isinstance(y, pd.Series) and not y.index.equals(rows.observations)):
            values = np.empty(0)
        elif values.shape == (int(design.rows.sum()), len(traits.names)):
            values = values[traits.row, traits.trait]
        if values.shape != (design.n,):
            raise DataError(
                f"The new response has the shape {np.shape(y)} or other labels than the fit; expected a DataFrame with "
                f"the columns {shown(traits.names, 20)} and a row for each of the {len(rows.used)} rows of the fit, or "
                f"{design.n} numbers in the order of the observations, as simulate() gives them."
            )
    wrong = rows.observations[~np.isfinite(values)]
    if len(wrong):
        raise DataError(
            f"The new response is missing or infinite in {len(wrong)} observations of the fit ({shown(list(wrong))}). "
            "A refit uses the same rows and traits; to leave some out, call lmer again."
        )
    return np.asarray(values.copy())


def _one_trait(y: pd.Series, rows: RowLabels) -> Floats:
    """Its values in the rows used, NaN where the fit has none."""
    design, every = rows.design, rows.every
    values = _numbers(y)
    for some in (design.rows, design.rows | design.left_out, np.ones(len(every), dtype=bool)):
        if y.index.equals(every[some]):
            return np.asarray(values[design.rows[some]])
    raise DataError(
        f"The index of the new response is not that of the {len(rows.used)} rows of the fit, nor that of its data: "
        "labels or their order differ. Align it (y.reindex(...)), or give an array in row order."
    )


def _refuse_layout(y: Any, values: Floats, used: int, all_rows: int) -> NoReturn:
    whole = f", or of the {all_rows} rows of its data" if all_rows > used else ""
    if isinstance(y, pd.Series):
        raise DataError(
            f"The index of the new response is not that of the {used} rows of the fit{whole}: labels or their order "
            "differ. Align it (y.reindex(...)), or give an array in row order."
        )
    raise DataError(
        f"The new response has the shape {values.shape}; expected one number for each of the {used} rows of the fit"
        f"{whole}."
    )


def _numbers(y: Any) -> Floats:
    """Real numbers as they are, missing ones as NaN; nothing is made a number that is none."""
    if isinstance(getattr(y, "dtype", None), pd.CategoricalDtype):
        raise DataError("The new response must be real numbers; it is categorical.")
    try:
        values = np.ma.asarray(y) if isinstance(y, np.ma.MaskedArray) else np.asarray(y)
    except ValueError:
        raise DataError(f"The new response must be real numbers in a row; it is {y!r}.") from None
    if values.dtype.kind in "biuf":
        return np.asarray(np.ma.filled(values.astype(float), np.nan))
    if isinstance(y, pd.Series) and pd.api.types.is_numeric_dtype(y.dtype) and values.dtype.kind == "O":
        return y.to_numpy(dtype=float, na_value=np.nan)
    if values.dtype.kind in "mM":  # times: their nanoseconds would pass for integers
        strangers = list(values.ravel())
    else:
        strangers = [value for value in values.ravel().tolist() if not isinstance(value, Real)]
    if strangers:
        raise DataError(f"The new response must be real numbers; it has {shown(strangers)}.")
    return values.astype(float)


@dataclass(frozen=True, eq=False, slots=True)
class ResponseSource:
    """Draws responses from a fitted model, one for each seed."""

    criterion: Criterion
    mean: Floats
    factors: list[Floats]
    sigma: float
    residual: ResidualCovariance | None = None
    functions: list[RootOfFunction] = field(default_factory=list)

    @classmethod
    def of(cls, fit: LmmFit, use_re: bool) -> ResponseSource:
        """That of a fit, its random effects drawn or held."""
        if not isinstance(use_re, bool | np.bool_):
            raise ModelError(f"use_re must be True or False, not {use_re!r}.")
        design, theta = fit.design, fit.optimum.theta
        residual = None if design.residual is None else fit.residual_covariance
        if use_re:
            return cls(fit.criterion, fit.linear_predictor, [], fit.sigma, residual)
        zero = {term.name: np.zeros((term.n_levels, term.k)) for term in design.random}
        mean = linear_predictor(design, fit.fixef.to_numpy(), zero, [])
        parts = zip(design.random, design.split_theta(theta), strict=True)
        factors = [term.structure.factor(part).T for term, part in parts]
        return cls(fit.criterion, mean, factors, fit.sigma, residual, RootOfFunction.of(design, theta))

    def __call__(self, seed: SeedSequence) -> Floats:
        """One response."""
        generator = default_rng(seed)
        design = self.criterion.design
        return draw_response(design, self.mean, self.factors, self.sigma, generator, self.residual, self.functions)


@dataclass(frozen=True, eq=False, slots=True)
class _ParametersOfRefit:
    """Draw, refit, and give the parameters: the short way, without a fit object."""

    source: ResponseSource
    optimum: Optimum
    control: Control
    known_sigma: float | None
    size: int

    def __call__(self, seed: SeedSequence) -> Replicate:
        """One replicate."""
        return self._one(self.source(seed))

    def many(self, seeds: Sequence[SeedSequence]) -> list[Replicate]:
        """Several; small models are refitted to all at once, and those that do not settle so have their own search."""
        responses = [self.source(seed) for seed in seeds]
        refits = self._together(responses)
        if refits is None:
            return [self._one(y) for y in responses]
        design, found = self.source.criterion.design, []
        for i, y in enumerate(responses):
            if refits.settled[i]:
                values = parameter_values(design, refits.theta[i], float(refits.sigma[i]), refits.beta[i])
                found.append(Replicate(values, False, None))
            else:
                found.append(self._one(y))
        return found

    def _together(self, responses: list[Floats]) -> Refits | None:
        optimum, control = self.optimum, self.control
        asked_for = control.optimizer != "newton" or control.engine != "auto" or control.max_evaluations is not None
        if optimum.held or optimum.at_boundary or asked_for or optimum.constraint is not None:
            return None
        inner = optimum if optimum.orthogonal is None else optimum.orthogonal
        together = Together.of(self.source.criterion, inner.theta, self.control.tolerance)
        if together is None:
            return None
        try:
            return together.refit(responses)
        except (ModelError, np.linalg.LinAlgError):  # of one response, which will say so when it is refitted alone
            return None

    def _one(self, y: Floats) -> Replicate:
        return guarded(lambda: self._compute(y), self.size)

    def _compute(self, y: Floats) -> tuple[Floats, bool, str | None]:
        criterion = self.source.criterion.with_response(y)
        optimum = refit_theta(criterion, self.optimum, self.control)
        solution = criterion.solve(optimum.theta)
        sigma = sigma_at(optimum, solution, self.known_sigma)
        if not optimum.held:
            check_residual(criterion.design, "the drawn response", sigma, criterion.products.scale)
        values = parameter_values(criterion.design, optimum.theta, sigma, solution.beta)
        return values, optimum.at_boundary, _problem(optimum)


@dataclass(frozen=True, eq=False, slots=True)
class _StatisticOfRefit:
    """Draw, refit, and give what a function says of the fit."""

    source: ResponseSource
    fit: LmmFit
    fun: Callable[[LmmFit], Any]
    names: tuple[str, ...]

    def __call__(self, seed: SeedSequence) -> Replicate:
        """One replicate."""
        return guarded(lambda: self._compute(seed), len(self.names))

    def _compute(self, seed: SeedSequence) -> tuple[Floats, bool, str | None]:
        again = self.fit.refit(self.source(seed))
        found = _as_series(self.fun(again))
        if tuple(found.index) != self.names:
            raise ModelError(
                f"fun gave {shown(list(found.index))} for a replicate, but {shown(self.names)} for the fit."
            )
        return found.to_numpy(), again.optimum.at_boundary, _problem(again.optimum)


def _problem(optimum: Optimum) -> str | None:
    return None if optimum.converged else f"the optimiser stopped after {optimum.evaluations} evaluations."


def _as_series(found: Any) -> pd.Series:
    """What a statistic gave, as named numbers."""
    if found is None:
        raise ModelError("fun returned None. Does it lack a return?")
    series = pd.Series(found) if isinstance(found, pd.Series | Mapping) else None
    try:
        values = np.atleast_1d(_numbers(found if series is None else series)).ravel()
    except DataError:
        raise ModelError(f"fun must return numbers (a number, a mapping, a Series, an array); got {found!r}.") from None
    names = [f"t{i}" for i in range(1, len(values) + 1)] if series is None else [str(name) for name in series.index]
    return pd.Series(values, index=names)


def bootstrap_fit(
    fit: LmmFit,
    n: int,
    fun: Callable[[LmmFit], Any] | None,
    seed: int | SeedSequence | None,
    n_jobs: int,
    use_re: bool,
) -> Bootstrap:
    """See `LmmFit.bootstrap`."""
    if fun is not None and not callable(fun):
        raise ModelError(f"fun must be a function of a fit, not a {type(fun).__name__}.")
    seeds, source = seed_sequences(seed, n), ResponseSource.of(fit, use_re)
    n_jobs = check_n_jobs(n_jobs)
    with one_blas_thread():
        if fun is not None:
            estimate = _as_series(fun(fit))
            by_fun = _StatisticOfRefit(source, fit, fun, tuple(estimate.index))
            return run_bootstrap(by_fun, estimate, seeds, n_jobs)
        names = parameter_names(fit.design)
        values = parameter_values(fit.design, fit.optimum.theta, fit.sigma, fit.fixef.to_numpy())
        known = fit.sigma if fit.optimum.held else None
        short = _ParametersOfRefit(source, fit.optimum, fit.request.control, known, len(names))
        return run_bootstrap(short, pd.Series(values, index=names), seeds, n_jobs)
