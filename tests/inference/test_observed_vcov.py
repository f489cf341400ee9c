"""The covariance of fixed effects from the whole likelihood's information, by brute force."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.observed_vcov import observed_vcov


def found(fit):
    return observed_vcov(fit.criterion, fit.optimum, fit.sigma, fit.vcov().to_numpy())


def unbalanced(slope=0.4):
    rng = np.random.default_rng(4)
    g = rng.integers(0, 15, 120)
    x = rng.normal(size=120) + 0.3 * rng.normal(size=15)[g] + 5.0
    y = 1.0 + 0.5 * x + rng.normal(size=15)[g] + slope * rng.normal(size=15)[g] * (x - 5.0) + 0.7 * rng.normal(size=120)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def whole_loglik(at, data):
    """Of (β, entries of T, log σ), with b = T u of the intercept and the slope."""
    X = np.column_stack([np.ones(len(data)), data.x])
    T = np.array([[at[2], 0.0], [at[3], at[4]]])
    same = data.g.to_numpy()[:, None] == data.g.to_numpy()
    V = np.exp(2.0 * at[5]) * (np.eye(len(data)) + same * (X @ T @ T.T @ X.T))
    e = data.y - X @ at[:2]
    return -0.5 * (np.linalg.slogdet(2.0 * np.pi * V)[1] + e @ np.linalg.solve(V, e))


def hessian(f, x, steps):
    H = np.zeros((len(x), len(x)))
    for i, j in np.ndindex(*H.shape):
        a, b = np.eye(len(x))[i] * steps, np.eye(len(x))[j] * steps
        H[i, j] = sum(s * t * f(x + s * a + t * b) for s in (1, -1) for t in (1, -1)) / 4 / steps[i] / steps[j]
    return H


def test_it_is_the_block_of_the_inverse_of_the_whole_information():
    """A predictor far from zero, so that the search has coordinates of its own."""
    data = unbalanced()
    fit = lmm.lmer("y ~ x + (x | g)", data, reml=False)
    x = np.array([*fit.fixef, *fit.theta, np.log(fit.sigma)])
    assert fit.optimum.orthogonal is not None
    assert whole_loglik(x, data) == pytest.approx(fit.loglik, abs=1e-8)
    steps = 0.01 * np.array([0.5, 0.1, 0.5, 0.1, 0.1, 1.0])
    H = (
        4.0 * hessian(lambda at: whole_loglik(at, data), x, steps / 2)
        - hessian(lambda at: whole_loglik(at, data), x, steps)
    ) / 3.0
    covariance = np.linalg.inv(-H)[:2, :2]
    assert found(fit) == pytest.approx(covariance, rel=1e-4)
    assert (np.diag(covariance) > 1.001 * np.diag(fit.vcov())).all()


def test_a_variance_of_zero_is_held():
    data = unbalanced(slope=0.0)
    data["z"] = np.random.default_rng(1).normal(size=120)
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer("y ~ x + (1 | g) + (0 + z | g)", data, reml=False)
    assert fit.theta.to_numpy()[1] == 0.0
    without = lmm.lmer("y ~ x + (1 | g)", data, reml=False)
    assert found(fit) == pytest.approx(found(without), rel=1e-5)


def test_known_variances_leave_nothing_to_add():
    fit = lmm.lmer("y ~ x + (1 | g)", unbalanced(), reml=False, varcomp={"g": 1.0, "Residual": 0.5})
    assert (found(fit) == fit.vcov().to_numpy()).all()
