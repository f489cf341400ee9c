"""`lm_list`: regressions by group, as R's lmList has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.lm_list import lm_list
from tests.model.made import data

SLEEP = "Reaction ~ Days | Subject"


@pytest.fixture(scope="module")
def sleep():
    return lm_list(SLEEP, lmm.datasets.load("sleepstudy"))


def test_numbers_of_r(sleep):
    """lme4 1.1-31: summary(lmList(...)) and confint(..., pool = TRUE)."""
    np.testing.assert_allclose(sleep.coef.loc["308"], [244.192669091, 21.76470242424], rtol=1e-11)
    np.testing.assert_allclose(sleep.coef.loc["309"], [205.054945455, 2.26178545455], rtol=1e-11)
    np.testing.assert_allclose(sleep.se, np.tile([15.0416872327, 2.81756616888], (18, 1)), rtol=1e-10)
    assert (sleep.sigma, sleep.df_resid) == (pytest.approx(25.59182, rel=1e-6), 144)
    limits = sleep.confint()
    np.testing.assert_allclose(limits.loc[("308", "(Intercept)")], [214.461645159, 273.923693023], rtol=1e-10)
    np.testing.assert_allclose(limits.loc[("309", "Days")], [-3.30734558119, 7.83091649028], rtol=1e-10)
    np.testing.assert_allclose(sleep.confint(0.9).loc[("372", "Days")], [6.63358077153, 15.96256589514], rtol=1e-10)
    assert list(limits.columns) == ["2.5 %", "97.5 %"]
    table = sleep.to_frame()
    assert list(table.columns) == ["Estimate", "Std. Error", "t value", "Pr(>|t|)"]
    row = table.loc[("308", "Days")]
    np.testing.assert_allclose(row, [21.76470242424, 2.81756616888, 7.724646421659, 1.74184037192e-12], rtol=1e-10)


def test_without_pooling(sleep):
    """R: confint(lmList(...)) of one fit by itself, 8 degrees of freedom."""
    single = lm_list(SLEEP, lmm.datasets.load("sleepstudy"), pool=False)
    pd.testing.assert_frame_equal(single.coef, sleep.coef)
    limits = single.confint().loc["308"].to_numpy()
    np.testing.assert_allclose(limits, [[179.433862896, 308.951475286], [9.63426661281755, 33.89513823567]], rtol=1e-10)
    np.testing.assert_allclose(single.confint().loc[("309", "Days")], [0.00864146735433, 4.51492944174], rtol=1e-9)


def test_weights():
    """R: lmList(Reaction ~ Days | Subject, weights = Days + 1)."""
    found = lm_list(SLEEP, lmm.datasets.load("sleepstudy"), weights="Days + 1")
    np.testing.assert_allclose(found.coef.loc["308"], [246.519469091, 21.37690242424], rtol=1e-10)
    assert found.sigma == pytest.approx(62.3400558272, rel=1e-10)


def test_factors_offsets_and_rows():
    frame = data()
    found = lm_list("y ~ x + offset(o) | h", frame, subset="k < 2")
    kept = frame[frame["k"] < 2]
    for level, part in kept.groupby("h"):
        X = np.column_stack([np.ones(len(part)), part["x"]])
        beta = np.linalg.lstsq(X, part["y"] - part["o"], rcond=None)[0]
        np.testing.assert_allclose(found.coef.loc[str(level)], beta, rtol=1e-9)
        np.testing.assert_allclose(found.fitted()[part.index], X @ beta + part["o"], rtol=1e-9)
    np.testing.assert_allclose(found.residuals(), kept["y"] - found.fitted())
    assert list(found.residuals().index) == list(kept.index) and len(found) == 5
    by_pair = lm_list("y ~ 1 | f:h", frame)
    assert by_pair.group == "f:h" and by_pair.coef.shape[1] == 1


def test_groups_that_are_too_small_are_named():
    frame = pd.concat([data(), data().iloc[:2].assign(g=["solo", "duo"])], ignore_index=True)
    with pytest.raises(lmm.ModelError, match=r"2 of the 11 groups of 'g' .* 'duo \(1\)', 'solo \(1\)'"):
        lm_list("y ~ x | g", frame)


def test_groups_without_variation_are_named():
    frame = data().assign(z=lambda d: np.where(d["g"] == "g3", 1.0, d["x"]))
    with pytest.raises(lmm.ModelError, match=r"In 1 of the 9 groups of 'g' .* 'g3 \(z\)'"):
        lm_list("y ~ z | g", frame)


def test_a_group_with_just_enough_rows_has_no_variance_of_its_own():
    frame = pd.DataFrame({"y": [1.0, 2.0, 1.0, 3.0, 2.0], "x": [0.0, 1.0, 0.0, 1.0, 2.0], "g": list("aabbb")})
    pooled, single = lm_list("y ~ x | g", frame), lm_list("y ~ x | g", frame, pool=False)
    assert pooled.df_resid == 1 and pooled.se.notna().all(axis=None)
    assert single.se.loc["a"].isna().all() and single.se.loc["b"].notna().all()
    exact = lm_list("y ~ x | g", frame.iloc[:4])
    assert np.isnan(exact.sigma) and exact.confint().isna().all(axis=None)


@pytest.mark.parametrize(
    "formula", ["y ~ x", "y ~ x + (1 | g)", "~ x | g", "y ~ x | g/h", "y ~ x | g | h", "y ~ x + (1 | h) | g"]
)
def test_other_formulas(formula):
    with pytest.raises(lmm.FormulaError, match=r"lm_list|bar|parentheses"):
        lm_list(formula, data())


def test_other_arguments(sleep):
    with pytest.raises(lmm.FormulaError, match="must be a text"):
        lm_list(3, data())
    with pytest.raises(lmm.ModelError, match="pool"):
        lm_list("y ~ x | g", data(), pool="yes")
    with pytest.raises(lmm.DataError, match="na_action"):
        lm_list("y ~ x | g", data(), na_action="exclude")
    with pytest.raises(lmm.ModelError, match="level"):
        sleep.confint(95)
    with pytest.warns(lmm.RankDeficiencyWarning, match="x2"):
        assert list(lm_list("y ~ x + x2 | h", data().assign(x2=2 * data()["x"])).coef) == ["(Intercept)", "x"]


def test_it_prints_itself(sleep):
    assert "Regressions by Subject: Reaction ~ Days | Subject" in repr(sleep)
    assert "Residual standard error: 25.592 on 144 degrees of freedom" in repr(sleep)
