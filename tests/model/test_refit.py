"""Refitting to another response: as a new call of lmer would, whatever the model; and what is refused."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy import Control, DataError, ModelError
from tests.naive import dense
from tests.reference.checks import CRITERION, FIXED, VARIANCE

SLEEP = "Reaction ~ Days + (Days | Subject)"
HELD = {"Subject": [[600.0, 10.0], [10.0, 35.0]], "Residual": 650.0}


def quiet(call: Callable[[], Any]) -> Any:
    """What a call gives, without lmmpy's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return call()


def sleep_data() -> pd.DataFrame:
    """`sleepstudy` with labelled rows, a few missing values, and a factor of the days."""
    data = lmm.datasets.load("sleepstudy").set_index(pd.Index([f"r{i}" for i in range(180)]))
    data["w"] = 1.0 / (1.0 + data["Days"])
    data["off"] = 3.0 * np.sin(np.arange(180.0))
    data["x"] = np.cos(np.arange(180.0))
    data["twice"] = 2.0 * data["Days"]
    data["period"] = pd.Categorical(np.where(data["Days"] < 3, "a", np.where(data["Days"] < 7, "b", "c")))
    data["gap"] = data["Days"].where(~data.index.isin(["r7", "r150"]))
    return data


DATA = sleep_data()
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "slopes": (SLEEP, {}),
    "ml": (SLEEP, {"reml": False}),
    "weights": (SLEEP, {"weights": "w"}),
    "offset": (SLEEP, {"offset": "off"}),
    "offsets": ("Reaction ~ Days + offset(off) + (1 | Subject)", {"offset": "off", "weights": "w", "reml": False}),
    "omit": ("Reaction ~ gap + (gap | Subject)", {}),
    "exclude": ("Reaction ~ gap + (1 | Subject)", {"na_action": "exclude"}),
    "subset": (SLEEP, {"subset": "Days > 1"}),
    "all of it": ("Reaction ~ gap + (1 | Subject)", {"subset": "Days > 1", "weights": "w", "offset": "off"}),
    "crossed": ("Reaction ~ 1 + (1 | Subject) + (1 | Days)", {}),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", {}),
    "no fixed effects": ("Reaction ~ 0 + (1 | Subject)", {}),
    "rank deficient": ("Reaction ~ Days + twice + (1 | Subject)", {}),
    "cs": ("Reaction ~ Days + cs(0 + period | Subject)", {}),
    "cs hom": ("Reaction ~ Days + cs(Days | Subject, hom = TRUE)", {"reml": False}),
    "ar1": ("Reaction ~ Days + ar1(0 + period | Subject)", {}),
    "diag": ("Reaction ~ Days + diag(Days + x | Subject)", {}),
    "held": (SLEEP, {"varcomp": HELD}),
    "cobyqa": ("Reaction ~ Days + (1 | Subject)", {"control": Control(optimizer="cobyqa")}),
}


def fitted(name: str, data: pd.DataFrame | None = None) -> lmm.LmmFit:
    if data is None:
        return fitted_to_data(name)
    formula, options = MODELS[name]
    return quiet(lambda: lmm.lmer(formula, data, **options))


@cache
def fitted_to_data(name: str) -> lmm.LmmFit:
    """Shared, since a refit leaves the fit alone."""
    return fitted(name, DATA)


def response(seed: int, size: float = 25.0) -> np.ndarray:
    """For all rows of DATA; without any random effect when their `size` is zero."""
    rng = np.random.default_rng(seed)
    codes = DATA["Subject"].cat.codes.to_numpy()
    b = size * rng.normal(size=(18, 3)) * [1.0, 0.25, 0.7]
    late = DATA["period"].cat.codes.to_numpy()
    values = 250.0 + 10.0 * DATA["Days"] + b[codes, 0] + b[codes, 1] * DATA["Days"]
    return values.to_numpy() + size * rng.normal(size=(18, 3))[codes, late] + 20.0 * rng.normal(size=180)


def parts(fit: lmm.LmmFit) -> list[np.ndarray]:
    """θ term by term."""
    return np.split(fit.theta.to_numpy(), np.cumsum([t.structure.n_theta for t in fit.design.random])[:-1])


