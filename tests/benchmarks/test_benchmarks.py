"""The benchmark runner, with fake peers: nothing real is timed."""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmarks
from benchmarks import bootstrap, growth, simulate, worker
from benchmarks.__main__ import NAMES, main
from benchmarks.client import Reply
from benchmarks.growth import Line, Measured, Point
from benchmarks.growth_plot import draw
from benchmarks.job import Job, read_frame, read_job, write_job
from benchmarks.peers import PEERS, THREAD_VARIABLES, Peer, environment
from benchmarks.problems import PROBLEMS, Problem, Target
from benchmarks.report import Report, as_json, markdown, read, updated, write
from benchmarks.runner import Lane, PeerResult, ProblemResult, Settings, Status, another, rotated, run_problem
from benchmarks.targets import judge

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
    shown = "over 500 ms" if status is Status.TIMED_OUT else status
    assert f"| tiny | 150 ms | {shown} |" in page


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
    result = run(Settings(rounds=2, long_call=60.0), ok=0.1, short=2.0, below=0.05)
    page = markdown(Report({"CPU": "a | b"}, (result,)))
    assert "| problem | lme4 | short | below | lmmpy's peak MB |" in page
    assert "| tiny | 150 ms | 20 ‡ | 0.5 † | – |" in page
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


def test_the_page_is_read_back_from_its_samples():
    page = Path(benchmarks.__file__).parent / "RESULTS.md"
    stored = read(page)
    assert markdown(stored) == page.read_text(encoding="utf-8")
    first = stored.results[0]
    assert updated(stored, first) == stored.results
    assert updated(replace(stored, results=()), first) == (first,)


def test_a_job_keeps_numbers_levels_and_wanted_columns(tmp_path: Path) -> None:
    written = write_job(PROBLEM, tmp_path)
    assert (written.n_rows, written.n_levels) == (3, {"g": 2})
    pd.testing.assert_frame_equal(read_frame(read_job(written.path)), FRAME[["y", "g"]], check_exact=True)


def test_a_job_refuses_what_it_cannot_carry(tmp_path: Path) -> None:
    for column, reason in ((pd.Series([1.0, None]), "missing values"), (pd.Series([1, 2**40]), "32 bits")):
        problem = replace(PROBLEM, columns=("y",), data=lambda column=column: pd.DataFrame({"y": column}))
        with pytest.raises(ValueError, match=reason):
            write_job(problem, tmp_path)


def test_a_job_keeps_the_statsmodels_spelling(tmp_path: Path) -> None:
    spelling = PROBLEMS["pastes"].statsmodels
    problem = Problem("tiny", "y ~ 1 + (1 | g)", ("y", "g"), lambda: FRAME, statsmodels=spelling)
    assert read_job(write_job(problem, tmp_path).path).statsmodels == spelling


def test_every_problem_has_a_statsmodels_spelling_or_a_reason() -> None:
    for problem in PROBLEMS.values():
        assert (problem.statsmodels is None) == ("statsmodels" in problem.cannot), problem.name


def test_unknown_problems_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--problem", "sleepstdy"])
    assert "no problem named sleepstdy; there are sleepstudy, " in capsys.readouterr().err
    assert {"bootstrap", "growth", "ratings"} <= set(NAMES)


# ---- long calls, peaks and targets


def test_a_long_call_is_measured_once_and_alone(run: Run, log: Path) -> None:
    result = run(Settings(rounds=2, long_call=5.0), ok=0.1, slow=1.0)
    slow = result.peers[1]
    assert (slow.warmup, slow.seconds, slow.median) == (None, (10.0,), 10.0)
    assert log.read_text().split() == ["ok", "slow", "ok", "ok"]
    assert "one call, without warm-up" in markdown(Report({}, (result,)))


def test_the_peak_is_the_largest_of_the_calls(run: Run) -> None:
    assert run(Settings(rounds=2), ok=0.1).peers[0].peak_rss_mb == 12.0  # the fake's falls from call to call


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak can be started anew on Linux only")
def test_the_peak_is_that_of_the_call_alone() -> None:
    def allocate(megabytes: int) -> int:
        return int(np.ones(megabytes << 17).sum())  # freed on return

    def peak(fitting: int, reading: int) -> float:
        def fit(job: Job, frame: pd.DataFrame) -> int:
            return allocate(fitting)

        def read(job: Job, result: int) -> worker.Answer:
            return worker.Answer(float(allocate(reading)), [])

        job = Job("y ~ 1", True, (), None)
        found = worker._answer(worker.Adapter("tiny", fit, read), job, FRAME)["peak_rss_mb"]
        return float(found)

    idle = peak(1, 1)
    assert peak(200, 1) - idle == pytest.approx(200, abs=20)
    assert peak(1, 200) - idle == pytest.approx(0, abs=20)  # reading off, and the peak before, do not count


