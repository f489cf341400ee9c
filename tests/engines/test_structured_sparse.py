"""The sparse engine with a structured residual: at any θ it gives the numbers of the naive dense reference."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, sparse

from lmmpy.covariance import Indexed, make_structure
from lmmpy.design import Design, RandomEffects, RowCovariance, build_design
from lmmpy.engines import make_criterion
from lmmpy.engines.structured import StructuredLikelihood, structured_likelihood
from lmmpy.engines.structured_rows import group_stacks
from lmmpy.errors import ModelError
from lmmpy.relatedness import Relatedness
from tests import naive

RTOL, ATOL = 1e-9, 1e-8
PEOPLE = 18
UNITS = np.array([1.0, 20.0, 0.01])


@cache
def data() -> pd.DataFrame:
    """Three traits of very different units, some missing, of people who cross items and live in herds."""
    rng = np.random.default_rng(4)
    person, trait = np.divmod(np.flatnonzero(rng.random(3 * PEOPLE) < 0.7), 3)
    n = len(person)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "w": 10.0 ** rng.uniform(-0.5, 0.5, n)})
    frame["id"], frame["trait"] = [f"i{i:02}" for i in person], [f"t{t}" for t in trait]
    frame["item"], frame["herd"] = rng.integers(0, 7, n).astype(str), (person // 4).astype(str)
    frame["far"], frame["o"] = frame["x"] + 500.0, rng.normal(size=n)
    frame["y"] = UNITS[trait] * (2.0 + rng.normal(size=PEOPLE)[person] + rng.normal(size=n))
    return frame


@cache
def kernel(size: int) -> Relatedness:
    labels = [f"i{i:02}" for i in range(size)]
    steps = np.where(np.arange(size - 1) % 5 == 4, 0.0, -0.45)
    matrix = sparse.diags_array([np.linspace(1.0, 2.0, size), steps, steps], offsets=[0, 1, -1])
    return Relatedness.from_precision(matrix, labels)


@dataclass(frozen=True)
class Case:
    """A formula, the grouping factor whose levels are related, and the residual within `group`."""

    formula: str
    structure: str
    group: str = "id"
    homogeneous: bool | None = None
    related: str = ""
    weights: bool = False
    offset: bool = False
    unseen: int = 0
    reml: bool = True

    def __str__(self) -> str:
        flags = f"{'-weights' * self.weights}{'-offset' * self.offset}{'-unseen' * bool(self.unseen)}"
        method = "REML" if self.reml else "ML"
        return f"{self.formula}-{self.structure}{self.homogeneous}|{self.group}-{self.related}{flags}-{method}"


CASES = [
    Case("y ~ trait + (0 + trait | id)", "us", related="id"),
    Case("y ~ trait / x + (0 + trait | id)", "us", related="id", unseen=3, weights=True, offset=True, reml=False),
    Case("y ~ trait + diag(0 + trait | id) + (1 | herd)", "diag", related="id"),
    Case("y ~ x + (1 | id) + (1 | item)", "ar1", "herd", weights=True),
    Case("y ~ x + (x | item) + (1 | id)", "cs", "herd", True, related="id"),
    Case("y ~ x + (far | id) + (1 | item)", "us", reml=False),
    Case("y ~ 0 + (1 | item) + (0 + z | item)", "us"),
    Case("y ~ x + (1 | id)", "ar1", "herd", False, related="id", offset=True, unseen=2),
    Case("y ~ x + (z | id) + (1 | herd)", "cs", "herd", False, related="id", weights=True),
]


@cache
def design_of(case: Case) -> Design:
    frame = data()
    weights, offset = "w" if case.weights else None, "o" if case.offset else None
    design, _ = build_design(case.formula, frame, weights=weights, offset=offset)
    terms = [related(term, case.unseen) if term.name == case.related else term for term in design.random]
    groups = pd.factorize(frame[case.group])[0]
    if case.group == "id":
        places, labels = pd.factorize(frame["trait"], sort=True)
        sizes = UNITS
    else:  # the first, second, … row of the herd
        places = pd.Series(groups).groupby(groups).cumcount().to_numpy()
        labels, sizes = [f"o{i}" for i in range(places.max() + 1)], np.linspace(1.0, 2.0, places.max() + 1)
    structure = make_structure(case.structure, len(labels), case.homogeneous)
    if structure.n_theta <= 2:
        sizes = np.ones(len(labels))
    indexed = Indexed(structure, places, tuple(labels), sizes)
    return replace(
        design, random=tuple(terms), residual=RowCovariance("Residual", 3 * groups + 5, indexed, sizes[places])
    )


def related(term: RandomEffects, unseen: int) -> RandomEffects:
    """With levels in the midst of the others that no row has."""
    size = term.n_levels + unseen
    places = np.sort(np.random.default_rng(size).permutation(size)[: term.n_levels])
    labels = np.array([f"i{i:02}" for i in range(size)])
    grouping = replace(term.grouping, codes=places[term.codes], levels=labels)
    return replace(term, grouping=grouping, relatedness=kernel(size))


def thetas(design: Design) -> list[np.ndarray]:
    """In units of the traits: both signs; then very different sizes and exact zeros of the random terms; then zeros."""
    rng = np.random.default_rng(design.n_theta)
    structure = design.residual.structure
    phi = structure.start() + 0.3 * rng.normal(size=structure.n_theta) * structure.scale()
    units = [UNITS if term.columns[0].startswith("trait") else np.ones(term.k) for term in design.random]
    scales = [term.structure.scale(unit) for term, unit in zip(design.random, units, strict=True)]
    mixed = rng.normal(size=design.n_theta_random) * np.concatenate(scales)
    if "far" in {column for term in design.random for column in term.columns}:
        mixed[:3] = 500.0, -1.0, 0.1
        return [np.concatenate([mixed, phi])]
    few = mixed * rng.choice([0.0, 1e-4, 1e-2, 1.0], len(mixed))
    return [np.concatenate([part, phi]) for part in (mixed, few, 0.0 * mixed)]


@cache
def criterion_of(case: Case) -> StructuredLikelihood:
    return structured_likelihood(design_of(case), case.reml)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def criterion(case: Case) -> StructuredLikelihood:
    return criterion_of(case)


def close(actual: np.ndarray, expected: np.ndarray, rtol: float = 1e-8) -> None:
    """Relatively to the largest number."""
    size = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=0.1 * rtol * size)


def test_the_cases_are_what_they_say() -> None:
    designs = [design_of(case) for case in CASES]
    shapes = {len(stack.members[0]) for case in CASES for stack in criterion_of(case)._system.residual.stacks}
    assert shapes > {1, 2, 3, 9}
    assert any(not term.recorded.all() for design in designs for term in design.random)
    overlap = [case for case in CASES if case.related == "id" and case.group == "herd"]
    assert all(
        len(matrix._firsts) < len(matrix._order) for matrix in (criterion_of(case)._system.matrix for case in overlap)
    )
    assert any(R is not None for case in CASES for R in criterion_of(case).bases)


def test_value(case: Case, criterion: StructuredLikelihood) -> None:
    for theta in thetas(criterion.design):
        expected = naive.dense(criterion.design, theta, case.reml)
        evaluations = [criterion.evaluate(theta, order) for order in (0, 1, 2)]
        assert [e.value for e in evaluations] == pytest.approx([expected.value] * 3, rel=RTOL)
        assert [e.r2 for e in evaluations] == pytest.approx([expected.r2] * 3, rel=RTOL)


def test_gradient(case: Case, criterion: StructuredLikelihood) -> None:
    for theta in thetas(criterion.design):
        expected = naive.gradient(criterion.design, theta, case.reml)
        close(criterion.evaluate(theta, 1).gradient, expected)


def test_the_gradient_of_r2(case: Case, criterion: StructuredLikelihood) -> None:
    design = criterion.design
    theta = thetas(design)[0]
    slopes = criterion.evaluate(theta, 1).log_r2_gradient
    for i in range(len(theta)):
        step = 1e-5 * max(1.0, abs(theta[i])) * (np.arange(len(theta)) == i)
        ends = [np.log(naive.dense(design, theta + s * step, case.reml).r2) for s in (1, -1)]
        assert slopes[i] == pytest.approx((ends[0] - ends[1]) / (2 * step[i]), rel=1e-5, abs=1e-6)


def test_balance(case: Case, criterion: StructuredLikelihood) -> None:
    for theta in thetas(criterion.design):
        expected = naive.covariance_slopes(criterion.design, theta, case.reml)
        for (A, B), slope in zip(criterion.evaluate(theta, 1).balance, expected, strict=True):
            np.testing.assert_allclose(A - B, slope, rtol=1e-8, atol=1e-8 * max(1.0, np.abs(A).max()))


def test_information_and_bend(case: Case, criterion: StructuredLikelihood) -> None:
    for theta in thetas(criterion.design):
        evaluation = criterion.evaluate(theta, 2)
        close(evaluation.information, naive.information(criterion.design, theta, case.reml), 1e-7)
        bend = naive.bend(criterion.design, theta, case.reml)
        np.testing.assert_allclose(evaluation.bend, bend, rtol=1e-6, atol=1e-6 * max(10.0, np.abs(bend).max()))
        ((A, B),) = evaluation.row_bends
        own = slice(criterion.design.n_theta_random, None)
        np.testing.assert_allclose(A - B, evaluation.bend[own, own], rtol=1e-12, atol=1e-12 * np.abs(A).max())


def test_solution(case: Case, criterion: StructuredLikelihood) -> None:
    for theta in thetas(criterion.design):
        actual, expected = criterion.solve(theta), naive.dense(criterion.design, theta, case.reml)
        close(actual.beta, expected.beta)
        close(actual.unscaled_vcov, expected.vcov)
        close(actual.b, expected.b)
        assert actual.sigma == pytest.approx(expected.sigma, rel=RTOL)
        assert actual.functions == ()


def test_conditional_variances(case: Case, criterion: StructuredLikelihood) -> None:
    for theta in thetas(criterion.design):
        expected = naive.dense(criterion.design, theta, case.reml).conditional_variances
        for a, e in zip(criterion.conditional_variances(theta), expected, strict=True):
            close(a, e, 1e-7)


def test_operators(case: Case, criterion: StructuredLikelihood) -> None:
    design = criterion.design
    for theta in thetas(design):
        dense, at = naive.dense(design, theta, case.reml), criterion.operators(theta)
        Z = np.hstack(dense.Zs)
        VZ, VX = np.linalg.solve(dense.V, Z), np.linalg.solve(dense.V, design.X)
        G = linalg.block_diag(*(dense.spread(t, T @ T.T) for t, T in enumerate(dense.Ts)))
        eye = np.eye(design.q)
        close(at.conditional_covariance(eye), G - G @ Z.T @ VZ @ G, 1e-7)
        close(at.ZtVZ(eye), Z.T @ VZ)
        close(at.GZtVX, G @ Z.T @ VX)
        R = at.products.R
        close(R.T @ at.QtVQ @ R, dense.XtVX)
        slopes = naive.row_slopes(design, theta)
        for found, slope in zip(at.row_slopes(), slopes, strict=True):
            close(R.T @ found @ R, VX.T @ slope @ VX)
        w = np.ones(design.n) if design.weights is None else design.weights
        w = w / design.residual.typical**2
        close(at.ZtWX, Z.T @ (w[:, None] * design.X))


def test_what_kenward_and_roger_need(case: Case) -> None:
    criterion = criterion_of(case).orthogonal()
    design = criterion.design
    theta = thetas(design)[0]
    dense, at = naive.dense(design, theta, case.reml), criterion.operators(theta)
    V_inverse = np.linalg.inv(dense.V)
    close(at.ZtVQ @ at.products.R, np.hstack(dense.Zs).T @ V_inverse @ design.X)
    squares, sums = at.squares(), at.traces()
    halves = []
    for Z, term in zip(dense.Zs, design.random, strict=True):
        columns, K = Z.reshape(design.n, term.n_levels, term.k), term.relatedness.dense()
        pairs = [[V_inverse @ columns[:, :, a] @ K @ columns[:, :, b].T for b in range(term.k)] for a in range(term.k)]
        halves.append(pairs)
    for t, one in enumerate(design.random):
        close(sums[t], np.array([[np.trace(half) for half in row] for row in halves[t]]))
        for s, other in enumerate(design.random[t:], t):
            expected = np.empty((other.k, one.k, other.k, one.k))
            for c, a, d, b in np.ndindex(expected.shape):
                expected[c, a, d, b] = np.vdot(halves[t][a][b], halves[s][d][c].T)
            close(squares[t][s], expected, 1e-7)


def test_another_response_the_likelihood_and_a_copy(case: Case, criterion: StructuredLikelihood) -> None:
    theta = thetas(criterion.design)[0]
    y = criterion.design.y[::-1] ** 2
    other = criterion.with_response(y)
    design = replace(criterion.design, y=y)
    for made, reml in ((other, case.reml), (other.by_ml(), False), (pickle.loads(pickle.dumps(other)), case.reml)):
        assert made.reml == reml
        expected = naive.dense(design, theta, reml)
        assert made.evaluate(theta).value == pytest.approx(expected.value, rel=RTOL)
        close(made.solve(theta).b, expected.b)
        close(made.evaluate(theta, 1).gradient, naive.gradient(design, theta, reml))
    expected = naive.dense(criterion.design, theta, case.reml)
    assert criterion.evaluate(theta).value == pytest.approx(expected.value, rel=RTOL)


def test_the_marginal_engine_agrees(case: Case, criterion: StructuredLikelihood) -> None:
    other = make_criterion(criterion.design, case.reml, "marginal")
    for i, theta in enumerate(thetas(criterion.design)):
        one, two = criterion.evaluate(theta, 2), other.evaluate(theta, 2)
        assert one.value == pytest.approx(two.value, rel=RTOL)
        for name in ("gradient", "log_r2_gradient", "information"):
            close(getattr(one, name), getattr(two, name))
        # Where T is singular the derivatives in T Tᵀ are those of a regular one nearby.
        rtol = 1e-8 if i == 0 else 1e-6
        size = max(float(np.abs(A).max(initial=0.0)) for A, _ in (*two.row_bends, *two.balance))
        np.testing.assert_allclose(one.bend, two.bend, rtol=rtol, atol=rtol * size)
        for pair, same in zip((*one.row_bends, *one.balance), (*two.row_bends, *two.balance), strict=True):
            for mine, theirs in zip(pair, same, strict=True):
                close(mine, theirs, rtol)


def test_it_is_chosen_for_large_components() -> None:
    design = design_of(CASES[3])
    assert make_criterion(design, True).name == "marginal"
    asked = make_criterion(design, True, "sparse")
    assert isinstance(asked, StructuredLikelihood)
    assert "by 5 groups of up to" in asked.description


def test_groups_without_room() -> None:
    groups = np.repeat(np.arange(2), [10_000, 5_000])
    with pytest.raises(ModelError, match=r"up to 10,000 rows and 10 random effects.*125,000,000"):
        group_stacks(groups, np.array([10, 3]))


def test_a_residual_that_has_no_inverse() -> None:
    case = CASES[0]
    criterion = criterion_of(case)
    theta = thetas(criterion.design)[0]
    theta[criterion.design.n_theta_random :] = 20.0, 0.01, 0.0, 0.0, 0.0  # all correlations are one
    assert criterion.evaluate(theta, 2).value == np.inf
    theta[-1] = np.nan
    assert criterion.evaluate(theta, 2).value == np.inf


def test_what_it_cannot_take() -> None:
    design = design_of(CASES[0])
    with pytest.raises(ModelError, match="without random terms"):
        structured_likelihood(replace(design, random=()), True)
    with pytest.raises(ModelError, match="random function"):
        structured_likelihood(replace(design, functions=(design.residual,)), True)


@pytest.mark.parametrize("exponent", range(1, 17))
def test_a_residual_that_is_nearly_singular_has_the_right_value_or_none(exponent: int) -> None:
    """Rows of a group sum to nothing but for their intercept, so that V is regular where R is not."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=60), "g": np.repeat(np.arange(15), 4)})
    design, _ = build_design("y ~ 1 + (1 | g)", frame, residual="cs(1 | g)")
    theta = np.array([1.0, 10.0**-exponent])
    exact, found = (make_criterion(design, True, engine).evaluate(theta, 2) for engine in ("marginal", "sparse"))
    if exponent < 4:
        np.testing.assert_allclose(found.gradient, exact.gradient, rtol=1e-7, atol=1e-8)
    assert found.value == np.inf or found.value == pytest.approx(exact.value, abs=1e-6)
    assert np.isfinite(found.value) == (exponent < 5)


@pytest.mark.parametrize("phi", [4000.0, -4000.0])
def test_a_residual_beyond_all_numbers_has_no_value(phi: float) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=60), "g": np.repeat(np.arange(15), 4), "v": rng.uniform(1.0, 9.0, 60)})
    design, _ = build_design("y ~ 1 + (1 | g)", frame, residual="varpower(v)")
    for engine in ("marginal", "sparse"):
        assert make_criterion(design, True, engine).evaluate(np.array([1.0, phi]), 2).value == np.inf
