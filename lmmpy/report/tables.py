"""The plain data of a printed mixed model, which the fit fills and the printers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VarCorrRow:
    """One random effect: its variance, and its correlations with the term's earlier effects.

    Attributes
    ----------
    group : str
        The term, e.g. `Subject`, `Subject.1`, `kin(ped)`. Rows of one term follow each other.
    name : str
        The effect, e.g. `(Intercept)`; empty for a plain residual.
    variance, std_dev : float
    correlations : tuple of float
        With rows 1 … i−1 of the same term, so that row i has i−1 of them; NaN when undefined.
    """

    group: str
    name: str
    variance: float
    std_dev: float
    correlations: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class VarCorrTable:
    """Variances and correlations of the random effects.

    Attributes
    ----------
    rows : tuple of VarCorrRow
        Terms in the order of the print.
    residual : tuple of VarCorrRow
        Printed last: one row in a plain model, several when the residual is structured, none when the
        family has no scale.
    """

    rows: tuple[VarCorrRow, ...]
    residual: tuple[VarCorrRow, ...] = ()

    @property
    def all_rows(self) -> tuple[VarCorrRow, ...]:
        """Random effects and then residual."""
        return self.rows + self.residual


@dataclass(frozen=True, slots=True)
class FixedEffectsTable:
    """Fixed effects and their tests.

    Attributes
    ----------
    names : tuple of str, length p
    estimate, std_error, statistic : ndarray, shape (p,)
    statistic_name : str
        Its heading, `t value` or `z value`.
    df : ndarray, shape (p,), or None
        Denominator degrees of freedom, where they were asked for.
    p_value : ndarray, shape (p,), or None
        Two-sided.
    traits : tuple of str, length p, or empty
        With several responses the one of each effect; those of one response follow each other.
    """

    names: tuple[str, ...]
    estimate: NDArray[np.float64]
    std_error: NDArray[np.float64]
    statistic: NDArray[np.float64]
    statistic_name: str = "t value"
    df: NDArray[np.float64] | None = None
    p_value: NDArray[np.float64] | None = None
    traits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse columns of different lengths.

        Raises
        ------
        ValueError
            If a column has not one number for each name.
        """
        for column in ("estimate", "std_error", "statistic", "df", "p_value"):
            values = getattr(self, column)
            if values is not None and np.shape(values) != (len(self.names),):
                raise ValueError(
                    f"{column} has shape {np.shape(values)}, but there are {len(self.names)} fixed effects: "
                    "give one number for each name."
                )

    def by_trait(self) -> dict[str, FixedEffectsTable]:
        """The effects of each response, under names without it; all of them under an empty name when there is one."""
        if not self.traits:
            return {"": self}
        found = {}
        for trait in dict.fromkeys(self.traits):
            places = [i for i, other in enumerate(self.traits) if other == trait]
            columns = (self.estimate, self.std_error, self.statistic, self.df, self.p_value)
            estimate, std_error, statistic, df, p = (None if x is None else x[places] for x in columns)
            assert estimate is not None and std_error is not None and statistic is not None
            names = tuple(self.names[i].removeprefix(f"{trait}:") for i in places)
            found[trait] = FixedEffectsTable(names, estimate, std_error, statistic, self.statistic_name, df, p)
        return found

    @property
    def p_name(self) -> str:
        """Heading of the p-values, e.g. `Pr(>|t|)`."""
        return f"Pr(>|{self.statistic_name[:1]}|)"


@dataclass(frozen=True, slots=True)
class RowParametersTable:
    """Parameters of a covariance between rows that is no matrix of variances: an autocorrelation, a power.

    Attributes
    ----------
    title : str
        Whose they are, e.g. `Parameters of the residual`.
    names : tuple of str, length m
    values : ndarray, shape (m,)
    """

    title: str
    names: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TraitCounts:
    """How many records there are with several responses.

    Attributes
    ----------
    n_obs : mapping of str to int
        Observations of each response.
    n_rows, n_complete : int
        Rows with one response at least, and with all.
    """

    n_obs: Mapping[str, int]
    n_rows: int
    n_complete: int


@dataclass(frozen=True, slots=True)
class SummaryData:
    """What a summary of a mixed model says.

    Attributes
    ----------
    method_line : str
        The first line, e.g. `Linear mixed model fit by REML`.
    formula : str
    criterion : mapping of str to float
        One entry, `{"REML criterion at convergence": …}`, or `AIC, BIC, logLik, deviance, df.resid`.
    varcorr : VarCorrTable
    n_obs : int
    n_groups : mapping of str to int
        Levels by grouping factor, in the order of the print.
    fixed : FixedEffectsTable
    scaled_residual_quantiles : ndarray, shape (5,), or None
        Minimum, quartiles and maximum.
    correlation : ndarray, shape (p, p), or None
        Of the fixed effects' estimates.
    sigma : float or None
        Residual standard deviation.
    data_name, weights, offset, subset, family, residual : str or None
        Lines of the heading, left out when None.
    notes : tuple of str
        Printed last: convergence, singular fit, dropped columns.
    row_parameters : tuple of RowParametersTable
    trait_counts : TraitCounts or None
        With several responses.
    """

    method_line: str
    formula: str
    criterion: Mapping[str, float]
    varcorr: VarCorrTable
    n_obs: int
    n_groups: Mapping[str, int]
    fixed: FixedEffectsTable
    scaled_residual_quantiles: NDArray[np.float64] | None = None
    correlation: NDArray[np.float64] | None = None
    sigma: float | None = None
    data_name: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None
    family: str | None = None
    notes: tuple[str, ...] = ()
    row_parameters: tuple[RowParametersTable, ...] = ()
    trait_counts: TraitCounts | None = None
    residual: str | None = None
