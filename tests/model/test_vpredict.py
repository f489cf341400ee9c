"""Functions of variance components: the little language, the delta method, and intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import lmmpy as lmm
from lmmpy import ModelError
from lmmpy.errors import ConvergenceWarning, SingularFitWarning
from lmmpy.inference.expression import parse_expression
from lmmpy.inference.variance_parameters import components
from lmmpy.model.components import parameter_values
from lmmpy.model.vpredict import component_values

NAMES = ("Subject", "Subject.Days", "Subject.(Intercept)", "cask:batch", "batch", "log", "kin(ped)", "Residual")
VALUES = np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0])
ONE_WAY = "Batch / (Batch + Residual)"


@pytest.fixture(scope="module")
def sleep() -> lmm.LmmFit:
    return lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))


@pytest.fixture(scope="module")
def dyestuff() -> lmm.LmmFit:
    return lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))


# ---- expressions


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Subject / (Subject + Residual)", 2 / 21),
        ("-2^2", -4.0),
        ("2 ** -1", 0.5),
        ("2^3^2", 512.0),
        ("1 - 2 - 3", -4.0),
        ("8 / 4 / 2", 1.0),
        ("Subject.(Intercept)*Subject.Days", 15.0),
        ("cask:batch-batch", -4.0),
        ("`cask:batch`^.5", np.sqrt(7)),
        ("log(log)", np.log(13)),
        ("log (batch) + log", np.log(11) + 13),
        ("abs(-Subject) * 1e-2", 0.02),
        ("kin(ped)/2", 8.5),
        ("exp(sqrt(Subject))", np.exp(np.sqrt(2))),
        ("+Subject - -Subject", 4.0),
        ("1.5e3", 1500.0),
    ],
)
def test_an_expression_has_the_value_of_the_arithmetic(text: str, value: float) -> None:
    assert parse_expression(text, NAMES)(VALUES)[0] == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an expression is text such as 'Subject / "),
        ("Subj", "'Subj' is no variance component; known are 'Subject', 'Subject.Days'"),
        ("Subject.Dys", "'Subject.Dys' is no variance component"),
        ("subject", "'subject' is no variance component"),
        ("Subject +", "ends too early"),
        ("(Subject", "ends too early"),
        ("Subject Residual", r"unexpected 'Residual' at character 9"),
        ("Subject)", r"unexpected '\)'"),
        ("2x", "'2x' is no variance component"),
        ("`Subject", "backtick at character 1 is not closed"),
        ("`x y`", "'x y' is no variance component"),
        ("__import__('os')", "'__import__' is no variance component"),
        ("sqrt", "'sqrt' is no variance component"),
        ("(" * 500 + "1" + ")" * 500, "too long"),
        ("(" * 100 + "1" + ")" * 100, "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_expression(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "Subject / (Subject + Residual) ^ 2",
        "sqrt(Subject) * log(batch) - exp(-Subject)",
        "Subject ^ Residual ^ .1 / abs(Subject - batch)",
        "(Subject.Days - 2) ** 3 + 1 / batch",
    ],
)
def test_derivatives_are_exact(text: str) -> None:
    expression = parse_expression(text, NAMES)
    _, gradient = expression(VALUES)
    for i in range(len(VALUES)):
        step = 1e-5 * (np.arange(len(VALUES)) == i)
        slope = (expression(VALUES + step)[0] - expression(VALUES - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-7, abs=1e-8)


# ---- estimates and the delta method


def test_names_are_those_of_theta(sleep: lmm.LmmFit) -> None:
    frame = sleep.vpredict(
        a="Subject.(Intercept)", b="Subject.Days", c="Subject.Days.(Intercept)", r="Residual", **{"a / r": "1 + 1"}
    )
    G = sleep.varcorr["Subject"]
    np.testing.assert_allclose(frame["estimate"], [G.iloc[0, 0], G.iloc[1, 1], G.iloc[1, 0], sleep.sigma**2, 2.0])
    assert frame.index.tolist() == ["a", "b", "c", "r", "a / r"]
    assert frame.columns.tolist() == ["estimate", "std_error", "conf_low", "conf_high"]
    with pytest.raises(ModelError, match=r"known are 'Subject.\(Intercept\)', 'Subject.Days.\(Intercept\)'"):
        sleep.vpredict(icc="Subject / (Subject + Residual)")


def test_nested_names_and_names_of_options() -> None:
    fit = lmm.lmer("strength ~ 1 + (1 | batch/cask)", lmm.datasets.load("Pastes"))
    frame = fit.vpredict({"level": "batch / (batch + cask:batch + Residual)"}, level=0.9)
    v = fit.varcorr
    b, c, e = (float(v[name].iloc[0, 0]) for name in ("batch", "cask:batch", "Residual"))
    assert frame.loc["level", "estimate"] == pytest.approx(b / (b + c + e))


def test_a_name_that_is_quoted_itself() -> None:
    names = ["`my g`", "Residual"]
    for text in ("`my g` / Residual", "`my g`/`Residual`"):
        assert parse_expression(text, names)(np.array([6.0, 2.0]))[0] == 3.0


def test_the_delta_method_in_the_balanced_one_way_layout(dyestuff: lmm.LmmFit) -> None:
    """MSA and MSE are independent, with variances 2 E²/f: the intraclass correlation's variance follows by hand."""
    a, n = 6, 5
    A, E = (float(dyestuff.varcorr[name].iloc[0, 0]) for name in ("Batch", "Residual"))
    msa = E + n * A
    var_msa, var_mse = 2 * msa**2 / (a - 1), 2 * E**2 / (a * (n - 1))
    to_msa, to_mse = 1 / n, -1 / n  # of A
    slope_A, slope_E = E / (A + E) ** 2, -A / (A + E) ** 2
    variance = (slope_A * to_msa) ** 2 * var_msa + (slope_A * to_mse + slope_E) ** 2 * var_mse
    frame = dyestuff.vpredict(icc=ONE_WAY, A="Batch")
    np.testing.assert_allclose(frame["std_error"], [np.sqrt(variance), np.sqrt(var_msa + var_mse) / n], rtol=1e-6)
    half = 1.959963984540054 * np.sqrt(variance)
    limits = frame.loc["icc", ["conf_low", "conf_high"]].astype(float)
    np.testing.assert_allclose(limits, [A / (A + E) - half, A / (A + E) + half], atol=1e-7)