def check_same(found: lmm.LmmFit, expected: lmm.LmmFit) -> None:
    assert found.loglik == pytest.approx(expected.loglik, rel=0, abs=0.5e-8)
    for term, a, b in zip(found.design.random, parts(found), parts(expected), strict=True):
        T, expected_T = term.structure.factor(a).T, term.structure.factor(b).T
        np.testing.assert_allclose(T @ T.T, expected_T @ expected_T.T, rtol=1e-6, atol=1e-6)
        if expected_T.any():  # else a correlation means nothing
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.fixef, expected.fixef, rtol=1e-7, atol=1e-7)
    assert found.sigma == pytest.approx(expected.sigma, rel=1e-6)
    assert found.is_singular() == expected.is_singular()
    assert bool(found.convergence.boundary) == bool(expected.convergence.boundary)


# ---- a refit is a fit


@pytest.mark.parametrize("size", [25.0, 0.0])
@pytest.mark.parametrize("name", MODELS)
def test_a_refit_is_a_fresh_fit(name: str, size: float) -> None:
    y = response(5, size)
    refit = quiet(lambda: fitted(name).refit(y))
    anew = fitted(name, DATA.assign(Reaction=y))
    check_same(refit, anew)
    pd.testing.assert_series_equal(refit.response, anew.response)
    pd.testing.assert_series_equal(refit.fitted(), anew.fitted(), rtol=1e-6)
    pd.testing.assert_series_equal(refit.residuals("pearson"), anew.residuals("pearson"), rtol=0, atol=1e-4)
    assert refit.deviance == pytest.approx(anew.deviance, rel=0, abs=1e-5)  # at a REML θ it has a slope
    assert (refit.df, refit.nobs, refit.formula, refit.reml) == (anew.df, anew.nobs, anew.formula, anew.reml)
    assert refit.request.control == anew.request.control
    assert refit.convergence.ok


@pytest.mark.parametrize("engine", ["auto", "blocked", "blocked-dense", "blocked-sparse", "sparse"])
@pytest.mark.parametrize("reml", [True, False])
def test_every_engine_refits(engine: str, reml: bool) -> None:
    formula = "Reaction ~ Days + (Days | Subject) + (1 | period)"
    control, y = Control(engine=engine), response(6)
    first = quiet(lambda: lmm.lmer(formula, DATA, reml=reml, control=control))
    refit = quiet(lambda: first.refit(y))
    anew = quiet(lambda: lmm.lmer(formula, DATA.assign(Reaction=y), reml=reml, control=control))
    check_same(refit, anew)
    assert refit.convergence.engine == anew.convergence.engine == first.convergence.engine


@pytest.mark.parametrize("name", ["slopes", "weights", "crossed", "cs", "ar1", "diag"])
def test_from_a_singular_fit_and_to_one(name: str) -> None:
    regular, noise = response(7), response(25, 0.0)
    singular = fitted(name, DATA.assign(Reaction=noise))
    assert singular.is_singular() and not fitted(name, DATA.assign(Reaction=regular)).is_singular()
    there = quiet(lambda: singular.refit(regular))
    check_same(there, fitted(name, DATA.assign(Reaction=regular)))
    back = quiet(lambda: there.refit(noise))
    check_same(back, singular)


def test_a_refit_of_a_refit_forgets_the_first() -> None:
    fit, y = fitted("slopes"), response(9)
    check_same(quiet(lambda: fit.refit(response(8, 0.0)).refit(response(10)).refit(y)), fit.refit(y))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "cobyqa"])
def test_the_same_response_gives_the_same_numbers(name: str) -> None:
    fit = fitted(name)
    again = quiet(lambda: fit.refit(fit.response))
    check_same(again, fit)
    np.testing.assert_allclose(again.vcov(), fit.vcov(), rtol=1e-5, atol=1e-9)


