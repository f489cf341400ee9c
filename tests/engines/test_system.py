"""Products with Λ, for few levels and for many; the slopes of log|M| by every system."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import linalg

from lmmpy.covariance import Factor
from lmmpy.design import build_design
from lmmpy.engines import ENGINES, make_criterion
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


# ---- slopes


def system_of(random, engine):
    """Ten levels of g with one to nine rows; h crosses it."""
    rng = np.random.default_rng(17)
    g = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    x, h = rng.normal(size=len(g)), rng.integers(0, 4, len(g))
    design, _ = build_design(f"y ~ 1 + {random}", {"y": rng.normal(size=len(g)), "x": x, "g": g, "h": h})
    return design, make_criterion(design, True, engine)._system


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("random", ["(1 | g)", "(x | g)", "(x | g) + (1 | h)", "(1 | h) + (x | g) + (0 + x | h)"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 10.0])
def test_slopes(random, engine, size):
    """Σ_l (ZᵀV⁻¹Z)_ll T by dense algebra; and traces() T."""
    design, system = system_of(random, engine)
    rng = np.random.default_rng(3)
    Ts = [size * (np.tril(rng.normal(size=(t.k, t.k))) + 2 * np.eye(t.k)) for t in design.random]
    factored = system.factorize([Factor(T, np.empty((0, *T.shape))) for T in Ts])
    Z = design.Z if isinstance(design.Z, np.ndarray) else design.Z.toarray()
    Lambda = linalg.block_diag(*(np.kron(np.eye(t.n_levels), T) for t, T in zip(design.random, Ts, strict=True)))
    P = Z.T @ np.linalg.solve(np.eye(design.n) + Z @ Lambda @ Lambda.T @ Z.T, Z)
    slopes, traces = factored.slopes(), factored.traces()
    for term, T, start, slope, trace in zip(design.random, Ts, design.starts[:-1], slopes, traces, strict=True):
        expected = sum(P[i : i + term.k, i : i + term.k] for i in range(start, start + term.q, term.k)) @ T
        np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
        np.testing.assert_allclose(trace @ T, slope, rtol=0, atol=1e-10 * np.abs(slope).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e8])
def test_slopes_of_large_effects(engine, size):
    """(1 | g): Σ m T/(1 + m T²), of the size of 1/T, by sizes m of the groups."""
    design, system = system_of("(1 | g)", engine)
    m = np.bincount(design.random[0].codes)
    (slope,) = system.factorize([Factor(np.array([[size]]), np.ones((1, 1, 1)))]).slopes()
    assert slope[0, 0] == pytest.approx((m * size / (1.0 + m * size**2)).sum(), rel=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_slopes_of_large_effects_along_one_line(engine, size):
    """(x | g), T of one column t: Σ Z_lᵀ w/(1 + wᵀw) with w = Z_l t, and zeros."""
    design, system = system_of("(x | g)", engine)
    T = size * np.array([[1.0, 0.0], [0.5, 0.0]])
    term = design.random[0]
    w = term.values @ T[:, 0]
    within = 1.0 + np.bincount(term.codes, weights=w**2)
    expected = (term.values * (w / within[term.codes])[:, None]).sum(axis=0)
    (slope,) = system.factorize([Factor(T, np.empty((0, 2, 2)))]).slopes()
    np.testing.assert_array_equal(slope[:, 1], 0.0)
    np.testing.assert_allclose(slope[:, 0], expected, rtol=0, atol=1e-12 * np.abs(expected).max())
