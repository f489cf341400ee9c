"""A fit → the plain data that reports print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmpy.design import RowCovariance
from lmmpy.inference.nested_rows import is_correlated
from lmmpy.inference.row_parameters import covariance_of_places
from lmmpy.inference.trait_columns import trait_of_columns
from lmmpy.model.constraints import constraint_of
from lmmpy.report import FixedEffectsTable, RowParametersTable, SummaryData, TraitCounts

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["summary_data"]


def summary_data(fit: LmmFit, ddf: str | None = None) -> SummaryData:
    """Collect what the summary of a fit says; with t tests when a method for their degrees of freedom is named."""
    se = fit.se.to_numpy()
    vcov = fit.vcov().to_numpy()
    residuals = fit.residuals(type="pearson", scaled=True).to_numpy().ravel()
    residuals = residuals[~np.isnan(residuals)]
    request = fit.request
    return SummaryData(
        method_line=f"{_kind(fit)} {_method(fit)}{_tests(fit, ddf)}",
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
        row_parameters=tuple(_row_parameters(fit)),
        trait_counts=_trait_counts(fit),
        residual=request.source.residual,
    )


def _kind(fit: LmmFit) -> str:
    if fit.design.random or fit.design.functions:
        return "Linear mixed model"
    return "Linear model with correlated errors" if is_correlated(fit.design.residual) else "Linear model"


def _row_parameters(fit: LmmFit) -> list[RowParametersTable]:
    """What random functions and the residual have beside variances and their correlations."""
    design, found = fit.design, []
    for rows, phi in zip(design.row_covariances, design.split_rows(fit.optimum.theta), strict=True):
        others = [one for one in rows.structure.reported(phi) if one.kind != "sd"]
        if covariance_of_places(rows, phi) is not None:  # whose correlations stand beside the variances
            others = [one for one in others if one.kind != "cor" or not _shows_deviations(rows)]
        if not others:
            continue
        title = f"Parameters of {'the residual' if rows is design.residual else rows.name}"
        names = tuple(".".join(("cor", *one.labels) if one.kind == "cor" else one.labels) for one in others)
        found.append(RowParametersTable(title, names, np.array([one.value for one in others])))
    return found


def _shows_deviations(rows: RowCovariance) -> bool:
    return any(one.kind == "sd" for one in rows.structure.reported(rows.structure.start()))


def _trait_counts(fit: LmmFit) -> TraitCounts | None:
    traits = fit.design.traits
    if traits is None:
        return None
    counts = np.bincount(traits.trait, minlength=len(traits.names)).tolist()
    per_row = np.bincount(traits.row)
    complete = int((per_row == len(traits.names)).sum())
    return TraitCounts(dict(zip(traits.names, counts, strict=True)), int((per_row > 0).sum()), complete)


def _traits(fit: LmmFit) -> tuple[str, ...]:
    """The response of each fixed effect, where there are several."""
    traits = fit.design.traits
    return () if traits is None else tuple(traits.names[t] for t in trait_of_columns(fit.design.X, traits))


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
        return FixedEffectsTable(names, estimate, se, estimate / se, traits=_traits(fit))
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
        traits=_traits(fit),
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
    constraint = constraint_of(fit)
    if constraint is not None:
        notes.append(f"constraints: {'; '.join(constraint.texts)}")
    if not fit.optimum.converged:
        notes.append("the optimiser did not converge: see fit.convergence")
    if not fit._is_determined:
        notes.append("doubtful fit, the data do not determine all covariance parameters: see fit.convergence")
    if fit.optimum.saturated:
        notes.append("boundary fit, the residual variance is zero: see fit.convergence")
    if fit.is_singular() and (fit.optimum.constraint is None or fit.optimum.at_boundary):
        notes.append("boundary (singular) fit: see fit.convergence")
    return notes
