"""Where a search cannot begin, or has nothing to look for, and what is said of it."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.lmer import gls


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"id": [f"i{i}" for i in range(24)], "g": np.repeat(list("abcdef"), 4), "t": [0, 1, 2, 4] * 6})
    frame["x"], frame["s"] = rng.normal(size=24), np.resize(["m", "f"], 24)
    frame["y"], frame["z"] = rng.normal(size=24) + 2.0 * np.repeat(rng.normal(size=6), 4), 3.0 * frame["x"] + 1.0
    return frame


@pytest.fixture(scope="module")
def twins(data):
    """The first two are identical."""
    K = np.eye(24)
    K[0, 1] = K[1, 0] = 1.0
    return pd.DataFrame(K, index=data.id, columns=data.id)


def test_a_singular_known_covariance_without_parameters(data, twins):
    with pytest.raises(lmm.ModelError, match="covariance of the residuals is singular, as that of identical twins"):
        gls("y ~ x", data, residual="kin(id, K)", relmat={"K": twins})


def test_a_singular_known_covariance_with_parameters(data, twins):
    with pytest.raises(lmm.ModelError, match=r"at the start values \[0.0\]: .* identical twins"):
        gls("y ~ x", data, residual="kin(id, K) * varexp(x)", relmat={"K": twins})


def test_the_sign_of_a_standard_deviation_means_nothing(data):
    residual = "car1(t | g) * varident(s)"
    fits = [lmm.lmer("y ~ x + (1 | g)", data, residual=residual, start=[1.0, 1.0, s]) for s in (2.0, -2.0)]
    assert fits[1].loglik == pytest.approx(fits[0].loglik, abs=1e-7)


def test_a_start_out_of_bounds(data):
    with pytest.raises(lmm.ModelError, match=r"start\[1\] is -1, and that parameter is 0 at least"):
        lmm.lmer("y ~ x + (1 | g)", data, residual="car1(t | g)", start=[1.0, -1.0])


def test_a_trait_that_fixed_effects_reproduce(data):
    with pytest.raises(lmm.ModelError, match="The fixed effects reproduce the trait 'z' exactly"):
        lmm.lmer("cbind(y, z) ~ x + (1 | g)", data)
