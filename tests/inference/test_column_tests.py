"""Tests of columns at fixed variance ratios against generalised least squares with the naive dense V."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.design import Design, build_design
from lmmpy.engines import Criterion, make_criterion
from lmmpy.engines import threads as threads_module
from lmmpy.engines.row_solver_triangle import Triangle
from lmmpy.errors import DataError, ModelError
from lmmpy.inference.column_tests import ColumnTests, NullAtTheta, null_at_theta
from lmmpy.relatedness import Relatedness
from tests import naive
from tests.engines import test_contract as plain
from tests.engines import test_kin_contract as kin
from tests.engines import test_structured_contract as structured

RTOL = 1e-7


def squares(design: Design, V: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """β̂, (XᵀV⁻¹X)⁻¹ and r² of generalised least squares."""
    y = design.y if design.offset is None else design.y - design.offset
    VX = np.linalg.solve(V, X)
    vcov = np.linalg.inv(X.T @ VX)
    beta = vcov @ (VX.T @ y)
    left = y - X @ beta
    return beta, vcov, float(left @ np.linalg.solve(V, left))


def expected(design: Design, theta: np.ndarray, G: np.ndarray, test: str, reml: bool) -> dict[str, np.ndarray]:
    """One group of columns: twenty lines of textbook."""
    V, X, (n, k), p = naive.dense(design, theta).V, design.X, G.shape, design.p
    _, _, r0 = squares(design, V, X)
    _, _, r2 = squares(design, V, np.column_stack([X, G[:, :-1]]))
    beta, vcov, r1 = squares(design, V, np.column_stack([X, G]))
    dof, own = n - p - k, np.diag(vcov)[p:]
    if test == "score":
        variance, before = r0 / (n - p * reml), r2 / (n - (p + k - 1) * reml)
    else:
        variance = before = r1 / dof if test == "wald" else r1 / n
    if test == "lrt":
        every, last = n * np.log(r0 / r1), n * np.log(r2 / r1)
        p_value, last_p = stats.chi2.sf(every, k), stats.chi2.sf(last, 1)
    else:
        every, last = (r0 - r1) / k / variance, (r2 - r1) / before
        p_value, last_p = stats.f.sf(every, k, dof), stats.f.sf(last, 1, dof)
    return {
        "beta": beta[p:],
        "std_error": np.sqrt(variance * own),
        "statistic": every,
        "p_value": p_value,
        "last_statistic": last,
        "last_p_value": last_p,
    }


def check(found: ColumnTests, design: Design, theta: np.ndarray, G: np.ndarray, k: int, test: str, reml: bool) -> None:
    for i in range(G.shape[1] // k):
        for name, value in expected(design, theta, G[:, i * k : (i + 1) * k], test, reml).items():
            np.testing.assert_allclose(getattr(found, name)[i], value, rtol=RTOL, atol=1e-12, err_msg=name)
    assert not found.collinear.any() and found.note == ""


PROBLEMS = [
    *((plain.design_of(plain.layout("three", "us", 2), 4, True, True), e) for e in ("blocked", "sparse", "marginal")),
    (plain.design_of("(1 | g)", 1, True, False), "spectral"),
    (plain.design_of("(1 | g)", 0, False, True), "blocked"),
    *((kin.design_of(kin.CASES[1]), engine) for engine in kin.ENGINES),
    (kin.design_of(kin.CASES[4]), "spectral"),
    (kin.design_of(kin.CASES[9]), "sparse"),
    (kin.design_of(kin.CASES[-1]), "marginal"),
    *((structured.design_of(structured.CASES[i]), "marginal") for i in (4, 7, 23)),
    (structured.design_of(structured.CASES[7]), "sparse"),
]


def theta_of(design: Design) -> np.ndarray:
    for case in structured.CASES:
        if structured.design_of(case) is design:
            return structured.thetas(case)[0]
    return kin.thetas(design)[0] if design.n == kin.N else plain.thetas(design)[0]


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(("design", "engine"), PROBLEMS, ids=lambda x: x if isinstance(x, str) else "")
def test_of_the_dense_model(design: Design, engine: str, k: int, reml: bool) -> None:
    theta = theta_of(design)
    G = np.random.default_rng(k).normal(size=(design.n, 6)) + 3.0
    null = null_at_theta(make_criterion(design, reml, engine), theta)
    together = null.tests(G, k)
    for test in ("score", "wald", "lrt"):
        found = getattr(null, test)(G, k)
        check(found, design, theta, G, k, test, reml)
        np.testing.assert_array_equal(found.p_value, together[test].p_value)


def test_against_chi_squared() -> None:
    design = kin.design_of(kin.CASES[0])
    null = null_at_theta(make_criterion(design, True), theta_of(design))
    G = np.random.default_rng(0).normal(size=(design.n, 4))
    for test in (null.score, null.wald):
        plain_, other = test(G, 2), test(G, 2, reference="chisq")
        np.testing.assert_allclose(other.statistic, 2 * plain_.statistic, rtol=1e-12)
        np.testing.assert_allclose(other.p_value, stats.chi2.sf(other.statistic, 2), rtol=1e-9)
        np.testing.assert_allclose(other.last_p_value, stats.chi2.sf(other.last_statistic, 1), rtol=1e-9)


@cache
def people(n: int = 90) -> tuple[pd.DataFrame, lmm.Relatedness, np.ndarray]:
    rng = np.random.default_rng(8)
    markers = rng.binomial(2, 0.4, (n, 400)) - 0.8
    names = [f"p{i}" for i in range(n)]
    G = rng.binomial(2, 0.3, (n, 5)).astype(float)
    frame = pd.DataFrame({"id": names, "h": np.arange(n) // 3, "x": rng.normal(size=n), "s": np.arange(n) % 2})
    frame["h"] = frame["h"].astype(str)
    frame["y"] = (
        markers[:, :150].sum(axis=1) / 8
        + frame["x"]
        + np.repeat(rng.normal(size=n // 3), 3)
        + 0.4 * G[:, 0]
        + rng.normal(size=n)
    )
    return frame, lmm.Relatedness(markers @ markers.T / 192, names), G


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
def test_as_the_ordinary_fit_with_the_variances_held(reml: bool) -> None:
    frame, K, G = people()
    null = lmm.lmer("y ~ x + kin(id, K) + (1 | h)", frame, relmat={"K": K}, reml=reml)
    held = dict(zip(null.varcorr.to_frame()["grp"], null.varcorr.to_frame()["vcov"], strict=True))
    found = null_at_theta(null.criterion, null.optimum.theta).score(G)
    for i in range(G.shape[1]):
        data = frame.assign(g=G[:, i])
        fit = lmm.lmer("y ~ x + g + kin(id, K) + (1 | h)", data, relmat={"K": K}, reml=reml, varcomp=held)
        assert found.beta[i, 0] == pytest.approx(fit.fixef["g"], rel=1e-8)
        assert found.std_error[i, 0] == pytest.approx(np.sqrt(fit.vcov().loc["g", "g"]), rel=1e-8)


@cache
def single(n: int = 700) -> tuple[Criterion, np.ndarray, np.ndarray]:
    """One dense kernel of many people, a column of X near some of the columns that are tested."""
    rng = np.random.default_rng(4)
    G = rng.binomial(2, rng.uniform(0.01, 0.99, 300), (n, 300)).astype(float)
    data = pd.DataFrame({"y": rng.normal(size=n), "x": G[:, 3] + 1e-3 * rng.normal(size=n), "z": rng.normal(size=n)})
    data["g"], data["year"] = [f"i{i:04}" for i in range(n)], 2_000.0 + np.round(rng.normal(size=n), 1)
    markers = rng.binomial(2, 0.5, (n, 3 * n)) - 1.0
    K = Relatedness(markers @ markers.T / (1.5 * n), labels=data["g"])
    design, _ = build_design("y ~ x + z + year + (1 | g)", data)
    design = replace(design, random=(replace(design.random[0], relatedness=K),))
    return make_criterion(design, True), np.array([0.9]), G


@pytest.mark.parametrize("k", [1, 2])
def test_single_precision(k: int) -> None:
    """Six digits, near X and for an interaction with a year too."""
    criterion, theta, G = single()
    if k == 2:
        G = np.stack([G, G * criterion.design.X[:, 3:]], axis=2).reshape(len(G), -1)
    null, exact = (null_at_theta(criterion, theta, precision) for precision in ("auto", "double"))
    assert null.solver.single and not exact.solver.single
    V = naive.dense(criterion.design, theta).V
    for test in ("score", "wald", "lrt"):
        fast, slow = (getattr(one, test)(G, k) for one in (null, exact))
        assert not fast.collinear.any() and fast.note == ""
        for name in ("std_error", "statistic", "last_statistic"):
            np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=5e-6, err_msg=name)
        unit = slow.std_error
        np.testing.assert_allclose(fast.beta / unit, slow.beta / unit, atol=2e-5)
    for i in (0, 3):
        some = G[:, i * k : (i + 1) * k]
        beta, _, _ = squares(criterion.design, V, np.column_stack([criterion.design.X, some]))
        np.testing.assert_allclose(slow.beta[i], beta[-k:], rtol=1e-5, atol=1e-6)


def test_genotypes_may_be_in_single_precision() -> None:
    criterion, theta, G = single()
    null = null_at_theta(criterion, theta)
    one, other = null.score(G), null.score(np.asfortranarray(G, dtype=np.float32))
    np.testing.assert_array_equal(one.p_value, other.p_value)


@pytest.mark.parametrize("precision", ["auto", "double"])
def test_neither_units_nor_other_codes_matter(precision: str) -> None:
    criterion, theta, G = single()
    null = null_at_theta(criterion, theta, precision)
    G = G[:, 4:12]
    first, tolerance = null.wald(G), {"auto": 5e-6, "double": 1e-8}[precision]
    for other in (1e4 + 1e-2 * (2.0 - G), 1e30 * G, -1e-30 * G):
        np.testing.assert_allclose(null.wald(other).statistic, first.statistic, rtol=tolerance)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_collinear_columns_are_told(precision: str) -> None:
    criterion, theta, G = single()
    X, rng = criterion.design.X, np.random.default_rng(0)
    null = null_at_theta(criterion, theta, precision)
    noise = rng.normal(size=len(G))
    columns = np.column_stack(
        [
            np.full(len(G), 0.1),
            np.zeros(len(G)),
            X @ [1.0, 2.0, -3.0, 1e-3],
            X[:, 2] + 1e-6 * noise,
            X[:, 2] + 1e-2 * noise,
            1e6 + 1e-2 * noise,
            noise,
        ]
    )
    found = null.score(columns)
    np.testing.assert_array_equal(found.collinear, [True, True, True, True, False, False, False])
    for name in ("beta", "std_error", "statistic", "p_value", "last_statistic", "last_p_value"):
        np.testing.assert_array_equal(np.isnan(getattr(found, name)).ravel(), found.collinear)
    np.testing.assert_allclose(found.statistic[4:6], found.statistic[6], rtol=1e-5)
    pairs = np.column_stack([noise, G[:, 0], noise, 2.0 * noise + 1.0, G[:, 0], X[:, 1], noise, noise + 1e-2 * G[:, 0]])
    np.testing.assert_array_equal(null.wald(pairs, 2).collinear, [False, True, True, False])


def test_fifty_columns_alone_and_in_company() -> None:
    """In double precision a column gives the same bits wherever it stands, but for the products of the last panel."""
    criterion, theta, G = single()
    null = null_at_theta(criterion, theta, "double")
    whole, part = null.score(G), null.score(G[:, 120:170])
    np.testing.assert_allclose(part.p_value, whole.p_value[120:170], rtol=1e-10)


@pytest.mark.parametrize("precision", ["auto", "double"])
def test_neither_threads_nor_pickling_change_a_bit(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    criterion, theta, G = single()
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(threads_module, "blas_threads", lambda threads=threads: threads)
        null = null_at_theta(criterion, theta, precision)
        found += [null.score(G), pickle.loads(pickle.dumps(null)).score(G)]
    for other in found[1:]:
        np.testing.assert_array_equal(other.p_value, found[0].p_value)
        np.testing.assert_array_equal(other.std_error, found[0].std_error)


def test_double_precision_where_single_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    criterion, theta, G = single()
    null, exact = null_at_theta(criterion, theta), null_at_theta(criterion, theta, "double")
    rough = Triangle.half

    def rougher(self: Triangle, F: np.ndarray) -> np.ndarray:
        found = rough(self, F)
        return found * np.float32(1.0 + 1e-5) if found.dtype == np.float32 else found

    monkeypatch.setattr(Triangle, "half", rougher)
    found = null.score(G)
    assert found.note == "double precision: single differed where both were tried"
    np.testing.assert_array_equal(found.p_value, exact.score(G).p_value)


def test_no_columns() -> None:
    criterion, theta, G = single()
    for k in (1, 2):
        found = null_at_theta(criterion, theta).wald(G[:, :0], k)
        assert found.beta.shape == (0, k) and found.p_value.shape == (0,)


def refused(null: NullAtTheta, G: np.ndarray, match: str, k: int = 1, **options: object) -> None:
    with pytest.raises((DataError, ModelError), match=match):
        null.tests(G, k, **options)


def test_what_is_refused() -> None:
    design = kin.design_of(kin.CASES[0])
    null = null_at_theta(make_criterion(design, True), theta_of(design))
    G = np.random.default_rng(0).normal(size=(design.n, 4))
    refused(null, G[:-1], r"shape \(41, 4\); expected one row for each of the 42 observations")
    refused(null, G, "a number of columns that 3 divides", k=3)
    refused(null, G, "'likelihood' is none of 'score', 'wald', 'lrt'", tests=("likelihood",))
    refused(null, G, "'t' is none of 'F', 'chisq'", reference="t")
    refused(null, np.tile(G, (1, 10)), "42 observations, 3 fixed effects and 40 more leave nothing", k=40)
    G[3, 2] = np.nan
    refused(null, G, "missing or infinite: numbers 2 of")
    G[3, 1] = np.inf
    refused(null, G, "missing or infinite: numbers 1, 2 of")


def test_several_traits_are_refused() -> None:
    frame, K, _ = people()
    data = frame.assign(z=np.random.default_rng(0).normal(size=len(frame)))
    fit = lmm.lmer("cbind(y, z) ~ 1 + kin(id, K)", data, relmat={"K": K})
    with pytest.raises(ModelError, match="one trait, and this one has 2: 'y', 'z'"):
        null_at_theta(fit.criterion, fit.optimum.theta)


def test_no_residual_is_refused() -> None:
    from tests.model.test_saturated import alone

    fit = alone()
    with pytest.raises(ModelError, match="leaves no variance to the residual"):
        null_at_theta(fit.criterion, fit.optimum.theta)
