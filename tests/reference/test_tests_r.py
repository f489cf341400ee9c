"""Tests of fixed effects against lmerTest 3.1-3 and pbkrtest 0.5-2.

Their degrees of freedom come from numerical derivatives at a numerical optimum; ours are exact, and agree with the
dense model in tests/inference. What is left of the difference is of the size of R's optimiser noise.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.variance_parameters import variance_parameters
from tests import naive
from tests.inference import dense_tests
from tests.reference.inference_cases import fit, frame, inference, matrix, more, more_fit, more_names, names

RTOL = 2e-5
P_RTOL = 1e-4
METHODS = {"satt": "satterthwaite", "kr": "kenward-roger"}
# pbkrtest leaves the prior weights out of V, though not out of the covariance of β̂.
UNWEIGHTED = ("pastes_weights_REML", "sleep_weights_REML", "sleep_weights_int_REML")


def cases(field: str, *, kr: bool = False) -> list[Any]:
    return [name for name in names(field) if not (kr and name in UNWEIGHTED)]


def check_summary(case: str, key: str, ddf: str) -> None:
    stored = matrix(inference(case)[key]).to_numpy()
    found = fit(case).contrast_tests(ddf).single(np.eye(fit(case).design.p))
    np.testing.assert_allclose(found.estimate, stored[:, 0], rtol=RTOL)
    np.testing.assert_allclose(found.std_error, stored[:, 1], rtol=RTOL)
    np.testing.assert_allclose(found.df, stored[:, 2], rtol=RTOL)
    np.testing.assert_allclose(found.statistic, stored[:, 3], rtol=RTOL)
    # Far out in a tail the noise of R's df, 1e-5, is 5e-4 of p: there the orders of magnitude must agree so closely.
    far = stored[:, 4] < 1e-15
    np.testing.assert_allclose(found.p_value[~far], stored[~far, 4], rtol=P_RTOL)
    np.testing.assert_allclose(np.log(found.p_value[far]), np.log(stored[far, 4]), rtol=P_RTOL)


@pytest.mark.parametrize("case", cases("lmerTest_summary_satt"))
def test_t_tests_by_satterthwaite(case: str) -> None:
    check_summary(case, "lmerTest_summary_satt", "satterthwaite")


@pytest.mark.parametrize("case", cases("lmerTest_summary_kr", kr=True))
def test_t_tests_by_kenward_roger(case: str) -> None:
    check_summary(case, "lmerTest_summary_kr", "kenward-roger")
    stored = matrix(inference(case)["vcovAdj_KR"]).to_numpy()
    found = fit(case).contrast_tests("kenward-roger").vcov
    np.testing.assert_allclose(found, stored, rtol=RTOL, atol=RTOL * np.abs(stored).max())


@pytest.mark.parametrize("case", UNWEIGHTED)
def test_pbkrtest_forgets_the_weights_in_half_of_its_formulas(case: str) -> None:
    """The dense formulas without weights in V give its numbers; with them, they give ours."""
    fitted = fit(case)
    design, theta, sigma = fitted.design, fitted.optimum.theta, fitted.sigma
    theirs, _ = dense_tests.kenward_roger(design, theta, sigma, weighted=False)
    np.testing.assert_allclose(theirs, matrix(inference(case)["vcovAdj_KR"]).to_numpy(), rtol=RTOL)
    ours, _ = dense_tests.kenward_roger(design, theta, sigma)
    np.testing.assert_allclose(fitted.contrast_tests("kenward-roger").vcov, ours, rtol=1e-6)
    assert np.abs(ours / theirs - 1.0).max() > 0.005


@pytest.mark.parametrize("type", ["I", "II", "III"])
@pytest.mark.parametrize("method", METHODS)
def test_tables_of_terms(method: str, type: str) -> None:
    key, compared = f"lmerTest_anova_{method}_{type}", 0
    for case in cases(key, kr=method == "kr"):
        stored = frame(inference(case)[key])
        if not len(stored):
            continue
        found = lmm.anova(fit(case), type=type, ddf=METHODS[method])
        assert sorted(found.index) == sorted(stored.index), case
        found = pd.DataFrame(found).loc[stored.index]
        for column in stored:
            tolerance = P_RTOL if column == "Pr(>F)" else RTOL
            expected = stored[column].to_numpy(dtype=float)
            # a term whose columns were dropped has no test: R leaves all empty, we say rank 0
            expected = np.where(np.isnan(expected) & (column == "NumDF"), 0.0, expected)
            np.testing.assert_allclose(found[column], expected, rtol=tolerance, err_msg=f"{case} {column}")
        compared += 1
    assert compared >= 8


@pytest.mark.parametrize("case", cases("pbkr", kr=True))
def test_comparisons_by_kenward_roger(case: str) -> None:
    for entry in inference(case)["pbkr"]:
        stored, L = entry["stats"], matrix(entry["L"]).to_numpy(dtype=float)
        found = fit(case).contrast_tests("kenward-roger").joint(L)
        assert found.num_df == stored["ndf"]
        np.testing.assert_allclose(found.statistic, stored["Fstat"], rtol=RTOL)
        np.testing.assert_allclose(found.den_df, stored["ddf"], rtol=RTOL)
        np.testing.assert_allclose(found.scaling, stored["F.scaling"], rtol=RTOL)
        np.testing.assert_allclose(found.p_value, stored["p.value"], rtol=P_RTOL)


@pytest.mark.parametrize("case", cases("lmerTest_vcov_varpar"))
def test_covariance_of_the_variance_parameters(case: str) -> None:
    """lmerTest's is of (θ, σ); on the boundary it has entries where we say that there is no standard error."""
    stored = matrix(inference(case)["lmerTest_vcov_varpar"]).to_numpy()
    found = fit(case)._variance_parameters
    scale = np.append(np.ones(len(found.theta)), found.sigma)
    ours = found.covariance * np.outer(scale, scale)
    free = np.ix_(found.free, found.free)
    np.testing.assert_allclose(ours[free], stored[free], atol=2e-5 * np.abs(stored[free]).max())


