"""Every way to give a K: the same numbers from all, labels that must match, and matrices that are no covariance."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lmmpy.errors import DataError, RelatednessWarning
from lmmpy.relatedness import Pedigree, Relatedness, as_relatedness, precision
from lmmpy.relatedness.rounding import rounding_of

CLOSE = {"rtol": 0.0, "atol": 1e-11}
IDS = ["a", "b", "c", "d", "e", "f", "g"]


def families():
    """Two families and a single one, not side by side; regular."""
    rng = np.random.default_rng(1)
    K = np.zeros((7, 7))
    for group in ([0, 3, 5], [1, 2, 6], [4]):
        G = rng.standard_normal((len(group), 9))
        K[np.ix_(group, group)] = G @ G.T / 9
    return (K + K.T) / 2.0


def full():
    G = np.random.default_rng(2).standard_normal((7, 12))
    return G @ G.T / 12, G


FORMS = {
    "dense": lambda: (families(), Relatedness(families(), IDS)),
    "frame": lambda: (families(), Relatedness(pd.DataFrame(families(), IDS, IDS).iloc[:, ::-1])),
    "sparse": lambda: (families(), Relatedness(sparse.csr_matrix(families()), IDS)),
    "precision": lambda: (families(), Relatedness.from_precision(np.linalg.inv(families()), IDS)),
    "sparse precision": lambda: (
        families(),
        Relatedness.from_precision(sparse.coo_array(np.linalg.inv(families())), IDS),
    ),
    "genotypes": lambda: (full()[0], Relatedness.from_genotypes(full()[1], IDS)),
    "genotypes frame": lambda: (full()[0], Relatedness.from_genotypes(pd.DataFrame(full()[1], IDS))),
    "full": lambda: (full()[0], Relatedness(full()[0], IDS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_numbers(form):
    K, made = FORMS[form]()
    assert made.size == 7 and made.labels == tuple(IDS) and not made.is_identity and not made.is_scaled_identity
    assert made.is_sparse == ("precision" in form)
    rng = np.random.default_rng(3)
    V = rng.standard_normal((7, 2))
    np.testing.assert_allclose(made.dense(), K, **CLOSE)
    np.testing.assert_allclose(made.times(V), K @ V, **CLOSE)
    np.testing.assert_allclose(made.times(V[:, 0]), K @ V[:, 0], **CLOSE)
    np.testing.assert_allclose(made.diagonal(), K.diagonal(), **CLOSE)
    np.testing.assert_allclose(made.block([5, 1], [2, 3, 0]), K[np.ix_([5, 1], [2, 3, 0])], **CLOSE)
    np.testing.assert_allclose(made.precision.toarray(), np.linalg.inv(K), atol=1e-9)
    assert made.precision.has_sorted_indices and made.precision.format == "csc"
    assert made.logdet == pytest.approx(np.linalg.slogdet(K)[1], abs=1e-10)
    F = made.factor()
    assert F.shape == (7, made.rank)
    np.testing.assert_allclose(F @ F.T, K, **CLOSE)
    np.testing.assert_allclose(made.root_times(V), F @ V, **CLOSE)
    values, vectors = made.spectrum()
    assert (np.diff(values) >= 0.0).all()
    np.testing.assert_allclose((vectors * values) @ vectors.T, K, **CLOSE)
    related = made.components()[:, None] == made.components()
    assert not K[~related].any()
    assert len(set(made.components())) == (1 if form in ("genotypes", "genotypes frame", "full") else 3)


@pytest.mark.parametrize("form", FORMS)
def test_subsets_and_what_a_model_needs(form):
    K, made = FORMS[form]()
    wanted = ["f", "a", "g"]
    part = K[np.ix_([5, 0, 6], [5, 0, 6])]
    subset = made.subset(wanted)
    assert subset.labels == tuple(wanted)
    np.testing.assert_allclose(subset.dense(), part, **CLOSE)
    needed = made.for_levels(wanted)
    at = needed.positions(wanted)
    np.testing.assert_allclose(needed.block(at, at), part, **CLOSE)
    assert needed.size == (7 if "precision" in form else 3)
    if "precision" not in form:
        assert needed.labels == tuple(wanted)


@pytest.mark.parametrize("form", FORMS)
def test_copies(form):
    K, made = FORMS[form]()
    made.logdet  # noqa: B018  # whatever it keeps
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        np.testing.assert_allclose(other.dense(), K, **CLOSE)
        assert other.labels == made.labels and other.logdet == made.logdet


def test_a_pickle_holds_one_array():
    K = full()[0]
    fresh, used = Relatedness(K, IDS), Relatedness(K, IDS)
    used.logdet, used.dense(), used.components()
    assert len(pickle.dumps(used)) < len(pickle.dumps(fresh)) + 200


def test_identity():
    unrelated = Relatedness.identity(3)
    assert unrelated.is_identity and unrelated.is_sparse and unrelated.is_scaled_identity
    assert unrelated.logdet == 0.0 and unrelated.precision is None and unrelated.labels is None
    np.testing.assert_array_equal(unrelated.dense(), np.eye(3))
    np.testing.assert_array_equal(unrelated.block([0, 2], [2, 1]), [[0, 0], [1, 0]])
    np.testing.assert_array_equal(unrelated.components(), [0, 1, 2])
    np.testing.assert_array_equal(unrelated.factor(), np.eye(3))


@pytest.mark.parametrize("K", [2.0 * np.eye(3), sparse.csc_array(2.0 * np.eye(3))])
def test_multiples_of_the_identity_are_recognised(K):
    assert Relatedness(K).is_scaled_identity
    assert Relatedness.from_precision(K).is_scaled_identity
    assert not Relatedness(K + sparse.diags_array([0.0, 0.0, 1.0])).is_scaled_identity


def test_few_genotypes_stay_few():
    G = np.random.default_rng(4).standard_normal((50, 3))
    K = Relatedness.from_genotypes(G, range(50))
    assert K.rank == 3 and K.factor().shape == (50, 3) and K.logdet == -np.inf
    np.testing.assert_allclose(K.times(np.eye(50)), G @ G.T / 3, **CLOSE)
    values, vectors = K.spectrum()
    assert values.shape == (3,)
    np.testing.assert_allclose((vectors * values) @ vectors.T, G @ G.T / 3, **CLOSE)
    assert "_full" not in K.form.__dict__  # no 50 × 50 array was made
    with pytest.raises(DataError, match="3 markers for 50 levels is singular"):
        K.precision  # noqa: B018
    assert K.for_levels([7, 3]).rank == 2  # m stays the number of markers
    np.testing.assert_allclose(K.for_levels([7, 3]).dense(), (G @ G.T / 3)[np.ix_([7, 3], [7, 3])], **CLOSE)


def test_genotypes_of_counts_and_missing_ones():
    G = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.int8)
    np.testing.assert_allclose(Relatedness.from_genotypes(G).dense(), [[5 / 3, 1 / 3], [1 / 3, 5 / 3]])
    missing = np.array([[0.0, np.nan], [1.0, 2.0], [np.nan, 1.0]])
    K = Relatedness.from_genotypes(missing, ["x", "y", "z"])
    with pytest.raises(DataError, match=r"2 levels: 'x', 'z'\. Impute"):
        K.for_levels(["x", "y", "z"])
    np.testing.assert_allclose(K.for_levels(["y"]).dense(), [[2.5]])  # nobody asked for the others


# ---- labels


def test_labels_are_those_of_the_data():
    K = np.array([[1.0, 0.5], [0.5, 2.0]])
    for labels in ([1, 2], [1.0, 2.0], ["1", "2"], np.array([1, 2]), pd.Index([1, 2]), (label for label in "12")):
        made = Relatedness(K, labels)
        assert made.labels == ("1", "2")
        assert made.positions([2.0, "1"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", None, np.nan], r"2 ids are missing, at positions 1, 2"),
        (["a", "b", "a"], r"more than once: 'a'"),
        ([1, 1.0, "1"], r"more than once: '1'"),
        (["a", "b"], r"2 labels for 3 levels"),
        ("abc", r"not one text 'abc'"),
    ],
)
def test_wrong_labels(labels, words):
    for make in (Relatedness, Relatedness.from_precision, Relatedness.from_genotypes):
        with pytest.raises(DataError, match=words):
            make(np.eye(3), labels)


def test_unknown_labels():
    made = Relatedness(np.eye(3) + 0.1, ["a", "b", "c"], id="who")
    with pytest.raises(DataError, match=r"relatedness of 'who' does not have 2 of the ids asked for: 'x', 'y'"):
        made.for_levels(["a", "x", "y", "x2"][:3])
    with pytest.raises(DataError, match="more than once: 'a'"):
        made.subset(["a", "a"])
    with pytest.raises(DataError, match="has no labels"):
        Relatedness(np.eye(3)).positions(["a"])
    with pytest.raises(DataError, match="not one text"):
        made.positions("abc")


def test_columns_of_a_frame_are_matched_by_name():
    K = pd.DataFrame([[1.0, 0.5, 0.0], [0.5, 2.0, 0.25], [0.0, 0.25, 3.0]], ["a", "b", "c"], ["a", "b", "c"])
    shuffled = Relatedness(K[["c", "a", "b"]])
    np.testing.assert_array_equal(shuffled.dense(), K.to_numpy())
    with pytest.raises(DataError, match=r"Only in the index: 'c'\. Only in the columns: 'x'"):
        Relatedness(K.rename(columns={"c": "x"}))
    with pytest.raises(DataError, match="ids in its index; leave labels out"):
        Relatedness(K, ["a", "b", "c"])
    with pytest.raises(DataError, match="hold no numbers: 'b'"):
        Relatedness(K.astype({"b": str}))


def test_a_frame_without_labels_of_its_own_is_known():
    bare = pd.DataFrame(families())
    assert Relatedness(bare).is_counted and as_relatedness(bare).is_counted
    ids = range(1, 8)
    for other in (bare.set_axis(ids).set_axis(ids, axis=1), bare.set_axis(IDS).set_axis(IDS, axis=1)):
        assert not Relatedness(other).is_counted
    assert not Relatedness(bare.to_numpy(), ids).is_counted and not Relatedness.identity(3).is_counted


def test_what_stands_for_a_relatedness():
    K = families()
    frame = pd.DataFrame(K, IDS, IDS)
    for given, labels in ((frame, None), (K, IDS), (sparse.csc_array(K), IDS)):
        np.testing.assert_array_equal(as_relatedness(given, labels).dense(), K)
    made = Relatedness(K, IDS)
    assert as_relatedness(made) is made
    with pytest.raises(DataError, match="its own labels"):
        as_relatedness(frame, IDS)
    with pytest.raises(DataError, match="A dict is no relatedness"):
        as_relatedness({})
    with pytest.raises(DataError, match="a Relatedness already"):
        Relatedness(made)


@pytest.mark.parametrize("form", FORMS)
def test_a_frame_of_it(form):
    K, made = FORMS[form]()
    every, some = made.to_frame(), made.to_frame(["f", "b"])
    assert list(every.index) == list(every.columns) == list(made.ids) == IDS
    np.testing.assert_allclose(every, K, **CLOSE)
    np.testing.assert_allclose(some, K[np.ix_([5, 1], [5, 1])], **CLOSE)
    assert list(some.index) == ["f", "b"]
    every.iloc[0, 0] = 99.0  # is the caller's own
    np.testing.assert_allclose(made.dense(), K, **CLOSE)


def test_what_no_frame_is_made_of():
    K = Relatedness(families(), IDS)
    with pytest.raises(DataError, match="does not have 1 of the ids asked for: 'x'"):
        K.to_frame(["a", "x"])
    with pytest.raises(DataError, match="more than once: 'a'"):
        K.to_frame(["a", "a"])
    with pytest.raises(DataError, match="not one text"):
        K.to_frame("abc")
    for unlabelled in (Relatedness(families()), Relatedness.identity(3)):
        with pytest.raises(DataError, match="has no labels"):
            unlabelled.to_frame()


def test_the_name_of_an_index_is_that_of_the_ids_if_the_data_have_it():
    frame = pd.DataFrame(families(), pd.Index(IDS, name="who"), IDS)
    assert as_relatedness(frame, columns=["y", "who"]).id == "who"
    assert as_relatedness(frame, columns=["y", "id"]).id is None
    assert as_relatedness(frame).id is None and as_relatedness(frame.rename_axis(None), columns=["y"]).id is None


# ---- what is no covariance


@pytest.mark.parametrize(
    ("K", "words"),
    [
        (np.ones((2, 3)), r"square; got shape \(2, 3\)"),
        (np.ones(3), r"square; got shape \(3,\)"),
        (np.empty((0, 0)), "no levels"),
        (np.array([["1", "0"], ["0", "1"]]), "must hold numbers"),
        (np.eye(2, dtype=complex), "must hold numbers"),
        (sparse.csc_array(np.ones((2, 3))), "square"),
    ],
)
def test_wrong_shapes_are_refused_at_once(K, words):
    with pytest.raises(DataError, match=words):
        Relatedness(K)
    if not sparse.issparse(K):
        with pytest.raises(DataError, match=words):
            Relatedness.from_precision(K)


def changed(i, j, value, both=True):
    K = families()
    K[i, j] = value
    if both:
        K[j, i] = value
    return K


WRONG = [
    (changed(0, 3, np.nan), r"2 entries are not: 'a' with 'd' \(nan\), 'd' with 'a' \(nan\)"),
    (changed(2, 2, np.inf), r"'c' with 'c' \(inf\)"),
    (changed(0, 3, 5.0, both=False), r"not symmetric: 'a' with 'd' is 5, 'd' with 'a' is 0\.055"),
    (changed(4, 4, 0.0), r"not for 1 levels: 'e' \(0\)"),
    (changed(1, 1, -2.0), r"'b' \(-2\)"),
    (changed(0, 3, 9.0), r"7 levels\) is not positive semi-definite: its smallest eigenvalue is -\d"),
]


@pytest.mark.parametrize(("K", "words"), WRONG)
@pytest.mark.parametrize("kind", [np.array, sparse.csc_array])
def test_what_is_no_covariance(K, words, kind):
    made = Relatedness(kind(K), IDS)  # nothing is looked at yet
    if kind is sparse.csc_array:  # which looks column by column
        words = words.replace(r"'a' with 'd' \(nan\), 'd' with 'a' \(nan\)", r"'d' with 'a' \(nan\)")
        words = words.replace(
            r"'a' with 'd' is 5, 'd' with 'a' is 0\.055", r"'[ad]' with '[ad]' is [05].*, '[ad]' with '[ad]' is [05]"
        )
    for use in (
        lambda m: m.dense(),
        lambda m: m.logdet,
        lambda m: m.spectrum(),
        lambda m: m.subset(IDS).times(np.eye(7)),
    ):
        with pytest.raises(DataError, match=words):
            use(made)
    # Those who have nothing to do with it can be used, and cost nothing.
    fine = ["g", "b"] if "'a'" in words or "[ad]" in words or "smallest" in words else ["d", "a"]
    at = [IDS.index(label) for label in fine]
    np.testing.assert_array_equal(made.for_levels(fine).dense(), K[np.ix_(at, at)])


def test_the_size_of_an_asymmetry_that_is_rounding():
    K = full()[0]
    K[2, 5] += 1e-10
    np.testing.assert_array_equal(Relatedness(K).dense(), (K + K.T) / 2.0)
    K[2, 5] += 1e-7
    with pytest.raises(DataError, match="number 5 with number 2"):
        Relatedness(K).dense()


@pytest.mark.parametrize("kind", [np.array, sparse.csc_array])
def test_rounding_is_projected_with_a_warning(kind):
    G = np.random.default_rng(5).standard_normal((6, 2))
    K = np.zeros((9, 9))
    K[:6, :6] = np.round(G @ G.T / 2, 6)
    K[6:, 6:] = np.eye(3)
    order = np.random.default_rng(6).permutation(9)
    K = K[np.ix_(order, order)]
    smallest = np.linalg.eigvalsh(K)[0] / K.diagonal().mean()
    assert -1e-5 < smallest < -1e-8
    made = Relatedness(kind(K))
    with pytest.warns(RelatednessWarning, match=r"negative eigenvalues from rounding, the smallest -\d"):
        projected = made.dense()
    assert np.linalg.eigvalsh(projected)[0] > -1e-14
    np.testing.assert_allclose(projected, K, atol=2e-6)
    assert made.logdet == -np.inf
    np.testing.assert_allclose(made.factor() @ made.factor().T, projected, atol=1e-12)
    with pytest.warns(RelatednessWarning):
        values, vectors = Relatedness(kind(K)).spectrum()
    np.testing.assert_allclose((vectors * values) @ vectors.T, projected, atol=2e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.spectrum(), made.times(np.eye(9)), pickle.loads(pickle.dumps(made)).dense()


def grm(decimals, n=200, rank=20):
    """A relatedness of fewer dimensions than levels, written with some decimals."""
    G = np.random.default_rng(11).standard_normal((n, rank))
    return np.round(G @ G.T / rank, decimals)


@pytest.mark.parametrize("kind", [np.array, sparse.csc_array, np.float32, pd.DataFrame])
@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_a_matrix_that_was_rounded_in_a_file_is_projected(decimals, kind):
    K = grm(decimals)
    smallest = np.linalg.eigvalsh(K)[0] / K.diagonal().mean()
    assert smallest < -1e-4  # too much for figures of double precision, but all of it is rounding
    words = rf"rounded to {decimals} decimals, the smallest {smallest:.3g}".replace(".", r"\.")
    made = Relatedness(kind(K))
    with pytest.warns(RelatednessWarning, match=words):
        projected = made.dense()
    assert np.linalg.norm(projected - K, 2) <= -1.001 * smallest * K.diagonal().mean()  # no further than need be
    assert np.linalg.eigvalsh(projected)[0] > -1e-12 and made.logdet == -np.inf
    with pytest.warns(RelatednessWarning, match=words):
        assert Relatedness(kind(K)).spectrum()[0][0] == 0.0


def test_rounding_of_one_family_and_of_kinship_that_was_doubled():
    K = np.eye(230)
    K[30:, 30:] = grm(4)
    with pytest.warns(RelatednessWarning, match="rounded to 4 decimals"):
        Relatedness(K).dense()
    with pytest.warns(RelatednessWarning, match="rounded to 3 decimals"):
        Relatedness(2.0 * np.round(grm(8) / 2.0, 3)).dense()
    copies = np.repeat(np.arange(60), 3)  # each sample three times: equal errors, which add up
    with pytest.warns(RelatednessWarning, match="rounded to 3 decimals"):
        Relatedness(grm(3, 60)[np.ix_(copies, copies)]).dense()


def test_rounding_is_no_excuse_for_what_it_does_not_explain():
    K = grm(8)
    thresholded = np.where(np.abs(K) < 0.1, 0.0, K)
    for decimals in (3, 4, 8):
        with pytest.raises(DataError, match=rf"far below what rounding to {decimals} decimals explains"):
            Relatedness(np.round(thresholded, decimals)).dense()
    values, vectors = np.linalg.eigh(K)
    indefinite = (vectors * np.where(values > 1e-6, values, -1e-4)) @ vectors.T
    for use in (lambda m: m.dense(), lambda m: m.spectrum()):
        with pytest.raises(DataError, match=r"far below what rounding explains"):  # it has all its digits
            use(Relatedness((indefinite + indefinite.T) / 2.0))


@pytest.mark.parametrize(
    ("K", "decimals"),
    [
        (np.array([[1.0, 0.25], [0.25, 1.5]]), 0),  # those of a pedigree, exactly
        (np.array([[1.0, 1.0], [1.0, 2.0]]), 0),
        (np.array([[1.0, 0.9], [0.9, 1.0]]), 2),
        (np.array([[1.0, 0.123], [0.123, 1.0]]), 3),
        (np.array([[1.0, 1e-8], [1e-8, 1.0]]), 8),
        (np.array([[1.0, 1e-9], [1e-9, 1.0]]), 0),
        (np.array([[1.0, 1.0 / 3.0], [1.0 / 3.0, 1.0]]), 0),
    ],
)
def test_decimals(K, decimals):
    found, allowance = rounding_of(K)
    assert found == decimals
    if decimals:  # no error of two levels is larger than this, twice that where all are even
        even = (np.rint(K * 10**decimals) % 2 == 0).all()
        assert allowance == pytest.approx((2 if even else 1) * 10.0**-decimals, rel=1e-12)
    else:
        assert allowance == 0.0


def test_decimals_of_entries_that_a_sample_misses():
    K = grm(3, 100)
    K[57, 31] = K[31, 57] = 0.12345
    assert rounding_of(K)[0] == 5
    K[57, 31] = K[31, 57] = np.pi
    assert rounding_of(K)[0] == 0


def test_a_singular_matrix_is_fine_but_has_no_inverse():
    K = full()[0]
    twin = K[np.ix_([0, 1, 2, 3, 1], [0, 1, 2, 3, 1])]
    made = Relatedness(twin, ["a", "b", "c", "d", "B"])
    assert made.logdet == -np.inf
    np.testing.assert_allclose(made.factor() @ made.factor().T, twin, **CLOSE)
    with pytest.raises(DataError, match=r"singular .*'b' = 'B'.*Give those one id"):
        made.precision  # noqa: B018
    G = np.random.default_rng(7).standard_normal((6, 20))
    G -= G.mean(axis=0)  # as centred markers are
    centred = Relatedness.from_genotypes(G)
    assert centred.logdet == -np.inf
    with pytest.raises(DataError, match=r"No two rows are equal"):
        centred.precision  # noqa: B018


@pytest.mark.parametrize(
    ("P", "words"),
    [
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "not positive definite: .*'[ab]'"),
        (np.array([[1.0, 1.0], [1.0, 1.0]]), "singular|not positive definite"),
        (np.array([[1.0, 0.5], [0.2, 1.0]]), "precision K⁻¹: it is not symmetric: 'b' with 'a'|'a' with 'b'"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "finite"),
        (np.array([[1.0, 0.0], [0.0, -1.0]]), "'b' \\(-1\\)"),
    ],
)
def test_what_is_no_precision(P, words):
    with pytest.raises(DataError, match=words):
        Relatedness.from_precision(P, ["a", "b"]).logdet  # noqa: B018


def test_what_is_held():
    K = full()[0]
    made = Relatedness(K, IDS)
    assert np.shares_memory(made.dense(), K)
    with pytest.raises(ValueError, match="read-only"):
        made.dense()[0, 0] = 2.0
    assert K.flags.writeable
    assert made.for_levels(IDS).form is made.form
    assert repr(made) == "<Relatedness: dense, 7 levels, 'a', 'b', 'c' and 4 more>"
    assert repr(Relatedness(np.eye(2) + 1, id="ID")) == "<Relatedness: dense, 2 levels, id 'ID'>"


def test_a_large_sparse_covariance_stays_sparse():
    K = sparse.csc_array(sparse.kron(sparse.eye_array(20_000), np.array([[1.0, 0.5], [0.5, 1.0]])))
    made = Relatedness(K, range(40_000))
    assert made.logdet == pytest.approx(20_000 * np.log(0.75))
    assert made.precision.nnz == 80_000 and made.components().max() == 19_999
    np.testing.assert_array_equal(made.block([0, 39_999], [1, 39_999]), [[0.5, 0.0], [0.0, 1.0]])
    with pytest.raises(DataError, match="40000 levels would take 12 GiB"):
        made.dense()


@pytest.mark.parametrize("form", FORMS)
def test_a_typical_variance(form):
    K, made = FORMS[form]()
    expected = np.exp(np.linalg.slogdet(K)[1] / 7) if "precision" in form else np.diagonal(K).mean()
    assert made.typical_variance == pytest.approx(expected, rel=1e-12)


def test_a_typical_variance_of_no_array():
    assert Relatedness.identity(3).typical_variance == 1.0
    ped = Pedigree([1, 2, 3, 4], [0, 0, 1, 1], [0, 0, 2, 3])  # 4 has F = 1/4
    assert ped.additive().typical_variance == pytest.approx(4.25 / 4, rel=1e-15)
    few = Relatedness.from_genotypes(np.array([[1.0], [2.0], [3.0]]))
    assert few.typical_variance == pytest.approx(14 / 3, rel=1e-15)
    many = Relatedness.from_precision(sparse.diags_array(np.full(100_000, 0.25)), np.arange(100_000))
    assert many.typical_variance == pytest.approx(4.0, rel=1e-12)


def test_the_diagonal_of_a_precision_in_narrow_blocks(monkeypatch):
    K, made = FORMS["precision"]()
    monkeypatch.setattr(precision, "_MOST_NUMBERS", 14)  # two columns at a time
    widths = []
    times = precision.Precision.times
    monkeypatch.setattr(precision.Precision, "times", lambda self, V: widths.append(V.shape[1]) or times(self, V))
    np.testing.assert_allclose(made.diagonal(), K.diagonal(), **CLOSE)
    assert widths == [2, 2, 2, 1]
