"""The machinery of the study of scans, on a few studies; the study itself is stored."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.random import default_rng
from scipy import integrate, optimize, stats

import benchmarks.scan_power.run as study_run
import lmmpy as lmm
from benchmarks.pages import page_with
from benchmarks.scan_power import __main__ as command
from benchmarks.scan_power.designs import KIN, SETTINGS, Family, draw_trait, draw_two_traits, family, seed_of
from benchmarks.scan_power.plot import ASSOCIATION, LINKAGE, STRUCTURE, TWO, tails
from benchmarks.scan_power.report import BEGIN, PAGE, RESULTS, TESTS, tables
from benchmarks.scan_power.run import COLUMNS, Studies, structured_counts
from benchmarks.scan_power.store import LODS, lod_of, measures, p_values
from benchmarks.scan_power.theory import (
    association_power,
    by_families,
    expected_lod,
    locus_information,
    lod_power,
    snp_information,
)
from lmmpy.errors import DataError
from lmmpy.markers import DroppedGenes, drop_genes
from lmmpy.scan import blocks_of


@pytest.fixture(scope="module")
def who() -> Family:
    return family()


@pytest.fixture(scope="module")
def genes(who: Family) -> DroppedGenes:
    return drop_genes(who.pedigree, 3, 1)


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def _dense(genes: DroppedGenes, number: int) -> np.ndarray:
    """The sharing at a locus, by comparing alleles."""
    own = genes.alleles[number]
    return 0.5 * (own[:, None, :, None] == own[None, :, None, :]).sum(axis=(2, 3))


def _studies(name: str, start: int, stop: int) -> pd.DataFrame:
    return Studies(name)(replace(blocks_of(stop, stop)[0], start=start))


# ---- what is drawn


def test_the_people_are_those_of_the_family_study(who: Family) -> None:
    assert who.n == len(who.pedigree) == 398
    assert who.families.max() + 1 == 21
    np.testing.assert_array_equal(who.frame["ID"].astype(str), who.pedigree.ids)
    np.testing.assert_allclose(who.root @ who.root.T, who.relationships, atol=1e-8)


def test_a_study_is_that_of_its_number() -> None:
    both, second = _studies("linkage", 0, 2), _studies("linkage", 1, 2)
    pd.testing.assert_frame_equal(both[both["study"] == 1].reset_index(drop=True), second)
    assert not np.array_equal(both.loc[both["study"] == 0, "lod"], second["lod"])


@pytest.mark.parametrize("two", [False, True])
def test_effects_of_a_locus_have_the_covariance_of_its_sharing(who: Family, genes: DroppedGenes, two: bool) -> None:
    setting = replace(SETTINGS["share 0.2"], h2=0.2, two_alleles=two)
    generator = default_rng(2)
    trait = np.array([draw_trait(setting, genes, None, generator) for _ in range(3000)])
    V = 0.2 * _dense(genes, 0) + 0.8 * np.eye(who.n)
    few = slice(0, 40)
    error = np.sqrt((np.outer(np.diag(V), np.diag(V)) + V**2) / len(trait))[few, few]
    assert np.abs((trait[:, few].T @ trait[:, few] / len(trait) - V[few, few]) / error).max() < 5.0


def test_households_and_relatives_are_alike(who: Family, genes: DroppedGenes) -> None:
    generator = default_rng(3)
    trait = np.array([draw_trait(SETTINGS["linkage, household"], genes, None, generator) for _ in range(3000)])
    same = who.households[:, None] == who.households[None, :]
    V = 0.4 * who.relationships + 0.2 * same + 0.4 * np.eye(who.n)
    few = slice(0, 40)
    error = np.sqrt((np.outer(np.diag(V), np.diag(V)) + V**2) / len(trait))[few, few]
    assert np.abs((trait[:, few].T @ trait[:, few] / len(trait) - V[few, few]) / error).max() < 5.0


def test_two_traits_have_their_correlations(who: Family) -> None:
    generator = default_rng(4)
    trait = np.array([draw_two_traits(SETTINGS["two traits"], generator) for _ in range(300)])
    assert np.corrcoef(trait.reshape(-1, 2).T)[0, 1] == pytest.approx(0.5, abs=0.01)
    assert trait.var() == pytest.approx(1.0, abs=0.02)


def test_populations_differ_and_families_inherit(who: Family, genes: DroppedGenes) -> None:
    population = (who.families % 2).astype(int)
    many = drop_genes(who.pedigree, 2000, 5)
    counts = structured_counts(many.alleles, many.n_founder_alleles, population, default_rng(6))
    ids = {id: i for i, id in enumerate(who.pedigree.ids)}
    child = next(i for i, mother in enumerate(lmm.datasets.load("family_pedigree")["MO"]) if mother)
    father, mother = (ids[str(lmm.datasets.load("family_pedigree")[side][child])] for side in ("FA", "MO"))
    assert np.all(counts[child] <= (counts[father] > 0).astype(int) + (counts[mother] > 0))
    assert np.all(counts[child] >= (counts[father] == 2).astype(int) + (counts[mother] == 2))
    frequency = np.array([counts[population == k].mean(axis=0) / 2.0 for k in (0, 1)])
    mean = frequency.mean(axis=0)
    # E(p₀ − p₁)² = 2 F p(1 − p), and what drawing founders adds
    apart = ((frequency[0] - frequency[1]) ** 2).sum() / (2.0 * mean * (1.0 - mean)).sum()
    assert 0.05 < apart < 0.08


# ---- theory


def test_blocks_of_families_are_the_covariance(who: Family, genes: DroppedGenes) -> None:
    dense, blocks = _dense(genes, 0), by_families(genes.ibd.pairs(0))
    for number in range(21):
        own = np.flatnonzero(who.families == number)
        np.testing.assert_array_equal(blocks[number, : len(own), : len(own)], dense[np.ix_(own, own)])
        assert not blocks[number, len(own) :].any()


def test_information_of_a_locus_is_the_divergence_of_the_nearest_model(who: Family, genes: DroppedGenes) -> None:
    setting = SETTINGS["share 0.3"]
    V1 = 0.3 * _dense(genes, 0) + 0.2 * who.relationships + 0.5 * np.eye(who.n)

    def divergence(log_sd: np.ndarray) -> float:
        V0 = np.exp(2.0 * log_sd[0]) * who.relationships + np.exp(2.0 * log_sd[1]) * np.eye(who.n)
        trace = np.trace(np.linalg.solve(V0, V1))
        return trace - who.n + np.linalg.slogdet(V0)[1] - np.linalg.slogdet(V1)[1]

    found = optimize.minimize(divergence, np.log([0.7, 0.7]), method="Nelder-Mead", options={"fatol": 1e-7})
    assert locus_information(setting, genes.ibd.pairs(0)) == pytest.approx(found.fun, abs=1e-5)


def test_there_is_no_information_in_a_locus_without_share(genes: DroppedGenes) -> None:
    assert locus_information(SETTINGS["linkage"], genes.ibd.pairs(0)) == pytest.approx(0.0, abs=1e-8)


def test_information_of_a_snp_is_what_generalised_least_squares_has(who: Family) -> None:
    setting, generator = SETTINGS["effect 0.02"], default_rng(7)
    X, g = np.column_stack([np.ones(who.n), generator.normal(size=who.n)]), generator.normal(size=who.n)
    V = 0.48 * who.relationships + 0.5 * np.eye(who.n)
    W = np.column_stack([X, g])
    variance = np.linalg.inv(W.T @ np.linalg.solve(V, W))[-1, -1]
    assert snp_information(setting, X, g) == pytest.approx(0.02 / (2.0 * 0.3 * 0.7) / variance, rel=1e-9)


@pytest.mark.parametrize("information", [0.0, 0.5, 9.0])
def test_expected_lod_is_the_mean(information: float) -> None:
    mean = integrate.quad(lambda z: z**2 * stats.norm.pdf(z - math.sqrt(information)), 0.0, 20.0)[0]
    assert expected_lod(np.array([information])) == pytest.approx(mean / (2.0 * math.log(10.0)), rel=1e-6)


def test_power_without_anything_is_the_level() -> None:
    nothing = np.zeros(3)
    assert lod_power(nothing, LODS[0]) == pytest.approx(0.05)
    assert lod_power(nothing, LODS[1]) == pytest.approx(0.01)
    assert association_power(nothing, 394, 0.01) == pytest.approx(0.01)


def test_power_of_a_known_non_centrality() -> None:
    z = stats.norm.isf(0.025)
    expected = stats.norm.sf(z - 3.0) + stats.norm.cdf(-z - 3.0)
    assert association_power(np.array([9.0]), 10**7, 0.05) == pytest.approx(expected, rel=1e-4)


# ---- studies


def test_lods_are_those_of_two_fits(who: Family) -> None:
    setting = SETTINGS["share 0.3"]
    found = _studies("share 0.3", 0, 1)
    generator = default_rng(seed_of("share 0.3", 0))
    genes = drop_genes(who.pedigree, 1, generator)
    frame = who.frame.assign(y=draw_trait(setting, genes, None, generator))
    relmat = {"pedigree": who.pedigree}
    null = lmm.lmer(KIN, frame, reml=False, relmat=relmat)
    relmat["ibd"] = genes.ibd.relatedness(0)
    alternative = lmm.lmer(f"{KIN} + kin(ID, ibd)", frame, reml=False, relmat=relmat)
    lod = (alternative.loglik - null.loglik) / math.log(10.0)
    assert found["lod"].tolist() == pytest.approx([lod], abs=1e-6)


def test_ordinary_regression_is_that(who: Family) -> None:
    generator = default_rng(8)
    X, G = np.column_stack([np.ones(50), generator.normal(size=50)]), generator.normal(size=(50, 2))
    y = generator.normal(size=50)
    for j, p in enumerate(study_run._lm(y, X, G)):
        W = np.column_stack([X, G[:, j]])
        beta, left = np.linalg.lstsq(W, y, rcond=None)[:2]
        error = math.sqrt(float(left[0]) / 47.0 * np.linalg.inv(W.T @ W)[-1, -1])
        assert p == pytest.approx(2.0 * stats.t.sf(abs(beta[-1]) / error, 47))


@pytest.mark.parametrize("name", ["SNPs", "effect 0.04", "structure"])
def test_studies_of_association(name: str) -> None:
    found = _studies(name, 0, 1)
    assert len(found) == SETTINGS[name].items
    tests = p_values(SETTINGS[name], found)
    assert set(tests) <= set(TESTS)
    for p in tests.values():
        assert np.all((p >= 0.0) & (p <= 1.0))
    if SETTINGS[name].kind == "association":  # all of them but ordinary regression ask the same
        together = np.log10(found[["score", "wald_at_null", "lrt_at_null", "wald", "lrt"]])
        assert (together.max(axis=1) - together.min(axis=1)).max() < 0.5


def test_a_refusal_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise DataError("there is\nnothing")

    monkeypatch.setitem(study_run.KINDS, "linkage", refuse)
    table = pd.concat([_studies("linkage", 0, 3)])
    assert table["item"].tolist() == [-1, -1, -1]
    assert set(table["said"]) == {"DataError: there is nothing"}


# ---- counts


def _toy(lods: np.ndarray, columns: dict[str, Any] | None = None) -> pd.DataFrame:
    """A table of linkage, a row of LODs for each study."""
    studies, items = lods.shape
    table = pd.DataFrame({name: np.zeros(studies * items) for name in COLUMNS["linkage"]})
    frame = pd.DataFrame({"study": np.repeat(range(studies), items), "item": list(range(items)) * studies})
    said = {"warned": False, "converged": True, "said": ""}
    return frame.join(table).assign(lod=lods.ravel(), **said, **(columns or {}))


def test_rates_of_lods_whose_law_is_known() -> None:
    z = default_rng(9).standard_normal((2000, 5))
    lods = np.maximum(z, 0.0) ** 2 / (2.0 * math.log(10.0))
    found = measures(SETTINGS["linkage"], _toy(lods))
    rates = list(found["tests"]["lod"]["rates"].values())
    for level, rate in zip((0.05, 0.01), rates, strict=False):
        assert rate["rate"] == pytest.approx(level, abs=4.0 * rate["error"])
        assert rate["error"] == pytest.approx(math.sqrt(level * (1.0 - level) / z.size), rel=0.15)
    assert found["LOD zero"]["rate"] == pytest.approx(0.5, abs=0.02)
    part, observed = found["tests"]["lod"]["tail"][-1]
    assert observed == pytest.approx(part, rel=1.0)


def test_items_of_a_study_that_are_alike_count_once() -> None:
    z = default_rng(10).standard_normal((500, 1))
    lods = np.repeat(np.maximum(z, 0.0) ** 2, 8, axis=1)
    rate = measures(SETTINGS["linkage"], _toy(lods))["LOD zero"]
    assert rate["error"] == pytest.approx(math.sqrt(0.25 / 500), rel=0.05)


def test_a_lod_of_zero_has_no_small_p_value() -> None:
    p = p_values(SETTINGS["linkage"], _toy(np.array([[0.0, 1e-9, LODS[0], 3.0]])))["lod"]
    assert p.tolist() == pytest.approx([1.0, 1.0, 0.05, 1.0083e-4], rel=1e-4)
    assert lod_of(p[2:]).tolist() == pytest.approx([LODS[0], 3.0])


def test_refusals_are_counted_and_are_no_rates() -> None:
    table = _toy(np.array([[1.0, 0.0], [0.0, 0.0]]))
    refused = table.head(1).assign(study=2, item=-1, lod=math.nan, said="no")
    found = measures(SETTINGS["linkage"], pd.concat([table, refused], ignore_index=True))
    assert (found["studies"], found["happened"]["refused"], found["happened"]["said"]) == (3, 1, ["no"])
    assert found["tests"]["lod"]["n"] == 4
    assert found["tests"]["lod"]["rates"]["LOD 0.59"]["rate"] == 0.25


def test_studies_that_are_kept_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = command.simulate(tmp_path, "share 0.1", 2)
    monkeypatch.setattr(study_run, "_study", lambda *_: pytest.fail("it simulates"))
    again = command.simulate(tmp_path, "share 0.1", 2)
    pd.testing.assert_frame_equal(made, again)


# ---- the page


def test_the_page_has_the_tables_of_the_stored_counts(stored) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with(text, tables(stored), BEGIN) == text


def test_the_stored_study_is_of_these_settings(stored) -> None:
    assert list(stored["settings"]) == list(SETTINGS)
    for name, setting in SETTINGS.items():
        found, words = stored["settings"][name], stored["setting"]["settings"][name]
        assert (found["studies"], found["items"]) == (setting.studies, setting.items)
        assert {key: getattr(setting, key) for key in words} == words


@pytest.mark.parametrize("name", ["linkage, household", "share 0.2", "effect 0.02", "structure"])
def test_the_first_study_is_what_was_stored(stored, name: str) -> None:
    first, found = stored["settings"][name]["first"], _studies(name, 0, 1)
    for column, values in first.items():
        expected = [math.nan if value is None else value for value in values]
        assert found[column].tolist()[: len(values)] == pytest.approx(expected, rel=1e-3, abs=1e-5, nan_ok=True)


def test_every_line_of_the_picture_is_there(stored) -> None:
    drawn = [list(found) for _, found in tails(stored)]
    assert drawn == [list(words.values()) for words in (LINKAGE, TWO, ASSOCIATION, STRUCTURE)]


def test_the_report_simulates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(command, "simulate", lambda *_: pytest.fail("it simulates"))
    assert command.main(["--report", "--page", str(tmp_path / "page.md")]) == 0
    assert "LOD zero (50 %)" in (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "<svg" in (tmp_path / "page.svg").read_text(encoding="utf-8")