def test_the_values_are_not_transformed_again() -> None:
    formula, y = "log(Reaction) ~ Days + (Days | Subject)", np.exp(response(11) / 50.0)
    refit = lmm.lmer(formula, DATA).refit(np.log(y))
    check_same(refit, lmm.lmer(formula, DATA.assign(Reaction=y)))
    np.testing.assert_allclose(refit.response, np.log(y), rtol=1e-15)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_a_response_in_other_units(factor: float) -> None:
    fit, y = fitted("slopes"), response(12)
    plain, scaled = fit.refit(y), fit.refit(factor * y)
    np.testing.assert_allclose(scaled.theta, plain.theta, rtol=1e-6)
    np.testing.assert_allclose(scaled.fixef, factor * plain.fixef, rtol=1e-9)
    assert scaled.loglik == pytest.approx(plain.loglik - 178 * np.log(factor), abs=1e-6)


def test_known_components_stay_known() -> None:
    refit = fitted("held").refit(response(5))
    np.testing.assert_allclose(refit.varcorr["Subject"], HELD["Subject"], rtol=1e-12)
    assert refit.sigma**2 == pytest.approx(650.0, rel=1e-12)
    assert refit.optimum.held and len(refit.optimization) == 1


def test_a_search_that_stops_early_is_said_where_it_was_asked_for() -> None:
    with pytest.warns(lmm.ConvergenceWarning):
        fit = lmm.lmer(SLEEP, DATA, control=Control(max_evaluations=2))
    with pytest.warns(lmm.ConvergenceWarning, match="stopped after 2 evaluations") as caught:
        fit.refit(response(5))
    assert [w.filename for w in caught] == [__file__]


