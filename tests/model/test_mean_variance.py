"""Residual variances that are functions of a covariate or of the mean."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import DataError, ModelError
from lmmpy.model import mean_variance
from lmmpy.model.lmer import gls


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    group, x = np.repeat(np.arange(40), 6), rng.normal(size=240)
    v = np.exp(rng.uniform(-1.0, 1.0, 240))
    mean = 12.0 + 2.0 * x + rng.normal(size=40)[group] * 1.5
    y = mean + (mean / 12.0) ** 2 * rng.normal(size=240)
    z = mean + v**2 * rng.normal(size=240)
    return pd.DataFrame({"y": y, "z": z, "x": x, "v": v, "g": [f"g{i:02d}" for i in group], "year": 2000.0 + 5.0 * v})


def residual(fit):
    """Parameters of the residual, by their names."""
    phi = fit.design.split_rows(fit.theta)[-1]
    return {one.labels[0]: one.value for one in fit.design.residual.structure.reported(phi)}


MODELS = [("y ~ x", False), ("y ~ x + (1 | g)", False), ("y ~ x + (1 | g)", True)]


@pytest.mark.parametrize("function", ["varpower", "varexp"])
@pytest.mark.parametrize(("formula", "reml"), MODELS)
def test_the_mean_is_that_of_the_fit_itself(data, function, formula, reml):
    fit = (lmm.lmer if "|" in formula else gls)(formula, data, reml=reml, residual=f"{function}()")
    np.testing.assert_allclose(fit.design.residual.structure.covariate, fit.fitted(), rtol=1e-6)
    again = (lmm.lmer if "|" in formula else gls)(
        formula, data.assign(mean=fit.fitted()), reml=reml, residual=f"{function}(mean)"
    )
    assert fit.loglik == pytest.approx(again.loglik, abs=1e-6)
    np.testing.assert_allclose(fit.theta, again.theta, rtol=1e-4)
    assert fit.sigma == pytest.approx(again.sigma, rel=1e-4)
    np.testing.assert_allclose(fit.fixef, again.fixef, rtol=1e-6)


def test_a_power_of_the_mean_is_found(data):
    fit = lmm.lmer("y ~ x + (1 | g)", data, residual="varpower()")
    assert residual(fit)["power"] == pytest.approx(2.0, abs=0.5)


def test_an_offset_is_part_of_the_mean(data):
    fit = gls("y ~ x", data, residual="varpower()")
    moved = gls("y ~ x", data.assign(y=data["y"] + 3.0, o=3.0 - 5.0), residual="varpower()", offset="o")
    np.testing.assert_allclose(moved.design.residual.structure.covariate, moved.fitted(), rtol=1e-6)
    again = gls("y ~ x", data.assign(y=data["y"] + 3.0), residual="varpower()")
    assert moved.loglik == pytest.approx(again.loglik, abs=1e-6)
    assert abs(again.loglik - fit.loglik) > 1e-3


@pytest.mark.parametrize("formula", ["z ~ x", "z ~ x + (1 | g)", "z ~ x + (x | g)", "z ~ x + cs(x | g)"])
def test_units_of_the_covariate_only_change_sigma(data, formula):
    """Whose unit is then far from the data: σ differs by 1000² ."""
    fit = lmm.lmer if "|" in formula else gls
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        near = fit(formula, data, residual="varpower(v)")
        far = fit(formula, data.assign(v=1000.0 * data["v"]), residual="varpower(v)")
    power = residual(near)["power"]
    assert residual(far)["power"] == pytest.approx(power, abs=1e-5)
    assert far.loglik == pytest.approx(near.loglik, abs=1e-6)
    assert far.optimum.converged
    assert far.optimum.evaluations <= near.optimum.evaluations + 5
    assert far.sigma == pytest.approx(near.sigma / 1000.0**power, rel=1e-4)
    if "|" in formula:
        np.testing.assert_allclose(far.varcorr["g"], near.varcorr["g"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(far.vcov(), near.vcov(), rtol=1e-4, atol=1e-7)


def test_a_covariate_far_from_zero_relative_to_its_spread(data):
    near = lmm.lmer("z ~ x + (1 | g)", data, residual="varexp(v)")
    far = lmm.lmer("z ~ x + (1 | g)", data, residual="varexp(I(v + 30))")
    assert far.loglik == pytest.approx(near.loglik, abs=1e-6)
    assert residual(far)["rate"] == pytest.approx(residual(near)["rate"], abs=1e-5)


def test_a_covariate_too_far_from_zero_is_refused(data):
    with pytest.raises(ModelError, match=r"too far from the data.*I\(x - 2000\)"):
        lmm.lmer("z ~ x + (1 | g)", data, residual="varexp(I(year))")
    near = lmm.lmer("z ~ x + (1 | g)", data, residual="varexp(I(year - 2000))")
    assert near.optimum.converged


def test_a_mean_of_zero_has_no_power(data):
    with pytest.raises(DataError, match="zero"):
        gls("y ~ 0 + x", data.assign(x=np.where(data["x"] > 1.0, 0.0, data["x"])), residual="varpower()")


@pytest.mark.parametrize("residual", ["varpower()", "ar1(1 | g) * varpower()"])
def test_without_predictors_the_mean_varies_by_random_effects_only(data, residual):
    fit = lmm.lmer("y ~ 1 + (1 | g)", data, residual=residual)
    power = fit.design.residual.structure if residual == "varpower()" else fit.design.residual.structure.parts[1]
    np.testing.assert_allclose(power.covariate, fit.fitted(), rtol=1e-6)
    with pytest.raises(ModelError, match="the same in all rows"):
        gls("y ~ 1", data, residual=residual)


def test_a_given_start_is_where_the_search_begins(data):
    plain = lmm.lmer("z ~ x + (1 | g)", data, residual="varpower(v)")
    fit = lmm.lmer("z ~ x + (1 | g)", data, residual="varpower(v)", start=[0.7, 0.3])
    np.testing.assert_array_equal(fit.optimum.log[0].theta, [0.7, 0.3])
    np.testing.assert_allclose(fit.theta, plain.theta, rtol=1e-3)


def test_functions_join_with_correlations_and_strata(data):
    """All parts are found again where they were put."""
    rng = np.random.default_rng(3)
    n, m = 200, 5
    g, t = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    f, v = rng.integers(0, 2, n * m), np.exp(rng.uniform(-1, 1, n * m))
    e = rng.normal(size=(n, m)) @ np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(range(m), range(m)))).T
    y = 3.0 + e.ravel() * np.where(f, 2.0, 1.0) * (1000 * v) ** 0.5
    frame = pd.DataFrame({"y": y, "g": g.astype(str), "t": t, "f": f.astype(str), "v": 1000 * v})
    found = residual(gls("y ~ 1", frame, residual="ar1(t | g) * varident(f) * varpower(v)"))
    assert found["rho"] == pytest.approx(0.6, abs=0.06)
    assert found["1"] == pytest.approx(2.0, abs=0.25)
    assert found["power"] == pytest.approx(0.5, abs=0.1)


def test_updates_settle_anew_and_refits_keep_the_mean(data):
    fit = lmm.lmer("y ~ x + (1 | g)", data, residual="varpower()")
    less = fit.update(". ~ . - x")
    np.testing.assert_allclose(less.design.residual.structure.covariate, less.fitted(), rtol=1e-6)
    refit = fit.refit(fit.simulate(1, seed=1).iloc[:, 0])
    np.testing.assert_array_equal(refit.design.residual.structure.covariate, fit.design.residual.structure.covariate)


@pytest.mark.parametrize("formula", ["z ~ x", "z ~ x + (1 | g)"])
def test_profile_intervals_where_sigma_is_far_from_the_data(data, formula):
    fit = lmm.lmer if "|" in formula else gls
    near = fit(formula, data, residual="varpower(v)", reml=False)
    far = fit(formula, data.assign(v=1000.0 * data["v"]), residual="varpower(v)", reml=False)
    expected, found = near.confint(), far.confint()
    others = [name for name in expected.index if name != "sigma"]
    np.testing.assert_allclose(found.loc[others], expected.loc[others], rtol=1e-4)
    for limit in found.loc["sigma"]:
        held = fit(
            formula, data.assign(v=1000.0 * data["v"]), residual="varpower(v)", reml=False, constraints={"sigma": limit}
        )
        assert 2.0 * (far.loglik - held.loglik) == pytest.approx(1.959964**2, rel=1e-3)


def swinging(seed):
    """Fits with the fitted values of the last as the covariate go to and fro between two means."""
    rng = np.random.default_rng(seed)
    group, n = np.repeat(np.arange(12), 6), 72
    frame = pd.DataFrame({"g": group, "x": rng.normal(size=n), "t": np.tile(np.arange(6.0), 12)})
    mean = 10.0 + 1.5 * rng.normal(size=12)[group]
    return frame.assign(y=mean + 0.5 * frame["x"] + 2.0 * (mean / 10.0) ** 4 * rng.normal(size=n))


@pytest.mark.parametrize("seed", [2, 19, 41])
def test_a_mean_that_swings_settles(seed):
    frame = swinging(seed)
    fit = lmm.lmer("y ~ x + t + (1 | g)", frame, residual="varpower()", reml=False)
    again = lmm.lmer("y ~ x + t + (1 | g)", frame.assign(m=fit.fitted()), residual="varpower(m)", reml=False)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-6)
    np.testing.assert_allclose(again.fitted(), fit.fitted(), rtol=1e-5)


def test_what_has_not_settled_is_said_to_be_no_solution(data, monkeypatch):
    monkeypatch.setattr(mean_variance, "_FITS", 2)
    with pytest.warns(lmm.ConvergenceWarning, match="not settled in 2 fits.* those of the last fit and of no solution"):
        lmm.lmer("y ~ x + (1 | g)", data, residual="varpower()")
