"""Confidence intervals: against R's numbers, closed forms and each other."""

from __future__ import annotations

import itertools
import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy import ModelError
from lmmpy.errors import SingularFitWarning
from lmmpy.inference.bootstrap_intervals import acceleration, bootstrap_limits, quantile
from lmmpy.inference.intervals import percent_labels, wald_limits
from lmmpy.model.components import parameter_names, parameter_values
from tests.naive import dense
from tests.reference.cases import HERE
from tests.reference.inference_cases import fit as fit_of
from tests.reference.inference_cases import inference, matrix
from tests.reference.inference_cases import names as cases_with

BOOT = json.loads((HERE / "boot_ci.json").read_text(encoding="utf-8"))
PROFILED = cases_with("profile_confint")


@pytest.fixture(scope="module")
def sleep() -> lmm.LmmFit:
    return lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def dyestuff() -> lmm.LmmFit:
    return lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))


def quiet(formula: str, data: pd.DataFrame, reml: bool = True) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return lmm.lmer(formula, data, reml=reml)


# ---- profile


@pytest.mark.parametrize("case", PROFILED)
def test_profile_intervals_are_those_of_lme4(case: str) -> None:
    """lme4 interpolates ζ; ours are solved for, and 2e-4 (relative) is how far its limits are from them."""
    profile = fit_of(case).profile(level=0.95)
    for field, level in (("profile_confint", 0.95), ("profile_confint90", 0.90)):
        theirs, ours = matrix(inference(case)[field]), profile.confint(level)
        # A factor that comes twice is `Subject.1` with us and `Subject` in that table.
        ours = ours.set_axis([name.removesuffix(".1") for name in ours.index], axis=0)
        assert sorted(ours.index) == sorted(theirs.index) and ours.columns.tolist() == theirs.columns.tolist()
        np.testing.assert_allclose(ours.loc[theirs.index], theirs, rtol=2e-4)


def test_where_lme4_and_we_differ_most_brute_force_says_who_is_right() -> None:
    """Dyestuff2's intercept, 4.3121 in lme4 and 4.3128 here: the deviance there, with sd at its best on a grid."""
    fit = fit_of("dyestuff2_ML")
    low = fit.confint("(Intercept)").iloc[0, 0]
    rest = replace(fit.design, y=fit.design.y - low, X=np.empty((fit.nobs, 0)))
    best = min(float(dense(rest, np.array([t]), reml=False).value) for t in np.linspace(0, 0.5, 2001))
    assert best == pytest.approx(-2 * fit.loglik + 1.959963984540054**2, abs=1e-6)
    theirs = matrix(inference("dyestuff2_ML")["profile_confint"]).loc["(Intercept)"].iloc[0]
    assert abs(low - theirs) > 5e-4


def test_profile_is_the_default_and_needs_no_long_profile(sleep: lmm.LmmFit) -> None:
    limits = sleep.confint()
    np.testing.assert_allclose(limits, sleep.profile().confint(), rtol=1e-6)
    assert limits.columns.tolist() == ["2.5 %", "97.5 %"]
    assert limits.index.tolist() == parameter_names(sleep.design)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_limits_follow_the_unit_of_the_response(factor: float) -> None:
    data = lmm.datasets.load("sleepstudy")
    scaled = data.assign(Reaction=data["Reaction"] * factor)
    formula = "Reaction ~ Days + (Days | Subject)"
    ours, other = lmm.lmer(formula, data).confint(), lmm.lmer(formula, scaled).confint()
    unit = np.array([1.0 if name.startswith("cor_") else factor for name in ours.index])
    np.testing.assert_allclose(other.to_numpy(), ours.to_numpy() * unit[:, None], rtol=1e-6)


