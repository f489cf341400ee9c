"""A fit as data frames with the rows and columns of R's broom.mixed 0.2.9.4; its dots are underscores here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.report import VarCorrRow

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["EFFECTS", "Limits", "checked_effects", "glance_frame", "tidy_frame"]

EFFECTS = ("fixed", "ran_pars", "ran_vals", "ran_coefs")
CONF_METHODS = ("wald", "profile", "boot")
OPTIONS = ("n", "seed", "kind", "n_jobs")

_TEXT = ("effect", "group", "level", "term")
_NUMBERS = ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high")

_Part = Mapping[str, Any]  # columns: lists of text and arrays of numbers


@dataclass(frozen=True, slots=True)
class Limits:
    """Which confidence limits are wanted.

    Attributes
    ----------
    method : {"wald", "profile", "boot"}
    level : float
    options : mapping
        More arguments of `confint`, such as the number of bootstrap replicates.
    """

    method: str
    level: float
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no method or no level.

        Raises
        ------
        ModelError
        """
        if self.method not in CONF_METHODS:
            raise ModelError(f"conf_method={self.method!r} is unknown; choose one of {shown(CONF_METHODS)}.")
        if not 0.0 < self.level < 1.0:
            raise ModelError(f"conf_level={self.level!r} must lie between 0 and 1, for example 0.95.")
        unknown = [name for name in self.options if name not in OPTIONS]
        if unknown:
            raise ModelError(f"tidy() has no argument {shown(unknown)}; for limits it also takes {shown(OPTIONS)}.")

    @property
    def normal_width(self) -> float:
        """Half the width of a normal interval, in standard errors."""
        return float(stats.norm.ppf(0.5 * (1.0 + self.level)))


def checked_effects(effects: str | Sequence[str]) -> tuple[str, ...]:
    """
    The kinds of rows that are asked for, in broom.mixed's order.

    Raises
    ------
    ModelError
        For a kind that does not exist, or none at all.
    """
    wanted = (effects,) if isinstance(effects, str) else tuple(effects)
    unknown = [effect for effect in wanted if effect not in EFFECTS]
    if unknown or not wanted:
        problem = f"names {shown(unknown)}" if unknown else "is empty"
        raise ModelError(f"effects {problem}; choose one or more of {shown(EFFECTS)}.")
    return tuple(effect for effect in EFFECTS if effect in wanted)


def tidy_frame(
    fit: LmmFit, effects: Sequence[str], limits: Limits | None = None, ddf: str | None = None, scales: str = "sdcor"
) -> pd.DataFrame:
    """
    One row an estimate.

    Parameters
    ----------
    fit : LmmFit
    effects : sequence of str
        Some of `EFFECTS`, in that order.
    limits : Limits or None
        Confidence limits to add.
    ddf : str or None
        Method for the degrees of freedom of the fixed effects; without it there are no p-values, as in lme4.
    scales : {"sdcor", "vcov"}
        Whether ``ran_pars`` are standard deviations and correlations or variances and covariances.

    Returns
    -------
    DataFrame
        Those of the columns `effect, group, level, term, estimate, std_error, statistic, df, p_value, conf_low,
        conf_high` that some row has a value for; NaN elsewhere.
    """
    if limits is not None and limits.method != "wald" and "ran_vals" in effects:
        raise ModelError(
            f"conf_method={limits.method!r} gives no limits for 'ran_vals': conditional modes have Wald limits only. "
            "Ask for them in a call of their own, with conf_method='wald'."
        )
    if scales not in ("sdcor", "vcov"):
        raise ModelError(f"scales={scales!r} is unknown; choose 'sdcor' or 'vcov'.")
    if limits is not None and scales == "vcov" and "ran_pars" in effects:
        raise ModelError("Limits are those of standard deviations and correlations; leave scales at 'sdcor'.")
    of_fixed, of_random = (None, None) if limits is None else _confint(fit, effects, limits)
    parts: dict[str, _Part] = {}
    for effect in effects:
        if effect == "fixed":
            parts[effect] = _fixed(fit, limits, of_fixed, ddf)
        elif effect == "ran_pars":
            parts[effect] = _ran_pars(fit, limits, of_random, scales)
        elif effect == "ran_vals":
            parts[effect] = _ran_vals(fit, limits)
        else:
            parts[effect] = _ran_coefs(fit, limits)
    return _stacked(parts)


