"""Relatedness in a design: where it is found, how ids are matched with it, and which levels the model has."""

from __future__ import annotations

import pickle
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lmmpy.design import Design, build_design
from lmmpy.errors import DataError, FormulaError, LmmpyError, MissingValuesWarning, ModelError
from lmmpy.relatedness import Pedigree, Relatedness

N = 24
KNOWN = [f"k{i}" for i in range(15)]


def matrix(size: int = 15, seed: int = 1) -> np.ndarray:
    F = np.random.default_rng(seed).normal(size=(size, size))
    return F @ F.T / size + np.eye(size)


K = pd.DataFrame(matrix(), index=KNOWN, columns=KNOWN)
# Two couples (a, b) and (c, d); e, f of the first, g of the second; h of e and g; i and j are identical twins of a, d;
# z and its parents are nobody's.
FAMILY = pd.DataFrame(
    [
        *[(founder, None, None) for founder in "abcdxy"],
        ("e", "a", "b"),
        ("f", "a", "b"),
        ("g", "c", "d"),
        ("h", "e", "g"),
        ("i", "a", "d"),
        ("j", "a", "d"),
        ("z", "x", "y"),
    ],
    columns=["who", "father", "mother"],
)


def pedigree(twins: bool = False) -> Pedigree:
    twin = [("t" if twins else None) if who in "ij" else None for who in FAMILY["who"]]
    return Pedigree(FAMILY["who"], FAMILY["father"], FAMILY["mother"], twin=twin if twins else None)


def frame() -> pd.DataFrame:
    """Ten individuals, some with several records; a and b are factors, x a number."""
    rng = np.random.default_rng(5)
    who = rng.permutation(KNOWN)[:10][np.append(np.arange(10), rng.integers(0, 10, N - 10))]
    data = pd.DataFrame({"y": rng.normal(size=N), "x": rng.normal(size=N), "id": who})
    return data.assign(g=np.tile(list("abcd"), 6), other=data["id"])


def design(formula: str, data: pd.DataFrame | None = None, **options: Any) -> Design:
    return build_design(formula, frame() if data is None else data, **options)[0]


def assert_related(
    found: Design, data: pd.DataFrame, expected: pd.DataFrame, term: int = 0, column: str = "id"
) -> None:
    """Each row has the level of its id, and the covariance of the rows is that of their ids."""
    effects = found.random[term]
    rows = data[column][found.rows].to_numpy()
    assert effects.relatedness.size == effects.n_levels == len(effects.levels) == len(effects.recorded)
    assert effects.n_recorded == len(set(rows)) == effects.recorded.sum()
    assert [effects.levels[code] for code in effects.codes] == list(rows)
    np.testing.assert_allclose(
        effects.relatedness.dense()[np.ix_(effects.codes, effects.codes)], expected.loc[rows, rows], rtol=1e-12
    )


# ---- where the relatedness is found


@pytest.mark.parametrize(
    ("formula", "where"),
    [
        ("kin(A)", {"scope": {"A": K}}),
        ("kin(A)", {"relmat": {"A": K}}),
        ("kin(A)", {"relmat": {"A": K}, "scope": {"A": "another"}}),
        ("kin(id, A)", {"scope": {"A": Relatedness(K)}}),
        ("kin(other, A)", {"scope": {"A": Relatedness(K, id="g")}}),
        ("kin(A)", {"scope": {"A": Relatedness(K, id="other")}}),
        ("kin(id, A)", {"scope": {"A": Relatedness(sparse.csc_array(K.to_numpy()), KNOWN)}}),
        ("(1 | kin(id, A))", {"scope": {"A": K.iloc[::-1]}}),
        ("(1 | id)", {"relmat": {"id": K}}),
        ('kin(K["add"])', {"scope": {"K": {"add": K}}}),
        ("kin(id, K$add)", {"relmat": {"K": {"add": K}}}),
        ("kin(id, made.K)", {"scope": {"made": type("made", (), {"K": K})}}),
        ("kin(id, made.K.copy(True))", {"scope": {"made": type("made", (), {"K": K})}}),
        ("kin(id, make(K, scale = 1))", {"scope": {"K": K, "make": lambda K, scale: scale * K}}),
        ("kin(id, {every[0]})", {"scope": {"every": [K]}}),
        ("kin(id, y)", {"scope": {"y": K}}),  # a column of that name is no relatedness
    ],
)
def test_where_it_is_found(formula, where):
    data = frame()
    found, blueprint = build_design(f"y ~ x + {formula}", data, **where)
    assert_related(found, data, K)
    label = found.random[0].group
    assert label == found.random[0].name == blueprint.parsed.random[0].grouping.label
    assert set(blueprint.relatedness) == {label}
    assert blueprint.relatedness[label].size == 15
    assert found.random[0].n_levels == 10


