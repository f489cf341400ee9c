"""`lm_list`: the same regression in each group by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from lmmpy.design import Design, build_design
from lmmpy.design.rank import independent_columns
from lmmpy.design.values import Floats
from lmmpy.errors import DataError, FormulaError, ModelError, shown
from lmmpy.formula import deparse, read_expression
from lmmpy.formula.kin import is_kin
from lmmpy.formula.syntax import Binary, walk
from lmmpy.inference.intervals import checked_level, percent_labels
from lmmpy.model.checks import warn_about_design
from lmmpy.model.lformula import data_index
from lmmpy.model.scope import caller_scope

__all__ = ["LmList", "lm_list"]


@dataclass(frozen=True, eq=False)
class LmList:
    """
    Regressions by group, one residual variance for all unless `pool` is False.

    Attributes
    ----------
    formula : str
    group : str
    pool : bool
    coef : DataFrame
        Groups × coefficients.
    unscaled_vcov : ndarray, shape (groups, p, p)
        (XᵀWX)⁻¹ of each.
    sigmas : Series
        Residual standard deviation of each group; NaN without residual degrees of freedom.
    dfs : Series
        Residual degrees of freedom of each group.
    design : Design
        Of all rows.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> alone = lmm.lm_list("Reaction ~ Days | Subject", sleepstudy)
    >>> round(alone.sigma, 2), alone.df_resid
    (25.59, 144)
    >>> alone.confint().shape
    (36, 2)
    """

    formula: str
    group: str
    pool: bool
    coef: pd.DataFrame
    unscaled_vcov: Floats
    sigmas: pd.Series
    dfs: pd.Series
    design: Design
    _index: pd.Index

    def __len__(self) -> int:
        return len(self.coef)

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom of all groups together."""
        return int(self.dfs.sum())

    @property
    def sigma(self) -> float:
        """Residual standard deviation of all groups together."""
        if not self.df_resid:
            return float("nan")
        return float(np.sqrt((self.dfs * self.sigmas.fillna(0.0) ** 2).sum() / self.df_resid))

    @property
    def se(self) -> pd.DataFrame:
        """Standard errors, groups × coefficients."""
        root = np.sqrt(np.einsum("gpp->gp", self.unscaled_vcov))
        sigma = np.full(len(self), self.sigma) if self.pool else self.sigmas.to_numpy()
        return pd.DataFrame(sigma[:, None] * root, index=self.coef.index, columns=self.coef.columns)

    def _df_by_group(self) -> Floats:
        df = np.full(len(self), float(self.df_resid)) if self.pool else self.dfs.to_numpy(dtype=float)
        return np.where(df > 0, df, np.nan)

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """
        Intervals of each coefficient in each group, by Student's t.

        Parameters
        ----------
        level : float

        Returns
        -------
        DataFrame
            Index: group and coefficient; columns such as `2.5 %` and `97.5 %`.
        """
        level = checked_level(level)
        tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        quantiles = np.asarray(stats.t.ppf(tails, self._df_by_group()[:, None]))
        values = self.coef.to_numpy()[:, :, None] + self.se.to_numpy()[:, :, None] * quantiles[:, None, :]
        return pd.DataFrame(values.reshape(-1, 2), index=self._pairs(), columns=percent_labels(level))

    def to_frame(self) -> pd.DataFrame:
        """
        Each coefficient in each group.

        Returns
        -------
        DataFrame
            Index: group and coefficient; columns `Estimate`, `Std. Error`, `t value`, `Pr(>|t|)`.
        """
        estimate, se = self.coef.to_numpy(), self.se.to_numpy()
        t = estimate / se
        p = 2.0 * stats.t.sf(np.abs(t), self._df_by_group()[:, None])
        columns = {"Estimate": estimate, "Std. Error": se, "t value": t, "Pr(>|t|)": p}
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=self._pairs())

    def _pairs(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_product([self.coef.index, self.coef.columns], names=[self.group, "coefficient"])

    def fitted(self) -> pd.Series:
        """
        Fitted values, offset included.

        Returns
        -------
        Series
            Labelled like the rows of the data.
        """
        codes = self.design.random[0].codes
        values = np.einsum("np,np->n", self.design.X, self.coef.to_numpy()[codes])
        values = values if self.design.offset is None else values + self.design.offset
        return pd.Series(values, index=self._index, name="fitted")

    def residuals(self) -> pd.Series:
        """
        Response less fitted values.

        Returns
        -------
        Series
            Labelled like the rows of the data.
        """
        return pd.Series(self.design.y - self.fitted().to_numpy(), index=self._index, name="residual")

    def __repr__(self) -> str:
        spread = f"Residual standard error: {self.sigma:.5g} on {self.df_resid} degrees of freedom"
        return f"Regressions by {self.group}: {self.formula}\n{self.coef.to_string()}\n{spread}"


def lm_list(
    formula: str,
    data: Any,
    *,
    pool: bool = True,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Any = None,
) -> LmList:
    """
    Fit the same regression to each group by itself.

    What a mixed model shrinks towards a common line, seen without shrinkage.

    Parameters
    ----------
    formula : str
        ``"y ~ x | g"``.
    data : pandas or polars DataFrame, or a mapping of arrays
    pool : bool
        Whether all groups have one residual variance.
    weights, offset, subset : str or array-like, optional
        See `lmer`.
    na_action : {"omit", "fail"}
    contrasts : optional
        See `lmer`.

    Returns
    -------
    LmList
        With `.coef`, `.se`, `.sigma`, `.confint()` and `.to_frame()`.

    Raises
    ------
    FormulaError
        When the formula has not the form y ~ x | g.
    ModelError
        When a group has too few rows, or too little variation, for the regression; all such are named.

    Notes
    -----
    Columns are made of all rows, so that coefficients of ``poly(x, 2)`` or a factor mean the same in each group.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> alone = lmm.lm_list("Reaction ~ Days | Subject", sleepstudy)
    >>> alone.coef.head(2).round(2)
             (Intercept)   Days
    Subject
    308           244.19  21.76
    309           205.05   2.26
    """
    if not isinstance(pool, bool | np.bool_):
        raise ModelError(f"pool must be True or False, not {pool!r}.")
    if na_action not in ("omit", "fail"):
        raise DataError(f"na_action is 'omit' or 'fail', not {na_action!r}.")
    mixed, text = _as_mixed(formula)
    options = {"weights": weights, "offset": offset, "subset": subset, "contrasts": contrasts}
    design, _ = build_design(mixed, data, na_action=na_action, scope=caller_scope(), **options)
    if design.traits is not None or design.functions:
        raise FormulaError(f"{text!r}: lm_list fits one response by plain regressions. Name one, and no exp(x | g).")
    if len(design.random) != 1:
        raise FormulaError(f"{text!r} has several grouping factors or bars; lm_list takes one: y ~ x | g.")
    warn_about_design(design)
    return _fitted(design, text, bool(pool), data_index(data, design)[design.rows])


def _as_mixed(formula: Any) -> tuple[str, str]:
    """The formula of a mixed model with the same columns and groups, and the formula as R would print it."""
    if not isinstance(formula, str):
        raise FormulaError(f"The formula must be a text such as 'y ~ x | g', not a {type(formula).__name__}.")
    tree = read_expression(formula)
    match tree:
        case Binary("~", response, Binary("|", columns, group)):
            if any(is_kin(part) for part in walk(group)):
                raise FormulaError(
                    f"{formula!r}: lm_list fits each group by itself, so that it has no use for how groups are "
                    "related. Give the column of ids, y ~ x | id."
                )
            mixed = f"{deparse(response)} ~ {deparse(columns)} + (1 | {deparse(group)})"
            return mixed, deparse(tree)
    raise FormulaError(f"{formula!r} has not the form of lm_list, 'y ~ x | g': predictors, a bar, and the group.")


def _fitted(design: Design, text: str, pool: bool, index: pd.Index) -> LmList:
    term, p = design.random[0], design.p
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    X = design.X * root[:, None]
    y = (design.y if design.offset is None else design.y - design.offset) * root
    order = np.argsort(term.codes, kind="stable")
    groups = np.split(order, np.searchsorted(term.codes[order], np.arange(1, term.n_levels)))
    _refuse_small_groups(design, X, groups)
    beta, vcov = np.empty((len(groups), p)), np.empty((len(groups), p, p))
    sigmas, dfs = np.full(len(groups), np.nan), np.array([len(rows) - p for rows in groups])
    for g, rows in enumerate(groups):
        Q, R = np.linalg.qr(X[rows])
        beta[g] = np.linalg.solve(R, Q.T @ y[rows])
        R_inverse = np.linalg.solve(R, np.eye(p))
        vcov[g] = R_inverse @ R_inverse.T
        if dfs[g]:
            left = y[rows] - X[rows] @ beta[g]
            sigmas[g] = np.sqrt(left @ left / dfs[g])
    labels = pd.Index(term.levels, name=term.group)
    coef = pd.DataFrame(beta, index=labels, columns=list(design.names))
    by_group = pd.Series(sigmas, index=labels, name="sigma"), pd.Series(dfs, index=labels, name="df")
    return LmList(text, term.group, pool, coef, vcov, *by_group, design, index)


def _refuse_small_groups(design: Design, X: Floats, groups: list[Any]) -> None:
    levels, p = design.random[0].levels, design.p
    short = [f"{level} ({len(rows)})" for level, rows in zip(levels, groups, strict=True) if len(rows) < p]
    if short:
        raise ModelError(
            f"{len(short)} of the {len(levels)} groups of {design.random[0].group!r} have fewer rows than the {p} "
            f"coefficients: {shown(short, 20)} (rows in brackets). Use fewer predictors, or leave these groups out "
            "with subset=."
        )
    flat = []
    for level, rows in zip(levels, groups, strict=True):
        lost = sorted(set(range(p)) - set(independent_columns(X[rows]).tolist()))
        if lost:
            flat.append(f"{level} ({', '.join(design.names[i] for i in lost)})")
    if flat:
        raise ModelError(
            f"In {len(flat)} of the {len(levels)} groups of {design.random[0].group!r} the rows do not determine all "
            f"coefficients: {shown(flat, 20)} (those that others determine there in brackets). Use fewer predictors, "
            "or leave these groups out with subset=."
        )
