"""Refits side by side end where refits one by one do."""

from __future__ import annotations

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy.fitting import refit_theta
from lmmpy.fitting.together import Together

MODELS = {
    "Penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "sleepstudy": "Reaction ~ Days + (Days | Subject)",
    "Pastes": "strength ~ 1 + (1 | batch/cask)",
    "Machines": "score ~ Machine + (Machine | Worker)",
}


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_refits(name: str, reml: bool) -> None:
    fit = lmm.lmer(MODELS[name], lmm.datasets.load(name), reml=reml)
    together = Together.of(fit.criterion, fit.optimum.theta, 1e-12)
    assert together is not None
    responses = list(fit.simulate(20, seed=6).to_numpy().T)
    found, se = together.refit(responses), fit.se.to_numpy()
    assert found.settled.mean() > 0.5
    for i in np.flatnonzero(found.settled):
        criterion = fit.criterion.with_response(responses[i])
        optimum = refit_theta(criterion, fit.optimum, fit.request.control)
        solution = criterion.solve(optimum.theta)
        value = criterion.evaluate(found.theta[i]).value
        assert value == pytest.approx(optimum.evaluation.value, abs=1e-8)
        np.testing.assert_allclose(found.theta[i], optimum.theta, rtol=1e-4, atol=1e-5)
        assert np.abs((found.beta[i] - solution.beta) / se).max() < 1e-6
        assert found.sigma[i] == pytest.approx(solution.sigma, rel=1e-6)


def test_what_ends_near_the_boundary_is_not_settled() -> None:
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))
    together = Together.of(fit.criterion, fit.optimum.theta, 1e-12)
    assert together is not None
    rng = np.random.default_rng(1)
    noise = list(1500.0 + 50.0 * rng.standard_normal((30, fit.nobs)))
    found = together.refit(noise)
    singular = [
        refit_theta(fit.criterion.with_response(y), fit.optimum, fit.request.control).on_boundary.any() for y in noise
    ]
    assert sum(singular) > 5
    assert not found.settled[np.array(singular)].any()


def test_a_predictor_far_from_zero_is_refitted_in_orthogonal_coordinates() -> None:
    data = lmm.datasets.load("sleepstudy").assign(year=lambda d: 2010.0 + d["Days"])
    fit = lmm.lmer("Reaction ~ year + (year | Subject)", data)
    assert fit.optimum.orthogonal is not None
    boot = fit.bootstrap(3, seed=2)
    drawn = fit.simulate(3, seed=2)
    for i in range(3):
        refit = fit.refit(drawn.iloc[:, i])
        assert boot.replicates.loc[i, "sigma"] == pytest.approx(refit.sigma, rel=1e-6)
        sd = np.sqrt(np.diag(refit.varcorr["Subject"]))
        np.testing.assert_allclose(boot.replicates.loc[i, ["sd_(Intercept)|Subject", "sd_year|Subject"]], sd, rtol=1e-4)
