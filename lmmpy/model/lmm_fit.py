"""The fit of a linear mixed model: methods orchestrate, numbers come from functions elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import SeedSequence

from lmmpy.design import Design
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.fitting import ConvergenceReport, Optimum, convergence_report, fit_theta, refit_theta, warn_if_doubtful
from lmmpy.inference import Bootstrap, chosen_terms, linear_predictor, predict_new, seed_sequences
from lmmpy.model.components import split_theta, theta_names
from lmmpy.model.describe import summary_data
from lmmpy.model.diagnostics import Diagnosed
from lmmpy.model.frames import Framed
from lmmpy.model.hypothesis_tests import Tested
from lmmpy.model.intervals import Bounded
from lmmpy.model.replicates import ResponseSource, aligned_response, bootstrap_fit
from lmmpy.model.results import Request
from lmmpy.model.verdict import judge
from lmmpy.report import Summary, print_text

__all__ = ["LmmFit", "Request"]


class LmmFit(Tested, Bounded, Diagnosed, Framed):
    """
    A fitted linear mixed model, y = Xβ + Zb + e.

    Made by `lmer`. Row-wise results are Series labelled like the rows of the data.

    Attributes
    ----------
    design : Design
        The model in numbers.
    blueprint : Blueprint
        How new data are read.
    criterion : Criterion
        The profiled likelihood.
    optimum : Optimum
        Where it is least.
    request : Request
        What was asked for.
    """

    def predict(self, newdata: Any = None, re_form: Any = "all", allow_new_levels: bool = False) -> pd.Series:
        """
        Predictions for the data of the fit or for new data.

        Parameters
        ----------
        newdata : frame or mapping, optional
            Transformations, contrasts and levels are those of the fit.
        re_form : "all", "none", None or sequence of str
            Random terms to include: all (also None, as R's NULL), none (also ``"~0"``), or those named.
        allow_new_levels : bool
            Whether levels that were not seen when fitting get a random effect of zero; else they are an error.

        Returns
        -------
        Series

        Raises
        ------
        DataError
            For a missing column, or a level that was not seen.
        """
        places = chosen_terms(self.design, re_form)
        effects = self._by_term(self._solution.b)
        if newdata is None:
            value = linear_predictor(self.design, self._solution.beta, effects, places)
            return self._per_row(value, "prediction")
        value = predict_new(
            self.design, self.blueprint, newdata, self._solution.beta, effects, places, allow_new_levels
        )
        index = newdata.index if isinstance(newdata, pd.DataFrame) else pd.RangeIndex(len(value))
        return pd.Series(value, index=index, name="prediction")

    # ---- other fits

    def refit_ml(self) -> LmmFit:
        """The same model by maximum likelihood; itself, when it already is."""
        if not self.reml:
            return self
        with one_blas_thread():
            criterion = self.criterion.by_ml()
            if self.optimum.held:
                optimum = replace(self.optimum, evaluation=criterion.evaluate(self.optimum.theta, 2))
            else:
                optimum = fit_theta(criterion, self.request.control)
            fit = self._again(self.design, criterion, optimum, replace(self.request, reml=False))
        if not self.optimum.held:
            warn_if_doubtful(criterion, optimum, theta_names(self.design), stacklevel=2)
        return fit

    def refit(self, y: Any) -> LmmFit:
        """
        Fit the same model to another response.

        Nothing that does not depend on the response is done again: the design, its cross-products and the analysis of
        the system are those of this fit, and the search begins at its θ. Known variance components stay what they are.

        Parameters
        ----------
        y : Series or array-like, shape (n,)
            The values themselves (a transformation on the left of the formula is not applied again), for the rows of
            the fit, for all rows of its data, or for those that row-wise results of the fit have. A Series must have
            their index.

        Returns
        -------
        LmmFit

        Raises
        ------
        DataError
            For a wrong length or index, missing values, or what is no number.
        ModelError
            When the random effects reproduce the response.
        """
        response = aligned_response(y, self._data_index, self.design)
        with one_blas_thread():
            criterion = self.criterion.with_response(response)
            optimum = refit_theta(criterion, self.optimum, self.request.control)
            fit = self._again(criterion.design, criterion, optimum, self.request)
        judge(fit, stacklevel=2, response="the new response")
        return fit

    def _again(self, design: Design, criterion: Criterion, optimum: Optimum, request: Request) -> LmmFit:
        return LmmFit(design, self.blueprint, criterion, optimum, request, self._data_index, self._known_sigma)

    def simulate(self, n: int = 1, seed: int | SeedSequence | None = None, use_re: bool = False) -> pd.DataFrame:
        """
        Draw responses from the fitted model.

        Parameters
        ----------
        n : int
            Number of responses.
        seed : int or SeedSequence, optional
            The same seed gives the same responses, each whatever n is.
        use_re : bool
            Whether the random effects stay what they were estimated to be; else they are drawn, too.

        Returns
        -------
        DataFrame, shape (rows, n)
            Columns `sim_1`, `sim_2`, …
        """
        draw = ResponseSource.of(self, use_re)
        drawn = {f"sim_{i}": draw(s) for i, s in enumerate(seed_sequences(seed, n), 1)}
        return pd.DataFrame({name: self._per_row(y, name) for name, y in drawn.items()})

    def bootstrap(
        self,
        n: int,
        fun: Callable[[LmmFit], Any] | None = None,
        *,
        seed: int | SeedSequence | None = None,
        n_jobs: int = 1,
        use_re: bool = False,
    ) -> Bootstrap:
        """
        Parametric bootstrap: refit the model to responses drawn from it.

        Parameters
        ----------
        n : int
            Number of replicates. Replicate i refits column i of ``simulate(n, seed)``.
        fun : callable, optional
            A fit → numbers (a number, a mapping, a Series or an array); by default fixed effects, standard deviations
            and correlations of the random effects, and sigma. What it raises is raised, with the replicate's number.
        seed : int or SeedSequence, optional
        n_jobs : int
            Processes, as joblib counts them; −1 takes all cores. They need a second or two to start.
        use_re : bool
            As in `simulate`.

        Returns
        -------
        Bootstrap
            With `.replicates`, `.estimate`, `.summary()`, `.singular` and `.problems`.

        Warns
        -----
        ConvergenceWarning
            When replicates could not be fitted, or their optimiser did not converge; they are NaN.
        """
        return bootstrap_fit(self, n, fun, seed, n_jobs, use_re)

    # ---- diagnosis

    def is_singular(self, tol: float = 1e-4) -> bool:
        """
        Whether a covariance of the random effects is (nearly) singular.

        Parameters
        ----------
        tol : float
            Least singular value of a term's relative factor that is not singular, with the effects measured in units
            in which each has the same influence on the response, so that neither the units of predictors nor that of
            the weights matter.
        """
        parts = split_theta(self.design, self.optimum.theta)
        criterion = self.criterion
        rows = zip(self.design.random, parts, criterion.bases, criterion.products.units, strict=True)
        for term, part, R, unit in rows:
            T = term.structure.factor(part).T
            scaled = (T if R is None else R @ T) / unit[:, None]
            if np.linalg.svd(scaled, compute_uv=False)[-1] < tol:
                return True
        return False

    @cached_property
    def convergence(self) -> ConvergenceReport:
        """What the exact gradient and the observed Hessian say about the optimum, and what to do."""
        with one_blas_thread():
            return convergence_report(self.criterion, self.optimum, theta_names(self.design))

    @property
    def optimization(self) -> pd.DataFrame:
        """
        Every evaluation of the criterion, in order.

        Columns: the parameters; `criterion`; `accepted`, whether the search went on from there; `purpose`: "start" of a
        search (fits on the boundary, and those with a correlation parameter, are searched from several), "scoring" (a
        long step by the score equations), "newton" (a trust-region step), "cobyqa", "boundary" (a small variance put to
        zero), "leap" (off a zero that is no minimum), "equivalent" (the same covariances in other parameters);
        `gradient`, the length of the gradient where the step began, in standard errors; `radius` of the trust region,
        in typical sizes of the parameters.
        """
        log = self.optimum.log
        frame = pd.DataFrame([step.theta for step in log], columns=theta_names(self.design))
        frame["criterion"] = [step.value for step in log]
        frame["accepted"] = [step.accepted for step in log]
        frame["purpose"] = [step.purpose for step in log]
        frame["gradient"] = [step.gradient_norm for step in log]
        frame["radius"] = [step.radius for step in log]
        return frame

    # ---- reports

    def summary(self, digits: int = 4, max_correlation: int = 12) -> Summary:
        """
        Summarise in lme4's layout.

        Parameters
        ----------
        digits : int
            Significant digits.
        max_correlation : int
            With more coefficients than this, their correlations are left out.

        Returns
        -------
        Summary
            Shows itself as text or HTML, and has `.to_latex()` and `.to_frame()`.
        """
        return Summary(summary_data(self), digits=digits, max_correlation=max_correlation)

    def __str__(self) -> str:
        return print_text(summary_data(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary().to_html()
