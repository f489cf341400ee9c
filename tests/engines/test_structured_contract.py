"""The contract of engines with covariances between rows: at any θ the numbers of the naive dense reference."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

from lmmpy.covariance import (
    Autoregressive,
    CompoundSymmetry,
    ContinuousAR1,
    CovarianceStructure,
    Diagonal,
    Indexed,
    Known,
    Power,
    Product,
    RandomFunction,
    Strata,
    Unstructured,
)
from lmmpy.design import Design, RowCovariance, build_design
from lmmpy.engines import Criterion, make_criterion
from lmmpy.engines.components import connected_components
from lmmpy.errors import ModelError
from tests import naive
from tests.engines.test_kin_contract import SINGULAR, kernel, related

PEOPLE = 14
RTOL, ATOL = 1e-9, 1e-8
STRUCTURES = {"us": Unstructured, "diag": Diagonal}


@cache
def data() -> pd.DataFrame:
    """Three traits of people in families of several sizes, some missing; the second thirty times the first."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": np.repeat(np.arange(PEOPLE), 3), "t": np.tile(np.arange(3), PEOPLE)})
    frame = frame[(rng.random(len(frame)) > 0.2) | (frame["t"] == 0)].reset_index(drop=True)
    n, size = len(frame), np.array([1.0, 30.0, 0.3])[frame["t"]]
    frame["x"], frame["w"] = rng.normal(size=PEOPLE)[frame["id"]], 10.0 ** rng.uniform(-0.5, 0.5, n)
    frame["far"], frame["when"] = np.round(frame["x"], 3) + 1e3, rng.uniform(0.0, 3.0, n)
    frame["v"] = rng.normal(size=n)
    frame["y"] = size * (2.0 + frame["x"] + rng.normal(size=PEOPLE)[frame["id"]] + rng.normal(size=n))
    for trait in range(3):
        frame[f"t{trait}"] = (frame["t"] == trait).astype(float)
    frame["g"] = [f"i{i:02}" for i in frame["id"]]
    frame["h"] = [f"h{i // 3}" for i in frame["id"]]
    return frame


SIZES = np.array([1.0, 30.0, 0.3])


def over_traits(structure: CovarianceStructure) -> tuple[Indexed, np.ndarray, np.ndarray]:
    """Between the traits of a person."""
    frame = data()
    codes = frame["t"].to_numpy()
    return Indexed(structure, codes, ("a", "b", "c"), SIZES), frame["id"].to_numpy(), SIZES[codes]


def residual_of(kind: str) -> tuple[RowCovariance | None, np.ndarray]:
    """A covariance of the residual, and a φ inside."""
    frame = data()
    n, ones = len(frame), np.ones(len(frame))
    traits, people, households = frame["t"].to_numpy(), frame["id"].to_numpy(), frame["id"].to_numpy() // 3
    if kind == "none":
        return None, np.empty(0)
    if kind in ("us", "us singular", "diag", "cs", "ar1"):
        structures = {
            "us": (Unstructured(3), [9.0, -0.1, 24.0, 0.05, 0.2]),
            "us singular": (Unstructured(3), [27.0, -0.1, 0.0, 0.05, 0.2]),
            "diag": (Diagonal(3, False), [21.0, 0.4]),
            "cs": (CompoundSymmetry(3, False), [21.0, 0.4, 0.8]),
            "ar1": (Autoregressive(3, False), [21.0, 0.4, 0.6]),
        }
        structure, phi = structures[kind]
        rows, groups, typical = over_traits(structure)
        return RowCovariance("Residual", groups, rows, typical), np.array(phi)
    if kind == "ar1 of households":
        places = np.concatenate([np.arange(m) for m in np.unique(households, return_counts=True)[1]])
        k = int(places.max()) + 1
        rows = Indexed(Autoregressive(k, True), places, tuple(map(str, range(k))), np.ones(k))
        return RowCovariance("Residual", households, rows, ones), np.array([0.7])
    if kind == "car1 by strata":
        product = Product(ContinuousAR1(frame["when"].to_numpy()), Strata(traits, ("a", "b", "c"), SIZES))
        phi = np.concatenate([[0.4], np.array([0.9, 1.2]) * product.start()[1:]])
        return RowCovariance("Residual", people, product, SIZES[traits]), phi
    if kind == "power":
        return RowCovariance("Residual", np.arange(n), Power(frame["far"].to_numpy() - 997.0), ones), np.array([0.3])
    assert kind == "known"
    when = frame["when"].to_numpy()
    matrix = np.exp(-np.abs(when[:, None] - when))
    return RowCovariance("Residual", np.zeros(n, dtype=int), Known(matrix, np.arange(n)), ones), np.empty(0)


