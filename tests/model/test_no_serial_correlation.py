"""A residual correlation at the end of its range: the search comes to rest there, and no standard error is given."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.lmer import gls


@pytest.fixture(scope="module")
def data():
    """Neighbours in time are unlike; so are all rows of a group, as far as they can be."""
    rng = np.random.default_rng(4)
    t, g = np.tile(np.arange(4), 30), np.repeat(np.arange(30), 4)
    y = np.where(t % 2, -1.0, 1.0) * rng.normal(size=30)[g] + 0.5 * rng.normal(size=120)
    z = rng.normal(size=(30, 4))
    z -= z.mean(axis=1)[:, None]
    return pd.DataFrame({"y": y, "z": z.ravel(), "t": t, "g": g.astype(str), "x": rng.normal(size=120)})


@pytest.mark.filterwarnings("ignore:Boundary")
@pytest.mark.parametrize("unit", [1.0, 1e5])
def test_correlation_in_continuous_time_is_exactly_none(data, unit):
    fit = lmm.lmer("y ~ x + (1 | g)", data.assign(t=unit * data.t), residual="car1(t | g)")
    assert fit.convergence.ok
    assert "Residual.range" in fit.convergence.boundary
    plain = lmm.lmer("y ~ x + (1 | g)", data)
    assert fit.loglik == pytest.approx(plain.loglik, abs=1e-9)
    with pytest.warns(lmm.SingularFitWarning, match=r"No standard errors for .*'rho\|Residual'"):
        found = fit.parameters().loc["rho|Residual"]
    assert found["estimate"] == 0.0
    assert np.isnan(found["std_error"])


def test_the_least_correlation_has_no_standard_error(data):
    with pytest.warns(lmm.SingularFitWarning):
        fit = gls("z ~ x", data.assign(z=data.z + 1e-6 * data.x), residual="cs(1 | g)", start=[0.05])
        found = fit.parameters().loc["rho|Residual"]
    assert found["estimate"] == pytest.approx(-1.0 / 3.0, abs=1e-3)
    assert np.isnan(found["std_error"])
