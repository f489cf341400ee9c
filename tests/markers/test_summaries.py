"""Counts, frequencies and means of variants against numpy."""

import warnings

import numpy as np
import pytest

from lmmpy.errors import ModelError
from lmmpy.markers import impute_mean, summarise
from lmmpy.markers.summaries import standardise
from tests.markers.plain_genotypes import dosages

DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 40])
def test_against_numpy(n, dtype):
    G = np.asfortranarray(dosages(n, 25, missing=0.3) + 0.0, dtype=dtype)
    G[:, 3] = np.nan
    summary = summarise(G)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing
        mean = np.nanmean(G.astype(float), axis=0)
        filled = np.where(np.isnan(G), mean, G.astype(float))
        np.testing.assert_array_equal(summary.missing, np.isnan(G).sum(axis=0))
        np.testing.assert_allclose(summary.mean, mean, rtol=1e-15)
        np.testing.assert_allclose(summary.frequency, mean / 2, rtol=1e-15)
        np.testing.assert_allclose(summary.maf, np.minimum(mean / 2, 1 - mean / 2), rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(summary.variance, filled.var(axis=0), rtol=1e-13, atol=1e-15)
        varies = np.nanmax(G, axis=0) > np.nanmin(G, axis=0)
    np.testing.assert_array_equal(summary.varies, varies)


def test_a_variant_that_is_the_same_in_all_has_no_variance_at_all():
    G = np.asfortranarray(np.tile([0.1, 1.0, 1 / 3, 2.0, np.nan], (1_001, 1)))
    G[::3, 0] = np.nan
    summary = summarise(G)
    np.testing.assert_array_equal(summary.variance[:4], 0.0)
    np.testing.assert_array_equal(summary.mean[:4], [0.1, 1.0, 1 / 3, 2.0])
    assert not summary.varies.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_where_missing(dtype):
    G = np.asfortranarray(dosages(50, 8), dtype=dtype)
    G[:, 5] = np.nan
    before = G.copy()
    summary = impute_mean(G)
    mean = summary.mean.astype(dtype)
    mean[5] = 0.0
    np.testing.assert_array_equal(G, np.where(np.isnan(before), mean, before))
    again = np.asfortranarray(before)
    assert impute_mean(again, summary) is summary
    np.testing.assert_array_equal(again, G)


def test_bits_do_not_depend_on_blocks_or_order():
    G = np.random.default_rng(2).uniform(0, 2, (333, 20))
    whole = summarise(np.asfortranarray(G))
    parts = [summarise(np.asfortranarray(G[:, j : j + 3])) for j in range(0, 20, 3)]
    for name in ("missing", "mean", "variance"):
        expected = getattr(whole, name)
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), expected)
        np.testing.assert_array_equal(getattr(summarise(G), name), expected)


def test_what_cannot_be_changed_in_place():
    with pytest.raises(ModelError, match="Fortran order"):
        impute_mean(np.zeros((3, 2)))
    with pytest.raises(ModelError, match="float32 or float64"):
        summarise(np.zeros((3, 2), dtype=np.int8))
    assert len(summarise(np.zeros((3, 0))).mean) == 0


def test_standardised():
    G = np.asfortranarray(dosages(20, 4))
    mean, scale = np.nanmean(G, axis=0), np.array([1.0, 0.5, 0.0, 2.0])
    expected = np.where(np.isnan(G), 0.0, (G - mean) * scale)
    standardise(G, mean, scale)
    np.testing.assert_array_equal(G, expected)
