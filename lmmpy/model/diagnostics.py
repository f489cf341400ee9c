"""What a fit says of its residuals, its influential rows and groups, and its assumptions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.engines import one_blas_thread
from lmmpy.errors import ModelError, shown
from lmmpy.inference.projection import MarginalCovariance, Projection
from lmmpy.inference.residuals import deleted_sigma
from lmmpy.model.check import FitCheck, check_fit
from lmmpy.model.influence import (
    Influence,
    deletion_of_rows,
    influence_of,
    leverage_of,
    projection_of,
    weighted_residual,
)
from lmmpy.model.re_pca import RandomEffectsPCA, re_pca
from lmmpy.model.results import FitResults

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["Diagnosed"]

_TYPES = ("response", "pearson", "normalized", "standardized", "student")


class Diagnosed(FitResults):
    """What a fit says of its residuals, its influential rows and groups, and its assumptions."""

    # ---- rows

    @cached_property
    def _hat(self) -> Floats:
        with one_blas_thread():
            # Without residual variance every fitted value is its response; 1 − h would be rounding.
            if self.optimum.saturated:
                return np.ones(self.nobs)
            return self._projection.hat if self._structured else leverage_of(self).diagonal

    @property
    def _structured(self) -> bool:
        """Whether rows covary beside their random effects."""
        return bool(self.design.row_covariances)

    @cached_property
    def _projection(self) -> Projection:
        return projection_of(self)

    def hatvalues(self) -> pd.Series | pd.DataFrame:
        """
        How much each fitted value moves with its own response, ∂ŷᵢ/∂yᵢ, θ held.

        It is the diagonal of the matrix that maps y (less the offset) to the fitted values; the sum is the effective
        number of parameters. As in lme4, wᵢ Var(xᵀ(β̂ − β) + zᵀ(b̂ − b))/σ² for independent residuals. With residuals of
        covariance σ²R it is that of I − RP, P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹. One for every row when the residual
        variance is estimated as zero.

        Returns
        -------
        Series; of several traits DataFrame

        Raises
        ------
        ModelError
            Where the residual has a structure and more than 5,000 rows hang together.

        References
        ----------
        Demidenko & Stukel (2005), Influence analysis for linear mixed-effects models, Stat. Med. 24. Nobre & Singer
        (2011), Leverage analysis for linear mixed models, J. Appl. Stat. 38.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.hatvalues().head(2).round(3).tolist()
        [0.107, 0.102]
        """
        return self.rows_series(self._hat, "hat")

    def residuals(
        self, type: str = "response", scaled: bool = False, level: str = "conditional"
    ) -> pd.Series | pd.DataFrame:
        """
        Residuals, of the fitted values or of the mean.

        Parameters
        ----------
        type : {"response", "pearson", "normalized", "standardized", "student"}
            "response": y − ŷ. "pearson": that over the root of its row's variance relative to σ²: times the root of the
            prior weight, over √Rᵢᵢ where the residual has a structure of covariance σ²R, or, for the marginal level,
            over √(Var(yᵢ)/σ²). "normalized": L⁻¹(y − ŷ) with LLᵀ = R, group by group in the order of the rows; for the
            conditional level only. If the model holds both have the variance σ² (but for what estimation takes), and
            one with scaled=True, which is what nlme calls by these names. "standardized": over its own standard
            deviation, σ√((1 − h)/w) for the conditional level (what lme4 calls rstudent) and that of y − Xβ̂ for the
            marginal one. "student": as "standardized", with σ estimated without the row, θ held; for the conditional
            level only. Both are NaN in a row that is its own fitted value, its hat value being one.
        scaled : bool
            Whether to divide by sigma. "pearson" and "normalized" ones of several traits always are: σ is that of one
            of the traits, and it does not matter of which. Marginal "response" residuals are instead multiplied by the
            inverse Cholesky factor of Var(y), block by block, which leaves them uncorrelated with variance one if the
            model holds; each is then the deviation of a row from what the rows before it in its block let expect.
        level : {"conditional", "marginal"}
            Whether ŷ is Xβ̂ + Zb or Xβ̂, offset included.

        Returns
        -------
        Series; of several traits DataFrame

        Raises
        ------
        ModelError
            For a combination that does not exist; for scaled marginal residuals, and for "standardized" ones of a
            residual with a structure, when more than 5,000 rows hang together; for "normalized" ones of a residual
            whose covariance is singular.

        References
        ----------
        Nobre & Singer (2007), Residual analysis for linear mixed models, Biom. J. 49. Schabenberger (2004), Mixed model
        influence diagnostics, SUGI 29. Cook & Weisberg (1982), Residuals and Influence in Regression.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.residuals().head(2).round(2).tolist()
        [-4.1, -14.63]
        >>> fit.residuals("student").head(2).round(2).tolist()
        [-0.18, -0.63]
        """
        if type not in _TYPES:
            raise ModelError(f"type is one of {shown(_TYPES)}, not {type!r}.")
        if level not in ("conditional", "marginal"):
            raise ModelError(f"level is 'conditional' or 'marginal', not {level!r}.")
        if type in ("standardized", "student") and scaled:
            raise ModelError(f"{type} residuals are in units of their standard deviation already; leave out scaled.")
        if level == "marginal":
            return self.rows_series(self._marginal_residuals(type, scaled), "residual")
        if type in ("response", "pearson", "normalized"):
            return super().residuals(type, scaled)
        with one_blas_thread():
            return self.rows_series(self._standardized(type == "student"), "residual")

    def _standardized(self, deleted: bool) -> Floats:
        """Conditional residuals over their standard deviations; σ that without the row, or of all."""
        saturated, sigma = self.optimum.saturated, np.full(self.nobs, self.sigma)
        estimated = deleted and self._known_sigma is None
        if self._structured and not saturated:
            if estimated:
                sigma = np.sqrt(np.maximum(self._projection.deleted_r2, 0.0) / (self.criterion.dof - 1))
            variance = self._projection.residual_variance
            known = variance > 1e-10 * self.residual_covariance.variance
            left = self.design.y - self.linear_predictor
            return np.asarray(left / (sigma * np.sqrt(np.where(known, variance, np.nan))))
        values = weighted_residual(self)
        if estimated:
            sigma = deleted_sigma(self._solution.r2, self.criterion.dof, values, self._hat)
        return np.asarray(values / (sigma * np.sqrt(np.where(self._hat < 1.0, 1.0 - self._hat, np.nan))))

    def _marginal_residuals(self, type: str, scaled: bool) -> Floats:
        design, marginal = self.design, MarginalCovariance(self.design, self.optimum.theta)
        values = design.y - design.X @ self._solution.beta
        values = values if design.offset is None else values - design.offset
        if type in ("student", "normalized"):
            instead = "type='standardized'" if type == "student" else "scaled=True with type='response'"
            raise ModelError(f"{type} residuals are of the conditional level; use {instead}.")
        if type == "response" and not scaled:
            return values
        if type == "response":
            marginal.require_small("Scaled marginal residuals", "Use type='standardized', or level='conditional'.")
            return marginal.whitened(values) / self.sigma
        variance = marginal.variance
        if type == "pearson":
            return values / np.sqrt(variance) / (self.sigma if scaled or design.traits is not None else 1.0)
        left = variance - np.einsum("np,pq,nq->n", design.X, self._solution.unscaled_vcov, design.X)
        return values / (self.sigma * np.sqrt(np.where(left > 1e-12 * variance, left, np.nan)))

    def cooks_distance(self) -> pd.Series | pd.DataFrame:
        """
        Cook's distance of each row, r²h/(p(1 − h)) with r the standardized residual and h the hat value.

        As in lme4: θ is held, and h is that of the fitted values, random effects included, so that it tells how far
        these move. How far β̂ alone moves is `influence(refit=False).cooks`. Where the residual has a structure, it is
        the same move of β̂ and b̂ together, in the metric of the mixed model equations, without the row.

        Returns
        -------
        Series; of several traits DataFrame
            NaN in a row that is its own fitted value, its hat value being one.

        Raises
        ------
        ModelError
            Without fixed effects.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.cooks_distance().round(2).nlargest(2).index.tolist()
        [56, 59]
        """
        if not self.design.p:
            raise ModelError("Cook's distance is per fixed effect, and the model has none. See hatvalues().")
        if self._structured and not self.optimum.saturated:
            with one_blas_thread():
                return self.rows_series(self._projection.cooks / (self.design.p * self.sigma**2), "cooks")
        left = np.where(self._hat < 1.0, 1.0 - self._hat, np.nan)
        r = weighted_residual(self) / (self.sigma * np.sqrt(left))
        return self.rows_series(r**2 * self._hat / left / self.design.p, "cooks")

    def dfbeta(self) -> pd.DataFrame:
        """
        How each coefficient changes when a row is left out, θ held: the estimate without it less the estimate.

        Returns
        -------
        DataFrame, shape (rows, p)
            With several traits one row a row of the data and trait.

        See Also
        --------
        influence : also with θ estimated anew, and for groups.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.dfbeta().shape
        (180, 2)
        """
        with one_blas_thread():
            found = deletion_of_rows(self)
        return self._by_coefficient(found.beta)

    def dfbetas(self) -> pd.DataFrame:
        """
        `dfbeta` in standard errors of the estimate without the row, θ held.

        Returns
        -------
        DataFrame, shape (rows, p)

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.dfbetas().abs().max().round(2).to_dict()
        {'(Intercept)': 0.15, 'Days': 0.43}
        """
        with one_blas_thread():
            found = deletion_of_rows(self)
        sigma = np.sqrt(np.maximum(found.r2, 0.0) / (self.criterion.dof - 1))
        if self._known_sigma is not None:
            sigma = np.full(self.nobs, self.sigma)
        return self._by_coefficient(found.beta / (sigma[:, None] * np.sqrt(found.variance)))

    def _by_coefficient(self, values: Floats) -> pd.DataFrame:
        return self.rows.frame(values, self.design.names)

    # ---- groups

    def influence(self, group: str | None = None, *, refit: bool = True, n_jobs: int = 1) -> Influence:
        """
        The fit without each observation, or without each level of a grouping factor.

        Parameters
        ----------
        group : str, optional
            A grouping factor of the fit, such as ``"Subject"``, or any column of its data; None leaves out single rows.
        refit : bool
            Whether everything is estimated anew without the rows, which is exact and takes one fit for each level; else
            the covariance parameters θ are held and closed forms give the rest at once.
        n_jobs : int
            Processes for the refits, as joblib counts them; −1 takes all cores.

        Returns
        -------
        Influence
            With `.fixef`, `.dfbeta`, `.dfbetas`, `.cooks`, `.parameters` and `.summary()`.

        Raises
        ------
        ModelError
            For an unknown group.

        Warns
        -----
        ConvergenceWarning
            When there is no fit without some level, for instance because only its rows determine a fixed effect; its
            numbers are NaN, and `.problems` says why.

        Notes
        -----
        Transformations and contrasts stay those of the fit: ``poly(x, 2)`` is not made anew from fewer rows.

        References
        ----------
        Christensen, Pearson & Johnson (1992), Case-deletion diagnostics for mixed models, Technometrics 34.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> left_out = fit.influence("Subject", refit=False)
        >>> left_out.cooks.round(3).nlargest(2).to_dict()
        {'335': 0.526, '308': 0.382}
        """
        with one_blas_thread():
            return influence_of(self, group, refit, n_jobs)

    def re_pca(self) -> RandomEffectsPCA:
        """
        Principal components of the random effects, by grouping factor, relative to sigma.

        A component whose standard deviation is nearly zero shows that there are more effects than the data can
        tell apart.

        Returns
        -------
        mapping from grouping factor to PrincipalComponents
            Each with `.sdev`, `.proportion` and `.rotation`.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.re_pca().to_frame().round(3)
             group component   sdev  proportion  cumulative
        0  Subject       PC1  0.967       0.946       0.946
        1  Subject       PC2  0.231       0.054       1.000
        """
        return re_pca(self.design, self.optimum.theta)

    def check(self) -> FitCheck:
        """
        Look over the fit as a statistician would.

        Normality of the residuals and of each random effect, constant variance, influential groups, convergence,
        near-singularity, and collinearity of the predictors. θ is held; nothing is refitted. A finding that is tested
        deserves a look when p < 0.01, and is of concern when p < 0.0001, in either case only when it is also large:
        `FitCheck` has the limits.

        Returns
        -------
        FitCheck
            Prints itself; `.findings`, `.to_frame()`.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> found = fit.check()
        >>> found.verdict
        'concern'
        >>> found.to_frame()["check"].tolist()[:3]
        ['convergence', 'singularity', 'collinearity']
        """
        with one_blas_thread():
            return check_fit(cast("LmmFit", self))
