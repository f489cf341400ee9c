"""A fit → the plain data that reports print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmpy.report import FixedEffectsTable, SummaryData

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["summary_data"]


def summary_data(fit: LmmFit, ddf: str | None = None) -> SummaryData:
    """Collect what the summary of a fit says; with t tests when a method for their degrees of freedom is named."""
    se = fit.se.to_numpy()
    vcov = fit.vcov().to_numpy()
    residuals = fit.residuals(type="pearson", scaled=True).dropna().to_numpy()
    request = fit.request
    return SummaryData(
        method_line="Linear mixed model " + _method(fit) + _tests(fit, ddf),
        formula=fit.formula,
        criterion=_criterion(fit),
        varcorr=fit.varcorr.table,
        n_obs=fit.nobs,
        n_groups=fit.ngroups,
        fixed=_fixed(fit, ddf),
        scaled_residual_quantiles=np.quantile(residuals, [0.0, 0.25, 0.5, 0.75, 1.0]),
        correlation=vcov / np.outer(se, se) if fit.design.p else None,
        sigma=fit.sigma,
        data_name=request.data_name,
        weights=request.weights,
        offset=request.offset,
        subset=request.subset,
        notes=tuple(_notes(fit)),
    )


def _method(fit: LmmFit) -> str:
    if fit.optimum.held:
        return "with known variance components"
    return "fit by REML" if fit.reml else "fit by maximum likelihood"


def _tests(fit: LmmFit, ddf: str | None) -> str:
    if ddf is None:
        return ""
    method = fit.contrast_tests(ddf).method
    return ". z tests" if method.name == "asymptotic" else f". t tests use {method.title} method"


def _fixed(fit: LmmFit, ddf: str | None) -> FixedEffectsTable:
    names, estimate = fit.design.names, fit.fixef.to_numpy()
    if ddf is None:
        se = fit.se.to_numpy()
        return FixedEffectsTable(names, estimate, se, estimate / se)
    tests = fit.contrast_tests(ddf)
    found = tests.single(np.eye(len(names)))
    normal = tests.method.name == "asymptotic"
    return FixedEffectsTable(
        names,
        estimate,
        found.std_error,
        found.statistic,
        statistic_name="z value" if normal else "t value",
        df=None if normal else found.df,
        p_value=found.p_value,
    )


def _criterion(fit: LmmFit) -> dict[str, float]:
    if fit.reml:
        return {"REML criterion" if fit.optimum.held else "REML criterion at convergence": fit.reml_criterion}
    return {
        "AIC": fit.aic,
        "BIC": fit.bic,
        "logLik": fit.loglik,
        "deviance": fit.deviance,
        "df.resid": fit.df_resid,
    }


def _notes(fit: LmmFit) -> list[str]:
    notes = []
    missing = int(fit.design.left_out.sum())
    if missing:
        notes.append(f"{missing} {'rows' if missing > 1 else 'row'} left out, where a value is missing")
    if fit.dropped:
        notes.append(f"fixed-effects matrix is rank deficient, dropped: {', '.join(fit.dropped)}")
    if fit.optimum.held:
        return notes
    if not fit.optimum.converged:
        notes.append("the optimiser did not converge: see fit.convergence")
    if fit.optimum.saturated:
        notes.append("boundary fit, the residual variance is zero: see fit.convergence")
    if fit.is_singular():
        notes.append("boundary (singular) fit: see fit.convergence")
    return notes
