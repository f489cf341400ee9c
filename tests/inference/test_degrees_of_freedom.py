"""Satterthwaite's and Kenward and Roger's methods against textbook formulas on a dense V."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.kenward_roger import kenward_roger, moments_matched
from lmmpy.inference.satterthwaite import pooled_df, vcov_slopes
from tests.inference import dense_tests

FORMULAS = {
    "one": "y ~ x + f + (1 | g)",
    "slopes": "y ~ x + f + (1 + x | g)",
    "crossed slopes": "y ~ x + f + (1 + x | g) + (1 + x | h)",
    "nested": "y ~ x * f + (1 | g/h)",
    "apart": "y ~ x + f + (1 + x || g)",
    "diag": "y ~ x + f + diag(1 + x | g)",
    "cs hom": "y ~ x + cs(0 + f | g, hom = TRUE)",
    "cs": "y ~ x + cs(0 + f | g)",
    "ar1": "y ~ x + ar1(0 + f | g) + (1 | h)",
    "far": "y ~ far + f + (1 + far | g)",
}
WEIGHTS = [None, "w"]


@cache
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n, g = 84, np.repeat(np.arange(12), 7)
    frame = pd.DataFrame({"g": g, "h": rng.integers(0, 4, n), "x": rng.normal(size=n), "w": rng.uniform(0.4, 2.5, n)})
    frame["f"] = pd.Categorical(rng.choice(list("abc"), n))
    frame["far"] = 5_000.0 + frame["x"]
    effects = rng.normal(size=(12, 2)) @ np.array([[1.2, 0.0], [0.4, 1.3]])
    frame["y"] = effects[g, 0] + effects[g, 1] * frame["x"] + rng.normal(size=4)[frame["h"]] + rng.normal(size=n)
    return frame.astype({"g": str, "h": str})


@cache
def fit(name: str, weights: str | None) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)  # some of the terms are not in the data
        return lmm.lmer(FORMULAS[name], data(), weights=weights)


@pytest.fixture(params=[(name, weights) for name in FORMULAS for weights in WEIGHTS], ids=str)
def fitted(request: pytest.FixtureRequest) -> lmm.LmmFit:
    return fit(*request.param)


def test_kenward_roger_is_that_of_the_dense_model(fitted: lmm.LmmFit) -> None:
    """At any θ; not at the optimum, where terms may vanish."""
    design, sigma = fitted.design, 1.3
    theta = np.random.default_rng(1).uniform(0.4, 0.9, design.n_theta)
    if "far" in design.names:
        theta = np.array([3_000.0, -0.6, 0.3])
    solution, operators = fitted.criterion.solve(theta), fitted.criterion.operators(theta)
    found = kenward_roger(design, theta, sigma, solution.unscaled_vcov, operators)
    adjusted, joint = dense_tests.kenward_roger(design, theta, sigma)
    scale = np.sqrt(np.diag(adjusted))
    np.testing.assert_allclose(found.vcov / np.outer(scale, scale), adjusted / np.outer(scale, scale), atol=2e-7)
    for L in (np.eye(design.p)[1:2], np.eye(design.p)[1:]):
        np.testing.assert_allclose(found.joint(L), joint(L), rtol=1e-5)


def test_slopes_of_the_covariance_are_its_derivatives(fitted: lmm.LmmFit) -> None:
    design, theta, sigma = fitted.design, fitted.optimum.theta, fitted.sigma
    if "far" in design.names:
        pytest.skip("differences of a dense V lose their digits there")
    solution, operators = fitted.criterion.solve(theta), fitted.criterion.operators(theta)
    found = vcov_slopes(design, theta, sigma, solution.unscaled_vcov, operators.ZtVX)
    expected = dense_tests.vcov_slopes(design, theta, sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["one", "slopes", "apart"])
def test_covariance_of_the_variance_parameters_inverts_the_hessian(name: str, reml: bool) -> None:
    fitted = fit(name, "w") if reml else fit(name, "w").refit_ml()
    assert not fitted.is_singular()
    hessian = dense_tests.hessian(fitted.design, fitted.optimum.theta, fitted.sigma, reml)
    found = fitted._variance_parameters.covariance
    expected = 2.0 * np.linalg.inv(hessian)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


def test_balanced_one_way_layout_has_its_textbook_degrees_of_freedom() -> None:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(7), 4)
    balanced = pd.DataFrame({"y": 2.0 * rng.normal(size=7)[g] + rng.normal(size=28), "g": g.astype(str)})
    balanced["x"] = np.tile(np.arange(4.0), 7)
    found = lmm.lmer("y ~ x + (1 | g)", balanced)
    for ddf in ("satterthwaite", "kenward-roger"):
        within = found.contrast_tests(ddf).single(np.array([[0.0, 1.0]]))
        assert within.df[0] == pytest.approx(7 * 3 - 1, rel=1e-6)
    mean = lmm.lmer("y ~ 1 + (1 | g)", balanced)
    for ddf in ("satterthwaite", "kenward-roger"):
        assert mean.contrast_tests(ddf).single(np.eye(1)).df[0] == pytest.approx(6.0, rel=1e-6)


def test_a_singular_fit_has_the_degrees_of_freedom_of_what_is_left() -> None:
    """Without between-group variance Satterthwaite's are those of the residual."""
    dyestuff = lmm.datasets.load("Dyestuff2")
    with pytest.warns(lmm.SingularFitWarning):
        singular = lmm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff)
    assert singular.contrast_tests().single(np.eye(1)).df[0] == pytest.approx(29.0, rel=1e-8)


def test_known_variances_make_normal_tests() -> None:
    known = lmm.lmer("y ~ x + (1 | g)", data(), varcomp={"g": 1.0, "Residual": 2.0})
    for ddf in ("satterthwaite", "kenward-roger"):
        tests = known.contrast_tests(ddf)
        assert np.isinf(tests.single(np.eye(2)).df).all()
        np.testing.assert_allclose(tests.vcov, known.vcov())


def test_several_degrees_of_freedom_are_pooled_as_an_f_statistic_needs() -> None:
    assert pooled_df(np.array([7.0])) == 7.0
    assert pooled_df(np.array([5.0, 5.0])) == 5.0
    assert pooled_df(np.array([1.5, 30.0])) == 2.0
    expected = 10.0 / 8.0 + 20.0 / 18.0
    assert pooled_df(np.array([10.0, 20.0])) == pytest.approx(2.0 * expected / (expected - 2.0))


def test_a_covariance_that_does_not_vary_gives_a_chi_squared_test() -> None:
    assert moments_matched(0.0, 0.0, 2) == (np.inf, 1.0)
