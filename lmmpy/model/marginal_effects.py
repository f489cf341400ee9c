"""A fit as marginaleffects sees a model: coefficients, their covariance, and the fixed-effects matrix of any data.

Needs marginaleffects and polars, so that only who asks for the adapter imports it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from marginaleffects.classes import ModelAbstract, ModelVault

from lmmpy.design.values import Categorical, Floats, label_of
from lmmpy.errors import ModelError
from lmmpy.formula import Node, names_in
from lmmpy.model.hypothesis_tests import checked_ddf
from lmmpy.model.lmm_fit import LmmFit

__all__ = ["MarginalEffectsModel"]

# Names of marginaleffects' own columns: it refuses data that have one of them.
_RESERVED = {
    "rowid", "type", "group", "estimate", "std_error", "p_value", "s_value", "conf_low", "conf_high", "term",
    "contrast", "statistic",
}  # fmt: skip


class MarginalEffectsModel(ModelAbstract):  # type: ignore[misc]
    """
    The population-level part Xβ̂ of a fit, for marginaleffects' functions.

    Predictions leave the random effects out (R's ``re.form = NA``) and have the offset in them. Tests and intervals are
    normal, as for lme4's fits in R, unless degrees of freedom are given.

    Parameters
    ----------
    fit : LmmFit
    df : float
        Degrees of freedom of t tests and intervals, the same for every estimate, and of the F test of
        ``hypotheses(joint=…)``, which needs a finite number.

    Raises
    ------
    ModelError
        When the fit has an offset given as numbers, which other rows do not have.
    """

    def __init__(self, fit: LmmFit, df: float = math.inf) -> None:
        if fit.blueprint.has_numeric_offset:
            raise ModelError(
                "The model was fitted with an offset given as numbers, which is unknown for other rows. Fit it with an "
                "expression, offset='column' or + offset(column) in the formula."
            )
        if not df > 0:
            raise ModelError(f"df={df!r} must be positive; infinity makes the tests normal.")
        self.df_resid = float(df)
        frame, response, node = fit.frame(), fit.blueprint.response_text, fit.blueprint.parsed.response
        assert node is not None
        names = [name for name in names_in(node) if name in frame.columns]
        if names:
            response = names[0]
        else:
            frame[response] = fit.design.y
        predictors = [name for name in _predictors(fit) if name in frame.columns]
        vault = ModelVault(
            coef=fit.fixef.to_numpy(),
            coefnames=np.array(fit.design.names),
            formula=f"`{response}` ~ {' + '.join(f'`{name}`' for name in predictors) or '1'}",
            modeldata=_polars(frame, fit.blueprint.column_levels, {response, *predictors}),
            package="lmmpy",
            variable_names=[response, *predictors],
        )
        super().__init__(fit, vault)

    def validation(self) -> None:
        """What marginaleffects checks of a model, and the type of each variable.

        Its own reading of the types fails for every column of floats under polars 2.
        """
        self.validate_coef()
        self.validate_response_name()
        self.validate_formula()
        self.validate_modeldata()
        data = self.get_modeldata()
        self.vault.variables_type = {name: _kind(data[name]) for name in self.vault.variable_names}

    def get_exog(self, newdata: pl.DataFrame) -> Floats:
        """The fixed-effects matrix, shape (n, p); with an offset in the model, that as one more column."""
        fit: LmmFit = self.model
        blueprint, names = fit.blueprint, list(fit.design.names)
        evaluator = blueprint.evaluator(newdata)
        fixed = blueprint.fixed_matrix(evaluator)
        X: Floats = fixed.X[:, [fixed.names.index(name) for name in names]]
        offsets = [np.asarray(evaluator.column(node), dtype=float) for node in _offsets(fit)]
        return np.column_stack([X, np.sum(offsets, axis=0)]) if offsets else X

    def get_predict(self, params: Floats, newdata: Floats) -> pl.DataFrame:
        """Columns `rowid, estimate`: Xβ and the offset, for the matrix of `get_exog` and any β."""
        p = len(params)
        estimate = newdata[:, :p] @ params + newdata[:, p:].sum(axis=1)
        rowid = pl.Series("rowid", np.arange(len(estimate)), dtype=pl.Int32)
        return pl.DataFrame({"rowid": rowid, "estimate": estimate})

    def get_vcov(self, vcov: bool | str = True) -> Floats | None:
        """Covariance of β̂: the model's (True), adjusted (``"kenward-roger"``), or none (False)."""
        if vcov is False or vcov is None:
            return None
        fit: LmmFit = self.model
        if vcov is True:
            return fit.vcov().to_numpy()
        return np.asarray(fit.contrast_tests(checked_ddf(vcov)).vcov)

    def get_df(self) -> float:
        """Denominator degrees of freedom of joint tests."""
        return self.df_resid

    def get_autodiff_args(self) -> dict[str, Any] | str:
        """Xβ is linear, which makes its derivatives exact; an offset is not foreseen there."""
        if _offsets(self.model):
            return "models with an offset"
        return {"model_type": "linear", "family": None, "link": None}


def _offsets(fit: LmmFit) -> list[Node]:
    own = fit.blueprint.offset
    return [*fit.blueprint.parsed.fixed.offsets, *([own] if own is not None else [])]


def _predictors(fit: LmmFit) -> list[str]:
    """Names in the fixed part and the offset, in order."""
    nodes = [*fit.blueprint.parsed.fixed.variables, *_offsets(fit)]
    return list(dict.fromkeys(name for node in nodes for name in names_in(node)))


def _polars(frame: pd.DataFrame, levels: Any, needed: set[str]) -> pl.DataFrame:
    """
    The data of a fit in polars.

    Factors become enumerations in the order of the fit's levels. What the model does not need is left out when
    marginaleffects reserves its name or polars has no plain type for it.
    """
    columns = []
    for name in frame.columns:
        column = frame[name]
        if name in _RESERVED and name not in needed:
            continue
        if name in levels:
            columns.append(_enumeration(name, column, levels[name]))
        elif pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
            columns.append(pl.Series(name, column.to_numpy()))
        elif isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.infer_dtype(column) == "string":
            factor = pd.Categorical(column)
            texts = [str(label) for label in factor.categories]
            values = [texts[code] if code >= 0 else None for code in factor.codes]
            columns.append(pl.Series(name, values, dtype=pl.Enum(texts)))
    return pl.DataFrame(columns)


def _kind(column: pl.Series) -> str:
    """What marginaleffects calls a type; it decides how two values of a variable are compared."""
    if column.dtype == pl.Boolean:
        return "boolean"
    if isinstance(column.dtype, pl.Enum):
        return "character"
    if column.len() and np.isin(column.to_numpy(), (0, 1)).all():
        return "binary"
    return "integer" if column.dtype.is_integer() else "numeric"


def _enumeration(name: str, column: pd.Series, known: Categorical) -> pl.Series:
    values = [None if pd.isna(value) else label_of(value) for value in column]
    return pl.Series(name, values, dtype=pl.Enum(known.labels))
