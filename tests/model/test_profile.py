"""The profile likelihood: against brute force on the dense deviance, on the boundary, and as it is handed out."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize

import lmmpy as lmm
from benchmarks.calibration.designs import DESIGNS
from benchmarks.calibration.run import Study
from lmmpy import ConvergenceWarning, ModelError
from lmmpy.design import Design
from lmmpy.errors import SingularFitWarning
from lmmpy.fitting import Optimum
from lmmpy.inference import profile_path
from lmmpy.inference.profile import Profile
from lmmpy.inference.profile_path import trace
from lmmpy.inference.profile_wedge import Wedge
from lmmpy.model.components import parameter_names, parameter_values
from tests.naive import dense

Z95 = 1.959963984540054
STRUCTURES = {
    "us": "y ~ x + (x | g)",
    "us3": "y ~ x + (x + z | g)",
    "far": "y ~ far + (far | g)",
    "far3": "y ~ far + (z + far | g)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "diag": "y ~ x + diag(x + z | g)",
    "diag_hom": "y ~ x + diag(0 + f | g, hom = TRUE)",
    "cs": "y ~ x + cs(0 + f | g)",
    "cs_hom": "y ~ x + cs(0 + f | g, hom = TRUE)",
    "ar1": "y ~ x + ar1(0 + f | g)",
}


def data(seed: int = 1) -> pd.DataFrame:
    """Eight groups of six rows with three correlated effects, weights and an offset; `far` is x far from zero."""
    random = np.random.default_rng(seed)
    groups, rows = 8, 6
    n = groups * rows
    g = np.repeat(np.arange(groups), rows)
    x, z = np.tile(np.arange(rows) - 1.0, groups), random.normal(size=n)
    b = random.multivariate_normal(np.zeros(3), [[1.0, 0.4, 0.2], [0.4, 0.5, 0.1], [0.2, 0.1, 0.6]], groups)
    y = 1.0 + 0.5 * x + b[g, 0] + b[g, 1] * x + b[g, 2] * z + 0.8 * random.normal(size=n)
    factor = pd.Categorical(np.tile(["a", "b", "c"], n // 3))
    levels = {"g": [f"g{i}" for i in g], "h": np.tile([f"h{i}" for i in range(rows)], groups), "f": factor}
    return pd.DataFrame(
        {"y": y, "x": x, "far": x + 30.0, "z": z, "w": random.uniform(0.5, 2, n), "o": random.normal(size=n), **levels}
    )


def fitted(formula: str, reml: bool = False, **options: Any) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return lmm.lmer(formula, data(), reml=reml, **options)


def deviance(design: Design, theta: np.ndarray, sigma: float) -> float:
    """−2 log-likelihood at any σ: −2ℓ = log|V| + n log 2πσ² + r²/σ², β at its best."""
    at = dense(design, theta, reml=False)
    profiled = float(at.r2) / design.n
    return float(at.value) + design.n * (np.log(sigma**2 / profiled) + profiled / sigma**2 - 1.0)


def least_deviance(fit: lmm.LmmFit, place: int, value: float, start: np.ndarray) -> float:
    """The least deviance with one parameter at a value, by a general optimiser without derivatives; inf if it fails."""
    design = fit.design
    bounds = [(low if np.isfinite(low) else None, None) for term in design.random for low in term.structure.lower]
    if place < design.p:
        rest = replace(design, y=design.y - value * design.X[:, place], X=np.delete(design.X, place, axis=1))
        return float(minimize(lambda t: float(dense(rest, t, False).value), start[:-1], bounds=bounds).fun)
    unit = np.maximum(np.abs(start), 0.1)

    def miss(x: np.ndarray) -> float:
        theta, sigma = (x * unit)[:-1], float(np.exp(np.clip((x * unit)[-1], -20, 20)))
        return float(parameter_values(design, theta, sigma, np.zeros(design.p))[place]) - value

    def height(x: np.ndarray) -> float:
        return deviance(design, (x * unit)[:-1], float(np.exp(np.clip((x * unit)[-1], -20, 20))))

    constraint = {"type": "eq", "fun": miss}
    with np.errstate(all="ignore"):
        found = minimize(
            height,
            start / unit,
            method="SLSQP",
            bounds=[*bounds, (None, None)],
            constraints=[constraint],
            options={"ftol": 1e-12},
        )
    return float(found.fun) if abs(miss(found.x)) < 1e-7 else np.inf


def rows_of(frame: pd.DataFrame, parameter: str) -> pd.DataFrame:
    return frame[frame["parameter"] == parameter]


@pytest.mark.parametrize("name", STRUCTURES)
def test_brute_force_finds_nothing_lower_and_the_optimum_itself_nothing_else(name: str) -> None:
    fit = fitted(STRUCTURES[name])
    names = parameter_names(fit.design)
    frame = fit.profile(level=0.99 if name.startswith("us") else 0.5).to_frame()
    start = np.append(fit.optimum.theta, np.log(fit.sigma))
    agreed = 0
    for place, parameter in list(enumerate(names))[:: 2 if len(names) > 6 else 1]:
        rows = rows_of(frame, parameter)
        np.testing.assert_allclose(rows[parameter], rows["value"], rtol=1e-9, atol=1e-9)
        row = rows.iloc[len(rows) // 4 if place % 4 else -2]
        claimed = -2.0 * fit.loglik + float(row["zeta"]) ** 2
        found = least_deviance(fit, place, float(row["value"]), start)
        assert found > claimed - 1e-4
        agreed += found < claimed + 1e-4
    assert agreed >= len(names) // 4  # the general optimiser often ends too early, but not always


@pytest.mark.parametrize("name", ["us", "far", "diag", "crossed"])
def test_the_other_parameters_have_the_deviance_that_zeta_claims(name: str) -> None:
    """A point is feasible and no lower than it says: the deviance at the parameters of its row, formed from them."""
    fit = fitted(STRUCTURES[name])
    design, names = fit.design, parameter_names(fit.design)
    frame = fit.profile().to_frame()
    for _, row in frame.iloc[::5].iterrows():
        values = row[names].to_numpy(dtype=float)
        at, V = design.p, np.zeros((design.n, design.n))
        for term in design.random:
            sd = values[at : at + term.k]
            at += term.k
            C = np.eye(term.k)
            if term.k == 2 and term.term.structure == "us":
                C[0, 1] = C[1, 0] = np.nan_to_num(values[at])
                at += 1
            Z = np.zeros((design.n, term.n_levels, term.k))
            Z[np.arange(design.n), term.codes] = term.values
            Z = Z.reshape(design.n, -1)
            V += Z @ np.kron(np.eye(term.n_levels), C * np.outer(sd, sd)) @ Z.T
        V += values[-1] ** 2 * np.eye(design.n)
        e = design.y - design.X @ values[: design.p]
        value = np.linalg.slogdet(2 * np.pi * V)[1] + e @ np.linalg.solve(V, e)
        assert value == pytest.approx(-2.0 * fit.loglik + row["zeta"] ** 2, abs=1e-6)


def test_weights_and_offset_count() -> None:
    fit = fitted("y ~ x + (1 | g)", weights="w", offset="o")
    frame = fit.profile().to_frame()
    start = np.append(fit.optimum.theta, np.log(fit.sigma))
    for place, parameter in enumerate(parameter_names(fit.design)):
        row = rows_of(frame, parameter).iloc[2]
        found = least_deviance(fit, place, float(row["value"]), start)
        assert found == pytest.approx(-2.0 * fit.loglik + row["zeta"] ** 2, abs=1e-5)


def test_a_reml_fit_has_the_profile_of_the_ml_fit() -> None:
    ml, reml = (fitted("y ~ x + (1 | g)", reml=reml).profile() for reml in (False, True))
    assert reml.deviance == pytest.approx(ml.deviance, abs=1e-9)
    np.testing.assert_allclose(reml.confint(), ml.confint(), rtol=1e-6)


def test_zeta_is_interpolated_with_its_exact_slope() -> None:
    fit = fitted("y ~ x + (x | g)")
    profile = fit.profile()
    for level in (0.5, 0.8, 0.95):
        z = {0.5: 0.6744897501960817, 0.8: 1.2815515655446004, 0.95: Z95}[level]
        for parameter, (low, high) in profile.confint(level).iterrows():
            if parameter.startswith("cor_"):
                continue  # near the boundary
            np.testing.assert_allclose(profile.zeta(parameter, [low, high]), [-z, z], atol=4e-3)
    assert np.isnan(profile.zeta("sigma", [0.0, 1e3])).all()
    assert profile.zeta("sigma", profile["sigma"].estimate) == pytest.approx(0.0, abs=1e-12)


def test_zeta_rises_with_the_parameter_and_reaches_the_cutoff() -> None:
    frame = fitted("y ~ x + (1 | g)").profile(level=0.99).to_frame()
    cutoff = 3.64372  # the root of the 99 % quantile of χ² with four parameters
    for parameter, rows in frame.groupby("parameter"):
        assert (rows["value"].diff().dropna() > 0).all() and (rows["zeta"].diff().dropna() > 0).all()
        assert rows["zeta"].max() > cutoff
        assert rows["zeta"].min() < -cutoff or rows["value"].min() == 0.0, parameter


def test_balanced_one_way_layout_has_a_profile_in_closed_form() -> None:
    """With sd held at zero the model is the mean: D(0) − D̂ = n log(SST/n) − D̂'s own, by hand."""
    data = lmm.datasets.load("Dyestuff")
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", data, reml=False)
    y = data["Yield"].to_numpy(dtype=float)
    n = len(y)
    flat = n * (1 + np.log(2 * np.pi * ((y - y.mean()) ** 2).mean()))
    rows = rows_of(fit.profile().to_frame(), "sd_(Intercept)|Batch")
    assert rows["value"].iloc[0] == 0.0
    assert rows["zeta"].iloc[0] == pytest.approx(-np.sqrt(flat + 2 * fit.loglik), rel=1e-8)


