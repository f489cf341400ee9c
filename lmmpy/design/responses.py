"""The responses of a model with their fixed effects, each on the rows that have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from lmmpy.design.blueprint import Blueprint
from lmmpy.design.coding import ModelMatrix, model_matrix
from lmmpy.design.rank import independent_columns
from lmmpy.design.reading import Reading
from lmmpy.design.rows import require_finite
from lmmpy.design.traits import Stack, side_by_side, stacked_fixed
from lmmpy.design.values import Categorical, Codes, Floats, Named, take
from lmmpy.errors import DataError, shown
from lmmpy.formula import Node, Terms, deparse

__all__ = ["Responses", "checked_weights", "read_responses", "require_finite_columns"]

Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class _ResponsePart:
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


def _response_part(
    blueprint: Blueprint, reading: Reading, terms: Terms, node: Node, rows: Rows, mask: Rows
) -> _ResponsePart:
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
    return _ResponsePart(y, fixed, kept, X, offset)


@dataclass(frozen=True, eq=False, slots=True)
class Responses:
    """
    All responses of a model, one below the other, with their fixed effects.

    Attributes
    ----------
    y : ndarray, shape (n,)
    X : ndarray, shape (n, p)
    names, assign, dropped
        See `Design`.
    offset : ndarray, shape (n,), or None
    row : ndarray of int, shape (n,)
        Number of each row among the rows of the data that are used.
    mean : callable
        Fitted values of least squares, shape (n,), given prior weights, shape (n,), or None.
    """

    y: Floats
    X: Floats
    names: tuple[str, ...]
    assign: tuple[int, ...]
    dropped: tuple[str, ...]
    offset: Floats | None
    row: Codes
    mean: Callable[[Floats | None], Floats]


def read_responses(blueprint: Blueprint, reading: Reading, rows: Rows, stack: Stack | None) -> Responses:
    """
    Read all responses with their fixed effects.

    Parameters
    ----------
    blueprint : Blueprint
    reading : Reading
        On the rows of the data that are used.
    rows : ndarray of bool, shape (n_rows,)
        The rows of the data that are used.
    stack : Stack or None
        With several traits.

    Raises
    ------
    DataError
        For a response that is no number, or numbers that are not finite.
    """
    parsed, n_used = blueprint.parsed, int(np.count_nonzero(rows))
    masks = [np.ones(n_used, dtype=bool)] if stack is None else list(stack.present.T)
    parts = [
        _response_part(blueprint, reading, terms, node, rows, mask)
        for terms, node, mask in zip(parsed.fixed_parts, parsed.responses, masks, strict=True)
    ]
    (part, *_), kept = parts, _kept_columns(parts)
    if stack is None:
        names, assign, row, X = part.coded.names, part.coded.assign, np.arange(n_used), part.X
    else:
        names, assign = side_by_side(parsed, [part.coded for part in parts])
        row, X = stack.traits.row, stacked_fixed(stack, [part.X for part in parts])

    def together(values: Sequence[Floats]) -> Floats:
        return values[0] if stack is None else stack.interleaved(values)

    def mean(weights: Floats | None) -> Floats:
        trait = np.zeros(len(row), dtype=np.intp) if stack is None else stack.traits.trait
        each = [None if weights is None else weights[trait == t] for t in range(len(parts))]
        return together([_least_squares(part, own) for part, own in zip(parts, each, strict=True)])

    offsets = [part.offset for part in parts]
    return Responses(
        y=together([part.y for part in parts]),
        X=X,
        names=tuple(name for name, keep in zip(names, kept, strict=True) if keep),
        assign=tuple(term for term, keep in zip(assign, kept, strict=True) if keep),
        dropped=tuple(name for name, keep in zip(names, kept, strict=True) if not keep),
        offset=None
        if all(offset is None for offset in offsets)
        else together([np.zeros(len(part.y)) if part.offset is None else part.offset for part in parts]),
        row=row,
        mean=mean,
    )


def _kept_columns(parts: Sequence[_ResponsePart]) -> list[bool]:
    """Whether each column of all responses is kept."""
    found: list[bool] = []
    for part in parts:
        kept = np.zeros(len(part.coded.names), dtype=bool)
        kept[part.kept] = True
        found += kept.tolist()
    return found


def _least_squares(part: _ResponsePart, weights: Floats | None) -> Floats:
    """Fitted values of (weighted) least squares; from cross-products, which is enough for where a search begins."""
    offset = 0.0 if part.offset is None else part.offset
    norms = np.sqrt(np.einsum("ij,ij->j", part.X, part.X))
    weighted = part.X if weights is None else part.X * np.sqrt(weights)[:, None]
    right = part.y - offset if weights is None else (part.y - offset) * np.sqrt(weights)
    try:
        factor = linalg.cho_factor(weighted.T @ weighted / np.outer(norms, norms))
        beta = linalg.cho_solve(factor, weighted.T @ right / norms) / norms
    except np.linalg.LinAlgError:
        beta = np.linalg.lstsq(weighted, right, rcond=None)[0]
    return np.asarray(part.X @ beta + offset)


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