def _peer(name: str, seconds: float, criterion: float = 7.0, peak: float = 1024.0) -> PeerResult:
    reply = Reply(seconds, criterion, [], None, None, peak, [])
    return PeerResult(name, Status.OK, "", (seconds,), seconds, reply, 100.0, peak)


STOPPED = PeerResult("lme4", Status.TIMED_OUT, "over 100 s, stopped", stopped_after=100.0)
MISSING = PeerResult("lme4", Status.MISSING, "absent")
RATIO = Target(must=0.2, aim=0.1)
SECONDS = Target(must=10.0, aim=5.0, seconds=True, memory_gib=1.5)


@pytest.mark.parametrize(
    ("target", "ours", "base", "met", "shown"),
    [
        (RATIO, _peer("lmmpy", 1.0), _peer("lme4", 10.0), "aim", "0.1"),
        (RATIO, _peer("lmmpy", 1.0), _peer("lme4", 5.0), "must", "0.2"),
        (RATIO, _peer("lmmpy", 1.0), _peer("lme4", 4.0), "no", "0.25"),
        (RATIO, _peer("lmmpy", 1.0, criterion=7.1), _peer("lme4", 100.0), "no: short of the optimum", "0.01"),
        (RATIO, _peer("lmmpy", 15.0), STOPPED, "must", "under 0.15"),
        (RATIO, _peer("lmmpy", 25.0), STOPPED, "not known: lme4 was stopped", "under 0.25"),
        (RATIO, _peer("lmmpy", 1.0), MISSING, "not known: lme4 has no time", "–"),
        (RATIO, PeerResult("lmmpy", Status.FAILED), _peer("lme4", 1.0), "no: failed", "–"),
        (SECONDS, _peer("lmmpy", 4.0), STOPPED, "aim", "4 s, 1.00 GiB"),
        (SECONDS, _peer("lmmpy", 4.0, peak=2048.0), STOPPED, "no: memory", "4 s, 2.00 GiB"),
        (SECONDS, _peer("lmmpy", 11.0), STOPPED, "no", "11 s, 1.00 GiB"),
    ],
)
def test_targets(target: Target, ours: PeerResult, base: PeerResult, met: str, shown: str) -> None:
    result = ProblemResult(replace(PROBLEM, target=target), 3, {"g": 2}, 1, (ours, base))
    verdict = judge(result)
    assert verdict is not None and verdict.met == met
    goals = "0.2 | 0.1" if target is RATIO else "10 s, 1.5 GiB | 5 s, 1.5 GiB"
    assert f"| tiny | {goals} | {shown} | {met} | nobody |" in markdown(Report({}, (result,)))


def test_faster_peers_are_those_that_reached_the_optimum() -> None:
    peers = (_peer("lmmpy", 1.0), _peer("lme4", 9.0), _peer("quick", 0.5), _peer("short", 0.1, criterion=8.0))
    verdict = judge(ProblemResult(replace(PROBLEM, target=RATIO), 3, {"g": 2}, 1, peers))
    assert verdict is not None and verdict.faster == (("quick", 0.5),)


def test_the_main_table_has_our_memory() -> None:
    result = ProblemResult(PROBLEM, 3, {"g": 2}, 1, (_peer("lmmpy", 1.0, peak=1500.0), _peer("lme4", 2.0)))
    assert "| tiny | 0.5 | 2 s | 1,500 (+1,400) |" in markdown(Report({}, (result,)))


def test_the_issues_problems_have_targets() -> None:
    wanted = {
        "sleepstudy",
        "penicillin",
        "insteval",
        "slopes-heavy",
        "crossed-heavy",
        "maximal",
        "ratings",
        "slopes-huge",
    }
    assert {p.name for p in PROBLEMS.values() if p.target} == wanted
    assert all(p.target.aim < p.target.must for p in PROBLEMS.values() if p.target)


# ---- the bootstrap and the growth


def test_the_bootstrap_is_told_as_a_multiple_of_the_evaluations() -> None:
    peers = (_peer(bootstrap.EVALUATIONS, 2.0), _peer(bootstrap.BOOTSTRAP, 5.0), MISSING)
    page = markdown(Report({}, (), ProblemResult(bootstrap.PROBLEM, 180, {"Subject": 18}, 1, peers)))
    assert f"| {bootstrap.BOOTSTRAP} | 5 s | 2.5 |  |" in page
    assert "| lme4 | – | – | not installed: absent |" in page


