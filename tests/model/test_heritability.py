"""Heritabilities: against profiles of the dense likelihood, derivatives by differences, SOLAR and lme4qtl."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

import lmmpy as lmm
from lmmpy.errors import ModelError
from tests.model.made import quiet
from tests.model.related import A, data, fitted, pedigree
from tests.naive import dense
from tests.qtl import family

COLUMNS = ["term", "estimate", "std_error", "conf_low", "conf_high", "chisq", "p_value"]
Z2 = float(stats.chi2.ppf(0.95, 1))


def criterion(fit: lmm.LmmFit, theta: list[float]) -> float:
    return float(dense(fit.design, np.array(theta), fit.reml).value)


def at_share(fit: lmm.LmmFit, h2: float) -> float:
    """−2 log-likelihood with one term's share held, the other term's variance at its best."""
    ratio = h2 / (1.0 - h2)
    if len(fit.design.random) == 1:
        return criterion(fit, [np.sqrt(ratio)])
    kin_first = "kin" in fit.design.random[0].group

    def value(c: float) -> float:
        theta = [np.sqrt(ratio * (1.0 + c**2)), abs(c)]
        return criterion(fit, theta if kin_first else theta[::-1])

    return float(minimize_scalar(value, bounds=(0.0, 4.0), method="bounded", options={"xatol": 1e-7}).fun)


def naive_interval(fit: lmm.LmmFit, estimate: float) -> tuple[float, float]:
    least = -2.0 * fit.loglik

    def excess(h2: float) -> float:
        return at_share(fit, h2) - least - Z2

    low = 0.0 if excess(0.0) < 0.0 else brentq(excess, 0.0, estimate, xtol=1e-9)
    high = 1.0 if excess(1.0 - 1e-9) < 0.0 else brentq(excess, max(estimate, 1e-6), 1.0 - 1e-9, xtol=1e-9)
    return low, high


def only(frame: pd.DataFrame) -> pd.Series:
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["intercepts", "household", "no fixed"])
def test_profile_intervals_are_those_of_the_dense_likelihood(name: str, reml: bool) -> None:
    fit = fitted(name, reml=reml)
    found = only(fit.heritability())
    var = fit.varcorr.to_frame().set_index("grp")["vcov"]
    assert found["estimate"] == pytest.approx(var["kin(id, A)"] / var.sum(), rel=1e-12)
    low, high = naive_interval(fit, found["estimate"])
    assert found["conf_low"] == pytest.approx(low, abs=2e-6)
    assert found["conf_high"] == pytest.approx(high, abs=2e-6)


def test_another_level() -> None:
    fit = fitted("intercepts")
    found, wide = only(fit.heritability(level=0.5)), only(fit.heritability(level=0.95))
    z2 = float(stats.chi2.ppf(0.5, 1))
    for limit in (found["conf_low"], found["conf_high"]):
        assert at_share(fit, limit) + 2.0 * fit.loglik == pytest.approx(z2, abs=1e-5)
    assert wide["conf_low"] < found["conf_low"] < found["estimate"] < found["conf_high"] < wide["conf_high"]


def test_standard_errors_are_from_the_observed_information_in_h2() -> None:
    """One term: minus twice the profile's second derivative in h² itself, by differences."""
    fit = fitted("intercepts", reml=False)
    found = only(fit.heritability(method="wald"))
    h, step = found["estimate"], 1e-3
    values = [at_share(fit, h + k * step) for k in (-2, -1, 0, 1, 2)]
    curvature = np.dot([-1, 16, -30, 16, -1], values) / (12 * step**2)
    assert found["std_error"] == pytest.approx(np.sqrt(2.0 / curvature), rel=1e-5)
    reach = 1.959963984540054 * found["std_error"]
    assert (found["conf_low"], found["conf_high"]) == pytest.approx((h - reach, h + reach), rel=1e-12)


