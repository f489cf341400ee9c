"""Pedigrees: the textbook's, R's, random ones against the tabular method; reading, and what cannot be."""

import copy
import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmpy.errors import DataError
from lmmpy.relatedness import Pedigree, as_relatedness
from lmmpy.relatedness.inbreeding import _Work
from tests.relatedness.naive_pedigree import random_pedigree, tabular

REFERENCE = Path(__file__).parents[1] / "reference"
EXACT = {"rtol": 0.0, "atol": 1e-12}


def read(name):
    folder = REFERENCE / "pedigree"
    opened = (
        gzip.open(folder / f"{name}.json.gz")
        if (folder / f"{name}.json.gz").exists()
        else open(folder / f"{name}.json")
    )
    with opened as file:
        stored = json.load(file)
    data = next((folder / "data").glob(f"{name}.csv*"))
    frame = pd.read_csv(data, dtype=str)
    return Pedigree.from_frame(frame, "id", "sire", "dam"), stored


def pairs(name):
    path = next((REFERENCE / "pedigree").glob(f"{name}.csv*"))
    return pd.read_csv(path, dtype={"i": str, "j": str})


@pytest.mark.parametrize("name", ["ped_mrode6", "ped_edit14", "ped_siminbred760"])
def test_figures_of_r(name):
    pedigree, stored = read(name)
    A = pedigree.additive()
    ids = stored["id"]
    at = A.positions(ids)
    np.testing.assert_allclose(pedigree.inbreeding()[ids], stored["F"], **EXACT)
    np.testing.assert_allclose(A.diagonal()[at], 1.0 + np.array(stored["F"]), **EXACT)
    np.testing.assert_allclose(A.form.descent.D[at], stored["Dmat"], **EXACT)
    assert A.logdet == pytest.approx(stored["logdetA"], rel=1e-13)
    assert A.precision.nnz == stored["nnzAinv"]
    table = pairs(f"{name}_Ainv")
    found = A.precision.toarray()[A.positions(table.i), A.positions(table.j)]
    np.testing.assert_allclose(found, table.value, rtol=1e-13)
    np.testing.assert_allclose(A.dense() @ A.precision.toarray(), np.eye(A.size), atol=1e-11)


@pytest.mark.parametrize("name", ["ped_mrode6_A", "ped_mrode6_Asub", "ped_edit14_A"])
def test_entries_of_r(name):
    A = read(name.rsplit("_", 1)[0])[0].additive()
    table = pairs(name)
    np.testing.assert_allclose(A.dense()[A.positions(table.i), A.positions(table.j)], table.value, **EXACT)


def test_mrode_by_hand():
    A = Pedigree(range(1, 7), [0, 0, 1, 1, 4, 5], [0, 0, 2, 0, 3, 2]).additive()
    expected = [
        [1, 0, 0.5, 0.5, 0.5, 0.25],
        [0, 1, 0.5, 0, 0.25, 0.625],
        [0.5, 0.5, 1, 0.25, 0.625, 0.5625],
        [0.5, 0, 0.25, 1, 0.625, 0.3125],
        [0.5, 0.25, 0.625, 0.625, 1.125, 0.6875],
        [0.25, 0.625, 0.5625, 0.3125, 0.6875, 1.125],
    ]
    assert A.labels == ("1", "2", "3", "4", "5", "6")
    np.testing.assert_array_equal(A.dense(), expected)


def test_henderson_rules_by_hand():
    # One child of two founders: D = ½, so that 2 [½ ½ −1]ᵀ[½ ½ −1] is added to the founders' ones.
    trio = Pedigree(["c", "f", "m"], ["f", 0, 0], ["m", 0, 0]).additive()
    np.testing.assert_array_equal(trio.precision.toarray(), [[1.5, 0.5, -1], [0.5, 1.5, -1], [-1, -1, 2]])
    assert trio.labels == ("f", "m", "c")
    # Of one known parent D = ¾.
    half = Pedigree(["c", "f"], ["f", 0], [0, 0]).additive()
    np.testing.assert_allclose(half.precision.toarray(), [[1 + 1 / 3, -2 / 3], [-2 / 3, 4 / 3]], rtol=1e-15)
    assert half.logdet == pytest.approx(np.log(0.75))


