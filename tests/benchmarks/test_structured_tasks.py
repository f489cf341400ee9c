"""Benchmarks of several traits and structured residuals: the calls on small data, and what is read off the peers."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_gemma_traits, bench_structured, relatives, simulate, structured
from benchmarks.client import Reply
from benchmarks.job import read_frame, read_job, write_job
from benchmarks.pedigrees import DAIRY
from benchmarks.report import Report, as_json, markdown, structured_anew
from benchmarks.runner import PeerResult, ProblemResult, Status
from benchmarks.worker import Adapter, _answer

LOG = """## REMLE log-likelihood in the null model = -3744.88
## REMLE estimate for Vg in the null model: \n0.936233\n0.424961\t1.90959
## se(Vg): \n0.203524\n0.209816\t0.390236
## REMLE estimate for Ve in the null model: \n1.05921\n0.375543\t1.685
## se(Ve): \n0.187664\n0.190746\t0.351001
## MLE estimate for Vg in the null model: \n0.952656\t0.43444\n0.43444\t1.94724
"""


def asked(what: str, problem: Any, folder: Path) -> list[dict[str, Any]]:
    """Two answers of lmmpy's worker."""
    job = read_job(write_job(problem, folder).path)
    call, frame = bench_structured.Asked(what), read_frame(job)
    return [_answer(Adapter("lmmpy", call.fit, call.read, call.prepare), job, frame) for _ in range(2)]


# ---- data


def test_serial_slopes_have_the_correlation_they_are_said_to_have():
    frame = simulate.serial_slopes(4_000, 4, seed=1)
    by_subject = frame["y"].to_numpy().reshape(-1, 4) - 0.5 * frame["x"].to_numpy().reshape(-1, 4)
    lag = np.diff(frame["t"].to_numpy().reshape(-1, 4)[:, :2]).mean()
    expected = 1.0 + 0.06 + 0.6**lag  # at times 0 and 1, of which the first has no slope
    assert np.cov(by_subject[:, :2].T)[0, 1] == pytest.approx(expected, abs=0.08)
    assert frame["t"].to_numpy().reshape(-1, 4)[0, 1] != frame["t"].to_numpy().reshape(-1, 4)[1, 1]


def test_five_traits_are_of_families_and_a_tenth_is_missing():
    records = relatives.five_traits(20_000, 1)
    names = [f"y{t}" for t in range(1, 6)]
    scaled = records.frame[names] / [1.0, 0.5, 2.0, 1.0, 0.2]
    assert records.frame[names].isna().mean().to_numpy() == pytest.approx(np.full(5, 0.1), abs=0.01)
    left = scaled.sub(0.5 * records.frame["x"], axis=0)
    assert left.var().to_numpy() == pytest.approx(np.ones(5), abs=0.06)
    assert left.mean().to_numpy() == pytest.approx(np.arange(5) + 1.0, abs=0.06)
    assert left["y1"].corr(left["y5"]) == pytest.approx(0.4 * math.sqrt(0.21) + 0.2 * math.sqrt(0.21), abs=0.03)
    assert (records.animals.father >= 0).mean() == 0.6


def test_two_traits_have_their_covariances():
    left = relatives.genotyped_traits(3_000, 3).frame
    traits = left[["y1", "y2"]].to_numpy() / [1.0, 10.0] - 0.5 * left[["x"]].to_numpy()
    expected = np.array(relatives.GENETIC) + np.array(relatives.RESIDUAL)
    assert np.cov(traits.T) == pytest.approx(expected, abs=0.25)
    assert relatives.two_traits(2_000, DAIRY, 1).frame["y2"].mean() == pytest.approx(200.0, abs=5.0)


# ---- GEMMA


def test_gemmas_triangles_are_read_row_by_row():
    read = [
        bench_gemma_traits.triangle(LOG, name).tolist()
        for name in ("REMLE estimate for Vg in the null model", "se(Ve)")
    ]
    assert read == [[0.936233, 0.424961, 1.90959], [0.187664, 0.190746, 0.351001]]
    with pytest.raises(ValueError, match=r"no se\(B\)"):
        bench_gemma_traits.triangle(LOG, "se(B)")


