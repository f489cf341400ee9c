"""`contest`, `anova` of one fit, and `summary(ddf=...)`: what a user types and reads."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm


@cache
def sleepstudy() -> lmm.LmmFit:
    return lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))


@cache
def machines() -> lmm.LmmFit:
    return lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))


def test_single_contrasts_are_estimates_with_limits() -> None:
    found = lmm.contest(machines(), {"MachineC": 1.0, "MachineB": -1.0}, joint=False)
    beta, vcov = machines().fixef, machines().vcov()
    contrast = np.array([0.0, -1.0, 1.0])
    se = np.sqrt(contrast @ vcov.to_numpy() @ contrast)
    row = found.iloc[0]
    assert row["Estimate"] == pytest.approx(beta["MachineC"] - beta["MachineB"])
    assert row["Std. Error"] == pytest.approx(se)
    assert row["df"] == pytest.approx(46.0, rel=1e-6)  # balanced: rows less workers and machines
    assert row["lower"] == pytest.approx(row["Estimate"] - stats.t.ppf(0.975, row["df"]) * se)
    assert row["Pr(>|t|)"] == pytest.approx(2 * stats.t.sf(row["t value"], row["df"]))


def test_a_hypothesis_other_than_zero_moves_the_test_and_not_the_estimate() -> None:
    plain = lmm.contest(sleepstudy(), {"Days": 1.0}, joint=False).iloc[0]
    moved = lmm.contest(sleepstudy(), {"Days": 1.0}, joint=False, rhs=10.0).iloc[0]
    assert moved["Estimate"] == plain["Estimate"]
    assert moved["lower"] == pytest.approx(plain["lower"])
    assert moved["t value"] == pytest.approx((plain["Estimate"] - 10.0) / plain["Std. Error"])


def test_a_joint_test_of_one_contrast_is_the_square_of_its_t() -> None:
    for ddf in ("satterthwaite", "kenward-roger"):
        single = lmm.contest(sleepstudy(), {"Days": 1.0}, joint=False, ddf=ddf).iloc[0]
        joint = lmm.contest(sleepstudy(), {"Days": 1.0}, ddf=ddf).iloc[0]
        assert joint["F value"] == pytest.approx(single["t value"] ** 2)
        assert joint["Pr(>F)"] == pytest.approx(single["Pr(>|t|)"])


def test_dependent_rows_count_once() -> None:
    two = [[0, 1, 0], [0, 0, 1]]
    three = [*two, [0, 1, -1]]
    for ddf in ("satterthwaite", "kenward-roger", "asymptotic"):
        a, b = (lmm.contest(machines(), L, ddf=ddf).iloc[0] for L in (two, three))
        assert a["NumDF"] == b["NumDF"] == 2
        np.testing.assert_allclose(a[["F value", "Pr(>F)"]], b[["F value", "Pr(>F)"]])


def test_asymptotic_tests_are_normal_and_chi_squared() -> None:
    joint = lmm.contest(machines(), [[0, 1, 0], [0, 0, 1]], ddf="asymptotic").iloc[0]
    assert np.isinf(joint["DenDF"])
    assert joint["Pr(>F)"] == pytest.approx(stats.chi2.sf(2 * joint["F value"], 2))


@pytest.mark.parametrize(
    ("L", "words"),
    [
        ({"Dayz": 1.0}, ["Dayz", "no fixed effect", "Days"]),
        ([1.0, 2.0, 3.0], ["shape", "2", "Days"]),
        ("Days", ["numbers", "{'Days': 1}"]),
        ([[0.0, np.nan]], ["missing"]),
        ([], ["shape"]),
    ],
)
def test_wrong_contrasts_are_refused(L: Any, words: list[str]) -> None:
    with pytest.raises(lmm.ModelError) as caught:
        lmm.contest(sleepstudy(), L)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lmm.contest(sleepstudy(), {"Days": 1}, ddf="kr"), ["kr", "kenward-roger"]),
        (lambda: lmm.contest(sleepstudy(), {"Days": 1}, rhs=[1, 2]), ["rhs", "1 contrasts"]),
        (lambda: lmm.contest(sleepstudy(), {"Days": 1}, level=95), ["level", "95"]),
        (lambda: lmm.contest("fit", {"Days": 1}), ["fit", "str"]),
        (lambda: lmm.anova(sleepstudy(), type=4), ["type", "4"]),
        (lambda: lmm.anova(sleepstudy(), machines(), type=3), ["type and ddf"]),
        (lmm.anova, ["one fit"]),
        (lambda: lmm.anova(sleepstudy().refit_ml(), ddf="kenward-roger"), ["REML", "reml=True"]),
        (lambda: sleepstudy().summary(ddf="exact"), ["exact", "satterthwaite"]),
    ],
)
def test_wrong_arguments_are_refused(call: Any, words: list[str]) -> None:
    with pytest.raises(lmm.ModelError) as caught:
        call()
    assert all(word in str(caught.value) for word in words)


def test_rows_of_a_frame_name_the_contrasts() -> None:
    L = pd.DataFrame({"MachineB": [1, 0], "MachineC": [0, 1]}, index=["B - A", "C - A"])
    assert list(lmm.contest(machines(), L, joint=False).index) == ["B - A", "C - A"]


def test_a_mapping_of_mappings_names_the_contrasts() -> None:
    named = {"C - B": {"MachineC": 1, "MachineB": -1}, "B - A": {"MachineB": 1}}
    found = lmm.contest(machines(), named, joint=False)
    assert list(found.index) == ["C - B", "B - A"]
    assert found.loc["B - A", "Estimate"] == machines().fixef["MachineB"]


def test_types_agree_where_they_must() -> None:
    """Balanced data without interaction: all types are one."""
    tables = [lmm.anova(machines(), type=type) for type in (1, 2, 3)]
    for other in tables[1:]:
        pd.testing.assert_frame_equal(pd.DataFrame(tables[0]), pd.DataFrame(other), rtol=1e-9)


def test_type_three_does_not_depend_on_the_coding() -> None:
    cake = lmm.datasets.load("cake")
    by_treatment = lmm.lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    by_sums = lmm.lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", cake, contrasts="sum")
    one, other = (pd.DataFrame(lmm.anova(fit, type=3)) for fit in (by_treatment, by_sums))
    pd.testing.assert_frame_equal(one, other, rtol=1e-6)


def test_type_three_refuses_data_that_have_changed() -> None:
    data = lmm.datasets.load("cake").copy()
    fit = lmm.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", data)
    data["recipe"] = pd.Categorical(np.tile(["A", "B", "C"], len(data) // 3))
    with pytest.raises(lmm.ModelError, match="have changed"):
        lmm.anova(fit)


def test_summary_shows_degrees_of_freedom_and_method() -> None:
    text = str(sleepstudy().summary(ddf="satterthwaite"))
    assert "t tests use Satterthwaite's method" in text
    assert "Pr(>|t|)" in text
    assert "17.00" in text
    frame = sleepstudy().summary(ddf="kenward-roger").to_frame()
    assert {"df", "p_value"} <= set(frame.columns)
    assert "Pr(>|z|)" in str(sleepstudy().summary(ddf="asymptotic"))
    assert "Pr(" not in str(sleepstudy().summary())


def test_anova_of_one_fit_prints_its_type_and_method() -> None:
    text = str(lmm.anova(machines(), ddf="kenward-roger", type=2))
    assert text.splitlines()[0] == "Type II Analysis of Variance Table with Kenward-Roger's method"
    assert text.splitlines()[1].split() == ["Sum", "Sq", "Mean", "Sq", "NumDF", "DenDF", "F", "value", "Pr(>F)"]


def test_a_model_without_fixed_effects_has_an_empty_table() -> None:
    nothing = lmm.lmer("y ~ 0 + (1 | g)", {"y": [1.0, 2.0, 4.0, 5.5, 0.2, 1.4], "g": list("aabbcc")})
    assert lmm.anova(nothing).empty


def test_a_term_alone_has_one_test_whatever_its_type() -> None:
    """Its contrasts, and with them Satterthwaite's df, are those of type I, as in lmerTest: 59.34 (R 4.2.2, 3.1-3)."""
    fit = lmm.lmer("Reaction ~ ns(Days, 3) + (Days || Subject)", lmm.datasets.load("sleepstudy"))
    tables = [pd.DataFrame(lmm.anova(fit, type=type)) for type in (1, 2, 3)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])
    assert tables[0]["DenDF"].iloc[0] == pytest.approx(59.34, abs=0.005)
