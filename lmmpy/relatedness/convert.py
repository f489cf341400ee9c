"""What a user may give as a relatedness, made one."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from lmmpy.errors import DataError
from lmmpy.relatedness.pedigree import Pedigree
from lmmpy.relatedness.relatedness import Relatedness

__all__ = ["as_relatedness"]


def as_relatedness(obj: Any, labels: Any = None, columns: Container[str] = ()) -> Relatedness:
    """
    A Relatedness of what stands for one.

    Parameters
    ----------
    obj : Relatedness, Pedigree, DataFrame, ndarray or scipy sparse matrix
        Of a pedigree the additive relationships; a square DataFrame is labelled by its index and columns.
    labels : sequence, optional
        Ids of the rows of an array or a sparse matrix.
    columns : container of str
        Names of the columns of the data. The one that the index of a DataFrame is named by, if there is one, has the
        ids.

    Raises
    ------
    DataError
        When it is none of these.
    """
    if isinstance(obj, Relatedness | Pedigree | pd.DataFrame) and labels is not None:
        raise DataError(f"A {type(obj).__name__} has its own labels; leave labels out.")
    if isinstance(obj, Relatedness):
        return obj
    if isinstance(obj, Pedigree):
        return obj.additive()
    if isinstance(obj, pd.DataFrame | np.ndarray) or sparse.issparse(obj):
        name = obj.index.name if isinstance(obj, pd.DataFrame) else None
        return Relatedness(obj, labels, name if isinstance(name, str) and name in columns else None)
    raise DataError(
        f"A {type(obj).__name__} is no relatedness. Give a Pedigree, a Relatedness, a square DataFrame with ids as "
        "index and columns, or an array with its labels: Relatedness(K, labels=ids)."
    )
