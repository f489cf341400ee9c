"""The contract of engines: at any θ each gives the numbers of the naive dense reference.

A new engine comes under the contract by its name in `ENGINES` or `MARGINAL_ENGINES`.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmmpy.design import Design, build_design
from lmmpy.engines import ENGINES, Criterion, make_criterion
from lmmpy.engines.choose import MARGINAL_ENGINES
from tests import naive

# n = 36 rows and |θ| around 1: V has a condition number below 1e4, so ten digits survive on both sides.
RTOL = 1e-9
# A derivative that is zero is a difference of terms of the size of n.
ATOL_GRADIENT = 1e-8

N = 36
LEFT = {1: "1", 2: "1 + x", 3: "1 + x + z"}
STRUCTURES = ["us", "diag", "diag hom", "cs", "cs hom", "ar1", "ar1 het"]
LAYOUTS = ["one", "nested", "crossed", "twice", "three"]
FIXED = {0: "0", 1: "1", 4: "1 + x + v + z"}
OPTIONS = list(product([0, 1, 4], [False, True], [False, True], [False, True]))  # p, weights, offset, REML


@cache
def data() -> pd.DataFrame:
    """Unbalanced; g has levels with one and two rows, h crosses g, and b repeats its labels within g."""
    rng = np.random.default_rng(20)
    g = np.concatenate([np.repeat(np.arange(6), 5), [5, 5, 5, 6, 7, 7]])
    frame = pd.DataFrame({name: rng.normal(size=N) for name in ("x", "z", "v", "o")})
    frame["g"], frame["b"] = g.astype(str), rng.integers(0, 2, N).astype(str)
    frame["h"], frame["w"] = rng.integers(0, 4, N).astype(str), rng.uniform(0.2, 4.0, N)
    frame["y"] = 3.0 + frame["v"] + rng.normal(size=8)[g] + frame["x"] * rng.normal(size=8)[g] + rng.normal(size=N)
    return frame


def term(structure: str, k: int, group: str) -> str:
    name, *how = structure.split()
    hom = {"hom": ", hom = TRUE", "het": ", hom = FALSE"}.get(how[0], "") if how else ""
    return f"{name}({LEFT[k]} | {group}{hom})"


def layout(kind: str, structure: str, k: int) -> str:
    main = term(structure, k, "g")
    return {
        "one": main,
        "nested": f"{main} + {term(structure, k, 'g:b')}",
        "crossed": f"{main} + {term(structure, k, 'h')}",
        "twice": f"{main} + {term('cs', 2, 'g')}",
        "three": f"{term('us', 2, 'h')} + {main} + {term('diag', 3, 'g:b')}",
    }[kind]


@cache
def design_of(random: str, p: int, weights: bool, offset: bool) -> Design:
    formula = f"y ~ {FIXED[p]} + {random}"
    return build_design(formula, data(), weights="w" if weights else None, offset="o" if offset else None)[0]


def cases() -> list[Any]:
    """Every structure in every layout, the options taking turns; then every option with every number of effects."""
    found = []
    for i, (kind, k, structure) in enumerate(product(LAYOUTS, LEFT, STRUCTURES)):
        p, weights, offset, reml = OPTIONS[7 * i % len(OPTIONS)]
        label = f"{kind}-{structure.replace(' ', '_')}-k{k}"
        found.append(pytest.param((layout(kind, structure, k), p, weights, offset, reml), id=label))
    for p, weights, offset, reml in OPTIONS:
        label = f"options-p{p}{'-weights' * weights}{'-offset' * offset}-{'REML' if reml else 'ML'}"
        found.append(pytest.param((layout("three", "us", 2), p, weights, offset, reml), id=label))
    return found


def thetas(design: Design) -> list[np.ndarray]:
    """Both signs; then of very different sizes with some exact zeros; then all zeros."""
    rng = np.random.default_rng(design.n_theta)
    mixed = rng.normal(size=design.n_theta)
    sizes = rng.choice([0.0, 1e-4, 1e-2, 1.0], design.n_theta)
    return [mixed, mixed * sizes, np.zeros(design.n_theta)]


@pytest.fixture(params=[*ENGINES, *MARGINAL_ENGINES])
def engine(request):
    return request.param


@cache
def criterion_of(engine: str, *case: Any) -> Criterion:
    """One criterion answers all questions about a case: it may keep what it needs, but no state that shows."""
    *design, reml = case
    if engine == "spectral" and [term.k for term in design_of(*design).random] != [1]:
        pytest.skip("for one random effect only")
    return make_criterion(design_of(*design), reml, engine)


@pytest.fixture(params=cases())
def criterion(request, engine):
    return criterion_of(engine, *request.param)


def reference(quantity: str, design: Design, theta: np.ndarray, reml: bool) -> np.ndarray:
    """The naive reference, computed once for all engines."""
    return _reference(quantity, design, theta.tobytes(), reml)


@cache
def _reference(quantity: str, design: Design, theta: bytes, reml: bool) -> np.ndarray:
    return getattr(naive, quantity)(design, np.frombuffer(theta), reml)


def test_the_cases_are_what_their_names_say():
    designs = [design_of(*case.values[0][:-1]) for case in cases()]
    assert {term.structure.k for d in designs for term in d.random} == {1, 2, 3}
    assert {len(d.random) for d in designs} == {1, 2, 3}
    assert {d.p for d in designs} == {0, 1, 4}
    twice = design_of(layout("twice", "us", 3), 1, False, False)
    assert [term.name for term in twice.random] == ["g", "g.1"]
    assert np.bincount(twice.random[0].codes).min() == 1
    nested = design_of(layout("nested", "us", 1), 1, False, False)
    assert all(label.split(":")[0] in nested.random[1].levels for label in nested.random[0].levels)


def test_value(criterion):
    design, reml = criterion.design, criterion.reml
    for theta in thetas(design):
        expected = naive.dense(design, theta, reml).value
        evaluations = [criterion.evaluate(theta, order) for order in (0, 1, 2)]
        assert [e.value for e in evaluations] == pytest.approx([expected] * 3, rel=RTOL)
        assert [e.gradient is None for e in evaluations] == [True, False, False]
        assert [e.information is None for e in evaluations] == [True, True, False]


def test_gradient(criterion):
    design, reml = criterion.design, criterion.reml
    for theta in thetas(design):
        expected = reference("gradient", design, theta, reml)
        np.testing.assert_allclose(criterion.evaluate(theta, 1).gradient, expected, rtol=RTOL, atol=ATOL_GRADIENT)


def test_bend(criterion):
    design, reml = criterion.design, criterion.reml
    for theta in thetas(design):
        actual = criterion.evaluate(theta, 2).bend
        np.testing.assert_allclose(actual, reference("bend", design, theta, reml), rtol=1e-7, atol=1e-6)


def test_information(criterion):
    design, reml = criterion.design, criterion.reml
    for theta in thetas(design):
        actual = criterion.evaluate(theta, 2).information
        np.testing.assert_allclose(actual, actual.T, rtol=0, atol=ATOL_GRADIENT)
        np.testing.assert_allclose(actual, reference("information", design, theta, reml), rtol=1e-8, atol=ATOL_GRADIENT)
        assert np.linalg.eigvalsh(actual)[0] > -1e-9 * max(1.0, np.abs(actual).max())


def test_solution(criterion):
    design, reml = criterion.design, criterion.reml
    for theta in thetas(design):
        actual, expected = criterion.solve(theta), naive.dense(design, theta, reml)
        np.testing.assert_allclose(actual.beta, expected.beta, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(actual.unscaled_vcov, expected.vcov, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(actual.b, expected.b, rtol=1e-8, atol=1e-9)
        assert actual.sigma == pytest.approx(expected.sigma, rel=RTOL)
        assert actual.r2 == pytest.approx(expected.r2, rel=RTOL)
        blocks = np.concatenate(
            [
                (u.reshape(-1, len(T)) @ T.T).ravel()
                for u, T in zip(_by_term(design, actual.u), expected.Ts, strict=True)
            ]
        )
        np.testing.assert_allclose(blocks, actual.b, rtol=1e-10, atol=1e-12)


def _by_term(design: Design, vector: np.ndarray) -> list[np.ndarray]:
    return np.split(vector, design.starts[1:-1])


def test_the_penalised_residuals_make_r2(criterion):
    """‖W^½(y − Xβ̂ − Zb̂)‖² + ‖û‖² is the r² that is reported."""
    design, theta = criterion.design, thetas(criterion.design)[0]
    found = criterion.solve(theta)
    residual = naive.dense(design, theta, criterion.reml).y - design.X @ found.beta - design.Z @ found.b
    weights = np.ones(design.n) if design.weights is None else design.weights
    assert weights @ residual**2 + found.u @ found.u == pytest.approx(found.r2, rel=RTOL)


def test_conditional_variances(criterion):
    design, reml = criterion.design, criterion.reml
    for theta in thetas(design):
        actual = criterion.conditional_variances(theta)
        expected = naive.dense(design, theta, reml).conditional_variances
        assert [a.shape for a in actual] == [(t.n_levels, t.k, t.k) for t in design.random]
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-8, atol=1e-9)


def test_an_evaluation_leaves_no_trace(engine):
    """Zeros and large values in between change nothing of what follows, to the last bit."""
    case = (layout("one", "us", 1) if engine == "spectral" else layout("three", "us", 3), 4, True, True)
    design = design_of(*case)
    criterion = make_criterion(design, True, engine)
    first, *others = thetas(design)
    before = criterion.evaluate(first, 2)
    for theta in (*others, 1e3 * first):
        criterion.evaluate(theta, 2)
        criterion.solve(theta)
    after = criterion.evaluate(first, 2)
    assert after.value == before.value
    np.testing.assert_array_equal(after.gradient, before.gradient)
    np.testing.assert_array_equal(after.information, before.information)


@pytest.mark.parametrize("reml", [True, False])
def test_the_naive_gradient_is_the_slope_of_the_naive_value(reml):
    """The reference itself: the complex step along ∂T/∂θ against central differences of the value in θ."""
    design = design_of(layout("nested", "cs", 3), 4, True, True)
    theta, step = thetas(design)[0], 1e-5
    for i, slope in enumerate(naive.gradient(design, theta, reml)):
        ends = [naive.dense(design, theta + s * step * (np.arange(len(theta)) == i), reml).value for s in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-6)
