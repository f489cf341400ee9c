"""Leverage, residuals and deletions of fits with relatives, against dense algebra and brute force."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.design.values import factorize
from lmmpy.engines import make_criterion
from lmmpy.inference import deletion, leverage, projection
from lmmpy.inference.influence import without_rows
from lmmpy.model.influence import SolveWithout, leverage_of, weighted_residual
from lmmpy.plots.group_builders import qq_ranef_frame
from tests.model.made import at
from tests.model.relatives import FORMULAS, data, fit, kernel
from tests.model.test_diagnostics import hat_matrix

CASES = [
    *((name, "pedigree", "sparse") for name in FORMULAS),
    ("household", "pedigree", "marginal"),
    ("animal", "twins", "spectral"),
    ("repeated", "twins", "marginal"),
    ("slope", "genotypes", "marginal"),
]
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


@pytest.fixture(params=CASES, ids="-".join)
def model(request):
    return fit(*request.param)


def again(name: str, kind: str, frame: pd.DataFrame, **options: object) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return lmm.lmer(FORMULAS[name], frame, weights="w", relmat={"K": kernel(kind)}, **options)


def test_hat_values_and_distances(model):
    H = hat_matrix(model)
    np.testing.assert_allclose(model.hatvalues(), np.diag(H), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(H @ model.design.y, model.fitted(), rtol=1e-7)
    left = 1.0 - np.diag(H)
    standard = (model.response - model.fitted()) * np.sqrt(model.prior_weights) / (model.sigma * np.sqrt(left))
    np.testing.assert_allclose(model.residuals("standardized"), standard, **CLOSE)
    cooks = standard**2 * np.diag(H) / left / model.design.p
    np.testing.assert_allclose(model.cooks_distance(), cooks, **CLOSE)
    augmented = model.augment()
    np.testing.assert_allclose(augmented["_hat"], np.diag(H), rtol=1e-7)
    np.testing.assert_allclose(augmented["_cooksd"], cooks, **CLOSE)


def test_marginal_residuals(model):
    naive, design, sigma = at(model), model.design, model.sigma
    raw, V = naive.y - design.X @ naive.beta, naive.V
    pearson = raw / np.sqrt(np.diag(V))
    np.testing.assert_allclose(model.residuals("pearson", level="marginal"), pearson, **CLOSE)
    standard = raw / (sigma * np.sqrt(np.diag(V - design.X @ naive.vcov @ design.X.T)))
    np.testing.assert_allclose(model.residuals("standardized", level="marginal"), standard, **CLOSE)
    scaled = np.linalg.solve(np.linalg.cholesky(V), raw) / sigma
    np.testing.assert_allclose(model.residuals(scaled=True, level="marginal"), scaled, **CLOSE)


def test_unrelated_families_have_blocks_of_their_own(monkeypatch):
    """Rows of one family only enter the factor of its block."""
    family = np.array([int(name[1:]) % 3 for name in data()["id"]])
    ids = sorted(set(data()["id"]))
    of_id = np.array([int(name[1:]) % 3 for name in ids])
    K = pd.DataFrame(0.4 * (of_id[:, None] == of_id) + 0.6 * np.eye(len(ids)), index=ids, columns=ids)
    found = lmm.lmer("y ~ x + kin(id, K)", data(), relmat={"K": K})
    monkeypatch.setattr(projection, "LARGEST_BLOCK", int(np.bincount(family).max()))
    naive = at(found)
    raw = naive.y - found.design.X @ naive.beta
    expected = np.linalg.solve(np.linalg.cholesky(naive.V), raw) / found.sigma
    np.testing.assert_allclose(found.residuals(scaled=True, level="marginal"), expected, **CLOSE)
    component = leverage.components_of_levels(found.design)[0]
    assert len(set(component)) == 3
    with pytest.raises(lmm.ModelError, match="hang together"):
        monkeypatch.setattr(projection, "LARGEST_BLOCK", 10)
        found.residuals(scaled=True, level="marginal")


def test_leverage_between_terms_in_small_batches(monkeypatch):
    model = fit("slope", "pedigree", "sparse")
    monkeypatch.setattr(leverage, "_BLOCK", 2 * model.design.q)
    np.testing.assert_allclose(leverage_of(model).diagonal, model.hatvalues(), rtol=1e-9)


def test_covariances_of_some_effects_asked_once(model):
    one, two, effects = leverage_of(model), leverage_of(model), np.arange(0, model.design.q, 5)
    np.testing.assert_allclose(one.covariance(effects, once=True), two.covariance(effects), rtol=1e-8, atol=1e-12)


# ---- deletions


def test_rows_are_left_out_in_closed_form(model):
    design, theta = model.design, model.optimum.theta
    found = deletion.delete_rows(leverage_of(model), weighted_residual(model), model.solution.r2)
    for row in range(0, design.n, 7):
        rest = make_criterion(without_rows(design, np.arange(design.n) == row), model.reml).solve(theta)
        np.testing.assert_allclose(found.beta[row], rest.beta - model.solution.beta, **CLOSE)
        np.testing.assert_allclose(found.variance[row], np.diag(rest.unscaled_vcov), rtol=1e-6)
        assert found.r2[row] == pytest.approx(rest.r2, rel=1e-8)


@pytest.mark.parametrize("large", [False, True])
def test_groups_are_left_out_in_closed_form(model, large, monkeypatch):
    """All records of an animal; its relatives and what is known of their relationship stay."""
    if large:
        monkeypatch.setattr(deletion, "_LARGE", 0)
    design, theta = model.design, model.optimum.theta
    factor = factorize(data()["id"].to_numpy())
    groups = [np.flatnonzero(factor.codes == code) for code in range(0, len(factor.levels), 4)]
    solve_without = SolveWithout(design, model.reml, theta)
    leave = deletion.delete_groups(leverage_of(model), weighted_residual(model), model.solution, groups, solve_without)
    for i, rows in enumerate(groups):
        kept = ~np.isin(np.arange(design.n), rows)
        naive = at(model)
        V, X, y = naive.V[np.ix_(kept, kept)], design.X[kept], naive.y[kept]
        C = np.linalg.inv(X.T @ np.linalg.solve(V, X))
        beta = C @ X.T @ np.linalg.solve(V, y)
        np.testing.assert_allclose(leave.beta[i], beta - model.solution.beta, **CLOSE)
        np.testing.assert_allclose(leave.variance[i], np.diag(C), rtol=1e-6)
        assert leave.r2[i] == pytest.approx((y - X @ beta) @ np.linalg.solve(V, y - X @ beta), rel=1e-8)


@pytest.mark.parametrize(
    ("name", "kind", "group"),
    [("household", "pedigree", "kin(id, K)"), ("household", "pedigree", "hh"), ("animal", "twins", "id")],
)
def test_refits_without_a_group_are_those_of_the_other_rows(name, kind, group):
    model, frame = fit(name, kind), data()
    column = "hh" if group == "hh" else "id"
    found = model.influence(group)
    assert not found.problems
    # A level of the term with relatedness is a genetic one: that of the twins is both of them.
    assert len(found) == frame[column].nunique() - (group == "kin(id, K)")
    for level in found.cooks.index[1::9]:
        expected = again(name, kind, frame[frame[column] != level])
        np.testing.assert_allclose(found.fixef.loc[level], expected.fixef, rtol=1e-5)
        assert found.parameters.loc[level, "sigma"] == pytest.approx(expected.sigma, rel=1e-5)
        assert found.parameters.loc[level].iloc[0] == pytest.approx(
            expected.varcorr.to_frame()["sdcor"].iloc[0], rel=1e-4
        )


def test_quantiles_are_of_effects_over_the_standard_deviation_of_their_level():
    model = fit("animal", "pedigree", "sparse")
    frame, naive, term = qq_ranef_frame(model).set_index("level"), at(model), model.design.random[0]
    G, Z = naive.spread(0, naive.Ts[0] @ naive.Ts[0].T), naive.Zs[0]
    explained = np.diag(G @ Z.T @ np.linalg.solve(naive.V, Z @ G))
    expected = (naive.b / (model.sigma * np.sqrt(explained)))[term.recorded]
    levels = np.array(term.levels)[term.recorded]
    np.testing.assert_allclose(frame.loc[levels, "sample"], expected, rtol=1e-6)
    assert frame["sample"].notna().sum() == term.n_recorded < term.n_levels