def test_an_estimate_of_zero_has_one_side() -> None:
    with pytest.warns(SingularFitWarning):
        fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"), reml=False)
    profile = fit.profile("sd_(Intercept)|Batch")
    rows = profile.to_frame()
    assert rows["value"].iloc[0] == 0.0 and rows["zeta"].iloc[0] == 0.0 and (rows["zeta"].iloc[1:] > 0).all()
    assert profile.confint().iloc[0, 0] == 0.0
    high = profile.confint().iloc[0, 1]
    assert deviance(fit.design, *_best(fit, high)) == pytest.approx(-2 * fit.loglik + Z95**2, abs=1e-6)


def _best(fit: lmm.LmmFit, sd: float) -> tuple[np.ndarray, float]:
    found = minimize(lambda s: deviance(fit.design, np.array([sd / s[0]]), s[0]), [fit.sigma], bounds=[(0.1, 50)])
    return np.array([sd / found.x[0]]), float(found.x[0])


def test_a_perfect_correlation_has_one_side_and_stays_in_range() -> None:
    fit = fitted("y ~ x + (x | g)")
    assert fit.varcorr.to_frame()["sdcor"].iloc[2] == 1.0  # the data were chosen for it
    limits = fit.profile().confint().loc["cor_x.(Intercept)|g"]
    assert -1.0 < limits.iloc[0] < limits.iloc[1] == 1.0


