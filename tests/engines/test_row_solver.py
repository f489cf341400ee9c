"""V⁻¹ of many columns against the naive dense reference: each engine, by factors of V and by its own operators."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lmmpy.design import Design, build_design
from lmmpy.engines import ENGINES, Criterion, NotPositiveDefiniteError, make_criterion
from lmmpy.engines import threads as threads_module
from lmmpy.engines.choose import MARGINAL_ENGINES
from lmmpy.engines.components import connected_components
from lmmpy.engines.row_solver import OperatorsRowSolver, RowSolver, row_solver
from lmmpy.engines.row_solver_blocks import BlockRowSolver, block_row_solver, disagree, tried_columns
from lmmpy.engines.row_solver_triangle import PANEL, Triangle, column_grams, factorised, over_columns, row_grams
from lmmpy.errors import ModelError
from lmmpy.relatedness import Relatedness
from tests import naive
from tests.engines import test_contract as plain
from tests.engines import test_kin_contract as kin
from tests.engines import test_structured_contract as structured

RTOL = 1e-8

PLAIN = [(plain.layout("one", "us", 2), True), (plain.layout("three", "us", 2), False), ("(1 | g)", True)]


def by_factors(criterion: Criterion, theta: np.ndarray) -> RowSolver:
    return block_row_solver(criterion.design, theta, connected_components(criterion.design), "auto")


WAYS: list[Callable[[Criterion, np.ndarray], RowSolver]] = [by_factors, OperatorsRowSolver, row_solver]


def problems() -> Iterator[object]:
    for random, weights in PLAIN:
        design = plain.design_of(random, 4, weights, False)
        for engine in (*ENGINES, *MARGINAL_ENGINES):
            if engine != "spectral" or random == "(1 | g)":
                yield pytest.param(design, engine, plain.thetas(design), id=f"{random}-{engine}")
    for case in kin.CASES:
        design = kin.design_of(case)
        for engine in kin.ENGINES:
            single = len(design.random) == 1 and design.random[0].k == 1
            if (engine == "sparse" and kin.SINGULAR & set(case.kernels)) or (engine == "spectral" and not single):
                continue
            yield pytest.param(design, engine, kin.thetas(design), id=f"{case}-{engine}")
    for case in structured.CASES:
        for engine in ("marginal", "sparse"):
            if engine == "marginal" or structured.sparse_takes(case):
                design = structured.design_of(case)
                yield pytest.param(design, engine, structured.thetas(case), id=f"{case}-{engine}")


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Callable[[Criterion, np.ndarray], RowSolver]:
    return request.param


@pytest.mark.parametrize(("design", "engine", "thetas"), list(problems()))
def test_of_the_dense_model(design: Design, engine: str, thetas: list[np.ndarray], way: Callable) -> None:
    G = np.random.default_rng(1).normal(size=(design.n, 6))
    for theta in thetas:
        solver, V = way(make_criterion(design, True, engine), theta), naive.dense(design, theta).V
        expected = np.linalg.solve(V, G)
        unit = np.sqrt(np.diag(np.linalg.inv(V)))[:, None] * np.sqrt(np.einsum("nm,nm->m", G, expected))
        np.testing.assert_allclose(solver.solve(G) / unit, expected / unit, rtol=0, atol=RTOL)
        whole = G.T @ expected
        for k in (1, 2, 3):
            blocks = whole.reshape(6 // k, k, 6 // k, k)
            blocks = blocks[np.arange(6 // k), :, np.arange(6 // k)]
            assert not disagree(grams(solver, G, k), blocks, RTOL)


def grams(solver: RowSolver, G: np.ndarray, k: int = 1) -> np.ndarray:
    return solver.gram_of(np.ascontiguousarray(G.T, dtype=float), k, solver.single)


def one_block(n: int) -> tuple[Design, np.ndarray]:
    """All rows related: one large block; h has few levels."""
    rng = np.random.default_rng(n)
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "w": rng.uniform(0.5, 2.0, n)})
    data["g"], data["h"] = [f"i{i:05}" for i in range(n)], rng.integers(0, 5, n).astype(str)
    design, _ = build_design("y ~ x + (1 | g) + (1 | h)", data, weights="w")
    root = rng.normal(size=(n, n))
    K = Relatedness(root @ root.T / n, labels=data["g"])
    terms = [term if term.group == "h" else replace(term, relatedness=K) for term in design.random]
    return replace(design, random=tuple(terms)), np.array([1.3, 0.4])


@pytest.fixture(scope="module")
def large() -> tuple[Design, np.ndarray, np.ndarray]:
    design, theta = one_block(2 * PANEL + 77)
    return design, theta, np.random.default_rng(2).binomial(2, 0.3, (design.n, 2 * PANEL + 36)).astype(np.float32)


def test_a_large_block(large: tuple[Design, np.ndarray, np.ndarray]) -> None:
    design, theta, G = large
    V = naive.dense(design, theta).V
    expected = np.linalg.solve(V, G.astype(float))
    squares = np.einsum("nm,nm->m", G, expected)
    double = by_factors_in(design, theta, "double")
    np.testing.assert_allclose(double.solve(G), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(grams(double, G)[:, 0, 0], squares, rtol=1e-11)
    assert not double.single and double.description == "Cholesky factors of 1 block of V in double precision"
    for precision in ("auto", "single"):
        single = by_factors_in(design, theta, precision)
        assert single.single and single.checked == (precision == "auto")
        found = grams(single, G)[:, 0, 0]
        np.testing.assert_allclose(found, squares, rtol=2e-6)
        assert (found != squares).any()
        np.testing.assert_array_equal(single.solve(G), double.solve(G))


def by_factors_in(design: Design, theta: np.ndarray, precision: str) -> BlockRowSolver:
    return block_row_solver(design, theta, connected_components(design), precision)


@pytest.mark.parametrize("precision", ["double", "single"])
def test_neither_threads_nor_pickling_change_a_bit(
    large: tuple[Design, np.ndarray, np.ndarray], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    design, theta, G = large
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(threads_module, "blas_threads", lambda threads=threads: threads)
        solver = by_factors_in(design, theta, precision)
        found.append((solver.solve(G), grams(solver, G, 2)))
        copy = pickle.loads(pickle.dumps(solver))
        found.append((copy.solve(G), grams(copy, G, 2)))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_pickle_has_one_triangle(large: tuple[Design, np.ndarray, np.ndarray]) -> None:
    design, theta, _ = large
    size = len(pickle.dumps(by_factors_in(design, theta, "auto")))
    assert size < 8 * (0.5 * design.n**2 + PANEL * design.n) + 50_000


def test_single_precision_is_left_where_it_differs(
    large: tuple[Design, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for a null model; call by call is of `NullAtTheta`."""
    design, theta, _ = large
    rough = Triangle.single

    def rougher(self: Triangle) -> Triangle:
        few = rough(self)
        return Triangle(few.panels, tuple(inverse * np.float32(1.0 + 1e-5) for inverse in few.inverses))

    monkeypatch.setattr(Triangle, "single", rougher)
    assert not by_factors_in(design, theta, "auto").single
    assert by_factors_in(design, theta, "single").single


