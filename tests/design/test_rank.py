"""Columns of X that others determine are dropped, the later ones, by R's rule."""

from __future__ import annotations

import numpy as np
import pytest

from lmmpy.design import build_design
from lmmpy.design.rank import _BLOCK, independent_columns
from tests.design.example import N, frame


def design(formula: str, **columns):
    return build_design(f"{formula} + (1 | g)", frame().assign(**columns))[0]


@pytest.mark.parametrize(
    ("formula", "kept", "dropped"),
    [
        ("y ~ x + z", ("(Intercept)", "x", "z"), ()),
        ("y ~ x + x2 + z", ("(Intercept)", "x", "z"), ("x2",)),
        ("y ~ x2 + x + z", ("(Intercept)", "x2", "z"), ("x",)),
        ("y ~ x + z + both", ("(Intercept)", "x", "z"), ("both",)),
        ("y ~ one + x", ("(Intercept)", "x"), ("one",)),
        ("y ~ 0 + one + x", ("one", "x"), ()),
        ("y ~ nil + x", ("(Intercept)", "x"), ("nil",)),
        ("y ~ f + f2", ("(Intercept)", "fq", "fr"), ("f2Q", "f2R")),
        ("y ~ x + tiny", ("(Intercept)", "x", "tiny"), ()),
        ("y ~ year + I(year^2)", ("(Intercept)", "year", "I(year^2)"), ()),
        ("y ~ x + nearly", ("(Intercept)", "x"), ("nearly",)),
        ("y ~ x + almost", ("(Intercept)", "x", "almost"), ()),
    ],
)
def test_which_columns_are_kept(formula, kept, dropped):
    data = frame()
    rng = np.random.default_rng(1)
    away = rng.normal(size=N)
    found = design(
        formula,
        x2=-2e5 * data["x"],
        both=data["x"] + data["z"],
        one=1.0,
        nil=0.0,
        f2=data["f"].str.upper(),
        tiny=1e-10 * data["z"],
        year=rng.integers(2000, 2021, N),
        nearly=data["x"] + 1e-9 * away,
        almost=data["x"] + 1e-5 * away,
    )
    assert (found.names, found.dropped) == (kept, dropped)
    assert found.X.shape == (N, len(kept))
    assert len(found.assign) == len(kept)


def test_a_cell_without_rows():
    """f:k has no row for (r, 1), so that one column of the interaction is empty."""
    data = frame()
    k = np.where(data["f"] == "r", 0, np.arange(N) % 2)
    found = design("y ~ f * factor(k)", k=k)
    assert found.dropped == ("fr:factor(k)1",)
    assert found.assign == (0, 1, 1, 2, 3)


def test_more_columns_than_rows():
    X = np.random.default_rng(2).normal(size=(4, 7))
    assert independent_columns(X).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_the_kept_columns_span_the_same_space(seed):
    rng = np.random.default_rng(seed)
    rank = rng.integers(1, 6)
    X = rng.normal(size=(20, rank)) @ rng.normal(size=(rank, 8)) * 10.0 ** rng.integers(-6, 6, 8)
    kept = independent_columns(X)
    assert kept.tolist() == list(range(rank))
    Q = np.linalg.qr(X[:, kept])[0]
    scaled = X / np.linalg.norm(X, axis=0)
    np.testing.assert_allclose(Q @ (Q.T @ scaled), scaled, atol=1e-10)


def test_dropping_depends_on_the_rows_used():
    data = frame()
    x2 = data["x"].where(np.arange(N) < 12, data["z"])
    assert design("y ~ x + x2", x2=x2).dropped == ()
    found = build_design("y ~ x + x2 + (1 | g)", data.assign(x2=x2), subset=np.arange(12))[0]
    assert found.dropped == ("x2",)


def test_rows_beyond_a_block_count():
    """The triangle of a deficient X is made from some rows at a time; every row must enter it."""
    n = 2 * _BLOCK + 7
    X = np.random.default_rng(4).normal(size=(n, 4)) * [1e6, 1.0, 1e-6, 1.0]
    X[:, 2] = X[:, 0]
    X[:, 3] = X[:, 1]
    assert independent_columns(X).tolist() == [0, 1]
    X[-1, 3] += 1.0
    assert independent_columns(X).tolist() == [0, 1, 3]


def test_many_dependent_columns():
    rng = np.random.default_rng(5)
    basis = rng.normal(size=(90, 30))
    X = np.empty((90, 60))
    X[:, ::2] = basis
    X[:, 1::2] = np.cumsum(basis, axis=1)  # of the columns up to its own
    assert independent_columns(X).tolist() == list(range(0, 60, 2))


def test_fewer_rows_than_columns():
    assert independent_columns(np.random.default_rng(6).normal(size=(3, 5))).tolist() == [0, 1, 2]