def test_a_correlation_with_an_effect_that_does_not_vary_is_nan_with_a_warning() -> None:
    frame = data(3)
    frame["y"] = frame["o"] + frame["g"].str[1:].astype(float)  # no slope in z varies
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = lmm.lmer("y ~ 1 + (1 | g) + (0 + x | h)", frame, reml=False)
        nothing = lmm.lmer("o ~ 1 + (x | g)", frame.assign(o=np.tile([1.0, -1.0, 1.0], 16)), reml=False)
    assert fit.profile().confint().notna().all(axis=None)
    assert (nothing.theta == 0).all()
    with pytest.warns(SingularFitWarning, match=r"cor_x.\(Intercept\)\|g' cannot be profiled"):
        limits = nothing.profile().confint()
    assert limits.loc["cor_x.(Intercept)|g"].isna().all()
    assert limits.drop(index="cor_x.(Intercept)|g").notna().all(axis=None)


def test_parameters_that_are_equal_have_equal_profiles() -> None:
    limits = fitted(STRUCTURES["cs_hom"]).confint("theta_")
    for prefix in ("sd_", "cor_"):
        same = limits[[name.startswith(prefix) for name in limits.index]].to_numpy()
        assert len(same) == 3 and (same == same[0]).all()


def test_an_autoregression_counts_in_powers() -> None:
    limits = fitted(STRUCTURES["ar1"]).confint(["cor_fb.fa|g", "cor_fc.fa|g"])
    np.testing.assert_allclose(limits.loc["cor_fc.fa|g"], limits.loc["cor_fb.fa|g"] ** 2, rtol=1e-12)