def test_no_columns_and_columns_of_zeros(large: tuple[Design, np.ndarray, np.ndarray]) -> None:
    design, theta, _ = large
    solver = by_factors_in(design, theta, "auto")
    assert grams(solver, np.empty((design.n, 0)), 2).shape == (0, 2, 2)
    assert solver.solve(np.empty((design.n, 0))).shape == (design.n, 0)
    np.testing.assert_array_equal(grams(solver, np.zeros((design.n, 2)), 2), np.zeros((1, 2, 2)))


@pytest.mark.parametrize("n", [1, 60, PANEL, PANEL + 1, 3 * PANEL - 5])
def test_a_triangle(n: int) -> None:
    rng = np.random.default_rng(n)
    root = rng.normal(size=(n, n + 2))
    V, F = root @ root.T / n + np.eye(n), rng.normal(size=(n, 5))
    L, found = np.linalg.cholesky(V), factorised(V)
    np.testing.assert_allclose(found.half(F.T).T, np.linalg.solve(L, F), atol=1e-12)
    np.testing.assert_allclose(found.back(F.T).T, np.linalg.solve(L.T, F), atol=1e-12)
    assert found.single().half(F.T).dtype == np.float32


def test_a_singular_covariance_is_refused(large: tuple[Design, np.ndarray, np.ndarray]) -> None:
    with pytest.raises(NotPositiveDefiniteError):
        factorised(np.ones((300, 300)))
    design = structured.design_of(structured.CASES[0])
    inside = structured.thetas(structured.CASES[0])[0]
    for theta in (structured.residual_of("us singular")[1], np.full_like(inside, np.nan)):
        with pytest.raises(ModelError, match="singular at θ"):
            row_solver(make_criterion(design, True), theta)
    with pytest.raises(ModelError, match="'half' is none of 'auto'"):
        row_solver(make_criterion(large[0], True), large[1], "half")


