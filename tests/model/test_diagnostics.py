"""Hat values, residuals, distances and components of a fit, against dense algebra and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference import leverage, projection
from lmmpy.inference.influence import without_rows
from tests.model.made import FORMULAS, at, data, fit, quiet
from tests.naive import dense

CASES = [(name, weighted) for name in FORMULAS for weighted in (True, False)]


def hat_matrix(fit: lmm.LmmFit) -> np.ndarray:
    """I − W⁻¹P: what maps y − offset to the fitted values, P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹."""
    naive, X = at(fit), fit.design.X
    VX = np.linalg.solve(naive.V, X)
    P = np.linalg.inv(naive.V) - VX @ np.linalg.solve(naive.XtVX, VX.T)
    w = np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights
    return np.eye(fit.nobs) - P / w[:, None]


@pytest.mark.parametrize(("name", "weighted"), CASES)
def test_hat_values(name, weighted):
    model = fit(name, weighted)
    hat = model.hatvalues()
    np.testing.assert_allclose(hat, np.diag(hat_matrix(model)), rtol=1e-7, atol=1e-9)
    assert list(hat.index) == list(data().index)
    offset = 0.0 if model.design.offset is None else model.design.offset
    np.testing.assert_allclose(hat_matrix(model) @ (model.design.y - offset) + offset, model.fitted(), rtol=1e-6)


@pytest.mark.parametrize("name", ["crossed", "three", "uncorrelated"])
def test_hat_values_in_small_batches(name, monkeypatch):
    model = fit(name)
    monkeypatch.setattr(leverage, "_BLOCK", 2 * model.design.q)
    found = lmm_leverage(model)
    np.testing.assert_allclose(found.diagonal, model.hatvalues(), rtol=1e-10)
    effects = np.array([0, 3, model.design.q - 1])
    kept = found.covariance(effects)
    monkeypatch.setattr(leverage, "_MOST_KEPT", 1)
    np.testing.assert_allclose(lmm_leverage(model).covariance(effects), kept, rtol=1e-9, atol=1e-12)


def lmm_leverage(model: lmm.LmmFit) -> leverage.Leverage:
    return leverage.Leverage.of(model.criterion, model.optimum.theta, model._solution.unscaled_vcov)


def test_levels_that_cannot_meet_are_solved_together():
    """For one factor the columns of all levels are one, so that the cost does not grow with their number."""
    found = lmm_leverage(fit("uncorrelated"))
    assert found._ranks().max() == 1  # intercept and slope of a level meet
    assert found._ranks(omitted=0).max() == 0
    np.testing.assert_array_equal(np.unique(leverage.components_of_levels(fit("nested").design)[1]), np.arange(9))


@pytest.mark.parametrize(("name", "weighted"), CASES)
def test_conditional_residuals(name, weighted):
    model = fit(name, weighted)
    raw = model.response - model.fitted()
    root = np.sqrt(model.prior_weights)
    pd.testing.assert_series_equal(model.residuals(), raw, check_names=False)
    np.testing.assert_allclose(model.residuals("pearson", scaled=True), raw * root / model.sigma)
    standard = raw * root / (model.sigma * np.sqrt(1.0 - np.diag(hat_matrix(model))))
    np.testing.assert_allclose(model.residuals("standardized"), standard, rtol=1e-6)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["crossed", "offset", "no fixed"])
def test_student_residuals_are_of_the_fit_without_the_row(name, reml):
    """y − prediction of the row from the others, over the standard error of that, with σ from the others; θ held."""
    model, design = fit(name, True, reml), fit(name, True, reml).design
    found = model.residuals("student").to_numpy()
    naive = at(model)
    for i in (0, 11, 42):
        others = np.arange(design.n) != i
        V, X, y = naive.V[np.ix_(others, others)], design.X[others], naive.y[others]
        C = np.linalg.inv(X.T @ np.linalg.solve(V, X))
        beta = C @ X.T @ np.linalg.solve(V, y)
        weight = np.linalg.solve(V, naive.V[others, i])
        d = design.X[i] - weight @ X
        error = naive.y[i] - design.X[i] @ beta - weight @ (y - X @ beta)
        variance = naive.V[i, i] - weight @ naive.V[others, i] + d @ C @ d
        r2 = (y - X @ beta) @ np.linalg.solve(V, y - X @ beta)
        sigma = np.sqrt(r2 / (design.n - 1 - design.p * reml))
        assert found[i] == pytest.approx(error / (sigma * np.sqrt(variance)), rel=1e-6)


@pytest.mark.parametrize(("name", "weighted"), CASES)
def test_marginal_residuals(name, weighted):
    model = fit(name, weighted)
    naive, design, sigma = at(model), model.design, model.sigma
    raw = naive.y - design.X @ naive.beta
    V, mean_part = naive.V, design.X @ naive.vcov @ design.X.T if design.p else 0.0
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(model.residuals(level="marginal"), raw, **close)
    pearson = raw / np.sqrt(np.diag(V))
    np.testing.assert_allclose(model.residuals("pearson", level="marginal"), pearson, **close)
    np.testing.assert_allclose(model.residuals("pearson", scaled=True, level="marginal"), pearson / sigma, **close)
    standard = raw / (sigma * np.sqrt(np.diag(V - mean_part)))
    np.testing.assert_allclose(model.residuals("standardized", level="marginal"), standard, **close)
    # The factor of the whole matrix has the blocks of the components: rows of other blocks do not enter.
    scaled = np.linalg.solve(np.linalg.cholesky(V), raw) / sigma
    np.testing.assert_allclose(model.residuals(scaled=True, level="marginal"), scaled, **close)


def test_scaled_marginal_residuals_need_blocks(monkeypatch):
    monkeypatch.setattr(projection, "LARGEST_BLOCK", 20)
    assert len(fit("slope").residuals(scaled=True, level="marginal")) == 70
    with pytest.raises(lmm.ModelError, match=r"hang together through g, h, and 70 do; at most 20"):
        fit("crossed").residuals(scaled=True, level="marginal")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "deviance"}, "not 'deviance'"),
        ({"level": "population"}, "'conditional' or 'marginal', not 'population'"),
        ({"type": "student", "scaled": True}, "leave out scaled"),
        ({"type": "student", "level": "marginal"}, "are of the conditional level"),
    ],
)
def test_residuals_that_do_not_exist(arguments, message):
    with pytest.raises(lmm.ModelError, match=message):
        fit("slope").residuals(**arguments)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["crossed", "nested", "offset"])
def test_dfbeta_by_brute_force(name, reml):
    model = fit(name, True, reml)
    change, relative = model.dfbeta(), model.dfbetas()
    for i in (0, 17, 69):
        design = without_rows(model.design, np.arange(70) == i)
        naive = dense(design, model.optimum.theta, reml)
        expected = naive.beta - at(model).beta
        np.testing.assert_allclose(change.iloc[i], expected, rtol=1e-6, atol=1e-9)
        se = naive.sigma * np.sqrt(np.diag(naive.vcov))
        np.testing.assert_allclose(relative.iloc[i], expected / se, rtol=1e-6, atol=1e-9)
    assert list(change.columns) == list(model.fixef.index) and list(change.index) == list(data().index)


def test_cooks_distance_is_per_fixed_effect():
    model = fit("crossed")
    r, h = model.residuals("standardized"), model.hatvalues()
    np.testing.assert_allclose(model.cooks_distance(), r**2 * h / (1.0 - h) / 4)
    with pytest.raises(lmm.ModelError, match="per fixed effect"):
        fit("no fixed").cooks_distance()


def test_known_components_hold_sigma():
    model = lmm.lmer(FORMULAS["slope"].replace("(x |", "(1 |"), data(), varcomp={"g": 2.0, "Residual": 0.7})
    standard = model.residuals() / np.sqrt(0.7 * (1.0 - model.hatvalues()))
    np.testing.assert_allclose(model.residuals("standardized"), standard)
    np.testing.assert_allclose(model.residuals("student"), standard)
    naive = dense(without_rows(model.design, np.arange(70) == 5), model.optimum.theta)
    expected = (naive.beta - at(model).beta) / np.sqrt(0.7 * np.diag(naive.vcov))
    np.testing.assert_allclose(model.dfbetas().iloc[5], expected, rtol=1e-6)


def test_a_row_that_alone_determines_a_coefficient_has_none_of_these():
    frame = data().assign(d=(np.arange(70) == 30).astype(float))
    model = quiet("y ~ x + d + (1 | g)", frame)
    assert model.hatvalues().iloc[30] == pytest.approx(1.0, abs=1e-9)
    assert model.dfbeta().iloc[30].isna().all() and model.dfbeta().drop("row30").notna().all(axis=None)


@pytest.fixture(scope="module")
def excluding() -> lmm.LmmFit:
    frame = data().copy()
    frame.loc[["row3", "row50"], "x"] = np.nan
    return quiet(FORMULAS["slope"], frame, na_action="exclude")


@pytest.mark.parametrize(
    "what",
    [
        lambda fit: fit.hatvalues(),
        lambda fit: fit.cooks_distance(),
        lambda fit: fit.residuals("student"),
        lambda fit: fit.residuals("standardized", level="marginal"),
        lambda fit: fit.residuals(scaled=True, level="marginal"),
        lambda fit: fit.dfbeta()["x"],
        lambda fit: fit.dfbetas()["x"],
        lambda fit: fit.influence(refit=False).cooks,
        lambda fit: fit.influence(refit=False).parameters["sigma"],
    ],
)
def test_excluded_rows_are_missing(what, excluding):
    found = what(excluding)
    assert list(found.index) == list(data().index)
    assert list(found.index[found.isna()]) == ["row3", "row50"]


def test_components_of_the_random_effects():
    model = fit("crossed")
    found = model.re_pca()
    assert list(found) == ["g", "h"] and len(found) == 2
    G = model.varcorr["g"].to_numpy() / model.sigma**2
    g = found["g"]
    rotation = g.rotation.to_numpy()
    np.testing.assert_allclose(rotation @ np.diag(g.sdev**2) @ rotation.T, G, rtol=1e-8)
    np.testing.assert_allclose(g.proportion, g.sdev**2 / np.trace(G))
    assert g.cumulative.iloc[-1] == pytest.approx(1.0)
    assert list(g.rotation.index) == ["(Intercept)", "x"] and list(g.rotation.columns) == ["PC1", "PC2"]
    assert list(found.to_frame().columns) == ["group", "component", "sdev", "proportion", "cumulative"]
    assert "PC1" in repr(found) and "<table" in found._repr_html_()


def test_terms_of_one_factor_are_taken_together():
    model = fit("uncorrelated")
    found = model.re_pca()["g"]
    sds = [np.sqrt(model.varcorr[name].to_numpy()[0, 0]) / model.sigma for name in ("g", "g.1")]
    np.testing.assert_allclose(found.sdev, sorted(sds, reverse=True))
    assert list(found.rotation.index) == ["(Intercept)", "x"]


def test_no_variance_has_no_shares():
    model = quiet("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"))
    found = model.re_pca()["Batch"]
    assert found.sdev.to_list() == [0.0] and found.proportion.isna().all()
