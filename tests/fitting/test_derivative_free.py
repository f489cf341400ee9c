"""COBYQA as a check on Newton's method, and the log that both keep."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy import Control, ConvergenceWarning, ModelError
from lmmpy.engines import Criterion, Evaluation
from lmmpy.fitting import Optimum, fit_theta, refit_theta
from tests.fitting.problems import problem, uses_reml
from tests.reference.cases import data, fit_of, stored

COBYQA = Control(optimizer="cobyqa")
SLEEP = "Reaction ~ Days + (Days | Subject)"


def quiet(call: Callable[[], Any]) -> Any:
    """What a call gives, without lmmpy's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return call()


def sleep_fit(control: Control | None = None, formula: str = SLEEP, **options: Any) -> lmm.LmmFit:
    return lmm.lmer(formula, lmm.datasets.load("sleepstudy"), control=control, **options)


# ---- it finds what Newton's method finds

HANDFUL = [
    ("lme4", "sleepstudy_slope_REML"),
    ("lme4", "sleep_weights_ML"),
    ("lme4", "penicillin_ML"),
    ("lme4", "pastes_weights_REML"),
    ("lme4", "dyestuff2_REML"),
    ("lme4", "sleepstudy_noint_ML"),
    ("more", "orthodont_uncorrelated"),
    ("more", "machines_nested"),
    ("more", "sire"),
]


@pytest.mark.parametrize(("folder", "name"), HANDFUL)
def test_reference_models(folder: str, name: str) -> None:
    case = stored(folder, name)
    newton = quiet(lambda: fit_of(case))
    options = {key: case[key] for key in ("weights", "offset", "subset", "contrasts", "na_action") if case.get(key)}
    fit = quiet(lambda: lmm.lmer(case["formula"], data(case["data"]), reml=case["REML"], control=COBYQA, **options))
    assert -2.0 * fit.loglik == pytest.approx(-2.0 * newton.loglik, rel=0, abs=1e-6)
    assert -2.0 * fit.loglik == pytest.approx(case["criterion"], rel=0, abs=1e-6)
    np.testing.assert_allclose(fit.theta, newton.theta, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(fit.theta == 0.0, newton.theta == 0.0)
    assert fit.convergence.boundary == newton.convergence.boundary
    assert fit.optimum.converged and fit.convergence.ok, str(fit.convergence)


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_random_problems(seed: int) -> None:
    case = problem(seed)
    options = {"weights": case.weights, "reml": uses_reml(seed)}
    newton = quiet(lambda: lmm.lmer(case.formula, case.data, **options))
    fit = quiet(lambda: lmm.lmer(case.formula, case.data, control=COBYQA, **options))
    assert -2.0 * fit.loglik == pytest.approx(-2.0 * newton.loglik, rel=0, abs=1e-6), case.kind
    assert fit.convergence.boundary == newton.convergence.boundary, case.kind


@pytest.mark.parametrize("start", [[0.0], [1e-3], [50.0]])
def test_a_variance_of_zero_is_reached_exactly_from_anywhere(start: list[float]) -> None:
    dyestuff2 = lmm.datasets.load("Dyestuff2")
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff2, start=start, control=COBYQA)
    assert fit.theta.to_list() == [0.0]
    assert fit.convergence.boundary == ("Batch.(Intercept)",) and fit.optimum.converged


@pytest.mark.parametrize("start", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [30.0, 5.0, 30.0]])
def test_the_zero_saddle_is_left(start: list[float]) -> None:
    fit = sleep_fit(COBYQA, start=start)
    assert fit.reml_criterion == pytest.approx(1743.62827195995, abs=1e-6)  # lme4 1.1-31


def test_the_optimizer_is_one_of_two() -> None:
    for wrong in ("bobyqa", "COBYQA", None, ""):
        with pytest.raises(ModelError, match="optimizer is one of 'newton', 'cobyqa'"):
            Control(optimizer=wrong)  # type: ignore[arg-type]


# ---- how it searches


def test_derivatives_do_not_guide_the_search() -> None:
    """Only where a run ends, and at the boundary, is more than the value computed."""
    fit = sleep_fit()
    optimum, calls = counted(fit.criterion, lambda c: fit_theta(c, COBYQA))
    orders = [order for _, order, _ in calls]
    assert orders.count(0) > 0.8 * len(orders)
    assert optimum.evaluation.gradient is not None and optimum.evaluation.information is not None


