"""Dominance, X chromosome and parent of origin, against every way that alleles can be handed down."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmpy.errors import DataError
from lmmpy.relatedness import Pedigree
from tests.relatedness.naive_pedigree import both_shared, handed_down, identity, kinship, random_pedigree, tabular

EXACT = {"rtol": 0.0, "atol": 1e-12}


def drawn(seed, n, unknown):
    ped = random_pedigree(np.random.default_rng(seed), n, unknown)
    return ped, Pedigree(*ped.columns())


SMALL = [st.integers(0, 10**6), st.integers(2, 8), st.sampled_from([0.1, 0.4])]


def of(K, ped):
    at = K.positions(ped.ids)
    np.testing.assert_allclose(K.block(at, at), K.dense()[np.ix_(at, at)], **EXACT)
    return K.dense()[np.ix_(at, at)]


@given(*SMALL)
@settings(max_examples=30)
def test_the_chromosomes(seed, n, unknown):
    ped, pedigree = drawn(seed, n, unknown)
    alleles = handed_down(ped)
    A, M, P = kinship(alleles), identity(alleles, 0, 0), identity(alleles, 1, 1)
    np.testing.assert_allclose(A, tabular(ped), **EXACT)
    np.testing.assert_allclose(of(pedigree.additive(), ped), A, **EXACT)
    np.testing.assert_allclose(of(pedigree.maternal(), ped), M, **EXACT)
    np.testing.assert_allclose(of(pedigree.paternal(), ped), P, **EXACT)
    crossed = identity(alleles, 0, 1)
    np.testing.assert_allclose((M + P + crossed + crossed.T) / 2.0, A, **EXACT)


@given(*SMALL)
@settings(max_examples=40)
def test_the_x_chromosome(seed, n, unknown):
    ped, pedigree = drawn(seed, n + 4, unknown)
    X = pedigree.x_linked()
    np.testing.assert_allclose(of(X, ped), kinship(handed_down(ped, chromosome_x=True)), **EXACT)
    if X.logdet > -np.inf:
        np.testing.assert_allclose(X.precision.toarray() @ X.dense(), np.eye(X.size), atol=1e-9)
    kept = X.for_levels(ped.ids[-2:])
    at = kept.positions(ped.ids[-2:])
    np.testing.assert_allclose(kept.block(at, at), X.subset(ped.ids[-2:]).dense(), **EXACT)


@given(*SMALL)
@settings(max_examples=60)
def test_dominance(seed, n, unknown):
    ped, pedigree = drawn(seed, n, unknown)
    if pedigree.inbreeding().max() > 0.0:
        with pytest.raises(DataError, match=r"inbred: 'p.*prune\(ids\) keeps the ids given"):
            pedigree.dominance()
        return
    np.testing.assert_allclose(of(pedigree.dominance(), ped), both_shared(handed_down(ped)), **EXACT)


def test_relatives_by_hand():
    ped = Pedigree(
        ["f", "m", "son", "son2", "girl", "half", "m2"],
        [0, 0, "f", "f", "f", "f", 0],
        [0, 0, "m", "m", "m", "m2", 0],
        ["M", "F", "M", "M", "F", "F", "F"],
    )

    def between(K, a, b):
        return K.block(K.positions([a]), K.positions([b]))[0, 0]

    D, X, M, P = ped.dominance(), ped.x_linked(), ped.maternal(), ped.paternal()
    assert between(D, "son", "girl") == 0.25 and between(D, "girl", "half") == 0.0 and between(D, "f", "son") == 0.0
    assert between(X, "f", "son") == 0.0 and between(X, "f", "girl") == 1.0 and between(X, "m", "son") == 1.0
    assert between(X, "son", "son2") == 1.0 and between(X, "girl", "half") == 0.5 and between(X, "f", "f") == 2.0
    assert between(M, "son", "girl") == 0.5 and between(M, "girl", "half") == 0.0 and between(M, "m", "girl") == 0.5
    assert between(P, "girl", "half") == 0.5 and between(P, "f", "girl") == 0.5 and between(P, "m", "girl") == 0.0


def test_small_families_stay_sparse():
    n = 60
    ids = np.arange(1, 3 * n + 1).reshape(n, 3)
    father, mother = np.zeros((2, n, 3), dtype=int)
    father[:, 2], mother[:, 2] = ids[:, 0], ids[:, 1]
    pedigree = Pedigree(ids.ravel(), father.ravel(), mother.ravel())
    K = pedigree.maternal()
    assert K.form.kind == "sparse" and len(set(K.components())) == 2 * n  # a father is no relative in this
    assert not K.is_sparse and K.precision.nnz == 5 * n
    assert pedigree.additive().components().max() == n - 1


def test_one_large_family_is_dense():
    assert Pedigree(["c", "f", "m"], ["f", 0, 0], ["m", 0, 0]).paternal().form.kind == "dense"


def test_the_x_chromosome_needs_sexes():
    with pytest.raises(DataError, match="not known of 'c'"):
        Pedigree(["c", "f", "m"], ["f", 0, 0], ["m", 0, 0]).x_linked()


def test_families_too_large_for_a_dense_kernel(monkeypatch):
    monkeypatch.setattr("lmmpy.relatedness.kernels.MOST_DENSE", 2)
    with pytest.raises(DataError, match="Prune it first"):
        Pedigree(["c", "f", "m"], ["f", 0, 0], ["m", 0, 0]).maternal()
