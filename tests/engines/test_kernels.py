"""Every compiled loop against its numpy twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lmmpy.engines import _kernels
from tests.engines import twins

CLOSE = {"rtol": 1e-11, "atol": 1e-12}  # sums of at most a few hundred products of size 1
seeds = st.integers(0, 2**32 - 1)
ks, levels_ = st.integers(1, 5), st.integers(1, 20)


def frozen(*arrays):
    for array in arrays:
        array.flags.writeable = False
    return arrays


def upper(rng, levels, k):
    """C_l, now and then without a direction."""
    C = np.triu(rng.normal(size=(levels, k, k)))
    C[rng.random((levels, k)) < 0.1] = 0.0
    return C


def symmetric(rng, *shape):
    A = rng.normal(size=shape)
    return A + A.swapaxes(-1, -2)


@st.composite
def problems(draw):
    """Sparse G_l: levels without an entry, with some, with all; r up to 40."""
    rng, k, levels = np.random.default_rng(draw(seeds)), draw(ks), draw(levels_)
    r, density = draw(st.integers(1, 40)), draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    present = rng.random((levels, r)) < density
    pointers = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    columns = np.nonzero(present)[1].astype(np.int32)
    G = rng.normal(size=(len(columns), k))
    return rng, r, *frozen(pointers, columns, G)


# ---- level_inverses


@given(ks, levels_, seeds)
def test_level_inverses(k, levels, seed):
    rng = np.random.default_rng(seed)
    C, T = frozen(upper(rng, levels, k), np.tril(rng.normal(size=(k, k))))
    R = np.full(C.shape, np.nan)
    logdet = _kernels.level_inverses(C, T, R)
    expected, inverses = twins.level_inverses(C, T)
    assert logdet == pytest.approx(expected, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(R, inverses, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(R, R.transpose(0, 2, 1))


def test_level_inverses_reads_all_of_T():
    """T of `cs` is no triangle."""
    C, T = np.triu(np.arange(1.0, 10.0).reshape(1, 3, 3)), np.array([[0.0, 0.3, 0.1], [0.3, 0.0, 0.2], [0.5, 0.2, 0.1]])
    R = np.empty(C.shape)
    expected, inverses = twins.level_inverses(C, T)
    assert _kernels.level_inverses(C, T, R) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(R, inverses, rtol=1e-12)


def test_level_inverses_reads_the_upper_triangle_of_C():
    C = np.full((2, 3, 3), np.nan)
    a, b = np.triu_indices(3)
    C[:, a, b] = 1.0
    R = np.empty(C.shape)
    assert _kernels.level_inverses(C, np.eye(3), R) == pytest.approx(
        twins.level_inverses(np.triu(np.ones((2, 3, 3))), np.eye(3))[0], rel=1e-14
    )


@pytest.mark.parametrize("size", [1e-9, 1e30, 1e60, 1e75])
def test_the_product_of_pivots_does_not_overflow(size):
    C, T = np.full((50, 1, 1), size), np.ones((1, 1))
    assert _kernels.level_inverses(C, T, np.empty(C.shape)) == pytest.approx(50 * np.log1p(size**2), rel=1e-14)


def test_no_levels():
    assert _kernels.level_inverses(np.empty((0, 2, 2)), np.eye(2), np.empty((0, 2, 2))) == 0.0


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_one_bad_level_is_enough(k, place, bad):
    """Wherever it is, and whatever is computed after it."""
    C = np.broadcast_to(np.eye(k), (7, k, k)).copy()
    C[place, 0, 0] = bad
    assert not np.isfinite(_kernels.level_inverses(C, np.eye(k), np.empty(C.shape)))
    T = np.eye(k)
    T[0, 0] = bad
    assert not np.isfinite(_kernels.level_inverses(np.ones((7, k, k)), T, np.empty(C.shape)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_off_the_diagonal(bad):
    C = np.broadcast_to(np.eye(3), (4, 3, 3)).copy()
    C[1, 0, 2] = bad
    assert np.isnan(_kernels.level_inverses(C, np.eye(3), np.empty(C.shape)))


# ---- level_products


@given(ks, levels_, st.integers(0, 6), st.booleans(), seeds)
def test_level_products(k, levels, width, transposed, seed):
    rng = np.random.default_rng(seed)
    A, B = frozen(rng.normal(size=(levels, k, k)), rng.normal(size=(levels, k, width)))
    out = np.full(B.shape, np.nan)
    _kernels.level_products(A, B, transposed, out)
    np.testing.assert_allclose(out, twins.level_products(A, B, transposed), **CLOSE)


# ---- the two quadratic forms


@given(problems())
def test_add_quadratic_forms(problem):
    """Added to what H holds; its upper triangle stays what it was, to the bit."""
    rng, r, pointers, columns, G = problem
    (R,) = frozen(symmetric(rng, len(pointers) - 1, G.shape[1], G.shape[1]))
    before = rng.normal(size=(r, r))
    H = before.copy()
    _kernels.add_quadratic_forms(pointers, columns, G, R, H)
    added = twins.sum_of_forms(twins.level_matrices(pointers, columns, G, r), R)
    np.testing.assert_allclose(np.tril(H), np.tril(before + added), rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(np.triu(H, 1), np.triu(before, 1))


@given(problems())
def test_quadratic_forms(problem):
    """The upper triangle of Q is not read."""
    rng, r, pointers, columns, G = problem
    Q = symmetric(rng, r, r)
    half = np.where(np.tril(np.ones((r, r), dtype=bool)), Q, np.nan)
    frozen(half)
    X = np.full((len(pointers) - 1, G.shape[1], G.shape[1]), np.nan)
    _kernels.quadratic_forms(pointers, columns, G, half, X)
    expected = twins.quadratic_forms(twins.level_matrices(pointers, columns, G, r), Q)
    np.testing.assert_allclose(X, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(X, X.transpose(0, 2, 1), **CLOSE)


@given(problems())
def test_each_form_is_the_adjoint_of_the_other(problem):
    """⟨forms(Q), R⟩ = ⟨added(R), Q⟩ for symmetric Q and R."""
    rng, r, pointers, columns, G = problem
    k, levels = G.shape[1], len(pointers) - 1
    R, Q = symmetric(rng, levels, k, k), symmetric(rng, r, r)
    H, X = np.zeros((r, r)), np.empty((levels, k, k))
    _kernels.add_quadratic_forms(pointers, columns, G, R, H)
    _kernels.symmetrize(H)
    _kernels.quadratic_forms(pointers, columns, G, Q, X)
    size = np.abs(H).ravel() @ np.abs(Q).ravel()
    assert np.vdot(X, R) == pytest.approx(np.vdot(H, Q), rel=0, abs=1e-12 * (1.0 + size))


# ---- selected_inverse


@given(st.integers(1, 25), st.sampled_from([0.0, 0.1, 0.4, 1.0]), seeds)
def test_selected_inverse(size, density, seed):
    """Patterns closed under elimination; work space may hold anything before."""
    rng = np.random.default_rng(seed)
    pattern = np.tril(rng.random((size, size)) < density, -1)
    for j in range(size):
        below = np.flatnonzero(pattern[:, j])
        pattern[np.ix_(below, below)] |= np.tril(np.ones((len(below),) * 2, dtype=bool), -1)
    pattern |= np.eye(size, dtype=bool)
    columns, rows = np.nonzero(pattern.T)
    values = rng.normal(size=len(rows)) / np.sqrt(size)
    values[rows == columns] = rng.uniform(1.0, 3.0, size)
    pointers = np.searchsorted(columns, np.arange(size + 1)).astype(np.int32)
    rows, values, pointers = frozen(rows.astype(np.int32), values, pointers)
    out, y, sums = np.full(len(rows), np.nan), np.full(size, np.nan), np.full(size, np.nan)
    _kernels.selected_inverse(pointers, rows, values, out, y, sums)
    np.testing.assert_allclose(out, twins.selected_inverse(pointers, rows, values), rtol=1e-9, atol=1e-11)


# ---- symmetrize


@pytest.mark.parametrize("size", [0, 1, 2, 31, 32, 33, 63, 64, 65, 97])
def test_symmetrize(size):
    """By tiles of 32: sizes on both sides of their edges."""
    A = np.random.default_rng(size).normal(size=(size, size))
    expected = twins.symmetrized(A)
    A[np.triu_indices(size, 1)] = np.nan
    _kernels.symmetrize(A)
    np.testing.assert_array_equal(A, expected)


@given(st.integers(1, 80), seeds)
@example(32, 0)
def test_symmetrize_changes_no_lower_triangle(size, seed):
    A = np.random.default_rng(seed).normal(size=(size, size))
    before = A.copy()
    _kernels.symmetrize(A)
    np.testing.assert_array_equal(np.tril(A), np.tril(before))
    np.testing.assert_array_equal(A, A.T)