@pytest.mark.parametrize(("name", "column"), [("additive", "A"), ("x_linked", "X")])
def test_kinship_of_the_family_study(name, column):
    pedigree = Pedigree.from_frame(pd.read_csv(REFERENCE / "family" / "pedigree.csv"))
    table = pd.read_csv(REFERENCE / "family" / "kinship2.csv")
    K = getattr(pedigree, name)()
    i, j = K.positions(table.id1), K.positions(table.id2)
    dense = K.dense()
    np.testing.assert_allclose(dense[i, j], table[column], **EXACT)
    listed = np.zeros_like(dense, dtype=bool)
    listed[i, j] = listed[j, i] = True
    assert not dense[~listed].any()
    assert K.size == 396 and len(pedigree) == 398
    assert K.positions([56])[0] == K.positions(["57"])[0]
    assert K.id == "ID"


@st.composite
def pedigrees(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return random_pedigree(rng, draw(st.integers(2, 40)), draw(st.sampled_from([0.0, 0.1, 0.4]))), rng


def written(ped, rng):
    """As a user has it: rows in any order."""
    order = rng.permutation(ped.n)
    return Pedigree(*([column[i] for i in order] for column in ped.columns()))


@given(pedigrees())
def test_random_pedigrees(drawn):
    ped, rng = drawn
    pedigree = written(ped, rng)
    A = pedigree.additive()
    naive = tabular(ped)
    at = A.positions(ped.ids)
    dense = A.dense()
    np.testing.assert_allclose(dense[np.ix_(at, at)], naive, **EXACT)
    np.testing.assert_allclose(A.block(at, at), naive, **EXACT)
    np.testing.assert_allclose(A.block(at[:1], at), naive[:1], **EXACT)
    np.testing.assert_allclose(pedigree.inbreeding()[ped.ids], naive.diagonal() - 1.0, **EXACT)
    V = rng.standard_normal((A.size, 3))
    np.testing.assert_allclose(A.times(V), dense @ V, atol=1e-11)
    np.testing.assert_allclose(A.times(V[:, 0]), dense @ V[:, 0], atol=1e-11)
    np.testing.assert_allclose(A.factor() @ A.factor().T, dense, atol=1e-12)
    assert A.logdet == pytest.approx(np.linalg.slogdet(dense)[1], abs=1e-9)
    P = A.precision
    assert P.has_sorted_indices and P.indices.dtype == np.int32
    assert all((np.diff(P.indices[a:b]) > 0).all() for a, b in zip(P.indptr[:-1], P.indptr[1:], strict=True))
    np.testing.assert_allclose(P.toarray() @ dense, np.eye(A.size), atol=1e-9)
    related = A.components()[:, None] == A.components()
    assert not dense[~related].any()


@given(pedigrees())
def test_pruning_leaves_what_is_asked_for(drawn):
    ped, rng = drawn
    A = written(ped, rng).additive()
    some = rng.choice(ped.ids, int(rng.integers(1, ped.n + 1)), replace=False)
    naive = tabular(ped)[np.ix_(*[[ped.ids.index(i) for i in some]] * 2)]
    kept = A.for_levels(some)
    at = kept.positions(some)
    assert kept.is_sparse and kept.size <= A.size
    np.testing.assert_allclose(kept.dense()[np.ix_(at, at)], naive, **EXACT)
    np.testing.assert_allclose(kept.block(at, at), naive, **EXACT)
    np.testing.assert_allclose(kept.precision.toarray() @ kept.dense(), np.eye(kept.size), atol=1e-9)
    again = kept.for_levels(some)
    assert again.labels == kept.labels
    subset = A.subset(some)
    assert subset.labels == tuple(some)
    np.testing.assert_allclose(subset.dense(), naive, **EXACT)
    np.testing.assert_allclose(written(ped, rng).prune(some).additive().subset(some).dense(), naive, **EXACT)


def test_founders_with_one_child_are_pruned_and_their_variance_kept():
    # c is the only one with a record: its line (f × m → c, and f's parents) says nothing, and A is 1.
    pedigree = Pedigree(["g", "h", "f", "m", "c"], [0, 0, "g", 0, "f"], [0, 0, "h", 0, "m"])
    alone = pedigree.additive().for_levels(["c"])
    assert alone.labels == ("c",)
    np.testing.assert_array_equal(alone.precision.toarray(), [[1.0]])
    # Sibs are linked by their parents, who stay.
    sibs = Pedigree(["f", "m", "a", "b"], [0, 0, "f", "f"], [0, 0, "m", "m"]).additive().for_levels(["b", "a"])
    assert sibs.labels == ("f", "m", "a", "b")


def test_an_inbred_individual_keeps_its_variance_when_its_line_goes():
    pedigree = Pedigree(list("abcdef"), [0, 0, "a", "a", "c", 0], [0, 0, "b", "b", "d", 0])
    kept = pedigree.additive().for_levels(["e"])
    np.testing.assert_allclose(kept.block(kept.positions(["e"]), kept.positions(["e"])), [[1.25]], **EXACT)


def large(n_generations=20, each=1000, males=25, females=250, seed=3):
    rng = np.random.default_rng(seed)
    father, mother = np.zeros((2, n_generations, each), dtype=int)
    for g in range(1, n_generations):
        parents = 1 + (g - 1) * each + rng.permutation(each)
        father[g] = rng.choice(parents[parents % 2 == 1][:males], each)
        mother[g] = rng.choice(parents[parents % 2 == 0][:females], each)
    return np.arange(1, 1 + n_generations * each), father.ravel(), mother.ravel()


def test_twenty_thousand_in_twenty_generations():
    ids, father, mother = large()
    rng = np.random.default_rng(4)
    order = rng.permutation(len(ids))
    A = Pedigree(ids[order], father[order], mother[order]).additive()
    some = A.positions(rng.choice(ids, 9, replace=False))
    everyone = np.arange(A.size)
    columns = A.block(everyone, some)
    unit = np.zeros((A.size, 9))
    unit[some, np.arange(9)] = 1.0
    np.testing.assert_allclose(A.precision @ columns, unit, atol=1e-9)
    np.testing.assert_allclose(A.times(unit), columns, rtol=1e-12, atol=1e-14)
    # F of all, of which most come from columns of A here, against the parents' relationship by a column each.
    last = np.flatnonzero(A.diagonal() > 1.0)[-40:]
    descent = A.form.descent
    F = [0.5 * A.block([descent.father[i]], [descent.mother[i]])[0, 0] for i in last]
    np.testing.assert_allclose(A.diagonal()[last] - 1.0, F, rtol=1e-10)


def test_both_ways_to_inbreeding_agree(monkeypatch):
    calls = []
    by_columns = _Work._by_columns
    monkeypatch.setattr(_Work, "_by_columns", lambda self, *a: (calls.append(1), by_columns(self, *a)))
    columns = large(10, 600, 8, 60)
    F = {}
    for weight in (0.0, 1.5, np.inf):  # what following the ancestors is said to cost
        monkeypatch.setattr("lmmpy.relatedness.inbreeding._ANCESTOR", weight)
        calls.clear()
        F[weight] = Pedigree(*columns).inbreeding()
        assert bool(calls) == (weight > 0.0)
    assert F[0.0].max() > 0.2
    np.testing.assert_allclose(F[1.5], F[0.0], **EXACT)
    np.testing.assert_allclose(F[np.inf], F[0.0], **EXACT)


# ---- reading


@pytest.mark.parametrize("nobody", [0, "0", "", None, np.nan, "NA", pd.NA, 0.0])
def test_unknown_parents(nobody):
    pedigree = Pedigree(["c", "f"], ["f", nobody], [nobody, nobody])
    assert pedigree.founders == ("f",) and pedigree.added == ()
    assert pedigree.additive().block([0], [1])[0, 0] == 0.5


@pytest.mark.parametrize(
    "code",
    [
        " 0",
        "0 ",
        "0.0",
        "00",
        " ",
        "\t",
        ".",
        "*",
        "?",
        "-",
        "nan",
        "NaN",
        "None",
        "<NA>",
        " NA",
        "N/A",
        "n/a",
        "na",
        "null",
        "unknown",
    ],
)
def test_codes_of_unknown_in_text(code):
    ids = ["c", "d", "f"]
    for column in (["f", code, code], np.array(["f", code, code], dtype=object), pd.Series(["f", code, code])):
        pedigree = Pedigree(ids, column, [code] * 3, sex=[code] * 3, twin=[code] * 3)
        assert pedigree.founders == ("d", "f") and pedigree.added == () and len(pedigree.labels) == 3
        assert pedigree.additive().block([0], [1])[0, 0] == 0.0  # d is not related with the others by one "founder"
    if code.strip() not in ("0.0", "00"):  # which may be ids of their own
        with pytest.raises(DataError, match=r"1 ids are missing .* in rows 1"):
            Pedigree(["c", code], [0, 0], [0, 0])


def test_names_that_look_like_codes_are_names():
    pedigree = Pedigree(["c", "Nan", "10", "x0"], ["Nan", 0, 0, 0], [0, 0, 0, 0])
    assert pedigree.founders == ("Nan", "10", "x0") and pedigree.ids == ("c", "Nan", "10", "x0")


def test_blanks_around_ids_do_not_count():
    pedigree = Pedigree(
        [" 12", "3 ", " 4", "5"], ["3", " 0", "0", ""], ["4", "0", "  ", " "], twin=["", " ", "t ", " t"]
    )
    assert pedigree.ids == ("12", "3", "4", "5") and pedigree.added == () and pedigree.labels == ("3", "4", "12")
    with pytest.raises(DataError, match=r"more than once: '12'"):
        Pedigree([" 12", "12"], [0, 0], [0, 0])


@pytest.mark.parametrize("code", [-9, -9.0, "-9", " -9", "-99.0", "-1.5"])
def test_negative_parents_without_a_row(code):
    words = r"father is -\d+(\.\d)? in 2 rows and has no row of its own. It looks like a code for unknown: write 0 or"
    for column in ([code, code, 0], np.array([code, code, 0]), pd.Series([code, code, 0])):
        with pytest.raises(DataError, match=words):
            Pedigree([1, 2, 3], column, [0, 0, 0])
    with pytest.raises(DataError, match=r"mother is .* looks like a code for unknown"):
        Pedigree([1, 2], [0, 0], [code, 0])
    with pytest.raises(DataError, match=r"twin is .* in 2 rows and cannot be .* looks like a code for unknown"):
        Pedigree([1, 2], [0, 0], [0, 0], twin=[code, code])


def test_negative_ids_with_a_row():
    pedigree = Pedigree([1, -9], [-9, 0], [0, 0])
    assert pedigree.founders == ("-9",) and pedigree.added == ()
    assert Pedigree(["a"], ["-x"], [0]).added == ("-x",)


def test_ids_of_any_kind_are_the_same():
    frames = [
        pd.DataFrame({"ID": [3, 1, 2], "FA": [1, 0, 0], "MO": [2, 0, 0]}),
        pd.DataFrame({"ID": [3.0, 1.0, 2.0], "FA": [1, np.nan, np.nan], "MO": [2, np.nan, np.nan]}),
        pd.DataFrame({"ID": ["3", "1", "2"], "FA": ["1", "", None], "MO": ["2", "0", "NA"]}),
        pd.DataFrame({"ID": ["3", "1", "2"], "FA": ["1", "", ""], "MO": ["2", "", ""]}, dtype="category"),
    ]
    for frame in frames:
        pedigree = Pedigree.from_frame(frame)
        assert pedigree.ids == ("3", "1", "2") and pedigree.labels == ("1", "2", "3")
        assert pedigree.generations.to_dict() == {"3": 1, "1": 0, "2": 0}


def test_parents_without_a_row_are_added():
    pedigree = Pedigree(["a", "b"], ["f", "f"], ["m", "0"])
    assert pedigree.added == ("f", "m") and pedigree.ids == ("a", "b", "f", "m")
    assert pedigree.additive().block(*[pedigree.additive().positions(["a", "b"])] * 2)[0, 1] == 0.25


def test_parents_that_were_added_are_seen_at_once():
    one = Pedigree(["a", "b"], [0, "x"], [0, 0])
    assert repr(one) == "<Pedigree: 3 individuals, 2 founders, 2 generations; 1 parent added: 'x'>"
    many = Pedigree(pd.Series(list("abc"), name="who"), list("uvw"), list("xyz"))
    assert repr(many).endswith("2 generations, id 'who'; 6 parents added: 'u', 'v', 'w' and 3 more>")


@pytest.mark.parametrize(
    ("columns", "call"),
    [
        (["id", "father", "mother"], "id='id', father='father', mother='mother'"),
        (["Animal", "sire", "dam", "sex"], "id='Animal', father='sire', mother='dam', sex='sex'"),
        (["id", "dad_id", "mom_id", "famid"], "id='id', father='dad_id', mother='mom_id'"),
        (["FID", "IID", "PAT", "MAT", "SEX"], "id='IID', father='PAT', mother='MAT'"),
        (["ID", "FA", "x"], "id='ID', father='FA', mother='…'"),
        (["id", "iid", "sire", "dam"], "id='…', father='sire', mother='dam'"),  # which one is not for us to say
    ],
)
def test_columns_of_other_names_are_written_into_the_call(columns, call):
    frame = pd.DataFrame([[0] * len(columns)], columns=columns)
    with pytest.raises(DataError) as caught:
        Pedigree.from_frame(frame)
    assert str(caught.value).endswith(f" Name them: Pedigree.from_frame(frame, {call}).")


def test_families_summary_and_frame():
    pedigree = Pedigree(
        pd.Series(list("abcxyz"), name="who"), [0, 0, "a", 0, 0, "x"], [0, 0, "b", 0, 0, 0], list("mffmuf")
    )
    assert pedigree.families().to_list() == [1, 1, 1, 2, 3, 2]
    assert pedigree.id == "who" and pedigree.families().index.name == "who"
    assert repr(pedigree) == "<Pedigree: 6 individuals, 4 founders, 2 generations, id 'who'>"
    summary = pedigree.summary()
    assert summary["families"] == 2 and summary["without relatives"] == 1
    assert summary["half-known"] == 1 and summary["largest F"] == 0.0
    frame = pedigree.to_frame()
    assert list(frame.columns) == ["who", "father", "mother", "sex", "twin", "generation", "family"]
    assert frame["sex"].to_list() == ["male", "female", "female", "male", "unknown", "female"]
    assert frame["father"].isna().to_list() == [True, True, False, True, True, False] and frame["twin"].isna().all()
    again = Pedigree.from_frame(frame, "who", "father", "mother", "sex", "twin")
    np.testing.assert_array_equal(again.additive().dense(), pedigree.additive().dense())


def test_twins_are_one_level():
    pedigree = Pedigree(
        ["f", "m", "t1", "t2", "s", "k1", "k2"],
        [0, 0, "f", "f", 0, "t1", "t2"],
        [0, 0, "m", "m", 0, "s", "s"],
        [1, 2, 1, 0, 2, 0, 0],
        ["", "", "x", "x", "", None, 0],
    )
    A = pedigree.additive()
    assert A.size == 6 and pedigree.to_frame()["sex"][3] == "male"
    assert A.positions(["t1"])[0] == A.positions(["t2"])[0]
    k = A.positions(["k1", "k2", "t2"])
    np.testing.assert_array_equal(A.block(k, k), [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]])
    both = A.for_levels(["t1", "t2"])
    assert both.positions(["t2"])[0] == both.positions(["t1"])[0]
    second = A.for_levels(["k1", "t2"])  # of the twins only the second is known to the data
    assert "t2" in second.labels and "t1" not in second.labels
    assert second.positions(["t2"])[0] == second.positions(["t1"])[0]
    assert second.for_levels(["t1"]).labels == ("t1",)
    two = A.subset(["t2", "t1"])
    assert two.labels == ("t2", "t1") and two.logdet == -np.inf
    with pytest.raises(DataError, match=r"'t2' = 't1'"):
        two.precision  # noqa: B018
    left = pedigree.prune(["t2"])  # the other twin goes, and is no error
    assert left.ids == ("f", "m", "t2") and left.to_frame()["twin"].isna().all()
    frame = A.to_frame()
    assert sorted(frame.index) == sorted(pedigree.ids) and list(frame.index) == list(frame.columns)
    assert A.ids.index("t2") == A.ids.index("t1") + 1 and A.subset(["t2"]).ids == ("t2",)
    np.testing.assert_array_equal(frame.to_numpy(), A.subset(A.ids).dense())
    assert frame.loc["t1", "t2"] == 1.0 and frame.loc["k1", "t2"] == 0.5
    dominance = pedigree.dominance().for_levels(["t2", "k1", "t1"])
    assert dominance.labels == ("t1", "k1") and dominance.positions(["t2", "t1"]).tolist() == [0, 0]


