"""The selected inverse against the dense inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, sparse

from lmmpy.engines.cholmod import SymbolicCholesky
from lmmpy.engines.selected_inverse import SelectedInverse

# Diagonally dominant matrices, condition numbers under 1e4.
CLOSE = {"rtol": 1e-10, "atol": 1e-13}


def filled(mask):
    """The pattern of L for a lower pattern of M, by elimination, column by column."""
    pattern = np.tril(mask | mask.T)
    np.fill_diagonal(pattern, True)
    for j in range(len(pattern)):
        below = j + 1 + np.flatnonzero(pattern[j + 1 :, j])
        pattern[np.ix_(below, below)] |= np.tril(np.ones((len(below), len(below)), dtype=bool))
    return pattern


def dominant(mask, seed):
    rng = np.random.default_rng(seed)
    lower = np.tril(np.where(mask | mask.T, rng.normal(size=mask.shape), 0.0), -1)
    M = lower + lower.T
    np.fill_diagonal(M, np.abs(M).sum(axis=0) + rng.uniform(0.5, 2.0, len(M)))
    return M


def on_pattern(values, pattern):
    """Values on a lower pattern by columns, zeros kept."""
    columns, rows = np.nonzero(pattern.T)
    indptr = np.searchsorted(columns, np.arange(len(pattern) + 1))
    return sparse.csc_array((values[rows, columns], rows, indptr), shape=pattern.shape)


def block_diagonal(*masks):
    return linalg.block_diag(*masks).astype(bool)


def arrow(size, first):
    mask = np.eye(size, dtype=bool)
    mask[:, 0 if first else -1] = mask[0 if first else -1] = True
    return mask


def banded(size, width):
    return np.abs(np.subtract.outer(np.arange(size), np.arange(size))) <= width


def nested(groups, parts, width):
    """Children of `width` columns, their parent's columns after them, groups one after the other."""
    inner = np.eye(parts + 1, dtype=bool)
    inner[-1] = True
    return block_diagonal(*[np.kron(inner, np.ones((width, width))) for _ in range(groups)])


def random_mask(size, density, seed):
    return np.random.default_rng(seed).random((size, size)) < density


def shuffled(mask, seed):
    order = np.random.default_rng(seed).permutation(len(mask))
    return (mask | mask.T)[np.ix_(order, order)]


FOREST = block_diagonal(arrow(5, False), np.ones((1, 1)), banded(6, 2), np.eye(3), np.ones((4, 4)))
PATTERNS = {
    "one by one": np.ones((1, 1), dtype=bool),
    "diagonal": np.eye(6, dtype=bool),
    "arrow, no fill": arrow(8, False),
    "arrow, full fill": arrow(8, True),
    "tridiagonal": banded(9, 1),
    "banded": banded(15, 4),
    "dense": np.ones((11, 11), dtype=bool),
    "random, thin": random_mask(30, 0.03, 1),
    "random, thick": random_mask(30, 0.2, 2),
    "nested, k = 1": nested(3, 4, 1),
    "nested, k = 3": nested(3, 4, 3),
    "nested below crossed": shuffled(nested(2, 3, 2), 3),
    "forest": FOREST,
    "forest, trees interleaved": shuffled(FOREST, 4),
}
each_pattern = pytest.mark.parametrize("mask", PATTERNS.values(), ids=PATTERNS.keys())


def assert_selected(selected, L, expected):
    values = L.data.copy()
    actual = selected.compute(values)
    columns = np.repeat(np.arange(L.shape[1]), np.diff(L.indptr))
    np.testing.assert_allclose(actual, expected[L.indices, columns], **CLOSE)
    np.testing.assert_array_equal(values, L.data)


@each_pattern
def test_against_the_dense_inverse(mask):
    """The second and third values run through the symbolic part of the first."""
    pattern = filled(mask)
    selected = None
    for seed in range(3):
        M = dominant(mask, seed)
        L = on_pattern(np.linalg.cholesky(M), pattern)
        selected = selected or SelectedInverse(L)
        assert_selected(selected, L, np.linalg.inv(M))


@each_pattern
def test_zeros_in_a_pattern_that_is_too_large(mask):
    """As CHOLMOD's merged supernodes have, and every L at θ = 0."""
    full = np.tril(np.ones(mask.shape, dtype=bool))
    M = dominant(mask, 5)
    for values in (M, np.diag(np.diag(M))):
        for pattern in (full, filled(mask)):
            L = on_pattern(np.linalg.cholesky(values), pattern)
            assert_selected(SelectedInverse(L), L, np.linalg.inv(values))


@given(st.integers(1, 14), st.floats(0.0, 0.6), st.integers(0, 2**32 - 1))
def test_random_patterns(size, density, seed):
    mask = random_mask(size, density, seed)
    M = dominant(mask, seed)
    L = on_pattern(np.linalg.cholesky(M), filled(mask))
    assert_selected(SelectedInverse(L), L, np.linalg.inv(M))


@pytest.mark.parametrize(("size", "density"), [(20, 0.1), (250, 0.003), (160, 0.3)])
def test_on_the_factors_of_the_adapter(size, density):
    """Permuted, with merged supernodes; a thin, a forest-like and a thick one."""
    mask = np.tril(random_mask(size, density, 6) | np.eye(size, dtype=bool))
    M = dominant(mask, 7)
    columns, rows = np.nonzero(mask.T)
    symbolic = SymbolicCholesky(np.searchsorted(columns, np.arange(size + 1)), rows)
    factor = symbolic.factorize(M[rows, columns])
    P, L = factor.permutation(), factor.lower()
    assert_selected(SelectedInverse(L), L, np.linalg.inv(M)[np.ix_(P, P)])