@pytest.mark.parametrize(("what", "jobs"), [("bootstrap", 1), ("processes", 2)])
def test_the_bootstrap_worker_refits_the_kept_model(what: str, jobs: int) -> None:
    from benchmarks.bench_bootstrap import Refits

    class Model:
        def bootstrap(self, n: int, fun: None = None, *, seed: int | None = None, n_jobs: int = 1) -> pd.DataFrame:
            asked.append((n, fun, seed, n_jobs))
            return pd.DataFrame({"sigma": range(n - short)})

    asked: list[tuple[int, None, int | None, int]] = []
    short = 0
    refits = Refits(what, 5)
    refits.model = Model()
    assert refits.fit(Job("y ~ 1", True, (), None), FRAME) is refits.model
    assert asked == [(5, None, 1, jobs)]
    short = 1
    with pytest.raises(ValueError, match="4 rows of 5"):
        refits.fit(Job("y ~ 1", True, (), None), FRAME)


def _measured(slope: float, n_points: int) -> Measured:
    sizes = [100 * 2**i for i in range(n_points)]
    # the lower half is flat, as an overhead makes it
    middle = sizes[n_points // 2]
    points = tuple(Point(n, 7, 1e-3 * max(n, middle) ** slope, 0.1) for n in sizes)
    return Measured("design", "y ~ (x | g)", "n", "1", points)


def test_slope_is_that_of_the_upper_half(tmp_path: Path) -> None:
    line = _measured(1.5, 8)
    assert line.slope("lmer") == pytest.approx(1.5, rel=1e-12)
    assert line.slope("summary") == pytest.approx(0.0, abs=1e-12)
    assert _measured(1.5, 2).slope("lmer") is None
    page = markdown(Report({}, (), growth=(line,)))
    assert "| design: `y ~ (x \\| g)` | n | 100 to 12,800 |" in page and "| 1.50 | 1 |" in page


def test_growth_survives_its_file() -> None:
    line = _measured(1.0, 4)
    assert growth.from_json(json.loads(json.dumps(asdict(line)))) == line


def test_growth_stops_at_its_budget_and_at_the_largest_size() -> None:
    def frame(n: int) -> pd.DataFrame:
        return growth.slopes(n, 20)

    line = Line("slopes", "y ~ x + (x | g)", "n", frame, first=400, last=1600)
    (all_sizes,) = growth.measure([line], budget=1e6)
    assert [(p.n, p.q) for p in all_sizes.points] == [(400, 40), (800, 40), (1600, 40)]
    (shrunk,) = growth.measure([line], budget=1e6, largest=0.5)
    assert [p.n for p in shrunk.points] == [400, 800]
    (poor,) = growth.measure([line], budget=0.0)
    assert [p.n for p in poor.points] == [400]


@pytest.mark.parametrize("line", growth.LINES, ids=lambda line: line.name)
def test_growth_factors_are_strings_and_all_levels_occur(line: Line) -> None:
    frame = line.make(line.first)
    factors = frame.drop(columns=["x", "y"])
    assert all(pd.api.types.is_string_dtype(factors[name]) for name in factors)
    assert frame["x"].isna().sum() == 0 and len(frame) >= line.first
    bigger = line.make(2 * line.first)
    same = factors.nunique().equals(bigger.drop(columns=["x", "y"]).nunique())
    assert same is (line.axis == "n")


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw([_measured(1.0, 6)], tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert ET.parse(tmp_path / "one.svg").getroot().tag.endswith("svg")


# ---- data


@pytest.mark.parametrize(
    ("make", "rows", "levels"),
    [
        (lambda seed: simulate.random_slopes(300, 40, seed), 300, {"g": 40}),
        (lambda seed: simulate.crossed(300, 50, 20, seed), 300, {"a": 50, "c": 20}),
        (lambda seed: simulate.maximal(5, 4, seed), 160, {"subj": 5, "item": 4}),
        (lambda seed: simulate.ratings(1200, 20, 200, seed), 1200, {"user": 20, "film": 200}),
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


def test_ratings_are_skewed_and_nobody_rates_twice() -> None:
    frame = simulate.ratings(30_000, 200, 400, seed=1)
    assert not frame.duplicated(["user", "film"]).any()
    for factor, least in (("user", 20), ("film", 1)):
        counts = frame[factor].value_counts()
        assert counts.min() >= least and counts.max() > 1.5 * counts.mean() > 1.5 * counts.median()


def test_every_peer_gets_the_same_threads() -> None:
    given = environment(3)
    assert {given[name] for name in THREAD_VARIABLES} == {"3"}
