"""Exact sharing at single markers against brute force and published tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lmmpy import Pedigree, datasets
from lmmpy.errors import DataError
from lmmpy.markers import drop_genes, marker_ibd
from lmmpy.markers.family_ibd import MOST_CASES
from tests.markers import naive_ibd

FREQUENCY = {"1": 0.5, "2": 0.3, "3": 0.2}
NUMBER = {"1": 0, "2": 1, "3": 2}

# Who, father, mother; genotypes, where typed. Parents come first, as brute force has it.
FAMILIES = {
    "sib pair": ("a00 b00 c=ab d=ab", {"c": "1/2", "d": "1/1"}),
    "trio, one parent": ("a00 b00 c=ab d=ab", {"a": "1/3", "c": "1/2", "d": "3/2"}),
    "sibs of three": ("a00 b00 c=ab d=ab e=ab", {"c": "1/2", "d": "1/2", "e": "3/2"}),
    "half sibs": ("a00 b00 c00 d=ab e=ac f=ac", {"d": "1/2", "e": "1/3", "b": "2/2"}),
    "three generations": ("a00 b00 c=ab d=ab e00 f=ce g=ce", {"a": "1/2", "f": "1/3", "g": "2/3", "d": "2/2"}),
    "cousins": ("a00 b00 c=ab d=ab e00 f00 g=ce h=df", {"g": "1/2", "h": "1/3"}),
    "inbred": ("a00 b00 c=ab d=ab e=cd f=cd", {"e": "1/1", "f": "1/2"}),
    "inbred, untyped ends": ("a00 b00 c=ab d=ab e=cd f=cd", {"a": "1/2", "c": "1/2"}),
    "backcross": ("a00 b00 c=ab d=cb e=cb", {"d": "1/1", "e": "1/2"}),
    "one parent known": ("a00 b=a0 c=a0 d00 e=bd", {"b": "1/2", "c": "2/2", "e": "2/3"}),
    "only grandparents": ("a00 b00 c=ab d00 e=cd f=cd", {"a": "1/2", "b": "3/3"}),
}


def read(text):
    """Ids, and parents by number."""
    names = [word[0] for word in text.split()]
    parents = [tuple(-1 if p == "0" else names.index(p) for p in word[-2:]) for word in text.split()]
    return names, parents


def pedigree_of(text):
    names, parents = read(text)
    father, mother = ([None if p[side] < 0 else names[p[side]] for p in parents] for side in (0, 1))
    return Pedigree(names, father, mother)


def dense(ibd, i=0):
    return ibd.relatedness(i).to_frame(ibd.people).to_numpy()


@pytest.mark.parametrize("name", FAMILIES)
def test_against_brute_force(name):
    text, typed = FAMILIES[name]
    names, parents = read(text)
    genotypes = [tuple(NUMBER[a] for a in typed[who].split("/")) if who in typed else None for who in names]
    K, _ = naive_ibd.expected_sharing(parents, genotypes, list(FREQUENCY.values()))
    ibd = marker_ibd(pedigree_of(text), pd.DataFrame({"m": typed}), {"m": FREQUENCY})
    np.testing.assert_allclose(dense(ibd), K, rtol=0, atol=1e-13)


def test_alleles_nobody_shows_count_by_what_is_left_of_the_frequencies():
    text, typed = FAMILIES["three generations"]
    short = {"1": 0.5, "2": 0.3, "3": 0.05}  # 0.15 for others
    names, parents = read(text)
    genotypes = [tuple(NUMBER[a] for a in typed[who].split("/")) if who in typed else None for who in names]
    K, _ = naive_ibd.expected_sharing(parents, genotypes, [0.5, 0.3, 0.05, 0.15])
    np.testing.assert_allclose(
        dense(marker_ibd(pedigree_of(text), pd.DataFrame({"m": typed}), {"m": short})), K, rtol=0, atol=1e-13
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Sharing of sibs without parents, by the posterior of Bayes' rule on the ITO matrices of Li & Sacks (1954).
        ("i/i", "i/i", lambda i, j: 1 / (1 + i)),
        ("i/i", "j/j", lambda i, j: 0.0),
        ("i/i", "i/j", lambda i, j: 1 / (2 * (1 + i))),
        ("i/j", "i/j", lambda i, j: (2 + i + j) / (2 * (1 + i + j + 2 * i * j))),
        ("i/j", "i/k", lambda i, j: 1 / (2 * (1 + 2 * i))),
        ("i/i", "j/k", lambda i, j: 0.0),
        ("i/j", "k/l", lambda i, j: 0.0),
    ],
)
def test_sib_pairs_without_parents_have_the_published_posteriors(first, second, expected):
    frequency = {"i": 0.13, "j": 0.29, "k": 0.31, "l": 0.27}
    typed = pd.DataFrame({"m": {"c": first, "d": second}})
    sharing = dense(marker_ibd(pedigree_of("a00 b00 c=ab d=ab"), typed, {"m": frequency}))[2, 3]
    assert sharing == pytest.approx(expected(0.13, 0.29), abs=1e-14)


@pytest.mark.parametrize(
    ("father", "mother", "first", "second", "sharing"),
    [
        # Mating types I to VII of Haseman & Elston (1972): what sibs share when both parents are typed.
        ("i/i", "i/i", "i/i", "i/i", 0.5),
        ("i/i", "j/j", "i/j", "i/j", 0.5),
        ("i/i", "i/j", "i/i", "i/i", 0.75),
        ("i/i", "i/j", "i/i", "i/j", 0.25),
        ("i/i", "i/j", "i/j", "i/j", 0.75),
        ("i/i", "j/k", "i/j", "i/j", 0.75),
        ("i/i", "j/k", "i/j", "i/k", 0.25),
        ("i/j", "i/j", "i/i", "i/i", 1.0),
        ("i/j", "i/j", "i/i", "j/j", 0.0),
        ("i/j", "i/j", "i/i", "i/j", 0.5),
        ("i/j", "i/j", "i/j", "i/j", 0.5),
        ("i/j", "i/k", "i/i", "i/i", 1.0),
        ("i/j", "i/k", "i/i", "j/k", 0.0),
        ("i/j", "i/k", "i/j", "i/k", 0.0),
        ("i/j", "i/k", "i/j", "j/k", 0.5),
        ("i/j", "k/l", "i/k", "i/k", 1.0),
        ("i/j", "k/l", "i/k", "i/l", 0.5),
        ("i/j", "k/l", "i/k", "j/l", 0.0),
    ],
)
def test_sib_pairs_with_parents_have_the_published_sharing(father, mother, first, second, sharing):
    typed = pd.DataFrame({"m": {"a": father, "b": mother, "c": first, "d": second}})
    found = dense(marker_ibd(pedigree_of("a00 b00 c=ab d=ab"), typed))
    assert found[2, 3] == pytest.approx(sharing, abs=1e-14)
    assert found[0, 2] == 0.5


def test_copies_of_an_allele_are_the_genotypes_they_mean():
    ped = pedigree_of("a00 b00 c=ab d=ab")
    counts = pd.DataFrame({"m": [0.0, np.nan, 1.0, 2.0]}, index=list("abcd")).drop(index="a")
    texts = pd.DataFrame({"m": ["", "2/1", "1/1"]}, index=list("bcd"))
    one = marker_ibd(ped, counts, {"m": 0.3})
    other = marker_ibd(ped, texts, {"m": {"2": 0.7, "1": 0.3}})
    np.testing.assert_array_equal(dense(one), dense(other))


def test_frequencies_are_counted_over_all_who_are_typed():
    ped = pedigree_of("a00 b00 c=ab d=ab")
    typed = pd.DataFrame({"m": {"c": "1/2", "d": "1/1"}})
    given = marker_ibd(ped, typed, {"m": {"1": 0.75, "2": 0.25}})
    np.testing.assert_array_equal(dense(marker_ibd(ped, typed)), dense(given))


def test_without_genotypes_it_is_what_the_pedigree_says():
    ped = Pedigree.from_frame(datasets.load("family_pedigree"))
    ibd = marker_ibd(ped, pd.DataFrame({"m": ["0/0"]}, index=["1"]))
    A = ped.additive().to_frame(ped.ids).to_numpy()
    np.testing.assert_allclose(dense(ibd), A, rtol=0, atol=1e-14)


def test_a_fully_informative_marker_shows_the_true_sharing():
    ped = Pedigree.from_frame(datasets.load("family_pedigree"))
    dropped = drop_genes(ped, 1, seed=3)
    own = dropped.alleles[0]
    genotypes = pd.DataFrame({"m": [f"F{a}/F{b}" for a, b in own]}, index=list(ped.ids))
    np.testing.assert_allclose(dense(marker_ibd(ped, genotypes)), dense(dropped.ibd), rtol=0, atol=1e-12)


def test_identical_twins_are_typed_by_either():
    ped = Pedigree(list("abcde"), [0, 0, "a", "a", "a"], [0, 0, "b", "b", "b"], twin=[0, 0, 1, 1, 0])
    typed = {"a": "1/2", "b": "3/3", "e": "1/3"}
    one = dense(marker_ibd(ped, pd.DataFrame({"m": typed | {"c": "1/3"}})))
    other = dense(marker_ibd(ped, pd.DataFrame({"m": typed | {"d": "3/1"}})))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)
    assert one[2, 3] == one[2, 2] == 1.0
    assert one[2, 4] == 0.75
    with pytest.raises(DataError, match=r"identical twins have different genotypes: 'c' 1/3, 'd' 2/3"):
        marker_ibd(ped, pd.DataFrame({"m": typed | {"c": "1/3", "d": "2/3"}}))


def test_positions_come_from_the_map():
    ped = pedigree_of("a00 b00 c=ab d=ab")
    typed = pd.DataFrame({"x": {"c": "1/2", "d": "1/2"}, "y": {"c": "1/1", "d": "2/2"}})
    at = pd.DataFrame({"marker": ["y", "z", "x"], "chromosome": [2, 2, 10], "position": [7.5, 9.0, 1.0]})
    ibd = marker_ibd(ped, typed, map=at)
    assert ibd.positions["chromosome"].tolist() == ["2", "10"]
    assert ibd.positions["position"].tolist() == [7.5, 1.0]
    assert dense(ibd, 0)[2, 3] == 0.0
    assert marker_ibd(ped, typed).positions["chromosome"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("typed", "frequencies", "message"),
    [
        ({"a": "1/1", "b": "1/1", "c": "1/2"}, None, r"'m': no inheritance explains .*: 'a' 1/1, 'b' 1/1, 'c' 1/2"),
        ({"c": "1/2/3"}, None, r"'m': genotypes must be two alleles.*'c' has '1/2/3'"),
        ({"c": "1/0"}, None, r"'m': genotypes must be two alleles.*'c' has '1/0'"),
        ({"c": 3}, None, r"'m': copies of an allele must be 0, 1 or 2: 'c' has 3"),
        ({"z": "1/1"}, None, r"The pedigree does not have 1 of the ids asked for: 'z'"),
        ({"c": "1/2"}, {"m": {"1": 1.0}}, r"'m': alleles that are seen have no frequency: '2'"),
        ({"c": "1/2"}, {"m": {"1": 0.8, "2": 0.4}}, r"'m': allele frequencies must be 0 to 1 and sum to 1 at most"),
        ({"c": "1/2"}, {"n": {"1": 0.8}}, r"frequencies has markers that genotypes has not: 'n'"),
        ({"c": "1/2"}, 0.5, r"frequencies must be a mapping"),
        ({"c": "1/2"}, {"m": 0.5}, r"'m': frequencies must be a mapping from alleles"),
    ],
)
def test_bad_input_is_named(typed, frequencies, message):
    with pytest.raises(DataError, match=message):
        marker_ibd(pedigree_of("a00 b00 c=ab d=ab"), pd.DataFrame({"m": typed}), frequencies)


def test_a_family_that_is_too_large_says_so():
    # Everybody but the last has a child: a line of matings, nobody typed but at its end.
    names, father, mother = ["f0"], [None], [None]
    for i in range(1, 16):
        names += [f"s{i}", f"f{i}"]
        father += [None, f"f{i - 1}"]
        mother += [None, f"s{i}"]
    with pytest.raises(DataError, match=rf"family of 'f0'.* is too large .* more than {MOST_CASES:,} cases"):
        marker_ibd(Pedigree(names, father, mother), pd.DataFrame({"m": {"f15": "1/2"}}), {"m": FREQUENCY})
