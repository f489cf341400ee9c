"""Profile intervals of shares where variances vanish, the residual's too, against profiles by brute force."""

import numpy as np
import pytest
from scipy import optimize

import lmmpy as lmm

SIZE, Z2 = 40, 3.841458820694124
rng = np.random.default_rng(1)
FACTOR = rng.normal(size=(SIZE, SIZE))
K = FACTOR @ FACTOR.T / SIZE + 0.3 * np.eye(SIZE)
HOME = np.arange(SIZE) // 3
H = (HOME[:, None] == HOME).astype(float)


def profiled(V: np.ndarray, y: np.ndarray) -> float:
    """−2 restricted log-likelihood of a mean, y ~ N(μ, σ²V), σ² at its maximum."""
    inverse = np.linalg.inv(V)
    information = inverse.sum()
    r2 = y @ inverse @ y - inverse.sum(axis=0) @ y * (inverse.sum(axis=0) @ y) / information
    dof = SIZE - 1
    return np.linalg.slogdet(V)[1] + np.log(information) + dof * (1.0 + np.log(2.0 * np.pi * r2 / dof))


def at_share(share: float, y: np.ndarray) -> float:
    """The least −2 log-likelihood with this share of K, over how home and residual part the rest."""

    def given(home: float) -> float:
        return profiled(share * K + home * H + (1.0 - share - home + 1e-10) * np.eye(SIZE), y)

    grid = np.linspace(0.0, 1.0 - share, 25)
    best = int(np.argmin([given(home) for home in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, 24)]
    if ends[1] - ends[0] < 1e-9:
        return given(grid[best])
    found = optimize.minimize_scalar(given, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return min(found.fun, given(grid[best]))


def limits(y: np.ndarray, estimate: float, least: float) -> tuple[float, float]:
    def excess(share: float) -> float:
        return at_share(share, y) - least - Z2

    low = 0.0 if excess(0.0) < 0 else optimize.brentq(excess, 0.0, estimate, xtol=1e-7)
    high = 1.0 if excess(1.0) < 0 else optimize.brentq(excess, estimate, 1.0, xtol=1e-7)
    return low, high


def fitted(seed: int, shares: tuple[float, float, float]):
    draw = np.random.default_rng(seed)
    parts = [np.linalg.cholesky(V + 1e-12 * np.eye(SIZE)) @ draw.normal(size=SIZE) for V in (K, H, np.eye(SIZE))]
    y = sum(np.sqrt(share) * part for share, part in zip(shares, parts, strict=True))
    return y, lmm.lmer("y ~ 1 + kin(K) + (1 | home)", {"y": y, "home": HOME})


CASES = [(seed, shares) for shares in ((0.95, 0.05, 0.0), (0.7, 0.3, 0.0), (0.5, 0.2, 0.3)) for seed in range(4)]


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
@pytest.mark.parametrize(("seed", "shares"), CASES)
def test_limits_of_a_share_are_those_of_brute_force(seed, shares):
    y, fit = fitted(seed, shares)
    found = fit.heritability().iloc[0]
    expected = limits(y, found["estimate"], fit.reml_criterion)
    assert (found["conf_low"], found["conf_high"]) == pytest.approx(expected, abs=2e-5)


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_the_cases_reach_every_boundary():
    fits = [fitted(*case)[1] for case in CASES]
    assert 2 <= sum(fit.optimum.saturated for fit in fits) < len(fits)
    assert any(fit.theta.iloc[1] == 0.0 for fit in fits)
    assert any(fit.optimum.saturated and fit.theta.iloc[1] == 0.0 for fit in fits)
