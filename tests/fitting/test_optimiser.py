"""The optimiser: how fast, from where, through which saddles, and what is reported."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy import ConvergenceWarning, ModelError

SLEEP = "Reaction ~ Days + (Days | Subject)"
PENICILLIN = "diameter ~ 1 + (1 | plate) + (1 | sample)"


def quiet(formula: str, data: Any, **arguments: Any) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmm.lmer(formula, data, **arguments)


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return lmm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def penicillin() -> pd.DataFrame:
    return lmm.datasets.load("Penicillin")


def scaled_gradient(fit: lmm.LmmFit) -> float:
    """√(gᵀH⁻¹g): the length of the gradient in the metric of the observed Hessian."""
    hessian = fit.convergence.hessian
    g = fit.convergence.gradient[list(hessian.index)].to_numpy()
    return float(np.sqrt(abs(g @ np.linalg.solve(hessian.to_numpy(), g))))


# ---- speed. Criteria by lme4 1.1-31 (R 4.2.2), which stops within 1e-6 of the optimum.

KNOWN = [
    ("sleep", True, 1743.62827195995),
    ("sleep", False, 1751.93934448899),
    ("penicillin", True, 330.860588999606),
    ("penicillin", False, 332.188348668514),
]


@pytest.mark.parametrize(("name", "reml", "criterion"), KNOWN)
def test_few_evaluations_and_a_tiny_gradient(
    name: str, reml: bool, criterion: float, request: pytest.FixtureRequest
) -> None:
    formula = SLEEP if name == "sleep" else PENICILLIN
    fit = lmm.lmer(formula, request.getfixturevalue(name), reml=reml)
    assert -2.0 * fit.loglik == pytest.approx(criterion, abs=1e-6)
    assert len(fit.optimization) <= 12
    assert scaled_gradient(fit) < 1e-5
    assert fit.convergence.ok and fit.convergence.advice == ()


# ---- starts


def starts(size: int) -> list[np.ndarray]:
    """Random starts: plain, with exact zeros, huge, tiny, and mixtures; signs as they fall."""
    rng = np.random.default_rng(7)
    found = [rng.normal(size=size) * factor for factor in (1.0, 1e3, 1e-6) for _ in range(5)]
    for _ in range(4):
        found.append(rng.normal(size=size) * (rng.random(size) < 0.5))
    found.append(rng.normal(size=size) * 10.0 ** rng.integers(-6, 4, size=size))
    return found


@pytest.mark.parametrize("place", range(20))
@pytest.mark.parametrize(("name", "reml", "criterion"), KNOWN[::2])
def test_every_start_leads_to_the_same_optimum(
    name: str, reml: bool, criterion: float, place: int, request: pytest.FixtureRequest
) -> None:
    formula, size = (SLEEP, 3) if name == "sleep" else (PENICILLIN, 2)
    data = request.getfixturevalue(name)
    start = starts(size)[place]
    fit = lmm.lmer(formula, data, reml=reml, start=start)
    assert -2.0 * fit.loglik == pytest.approx(criterion, abs=1e-6)
    np.testing.assert_allclose(fit.theta, lmm.lmer(formula, data, reml=reml).theta, rtol=1e-5, atol=1e-7)
    assert fit.convergence.ok


# ---- the saddle at zero: a method that stays where θ touches zero reports 1753.2957 here.


@pytest.mark.parametrize("start", [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0.9, 0.02, 0], [-0.0, 0, 0]])
def test_the_zero_saddle_is_left(sleep: pd.DataFrame, start: list[float]) -> None:
    fit = lmm.lmer(SLEEP, sleep, start=start)
    assert fit.reml_criterion == pytest.approx(1743.62827195995, abs=1e-6)


def test_zero_is_a_saddle_and_leaving_it_is_on_record(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer(SLEEP, sleep, start=[0, 0, 0])
    at_zero = fit.criterion.evaluate(np.zeros(3), 1)
    assert at_zero.gradient is not None and np.all(np.abs(at_zero.gradient) < 1e-8)
    assert at_zero.value > fit.reml_criterion + 9.0
    assert list(fit.optimization.loc[0, fit.theta.index]) == [0.0, 0.0, 0.0]
    assert np.all(np.diff(fit.optimization["criterion"][fit.optimization["accepted"]]) <= 1e-9)


@pytest.mark.parametrize("start", [None, [0, 0, 0], [1, 0, 1]])
def test_the_zero_saddle_is_left_under_weights(sleep: pd.DataFrame, start: list[float] | None) -> None:
    plain = lmm.lmer(SLEEP, sleep)
    fit = lmm.lmer(SLEEP, sleep, weights=np.full(len(sleep), 5.0), start=start)
    # θ is relative to σ, and weights ≡ 5 multiply σ² by 5, which leaves the likelihood as it was.
    np.testing.assert_allclose(fit.theta, plain.theta / np.sqrt(5.0), rtol=1e-6)
    assert fit.reml_criterion == pytest.approx(plain.reml_criterion, abs=1e-7)


@pytest.mark.parametrize("optimizer", ["newton", "cobyqa"])
@pytest.mark.parametrize("start", [[0.3, 0.03, 0.157], [0.3, 0.0, 0.157], [0.3, 0.0, 1.5], [0.0, 0.0, 0.0]])
def test_a_zero_whose_correlation_means_nothing_is_left(
    sleep: pd.DataFrame, start: list[float], optimizer: str
) -> None:
    """With one sd of two at zero the criterion falls in the direction of some angles only."""
    control = lmm.Control(optimizer=optimizer)
    fit = lmm.lmer("Reaction ~ Days + cs(Days | Subject)", sleep, start=start, control=control)
    assert fit.reml_criterion == pytest.approx(1743.62827195995, abs=1e-6)  # that of (Days | Subject), by lme4 1.1-31
    assert fit.convergence.ok and not fit.is_singular()


# ---- exact boundaries


def test_a_vanishing_variance_is_exactly_zero() -> None:
    fit = quiet("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"))
    assert fit.theta.tolist() == [0.0]
    assert fit.is_singular() and fit.convergence.ok
    assert fit.convergence.boundary == ("Batch.(Intercept)",)
    assert any("Batch.(Intercept)" in text for text in fit.convergence.advice)
    assert fit.ranef()["Batch"].to_numpy().tolist() == [[0.0]] * 6


def rank_one(k: int, seed: int = 3) -> tuple[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(8), 10)
    xs = {f"x{i}": rng.normal(size=len(g)) for i in range(1, k)}
    Z = np.column_stack([np.ones(len(g)), *xs.values()])
    # The noise has no part in the span of the groups' own regressions, so that only one direction varies.
    e = rng.normal(size=len(g))
    for level in range(8):
        mine = g == level
        e[mine] -= Z[mine] @ np.linalg.lstsq(Z[mine], e[mine], rcond=None)[0]
    y = np.outer(rng.normal(size=8), np.arange(1.0, k + 1.0))[g]
    data = {"y": (Z * y).sum(axis=1) + e, "g": g, **xs}
    inner = " + ".join(xs)
    return f"y ~ {inner} + ({inner} | g)", data


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("reml", [True, False])
def test_an_unstructured_term_of_rank_one_is_reached_exactly(k: int, reml: bool) -> None:
    formula, data = rank_one(k)
    fit = quiet(formula, data, reml=reml)
    T = fit.design.random[0].structure.factor(fit.optimum.theta).T
    assert np.all(T[:, 1:] == 0.0) and T[0, 0] > 0.0
    correlation = fit.varcorr.to_frame().query("var2.notna() and grp == 'g'")["sdcor"]
    np.testing.assert_allclose(np.abs(correlation), 1.0, rtol=1e-12)
    assert fit.is_singular() and fit.convergence.ok and fit.convergence.boundary


def repeated(R: np.ndarray, seed: int) -> dict[str, Any]:
    """Three balanced effects of 30 groups whose empirical covariance over groups is R, plus noise "
    "without group means."""
    rng = np.random.default_rng(seed)
    k, levels, times = len(R), 30, 3
    b = rng.normal(size=(levels, k))
    b -= b.mean(axis=0)
    b = np.linalg.qr(b)[0] * np.sqrt(levels)
    values, vectors = np.linalg.eigh(R)
    b = b @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    g, f = np.repeat(np.arange(levels), k * times), np.tile(np.repeat(np.arange(k), times), levels)
    e = 0.5 * rng.normal(size=(levels, k, times))
    e -= e.mean(axis=2, keepdims=True)
    return {"y": b[g, f] + e.reshape(-1), "g": g, "f": f.astype(str)}


