"""Benchmarks of scans: the cohorts, the calls on small data, what is read off GEMMA, and how lmmpy is judged."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_gemma_scan, bench_scans, cohorts, growth, scan_growth, scans
from benchmarks.__main__ import HEAVY, NAMES
from benchmarks.client import Reply
from benchmarks.cohorts import Cohort
from benchmarks.growth import Line, Measured, Point
from benchmarks.growth_plot import SCANS, WHAT_OF_SCANS, draw
from benchmarks.job import read_frame, read_job, write_job
from benchmarks.report import Report, as_json, markdown, read, scans_anew, write
from benchmarks.runner import PeerResult, ProblemResult, Status
from benchmarks.worker import Adapter, _answer

pytest.importorskip("bed_reader")

PEOPLE, VARIANTS = 120, 150


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A small cohort, with a relatedness as GEMMA makes it."""
    found = cohorts.cohort(PEOPLE, VARIANTS, tmp_path_factory.mktemp("cohorts"))
    G = cohorts.genotypes(np.random.default_rng([PEOPLE, VARIANTS]), PEOPLE, VARIANTS)
    Z = cohorts.standardised(G) * np.nanstd(np.where(G == 3, np.nan, G), axis=1, keepdims=True)
    np.save(found.matrix, Z.T @ Z / VARIANTS)
    return found


def small(made: Cohort) -> Any:
    """The task of 1,000 people with the small cohort."""
    task = scans.TASKS["assoc-1000"]
    problem = replace(task.problem, data=made.frame)
    return replace(task, problem=problem, items=VARIANTS, cohort=lambda: made)


def asked(problem: Any, folder: Path, *words: str, times: int = 1) -> list[dict[str, Any]]:
    """Answers of lmmpy's worker."""
    folder.mkdir(exist_ok=True)
    job = read_job(write_job(problem, folder).path)
    call, frame = bench_scans.Asked(*words), read_frame(job)
    return [_answer(Adapter("lmmpy", call.fit, call.read, call.prepare), job, frame) for _ in range(times)]


# ---- cohorts


def test_siblings_share_half_and_few_genotypes_are_missing():
    G = cohorts.genotypes(np.random.default_rng(1), 4_000, 400)
    assert (G == 3).mean() == pytest.approx(3 / 256, rel=0.05)
    values = cohorts.standardised(G)
    families = values.reshape(len(G), -1, cohorts.SIBS)
    assert (families[:, :, 0] * families[:, :, 3]).mean() == pytest.approx(0.5 * (1 - 3 / 256) ** 2, abs=3e-3)
    assert (families[:, :-1, 0] * families[:, 1:, 1]).mean() == pytest.approx(0.0, abs=3e-3)
    frequency = np.nanmean(np.where(G == 3, np.nan, G), axis=1) / 2
    assert (frequency.min(), frequency.max()) == (pytest.approx(0.03, abs=0.03), pytest.approx(0.53, abs=0.05))


@pytest.mark.parametrize("n", [8, 9, 11])
def test_the_files_have_the_genotypes(n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cohorts, "CHUNK", 30)
    from lmmpy.qtl import as_genotypes

    found = cohorts.cohort(n, 70, tmp_path)
    source, rng = as_genotypes(str(found.prefix)), np.random.default_rng([n, 70])
    parts = []
    for width in (30, 30, 10):
        parts.append(cohorts.genotypes(rng, n, width))
        rng.standard_normal(len(range(-sum(map(len, parts[:-1])) % 20, width, 20)))
    expected = np.vstack(parts).T.astype(float)
    expected[expected == 3] = np.nan
    assert np.array_equal(source.read(0, 70), expected, equal_nan=True)
    assert source.variants["chromosome"].nunique() == 18  # four to each of 22, as far as they reach
    assert list(source.people) == found.frame()["id"].tolist()