def function_of(kind: str) -> tuple[tuple[RowCovariance, ...], np.ndarray]:
    if not kind:
        return (), np.empty(0)
    frame = data()
    function = RandomFunction(frame["when"].to_numpy(), 1.5)
    groups, codes = np.zeros(len(frame), dtype=int), frame["id"].to_numpy()
    rows = RowCovariance(
        f"exp(when | kin({kind}))", groups, function, np.ones(len(frame)), codes, kernel(kind, PEOPLE), ()
    )
    return (rows,), np.array([0.8, 0.3, 0.2])


@dataclass(frozen=True)
class Case:
    """Random terms with the kernel of each, the covariance of the residual, and what comes with it."""

    random: str
    kernels: tuple[str, ...]
    residual: str
    function: str = ""
    weights: bool = False
    reml: bool = True
    fixed: str = "0 + t0 + t1 + t2 + t0:x + t1:x"

    def __str__(self) -> str:
        flags = f"{'-weights' * self.weights}{'-' * bool(self.function)}{self.function}"
        return f"{self.random}-{'+'.join(self.kernels)}-{self.residual}{flags}-{'REML' if self.reml else 'ML'}"


TRAITS = "(0 + t0 + t1 + t2 | g)"
CASES = [
    Case("", (), "us"),
    Case("", (), "diag", weights=True, reml=False),
    Case("", (), "known"),
    Case("", (), "known", weights=True, reml=False, fixed="0"),
    Case("", (), "none", weights=True),
    Case("", (), "ar1 of households"),
    Case("", (), "car1 by strata", reml=False),
    Case("(1 | g)", ("",), "us", weights=True),
    Case("(1 | g)", ("",), "power", weights=True, fixed="1 + v"),
    Case("(1 | h)", ("",), "car1 by strata", weights=True),
    Case("(1 | g)", ("",), "cs", reml=False),
    Case("(v | h)", ("",), "ar1 of households"),
    Case("(far | h)", ("",), "us", weights=True),
    Case("(far | h)", ("",), "diag", reml=False),
    Case(TRAITS, ("dense",), "us"),
    Case(TRAITS, ("dense",), "us singular", weights=True),
    Case(TRAITS, ("families",), "us", weights=True, reml=False),
    Case(TRAITS, ("precision",), "us"),
    Case(TRAITS, ("twins",), "ar1"),
    Case("diag(0 + t0 + t1 + t2 | g)", ("sparse families",), "cs"),
    Case(TRAITS + " + (0 + t0 + t1 | h)", ("families", ""), "us"),
    Case(TRAITS + " + (1 | h)", ("precision", ""), "diag", weights=True, reml=False),
    Case("(1 | g) + (1 | h)", ("dense", ""), "known"),
    Case("(1 | g)", ("",), "none", function="dense", fixed="1 + x"),
    Case("", (), "none", function="families", weights=True),
    Case(TRAITS, ("families",), "us", function="sparse families", weights=True),
    Case("(far | h)", ("",), "power", function="families", reml=False),
]


@cache
def design_of(case: Case) -> Design:
    formula = f"y ~ {case.fixed} + {case.random or '(1 | g)'}"
    design, _ = build_design(formula, data(), weights="w" if case.weights else None)
    parts = zip(design.random, case.kernels, strict=False)
    random = tuple(related(term, kind, PEOPLE - term.n_levels) if kind else term for term, kind in parts)
    functions, _ = function_of(case.function)
    return replace(design, random=random, functions=functions, residual=residual_of(case.residual)[0])


