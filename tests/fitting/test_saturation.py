"""A residual variance of zero: relatives may take all of the variance, and θ has no end."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import lmmpy as lmm

SIZE = 30


def kernel(seed: int, shift: float) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    return factor @ factor.T / SIZE + shift * np.eye(SIZE)


K, K2 = kernel(1, 0.5), kernel(2, 0.05)


def drawn(seed: int, *covariances: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return sum(np.linalg.cholesky(C) @ rng.normal(size=SIZE) for C in covariances)


def profiled(V: np.ndarray, y: np.ndarray) -> float:
    """−2 restricted log-likelihood of a mean, y ~ N(μ, σ²V), σ² at its maximum."""
    ones, inverse = np.ones(SIZE), np.linalg.inv(V)
    information = ones @ inverse @ ones
    r2 = y @ inverse @ y - (ones @ inverse @ y) ** 2 / information
    dof = SIZE - 1
    return np.linalg.slogdet(V)[1] + np.log(information) + dof * (1.0 + np.log(2.0 * np.pi * r2 / dof))


@pytest.mark.parametrize("engine", ["spectral", "marginal", "sparse"])
@pytest.mark.parametrize("seed", range(4))
def test_a_heritability_of_one_is_found_and_told(engine, seed):
    """At the boundary the criterion is that of y ~ N(μ, σ²K)."""
    y = drawn(seed, 2.0 * K)
    shares = np.linspace(0.5, 1.0, 101)
    values = [profiled(h * K + (1.0 - h) * np.eye(SIZE), y) for h in shares]
    inside = int(np.argmin(values)) < 100
    if inside:
        fit = lmm.lmer("y ~ 1 + kin(K)", {"y": y}, control=lmm.Control(engine=engine))
        assert not fit.optimum.saturated
        assert fit.reml_criterion <= min(values) + 1e-9
        return
    with pytest.warns(lmm.SingularFitWarning, match="residual variance is estimated as zero"):
        fit = lmm.lmer("y ~ 1 + kin(K)", {"y": y}, control=lmm.Control(engine=engine))
    assert fit.optimum.saturated and fit.optimum.evaluations <= 20
    assert fit.reml_criterion == pytest.approx(values[-1], abs=1e-5)
    assert fit.convergence.ok and fit.convergence.boundary == ("Residual",)
    assert "residual variance" in str(fit.convergence)


def test_both_outcomes_occur_above():
    shares = np.linspace(0.5, 1.0, 101)
    ends = [
        int(np.argmin([profiled(h * K + (1 - h) * np.eye(SIZE), drawn(s, 2.0 * K)) for h in shares])) for s in range(4)
    ]
    assert 100 in ends and min(ends) < 100


@pytest.mark.parametrize("seed", [1, 7, 11])
def test_what_is_left_free_is_still_fitted(seed):
    """Two kernels without residual: their ratio is that of y ~ N(μ, σ²(a K + (1 − a) K2))."""
    y = drawn(seed, 2.0 * K, 2.0 * K2)
    with pytest.warns(lmm.SingularFitWarning, match="residual variance"):
        fit = lmm.lmer("y ~ 1 + kin(K) + kin(K2)", {"y": y})
    found = optimize.minimize_scalar(lambda a: profiled(a * K + (1 - a) * K2, y), bounds=(0, 1), method="bounded")
    variances = fit.theta.to_numpy() ** 2
    assert variances[0] / variances.sum() == pytest.approx(found.x, abs=1e-4)
    assert fit.reml_criterion == pytest.approx(found.fun, abs=1e-5)


@pytest.mark.parametrize("sd", [0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4])
def test_a_small_residual_variance_that_is_there_is_found(sd):
    """θ far out, but not at infinity: repeated records tell what is residual."""
    rng = np.random.default_rng(5)
    ids = np.repeat(np.arange(SIZE), 3)
    y = drawn(6, 4.0 * K)[ids] + sd * rng.normal(size=len(ids))
    labelled = pd.DataFrame(K, index=range(SIZE), columns=range(SIZE))
    fit = lmm.lmer("y ~ 1 + kin(id, K)", {"y": y, "id": ids}, relmat={"K": labelled})
    assert not fit.optimum.saturated
    assert fit.sigma == pytest.approx(sd, rel=0.3)
    assert fit.convergence.ok


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_a_refit_does_not_stay_where_no_residual_was_left():
    """There the criterion is flat, whatever the response."""
    saturated = next(
        fit
        for fit in (lmm.lmer("y ~ 1 + kin(K)", {"y": drawn(seed, 2.0 * K)}) for seed in range(10))
        if fit.optimum.saturated
    )
    for seed in range(5):
        y = drawn(20 + seed, 0.5 * K, 0.5 * np.eye(SIZE))
        again, anew = saturated.refit(y), lmm.lmer("y ~ 1 + kin(K)", {"y": y})
        assert again.reml_criterion == pytest.approx(anew.reml_criterion, abs=1e-6)


def test_a_start_far_out_does_not_decide():
    y = drawn(21, 0.5 * K, np.eye(SIZE))
    anew = lmm.lmer("y ~ 1 + kin(K)", {"y": y})
    fit = lmm.lmer("y ~ 1 + kin(K)", {"y": y}, start=[1e4])
    assert not anew.optimum.saturated
    assert fit.theta.iloc[0] == pytest.approx(anew.theta.iloc[0], rel=1e-4)


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_a_bootstrap_counts_replicates_without_residual_variance():
    y = drawn(3, 2.0 * K)
    fit = lmm.lmer("y ~ 1 + kin(K)", {"y": y})
    boot = fit.bootstrap(20, seed=1)
    sigma = boot.replicates["sigma"].to_numpy()
    none_left = sigma < 1e-3 * np.median(boot.replicates.filter(like="kin").to_numpy())
    assert none_left.any() and not none_left.all()
    assert boot.singular[none_left].all()
