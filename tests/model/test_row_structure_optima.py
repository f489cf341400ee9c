"""Residuals with structure have several optima; the default search finds the best that random starts find."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.lmer import gls


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n, m = 40, 5
    g, t = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    e, z = np.zeros((n, m + 20)), rng.normal(size=(n, m + 20))
    for i in range(1, m + 20):
        e[:, i] = 0.3 * e[:, i - 1] + z[:, i] - 0.5 * z[:, i - 1]
    y = 5.0 + e[:, 20:].ravel() + rng.normal(size=n)[g]
    return pd.DataFrame(
        {"y": y, "x": rng.uniform(20, 70, n * m), "g": g.astype(str), "t": t, "time": t + rng.uniform(-0.3, 0.3, n * m)}
    )


MODELS = [
    ("y ~ x + exp(x | g)", None),
    ("y ~ x", "arma11(t | g)"),
    ("y ~ x + (1 | g)", "arma11(t | g)"),
    ("y ~ x + (1 | g)", "car1(time | g)"),
    ("y ~ x + (1 | g)", "ar1(t | g)"),
]


@pytest.mark.parametrize(("formula", "residual"), MODELS)
def test_random_starts_find_nothing_better(data, formula, residual):
    fit = lmm.lmer if "|" in formula else gls
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        best = fit(formula, data, residual=residual)
        design = best.design
        for _ in range(8):
            start = [np.exp(rng.normal(size=design.n_theta_random))]
            for rows in design.row_covariances:
                structure, step = rows.structure, rng.normal(size=rows.structure.n_theta)
                moved = structure.start() + 1.5 * step * structure.scale()
                start.append(np.maximum(moved, structure.lower + 0.01 * structure.scale()))
            assert fit(formula, data, residual=residual, start=np.concatenate(start)).loglik < best.loglik + 1e-5
