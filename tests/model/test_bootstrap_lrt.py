"""The parametric bootstrap of a likelihood ratio, against fits made from scratch."""

import numpy as np
import pandas as pd
import pytest
from numpy.random import SeedSequence
from scipy import stats

import lmmpy as lmm
from lmmpy.model.bootstrap_lrt import BootstrapLrt, parametric_bootstrap_lrt

pytestmark = pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    n = 60
    g, x = rng.integers(0, 6, n), rng.normal(size=n)
    y = 1 + 0.2 * x + rng.normal(size=6)[g] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": g.astype(str), "w": rng.uniform(0.5, 2, n), "o": rng.normal(size=n)})


def _by_hand(small, large, data, n, seed, reml):
    """Draw a response, fit both models to it anew, n times."""
    drawn, found = lmm.lmer(small, data, weights="w", offset="o", reml=reml).simulate(n, seed), []
    for column in drawn:
        again = data.assign(y=drawn[column])
        logliks = [lmm.lmer(f, again, weights="w", offset="o", reml=reml).loglik for f in (small, large)]
        found.append(max(0.0, 2 * (logliks[1] - logliks[0])))
    return np.array(found)


@pytest.mark.parametrize(
    ("small", "large", "reml"),
    [("y ~ 1 + (1 | g)", "y ~ x + (1 | g)", False), ("y ~ x + (1 | g)", "y ~ x + (x | g)", True)],
)
def test_against_fits_from_scratch(data, small, large, reml):
    # Fits by REML; those with different fixed parts are compared by ML.
    m0, m1 = (lmm.lmer(f, data, weights="w", offset="o") for f in (small, large))
    found = parametric_bootstrap_lrt(m0, m1, n=12, seed=4)
    expected = _by_hand(small, large, data, 12, 4, reml)
    np.testing.assert_allclose(found.reference, expected, rtol=1e-5, atol=1e-6)
    logliks = [lmm.lmer(f, data, weights="w", offset="o", reml=reml).loglik for f in (small, large)]
    assert found.statistic == pytest.approx(2 * (logliks[1] - logliks[0]), abs=1e-7)
    assert found.df == m1.df - m0.df
    assert ("refitting model(s) with ML (instead of REML)" in found.headings) is not reml
    exceeding = int((expected >= found.statistic).sum())
    assert found.p_value == (1 + exceeding) / 13
    assert found.chisq_p_value == pytest.approx(stats.chi2.sf(found.statistic, found.df))
    scaled = found.statistic * found.df / found.reference.mean()
    assert found.bartlett_p_value == pytest.approx(stats.chi2.sf(scaled, found.df))
    assert found.n_failed == 0


@pytest.fixture(scope="module")
def pair(data):
    return lmm.lmer("y ~ 1 + (1 | g)", data, reml=False), lmm.lmer("y ~ x + (1 | g)", data, reml=False)


def test_order_seeds_and_processes(pair):
    null, full = pair
    found = parametric_bootstrap_lrt(null, full, n=20, seed=1)
    for other in (
        parametric_bootstrap_lrt(full, null, n=20, seed=1),
        parametric_bootstrap_lrt(null, full, n=20, seed=SeedSequence(1)),
        parametric_bootstrap_lrt(null, full, n=20, seed=1, n_jobs=2),
    ):
        np.testing.assert_array_equal(other.reference, found.reference)
        assert other.p_value == found.p_value
    longer = parametric_bootstrap_lrt(null, full, n=30, seed=1)
    np.testing.assert_array_equal(longer.reference[:20], found.reference)
    assert not np.array_equal(parametric_bootstrap_lrt(null, full, n=20, seed=2).reference, found.reference)
    assert found.headings[1:] == ("null: y ~ 1 + (1 | g)", "full: y ~ x + (1 | g)")


