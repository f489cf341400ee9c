"""The numbers of the plots of rows and fixed effects, against their definitions written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.plots import (
    forest_frame,
    influence_frame,
    profile_frame,
    profile_limits_frame,
    qq_frame,
    qq_residual_frame,
    residual_frame,
    scale_location_frame,
)
from lmmpy.plots.smoothing import smooth
from tests.plots.pictures import fit

TYPES = ("response", "pearson", "standardized", "student")


def sleep_with_gaps(na_action: str) -> lmm.LmmFit:
    data = lmm.datasets.load("sleepstudy")
    data.loc[[3, 50, 51], "Reaction"] = np.nan
    return lmm.lmer("Reaction ~ Days + (Days | Subject)", data, na_action=na_action)


@pytest.mark.parametrize("type", TYPES)
def test_residuals_over_fitted_values(type):
    model = fit("sleepstudy")
    frame = residual_frame(model, type)
    np.testing.assert_array_equal(frame["fitted"], model.fitted())
    np.testing.assert_array_equal(frame["residual"], model.residuals(type=type))
    np.testing.assert_array_equal(
        scale_location_frame(model, type)["root"] ** 2, np.sqrt(np.abs(frame["residual"])) ** 2
    )
    assert frame.index.equals(model.fitted().index)


def test_rows_left_out_are_in_no_plot():
    with_gaps, omitted = sleep_with_gaps("exclude"), sleep_with_gaps("omit")
    assert len(with_gaps.fitted()) == 180
    for build in (residual_frame, scale_location_frame, qq_residual_frame, influence_of_rows):
        pd.testing.assert_frame_equal(build(with_gaps), build(omitted))
        assert len(build(with_gaps)) == 177


def influence_of_rows(model: lmm.LmmFit) -> pd.DataFrame:
    return influence_frame(model, refit=False)


# ---- quantiles


@pytest.mark.parametrize("n", [2, 5, 10, 11, 40])
def test_quantiles_are_those_of_r(n):
    """R's ppoints: (i − 3/8)/(n + 1/4) up to ten values, (i − 1/2)/n beyond."""
    i = np.arange(1, n + 1)
    p = (i - 0.375) / (n + 0.25) if n <= 10 else (i - 0.5) / n
    values = pd.Series(np.random.default_rng(n).gamma(2.0, size=n), index=[f"r{j}" for j in range(n)])
    frame = qq_frame(values)
    np.testing.assert_allclose(frame["theoretical"], stats.norm.ppf(p), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(frame["sample"], np.sort(values))
    assert list(frame.index) == list(values.sort_values().index)
    np.testing.assert_allclose(frame["expected"], values.mean() + values.std() * stats.norm.ppf(p), rtol=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_band_holds_each_order_statistic_as_often_as_it_says(level):
    """By simulation, and for the extremes in closed form: P(max ≤ x) = Φ(x)ⁿ."""
    n, draws = 12, 40_000
    standard = pd.Series(np.linspace(-1, 1, n))
    standard = (standard - standard.mean()) / standard.std()
    frame = qq_frame(standard, level)  # mean 0 and standard deviation 1: the band of standard normal values
    sample = np.sort(np.random.default_rng(5).normal(size=(draws, n)), axis=1)
    inside = (sample >= frame["conf_low"].to_numpy()) & (sample <= frame["conf_high"].to_numpy())
    np.testing.assert_allclose(inside.mean(axis=0), level, atol=4 * np.sqrt(level * (1 - level) / draws))
    tail = 0.5 * (1 - level)
    np.testing.assert_allclose(stats.norm.cdf(frame["conf_high"].iloc[-1]) ** n, 1 - tail, rtol=1e-10)
    np.testing.assert_allclose(stats.norm.sf(frame["conf_low"].iloc[0]) ** n, 1 - tail, rtol=1e-10)


def test_missing_values_have_no_quantile():
    frame = qq_frame(pd.Series([2.0, np.nan, 1.0, 3.0]))
    assert list(frame.index) == [2, 0, 3, 1]
    pd.testing.assert_frame_equal(frame.iloc[:3], qq_frame(pd.Series([2.0, 1.0, 3.0], index=[0, 2, 3])))
    assert frame.iloc[3].isna().all()
    assert qq_frame(pd.Series([1.0, np.nan]))["theoretical"].isna().all()


@pytest.mark.parametrize("level", [0, 1, 95, "0.95", True])
def test_a_level_lies_between_zero_and_one(level):
    with pytest.raises(lmm.ModelError, match="level must be a number between 0 and 1"):
        qq_frame(pd.Series([1.0, 2.0]), level)


# ---- the smooth line


def dense_spline(x: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float) -> np.ndarray:
    """Reinsch's form at the knots: (W + λ Q R⁻¹ Qᵀ)⁻¹ W y (Green & Silverman 1994, §2.3)."""
    n, h = len(x), np.diff(x)
    Q, R = np.zeros((n, n - 2)), np.zeros((n - 2, n - 2))
    for j in range(n - 2):
        Q[j : j + 3, j] = 1 / h[j], -1 / h[j] - 1 / h[j + 1], 1 / h[j + 1]
        R[j, j] = (h[j] + h[j + 1]) / 3
        if j:
            R[j, j - 1] = R[j - 1, j] = h[j] / 6
    return np.linalg.solve(np.diag(w) + penalty * Q @ np.linalg.solve(R, Q.T), w * y)


def test_the_smooth_line_is_a_smoothing_spline():
    rng = np.random.default_rng(8)
    knots = np.linspace(10.0, 30.0, 11)
    x = np.concatenate([knots, knots[3:6]])  # ties are averaged
    y = np.sin(x / 3) + rng.normal(0, 0.3, len(x))
    w = np.bincount(np.searchsorted(knots, x)).astype(float)
    level = np.bincount(np.searchsorted(knots, x), y) / w
    at, found = smooth(x, y)
    expected = dense_spline((knots - 10) / 20, level, w, 1e-4 * len(x))
    np.testing.assert_allclose(at[::10], knots, rtol=1e-12)
    np.testing.assert_allclose(found[::10], expected, rtol=1e-8)


def test_the_smooth_line_does_not_mind_units_or_many_points():
    rng = np.random.default_rng(9)
    x = rng.uniform(-2, 2, size=5_000)
    y = x**2 + rng.normal(size=5_000)
    at, found = smooth(x, y)
    inner = np.abs(at) < 1.5
    np.testing.assert_allclose(found[inner], at[inner] ** 2, atol=0.15)
    scaled = smooth(1e-7 * x + 3e-6, 1e5 * y)
    np.testing.assert_allclose(scaled[1], 1e5 * found, rtol=1e-5)
    np.testing.assert_allclose(smooth(x, 2 + 3 * x)[1], 2 + 3 * at, rtol=1e-6)


def test_the_smooth_line_has_about_five_degrees_of_freedom():
    """The trace of the matrix that maps y to the line, one unit vector at a time."""
    x = np.linspace(0.0, 1.0, 51)
    assert 4.5 < sum(smooth(x, y)[1][2 * i] for i, y in enumerate(np.eye(51))) < 5.5


@pytest.mark.parametrize("x", [np.empty(0), np.full(20, 3.0), np.repeat([1.0, 2.0, 3.0, 4.0], 10)])
def test_no_smooth_line_through_few_places(x):
    at, found = smooth(x, np.arange(len(x), dtype=float))
    assert len(at) == len(found) == 0


# ---- parameters


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "asymptotic"])
def test_forest(ddf):
    model = fit("cake")
    frame = forest_frame(model, 0.9, ddf)
    table = lmm.contest(model, np.eye(18), ddf=ddf, joint=False, level=0.9)
    assert list(frame.index) == list(model.fixef.index)
    for ours, theirs in (("estimate", "Estimate"), ("std_error", "Std. Error"), ("conf_low", "lower")):
        np.testing.assert_allclose(frame[ours], table[theirs], rtol=1e-12)
    quantile = stats.norm.ppf(0.95) if ddf == "asymptotic" else stats.t.ppf(0.95, frame["df"])
    np.testing.assert_allclose(frame["conf_high"], frame["estimate"] + quantile * frame["std_error"], rtol=1e-12)