def _confint(fit: LmmFit, effects: Sequence[str], limits: Limits) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Limits of the fixed effects and of the others, by `confint`; those by Wald of fixed effects need no help."""
    p, names = 0, []
    if "fixed" in effects and limits.method != "wald" and fit.design.p:
        p, names = fit.design.p, ["beta_"]
    if "ran_pars" in effects:
        names.append("theta_")
    if not names:
        return None, None
    table = fit.confint(names, method=limits.method, level=limits.level, **limits.options)
    return table.iloc[:p] if p else None, table.iloc[p:]


def _stacked(parts: Mapping[str, _Part]) -> pd.DataFrame:
    """The parts below each other; a column that a part lacks is missing there."""
    lengths = {effect: len(part["estimate"]) for effect, part in parts.items()}
    columns: dict[str, Any] = {"effect": [effect for effect in parts for _ in range(lengths[effect])]}
    for name in _TEXT[1:]:
        if any(name in part for part in parts.values()):
            pieces = [part.get(name, [np.nan] * lengths[effect]) for effect, part in parts.items()]
            columns[name] = pd.Series([value for piece in pieces for value in piece], dtype="str")
    for name in _NUMBERS:
        if any(name in part for part in parts.values()):
            columns[name] = np.concatenate(
                [np.asarray(part.get(name, np.full(lengths[effect], np.nan))) for effect, part in parts.items()]
            )
    return pd.DataFrame(columns)


def _fixed(fit: LmmFit, limits: Limits | None, table: pd.DataFrame | None, ddf: str | None) -> _Part:
    names = list(fit.design.names)
    if ddf is None:
        estimate, se = fit.fixef.to_numpy(), fit.se.to_numpy()
        part: dict[str, Any] = {"estimate": estimate, "std_error": se, "statistic": estimate / se}
        low, high = _normal(estimate, se, limits)
    else:
        found = fit.contrast_tests(ddf).single(np.eye(len(names)))
        part = {name: getattr(found, name) for name in _NUMBERS[:5]}
        low, high = found.interval(limits.level) if limits is not None else (None, None)
    if table is not None:
        low, high = table.to_numpy(dtype=float).T
    return {"term": names} | part | _limit_columns(limits, low, high)


def _normal(estimate: Floats, se: Floats, limits: Limits | None) -> tuple[Any, Any]:
    if limits is None:
        return None, None
    return estimate - limits.normal_width * se, estimate + limits.normal_width * se


def _limit_columns(limits: Limits | None, low: Any, high: Any) -> dict[str, Floats]:
    return {} if limits is None else {"conf_low": low, "conf_high": high}


@dataclass(frozen=True, slots=True)
class _Component:
    """A standard deviation or a correlation, or on the other scale a variance or a covariance.

    Attributes
    ----------
    group, term : str
        As broom.mixed names them.
    name : str
        As lmmpy names the standard deviation or the correlation.
    estimate : float
    """

    group: str
    term: str
    name: str
    estimate: float


def _ran_pars(fit: LmmFit, limits: Limits | None, table: pd.DataFrame | None, scales: str) -> _Part:
    rows = _components(fit, scales == "vcov")
    low = high = np.full(len(rows), np.nan)
    if table is not None:
        low, high = table.loc[[row.name for row in rows]].to_numpy(dtype=float).T
    return {
        "group": [row.group for row in rows],
        "term": [row.term for row in rows],
        "estimate": np.array([row.estimate for row in rows]),
    } | _limit_columns(limits, low, high)


def _components(fit: LmmFit, squared: bool) -> list[_Component]:
    """Column by column of each term's lower triangle, the residual last."""
    table, (sd, cor) = fit.varcorr.table, ("var", "cov") if squared else ("sd", "cor")
    by_group: dict[str, list[VarCorrRow]] = {}
    functions = [function.name for function in fit.design.functions]
    for row in table.rows:
        if row.group not in functions:
            by_group.setdefault(row.group, []).append(row)
    found = []
    for group, rows in by_group.items():
        for j, first in enumerate(rows):
            own = first.variance if squared else first.std_dev
            found.append(_Component(group, f"{sd}__{first.name}", f"sd_{first.name}|{group}", own))
            for second in rows[j + 1 :]:
                if len(second.correlations) <= j:  # a diagonal structure
                    continue
                scale = first.std_dev * second.std_dev
                joint = (scale and second.correlations[j] * scale) if squared else second.correlations[j]
                name = f"cor_{second.name}.{first.name}|{group}"
                found.append(_Component(group, f"{cor}__{first.name}.{second.name}", name, joint))
    found += _between_rows(fit, squared)
    if any(row.group == "Residual" and row.term.startswith(f"{sd}__") for row in found):
        return found  # σ is the first of these
    value = fit.sigma**2 if squared else fit.sigma
    return [*found, _Component("Residual", f"{sd}__Observation", "sigma", value)]


