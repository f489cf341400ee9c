"""The adapter against dense linear algebra; the same for every scikit-sparse that lmmpy takes."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg
from sksparse import cholmod

from lmmpy.engines.cholmod import NotPositiveDefiniteError, SymbolicCholesky, _crowded
from lmmpy.errors import ModelError

# The matrices below have condition numbers under 1e4 unless a test says otherwise.
CLOSE = {"rtol": 1e-10, "atol": 1e-12}

SMALL, LARGE = 12, 160
SUPERNODAL_FROM = 300
"""Operations for each entry of L from which the adapter asks for dense blocks; CHOLMOD's own rule says 40."""


def random_mask(size, density, seed):
    """The lower triangle of a random pattern, diagonal included."""
    mask = np.tril(np.random.default_rng(seed).random((size, size)) < density)
    np.fill_diagonal(mask, True)
    return mask


def arrow_mask(size):
    """Row and column 0 full: without a permutation L is full, with one it has no fill at all."""
    mask = np.eye(size, dtype=bool)
    mask[:, 0] = True
    return mask


MASKS = {
    "diagonal": np.eye(7, dtype=bool),
    "arrow": arrow_mask(9),
    "small": random_mask(SMALL, 0.3, 1),
    "sparse, many columns": random_mask(LARGE, 0.005, 2),
    "large": random_mask(600, 0.3, 3),
    "full": np.tril(np.ones((LARGE // 2, LARGE // 2), dtype=bool)),
}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
both_sizes = pytest.mark.parametrize("name", ["small", "large"])


def compressed(mask, dtype=np.int32):
    columns, rows = np.nonzero(mask.T)
    return np.searchsorted(columns, np.arange(len(mask) + 1)).astype(dtype), rows.astype(dtype)


def random_values(mask, seed):
    """Values on the pattern that make a diagonally dominant matrix, and that matrix."""
    rng = np.random.default_rng(seed)
    lower = np.where(mask, rng.normal(size=mask.shape), 0.0)
    M = np.tril(lower, -1) + np.tril(lower, -1).T
    np.fill_diagonal(M, np.abs(M).sum(axis=0) + rng.uniform(0.5, 2.0, len(M)))
    return values_of(M, mask), M


def values_of(M, mask):
    return M.T[mask.T]


def assert_factor_of(factor, M, seed=0):
    size = len(M)
    P, L = factor.permutation(), factor.lower()
    assert sorted(P) == list(range(size))
    assert L.shape == (size, size)
    assert L.has_sorted_indices
    dense = L.toarray()
    assert np.all(np.triu(dense, 1) == 0)
    scale = np.abs(M).max()
    np.testing.assert_allclose(dense @ dense.T / scale, M[np.ix_(P, P)] / scale, **CLOSE)
    assert factor.logdet() == pytest.approx(np.linalg.slogdet(M)[1], rel=1e-12, abs=1e-12)
    B = np.random.default_rng(seed).normal(size=(size, 3))
    np.testing.assert_allclose(factor.solve(B), np.linalg.solve(M, B), **CLOSE)
    np.testing.assert_allclose(factor.solve(B[:, 0]), np.linalg.solve(M, B[:, 0]), **CLOSE)
    half = linalg.solve_triangular(dense, B[P], lower=True)
    np.testing.assert_allclose(factor.half_solve(B), half, **CLOSE)
    assert factor.half_solve(B[:, :1]).shape == (size, 1)


def test_sizes_reach_both_methods():
    work = {}
    for name in ("small", "large"):
        values, _ = random_values(MASKS[name], 0)
        counts = np.diff(SymbolicCholesky(*compressed(MASKS[name])).factorize(values).lower().indptr)
        work[name] = (counts.astype(float) ** 2).sum() / counts.sum()
    assert work["small"] < SUPERNODAL_FROM < work["large"]


@each_mask
def test_every_operation(mask):
    values, M = random_values(mask, 10)
    symbolic = SymbolicCholesky(*compressed(mask))
    assert symbolic.n_entries == mask.sum()
    assert_factor_of(symbolic.factorize(values), M)


@given(st.integers(1, 14), st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
def test_random_patterns(size, density, seed):
    mask = random_mask(size, density, seed)
    values, M = random_values(mask, seed)
    assert_factor_of(SymbolicCholesky(*compressed(mask)).factorize(values), M, seed)


@both_sizes
def test_refactorization_many_times(name):
    """Each factor stays right, whatever is factorised after it; all share one permutation and one pattern."""
    mask = MASKS[name]
    symbolic = SymbolicCholesky(*compressed(mask))
    systems = [random_values(mask, seed) for seed in range(12)]
    factors = [symbolic.factorize(values) for values, _ in systems]
    for factor, (_, M) in zip(factors, systems, strict=True):
        assert_factor_of(factor, M)
        np.testing.assert_array_equal(factor.permutation(), factors[0].permutation())
        np.testing.assert_array_equal(factor.lower().indptr, factors[0].lower().indptr)
        np.testing.assert_array_equal(factor.lower().indices, factors[0].lower().indices)


@each_mask
def test_explicit_zeros_keep_the_pattern(mask):
    """At θ = 0 most of M is zero; the places of its values in L must be those of any other θ."""
    symbolic = SymbolicCholesky(*compressed(mask))
    values, M = random_values(mask, 20)
    L = symbolic.factorize(values).lower()
    i = np.arange(len(M))
    some = np.where(np.abs(np.subtract.outer(i, i)) % 3 == 1, 0.0, M)
    for zeros in (some, np.diag(np.diag(M))):
        factor = symbolic.factorize(values_of(zeros, mask))
        assert_factor_of(factor, zeros)
        np.testing.assert_array_equal(factor.lower().indptr, L.indptr)
        np.testing.assert_array_equal(factor.lower().indices, L.indices)
    assert_factor_of(symbolic.factorize(values), M)


@pytest.mark.parametrize("shape", [(0,), (4,), (6,), (5, 1)])
def test_wrong_number_of_values(shape):
    symbolic = SymbolicCholesky(np.array([0, 2, 4, 5]), np.array([0, 2, 1, 2, 2]))
    with pytest.raises(ValueError, match="expected 5 values"):
        symbolic.factorize(np.ones(shape))


@both_sizes
@pytest.mark.parametrize("pivot", [-1.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_not_positive_definite(name, pivot, place):
    mask = MASKS[name]
    symbolic = SymbolicCholesky(*compressed(mask))
    values, M = random_values(mask, 30)
    wrong = M.copy()
    wrong[place, place] = pivot
    with pytest.raises(NotPositiveDefiniteError):
        symbolic.factorize(values_of(wrong, mask))
    assert_factor_of(symbolic.factorize(values), M)


@both_sizes
def test_indefinite_with_a_positive_diagonal(name):
    mask = MASKS[name]
    _, M = random_values(mask, 40)
    np.fill_diagonal(M, np.diag(M) - 0.5 * (np.linalg.eigvalsh(M)[0] + np.diag(M).min()))
    assert np.diag(M).min() > 0 > np.linalg.eigvalsh(M)[0]
    with pytest.raises(NotPositiveDefiniteError):
        SymbolicCholesky(*compressed(mask)).factorize(values_of(M, mask))


def test_negative_definite():
    with pytest.raises(NotPositiveDefiniteError):
        SymbolicCholesky(np.array([0, 2, 3]), np.array([0, 1, 1])).factorize(np.array([-2.0, 1.0, -3.0]))


def test_one_by_one():
    factor = SymbolicCholesky(np.array([0, 1]), np.array([0])).factorize(np.array([4.0]))
    assert factor.logdet() == pytest.approx(np.log(4.0), rel=1e-15)
    assert factor.lower().toarray() == [[2.0]]
    assert factor.permutation() == [0]
    assert factor.solve(np.array([8.0])) == [2.0]
    assert factor.half_solve(np.array([[8.0]])) == [[4.0]]
    assert factor.solve(np.empty((1, 0))).shape == factor.half_solve(np.empty((1, 0))).shape == (1, 0)


def test_nothing_at_all():
    factor = SymbolicCholesky(np.array([0]), np.array([], dtype=int)).factorize(np.empty(0))
    assert factor.logdet() == 0.0
    assert factor.permutation().shape == (0,)
    assert factor.solve(np.empty((0, 2))).shape == factor.half_solve(np.empty((0, 2))).shape == (0, 2)


def test_permutation_saves_fill():
    mask = arrow_mask(30)
    values, M = random_values(mask, 50)
    factor = SymbolicCholesky(*compressed(mask)).factorize(values)
    assert factor.permutation()[0] != 0
    assert factor.lower().nnz == mask.sum()
    assert_factor_of(factor, M)


@both_sizes
def test_index_types(name):
    mask = MASKS[name]
    values, M = random_values(mask, 60)
    indptr, indices = compressed(mask, np.int64)
    for types in ((np.int64, np.int64), (np.int64, np.int32), (np.int32, np.int64), (np.uint64, np.int16)):
        factor = SymbolicCholesky(indptr.astype(types[0]), indices.astype(types[1])).factorize(values)
        assert_factor_of(factor, M)
        assert factor.permutation().dtype == np.intp


def test_arrays_of_the_caller_are_not_kept():
    indptr, indices = compressed(MASKS["small"])
    symbolic = SymbolicCholesky(indptr, indices)
    values, M = random_values(MASKS["small"], 70)
    indptr[:], indices[:] = 0, 0
    factor = symbolic.factorize(values)
    values[:] = np.nan
    factor.lower().data[:] = np.nan
    factor.permutation()[:] = 0
    assert_factor_of(factor, M)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("operation", ["solve", "half_solve"])
def test_right_hand_sides_are_only_read(operation, order):
    values, _ = random_values(MASKS["small"], 80)
    values.flags.writeable = False
    factor = SymbolicCholesky(*compressed(MASKS["small"])).factorize(values)
    B = np.array(np.random.default_rng(81).normal(size=(SMALL, 4)), order=order)
    expected = getattr(factor, operation)(B.copy())
    kept = B.copy()
    B.flags.writeable = False
    for right, result in ((B, expected), (B[:, ::2], expected[:, ::2])):
        actual = getattr(factor, operation)(right)
        np.testing.assert_array_equal(actual, result)
        assert actual.flags.writeable
    np.testing.assert_array_equal(B, kept)
    np.testing.assert_array_equal(factor.solve(np.arange(SMALL)), factor.solve(np.arange(SMALL, dtype=float)))


def test_condition_beyond_double_precision_is_no_warning():
    """A large θ makes M like this, and its solution is exact; the tests' settings make a warning an error."""
    factor = SymbolicCholesky(np.arange(3), np.arange(2)).factorize(np.array([1.0, 1e18]))
    np.testing.assert_allclose(factor.solve(np.array([3.0, 1e18])), [3.0, 1.0], rtol=1e-15)
    half = factor.half_solve(np.array([[3.0], [1e9]]))[:, 0]
    np.testing.assert_allclose(half, np.array([3.0, 1.0])[factor.permutation()], rtol=1e-15)


@both_sizes
def test_a_factor_is_freed_with_its_last_user(name):
    """A view of a factor that the factor keeps would hold both for ever, and a fit makes hundreds."""
    values, _ = random_values(MASKS[name], 90)
    factor = SymbolicCholesky(*compressed(MASKS[name])).factorize(values)
    factor.lower(), factor.permutation(), factor.logdet()
    factor.solve(np.ones(len(MASKS[name]))), factor.half_solve(np.ones((len(MASKS[name]), 2)))
    held, plain = factor._factor._factor, SimpleNamespace(held=object())
    alike = plain.held
    assert sys.getrefcount(held) == sys.getrefcount(alike)


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 2, 3], [0, 1], "indptr must rise"),
        ([1, 2, 3], [0, 1, 1], "indptr must rise"),
        ([0, 0, 1], [1], "indptr must rise"),
        ([0, 3, 2], [0, 1], "indptr must rise"),
        ([0, 1, 2], [0, 0], "diagonal"),
        ([0, 2, 3], [1, 0, 1], "diagonal"),
        ([0, 2, 3], [0, 2, 1], "less than 2"),
        ([0, 3, 4, 5], [0, 2, 1, 1, 2], "must ascend"),
        ([0, 3, 4], [0, 1, 1, 1], "must ascend"),
    ],
)
def test_pattern_that_is_no_lower_triangle(indptr, indices, message):
    with pytest.raises(ValueError, match=message):
        SymbolicCholesky(np.array(indptr), np.array(indices))


# ---- rows with very many entries


def crowded_mask(size, crowded, seed):
    """A thin pattern with some rows that meet nearly all others, anywhere in the order."""
    rng = np.random.default_rng(seed)
    whole = random_mask(size, 0.5 / size, seed)
    whole |= whole.T
    for row in rng.choice(size, crowded, replace=False):
        met = rng.random(size) < 0.7
        whole[row] |= met
        whole[:, row] |= met
    return np.tril(whole)


@pytest.mark.parametrize("seed", range(4))
def test_crowded_rows_may_come_last(monkeypatch, seed):
    """Another order, the same matrix: everything that is asked of a factor agrees with itself and with M."""
    monkeypatch.setattr("lmmpy.engines.cholmod._MANY_ROWS", 50)
    mask = crowded_mask(400, 3, seed)
    symbolic = SymbolicCholesky(*compressed(mask), crowded_last=True)
    for draw in range(2):
        values, M = random_values(mask, draw)
        assert_factor_of(symbolic.factorize(values), M)


@pytest.mark.skipif(hasattr(cholmod, "CholeskyFactor"), reason="scikit-sparse 0.5 keeps CHOLMOD's order")
def test_the_crowded_rows_are_the_last(monkeypatch):
    monkeypatch.setattr("lmmpy.engines.cholmod._MANY_ROWS", 50)
    mask = crowded_mask(400, 3, 5)
    whole = mask | mask.T
    expected = set(np.argsort(whole.sum(axis=0))[-3:].tolist())
    values, _ = random_values(mask, 0)
    factor = SymbolicCholesky(*compressed(mask), crowded_last=True).factorize(values)
    assert set(factor.permutation()[-3:].tolist()) == expected


def test_few_rows_or_even_ones_are_left_to_the_usual_order(monkeypatch):
    mask = crowded_mask(400, 3, 6)
    pointers, rows = compressed(mask)
    assert _crowded(pointers, rows) is None
    monkeypatch.setattr("lmmpy.engines.cholmod._MANY_ROWS", 50)
    assert _crowded(pointers, rows).sum() == 3
    assert _crowded(*compressed(np.eye(400, dtype=bool))) is None
    assert _crowded(*compressed(crowded_mask(400, 40, 7))) is None


def test_a_factor_for_which_there_is_no_room_is_told_in_words(monkeypatch):
    values, _ = random_values(MASKS["small"], 0)
    symbolic = SymbolicCholesky(*compressed(MASKS["small"]))

    def refuse(matrix):
        raise cholmod.CholmodTooLargeError("problem too large")

    monkeypatch.setattr(symbolic, "_analysis", SimpleNamespace(factorize=refuse))
    with pytest.raises(ModelError, match=r"no room for the factor of 12 random effects \(problem too large\)"):
        symbolic.factorize(values)
