"""What a fit knows of itself: parameters, likelihood, random effects, rows. Numbers come from functions elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design import Blueprint, Design
from lmmpy.design.columns import Columns
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, Solution
from lmmpy.errors import ModelError
from lmmpy.fitting import Control, Optimum
from lmmpy.formula import deparse
from lmmpy.inference import linear_predictor
from lmmpy.inference.row_covariances import ResidualCovariance
from lmmpy.model.components import VarCorr, make_varcorr, theta_names
from lmmpy.model.constraints import constraint_of
from lmmpy.model.ranef import RandomEffectsFrames
from lmmpy.model.row_frames import RowLabels
from lmmpy.model.source import RowsUsed, Source

__all__ = ["FitResults", "Request", "sigma_at"]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as far as a summary or a further fit repeats it.

    Attributes
    ----------
    reml : bool
    na_action : {"omit", "exclude", "fail"}
    control : Control
    data_name, weights, offset, subset : str or None
        The caller's expressions, or the names of the variables that held the values; None when there was none.
    source : Source
        The arguments themselves.
    refitted : bool
        Whether the response is another one than that of the data.
    """

    reml: bool
    na_action: str
    control: Control
    source: Source
    refitted: bool = False
    data_name: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None


def sigma_at(optimum: Optimum, solution: Solution, known: float | None) -> float:
    """σ: as it was given, as constraints allow, or as it maximises the likelihood."""
    if known is not None:
        return known
    return solution.sigma if optimum.constraint is None else optimum.constraint.sigma


