"""Exact tests by blocks: what a search does not find is found by the ordinary one."""

from functools import cache

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy.errors import DataError, ModelError
from lmmpy.fitting import Control
from lmmpy.fitting import lockstep as search
from lmmpy.inference import exact_blocks
from lmmpy.inference.column_scanner import column_scanner
from lmmpy.inference.exact_blocks import BlockScanner
from lmmpy.inference.exact_refits import RefitScanner
from tests.model.test_saturated import alone


@cache
def null() -> lmm.LmmFit:
    data = lmm.datasets.load("family")
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))  # noqa: F841
    return lmm.lmer("fvii ~ age + (1 | household) + kin(ID, ped)", data)


def scanner(kind=None):
    fit = null()
    made = column_scanner(fit.criterion, fit.optimum, ("wald", "lrt"), exact=True, precision="auto", control=Control())
    return made if kind is None else RefitScanner(fit.criterion, fit.optimum.theta, ("wald", "lrt"), Control())


def columns(m):
    return np.random.default_rng(3).binomial(2, 0.3, size=(null().nobs, m)).astype(float)


@pytest.mark.parametrize("k", [1, 2])
def test_blocks_and_single_fits_agree(k):
    G = columns(4)
    by_blocks, one_by_one = scanner(), scanner("single")
    assert isinstance(by_blocks.lane, BlockScanner)
    for test, found in by_blocks(G, k).items():
        other = one_by_one(G, k)[test]
        np.testing.assert_allclose(found.beta, other.beta, atol=1e-6)
        for name in ("std_error", "statistic", "p_value", "last_statistic", "last_p_value"):
            np.testing.assert_allclose(getattr(found, name), getattr(other, name), rtol=1e-5, atol=1e-8)


def test_what_does_not_converge_is_fitted_alone(monkeypatch):
    G = columns(3)
    whole = scanner()(G)

    def lame(problems, start, probe=None):
        found = search.minimise_together(problems, start, probe=probe)
        found.converged[1:2] = False
        found.value[1:2] += 5.0
        return found

    made = scanner()
    monkeypatch.setattr(exact_blocks, "minimise_together", lame)
    for test, found in made(G).items():
        np.testing.assert_allclose(found.statistic, whole[test].statistic, rtol=1e-5)


def test_a_column_of_x_has_no_test():
    G = columns(3)
    G[:, 1] = null().design.X[:, 1] * 2.0 + 1.0
    for found in scanner()(G).values():
        assert found.collinear.tolist() == [False, True, False]
        assert np.isnan(found.p_value[1])
        assert np.isfinite(found.p_value[[0, 2]]).all()


@pytest.mark.parametrize("k", [1, 2])
def test_all_ways_find_the_same_columns_collinear(k):
    """From what X determines to what it does not, on both sides of the threshold."""
    fit, rng = null(), np.random.default_rng(4)
    noise = rng.standard_normal((fit.nobs, 1))
    age = fit.design.X[:, [1]] / fit.design.X[:, 1].std()
    G = np.hstack([age + noise * e for e in (0.0, 1e-6, 3e-5, 3e-4, 1e-2, 1.0)])
    if k == 2:
        G = np.hstack([np.column_stack([rng.standard_normal(fit.nobs), g]) for g in G.T])
    gone = []
    for exact in (False, True):
        for test in ("wald", "lrt"):
            made = column_scanner(fit.criterion, fit.optimum, (test,), exact=exact, precision="auto", control=Control())
            gone.append(made(G, k)[test].collinear.tolist())
    assert gone[0] == [True, True, True, False, False, False]
    assert all(found == gone[0] for found in gone)


def test_what_does_not_converge_has_no_test_and_says_so():
    fit, control = null(), Control(max_evaluations=2)
    found = RefitScanner(fit.criterion, fit.optimum.theta, ("wald",), control)(columns(2))["wald"]
    assert found.failed.all()
    assert np.isnan(found.p_value).all()
    with pytest.raises(ModelError, match="did not converge"):
        RefitScanner(fit.criterion, fit.optimum.theta, ("lrt",), control)(columns(1))


def test_constants_are_collinear_whatever_the_weights():
    rng = np.random.default_rng(1)
    data = lmm.datasets.load("family").dropna(subset=["fvii", "age"]).assign(w=lambda d: rng.uniform(0.3, 3.0, len(d)))
    fit = lmm.lmer("fvii ~ age + (1 | household)", data, weights="w")
    G = np.repeat([[0.1, 1.7, 1.0 / 3.0, 0.0]], fit.nobs, axis=0)
    for exact in (False, True):
        made = column_scanner(fit.criterion, fit.optimum, ("wald",), exact=exact, precision="auto", control=Control())
        assert made(G)["wald"].collinear.all()
        with pytest.raises(DataError, match="missing"):
            made(np.where(np.arange(fit.nobs)[:, None] == 3, np.nan, G))


@pytest.mark.parametrize("exact", [False, True])
def test_a_null_without_residual_variance_is_refused_by_all(exact):
    fit = alone()
    with pytest.raises(ModelError, match="no variance to the residual"):
        column_scanner(fit.criterion, fit.optimum, ("lrt",), exact=exact, precision="auto", control=Control())
