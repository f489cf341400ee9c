"""Unstructured terms in orthogonal coordinates: what is turned and how, and that nothing but the digits shows it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

import lmmpy as lmm
from lmmpy.design import Design, build_design
from lmmpy.engines import ENGINES, Criterion, make_criterion
from lmmpy.engines.coordinates import orthogonal_design
from lmmpy.fitting.start import typical_scale
from tests import naive

EPS = float(np.finfo(float).eps)
N = 48


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@cache
def data() -> pd.DataFrame:
    """`year` has a mean of 10³ standard deviations, `late` of 10²; x is centred; g and h cross; w over two orders."""
    rng = np.random.default_rng(41)
    g, h = np.repeat(np.arange(8), 6), rng.integers(0, 5, N)
    frame = pd.DataFrame({name: rng.normal(size=N) for name in ("x", "z", "o")})
    frame["year"], frame["late"] = np.round(frame["x"], 3) + 1e3, 0.1 * rng.normal(size=N) + 10.0
    frame["twice"], frame["zero"] = 2.0 * frame["year"], 0.0
    frame["g"], frame["h"], frame["w"] = g.astype(str), h.astype(str), 10.0 ** rng.uniform(-1, 1, N)
    frame["y"] = 2.0 + frame["x"] + rng.normal(size=8)[g] + frame["x"] * rng.normal(size=8)[g] + rng.normal(size=N)
    frame["y"] += rng.normal(size=5)[h]
    return frame


@cache
def design_of(random: str, weights: bool = False, offset: bool = False, fixed: str = "year") -> Design:
    formula = f"y ~ 1 + {fixed} + {random}"
    return build_design(formula, data(), weights="w" if weights else None, offset="o" if offset else None)[0]


# ---- what is turned


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("random", ["(year | g)", "(late | g)", "(0 + year + late | g)", "(year + late + x:late | g)"])
def test_turned_columns_are_orthonormal(random: str, weights: bool) -> None:
    """VᵀWV = n, values = V R, R upper triangular with a positive diagonal."""
    design = design_of(random, weights)
    turned, (R,) = orthogonal_design(design)
    (before,), (after,) = design.random, turned.random
    w = np.ones(N) if design.weights is None else design.weights
    assert R is not None
    kappa = np.linalg.cond(before.values / np.linalg.norm(before.values, axis=0))
    assert kappa > 10
    gram = (after.values * w[:, None]).T @ after.values / N
    np.testing.assert_allclose(gram, np.eye(before.k), rtol=0, atol=20 * EPS * kappa)
    np.testing.assert_allclose(after.values @ R, before.values, rtol=1e-12)
    np.testing.assert_array_equal(R, np.triu(R))
    assert np.all(np.diag(R) > 0)


def test_nothing_else_is_turned() -> None:
    design = design_of("(year | g) + (x | h) + (1 | h)", True, True)
    turned, bases = orthogonal_design(design)
    assert [R is None for R in bases] == [False, True, True]
    assert turned.random[1] is design.random[1]
    assert turned.random[2] is design.random[2]
    for name in ("y", "X", "weights", "offset"):
        assert getattr(turned, name) is getattr(design, name)
    for name in ("grouping", "structure", "relatedness"):
        assert getattr(turned.random[0], name) is getattr(design.random[0], name)


@pytest.mark.parametrize(
    "random",
    [
        pytest.param("(x + z | g)", id="nearly orthogonal"),
        pytest.param("(0 + year | g)", id="one column"),
        pytest.param("diag(year | g)", id="diagonal"),
        pytest.param("cs(year | g)", id="compound"),
        pytest.param("(0 + year + twice | g)", id="collinear"),
        pytest.param("(year + zero | g)", id="a column of zeros"),
    ],
)
def test_left_alone(random: str) -> None:
    design = design_of(random)
    same, bases = orthogonal_design(design)
    assert same is design
    assert bases == (None,)


@pytest.mark.parametrize(("far", "turned"), [(2.0, False), (4.0, True)])
def test_from_where_it_is_worth_it(far: float, turned: bool) -> None:
    """κ² of [1, x] at equal lengths is about 4 (mean/sd)²: 30 lies between a mean of two and one of four."""
    x = np.tile([-1.0, 1.0], 12)
    frame = {"y": np.arange(24.0) ** 1.5, "x": x + far, "g": np.repeat(np.arange(6), 4)}
    _, (R,) = orthogonal_design(build_design("y ~ 1 + (x | g)", frame)[0])
    assert (R is not None) == turned


def test_units_do_not_matter() -> None:
    """Columns at equal length: neither 10⁻⁹ nor 10⁹ times x is collinear with the intercept."""
    for factor in (1e-9, 1e9):
        frame = data().assign(year=factor * data()["year"], x=factor * data()["x"])
        design, _ = build_design("y ~ 1 + (year | g) + (x | h)", frame)
        (R, none) = orthogonal_design(design)[1]
        assert R is not None
        assert none is None
        np.testing.assert_allclose(R[:, 1], factor * orthogonal_design(design_of("(year | g)"))[1][0][:, 1], rtol=1e-9)


# ---- the criterion is what it was


@dataclass(frozen=True)
class Case:
    """A model whose first term is turned."""

    random: str
    weights: bool = False
    offset: bool = False
    reml: bool = True

    @property
    def design(self) -> Design:
        return design_of(self.random, self.weights, self.offset)


CASES = {
    "one": Case("(year | g)"),
    "one, ML": Case("(late | g)", weights=True, offset=True, reml=False),
    "zero intercept": Case("(0 + year + late | g)", weights=True),
    "three": Case("(year + z | g)", offset=True),
    "crossed": Case("(year | g) + (1 | h)", weights=True),
    "both": Case("(year | g) + (late | h)"),
    "one of two": Case("(year | g) + (x | h)", offset=True, reml=False),
    "merged": Case("(year | g) + (0 + z | g) + (1 | h)"),
    "structured": Case("(year | g) + cs(x + z | h)", weights=True),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request) -> Case:
    return request.param


@cache
def criterion_of(case: Case, engine: str) -> Criterion:
    return make_criterion(case.design, case.reml, engine)


@pytest.fixture
def criterion(case: Case, engine: str) -> Criterion:
    return criterion_of(case, engine)


@cache
def _thetas(case: Case) -> tuple[bytes, ...]:
    """Random in the units of every effect; the same with the last one of each term nil; moderate in the turned ones."""
    design, rng = case.design, np.random.default_rng(6)
    criterion = criterion_of(case, "sparse")
    mixed = rng.normal(size=design.n_theta) * typical_scale(criterion)
    singular, moderate, start = mixed.copy(), mixed.copy(), 0
    for term, R in zip(design.random, criterion.bases, strict=True):
        end = start + term.structure.n_theta
        singular[end - 1] = 0.0
        if R is not None:
            T = np.linalg.solve(R, np.tril(rng.normal(size=(term.k, term.k))))
            moderate[start:end] = term.structure.from_factor(T)
        start = end
    return tuple(theta.tobytes() for theta in (mixed, singular, moderate))


def thetas(case: Case) -> list[np.ndarray]:
    return [np.frombuffer(theta) for theta in _thetas(case)]


@cache
def naive_tolerance(case: Case, theta: bytes) -> float:
    """What the naive reference loses: n ε times κ(V), and times κ² of X at equal lengths and of G, which it squares."""
    at = naive.dense(case.design, np.frombuffer(theta), case.reml)
    X = np.linalg.solve(np.linalg.cholesky(at.V), case.design.X)
    kappa = np.linalg.cond(X / np.linalg.norm(X, axis=0))
    return N * EPS * float(max(np.linalg.cond(at.V), kappa**2))


@cache
def _reference(quantity: str, case: Case, theta: bytes) -> np.ndarray:
    return getattr(naive, quantity)(case.design, np.frombuffer(theta), case.reml)


def reference(quantity: str, case: Case, theta: np.ndarray) -> np.ndarray:
    return _reference(quantity, case, theta.tobytes())


def assert_near(actual, expected, tolerance: float, floor: float = 0.0) -> None:
    """Against the largest of the numbers expected, or `floor`: the sums of which they are differences."""
    assert np.shape(actual) == np.shape(expected)
    assert np.all(np.isfinite(actual))
    largest = max(float(np.abs(expected).max()), floor)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)
