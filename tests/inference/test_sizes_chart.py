"""Coordinates of profile intervals where σ is the standard deviation far from the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lmmpy.design import build_design
from lmmpy.inference.absolute_deviations import AsTheyAre, Sizes, chart_of


def design(formula, residual):
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 5)
    frame = pd.DataFrame(
        {"y": rng.normal(size=60), "x": rng.normal(size=60), "v": rng.uniform(1, 2, 60), "t": np.tile(np.arange(5), 12)}
    )
    frame["g"] = group.astype(str)
    return build_design(formula, frame, residual=residual, scope={})[0]


FORMULA = "y ~ x + (x | g) + cs(0 + x + v | g)"


def test_which_parameters_are_deviations():
    chart = chart_of(design(FORMULA, "ar1(t | g) * varpower(v)"), np.ones(8))
    assert isinstance(chart, Sizes)
    # Of the two terms, in the order in which they stand in θ: three of us, two of cs and an angle; ρ and the power.
    assert sorted(chart.linear[:6].tolist()) == [False] + [True] * 5
    assert chart.linear[6:].tolist() == [False, False]
    assert isinstance(chart_of(design(FORMULA, "ar1(t | g)"), np.ones(7)), AsTheyAre)


@pytest.mark.parametrize("sigma", [1e-6, 1.0, 30.0])
def test_there_and_back_with_slopes(sigma):
    chart = chart_of(design(FORMULA, "varexp(v)"), np.ones(7))
    theta = np.random.default_rng(1).uniform(0.5, 2.0, 7)
    y = chart.of(theta, sigma)
    x, jacobian = chart.to_x(y)
    np.testing.assert_allclose(x, np.append(theta, np.log(sigma)), rtol=1e-12)
    for i in range(8):
        step = 1e-6 * (abs(y[i]) or 1.0) * (np.arange(8) == i)
        slope = (chart.to_x(y + step)[0] - chart.to_x(y - step)[0]) / (2.0 * step[i])
        np.testing.assert_allclose(jacobian[:, i], slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
