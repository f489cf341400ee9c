"""Responses drawn from fits with relatives, and fits to them."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.random import default_rng

import lmmpy as lmm
from lmmpy.inference.simulation import draw_response
from lmmpy.model.replicates import ResponseSource
from tests.model.made import at
from tests.model.relatives import FORMULAS, data, fit, kernel

CASES = [
    ("slope", "pedigree", "sparse"),
    ("slope", "precision", "sparse"),
    ("repeated", "twins", "marginal"),
    ("household", "genotypes", "marginal"),
]


class _Units:
    """A generator whose next number is one and whose others are zero: it draws a column of the root of V."""

    def __init__(self, place: int) -> None:
        self.place, self.drawn = place, 0

    def standard_normal(self, shape):
        size = int(np.prod(shape))
        found = np.zeros(size)
        if self.drawn <= self.place < self.drawn + size:
            found[self.place - self.drawn] = 1.0
        self.drawn += size
        return found.reshape(shape)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_draws_have_the_covariance_of_the_model(case):
    """Exactly: each normal number that is drawn moves the response by a column of a root of σ²V."""
    model = fit(*case)
    source = ResponseSource.of(model, False)
    columns, place = [], 0
    while True:
        units = _Units(place)
        y = draw_response(model.design, np.zeros(model.nobs), source.factors, source.sigma, units)
        if place >= units.drawn:
            break
        columns.append(y)
        place += 1
    root = np.array(columns).T
    np.testing.assert_allclose(root @ root.T, model.sigma**2 * at(model).V, rtol=1e-8, atol=1e-8)


def test_simulate_repeats_itself_and_holds_the_effects_when_asked():
    model = fit("household")
    drawn = model.simulate(3, seed=4)
    pd.testing.assert_frame_equal(drawn.iloc[:, :2], model.simulate(2, seed=4))
    held = model.simulate(400, seed=4, use_re=True)
    error = (held.mean(axis=1) - model.fitted()) * np.sqrt(model.prior_weights * 400) / model.sigma
    assert np.abs(error).max() < 4.5


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
@pytest.mark.parametrize(("name", "kind"), [("household", "pedigree"), ("animal", "twins"), ("slope", "genotypes")])
def test_a_refit_is_the_fit_of_the_new_response(name, kind):
    model = fit(name, kind)
    y = model.simulate(seed=3)["sim_1"]
    again = model.refit(y)
    expected = lmm.lmer(FORMULAS[name], data().assign(y=y), weights="w", relmat={"K": kernel(kind)})
    assert again.loglik == pytest.approx(expected.loglik, abs=1e-7)
    np.testing.assert_allclose(again.fixef, expected.fixef, rtol=1e-5)


@pytest.mark.parametrize("name", ["animal", "repeated"])
def test_by_ml_is_the_fit_by_ml(name):
    found, expected = fit(name).refit_ml(), fit(name, reml=False)
    assert found.loglik == pytest.approx(expected.loglik, abs=1e-9)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
@pytest.mark.parametrize("case", [("household", "pedigree", "sparse"), ("household", "twins", "marginal")])
def test_the_bootstrap_refits_what_simulate_draws(case):
    model = fit(*case)
    found = model.bootstrap(4, seed=2)
    drawn = model.simulate(4, seed=2)
    for i in range(4):
        again = model.refit(drawn.iloc[:, i])
        np.testing.assert_allclose(found.replicates["(Intercept)"].iloc[i], again.fixef["(Intercept)"], rtol=1e-5)
        assert found.replicates["sigma"].iloc[i] == pytest.approx(again.sigma, rel=1e-5)
    spread = model.bootstrap(3, lambda fit: fit.sigma, seed=2)
    np.testing.assert_allclose(spread.replicates.iloc[:, 0], found.replicates["sigma"].iloc[:3], rtol=1e-5)


def test_a_bootstrap_test_of_relatedness():
    large = fit("household", reml=False)
    small = large.update(". ~ . - kin(id, K)")
    found = lmm.parametric_bootstrap_lrt(small, large, n=9, seed=1)
    assert found.statistic == pytest.approx(2.0 * (large.loglik - small.loglik), abs=1e-8)
    assert found.df == 1 and not found.problems and found.p_value == pytest.approx(0.1)
    other = lmm.parametric_bootstrap_lrt(fit("animal", reml=False), fit("repeated", reml=False), n=5, seed=1)
    assert other.df == 1
    with pytest.raises(lmm.ModelError, match="no special case"):
        lmm.parametric_bootstrap_lrt(lmm.lmer("y ~ x + f + (1 | id)", data(), weights="w", reml=False), large, n=5)


@pytest.mark.parametrize("case", [("household", "pedigree", "sparse"), ("animal", "twins", "spectral")], ids="-".join)
def test_a_pickled_fit_goes_on(case):
    model = fit(*case)
    again = pickle.loads(pickle.dumps(model))
    assert again.loglik == model.loglik and again.convergence.engine == model.convergence.engine
    pd.testing.assert_frame_equal(again.simulate(2, seed=1), model.simulate(2, seed=1))
    np.testing.assert_array_equal(again.hatvalues(), model.hatvalues())
    update = again.update(reml=False)
    assert update.loglik == pytest.approx(fit(case[0], case[1], reml=False).loglik, abs=1e-8)


def test_seeds_of_ordinary_terms_draw_what_they_drew():
    """Before levels could be related: one number for each effect, term by term, then the noise."""
    model = lmm.lmer("y ~ x + (x | hh)", data())
    generator = default_rng(6)
    T = model.design.random[0].structure.factor(model.optimum.theta).T
    b = model.sigma * generator.standard_normal((9, 2)) @ T.T
    term = model.design.random[0]
    mean = model.design.X @ model.fixef.to_numpy()
    noise = model.sigma * generator.standard_normal(model.nobs)
    expected = mean + np.einsum("nk,nk->n", term.values, b[term.codes]) + noise
    found = draw_response(model.design, mean, [T], model.sigma, default_rng(6))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
