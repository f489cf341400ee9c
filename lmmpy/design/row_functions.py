"""`exp(x | g)`: a random effect of each row that is a function of a covariate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import RandomFunction
from lmmpy.design.design import RowCovariance
from lmmpy.design.rows import require_finite
from lmmpy.design.values import Categorical, Named
from lmmpy.errors import DataError, ModelError
from lmmpy.formula import RandomTerm, deparse
from lmmpy.relatedness import Relatedness

__all__ = ["make_function"]


def make_function(
    name: str, term: RandomTerm, value: Any, grouping: Categorical, relatedness: Relatedness, rows: NDArray[np.bool_]
) -> RowCovariance:
    """
    The covariance between rows that a random function makes.

    Parameters
    ----------
    name : str
    term : RandomTerm
    value : object
        The covariate of each row that is used.
    grouping : Categorical
    relatedness : Relatedness
        Of its levels.
    rows : ndarray of bool, shape (n_rows,)
        The rows of the data that are used.

    Returns
    -------
    RowCovariance

    Raises
    ------
    DataError, ModelError
        For a covariate that is no number, or constant.
    """
    text = deparse(term.lhs.variables[0])
    if isinstance(value, Categorical | Named) or value.ndim > 1 or value.dtype.kind == "b":
        raise DataError(f"{term.text}: {text!r} must be one number a row.")
    covariate = np.asarray(value, dtype=float)
    require_finite(text, f"covariate of {term.text},", covariate, rows)
    if np.ptp(covariate) == 0.0:
        raise ModelError(f"{term.text}: {text!r} is constant, so that no effect can vary with it. Take the term out.")
    return RowCovariance(
        name,
        relatedness.components()[grouping.codes],
        RandomFunction(covariate, float(covariate.mean())),
        np.ones(len(covariate)),
        codes=grouping.codes,
        relatedness=relatedness,
        levels=tuple(grouping.labels),
    )
