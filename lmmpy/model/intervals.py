"""What a fit says of the uncertainty of its parameters: profiles, intervals, functions of variances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pandas as pd
from numpy.random import SeedSequence

from lmmpy.engines import one_blas_thread
from lmmpy.inference.intervals import checked_level
from lmmpy.inference.profile import Profile
from lmmpy.model.confint import confint_frame, parameters_frame, profile_fit
from lmmpy.model.results import FitResults
from lmmpy.model.vpredict import vpredict

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["Bounded"]


class Bounded(FitResults):
    """What a fit says of the uncertainty of its parameters: profiles, intervals, functions of variances."""

    def profile(
        self, parameters: str | Sequence[str] | None = None, level: float = 0.99, *, n_jobs: int = 1
    ) -> Profile:
        """
        Profile the likelihood of fixed effects, standard deviations, correlations and sigma.

        Each parameter is held at values on both sides of its estimate, with all others estimated; ζ is the signed root
        of the increase of the deviance. As in lme4 the deviance is that of maximum likelihood, also for a REML fit,
        and it is least at the ML estimates.

        Parameters
        ----------
        parameters : str or sequence of str, optional
            Names as in `parameters`, ``"beta_"`` for all fixed effects, ``"theta_"`` for all others; default all.
        level : float
            How far to go: until ``|ζ|`` bounds a joint confidence region of this level for all parameters of the model,
            as lme4 does, or to the end of a parameter's range.
        n_jobs : int
            Processes, as joblib counts them; −1 takes all cores. They need a second or two to start.

        Returns
        -------
        Profile
            With `.to_frame()`, `.confint(level)` and `.zeta(parameter, values)`.

        Raises
        ------
        ModelError
            For an unknown parameter, for a fit with known variance components, and for several traits, a structured
            residual or random functions, of which `confint` has the limits.

        Warns
        -----
        SingularFitWarning
            For a correlation with an effect that does not vary, which has no profile.
        ConvergenceWarning
            When a profile ends before its time.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> profile = fit.profile("sigma")
        >>> profile.confint(0.95).round(2)
               2.5 %  97.5 %
        sigma  27.81   34.59
        """
        level = checked_level(level)
        with one_blas_thread():
            return profile_fit(cast("LmmFit", self), parameters, level, n_jobs)

    def confint(
        self,
        parameters: str | Sequence[str] | None = None,
        method: str = "profile",
        level: float = 0.95,
        *,
        ddf: str | None = None,
        n: int = 1000,
        seed: int | SeedSequence | None = None,
        kind: str = "percentile",
        n_jobs: int = 1,
    ) -> pd.DataFrame:
        """
        Confidence intervals for fixed effects, standard deviations, correlations and sigma.

        Parameters
        ----------
        parameters : str or sequence of str, optional
            Names as in `parameters`, ``"beta_"`` for all fixed effects, ``"theta_"`` for all others; default all.
        method : {"profile", "wald", "boot"}
            "profile": where the ML deviance has risen by the square of the normal quantile, on the boundary too: the
            limit is then 0 or ±1. "wald": estimate ± z standard errors; those of standard deviations are taken on the
            logarithm (on the plain scale, no lower than zero, where the standard error exceeds the estimate) and those
            of correlations on Fisher's z, so that limits stay in range, with standard errors from the observed Hessian
            (lme4 gives NA). "boot": by the parametric bootstrap. Of a fit with known variance
            components "profile" gives the fixed effects alone, whose deviance is a quadratic: estimate ± z standard
            errors, which is exact.
        level : float
        ddf : {"satterthwaite", "kenward-roger"}, optional
            For Wald intervals: Student's t for fixed effects, with these degrees of freedom, instead of the normal.
        n : int
            Bootstrap replicates.
        seed : int or SeedSequence, optional
            Of the bootstrap.
        kind : {"percentile", "basic", "bca"}
            Of bootstrap interval.
        n_jobs : int
            Processes for profiles and bootstrap.

        Returns
        -------
        DataFrame
            One row a parameter; columns `2.5 %` and `97.5 %`, or what the level makes of them.

        Raises
        ------
        ModelError
            For an unknown parameter, method, kind or level; and for profile intervals of variance components that were
            given.

        Warns
        -----
        SingularFitWarning
            Where a limit does not exist because the estimate is on the boundary; it is NaN.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.confint(method="wald").round(2)
                                 2.5 %  97.5 %
        (Intercept)             232.30  270.51
        Days                      8.89   12.04
        sd_(Intercept)|Subject   25.91   53.19
        sigma                    27.78   34.57
        """
        fit = cast("LmmFit", self)
        with one_blas_thread():
            return confint_frame(fit, parameters, method, level, ddf, n, seed, kind, n_jobs)

    def parameters(self, level: float = 0.95) -> pd.DataFrame:
        """
        All parameters, with standard errors and Wald intervals.

        Standard errors of standard deviations and correlations come from the observed Hessian of −2 log-likelihood (the
        restricted one of a REML fit) by the delta method; their intervals are computed on the logarithm and on Fisher's
        z. With few groups profile intervals (`confint`) are better.

        Parameters
        ----------
        level : float

        Returns
        -------
        DataFrame
            Columns `estimate, std_error, conf_low, conf_high`; rows are fixed effects, standard deviations and
            correlations term by term, those of random functions and of a structured residual (``sd_fvii|Residual``,
            ``cor_fvii.bmi|Residual``, ``rho|Residual``), and sigma, the residual standard deviation of the
            reference trait or stratum: the first, or another where that has next to no residual variance. Standard
            errors on the boundary are NaN.

        Warns
        -----
        SingularFitWarning
            When one is on the boundary.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.parameters().iloc[:, :2].round(2)
                                estimate  std_error
        (Intercept)               251.41       9.75
        Days                       10.47       0.80
        sd_(Intercept)|Subject     37.12       6.81
        sigma                      30.99       1.73
        """
        with one_blas_thread():
            return parameters_frame(cast("LmmFit", self), checked_level(level))

    def vpredict(
        self,
        expressions: dict[str, str] | None = None,
        *,
        interval: str = "wald",
        level: float = 0.95,
        n: int = 1000,
        seed: int | SeedSequence | None = None,
        kind: str = "percentile",
        n_jobs: int = 1,
        **named: str,
    ) -> pd.DataFrame:
        """
        Functions of variance components, with standard errors and intervals.

        ``fit.vpredict(icc="Subject / (Subject + Residual)")``. A term with one effect has its own name; of a term with
        several, ``Subject.Days`` is a variance and ``Subject.Days.(Intercept)`` a covariance. ``Residual`` is the
        residual variance; with several traits, or strata, ``Residual.fvii`` is that of one and ``Residual.fvii.bmi`` a
        covariance, and other parameters of a residual are ``Residual.rho``, ``Residual.power`` and so on. Backticks
        quote a name; operators are ``+ - * / ** ^``, functions sqrt, log, exp and abs.

        Parameters
        ----------
        expressions : dict of str to str, optional
            Expressions whose names are no keywords, or are those of an option.
        interval : {"wald", "profile", "boot"}
            "wald": estimate ± z standard errors, on the plain scale. "profile": where −2 log-likelihood (that of the
            fit: the restricted one by REML, unlike `confint`) has risen by z² with the function held. "boot": by the
            parametric bootstrap.
        level : float
        n, seed, kind, n_jobs
            Of the bootstrap, as in `confint`.
        **named : str
            Expressions by the names that they get.

        Returns
        -------
        DataFrame
            Columns `estimate, std_error, conf_low, conf_high`, one row an expression. The standard error is by the
            delta method, with exact derivatives, from the observed Hessian; NaN where a variance that occurs in the
            expression is estimated as zero.

        Raises
        ------
        ModelError
            For a name that is no component, listing those that are, and text that is no expression.

        Warns
        -----
        SingularFitWarning
            When there is no standard error.
        ConvergenceWarning
            When a profile limit was not found.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.vpredict(icc="Subject / (Subject + Residual)").round(3)
             estimate  std_error  conf_low  conf_high
        icc     0.589      0.093     0.406      0.772
        """
        given = {**(expressions or {}), **named}
        with one_blas_thread():
            return vpredict(cast("LmmFit", self), given, interval, level, n, seed, kind, n_jobs)
