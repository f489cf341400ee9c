"""Natural cubic splines with R's knots and R's basis (`splines::ns`), remembered for new data."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import numpy as np
from scipy.interpolate import BSpline

from lmmpy.design.values import Floats
from lmmpy.errors import FormulaError

__all__ = ["natural_spline"]

_ORDER = 4


def natural_spline(
    x: Floats,
    df: int | None = None,
    knots: Any = None,
    intercept: bool = False,
    boundary_knots: Any = None,
    *,
    state: MutableMapping[str, Any],
) -> Floats:
    """
    Basis of the cubic splines that are linear beyond the boundary knots.

    The cubic B-splines on the knots are projected on the null space of their second derivatives at the two boundary
    knots (Hastie 1992, in Chambers & Hastie, §7.3.1); the null space comes from a QR decomposition, as in R, which
    fixes the basis and its signs.

    Parameters
    ----------
    x : ndarray, shape (n,)
        NaN gives NaN.
    df : int, optional
        Number of columns; knots are then put at quantiles of x. Default 1 + number of knots.
    knots : array-like, optional
        Inner knots.
    intercept : bool
        Whether the space contains the constant.
    boundary_knots : pair of float, optional
        Default: the range of x.
    state : mutable mapping
        Holds the knots after the first call.

    Returns
    -------
    ndarray, shape (n, df)
    """
    if "knots" not in state:
        state["knots"], state["boundary"] = _place_knots(x, df, knots, intercept, boundary_knots)
    inner, boundary = state["knots"], state["boundary"]
    full = np.concatenate([np.repeat(boundary[0], _ORDER), inner, np.repeat(boundary[1], _ORDER)])
    basis = _linear_beyond(x, full, boundary)
    bend = _derivative(full, boundary, 2)
    if not intercept:
        basis, bend = basis[:, 1:], bend[:, 1:]
    Q = np.linalg.qr(bend.T, mode="complete")[0]
    return np.asarray(basis @ Q[:, 2:])


def _place_knots(x: Floats, df: int | None, knots: Any, intercept: bool, boundary_knots: Any) -> tuple[Floats, Floats]:
    seen = x[~np.isnan(x)]
    if not len(seen):
        raise FormulaError("ns() has no values to place knots among: the variable is missing everywhere.")
    boundary = (
        np.sort(np.asarray(boundary_knots, dtype=float))
        if boundary_knots is not None
        else np.array([seen.min(), seen.max()])
    )
    if knots is not None:
        return np.sort(np.atleast_1d(np.asarray(knots, dtype=float))), boundary
    n_inner = int(df) - 1 - intercept if df is not None else 0
    if n_inner < 0:
        raise FormulaError(f"ns() needs df of at least {1 + intercept}, not {df}.")
    inside = seen[(seen >= boundary[0]) & (seen <= boundary[1])]
    return np.quantile(inside, np.linspace(0, 1, n_inner + 2)[1:-1]), boundary


def _design(x: Floats, full: Floats) -> Floats:
    return np.asarray(BSpline.design_matrix(x, full, _ORDER - 1).toarray(), dtype=float)


def _derivative(full: Floats, x: Floats, order: int) -> Floats:
    n_basis = len(full) - _ORDER
    columns = [BSpline(full, np.eye(n_basis)[i], _ORDER - 1)(x, nu=order) for i in range(n_basis)]
    return np.column_stack(columns)


def _linear_beyond(x: Floats, full: Floats, boundary: Floats) -> Floats:
    """The B-spline basis, continued by its tangent outside the boundary knots."""
    basis = np.full((len(x), len(full) - _ORDER), np.nan)
    inside = (x >= boundary[0]) & (x <= boundary[1])
    basis[inside] = _design(x[inside], full)
    for outside, edge in ((x < boundary[0], boundary[:1]), (x > boundary[1], boundary[1:])):
        if outside.any():
            basis[outside] = _design(edge, full) + np.outer(x[outside] - edge[0], _derivative(full, edge, 1)[0])
    return basis