def test_standard_errors_agree_with_those_of_the_parameters(sleep: lmm.LmmFit) -> None:
    frame = sleep.vpredict(
        a="sqrt(Subject.(Intercept))",
        r="Subject.Days.(Intercept) / sqrt(Subject.(Intercept) * Subject.Days)",
        s="sqrt(Residual)",
    )
    own = sleep.parameters().iloc[[2, 4, 5]]
    np.testing.assert_allclose(frame[["estimate", "std_error"]], own[["estimate", "std_error"]], rtol=1e-9)


def test_a_variance_of_zero_has_no_standard_error_but_a_profile_interval() -> None:
    with pytest.warns(SingularFitWarning):
        fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"))
    with pytest.warns(SingularFitWarning, match="No standard error for 'icc': the variance of 'Batch' is estimated"):
        frame = fit.vpredict(icc=ONE_WAY, e="Residual", interval="profile")
    assert np.isnan(frame.loc["icc", "std_error"]) and np.isfinite(frame.loc["e", "std_error"])
    assert frame.loc["icc", "estimate"] == 0.0 and frame.loc["icc", "conf_low"] == pytest.approx(0.0, abs=1e-10)
    theta = np.sqrt(frame.loc["icc", "conf_high"] / (1 - frame.loc["icc", "conf_high"]))
    rise = fit.criterion.evaluate(np.array([theta])).value + 2 * fit.loglik
    assert rise == pytest.approx(1.959963984540054**2, abs=1e-6)


