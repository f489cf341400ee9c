"""The fit of a linear mixed model: methods orchestrate, numbers come from functions elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.random import SeedSequence

from lmmpy.design import Design
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.errors import ModelError
from lmmpy.fitting import (
    Control,
    ConvergenceReport,
    Optimum,
    convergence_report,
    fit_constrained,
    fit_theta,
    flat_directions,
    refit_theta,
    warn_if_doubtful,
)
from lmmpy.inference import Bootstrap, seed_sequences
from lmmpy.model.components import theta_names
from lmmpy.model.confint import jackknife_of
from lmmpy.model.constraints import joined
from lmmpy.model.describe import summary_data
from lmmpy.model.diagnostics import Diagnosed
from lmmpy.model.foreign_names import attribute_hint
from lmmpy.model.frames import Framed
from lmmpy.model.genetic import Genetic
from lmmpy.model.hypothesis_tests import Tested
from lmmpy.model.intervals import Bounded
from lmmpy.model.predicted import Predicted
from lmmpy.model.redundant import redundant_terms
from lmmpy.model.replicates import ResponseSource, aligned_response, bootstrap_fit
from lmmpy.model.results import Request
from lmmpy.model.scope import caller_scope
from lmmpy.model.trait_checks import check_traits
from lmmpy.model.update import Changes, update_fit
from lmmpy.model.verdict import judge
from lmmpy.report import Summary, print_text

if TYPE_CHECKING:
    from lmmpy.plots.accessor import FitPlots

__all__ = ["LmmFit", "Request"]


class LmmFit(Tested, Bounded, Diagnosed, Framed, Genetic, Predicted):
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

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> print(f"{fit.loglik:.3f} {fit.aic:.2f} {fit.sigma:.2f}")
    -871.814 1755.63 25.59
    >>> fit.ngroups
    {'Subject': 18}
    """

    if not TYPE_CHECKING:  # which knows all attributes

        def __getattr__(self, name: str) -> Any:
            hint = attribute_hint(name, type(self))
            if hint is not None:
                raise AttributeError(f"a fit has no {name!r}: did you mean fit.{hint}?", name=name, obj=self)
            return object.__getattribute__(self, name)  # which raises what it is about

    # ---- other fits

    def refit_ml(self) -> LmmFit:
        """
        The same model by maximum likelihood; itself, when it already is.

        Returns
        -------
        LmmFit

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.refit_ml().reml
        False
        """
        if not self.reml:
            return self
        with one_blas_thread():
            criterion = self.criterion.by_ml()
            if self.optimum.held:
                optimum = replace(self.optimum, evaluation=criterion.evaluate(self.optimum.theta, 2))
            elif self.optimum.constraint is not None:
                optimum = self.optimum.constraint.refit(criterion, self.optimum, self.request.control)
            else:
                optimum = fit_theta(criterion, self.request.control)
            fit = self._again(self.design, criterion, optimum, replace(self.request, reml=False))
        if not self.optimum.held:
            warn_if_doubtful(criterion, optimum, theta_names(self.design), stacklevel=2, causes=redundant_terms)
        return fit

    def refit(self, y: Any) -> LmmFit:
        """
        Fit the same model to another response.

        Nothing that does not depend on the response is done again: the design, its cross-products and the analysis of
        the system are those of this fit, and the search begins at its θ. Known variance components stay what they are,
        and where the variance is a function of the mean, so does the mean that it is a function of.

        Parameters
        ----------
        y : Series or array-like, shape (n,)
            The values themselves (a transformation on the left of the formula is not applied again), for the rows of
            the fit, for all rows of its data, or for those that row-wise results of the fit have. A Series must have
            their index. With several traits a DataFrame with a column for each, or a column of `simulate`.

        Returns
        -------
        LmmFit

        Raises
        ------
        DataError
            For a wrong length or index, missing values, or what is no number.
        ModelError
            When the random effects reproduce the response, or traits determine each other.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> drawn = fit.simulate(1, seed=1)["sim_1"]
        >>> fit.refit(drawn).fixef.round(2).to_dict()
        {'(Intercept)': 243.17, 'Days': 11.17}
        """
        response = aligned_response(y, self._data_index, self.design)
        with one_blas_thread():
            criterion = self.criterion.with_response(response)
            if not self.optimum.held and self.optimum.constraint is None:
                check_traits(criterion.design)
            optimum = refit_theta(criterion, self.optimum, self.request.control)
            fit = self._again(criterion.design, criterion, optimum, replace(self.request, refitted=True))
        judge(fit, stacklevel=2, response="the new response")
        return fit

    def update(
        self,
        formula: str | None = None,
        *,
        data: Any = None,
        reml: bool | None = None,
        weights: Any = ...,
        offset: Any = ...,
        subset: Any = ...,
        na_action: Any = ...,
        contrasts: Any = ...,
        relmat: Any = ...,
        residual: Any = ...,
        varcomp: Any = ...,
        constraints: Any = ...,
        start: Any = None,
        control: Control | None = None,
    ) -> LmmFit:
        """
        Fit the same model with changes; what is not given is that of this fit.

        Parameters
        ----------
        formula : str, optional
            The dots of ``". ~ . - x + (1 | h)"`` stand for the old sides; a formula without them is a new one. Its
            names are looked up among the columns, the caller's variables and those that the fit used.
        data, reml, weights, offset, subset, na_action, contrasts, relmat, residual, varcomp, constraints, start,
        control
            As in `lmer`. None takes weights, offset, subset, contrasts, a residual's structure, known components or
            constraints away.

        Returns
        -------
        LmmFit

        Raises
        ------
        FormulaError, DataError, ModelError
            As `lmer`; and for a term that is to be taken away and is not there.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.update(". ~ . - Days").formula
        'Reaction ~ 1 + (Days | Subject)'
        >>> fit.update(reml=False).reml
        False
        """
        changes = Changes(
            formula=formula, data=data, reml=reml, weights=weights, offset=offset, subset=subset, na_action=na_action,
            contrasts=contrasts, relmat=relmat, residual=residual, varcomp=varcomp, constraints=constraints,
            start=start, control=control,
        )  # fmt: skip
        return update_fit(self, changes, caller_scope(), stacklevel=2)

    def constrain(self, constraints: Mapping[str, Any]) -> LmmFit:
        """
        Fit the same model with covariance parameters held at values or equal to others, beside what is so already.

        ``fit.constrain({"cor_fvii.bmi|kin(ped)": 0})`` holds a genetic correlation at zero,
        ``{"sd_M|kin(ped)": "sd_F|kin(ped)"}`` makes two standard deviations equal. `lmm.anova` of the two fits tests
        the constraints, with the mixture of χ² distributions that holds on the boundary beside the naive p-value.

        Parameters
        ----------
        constraints : mapping
            Names as in `parameters` (a correlation's effects in either order). A number holds a parameter: a standard
            deviation, in the units of the data and zero included; a correlation, ±1 included; or another, such as
            ``rho|Residual``. The name of another parameter of its kind ties the two, across terms too and to those of
            the residual; sigma is one.

        Returns
        -------
        LmmFit
            Its `constraints`, `df`, standard errors, `vpredict` and `convergence` know of them. Profiles do not, and
            are refused.

        Raises
        ------
        ModelError
            For an unknown name, a value out of range, constraints that contradict each other, say nothing or leave no
            meaning to another, and a fit of which no variance was estimated.

        Warns
        -----
        ConvergenceWarning, SingularFitWarning
            As `lmer`; not of the boundary on which the constraints themselves are.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> apart = fit.constrain({"cor_Days.(Intercept)|Subject": 0})
        >>> apart.df, fit.df
        (5, 6)
        """
        if self.optimum.held:
            raise ModelError("The variance components of this fit were given: there is nothing to constrain.")
        given = joined(self, constraints)
        with one_blas_thread():
            near = None if self.optimum.saturated else np.append(self.optimum.theta, np.log(self.sigma))
            optimum = fit_constrained(self.criterion, given, self.request.control, near)
            source = replace(self.request.source, constraints=given)
            fit = self._again(self.design, self.criterion, optimum, replace(self.request, source=source))
        judge(fit, stacklevel=2, response=f"the response {self.blueprint.response_text!r}")
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
            Whether the random effects (and random functions) stay what they were estimated to be; else they are drawn,
            too. Residuals are drawn with their covariance.

        Returns
        -------
        DataFrame, shape (rows, n)
            Columns `sim_1`, `sim_2`, …; with several traits one row a row of the data and trait, in a MultiIndex.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.simulate(2, seed=1).shape
        (180, 2)
        """
        draw = ResponseSource.of(self, use_re)
        drawn = [draw(s) for s in seed_sequences(seed, n)]
        return self.rows.frame(np.column_stack(drawn), [f"sim_{i}" for i in range(1, len(drawn) + 1)])

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

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> drawn = fit.bootstrap(10, lambda one: one.fixef, seed=1)
        >>> drawn.replicates.shape
        (10, 2)
        """
        found = bootstrap_fit(self, n, fun, seed, n_jobs, use_re)
        return found if fun is not None else replace(found, jackknife=partial(jackknife_of, self, n_jobs))

    # ---- diagnosis

    def is_singular(self, tol: float = 1e-4) -> bool:
        """
        Whether a covariance of the random effects, or of a structured residual, is (nearly) singular.

        Parameters
        ----------
        tol : float
            Least singular value of a term's relative factor that is not singular, with the effects measured in units
            in which each has the same influence on the response, so that neither the units of predictors nor that of
            the weights matter.

        Returns
        -------
        bool

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.is_singular()
        False
        """
        parts = self.design.split_theta(self.optimum.theta)
        criterion = self.criterion
        rows = zip(self.design.random, parts, criterion.bases, criterion.products.units, strict=True)
        for term, part, R, unit in rows:
            T = term.structure.factor(part).T
            scaled = (T if R is None else R @ T) / unit[:, None]
            if np.linalg.svd(scaled, compute_uv=False)[-1] < tol:
                return True
        residual = self.design.residual
        return residual is not None and residual.structure.n_theta > 0 and self.residual_covariance.is_singular(tol)

    @cached_property
    def convergence(self) -> ConvergenceReport:
        """What the exact gradient and the observed Hessian say about the optimum, and what to do."""
        with one_blas_thread():
            return convergence_report(self.criterion, self.optimum, theta_names(self.design), redundant_terms)

    @cached_property
    def _is_determined(self) -> bool:
        """Whether the data determine every combination of the covariance parameters that are free."""
        with one_blas_thread():
            return not flat_directions(self.criterion, self.optimum, theta_names(self.design))

    @property
    def optimization(self) -> pd.DataFrame:
        """
        Every evaluation of the criterion, in order.

        Columns: the parameters; `criterion`; `accepted`, whether the search went on from there; `purpose`: "start" of a
        search (fits on the boundary, and those with a correlation parameter, are searched from several), "scoring" (a
        long step by the score equations), "newton" (a trust-region step), "cobyqa", "boundary" (a small variance put to
        zero), "leap" (off a zero at which a search ended and that is no minimum), "equivalent" (the same covariances in
        other parameters); `gradient`, the length of the gradient where the step began, in standard errors; `radius` of
        the trust region, in typical sizes of the parameters. A search that starts at zero, where the gradient is zero,
        leaves it by a "newton" step along which the criterion curves downwards, to either side: a negative θ stands for
        the same covariances, and is made positive at the end.
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

    def summary(self, digits: int = 4, max_correlation: int = 12, ddf: str | None = None) -> Summary:
        """
        Summarise in lme4's layout, or in lmerTest's when degrees of freedom are asked for.

        Parameters
        ----------
        digits : int
            Significant digits.
        max_correlation : int
            With more coefficients than this, their correlations are left out.
        ddf : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
            Add p-values, and degrees of freedom by this method; Kenward and Roger's also adjusts the standard errors.

        Returns
        -------
        Summary
            Shows itself as text or HTML, and has `.to_latex()` and `.to_frame()`.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> summary = fit.summary(ddf="satterthwaite")
        >>> summary.to_frame().round(3)
                  term  estimate  std_error  statistic    df  p_value
        0  (Intercept)   251.405      6.825     36.838  17.0      0.0
        1         Days    10.467      1.546      6.771  17.0      0.0
        """
        return Summary(summary_data(self, ddf), digits=digits, max_correlation=max_correlation)

    @property
    def plot(self) -> FitPlots:
        """Plots: ``fit.plot.residuals()``, ``.caterpillar()`` and others; they need matplotlib, and return Axes."""
        from lmmpy.plots.accessor import FitPlots

        return FitPlots(self)

    def __str__(self) -> str:
        return print_text(summary_data(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary().to_html()
