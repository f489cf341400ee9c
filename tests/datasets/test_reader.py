"""From CSV text to typed columns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lmmpy import datasets
from lmmpy.datasets import ColumnInfo, DatasetInfo
from lmmpy.datasets.reader import parse

TOY = DatasetInfo(
    name="toy",
    title="one column of each type",
    source="made for this test",
    n_rows=3,
    columns=(
        ColumnInfo("x", "number", "", "x"),
        ColumnInfo("n", "integer", "", "n"),
        ColumnInfo("f", "factor", "", "f", ("10", "9", "NA")),
        ColumnInfo("o", "ordered", "", "o", ("low", "high")),
        ColumnInfo("t", "text", "", "t"),
    ),
    file="toy.csv",
)
TOY_CSV = b"x,n,f,o,t\n2.7593052109181144,1,9,high,NA\n3,2,NA,low,010\n1e-3,3,10,low,\n"


def test_each_type() -> None:
    frame = parse(TOY_CSV, TOY)
    assert frame["x"].dtype == np.float64
    assert frame["n"].dtype == np.int64
    assert list(frame["t"]) == ["NA", "010", ""]
    assert list(frame["f"]) == ["9", "NA", "10"]
    assert list(frame["f"].cat.codes) == [1, 2, 0]
    assert not frame["f"].cat.ordered
    assert list(frame["o"].cat.categories) == ["low", "high"]
    assert frame["o"].cat.ordered


def test_numbers_keep_every_digit() -> None:
    numbers = np.random.default_rng(1).normal(size=300) * 10.0 ** np.arange(-150, 150)
    texts = [repr(x) for x in numbers.tolist()]
    info = dataclasses.replace(TOY, n_rows=300, columns=(TOY.columns[0],))
    frame = parse("\n".join(["x", *texts]).encode(), info)
    assert frame["x"].tolist() == numbers.tolist()


def test_categories_are_what_pandas_makes_of_a_list_of_str() -> None:
    subject = datasets.load("sleepstudy")["Subject"]
    expected = pd.Categorical(list(subject), categories=list(dict.fromkeys(subject)))
    assert subject.dtype == expected.dtype
    assert subject.cat.categories.dtype == expected.categories.dtype


def test_a_label_that_is_no_level_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"toy\.csv: column 'o' has labels that are no level: 'mid'"):
        parse(TOY_CSV.replace(b"high", b"mid"), TOY)


@pytest.mark.parametrize(
    "content",
    [TOY_CSV.replace(b"x,n,", b"z,n,"), TOY_CSV.rpartition(b"1e-3")[0]],
    ids=["columns", "rows"],
)
def test_another_shape_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"toy\.csv has . rows"):
        parse(content, TOY)


def test_an_empty_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="could not convert string to float"):
        parse(TOY_CSV.replace(b"\n3,", b"\n,"), TOY)


@pytest.mark.parametrize("name", ["sleepstudy", "VerbAgg"])
def test_each_call_gives_a_fresh_frame(name: str) -> None:
    first = datasets.load(name)
    before = first.copy(deep=True)
    first.iloc[:, 0] = first.iloc[::-1, 0].to_numpy()
    factor = next(c for c in first.columns if isinstance(first[c].dtype, pd.CategoricalDtype))
    first[factor] = first[factor].cat.rename_categories(lambda label: label + "!")
    assert not first.equals(before)
    pd.testing.assert_frame_equal(datasets.load(name), before)


def test_sire_is_the_example_of_six_records() -> None:
    sire = datasets.load("sire")
    assert sire["y"].tolist() == [9.0, 12.0, 11.0, 6.0, 7.0, 14.0]
    assert sire["env"].tolist() == ["1", "2", "1", "1", "1", "2"]
    assert sire["sire"].tolist() == ["a", "a", "b", "b", "c", "c"]


def test_sire_has_the_estimates_that_its_description_states() -> None:
    sire = datasets.load("sire")
    x, z = (pd.get_dummies(sire[c]).to_numpy(dtype=float) for c in ("env", "sire"))
    y = sire["y"].to_numpy()
    v = 2.0 * z @ z.T + 6.0 * np.eye(6)
    beta = np.linalg.solve(x.T @ np.linalg.solve(v, x), x.T @ np.linalg.solve(v, y))
    u = 2.0 * z.T @ np.linalg.solve(v, y - x @ beta)
    np.testing.assert_allclose(18 * beta, [148, 235], rtol=1e-12)
    np.testing.assert_allclose(18 * u, [-1, 2, -1], rtol=0, atol=1e-12)


def test_mrode_has_the_inbreeding_that_its_title_states() -> None:
    mrode = datasets.load("mrode")
    np.testing.assert_array_equal(np.diag(relationships(mrode)), [1, 1, 1, 1, 1.125, 1.125])


def test_calves_have_the_estimates_of_the_textbook() -> None:
    calves = datasets.load("calves")
    A = relationships(calves)
    recorded = calves["gain"].notna().to_numpy()
    x, y = pd.get_dummies(calves["sex"]).to_numpy(dtype=float)[recorded], calves["gain"].to_numpy()[recorded]
    v = 20.0 * A[np.ix_(recorded, recorded)] + 40.0 * np.eye(5)
    beta = np.linalg.solve(x.T @ np.linalg.solve(v, x), x.T @ np.linalg.solve(v, y))
    u = 20.0 * A[:, recorded] @ np.linalg.solve(v, y - x @ beta)
    np.testing.assert_allclose(beta, [4.358, 3.404], rtol=0, atol=6e-4)
    np.testing.assert_allclose(u, [0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183], rtol=0, atol=6e-4)


def relationships(frame: pd.DataFrame) -> np.ndarray:
    """A by recursion; parents come before their children."""
    A = np.eye(len(frame) + 1)
    A[0, 0] = 0.0  # who is not known
    for child, father, mother in zip(frame["ID"], frame["FA"], frame["MO"], strict=True):
        A[child, :child] = A[:child, child] = 0.5 * (A[father, :child] + A[mother, :child])
        A[child, child] = 1.0 + 0.5 * A[father, mother]
    return A[1:, 1:]


@pytest.mark.parametrize("name", ["family_pedigree", "calves", "mrode"])
def test_parents_are_in_their_pedigree_and_before_their_children(name: str) -> None:
    pedigree = datasets.load(name)
    assert pedigree["ID"].tolist() == list(range(1, len(pedigree) + 1))
    assert (pedigree[["FA", "MO"]].max(axis=1) < pedigree["ID"]).all()


def test_the_sex_of_the_family_study_is_that_of_its_pedigree() -> None:
    family, pedigree = datasets.load("family"), datasets.load("family_pedigree")
    assert family["ID"].equals(pedigree["ID"])
    assert (family["sex"].map({"male": 1, "female": 2}).astype("int64") == pedigree["SEX"]).all()


@pytest.mark.parametrize(
    ("name", "row", "values"),
    [
        ("cake", 1, ["1", "A", "185", 46, 185.0]),
        ("grouseticks", 2, ["3", 0.0, "502", 472.0, "95", "36", 9.7593052109181144]),
        ("Arabidopsis", 1, ["NL", "3.NL", 4, 1, 1, "clipped", "Petri.Plate", 0]),
        ("Oats", 0, ["I", "Victory", 0.0, 111.0]),
    ],
)
def test_rows_as_printed_by_r(name: str, row: int, values: list[object]) -> None:
    assert datasets.load(name).iloc[row].tolist() == values


def test_an_order_of_levels_that_no_sorting_gives() -> None:
    levels = datasets.load("InstEval")["dept"].cat.categories
    assert " ".join(levels) == "15 5 10 12 6 7 4 8 9 14 1 3 11 2"
