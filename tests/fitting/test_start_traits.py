"""Start values of several traits: close to what the data were made with, whatever their units, and to the optimum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.design import build_design
from lmmpy.engines import make_criterion
from lmmpy.fitting import start_values
from lmmpy.fitting.start_traits import by_pairs_of_traits

C_G = np.array([[2.0, -0.9], [-0.9, 1.0]])
C_E = np.array([[1.0, 0.5], [0.5, 1.5]])


def _study(n: int, unit: float) -> tuple[pd.DataFrame, lmm.Relatedness]:
    rng = np.random.default_rng(3)
    K = np.kron(np.eye(n // 4), 0.2 * np.eye(4) + 0.8)
    g = np.linalg.cholesky(K) @ rng.normal(size=(n, 2)) @ np.linalg.cholesky(C_G).T
    y = 3.0 + g + rng.normal(size=(n, 2)) @ np.linalg.cholesky(C_E).T
    data = pd.DataFrame({"id": np.arange(n), "a": y[:, 0], "b": unit * y[:, 1], "x": rng.normal(size=n)})
    data.loc[rng.choice(n, n // 10, replace=False), "b"] = np.nan
    return data, lmm.Relatedness(K, labels=[str(i) for i in range(n)])


@pytest.mark.parametrize("unit", [1.0, 1e4])
def test_covariances_are_near_the_truth(unit: float) -> None:
    data, K = _study(900, unit)
    design, _ = build_design("cbind(a, b) ~ x + kin(id, K)", data, relmat={"K": K})
    theta = by_pairs_of_traits(make_criterion(design, True))
    assert theta is not None
    np.testing.assert_array_equal(start_values(make_criterion(design, True))[0], theta)
    T = design.random[0].structure.factor(design.split_theta(theta)[0]).T / np.array([[1.0], [unit]])
    assert design.residual is not None
    sds = {one.labels: one.value for one in design.residual.structure.reported(design.split_rows(theta)[0])}
    found, wanted = T @ T.T, C_G / C_E[0, 0]
    np.testing.assert_allclose(found, wanted, atol=0.5)
    assert sds[("b",)] / unit == pytest.approx(np.sqrt(1.5), abs=0.25)
    assert sds[("b", "a")] == pytest.approx(0.5 / np.sqrt(1.5), abs=0.2)


def test_units_do_not_matter() -> None:
    (small, K), (large, _) = _study(200, 1.0), _study(200, 1e4)
    found = []
    for data in (small, large):
        design, _ = build_design("cbind(a, b) ~ x + kin(id, K)", data, relmat={"K": K})
        theta = by_pairs_of_traits(make_criterion(design, False))
        assert theta is not None
        found.append(theta)
    unit = np.array([1.0, 1e4, 1e4, 1e4, 1e4])
    np.testing.assert_allclose(found[1], found[0] * unit, rtol=1e-6)


def test_other_designs_are_left_alone() -> None:
    data, K = _study(60, 1.0)
    for formula in ("cbind(a, b) ~ (x | kin(id, K))", "cbind(a, b) ~ at(a, kin(id, K))"):
        design, _ = build_design(formula, data, relmat={"K": K})
        assert by_pairs_of_traits(make_criterion(design, True)) is None
