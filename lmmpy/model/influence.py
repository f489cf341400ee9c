"""How a fit changes when an observation, or a level of a grouping factor, is left out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.design.values import Categorical, Floats, factorize
from lmmpy.engines import NotPositiveDefiniteError, Solution, make_criterion
from lmmpy.errors import ConvergenceWarning, DataError, LmmpyError, ModelError, shown
from lmmpy.fitting import Control, Optimum, refit_theta
from lmmpy.inference.deletion import Deletion, delete_groups, delete_rows
from lmmpy.inference.influence import without_rows
from lmmpy.inference.leverage import Leverage
from lmmpy.inference.parallel import check_n_jobs, mapped
from lmmpy.inference.projection import MarginalCovariance, Projection
from lmmpy.model.checks import check_design, check_residual
from lmmpy.model.components import parameter_names, parameter_values
from lmmpy.model.results import sigma_at

if TYPE_CHECKING:
    from lmmpy.model.results import FitResults

__all__ = [
    "Influence",
    "Sets",
    "SolveWithout",
    "deletion_of_rows",
    "influence_of",
    "leverage_of",
    "projection_of",
    "sets_of_rows",
    "weighted_residual",
]

Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Influence:
    """
    A fit without each observation, or without each level of a grouping factor.

    Rows of the frames are what was left out.

    Attributes
    ----------
    group : str or None
        The factor whose levels were left out; None for single observations.
    refit : bool
        Whether the covariance parameters were estimated anew; else θ was held.
    estimate : Series
        Fixed effects of the fit itself.
    fixef : DataFrame
        Fixed effects without it.
    dfbeta : DataFrame
        These less those of the fit: the sign is lme4's, that of the change when it is left out.
    dfbetas : DataFrame
        The same in standard errors of the estimate without it.
    cooks : Series
        Cook's distance, dᵀ(Cov β̂)⁻¹d/p with d = dfbeta and Cov β̂ of the fit (Cook 1977; Christensen, Pearson &
        Johnson 1992). lme4 multiplies it by (m − p)/m, with m the number of rows of this frame.
    parameters : DataFrame
        Standard deviations and correlations of the random effects, and sigma, without it.
    problems : dict
        By what was left out, why there is no fit without it; its numbers are NaN.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> found = fit.influence("Subject", refit=False)
    >>> round(found.cut, 3)
    0.222
    >>> found.summary().shape
    (18, 5)
    """

    group: str | None
    refit: bool
    estimate: pd.Series
    fixef: pd.DataFrame
    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame
    cooks: pd.Series
    parameters: pd.DataFrame
    problems: dict[Any, str]

    def __len__(self) -> int:
        return len(self.cooks)

    @property
    def cut(self) -> float:
        """Four over the number of what was left out; a Cook's distance above it deserves a look (Van der Meer 2010)."""
        return 4.0 / max(int(self.cooks.notna().sum()), 1)

    def summary(self) -> pd.DataFrame:
        """
        What was left out, the most influential first.

        Returns
        -------
        DataFrame
            Columns `cooks`; `above_cut`; `coefficient`, the one that changes most in standard errors; `dfbetas`, by how
            many; `sigma` without it.
        """
        table = pd.DataFrame({"cooks": self.cooks, "above_cut": self.cooks > self.cut})
        if self.dfbetas.shape[1]:
            values = self.dfbetas.to_numpy()
            largest = np.abs(np.nan_to_num(values)).argmax(axis=1)
            absent = np.isnan(values).any(axis=1)
            table["coefficient"] = [
                None if a else self.dfbetas.columns[i] for a, i in zip(absent, largest, strict=True)
            ]
            table["dfbetas"] = values[np.arange(len(values)), largest]
        table["sigma"] = self.parameters["sigma"]
        return table.sort_values("cooks", ascending=False, kind="stable")

    def __repr__(self) -> str:
        what = "observation" if self.group is None else f"level of {self.group}"
        how = "covariance parameters estimated anew" if self.refit else "covariance parameters held"
        above = int((self.cooks > self.cut).sum())
        lines = [
            f"Influence of each {what} ({int(self.cooks.notna().sum())}; {how})",
            self.summary().head(6).to_string(),
            f"Cook's distance above {self.cut:.3g}: {above}",
        ]
        if self.problems:
            lines.append(f"No fit without {shown(self.problems)}; see .problems")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, slots=True)
class Sets:
    """Sets of rows, each to be left out in turn: their labels, what a message calls them, and the rows."""

    group: str | None
    labels: pd.Index[Any]
    names: list[str]
    rows: list[Ints]