def small(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    G = rng.standard_normal((12, 20))
    return rng.standard_normal((12, 2)), np.column_stack([np.ones(12), rng.standard_normal(12)]), G @ G.T / 20


GENETIC, RESIDUAL = np.array([0.7, 0.2, 0.9]), np.array([0.4, -0.1, 0.6])


def dense_reml(Y: np.ndarray, X: np.ndarray, K: np.ndarray) -> float:
    Vg, Ve = (np.array([[a, b], [b, c]]) for a, b, c in (GENETIC, RESIDUAL))
    V, big = np.kron(K, Vg) + np.kron(np.eye(12), Ve), np.kron(X, np.eye(2))
    contrasts = np.linalg.svd(big.T)[2][4:]  # of y, free of β
    inner, r = contrasts @ V @ contrasts.T, contrasts @ Y.ravel()
    plain = 20 * np.log(2 * np.pi) + np.linalg.slogdet(inner)[1] + r @ np.linalg.solve(inner, r)
    return float(plain + 2.0 * np.linalg.slogdet(X.T @ X)[1])


def test_gemmas_criterion_is_the_dense_one():
    Y, X, K = small()
    found = bench_gemma_traits.reml_criterion(*bench_gemma_traits.rotated(Y, X, K), GENETIC, RESIDUAL)
    assert found == pytest.approx(dense_reml(Y, X, K), rel=1e-12)


@pytest.mark.parametrize(("off", "refused"), [(0.0, False), (1e-3, True)])
def test_a_log_likelihood_that_is_not_that_of_the_variances_is_refused(off: float, refused: bool):
    Y, X, K = small()
    reading = bench_gemma_traits.Reading("rotated")
    reading.turned, reading.size_of_x = bench_gemma_traits.rotated(Y, X, K), float(np.linalg.slogdet(X.T @ X)[1])
    loglik = (reading.size_of_x - 0.5 * dense_reml(Y, X, K)) * (1.0 + off)
    log = f"## REMLE log-likelihood in the null model = {loglik:.6g}\n"
    for name, (a, b, c) in (("Vg", GENETIC), ("Ve", RESIDUAL)):
        log += f"## REMLE estimate for {name} in the null model: \n{a}\n{b}\t{c}\n## se({name}): \n1\n2\t3\n"
    run = bench_gemma_traits.Run(log, decomposing=1.0, fitting=3.0, fitted=3.5, peak_rss_mb=1.0)
    if refused:
        with pytest.raises(ValueError, match="is not that at its variances"):
            reading.read(None, run)
        return
    answer = reading.read(None, run)
    assert answer.seconds == 0.5
    assert answer.varcomp["compared"] == {
        "covariances": [0.7, 0.2, 0.9, 0.4, -0.1, 0.6],
        "their standard errors": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
    }
    reading.what = "whole"
    assert reading.read(None, run).seconds == 2.5


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_openings_of_a_file_are_told(tmp_path: Path):
    import select

    path = tmp_path / "watched"
    path.write_text("", encoding="utf-8")
    with bench_gemma_traits.Openings(path) as openings:
        assert not select.select([openings], [], [], 0.0)[0]
        path.read_text(encoding="utf-8")
        assert select.select([openings], [], [], 5.0)[0]
    with pytest.raises(OSError, match="cannot watch"):
        bench_gemma_traits.Openings(tmp_path / "absent")


# ---- lmmpy's calls


def test_the_fit_after_the_rotation_is_the_whole_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relatives, "MARKERS", 100)  # so few people tell more of genetic variances with few loci
    make = lambda: relatives.genotyped_traits(80, 80)  # noqa: E731
    problem = replace(structured.MODELS["mv-grm-500"], data=lambda: make().frame, relatives=make)
    whole = asked("two-traits", problem, tmp_path)[0]
    first, second = asked("two-traits-rotated", problem, tmp_path)
    assert first["criterion"] == second["criterion"] == pytest.approx(whole["criterion"], abs=1e-9)
    for name, values in whole["varcomp"]["compared"].items():
        assert first["varcomp"]["compared"][name] == pytest.approx(values, rel=1e-6)
    assert whole["varcomp"]["compared"].keys() == {"covariances", "their standard errors"}


def test_the_family_study_has_solars_numbers(tmp_path: Path):
    answer = asked("bivariate", structured.BIVARIATE, tmp_path)[0]
    given = structured._solar()
    assert answer["criterion"] == pytest.approx(given.criterion, abs=1e-5)
    for name, values in given.compared.items():
        assert answer["varcomp"]["compared"][name] == pytest.approx(values, rel=1e-3)


def test_five_traits_are_fitted_from_random_starts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_structured, "STARTS", 2)
    make = lambda: relatives.five_traits(100, 400)  # noqa: E731
    data = make().frame.drop(columns=["y3", "y4", "y5"])
    problem = replace(
        structured.MODELS["traits-5x400"],
        formula="cbind(y1, y2) ~ x + kin(ped)",
        columns=("y1", "y2", "x", "id"),
        incomplete=("y1", "y2"),
        data=lambda: data,
        relatives=make,
    )
    first, second = asked("five-traits", problem, tmp_path)
    assert np.abs(first["varcomp"]["random starts"]).max() < 1e-6
    assert first["varcomp"]["random starts"] == second["varcomp"]["random starts"]
    assert "of 2 random starts" in first["varcomp"]["note"]