def test_a_profile_of_some_parameters() -> None:
    fit = fitted("y ~ x + (x | g)")
    assert fit.profile("sigma").to_frame()["parameter"].unique().tolist() == ["sigma"]
    assert fit.profile("beta_").confint().index.tolist() == ["(Intercept)", "x"]
    assert len(fit.profile("theta_").confint()) == 4
    with pytest.raises(ModelError, match=r"parameters: 'sgima' is unknown. The parameters are .*'sigma'"):
        fit.profile(["sigma", "sgima"])
    with pytest.raises(ModelError, match="none was named"):
        fit.profile([])
    with pytest.raises(ModelError, match="has no parameter 'x'; it has 'sigma'"):
        fit.profile("sigma").zeta("x", 1.0)


def test_what_is_refused() -> None:
    fit = fitted("y ~ x + (1 | g)")
    with pytest.raises(ModelError, match=r"level must be .* such as 0\.95; got 95\. Did you mean 0\.95"):
        fit.profile(level=95)
    with pytest.raises(ModelError, match="n_jobs counts processes"):
        fit.profile(n_jobs=0)
    known = lmm.lmer("y ~ x + (1 | g)", data(), varcomp={"g": 1.0, "Residual": 1.0})
    with pytest.raises(ModelError, match="known, not estimated"):
        known.profile()


def test_a_fit_that_is_not_at_its_optimum_is_told_so() -> None:
    fit = fitted("y ~ x + (1 | g)")
    wrong = 3.0 * fit.optimum.theta
    optimum: Optimum = replace(fit.optimum, theta=wrong, evaluation=fit.criterion.evaluate(wrong, 2))
    off = lmm.LmmFit(fit.design, fit.blueprint, fit.criterion, optimum, fit.request, fit._data_index)
    with pytest.warns(ConvergenceWarning, match="profile of 'sigma' is incomplete: the deviance falls to .* there"):
        limits = off.profile("sigma").confint()
    assert limits.isna().any(axis=None)


def test_a_profile_pickles_and_goes_on() -> None:
    profile = fitted("y ~ far + (far | g)").profile(level=0.5)
    again: Profile = pickle.loads(pickle.dumps(profile))
    pd.testing.assert_frame_equal(again.to_frame(), profile.to_frame())
    pd.testing.assert_frame_equal(again.confint(0.999), profile.confint(0.999))  # beyond its points


def test_processes_change_nothing() -> None:
    fit = fitted("y ~ x + (1 | g)")
    both = [fit.profile("beta_", level=0.5, n_jobs=n_jobs).to_frame() for n_jobs in (1, 2)]
    pd.testing.assert_frame_equal(*both, rtol=1e-9)


def test_repr_names_the_parameters() -> None:
    assert repr(fitted("y ~ x + (1 | g)").profile("sigma")).startswith("Profile of 'sigma': ")


# ---- predictors far from zero