@pytest.mark.parametrize("seed", [2, 6, 7])
@pytest.mark.parametrize("reml", [True, False])
def test_an_estimate_of_zero_has_an_interval_that_begins_there(seed: int, reml: bool) -> None:
    y = data().assign(y=np.random.default_rng(seed).normal(size=len(data())))
    fit = quiet("y ~ x + kin(id, A)", y, reml=reml, relmat={"A": pedigree()})
    found = only(fit.heritability())
    assert found["estimate"] == found["conf_low"] == 0.0
    assert np.isnan(found["std_error"])
    assert found["conf_high"] == pytest.approx(naive_interval(fit, 0.0)[1], abs=2e-6)
    assert (found["chisq"], found["p_value"]) == (0.0, 1.0)


@pytest.mark.parametrize("n", [8, 12, 14, 20])
def test_an_interval_may_reach_from_zero_to_one(n: int) -> None:
    fit = quiet("y ~ 1 + kin(id, A)", data().iloc[:n], relmat={"A": pedigree()})
    found = only(fit.heritability())
    low, high = naive_interval(fit, found["estimate"])
    assert found["conf_low"] == low == 0.0
    assert found["conf_high"] == pytest.approx(high, abs=1e-6)


def test_without_residual_there_is_no_standard_error() -> None:
    b = np.linalg.cholesky(A().to_numpy() + 1e-9 * np.eye(len(A()))) @ np.random.default_rng(2).normal(size=len(A()))
    frame = pd.DataFrame({"id": A().index, "y": b}).iloc[:-1]
    found = only(quiet("y ~ 1 + kin(id, A)", frame, relmat={"A": pedigree()}).heritability())
    assert found["estimate"] == pytest.approx(1.0, abs=1e-7) and found["conf_high"] == 1.0
    assert np.isnan(found["std_error"]) and 0.2 < found["conf_low"] < 1.0


