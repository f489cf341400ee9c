"""What `fit.predict` does: read the rows, predict them, and say how sure that is."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri

from lmmpy.design import Categorical, Design
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.values import Floats, Named
from lmmpy.engines import Solution, one_blas_thread
from lmmpy.errors import DataError, ModelError, RankDeficiencyWarning, shown
from lmmpy.formula import read_expression
from lmmpy.inference.breeding_values import criterion_at_once
from lmmpy.inference.chosen_effects import chosen_effects
from lmmpy.inference.data_columns import ColumnsOfData
from lmmpy.inference.intervals import checked_level
from lmmpy.inference.new_rows import new_residual_variance
from lmmpy.inference.prediction import PredictionRows, not_estimable, rows_of_data, rows_of_fit
from lmmpy.inference.prediction_functions import JointPrediction, chosen_functions
from lmmpy.inference.prediction_relatives import (
    given_relatedness,
    relatives_effects,
    relatives_of_data,
    with_levels,
)
from lmmpy.inference.prediction_uncertainty import new_effect_variance, prediction_variance
from lmmpy.model.results import FitResults
from lmmpy.relatedness import Relatedness

__all__ = ["predict_rows"]

INTERVALS = (None, "confidence", "prediction")


def predict_rows(
    fit: FitResults,
    solution: Solution,
    newdata: Any,
    re_form: Any,
    allow_new_levels: bool,
    se: bool,
    interval: str | None,
    level: float,
    relmat: Mapping[str, Any] | None = None,
) -> dict[str, Floats]:
    """
    Predictions, and where asked for their standard errors and intervals; see `LmmFit.predict`.

    Returns
    -------
    dict of ndarray, each of shape (m,)
        `prediction`, then `std_error`, then `conf_low` and `conf_high`, as far as asked for.
    """
    _check_request(se, interval, level)
    design, observations = fit.design, interval == "prediction"
    evaluator = fit.blueprint.evaluator(fit.request.source.data if newdata is None else newdata)
    kept = chosen_effects(design, fit.blueprint, re_form, evaluator)
    functions = chosen_functions(design, fit.blueprint, re_form)
    b = solution.b
    given: Mapping[str, Relatedness] = {}
    if newdata is None:
        if relmat is not None:
            raise ModelError("relmat is for relatives in newdata; rows of the fit have its own relatedness.")
        rows = rows_of_fit(design, kept, observations)
    else:
        if relmat is not None:
            given = given_relatedness(design, fit.blueprint, relmat, evaluator.columns)
        design, b = _with_relatives(fit, solution, evaluator, kept, given)
        rows = rows_of_data(design, fit.blueprint, evaluator, kept, allow_new_levels, observations, given)
        _warn_if_not_estimable(fit, rows)
    columns = {"prediction": rows.predict(solution.beta, b, design.starts)}
    theta, joint = fit.optimum.theta, None
    if design.functions:
        new = None if newdata is None else evaluator
        joint = JointPrediction.of(design, fit.blueprint, theta, solution, new, functions, allow_new_levels)
        columns["prediction"] = columns["prediction"] + joint.effects
    if not se and interval is None:
        return columns
    with one_blas_thread():
        if joint is not None:
            variance = joint.variance(rows)
        else:
            criterion = fit.criterion if design is fit.design else criterion_at_once(design, fit.reml)
            variance = prediction_variance(design, criterion, theta, solution.unscaled_vcov, rows)
    columns["std_error"] = fit.sigma * np.sqrt(variance)
    if interval is not None:
        if observations:
            variance = variance + new_effect_variance(design, theta, rows)
            variance = variance + (0.0 if joint is None else joint.left_out)
            variance = variance + _residual_variance(fit, None if newdata is None else evaluator, columns["prediction"])
        reach = float(ndtri(0.5 + 0.5 * level)) * fit.sigma * np.sqrt(variance)
        columns["conf_low"] = columns["prediction"] - reach
        columns["conf_high"] = columns["prediction"] + reach
    return columns


def _residual_variance(fit: FitResults, evaluator: Evaluator | None, predicted: Floats) -> Floats:
    """r_ii/w of each row, of the fit or of new data."""
    if evaluator is None:
        return fit.residual_covariance.variance
    found = new_residual_variance(fit.design, fit.blueprint, evaluator, fit.residual_covariance.phi, predicted)
    weights = _new_weights(fit, evaluator)
    return found / np.repeat(weights, len(found) // max(len(weights), 1))


def _with_relatives(
    fit: FitResults, solution: Solution, evaluator: Evaluator, kept: Iterable[int], given: Mapping[str, Relatedness]
) -> tuple[Design, Floats]:
    """The design with the levels of all relatives that the new data ask for, and the effects predicted of them."""
    design = fit.design
    related = relatives_of_data(design, fit.blueprint, evaluator, kept, given)
    if not related:
        return design, solution.b
    extended = with_levels(design, related)
    return extended, relatives_effects(design, extended, fit.optimum.theta, solution.beta, solution.b)


def _check_request(se: bool, interval: str | None, level: float) -> None:
    if not isinstance(se, bool | np.bool_):
        raise ModelError(f"se must be True or False, not {se!r}.")
    if interval is not None and (not isinstance(interval, str) or interval not in INTERVALS):
        raise ModelError(f"interval is None, 'confidence' or 'prediction', not {interval!r}.")
    checked_level(level)


def _new_weights(fit: FitResults, evaluator: Evaluator) -> Floats:
    """The prior weights of new rows: the expression that gave those of the fit, over the new columns."""
    spec, m = fit.request.source.weights, evaluator.columns.n_rows
    if spec is None:
        return np.ones(m)
    if not isinstance(spec, str):
        raise ModelError(
            "A prediction interval needs the residual variance σ²/w of each new row, but the weights w of the fit were "
            "given as numbers, which are unknown for new data. Fit it with an expression, weights='column'; "
            "interval='confidence' needs no weights."
        )
    try:
        value = evaluator.column(read_expression(spec))
    except DataError as error:
        raise DataError(
            f"A prediction interval needs the weights {spec!r} of each new row, whose residual variance is σ²/w. "
            f"{error} interval='confidence' needs no weights."
        ) from None
    if isinstance(value, Categorical | Named) or value.ndim > 1 or value.dtype.kind == "b":
        raise DataError(f"The weights {spec!r} must be one number a row in the new data, too.")
    weights = np.asarray(value, dtype=float)
    bad = np.flatnonzero((weights <= 0) | np.isinf(weights))
    if len(bad):
        raise DataError(
            f"The weights {spec!r} must be positive and finite; {len(bad)} of the new data are not (first rows "
            f"{shown(bad.tolist())}: {shown(weights[bad].tolist())}; rows counted from 0)."
        )
    return weights


def _warn_if_not_estimable(fit: FitResults, rows: PredictionRows) -> None:
    """In a fit of deficient rank a new row may ask for a combination of coefficients that the data do not determine."""
    design = fit.design
    if not design.dropped:
        return
    reader = ColumnsOfData(design, fit.blueprint, fit.evaluator())
    names, d = reader.fixed()[0], 1 if design.traits is None else len(design.traits.names)
    dropped = reader.of_rows()[:, [names.index(name) for name in design.dropped]]
    places = np.unique(not_estimable(rows, design.X, dropped) // d)
    if len(places):
        warnings.warn(
            f"{len(places)} rows of the new data (first: {shown(places.tolist())}, counted from 0) ask for a "
            f"combination of coefficients that the data of the fit do not determine. The predictions there take the "
            f"coefficients of {shown(design.dropped)} as zero, which is arbitrary.",
            RankDeficiencyWarning,
            stacklevel=4,
        )