def test_wider_levels_have_wider_limits(dyestuff: lmm.LmmFit) -> None:
    profile = dyestuff.profile()
    limits = [profile.confint(level) for level in (0.1, 0.5, 0.9, 0.99, 0.9999)]
    for narrow, wide in itertools.pairwise(limits):
        assert (wide.iloc[:, 0] <= narrow.iloc[:, 0]).all() and (wide.iloc[:, 1] > narrow.iloc[:, 1]).all()
    assert limits[-1].loc["sd_(Intercept)|Batch"].iloc[0] == 0.0


# ---- Wald


@pytest.mark.parametrize("case", ["sleepstudy_slope_REML", "sleepstudy_slope_ML", "pastes_REML", "penicillin_ML"])
def test_wald_intervals_of_fixed_effects_are_those_of_lme4(case: str) -> None:
    theirs = matrix(inference(case)["confint_wald"]).dropna()
    ours = fit_of(case).confint("beta_", method="wald")
    np.testing.assert_allclose(ours.loc[theirs.index], theirs, rtol=1e-6)


def test_standard_errors_of_the_balanced_one_way_layout(dyestuff: lmm.LmmFit) -> None:
    """
    By REML the mean squares are independent, Var(MSE) = 2σ⁴/f_E and Var(MSA) = 2E(MSA)²/f_A, and σ_A² = (MSA − MSE)/n.

    The observed information at the estimates is the expected one here (Searle, Casella & McCulloch 1992, §4.7).
    """
    frame = dyestuff.parameters()
    sd, sigma = dyestuff.varcorr.to_frame()["sdcor"]
    a, n = 6, 5
    msa = sigma**2 + n * sd**2
    var_e, var_a = 2 * sigma**4 / (a * (n - 1)), 2 * msa**2 / (a - 1)
    expected = [np.sqrt(msa / (a * n)), np.sqrt((var_a + var_e) / n**2) / (2 * sd), np.sqrt(var_e) / (2 * sigma)]
    np.testing.assert_allclose(frame["std_error"], expected, rtol=1e-6)
    se, z = expected[1], 1.959963984540054
    np.testing.assert_allclose(
        frame.loc["sd_(Intercept)|Batch", ["conf_low", "conf_high"]].astype(float),
        [sd * np.exp(-z * se / sd), sd * np.exp(z * se / sd)],
        rtol=1e-6,
    )


def test_standard_errors_come_from_the_observed_hessian(sleep: lmm.LmmFit) -> None:
    """By differences of the restricted likelihood in (sd, sd, ρ, σ), formed densely."""
    design, names = sleep.design, parameter_names(sleep.design)
    place = sleep.parameters()["estimate"].to_numpy()[2:]

    def height(values: np.ndarray) -> float:
        a, b, rho, sigma = values
        theta = np.array([a, rho * b, b * np.sqrt(1 - rho**2)]) / sigma
        at = dense(design, theta, reml=True)
        profiled = float(at.r2) / at.dof
        return float(at.value) + at.dof * (np.log(sigma**2 / profiled) + profiled / sigma**2 - 1.0)

    step = 1e-3 * np.array([10.0, 3.0, 0.3, 10.0])
    hessian = np.empty((4, 4))
    for i, j in np.ndindex(4, 4):
        e, f = step * (np.arange(4) == i), step * (np.arange(4) == j)
        corners = height(place + e + f) - height(place + e - f) - height(place - e + f) + height(place - e - f)
        hessian[i, j] = corners / (4 * step[i] * step[j])
    expected = np.sqrt(np.diag(2.0 * np.linalg.inv(hessian)))
    np.testing.assert_allclose(sleep.parameters()["std_error"].to_numpy()[2:], expected, rtol=1e-4)
    assert names[2:] == sleep.parameters().index[2:].tolist()


