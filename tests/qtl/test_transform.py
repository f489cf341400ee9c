"""The inverse normal transform and the kurtosis by their definitions."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lmmpy.errors import DataError
from lmmpy.qtl import inormal
from lmmpy.qtl.transform import excess_kurtosis


def test_values_become_quantiles_by_rank():
    y = [3.0, -1.0, 10.0, 2.5]
    assert inormal(y) == pytest.approx(norm.ppf(np.array([3, 1, 4, 2]) / 5))


def test_equal_values_get_the_mean_of_their_scores_not_the_score_of_their_mean_rank():
    scores = norm.ppf(np.arange(1, 6) / 6)
    found = inormal([1.0, 1.0, 1.0, 2.0, 3.0])
    assert found == pytest.approx([scores[:3].mean()] * 3 + [scores[3], scores[4]])
    assert abs(found[0] - norm.ppf(2 / 6)) > 0.02


def test_missing_values_stay_missing_and_are_not_counted():
    y = pd.Series([np.nan, 5.0, 1.0, np.nan, 3.0], index=list("abcde"), name="bmi")
    found = inormal(y)
    assert list(found.index) == list("abcde") and found.name == "bmi"
    assert found.isna().tolist() == [True, False, False, True, False]
    assert found.dropna().to_numpy() == pytest.approx(norm.ppf([0.75, 0.25, 0.5]))


def test_it_depends_on_the_order_only():
    y = np.random.default_rng(3).normal(size=101)
    assert inormal(np.exp(3 * y)) == pytest.approx(inormal(y), abs=0)
    assert inormal(-y) == pytest.approx(-inormal(y))


def test_nothing_and_only_missing_values_are_no_trouble():
    assert inormal([]).shape == (0,)
    assert np.isnan(inormal([np.nan, np.nan])).all()


def test_nullable_numbers_are_numbers_and_text_is_not():
    assert inormal(pd.Series([1, None, 2], dtype="Int64")).isna().tolist() == [False, True, False]
    with pytest.raises(DataError, match="not all numbers"):
        inormal(["a", "b"])
    with pytest.raises(DataError, match="one number a row"):
        inormal(np.zeros((3, 2)))


def test_kurtosis_is_the_corrected_one():
    e = np.random.default_rng(4).standard_t(5, size=57)
    n, m = len(e), e - e.mean()
    g2 = n * (m**4).sum() / (m**2).sum() ** 2 - 3
    assert excess_kurtosis(e) == pytest.approx((n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6))
    assert np.isnan(excess_kurtosis(e[:3])) and np.isnan(excess_kurtosis(np.ones(9)))
