"""What must not change a fit, or must change it in a known way."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmmpy as lmm

Data = dict[str, Any]

# An optimum where the criterion is flat to 1e-11 is known to its root, some 1e-6 of a typical change in θ; what follows
# from θ smoothly (β, criterion) is known better. The comparisons are therefore of two optima, at these tolerances.
THETA = {"rtol": 1e-5, "atol": 1e-6}
TIGHT = {"rtol": 1e-6, "atol": 1e-8}

FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + f + (1 | g) + (1 | h)",
    "y ~ x + (x | g)",
    "y ~ x + (x || g) + (1 | h)",
    "y ~ x + cs(0 + f | g)",
    "y ~ x + (1 | h/g)",
]
few = settings(max_examples=8, derandomize=True, deadline=None)
formulas = st.sampled_from(FORMULAS)
seeds = st.integers(0, 10_000)


def sample(seed: int) -> Data:
    """Two crossed groupings, a predictor and a factor; effects so large that an optimum is seldom on the boundary."""
    rng = np.random.default_rng(seed)
    n = 96
    g, h = np.tile(np.arange(8), 12), rng.permutation(np.repeat(np.arange(6), 16))
    x, f = rng.normal(size=n), rng.integers(0, 2, n)
    y = 2.0 * rng.normal(size=8)[g] + 1.5 * rng.normal(size=6)[h] + (1.0 + rng.normal(size=8)[g]) * x
    y += rng.normal(size=(8, 2))[g, f] + rng.normal(size=n) + 4.0
    names = {"g": np.char.add("g", g.astype(str)), "h": np.char.add("h", h.astype(str)), "f": np.array(["p", "q"])[f]}
    return {"y": y, "x": x, **names}


def fit(formula: str, data: Any, **arguments: Any) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        return lmm.lmer(formula, data, **arguments)


def assert_same(a: lmm.LmmFit, b: lmm.LmmFit, beta: bool = True) -> None:
    """Same likelihood, parameters and predictions, rows apart."""
    assert a.loglik == pytest.approx(b.loglik, abs=1e-8)
    assert a.sigma == pytest.approx(b.sigma, rel=1e-6)
    np.testing.assert_allclose(a.theta, b.theta, **THETA)
    if beta:
        np.testing.assert_allclose(a.fixef, b.fixef, **TIGHT)
        np.testing.assert_allclose(a.se, b.se, **TIGHT)


@few
@given(formulas, seeds, st.sampled_from([1e-6, 0.3, -2.0, 1e5]))
def test_scaling_the_response_scales_everything_measured_in_its_units(formula: str, seed: int, c: float) -> None:
    data = sample(seed)
    a, b = fit(formula, data), fit(formula, {**data, "y": c * data["y"]})
    np.testing.assert_allclose(b.theta, a.theta, **THETA)
    np.testing.assert_allclose(b.fixef / c, a.fixef, **TIGHT)
    np.testing.assert_allclose(b.se / abs(c), a.se, **TIGHT)
    assert b.sigma / abs(c) == pytest.approx(a.sigma, rel=1e-6)
    for term in a.ranef():
        np.testing.assert_allclose(b.ranef()[term] / c, a.ranef()[term], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(b.varcorr[term] / c**2, a.varcorr[term], rtol=2e-5, atol=1e-6)
    assert b.loglik == pytest.approx(a.loglik - (96 - len(a.fixef)) * np.log(abs(c)), abs=1e-7)


@few
@given(formulas, seeds, st.sampled_from([1.0, -3.0, 1e4]))
def test_adding_fixed_effects_to_the_response_adds_them_to_beta(formula: str, seed: int, size: float) -> None:
    data = sample(seed)
    X = lmm.lformula(formula, data).X.to_numpy()
    gamma = size * np.random.default_rng(seed).normal(size=X.shape[1])
    a, b = fit(formula, data), fit(formula, {**data, "y": data["y"] + X @ gamma})
    assert_same(a, b, beta=False)
    np.testing.assert_allclose(b.fixef - gamma, a.fixef, rtol=1e-6, atol=1e-9 * max(size, 10.0))
    np.testing.assert_allclose(b.residuals(), a.residuals(), rtol=1e-6, atol=1e-6)
    for term in a.ranef():
        np.testing.assert_allclose(b.ranef()[term], a.ranef()[term], rtol=1e-5, atol=1e-6)


@few
@given(formulas, seeds)
def test_the_order_of_rows_does_not_matter(formula: str, seed: int) -> None:
    data = sample(seed)
    order = np.random.default_rng(seed).permutation(96)
    a, b = fit(formula, data), fit(formula, {name: column[order] for name, column in data.items()})
    assert_same(a, b)
    np.testing.assert_allclose(b.fitted(), a.fitted().to_numpy()[order], rtol=1e-6, atol=1e-6)
    for term in a.ranef():
        np.testing.assert_allclose(b.ranef()[term], a.ranef()[term], rtol=1e-5, atol=1e-6)


@few
@given(formulas, seeds)
def test_the_names_of_levels_do_not_matter(formula: str, seed: int) -> None:
    data = sample(seed)
    order = np.random.default_rng(seed).permutation(8)
    number = np.char.lstrip(data["g"], "g").astype(int)
    renamed = np.char.add("level ", order.astype(str))[number]
    a, b = fit(formula, data), fit(formula, {**data, "g": renamed})
    assert_same(a, b)
    np.testing.assert_allclose(b.fitted(), a.fitted(), rtol=1e-6, atol=1e-6)
    if "g" in a.ranef():
        effects = b.ranef()["g"].loc[[f"level {order[i]}" for i in range(8)]]
        np.testing.assert_allclose(effects, a.ranef()["g"], rtol=1e-5, atol=1e-6)


@few
@given(seeds)
def test_the_order_of_terms_does_not_matter(seed: int) -> None:
    data = sample(seed)
    a = fit("y ~ x + f + (x | g) + (1 | h)", data)
    b = fit("y ~ (1 | h) + f + (x | g) + x", data)
    assert a.loglik == pytest.approx(b.loglik, abs=1e-8)
    np.testing.assert_allclose(b.fixef[a.fixef.index], a.fixef, **TIGHT)
    np.testing.assert_allclose(b.theta[a.theta.index], a.theta, **THETA)


@few
@given(formulas, seeds, st.sampled_from([1e-4, 0.5, 7.0, 1e4]))
def test_constant_weights_change_the_unit_of_sigma_only(formula: str, seed: int, w: float) -> None:
    data = sample(seed)
    a, b = fit(formula, data), fit(formula, data, weights=np.full(96, w))
    np.testing.assert_allclose(b.fixef, a.fixef, **TIGHT)
    np.testing.assert_allclose(b.se, a.se, **TIGHT)
    assert b.sigma / np.sqrt(w) == pytest.approx(a.sigma, rel=1e-6)
    assert b.loglik == pytest.approx(a.loglik, abs=1e-7)
    for term in a.ranef():
        np.testing.assert_allclose(b.varcorr[term], a.varcorr[term], rtol=2e-5, atol=1e-6)


@few
@given(seeds, st.sampled_from([2, 3]))
def test_a_weight_of_two_is_a_mean_of_two(seed: int, times: int) -> None:
    """m rows with the same x and group are worth their mean with the weight m, at the same variance components."""
    data = sample(seed)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(96, times))
    noise -= noise.mean(axis=1, keepdims=True)
    many = {name: np.repeat(column, times) for name, column in data.items()}
    many["y"] = (data["y"][:, None] + noise).reshape(-1)
    a = fit("y ~ x + (1 | g)", many, reml=False)
    G = float(a.varcorr["g"].iloc[0, 0])
    components = {"g": G, "Residual": a.sigma**2}
    b = lmm.lmer("y ~ x + (1 | g)", data, weights=np.full(96, float(times)), varcomp=components, reml=False)
    np.testing.assert_allclose(b.fixef, a.fixef, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(b.ranef()["g"], a.ranef()["g"], rtol=1e-8, atol=1e-8)


@few
@given(formulas, seeds, st.sampled_from([1e-5, 0.1, -4.0, 1e6]))
def test_the_unit_of_a_predictor_is_the_unit_of_its_coefficient(formula: str, seed: int, c: float) -> None:
    data = sample(seed)
    a, b = fit(formula, data), fit(formula, {**data, "x": c * data["x"]})
    per_unit = np.array([c if name == "x" else 1.0 for name in a.fixef.index])
    np.testing.assert_allclose(b.fixef * per_unit, a.fixef, **TIGHT)
    np.testing.assert_allclose(b.fitted(), a.fitted(), rtol=1e-6, atol=1e-6)
    assert a.sigma == pytest.approx(b.sigma, rel=1e-6)
    assert b.loglik == pytest.approx(a.loglik - np.log(abs(c)), abs=1e-7)  # REML's |XᵀV⁻¹X| has the unit of x
    assert len(a.optimization) == len(b.optimization)
    for term, columns in ((name, frame.columns) for name, frame in a.ranef().items()):
        units = np.array([c if column == "x" else 1.0 for column in columns])
        np.testing.assert_allclose(b.varcorr[term] * np.outer(units, units), a.varcorr[term], rtol=2e-5, atol=1e-6)


@few
@given(st.sampled_from([f for f in FORMULAS if "||" not in f]), seeds, st.sampled_from([-0.7, 3.0, 100.0]))
def test_the_origin_of_a_predictor_moves_intercepts_only(formula: str, seed: int, c: float) -> None:
    data = sample(seed)
    a, b = fit(formula, data), fit(formula, {**data, "x": data["x"] + c})
    assert a.loglik == pytest.approx(b.loglik, abs=1e-7)
    assert a.sigma == pytest.approx(b.sigma, rel=1e-6)
    np.testing.assert_allclose(b.fixef.iloc[1:], a.fixef.iloc[1:], rtol=1e-6, atol=1e-8)
    moved = a.fixef["(Intercept)"] - c * a.fixef["x"]
    assert b.fixef["(Intercept)"] == pytest.approx(moved, rel=1e-6, abs=1e-7 * (1 + abs(c)))
    np.testing.assert_allclose(b.fitted(), a.fitted(), rtol=1e-6, atol=1e-6)


@few
@given(formulas, seeds)
def test_the_kind_of_frame_does_not_matter(formula: str, seed: int) -> None:
    data = sample(seed)
    a = fit(formula, data)
    frames = [pd.DataFrame(data), pl.DataFrame({k: v.tolist() for k, v in data.items()})]
    frames.append({k: v.tolist() for k, v in data.items()})
    for frame in frames:
        b = fit(formula, frame)
        assert b.loglik == a.loglik
        assert b.theta.equals(a.theta) and b.fixef.equals(a.fixef)
        assert b.fitted().to_numpy().tobytes() == a.fitted().to_numpy().tobytes()