def test_a_singular_refit_is_said_where_it_was_asked_for() -> None:
    fit, noise = fitted("slopes"), response(25, 0.0)
    with pytest.warns(lmm.SingularFitWarning, match=r"Boundary \(singular\) fit: .*Subject\.") as caught:
        singular = fit.refit(noise)
    assert [w.filename for w in caught] == [__file__] and len(caught) == 1
    with pytest.warns(lmm.SingularFitWarning) as anew:
        lmm.lmer(SLEEP, DATA.assign(Reaction=noise))
    assert str(caught[0].message) == str(anew[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert singular.refit(response(7)).convergence.ok  # and nothing when there is nothing to say


def test_a_refit_that_cannot_be_identified_warns_as_the_fit_does() -> None:
    """Two names of one group: the data determine the sum of two variances."""
    data = DATA.assign(Copy=DATA["Subject"].astype(str))
    formula, y = "Reaction ~ Days + (1 | Subject) + (1 | Copy)", response(7)
    with pytest.warns(lmm.ConvergenceWarning, match="do not determine"):
        fit = lmm.lmer(formula, data)
    with pytest.warns(lmm.ConvergenceWarning, match="do not determine") as caught:
        fit.refit(y)
    assert [w.filename for w in caught] == [__file__]


def test_known_components_are_not_commented_on() -> None:
    singular = {"Subject": [[600.0, 0.0], [0.0, 0.0]], "Residual": 650.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refit = lmm.lmer(SLEEP, DATA, varcomp=singular).refit(response(5))
    assert refit.optimum.held


# ---- what a refit is good for


def test_a_refit_reports_and_predicts() -> None:
    y = response(13)
    data = DATA.assign(Reaction=y)
    refit, anew = fitted("slopes").refit(y), fitted("slopes", data)
    assert str(refit.summary()).splitlines()[3:] == str(anew.summary()).splitlines()[3:]
    new = DATA.iloc[[3, 50, 170]]
    np.testing.assert_allclose(refit.predict(new), anew.predict(new), rtol=1e-6)
    np.testing.assert_allclose(refit.predict(), refit.fitted(), rtol=1e-12)
    check_same(refit.refit_ml(), anew.refit_ml())


def test_refits_to_the_same_response_are_compared() -> None:
    y = response(14)
    data = DATA.assign(Reaction=y)
    smaller, larger = fitted("uncorrelated"), fitted("slopes")
    table = lmm.anova(smaller.refit(y), larger.refit(y))
    expected = lmm.anova(fitted("uncorrelated", data), fitted("slopes", data))
    np.testing.assert_allclose(table.to_numpy(float), expected.to_numpy(float), rtol=1e-6, atol=1e-7)
    with pytest.raises(ModelError, match="different responses"):
        lmm.anova(smaller, larger.refit(y))


@pytest.mark.parametrize("name", ["slopes", "weights", "crossed", "ar1", "held", "exclude"])
def test_a_refit_pickles(name: str) -> None:
    refit = fitted(name).refit(response(15))
    copy = pickle.loads(pickle.dumps(refit))
    assert copy.loglik == pytest.approx(refit.loglik, abs=1e-9)
    pd.testing.assert_series_equal(copy.theta, refit.theta)
    pd.testing.assert_series_equal(copy.fitted(), refit.fitted(), rtol=1e-10)
    check_same(quiet(lambda: copy.refit(response(16))), quiet(lambda: refit.refit(response(16))))


# ---- the original


def bits(fit: lmm.LmmFit) -> list[bytes]:
    """Everything that a refit might spoil, computed now, by the criterion too."""
    theta = fit.optimum.theta
    found = [fit.criterion.evaluate(t, 2) for t in (theta, 1.5 * theta + 0.1, theta)]
    numbers: list[Any] = [theta, fit.fixef, fit.sigma, fit.loglik, fit.deviance, fit.response, fit.fitted(), fit.vcov()]
    numbers += [x for e in found for x in (e.value, e.gradient, e.information, e.bend)]
    numbers += [fit.criterion.solve(theta).b, *fit.criterion.conditional_variances(theta), *fit.ranef().values()]
    return [np.asarray(x, dtype=float).tobytes() for x in numbers]


@pytest.mark.parametrize("engine", ["blocked-dense", "blocked-sparse", "sparse"])
def test_the_original_is_left_alone(engine: str) -> None:
    formula = "Reaction ~ Days + (Days | Subject) + (1 | period)"
    fit = quiet(lambda: lmm.lmer(formula, DATA, control=Control(engine=engine)))
    before, rows = bits(fit), len(fit.optimization)
    refit = quiet(lambda: fit.refit(response(17)))
    assert bits(fit) == before and len(fit.optimization) == rows
    assert bits(refit) != before
    after = bits(refit)
    bits(fit)  # nor does the original, asked again, spoil the refit
    assert bits(refit) == after


def test_the_criterion_of_another_response_remembers_nothing() -> None:
    """Asked at the θ that the original was last asked about."""
    fit, y = fitted("slopes"), response(17)
    theta = fit.optimum.theta
    fit.criterion.evaluate(theta, 2)
    anew = fitted("slopes", DATA.assign(Reaction=y)).criterion.evaluate(theta, 0)
    assert fit.criterion.with_response(y).evaluate(theta, 0).value == pytest.approx(anew.value, abs=1e-8)


def test_the_response_is_a_copy() -> None:
    fit = fitted("slopes")
    y = response(18)
    refit = fit.refit(y)
    before = bits(refit)
    y[:] = 0.0
    assert bits(refit) == before


def test_the_response_of_a_subset_is_a_copy() -> None:
    fit = fitted("subset")
    y = response(18)[fit.design.rows]
    refit = fit.refit(y)
    kept = refit.response.to_numpy()
    y[:] = 0.0
    np.testing.assert_array_equal(refit.response, kept)


# ---- forms of a response


@pytest.mark.parametrize("name", ["slopes", "omit", "exclude", "subset", "all of it"])
def test_all_rows_or_those_of_the_fit(name: str) -> None:
    fit, y = fitted(name), response(19)
    rows = fit.design.rows
    full = pd.Series(y, index=DATA.index)
    holes = full.where(rows)  # what the fit does not use may be missing
    expected = bits(fit.refit(y))
    for given in (full, holes, full[rows], full.to_numpy()[rows], list(full[rows]), tuple(y), full.astype("Float64")):
        assert bits(fit.refit(given)) == expected


def test_integers_and_booleans_are_numbers() -> None:
    fit, y = fitted("slopes"), np.round(response(20))
    assert bits(fit.refit(y.astype(int))) == bits(fit.refit(y))
    check = quiet(lambda: fit.refit(y > 300))
    assert bits(check) == bits(quiet(lambda: fit.refit((y > 300).astype(float))))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(np.ones(179), r"shape \(179,\).*180 rows", id="short"),
        pytest.param(np.ones(181), r"shape \(181,\)", id="long"),
        pytest.param(np.ones((180, 1)), r"shape \(180, 1\)", id="column"),
        pytest.param(pd.DataFrame({"y": response(1), "z": 1.0}, DATA.index), r"shape \(180, 2\)", id="frame"),
        pytest.param(3.0, r"shape \(\)", id="number"),
        pytest.param(None, "real numbers.* None", id="nothing"),
        pytest.param([], r"shape \(0,\)", id="empty"),
        pytest.param(pd.Series(response(1)), "index of the new response", id="another index"),
        pytest.param(pd.Series(response(1), DATA.index).iloc[::-1], "index of the new response", id="another order"),
        pytest.param(pd.Series(response(1), DATA.index).iloc[1:], "index of the new response", id="part"),
        pytest.param(["a", "b"] * 90, "real numbers.* 'a', 'b'.*175 more", id="text"),
        pytest.param([[1.0], [2.0, 3.0]], "real numbers", id="ragged"),
        pytest.param({"y": 1.0}, "real numbers.*'y': 1.0", id="mapping"),
    ],
)
def test_what_is_no_response(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fitted("slopes").refit(given)


DIGITS = pd.Categorical(np.tile(["1", "2"], 90))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(response(1).astype(str), id="text of digits"),
        pytest.param(pd.Series(response(1).astype(str), DATA.index), id="series of text"),
        pytest.param(response(1).astype(str).astype(object), id="objects"),
        pytest.param(pd.Series(pd.date_range("2020-01-01", periods=180), DATA.index), id="dates"),
        pytest.param(np.arange(180).astype("datetime64[ns]"), id="dates in nanoseconds"),
        pytest.param(np.arange(180).astype("timedelta64[ns]"), id="durations in nanoseconds"),
        pytest.param(np.arange(180).astype("timedelta64[s]"), id="durations"),
        pytest.param(response(1) + 1j, id="complex"),
        pytest.param(pd.Series(response(1) + 0j, DATA.index), id="complex without an imaginary part"),
    ],
)
def test_what_only_looks_like_numbers(given: Any) -> None:
    with pytest.raises(DataError, match=r"real numbers.*175 more"):
        quiet(lambda: fitted("slopes").refit(given))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(DIGITS, id="levels"),
        pytest.param(pd.Series(DIGITS, DATA.index), id="series of levels"),
        pytest.param(DIGITS.rename_categories([1, 2]), id="levels that are numbers"),
        pytest.param(pd.Series(DIGITS.rename_categories([1, 2]), DATA.index), id="series of such levels"),
        pytest.param(np.ma.array(response(1) + 1j, mask=False), id="masked complex"),
        pytest.param(np.ma.array(response(1).astype(str), mask=False), id="masked text"),
    ],
)
def test_what_looks_even_more_like_numbers(given: Any) -> None:
    with pytest.raises(DataError, match="real numbers"):
        quiet(lambda: fitted("slopes").refit(given))


