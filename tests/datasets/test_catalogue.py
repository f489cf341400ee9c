"""Names, descriptions and errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmmpy import datasets

TIMES = "\N{MULTIPLICATION SIGN}"
ROOM = Path(__file__).parents[2] / "lmmpy" / "datasets"


def test_names() -> None:
    assert datasets.names() == [
        "sleepstudy", "Penicillin", "Dyestuff", "Dyestuff2", "Pastes", "cake", "cbpp", "InstEval", "VerbAgg",
        "grouseticks", "Arabidopsis", "Orthodont", "Oats", "Machines", "ergoStool", "sire",
        "mrode", "calves", "family", "family_pedigree", "family_genotypes", "family_ibd",
    ]  # fmt: skip


def test_names_are_the_callers_own_list() -> None:
    datasets.names().clear()
    assert "sleepstudy" in datasets.names()


@pytest.mark.parametrize("name", datasets.names())
def test_every_set_is_described_and_cited(name: str) -> None:
    info = datasets.describe(name)
    assert info.name == name
    assert info.title and info.source
    assert all(column.description for column in info.columns)
    for column in info.columns:
        assert bool(column.levels) == (column.type in ("factor", "ordered"))
        assert len(set(column.levels)) == len(column.levels)


def test_source_names_package_and_version() -> None:
    assert datasets.describe("sleepstudy").source.endswith("as in R's lme4 1.1-31")
    assert datasets.describe("Oats").source.endswith("as in R's nlme 3.1-162")
    assert "Belenky" in datasets.describe("sleepstudy").source


def test_readme_lists_every_set_with_its_size() -> None:
    readme = (ROOM / "README.md").read_text(encoding="utf-8")
    listed = [line.split("|")[1:4] for line in readme.splitlines() if line.startswith("| `")]
    expected = []
    for info in map(datasets.describe, datasets.names()):
        package = info.source.rpartition("as in R's ")[2] if "as in R's" in info.source else "made here"
        expected.append([f" `{info.name}` ", f" {info.n_rows} {TIMES} {len(info.columns)} ", f" {package} "])
    assert listed == expected


def test_no_data_file_is_missing_or_left_over() -> None:
    files = {path.name for path in (ROOM / "data").iterdir()}
    assert files == {"index.json", *(datasets.describe(name).file for name in datasets.names())}


def test_description_prints_as_a_table() -> None:
    text = str(datasets.describe("Oats"))
    assert text == repr(datasets.describe("Oats"))
    title, size, gap, block, *_, crop, below, source = text.splitlines()
    assert title == "Oats: Oat varieties and nitrogen, a split-plot experiment"
    assert size == "72 rows, 4 columns"
    assert gap == below == ""
    assert block == "  Block    ordered: VI < V < III < IV < II < I     block; by increasing largest yield"
    assert crop == "  yield    number [bushels/acre]                   yield of the sub-plot"
    assert source.startswith("Source: Yates (1935)")


def test_many_levels_are_cut_short_in_print() -> None:
    text = str(datasets.describe("InstEval"))
    assert "factor: 1 2 3 ... (2972 levels)" in text
    assert len(text) < 1500


def test_descriptions_cannot_be_changed() -> None:
    info = datasets.describe("cake")
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.title = "other"  # type: ignore[misc]


@pytest.mark.parametrize(("asked", "found"), [("SLEEPSTUDY", "sleepstudy"), ("insteval", "InstEval")])
def test_case_does_not_matter(asked: str, found: str) -> None:
    assert datasets.describe(asked) is datasets.describe(found)


@pytest.mark.parametrize("ask", [datasets.load, datasets.describe])
def test_unknown_name_lists_close_ones(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(datasets.UnknownDatasetError) as caught:
        ask("Dyestuf")
    message = str(caught.value)
    assert message.startswith("no data set is called 'Dyestuf'; did you mean 'Dyestuff' or 'Dyestuff2'")
    assert isinstance(caught.value, KeyError)


def test_unknown_name_without_close_ones_lists_all() -> None:
    with pytest.raises(datasets.UnknownDatasetError) as caught:
        datasets.load("xyzzy")
    assert all(name in str(caught.value) for name in datasets.names())