@pytest.mark.parametrize(("name", "loglik"), [("orthodont-us", -212.2734), ("ovary-ar1", -774.7240)])
def test_structured_residuals_have_nlmes_likelihood(name: str, loglik: float, tmp_path: Path):
    answer = asked(name, structured.MODELS[name], tmp_path)[0]
    assert answer["criterion"] == pytest.approx(-2.0 * loglik, abs=2e-4)
    assert answer["varcomp"]["compared"].keys() >= {"beta", "se", "sigma", "correlation"}


# ---- the page


def test_who_takes_part_and_what_is_to_be_reached():
    assert {task.what for task in structured.TASKS.values()} == set(bench_structured.CALLS)
    must = {name: p.target.must for name, p in structured.MODELS.items() if p.target}
    assert must == {"bivariate-family": 0.1, "mv-fit-500": 1.0, "mv-fit-1000": 1.0, "mv-fit-2000": 1.0}
    beside = {name: [peer.name for peer in task.peers()][1:] for name, task in structured.TASKS.items()}
    assert beside["mv-fit-500"] == beside["mv-grm-500"] == ["GEMMA"]
    assert [structured.TASKS[name].peers()[1].command[-1] for name in ("mv-fit-500", "mv-grm-500")] == [
        "rotated",
        "whole",
    ]
    assert beside["ovary-ar1"] == beside["slopes-car1-500x20"] == ["nlme"]
    assert beside["bivariate-family"] == beside["traits-5x400"] == []


def _peer(name: str, seconds: float, compared: dict[str, Any], criterion: float = 7.0) -> PeerResult:
    reply = Reply(seconds, criterion, [], None, {"compared": compared, "note": f"{name} says"}, 1024.0, [])
    return PeerResult(name, Status.OK, "", (seconds,), seconds, reply, 100.0, 1024.0)


def _result(ours: dict[str, Any], theirs: dict[str, Any], criterion: float = 7.0) -> ProblemResult:
    peers = (_peer("lmmpy", 1.0, ours, criterion), _peer("GEMMA", 4.0, theirs))
    return ProblemResult(structured.MODELS["mv-fit-500"], 500, {"id": 500}, 1, peers)


def test_the_page_has_ratio_target_and_differences():
    result = _result({"a": [1.0, 2.02], "b": 3.0}, {"a": [1.0, 2.0], "b": [3.0]}, criterion=6.9999)
    page = markdown(Report({}, (), structured=(result,)))
    assert "| mv-fit-500 | lmmpy | 1 s | 0.25 | 1 | aim | -1.0e-04 | – | 1,024 | lmmpy says |" in page
    assert "| mv-fit-500 | GEMMA | 4 s | – | – | – | – | 1.0e-02 | 1,024 | GEMMA says |" in page
    assert '"structured"' in as_json(Report({}, (), structured=(result,)))
    assert structured_anew(Report({}, (), structured=(result,)), replace(result, rounds=9))[0].rounds == 9


def test_a_criterion_short_of_the_peers_is_not_met():
    assert "| no: short of the optimum |" in markdown(Report({}, (), structured=(_result({}, {}, criterion=7.1),)))


def test_numbers_that_do_not_match_one_by_one_are_refused():
    result = _result({"a": [1.0]}, {"a": [1.0, 2.0]})
    with pytest.raises(ValueError, match="do not tell the same numbers"):
        structured.disagreement(result, result.peers[1])


def test_what_is_given_is_said_to_be():
    given = structured._solar()
    ours = _peer("lmmpy", 0.1, given.compared, given.criterion)
    page = markdown(
        Report({}, (), structured=(ProblemResult(structured.BIVARIATE, 398, {}, 1, (ours, given.result())),))
    )
    assert "| bivariate-family | lmmpy | 100 ms | 0.0909 | 0.1 | aim | +0.0e+00 |" in page
    assert (
        "| bivariate-family | SOLAR | 1.1 s | – | – | – | – | 0.0e+00 | – | given, not measured here: 1.1 s |" in page
    )


def test_the_ages_of_orthodont_are_numbered():
    frame = structured._orthodont()
    assert frame.groupby("occasion")["age"].nunique().eq(1).all()
    assert isinstance(structured._ovary()["Mare"].dtype, pd.CategoricalDtype)