def test_early_stop(pair):
    null, full = pair
    # More replicates than are looked at together.
    whole = parametric_bootstrap_lrt(null, full, n=70, seed=3)
    counts = np.cumsum(whole.reference >= whole.statistic)
    assert counts[-1] >= 2
    for h, n_jobs in ((1, 1), (2, 2)):
        found = parametric_bootstrap_lrt(null, full, n=70, seed=3, stop_at=h, n_jobs=n_jobs)
        length = int(np.argmax(counts >= h)) + 1
        np.testing.assert_array_equal(found.reference, whole.reference[:length])
        assert found.stopped
        assert found.p_value == h / length
        assert "stopped early" in str(found)
    never = parametric_bootstrap_lrt(null, full, n=70, seed=3, stop_at=int(counts[-1]) + 1)
    assert not never.stopped
    assert never.p_value == whole.p_value


def test_mixed_criteria_are_both_ml(data, pair):
    null, full = pair
    restricted = lmm.lmer("y ~ x + (1 | g)", data)
    found = parametric_bootstrap_lrt(null, restricted, n=5, seed=1)
    assert found.statistic == pytest.approx(parametric_bootstrap_lrt(null, full, n=5, seed=1).statistic, abs=1e-7)
    assert "refitting model(s) with ML (instead of REML)" in found.headings


def _result(reference, statistic=3.0, problems=None):
    return BootstrapLrt(statistic, 1, np.array(reference), False, problems or {}, ("m0", "m1"), 0.0)


def test_failed_replicates_do_not_count():
    found = _result([1.0, 5.0, np.nan, 0.2], problems={2: "no optimum."})
    assert found.n_failed == 1
    assert found.p_value == 2 / 4
    assert "1 replicates failed" in str(found)


def test_advice():
    assert "upper bound" in str(_result([0.1] * 50))
    assert "does not tell it from 0.05" in str(_result([0.1] * 96 + [4.0] * 4))
    assert "does not tell" not in str(_result([0.1] * 50 + [4.0] * 50))
    singular = BootstrapLrt(3.0, 1, np.ones(9), False, {}, (), 0.6)
    assert "60% of the replicates a fit lies on the boundary" in str(singular)
    assert "No replicate could be fitted" in str(_result([np.nan], problems={0: "x."}))


def test_a_failing_search_is_told(data, pair):
    null, full = pair
    short = full.update(control=lmm.Control(max_evaluations=200))
    object.__setattr__(short.request, "control", lmm.Control(max_evaluations=1))
    with pytest.warns(lmm.ConvergenceWarning, match="3 of 3 replicates failed.*number 0") as caught:
        found = parametric_bootstrap_lrt(null, short, n=3, seed=1)
    assert caught[0].filename == __file__
    assert found.n_failed == 3
    assert list(found.problems) == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 0}, "n, the number of replicates"),
        ({"seed": -1}, "seed must not be negative"),
        ({"n_jobs": 0}, "n_jobs counts processes"),
        ({"stop_at": 0}, "stop_at must be a whole number"),
        ({"stop_at": True}, "stop_at must be a whole number"),
    ],
)
def test_arguments(pair, options, says):
    with pytest.raises(lmm.ModelError, match=says):
        parametric_bootstrap_lrt(*pair, **options)


def test_models_that_cannot_be_compared(data, pair):
    null, full = pair
    with pytest.raises(lmm.ModelError, match="both have 4 parameters"):
        parametric_bootstrap_lrt(full, full.update("~ . - x + w"))
    with pytest.raises(lmm.ModelError, match=r"fixed effects of other .* are not among those of full"):
        other = null.update("~ 0 + o + (1 | g)")
        parametric_bootstrap_lrt(full, other)
    with pytest.raises(lmm.ModelError, match=r"random term \(1 \| g\) of null .* is not among those of sloped"):
        sloped = full.update("~ . - (1 | g) + (x | h)", data=data.assign(h=np.arange(60) % 7))
        parametric_bootstrap_lrt(null, sloped, n=2)
    with pytest.raises(lmm.ModelError, match="different rows"):
        parametric_bootstrap_lrt(null.update(subset="x > 0"), full)
    with pytest.raises(lmm.ModelError, match="were given"):
        parametric_bootstrap_lrt(null.update(varcomp={"g": 1.0, "Residual": 1.0}), full)
    with pytest.raises(lmm.ModelError, match="takes a fit of lmer, not a str"):
        parametric_bootstrap_lrt(null, "full")
