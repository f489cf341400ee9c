"""The responses of a model with their fixed effects, each on the rows that have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.blueprint import Blueprint
from lmmpy.design.coding import ModelMatrix, model_matrix
from lmmpy.design.rank import independent_columns
from lmmpy.design.reading import Reading
from lmmpy.design.rows import require_finite
from lmmpy.design.traits import Stack
from lmmpy.design.values import Categorical, Codes, Floats, Named, take
from lmmpy.errors import DataError, shown
from lmmpy.formula import Node, Terms, deparse

__all__ = ["ResponsePart", "checked_weights", "interleaved", "kept_columns", "require_finite_columns", "response_part"]

Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class ResponsePart:
    """One response with its fixed effects, on the rows that have it.

    Attributes
    ----------
    y : ndarray, shape (n_t,)
    coded : ModelMatrix
        All columns.
    kept : ndarray of int
        Independent ones.
    X : ndarray, shape (n_t, len(kept))
    offset : ndarray, shape (n_t,), or None
    """

    y: Floats
    coded: ModelMatrix
    kept: Codes
    X: Floats
    offset: Floats | None


def response_part(
    blueprint: Blueprint, reading: Reading, terms: Terms, node: Node, rows: Rows, mask: Rows
) -> ResponsePart:
    """
    Read one response and code its fixed effects.

    Parameters
    ----------
    blueprint : Blueprint
    reading : Reading
        On the rows of the data that are used.
    terms : Terms
        Its fixed part.
    node : Node
        The expression of its values.
    rows : ndarray of bool, shape (n_rows,)
        The rows of the data that are used.
    mask : ndarray of bool, shape (used,)
        Those of them that have the response.

    Raises
    ------
    DataError
        When it is no number, or anything is not finite.
    """
    every = bool(mask.all())
    if not every:
        rows = rows.copy()
        rows[rows] = mask
    values = [reading.values[v] if every else take(reading.values[v], mask) for v in terms.variables]
    y = _response(node, reading.values[node] if every else take(reading.values[node], mask), rows)
    fixed = model_matrix(terms, values, blueprint.contrasts, len(y))
    require_finite_columns(fixed, "fixed effect", rows)
    kept = independent_columns(fixed.X) if fixed.names else np.empty(0, dtype=np.intp)
    X = np.asfortranarray(fixed.X[:, kept]) if len(kept) < len(fixed.names) else fixed.X
    offset = reading.total_offset(terms.offsets)
    if offset is not None:
        offset = offset[mask]
        require_finite("offset", "value", offset, rows)
    return ResponsePart(y, fixed, kept, X, offset)


def kept_columns(parts: Sequence[ResponsePart]) -> list[bool]:
    """Whether each column of all responses is kept."""
    return [bool(i in set(part.kept.tolist())) for part in parts for i in range(len(part.coded.names))]


def interleaved(stack: Stack, parts: Sequence[ResponsePart]) -> tuple[Floats, Floats | None, Codes]:
    """Responses and offsets of all traits in the order of the rows, and the row of the data of each."""
    traits = stack.traits
    y, offset = np.empty(len(traits.row)), np.zeros(len(traits.row))
    for t, part in enumerate(parts):
        y[traits.trait == t] = part.y
        if part.offset is not None:
            offset[traits.trait == t] = part.offset
    return y, None if all(part.offset is None for part in parts) else offset, traits.row


def require_finite_columns(matrix: ModelMatrix, what: str, rows: Rows) -> None:
    """Refuse a model matrix with infinite or undefined numbers; see `require_finite`."""
    if not np.isfinite(matrix.X).all():
        for text, column in zip(matrix.names, matrix.X.T, strict=True):
            require_finite(text, what, column, rows)


def _response(node: Node, value: Any, rows: Rows) -> Floats:
    text = deparse(node)
    if isinstance(value, Named):
        value = value.matrix
    if isinstance(value, Categorical):
        raise DataError(
            f"The response {text!r} is a factor or text with the levels {shown(value.labels)}; a linear mixed model "
            "needs numbers."
        )
    value = np.asarray(value, dtype=float)
    if value.ndim > 1 and value.shape[1] == 1:
        value = value[:, 0]
    if value.ndim > 1:
        raise DataError(f"The response {text!r} is a matrix with {value.shape[1]} columns; one is expected.")
    require_finite(text, "response", value, rows)
    return np.array(value, dtype=float)  # what the caller does to the data later does not touch the design


def checked_weights(weights: Floats, rows: Rows) -> Floats:
    """The weights of the rows used, which must be positive."""
    bad = ~(np.isfinite(weights) & (weights > 0))
    if bad.any():
        places = np.flatnonzero(rows)[bad]
        raise DataError(
            f"weights must be positive and finite; {bad.sum()} are not (first rows "
            f"{shown(places.tolist())}: {shown(weights[bad].tolist())}; rows counted from 0). To leave a "
            "row out use subset."
        )
    return weights
