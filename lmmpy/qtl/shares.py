"""Shares of the variance that covariates leave: estimates, standard errors, intervals; and the fixed effects'."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from scipy.stats import norm

from lmmpy.design.values import Floats
from lmmpy.engines import one_blas_thread
from lmmpy.errors import SingularFitWarning
from lmmpy.fitting import in_coordinates_of_search
from lmmpy.model import LmmFit
from lmmpy.qtl.study import Study

__all__ = ["estimates_table", "observed_vcov", "shares"]

# Of a central difference in θ, relative: its error is of the order of the square.
_STEP = 1e-4


def shares(fit: LmmFit, study: Study) -> dict[str, float]:
    """
    Estimated shares of the variance, and the total standard deviation.

    Parameters
    ----------
    fit : LmmFit
        One of the study's models.
    study : Study

    Returns
    -------
    dict
        ``h2``, ``c2`` if the model has them, further terms by name, ``e2``, ``sd``.
    """
    table = fit.varcorr.to_frame().set_index("grp")["vcov"]
    total = float(table.sum())
    found = {name: float(table[of]) / total for name, of in _component_names(fit, study).items()}
    return {**found, "sd": math.sqrt(total)}


def _component_names(fit: LmmFit, study: Study) -> dict[str, str]:
    """Name of the share → name of the component, for all that the model has."""
    known = {study.kin: "h2", study.household_term: "c2"}
    names = {known.get(term.name, term.name): term.name for term in fit.design.random}
    first = [name for name in ("h2", "c2") if name in names]
    rest = [name for name in names if name not in first]
    return {**{name: names[name] for name in first + rest}, "e2": "Residual"}


def estimates_table(fit: LmmFit, study: Study, interval: str, level: float) -> pd.DataFrame:
    """
    Shares, total standard deviation and fixed effects.

    Parameters
    ----------
    fit : LmmFit
        The final model.
    study : Study
    interval : {"wald", "profile"}
        Of all but the fixed effects.
    level : float

    Returns
    -------
    DataFrame
        Columns `parameter, estimate, std_error, conf_low, conf_high`.
    """
    names = {name: of if "`" in of else f"`{of}`" for name, of in _component_names(fit, study).items()}
    total = " + ".join(names.values())
    expressions = {name: f"{of} / ({total})" for name, of in names.items()} | {"sd": f"sqrt({total})"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        found = fit.vpredict(expressions, interval=interval, level=level)
    if study.household is not None and "c2" not in found.index:
        at = list(found.index).index("h2") + 1
        left_out = pd.DataFrame({"estimate": [0.0]}, index=["c2"]).reindex(columns=found.columns)
        found = pd.concat([found.iloc[:at], left_out, found.iloc[at:]])
    se = np.sqrt(np.diag(observed_vcov(fit)))
    z, beta = float(norm.ppf(0.5 + 0.5 * level)), fit.fixef.to_numpy()
    effects = pd.DataFrame(
        {"estimate": beta, "std_error": se, "conf_low": beta - z * se, "conf_high": beta + z * se},
        index=list(fit.design.names),
    )
    return pd.concat([found, effects]).rename_axis("parameter").reset_index()


def observed_vcov(fit: LmmFit) -> Floats:
    """
    Covariance of the fixed effects from the observed information of all parameters together.

    With J = ∂β̂(θ)/∂θ, the derivative of the estimate given θ, the block of β in the inverse of the observed information
    is σ²(XᵀV⁻¹X)⁻¹ + J Cov(θ̂) Jᵀ (partitioned inverse; Patefield 1977, Sankhyā B 39, 92–96, on profiled likelihoods).
    In the expected information the second part is nil.

    Parameters
    ----------
    fit : LmmFit

    Returns
    -------
    ndarray, shape (p, p)
    """
    covariance = fit._variance_parameters
    criterion, _ = in_coordinates_of_search(fit.criterion, fit.optimum)
    theta, size = covariance.theta, len(covariance.theta)
    J = np.zeros((fit.design.p, size))
    with one_blas_thread():
        for i in np.flatnonzero(covariance.free[:size]):
            step = _STEP * abs(theta[i]) * (np.arange(size) == i)
            ahead, behind = criterion.solve(theta + step).beta, criterion.solve(theta - step).beta
            J[:, i] = (ahead - behind) / (2.0 * step[i])
    return np.asarray(fit.vcov().to_numpy() + J @ covariance.covariance[:size, :size] @ J.T)
