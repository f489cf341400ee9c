"""Benchmarks with relatedness: the pedigrees, the job file, and how lmmpy is judged beside each peer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import bench_gemma, bench_kin, kin, kin_growth, relatives
from benchmarks.client import Reply
from benchmarks.job import read_frame, read_job, read_matrix, read_pedigree, write_job
from benchmarks.pedigrees import DAIRY, PIGS, SHEEP, Animals, closed, livestock, nuclear_families, three_generations
from benchmarks.report import Report, as_json, markdown
from benchmarks.runner import PeerResult, ProblemResult, Status

MAKERS: dict[str, Callable[[int], Animals]] = {
    "dairy": lambda n: livestock(n, DAIRY, 1),
    "sheep": lambda n: livestock(n, SHEEP, 1),
    "pigs": lambda n: livestock(n, PIGS, 1),
    "closed": lambda n: closed(n, 10, 1),
    "nuclear": lambda n: nuclear_families(n, 2),
    "three generations": three_generations,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_parents_are_earlier_and_of_the_right_sex(make: Callable[[int], Animals]) -> None:
    animals = make(40_000)
    own = np.arange(len(animals))
    for parent, female in ((animals.father, False), (animals.mother, True)):
        known = parent >= 0
        assert known.any()
        assert np.all(parent[known] < own[known])
        assert np.all(animals.born[parent[known]] < animals.born[known])
        assert np.all(animals.female[parent[known]] == female)


@pytest.mark.parametrize("how", [DAIRY, SHEEP, PIGS], ids=["dairy", "sheep", "pigs"])
def test_livestock_is_bred_as_told(how) -> None:
    animals = livestock(80_000, how, 1)
    known = animals.mother >= 0
    assert np.all(animals.herd[animals.mother[known]] == animals.herd[known])
    age = animals.born[known] - animals.born[animals.mother[known]]
    assert (age.min(), age.max()) == (2, 1 + how.dam_years)
    age = animals.born[known] - animals.born[animals.father[known]]
    assert (age.min(), age.max()) == (2, 1 + how.sire_years)
    litters = pd.DataFrame({"m": animals.mother[known], "b": animals.born[known], "f": animals.father[known]})
    assert litters.groupby(["m", "b"])["f"].nunique().max() == 1


def test_a_pedigree_is_a_function_of_its_seed() -> None:
    first, again, other = (livestock(4_000, DAIRY, seed).father for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_breeding_values_have_the_covariance_of_the_pedigree() -> None:
    people = three_generations(11 * 20_000)
    g = relatives.breeding_values(people, np.random.default_rng(1)).reshape(-1, 11)
    found = np.cov(g.T)
    expected = {
        (0, 0): 1.0,
        (0, 1): 0.0,
        (0, 4): 0.5,
        (4, 5): 0.5,
        (0, 8): 0.25,
        (8, 9): 0.5,
        (5, 8): 0.25,
        (8, 8): 1.0,
    }
    for at, value in expected.items():
        assert found[at] == pytest.approx(value, abs=0.03)


@pytest.mark.parametrize("name", ["grm", "nuclear", "ped"])
def test_a_job_keeps_the_relatedness(name: str, tmp_path: Path) -> None:
    make = {
        "grm": lambda: relatives.genotyped(200, 1),
        "nuclear": lambda: relatives.families(40, 1),
        "ped": lambda: relatives.herds(2_000, DAIRY, 1),
    }[name]
    problem = kin._problem(name, "y ~ x + kin(id, K)", make, 1.0)
    job = read_job(write_job(problem, tmp_path).path)
    frame = read_frame(job)
    records = make()
    pd.testing.assert_frame_equal(frame, records.frame, check_categorical=False)
    if name == "ped":
        table = read_pedigree(job, frame).set_index("id")
        child = int(np.flatnonzero(records.animals.father >= 0)[0])
        assert table["father"].iloc[child] == f"i{records.animals.father[child] + 1}"
        assert pd.isna(table["mother"].iloc[0])
    else:
        dense = [m if isinstance(m, np.ndarray) else m.toarray() for m in (read_matrix(job, frame), records.matrix)]
        assert np.array_equal(*dense)


def test_gemmas_criterion_is_the_dense_one() -> None:
    rng = np.random.default_rng(3)
    G = rng.standard_normal((12, 20))
    K, X, y = G @ G.T / 20, np.column_stack([np.ones(12), rng.standard_normal(12)]), rng.standard_normal(12)
    V = 0.7 * K + 0.4 * np.eye(12)
    contrasts = np.linalg.svd(X.T)[2][2:]  # of y, free of β
    inner = contrasts @ V @ contrasts.T
    r = contrasts @ y
    plain = 10 * np.log(2 * np.pi) + np.linalg.slogdet(inner)[1] + r @ np.linalg.solve(inner, r)
    expected = plain + np.linalg.slogdet(X.T @ X)[1]
    assert bench_gemma.reml_criterion(y, X, K, 0.7, 0.4) == pytest.approx(expected, rel=1e-12)


def test_the_share_is_named_by_the_formula() -> None:
    assert bench_kin.heritability("y ~ x + kin(ped)") == "kin(ped) / (kin(ped) + Residual)"
    assert bench_kin.heritability("y ~ x + kin(id, K) + (1 | id)") == "kin(id, K) / (kin(id, K) + id + Residual)"


def test_two_traits_are_asked_for_their_genetic_correlation() -> None:
    asked = bench_kin.functions(kin.MODELS["traits-50000"].formula)
    assert asked == {
        "h2": "kin(ped).y1 / (kin(ped).y1 + Residual)",
        "h2_of_the_other": "kin(ped).y2 / (kin(ped).y2 + Residual.y2)",
        "rg": "kin(ped).y2.y1 / sqrt(kin(ped).y1 * kin(ped).y2)",
    }
    assert bench_kin.functions("y ~ x + kin(ped)") == {"h2": bench_kin.heritability("y ~ x + kin(ped)")}


def test_a_job_of_two_traits_keeps_what_is_missing(tmp_path: Path) -> None:
    records = relatives.two_traits(4_000, DAIRY, 1)
    problem = replace(kin.MODELS["traits-50000"], data=lambda: records.frame, relatives=lambda: records)
    job = read_job(write_job(problem, tmp_path).path)
    frame = read_frame(job)
    pd.testing.assert_frame_equal(frame, records.frame, check_categorical=False)
    assert frame.isna().mean()[["y1", "y2"]].to_numpy() == pytest.approx(relatives.MISSING, abs=0.02)
    with pytest.raises(ValueError, match="column y1 has missing values"):
        write_job(replace(problem, incomplete=("y2",)), tmp_path)


def _result(name: str, **seconds: float) -> ProblemResult:
    def peer(who: str, took: float) -> PeerResult:
        reply = Reply(took, 10.0, [1.0], None, None, 100.0, [])
        return PeerResult(who, Status.OK, seconds=(took,), warmup=took, reply=reply, peak_rss_mb=100.0)

    return ProblemResult(kin.MODELS[name], 1_000, {"id": 1_000}, 1, tuple(peer(*item) for item in seconds.items()))


def test_each_peer_has_a_target_of_its_own() -> None:
    result = _result("grm-1000", lmmpy=0.9, lme4qtl=10.0, GEMMA=1.0)
    ours, slow, fast = result.peers
    assert kin.verdict(result, ours) is None
    assert kin.verdict(result, slow).met == "no"  # 0.09 beside 0.05
    assert kin.verdict(result, fast).met == "must"
    assert [kin.ratio(result, peer) for peer in result.peers] == [None, pytest.approx(0.09), pytest.approx(0.9)]
    page = markdown(Report({}, (), kin=(result,)))
    assert "| grm-1000 | lme4qtl | 10 s | 0.09 | 0.05 | no |" in page
    assert '"verdicts"' in as_json(Report({}, (), kin=(result,)))


def test_a_criterion_short_of_the_peers_is_not_met() -> None:
    result = _result("grm-1000", lmmpy=0.1, GEMMA=1.0)
    ours = replace(result.peers[0], reply=replace(result.peers[0].reply, criterion=10.1))
    result = replace(result, peers=(ours, result.peers[1]))
    assert kin.verdict(result, result.peers[1]).met == "no: short of the optimum"


def test_large_pedigrees_have_seconds_and_memory() -> None:
    found = {name: (p.target.must, p.target.memory_gib) for name, p in kin.MODELS.items() if p.target}
    assert found == {
        "ped-100000": (10.0, 2.0),
        "ped-1000000": (300.0, 16.0),
        "repeated-50000x3": (10.0, None),
        "traits-50000": (60.0, 4.0),
    }
    result = _result("ped-100000", lmmpy=4.0)
    assert kin.verdict(result, result.peers[0]).met == "must"


@pytest.mark.parametrize("line", kin_growth.LINES, ids=[line.name for line in kin_growth.LINES])
def test_growing_pedigrees_have_a_row_for_each_animal(line) -> None:
    rows = line.make(line.first)
    assert rows["id"].is_unique
    assert len(rows) == pytest.approx(line.first, rel=0.11)
    assert set(rows["father"].dropna()) <= set(rows["id"])
    assert rows["father"].notna().any()
