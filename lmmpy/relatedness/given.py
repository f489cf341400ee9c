"""Arrays, sparse matrices and frames that a user gives for a K, as numbers and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from lmmpy.errors import DataError
from lmmpy.relatedness.covariance import sorted_csc
from lmmpy.relatedness.form import Floats, Labels
from lmmpy.relatedness.labels import as_labels, by_label

__all__ = ["floats", "is_counted", "labels_of", "matrix_of", "refuse_both"]


def refuse_both(labels: Any, what: str) -> None:
    """Refuse labels beside those of a DataFrame."""
    if labels is not None:
        raise DataError(f"A DataFrame of {what} has its ids in its index; leave labels out, or give the array.")


def is_counted(index: pd.Index) -> bool:
    """Whether an index is the one that pandas gives to what has none."""
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def floats(values: Any, what: str) -> Floats:
    """An array of numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise DataError(f"{what} must hold numbers; got {array.dtype}.")
    return array.astype(np.float64, copy=False)


def labels_of(labels: Any, size: int) -> Labels:
    """The ids of the rows of an array."""
    if labels is None:
        return None
    own = as_labels(labels)
    if len(own) != size:
        raise DataError(f"{len(own)} labels for {size} levels: each row of the matrix needs one.")
    return own


def matrix_of(K: Any, labels: Any, what: str) -> tuple[Any, Labels]:
    """A square matrix, dense or sparse by columns, and its labels."""
    if isinstance(K, pd.DataFrame):
        refuse_both(labels, "relatedness")
        return by_label(K)
    array: Any = K
    if sparse.issparse(K):
        if array.dtype.kind not in "iufb":
            raise DataError(f"{what} must hold numbers; got {array.dtype}.")
        array = sorted_csc(array.astype(np.float64))
    else:
        array = floats(K, what)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise DataError(f"{what} must be square; got shape {tuple(array.shape)}.")
    if array.shape[0] == 0:
        raise DataError(f"{what} has no levels.")
    return array, labels_of(labels, array.shape[0])