def test_a_cohort_is_kept_and_a_broken_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = cohorts.cohort(8, 20, tmp_path)
    before = found.prefix.with_suffix(".bed").stat().st_mtime_ns
    assert cohorts.cohort(8, 20, tmp_path).prefix.with_suffix(".bed").stat().st_mtime_ns == before

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cohorts, "_write_variants", fail)
    with pytest.raises(KeyboardInterrupt):
        cohorts.cohort(8, 21, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cohort-8x20"]


def test_the_trait_has_its_heritability(tmp_path: Path):
    found = cohorts.cohort(4_000, 200, tmp_path)
    frame = found.frame()
    left = (frame["y"] - cohorts.EFFECT * frame["x"]).to_numpy().reshape(-1, cohorts.SIBS)
    between = np.corrcoef(left[:, 0], left[:, 1])[0, 1]
    assert between == pytest.approx(0.5 * cohorts.HERITABILITY, abs=0.06)
    fam = pd.read_csv(found.prefix.with_suffix(".fam"), sep=" ", header=None)
    assert fam[5].to_numpy() == pytest.approx(frame["y"].to_numpy(), abs=0)
    assert np.loadtxt(found.covariates)[:, 1] == pytest.approx(frame["x"].to_numpy(), abs=0)


# ---- GEMMA

ASSOC = """chr\trs\tps\tn_miss\tallele1\tallele0\taf\tbeta\tse\tlogl_H1\tl_remle\tl_mle\tp_wald\tp_lrt\tp_score
1\trs1\t1000\t3\tA\tG\t0.212\t1.5e-01\t3.0e-02\t-9.0e+01\t4.0e-01\t4.1e-01\t2.0e-06\t2.1e-06\t2.2e-06
1\trs2\t2000\t3\tA\tG\t0.212\t-2.5e-01\t3.0e-02\t-9.0e+01\t4.0e-01\t4.1e-01\t3.0e-06\t3.1e-06\t3.2e-06
"""


def test_gemmas_table_is_read_in_lmmpys_words(tmp_path: Path):
    (tmp_path / "scan.assoc.txt").write_text(ASSOC, encoding="utf-8")
    found = bench_gemma_scan.table(tmp_path / "scan.assoc.txt")
    assert list(found) == ["variant", "beta", "std_error", "p_wald", "p_lrt", "p_score"]
    assert found["variant"].tolist() == ["rs1", "rs2"]
    assert found["p_score"].tolist() == [2.2e-6, 3.2e-6]


def test_gemmas_criterion_has_lme4s_constant():
    X = np.column_stack([np.ones(5), np.arange(5.0)])
    log = "## REMLE log-likelihood in the null model = -20\n## MLE log-likelihood in the null model = -18\n"
    assert bench_gemma_scan.criterion(log, X) == pytest.approx(40.0 + np.log(50.0))
    with pytest.raises(ValueError, match="no REML log-likelihood"):
        bench_gemma_scan.criterion("##", X)


@pytest.mark.skipif(shutil.which("gemma") is None, reason="no gemma")
def test_a_small_scan_beside_gemma(tmp_path: Path):
    made = cohorts.cohort(200, 300, tmp_path / "cohorts")
    cohorts.relate(made)
    task = small(made)
    job = read_job(write_job(task.problem, tmp_path).path)
    theirs = bench_gemma_scan.Scan(str(made.folder), str(tmp_path / "gemma.npz"))
    reply = _answer(Adapter("gemma", theirs.fit, theirs.read), job, read_frame(job))
    peers = [PeerResult("GEMMA", Status.OK, reply=_reply(reply), seconds=(reply["seconds"],))]
    for row in task.rows:
        answer = asked(task.problem, tmp_path / row.what, row.what, str(made.folder), str(tmp_path / f"{row.what}.npz"))
        peers.append(PeerResult(row.name, Status.OK, reply=_reply(answer[0]), seconds=(1e-6,)))
    result = scans.compared(ProblemResult(task.problem, 200, {"id": 200}, 1, tuple(peers)))
    assert result.peers[1].criterion == pytest.approx(result.peers[0].criterion, rel=6e-6)
    for peer in result.peers[1:]:
        told = peer.reply.varcomp
        assert "table" not in told
        assert (told["apart"]["variants"], told["apart"]["of one alone"]) == (300.0, 0.0)
        assert max(scans.differences(result, peer).values()) < scans.AGREEMENT
        assert scans.verdict(result, peer).met == "aim"
    assert result.peers[1].reply.varcomp["apart"].keys() >= {"beta", "std_error", "p_wald", "p_lrt", "p_score"}
    assert scans.verdict(result, result.peers[0]) is None


def _reply(answer: Mapping[str, Any]) -> Reply:
    return Reply(**{name: answer[name] for name in Reply.__slots__})


# ---- lmmpy's calls


def test_the_family_study_has_solars_lods(tmp_path: Path):
    task = scans.TASKS["linkage-family"]
    answer = asked(task.problem, tmp_path, "linkage", "1", times=2)
    given = task.given()
    assert answer[0]["criterion"] == pytest.approx(given.criterion, abs=1e-5)
    assert answer[0]["varcomp"] == answer[1]["varcomp"]
    ours = PeerResult("lmmpy", Status.OK, reply=_reply(answer[0]), seconds=(0.04,))
    result = ProblemResult(task.problem, 398, {}, 1, (ours, given))
    assert scans.differences(result, ours)["LOD"] < 1e-4
    assert scans.ratio(result, ours)[0] == pytest.approx(0.04 / (21 * 0.075))


def test_positions_may_be_there_ten_times(tmp_path: Path):
    task = scans.TASKS["linkage-family-x10"]
    (answer,) = asked(task.problem, tmp_path, *(task.rows[0].what, "3"))
    assert len(set(answer["varcomp"]["compared"]["LOD"])) == 21
    assert task.rows[0].arguments == ("10",)
    assert task.items == 210


def test_score_tests_are_those_of_the_exact_scan(made: Cohort, tmp_path: Path):
    problem, tables = small(made).problem, {}
    for what in ("exact", "score", "score-and-null"):
        path = tmp_path / f"{what}.npz"
        answer = asked(problem, tmp_path / what, what, str(made.folder), str(path))[0]
        assert answer["varcomp"]["table"] == str(path)
        assert ("of it the null model" in answer["varcomp"]["note"]) is (what != "score")
        tables[what] = scans._loaded(str(path))
    assert len(tables["exact"]["variant"]) == VARIANTS
    assert set(tables["score"]) == {"variant", "p_score"}
    for what in ("score", "score-and-null"):
        assert scans.apart(tables[what], tables["exact"])["p_score"] < 1e-5


def test_the_biobanks_relatedness_is_by_one_chromosome(tmp_path: Path):
    found = cohorts.cohort(100, 22 * 40, tmp_path)
    problem = replace(scans.MODELS["assoc-biobank"], data=found.frame)
    first, second = asked(problem, tmp_path / "job", "biobank", str(found.folder), times=2)
    assert first["varcomp"] == second["varcomp"]
    assert first["varcomp"]["note"].startswith("880 variants")
    assert "table" not in first["varcomp"]


# ---- how it is judged


def test_apart_is_relative_and_counts_who_is_alone():
    theirs = {
        "variant": np.array(["c", "a", "b"]),
        "beta": np.array([2.0, 1.0, 0.01]),
        "std_error": np.array([0.1, 0.1, 0.1]),
        "p_wald": np.array([1e-3, 1e-30, 0.5]),
    }
    ours = {
        "variant": np.array(["a", "b", "d", "e"]),
        "beta": np.array([1.001, 0.0102, 9.0, 9.0]),
        "p_wald": np.array([1.01e-30, 0.5, 0.1, 0.1]),
    }
    found = scans.apart(ours, theirs)
    assert found == pytest.approx({"variants": 2, "of one alone": 3, "beta": 0.002, "p_wald": 0.01})


def _result(name: str, base: float, **told: Any) -> ProblemResult:
    def peer(who: str, took: float, memory: float = 1024.0) -> PeerResult:
        found = {"note": f"{who} says", **(told if who != "GEMMA" else {})}
        return PeerResult(
            who, Status.OK, "", (took,), took, Reply(took, 1.0, [], None, found, memory, []), 99.0, memory
        )

    task = scans.TASKS[name]
    seconds = {"exact": 3.0, "score": 0.4, "score and null": 0.1, "": 250.0}
    ours = [peer(row.name, seconds[row.label]) for row in task.rows]
    gemma = [peer("GEMMA", base)] if task.beside_gemma else []
    return ProblemResult(task.problem, 1_000, {"id": 1_000}, 1, (*ours, *gemma))


def test_each_row_has_its_target_and_the_page_has_all():
    result = _result("assoc-1000", 20.0, apart={"variants": 9.0, "of one alone": 2.0, "p_score": 2e-6})
    exact, score, both, gemma = result.peers
    assert [scans.verdict(result, peer).met for peer in (exact, score, both)] == ["must", "must", "aim"]
    assert scans.verdict(result, gemma) is None
    page = markdown(Report({}, (), scans=(result,)))
    assert "| assoc-1000 | lmmpy, exact | 3 s | 150 µs | 0.15 | 0.2 | must | p_score 2.0e-06 | 1,024 |" in page
    assert "| lmmpy, exact says; 2 variants are in one table alone |" in page
    assert "| assoc-1000 | GEMMA | 20 s | 1 ms | – | – | – | – | 1,024 | GEMMA says |" in page
    assert '"verdicts"' in as_json(Report({}, (), scans=(result,)))
    assert scans_anew(Report({}, (), scans=(result,)), replace(result, rounds=9))[0].rounds == 9


@pytest.mark.parametrize("value", [2e-4, float("nan")])
def test_other_numbers_are_not_met(value: float):
    result = _result("assoc-1000", 20.0, apart={"p_wald": value, "variants": 9.0})
    assert scans.verdict(result, result.peers[0]).met == "no: other numbers"


def test_too_slow_too_much_memory_and_a_stopped_gemma():
    result = _result("assoc-1000", 10.0)
    assert scans.verdict(result, result.peers[0]).met == "no"
    stopped = replace(result.peers[3], status=Status.TIMED_OUT, stopped_after=1_200.0)
    result = replace(result, peers=(*result.peers[:3], stopped))
    assert scans.ratio(result, result.peers[0]) == (3.0 / 1_200.0, True)
    assert "| under 0.0025 |" in markdown(Report({}, (), scans=(result,)))
    alone = replace(result, peers=result.peers[:3])
    assert scans.verdict(alone, alone.peers[0]).met == "not known: nothing to compare"
    failed = replace(alone, peers=(replace(alone.peers[0], status=Status.FAILED),))
    assert scans.verdict(failed, failed.peers[0]).met == "no: failed"
    slice_ = _result("assoc-biobank", 0.0)
    assert scans.verdict(slice_, slice_.peers[0]).met == "must"
    slice_ = replace(slice_, peers=(replace(slice_.peers[0], peak_rss_mb=4.1 * 1024),))
    assert scans.verdict(slice_, slice_.peers[0]).met == "no: memory"
    assert "| assoc-biobank | lmmpy | 250 s | 500 µs | – | 300 s, 4 GiB | no: memory |" in markdown(
        Report({}, (), scans=(slice_,))
    )


def test_linkage_is_judged_by_the_position():
    task = scans.TASKS["linkage-family"]
    lods = scans._solar().reply.varcomp["compared"]["LOD"]
    reply = Reply(0.03, 1.0, [], None, {"compared": {"LOD": lods}}, None, [])
    ours = PeerResult("lmmpy", Status.OK, "", (0.0315,), 0.03, reply)
    result = ProblemResult(task.problem, 398, {}, 1, (ours, scans._solar()))
    found = scans.verdict(result, ours)
    assert (found.measured, found.met) == (pytest.approx(0.0015), "must")
    page = markdown(Report({}, (), scans=(result,)))
    assert "| linkage-family | lmmpy | 31.5 ms | 1.5 ms | 0.02 | 2 ms each | must | LOD 0.0e+00 | – |" in page
    assert "given, not measured here: 75 ms a position" in page
    reply = replace(reply, varcomp={"compared": {"LOD": [lods[0] + 0.003, *lods[1:]]}})
    result = replace(result, peers=(replace(ours, reply=reply), result.peers[1]))
    assert scans.verdict(result, result.peers[0]).met == "no: other numbers"


def test_what_is_asked_and_what_is_to_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scans, "missing_gemma", lambda: "no gemma")  # so that no relatedness is made
    assert {row.what for task in scans.TASKS.values() for row in task.rows} == set(bench_scans.CALLS)
    assert set(scans.TASKS) <= set(NAMES)
    assert {"assoc-1000", "assoc-biobank", scan_growth.NAME} <= HEAVY
    targets = {row.label: row.target.must for row in scans.TASKS["assoc-4000"].rows}
    assert targets == {"exact": 0.2, "score": 0.02, "score and null": 0.02}
    task = replace(scans.TASKS["assoc-4000"], cohort=lambda: Cohort(tmp_path / "c"))
    exact, _, _, gemma = task.peers(tmp_path)
    assert exact.command[3:] == ("exact", str(tmp_path / "c"), str(tmp_path / "exact.npz"))
    assert gemma.command[2:] == ("benchmarks.bench_gemma_scan", str(tmp_path / "c"), str(tmp_path / "gemma.npz"))
    assert exact.missing() == gemma.missing() == "no gemma"


