"""What holds of the criterion whatever the data: agreement with the naive reference, and its symmetries."""

from __future__ import annotations

import math
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from lmmpy.design import Design, build_design
from lmmpy.engines import ENGINES, make_criterion
from tests import naive
from tests.properties import exact

engines = pytest.mark.parametrize("engine", ENGINES)

RTOL = 1e-8
# Random designs may have n − p of 3 or 4 and a small r²: the criterion is near zero by cancellation.
ATOL = 1e-8

TERMS = {
    "(1 | g)": "s",
    "(0 + x | g)": "s",
    "(x | g)": "sss",
    "(x | h)": "sss",
    "(1 | h)": "s",
    "(1 | g:h)": "s",
    "diag(x + z | h)": "sss",
    "diag(x | g, hom = TRUE)": "s",
    "cs(x + z | g)": "sssa",
    "cs(0 + x + z | h, hom = TRUE)": "sa",
    "ar1(x + z | g)": "sa",
    "ar1(0 + x + z | h, hom = FALSE)": "ssa",
}
"""Random terms; for each parameter whether it is a scale (s) or an angle (a)."""

values = st.one_of(st.just(0.0), st.floats(-3.0, 3.0).map(lambda v: round(v, 6)))


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, a formula over them, and a θ."""

    frame: pd.DataFrame
    fixed: str
    random: str
    theta: np.ndarray
    scales: np.ndarray
    reml: bool

    @property
    def formula(self) -> str:
        return f"y ~ {self.fixed} + {self.random}"

    def design(self, **changes) -> Design:
        arguments = {"formula": self.formula, "data": self.frame, "weights": "w", "offset": "o", **changes}
        return build_design(**arguments)[0]


@st.composite
def problems(draw) -> Problem:
    """Unbalanced: levels are drawn for each row, so that some have one; the last level of each factor has one row."""
    n = draw(st.integers(9, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frame = pd.DataFrame({name: rng.normal(size=n) for name in ("x", "z", "v", "o", "y")})
    for name in ("g", "h"):
        codes = rng.integers(0, draw(st.integers(1, n // 2)), n)
        codes[rng.integers(n)] = n
        frame[name] = [f"{name}{code}" for code in codes]
    frame["w"] = rng.integers(1, 6, n)
    chosen = draw(st.lists(st.sampled_from(sorted(TERMS)), min_size=1, max_size=3, unique=True))
    design = build_design(f"y ~ {' + '.join(chosen)}", frame)[0]
    kinds = "".join(TERMS[term] for term in _as_ordered(design, chosen))
    theta = np.array(draw(st.lists(values, min_size=len(kinds), max_size=len(kinds))))
    fixed = draw(st.sampled_from(["0", "1", "v", "0 + x + v", "v + x + z + v:x"]))
    scales = np.array([kind == "s" for kind in kinds])
    return Problem(frame, fixed, " + ".join(chosen), theta, scales, draw(st.booleans()))


def _as_ordered(design: Design, chosen: list[str]) -> list[str]:
    """The chosen terms in the design's order, which is by number of levels."""
    texts = {term.replace("(", "", 1)[:-1] if term.startswith("(") else term: term for term in chosen}
    return [texts[effects.term.text] for effects in design.random]


def value(engine, design: Design, theta: np.ndarray, reml: bool) -> float:
    return make_criterion(design, reml, engine).evaluate(theta).value


def close(expected: float):
    return pytest.approx(expected, rel=RTOL, abs=ATOL)


@engines
@given(problem=problems())
def test_engine_equals_naive(engine, problem):
    design, theta, reml = problem.design(), problem.theta, problem.reml
    found, expected = make_criterion(design, reml, engine).evaluate(theta, 2), naive.dense(design, theta, reml)
    assert found.value == close(expected.value)
    slopes = naive.gradient(design, theta, reml)
    np.testing.assert_allclose(found.gradient, slopes, rtol=RTOL, atol=1e-7 * max(1.0, np.abs(slopes).max()))
    information = naive.information(design, theta, reml)
    scale = max(1.0, np.abs(information).max())
    np.testing.assert_allclose(found.information, information, rtol=RTOL, atol=1e-7 * scale)


@engines
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_permuted_rows_change_nothing(engine, problem, seed):
    order = np.random.default_rng(seed).permutation(len(problem.frame))
    other = problem.design(data=problem.frame.iloc[order])
    expected = value(engine, problem.design(), problem.theta, problem.reml)
    assert value(engine, other, problem.theta, problem.reml) == close(expected)


@engines
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_new_labels_change_nothing(engine, problem, seed):
    rng = np.random.default_rng(seed)
    frame = problem.frame.copy()
    for name in ("g", "h"):
        old = frame[name].unique()
        frame[name] = frame[name].map(dict(zip(old, rng.permutation(1000)[: len(old)], strict=True)))
    expected = value(engine, problem.design(), problem.theta, problem.reml)
    assert value(engine, problem.design(data=frame), problem.theta, problem.reml) == close(expected)


@engines
@given(problem=problems(), c=st.sampled_from([-7.0, -1.0, 1e-6, 0.3, 250.0, 1e8]))
def test_a_scaled_response_shifts_the_criterion(engine, problem, c):
    """y → c y: by 2 ν log|c|, with ν = n − p for REML and n for ML."""
    scaled = problem.frame.assign(y=c * problem.frame["y"], o=c * problem.frame["o"])
    design = problem.design()
    nu = design.n - design.p * problem.reml
    expected = value(engine, design, problem.theta, problem.reml) + 2 * nu * math.log(abs(c))
    assert value(engine, problem.design(data=scaled), problem.theta, problem.reml) == close(expected)