def test_purposes() -> None:
    newton, fit = sleep_fit(), sleep_fit(COBYQA)
    assert set(newton.optimization["purpose"]) <= {"start", "scoring", "newton", "equivalent"}
    assert newton.optimization["purpose"].iloc[0] == "start"
    assert set(fit.optimization["purpose"]) <= {"cobyqa", "equivalent"}
    singular = quiet(lambda: lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"), control=COBYQA))
    log = singular.optimization
    assert {"cobyqa"} < set(log["purpose"]) <= {"cobyqa", "boundary", "leap", "equivalent"}
    at_zero = log[log["purpose"] == "boundary"]
    assert (at_zero["Batch.(Intercept)"] == 0.0).all() and at_zero["accepted"].any()
    assert log["gradient"].isna().all() and log["radius"].isna().all()


def test_accepted_evaluations_descend_within_a_run() -> None:
    log = sleep_fit(COBYQA).optimization
    accepted = log.loc[log["accepted"], "criterion"].to_numpy()
    assert np.all(np.diff(accepted) <= 1e-9) and accepted[-1] == log["criterion"].min()
    assert not log["accepted"].all()


@pytest.mark.parametrize("most", [3, 4, 10, 25])
def test_max_evaluations(most: int) -> None:
    with pytest.warns(ConvergenceWarning, match=rf"stopped after {most} evaluations") as caught:
        fit = sleep_fit(Control(optimizer="cobyqa", max_evaluations=most))
    assert [w.filename for w in caught] == [__file__]
    assert len(fit.optimization) == fit.convergence.evaluations == most
    assert not fit.optimum.converged
    assert fit.optimization["criterion"].min() == pytest.approx(fit.reml_criterion, abs=1e-9)


@pytest.mark.parametrize("most", [1, 2])
def test_very_few_evaluations(most: int) -> None:
    with pytest.warns(ConvergenceWarning):
        fit = sleep_fit(Control(optimizer="cobyqa", max_evaluations=most))
    assert 1 <= len(fit.optimization) <= most
    assert fit.optimization["purpose"].iloc[0] == "start" and not fit.optimum.converged


def test_by_default_it_may_take_long() -> None:
    assert Control().most_evaluations == 500 and COBYQA.most_evaluations == 20_000
    assert Control(optimizer="cobyqa", max_evaluations=7).most_evaluations == 7


# ---- the log: one row an evaluation

Call = tuple[bytes, int, Evaluation]


def counted(criterion: Criterion, search: Callable[[Criterion], Optimum]) -> tuple[Optimum, list[Call]]:
    """An optimum, and every question that was put to the criterion on the way."""
    calls: list[Call] = []
    evaluate = criterion.evaluate

    def counting(theta: np.ndarray, order: int = 0) -> Evaluation:
        found = evaluate(theta, order)
        calls.append((np.asarray(theta, dtype=float).tobytes(), order, found))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(criterion, "evaluate", counting)
        return search(criterion), calls


def check_log(optimum: Optimum, calls: list[Call]) -> None:
    """A row for each call, in order, but for those that complete what is logged: derivatives at a θ already asked."""
    rows = [(step.theta.tobytes(), step.purpose == "cobyqa", step.value) for step in optimum.log]
    asked: dict[bytes, float] = {}
    place = 0
    for theta, order, found in calls:
        if place < len(rows) and rows[place] == (theta, order == 0, found.value):
            place += 1
        else:
            assert order > 0 and asked.get(theta) == found.value
        asked[theta] = found.value
    assert place == len(rows) == optimum.evaluations
    assert len(asked) == len({theta for theta, _, _ in rows})


PROBLEMS = [0, 3, 5, 10, 16]


@pytest.mark.parametrize("seed", PROBLEMS)
def test_the_log_of_newton(seed: int) -> None:
    case = problem(seed)
    fit = quiet(lambda: lmm.lmer(case.formula, case.data, weights=case.weights))
    optimum, calls = counted(fit.criterion, lambda c: fit_theta(c, Control()))
    check_log(optimum, calls)
    assert optimum.evaluations == len(fit.optimization)


@pytest.mark.parametrize("start", [None, [0.0, 0.0, 0.0], [3.0, 0.0, 3.0]])
@pytest.mark.parametrize("control", [Control(), COBYQA], ids=["newton", "cobyqa"])
def test_the_log_from_several_starts(start: list[float] | None, control: Control) -> None:
    fit = sleep_fit()
    given = None if start is None else np.array(start)
    check_log(*counted(fit.criterion, lambda c: fit_theta(c, control, given)))


def test_the_log_on_the_boundary_without_derivatives() -> None:
    fit = quiet(lambda: lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2")))
    check_log(*counted(fit.criterion, lambda c: fit_theta(c, COBYQA)))


def test_where_cobyqa_ends_is_logged_once() -> None:
    fit = sleep_fit(COBYQA)
    thetas = [step.theta.tobytes() for step in fit.optimum.log]
    assert thetas.count(fit.optimum.theta.tobytes()) == 1
    assert fit.optimization["purpose"].eq("cobyqa").all()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_log_of_a_refit(seed: int) -> None:
    fit = sleep_fit()
    criterion = fit.criterion.with_response(fit.simulate(1, seed=seed)["sim_1"].to_numpy())
    optimum, calls = counted(criterion, lambda c: refit_theta(c, fit.optimum, Control()))
    check_log(optimum, calls)
    assert np.array_equal(optimum.log[0].theta, fit.optimum.theta)  # it begins where the other one ended
    assert optimum.evaluations <= 12


def test_the_frame_is_the_log() -> None:
    fit = sleep_fit()
    frame, log = fit.optimization, fit.optimum.log
    np.testing.assert_array_equal(frame[list(fit.theta.index)], [step.theta for step in log])
    np.testing.assert_array_equal(frame["criterion"], [step.value for step in log])
    assert frame["purpose"].to_list() == [step.purpose for step in log]
    for step in log:
        assert fit.criterion.evaluate(step.theta, 0).value == pytest.approx(step.value, abs=1e-9)
