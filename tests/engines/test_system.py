"""Products with Λ, for few levels and for many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import linalg

from lmmpy.covariance import Factor
from lmmpy.engines.system import apply_factors, by_level, multiply_levels, regular_inverse, transpose_apply_factors


@pytest.mark.parametrize("levels", [1, 999, 1000, 1001, 1500])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_multiply_levels(levels, k):
    rng = np.random.default_rng(levels)
    matrix, values = rng.normal(size=(k, k)), rng.normal(size=(levels, k, 2))
    out = np.full(values.shape, np.nan)
    multiply_levels(matrix, values, out)
    np.testing.assert_allclose(out, np.einsum("ab,lbm->lam", matrix, values), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("width", [None, 1, 3])
@pytest.mark.parametrize("many", [3, 1200])
def test_products_with_Lambda(width, many):
    """Terms of one, two and three effects; T of `cs` is no triangle."""
    rng = np.random.default_rng(many)
    Ts, levels = [rng.normal(size=(k, k)) for k in (1, 2, 3)], [4, many, 2]
    starts = tuple(np.cumsum([0, *(n * len(T) for n, T in zip(levels, Ts, strict=True))]).tolist())
    values = rng.normal(size=(starts[-1],) if width is None else (starts[-1], width))
    factors = [Factor(T, np.empty((0, *T.shape))) for T in Ts]
    pieces = [values[a:b] for a, b in itertools.pairwise(starts)]
    for function, matrices in ((apply_factors, Ts), (transpose_apply_factors, [T.T for T in Ts])):
        expected = [
            np.concatenate([T @ level for level in np.split(piece, n)])
            for T, piece, n in zip(matrices, pieces, levels, strict=True)
        ]
        np.testing.assert_allclose(function(factors, values, starts), np.concatenate(expected), rtol=1e-12, atol=1e-13)


def test_by_level_is_a_view():
    values = np.zeros((6, 2))
    by_level(values, 3)[1, 2, 0] = 5.0
    assert values[5, 0] == 5.0


@pytest.mark.parametrize("unit", [(1.0, 1.0, 1.0), (1e-9, 1.0, 1e9)])
def test_regular_inverse_in_any_units(unit):
    """The units of the effects do not matter; a zero or a correlation of one does."""
    unit = np.array(unit)
    regular = np.tril(np.ones((3, 3))) * unit[:, None]
    np.testing.assert_allclose(regular_inverse(regular, unit) @ regular, np.eye(3), atol=1e-15)
    for singular in (linalg.block_diag([[1.0, 0.0], [1.0, 0.0]], 1.0), np.diag([1.0, 1e-9, 1.0]), np.zeros((3, 3))):
        assert regular_inverse(singular * unit[:, None], unit) is None


def test_regular_inverse_of_one_effect():
    """Any number but zero can be divided by."""
    np.testing.assert_array_equal(regular_inverse(np.array([[-1e-200]]), np.ones(1)), [[-1e200]])
    assert regular_inverse(np.zeros((1, 1)), np.ones(1)) is None