def test_another_term_of_variance_zero_is_held_there() -> None:
    frame = data().assign(h=np.random.default_rng(1).integers(0, 12, len(data())).astype(str))
    fit = quiet("y ~ x + kin(id, A) + (1 | h)", frame, reml=False, relmat={"A": pedigree()})
    assert fit.varcorr["h"].iloc[0, 0] == 0.0
    alone = quiet("y ~ x + kin(id, A)", frame, reml=False, relmat={"A": pedigree()})
    found, expected = only(fit.heritability()), only(alone.heritability())
    assert found["std_error"] == pytest.approx(expected["std_error"], rel=1e-4)
    low, high = naive_interval(fit, found["estimate"])
    assert (found["conf_low"], found["conf_high"]) == pytest.approx((low, high), abs=2e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_the_test_is_against_the_model_without_the_term(reml: bool) -> None:
    fit = fitted("intercepts", reml=reml)
    found = only(fit.heritability())
    chisq = criterion(fit, [0.0]) + 2.0 * fit.loglik
    assert found["chisq"] == pytest.approx(chisq, rel=1e-9)
    assert found["p_value"] == pytest.approx(0.5 * stats.chi2.sf(chisq, 1), rel=1e-8)
    house = fitted("household", reml=reml)
    without = quiet("y ~ x + offset(o) + (1 | h)", data(), weights="w", reml=reml)
    found = only(house.heritability())
    assert found["chisq"] == pytest.approx(2.0 * (house.loglik - without.loglik), rel=1e-8)


def test_several_terms_have_a_row_each() -> None:
    fit = quiet("y ~ x + kin(id, A) + kin(id, D)", data(), relmat={"A": pedigree(), "D": mates()})
    found = fit.heritability()
    assert list(found.columns) == COLUMNS
    assert list(found["term"]) == [term.name for term in fit.design.random]
    var = fit.varcorr.to_frame().set_index("grp")["vcov"]
    np.testing.assert_allclose(found["estimate"], var[list(found["term"])] / var.sum(), rtol=1e-12)
    for place, row in found.iterrows():
        other = next(term.name for term in fit.design.random if term.name != row["term"])
        relmat = {"A": pedigree()} if "A" in other else {"D": mates()}
        without = quiet(f"y ~ x + {other}", data(), relmat=relmat)
        assert row["chisq"] == pytest.approx(max(2.0 * (fit.loglik - without.loglik), 0.0), abs=1e-6), place


def mates() -> pd.DataFrame:
    """Another relatedness of the same ids."""
    F = np.random.default_rng(3).normal(size=(len(A()), 20))
    return pd.DataFrame(F @ F.T / 20 + 0.1 * np.eye(len(A())), A().index, A().index)


# ---- random slopes


def slopes_by_hand(fit: lmm.LmmFit, x: np.ndarray) -> float:
    kin, house = fit.varcorr["kin(id, A)"].to_numpy(), fit.varcorr["h"].to_numpy()
    z = np.column_stack([np.ones_like(x), x])
    genetic = np.einsum("na,ab,nb->n", z, kin, z).mean()
    return float(genetic / (genetic + house[0, 0] + fit.sigma**2))


def test_slopes_are_averaged_over_the_rows_or_taken_where_asked() -> None:
    fit = fitted("slopes", reml=False)
    found = only(fit.heritability())
    assert found["estimate"] == pytest.approx(slopes_by_hand(fit, data()["x"].to_numpy()), rel=1e-12)
    assert np.isnan(found["p_value"]) and found["chisq"] > 0
    for x in (0.0, 1.5):
        asked = only(fit.heritability(at={"x": x}))
        assert asked["estimate"] == pytest.approx(slopes_by_hand(fit, np.array([x])), rel=1e-12)
        assert asked["conf_low"] < asked["estimate"] < asked["conf_high"]
    zero = only(fit.heritability(at={"x": 0.0}))
    assert zero["estimate"] != pytest.approx(found["estimate"], rel=1e-3)
    expression = "`kin(id, A).(Intercept)` / (`kin(id, A).(Intercept)` + h + Residual)"
    same = only(fit.vpredict(h2=expression, interval="profile"))
    assert zero[["std_error", "conf_low", "conf_high"]].to_list() == pytest.approx(same.to_list()[1:], rel=1e-6)


def test_a_factor_left_of_the_bar() -> None:
    frame = data().assign(f=pd.Categorical(np.where(data()["x"] > 1, "high", "low"), ["low", "high"]))
    fit = quiet("y ~ x + (0 + f | kin(id, A))", frame, relmat={"A": pedigree()})
    C = fit.varcorr["kin(id, A)"].to_numpy()
    for i, name in enumerate(["low", "high"]):
        found = only(fit.heritability(method="wald", at={"f": name}))
        assert found["estimate"] == pytest.approx(C[i, i] / (C[i, i] + fit.sigma**2), rel=1e-12)


def test_independent_slopes_have_a_mixture() -> None:
    fit = quiet("y ~ x + diag(1 + x | kin(id, A))", data(), reml=False, relmat={"A": pedigree()})
    found = only(fit.heritability(method="wald"))
    chisq = found["chisq"]
    expected = 0.5 * stats.chi2.sf(chisq, 1) + 0.25 * stats.chi2.sf(chisq, 2)
    assert found["p_value"] == pytest.approx(expected, rel=1e-10)


# ---- what it is not for


def test_known_components_have_an_estimate_alone() -> None:
    fit = quiet("y ~ x + kin(id, A)", data(), relmat={"A": pedigree()}, varcomp={"kin(id, A)": 3.0, "Residual": 1.0})
    found = only(fit.heritability())
    assert found["estimate"] == pytest.approx(0.75)
    assert found[COLUMNS[2:]].isna().all()


def test_what_is_wrong_is_said() -> None:
    fit = fitted("slopes")
    with pytest.raises(ModelError, match=r"heritability is for random terms.*Write kin\(A\)"):
        quiet("y ~ x + (1 | h)", data()).heritability()
    with pytest.raises(ModelError, match="method is 'profile' or 'wald', not 'boot'"):
        fit.heritability(method="boot")
    with pytest.raises(ModelError, match=r"at names 'o', on which no random effect depends.*'x'"):
        fit.heritability(at={"o": 1.0})
    with pytest.raises(ModelError, match=r"at\['x'\] must be one value"):
        fit.heritability(at={"x": [1.0, 2.0]})
    with pytest.raises(ModelError, match="at must map columns"):
        fit.heritability(at="x")
    with pytest.raises(ModelError):
        fit.heritability(level=95)


# ---- names of relatedness terms in vpredict


def test_vpredict_reads_the_names_of_relatedness_terms_without_backticks() -> None:
    fit = fitted("household")
    expected = only(fit.heritability())
    for name in ("kin(id, A)", "kin(id,A)", "kin( id ,A )", "`kin(id, A)`", "`kin(id,A)`"):
        found = only(fit.vpredict(h2=f"{name} / ({name} + h + Residual)", interval="profile"))
        assert found["estimate"] == expected["estimate"], name
        assert found["std_error"] == pytest.approx(expected["std_error"], rel=1e-10)
        assert found["conf_low"] == pytest.approx(expected["conf_low"], rel=1e-6)
    by_ped = quiet("y ~ x + kin(ped) + (1 | h)", data().rename(columns={"id": "id"}), relmat={"ped": pedigree()})
    found = only(by_ped.vpredict(h2="kin(ped) / (kin(ped) + h + Residual)"))
    assert found["estimate"] == only(by_ped.heritability())["estimate"]
    with pytest.raises(ModelError, match=r"known are .*'kin\(id, A\)'"):
        fit.vpredict(h2="kin(id, B) / Residual")


# ---- what SOLAR says


@pytest.mark.parametrize(
    ("case", "model", "formula"),
    [
        ("polygenic_bmi", "poly", "bmi ~ age + sex + kin(ped)"),
        ("polygenic_bmi_nocov", "poly", "bmi ~ 1 + kin(ped)"),
        ("polygenic_fvii", "poly", "fvii ~ age + sex + kin(ped)"),
        ("house_bmi", "best", "bmi ~ age + sex + kin(ped) + (1 | HHID)"),
    ],
)
def test_the_figures_of_solar(case: str, model: str, formula: str) -> None:
    expected = family.solar()[case]
    fit = quiet(formula, family.people(), reml=False, relmat={"ped": family.pedigree()})
    found = only(fit.heritability(method="wald"))
    h2, error = expected[model]["h2r"]
    assert found["estimate"] == pytest.approx(h2, rel=1e-5)
    assert found["std_error"] == pytest.approx(error, rel=2e-3)
    if model == "poly":
        chisq = 2.0 * (expected["poly"]["loglike"] - expected["spor"]["loglike"])
        assert found["chisq"] == pytest.approx(chisq, abs=1e-4)
        assert f"p = {found['p_value']:.3e}"[:8] in next(text for text in expected["printed"] if "H2r is" in text)


def test_relatedness_by_grouping_factor_and_two_terms_of_one_relatedness() -> None:
    by_factor = quiet("y ~ x + (1 | id)", data(), weights="w", relmat={"id": pedigree()})
    found, expected = only(by_factor.heritability()), only(fitted("intercepts").heritability())
    assert found["term"] == "id"
    assert found[COLUMNS[1:]].to_list() == pytest.approx(expected[COLUMNS[1:]].to_list(), rel=1e-5)
    fit = fitted("separate")
    both = fit.heritability().set_index("term")["estimate"]
    var, x2 = fit.varcorr.to_frame().set_index("grp")["vcov"], float((data()["x"] ** 2).mean())
    parts = {term.name: var[term.name] * (x2 if "x" in term.columns else 1.0) for term in fit.design.random}
    for name, part in parts.items():
        assert both[name] == pytest.approx(part / (sum(parts.values()) + fit.sigma**2), rel=1e-12)


def test_equal_variances_of_a_term() -> None:
    fit = quiet("y ~ x + diag(1 + x | kin(id, A), hom = TRUE)", data(), relmat={"A": pedigree()})
    variance, x2 = fit.varcorr["kin(id, A)"].iloc[0, 0], float((data()["x"] ** 2).mean())
    found = only(fit.heritability())
    assert found["estimate"] == pytest.approx(variance * (1 + x2) / (variance * (1 + x2) + fit.sigma**2), rel=1e-12)
    z = found["estimate"]
    assert found["conf_low"] < z < found["conf_high"]
    for limit in (found["conf_low"], found["conf_high"]):
        theta = np.sqrt(limit / (1.0 - limit) / (1 + x2))
        assert criterion(fit, [theta]) + 2.0 * fit.loglik == pytest.approx(Z2, abs=1e-4)