def sets_of_rows(fit: FitResults, group: str | None) -> Sets:
    """
    The rows of each level of a grouping factor or of a column of the data; or each row.

    Raises
    ------
    ModelError
        When there is no such factor or column, or it has one level.
    DataError
        When it misses values.
    """
    if group is None:
        labels = fit.rows.observations
        return Sets(None, labels, [f"the row {label!r}" for label in labels], [np.array([i]) for i in range(fit.nobs)])
    factor = _factor(fit, group).drop_unused()
    if len(factor.levels) < 2:
        raise ModelError(f"{group!r} has one level only ({shown(factor.labels)}); without it no row is left.")
    order = np.argsort(factor.codes, kind="stable")
    cuts = np.searchsorted(factor.codes[order], np.arange(1, len(factor.levels)))
    labels = pd.Index(factor.labels, name=group)
    names = [f"{group} {label!r}" for label in factor.labels]
    return Sets(group, labels, names, [np.sort(rows) for rows in np.split(order, cuts)])


def _factor(fit: FitResults, group: Any) -> Categorical:
    for term in fit.design.random:
        if group in (term.group, term.name):
            return term.grouping
    frame = fit.frame()
    if not isinstance(group, str) or group not in frame.columns:
        known = [*dict.fromkeys(term.group for term in fit.design.random)]
        raise ModelError(
            f"group is None (each observation), a grouping factor of the fit ({shown(known)}) or a column of its data; "
            f"got {group!r}."
        )
    column = frame[group]
    if isinstance(column.dtype, pd.CategoricalDtype):
        factor = Categorical(column.cat.codes.to_numpy().astype(np.intp), column.cat.categories.to_numpy())
    else:
        factor = factorize(column.to_numpy())
    absent = list(frame.index[factor.codes < 0])
    if absent:
        raise DataError(f"The column {group!r} is missing in {len(absent)} rows of the fit ({shown(absent)}).")
    traits = fit.design.traits
    return factor if traits is None else replace(factor, codes=factor.codes[traits.row])


def weighted_residual(fit: FitResults) -> Floats:
    """W^½(y − Xβ̂ − Zb), shape (n,)."""
    residual, weights = fit.design.y - fit.linear_predictor, fit.design.weights
    return residual if weights is None else residual * np.sqrt(weights)


def leverage_of(fit: FitResults) -> Leverage:
    """The hat matrix of a fit."""
    return Leverage.of(fit.criterion, fit.optimum.theta, fit.solution.unscaled_vcov)


def projection_of(fit: FitResults) -> Projection:
    """What P says of the rows of a fit."""
    solution, marginal = fit.solution, MarginalCovariance(fit.design, fit.optimum.theta)
    return Projection(marginal, solution.beta, solution.unscaled_vcov, solution.r2)


def deletion_of_rows(fit: FitResults) -> Deletion:
    """Leaves out each row in turn, θ held."""
    return _deletion(fit, [np.array([i]) for i in range(fit.nobs)], singly=True)


def _deletion(fit: FitResults, rows: list[Ints], singly: bool) -> Deletion:
    if fit.design.row_covariances:
        return projection_of(fit).delete(rows)
    leverage, residual, solution = leverage_of(fit), weighted_residual(fit), fit.solution
    saturated = fit.optimum.saturated
    if singly and not saturated:
        return delete_rows(leverage, residual, solution.r2)
    solve_without = SolveWithout(fit.design, fit.reml, fit.optimum.theta)
    # Where no residual variance is left I − H is rounding.
    return delete_groups(leverage, residual, solution, rows, solve_without, closed=not saturated)


@dataclass(frozen=True, eq=False, slots=True)
class _Without:
    """A fit without some rows: β̂, standard errors, variance parameters; or what went wrong."""

    beta: Floats
    se: Floats
    parameters: Floats
    problem: str | None


@dataclass(frozen=True, eq=False, slots=True)
class _Refit:
    """Leaves rows out and estimates everything anew."""

    design: Design
    reml: bool
    optimum: Optimum
    control: Control
    known_sigma: float | None
    n_parameters: int

    def __call__(self, item: tuple[str, Ints]) -> _Without:
        what, rows = item
        try:
            return self._compute(what, rows)
        except (LmmpyError, NotPositiveDefiniteError, np.linalg.LinAlgError) as error:
            p = self.design.p
            return _Without(np.full(p, np.nan), np.full(p, np.nan), np.full(self.n_parameters, np.nan), str(error))

    def _compute(self, what: str, rows: Ints) -> _Without:
        design = without_rows(self.design, _mask(self.design, rows), what)
        check_design(design, sizes=self.control.check_sizes == "stop" and not self.optimum.held)
        criterion = make_criterion(design, self.reml, self.control.engine)
        optimum = refit_theta(criterion, self.optimum, self.control)
        solution = criterion.solve(optimum.theta)
        sigma = sigma_at(optimum, solution, self.known_sigma)
        if not optimum.held:
            check_residual(design, f"the response without {what}", sigma, criterion.products.scale)
            if not optimum.converged:
                raise ModelError(f"Without {what} the optimiser stopped after {optimum.evaluations} evaluations.")
        values = parameter_values(design, optimum.theta, sigma, solution.beta)
        return _Without(solution.beta, sigma * np.sqrt(np.diag(solution.unscaled_vcov)), values[design.p :], None)