def moved(k: float, reml: bool = False) -> lmm.LmmFit:
    """The sleep study with its days counted from −k."""
    sleep = lmm.datasets.load("sleepstudy")
    return lmm.lmer("Reaction ~ J + (J | Subject)", sleep.assign(J=sleep["Days"] + k), reml=reml)


@pytest.mark.parametrize("k", [100.0, 1e4, 1e5, 2.46e6])
def test_limits_do_not_depend_on_the_origin_of_a_predictor(k: float) -> None:
    """With 2.46e6 the days are Julian ones. The reference is that of the days themselves, which lme4 confirms."""
    near, far = moved(0.0).confint(), moved(k).confint()
    same = ["J", "sd_J|Subject", "sigma"]
    np.testing.assert_allclose(far.loc[same], near.loc[same], rtol=1e-6)
    assert far.notna().all(axis=None)


def test_weights_and_offset_count_at_a_distance() -> None:
    near, far = (fitted(f"y ~ {x} + ({x} | g)", weights="w", offset="o").confint() for x in ("x", "far"))
    same = near.loc[["x", "sd_x|g", "sigma"]]
    np.testing.assert_allclose(far.loc[["far", "sd_far|g", "sigma"]], same, rtol=1e-6)


def test_at_a_distance_the_region_of_the_likelihood_has_the_same_extremes() -> None:
    """Another algorithm, constrained optimisation in all of (θ, log σ), for what does depend on the origin."""
    a, b = "Subject.(Intercept)", "Subject.J"
    for k in (100.0, 1e4):
        fit = moved(k)
        rho = f"Subject.J.(Intercept) / sqrt({a} * {b})"
        limits = fit.vpredict({"sd": f"sqrt({a})", "rho": rho}, interval="profile")[["conf_low", "conf_high"]]
        profiled = fit.confint(["sd_(Intercept)|Subject", "cor_J.(Intercept)|Subject"]).to_numpy()
        np.testing.assert_allclose(profiled[0], limits.loc["sd"], rtol=1e-6)
        np.testing.assert_allclose(1.0 + profiled[1], 1.0 + limits.loc["rho"], rtol=1e-4)


@pytest.mark.parametrize("k", [0.0, 2.46e6])
def test_a_slope_that_does_not_vary_is_held_exactly(k: float) -> None:
    sleep, fit = lmm.datasets.load("sleepstudy"), moved(k)
    less = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    row = fit.profile("sd_J|Subject", level=1.0 - 1e-10).to_frame().iloc[0]
    assert row["value"] == row["sd_J|Subject"] == 0.0 and np.isnan(row["cor_J.(Intercept)|Subject"])
    assert row["zeta"] == pytest.approx(-np.sqrt(2.0 * (fit.loglik - less.loglik)), rel=1e-6)
    assert row["sigma"] == pytest.approx(less.sigma, rel=1e-4)


@pytest.mark.parametrize("tilt", [-4.0, 0.0, 3.0, 50.0])
def test_a_wedge_holds_the_correlation_and_knows_its_slopes(tilt: float) -> None:
    wedge, random = Wedge(1, 3, tilt), np.random.default_rng(2)
    L = np.array([[2.0, 0.0], [2.0 * tilt, 1.5]])
    for psi in (-1.5, -0.4, 0.0, 1.2):
        omega = np.array([1.3, random.uniform(0.2, 2.9), 0.7, 0.4, -0.2, 0.1])
        x, jacobian, along = wedge.embed(psi, omega)
        assert x[0] > 0.0 and x[3] > 0.0
        T = np.linalg.solve(L, np.array([[x[0], 0.0], [x[1], x[3]]]))
        assert T[0] @ T[1] / np.prod(np.linalg.norm(T, axis=1)) == pytest.approx(np.sin(psi), rel=1e-10, abs=1e-12)
        assert wedge.angle(x) == pytest.approx(psi, rel=1e-10, abs=1e-12)
        np.testing.assert_allclose(wedge.project(x), omega, rtol=1e-9)
        h, steps, gradient, bend = 1e-5, 1e-5 * np.eye(6), random.normal(size=7), np.zeros((6, 6))
        slopes = [(wedge.embed(psi, omega + s)[0] - wedge.embed(psi, omega - s)[0]) / (2 * h) for s in steps]
        np.testing.assert_allclose(jacobian, np.transpose(slopes), atol=1e-7)
        slope = (wedge.embed(psi + h, omega)[0] - wedge.embed(psi - h, omega)[0]) / (2 * h)
        np.testing.assert_allclose(along, slope, atol=1e-6 * (1.0 + abs(tilt)))
        wedge.add_bend(psi, omega, gradient, bend)
        bends = [gradient @ (wedge.embed(psi, omega + s)[1] - wedge.embed(psi, omega - s)[1]) / (2 * h) for s in steps]
        np.testing.assert_allclose(bend, bends, atol=1e-7 * (1.0 + np.abs(gradient).max()))