def test_a_frame_with_one_column_is_a_response() -> None:
    fit, y = fitted("slopes"), pd.Series(response(1), DATA.index)
    assert bits(fit.refit(y.to_frame())) == bits(fit.refit(y))


def test_masked_values_are_missing() -> None:
    y = response(1)
    masked = np.ma.array(y, mask=np.arange(180) < 2)
    with pytest.raises(DataError, match=r"2 rows of the fit \('r0', 'r1'\)"):
        fitted("slopes").refit(masked)
    omit = fitted("omit")  # does not use r7 and r150
    outside = np.ma.array(y, mask=~omit.design.rows)
    assert bits(omit.refit(outside)) == bits(omit.refit(y))
    assert np.array_equal(outside.data, y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_values_are_named(value: float) -> None:
    y = pd.Series(response(1), DATA.index)
    y[["r4", "r30"]] = value
    for given in (y, y.to_numpy()):
        with pytest.raises(DataError, match=r"2 rows of the fit \('r4', 'r30'\)"):
            fitted("slopes").refit(given)


def test_a_missing_value_in_a_row_of_the_fit_is_named_by_its_own_label() -> None:
    y = response(1)
    y[13] = np.nan  # the row after the one that the fit leaves out
    with pytest.raises(DataError, match=r"\('r13'\)"):
        fitted("omit").refit(y)


@pytest.mark.parametrize("name", ["slopes", "weights", "offset", "held"])
def test_a_response_without_a_residual(name: str) -> None:
    fit = fitted(name)
    offset = DATA["off"] if name == "offset" else 0.0
    for given in (2.0 + 3.0 * DATA["Days"] + offset, offset + 0.0 * DATA["Days"]):
        with pytest.raises(ModelError, match="fixed effects reproduce the response exactly"):
            fit.refit(given)


def test_a_response_that_the_random_effects_reproduce() -> None:
    fit = fitted("slopes")
    with pytest.raises(ModelError, match="random effects of 'Subject' reproduce"):
        quiet(lambda: fit.refit(3.0 * DATA["Subject"].cat.codes.astype(float)))


def test_rows_under_exclude_and_a_subset() -> None:
    """What `simulate` gives, `refit` takes; as an array too."""
    fit = lmm.lmer("Reaction ~ gap + (1 | Subject)", DATA, na_action="exclude", subset="Days > 1")
    y = pd.Series(response(19), DATA.index)
    considered = y[fit.fitted().index]
    assert fit.nobs < len(considered) < len(y)
    expected = bits(fit.refit(y))
    for given in (considered, considered.to_numpy(), considered.where(fit.fitted().notna())):
        assert bits(fit.refit(given)) == expected
    drawn = fit.simulate(1, seed=1)["sim_1"]
    assert drawn.isna().any() and bits(fit.refit(drawn)) == bits(fit.refit(drawn.dropna()))


def test_a_refused_response_leaves_the_fit_usable() -> None:
    fit = fitted("slopes")
    before = bits(fit)
    with pytest.raises(ModelError):
        fit.refit(np.zeros(180))
    assert bits(fit) == before
    check_same(fit.refit(response(5)), fitted("slopes", DATA.assign(Reaction=response(5))))


# ---- R (tests/reference/make_refit.R)

R = json.loads((Path(__file__).parents[1] / "reference" / "refit.json").read_text(encoding="utf-8"))
R_CASES = [(name, i) for name, case in R.items() for i in range(len(case["refits"]))]


def r_fit(name: str) -> lmm.LmmFit:
    case = R[name]
    return lmm.lmer(case["formula"], lmm.datasets.load(case["data"]), reml=case["REML"], weights=case["weights"])


def test_the_numbers_of_r_have_singular_refits_in_every_model() -> None:
    for case in R.values():
        singular = [answer["singular"] for answer in case["refits"]]
        assert any(singular) and not all(singular)


@pytest.mark.parametrize(("name", "i"), R_CASES)
def test_refits_are_those_of_lme4(name: str, i: int) -> None:
    answer = R[name]["refits"][i]
    fit = quiet(lambda: r_fit(name).refit(np.array(answer["y"])))
    expected = [answer]
    if fit.design.p == 1 or not fit.reml:  # elsewhere lme4::refit is wrong: see below
        expected.append(answer["refit"])
    for r in expected:
        assert -2.0 * fit.loglik == pytest.approx(r["criterion"], rel=0, abs=CRITERION)
        np.testing.assert_allclose(fit.theta, r["theta"], rtol=VARIANCE, atol=1e-6)
        np.testing.assert_allclose(fit.fixef, r["fixef"], rtol=FIXED)
        assert fit.sigma == pytest.approx(r["sigma"], rel=FIXED)
        assert fit.is_singular() is r["singular"]
    assert fit.convergence.ok


@pytest.mark.parametrize("name", ["sleepstudy", "weighted"])
def test_where_lme4_differs_it_counts_one_fixed_effect(name: str) -> None:
    """lme4::refit takes n − 1 degrees of freedom for REML, whatever p: its figure is that of V, so counted."""
    answer = R[name]["refits"][0]
    theirs = answer["refit"]
    assert theirs["criterion"] > answer["criterion"] + 1.0
    fit = r_fit(name).refit(np.array(answer["y"]))
    at = dense(fit.design, np.array(theirs["theta"]))
    n, p = fit.nobs, fit.design.p
    counted, recounted = (k * (1.0 + np.log(2.0 * np.pi * at.r2 / k)) for k in (n - p, n - 1))
    assert at.value - counted + recounted == pytest.approx(theirs["criterion"], rel=0, abs=CRITERION)
    assert at.sigma == pytest.approx(theirs["sigma"], rel=FIXED)  # by n − p again