def test_a_pedigree_is_its_additive_relatedness():
    pedigree = Pedigree(["c", "f"], ["f", 0], [0, 0])
    assert as_relatedness(pedigree).is_sparse
    assert not as_relatedness(pedigree).is_scaled_identity
    assert Pedigree(["a", "b"], [0, 0], [0, 0]).additive().is_scaled_identity
    for made in (pickle.loads(pickle.dumps(pedigree)), copy.deepcopy(pedigree)):
        np.testing.assert_array_equal(made.additive().dense(), pedigree.additive().dense())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ((["a", "b", "a"], [0, 0, 0], [0, 0, 0]), r"more than once: 'a'"),
        ((["a", "0", None], [0, 0, 0], [0, 0, 0]), r"2 ids are missing .* in rows 1, 2"),
        ((["a"], ["a"], [0]), r"own ancestor: 'a' → 'a'"),
        ((["d", "a", "b", "c"], ["a", "b", "c", "a"], [0, 0, 0, 0]), r"own ancestor: '(\w)' → '\w' → '\w' → '\1'"),
        (
            (["c", "f", "m"], ["f", 0, 0], ["m", 0, 0], [1, 2, 2]),
            r"fathers who are recorded as female: 'f' .*codes of sex are 1 male, 2 female",
        ),
        (
            (["c", "f", "m"], ["f", 0, 0], ["m", 0, 0], [1, 1, "M"]),
            r"mothers who are recorded as male: 'm' .*codes of sex are 1 male, 2 female",
        ),
        ((["c", "d", "f"], ["f", 0, 0], [0, "f", 0]), r"both a father and a mother, .*: 'f'"),
        ((["a", "b"], [0, 0], [0, 0], [1, 3]), r"sex '3' is not understood, of 'b'"),
        ((["a", "b"], [0, 0], [0, 0], [1, 1], [0, 7]), r"'b' is the only one of twin group '7'"),
        ((["a", "b"], [0, "f"], [0, 0], [1, 1], [7, 7]), r"'a', 'b' of twin group '7' do not have the same parents"),
        ((["a", "b"], [0, 0], [0, 0], [1, 2], [7, 7]), r"'a', 'b' of twin group '7' are of different sex"),
        ((["a", "b"], [0], [0, 0]), r"father has 1 values for 2 ids"),
        ((["a", "b"], "FA", "MO"), r"father must be a column"),
        (([], [], []), r"no rows"),
    ],
)
def test_what_cannot_be(columns, words):
    with pytest.raises(DataError, match=words):
        Pedigree(*columns)


