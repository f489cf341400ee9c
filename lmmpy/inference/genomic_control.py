"""Genomic control: by how much the test statistics of a scan exceed those of a scan without effects."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from lmmpy.errors import DataError, ModelError, shown

__all__ = ["lambda_gc"]


def lambda_gc(p_values: Any, quantile: float = 0.5) -> float:
    """
    The inflation factor λ_GC: a quantile of the χ²₁ statistics of a scan over that of the χ²₁ distribution.

    Near 1 where the null model accounts for all relatedness and structure; of a trait with many small effects it grows
    with the sample although nothing is wrong.

    Parameters
    ----------
    p_values : array-like, shape (m,)
        NaN, the p-value of variants without a test, are left out. Each is turned into the χ²₁ statistic that has it,
        whatever distribution it came from.
    quantile : float
        Which quantile of the p-values; 0.5 is the median. A smaller one, such as 0.01, looks at the tail.

    Returns
    -------
    float

    Raises
    ------
    ModelError
        For a quantile that does not lie between 0 and 1.
    DataError
        For numbers that are no p-values, and when none is left.

    References
    ----------
    Devlin & Roeder (1999), Biometrics 55, 997–1004; Bacanu, Devlin & Roeder (2000), Am. J. Hum. Genet. 66, 1933–1944.
    """
    if isinstance(quantile, bool) or not isinstance(quantile, float | int | np.number) or not 0.0 < quantile < 1.0:
        raise ModelError(f"quantile must be a number between 0 and 1, such as 0.5; got {quantile!r}.")
    p = np.asarray(p_values, dtype=np.float64).ravel()
    p = p[~np.isnan(p)]
    wrong = p[(p < 0.0) | (p > 1.0)]
    if len(wrong):
        raise DataError(f"p-values lie between 0 and 1; these do not: {shown(wrong[:6].tolist())}.")
    if not len(p):
        raise DataError("There is no p-value to take λ from: all are missing.")
    # Of p, not of χ²: the map between them is monotone, and ndtri keeps its digits for small p.
    own = np.quantile(p, quantile, method="hazen")
    return float((ndtri(0.5 * own) / ndtri(0.5 * quantile)) ** 2)
