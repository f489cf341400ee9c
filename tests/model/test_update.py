"""`update`: the same call with changes."""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.update import submodel

SLOPE = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 120
    g, f = rng.integers(0, 10, n), rng.choice(["p", "q", "r"], n)
    x = rng.normal(size=n)
    y = 2.0 + x + rng.normal(size=10)[g] + rng.normal(size=n)
    h = rng.integers(0, 6, n)
    w, o = rng.uniform(0.5, 2, n).round(2), rng.normal(size=n)
    return pd.DataFrame({"y": y + (f == "q"), "x": x, "f": f, "g": g.astype(str), "h": h.astype(str), "w": w, "o": o})


@pytest.fixture(scope="module")
def fit(data):
    return lmm.lmer("y ~ x + f + (1 | g)", data, weights="w", contrasts={"f": "sum"}, offset="o", subset="x < 2")


def same(a, b):
    assert a.formula == b.formula
    assert a.reml is b.reml
    assert a.loglik == pytest.approx(b.loglik, abs=1e-9)
    pd.testing.assert_series_equal(a.fixef, b.fixef, rtol=1e-7)
    pd.testing.assert_series_equal(a.fitted(), b.fitted(), rtol=1e-6)
    assert str(a) == str(b)


def test_nothing_changed(fit):
    again = fit.update()
    same(again, fit)
    assert again is not fit


def test_every_argument(fit, data):
    # Each change against the call written out.
    options = {"weights": "w", "contrasts": {"f": "sum"}, "offset": "o", "subset": "x < 2"}
    text = "y ~ x + f + (1 | g)"
    same(fit.update(reml=False), lmm.lmer(text, data, reml=False, **options))
    for name, value in [
        ("weights", None),
        ("weights", "w + 1"),
        ("offset", None),
        ("offset", data["o"] / 2),
        ("subset", None),
        ("subset", "x < 1"),
        ("contrasts", "helmert"),
        ("contrasts", None),
    ]:
        same(fit.update(**{name: value}), lmm.lmer(text, data, **{**options, name: value}))
    control = lmm.Control(engine="sparse")
    assert fit.update(control=control).convergence.engine == "sparse"
    assert fit.update(start=[2.0]).optimization.iloc[0, 0] == 2.0
    # Another frame: what stands in columns is read from it.
    other = data.iloc[::-1].assign(w=1.0)
    same(fit.update(data=other), lmm.lmer(text, other, **options))
    assert fit.update(data=other).request.data_name == "other"


def test_missing_values_are_treated_as_before(data):
    gaps = data.assign(x=data["x"].mask(data.index < 3))
    fit = lmm.lmer("y ~ x + (1 | g)", gaps, na_action="exclude")
    assert fit.update("~ . + f").fitted().isna().sum() == 3
    assert len(fit.update("~ . + f", na_action="omit").fitted()) == 117
    # What a term missed is there again when the term is gone.
    assert fit.update("~ . - x").nobs == 120
    with pytest.raises(lmm.DataError, match="fail"):
        fit.update(na_action="fail")


def test_known_components_are_kept(data):
    held = lmm.lmer("y ~ x + (1 | g)", data, varcomp={"g": 1.0, "Residual": 2.0})
    again = held.update("~ . + f")
    assert again.sigma == pytest.approx(np.sqrt(2.0))
    assert again.optimum.held
    assert not held.update(varcomp=None).optimum.held
    with pytest.raises(lmm.ModelError, match="lacks 'h'"):
        held.update("~ . + (1 | h)")


def test_formulas(fit, data):
    options = {"weights": "w", "offset": "o", "subset": "x < 2"}
    same(
        fit.update("log(. + 9) ~ . + (1 | h)"),
        lmm.lmer("log(y + 9) ~ x + f + (1 | g) + (1 | h)", data, contrasts={"f": "sum"}, **options),
    )
    # A contrast of a factor that is gone has nothing to say.
    same(fit.update("~ . - f"), lmm.lmer("y ~ x + (1 | g)", data, **options))
    with pytest.raises(lmm.FormulaError, match="no term 'z'"):
        fit.update("~ . - z")
    with pytest.raises(lmm.FormulaError, match="no random term"):
        fit.update("~ . - (1 | g)")


def test_a_random_term_for_another():
    sleep = lmm.datasets.load("sleepstudy")
    fit = lmm.lmer(SLOPE, sleep)
    same(fit.update("~ . - (Days | Subject) + (1 | Subject)"), lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep))
    assert fit.update(". ~ . - Days").formula == "Reaction ~ 1 + (Days | Subject)"