def _between_rows(fit: LmmFit, squared: bool) -> list[_Component]:
    """Of random functions and a structured residual: standard deviations, correlations, and what else there is."""
    design, found = fit.design, []
    for rows, phi in zip(design.row_covariances, design.split_rows(fit.optimum.theta), strict=True):
        reported = rows.structure.reported(phi)
        sds = {one.labels[0]: fit.sigma * one.value for one in reported if one.kind == "sd"}
        for one in reported:
            name, term, value = f"{'.'.join(one.labels)}|{rows.name}", ".".join(one.labels), one.value
            if one.kind == "sd":
                name, term, value = f"sd_{name}", f"sd__{term}", sds[one.labels[0]]
                term, value = (f"var__{one.labels[0]}", value**2) if squared else (term, value)
            elif one.kind == "cor":
                name, term = f"cor_{name}", f"cor__{'.'.join(one.labels[::-1])}"
                if squared and set(one.labels) <= set(sds):
                    term = f"cov__{'.'.join(one.labels[::-1])}"
                    scale = sds[one.labels[0]] * sds[one.labels[1]]
                    value = scale and value * scale  # with what does not vary nothing covaries
            found.append(_Component(rows.name, term, name, value))
    return found


def _ran_vals(fit: LmmFit, limits: Limits | None) -> _Part:
    modes = fit.ranef(cond_var=True)
    assert modes.cond_var is not None
    group, level, term, estimate, se = [], [], [], [], []
    for effects in sorted(fit.design.random, key=lambda effects: list(fit.ngroups).index(effects.group)):
        frame, variances = modes[effects.name], modes.cond_var[effects.name]
        for j, column in enumerate(effects.columns):
            group += [effects.group] * effects.n_levels
            level += effects.levels
            term += [column] * effects.n_levels
            estimate.append(frame.to_numpy()[:, j])
            se.append(np.sqrt(np.maximum(variances[:, j, j], 0.0)))
    values, errors = np.concatenate([np.empty(0), *estimate]), np.concatenate([np.empty(0), *se])
    return {"group": group, "level": level, "term": term, "estimate": values, "std_error": errors} | _limit_columns(
        limits, *_normal(values, errors, limits)
    )


def _ran_coefs(fit: LmmFit, limits: Limits | None) -> _Part:
    group, level, term = [], [], []
    estimate: list[NDArray[np.float64]] = []
    fixed = list(fit.design.names)
    for name, frame in fit.coef().items():
        for column in [*(c for c in frame.columns if c not in fixed), *fixed]:  # R's order
            group += [name] * len(frame)
            level += list(frame.index)
            term += [column] * len(frame)
            estimate.append(frame[column].to_numpy())
    nothing = np.full(len(group), np.nan)
    values = np.concatenate([np.empty(0), *estimate])
    part = {"group": group, "level": level, "term": term, "estimate": values}
    return part | _limit_columns(limits, nothing, nothing)


def glance_frame(fit: LmmFit) -> pd.DataFrame:
    """One row a fit: `nobs, sigma, logLik, AIC, BIC`, `REMLcrit` or `deviance`, `df_residual`."""
    criterion = {"REMLcrit": fit.reml_criterion} if fit.reml else {"deviance": fit.deviance}
    likelihood = {"sigma": fit.sigma, "logLik": fit.loglik, "AIC": fit.aic, "BIC": fit.bic}
    return pd.DataFrame([{"nobs": fit.nobs} | likelihood | criterion | {"df_residual": fit.df_resid}])