def test_forest_without_fixed_effects():
    model = lmm.lmer("Reaction ~ 0 + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    with pytest.raises(lmm.ModelError, match="no fixed effects to plot"):
        forest_frame(model)
    with pytest.raises(lmm.ModelError, match="the model has none"):
        influence_frame(model)


def test_profile():
    profile = fit("sleepstudy").profile(["Days", "sigma"])
    frame, points = profile_frame(profile, n=30), profile.to_frame()
    computed = frame[frame["computed"]].drop(columns="computed").reset_index(drop=True)
    expected = points[["parameter", "value", "zeta"]].sort_values(["parameter", "value"], ignore_index=True)
    pd.testing.assert_frame_equal(computed.sort_values(["parameter", "value"], ignore_index=True), expected)
    for name, part in frame.groupby("parameter"):
        assert (np.diff(part["zeta"]) >= -1e-12).all()
        between = part[~part["computed"]]
        np.testing.assert_allclose(between["zeta"], profile.zeta(name, between["value"]), rtol=1e-12)
        assert len(between) >= 28


def test_profile_limits():
    profile = fit("sleepstudy").profile("Days")
    limits = profile_limits_frame(profile, (0.5, 0.95))
    np.testing.assert_array_equal(limits["level"], [0.5, 0.95])
    for level in (0.5, 0.95):
        row, z = limits[limits["level"] == level], stats.norm.ppf(0.5 + level / 2)
        np.testing.assert_array_equal(row[["conf_low", "conf_high"]], profile.confint(level))
        np.testing.assert_allclose(row[["zeta_low", "zeta_high"]], [[-z, z]], rtol=1e-3)


def test_profile_limits_on_the_boundary():
    """The lower limit of a standard deviation is 0, where ζ is not −1.96 but what it is there."""
    limits = profile_limits_frame(fit("singular").profile("sd_(Intercept)|Batch"), (0.95,))
    assert limits["conf_low"].item() == limits["zeta_low"].item() == 0.0
    assert limits["zeta_high"].item() == pytest.approx(1.96, abs=1e-2)


# ---- influence


def test_influence_of_groups():
    model = fit("sleepstudy")
    frame, found = influence_frame(model, "Subject", refit=False), model.influence("Subject", refit=False)
    pd.testing.assert_series_equal(frame["cooks"], found.cooks)
    assert frame["cut"].unique() == [4 / 18]
    np.testing.assert_array_equal(frame["above_cut"], found.cooks > 4 / 18)
    with pytest.raises(lmm.ModelError, match="got 'Nobody'"):
        influence_frame(model, "Nobody")