def test_wald_limits_stay_in_range(sleep: lmm.LmmFit) -> None:
    frame = sleep.parameters(level=0.999999)
    assert (frame.loc[[name for name in frame.index if name.startswith("sd_")], "conf_low"] > 0).all()
    low, high = frame.loc["cor_Days.(Intercept)|Subject", ["conf_low", "conf_high"]]
    rho, se = frame.loc["cor_Days.(Intercept)|Subject", ["estimate", "std_error"]]
    reach = stats.norm.ppf(0.9999995) * se / (1 - rho**2)
    np.testing.assert_allclose([low, high], [np.tanh(np.arctanh(rho) - reach), np.tanh(np.arctanh(rho) + reach)])
    wald = sleep.confint(method="wald", level=0.999999)
    np.testing.assert_allclose(wald, frame[["conf_low", "conf_high"]])


def test_wald_limits_by_students_t(sleep: lmm.LmmFit) -> None:
    """Days has 17 degrees of freedom in this balanced design."""
    low, high = sleep.confint("Days", method="wald", ddf="satterthwaite").iloc[0]
    se = sleep.se["Days"]
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 17) * se, rel=1e-6)
    with pytest.raises(ModelError, match="ddf='satterthwaite' is for Wald intervals"):
        sleep.confint(ddf="satterthwaite")


def test_the_boundary_has_no_standard_error() -> None:
    fit = quiet("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"))
    for call in (fit.parameters, lambda: fit.confint(method="wald")):
        with pytest.warns(
            SingularFitWarning, match=r"No standard errors for 'sd_\(Intercept\)\|Batch'.*boundary"
        ) as seen:
            frame = call()
        assert seen[0].filename == __file__
        assert frame.loc["sd_(Intercept)|Batch"].iloc[-1:].isna().all()
        assert frame.loc["sigma"].notna().all()
    assert fit.confint("beta_", method="wald").notna().all(axis=None)  # and no warning


def test_known_components_have_no_intervals_but_fixed_effects_do() -> None:
    data = lmm.datasets.load("Dyestuff")
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", data, varcomp={"Batch": 1764.0, "Residual": 2451.0})
    limits = fit.confint(method="wald")
    assert limits.loc["(Intercept)"].notna().all() and limits.drop(index="(Intercept)").isna().all(axis=None)
    exact, normal = fit.confint(level=0.9), fit.confint("beta_", method="wald", level=0.9)
    pd.testing.assert_frame_equal(exact, normal)
    z = stats.norm.ppf(0.95) * fit.se["(Intercept)"]
    np.testing.assert_allclose(exact.loc["(Intercept)"], fit.fixef["(Intercept)"] + np.array([-z, z]), rtol=1e-12)
    pd.testing.assert_frame_equal(fit.confint("(Intercept)", level=0.9), exact)
    with pytest.raises(ModelError, match=r"known, not estimated: there are no intervals for .*sigma"):
        fit.confint("theta_")


# ---- bootstrap


@pytest.mark.parametrize(("level", "key"), [(0.95, "ci95"), (0.80, "ci80")])
@pytest.mark.parametrize("kind", ["percentile", "basic", "bca"])
def test_bootstrap_limits_are_those_of_boot_ci(kind: str, level: float, key: str) -> None:
    found = bootstrap_limits(BOOT["estimate"], np.array(BOOT["replicates"]), level, kind, np.array(BOOT["jackknife"]))
    np.testing.assert_allclose(found, BOOT[key][kind], rtol=1e-9)


def test_quantiles_beyond_the_replicates_are_the_extremes() -> None:
    values = np.arange(1.0, 11.0)
    assert quantile(values, 0.001) == 1.0 and quantile(values, 0.999) == 10.0
    assert quantile(np.arange(1.0, 100.0), 0.25) == 25.0


def test_acceleration_of_a_symmetric_jackknife_is_zero() -> None:
    assert acceleration(np.array([1.0, 2.0, 3.0])) == pytest.approx(0.0, abs=1e-15)
    assert acceleration(np.ones(4)) == 0.0
    assert acceleration(np.array([0.0, 0.0, 0.0, -1.0])) > 0.0


