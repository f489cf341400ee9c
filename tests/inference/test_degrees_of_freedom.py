"""Satterthwaite's and Kenward and Roger's methods against textbook formulas on a dense V."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.contrasts import Estimates
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
    inner, turned = fitted.criterion.orthogonal(), _turned(fitted, theta)
    found = kenward_roger(inner.design, turned, sigma, inner.operators(turned))
    adjusted, joint = dense_tests.kenward_roger(design, theta, sigma)
    scale = np.sqrt(np.diag(adjusted))
    np.testing.assert_allclose(found.vcov / np.outer(scale, scale), adjusted / np.outer(scale, scale), atol=2e-7)
    for L in (np.eye(design.p)[1:2], np.eye(design.p)[1:]):
        np.testing.assert_allclose(found.joint(L), joint(L), rtol=1e-5)


def _turned(fitted: lmm.LmmFit, theta: np.ndarray) -> np.ndarray:
    """θ in the coordinates of the search."""
    parts = fitted.design.split_theta(theta)
    found = []
    for term, part, R in zip(fitted.design.random, parts, fitted.criterion.bases, strict=True):
        found.append(part if R is None else term.structure.from_factor(R @ term.structure.factor(part).T))
    return np.concatenate(found)


def test_slopes_of_the_covariance_are_its_derivatives(fitted: lmm.LmmFit) -> None:
    design, theta, sigma = fitted.design, fitted.optimum.theta, fitted.sigma
    if "far" in design.names:
        pytest.skip("differences of a dense V lose their digits there")
    solution, operators = fitted.criterion.solve(theta), fitted.criterion.operators(theta)
    found = vcov_slopes(design, theta, sigma, solution.unscaled_vcov, operators.ZtVQ @ operators.products.R)
    expected = dense_tests.vcov_slopes(design, theta, sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["one", "slopes", "apart"])
def test_covariance_of_the_variance_parameters_inverts_the_hessian(name: str, reml: bool) -> None:
    fitted = fit(name, "w") if reml else fit(name, "w").refit_ml()
    assert not fitted.is_singular()
    hessian = dense_tests.hessian(fitted.design, fitted.optimum.theta, fitted.sigma, reml)
    found = fitted._variance_parameters.covariance
    assert all(R is None for R in fitted.criterion.bases)
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


def test_contrasts_may_be_lists() -> None:
    tests = lmm.lmer("Reaction ~ Days + (1 | Subject)", lmm.datasets.load("sleepstudy")).contrast_tests()
    L = np.array([[0.0, 1.0]])
    for given in ([[0, 1]], [0, 1], (0, 1)):
        np.testing.assert_array_equal(tests.single(given).p_value, tests.single(L).p_value)
        assert tests.joint(given) == tests.joint(L)
    assert len(tests.single([]).estimate) == 0 and tests.joint(np.empty((0, 2))).num_df == 0
    with pytest.raises(lmm.ModelError, match=r"L has the shape \(1, 3\); expected \(contrasts, 2\)"):
        tests.single([[0, 1, 2]])


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


def test_two_degrees_of_freedom_are_no_special_case() -> None:
    """A between-group effect of four groups: balanced, so both methods have 2, where factors of the formulas vanish."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(4), 5)
        y = rng.normal(size=20) + 3.0 * rng.normal(size=4)[g]
        four = pd.DataFrame({"g": g.astype(str), "t": np.where(g < 2, "a", "b"), "y": y})
        found = lmm.lmer("y ~ t + (1 | g)", four)
        for ddf in ("satterthwaite", "kenward-roger"):
            table = lmm.anova(found, ddf=ddf).loc["t"]
            assert table["DenDF"] == pytest.approx(2.0, rel=1e-6)
            assert table["F value"] == pytest.approx((found.fixef["tb"] / found.se["tb"]) ** 2, rel=1e-6)


@pytest.mark.parametrize("A", [0.1, 0.5, 1.0, 2.0])
def test_one_contrast_has_the_limit_of_the_general_formula(A: float) -> None:
    assert moments_matched(A, A, 1) == (pytest.approx(2.0 / A), 1.0)


SHIFTS = [0.0, 100.0, 1e4, 1e5, 2_460_000.0]


@pytest.mark.parametrize("shift", SHIFTS[1:])
@pytest.mark.parametrize("formula", ["Reaction ~ J + (J | Subject)", "Reaction ~ J + (1 | Subject)"])
def test_nothing_depends_on_the_origin_of_a_predictor(formula: str, shift: float) -> None:
    sleep = lmm.datasets.load("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.ScaleWarning)
        near, far = (lmm.lmer(formula, sleep.assign(J=sleep["Days"] + k)) for k in (0.0, shift))
    for ddf in ("satterthwaite", "kenward-roger", "asymptotic"):
        a, b = (fit.contrast_tests(ddf).single(np.array([[0.0, 1.0]])) for fit in (near, far))
        np.testing.assert_allclose(b.std_error, a.std_error, rtol=1e-5)
        np.testing.assert_allclose(b.df, a.df, rtol=1e-5)
        # the mean at Days = 0, which is far from the origin now
        at = [fit.contrast_tests(ddf).single(np.array([[1.0, k]])) for fit, k in ((near, 0.0), (far, shift))]
        np.testing.assert_allclose(at[1].std_error, at[0].std_error, rtol=1e-5)
        np.testing.assert_allclose(at[1].df, at[0].df, rtol=1e-5)
    names = ["sigma"] + (["sd_J|Subject"] if "(J" in formula else ["sd_(Intercept)|Subject"])
    a, b = (fit.parameters().loc[names, "std_error"] for fit in (near, far))
    np.testing.assert_allclose(b, a, rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e4, 1e8])
def test_joint_tests_do_not_depend_on_units(unit: float) -> None:
    sleep = lmm.datasets.load("sleepstudy")
    rng = np.random.default_rng(1)
    sleep["x"] = rng.normal(size=len(sleep))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.ScaleWarning)
        plain, scaled = (
            lmm.lmer("Reaction ~ Days + x + (1 | Subject)", sleep.assign(x=c * sleep["x"])) for c in (1.0, unit)
        )
    for ddf in ("satterthwaite", "kenward-roger"):
        a, b = (fit.contrast_tests(ddf).joint(np.eye(3)[[0, 2]]) for fit in (plain, scaled))
        assert b.num_df == 2
        assert b.statistic == pytest.approx(a.statistic, rel=1e-6)


def test_an_unknown_df_gives_no_p_value() -> None:
    estimates = Estimates(np.array([1.0]), np.array([0.1]), np.array([np.nan]))
    assert np.isnan(estimates.p_value).all()
    assert np.isnan(estimates.interval(0.95)).all()


def test_contradictory_hypotheses_are_refused() -> None:
    found = fit("one", None)
    L = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    consistent = found.contrast_tests().joint(L, np.array([1.0, 2.0]))
    alone = found.contrast_tests().joint(L[:1], np.array([1.0]))
    assert consistent.num_df == 1
    assert consistent.statistic == pytest.approx(alone.statistic)
    for rows, values in ((L, [1.0, 99.0]), (0.0 * L[:1], [5.0])):
        with pytest.raises(lmm.ModelError, match="contradict"):
            found.contrast_tests().joint(rows, np.array(values))


def test_a_contrast_of_nothing_has_no_df() -> None:
    for ddf in ("satterthwaite", "kenward-roger"):
        single = fit("one", None).contrast_tests(ddf).single(np.zeros((1, 4)))
        assert single.std_error[0] == 0.0
        assert np.isnan(single.p_value[0])
