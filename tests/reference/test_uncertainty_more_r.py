"""Profile limits and covariances of variance components of the further cases (make_inference.R)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import optimize, stats

import lmmpy as lmm
from lmmpy.inference.variance_parameters import components
from tests.reference.inference_cases import matrix, more, more_fit, more_names

# lme4 interpolates its profiles; on the boundary linearly, and where the correlation is one it has none.
PROFILE_RTOL = 1e-3
INTERPOLATED_ON_THE_BOUNDARY = ("dyestuff2", "perfect_correlation")


@pytest.mark.parametrize("case", [c for c in more_names("profile") if c not in INTERPOLATED_ON_THE_BOUNDARY])
def test_profile_limits(case: str) -> None:
    for key, level in (("confint", 0.95), ("confint90", 0.9)):
        stored = matrix(more(case)["profile"][key])
        found = more_fit(case).confint(level=level).loc[stored.index]
        if (case, level) == ("crossed", 0.9):  # see below
            found, stored = (limits.drop(index="cor_x.(Intercept)|i") for limits in (found, stored))
        np.testing.assert_allclose(found, stored, rtol=PROFILE_RTOL, atol=PROFILE_RTOL, err_msg=key)


def test_where_lme4_interpolates_badly_brute_force_says_who_is_right() -> None:
    """A correlation near −1: the deviance at our limit is that of the level, at lme4's it is not."""
    fit, name = more_fit("crossed").refit_ml(), "cor_x.(Intercept)|i"
    lme4 = matrix(more("crossed")["profile"]["confint90"]).loc[name].iloc[0]
    ours = more_fit("crossed").confint(name, level=0.9).loc[name].iloc[0]

    def rise(rho: float) -> float:
        """Of the deviance, at its least under this correlation."""
        held = {"type": "eq", "fun": lambda t: t[4] - rho * np.hypot(t[4], t[5])}
        start = fit.optimum.theta.copy()
        start[4:] = rho * np.hypot(*start[4:]), np.sqrt(1.0 - rho**2) * np.hypot(*start[4:])
        found = optimize.minimize(
            lambda t: fit.criterion.evaluate(t).value,
            start,
            jac=lambda t: fit.criterion.evaluate(t, 1).gradient,
            constraints=[held],
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        assert found.success
        return float(found.fun + 2.0 * fit.loglik)

    cut = stats.chi2.ppf(0.9, 1)
    assert rise(ours) == pytest.approx(cut, abs=1e-5)
    assert abs(rise(lme4) - cut) > 0.01


@pytest.mark.parametrize("case", more_names("direct"))
def test_limits_by_constrained_minimisation_in_r(case: str) -> None:
    fit = more_fit(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        found = fit.confint("theta_")
    stored = np.array(more(case)["direct"]["confint"], dtype=float)
    order = [name for name in found.index if name != "sigma"]
    # R's list goes column by column of the factor: an effect's sd, then its correlations
    if case == "perfect_correlation":
        order = ["sd_(Intercept)|g", "cor_t.(Intercept)|g", "sd_t|g"]
    np.testing.assert_allclose(found.loc[[*order, "sigma"]], stored, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("case", more_names("components"))
def test_covariance_of_the_variance_components(case: str) -> None:
    fit, stored = more_fit(case), more(case)["components"]
    parameters = fit._variance_parameters
    found = components(fit.design, parameters.theta, parameters.sigma)
    np.testing.assert_allclose(found.values, stored["vcov"], rtol=1e-4, atol=1e-6)
    covariance = np.array(stored["vcov_covariance"], dtype=float)
    ours = parameters.variance_of(found.jacobian)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(ours / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=2e-4)