def thetas(case: Case) -> list[np.ndarray]:
    """Inside; and with a part of the random terms at zero or near it, where V stays regular."""
    design = design_of(case)
    rng = np.random.default_rng(design.n_theta)
    first = rng.normal(size=design.n_theta_random)
    if "far" in case.random:
        first = np.array([800.0, -0.8, 0.1])
    elif case.random.startswith(TRAITS):
        first[:6] *= [1.0, 30.0, 0.3, 30.0, 0.3, 0.3]
    rest = np.concatenate([function_of(case.function)[1], residual_of(case.residual)[1]])
    found = [first]
    if len(first) and case.residual != "us singular" and "far" not in case.random:
        found.append(first * rng.choice([0.0, 1e-3, 1.0], len(first)))
    return [np.concatenate([part, rest]) for part in found]


@cache
def criterion_of(case: Case, engine: str = "marginal") -> Criterion:
    return make_criterion(design_of(case), case.reml, engine)


def sparse_takes(case: Case) -> bool:
    """Effects with a precision, and a residual that has one too."""
    regular = case.residual not in ("none", "us singular") and not SINGULAR & set(case.kernels)
    return bool(case.random) and not case.function and regular


@cache
def _reference(quantity: str, case: Case, theta: bytes) -> object:
    return getattr(naive, quantity)(design_of(case), np.frombuffer(theta), case.reml)


def reference(quantity: str, case: Case, theta: np.ndarray) -> object:
    return _reference(quantity, case, theta.tobytes())


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=["marginal", "sparse"])
def criterion(request: pytest.FixtureRequest, case: Case) -> Criterion:
    if request.param == "sparse" and not sparse_takes(case):
        pytest.skip("for effects and a residual with an inverse only")
    return criterion_of(case, request.param)


def scale_of(theta: np.ndarray) -> np.ndarray:
    """Derivatives are compared in units of the parameters, which span three orders."""
    return np.maximum(np.abs(theta), 1e-2)


def test_value(case: Case, criterion: Criterion) -> None:
    for theta in thetas(case):
        expected = naive.dense(criterion.design, theta, case.reml)
        evaluations = [criterion.evaluate(theta, order) for order in (0, 1, 2)]
        assert [e.value for e in evaluations] == pytest.approx([expected.value] * 3, rel=RTOL)
        assert [e.r2 for e in evaluations] == pytest.approx([expected.r2] * 3, rel=1e-8)


def test_gradient(case: Case, criterion: Criterion) -> None:
    for theta in thetas(case):
        evaluation, unit = criterion.evaluate(theta, 1), scale_of(theta)
        expected = reference("gradient", case, theta)
        np.testing.assert_allclose(evaluation.gradient * unit, expected * unit, rtol=1e-7, atol=1e-6)


def test_the_gradient_of_r2(case: Case, criterion: Criterion) -> None:
    design, theta = design_of(case), thetas(case)[0]
    slopes = criterion.evaluate(theta, 1).log_r2_gradient
    assert len(slopes) == len(theta)
    for i, unit in enumerate(scale_of(theta)):
        step = 1e-5 * unit * (np.arange(len(theta)) == i)
        ends = [np.log(naive.dense(design, theta + s * step, case.reml).r2) for s in (1, -1)]
        assert slopes[i] * unit == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-6)


def test_information_and_bends(case: Case, criterion: Criterion) -> None:
    for theta in thetas(case):
        evaluation = criterion.evaluate(theta, 2)
        unit = np.outer(scale_of(theta), scale_of(theta))
        expected = reference("information", case, theta)
        np.testing.assert_allclose(evaluation.information * unit, expected * unit, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(evaluation.bend * unit, reference("bend", case, theta) * unit, rtol=1e-5, atol=1e-4)
        bends, first = reference("row_bends", case, theta), design_of(case).n_theta_random
        assert len(evaluation.row_bends) == len(bends)
        for found, expected in zip(evaluation.row_bends, bends, strict=True):
            part = slice(first, first := first + len(expected[0]))
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one * unit[part, part], other * unit[part, part], rtol=1e-5, atol=1e-4)


