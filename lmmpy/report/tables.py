"""The plain data of a printed mixed model, which the fit fills and the printers read."""

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
    """

    names: tuple[str, ...]
    estimate: NDArray[np.float64]
    std_error: NDArray[np.float64]
    statistic: NDArray[np.float64]
    statistic_name: str = "t value"
    df: NDArray[np.float64] | None = None
    p_value: NDArray[np.float64] | None = None

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

    @property
    def p_name(self) -> str:
        """Heading of the p-values, e.g. `Pr(>|t|)`."""
        return f"Pr(>|{self.statistic_name[:1]}|)"


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
    data_name, weights, offset, subset, family : str or None
        Lines of the heading, left out when None.
    notes : tuple of str
        Printed last: convergence, singular fit, dropped columns.
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
