"""Tests of coefficients from their estimates, or from log-likelihoods, many models at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lmmpy.inference.column_tests import ColumnTests

__all__ = ["joined_tests", "lrt_tests", "no_tests", "placed_tests", "replaced_tests", "wald_tests", "without"]

Floats = NDArray[np.float64]


def wald_tests(beta: Floats, vcov: Floats, df: int) -> ColumnTests:
    """
    F tests of all k coefficients of each of m models, and of the last one.

    Parameters
    ----------
    beta : ndarray, shape (m, k)
        NaN where a model has none.
    vcov : ndarray, shape (m, k, k)
    df : int
        Of the denominator.

    Returns
    -------
    ColumnTests
    """
    gone, k, failed = _gone(beta), beta.shape[1], np.zeros(len(beta), dtype=bool)
    std_error = np.sqrt(np.einsum("maa->ma", vcov))
    safe = np.where(gone[:, None, None], np.eye(k), vcov)
    every = np.einsum("ma,ma->m", beta, np.linalg.solve(safe, beta[:, :, None])[:, :, 0]) / k
    last = (beta[:, -1] / std_error[:, -1]) ** 2
    return ColumnTests(
        beta, std_error, every, special.fdtrc(k, df, every), last, special.fdtrc(1, df, last), gone, failed
    )


def lrt_tests(beta: Floats, vcov: Floats, gain: Floats, last: Floats) -> ColumnTests:
    """
    Likelihood ratio tests of all k coefficients of each of m models, and of the last one.

    Parameters
    ----------
    beta : ndarray, shape (m, k)
        NaN where a model has none.
    vcov : ndarray, shape (m, k, k)
    gain, last : ndarray, shape (m,)
        By how much −2 log-likelihood falls by all coefficients, and by the last; what a search leaves below zero
        counts as zero.

    Returns
    -------
    ColumnTests
    """
    gone, k, failed = _gone(beta), beta.shape[1], np.zeros(len(beta), dtype=bool)
    std_error = np.sqrt(np.einsum("maa->ma", vcov))
    gain, last = (np.where(gone, np.nan, np.maximum(x, 0.0)) for x in (gain, last))
    return ColumnTests(beta, std_error, gain, special.chdtrc(k, gain), last, special.chdtrc(1, last), gone, failed)


def without(found: ColumnTests, failed: NDArray[np.bool_]) -> ColumnTests:
    """The tests, with none of some groups, of which the search did not converge."""
    if not failed.any():
        return found
    gone: dict[str, Any] = {}
    for field in fields(ColumnTests):
        values = getattr(found, field.name)
        if isinstance(values, np.ndarray) and values.dtype == np.float64:
            gone[field.name] = np.where(failed.reshape(-1, *(1,) * (values.ndim - 1)), np.nan, values)
    return replace(found, **gone, failed=failed & ~found.collinear)


def placed_tests(found: ColumnTests, kept: NDArray[np.intp], m: int, k: int) -> ColumnTests:
    """The tests of some of m groups of k columns among the others, which are collinear."""
    made: dict[str, Any] = {}
    for field in fields(ColumnTests):
        if field.name == "note":
            continue
        values = getattr(found, field.name)
        wide = np.full((m, k) if values.ndim > 1 else m, field.name == "collinear" if values.dtype == bool else np.nan)
        wide[kept] = values
        made[field.name] = wide
    return replace(found, **made)


def no_tests(m: int, k: int) -> ColumnTests:
    """Of m groups of k columns, all of them collinear."""
    nan, columns = np.full(m, np.nan), np.full((m, k), np.nan)
    return ColumnTests(columns, columns, nan, nan, nan, nan, np.ones(m, dtype=bool), np.zeros(m, dtype=bool))


def joined_tests(parts: Sequence[ColumnTests]) -> ColumnTests:
    """Tests of groups that follow each other, as one."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(ColumnTests) if field.name != "note"]
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **joined)


def replaced_tests(found: ColumnTests, places: NDArray[np.intp], others: ColumnTests) -> ColumnTests:
    """The tests with those of some groups replaced."""
    mended: dict[str, Any] = {}
    for field in fields(ColumnTests):
        if field.name != "note":
            mended[field.name] = getattr(found, field.name).copy()
            mended[field.name][places] = getattr(others, field.name)
    return replace(found, **mended)


def _gone(beta: Floats) -> NDArray[np.bool_]:
    """Which models have no estimates."""
    return np.asarray(~np.isfinite(beta).all(axis=1))