def test_twins_who_descend_from_each_other_are_a_loop():
    with pytest.raises(DataError, match="same parents"):
        Pedigree(["a", "b", "c"], [0, "a", "b"], [0, 0, 0], None, ["t", 0, "t"])


def test_columns_that_are_not_there():
    frame = pd.DataFrame({"ID": [1], "FA": [0], "mother": [0]})
    with pytest.raises(DataError, match=r"no column 'MO'; it has 'ID', 'FA', 'mother'"):
        Pedigree.from_frame(frame)
    with pytest.raises(DataError, match=r"no column 'gender'"):
        Pedigree.from_frame(frame, mother="mother", sex="gender")
    assert len(Pedigree.from_frame(frame, mother="mother")) == 1


def test_unknown_ids():
    pedigree = Pedigree(["a", "b"], [0, 0], [0, 0])
    with pytest.raises(DataError, match="'z'"):
        pedigree.prune(["a", "z"])
    with pytest.raises(DataError, match="'z'"):
        pedigree.additive().positions(["z"])


def test_a_dense_matrix_of_too_many_is_refused():
    n = 40_000
    A = Pedigree(range(1, n + 1), [0] * n, [0] * n).additive()
    with pytest.raises(DataError, match="40000 levels would take 12 GiB"):
        A.dense()
    with pytest.raises(DataError, match="40000 levels would take 12 GiB"):
        A.to_frame()
    assert A.to_frame([40_000, 1]).index.to_list() == [40_000, 1]


def test_an_id_that_is_a_zero_with_decimals_is_somebody():
    """Family 0, member 0: as a parent it is that one, and no code for nobody."""
    made = Pedigree(["0.0", "0.1", "0.2"], ["0", "0", "0.0"], ["0.00", "0", "0.1"])
    assert made.ids == ("0.0", "0.1", "0.2")
    assert made.additive().dense()[0, 2] == 0.5
    with pytest.raises(DataError, match="ids are missing"):
        Pedigree(["0", "1"], ["0", "0"], ["0", "0"])


def test_a_pedigree_deeper_than_numbers_go():
    """½ to the power of its generations is zero; ancestors of ancestors end all the same."""
    n = 1_300
    ids = np.arange(1, 2 * n + 1)
    father = np.r_[0, 0, ids[0::2].repeat(2)[: 2 * n - 2]]
    mother = np.r_[0, 0, ids[1::2].repeat(2)[: 2 * n - 2]]
    F = Pedigree(ids, father, mother).inbreeding()
    assert np.all(np.diff(F[::2]) >= 0.0) and F.iloc[-1] == pytest.approx(1.0, abs=1e-6)