@pytest.mark.parametrize(
    ("structure", "R", "rho"),
    [
        ("cs", np.ones((3, 3)), 1.0),
        ("cs", 1.5 * np.eye(3) - 0.5, -0.5),
        ("ar1", np.ones((3, 3)), 1.0),
        ("ar1", np.outer([1, -1, 1], [1, -1, 1]).astype(float), -1.0),
    ],
)
@pytest.mark.parametrize("hom", [True, False])
def test_the_ends_of_a_correlation_are_reached_exactly(structure: str, R: np.ndarray, rho: float, hom: bool) -> None:
    formula = f"y ~ 0 + f + {structure}(0 + f | g, hom = {str(hom).upper()})"
    fit = quiet(formula, repeated(R, 5))
    G = fit.varcorr["g"].to_numpy()
    assert G[0, 1] / np.sqrt(G[0, 0] * G[1, 1]) == pytest.approx(rho, abs=1e-12)
    assert fit.is_singular() and fit.convergence.ok
    assert fit.convergence.boundary == ("g.angle",)


def test_all_standard_deviations_zero_leave_no_false_alarm_about_the_angle() -> None:
    data = repeated(np.eye(3), 1)
    data["y"] = data["y"] - pd.Series(data["y"]).groupby([data["g"], data["f"]]).transform("mean").to_numpy()
    for structure in ("cs", "ar1"):
        fit = quiet(f"y ~ 1 + {structure}(0 + f | g, hom = FALSE)", data)
        assert np.all(fit.varcorr["g"].to_numpy() == 0.0), structure
        assert fit.convergence.ok, f"{structure}: {fit.convergence}"