def test_the_edges_of_a_wedge_are_those_without_an_effect() -> None:
    wedge = Wedge(1, 3, 5.0)
    without_second, _, _ = wedge.embed(-1.1, np.array([2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    without_first, _, _ = wedge.embed(-1.1, np.array([2.0, np.pi, 0.0, 0.0, 0.0, 0.0]))
    assert without_second[3] == 0.0 and without_second[1] == pytest.approx(5.0 * without_second[0])
    assert without_first[0] == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose(without_first[[1, 3]], [2.0 * np.sin(-1.1), 2.0 * np.cos(-1.1)])


def test_a_limit_that_is_not_found_is_nan_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted("y ~ far + (far | g)")
    known = fit.profile("sigma")
    monkeypatch.setattr(profile_path, "_MOST_EVALUATIONS", 1)
    with pytest.warns(ConvergenceWarning, match="profile limit of 'sigma' failed; it is NaN.* centre it"):
        assert known.confint().isna().all(axis=None)
    with pytest.warns(ConvergenceWarning, match="profile of 'sigma' is incomplete: .* centre it"):
        assert fit.profile("sigma").confint().isna().all(axis=None)


def test_a_deviance_that_is_not_the_fits_gives_no_limits() -> None:
    curve = fitted("y ~ x + (1 | g)").profile("sigma")["sigma"].curve
    assert curve is not None
    assert not trace(curve.chart, curve.minimum, 2.0, 1.0).lost
    other = trace(curve.chart, curve.minimum - 1e-3, 2.0, 1.0)
    assert other.lost and np.isnan(profile_path.limit(other, 1.0))


def test_a_guess_across_zero_does_not_end_in_the_valley_of_the_other_sign() -> None:
    """A data set of the calibration study whose upper limit was 0.347 when correlations of one sign only were tried."""
    study = Study(DESIGNS["small-slopes"])
    data = study.design.frame.assign(y=study.response("fixed", 23))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = lmm.lmer("y ~ x + treatment + (x | g)", data)
    name = "sd_(Intercept)|g"
    upper = fit.confint(name).loc[name].iloc[1]
    ml = fit.refit_ml()

    def least(sd: float) -> float:
        """The least deviance with this standard deviation, from correlations of both signs."""
        found = []
        for start in ([0.3, 0.5, 0.0], [-0.3, 0.5, 0.0]):

            def deviance(at: np.ndarray) -> float:
                slope, other, log_sigma = at
                sigma = np.exp(log_sigma)
                theta = np.array([sd / sigma, slope, other])
                r2, dof = ml.criterion.evaluate(theta).r2, ml.criterion.dof
                profiled = ml.criterion.evaluate(theta).value
                return float(
                    profiled
                    - dof * (1.0 + np.log(2.0 * np.pi * r2 / dof))
                    + dof * np.log(2.0 * np.pi * sigma**2)
                    + r2 / sigma**2
                )

            options = {"xatol": 1e-10, "fatol": 1e-10, "maxiter": 4_000, "maxfev": 4_000}
            found.append(minimize(deviance, start, method="Nelder-Mead", options=options).fun)
        return min(found)

    assert least(upper) + 2.0 * ml.loglik == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)
