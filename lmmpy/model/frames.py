"""A fit as data frames with broom.mixed's columns, and as other packages ask for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from lmmpy.errors import ModelError, shown
from lmmpy.model.augment import augment_frame
from lmmpy.model.broom import Limits, checked_effects, glance_frame, tidy_frame
from lmmpy.model.etable import DDF, coefficient_table, model_statistics
from lmmpy.model.results import FitResults

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit
    from lmmpy.model.marginal_effects import MarginalEffectsModel

__all__ = ["Framed"]


class Framed(FitResults):
    """A fit as data frames with broom.mixed's columns, and as other packages ask for it."""

    def tidy(
        self,
        effects: str | Sequence[str] = ("fixed", "ran_pars"),
        conf_int: bool = False,
        conf_level: float = 0.95,
        conf_method: str = "wald",
        ddf: str | None = None,
        scales: str = "sdcor",
        **options: Any,
    ) -> pd.DataFrame:
        """
        One row an estimate, as broom.mixed's ``tidy``.

        Parameters
        ----------
        effects : str or sequence of str
            Which rows: ``"fixed"``, ``"ran_pars"`` (standard deviations and correlations, named ``sd__(Intercept)``,
            ``cor__(Intercept).Days``, ``sd__Observation``; of a structured residual those of its strata or traits, or
            what else there is, such as ``rho``), ``"ran_vals"`` (conditional modes), ``"ran_coefs"`` (fixed plus random
            effects). They come in this order.
        conf_int : bool
            Whether to add `conf_low` and `conf_high`.
        conf_level : float
        conf_method : {"wald", "profile", "boot"}
            As in `confint`, whose limits these are: by Wald's method those of fixed effects are by Student's t where
            `ddf` says how, and standard deviations and correlations have limits, too, where R has NA. Conditional modes
            have Wald limits only, those of ``"ran_coefs"`` are NaN, as in R.
        ddf : {"satterthwaite", "kenward-roger"}, optional
            Adds `df` and `p_value` of the fixed effects, as R has them for fits of lmerTest.
        scales : {"sdcor", "vcov"}
            ``"vcov"`` makes ``"ran_pars"`` variances and covariances, ``var__(Intercept)``,
            ``cov__(Intercept).Days``; without limits.
        **options
            `n`, `seed`, `kind` and `n_jobs` of `confint`.

        Returns
        -------
        DataFrame
            Those of the columns `effect, group, level, term, estimate, std_error, statistic, df, p_value, conf_low,
            conf_high` that some row needs.

        Raises
        ------
        ModelError
            For an unknown kind of row or method, and for limits of conditional modes other than Wald's.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.tidy()[["effect", "term", "estimate"]].round(2)
             effect             term  estimate
        0     fixed      (Intercept)    251.41
        1     fixed             Days     10.47
        2  ran_pars  sd__(Intercept)     37.12
        3  ran_pars  sd__Observation     30.99
        """
        limits = Limits(conf_method, conf_level, options)
        if options and not conf_int:
            raise ModelError(f"{shown(options)}: these are arguments of limits, which conf_int=True asks for.")
        return tidy_frame(cast("LmmFit", self), checked_effects(effects), limits if conf_int else None, ddf, scales)

    def glance(self) -> pd.DataFrame:
        """
        One row for the fit, as broom.mixed's ``glance``.

        Returns
        -------
        DataFrame
            Columns `nobs, sigma, logLik, AIC, BIC`, `REMLcrit` (`deviance` of a fit by ML), `df_residual`.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.glance().round(1).T
                          0
        nobs          180.0
        sigma          31.0
        logLik       -893.2
        AIC          1794.5
        BIC          1807.2
        REMLcrit     1786.5
        df_residual   176.0
        """
        return glance_frame(cast("LmmFit", self))

    def augment(self, data: Any = None) -> pd.DataFrame:
        """
        Data and row-wise results side by side, as broom.mixed's ``augment``.

        The columns that are added begin with an underscore where R's begin with a dot: `_fitted`, `_resid`, `_hat`,
        `_cooksd`, `_fixed` (without random effects), `_mu`, `_offset`, `_sqrtXwt` and `_sqrtrwt` (roots of the prior
        weights), `_weights`, `_wtres` (weighted residuals). With several traits the rows of the data stand there once
        for each trait that they have, in a MultiIndex. `_cooksd` is NaN where the covariance of the residual is
        singular.

        Parameters
        ----------
        data : frame or mapping, optional
            All rows of the data of the fit, or those that were used. Of all rows, those that miss a value are dropped,
            or under ``na_action="exclude"`` have NaN in the columns added; those that `subset` left out are always
            dropped. By default the variables of the formula in the rows used, also under ``na_action="exclude"``;
            expressions as the model saw them (``log(y)``, ``poly(x, 2).1``).

        Returns
        -------
        DataFrame
            With the index of the rows, where broom.mixed has a column `.rownames`.

        Raises
        ------
        DataError
            When the rows of `data` are not those of the fit; or when there is a column of one of the names above
            already, such as a predictor called `_fitted`, which is not overwritten: rename it.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> fit.augment().columns.tolist()[:6]
        ['Reaction', 'Days', 'Subject', '_fitted', '_resid', '_hat']
        """
        return augment_frame(cast("LmmFit", self), data)

    def to_marginaleffects(self, df: float = math.inf) -> MarginalEffectsModel:
        """
        The fit as a model for the functions of the package marginaleffects, such as ``avg_slopes(…)``.

        They see the population-level part Xβ̂: predictions without random effects. Their argument ``vcov`` takes
        ``True``, ``"kenward-roger"``, ``False`` or a matrix. Give ``slopes(…)`` and ``avg_slopes(…)`` the argument
        ``eps_vcov=1.0``: Xβ is linear in β, so that a long step is exact, while the noise of the short one that
        marginaleffects 0.6 takes by itself is seen in the third digit of the standard errors. The same version
        needs polars before 2 for comparisons between the levels of factors.

        Parameters
        ----------
        df : float
            Degrees of freedom of all tests and intervals; infinite for normal ones, as in R.

        Returns
        -------
        MarginalEffectsModel

        Raises
        ------
        ImportError
            When marginaleffects is not installed.
        ModelError
            With several traits.
        """
        from lmmpy.model.marginal_effects import MarginalEffectsModel

        if self.design.traits is not None:
            raise ModelError(
                "marginaleffects knows models of one response, and this fit has several. predict(newdata, "
                "re_form='none', se=True) and contest answer for each."
            )
        return MarginalEffectsModel(cast("LmmFit", self), df)

    # ---- what maketables looks for

    @cached_property
    def _statistics(self) -> dict[str, int | float]:
        return model_statistics(cast("LmmFit", self))

    @cached_property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        return coefficient_table(cast("LmmFit", self))

    def __maketables_stat__(self, key: str) -> Any:
        return self._statistics.get(key)

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return [key for key in self._statistics if key not in ("REML criterion", "deviance")]

    @property
    def __maketables_depvar__(self) -> str:
        return self.blueprint.response_text

    @property
    def __maketables_vcov_info__(self) -> dict[str, str | None]:
        return {"vcov_type": f"model-based, df by {DDF.capitalize()}", "clustervar": None}

    @property
    def __maketables_var_labels__(self) -> dict[str, str] | None:
        """Labels of variables, where the data carry them as pandas ``attrs["variable_labels"]``."""
        labels = getattr(self.request.source.data, "attrs", {}).get("variable_labels")
        return dict(labels) if labels else None
