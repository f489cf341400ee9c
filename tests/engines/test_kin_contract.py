"""The contract of engines with related levels: at any θ each gives the numbers of the naive dense reference."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, sparse

from lmmpy.design import Design, RandomEffects, build_design
from lmmpy.engines import Criterion, make_criterion
from lmmpy.relatedness import Relatedness
from tests import naive

N, LEVELS = 42, 12
ENGINES = ("sparse", "marginal", "spectral")
# V has a condition number below 1e5, K one below 1e4.
RTOL, ATOL = 1e-9, 1e-8
# Kernels without an inverse.
SINGULAR = {"twins", "genotypes"}


@cache
def data() -> pd.DataFrame:
    """Unbalanced: g has levels with one row, h crosses it; w over two orders."""
    rng = np.random.default_rng(7)
    g = np.concatenate([np.arange(LEVELS), rng.integers(0, LEVELS - 2, N - LEVELS)])
    frame = pd.DataFrame({name: rng.normal(size=N) for name in ("x", "z", "v", "o")})
    frame["g"], frame["h"] = [f"i{i:02}" for i in g], rng.integers(0, 4, N).astype(str)
    frame["far"], frame["w"] = np.round(frame["x"], 3) + 1e3, 10.0 ** rng.uniform(-1, 1, N)
    frame["y"] = 3.0 + frame["v"] + rng.normal(size=LEVELS)[g] * (1.0 + frame["x"]) + rng.normal(size=N)
    return frame


@cache
def kernel(kind: str, size: int = LEVELS) -> Relatedness:
    """A relatedness of each kind, all with diagonals that differ."""
    rng = np.random.default_rng(size)
    labels = [f"i{i:02}" for i in range(size)]
    root = rng.normal(size=(size, size + 3))
    K = root @ root.T / size
    if kind == "dense":
        return Relatedness(K, labels=labels)
    if kind == "families":  # of four, three and so on, and one alone
        cuts = np.array([0, 4, 7, 9, size - 1, size])
        parts = [K[a:b, a:b] for a, b in itertools.pairwise(cuts)]
        shuffled = rng.permutation(size)
        return Relatedness(linalg.block_diag(*parts)[np.ix_(shuffled, shuffled)], labels=labels)
    if kind == "sparse families":
        return Relatedness(sparse.csc_array(kernel("families", size).dense()), labels=labels)
    if kind == "twins":
        same = np.arange(size)
        same[[3, 8]] = 1, 4
        return Relatedness(K[np.ix_(same, same)], labels=labels)
    if kind == "genotypes":
        return Relatedness.from_genotypes(rng.normal(size=(size, 4)), labels=labels)
    assert kind == "precision"
    steps = np.where(np.arange(size - 1) % 4 == 3, 0.0, -0.4)
    return Relatedness.from_precision(
        sparse.diags_array([np.linspace(1.0, 2.0, size), steps, steps], offsets=[0, 1, -1]), labels
    )


@dataclass(frozen=True)
class Case:
    """A formula, a kernel for each term ("" for none), levels without rows, and what comes with it."""

    random: str
    kernels: tuple[str, ...]
    unseen: int = 0
    weights: bool = False
    offset: bool = False
    fixed: str = "1 + x + v"
    reml: bool = True

    def __str__(self) -> str:
        flags = f"{'-weights' * self.weights}{'-offset' * self.offset}{'-unseen' * bool(self.unseen)}"
        return f"{self.random}-{'+'.join(self.kernels)}{flags}-{'REML' if self.reml else 'ML'}"


CASES = [
    Case("(1 | g)", ("dense",)),
    Case("(1 | g)", ("families",), weights=True, offset=True, reml=False),
    Case("(1 | g)", ("sparse families",), unseen=3),
    Case("(1 | g)", ("twins",), weights=True),
    Case("(1 | g)", ("genotypes",), unseen=2, offset=True),
    Case("(1 | g)", ("precision",), unseen=4, weights=True, fixed="0"),
    Case("(0 + z | g)", ("dense",), unseen=2),
    Case("(1 | g) + (1 | h)", ("dense", "")),
    Case("(1 | g) + (1 | h)", ("families", ""), weights=True, reml=False),
    Case("(1 | g) + (1 | h)", ("precision", ""), unseen=3),
    Case("(1 | g) + (1 | g)", ("twins", "families"), offset=True),
    Case("(1 | g) + (1 | g) + (0 + x | h)", ("genotypes", "", ""), weights=True),
    Case("(x | g)", ("dense",), weights=True, offset=True),
    Case("(x | g)", ("families",), unseen=2, fixed="1"),
    Case("(x + z | g) + (1 | h)", ("genotypes", ""), reml=False),
    Case("cs(x | g) + (z | h)", ("twins", "")),
    Case("diag(x | g) + (1 | g)", ("precision", "dense"), unseen=1),
    Case("(far | g) + (1 | h)", ("dense", "")),
]


@cache
def design_of(case: Case) -> Design:
    formula = f"y ~ {case.fixed} + {case.random}"
    design, _ = build_design(
        formula, data(), weights="w" if case.weights else None, offset="o" if case.offset else None
    )
    return with_kernels(design, case.kernels, case.unseen)


def with_kernels(design: Design, kernels: tuple[str, ...], unseen: int = 0) -> Design:
    """The design with related levels, some of which no row has, in the midst of the others."""
    parts = zip(design.random, kernels, strict=True)
    return replace(design, random=tuple(related(term, kind, unseen) if kind else term for term, kind in parts))


def related(term: RandomEffects, kind: str, unseen: int) -> RandomEffects:
    size = term.n_levels + unseen
    places = np.sort(np.random.default_rng(size).permutation(size)[: term.n_levels])
    labels = np.array([f"i{i:02}" for i in range(size)])
    grouping = replace(term.grouping, codes=places[term.codes], levels=labels)
    return replace(term, grouping=grouping, relatedness=kernel(kind, size))


def thetas(design: Design) -> list[np.ndarray]:
    """Both signs; then of very different sizes with some exact zeros; then all zeros."""
    rng = np.random.default_rng(design.n_theta)
    scale = np.ones(design.n_theta)
    if design.random[0].columns[-1] == "far":
        scale[:3] = 800.0, 0.8, 0.1
        return [scale * np.array([1.0, -1.0, 1.0, 0.5])]
    mixed = rng.normal(size=design.n_theta)
    return [mixed, mixed * rng.choice([0.0, 1e-4, 1e-2, 1.0], design.n_theta), np.zeros(design.n_theta)]


@cache
def criterion_of(case: Case, engine: str) -> Criterion:
    return make_criterion(design_of(case), case.reml, engine)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=ENGINES)
def criterion(request: pytest.FixtureRequest, case: Case) -> Criterion:
    if request.param == "spectral" and [term.k for term in design_of(case).random] != [1]:
        pytest.skip("for one random effect only")
    if request.param == "sparse" and SINGULAR & set(case.kernels):
        pytest.skip("for relatedness with an inverse only")
    return criterion_of(case, request.param)


@cache
def _reference(quantity: str, case: Case, theta: bytes) -> np.ndarray:
    return getattr(naive, quantity)(design_of(case), np.frombuffer(theta), case.reml)


def reference(quantity: str, case: Case, theta: np.ndarray) -> np.ndarray:
    """The naive reference, computed once for all engines."""
    return _reference(quantity, case, theta.tobytes())


def test_the_cases_are_what_they_say() -> None:
    designs = [design_of(case) for case in CASES]
    assert {type(t.relatedness.form).__name__ for d in designs for t in d.random} == {
        "Dense",
        "SparseCovariance",
        "Genotypes",
        "Precision",
        "Identity",
    }
    assert {t.k for d in designs for t in d.random} == {1, 2, 3}
    assert any(not t.recorded.all() for d in designs for t in d.random)
    assert np.isneginf([kernel(kind).logdet for kind in sorted(SINGULAR)]).all()


def test_value(case: Case, criterion: Criterion) -> None:
    for theta in thetas(criterion.design):
        expected = naive.dense(criterion.design, theta, case.reml)
        evaluations = [criterion.evaluate(theta, order) for order in (0, 1, 2)]
        assert [e.value for e in evaluations] == pytest.approx([expected.value] * 3, rel=RTOL)
        assert [e.r2 for e in evaluations] == pytest.approx([expected.r2] * 3, rel=RTOL)


def test_gradient(case: Case, criterion: Criterion) -> None:
    for theta in thetas(criterion.design):
        evaluation = criterion.evaluate(theta, 1)
        np.testing.assert_allclose(evaluation.gradient, reference("gradient", case, theta), rtol=1e-8, atol=ATOL)


def test_the_gradient_of_r2(case: Case, criterion: Criterion) -> None:
    design = criterion.design
    theta = thetas(design)[0]
    slopes = criterion.evaluate(theta, 1).log_r2_gradient
    for i in range(len(theta)):
        step = 1e-5 * max(1.0, abs(theta[i])) * (np.arange(len(theta)) == i)
        ends = [np.log(naive.dense(design, theta + s * step, case.reml).r2) for s in (1, -1)]
        assert slopes[i] == pytest.approx((ends[0] - ends[1]) / (2 * step[i]), rel=1e-5, abs=1e-6)


def test_balance(case: Case, criterion: Criterion) -> None:
    for theta in thetas(criterion.design):
        expected = reference("covariance_slopes", case, theta)
        for (A, B), slope in zip(criterion.evaluate(theta, 1).balance, expected, strict=True):
            np.testing.assert_allclose(A - B, slope, rtol=1e-8, atol=1e-8 * max(1.0, np.abs(A).max()))


def test_information_and_bend(case: Case, criterion: Criterion) -> None:
    for theta in thetas(criterion.design):
        evaluation = criterion.evaluate(theta, 2)
        information = reference("information", case, theta)
        np.testing.assert_allclose(evaluation.information, information, rtol=1e-7, atol=ATOL)
        np.testing.assert_allclose(evaluation.bend, reference("bend", case, theta), rtol=1e-6, atol=1e-5)


def test_solution(case: Case, criterion: Criterion) -> None:
    design = criterion.design
    for theta in thetas(design):
        actual, expected = criterion.solve(theta), naive.dense(design, theta, case.reml)
        np.testing.assert_allclose(actual.beta, expected.beta, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(actual.unscaled_vcov, expected.vcov, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(actual.b, expected.b, rtol=1e-8, atol=1e-8)
        assert actual.sigma == pytest.approx(expected.sigma, rel=RTOL)
        for t, (T, span) in enumerate(zip(expected.Ts, spans(design), strict=True)):
            u = expected.spread(t, np.eye(len(T))) @ np.kron(np.eye(design.random[t].n_levels), T.T)
            u = u @ (expected.Zs[t].T @ expected.Py)
            np.testing.assert_allclose(actual.u[span], u, rtol=1e-8, atol=1e-8 * max(1.0, np.abs(u).max()))


def spans(design: Design) -> list[slice]:
    return [slice(a, b) for a, b in zip(design.starts[:-1], design.starts[1:], strict=True)]


def test_conditional_variances(case: Case, criterion: Criterion) -> None:
    design = criterion.design
    for theta in thetas(design):
        expected = naive.dense(design, theta, case.reml).conditional_variances
        for a, e in zip(criterion.conditional_variances(theta), expected, strict=True):
            assert a.shape == e.shape
            np.testing.assert_allclose(a, e, rtol=1e-7, atol=1e-9 * max(1.0, np.abs(e).max()))


def test_operators(case: Case, criterion: Criterion) -> None:
    design = criterion.design
    for theta in thetas(design):
        dense, at = naive.dense(design, theta, case.reml), criterion.operators(theta)
        Z = np.hstack(dense.Zs)
        VZ = np.linalg.solve(dense.V, Z)
        G = linalg.block_diag(*(dense.spread(t, T @ T.T) for t, T in enumerate(dense.Ts)))
        conditional, ZtVZ, eye = G - G @ Z.T @ VZ @ G, Z.T @ VZ, np.eye(design.q)
        size = max(1.0, np.abs(conditional).max())
        found = at.conditional_covariance(eye)
        np.testing.assert_allclose(found, conditional, rtol=1e-7, atol=1e-9 * size)
        np.testing.assert_allclose(at.ZtVZ(eye), ZtVZ, rtol=1e-8, atol=1e-9 * np.abs(ZtVZ).max())
        w = np.ones(design.n) if design.weights is None else design.weights
        np.testing.assert_allclose(at.ZtWX, Z.T @ (w[:, None] * design.X), rtol=1e-9, atol=1e-9)
        XtVX = at.products.R.T @ at.QtVQ @ at.products.R
        np.testing.assert_allclose(XtVX, dense.XtVX, rtol=1e-8, atol=1e-8 * np.abs(dense.XtVX).max(initial=0.0))
        for t, span in enumerate(spans(design)):
            some = np.arange(design.random[t].n_levels)[::-2]
            columns = (some[:, None] * design.random[t].k + np.arange(design.random[t].k)).ravel()
            columns = found[:, span][:, columns]
            np.testing.assert_allclose(at.covariance_of_levels(t, some), columns, rtol=1e-8, atol=1e-9 * size)


def test_what_kenward_and_roger_need(case: Case, criterion: Criterion) -> None:
    """ZᵀV⁻¹X; tr(V⁻¹V_ab); and tr(V⁻¹V_ab V⁻¹V_dc) with V_ab = Z_a K Z_bᵀ, at [t][s][c, a, d, b]."""
    design = criterion.design
    criterion = criterion.orthogonal()
    turned = criterion.design
    parts = zip(design.random, design.split_theta(thetas(design)[0]), criterion_of(case, "marginal").bases, strict=True)
    theta = [
        part if R is None else term.structure.from_factor(R @ term.structure.factor(part).T) for term, part, R in parts
    ]
    theta = np.concatenate(theta)
    dense, at = naive.dense(turned, theta, case.reml), criterion.operators(theta)
    V_inverse = np.linalg.inv(dense.V)
    ZtVX = at.ZtVQ @ at.products.R
    expected = np.hstack(dense.Zs).T @ V_inverse @ design.X
    np.testing.assert_allclose(ZtVX, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max(initial=0.0))
    halves = []
    for t, term in enumerate(turned.random):
        Z = dense.Zs[t].reshape(design.n, term.n_levels, term.k)
        K = term.relatedness.dense()
        halves.append([[V_inverse @ Z[:, :, a] @ K @ Z[:, :, b].T for b in range(term.k)] for a in range(term.k)])
    squares, sums = at.squares(), at.traces()
    for t, one in enumerate(turned.random):
        trace = np.array([[np.trace(half) for half in row] for row in halves[t]])
        np.testing.assert_allclose(sums[t], trace, rtol=1e-8, atol=1e-9 * np.abs(trace).max())
        for s, other in enumerate(turned.random[t:], t):
            expected = np.empty((other.k, one.k, other.k, one.k))
            for c, a, d, b in np.ndindex(expected.shape):
                expected[c, a, d, b] = np.vdot(halves[t][a][b], halves[s][d][c].T)
            np.testing.assert_allclose(squares[t][s], expected, rtol=1e-7, atol=1e-8 * np.abs(expected).max())


def test_another_response_and_the_likelihood(case: Case, criterion: Criterion) -> None:
    theta = thetas(criterion.design)[0]
    y = criterion.design.y[::-1] ** 2
    other = criterion.with_response(y)
    design = replace(criterion.design, y=y)
    for made, reml in ((other, case.reml), (other.by_ml(), False)):
        expected = naive.dense(design, theta, reml)
        assert made.evaluate(theta).value == pytest.approx(expected.value, rel=RTOL)
        np.testing.assert_allclose(made.solve(theta).b, expected.b, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(
            made.evaluate(theta, 1).gradient, naive.gradient(design, theta, reml), rtol=1e-8, atol=ATOL
        )
    assert criterion.evaluate(theta).value == pytest.approx(
        naive.dense(criterion.design, theta, case.reml).value, rel=RTOL
    )
