"""The criterion keeps its digits when the random effects explain almost everything: the balanced one-way layout.

Closed forms (Searle, Casella & McCulloch 1992, §3.8): with mean squares MSW within and MSB between G groups of m
rows, the REML criterion at its optimum is (n − 1)(1 + log 2π) + G(m − 1) log MSW + (G − 1) log MSB + log n, and the
variance of the mean is MSB/n.
"""

import math

import numpy as np
import pytest

import lmmpy as lmm

G, M = 50, 10


@pytest.mark.parametrize(("ratio", "tolerance"), [(1.0, 1e-9), (1e2, 1e-9), (1e3, 1e-9), (1e4, 1e-9), (1e5, 1e-7)])
def test_one_way(ratio: float, tolerance: float) -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(G, 1)) * ratio + rng.normal(size=(G, M))
    means = y.mean(axis=1, keepdims=True)
    within = ((y - means) ** 2).sum() / (G * (M - 1))
    between = M * ((means - means.mean()) ** 2).sum() / (G - 1)
    n = G * M
    criterion = (n - 1) * (1.0 + math.log(2.0 * math.pi)) + math.log(n)
    criterion += G * (M - 1) * math.log(within) + (G - 1) * math.log(between)

    fit = lmm.lmer("y ~ 1 + (1 | g)", {"y": y.ravel(), "g": np.repeat(np.arange(G), M)})

    assert fit.reml_criterion == pytest.approx(criterion, abs=tolerance)
    assert fit.se.iloc[0] == pytest.approx(math.sqrt(between / n), rel=1e-5)
    assert fit.sigma == pytest.approx(math.sqrt(within), rel=1e-6)
