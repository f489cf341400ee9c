"""Estimated marginal means and contrasts between them: what `emmeans` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmmpy.design.values import Codes, Floats, label_of
from lmmpy.errors import ModelError, shown
from lmmpy.inference.contrast_methods import contrast_family
from lmmpy.inference.contrasts import ContrastTests, Estimates
from lmmpy.inference.estimability import Estimability
from lmmpy.inference.intervals import checked_level
from lmmpy.inference.multiplicity import Family, adjusted_p, checked_adjustment, critical_values, for_intervals
from lmmpy.model.means_text import means_html, means_text

__all__ = ["Basis", "MarginalMeans", "checked_level"]

_OPERATORS = "+-*/"


@dataclass(frozen=True, eq=False, slots=True)
class Basis:
    """What linear functions of the coefficients are estimated from.

    Attributes
    ----------
    tests : ContrastTests
        Of the coefficients that the fit has.
    estimability : Estimability
    names : tuple of str, length p
        All columns of the model matrix, dropped ones too.
    """

    tests: ContrastTests
    estimability: Estimability
    names: tuple[str, ...]

    def single(self, L: Floats, offset: Floats) -> Estimates:
        """Estimate, standard error and df of Lβ + offset by row, L of shape (m, p); NaN where it is not estimable."""
        estimable, reduced = self.estimability.estimable(L), L[:, self.estimability.kept]
        fixed = estimable & ~np.any(reduced, axis=1)  # known without any estimate, such as differences of nothing
        rows = estimable & ~fixed
        estimate, std_error, df = (np.full(len(L), np.nan) for _ in range(3))
        estimate[fixed], std_error[fixed] = 0.0, 0.0
        if rows.any():
            found = self.tests.single(reduced[rows])
            estimate[rows], std_error[rows], df[rows] = found.estimate, found.std_error, found.df
        return Estimates(estimate + offset, std_error, df)

    def vcov(self, L: Floats) -> Floats:
        """Covariance of Lβ̂, shape (m, m); NaN in the rows and columns of what is not estimable."""
        reduced = L[:, self.estimability.kept]
        value = reduced @ self.tests.vcov @ reduced.T
        lost = ~self.estimability.estimable(L)
        value[lost] = np.nan
        value[:, lost] = np.nan
        return np.asarray(value)


@dataclass(frozen=True, eq=False)
class MarginalMeans:
    """
    Estimated marginal means, or contrasts between them.

    Made by `emmeans`. Shows itself in emmeans' layout; `.to_frame()` has the numbers.

    Attributes
    ----------
    basis : Basis
    L : ndarray, shape (m, p)
        Coefficients of each mean or contrast, for all columns of the model matrix.
    offset : ndarray, shape (m,)
    levels : DataFrame, m rows
        What each row is: the factors' levels, or the contrast's name; those of `by` last, their groups together.
    by : tuple of str
        Columns of `levels` within which comparisons and adjustments are made.
    estimate_name : {"emmean", "estimate"}
    adjust : str
        For the number of tests or intervals in each group of `by`.
    compared : int
        Number of means of which the rows are all the pairwise differences, in each group; else 0.
    level : float
        Confidence of intervals.
    infer : pair of bool
        Whether to show intervals, and tests.
    null : float
        What the tests compare with.
    averaged : tuple of str
        Factors that were averaged over.
    notes : tuple of str
        Printed last.
    contrasts : MarginalMeans, optional
        Those that were asked for together with these means.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
    >>> means = lmm.emmeans(fit, "Machine")
    >>> means.contrast("trt.vs.ctrl").to_frame()[["contrast", "estimate"]].round(2)
      contrast  estimate
    0    B - A      7.97
    1    C - A     13.92
    """

    basis: Basis
    L: Floats
    offset: Floats
    levels: pd.DataFrame
    by: tuple[str, ...] = ()
    estimate_name: Literal["emmean", "estimate"] = "emmean"
    adjust: str = "none"
    compared: int = 0
    level: float = 0.95
    infer: tuple[bool, bool] = (True, False)
    null: float = 0.0
    averaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    contrasts: MarginalMeans | None = None

    # ---- numbers

    @cached_property
    def _estimates(self) -> Estimates:
        return self.basis.single(self.L, self.offset)

    @property
    def estimate(self) -> Floats:
        """The means or contrasts, shape (m,); NaN where not estimable."""
        return self._estimates.estimate

    @property
    def std_error(self) -> Floats:
        """Their standard errors, shape (m,)."""
        return self._estimates.std_error

    @property
    def df(self) -> Floats:
        """Their degrees of freedom, shape (m,)."""
        return self._estimates.df

    @property
    def linfct(self) -> pd.DataFrame:
        """The linear functions of the coefficients, a row each; columns are all those of the model matrix."""
        return pd.DataFrame(self.L, index=self._row_names, columns=list(self.basis.names))

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of the rows (Kenward and Roger's, when their method was asked for)."""
        return pd.DataFrame(self.basis.vcov(self.L), index=self._row_names, columns=self._row_names)

    @property
    def _row_names(self) -> list[str]:
        columns = [[label_of(value) for value in self.levels[name].tolist()] for name in self.levels]
        return [" ".join(row) for row in zip(*columns, strict=True)]

    def groups(self, by: Sequence[str] | None = None) -> list[Codes]:
        """
        The rows of each combination of the `by` columns, in order of appearance.

        Parameters
        ----------
        by : sequence of str, optional
            Columns; by default those of this object.

        Returns
        -------
        list of ndarray of int
        """
        by = self.by if by is None else by
        if not by:
            return [np.arange(len(self.levels))]
        found = self.levels.groupby(list(by), sort=False, observed=True).indices
        return sorted((np.asarray(rows, dtype=np.intp) for rows in found.values()), key=lambda rows: int(rows[0]))

    def effective_adjust(self) -> str:
        """
        The adjustment that is made: Tukey's is for all pairwise comparisons, Šidák's takes its place elsewhere.

        Returns
        -------
        str
        """
        if len(self.groups()[0]) < 2:
            return "none"
        return "sidak" if self.adjust == "tukey" and not self.compared else self.adjust

    def family(self, rows: Codes) -> Family:
        """
        Some rows as a family of tests or intervals.

        Parameters
        ----------
        rows : ndarray of int
            Their numbers.

        Returns
        -------
        Family
        """
        covariance = self.basis.vcov(self.L[rows])
        se = np.sqrt(covariance.diagonal())
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = covariance / np.outer(se, se)
        L = np.nan_to_num(self.L[rows])
        return Family(self.compared or len(rows), bool(self.compared), int(np.linalg.matrix_rank(L)), correlation)

    def limits(self) -> tuple[Floats, Floats]:
        """
        Confidence limits, each of shape (m,), adjusted within each group.

        Returns
        -------
        lower, upper : ndarray, shape (m,)
        """
        method = for_intervals(self.effective_adjust())
        width = np.empty(len(self.L))
        for rows in self.groups():
            width[rows] = critical_values(self.level, self.df[rows], method, self.family(rows))
        return self.estimate - width * self.std_error, self.estimate + width * self.std_error

    def statistics(self) -> tuple[Floats, Floats]:
        """
        Ratios t and their two-sided p-values, each of shape (m,), adjusted within each group.

        Returns
        -------
        t, p : ndarray, shape (m,)
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            t = (self.estimate - self.null) / self.std_error
        p = np.empty(len(t))
        for rows in self.groups():
            p[rows] = adjusted_p(t[rows], self.df[rows], self.effective_adjust(), self.family(rows))
        return t, p

    @property
    def is_asymptotic(self) -> bool:
        """Whether normal distributions stand for t's."""
        return self.basis.tests.method.name == "asymptotic"

    def to_frame(self) -> pd.DataFrame:
        """
        The table as data.

        Returns
        -------
        DataFrame
            The factors (or `contrast`), `emmean` or `estimate`, `SE, df`, and as `infer` says `lower.CL, upper.CL`
            and `t.ratio, p.value` (`asymp.LCL, asymp.UCL, z.ratio` with the asymptotic method).

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
        >>> means = lmm.emmeans(fit, "Machine")
        >>> means.to_frame().round(2)
          Machine  emmean    SE    df  lower.CL  upper.CL
        0       A   52.36  2.23  5.83     46.86     57.85
        1       B   60.32  2.23  5.83     54.83     65.82
        2       C   66.27  2.23  5.83     60.78     71.77
        """
        frame = self.levels.copy()
        frame[self.estimate_name] = self.estimate
        frame["SE"], frame["df"] = self.std_error, self.df
        if self.infer[0]:
            names = ("asymp.LCL", "asymp.UCL") if self.is_asymptotic else ("lower.CL", "upper.CL")
            frame[names[0]], frame[names[1]] = self.limits()
        if self.infer[1]:
            if self.null:
                frame["null"] = self.null
            frame["z.ratio" if self.is_asymptotic else "t.ratio"], frame["p.value"] = self.statistics()
        return frame

    # ---- others made of these

    def contrast(
        self,
        method: Any = "eff",
        adjust: str | None = None,
        by: str | Sequence[str] | Literal["same"] | None = "same",
        ref: Any = None,
    ) -> MarginalMeans:
        """
        Contrasts between the rows, within each group of `by`.

        Parameters
        ----------
        method : str or mapping
            "pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "eff" (each against the mean of all), "del.eff"
            (against the mean of the others), "consec", "mean_chg", "poly" (orthogonal polynomials in whole numbers),
            "identity"; or a mapping from names to coefficients.
        adjust : str, optional
            "none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "fdr", "scheffe", "dunnettx", "mvt"; by default
            emmeans' choice for the method.
        by : str, sequence of str or None
            Columns within whose levels to compare; by default those of this table. None compares all rows.
        ref : optional
            Label of the control for "trt.vs.ctrl".

        Returns
        -------
        MarginalMeans

        Raises
        ------
        ModelError
            For an unknown method, adjustment, column or reference.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
        >>> means = lmm.emmeans(fit, "Machine")
        >>> means.contrast({"C - A": [-1, 0, 1]}).estimate.round(2).tolist()
        [13.92]
        """
        groups = self.groups(by_columns := self._checked_by(by))
        named = [name for name in map(str, self.levels) if name not in by_columns]
        parts, labels, compared = [], [], 0
        family = None
        for rows in groups:
            family = contrast_family(method, self._labels(rows, named), ref)
            parts.append(family.matrix @ _selection(rows, len(self.L)))
            names = pd.DataFrame({"contrast": list(family.names)})
            for name in by_columns:
                names[name] = self.levels[name].iloc[[rows[0]] * len(names)].array
            labels.append(names)
            compared = len(rows) if family.pairwise else 0
        assert family is not None
        if not sum(len(part) for part in parts):
            raise ModelError(f"{method!r} needs at least two means in each group; there is one.")
        K = np.vstack(parts)
        return MarginalMeans(
            self.basis,
            # A mean that is not there leaves a contrast without it alone.
            np.where(((K != 0) @ np.isnan(self.L)) > 0, np.nan, K @ np.nan_to_num(self.L)),
            K @ np.nan_to_num(self.offset),
            pd.concat(labels, ignore_index=True),
            tuple(by_columns),
            "estimate",
            checked_adjustment(family.adjust if adjust is None else adjust),
            compared,
            self.level,
            (False, True),
            0.0,
            self.averaged,
        )

    def pairs(
        self, adjust: str = "tukey", by: str | Sequence[str] | Literal["same"] | None = "same", reverse: bool = False
    ) -> MarginalMeans:
        """
        All pairwise differences, within each group of `by`; `reverse` turns their signs. See `contrast`.

        Parameters
        ----------
        adjust : str
            As in `contrast`.
        by : str or sequence of str, optional
            Columns that make the groups; "same" leaves them as they are, None takes all rows as one group.
        reverse : bool

        Returns
        -------
        MarginalMeans

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
        >>> means = lmm.emmeans(fit, "Machine")
        >>> means.pairs().to_frame()[["contrast", "estimate"]].round(2)
          contrast  estimate
        0    A - B     -7.97
        1    A - C    -13.92
        2    B - C     -5.95
        """
        return self.contrast("revpairwise" if reverse else "pairwise", adjust, by)

    def confint(self, level: float | None = None, adjust: str | None = None) -> MarginalMeans:
        """
        The same with confidence intervals; adjusted as it is, or otherwise.

        Parameters
        ----------
        level : float, optional
        adjust : str, optional
            As in `contrast`.

        Returns
        -------
        MarginalMeans

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
        >>> means = lmm.emmeans(fit, "Machine")
        >>> means.confint(0.9).to_frame()[["Machine", "lower.CL", "upper.CL"]].round(1)
          Machine  lower.CL  upper.CL
        0       A      48.0      56.7
        1       B      56.0      64.7
        2       C      61.9      70.6
        """
        return self._shown((True, False), level=level, adjust=adjust)

    def test(self, null: float = 0.0, adjust: str | None = None) -> MarginalMeans:
        """
        The same with tests against `null`; adjusted as it is, or otherwise.

        Parameters
        ----------
        null : float
        adjust : str, optional
            As in `contrast`.

        Returns
        -------
        MarginalMeans

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
        >>> means = lmm.emmeans(fit, "Machine")
        >>> means.test(50.0).to_frame()[["Machine", "t.ratio"]].round(2)
          Machine  t.ratio
        0       A     1.06
        1       B     4.63
        2       C     7.30
        """
        return replace(self._shown((False, True), adjust=adjust), null=float(null))

    def _shown(self, infer: tuple[bool, bool], level: float | None = None, adjust: str | None = None) -> MarginalMeans:
        return replace(
            self,
            infer=infer,
            level=self.level if level is None else checked_level(level),
            adjust=self.adjust if adjust is None else checked_adjustment(adjust),
            contrasts=None,
        )

    def joint_test(self) -> pd.DataFrame:
        """
        F tests, one a group of `by`, that all rows are nil (or `null`) together.

        Returns
        -------
        DataFrame
            The `by` columns, `df1, df2, F.ratio, p.value`, and a `note`: "d" where rows depend on others, "e" where
            some are not estimable; both reduce df1.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
        >>> means = lmm.emmeans(fit, "Machine")
        >>> means.pairs().joint_test().round(2)
           df1   df2  F.ratio  p.value note
        0    2  46.0     87.8      0.0    d
        """
        records = []
        for rows in self.groups():
            estimable = self.basis.estimability.estimable(self.L[rows])
            chosen = rows[estimable]
            reduced = self.L[chosen][:, self.basis.estimability.kept]
            found = self.basis.tests.joint(reduced, self.null - self.offset[chosen])
            note = ("e" if not estimable.all() else "") + ("d" if found.num_df < len(chosen) else "")
            records.append(
                {
                    **{name: self.levels[name].iloc[rows[0]] for name in self.by},
                    "df1": found.num_df,
                    "df2": found.den_df,
                    "F.ratio": found.statistic,
                    "p.value": found.p_value,
                    "note": note,
                }
            )
        return pd.DataFrame(records)

    def _checked_by(self, by: Any) -> list[str]:
        if isinstance(by, str) and by == "same" and "same" not in self.levels:
            return list(self.by)
        names = [] if by is None else [by] if isinstance(by, str) else list(by)
        unknown = [name for name in names if name not in self.levels]
        if unknown:
            raise ModelError(f"by names {shown(unknown)}; the columns are {shown(map(str, self.levels))}.")
        if len(names) == len(self.levels.columns):
            raise ModelError("by takes up all columns, so that nothing is left to compare.")
        return names

    def _labels(self, rows: Codes, columns: Sequence[str]) -> list[str]:
        """Names of rows in a contrast: levels, numbers with their factor's name, arithmetic in parentheses."""
        parts = []
        for name in columns:
            values = [label_of(value) for value in self.levels[name].tolist()]
            numeric = name != "contrast" and all(map(_is_number, values))
            parts.append([name + values[row] if numeric else values[row] for row in rows])
        joined = [" ".join(row) for row in zip(*parts, strict=True)]
        return [f"({text})" if any(c in text for c in _OPERATORS) else text for text in joined]

    # ---- printing

    def __str__(self) -> str:
        return means_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return means_html(self)

    def __len__(self) -> int:
        return len(self.L)


def _selection(rows: Codes, n: int) -> Floats:
    matrix = np.zeros((len(rows), n))
    matrix[np.arange(len(rows)), rows] = 1.0
    return matrix


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