def test_several_terms_share_what_is_the_same():
    A = Relatedness(K)
    text = "y ~ x + kin(A) + (0 + x | kin(id, A)) + kin(other, A) + kin(B) + (1 | id) + (1 | g)"
    found = design(text, scope={"A": A, "B": pd.DataFrame(matrix(15, 2), KNOWN, KNOWN)})
    terms = {term.group: term for term in found.random}
    assert terms["kin(A)"].relatedness is terms["kin(id, A)"].relatedness
    assert terms["kin(A)"].grouping is terms["kin(id, A)"].grouping
    assert terms["kin(A)"].relatedness is not terms["kin(other, A)"].relatedness
    assert terms["kin(A)"].relatedness is not terms["kin(B)"].relatedness
    assert terms["id"].relatedness.is_identity and terms["g"].relatedness.is_identity
    assert_related(found, frame(), K)
    slopes = design("y ~ (x || kin(A))", scope={"A": A}).random
    assert slopes[0].grouping is slopes[1].grouping and slopes[0].relatedness is slopes[1].relatedness
    assert [term.name for term in slopes] == ["kin(A)", "kin(A).1"]


def test_a_grouping_factor_of_several_can_be_related():
    data = frame().assign(h=np.repeat(list("pq"), N // 2))
    labels = sorted({f"{g}:{h}" for g, h in zip(data["g"], data["h"], strict=True)})
    of_pairs = pd.DataFrame(matrix(len(labels)), labels, labels)
    found = design("y ~ x + (1 | g:h)", data, relmat={"g:h": of_pairs})
    assert_related(found, data.assign(pair=data["g"] + ":" + data["h"]), of_pairs, column="pair")


def test_dense_identity_is_the_ordinary_design():
    data, one = frame(), pd.DataFrame(np.eye(15), KNOWN, KNOWN)
    data.loc[[2, 7], "x"] = np.nan
    ordinary = design("y ~ x + (x | id) + (1 | g)", data, weights=np.arange(1.0, N + 1))
    for formula in ("y ~ x + (x | kin(A)) + (1 | g)", "y ~ x + (1 | g) + (x | kin(id, A))"):
        related = design(formula, data, relmat={"A": one}, weights=np.arange(1.0, N + 1))
        assert [t.columns for t in related.random] == [t.columns for t in ordinary.random]
        for ours, theirs in zip(related.random, ordinary.random, strict=True):
            assert ours.levels == theirs.levels
            np.testing.assert_array_equal(ours.codes, theirs.codes)
            np.testing.assert_array_equal(ours.values, theirs.values)
            np.testing.assert_array_equal(ours.relatedness.dense(), np.eye(theirs.n_levels))
        assert (related.Z != ordinary.Z).nnz == 0
        for name in ("y", "X", "weights", "rows", "left_out"):
            np.testing.assert_array_equal(getattr(related, name), getattr(ordinary, name))


# ---- rows that are not used


def test_rows_left_out_leave_their_ids_out():
    data = frame()
    data.loc[data["id"] == data["id"][0], "x"] = np.nan
    data.loc[3, "id"] = None
    found = design("y ~ x + kin(A)", data, relmat={"A": K})
    assert not found.rows[0] and not found.rows[3] and found.left_out[3]
    assert_related(found, data, K)
    with pytest.raises(DataError, match=r"'kin\(A\)' in 1 rows \(first: 3\)"):
        design("y ~ kin(A)", data, relmat={"A": K}, na_action="fail")
    # Who is in no row that is used may be unknown.
    data.loc[5, "id"] = "stranger"
    assert_related(design("y ~ x + kin(A)", data, relmat={"A": K}, subset=data["id"] != "stranger"), data, K)
    data.loc[5, "y"] = np.nan
    assert_related(design("y ~ x + kin(A)", data, relmat={"A": K}), data, K)


def test_a_relatedness_without_labels_has_the_rows_of_the_data():
    data, A = frame(), matrix(N)
    data.loc[[4, 9], "x"] = np.nan
    kept = np.delete(np.arange(N), [0, 4, 9])
    A[4] = A[:, 4] = np.nan  # what is known of rows that are not used does not matter
    for given in (A, sparse.csc_array(A)):
        found = design("y ~ x + kin(A)", data, relmat={"A": given}, subset=np.arange(1, N))
        term = found.random[0]
        assert term.levels == [str(i) for i in kept]
        np.testing.assert_array_equal(term.codes, np.arange(N - 3))
        np.testing.assert_allclose(term.relatedness.dense(), A[np.ix_(kept, kept)], rtol=1e-12)
    named = data.set_axis([f"row {i}" for i in range(N)], axis=0)
    assert design("y ~ kin(A)", named, relmat={"A": matrix(N)}).random[0].levels == list(named.index)
    doubled = data.set_axis(["same"] * N, axis=0)
    assert design("y ~ kin(A)", doubled, relmat={"A": matrix(N)}).random[0].levels == [str(i) for i in range(N)]


def test_genotypes_without_labels_stay_as_they_are():
    data, G = frame(), np.random.default_rng(2).normal(size=(N, 7))
    data.loc[4, "x"] = np.nan
    found = design("y ~ x + kin(A)", data, relmat={"A": Relatedness.from_genotypes(G)})
    kept = np.delete(np.arange(N), 4)
    np.testing.assert_allclose(found.random[0].relatedness.dense(), G[kept] @ G[kept].T / 7, rtol=1e-12)
    assert found.random[0].relatedness.factor().shape == (N - 1, 7)
    assert design("y ~ kin(A)", relmat={"A": Relatedness.from_genotypes(G)}).random[0].levels == [*map(str, range(N))]


# ---- pedigrees


def test_relatives_without_rows_link_those_with_rows():
    ped, dense = pedigree(), pedigree().additive()
    A = pd.DataFrame(dense.dense(), dense.labels, dense.labels)
    data = pd.DataFrame({"y": np.arange(8.0) ** 2, "who": list("hfefghhz")})
    found, blueprint = build_design("y ~ kin(who, ped)", data, scope={"ped": ped})
    assert_related(found, data, A, column="who")
    term = found.random[0]
    assert set("efghz") | set("ab") <= set(term.levels)
    assert not set("xyijcd") & set(term.levels)  # they link nobody
    assert {level for level, known in zip(term.levels, term.recorded, strict=True) if known} == set("efghz")
    assert term.relatedness.is_sparse
    assert set(blueprint.relatedness["kin(who, ped)"].labels) == set(FAMILY["who"])
    dominance = design("y ~ kin(who, ped.dominance()) + kin(who, ped)", data, scope={"ped": ped})
    assert dominance.random[0].n_recorded == dominance.random[1].n_recorded == 5


def test_terms_are_ordered_by_the_levels_that_rows_have():
    data = pd.DataFrame({"y": np.arange(8.0) ** 2, "who": list("hfefghhz"), "g": list("pqrstuup")})
    found = design("y ~ kin(who, ped) + (1 | g)", data, scope={"ped": pedigree()})
    assert [term.group for term in found.random] == ["g", "kin(who, ped)"]
    assert found.random[1].n_levels > found.random[0].n_levels == 6


def test_identical_twins_are_one_level():
    data = pd.DataFrame({"y": np.arange(6.0) ** 2, "who": list("ijeifa")})
    ped = pedigree(twins=True)
    term = design("y ~ kin(who, ped)", data, scope={"ped": ped}).random[0]
    assert term.codes[0] == term.codes[1] == term.codes[3]
    assert term.n_recorded == 4 and len(term.levels) == len(set(term.levels)) == term.n_levels
    only_second = design("y ~ kin(who, ped)", data[1:], scope={"ped": ped}).random[0]
    assert only_second.codes[0] == only_second.codes[2] and only_second.n_recorded == 4
    apart = design("y ~ kin(who, ped)", data, scope={"ped": pedigree()}).random[0]
    assert apart.n_recorded == 5


# ---- ids


@pytest.mark.parametrize(
    ("ids", "labels"),
    [
        (np.arange(1, 7), [1, 2, 3, 4, 5, 6]),
        (np.arange(1.0, 7.0), ["1", "2", "3", "4", "5", "6"]),
        (list("123456"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        (pd.Categorical(list("123456"), categories=list("6543217")), [1, 2, 3, 4, 5, 6]),
        (np.arange(10**14, 10**14 + 6), np.arange(10**14, 10**14 + 6).astype(float)),
    ],
)
def test_ids_are_the_same_as_number_and_as_text(ids, labels):
    A = Relatedness(matrix(6), labels)
    term = design("y ~ kin(A)", pd.DataFrame({"y": np.arange(6.0), "id": ids}), scope={"A": A}).random[0]
    order = np.argsort(term.codes)
    np.testing.assert_allclose(term.relatedness.dense(), matrix(6)[np.ix_(order, order)])


def says(error: type[LmmpyError], words: list[str], formula: str, data: Any = None, **options: Any) -> None:
    with pytest.raises(error) as caught:
        design(f"y ~ {formula}", data, **options)
    assert [word for word in words if word not in str(caught.value)] == [], caught.value


def test_ids_that_are_not_known():
    data = frame()
    data.loc[[1, 2, 3], "id"] = ["s1", "s2", "s1"]
    says(DataError, ["kin(A)", "2 of the", "'s1', 's2'", "subset="], "kin(A)", data, relmat={"A": K})
    says(DataError, ["id: ", "'s1', 's2'"], "(1 | id)", data, relmat={"id": K})
    says(DataError, ["4 of the 4", "Not one is known", "'k0', 'k1', 'k2'"], "kin(g, A)", relmat={"A": K})
    codes = [f"{i:03d}" for i in range(N)]
    padded = pd.DataFrame(matrix(N), codes, codes)
    numbers = frame().assign(id=np.arange(N))
    says(DataError, ["24 of the 24", "Is '0' there '000'", "alike"], "kin(A)", numbers, relmat={"A": padded})
    spaced = frame().assign(id=frame()["id"].str.upper() + " ")
    says(DataError, ["10 of the 10", "in another way"], "kin(A)", spaced, relmat={"A": K})


@pytest.mark.parametrize("ids", [np.arange(1, 21), [f"a{i}" for i in range(20)]])
def test_a_frame_without_labels_is_not_taken_as_ids_from_zero(ids):
    data = frame().iloc[:20].assign(id=ids)
    words = ["kin(A)", "no labels of its own (its index counts 0…23)", f"begin at '{ids[0]}'", "labels=ids"]
    bare = pd.DataFrame(matrix(N))  # 24 levels: all ids 1 … 20 are there, one row off
    says(DataError, words, "kin(A)", data, scope={"A": bare})
    says(DataError, words, "kin(A)", data, scope={"A": Relatedness(bare)})
    says(DataError, ["id: K has no labels"], "(1 | id)", data, relmat={"id": bare})
    from_zero = data.assign(id=np.arange(20)[::-1])
    term = design("y ~ x + kin(A)", from_zero, scope={"A": bare}).random[0]
    np.testing.assert_array_equal([int(term.levels[code]) for code in term.codes], from_zero["id"])
    at = [int(level) for level in term.levels]
    np.testing.assert_array_equal(term.relatedness.dense(), bare.to_numpy()[np.ix_(at, at)])
    own = bare.set_axis(range(1, N + 1)).set_axis(range(1, N + 1), axis=1)
    assert design("y ~ x + kin(A)", data.assign(id=np.arange(1, 21)), scope={"A": own}).random[0].n_levels == 20


# ---- what is held is ours


@pytest.mark.parametrize("all_used", [True, False])
@pytest.mark.parametrize("kind", [np.array, sparse.csc_array, sparse.csr_array, pd.DataFrame])
def test_a_matrix_that_changes_afterwards_changes_nothing(kind, all_used):
    names = [f"n{i:02d}" for i in range(N)]
    data, values = frame().assign(id=names), matrix(N)
    is_frame = kind is pd.DataFrame
    A = pd.DataFrame(values.copy(), names, names) if is_frame else kind(values.copy())
    used = {} if all_used else {"subset": np.arange(1, N)}
    found, blueprint = build_design("y ~ kin(A)", data, scope={"A": A}, **used)
    held = [found.random[0].relatedness, blueprint.relatedness["kin(A)"]]
    if is_frame:
        A.iloc[:, :] = 3.0 * values
    elif sparse.issparse(A):
        A.data *= 3.0
    else:
        A *= 3.0
    for related in held:
        at = slice(N - related.size, None)
        np.testing.assert_allclose(related.dense(), values[at, at], rtol=1e-14)


def test_matrices_that_are_made_in_the_formula_are_not_mistaken_for_each_other():
    before: list[weakref.ref[pd.DataFrame]] = []

    def make(scale: float) -> pd.DataFrame:
        assert all(one() is not None for one in before)  # whose address would be free for this one
        made = scale * K
        before.append(weakref.ref(made))
        return made

    found = design("y ~ kin(id, make(1)) + kin(other, make(2)) + kin(id, make(3))", scope={"make": make})
    for term in found.random:
        scale = float(term.group[-3])
        np.testing.assert_allclose(term.relatedness.dense(), scale * K.loc[term.levels, term.levels], rtol=1e-14)


# ---- what is refused


def test_the_frame_of_a_pedigree_is_no_matrix():
    words = ["'who', 'father', 'mother'", "is square", "Is it a pedigree?"]
    says(DataError, ["kin(id, fp): ", "lmm.Pedigree.from_frame(fp)", *words], "kin(id, fp)", scope={"fp": FAMILY})
    says(DataError, ["from_frame(frame)", *words], "(1 | id)", relmat={"id": FAMILY})
    ids_in_a_column = K.reset_index()
    says(DataError, ["K.set_index"], "kin(id, A)", scope={"A": ids_in_a_column})


@pytest.mark.parametrize(
    ("formula", "error", "words"),
    [
        ("kin(B)", FormulaError, ["kin(B)", "no relatedness 'B'", "relmat={'B'", "that are one: 'K', 'R', 'U'."]),
        ("kin(id)", FormulaError, ["'id' is a column of the data, not a", "kin(id, A)", "'K'"]),
        ("kin(id, np.B)", FormulaError, ["np.B", "has no attribute 'B'"]),
        ("kin(id, K.frobnicate())", FormulaError, ["K.frobnicate()", "AttributeError"]),
        ('kin(id, D["no"])', FormulaError, ['D["no"]', "KeyError"]),
        ("kin(id, L[[1]])", FormulaError, ["taken by a text", "braces"]),
        ("kin(id, {nothing})", FormulaError, ["{nothing}", "NameError"]),
        ("kin(id, {1 +})", FormulaError, ["{1 +}", "SyntaxError"]),
        ("kin(L)", FormulaError, ["kin(L)", "is a list", "Pedigree"]),
        ("kin(id, v)", FormulaError, ["ndarray of the shape (3,)"]),
        ("kin(id, f)", FormulaError, ["is a function"]),
        ("kin(R)", FormulaError, ["no column 'animal'", "made with", "'y', 'x', 'id'", "kin(<column>, R)"]),
        ("kin(id, square)", DataError, ["kin(id, square)", "no labels", "Relatedness(K, labels=ids)"]),
        ("kin(small)", DataError, ["5 rows and no labels", "24 rows", "kin(<column of ids>, A)"]),
        ("kin(U)", DataError, ["5 rows and no labels", "24 rows"]),
        ("kin(oblong)", DataError, ["(5, 3)", "square"]),
        ("kin(id, lopsided)", DataError, ["kin(id, lopsided)", "same ids"]),
    ],
)
def test_refusals(formula, error, words):
    scope = {
        "K": K, "R": Relatedness(K, id="animal"), "U": Relatedness(matrix(5)), "D": {"add": K}, "L": [K], "np": np,
        "v": np.ones(3), "square": matrix(N), "small": matrix(5), "oblong": np.ones((5, 3)), "f": design,
        "lopsided": K.iloc[:, :3],
    }  # fmt: skip
    says(error, words, formula, scope=scope)


def test_ids_are_looked_for_in_a_column_named_id():
    without = frame().drop(columns="id")
    says(
        FormulaError, ["no column 'id'", "by default", "'other'", "kin(<column>, A)"], "kin(A)", without, scope={"A": K}
    )


def test_ids_are_looked_for_in_the_column_that_the_index_is_named_by():
    data = frame().rename(columns={"id": "animal"})
    named = K.rename_axis(index="animal")
    found = design("y ~ x + kin(A)", data, scope={"A": named})
    assert_related(found, data, K, column="animal")
    assert_related(design("y ~ x + kin(A)", scope={"A": named}), frame(), K)  # no such column: the one named id
    says(FormulaError, ["no column 'id'"], "kin(A)", data, scope={"A": K.rename_axis(index="cow")})


def test_levels_without_rows_are_counted_apart():
    data = frame().assign(id=np.tile(["h", "i", "g"], 8))
    found = design("y ~ x + kin(id, A) + (1 | g)", data, relmat={"A": pedigree()}).random
    related = next(term for term in found if term.group == "kin(id, A)")
    assert related.n_levels > 3 and related.count == f"3 levels with rows of {related.n_levels}"
    assert repr(related) == f"RandomEffects((Intercept) | kin(id, A), {related.count})"
    assert next(term for term in found if term.group == "g").count == "4 levels"


def test_relmat_is_used_or_refused():
    says(ModelError, ["relmat holds 'B'", "'kin(A)', 'g'"], "kin(A) + (1 | g)", relmat={"A": K, "B": K})
    says(ModelError, ["relmat holds 'id'", "'kin(id, A)'"], "kin(id, A)", relmat={"A": K, "id": K})
    says(ModelError, ["relmat holds 'x'"], "x + (1 | g)", relmat={"x": K})
    says(ModelError, ["must map names", "list"], "kin(A)", relmat=[K])
    says(DataError, ["id: ", "no labels"], "(1 | id)", relmat={"id": matrix(N)})
    # A key may be both a relatedness and a grouping factor.
    assert len(design("y ~ kin(id, g) + (1 | other)", relmat={"g": K, "other": K}).random) == 2


def test_a_random_term_that_the_model_does_not_have_has_no_value():
    _, blueprint = build_design("y ~ x + kin(A)", frame(), relmat={"A": K})
    other = build_design("y ~ x + kin(id, A)", frame(), relmat={"A": K})[1].parsed.random[0].grouping.factors[0]
    with pytest.raises(FormulaError, match=r"'kin\(id, A\)' is no random term of the model"):
        blueprint.evaluator(frame()).column(other)


# ---- new data


def test_what_is_kept_reads_new_data_and_pickles():
    data = frame()
    _, made = build_design("y ~ x + kin(A) + kin(paste0(id), B$add)", data, scope={"A": K, "B": {"add": K}, "C": K})
    for blueprint in (made, pickle.loads(pickle.dumps(made))):
        assert set(blueprint.scope) == {"A", "B"}
        new = data.iloc[[3, 1]]
        evaluator = blueprint.evaluator(new)
        for term in blueprint.parsed.random:
            factor = evaluator.column(term.grouping.factors[0])
            assert [factor.labels[code] for code in factor.codes] == list(new["id"])
            full = blueprint.relatedness[term.grouping.label]
            np.testing.assert_array_equal(full.positions(factor.labels), [KNOWN.index(one) for one in factor.labels])


def test_a_relatedness_without_labels_says_nothing_of_new_data():
    data = frame()
    _, blueprint = build_design("y ~ x + kin(A)", data, scope={"A": matrix(N)})
    node = blueprint.parsed.random[0].grouping.factors[0]
    assert blueprint.evaluator(data, own=True).column(node).labels == [str(i) for i in range(N)]
    with pytest.raises(DataError, match=r"kin\(A\).*says nothing of new data.*kin\(<column>, A\)"):
        blueprint.evaluator(data).column(node)


def test_other_designs_are_as_they_were():
    data = frame()
    for found in design("y ~ x + (x | id) + (1 | g)", data).random:
        assert found.recorded.all() and found.n_recorded == found.n_levels
        assert found.relatedness.is_identity and found.relatedness.size == found.n_levels
    some = replace(design("y ~ (1 | id)", data).random[0].grouping, codes=np.array([1, 1]))
    assert (
        replace(design("y ~ (1 | id)", data).random[0], grouping=some).recorded.tolist() == [False, True] + [False] * 8
    )
    with pytest.warns(MissingValuesWarning, match="log"):
        design("log(x) ~ kin(A)", data, relmat={"A": K})
