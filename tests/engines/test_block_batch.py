"""Problems by blocks against V formed densely, and against the engines at the same model."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmmpy.design import Design
from lmmpy.engines import make_criterion
from lmmpy.engines.block_batch import BlockFamilies, Problems, block_families
from lmmpy.engines.block_layout import joined_blocks
from lmmpy.errors import DataError, ModelError
from lmmpy.relatedness import Relatedness
from tests.engines.test_kin_contract import Case, design_of
from tests.naive import logdet

Array = NDArray[Any]

CASES = [
    Case("(1 | g)", ("families",), weights=True, offset=True, reml=False),
    Case("(1 | g)", ("families",), weights=True, offset=True),
    Case("(1 | g)", ("sparse families",), unseen=3),
    Case("(1 | g)", ("families",), fixed="0"),
    Case("(1 | g)", ("twins",), weights=True),
    Case("(0 + z | g)", ("families",), unseen=2, fixed="1", reml=False),
    Case("(1 | g) + (1 | h)", ("families", ""), weights=True),
    Case("(1 | g) + (1 | g)", ("precision", "families"), offset=True),
    Case("(1 | g) + (0 + x | g)", ("families", "families"), reml=False),
]


@dataclass(frozen=True, eq=False)
class Naive:
    """The criterion of V = Σ s_t K_t + s_e W⁻¹ by textbook formulas; shares may be complex."""

    y: Array
    X: Array
    kernels: tuple[Array, ...]
    w: Array
    reml: bool

    def value(self, shares: Array) -> Any:
        n, p = self.X.shape
        V, dof = self.V(shares), n - p * self.reml
        P, XtVX = self.projection(V)
        value = logdet(V) + dof * (1.0 + np.log(2.0 * np.pi * (self.y @ P @ self.y) / dof))
        return value + logdet(XtVX) if self.reml and p else value

    def V(self, shares: Array) -> Array:
        return sum(s * K for s, K in zip(shares, self.all, strict=True))

    @property
    def all(self) -> tuple[Array, ...]:
        return (*self.kernels, np.diag(1.0 / self.w))

    def projection(self, V: Array) -> tuple[Array, Array]:
        inverse = np.linalg.inv(V)
        XtVX = self.X.T @ inverse @ self.X
        return inverse - inverse @ self.X @ np.linalg.inv(XtVX) @ self.X.T @ inverse, XtVX

    def gradient(self, shares: Array) -> Array:
        """By complex steps."""
        return np.array([self.value(shares + 1e-30j * unit).imag / 1e-30 for unit in np.eye(len(shares))])

    def information(self, shares: Array) -> Array:
        """MATH §2 for each pair of kernels."""
        P, _ = self.projection(self.V(shares))
        v, r2 = P @ self.y, self.y @ P @ self.y
        w = np.array([K @ v for K in self.all])
        dof = len(self.y) - self.X.shape[1] * self.reml
        return dof * (w @ P @ w.T / r2 - np.outer(w @ v, w @ v) / r2**2)


def naive_of(design: Design, reml: bool, *further: Array, columns: Array | None = None) -> Naive:
    kernels = []
    for term in design.random:
        Zx = np.eye(term.n_levels)[term.codes] * term.values
        kernels.append(Zx @ term.relatedness.dense() @ Zx.T)
    X = design.X if columns is None else np.column_stack([design.X, columns])
    w = np.ones(design.n) if design.weights is None else design.weights
    y = design.y if design.offset is None else design.y - design.offset
    return Naive(y, X, (*kernels, *further), w, reml)


def families_of(design: Design, reml: bool) -> BlockFamilies:
    found = block_families(design, reml)
    assert found is not None
    return found


def kernel_between_rows(design: Design, seed: int, across: bool) -> Array:
    """Positive definite within the blocks of the design, or also between two of them."""
    rng = np.random.default_rng(seed)
    blocks = families_of(design, False).layout.blocks.copy()
    if across:
        blocks[blocks == blocks.max()] = 0
    root = rng.normal(size=(design.n, design.n))
    return np.where(blocks[:, None] == blocks, root @ root.T / design.n, 0.0)


def pairs_of(K: Array) -> tuple[Array, Array, Array]:
    first, second = np.nonzero(np.triu(K))
    return first, second, K[first, second]


def some_shares(count: int, seed: int) -> Array:
    shares = np.random.default_rng(seed).dirichlet(np.ones(count), size=3)
    shares[1, : count - 1] *= np.arange(count - 1) > 0  # the first kernel has none, if there is one
    return shares / shares.sum(axis=1, keepdims=True)


def assert_same(problems: Problems, naives: list[Naive], seed: int = 3) -> None:
    for shares in some_shares(problems.n_shares, seed):
        everyone = np.arange(problems.count)
        together = np.tile(shares, (problems.count, 1))
        found, values = problems.evaluate(everyone, together), problems.evaluate(everyone, together, derivatives=False)
        for j, naive in enumerate(naives):
            assert found.value[j] == pytest.approx(float(naive.value(shares)), rel=1e-10)
            assert values.value[j] == pytest.approx(found.value[j], rel=1e-12)
            gradient, information = naive.gradient(shares), naive.information(shares)
            size = 1e-8 * len(naive.y)
            np.testing.assert_allclose(found.gradient[j], gradient, rtol=1e-8, atol=size)
            np.testing.assert_allclose(found.information[j], information, rtol=1e-8, atol=size)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_null_is_the_dense_criterion(case: Case) -> None:
    design = design_of(case)
    assert_same(families_of(design, case.reml).alone(), [naive_of(design, case.reml)])


@pytest.mark.parametrize("across", [False, True], ids=["within", "across"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_further_kernels(case: Case, across: bool) -> None:
    design = design_of(case)
    kernels = [kernel_between_rows(design, seed, across and seed != 2) for seed in (1, 2, 3)]
    problems = families_of(design, case.reml).with_kernels([pairs_of(K) for K in kernels])
    assert_same(problems, [naive_of(design, case.reml, K) for K in kernels])


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_further_columns(case: Case, k: int) -> None:
    design = design_of(case)
    G = np.random.default_rng(5).normal(size=(design.n, 3 * k)) + 10.0
    problems = families_of(design, case.reml).with_columns(G, k)
    naives = [naive_of(design, case.reml, columns=part) for part in np.split(G, 3, axis=1)]
    assert_same(problems, naives)
    shares = some_shares(problems.n_shares, 6)
    found = problems.estimates(shares)
    for j, naive in enumerate(naives):
        inverse = np.linalg.inv(naive.V(shares[j]))
        unscaled = np.linalg.inv(naive.X.T @ inverse @ naive.X)
        beta = unscaled @ naive.X.T @ inverse @ naive.y
        residual = naive.y - naive.X @ beta
        sigma2 = residual @ inverse @ residual / (design.n - naive.X.shape[1] * case.reml)
        np.testing.assert_allclose(found.beta[j], beta[-k:], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(found.vcov[j], (sigma2 * unscaled)[-k:, -k:], rtol=1e-8)
        assert found.sigma2[j] == pytest.approx(sigma2, rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_engines_have_the_same_values(case: Case) -> None:
    design = design_of(case)
    theta = np.random.default_rng(1).uniform(0.2, 2.0, design.n_theta)
    families = families_of(design, case.reml)
    found = families.alone().evaluate(np.arange(1), families.shares(theta)[None])
    expected = make_criterion(design, case.reml).evaluate(theta, 1)
    assert expected.gradient is not None
    assert found.value[0] == pytest.approx(expected.value, rel=1e-11)
    # θ_t = √(s_t/s_e): ∂d/∂θ_t = 2 θ_t ∂d/∂s_t at s_e = 1, where the gradient is s_e times as large.
    slopes = 2.0 * theta * found.gradient[0, :-1] * families.shares(theta)[-1]
    np.testing.assert_allclose(slopes, expected.gradient, rtol=1e-7, atol=1e-7)


def test_a_kernel_is_a_term_of_the_model() -> None:
    case = CASES[0]
    design = design_of(case)
    term = design.random[0]
    K = term.relatedness.dense() ** 2  # positive semi-definite by Schur
    further = replace(term, name="again", relatedness=Relatedness(K, labels=list(term.relatedness.labels or ())))
    criterion = make_criterion(replace(design, random=(term, further)), case.reml)
    theta = np.array([0.8, 1.3])
    problems = families_of(design, case.reml).with_kernels([pairs_of(K[np.ix_(term.codes, term.codes)])])
    ratios = np.array([*theta**2, 1.0])
    found = problems.evaluate(np.arange(1), ratios[None] / ratios.sum())
    assert found.value[0] == pytest.approx(criterion.evaluate(theta).value, rel=1e-11)


def test_without_random_terms_rows_are_blocks() -> None:
    design = replace(design_of(CASES[0]), random=())
    K = kernel_between_rows(design_of(CASES[0]), 4, False)
    families = families_of(design, True)
    assert families.layout.largest == 1
    assert_same(families.with_kernels([pairs_of(K)]), [naive_of(design, True, K)])
    G = np.random.default_rng(5).normal(size=(design.n, 2))
    assert_same(families.with_columns(G), [naive_of(design, True, columns=G[:, [j]]) for j in range(2)])


def test_pairs_may_come_in_either_order() -> None:
    design = design_of(CASES[0])
    first, second, value = pairs_of(kernel_between_rows(design, 1, True))
    turned = np.arange(len(first)) % 2 == 0
    problems = families_of(design, True).with_kernels(
        [(first, second, value), (np.where(turned, second, first), np.where(turned, first, second), value)]
    )
    found = problems.evaluate(np.arange(2), np.tile([0.3, 0.4, 0.3], (2, 1)))
    assert found.value[0] == found.value[1] and np.array_equal(found.information[0], found.information[1])


def bits(problems: Problems, places: Array, shares: Array) -> list[bytes]:
    found = problems.evaluate(places, shares)
    parts = zip(found.value, found.gradient, found.information, strict=True)
    return [b"".join(part.tobytes() for part in of_one) for of_one in parts]


def test_bits_do_not_depend_on_the_company() -> None:
    design = design_of(CASES[1])
    families, rng = families_of(design, True), np.random.default_rng(8)
    kernels = [pairs_of(kernel_between_rows(design, seed, seed % 2 == 0)) for seed in range(5)]
    G = rng.normal(size=(design.n, 10))
    shares = rng.dirichlet(np.ones(3), size=5)
    whole, columns = families.with_kernels(kernels), families.with_columns(G, 2)
    by_kernel, by_column = bits(whole, np.arange(5), shares), bits(columns, np.arange(5), shares[:, :2] + 0.1)
    with ThreadPoolExecutor(3) as pool:
        threads = list(pool.map(lambda j: bits(whole, np.array([j]), shares[[j]])[0], range(5)))
    assert threads == by_kernel
    for j in range(5):
        one, two = families.with_kernels([kernels[j]]), families.with_columns(G[:, 2 * j : 2 * j + 2], 2)
        assert bits(one, np.arange(1), shares[[j]]) == [by_kernel[j]]
        assert bits(two, np.arange(1), shares[[j], :2] + 0.1) == [by_column[j]]


def test_families_pickle() -> None:
    design = design_of(CASES[1])
    families = families_of(design, True)
    kernels = [pairs_of(kernel_between_rows(design, 1, True))]
    other = pickle.loads(pickle.dumps(families))
    shares = np.array([[0.2, 0.3, 0.5]])
    expected = bits(families.with_kernels(kernels), np.arange(1), shares)
    assert bits(other.with_kernels(kernels), np.arange(1), shares) == expected


def test_columns_that_x_determines_have_no_value() -> None:
    design = design_of(CASES[1])
    v = np.random.default_rng(0).normal(size=design.n)
    G = np.column_stack([v, np.ones(design.n), v**2, v**2 - 3.0 * v, v, 2.0 * v])
    problems = families_of(design, True).with_columns(G, 2)
    shares = np.tile([0.4, 0.6], (3, 1))
    found, estimates = problems.evaluate(np.arange(3), shares), problems.estimates(shares)
    assert np.isfinite(found.value).tolist() == [False, True, False]
    assert np.isnan(estimates.beta[:, 0]).tolist() == [True, False, True]


def test_a_singular_covariance_has_no_value() -> None:
    design = design_of(CASES[4])  # identical twins, several rows a person
    problems = families_of(design, True).alone()
    found = problems.evaluate(np.zeros(2, dtype=np.intp), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert found.value[0] == np.inf and np.isnan(found.gradient[0]).all()
    assert np.isfinite(found.value[1]) and np.isfinite(found.gradient[1]).all()


def test_numbers_that_are_none_are_refused() -> None:
    design = design_of(CASES[0])
    families, one = families_of(design, True), np.zeros(1, dtype=np.intp)
    with pytest.raises(DataError, match="rows 0 and 0 in kernel 1 is nan"):
        families.with_kernels([(one, one, np.ones(1)), (one, one, np.full(1, np.nan))])
    with pytest.raises(DataError, match="Kernel 0 names row -1; the rows of the design are 0 to 41"):
        families.with_kernels([(one, one - 1, np.ones(1))])
    G = np.ones((design.n, 2))
    G[7, 1] = np.nan
    with pytest.raises(DataError, match="Column 1 of the further columns has no finite value at row 7"):
        families.with_columns(G)
    with pytest.raises(ValueError, match="no columns of their own"):
        families.alone().estimates(np.array([[0.5, 0.5]]))
    for places, shares in (([0], [[1.0]]), ([1], [[0.5, 0.5]]), ([0, 0], [[0.5, 0.5]])):
        with pytest.raises(ValueError, match=r"shares are .* or a place is not below 1"):
            families.alone().evaluate(np.array(places), np.array(shares))


def test_no_problems() -> None:
    families = families_of(design_of(CASES[0]), True)
    for problems in (families.with_kernels([]), families.with_columns(np.empty((families.design.n, 0)))):
        assert problems.count == 0
        assert problems.evaluate(np.empty(0, dtype=np.intp), np.empty((0, problems.n_shares))).value.shape == (0,)


def test_columns_leave_degrees_of_freedom() -> None:
    design = design_of(CASES[1])
    with pytest.raises(ModelError, match="42 rows leave nothing"):
        families_of(design, True).with_columns(np.random.default_rng(0).normal(size=(design.n, 39)), 39)


@pytest.mark.parametrize("random", ["(x | g)", "diag(x | g)", "cs(x | g)"])
def test_other_designs_are_left_to_their_engines(random: str) -> None:
    assert block_families(design_of(Case(random, ("families",))), True) is None


def test_blocks_are_joined_as_components() -> None:
    blocks = np.array([0, 0, 1, 1, 2, 3, 3])
    assert joined_blocks(blocks, np.array([0, 2]), np.array([1, 3])) is blocks
    joined = joined_blocks(blocks, np.array([1, 5]), np.array([4, 4]))
    assert len(set(joined[[0, 1, 4, 5, 6]])) == 1 and joined[2] == joined[3] != joined[0]
