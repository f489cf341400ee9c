"""The data of a fit and its row-wise results side by side, in the columns of R's broom.mixed 0.2.9.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design.reading import residual_nodes
from lmmpy.design.values import Categorical, Floats, Named
from lmmpy.errors import DataError
from lmmpy.formula import Node, deparse
from lmmpy.inference import linear_predictor
from lmmpy.model.lformula import data_index
from lmmpy.model.source import Source

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["augment_frame"]

Rows = NDArray[np.bool_]


def augment_frame(fit: LmmFit, data: Any) -> pd.DataFrame:
    """
    The model's variables, or other data with the same rows, and the row-wise results of a fit.

    Parameters
    ----------
    fit : LmmFit
    data : frame, mapping or None
        All rows of the fit's data, or those that were used; None for the variables of the formula in those.

    Returns
    -------
    DataFrame
        With the columns `_fitted, _resid, _hat, _cooksd, _fixed, _mu, _offset, _sqrtXwt, _sqrtrwt, _weights, _wtres`;
        NaN in rows that na_action="exclude" left out, which only `data` with all rows can have. With several traits the
        rows of the data stand there once for each trait that they have, and no others.

    Raises
    ------
    DataError
        When the rows of `data` are not those of the fit, or the table has one of these columns already.
    """
    design = fit.design
    if data is None:
        left, rows = _model_variables(fit), design.rows
    else:
        left, rows = _rows_of(fit, data)
    taken = [name for name in left.columns if name in _COLUMNS]
    if taken:
        raise DataError(f"The data already have the column {taken[0]!r}, which augment() would add. Rename it.")
    used, found = design.rows[rows], _row_results(fit)
    if design.traits is not None:
        below = left.loc[used].iloc[design.traits.row].set_axis(fit.rows.observations, axis=0)
        return pd.concat([below, pd.DataFrame(found, index=below.index)], axis=1)
    results = {}
    for name, values in found.items():
        results[name] = np.full(len(used), np.nan)
        results[name][used] = values
    return pd.concat([left, pd.DataFrame(results, index=left.index)], axis=1)


_COLUMNS = (
    "_fitted",
    "_resid",
    "_hat",
    "_cooksd",
    "_fixed",
    "_mu",
    "_offset",
    "_sqrtXwt",
    "_sqrtrwt",
    "_weights",
    "_wtres",
)


def _row_results(fit: LmmFit) -> Mapping[str, Floats]:
    """By column, shape (n,): the rows used."""
    design = fit.design
    mu, weights = fit.linear_predictor, np.ones(design.n) if design.weights is None else design.weights
    cooks = design.p and (fit.optimum.saturated or fit.residual_covariance.is_regular)
    residual, root = design.y - mu, np.sqrt(weights)
    columns = (
        mu,
        residual,
        fit.rows.values(fit.hatvalues()),
        fit.rows.values(fit.cooks_distance()) if cooks else np.full(design.n, np.nan),  # it is per fixed effect
        linear_predictor(design, fit.fixef.to_numpy(), {}, terms=[]),
        mu,
        np.zeros(design.n) if design.offset is None else design.offset,
        root,
        root,
        weights,
        root * residual,
    )
    return dict(zip(_COLUMNS, columns, strict=True))


def _rows_of(fit: LmmFit, data: Any) -> tuple[pd.DataFrame, Rows]:
    """The rows of other data that belong to the fit, and which rows of the fit's own data they are."""
    design = fit.design
    whole, every = data_index(fit.request.source.data, design), np.ones(_length(data), dtype=bool)
    if len(every) == len(design.rows):
        kept = design.rows | design.left_out if fit.request.na_action == "exclude" else design.rows
        index, rows = whole, kept
    elif len(every) == len(fit.index):
        kept, index, rows = every, whole[design.rows], design.rows
    else:
        raise DataError(
            f"data has {len(every)} rows; augment() needs the {len(design.rows)} rows of the data of the fit or the "
            f"{len(fit.index)} that were used. For other rows use predict(newdata)."
        )
    if isinstance(data, pd.DataFrame) and not data.index.equals(index):
        raise DataError(
            "data has another index than the data of the fit. Bring its rows into the same order, or pass "
            "data.set_axis(...) with the index of the fit's data to take them by position."
        )
    return Source(data).frame(kept).set_axis(index[kept], axis=0), rows


def _length(data: Any) -> int:
    if isinstance(data, Mapping):
        return max((len(values) for values in data.values() if np.ndim(values) == 1), default=0)
    if not hasattr(data, "__len__") or isinstance(data, str):
        raise DataError(f"data is a {type(data).__name__}; expected a frame or a mapping of arrays.")
    return len(data)


def _model_variables(fit: LmmFit) -> pd.DataFrame:
    """
    The variables of the formula in the rows used: response, fixed part, offsets, random terms, weights, offset.

    A plain name is the column of the data as it is; an expression has its text for a name, a matrix such as a basis
    one column for each of its own, ``poly(x, 2).1``.
    """
    own, evaluator = fit.frame(), fit.evaluator()
    responses = [deparse(node) for node in fit.blueprint.parsed.responses]
    values = fit.response.to_numpy().reshape(len(own), -1)
    columns: dict[str, Any] = {}
    for text, node in _variables(fit).items():
        if text in own.columns:
            columns[text] = own[text]
        elif text in responses:
            columns[text] = values[:, responses.index(text)]
        else:
            columns |= _expanded(text, evaluator.column(node))
    if fit.design.weights is not None:
        weights = fit.prior_weights.to_numpy().reshape(len(own), -1)
        columns["(weights)"] = np.nanmax(weights, axis=1)  # those of a row's traits are the same
    source, own_offset = fit.request.source, fit.blueprint.offset
    if source.offset is not None:
        numbers = np.asarray(source.offset)[fit.design.rows] if own_offset is None else evaluator.column(own_offset)
        columns["(offset)"] = np.asarray(numbers, dtype=float)
    return pd.DataFrame(columns, index=own.index)


def _variables(fit: LmmFit) -> dict[str, Node]:
    parsed = fit.blueprint.parsed
    found = {deparse(node): node for node in parsed.responses}
    for terms in parsed.fixed_parts:
        found |= {deparse(node): node for node in terms.variables}
    for terms in parsed.fixed_parts:
        found |= {f"offset({deparse(node)})": node for node in terms.offsets}
    for term in parsed.all_random:
        kin = term.grouping.kin
        groups = term.grouping.factors if kin is None or kin.id is None else (kin.id,)
        found |= {deparse(node): node for node in (*term.lhs.variables, *groups)}
    return found | {deparse(node): node for node in residual_nodes(parsed, fit.blueprint.residual)}


def _expanded(text: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Categorical):
        return {text: pd.Categorical.from_codes(value.codes, categories=pd.Index(value.labels), ordered=value.ordered)}
    if isinstance(value, Named):
        return {f"{text}.{name}": column for name, column in zip(value.names, value.matrix.T, strict=True)}
    if value.ndim == 2:
        return {f"{text}.{i}": column for i, column in enumerate(value.T, 1)}
    return {text: value}
