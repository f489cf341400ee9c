"""`check`: silent about healthy data, and each violation trips the check that is made for it, and no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.assumptions import (
    between_groups,
    influential,
    normality,
    smoothed_spread,
    spread_on_fitted,
    variance_inflation,
)
from lmmpy.inference.deletion import Deletion
from lmmpy.model.check import FitCheck
from tests.model.made import data, quiet

N_GROUPS, ROWS = 60, 12
G = np.repeat(np.arange(N_GROUPS), ROWS)
FORMULA = "y ~ x + z + (1 | g)"


def healthy(seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"g": G, "x": rng.normal(size=len(G)), "z": rng.normal(size=N_GROUPS)[G]})
    frame["b"], frame["e"] = rng.normal(size=N_GROUPS)[G], rng.normal(size=len(G))
    frame["y"] = 10.0 + frame["x"] + frame["z"] + frame["b"] + frame["e"]
    return frame


def with_errors(change: Callable[[pd.DataFrame, np.random.Generator], np.ndarray]) -> pd.DataFrame:
    frame = healthy()
    e = change(frame, np.random.default_rng(6))
    return frame.assign(y=frame["y"] - frame["e"] + e)


def skewed_errors() -> pd.DataFrame:
    return with_errors(lambda frame, rng: rng.exponential(size=len(frame)) - 1.0)


def outliers() -> pd.DataFrame:
    return with_errors(lambda frame, rng: frame["e"] + 12.0 * (np.arange(len(frame)) % 100 == 50))


def spreading() -> pd.DataFrame:
    frame = healthy()
    mean = frame["y"] - frame["e"] + 4.0 * frame["x"]
    return frame.assign(y=mean + frame["e"] * np.exp(0.07 * (mean - 10.0)))


def unequal_groups() -> pd.DataFrame:
    return with_errors(lambda frame, rng: frame["e"] * np.exp(0.6 * rng.normal(size=N_GROUPS))[G])


def skewed_levels() -> pd.DataFrame:
    frame, rng = healthy(), np.random.default_rng(7)
    return frame.assign(y=frame["y"] - frame["b"] + 2.0 * rng.exponential(size=N_GROUPS)[G])


def influential_level() -> pd.DataFrame:
    frame = healthy()
    far = frame["g"] == 17
    z = np.where(far, 12.0, frame["z"])
    return frame.assign(z=z, y=frame["y"] - frame["z"] + np.where(far, 6.0, z))


def collinear() -> pd.DataFrame:
    frame, rng = healthy(), np.random.default_rng(8)
    return frame.assign(z=frame["x"] + 0.05 * rng.normal(size=len(frame)))


VIOLATIONS = {
    "skewed errors": (skewed_errors, "normality of residuals"),
    "outliers": (outliers, "normality of residuals"),
    "spreading": (spreading, "constant variance over the fitted values"),
    "unequal groups": (unequal_groups, "equal variance between levels of g"),
    "skewed levels": (skewed_levels, "normality of (Intercept) | g"),
    "influential level": (influential_level, "influential levels of g"),
    "collinear": (collinear, "collinearity"),
}


def not_ok(found: FitCheck) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in found if finding.verdict != "ok"}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_violation_trips_its_check(name):
    make, check = VIOLATIONS[name]
    found = quiet(FORMULA, make()).check()
    assert not_ok(found) == {check: "concern"}, str(found)
    assert found.verdict == "concern" and [finding.check for finding in found.concerns] == [check]
    finding = found.concerns[0]
    assert finding.meaning and finding.advice and finding.found in finding.found
    text = " ".join(str(found).split())
    assert f"CONCERN {check}: {finding.found}. {finding.meaning} {finding.advice}" in text
    assert "1 of 8 checks of concern, 0 worth a look." in text


def test_nothing_is_said_of_healthy_data():
    found = quiet(FORMULA, healthy()).check()
    assert not_ok(found) == {} and found.verdict == "ok" and found.concerns == ()
    assert str(found).endswith("None of 8 checks of concern, 0 worth a look.")
    assert [finding.check for finding in found] == [
        "convergence",
        "singularity",
        "collinearity",
        "constant variance over the fitted values",
        "equal variance between levels of g",
        "normality of residuals",
        "normality of (Intercept) | g",
        "influential levels of g",
    ]


def test_healthy_data_of_few_groups_are_seldom_of_concern():
    """Of 200 such data sets none was, when this was made; of 20 none may be."""
    rng = np.random.default_rng(20)
    for _ in range(20):
        g, x = np.repeat(np.arange(8), 5), rng.normal(size=40)
        frame = pd.DataFrame({"g": g, "x": x, "y": rng.normal(size=8)[g] + x + rng.normal(size=40)})
        found = quiet("y ~ x + (1 | g)", frame).check()
        assert found.verdict != "concern", str(found)


def test_named_levels_are_those_that_stand_out():
    finding = quiet(FORMULA, influential_level()).check().concerns[0]
    assert "(17)" in finding.found and "stand out: 17" in finding.found and finding.figure > 1.0


def test_a_singular_fit_is_worth_a_look():
    found = quiet("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2")).check()
    assert not_ok(found) == {"singularity": "look"}
    assert "on the boundary: Batch.(Intercept)" in str(found)


def test_a_nearly_singular_fit_is_worth_a_look():
    frame = healthy()
    slope = 0.6 * frame["b"] + 0.05 * np.random.default_rng(3).normal(size=N_GROUPS)[G]
    model = quiet("y ~ x + (x | g)", frame.assign(y=frame["b"] + slope * frame["x"] + 0.05 * frame["e"]))
    assert not model.is_singular()
    finding = next(finding for finding in model.check() if finding.check == "singularity")
    assert finding.verdict == "look" and finding.figure < 0.02 and "(x | g)" in finding.found


def test_a_fit_that_did_not_converge_is_of_concern():
    with pytest.warns(lmm.ConvergenceWarning):
        control = lmm.Control(max_evaluations=2)
        model = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"), control=control)
    finding = next(iter(model.check()))
    assert (finding.check, finding.verdict) == ("convergence", "concern") and "Raise max_evaluations" in finding.advice


def test_known_components_and_no_fixed_effects():
    held = lmm.lmer("y ~ x + (1 | g)", data(), varcomp={"g": 2.0, "Residual": 0.7}).check()
    assert "the variance components were given" in str(held)
    empty = quiet("y ~ 0 + (1 | g) + (1 | h)", data().assign(y=lambda d: d["y"] - d["y"].mean())).check()
    assert not any(finding.check.startswith("influential") for finding in empty)


def test_crossed_factors_are_checked_each():
    found = quiet("diameter ~ 1 + (1 | plate) + (1 | sample)", lmm.datasets.load("Penicillin")).check()
    checks = [finding.check for finding in found]
    for group in ("plate", "sample"):
        assert f"influential levels of {group}" in checks and f"normality of (Intercept) | {group}" in checks
    assert "\n-        normality of (Intercept) | sample: not judged, too few levels" in str(found)  # six samples
    assert str(found).endswith(", 1 not judged.")


def test_the_frame_and_the_html():
    found = quiet(FORMULA, skewed_errors()).check()
    frame = found.to_frame()
    assert list(frame.columns) == ["check", "verdict", "figure", "p_value", "found", "meaning", "advice"]
    assert len(frame) == len(found) == 8 and (frame["verdict"] == "concern").sum() == 1
    html = quiet(FORMULA, skewed_errors().rename(columns={"x": "x"})).check()._repr_html_()
    assert html.count("<tr>") == 9 and "CONCERN" in html and "y ~ x + z + (1 | g)" in html
    assert repr(found) == str(found)


# ---- the pieces


def test_chance_and_size_both_count():
    """A hundred thousand nearly normal values are significant and harmless; ten skewed ones are neither known."""
    rng = np.random.default_rng(1)
    many = rng.normal(size=100_000)
    many += 0.03 * many**2
    judged = normality(many)
    assert judged.p_value < 1e-10 and judged.verdict == "ok" and "D'Agostino–Pearson p < 1e-16" in judged.text
    assert normality(rng.exponential(size=10)).verdict != "concern"
    assert normality(rng.exponential(size=100)).verdict == "concern"
    assert normality(np.ones(20)) is None and normality(np.arange(7.0)) is None
    fitted = rng.normal(size=100_000)
    assert spread_on_fitted(rng.normal(size=100_000) * np.exp(0.03 * fitted), fitted).verdict == "ok"


def test_figures_of_a_sample():
    values = np.r_[np.zeros(50), np.ones(30), [5.0, 7.0]] + np.linspace(0, 0.5, 82)
    judged, z = normality(values), (values - values.mean()) / values.std()
    assert f"skewness {np.mean(z**3):.2f}, excess kurtosis {np.mean(z**4) - 3:.2f}" in judged.text


def test_spread_of_two_halves():
    fitted = np.repeat([0.0, 1.0, 2.0], 20)
    residual = np.tile([1.0, -1.0], 30) * np.repeat([1.0, 2.0, 3.0], 20)
    assert spread_on_fitted(residual, fitted).figure == pytest.approx(3.0)
    assert spread_on_fitted(residual, np.zeros(60)) is None


def test_groups_with_few_rows_are_left_aside():
    rng = np.random.default_rng(2)
    assert between_groups(rng.normal(size=40), np.arange(40) // 4) is None
    mixed = np.r_[np.arange(40) // 4, np.repeat([10, 11], 30)]
    assert "SDs of 2 groups" in between_groups(rng.normal(size=100), mixed).text


def test_influence_that_the_design_explains_is_worth_a_look_only():
    """A distance above one of a group with all the leverage is what the model expects."""
    expected = np.array([[4.0, 16.0], [0.2, 0.04], [0.2, 0.04]])
    zeros = np.zeros((3, 1))
    moderate = Deletion(zeros, zeros, zeros[:, 0], np.array([3.0, 0.1, 0.1]), expected)
    assert influential(moderate, 1.0, 1, ["a", "b", "c"]).verdict == "look"
    unlikely = Deletion(zeros, zeros, zeros[:, 0], np.array([3.0, 0.1, 3.5]), expected)
    judged = influential(unlikely, 1.0, 1, ["a", "b", "c"])
    assert judged.verdict == "concern" and "stand out: c (3.50), a (3.00)" in judged.text
    dominant = Deletion(zeros, zeros, zeros[:, 0], np.array([21.0, 0.1, 0.1]), expected * [[5.0, 25.0], [1, 1], [1, 1]])
    assert influential(dominant, 1.0, 1, ["a", "b", "c"]).verdict == "concern"
    none = Deletion(zeros, zeros, zeros[:, 0], np.full(3, np.nan), np.full((3, 2), np.nan))
    assert influential(none, 1.0, 1, ["a", "b", "c"]) is None


def test_variance_inflation():
    """Of single columns 1/(1 − R²) by regression on the others; of a factor the ratio of determinants."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(200, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    design = np.column_stack([np.ones(200), X])
    found = variance_inflation(np.linalg.inv(design.T @ design), [0, 1, 2, 3])
    for j in range(3):
        others = np.delete(design, j + 1, axis=1)
        left = X[:, j] - others @ np.linalg.lstsq(others, X[:, j], rcond=None)[0]
        assert found[j + 1] == pytest.approx(((X[:, j] - X[:, j].mean()) ** 2).sum() / (left @ left), rel=1e-9)
    det = np.linalg.det
    R = np.corrcoef(X.T)
    joint = det(R[:2, :2]) * det(R[2:, 2:]) / det(R)
    by_term = variance_inflation(np.linalg.inv(design.T @ design), [0, 1, 1, 2])
    assert by_term[1] == pytest.approx(np.sqrt(joint), rel=1e-9) and by_term[2] == pytest.approx(joint, rel=1e-9)
    assert variance_inflation(np.eye(2), [0, 1]) == {}


def test_variance_inflation_is_that_of_car():
    """R: car 3.1's vif of the same fit."""
    found = quiet("Reaction ~ Days + I(Days^2) + (1 | Subject)", lmm.datasets.load("sleepstudy")).check()
    finding = next(finding for finding in found if finding.check == "collinearity")
    assert finding.figure == pytest.approx(13.65625, rel=1e-9) and finding.verdict == "look"


def test_spread_evened_out():
    rng = np.random.default_rng(9)
    fitted = rng.normal(50.0, 1.0, 20_000)
    spread = smoothed_spread(rng.normal(size=20_000) * np.exp(0.4 * fitted), fitted)
    np.testing.assert_allclose(np.polyfit(fitted, np.log(spread), 1)[0], 0.4, atol=0.02)