# ---- the report


def test_a_good_fit_of_every_structure_is_confirmed() -> None:
    machines = lmm.datasets.load("Machines")
    for bar in ("(1 | Worker)", "(Machine | Worker)", "diag(Machine | Worker)", "cs(0 + Machine | Worker)"):
        fit = quiet(f"score ~ Machine + {bar}", machines)
        assert fit.optimum.converged and fit.convergence.ok, f"{bar}: {fit.convergence}"
        assert "confirmed" in str(fit.convergence) and "NOT" not in str(fit.convergence)


def test_too_few_evaluations_are_not_ok(sleep: pd.DataFrame) -> None:
    with pytest.warns(ConvergenceWarning, match="2 evaluations"):
        fit = lmm.lmer(SLEEP, sleep, control=lmm.Control(max_evaluations=2))
    report = fit.convergence
    assert not report.ok and "NOT confirmed" in str(report)
    assert report.promised_decrease > 1e-6
    assert any("max_evaluations" in text for text in report.advice)
    again = lmm.lmer(SLEEP, sleep, start=fit.theta)
    assert again.convergence.ok


def test_max_evaluations_is_a_limit(sleep: pd.DataFrame) -> None:
    for limit in (1, 2, 3, 5):
        assert len(quiet(SLEEP, sleep, control=lmm.Control(max_evaluations=limit)).optimization) <= limit


@pytest.fixture(scope="module")
def twins(sleep: pd.DataFrame) -> pd.DataFrame:
    return sleep.assign(Copy=[f"s{s}" for s in sleep["Subject"]])