# ---- growth


def test_scans_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan_growth, "VARIANTS", 60)
    monkeypatch.setattr(scan_growth, "PEOPLE", 40)
    scan_growth._related.cache_clear()
    monkeypatch.setattr(growth, "SHORT", 0.0)  # each size once
    lines = [replace(line, first=80, last=160) for line in scan_growth.LINES]
    found = list(growth.measure(lines, 1_000.0))
    scan_growth._related.cache_clear()
    assert [[(p.n, p.q) for p in line.points] for line in found] == [
        *[[(40, 80), (40, 160)]] * 2,
        *[[(80, 60), (160, 60)]] * 2,
    ]


def test_the_page_has_the_growth_and_reads_it_again(tmp_path: Path):
    points = tuple(Point(2_000, m, m / 1_000, 0.01) for m in (1_000, 2_000, 4_000))
    people = tuple(Point(n, 10_000, (n / 1_000) ** 2, 0.01) for n in (500, 1_000, 2_000))
    lines = (Measured("a", "f", "q", "1", points), Measured("b", "f", "n", "2 to 3", people))
    scanned = _result("assoc-1000", 20.0)
    report = Report({}, (), scans=(scanned,), scan_growth=lines)
    write(report, tmp_path / "RESULTS.md")
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| a | variants | 1,000 to 4,000 | 4 s | 1.00 | 1 |" in page
    assert "| b | people | 500 to 2,000 | 4 s | 2.00 | 2 to 3 |" in page
    assert (tmp_path / "scan-growth.svg").exists()
    again = read(tmp_path / "RESULTS.md")
    assert again.scan_growth == lines
    assert again.scans == (scanned,)


def test_the_picture_of_scans_has_one_row(tmp_path: Path):
    points = tuple(Point(n, 1, n / 1_000, 0.0) for n in (1_000, 2_000))
    draw((Measured("one", "f", "n", "1", points),), tmp_path / "s.svg", SCANS, WHAT_OF_SCANS)
    drawn = (tmp_path / "s.svg").read_text(encoding="utf-8")
    assert drawn.count('id="axes_') == 2
    assert isinstance(scan_growth.LINES[0], Line)