@engines
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_fixed_effects_in_the_response_change_nothing_but_beta(engine, problem, seed):
    design = problem.design()
    gamma = 10.0 * np.random.default_rng(seed).normal(size=design.p)
    moved = problem.design(data=problem.frame.assign(y=problem.frame["y"] + design.X @ gamma))
    before, after = (make_criterion(d, problem.reml, engine).solve(problem.theta) for d in (design, moved))
    assert after.r2 == close(before.r2)
    np.testing.assert_allclose(after.beta, before.beta + gamma, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(after.b, before.b, rtol=1e-7, atol=1e-7)
    expected = value(engine, design, problem.theta, problem.reml)
    assert value(engine, moved, problem.theta, problem.reml) == close(expected)


@engines
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_another_basis_of_the_fixed_effects(engine, problem, seed):
    """X → XA leaves ML as it is and adds 2 log|det A| to REML."""
    A = np.random.default_rng(seed).normal(size=(3, 3)) + 4.0 * np.eye(3)
    frame = problem.frame.copy()
    frame[["a1", "a2", "a3"]] = frame[["x", "z", "v"]].to_numpy() @ A
    one = problem.design(formula=f"y ~ 0 + x + z + v + {problem.random}")
    other = problem.design(formula=f"y ~ 0 + a1 + a2 + a3 + {problem.random}", data=frame)
    for reml, shift in ((False, 0.0), (True, 2 * math.log(abs(np.linalg.det(A))))):
        expected = value(engine, one, problem.theta, reml) + shift
        assert value(engine, other, problem.theta, reml) == close(expected)


@engines
@given(problem=problems(), c=st.sampled_from([1e-4, 0.5, 5.0, 1e5]))
def test_common_weights(engine, problem, c):
    """With w → c w, V(θ/√c) becomes V(θ)/c; the powers of c in |V|, r², |XᵀV⁻¹X| and |W| cancel, by ML and by REML."""
    weighted = problem.design(weights=(c * problem.frame["w"]).to_numpy())
    theta = np.where(problem.scales, problem.theta / math.sqrt(c), problem.theta)
    expected = value(engine, problem.design(), problem.theta, problem.reml)
    assert value(engine, weighted, theta, problem.reml) == close(expected)


@engines
@given(problem=problems())
def test_integer_weights_against_repeated_rows(engine, problem):
    """
    A row of weight m and m copies of it give the same β̂, û and r², for Xᵀ W X and its like are the same.

    They are different data, though: N = Σw rows instead of n, and no log|W|; the criterion shows just that.
    """
    one, theta, reml = problem.design(), problem.theta, problem.reml
    repeated = problem.frame.loc[problem.frame.index.repeat(problem.frame["w"])]
    many = problem.design(data=repeated, weights=None)
    a, b = (make_criterion(d, reml, engine).solve(theta) for d in (one, many))
    assert b.r2 == close(a.r2)
    np.testing.assert_allclose(b.beta, a.beta, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(b.u, a.u, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(b.unscaled_vcov, a.unscaled_vcov, rtol=1e-7, atol=1e-9)

    def size_part(n: int) -> float:
        return n * (1.0 + math.log(2.0 * math.pi * a.r2 / n))

    nu, more = one.n - one.p * reml, many.n - one.p * reml
    expected = value(engine, one, theta, reml) + np.log(one.weights).sum() - size_part(nu) + size_part(more)
    assert value(engine, many, theta, reml) == close(expected)


def small(seed: int = 3, n: int = 18) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, year = np.repeat(["a", "b", "c", "d"], [1, 4, 6, 7]), rng.integers(2000, 2021, n)
    effects = dict(zip("abcd", rng.normal(size=4), strict=True))
    noise = rng.normal(size=n) + [effects[level] for level in g]
    frame = pd.DataFrame({"g": g, "year": year, "x": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n)})
    return frame.assign(y=noise, far=1e6 + noise, tiny=1e-8 * rng.normal(size=n), big=3e7 * frame["x"] + 1e9)


HARD = {
    "intercept of 10⁶, noise of 1": ("far ~ x + (x | g)", [0.9, -0.3, 0.5]),
    "year squared": ("far ~ year + I(year^2) + (1 | g)", [0.8]),
    "year squared, several terms": ("y ~ year * x + I(year^2) + (1 | g) + (0 + x | g)", [1.2, 0.0]),
    "predictor in units of 1e-8": ("y ~ tiny + (1 | g)", [1.1]),
    "slopes of a predictor in units of 1e-8": ("far ~ tiny + (tiny | g)", [0.7, 2e7, 9e7]),
    "predictors of 1e-8 and 1e9": ("far ~ tiny + big + (1 | g)", [0.4]),
    "slopes of year": ("y ~ year + (year | g)", [0.7, 1e-4, 5e-4]),
    "no fixed effects": ("far ~ 0 + (1 | g)", [0.6]),
    "large θ": ("y ~ x + (x | g)", [1e4, -20.0, 3e3]),
    "small θ": ("y ~ x + (x | g)", [1e-7, -1e-9, 1e-8]),
}


@engines
@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("name", HARD)
def test_ill_conditioned_but_legal(engine, name, reml):
    """Agreement with exact arithmetic to 1e-6, where a naive sum of squares would lose everything."""
    formula, theta = HARD[name]
    design = build_design(formula, small(), weights="w")[0]
    assert not design.dropped
    expected = exact.criterion(design, np.array(theta), reml)
    assert value(engine, design, np.array(theta), reml) == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
def test_exact_equals_naive_where_nothing_is_hard(reml):
    design = build_design("y ~ x + (x | g) + diag(w | g)", small(), weights="w", offset="x / 3")[0]
    theta = np.array([0.8, -0.4, 0.6, 1.5, 0.2])
    assert exact.criterion(design, theta, reml) == pytest.approx(naive.dense(design, theta, reml).value, rel=1e-12)