def test_what_it_chooses() -> None:
    """Factors for dense kernels and families; the engine for ordinary levels and where a kernel has few columns."""
    rng = np.random.default_rng(3)
    n = 240
    data = pd.DataFrame({"y": rng.normal(size=n), "g": [f"i{i:03}" for i in range(n)], "f": np.arange(n) // 4})
    data["f"] = data["f"].astype(str)
    design = build_design("y ~ 1 + (1 | g)", data)[0]
    root = rng.normal(size=(n, n))
    kernels = {
        "spectral": Relatedness(root @ root.T / n, labels=data["g"]),
        "few": Relatedness.from_genotypes(rng.normal(size=(n, 30)), labels=data["g"]),
        "sparse": Relatedness.from_precision(sparse.eye_array(n, format="csc") * 2.0, data["g"]),
    }
    ways = {"spectral": BlockRowSolver, "few": OperatorsRowSolver, "sparse": BlockRowSolver}
    for name, K in kernels.items():
        term = replace(design.random[0], relatedness=K)
        criterion = make_criterion(replace(design, random=(term,)), True)
        assert criterion.name == name.replace("few", "spectral")
        assert isinstance(row_solver(criterion, np.ones(1)), ways[name])
    households = make_criterion(build_design("y ~ 1 + (1 | f)", data)[0], True)
    solver = row_solver(households, np.ones(1))
    assert isinstance(solver, OperatorsRowSolver) and solver.description == households.description


def test_the_operators_pickle() -> None:
    design = kin.design_of(kin.CASES[5])
    theta = kin.thetas(design)[0]
    solver = OperatorsRowSolver(make_criterion(design, True, "sparse"), theta)
    G = np.random.default_rng(0).normal(size=(design.n, 2))
    np.testing.assert_array_equal(grams(pickle.loads(pickle.dumps(solver)), G), grams(solver, G))


def test_helpers() -> None:
    Y = np.random.default_rng(0).normal(size=(PANEL + 3, 6))
    expected = np.array([Y[:, i : i + 2].T @ Y[:, i : i + 2] for i in (0, 2, 4)])
    np.testing.assert_allclose(column_grams(Y, Y, 2), expected, rtol=1e-12)
    np.testing.assert_allclose(row_grams(Y.T, 2), expected, rtol=1e-12)
    np.testing.assert_array_equal(tried_columns(100, 2), [0, 1, 66, 67, 132, 133, 198, 199])
    np.testing.assert_array_equal(tried_columns(1, 1), [0])
    slices = over_columns(lambda some: some, 3 * PANEL, 3)
    assert all(some.start % 3 == 0 for some in slices) and slices[-1].stop == 3 * PANEL
    assert over_columns(lambda some: some, 0) == [slice(0, 0)]