def numbers(table: dict[str, Any]) -> pd.DataFrame:
    """A table without what R said beside it."""
    return frame(table).drop(columns="said", errors="ignore")


@pytest.mark.parametrize("case", more_names("anova"))
def test_tables_of_terms_of_unbalanced_and_coded_designs(case: str) -> None:
    """Empty cells, covariates, helmert and sum codings, orders of the terms."""
    for key, stored in more(case)["anova"].items():
        method, _, type = key.partition("_")
        if method not in METHODS or (method == "kr" and "weights" in more(case)):
            continue  # see above: pbkrtest forgets them
        expected = numbers(stored)
        found = pd.DataFrame(lmm.anova(more_fit(case), type=type, ddf=METHODS[method]))
        assert list(found.index) == list(expected.index)
        for column in expected:
            tolerance = P_RTOL if column == "Pr(>F)" else RTOL
            np.testing.assert_allclose(found[column], expected[column], rtol=tolerance, err_msg=f"{key} {column}")


@pytest.mark.parametrize("case", more_names("contest"))
def test_contests(case: str) -> None:
    for stored in more(case)["contest"]:
        ddf = stored["ddf"].lower()
        if ddf == "kenward-roger" and ("weights" in more(case) or not more(case)["REML"]):
            continue
        L, rhs = np.atleast_2d(np.array(stored["L"], dtype=float)), stored.get("rhs", 0.0)
        compared = {
            "joint": lmm.contest(more_fit(case), L, ddf=ddf),
            "rows": lmm.contest(more_fit(case), L, ddf=ddf, joint=False),
            "joint_rhs": lmm.contest(more_fit(case), L, ddf=ddf, rhs=rhs),
        }
        for key, table in compared.items():
            if stored.get(key) is None:
                continue
            expected, found = numbers(stored[key]), pd.DataFrame(table)
            for column in expected:
                p = column.startswith("Pr(")
                near = ~(expected[column].to_numpy() < 1e-15) | (not p)
                a, b = found[column].to_numpy()[near], expected[column].to_numpy()[near]
                np.testing.assert_allclose(a, b, rtol=P_RTOL if p else RTOL, err_msg=f"{key} {column}")


