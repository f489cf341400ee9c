"""The numbers of a summary as data frames."""

from itertools import groupby

import numpy as np
import pandas as pd

from lmmpy.report.tables import FixedEffectsTable, VarCorrRow, VarCorrTable


def summary_frame(table: FixedEffectsTable) -> pd.DataFrame:
    """List the fixed effects, one a row.

    Parameters
    ----------
    table : FixedEffectsTable

    Returns
    -------
    DataFrame
        Columns `term, estimate, std_error, statistic` and, where known, `df, p_value`.
    """
    columns: dict[str, object] = {
        "term": list(table.names),
        "estimate": table.estimate,
        "std_error": table.std_error,
        "statistic": table.statistic,
    }
    if table.df is not None:
        columns["df"] = table.df
    if table.p_value is not None:
        columns["p_value"] = table.p_value
    return pd.DataFrame(columns)


def varcorr_frame(table: VarCorrTable) -> pd.DataFrame:
    """List variances and covariances, one a row, as R's `as.data.frame(VarCorr(fit))`.

    Parameters
    ----------
    table : VarCorrTable

    Returns
    -------
    DataFrame
        Columns `grp, var1, var2, vcov, sdcor`: a term's variances (`var2` missing, `sdcor` the standard
        deviation), then its covariances (`sdcor` the correlation); the residual last. The covariance with
        an effect whose variance is zero is zero, its correlation NaN.
    """
    records: list[tuple[str, str | None, str | None, float, float]] = []
    for group, members in groupby(table.all_rows, key=lambda row: row.group):
        rows = list(members)
        records += [(group, row.name or None, None, row.variance, row.std_dev) for row in rows]
        for j, first in enumerate(rows):
            for second in rows[j + 1 :]:
                if len(second.correlations) > j:
                    r = second.correlations[j]
                    records.append((group, first.name, second.name, _covariance(first, second, r), r))
    return pd.DataFrame(records, columns=["grp", "var1", "var2", "vcov", "sdcor"])


def _covariance(first: VarCorrRow, second: VarCorrRow, correlation: float) -> float:
    scale = first.std_dev * second.std_dev
    return float(np.float64(correlation) * scale) if scale > 0 else 0.0
