"""The benchmark runner, with fake peers: nothing real is timed."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import simulate
from benchmarks.job import read_frame, read_job, write_job
from benchmarks.peers import PEERS, THREAD_VARIABLES, Peer, environment
from benchmarks.problems import PROBLEMS, Problem, choose
from benchmarks.report import Report, as_json, markdown, write
from benchmarks.runner import Lane, ProblemResult, Settings, Status, another, rotated, run_problem

FAKE = str(Path(__file__).parent / "fake_adapter.py")
GROUPS = pd.Categorical(["b", "a", "b"], ["b", "a"])
FRAME = pd.DataFrame({"y": [0.1 + 0.2, 1 / 3, 2.0], "g": GROUPS, "unused": 1})
PROBLEM = Problem("tiny", "y ~ 1 + (1 | g)", ("y", "g"), lambda: FRAME, cannot={"unable": "has no | slopes"})

Run = Callable[..., ProblemResult]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def run(log: Path) -> Run:
    """Run the tiny problem with peers given as mode=claimed seconds; the mode `ok` is named lme4."""

    def go(settings: Settings, **modes: float) -> ProblemResult:
        peers = [
            Peer(
                "lme4" if mode == "ok" else mode,
                (sys.executable, FAKE, mode, str(seconds), str(log)),
                lambda mode=mode: "pip install it" if mode == "absent" else None,
            )
            for mode, seconds in modes.items()
        ]
        return run_problem(PROBLEM, peers, settings, progress=lambda line: None)[0]

    return go


def test_peers_alternate_and_each_round_another_begins(run: Run, log: Path) -> None:
    run(Settings(rounds=3), ok=0.1, second=0.2, third=0.3)
    calls = log.read_text().split()
    assert calls == "ok second third  second third ok  third ok second  ok second third".split()


def test_rotation_of_nobody_is_empty() -> None:
    assert rotated([], 4) == []


def test_median_leaves_the_warm_up_out(run: Run) -> None:
    result = run(Settings(rounds=3), ok=0.5, second=0.25)
    base, second = result.peers
    assert base.warmup == 5.0
    assert base.seconds == (0.5, 1.0, 1.5)
    assert base.median == 1.0
    assert result.ratio(second) == 0.5
    assert result.difference(second) == 0.0
    assert base.criterion == 3.0  # the fake counts the rows it was given


@pytest.mark.parametrize(
    ("mode", "status", "message", "seconds"),
    [
        ("failing", Status.FAILED, "ValueError: bad | luck", ()),
        ("crashing", Status.FAILED, "ended with status 3: the last words", ()),
        ("unloadable", Status.FAILED, "ImportError: no such library", ()),
        ("silent", Status.TIMED_OUT, "over 0.5 s, stopped", ()),
        ("absent", Status.MISSING, "pip install it", ()),
        ("unable", Status.CANNOT, "has no | slopes", ()),
    ],
)
def test_a_peer_in_trouble_is_shown_and_does_not_stop_the_others(
    run: Run, mode: str, status: Status, message: str, seconds: tuple[float, ...]
) -> None:
    result = run(Settings(rounds=2, time_limit=0.5), ok=0.1, **{mode: 0.1})
    base, other = result.peers
    assert (other.status, other.message, other.seconds) == (status, message, seconds)
    assert other.median is None and result.ratio(other) is None and result.difference(other) is None
    assert base.status is Status.OK and len(base.seconds) == 2
    page = markdown(Report({}, (result,)))
    assert f"{status}: {message}".replace("|", "\\|") in page
    assert f"| tiny | 150 ms | {status} |" in page


def test_no_ratio_without_lme4(run: Run) -> None:
    result = run(Settings(rounds=1), second=0.25)
    assert result.ratio(result.peers[0]) is None
    assert "| tiny | 250 ms |" in markdown(Report({}, (result,)))


def test_rounds_end_when_every_peer_has_failed(run: Run, log: Path) -> None:
    assert run(Settings(rounds=9), crashing=0.1).rounds == 0
    assert log.read_text().split() == ["crashing"]


@pytest.mark.parametrize(
    ("settings", "seconds", "done", "more"),
    [
        (Settings(rounds=2), [9.0, 99.0], 1, True),
        (Settings(rounds=2), [9.0, 0.1, 0.1], 2, False),
        (Settings(budget=1.0), [9.0, 5.0, 5.0], 2, True),
        (Settings(budget=1.0), [9.0, 5.0, 5.0, 5.0], 3, False),
        (Settings(budget=1.0), [9.0, 0.1, 0.1, 0.1], 3, True),
        (Settings(budget=1.0), [9.0] + [0.001] * 50, 50, False),
    ],
)
def test_rounds_by_number_or_by_budget(settings: Settings, seconds: list[float], done: int, more: bool) -> None:
    lane = Lane(PEERS[0], seconds=seconds)
    assert another(PROBLEM, [lane], settings, done) is more


def test_the_table(run: Run) -> None:
    result = run(Settings(rounds=2), ok=0.1, short=2.0, below=0.05)
    page = markdown(Report({"CPU": "a | b"}, (result,)))
    assert "| problem | lme4 | short | below |" in page
    assert "| tiny | 150 ms | 20 ‡ | 0.5 † |" in page
    assert "| CPU | a \\| b |" in page
    assert "`y ~ 1 + (1 | g)`, REML; 3 rows; levels: g 2; 2 rounds." in page
    row = "| short | 3 s | 2 s to 4 s | 20 | 3.500000 | +5.0e-01 | 12 | 10 | ‡ short of lme4's optimum |"
    assert row in page


@pytest.mark.parametrize(("blas", "slow"), [("blas/libblas.so.3", True), ("openblas-pthread/libblas.so.3", False)])
def test_the_page_warns_of_the_reference_blas(blas: str, slow: bool) -> None:
    assert ("R ran on the reference BLAS" in markdown(Report({"R BLAS": blas}, ()))) is slow


def test_results_are_written_with_every_sample(run: Run, tmp_path: Path) -> None:
    report = Report({"date": "today"}, (run(Settings(rounds=2), ok=0.5, absent=0.1),))
    write(report, tmp_path / "out" / "RESULTS.md")
    assert (tmp_path / "out" / "RESULTS.md").read_text(encoding="utf-8") == markdown(report)
    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert found == json.loads(as_json(report))
    base, absent = found["problems"][0]["peers"]
    assert (base["seconds"], base["median"], base["ratio"]) == ([0.5, 1.0], 0.75, 1.0)
    assert (absent["status"], absent["reply"]) == ("not installed", None)


def test_a_job_keeps_numbers_levels_and_wanted_columns(tmp_path: Path) -> None:
    written = write_job(PROBLEM, tmp_path)
    assert (written.n_rows, written.n_levels) == (3, {"g": 2})
    pd.testing.assert_frame_equal(read_frame(read_job(written.path)), FRAME[["y", "g"]], rtol=1e-15)


def test_a_job_keeps_the_statsmodels_spelling(tmp_path: Path) -> None:
    spelling = PROBLEMS["pastes"].statsmodels
    problem = Problem("tiny", "y ~ 1 + (1 | g)", ("y", "g"), lambda: FRAME, statsmodels=spelling)
    assert read_job(write_job(problem, tmp_path).path).statsmodels == spelling


def test_every_problem_has_a_statsmodels_spelling_or_a_reason() -> None:
    for problem in PROBLEMS.values():
        assert (problem.statsmodels is None) == ("statsmodels" in problem.cannot), problem.name


def test_choice_of_problems() -> None:
    assert {p.name for p in choose([], heavy=True)} - {p.name for p in choose([], heavy=False)} == {
        "slopes-heavy",
        "crossed-heavy",
        "maximal",
    }
    assert [p.name for p in choose(["maximal"], heavy=False)] == ["maximal"]
    with pytest.raises(ValueError, match=r"no problem named sleepstdy; there are sleepstudy, "):
        choose(["sleepstdy"], heavy=False)


@pytest.mark.parametrize(
    ("make", "rows", "levels"),
    [
        (lambda seed: simulate.random_slopes(300, 40, seed), 300, {"g": 40}),
        (lambda seed: simulate.crossed(300, 50, 20, seed), 300, {"a": 50, "c": 20}),
        (lambda seed: simulate.maximal(5, 4, seed), 160, {"subj": 5, "item": 4}),
    ],
)
def test_simulation_is_a_function_of_the_seed(
    make: Callable[[int], pd.DataFrame], rows: int, levels: dict[str, int]
) -> None:
    frame = make(1)
    pd.testing.assert_frame_equal(frame, make(1), check_exact=True)
    assert not frame["y"].equals(make(2)["y"])
    assert len(frame) == rows
    assert {name: frame[name].nunique() for name in levels} == levels


def test_maximal_design_is_balanced() -> None:
    counts = simulate.maximal(3, 2, seed=1).groupby(["subj", "item", "a", "b", "c"], observed=True).size()
    assert len(counts) == 48 and set(counts) == {1}


def test_every_peer_gets_the_same_threads() -> None:
    given = environment(3)
    assert {given[name] for name in THREAD_VARIABLES} == {"3"}
