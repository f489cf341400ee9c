"""What may be given as sharing along the genome, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from lmmpy import Pedigree, Relatedness, datasets
from lmmpy.errors import DataError
from lmmpy.markers import IbdMap, as_ibd, drop_genes, ibd_tables

K0 = pd.DataFrame([[1, 0, 0.5], [0, 1, 0.5], [0.5, 0.5, 1]], index=list("abc"), columns=list("abc"))
K5 = pd.DataFrame([[1, 1.0, 0], [1.0, 1, 0], [0, 0, 1]], index=list("abc"), columns=list("abc"))


def long(K):
    i, j = np.nonzero(np.tril(K))
    return pd.DataFrame({"id1": K.index[i], "id2": K.index[j], "ibd": K.to_numpy()[i, j]})


def dense(ibd, i):
    return ibd.relatedness(i).to_frame(list("abc")).to_numpy()


def check(ibd):
    assert set(ibd.people) == set("abc")
    for i, K in enumerate((K0, K5)):
        np.testing.assert_array_equal(dense(ibd, i), K)
        first, second, values = ibd.pairs(i)
        assert first.dtype == second.dtype == np.intp
        assert (first <= second).all() and (np.diff(3 * first + second) > 0).all() and (values > 0).all()
    assert isinstance(ibd.positions.index, pd.RangeIndex)


@pytest.mark.parametrize(
    ("keys", "chromosome"),
    [((0, 5), ""), ((("1", 0.0), ("1", 5.0)), "1"), ((("X", 0), ("X", 5)), "X"), (("2:0", "2:5"), "2")],
)
def test_a_mapping_from_positions_to_matrices(keys, chromosome):
    ibd = as_ibd(dict(zip(keys, (K0, K5), strict=True)))
    check(ibd)
    assert ibd.positions["chromosome"].tolist() == [chromosome] * 2
    assert ibd.positions["position"].tolist() == [0.0, 5.0]


def test_positions_come_in_the_order_of_the_genome():
    ibd = as_ibd({("X", 1): K0, ("10", 3): K0, ("2", 9): K0, ("2", 10): K5, ("un", 0): K0, ("chr3", 0): K0})
    assert [ibd.label(i) for i in range(6)] == ["2:9 cM", "2:10 cM", "chr3:0 cM", "10:3 cM", "X:1 cM", "un:0 cM"]
    np.testing.assert_array_equal(dense(ibd, 1), K5)


def test_matrices_may_be_relatednesses_in_another_order():
    other = K5.loc[list("cab"), list("cab")]
    check(as_ibd({0: Relatedness(K0), 5: Relatedness(other)}))
    check(as_ibd({0: K0, 5: other}))


def test_long_frames():
    check(as_ibd({0: long(K0), 5: long(K5)}))
    both = pd.concat([long(K5).assign(position=5.0), long(K0).assign(position=0.0)])
    check(as_ibd(both))
    shuffled = both.assign(chromosome=7).sample(frac=1.0, random_state=1)
    ibd = as_ibd(shuffled)
    check(ibd)
    assert ibd.positions["chromosome"].tolist() == ["7", "7"]


def test_a_diagonal_that_is_not_given_is_one():
    frame = long(K0)
    check(as_ibd({0: frame[frame["id1"] != frame["id2"]], 5: long(K5)}))


def test_ids_are_the_same_as_numbers_and_as_text():
    frame = pd.DataFrame({"id1": [1, 2, 2], "id2": [1.0, 2.0, 1.0], "ibd": [1, 1, 0.5], "position": 0})
    assert as_ibd(frame).people == ("1", "2")


def test_the_sharing_of_the_family_study():
    ibd = as_ibd(datasets.load("family_ibd"))
    assert repr(ibd) == "<IbdMap: 398 people, 21 positions, chromosome 1; IBD frame>"
    assert len(ibd.pairs(8)[0]) == 2004
    back = ibd.to_frame()
    pd.testing.assert_frame_equal(as_ibd(back).to_frame(), back)
    ped = Pedigree.from_frame(datasets.load("family_pedigree"))
    shared = ibd.relatedness(0).to_frame(ped.ids).to_numpy()
    assert ((shared > 0) <= (ped.additive().to_frame(ped.ids).to_numpy() > 0)).all()


def test_parts():
    ibd = drop_genes(Pedigree(list("abc"), [0, 0, "a"], [0, 0, "b"]), np.arange(0.0, 50.0, 10.0), seed=1).ibd
    part = ibd.between(1, 10, 30)
    assert part.positions["position"].tolist() == [10.0, 20.0, 30.0]
    assert len(ibd.between("1", start=35)) == 1
    assert part.take([2, 0]).positions["position"].tolist() == [30.0, 10.0]
    for i, j in ((0, 1), (2, 3)):
        for one, other in zip(part.pairs(i), ibd.pairs(j), strict=True):
            np.testing.assert_array_equal(one, other)
    held = part.load()
    pd.testing.assert_frame_equal(held.to_frame(), part.to_frame())
    assert held.nbytes > 0 == part.nbytes
    with pytest.raises(DataError, match="no position on chromosome '2'; there are '1'"):
        ibd.between(2)
    with pytest.raises(DataError, match=r"no position from 41 to None cM .* 0 to 40 cM"):
        ibd.between(1, 41)


def test_fingerprints_are_of_contents():
    one = as_ibd({0: K0, 5: K5})
    assert one.fingerprint() == as_ibd({0: Relatedness(K0), 5: long(K5)}).fingerprint()
    changed = K5.copy()
    changed.loc["a", "b"] = changed.loc["b", "a"] = 0.5
    prints = {one.fingerprint(), as_ibd({0: K0, 5: changed}).fingerprint(), as_ibd({0: K0, 6: K5}).fingerprint()}
    assert len(prints | {one.take([0]).fingerprint()}) == 4
    assert pickle.loads(pickle.dumps(one)).fingerprint() == one.fingerprint()
    assert as_ibd(one) is one


def test_a_mapping_is_read_when_it_is_asked():
    class Lazy(dict):
        asked = 0

        def __getitem__(self, key):
            self.asked += 1
            return super().__getitem__(key)

    mapping = Lazy({0: K0, 5: K5, 10: K0})
    ibd = as_ibd(mapping)
    assert mapping.asked == 1
    ibd.pairs(1)
    assert mapping.asked == 2


def entry(id1, id2, ibd):
    return pd.DataFrame({"id1": [id1], "id2": [id2], "ibd": [ibd]})


NAN = float("nan")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (entry("c", "a", 1.2), r"share more than they are related to themselves: 'a' and 'c' 1.2"),
        (entry("c", "a", -0.1), r"'a' and 'c' -0.1"),
        (entry("c", "a", NAN), r"'a' and 'c' nan"),
        (entry("b", "b", 0.5), r"not between 1 and 2: 'b' and 'b' 0.5. .*Are these kinships"),
        (entry("b", "b", 2.5), r"not between 1 and 2: 'b' and 'b' 2.5"),
        (entry("c", "a", "x"), r"'ibd' holds no numbers in some rows: 'x'"),
    ],
)
def test_values_that_cannot_be_are_named(changed, message):
    frame = long(K0)
    same = (frame["id1"] == changed["id1"][0]) & (frame["id2"] == changed["id2"][0])
    frame = pd.concat([frame[~same], changed])
    with pytest.raises(DataError, match=r"IBD at 0: .*" + message):
        as_ibd({0: frame}).pairs(0)


def test_the_inbred_may_share_more_than_one():
    K = pd.DataFrame([[1.5, 1.25], [1.25, 1.5]], index=list("ab"), columns=list("ab"))
    assert as_ibd({0: K}).pairs(0)[2].tolist() == [1.5, 1.25, 1.5]


def test_a_pair_twice_must_be_the_same():
    again = pd.concat([long(K0), entry("a", "c", 0.5)])
    np.testing.assert_array_equal(dense(as_ibd({0: again}), 0), K0)
    with pytest.raises(DataError, match=r"twice with different values: 'a' and 'c' 0.5, 'a' and 'c' 0.25"):
        as_ibd({0: pd.concat([long(K0), entry("a", "c", 0.25)])}).pairs(0)
    odd = K0.copy()
    odd.loc["a", "c"] = 0.25
    with pytest.raises(DataError, match=r"twice with different values"):
        as_ibd({0: odd}).pairs(0)
    odd.loc["a", "c"] = 0.0
    with pytest.raises(DataError, match=r"not symmetric: 'c' and 'a' share 0.5, and 0 the other way"):
        as_ibd({0: odd}).pairs(0)


def test_a_diagonal_for_some_is_refused():
    frame = long(K0)
    frame = frame[~((frame["id1"] == "b") & (frame["id2"] == "b"))]
    with pytest.raises(DataError, match=r"there for 2 people, but not for 1: 'b'"):
        as_ibd({0: frame}).pairs(0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no positions"),
        ({"x": K0}, "'x' is no position"),
        ({0: K0, "0": K0}, "positions are there twice: :0"),
        ({0: np.eye(3)}, "IBD at 0 is a ndarray"),
        ({0: Relatedness(np.eye(3))}, "no labels"),
        ({0: Pedigree(["a"], [0], [0])}, "is a Pedigree"),
        (np.eye(3), "A ndarray is no map of sharing"),
        (long(K0), "no column 'position'"),
        (long(K0).assign(position=np.nan), "missing or not finite"),
        (long(K0).assign(position="y"), "'position' holds no numbers"),
        (long(K0).assign(position=0).assign(id1=None), "values of 'id1' are missing"),
        (long(K0).assign(position=0)[:0], "no rows"),
        ("study.xyz", "not known as a file of sharing"),
        ("absent.ibd", "no file 'absent.ibd'"),
    ],
)
def test_what_is_no_map_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        as_ibd(given)


def test_positions_of_different_people_are_refused():
    ibd = as_ibd({0: K0, 5: K0.loc[list("ab"), list("ab")]})
    assert isinstance(ibd, IbdMap)
    with pytest.raises(DataError, match="of other people than at 0: only here ; only there 'c'"):
        ibd.pairs(1)


@pytest.mark.parametrize("chromosome", [1, 1.0, np.int64(1), "1"])
def test_chromosomes_are_the_same_as_numbers_and_as_text(chromosome):
    K = pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"])
    ibd = as_ibd({(chromosome, 5.0): K})
    assert ibd.positions["chromosome"].tolist() == ["1"]
    assert len(ibd.between(1.0)) == len(ibd.between("1")) == 1


def test_a_chromosome_that_is_missing_is_refused():
    K = pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"])
    with pytest.raises(DataError, match=r"chromosome is missing at 1 positions, numbers 1 from 0"):
        as_ibd({(1, 5.0): K, (np.nan, 6.0): K})


def test_a_table_at_once_and_position_by_position_are_the_same_map(monkeypatch):
    table = datasets.load("family_ibd").sample(frac=1.0, random_state=3)
    turned = np.random.default_rng(0).random(len(table)) < 0.5
    table.loc[turned, ["id1", "id2"]] = table.loc[turned, ["id2", "id1"]].to_numpy()
    at_once = as_ibd(table)
    monkeypatch.setattr(ibd_tables, "sound_pairs", lambda *arguments: None)
    one_by_one = as_ibd(table)
    assert at_once.fingerprint() == one_by_one.fingerprint()
    pd.testing.assert_frame_equal(at_once.positions, one_by_one.positions)
    for i in range(len(at_once.positions)):
        for one, other in zip(at_once.pairs(i), one_by_one.pairs(i), strict=True):
            np.testing.assert_array_equal(one, other)