def test_a_relabelled_copy_of_a_group_is_a_flat_direction(twins: pd.DataFrame) -> None:
    with pytest.warns(ConvergenceWarning, match=r"(?s)do not determine.*Subject.*Copy|do not determine.*Copy.*Subject"):
        fit = lmm.lmer("Reaction ~ Days + (1 | Subject) + (1 | Copy)", twins)
    report = fit.convergence
    assert not report.ok and len(report.flat) == 1
    assert "Subject.(Intercept)" in report.flat[0] and "Copy.(Intercept)" in report.flat[0]
    assert report.flat[0].startswith("+")  # of an eigenvector and its negative always the same
    assert any("do not determine" in text for text in report.advice)
    # The sum is determined, and is that of one term.
    single = lmm.lmer("Reaction ~ Days + (1 | Subject)", twins)
    assert fit.reml_criterion == pytest.approx(single.reml_criterion, abs=1e-7)
    assert (fit.theta**2).sum() == pytest.approx(float(single.theta.iloc[0] ** 2), rel=1e-6)


def test_one_record_an_effect_is_a_flat_direction(sleep: pd.DataFrame) -> None:
    data = sleep.assign(row=np.arange(len(sleep)))
    with pytest.raises(ModelError, match="as many levels"):
        lmm.lmer("Reaction ~ Days + (1 | row)", data)
    with pytest.warns(ConvergenceWarning, match="row"):
        fit = lmm.lmer("Reaction ~ Days + (1 | row)", data, control=lmm.Control(check_sizes="ignore"))
    assert not fit.convergence.ok and any("row" in text for text in fit.convergence.flat)


@pytest.mark.parametrize("formula", [SLEEP, "Reaction ~ Days + (Days || Subject)"])
def test_the_report_does_not_depend_on_units(sleep: pd.DataFrame, formula: str) -> None:
    reports = []
    for unit in (1e-6, 1.0, 1e6):
        fit = lmm.lmer(formula, sleep.assign(Days=sleep["Days"] * unit))
        reports.append((fit, fit.convergence))
    reference, base = reports[1]
    for fit, report in reports:
        assert report.ok and not fit.is_singular()
        assert fit.theta.iloc[0] == pytest.approx(reference.theta.iloc[0], rel=1e-6)
        np.testing.assert_allclose(report.eigenvalues, base.eigenvalues, rtol=1e-4)
        assert len(fit.optimization) == len(reference.optimization)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_singularity_does_not_depend_on_units(unit: float) -> None:
    formula, data = rank_one(2)
    fit = quiet(formula, {**data, "x1": data["x1"] * unit})
    assert fit.is_singular() and fit.convergence.ok
    assert fit.convergence.boundary == ("g.x1",)
    assert fit.theta["g.x1"] == 0.0


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_report_does_not_depend_on_the_units_of_the_response(sleep: pd.DataFrame, unit: float) -> None:
    report = lmm.lmer(SLEEP, sleep.assign(Reaction=sleep["Reaction"] * unit)).convergence
    base = lmm.lmer(SLEEP, sleep).convergence
    assert report.ok
    np.testing.assert_allclose(report.eigenvalues, base.eigenvalues, rtol=1e-5)


def test_the_same_call_gives_the_same_bits(sleep: pd.DataFrame, penicillin: pd.DataFrame) -> None:
    for formula, data in ((SLEEP, sleep), (PENICILLIN, penicillin)):
        a, b = lmm.lmer(formula, data), lmm.lmer(formula, data)
        assert a.theta.to_numpy().tobytes() == b.theta.to_numpy().tobytes()
        assert a.fixef.to_numpy().tobytes() == b.fixef.to_numpy().tobytes()
        assert a.loglik == b.loglik and a.optimization.equals(b.optimization)


def test_the_log_descends_over_accepted_steps(sleep: pd.DataFrame) -> None:
    log = lmm.lmer(SLEEP, sleep).optimization
    values = log.loc[log["accepted"], "criterion"].to_numpy()
    assert np.all(np.diff(values) <= 1e-9)
    assert values[-1] == pytest.approx(1743.62827195995, abs=1e-6)