def test_known_components_are_known() -> None:
    data = lmm.datasets.load("Dyestuff")
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", data, varcomp={"Batch": 1764.0, "Residual": 1764.0})
    assert fit.vpredict(icc=ONE_WAY).loc["icc"].tolist() == [0.5, 0.0, 0.5, 0.5]
    with pytest.raises(ModelError, match="known, not estimated"):
        fit.vpredict(icc=ONE_WAY, interval="profile")


# ---- intervals


def test_profile_limits_of_one_ratio_are_roots_of_the_criterion(dyestuff: lmm.LmmFit) -> None:
    """With one θ the icc is θ²/(1 + θ²), so its profile is the criterion itself: the restricted one here."""
    target = -2 * dyestuff.loglik + 1.959963984540054**2
    best = float(dyestuff.theta.iloc[0])

    def miss(theta: float) -> float:
        return dyestuff.criterion.evaluate(np.array([theta])).value - target

    high = brentq(miss, best, 10.0, xtol=1e-12)
    low = brentq(miss, 0.0, best, xtol=1e-12) if miss(0.0) > 0 else 0.0
    frame = dyestuff.vpredict(icc=ONE_WAY, interval="profile")
    expected = [t**2 / (1 + t**2) for t in (low, high)]
    np.testing.assert_allclose(frame.loc["icc", ["conf_low", "conf_high"]].astype(float), expected, atol=1e-8)


def test_profile_limits_of_single_parameters_are_those_of_confint(sleep: lmm.LmmFit) -> None:
    fit = sleep.refit_ml()
    limits = fit.confint()
    frame = fit.vpredict(
        {
            "sd_(Intercept)|Subject": "sqrt(Subject.(Intercept))",
            "sd_Days|Subject": "sqrt(Subject.Days)",
            "cor_Days.(Intercept)|Subject": "Subject.Days.(Intercept) / sqrt(Subject.(Intercept) * Subject.Days)",
            "sigma": "sqrt(Residual)",
        },
        interval="profile",
    )
    np.testing.assert_allclose(frame[["conf_low", "conf_high"]], limits.loc[frame.index], rtol=1e-6)


def test_profile_limits_do_not_depend_on_the_scale_of_the_function(sleep: lmm.LmmFit) -> None:
    ratio = "Subject.Days / (Subject.Days + Residual)"
    frame = sleep.vpredict(a=ratio, b=f"log({ratio})", c=f"-1e6 * {ratio}", interval="profile")
    a, b, c = (frame.loc[name, ["conf_low", "conf_high"]].to_numpy(dtype=float) for name in "abc")
    np.testing.assert_allclose(np.exp(b), a, rtol=1e-6)
    np.testing.assert_allclose(c[::-1] / -1e6, a, rtol=1e-6)


def test_bootstrap_intervals_are_quantiles_of_the_function(dyestuff: lmm.LmmFit) -> None:
    frame = dyestuff.vpredict(icc=ONE_WAY, interval="boot", n=40, seed=2, level=0.8)
    draws = dyestuff.bootstrap(40, seed=2)
    icc = draws.replicates["sd_(Intercept)|Batch"] ** 2 / (draws.replicates.iloc[:, 1:] ** 2).sum(axis=1)
    ordered = np.sort(icc)
    assert ordered[3] <= frame.loc["icc", "conf_low"] <= ordered[4]
    assert ordered[35] <= frame.loc["icc", "conf_high"] <= ordered[36]
    bca = dyestuff.vpredict(icc=ONE_WAY, interval="boot", kind="bca", n=40, seed=2, level=0.8)
    assert bca.loc["icc"].notna().all()


