"""Shares as functions of the components, and the interval of one of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmmpy.inference.heritability import Share, boundary_weights, profile_of_one, row_moments


def test_a_share_has_the_gradient_of_its_differences() -> None:
    share = Share(np.array([1.0, 0.6, 0.4, 0.0, 0.0]), np.array([1.0, 0.6, 0.4, 1.0, 1.0]))
    at, step = np.array([2.0, -0.3, 1.0, 0.7, 1.5]), 1e-6
    value, gradient = share(at)
    assert value == pytest.approx((2.0 - 0.18 + 0.4) / (2.0 - 0.18 + 0.4 + 0.7 + 1.5))
    for i, slope in enumerate(gradient):
        ahead, behind = (share(at + s * step * (np.arange(5) == i))[0] for s in (1, -1))
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-8)
    assert share.places == {0, 1, 2}


def test_moments_make_the_mean_variance_of_rows() -> None:
    z, C = np.random.default_rng(1).normal(size=(9, 2)), np.array([[2.0, 0.3], [0.3, 1.0]])
    (moment,) = row_moments([z])
    assert np.trace(moment @ C) == pytest.approx(np.mean([row @ C @ row for row in z]))


@pytest.mark.parametrize(
    ("centre", "scale", "expected"),
    [
        (0.5, 0.1, (0.3, 0.7)),
        (0.1, 0.1, (0.0, 0.3)),
        (0.9, 0.1, (0.7, 1.0)),
        (0.5, 1.0, (0.0, 1.0)),
        (0.0, 0.2, (0.0, 0.4)),
    ],
)
def test_an_interval_ends_where_the_likelihood_does_or_at_the_bounds(
    centre: float, scale: float, expected: tuple[float, float]
) -> None:
    found = profile_of_one(lambda share: ((share - centre) / scale) ** 2, centre, 2.0)
    assert found == pytest.approx(expected, abs=1e-8)


def test_a_likelihood_that_vanishes_at_one_is_no_obstacle() -> None:
    def value(share: float) -> float:
        return -math.log(1.0 - share) - 2.0 * math.log(share) if share > 0 else math.inf

    low, high = profile_of_one(value, 2.0 / 3.0, 1.5)
    assert 0.0 < low < 2.0 / 3.0 < high < 1.0
    least = value(2.0 / 3.0)
    assert [value(low) - least, value(high) - least] == pytest.approx([2.25, 2.25], rel=1e-6)


def test_the_mixture_is_known_for_one_variance_or_independent_ones() -> None:
    assert boundary_weights(1, "us") == {0: 0.5, 1: 0.5}
    assert boundary_weights(2, "diag") == {0: 0.25, 1: 0.5, 2: 0.25}
    assert boundary_weights(2, "us") is None
