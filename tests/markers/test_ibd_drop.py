"""Gene dropping: expectations, recombination, twins, genotypes."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from lmmpy import Pedigree, datasets
from lmmpy.errors import DataError
from lmmpy.markers import as_ibd, drop_genes, unlinked


@pytest.fixture(scope="module")
def family() -> Pedigree:
    return Pedigree.from_frame(datasets.load("family_pedigree"))


def dense(ibd, i=0):
    return ibd.relatedness(i).to_frame(ibd.people).to_numpy()


def naive_sharing(alleles):
    """From the numbered founder alleles of everybody at one position, shape (n, 2)."""
    return (alleles[:, None, :, None] == alleles[None, :, None, :]).sum(axis=(2, 3)) / 2


def mean_sharing(ibd):
    """Mean over all positions, and its standard error."""
    n = len(ibd.people)
    total, squares = np.zeros((n, n)), np.zeros((n, n))
    for i in range(len(ibd)):
        first, second, values = ibd.pairs(i)
        total[first, second] += values
        squares[first, second] += values**2
    mean = total / len(ibd)
    error = np.sqrt((squares / len(ibd) - mean**2) / len(ibd))
    return mean, error


def test_pairs_are_what_the_alleles_say(family):
    dropped = drop_genes(family, 4, seed=1)
    for i in range(4):
        np.testing.assert_array_equal(dense(dropped.ibd, i), naive_sharing(dropped.alleles[i]))
        first, second, values = dropped.ibd.pairs(i)
        assert (first <= second).all()
        assert (np.diff(first * len(family) + second) > 0).all()
        assert (values > 0).all()


def test_everybody_inherits_from_both_parents(family):
    dropped = drop_genes(family, np.arange(0.0, 100.0, 5.0), seed=2)
    frame, place = family.to_frame(), {name: i for i, name in enumerate(family.ids)}
    for side, column in enumerate(("father", "mother")):
        known = np.flatnonzero(frame[column].notna())
        parents = np.array([place[name] for name in frame[column].iloc[known]])
        passed_on = dropped.alleles[:, known, side, None] == dropped.alleles[:, parents]
        assert passed_on.any(axis=2).all()
    founders = [place[name] for name in family.founders]
    assert len(np.unique(dropped.alleles[0, founders])) == 2 * len(founders)


def test_mean_sharing_is_twice_the_kinship(family):
    mean, error = mean_sharing(unlinked(family, 4000, seed=3))
    A = np.triu(family.additive().to_frame(family.ids).to_numpy())
    at = error > 0
    z = (mean[at] - A[at]) / error[at]
    assert np.abs(z).max() < 5.0
    assert abs((z**2).mean() - 1.0) < 0.15
    np.testing.assert_array_equal(mean[~at], A[~at])


def test_mean_sharing_of_the_inbred_is_twice_the_kinship():
    names, father, mother = list("abcdefg"), [0, 0, "a", "a", "c", "c", "e"], [0, 0, "b", "b", "d", "d", "f"]
    ped = Pedigree(names, father, mother)
    mean, error = mean_sharing(unlinked(ped, 20_000, seed=4))
    A = np.triu(ped.additive().to_frame(names).to_numpy())
    assert A[6, 6] > 1.3
    np.testing.assert_array_less(np.abs(mean - A), 5.0 * error + 1e-15)


def test_recombination_is_haldanes():
    ped = Pedigree(["a", "b", *range(1, 401)], [0, 0, *["a"] * 400], [0, 0, *["b"] * 400])
    places = pd.DataFrame({"chromosome": ["1"] * 4 + ["2"], "position": [0.0, 1.0, 11.0, 61.0, 61.0]})
    alleles = drop_genes(ped, pd.concat([places, places.assign(chromosome=["3"] * 4 + ["4"])]), seed=5).alleles[:, 2:]
    switched = (alleles[1:] != alleles[:-1]).mean(axis=(1, 2))
    expected = 0.5 * (1.0 - np.exp(-2.0 * np.array([0.01, 0.10, 0.50])))
    for k, r in enumerate([*expected, 0.5, 0.5, *expected, 0.5]):
        assert abs(switched[k] - r) < 4.5 * np.sqrt(r * (1 - r) / 800)


def test_both_ways_to_draw_have_independent_bits():
    ped = Pedigree(["a", "b", *range(1, 501)], [0, 0, *["a"] * 500], [0, 0, *["b"] * 500])
    strand = drop_genes(ped, 8, seed=6).alleles[:, 2:] % 2
    flat = strand.transpose(0, 2, 1).reshape(16, 500)
    correlation = np.corrcoef(flat)
    assert np.abs(correlation[np.triu_indices(16, 1)]).max() < 4.5 / np.sqrt(500)


def test_identical_twins_inherit_the_same_and_share_all(family):
    frame = datasets.load("family_pedigree")
    twins = frame[frame["MZTWIN"] > 0].groupby("MZTWIN")["ID"].apply(list)
    ibd = drop_genes(family, 3, seed=7).ibd
    for one, other in twins:
        for i in range(3):
            K = dense(ibd, i)
            np.testing.assert_array_equal(K[one - 1], K[other - 1])
            assert K[one - 1, other - 1] == 1.0


def test_an_unknown_parent_gives_a_new_allele():
    ped = Pedigree(["a", "b", "c"], [0, "a", "a"], [0, 0, 0])
    dropped = drop_genes(ped, 50, seed=8)
    assert dropped.n_founder_alleles == 4
    assert set(np.unique(dense(dropped.ibd.take([0]))[1, 2:])) <= {0.0, 0.5}
    assert (dropped.alleles[:, 1, 1] != dropped.alleles[:, 2, 1]).all()


def test_a_seed_gives_the_same_again(family):
    one, other = (unlinked(family, 5, seed=9) for _ in range(2))
    assert as_ibd(drop_genes(family, 5, seed=9)).fingerprint() == one.fingerprint()
    assert one.fingerprint() == other.fingerprint() != unlinked(family, 5, seed=10).fingerprint()
    back = pickle.loads(pickle.dumps(one))
    assert back.fingerprint() == one.fingerprint()
    assert back.positions["chromosome"].tolist() == ["1", "2", "3", "4", "5"]


def test_genotypes_are_of_the_alleles_inherited(family):
    dropped = drop_genes(family, 600, seed=11)
    counts = dropped.genotypes(np.linspace(0.1, 0.9, 600), seed=12)
    assert counts.index.tolist() == list(family.ids)
    founders = counts.loc[list(family.founders)].mean() / 2
    p, n = np.linspace(0.1, 0.9, 600), 2 * len(family.founders)
    assert (np.abs(founders - p) < 5 * np.sqrt(p * (1 - p) / n)).all()
    # At a locus all copies of one founder allele are alike.
    texts = dropped.genotypes({"A": 0.2, "B": 0.3, "C": 0.5}, seed=13, names=[f"x{i}" for i in range(600)])
    pairs = np.array([text.split("/") for text in texts["x7"]])
    for allele in np.unique(dropped.alleles[7]):
        assert len(set(pairs[dropped.alleles[7] == allele])) == 1


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (0, "must be 1 or more; it is 0"),
        ([], "no positions"),
        ([1.0, 1.0], "there twice: 1:1"),
        ([1.0, np.nan], "1 positions are missing"),
        (["x"], "must be numbers"),
        (pd.DataFrame({"cM": [1.0]}), "no column 'chromosome', 'position'"),
    ],
)
def test_bad_positions_are_refused(family, positions, message):
    with pytest.raises(DataError, match=message):
        drop_genes(family, positions)


def test_bad_frequencies_are_refused(family):
    dropped = drop_genes(family, 2, seed=1)
    with pytest.raises(DataError, match="from 0 to 1"):
        dropped.genotypes(1.5)
    with pytest.raises(DataError, match="sum to 1"):
        dropped.genotypes({"A": 0.5, "B": 0.6})
    with pytest.raises(DataError, match="1 names for 2 markers"):
        dropped.genotypes(0.5, names=["x"])
    with pytest.raises(DataError, match="number of loci"):
        unlinked(family, 0)


def test_positions_keep_the_order_in_which_they_are_given(family):
    """So that frequencies and names are of the positions that they were given with."""
    given = pd.DataFrame({"chromosome": [2, 1, 1.0, "X"], "position": [0.0, 50.0, 10.0, 3.0]})
    order = [2, 1, 0, 3]
    mixed, sorted_ = drop_genes(family, given, seed=7), drop_genes(family, given.iloc[order], seed=7)
    assert mixed.positions["chromosome"].tolist() == ["2", "1", "1", "X"]
    assert mixed.positions["position"].tolist() == [0.0, 50.0, 10.0, 3.0]
    np.testing.assert_array_equal(mixed.alleles[order], sorted_.alleles)
    frequencies, names = np.array([1.0, 0.0, 0.3, 0.5]), np.array(["c2", "c1_50", "c1_10", "x"])
    found = mixed.genotypes(frequencies, seed=1, names=names.tolist())
    assert list(found.columns) == names.tolist()
    assert (found["c2"] == 2).all() and (found["c1_50"] == 0).all() and found["c1_10"].nunique() == 3
    # the sharing is in the order of the genome
    pd.testing.assert_frame_equal(mixed.ibd.positions, sorted_.ibd.positions)
    for i in range(4):
        np.testing.assert_array_equal(dense(mixed.ibd, i), dense(sorted_.ibd, i))
        np.testing.assert_array_equal(dense(mixed.ibd, i), naive_sharing(mixed.alleles[order[i]]))
    part = pickle.loads(pickle.dumps(mixed.ibd)).between(1)
    np.testing.assert_array_equal(dense(part, 1), naive_sharing(mixed.alleles[1]))


@pytest.mark.parametrize("positions", [np.zeros((2, 2)), True, [True, False], [[1.0], [2.0]]])
def test_positions_that_are_no_list_of_numbers(family, positions):
    with pytest.raises(DataError, match="Positions are a number of loci, numbers in cM"):
        drop_genes(family, positions)