@dataclass(frozen=True, eq=False, slots=True)
class SolveWithout:
    """Solves the model without some rows, θ held."""

    design: Design
    reml: bool
    theta: Floats

    def __call__(self, rows: Ints) -> Solution | None:
        """None when the other rows do not determine it."""
        try:
            design = without_rows(self.design, _mask(self.design, rows))
        except ModelError:
            return None
        return make_criterion(design, self.reml).solve(self.theta)


def _mask(design: Design, rows: Ints) -> NDArray[np.bool_]:
    mask = np.zeros(design.n, dtype=bool)
    mask[rows] = True
    return mask


def _held(fit: FitResults, sets: Sets) -> list[_Without]:
    """Leaves rows out and holds θ."""
    design, solution, theta = fit.design, fit.solution, fit.optimum.theta
    found = _deletion(fit, sets.rows, singly=sets.group is None)
    done = []
    for i, rows in enumerate(sets.rows):
        dof = fit.criterion.dof - len(rows)
        problem = None
        if np.isnan(found.r2[i]) or dof <= 0:
            problem = _undetermined(design, rows, sets.names[i])
        sigma = np.sqrt(max(found.r2[i], 0.0) / dof) if problem is None else np.nan
        sigma = sigma if fit.known_sigma is None else fit.known_sigma
        beta = solution.beta + found.beta[i]
        values = parameter_values(design, theta, sigma, beta)[design.p :]
        done.append(_Without(beta, sigma * np.sqrt(found.variance[i]), values, problem))
    return done


def _undetermined(design: Design, rows: Ints, what: str) -> str:
    try:
        without_rows(design, _mask(design, rows), what)
    except ModelError as error:
        return str(error)
    return f"Without {what} the other rows determine no estimates."


def influence_of(fit: FitResults, group: str | None, refit: bool, n_jobs: int) -> Influence:
    """See `Diagnosed.influence`."""
    if not isinstance(refit, bool | np.bool_):
        raise ModelError(f"refit must be True or False, not {refit!r}.")
    n_jobs, sets, design = check_n_jobs(n_jobs), sets_of_rows(fit, group), fit.design
    names = parameter_names(design)[design.p :]
    if refit:
        again = _Refit(design, fit.reml, fit.optimum, fit.request.control, fit.known_sigma, len(names))
        done = mapped(again, list(zip(sets.names, sets.rows, strict=True)), n_jobs)
    else:
        done = _held(fit, sets)
    problems = {label: x.problem for label, x in zip(sets.labels, done, strict=True) if x.problem is not None}
    if problems:
        first = next(iter(problems.values()))
        warnings.warn(
            f"{len(problems)} of {len(done)} fits without {'a row' if group is None else f'a level of {group}'} do not "
            f"exist and are NaN. {first} See .problems.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return _assembled(fit, sets, refit, done, names, problems)


def _assembled(
    fit: FitResults, sets: Sets, refit: bool, done: list[_Without], names: list[str], problems: dict[Any, str]
) -> Influence:
    def framed(values: Floats, columns: list[str]) -> pd.DataFrame:
        if sets.group is not None:
            return pd.DataFrame(values, index=sets.labels, columns=columns)
        return fit.rows.frame(values, columns)

    estimate, coefficients = fit.fixef, list(fit.design.names)
    beta, se = np.array([x.beta for x in done]), np.array([x.se for x in done])
    change = beta - estimate.to_numpy()
    cooks = np.full(len(done), np.nan)
    if fit.design.p:
        cooks = np.einsum("mp,pq,mq->m", change, np.linalg.inv(fit.vcov().to_numpy()), change) / fit.design.p
    labelled = framed(cooks[:, None], ["cooks"])["cooks"]
    return Influence(
        group=sets.group,
        refit=refit,
        estimate=estimate,
        fixef=framed(beta, coefficients),
        dfbeta=framed(change, coefficients),
        dfbetas=framed(change / se, coefficients),
        cooks=labelled,
        parameters=framed(np.array([x.parameters for x in done]), names),
        problems=problems,
    )