@pytest.mark.parametrize("case", [case for case in more_names("kr") if "weights" not in more(case)])
def test_kenward_roger_of_further_layouts(case: str) -> None:
    """Crossed with slopes, nested, several degrees of freedom at once."""
    stored, tests = more(case)["kr"], more_fit(case).contrast_tests("kenward-roger")
    expected = matrix(stored["vcovAdj"]).to_numpy()
    np.testing.assert_allclose(tests.vcov, expected, rtol=RTOL, atol=RTOL * np.abs(expected).max())
    single = tests.single(np.eye(len(expected)))
    np.testing.assert_allclose(single.df, np.atleast_1d(stored["ddf"]), rtol=RTOL)
    for entry in stored["tests"]:
        found, table = tests.joint(np.atleast_2d(np.array(entry["L"], dtype=float))), frame(entry["test"])
        assert found.num_df == table.loc["Ftest", "ndf"]
        np.testing.assert_allclose(found.statistic, table.loc["Ftest", "stat"], rtol=RTOL)
        np.testing.assert_allclose(found.den_df, table.loc["Ftest", "ddf"], rtol=RTOL)
        np.testing.assert_allclose(found.scaling, table.loc["Ftest", "F.scaling"], rtol=RTOL)
        np.testing.assert_allclose(found.p_value, table.loc["Ftest", "p.value"], rtol=P_RTOL)


def exact_covariance(fitted: lmm.LmmFit) -> np.ndarray:
    """Of (θ̂, log σ̂), from the dense criterion: complex steps, and central differences extrapolated (Richardson)."""
    design, theta, reml = fitted.design, fitted.optimum.theta, fitted.reml
    hessian = np.empty((len(theta), len(theta)))
    for i, step in enumerate(1e-2 * np.maximum(np.abs(theta), 0.1)):
        table = []
        for halving in range(4):
            move = np.zeros(len(theta))
            move[i] = step / 2**halving
            ahead, behind = (naive.gradient(design, theta + sign * move, reml) for sign in (1, -1))
            table.append((ahead - behind) / (2.0 * move[i]))
        for order in range(1, 4):
            table = [(4**order * b - a) / (4**order - 1) for a, b in itertools.pairwise(table)]
        hessian[i] = table[0]
    slopes = fitted.optimum.evaluation.log_r2_gradient
    assert slopes is not None
    free = np.ones(len(theta), dtype=bool)
    dof, bases = fitted.criterion.dof, (None,) * len(design.random)
    hessian = 0.5 * (hessian + hessian.T)
    return variance_parameters(design, bases, theta, fitted.sigma, hessian, free, slopes, dof).covariance


@pytest.mark.parametrize(
    "case", ["pastes_weights_ML", "sleep_missing_REML", "sleepstudy_dbar_ML", "machines_slope_REML"]
)
def test_lmertests_numerical_derivatives_are_the_less_exact_side(case: str) -> None:
    fitted = fit(case)
    exact = exact_covariance(fitted)
    units = np.append(np.ones(len(fitted.theta)), fitted.sigma)
    scale = np.sqrt(np.diag(exact))
    ours = np.abs(fitted._variance_parameters.covariance - exact) / np.outer(scale, scale)
    stored = matrix(inference(case)["lmerTest_vcov_varpar"]).to_numpy() / np.outer(units, units)
    theirs = np.abs(stored - exact) / np.outer(scale, scale)
    assert ours.max() < 1e-7
    assert theirs.max() > 4.0 * ours.max()