@pytest.mark.parametrize(
    "formula", ["Reaction ~ (Days | Subject)", "Reaction ~ diag(Days | Subject)", "Reaction ~ cs(Days | Subject)"]
)
def test_components_from_standard_deviations(formula: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = lmm.lmer(formula, lmm.datasets.load("sleepstudy"))
    values = parameter_values(fit.design, fit.optimum.theta, fit.sigma, fit.fixef.to_numpy())
    expected = components(fit.design, fit.optimum.theta, fit.sigma).values
    np.testing.assert_allclose(component_values(fit.design, values[None])[0], expected, rtol=1e-12)


def test_refusals(dyestuff: lmm.LmmFit) -> None:
    with pytest.raises(ModelError, match="vpredict needs an expression"):
        dyestuff.vpredict()
    with pytest.raises(ModelError, match="interval is 'wald', 'profile' or 'boot', not 'delta'"):
        dyestuff.vpredict(icc=ONE_WAY, interval="delta")
    with pytest.raises(ModelError, match="an expression is text"):
        dyestuff.vpredict(icc=0.5)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
@pytest.mark.parametrize(
    ("formula", "data", "v"),
    [
        ("strength ~ 1 + (1 | batch/cask)", "Pastes", "batch"),
        ("Yield ~ 1 + (1 | Batch)", "Dyestuff2", "Batch"),
        ("bmi ~ age + sex + (1 | household) + kin(ped)", "family", "household"),
    ],
)
def test_limits_where_a_variance_is_zero_are_the_functions_values_there(formula: str, data: str, v: str) -> None:
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    fit = lmm.lmer(formula, lmm.datasets.load(data), relmat={"ped": ped} if "ped" in formula else None)
    functions = {"v": v, "share": f"{v} / ({v} + Residual)", "root": f"sqrt({v})", "fourth": f"{v}^.25"}
    functions |= {"log": f"log({v})", "one": f"1 / {v}", "both": f"exp(sqrt({v} / Residual))"}
    found = fit.vpredict(functions, interval="profile")
    assert found["conf_low"][["v", "share", "root", "fourth", "both"]].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert found.loc["log", "conf_low"] == -np.inf and found.loc["one", "conf_high"] == np.inf
    high = found.loc["v", "conf_high"]
    np.testing.assert_allclose(
        found["conf_high"][["root", "fourth", "log"]], [high**0.5, high**0.25, np.log(high)], 1e-6
    )
    assert found.loc["one", "conf_low"] == pytest.approx(1 / high, rel=1e-6)


def test_a_limit_where_a_variance_is_zero_takes_the_others_that_are_likely_beside_it() -> None:
    fit = lmm.lmer("strength ~ 1 + (1 | batch/cask)", lmm.datasets.load("Pastes"))
    found = fit.vpredict(both="sqrt(batch) - sqrt(`cask:batch`)", root="sqrt(`cask:batch`)", interval="profile")
    alone = lmm.lmer("strength ~ 1 + (1 | batch:cask)", lmm.datasets.load("Pastes"))

    def rise(sd: float) -> float:  # without batches, of the best sigma
        def at(sigma: float) -> float:
            r = alone.criterion.evaluate(np.array([sd / sigma]))
            ratio = r.r2 / alone.criterion.dof / sigma**2
            return r.value + alone.criterion.dof * (ratio - 1 - np.log(ratio))

        return minimize_scalar(at, bounds=(0.4, 1.8), method="bounded").fun + 2 * fit.loglik

    low = -found.loc["both", "conf_low"]
    assert low == pytest.approx(found.loc["root", "conf_high"], rel=1e-6)
    assert rise(low) == pytest.approx(1.959963984540054**2, abs=1e-5)


def test_a_value_on_the_boundary_is_no_limit_where_the_function_is_lower_beside_it() -> None:
    """The root of the slopes' variance has its least value off the face on which intercepts do not vary."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(24), 10), np.tile(np.arange(10.0) - 4.5, 24)
    noise, slopes, levels = rng.normal(size=240), rng.normal(size=24), rng.normal(size=24)
    data = {"g": g, "x": x, "y": noise + 0.12 * slopes[g] * x + 0.15 * levels[g]}
    fit = lmm.lmer("y ~ x + cs(x | g)", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = fit.vpredict(x="g.x", log="log(g.x)", interval="profile")
    low = found["conf_low"]
    assert np.isnan(low["log"]) or low["log"] == pytest.approx(np.log(low["x"]), rel=1e-6)


def test_the_names_of_theta_are_those_of_single_effects_too() -> None:
    fit = lmm.lmer("Reaction ~ Days + (Days || Subject)", lmm.datasets.load("sleepstudy"))
    asked = {"a": "Subject.(Intercept) / Residual", "b": "Subject.1.Days", "c": "`Subject.(Intercept)`"}
    found = fit.vpredict(**asked)["estimate"]
    expected = fit.vpredict(a="Subject / Residual", b="Subject.1", c="Subject")["estimate"]
    np.testing.assert_array_equal(found, expected)
    assert {"Subject.(Intercept)", "Subject.1.Days"} == set(fit.theta.index)


@pytest.mark.parametrize("effects", ["1", "Days"])
def test_a_column_with_a_space_is_quoted_within_a_name_or_around_it(effects: str, sleep: lmm.LmmFit) -> None:
    data = lmm.datasets.load("sleepstudy").rename(columns={"Subject": "patient id"})
    fit = lmm.lmer(f"Reaction ~ Days + ({effects} | `patient id`)", data)
    for name in fit.theta.index:
        expected = fit.theta[name] ** 2 * fit.sigma**2 if name.endswith("(Intercept)") and "Days." not in name else None
        found = fit.vpredict(a=name, b=f"`{name.replace('`', '')}`", c=f"2 * {name} / 2")["estimate"]
        assert found.nunique() == 1
        assert expected is None or found["a"] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ModelError, match="is no variance component; known are '`patient id`"):
        fit.vpredict(a="`patient id`.Weeks")


@pytest.mark.parametrize("k", [100.0, 1e4, 1e5, 2.46e6])
def test_profile_limits_do_not_depend_on_the_origin_of_a_predictor(k: float, sleep: lmm.LmmFit) -> None:
    """With 2.46e6 the days are Julian ones."""
    data = lmm.datasets.load("sleepstudy")
    far = lmm.lmer("Reaction ~ J + (J | Subject)", data.assign(J=data["Days"] + k))
    ours = far.vpredict(slope="sqrt(Subject.J)", part="Subject.J / Residual", residual="Residual", interval="profile")
    near = sleep.vpredict(
        slope="sqrt(Subject.Days)", part="Subject.Days / Residual", residual="Residual", interval="profile"
    )
    np.testing.assert_allclose(ours, near, rtol=1e-5)


def test_a_profile_limit_that_is_not_found_is_nan_with_a_warning(sleep: lmm.LmmFit) -> None:
    with pytest.warns(ConvergenceWarning, match="profile limit of 'x' failed; it is NaN.* centre it"):
        frame = sleep.vpredict(x="log(Subject.Days.(Intercept))", interval="profile")
    assert np.isnan(frame.loc["x", "conf_low"])


def test_a_covariance_is_known_in_either_order(sleep: lmm.LmmFit) -> None:
    own = sleep.vpredict(a="Subject.Days.(Intercept)")
    np.testing.assert_array_equal(sleep.vpredict(a="Subject.(Intercept).Days"), own)
    np.testing.assert_array_equal(sleep.vpredict(a="`Subject.(Intercept).Days`"), own)
    with pytest.raises(ModelError, match="known are") as told:
        sleep.vpredict(a="Subject.Day")
    assert "Subject.(Intercept).Days" not in str(told.value)


def test_a_residual_covariance_is_known_in_either_order() -> None:
    data = lmm.datasets.load("Orthodont")
    fit = lmm.gls("distance ~ Sex", data, residual="us(0 + factor(age) | Subject)")
    np.testing.assert_array_equal(fit.vpredict(a="Residual.8.12"), fit.vpredict(a="Residual.12.8"))
    names = list(fit.parameters().index)
    assert "cor_12.8|Residual" in names
