"""What a fit was made of, so that others can be made of it: the data and the arguments of `lmer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.design.evaluate import Evaluator
from lmmpy.design.values import factorize, take
from lmmpy.formula import Node

__all__ = ["RowsUsed", "Source"]


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """The arguments of `lmer`, as they were given; the data are not copied.

    Attributes
    ----------
    data : frame or mapping
    weights, offset, subset, contrasts, varcomp, relmat, residual, constraints
        See `lmer`.
    """

    data: Any
    weights: Any = None
    offset: Any = None
    subset: Any = None
    contrasts: Any = None
    varcomp: Mapping[str, Any] | None = None
    relmat: Mapping[str, Any] | None = None
    residual: str | None = None
    constraints: Mapping[str, Any] | None = None

    def frame(self, rows: NDArray[np.bool_]) -> pd.DataFrame:
        """
        Some rows of the data, all columns, as a pandas DataFrame; a column's own type where pandas has it.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows,)
        """
        if isinstance(self.data, pd.DataFrame):
            return self.data.loc[rows].copy()
        if isinstance(self.data, Mapping):
            return pd.DataFrame({str(k): v for k, v in self.data.items() if np.ndim(v) == 1}).loc[rows].copy()
        table = nw.from_native(self.data, eager_only=True)
        columns = {name: _column(table[name]) for name in table.columns}
        return pd.DataFrame(columns).loc[rows].copy()


class RowsUsed(Evaluator):
    """
    Evaluates a formula's expressions over all rows of the data, as the fit did, and gives the rows that it used.

    Expressions over the used rows alone would be something else where a variable of the caller's scope has a value for
    each row of the data, or a function looks at the whole column, as in ``I(x - mean(x))``.

    Parameters
    ----------
    whole : Evaluator
        Over all rows.
    columns : Columns
        Of the rows used, shape (n,).
    rows : ndarray of bool, shape (n_rows,)
    """

    def __init__(self, whole: Evaluator, columns: Columns, rows: NDArray[np.bool_]) -> None:
        super().__init__(columns, whole.scope, whole.memory, whole.ids)
        self._whole, self._rows = whole, rows

    def column(self, node: Node) -> Any:
        """The value of an expression in the rows used; see `Evaluator.column`."""
        return take(self._whole.column(node), self._rows)


def _column(series: Any) -> Any:
    if isinstance(series.dtype, nw.Enum):
        return pd.Categorical(series.to_list(), categories=list(series.dtype.categories))
    if isinstance(series.dtype, nw.Categorical):
        found = factorize(pd.Series(series.to_list(), dtype=object))
        return pd.Categorical.from_codes(found.codes.tolist(), categories=pd.Index(found.labels))
    return series.to_list() if series.null_count() or series.dtype == nw.String else series.to_numpy()