def test_solution(case: Case, criterion: Criterion) -> None:
    for theta in thetas(case):
        actual, expected = criterion.solve(theta), naive.dense(design_of(case), theta, case.reml)
        size = np.sqrt(np.diag(expected.vcov))
        np.testing.assert_allclose(actual.beta / size, expected.beta / size, rtol=1e-8, atol=1e-7)
        unit = np.outer(size, size)
        np.testing.assert_allclose(actual.unscaled_vcov / unit, expected.vcov / unit, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(actual.b, expected.b, rtol=1e-7, atol=1e-8 * np.abs(expected.b).max(initial=1.0))
        assert actual.sigma == pytest.approx(expected.sigma, rel=1e-8)
        assert len(actual.functions) == len(expected.functions)
        for one, other in zip(actual.functions, expected.functions, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-8 * np.abs(other).max())


def test_conditional_variances(case: Case, criterion: Criterion) -> None:
    for theta in thetas(case):
        expected = naive.dense(design_of(case), theta, case.reml).conditional_variances
        for a, e in zip(criterion.conditional_variances(theta), expected, strict=True):
            assert a.shape == e.shape
            np.testing.assert_allclose(a, e, rtol=1e-6, atol=1e-9 * np.abs(e).max(initial=1.0))


def test_operators(case: Case, criterion: Criterion) -> None:
    design = design_of(case)
    for theta in thetas(case):
        dense, at = naive.dense(design, theta, case.reml), criterion.operators(theta)
        Z = np.hstack([np.empty((design.n, 0)), *dense.Zs])
        VZ = np.linalg.solve(dense.V, Z)
        G = linalg.block_diag(np.empty((0, 0)), *(dense.spread(t, T @ T.T) for t, T in enumerate(dense.Ts)))
        expected, eye = G - G @ VZ.T @ Z @ G, np.eye(design.q)
        size = np.abs(G).max(initial=1e-300)
        found = at.conditional_covariance(eye)
        np.testing.assert_allclose(found / size, expected / size, rtol=1e-6, atol=1e-9)
        ZtVZ = Z.T @ VZ
        np.testing.assert_allclose(at.ZtVZ(eye), ZtVZ, rtol=1e-6, atol=1e-9 * np.abs(ZtVZ).max(initial=0.0))
        XtVX = at.products.R.T @ at.QtVQ @ at.products.R
        np.testing.assert_allclose(XtVX, dense.XtVX, rtol=1e-7, atol=1e-8 * np.abs(dense.XtVX).max(initial=0.0))
        GZtVX = G @ VZ.T @ design.X
        np.testing.assert_allclose(at.GZtVX, GZtVX, rtol=1e-6, atol=1e-8 * np.abs(GZtVX).max(initial=0.0))
        VX = np.linalg.solve(dense.V, design.X)
        slopes = naive.row_slopes(design, theta)
        assert at.row_slopes().shape == (len(slopes), design.p, design.p)
        for turned, slope in zip(at.row_slopes(), slopes, strict=True):
            expected = VX.T @ slope @ VX
            found = at.products.R.T @ turned @ at.products.R
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max(initial=0.0))


def test_other_coordinates(case: Case, criterion: Criterion) -> None:
    """As a function of T' = R T it is the same, and so is what is made of its design."""
    turned = criterion.orthogonal()
    parts, thetas_of = list(zip(design_of(case).random, criterion.bases, strict=True)), thetas(case)
    theta = thetas_of[0]
    values = design_of(case).split_theta(theta)
    first = [
        part if R is None else term.structure.from_factor(R @ term.structure.factor(part).T)
        for part, (term, R) in zip(values, parts, strict=True)
    ]
    there = np.concatenate([np.empty(0), *first, *design_of(case).split_rows(theta)])
    for other in (turned, make_criterion(turned.design, case.reml, criterion.name)):
        assert other.evaluate(there).value == pytest.approx(criterion.evaluate(theta).value, rel=1e-9)
    assert len(criterion.units) == len(parts)


def test_another_response_the_likelihood_and_a_pickle(case: Case, criterion: Criterion) -> None:
    theta, y = thetas(case)[0], design_of(case).y[::-1] ** 2
    other = criterion.orthogonal().with_response(y) if criterion.orthogonal() is criterion else None
    for made in (criterion.with_response(y), other):
        if made is not None:
            expected = naive.dense(replace(criterion.design, y=y), theta, False)
            assert made.by_ml().evaluate(theta).value == pytest.approx(expected.value, rel=1e-8)
            np.testing.assert_allclose(made.by_ml().solve(theta).b, expected.b, rtol=1e-6, atol=1e-6)
    again = pickle.loads(pickle.dumps(criterion))
    assert (again.name, again.reml) == (criterion.name, case.reml)
    np.testing.assert_array_equal(again.evaluate(theta, 1).gradient, criterion.evaluate(theta, 1).gradient)