def test_boot_intervals_of_a_fit(dyestuff: lmm.LmmFit) -> None:
    limits = dyestuff.confint(method="boot", n=60, seed=1, level=0.9)
    draws = dyestuff.bootstrap(60, seed=1).replicates
    expected = [bootstrap_limits(0.0, draws[name].to_numpy(), 0.9, "percentile") for name in draws]
    np.testing.assert_array_equal(limits, expected)
    assert limits.columns.tolist() == ["5 %", "95 %"]
    np.testing.assert_array_equal(dyestuff.bootstrap(60, seed=1).confint(0.9), limits)
    basic = dyestuff.confint("sigma", method="boot", n=60, seed=1, level=0.9, kind="basic")
    np.testing.assert_allclose(basic.loc["sigma"], 2 * dyestuff.sigma - limits.loc["sigma"].to_numpy()[::-1])


def test_bca_leaves_out_each_group(dyestuff: lmm.LmmFit) -> None:
    """The acceleration by refitting without each batch, through the formula."""
    data, names = lmm.datasets.load("Dyestuff"), parameter_names(dyestuff.design)
    rows = []
    for batch in data["Batch"].unique():
        fit = quiet("Yield ~ 1 + (1 | Batch)", data[data["Batch"] != batch])
        rows.append(parameter_values(fit.design, fit.theta.to_numpy(), fit.sigma, fit.fixef.to_numpy()))
    draws = dyestuff.bootstrap(60, seed=1).replicates
    estimate = dyestuff.parameters()["estimate"]
    limits = dyestuff.confint(method="boot", kind="bca", n=60, seed=1)
    for i, name in enumerate(names):
        expected = bootstrap_limits(estimate[name], draws[name].to_numpy(), 0.95, "bca", np.array(rows)[:, i])
        np.testing.assert_allclose(limits.loc[name], expected, rtol=1e-5)


def test_boot_refusals(dyestuff: lmm.LmmFit) -> None:
    with pytest.raises(ModelError, match="kind is one of 'percentile', 'basic', 'bca', not 'norm'"):
        dyestuff.confint(method="boot", n=2, kind="norm")
    with pytest.raises(ModelError, match="BCa intervals need the statistic without each group"):
        dyestuff.bootstrap(3, lambda fit: fit.sigma, seed=1).confint(kind="bca")
    with pytest.raises(ModelError, match="method is 'wald', 'profile' or 'boot', not 'ward'"):
        dyestuff.confint(method="ward")
    with pytest.raises(ModelError, match="level must be a number between 0 and 1"):
        dyestuff.confint(level=0.0)


def test_labels_are_those_of_r() -> None:
    assert percent_labels(0.95) == ["2.5 %", "97.5 %"]
    assert percent_labels(0.9) == ["5 %", "95 %"]
    assert percent_labels(0.99) == ["0.5 %", "99.5 %"]
    assert percent_labels(0.999) == ["0.05 %", "100 %"]  # three digits, as R has it


def test_an_unknown_kind_is_refused_before_any_refit(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))
    monkeypatch.setattr(type(fit), "bootstrap", lambda *args, **options: pytest.fail("refits were made"))
    with pytest.raises(ModelError, match="percentile"):
        fit.confint(method="boot", kind="perc")


def test_methods_may_have_capitals() -> None:
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))
    pd.testing.assert_frame_equal(fit.confint(method="Wald"), fit.confint(method="wald"))


def test_a_standard_error_larger_than_the_estimate_is_taken_on_the_plain_scale() -> None:
    low, high = wald_limits(np.array([5e-4]), np.array([0.2]), ["sd"], 0.95)[0]
    assert low == 0.0
    assert high == pytest.approx(5e-4 + stats.norm.ppf(0.975) * 0.2)
    low, high = wald_limits(np.array([0.3]), np.array([0.2]), ["sd"], 0.95)[0]
    assert low * high == pytest.approx(0.09) and 0.0 < low < 0.3
    assert (wald_limits(np.zeros(1), np.zeros(1), ["sd"], 0.95) == 0.0).all()
