"""Linear maps at one θ against the naive dense reference, for every engine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lmmpy.design import Design, build_design
from lmmpy.engines import ENGINES, make_criterion
from lmmpy.engines.squares import Squares, level_groups, squares_by_columns, turned_squares
from tests import naive
from tests.engines.test_contract import LAYOUTS, design_of, layout, thetas

CASES = [
    (kind, structure, k, weights) for kind in LAYOUTS for structure, k, weights in (("us", 2, True), ("us", 3, False))
]
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def design(request: pytest.FixtureRequest) -> Design:
    kind, structure, k, weights = request.param
    return design_of(layout(kind, structure, k), 4, weights, False)


def collinear() -> Design:
    """A slope far from zero, which the engine takes in other coordinates."""
    rng = np.random.default_rng(1)
    x = 1000.0 + rng.normal(size=40)
    data = pd.DataFrame({"x": x, "g": np.repeat(list("abcde"), 8), "h": np.tile(list("uvwx"), 10)})
    data["y"] = rng.normal(size=40)
    return build_design("y ~ x + (x | g) + (1 | h)", data)[0]


def check(design: Design, engine: str, theta: np.ndarray) -> None:
    dense, at = naive.dense(design, theta), make_criterion(design, True, engine).operators(theta)
    Z = np.hstack(dense.Zs)
    VZ = np.linalg.solve(dense.V, Z)
    G = np.zeros((design.q, design.q))
    for t, T in enumerate(dense.Ts):
        span = slice(design.starts[t], design.starts[t + 1])
        G[span, span] = dense.spread(t, T @ T.T)
    conditional, ZtVZ = G - G @ Z.T @ VZ @ G, Z.T @ VZ
    eye = np.eye(design.q)
    size = np.abs(ZtVZ).max()
    ZtVX = at._turned(at.ZtVQ @ at.products.R, [None if R is None else R.T for R in at.bases])
    np.testing.assert_allclose(ZtVX, VZ.T @ design.X, rtol=1e-8, atol=1e-8 * np.abs(Z.T @ design.X).max())
    np.testing.assert_allclose(at.ZtVZ(eye), ZtVZ, rtol=1e-8, atol=1e-9 * size)
    found = at.conditional_covariance(eye)
    np.testing.assert_allclose(found, conditional, rtol=1e-7, atol=1e-9 * max(1.0, np.abs(conditional).max()))
    for t, term in enumerate(design.random):
        columns = slice(design.starts[t], design.starts[t + 1])
        halves = np.array_split(np.arange(term.n_levels), 2)
        batches = [at.covariance_of_levels(t, levels) for levels in halves]
        np.testing.assert_allclose(np.hstack(batches), found[:, columns], **TOLERANCE)
        blocks = ZtVZ[columns, columns].reshape(term.n_levels, term.k, term.n_levels, term.k)
        np.testing.assert_allclose(at.traces()[t], np.einsum("lalb->ab", blocks), rtol=1e-8, atol=1e-9 * size)
    by_columns = squares_by_columns(at.products, at.penalty, level_groups(at.products, at.penalty), at._through_V)
    both = [turned_squares(by_columns, at.bases)]
    own = at.eliminated_squares(10**9)
    if own is not None:
        both.append(turned_squares(own, at.bases))
    for squares in both:
        check_squares(design, squares, ZtVZ)


def check_squares(design: Design, squares: Squares, ZtVZ: np.ndarray) -> None:
    for t, one in enumerate(design.random):
        for s, other in enumerate(design.random[t:], t):
            K = ZtVZ[design.starts[s] : design.starts[s + 1], design.starts[t] : design.starts[t + 1]]
            K = K.reshape(other.n_levels, other.k, one.n_levels, one.k)
            expected = np.einsum("lcma,ldmb->cadb", K, K)
            np.testing.assert_allclose(squares[t][s], expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("engine", ENGINES)
def test_operators_are_those_of_the_dense_model(design: Design, engine: str) -> None:
    for theta in thetas(design):
        check(design, engine, theta)


@pytest.mark.parametrize("engine", ENGINES)
def test_operators_in_other_coordinates(engine: str) -> None:
    design = collinear()
    check(design, engine, np.array([800.0, -0.8, 0.05, 0.6]))


def test_squares_are_made_without_columns_where_few_effects_are_left() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": rng.integers(0, 60, 400).astype(str), "h": rng.integers(0, 4, 400).astype(str)})
    data["y"], data["x"] = rng.normal(size=(2, 400))
    design = build_design("y ~ x + (x | g) + (x | h)", data)[0]
    theta = np.array([0.8, 0.1, 0.5, 0.7, -0.2, 0.4])
    at = make_criterion(design, True).operators(theta)
    columns = sum(design.random[t].k * len(groups) for t, groups in enumerate(level_groups(at.products, at.penalty)))
    assert columns == design.q
    assert at.eliminated_squares(columns) is not None
    check(design, "blocked", theta)
