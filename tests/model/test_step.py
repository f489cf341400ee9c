"""`step`, decision by decision."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.drop1 import drop1
from lmmpy.model.ranova import ranova
from lmmpy.model.step import step

pytestmark = pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(21)
    n = 200
    g, h, a = rng.integers(0, 14, n), rng.integers(0, 8, n), rng.choice(list("uv"), n)
    x, z = rng.normal(size=n), rng.normal(size=n)
    y = 1 + x + rng.normal(size=14)[g] + rng.normal(size=n)
    frame = {"y": y, "x": x, "z": z, "a": a, "g": g.astype(str), "h": h.astype(str), "w": rng.uniform(0.5, 2, n)}
    return pd.DataFrame(frame)


@pytest.fixture(scope="module")
def fit(data):
    return lmm.lmer("y ~ a * z + x + (x | g) + (1 | h)", data, weights="w")


def test_each_step_is_a_ranova_or_a_drop1(fit):
    found, model = step(fit), fit
    gone = found.random[found.random["Eliminated"] > 0]
    assert list(gone["Eliminated"]) == list(range(1, len(gone) + 1))
    assert len(gone) >= 1
    assert found.random.index[0] == "<none>"
    for name, row in gone.iterrows():
        table = pd.DataFrame(ranova(model)).iloc[1:]
        assert table["Pr(>Chisq)"].idxmax() == name
        assert row["Pr(>Chisq)"] > 0.1
        np.testing.assert_allclose(row.drop("Eliminated"), table.loc[name].drop("Pr(mixture)"), rtol=1e-8)
        change = {"x in (x | g)": "~ . - (x | g) + (1 | g)", "(1 | h)": "~ . - (1 | h)"}[name]
        model = model.update(change)
    assert (ranova(model)["Pr(>Chisq)"].iloc[1:] <= 0.1).all()
    gone = found.fixed[found.fixed["Eliminated"] > 0]
    assert gone.index[0] == "a:z"
    for name, row in gone.iterrows():
        table = pd.DataFrame(drop1(model, test="f"))
        assert table["Pr(>F)"].idxmax() == name
        np.testing.assert_allclose(row.drop("Eliminated"), table.loc[name], rtol=1e-6)
        model = model.update(f"~ . - {name}")
    assert (found.fixed.loc[found.fixed["Eliminated"] == 0, "Pr(>F)"] <= 0.05).all()
    assert found.fit.loglik == pytest.approx(model.loglik, abs=1e-8)
    assert (found.formula, found.fit.formula) == (model.formula, model.formula)
    assert found.fit.request.weights == "w"
    text = str(found)
    assert "Backward reduced random-effect table" in text
    assert f"Model found:\n{model.formula}" in text
    assert "Satterthwaite" in text


def test_columns(fit):
    found = step(fit)
    assert list(found.random.columns) == ["Eliminated", "npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)"]
    expected = ["Eliminated", "Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)"]
    assert list(found.fixed.columns) == expected


def test_alphas(fit):
    kept = step(fit, alpha_random=1, alpha_fixed=1.0)
    assert kept.fit is fit
    assert (kept.fixed["Eliminated"] == 0).all()
    everything = step(fit, alpha_fixed=0)
    assert list(everything.fit.fixef.index) == ["(Intercept)"]
    assert len(everything.fixed) == 4
    kenward = step(fit, ddf="kenward-roger")
    assert "Kenward-Roger" in str(kenward)


def test_the_last_random_term_stays_and_that_is_said(data):
    fit = lmm.lmer("y ~ x + (1 | h)", data)
    found = step(fit)
    assert found.random.loc["(1 | h)", "Eliminated"] == 0
    assert found.random.loc["(1 | h)", "Pr(>Chisq)"] > 0.1
    assert found.fit is fit
    assert "(1 | h), the last random term, stays" in found.notes[0]
    assert found.notes[0] in str(found)
    assert not step(fit, keep="(1 | h)").notes


def test_keep(fit):
    found = step(fit, keep=["z:a", "(1 | h)"])
    assert list(found.fixed.index)[-1] == "a:z"
    assert {"a", "z", "a:z"} <= {term.label for term in found.fit.blueprint.parsed.fixed.terms}
    assert found.random.loc["(1 | h)", "Eliminated"] == 0
    # A term is known by what it says; here it is protected once there is nothing else left of it.
    assert step(fit, keep="(1 + x | g)").random.loc["x in (x | g)", "Eliminated"] == 0
    reduced = step(fit, alpha_random=0.0, keep=["(1 | g)"])
    assert list(reduced.fit.ngroups) == ["g"]


def test_the_mixture_keeps_more():
    # The naive p-value of the variance lies above 0.1, half of it below.
    sleep = lmm.datasets.load("sleepstudy")
    rng = np.random.default_rng(2)
    for _ in range(200):
        fit = lmm.lmer("Reaction ~ Days + (1 | Subject) + (1 | k)", sleep.assign(k=rng.integers(0, 6, 180)))
        row = ranova(fit).loc["(1 | k)"]
        if 0.1 < row["Pr(>Chisq)"] < 0.2:
            break
    naive, mixture = step(fit), step(fit, mixture=True)
    assert naive.random.loc["(1 | k)", "Eliminated"] == 1
    assert mixture.random.loc["(1 | k)", "Eliminated"] == 0
    assert mixture.random.loc["(1 | k)", "Pr(mixture)"] == pytest.approx(row["Pr(>Chisq)"] / 2, rel=1e-6)


def test_rows_stay_those_of_the_first_fit(data):
    gaps = data.assign(z=data["z"].mask(data.index < 9))
    fit = lmm.lmer("y ~ x + z + (1 | g)", gaps)
    found = step(fit)
    assert "z" not in found.formula
    assert list(found.fit.response.index) == list(fit.response.index)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"alpha_random": 2}, "alpha_random must be a number from 0 to 1"),
        ({"alpha_fixed": "x"}, "alpha_fixed must be"),
        ({"ddf": "best"}, "ddf is one of"),
        ({"keep": ["q"]}, "no term 'q' in the model; there are 'a', 'z', 'x', 'a:z', .*'\\(1 \\| h\\)'"),
        ({"keep": ["(1 | q)"]}, "no term"),
        ({"keep": 3}, "no term 3"),
        ({"mixture": "no"}, "mixture must be"),
    ],
)
def test_refusals(fit, options, says):
    with pytest.raises(lmm.ModelError, match=says):
        step(fit, **options)


def test_what_is_no_fit(data):
    with pytest.raises(lmm.ModelError, match="step takes a fit"):
        step(data)
    held = lmm.lmer("y ~ x + (1 | g)", data, varcomp={"g": 1.0, "Residual": 1.0})
    with pytest.raises(lmm.ModelError, match="were given"):
        step(held)
    with pytest.raises(lmm.ModelError, match="REML"):
        step(lmm.lmer("y ~ x + (1 | g)", data, reml=False), ddf="kenward-roger")


def test_the_final_model_is_used_as_the_first(data):
    gaps = data.assign(z=data["z"].mask(data.index < 9), y=data["y"].mask(data.index == 30))

    def fitted():
        power = 0.5
        assert power
        options = {"weights": "w ^ power", "subset": "x < 2 & z < 2", "na_action": "exclude"}
        return lmm.lmer("y ~ x + z + (1 | g)", gaps, **options)

    fit = fitted()
    final = step(fit).fit
    assert "z" not in final.formula
    for rows in (lambda m: m.residuals(), lambda m: m.refit_ml().fitted(), lambda m: m.refit(m.response).fitted()):
        assert rows(final).index.equals(fit.residuals().index)
        assert rows(final).isna().equals(fit.residuals().isna())
    assert final.request.source.weights == "w ^ power"
    assert final.request.source.subset == fit.request.source.subset
    new = data.iloc[:20].assign(y=np.arange(20.0) % 5)
    assert final.predict(new, interval="prediction", allow_new_levels=True).notna().all(axis=None)
    again = final.update(data=data, control=lmm.Control(check_sizes="ignore"))
    assert again.nobs == ((data["x"] < 2) & (data["z"] < 2)).sum()
    np.testing.assert_allclose(again.prior_weights, np.sqrt(data["w"])[(data["x"] < 2) & (data["z"] < 2)])


def test_terms_that_others_determine_go_first_and_that_is_said(data):
    with pytest.warns(lmm.RankDeficiencyWarning):
        fit = lmm.lmer("y ~ x + x2 + z + (1 | g)", data.assign(x2=2 * data["x"]))
    found = step(fit)
    assert list(found.fixed.index[:2]) == ["x2", "z"]
    assert list(found.fixed["Eliminated"]) == [1, 2, 0]
    assert np.isnan(found.fixed.loc["x2", "Pr(>F)"])
    assert found.notes == (
        "x2 cannot be tested, as the other terms determine its columns: it was eliminated first, which changes nothing "
        "in the model's mean.",
    )
    assert found.notes[0] in str(found)
    assert list(found.fit.fixef.index) == ["(Intercept)", "x"]
    # With the second column kept, the first can go.
    assert "x2" in step(fit, keep="x2").formula
    assert step(fit, alpha_random=1, alpha_fixed=1).fit is fit