def _fitted_elsewhere(data):
    knot = 0.5  # noqa: F841  (read by the formula)
    return lmm.lmer("y ~ x + I((x - knot)^2) + (1 | g)", data)


def test_names_are_the_callers_then_those_of_the_fit(data):
    fit = _fitted_elsewhere(data)
    again = fit.update("~ . + f")
    assert again.fixef.index[2] == "I((x - knot)^2)"
    expected = lmm.lmer("y ~ x + I((x - 0.5)^2) + f + (1 | g)", data)
    assert again.loglik == pytest.approx(expected.loglik, abs=1e-9)
    knot = -1.0  # noqa: F841  (read by the formula)
    moved = fit.update("~ . + f")
    expected = lmm.lmer("y ~ x + I((x + 1)^2) + f + (1 | g)", data)
    np.testing.assert_allclose(moved.fixef, expected.fixef, rtol=1e-8)
    # An update can be updated where its names are unknown.
    assert _changed_elsewhere(moved).fixef["x"] == pytest.approx(expected.fixef["x"], rel=1e-8)


def _changed_elsewhere(fit):
    return fit.update(reml=True)


def test_warnings_point_at_the_caller(data):
    fit = lmm.lmer("y ~ x + (1 | g)", data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit.update("~ . + I(2 * x) + I(x * 1e6)")
    assert {w.category for w in caught} == {lmm.RankDeficiencyWarning}
    assert all(w.filename == __file__ for w in caught)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"reml": "yes"}, lmm.ModelError, "reml must be True or False"),
        ({"control": 3}, lmm.ModelError, "lmm.Control"),
        ({"formula": 3}, lmm.FormulaError, "not a int"),
        ({"formula": "~ x + f"}, lmm.FormulaError, "no random term"),
        ({"formula": "~ . + nothing"}, lmm.LmmpyError, "nothing"),
        ({"na_action": "no"}, lmm.DataError, "na_action"),
        ({"weights": [1.0]}, lmm.DataError, "weights has the shape"),
        ({"varcomp": 3}, lmm.ModelError, "varcomp must map"),
        ({"start": [1.0, 2.0]}, lmm.ModelError, "start"),
    ],
)
def test_refusals(fit, changes, error, says):
    with pytest.raises(error, match=says):
        fit.update(**changes)


def test_a_submodel_has_the_rows_and_weights_of_the_fit(data):
    gaps = data.assign(x=data["x"].mask(data.index < 3), w=data["w"].mask(data.index == 7))
    limit = 0.5  # noqa: F841
    fit = lmm.lmer("y ~ x + f + (1 | g)", gaps, weights="w", subset="o < limit", contrasts={"f": "sum"})
    made = submodel(fit, "y ~ f + (1 | g)").fit
    assert fit.nobs < 117
    assert list(made.response.index) == list(fit.response.index)
    np.testing.assert_array_equal(made.prior_weights, fit.prior_weights)
    expected = lmm.lmer("y ~ f + (1 | g)", gaps.loc[fit.response.index], weights="w", contrasts={"f": "sum"})
    assert made.loglik == pytest.approx(expected.loglik, abs=1e-9)
    assert (made.request.weights, made.request.subset) == ("w", "o < limit")


def test_what_is_made_of_a_refit_has_its_response() -> None:
    sleep = lmm.datasets.load("sleepstudy")
    fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    y = fit.simulate(1, seed=1)["sim_1"]
    again, direct = fit.refit(y), lmm.lmer("Reaction ~ Days + (Days | Subject)", sleep.assign(Reaction=y))
    pd.testing.assert_frame_equal(pd.DataFrame(lmm.ranova(again)), pd.DataFrame(lmm.ranova(direct)), rtol=1e-6)
    pd.testing.assert_frame_equal(pd.DataFrame(lmm.drop1(again)), pd.DataFrame(lmm.drop1(direct)), rtol=1e-6)
    assert again.update("~ . - Days").loglik == pytest.approx(direct.update("~ . - Days").loglik, abs=1e-7)
    assert lmm.step(again).fit.loglik == pytest.approx(lmm.step(direct).fit.loglik, abs=1e-7)
    np.testing.assert_allclose(again.augment()["Reaction"], y)
    # another response, or other data, are what they are asked for
    assert again.update("log(.) ~ .").loglik == pytest.approx(fit.update("log(.) ~ .").loglik)
    assert again.update(data=sleep).loglik == pytest.approx(fit.loglik)
    with pytest.raises(lmm.ModelError, match="refitted to another response"):
        lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep, subset="Days > 1").refit(y[sleep["Days"] > 1]).update(
            subset=None
        )
