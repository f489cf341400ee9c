"""The benchmarks of inference, with made-up answers: nothing is timed."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from benchmarks import inference, simulate, worker
from benchmarks.bench_inference import CALLS, READINGS, Asked
from benchmarks.client import Reply
from benchmarks.job import Job
from benchmarks.report import Report, asked_anew, markdown
from benchmarks.runner import PeerResult, ProblemResult, Status


def _peer(name: str, seconds: float, numbers: dict[str, Any] | None) -> PeerResult:
    reply = Reply(seconds, 7.0, [], None, numbers, 1024.0, [])
    return PeerResult(name, Status.OK, "", (seconds,), seconds, reply, 100.0, 1024.0)


def _result(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> ProblemResult:
    peers = (_peer("lmmpy", 1.0, ours), _peer("pbkrtest", 20.0, theirs))
    return ProblemResult(inference.MODELS["kr-crossed"], 2000, {"a": 100, "b": 80}, 1, peers)


def test_the_ratio_is_to_the_package_that_does_the_same():
    page = markdown(Report({}, (), inference=(_result({"df": [10.0, 20.02]}, {"df": [10.0, 20.0]}),)))
    assert "| kr-crossed | lmmpy | 1 s | 0.05 | 0.1 | must | 1.0e-03 | 1,024 |  |" in page
    assert "| kr-crossed | pbkrtest | 20 s | 1 | – | – | – | 1,024 |  |" in page


def test_numbers_that_do_not_match_one_by_one_are_refused():
    result = _result({"df": [10.0]}, {"df": [10.0, 20.0]})
    with pytest.raises(ValueError, match="kr-crossed: 1 numbers of lmmpy beside 2"):
        inference.disagreement(result, result.peers[0])
    random = _result(None, None)
    assert inference.disagreement(random, random.peers[0]) is None


def test_a_task_is_measured_anew_without_losing_the_others():
    first, second = _result(None, None), replace(_result(None, None), problem=inference.MODELS["profile"])
    kept = Report({}, (), inference=(first, second))
    assert asked_anew(kept, replace(first, rounds=9))[0].rounds == 9
    assert asked_anew(replace(kept, inference=(second,)), first) == (first, second)


def test_what_the_tasks_are_to_reach():
    must = {name: task.problem.target.must for name, task in inference.TASKS.items() if task.problem.target}
    assert must["kr-crossed"] == 0.1 and must["profile"] == 0.2 and must["boot-penicillin"] == 0.1
    assert set(must) == set(inference.TASKS)
    assert {task.what for task in inference.TASKS.values()} == set(CALLS) == set(READINGS)
    for task in inference.TASKS.values():
        assert [peer.name for peer in task.peers()] == ["lmmpy", task.problem.baseline][: 1 if task.alone else 2]


def test_the_model_is_fitted_before_each_call():
    frame = simulate.random_slopes(60, 12, seed=1)
    asked = Asked("kenward-roger")
    adapter = worker.Adapter("lmmpy", asked.fit, asked.read, asked.prepare)
    job = Job("y ~ x + (1 | g)", True, (), None)
    answer = worker._answer(adapter, job, frame)
    first = asked.model
    worker._answer(adapter, job, frame)
    assert asked.model is not first
    assert answer["varcomp"].keys() == {"se", "df", "p"} and len(answer["varcomp"]["df"]) == 2


def test_the_profile_is_read_off_in_the_order_of_r():
    class Fit:
        fixef = pd.Series([1.0], ["x"])

    limits = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["x", "sigma"])
    assert READINGS["profile"](Fit(), limits) == {"limits": [[3.0, 4.0], [1.0, 2.0]]}


@pytest.mark.parametrize(
    ("frame", "levels"),
    [
        (simulate.crossed_slopes(300, 20, 15, seed=2), {"a": 20, "b": 15}),
        (simulate.nested_slopes(300, 10, 50, seed=2), {"a": 10, "b": 5}),
    ],
)
def test_simulated_designs(frame, levels):
    assert frame[["a", "b"]].nunique().to_dict() == levels
    assert len(frame) == 300
    if levels["b"] == 5:
        assert frame.groupby(["a", "b"], observed=True).ngroups == 50
