"""`drop1` against fits made one by one, and hypotheses written by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.model.drop1 import drop1, dropped_contrast


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    n = 150
    a, b, g = rng.choice(list("pqr"), n), rng.choice(list("uv"), n), rng.integers(0, 12, n)
    x = rng.normal(size=n)
    y = 1 + x * (a == "q") + 0.5 * (b == "u") + rng.normal(size=12)[g] + rng.normal(size=12)[g] * x + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b, "g": g.astype(str), "o": rng.normal(size=n)})


@pytest.fixture(scope="module")
def fit(data):
    return lmm.lmer("y ~ a * x + b + offset(o) + (x | g)", data)


def test_likelihood_ratios_are_those_of_fits_by_ml(fit, data):
    full = lmm.lmer("y ~ a * x + b + offset(o) + (x | g)", data, reml=False)
    smaller = {"b": "y ~ a * x + offset(o) + (x | g)", "a:x": "y ~ a + x + b + offset(o) + (x | g)"}
    table = drop1(fit)
    assert list(table.index) == ["<none>", *smaller]
    assert list(table.columns) == ["npar", "AIC", "LRT", "Pr(Chi)"]
    assert table.headings[0] == "refitting model with ML (instead of REML)"
    assert "refitting" not in str(drop1(full))
    pd.testing.assert_frame_equal(pd.DataFrame(drop1(full)), pd.DataFrame(table), rtol=1e-6)
    assert table.loc["<none>", "AIC"] == pytest.approx(full.aic, rel=1e-9)
    for label, formula in smaller.items():
        other = lmm.lmer(formula, data, reml=False)
        lrt = 2 * (full.loglik - other.loglik)
        assert table.loc[label, "AIC"] == pytest.approx(other.aic, rel=1e-9)
        assert table.loc[label, "LRT"] == pytest.approx(lrt, rel=1e-6)
        assert table.loc[label, "npar"] == full.df - other.df
        assert table.loc[label, "Pr(Chi)"] == pytest.approx(stats.chi2.sf(lrt, full.df - other.df), rel=1e-6)
    assert list(drop1(fit, test=None).columns) == ["npar", "AIC"]


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_f_tests_are_of_the_coefficients_that_go(fit, ddf):
    names, tests = list(fit.fixef.index), fit.contrast_tests(ddf)
    table = drop1(fit, test="F", ddf=ddf)
    assert list(table.index) == ["b", "a:x"]
    for label, gone in {"b": ["bv"], "a:x": ["aq:x", "ar:x"]}.items():
        L = np.eye(len(names))[[names.index(name) for name in gone]]
        expected, row = tests.joint(L), table.loc[label]
        assert row["F value"] == pytest.approx(expected.statistic, rel=1e-8)
        assert row["NumDF"] == expected.num_df
        assert row["DenDF"] == pytest.approx(expected.den_df, rel=1e-6)
        assert row["Pr(>F)"] == pytest.approx(expected.p_value, rel=1e-6)
        assert row["Mean Sq"] == pytest.approx(row["F value"] / expected.scaling * fit.sigma**2, rel=1e-6)
    assert f"{tests.method.title} method" in table.headings[0]


def test_a_model_that_is_coded_anew(data):
    # Without `a` the first factor is `b`, which then has an indicator for each level: one parameter less, not two.
    fit = lmm.lmer("y ~ 0 + a + b + (1 | g)", data, reml=False)
    other = lmm.lmer("y ~ 0 + b + (1 | g)", data, reml=False)
    table = drop1(fit)
    assert table.loc["a", "npar"] == 2
    assert table.loc["a", "LRT"] == pytest.approx(2 * (fit.loglik - other.loglik), rel=1e-7)
    # The hypothesis: the three means of `a` are equal.
    L = dropped_contrast(fit, "a")
    assert L.shape == (2, 4)
    np.testing.assert_allclose(L @ [1.0, 1.0, 1.0, 0.0], 0.0, atol=1e-10)
    np.testing.assert_allclose(L @ [0.0, 0.0, 0.0, 1.0], 0.0, atol=1e-10)
    np.testing.assert_allclose(L @ L.T, np.eye(2), atol=1e-10)
    X0 = lmm.lformula("y ~ 0 + b + (1 | g)", data).X.to_numpy()
    B = np.linalg.lstsq(fit.design.X, X0, rcond=None)[0]
    np.testing.assert_allclose(L @ B, 0.0, atol=1e-10)


def test_the_smaller_model_has_the_same_rows(data):
    gaps = data.assign(x=data["x"].mask(data.index < 20))
    fit = lmm.lmer("y ~ x + b + (1 | g)", gaps, reml=False)
    other = lmm.lmer("y ~ b + (1 | g)", gaps.iloc[20:], reml=False)
    assert drop1(fit).loc["x", "LRT"] == pytest.approx(2 * (fit.loglik - other.loglik), rel=1e-7)


def test_scope(fit):
    assert list(drop1(fit, scope=["a:x"]).index) == ["<none>", "a:x"]
    assert list(drop1(fit, scope="b").index) == ["<none>", "b"]
    assert list(drop1(fit, test="f", scope=["x:a", "b"]).index) == ["b", "a:x"]


def test_nothing_to_drop(data):
    fit = lmm.lmer("y ~ 1 + (1 | g)", data)
    assert list(drop1(fit).index) == ["<none>"]
    empty = drop1(fit, test="f")
    assert empty.shape == (0, 6)
    assert "Single term deletions" in str(empty)


def test_known_variances(data):
    # β̂ is then exactly normal, and the statistic exactly χ².
    fit = lmm.lmer("y ~ x + b + (1 | g)", data, varcomp={"g": 1.0, "Residual": 1.5})
    row = drop1(fit).loc["x"]
    assert row["LRT"] == pytest.approx((fit.fixef["x"] / fit.se["x"]) ** 2, rel=1e-8)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"test": "wald"}, "test is 'chisq'"),
        ({"test": "f", "ddf": "best"}, "ddf is one of"),
        ({"scope": ["z"]}, "no term 'z'.*'a', 'x', 'b', 'a:x'"),
        ({"scope": ["a"]}, "'a' is part of another term"),
        ({"scope": 3}, "no term 3"),
    ],
)
def test_refusals(fit, options, says):
    with pytest.raises(lmm.ModelError, match=says):
        drop1(fit, **options)
    with pytest.raises(lmm.ModelError, match="takes a fit"):
        drop1("fit")


@pytest.mark.parametrize("rows", ["missing", "subset"])
def test_a_variable_of_the_callers_scope_when_rows_are_left_out(data, rows):
    z = np.random.default_rng(1).normal(size=len(data))
    held = data.assign(z=z, c=data["o"] - data["o"].mean(), y=data["y"].mask(data.index == 4))
    options = {} if rows == "missing" else {"subset": "x < 1"}
    column = lmm.lmer("y ~ a * z + c + (1 | g)", held, **options)
    # The mean is over all rows, used or not, in the fit as in what repeats its reading.
    found = lmm.lmer("y ~ a * z + I(o - mean(o)) + (1 | g)", held.drop(columns="z"), **options)
    np.testing.assert_allclose(found.fixef, column.fixef, rtol=1e-8)
    tables = [(lmm.anova(fit), drop1(fit, "f"), lmm.step(fit, alpha_fixed=0).fixed) for fit in (found, column)]
    for first, second in zip(*tables, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)
    assert len(tables[0][2]) == 4
    pd.testing.assert_series_equal(found.augment()["z"], column.augment()["z"])


def test_a_level_that_only_rows_left_out_have(data):
    gaps = data.assign(a=data["a"].mask(data.index == 7, "new"), y=data["y"].mask(data.index == 7), x2=2 * data["x"])
    with pytest.warns(lmm.RankDeficiencyWarning, match="'x2'"):
        fit = lmm.lmer("y ~ a + x + x2 + (1 | g)", gaps)
    assert fit.dropped == ("x2",)
    assert drop1(fit, "f").loc["a", "NumDF"] == 2
    with pytest.warns(lmm.RankDeficiencyWarning, match="1 rows of the new data"):
        fit.predict(gaps.iloc[[1]].assign(x2=0.0))


def test_data_that_grew(data):
    fit = lmm.lmer("y ~ a + (1 | g)", data := data.copy())
    data.loc[len(data)] = data.iloc[0]
    with pytest.raises(lmm.ModelError, match="they had 150 rows, and have 151 now"):
        drop1(fit, test="f")