class FitResults:
    """
    Estimates of a linear mixed model, y = Xβ + Zb + e.

    What `LmmFit` knows of itself, without what it can do; its attributes are told there.
    """

    def __init__(
        self,
        design: Design,
        blueprint: Blueprint,
        criterion: Criterion,
        optimum: Optimum,
        request: Request,
        index: pd.Index,
        known_sigma: float | None = None,
    ) -> None:
        self.design, self.blueprint, self.criterion = design, blueprint, criterion
        self.optimum, self.request = optimum, request
        constraint = optimum.constraint
        self._known_sigma = constraint.sigma if constraint is not None and constraint.fixes_scale else known_sigma
        self._data_index = index
        self._solution: Solution = criterion.solve(optimum.theta)

    # ---- parameters

    @property
    def solution(self) -> Solution:
        """β̂, b̂ and their unscaled covariance, as the criterion gives them at θ̂."""
        return self._solution

    @property
    def known_sigma(self) -> float | None:
        """σ where it was given with `varcomp`, or constraints concern it; None where the sum of squares gives it."""
        return self._known_sigma

    @property
    def formula(self) -> str:
        """The formula as R would print it."""
        return self.blueprint.parsed.text

    @property
    def reml(self) -> bool:
        """Whether the restricted likelihood was maximised."""
        return self.criterion.reml

    @property
    def fixef(self) -> pd.Series:
        """Fixed effects β̂, by R's names."""
        return pd.Series(self._solution.beta.copy(), index=list(self.design.names), name="Estimate")

    @property
    def se(self) -> pd.Series:
        """Standard errors of the fixed effects."""
        return pd.Series(np.sqrt(np.diag(self.vcov())), index=list(self.design.names), name="Std. Error")

    def vcov(self) -> pd.DataFrame:
        """
        Covariance matrix of the fixed effects, σ²(XᵀV⁻¹X)⁻¹.

        Returns
        -------
        DataFrame, shape (p, p)

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.vcov().round(3)
                     (Intercept)   Days
        (Intercept)       46.575 -1.451
        Days              -1.451  2.389
        """
        names = list(self.design.names)
        return pd.DataFrame(self.sigma**2 * self._solution.unscaled_vcov, index=names, columns=names)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Fixed-effects columns left out because others determine them."""
        return self.design.dropped

    @property
    def sigma(self) -> float:
        """
        Residual standard deviation; with a structured residual that of the reference row.

        Of several traits or strata the first is the reference, or another one where the first has next to no residual
        variance.
        """
        return sigma_at(self.optimum, self._solution, self._known_sigma)

    @property
    def theta(self) -> pd.Series:
        """Covariance parameters relative to sigma; for `us` terms as in lme4."""
        return pd.Series(self.optimum.theta.copy(), index=theta_names(self.design), name="theta")

    @property
    def varcorr(self) -> VarCorr:
        """Variances and covariances of the random effects, and the residual variance."""
        return make_varcorr(self.design, self.optimum.theta, self.sigma)

    # ---- the likelihood

    def _minus_two_loglik(self, value: float, dof: int) -> float:
        if self._known_sigma is None:
            return value
        profiled, known = self._solution.r2 / dof, self.sigma**2
        return value + dof * math.log(known / profiled) + self._solution.r2 / known - dof

    @property
    def loglik(self) -> float:
        """Log-likelihood; the restricted one of a REML fit."""
        dof = self.design.n - self.design.p * self.reml
        return -0.5 * self._minus_two_loglik(self.optimum.evaluation.value, dof)

    @property
    def reml_criterion(self) -> float:
        """−2 times the restricted log-likelihood of a REML fit.

        Raises
        ------
        AttributeError
            For a fit by ML.
        """
        if not self.reml:
            raise AttributeError("a fit by maximum likelihood has no REML criterion; see deviance")
        return -2.0 * self.loglik

    @cached_property
    def deviance(self) -> float:
        """−2 times the ML log-likelihood at the estimates; for a REML fit at its θ, like R's deviance(REML = FALSE)."""
        if not self.reml:
            return -2.0 * self.loglik
        value = self.criterion.by_ml().evaluate(self.optimum.theta, 0).value
        return self._minus_two_loglik(value, self.design.n)

    @property
    def df(self) -> int:
        """Number of estimated parameters."""
        if self.optimum.held:
            return self.design.p
        constraint = self.optimum.constraint
        return self.design.p + (self.design.n_theta + 1 if constraint is None else constraint.n_parameters)

    @property
    def constraints(self) -> dict[str, float | str]:
        """Covariance parameters that are held at a value, or equal to others; empty when none is."""
        found = constraint_of(self)
        return {} if found is None else dict(found.given)

    @property
    def df_resid(self) -> int:
        """Observations less parameters."""
        return self.nobs - self.df

    @property
    def nobs(self) -> int:
        """Number of observations used; those of all traits."""
        return self.design.n

    @property
    def nobs_by_trait(self) -> pd.Series:
        """
        Number of observations of each trait.

        Raises
        ------
        AttributeError
            For a fit with one response.
        """
        traits = self.design.traits
        if traits is None:
            raise AttributeError("the fit has one response; see nobs")
        counts = np.bincount(traits.trait, minlength=len(traits.names))
        return pd.Series(counts, index=list(traits.names), name="nobs")

    @property
    def ngroups(self) -> dict[str, int]:
        """Levels of each grouping factor that the rows have (a pedigree has others besides)."""
        return {term.group: term.n_recorded for term in self.design.random}

    @property
    def aic(self) -> float:
        """Akaike's criterion, from `loglik` as in R."""
        return -2.0 * self.loglik + 2.0 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's criterion, from `loglik` and all observations as in R."""
        return -2.0 * self.loglik + math.log(self.nobs) * self.df

    # ---- random effects

    def _by_term(self, values: Floats) -> dict[str, Floats]:
        starts = self.design.starts
        return {
            term.name: values[start:end].reshape(-1, term.k)
            for term, start, end in zip(self.design.random, starts[:-1], starts[1:], strict=True)
        }

    def ranef(self, cond_var: bool = False) -> RandomEffectsFrames:
        """
        Conditional modes of the random effects.

        Parameters
        ----------
        cond_var : bool
            Whether to add their conditional variances given θ and β, as `.cond_var`.

        Returns
        -------
        mapping from term to DataFrame (levels × effects)

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.ranef()["Subject"].head(2).round(2)
                 (Intercept)  Days
        Subject
        308             2.26  9.20
        309           -40.40 -8.62
        """
        variances = None
        if cond_var:
            found = self.criterion.conditional_variances(self.optimum.theta)
            variances = {t.name: self.sigma**2 * v for t, v in zip(self.design.random, found, strict=True)}
        return RandomEffectsFrames(self.design, self._by_term(self._solution.b), variances)

    @property
    def u(self) -> dict[str, pd.DataFrame]:
        """Spherical random effects, b = Λu, by term."""
        return dict(RandomEffectsFrames(self.design, self._by_term(self._solution.u), None))

    def coef(self) -> dict[str, pd.DataFrame]:
        """
        Fixed plus random effects by grouping factor: one row a level, one column an effect.

        Returns
        -------
        dict of DataFrame
            By grouping factor; levels × effects.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.coef()["Subject"].head(2).round(2)
                 (Intercept)   Days
        Subject
        308           253.66  19.67
        309           211.01   1.85
        """
        return self.ranef().added_to(self.fixef)

    # ---- rows

    def frame(self) -> pd.DataFrame:
        """
        The rows of the data that were used, all columns, as a pandas DataFrame (a copy).

        After a refit to another response, a response that is a column has the values of that one.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy"), subset="Days > 1")
        >>> len(fit.frame())
        144
        """
        frame = self.request.source.frame(self.design.rows).set_axis(self.index, axis=0)
        if self.request.refitted:
            values = self.response.to_numpy().reshape(len(frame), -1)
            for place, node in enumerate(self.blueprint.parsed.responses):
                if deparse(node) in frame:
                    frame[deparse(node)] = values[:, place]
        return frame

    def evaluator(self, rows: NDArray[np.bool_] | None = None) -> Evaluator:
        """
        What reads the formula's expressions again in the rows used, with the values that they had in the fit.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows,), optional
            Some of these rows.

        Returns
        -------
        Evaluator

        Raises
        ------
        ModelError
            When the data have another number of rows by now.
        """
        source, rows = self.request.source, self.design.rows if rows is None else rows
        whole = self.blueprint.evaluator(source.data, own=True)
        if whole.columns.n_rows != len(rows):
            raise ModelError(
                f"The data of this fit have changed since it was made: they had {len(rows)} rows, and have "
                f"{whole.columns.n_rows} now. Fit again."
            )
        return RowsUsed(whole, Columns(source.frame(rows), self.blueprint.column_levels), rows)

    @property
    def rows(self) -> RowLabels:
        """What the rows of the design are called."""
        return RowLabels(self.design, self._data_index, self.request.na_action == "exclude")

    @property
    def index(self) -> pd.Index:
        """Labels of the rows of the data that are used."""
        return self.rows.used

    def rows_series(self, values: Floats, name: str) -> pd.Series | pd.DataFrame:
        """
        Label row-wise results; under na_action='exclude' the rows left out come back as NaN.

        Parameters
        ----------
        values : ndarray, shape (n,)
        name : str

        Returns
        -------
        Series; of a fit with several traits a DataFrame, one column a trait, NaN where it is missing
        """
        return self.rows.series(values, name)

    @cached_property
    def residual_covariance(self) -> ResidualCovariance:
        """Covariance of the residual over σ², the prior weights included."""
        return ResidualCovariance.of(self.design, self.optimum.theta)

    @cached_property
    def linear_predictor(self) -> Floats:
        """Xβ̂ + Zb, offset and random functions included, shape (n,)."""
        value = linear_predictor(self.design, self._solution.beta, self._by_term(self._solution.b))
        for function in self._solution.functions:
            value = value + function
        return value

    def fitted(self) -> pd.Series | pd.DataFrame:
        """
        Fitted values Xβ̂ + Zb, offset included; of several traits one column each.

        Returns
        -------
        Series or DataFrame
            Labelled like the rows of the data.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.fitted().head(2).round(2).tolist()
        [253.66, 273.33]
        """
        return self.rows_series(self.linear_predictor, "fitted")

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series | pd.DataFrame:
        """
        Conditional residuals.

        Parameters
        ----------
        type : {"response", "pearson", "normalized"}
            y − ŷ; that over √Rᵢᵢ, where σ²R is the covariance of the residual (R = W⁻¹ when it has no structure); or
            L⁻¹(y − ŷ) with LLᵀ = R.
        scaled : bool
            Whether to divide by sigma. Those of several traits but "response" always are.

        Returns
        -------
        Series; of several traits DataFrame
        """
        if type not in ("response", "pearson", "normalized"):
            raise ModelError(f"type is 'response', 'pearson' or 'normalized', not {type!r}.")
        values = self.design.y - self.linear_predictor
        if type == "pearson":
            values = values / np.sqrt(self.residual_covariance.variance)
        elif type == "normalized":
            values = self.residual_covariance.whitened(values)
        over_sigma = scaled or (self.design.traits is not None and type != "response")
        return self.rows_series(values / self.sigma if over_sigma else values, "residual")

    @property
    def response(self) -> pd.Series | pd.DataFrame:
        """The response of the rows used; of several traits one column each."""
        return self.rows.series(self.design.y, "response", complete=False)

    @property
    def prior_weights(self) -> pd.Series | pd.DataFrame:
        """Prior weights of the rows used; ones when none were given. Of several traits one column each."""
        weights = self.design.weights
        return self.rows.series(np.ones(self.nobs) if weights is None else weights, "weights", complete=False)