def test_the_typical_sizes_make_no_difference() -> None:
    case = Case(TRAITS, ("families",), "us", weights=True)
    design, theta = design_of(case), thetas(case)[0]
    plain = replace(design, residual=replace(design.residual, typical=np.ones(design.n)))
    one, other = (make_criterion(d, True, "marginal").evaluate(theta, 2) for d in (design, plain))
    assert one.value == pytest.approx(other.value, rel=1e-10)
    unit = np.outer(scale_of(theta), scale_of(theta))
    np.testing.assert_allclose(one.information * unit, other.information * unit, rtol=1e-5, atol=1e-5)


def test_units_are_those_of_the_traits() -> None:
    criterion = criterion_of(Case(TRAITS, ("families",), "us"))
    np.testing.assert_allclose(criterion.units[0] / SIZES, np.full(3, 1.5), rtol=0.5)


def test_a_covariance_that_is_not_positive_definite_has_no_value() -> None:
    criterion = criterion_of(Case("", (), "us"))
    singular = np.array([9.0, -0.1, 0.0, 0.05, 0.2])
    assert criterion.evaluate(singular, 2).value == np.inf
    assert criterion.evaluate(np.array([1e200, -0.1, 24.0, 0.05, 0.2]), 2).value == np.inf


@pytest.mark.parametrize("engine", ["blocked", "blocked-dense", "blocked-sparse"])
def test_levels_are_not_eliminated_beside_covariances_between_rows(engine: str) -> None:
    with pytest.raises(ModelError, match=f"engine '{engine}' takes random terms and an independent residual only"):
        make_criterion(design_of(CASES[7]), True, engine)


def test_engines_that_cannot_take_a_design_say_so() -> None:
    with pytest.raises(ModelError, match="engine 'spectral' takes covariances between rows only where"):
        make_criterion(design_of(Case("(1 | g)", ("",), "power")), True, "spectral")
    with pytest.raises(ModelError, match="engine 'sparse' cannot take this model, since the model has no random"):
        make_criterion(design_of(Case("", (), "us")), True, "sparse")


def test_rows_of_a_group_are_of_one_component() -> None:
    """People of a household are by the residual, relatives by the function; the third household is alone."""
    households = design_of(Case("(1 | g)", ("",), "ar1 of households"))
    found = connected_components(households)
    np.testing.assert_array_equal(found.rows, households.residual.groups)
    np.testing.assert_array_equal(found.levels[0][households.random[0].codes], found.rows)
    families = design_of(Case("", (), "none", function="families"))
    people = families.functions[0].codes
    related = kernel("families", PEOPLE).components()
    one, other = connected_components(families).rows, related[people]
    np.testing.assert_array_equal(one[:, None] == one, other[:, None] == other)
    assert connected_components(replace(families, functions=())).largest == 1


def test_a_residual_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmmpy.engines.row_parts._MOST_PAIRS", 100)
    with pytest.raises(ModelError, match=r"Residual: 595 pairs of rows may covary, the largest group has 34 rows"):
        make_criterion(design_of(Case("", (), "known")), True)


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks are dense; large ones are left to CHOLMOD where everything is sparse."""
    precision, dense = (Case(TRAITS, (kind,), "us") for kind in ("precision", "dense"))
    assert make_criterion(design_of(precision), True).name == "marginal"
    monkeypatch.setattr("lmmpy.engines.choose_structured._SOON", 100.0)
    assert make_criterion(design_of(precision), True).name == "sparse"
    assert make_criterion(design_of(Case("(1 | g)", ("",), "us", weights=True)), True).name == "sparse"
    assert make_criterion(design_of(dense), True).name == "marginal"
    assert make_criterion(design_of(Case("", (), "us")), True).name == "marginal"
    assert make_criterion(design_of(CASES[-2]), True).name == "marginal"
    monkeypatch.setattr("lmmpy.engines.choose_structured._GROUP", 2)
    assert make_criterion(design_of(precision), True).name == "sparse"
    monkeypatch.setattr("lmmpy.engines.choose_structured._SHARE", 0.0)
    assert make_criterion(design_of(precision), True).name == "marginal"
