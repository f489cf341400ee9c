"""Genomic relatedness against a definition of three lines and against GEMMA."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.markers import as_genotypes, grm
from tests.markers.plain_genotypes import dosages, write_plink

GEMMA = json.loads((Path(__file__).parents[1] / "reference" / "gemma_grm.json").read_text())
IDS = [f"p{i}" for i in range(12)]


def naive(G, method="standardized", min_maf=0.0):
    """Means, scales and products as they are written on paper."""
    mean = np.nanmean(G, axis=0)
    Z = np.where(np.isnan(G), 0.0, G - mean)
    kept = (Z.var(axis=0) > 1e-12) & (np.minimum(mean / 2, 1 - mean / 2) >= min_maf)
    Z = Z[:, kept]
    return (
        (Z / (Z.std(axis=0) if method == "standardized" else 1.0))
        @ (Z / (Z.std(axis=0) if method == "standardized" else 1.0)).T
        / kept.sum()
    )


def source_of(G, chromosomes):
    names = [f"rs{j}" for j in range(G.shape[1])]
    return as_genotypes(G, people=IDS, variants=pd.DataFrame({"variant": names, "chromosome": chromosomes}))


@pytest.fixture
def G():
    return dosages(12, 60, seed=4)


CHROMOSOMES = ["1"] * 20 + ["2"] * 25 + ["X"] * 15


@pytest.mark.parametrize("method", ["standardized", "centered"])
@pytest.mark.parametrize("block_size", [None, 1, 7, 60, 100])
def test_against_the_definition(G, method, block_size):
    K = grm(G, people=IDS, method=method, block_size=block_size)
    assert K.labels == tuple(IDS)
    np.testing.assert_allclose(K.dense(), naive(G, method), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(K.dense(), K.dense().T)


@pytest.mark.parametrize("kind", ["whole", "fractional"])
@pytest.mark.filterwarnings("ignore:2 of 40 variants:lmmpy.errors.LmmpyWarning")
def test_against_gemma(kind):
    answer = GEMMA[kind]
    source = source_of(np.array(answer["dosages"], dtype=float).T, answer["chromosomes"])
    for method in ("centered", "standardized"):
        np.testing.assert_allclose(grm(source, method=method).dense(), answer[method], rtol=0, atol=1e-9)
    without = grm(source, method="centered", loco=True)["2"]
    np.testing.assert_allclose(without.dense(), answer["centered_without_2"], rtol=0, atol=1e-9)
    without = grm(source, method="centered", leave_out="2")
    np.testing.assert_allclose(without.dense(), answer["centered_without_2"], rtol=0, atol=1e-9)


def test_from_plink(G, tmp_path):
    pytest.importorskip("bed_reader")
    prefix = write_plink(tmp_path / "study", G, ids=IDS, chromosomes=CHROMOSOMES)
    np.testing.assert_allclose(grm(prefix, block_size=11).dense(), naive(G), rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore:3 of 60 variants:lmmpy.errors.LmmpyWarning")
def test_some_people_have_their_own_means(G):
    who = [7, 2, 11, 3, 4]
    K = grm(source_of(G, CHROMOSOMES), people=[IDS[i] for i in who])
    assert K.labels == tuple(IDS[i] for i in who)
    np.testing.assert_allclose(K.dense(), naive(G[who]), rtol=0, atol=1e-14)
    with pytest.raises(DataError, match="does not have 1 of the ids asked for: 'p12'"):
        grm(source_of(G, CHROMOSOMES), people=["p1", "p12"])
    with pytest.raises(DataError, match="is empty"):
        grm(source_of(G, CHROMOSOMES), people=[])


def test_min_maf(G):
    K = grm(source_of(G, CHROMOSOMES), min_maf=0.3)
    np.testing.assert_allclose(K.dense(), naive(G, min_maf=0.3), rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", [np.arange(60), np.random.default_rng(3).permutation(60)])
def test_one_chromosome_left_out(G, order):
    chromosomes = np.array(CHROMOSOMES)[order]
    made = grm(source_of(G[:, order], chromosomes), loco=True)
    assert list(made) == list(dict.fromkeys(chromosomes.tolist()))
    for chromosome, K in made.items():
        np.testing.assert_allclose(K.dense(), naive(G[:, np.array(CHROMOSOMES) != chromosome]), rtol=0, atol=1e-14)
        assert K.labels == tuple(IDS)


def test_a_chromosome_in_no_relatedness(G):
    source, autosomes = source_of(G, CHROMOSOMES), np.array(CHROMOSOMES) != "X"
    np.testing.assert_allclose(grm(source, leave_out="X").dense(), naive(G[:, autosomes]), rtol=0, atol=1e-14)
    made = grm(source, leave_out=["X"], loco=True)
    assert list(made) == ["1", "2", "X"]
    np.testing.assert_allclose(made["X"].dense(), naive(G[:, autosomes]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(made["1"].dense(), naive(G[:, 20:45]), rtol=0, atol=1e-14)
    with pytest.raises(DataError, match=r"chromosome 'x' is not in .*; it has '1', '2', 'X'\. Was 'X' meant"):
        grm(source, leave_out="x")


def test_a_share_of_one_chromosome_costs_few_digits(G):
    many = np.tile(G, (1, 50))
    chromosomes = ["1"] * 2_998 + ["2"] * 2
    made = grm(source_of(many, chromosomes), loco=True)
    np.testing.assert_allclose(made["1"].dense(), naive(many[:, 2_998:]), rtol=0, atol=1e-11)


def test_variants_that_are_the_same_in_all_are_counted(G):
    G[:, 3], G[:, 30], G[:, 50] = 1.0, np.nan, 0.0
    G[2:5, 3] = np.nan
    with pytest.warns(
        LmmpyWarning, match="3 of 60 variants are the same in all 12 people.*'rs3', 'rs30', 'rs50'"
    ) as told:
        K = grm(source_of(G, CHROMOSOMES), block_size=8)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_allclose(K.dense(), naive(np.delete(G, 30, axis=1)), rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore:.*variants are the same in all:lmmpy.errors.LmmpyWarning")
def test_chromosomes_without_a_variant_that_varies(G):
    G[:, 45:] = 0.0
    made = grm(source_of(G, CHROMOSOMES), loco=True)
    np.testing.assert_allclose(made["X"].dense(), naive(G[:, :45]), rtol=0, atol=1e-14)
    G[:, 20:45] = 2.0
    with pytest.raises(DataError, match="only chromosome '1' has variants that vary"):
        grm(source_of(G, CHROMOSOMES), loco=True)
    G[:] = 1.0
    with pytest.raises(DataError, match=r"No variant is left .* 60 are the same in all 12 people and 0 have"):
        grm(source_of(G, CHROMOSOMES))


def test_loco_needs_chromosomes(G):
    with pytest.raises(DataError, match="not known of 60: 'v1', 'v2'"):
        grm(G, people=IDS, loco=True)
    with pytest.raises(DataError, match="of chromosome '4' only"):
        grm(source_of(G, ["4"] * 60), loco=True)


def test_memory(G):
    source = source_of(G, CHROMOSOMES)
    least = 8 * 144 + 16 * 12 * 16
    grm(source, memory=least)
    with pytest.raises(ModelError, match=r"takes 1 arrays of 12 × 12 numbers.* fewer people="):
        grm(source, memory=least - 1)
    grm(source, memory=least + 3 * 8 * 144, loco=True)
    with pytest.raises(ModelError, match=r"takes 4 arrays .*leave_out=chromosome"):
        grm(source, memory=least + 3 * 8 * 144 - 1, loco=True)


@pytest.mark.parametrize("options", [{"method": "vanraden"}, {"min_maf": 0.5}, {"min_maf": -1}, {"block_size": 0}])
def test_options_that_are_none(G, options):
    with pytest.raises(ModelError, match=next(iter(options))):
        grm(G, people=IDS, **options)


def test_progress_is_told(G, capsys):
    grm(G, people=IDS, progress=True, block_size=10)
    assert "60 of 60 variants" in capsys.readouterr().err


def test_a_fit_takes_it(G):
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"id": np.tile(IDS, 3), "y": rng.normal(size=36)})
    K = grm(G, people=IDS)
    fit = lmm.lmer("y ~ 1 + kin(id, K)", data, relmat={"K": K})
    other = lmm.lmer("y ~ 1 + kin(id, K)", data, relmat={"K": pd.DataFrame(naive(G), IDS, IDS)})
    assert fit.loglik == pytest.approx(other.loglik, rel=1e-8)


def test_bimbam_has_the_ids_that_are_given(tmp_path):
    G = dosages(6, 9, missing=0.0)
    path = tmp_path / "a.geno"
    path.write_text("".join(f"rs{j} A G {' '.join(f'{x:g}' for x in column)}\n" for j, column in enumerate(G.T)))
    ids = [f"p{i}" for i in range(6)]
    found = grm(path, people=ids)
    assert list(found.labels) == ids
    np.testing.assert_array_equal(found.dense(), grm(G, people=ids).dense())
