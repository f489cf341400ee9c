"""Leaving out rows and groups, against fits to data that never had them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.engines import make_criterion
from lmmpy.inference import deletion, parallel
from lmmpy.inference.influence import without_rows
from lmmpy.model.influence import SolveWithout, leverage_of, weighted_residual
from tests.model.made import FORMULAS, data, fit, quiet
from tests.naive import dense

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def drop(frame: pd.DataFrame, column: str, level: str) -> pd.DataFrame:
    return frame[frame[column].astype(str) != level]


def numbers(model: lmm.LmmFit, without: lmm.LmmFit) -> tuple[np.ndarray, np.ndarray]:
    """Change of β̂, and standard deviations with sigma last."""
    table = without.varcorr.to_frame()
    sds = [
        table.loc[(table["grp"] == term.name) & table["var2"].isna(), "sdcor"].to_numpy()
        for term in model.design.random
    ]
    return (without.fixef - model.fixef).to_numpy(), np.concatenate([*sds, [without.sigma]])


# ---- the design without rows


@pytest.mark.parametrize("name", FORMULAS)
def test_the_design_without_rows_is_that_of_the_data_without_them(name):
    model, frame = fit(name), data()
    rows = (frame["g"] == "g4").to_numpy() | (np.arange(70) % 9 == 0)
    found = without_rows(model.design, rows)
    expected = lmm.lformula(FORMULAS[name], frame[~rows], weights="w").design
    for field in ("y", "X", "weights", "offset"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
    np.testing.assert_array_equal(np.flatnonzero(found.rows), np.flatnonzero(~rows))
    for term, other in zip(found.random, expected.random, strict=True):
        assert (term.name, term.levels, term.columns) == (other.name, other.levels, other.columns)
        np.testing.assert_array_equal(term.codes, other.codes)
        np.testing.assert_array_equal(term.values, other.values)
        assert term.relatedness.size == term.n_levels
    theta = model.optimum.theta
    values = [make_criterion(design, True).evaluate(theta).value for design in (found, expected)]
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_terms_of_one_factor_still_share_it():
    found = without_rows(fit("uncorrelated").design, np.arange(70) < 5)
    assert found.random[0].grouping is found.random[1].grouping
    assert make_criterion(found, True).description == fit("uncorrelated").criterion.description


def test_the_rows_of_a_fit_that_left_some_out():
    frame = data().copy()
    frame.loc[["row0", "row9"], "x"] = np.nan
    design = quiet(FORMULAS["slope"], frame).design
    found = without_rows(design, np.arange(68) == 0)
    assert list(np.flatnonzero(~found.rows)) == [0, 1, 9]
    assert found.left_out is design.left_out and design.rows.sum() == 68


def test_columns_that_only_some_rows_determine():
    frame = data().assign(only=(data()["g"] == "g2").astype(float))
    model = quiet("y ~ x + only + (1 | h)", frame)
    with pytest.raises(lmm.ModelError, match=r"Without these rows .* do not determine the fixed effects 'only'"):
        without_rows(model.design, (frame["g"] == "g2").to_numpy())
    slope = quiet("y ~ x + (0 + only | h)", frame)
    with pytest.raises(lmm.ModelError, match=r"nothing is left of the random effects 'only' of \(0 \+ only \| h\)"):
        without_rows(slope.design, (frame["g"] == "g2").to_numpy())


# ---- everything estimated anew


@pytest.mark.parametrize(
    ("name", "group"),
    [("slope", "g"), ("uncorrelated", "g"), ("crossed", "h"), ("three", "g"), ("offset", "g"), ("nested", "k")],
)
@pytest.mark.parametrize("reml", [True, False])
def test_groups_by_brute_force(name, group, reml):
    model, frame = fit(name, True, reml), data()
    found = model.influence(group)
    assert found.group == group and found.refit and not found.problems
    assert list(found.cooks.index) == sorted(frame[group].astype(str).unique())
    for level in found.cooks.index[::2]:
        without = quiet(FORMULAS[name], drop(frame, group, level), weights="w", reml=reml)
        change, sds = numbers(model, without)
        np.testing.assert_allclose(found.fixef.loc[level], without.fixef, **CLOSE)
        np.testing.assert_allclose(found.dfbeta.loc[level], change, **CLOSE)
        np.testing.assert_allclose(found.dfbetas.loc[level], change / without.se, **CLOSE)
        columns = [c for c in found.parameters if c.startswith("sd_")] + ["sigma"]
        # Where a variance is estimated as zero its root is known to half the digits only.
        np.testing.assert_allclose(found.parameters.loc[level, columns], sds, rtol=1e-5, atol=1e-5)
        cook = change @ np.linalg.solve(model.vcov(), change) / len(change)
        assert found.cooks[level] == pytest.approx(cook, rel=1e-5)


def test_rows_by_brute_force():
    model, frame = fit("offset"), data()
    found = model.influence()
    assert found.group is None and list(found.cooks.index) == list(frame.index)
    for label in ("row2", "row33"):
        without = quiet(FORMULAS["offset"], frame.drop(label), weights="w")
        np.testing.assert_allclose(found.fixef.loc[label], without.fixef, **CLOSE)
        assert found.parameters.loc[label, "sigma"] == pytest.approx(without.sigma, rel=1e-6)


def test_processes_give_the_same():
    model = fit("offset")
    one, two = model.influence("h"), model.influence("h", n_jobs=2)
    pd.testing.assert_frame_equal(one.fixef, two.fixef, rtol=1e-12)
    assert parallel.mapped(abs, [-1, 2, -3], 1) == [1, 2, 3]


# ---- θ held


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(("name", "group"), [("slope", "g"), ("crossed", "g"), ("crossed", "h"), ("three", "f")])
def test_groups_with_theta_held(name, group, reml, monkeypatch):
    model, frame = fit(name, True, reml), data()
    found = model.influence(group, refit=False)
    for level in found.cooks.index:
        rows = (frame[group].astype(str) == level).to_numpy()
        naive = dense(without_rows(model.design, rows), model.optimum.theta, reml)
        change = naive.beta - model.fixef.to_numpy()
        np.testing.assert_allclose(found.dfbeta.loc[level], change, rtol=1e-7, atol=1e-9)
        se = naive.sigma * np.sqrt(np.diag(naive.vcov))
        np.testing.assert_allclose(found.dfbetas.loc[level], change / se, rtol=1e-7, atol=1e-9)
        assert found.parameters.loc[level, "sigma"] == pytest.approx(naive.sigma, rel=1e-9)
        cook = change @ np.linalg.solve(model.vcov(), change) / len(change)
        assert found.cooks[level] == pytest.approx(cook, rel=1e-6)
    # Large blocks are solved anew instead.
    monkeypatch.setattr(deletion, "_LARGE", 0)
    again = model.influence(group, refit=False)
    pd.testing.assert_frame_equal(again.dfbetas, found.dfbetas, rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(again.parameters, found.parameters, rtol=1e-9)


def test_blocks_have_more_rows_than_effects_and_fewer():
    """Of the two systems the smaller is solved; the comparisons above see both."""
    of_slope = [len(rows) - 4 for rows in data().groupby("g").groups.values()]
    of_crossed = [len(rows) - 4 - 18 - 1 for rows in data().groupby("h").groups.values()]
    assert max(of_slope) > 0 and min(of_crossed) < 0


def test_rows_with_theta_held_are_the_closed_forms_of_the_fit():
    model = fit("crossed")
    found = model.influence(refit=False)
    pd.testing.assert_frame_equal(found.dfbeta, model.dfbeta(), rtol=1e-12)
    pd.testing.assert_frame_equal(found.dfbetas, model.dfbetas(), rtol=1e-12)


def test_what_the_distance_is_expected_to_be():
    """Cov(β̂₋ − β̂) = Cov β̂₋ − Cov β̂, so that E dᵀ(Cov β̂)⁻¹d is the trace of (Cov β̂)⁻¹(Cov β̂₋ − Cov β̂)."""
    model = fit("crossed")
    rows = [np.flatnonzero((data()["h"] == h).to_numpy()) for h in range(5)]
    solve = SolveWithout(model.design, True, model.optimum.theta)
    leverage = leverage_of(model)
    found = deletion.delete_groups(leverage, weighted_residual(model), model._solution, rows, solve)
    C = model._solution.unscaled_vcov
    for i, set_ in enumerate(rows):
        less = dense(without_rows(model.design, np.isin(np.arange(70), set_)), model.optimum.theta).vcov
        A = np.linalg.solve(C, less - C)
        np.testing.assert_allclose(found.expected[i], [np.trace(A), np.trace(A @ A)], rtol=1e-7)
    single = deletion.delete_rows(leverage, weighted_residual(model), model._solution.r2)
    less = dense(without_rows(model.design, np.arange(70) == 8), model.optimum.theta).vcov
    A = np.linalg.solve(C, less - C)
    np.testing.assert_allclose(single.expected[8], [np.trace(A), np.trace(A @ A)], rtol=1e-6)


# ---- what cannot be left out, and how it is said


@pytest.fixture(scope="module")
def with_problem() -> lmm.LmmFit:
    frame = data().assign(only=(data()["g"] == "g2").astype(float))
    return quiet("y ~ x + only + (1 | g)", frame)


@pytest.mark.parametrize("refit", [True, False])
def test_a_level_that_alone_determines_a_coefficient(refit, with_problem):
    with pytest.warns(lmm.ConvergenceWarning, match=r"1 of 9 fits without a level of g do not exist.*'only'"):
        found = with_problem.influence("g", refit=refit)
    assert list(found.problems) == ["g2"]
    assert "Without g 'g2'" in found.problems["g2"] and "'only'" in found.problems["g2"]
    assert found.dfbeta.loc["g2"].isna().all() and found.parameters.loc["g2"].isna().all()
    assert found.cooks.drop("g2").notna().all()
    assert "No fit without 'g2'" in repr(found)
    assert pd.isna(found.summary().loc["g2", "coefficient"])


def test_a_grouping_factor_that_would_have_one_level_left():
    frame = data().assign(two=np.where(data()["g"] < "g4", "a", "b"))
    model = quiet("y ~ x + (1 | two)", frame)
    with pytest.warns(lmm.ConvergenceWarning, match="2 of 2"):
        found = model.influence("two")
    assert all("one level only" in problem for problem in found.problems.values())


@pytest.mark.parametrize(
    ("group", "message"),
    [("batch", r"a grouping factor of the fit \('g', 'h'\) or a column"), (3, "got 3"), ("one", "has one level only")],
)
def test_unknown_groups(group, message):
    model = quiet(FORMULAS["crossed"], data().assign(one="a"))
    with pytest.raises(lmm.ModelError, match=message):
        model.influence(group)


def test_other_arguments():
    model = fit("slope")
    with pytest.raises(lmm.ModelError, match="refit must be True or False"):
        model.influence("g", refit="no")
    with pytest.raises(lmm.ModelError, match="n_jobs"):
        model.influence("g", n_jobs=0)
    frame = data().assign(site=pd.Categorical(["a", None] * 35))
    with pytest.raises(lmm.DataError, match="'site' is missing in 35 rows"):
        quiet(FORMULAS["slope"], frame).influence("site", refit=False)


def test_any_column_of_the_data_and_nested_groups():
    model = fit("nested")
    assert list(model.influence("h", refit=False).cooks.index) == list("01234")
    pairs = model.influence("k:g", refit=False)
    assert len(pairs) == model.ngroups["k:g"]


def test_without_fixed_effects():
    found = fit("no fixed").influence("g", refit=False)
    assert found.fixef.shape == (9, 0) and found.cooks.isna().all()
    assert found.parameters["sigma"].notna().all() and "coefficient" not in found.summary()


def test_known_components_are_held():
    model = lmm.lmer("y ~ x + (1 | g)", data(), varcomp={"g": 2.0, "Residual": 0.7})
    exact, closed = model.influence("g"), model.influence("g", refit=False)
    pd.testing.assert_frame_equal(exact.dfbetas, closed.dfbetas, rtol=1e-8)
    np.testing.assert_allclose(exact.parameters["sigma"], np.sqrt(0.7))


def test_the_summary_begins_with_the_most_influential():
    found = fit("crossed").influence("g", refit=False)
    table = found.summary()
    assert list(table.columns) == ["cooks", "above_cut", "coefficient", "dfbetas", "sigma"]
    assert table["cooks"].is_monotonic_decreasing and table.index[0] == found.cooks.idxmax()
    row = found.dfbetas.loc[table.index[0]]
    assert table["coefficient"].iloc[0] == row.abs().idxmax()
    assert table["dfbetas"].iloc[0] == row[row.abs().idxmax()]
    assert found.cut == pytest.approx(4 / 9)
    assert (table["above_cut"] == (table["cooks"] > 4 / 9)).all()
    text = repr(found)
    assert "Influence of each level of g (9; covariance parameters held)" in text and table.index[0] in text
