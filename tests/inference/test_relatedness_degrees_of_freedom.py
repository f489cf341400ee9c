"""Satterthwaite's and Kenward and Roger's methods for related levels, against textbook formulas on a dense V."""

from __future__ import annotations

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy.inference.kenward_roger import kenward_roger
from lmmpy.inference.satterthwaite import vcov_slopes
from tests.inference import dense_tests
from tests.model.relatives import FORMULAS, fit

CASES = [
    *((name, "pedigree", engine) for name in FORMULAS for engine in ("sparse", "marginal")),
    ("animal", "twins", "spectral"),
    ("repeated", "twins", "marginal"),
    ("slope", "genotypes", "marginal"),
]


@pytest.fixture(params=CASES, ids="-".join)
def fitted(request: pytest.FixtureRequest) -> lmm.LmmFit:
    return fit(*request.param)


def test_kenward_roger_is_that_of_the_dense_model(fitted: lmm.LmmFit) -> None:
    """At any θ; not at the optimum, where terms may vanish."""
    design, sigma = fitted.design, 1.3
    theta = np.random.default_rng(1).uniform(0.4, 0.9, design.n_theta)
    found = kenward_roger(design, theta, sigma, fitted.criterion.operators(theta))
    adjusted, joint = dense_tests.kenward_roger(design, theta, sigma)
    scale = np.sqrt(np.diag(adjusted))
    np.testing.assert_allclose(found.vcov / np.outer(scale, scale), adjusted / np.outer(scale, scale), atol=2e-7)
    for L in (np.eye(design.p)[1:2], np.eye(design.p)[1:]):
        np.testing.assert_allclose(found.joint(L), joint(L), rtol=1e-5)


def test_slopes_of_the_covariance_are_its_derivatives(fitted: lmm.LmmFit) -> None:
    design, theta, sigma = fitted.design, fitted.optimum.theta, fitted.sigma
    solution, operators = fitted.criterion.solve(theta), fitted.criterion.operators(theta)
    found = vcov_slopes(design, theta, sigma, solution.unscaled_vcov, operators.ZtVQ @ operators.products.R)
    expected = dense_tests.vcov_slopes(design, theta, sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("engine", ["sparse", "marginal"])
@pytest.mark.parametrize("reml", [True, False])
def test_covariance_of_the_variance_parameters_inverts_the_hessian(reml: bool, engine: str) -> None:
    fitted = fit("household", "pedigree", engine, reml)
    assert not fitted.is_singular()
    hessian = dense_tests.hessian(fitted.design, fitted.optimum.theta, fitted.sigma, reml)
    expected = 2.0 * np.linalg.inv(hessian)
    found = fitted._variance_parameters.covariance
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())
