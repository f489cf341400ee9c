"""The engines that factorise the covariance of the rows: blocks, what they refuse, and which is chosen."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import linalg, sparse

from lmmpy.design import Design, build_design
from lmmpy.engines import choose_marginal, make_criterion
from lmmpy.engines.between_rows import DenseBetweenRows, SparseBetweenRows
from lmmpy.engines.components import STACKED, connected_components, stacks_of_equal
from lmmpy.engines.marginal import MarginalLikelihood
from lmmpy.errors import ModelError
from lmmpy.fitting import Control, fit_theta
from lmmpy.relatedness import Relatedness
from tests import naive
from tests.engines.test_kin_contract import Case, design_of, thetas


def kin_design(formula: str, K: Relatedness, per_level: int = 1, seed: int = 0) -> Design:
    """Rows of every level of g one after the other, households h of three rows."""
    rng = np.random.default_rng(seed)
    n = K.size * per_level
    data = {"y": rng.normal(size=n), "x": rng.normal(size=n), "g": np.arange(n) // per_level, "h": np.arange(n) // 3}
    design = build_design(formula, data)[0]
    return replace(design, random=tuple(related(term, K) for term in design.random))


def related(term, K):
    return replace(term, relatedness=K) if term.name.startswith("g") else term


def labels(n: int) -> list[str]:
    return [str(i) for i in range(n)]


@cache
def dense_kernel(n: int) -> Relatedness:
    root = np.random.default_rng(n).normal(size=(n, 2 * n)) / np.sqrt(2 * n)
    return Relatedness(root @ root.T, labels=labels(n))


@cache
def families(sizes: tuple[int, ...], kind: str = "dense") -> Relatedness:
    """Parents and their children, in families of these sizes, all shuffled."""
    parts = [np.full((m, m), 0.5) + 0.5 * np.eye(m) for m in sizes]
    for part in parts:
        part[:2, :2] = np.eye(2)[: len(part), : len(part)]
    K = linalg.block_diag(*parts)
    shuffled = np.random.default_rng(1).permutation(len(K))
    K = K[np.ix_(shuffled, shuffled)]
    return Relatedness(K if kind == "dense" else sparse.csc_array(K), labels=labels(len(K)))


def check(design: Design, engine: str, theta: np.ndarray, reml: bool = True) -> MarginalLikelihood:
    """Value, derivatives and predictions against the naive reference."""
    criterion, dense = make_criterion(design, reml, engine), naive.dense(design, theta, reml)
    assert isinstance(criterion, MarginalLikelihood)
    evaluation, solution = criterion.evaluate(theta, 2), criterion.solve(theta)
    assert criterion.evaluate(theta).value == pytest.approx(dense.value, rel=1e-10)
    np.testing.assert_allclose(evaluation.gradient, naive.gradient(design, theta, reml), rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(evaluation.information, naive.information(design, theta, reml), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(solution.b, dense.b, rtol=1e-8, atol=1e-8)
    variances = criterion.conditional_variances(theta)
    for actual, expected in zip(variances, dense.conditional_variances, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-9)
    return criterion


# ---- blocks


def test_components_are_those_of_rows_and_levels() -> None:
    """Levels 0–1 and 2–3 are related; households join the rows of 1 and 2; 4 is alone, 5 has no rows."""
    K = np.eye(6)
    K[0, 1] = K[1, 0] = K[2, 3] = K[3, 2] = 0.5
    design = kin_design("y ~ x + (1 | g)", Relatedness(K, labels=labels(6)), per_level=2)
    households = np.array([0, 0, 1, 2, 2, 3, 4, 4, 5, 5])
    design = replace(design, y=design.y[:10], X=design.X[:10])
    (term,) = design.random
    term = replace(term, values=term.values[:10], grouping=replace(term.grouping, codes=term.codes[:10]))
    h = build_design("y ~ 1 + (1 | h)", {"y": design.y, "h": households})[0].random[0]
    found = connected_components(replace(design, random=(term, h)))
    assert len(np.unique(found.rows)) == 2
    np.testing.assert_array_equal(found.rows[:8], found.rows[0])
    np.testing.assert_array_equal(found.rows[8:], found.levels[0][4])
    np.testing.assert_array_equal(found.levels[0][:4], found.rows[0])
    assert found.levels[0][5] not in found.rows
    np.testing.assert_array_equal(found.levels[1], found.rows[[0, 2, 3, 5, 6, 8]])
    np.testing.assert_array_equal(found.ranks(0), [0, 1, 2, 3, 0, 0])
    assert found.largest == 8


def test_stacks_hold_whole_components_of_one_size() -> None:
    components = np.array([3, 0, 1, 1, 0, 2, 2, 4, 2, 0])
    order, stacks = stacks_of_equal(components)
    np.testing.assert_array_equal(components[order], [3, 4, 1, 1, 0, 0, 0, 2, 2, 2])
    assert stacks == [(slice(0, 2), 1), (slice(2, 4), 2), (slice(4, 10), 3)]
    large = np.repeat([0, 1], STACKED + 1)
    assert [place for place, _ in stacks_of_equal(large)[1]] == [slice(0, STACKED + 1), slice(STACKED + 1, len(large))]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("engine", ["marginal", "spectral"])
def test_families_of_many_sizes(engine: str, kind: str) -> None:
    design = kin_design("y ~ x + (1 | g)", families((4, 3, 5, 4, 1, 4, 3, 1, 6), kind))
    criterion = check(design, engine, np.array([0.8]))
    assert "blocks of up to 6" in criterion.description


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_families_and_records_and_households(kind: str) -> None:
    """Two rows a level, three a household, so that families are chained."""
    design = kin_design("y ~ x + (x | g) + (1 | h)", families((4, 3, 5, 4, 1, 4), kind), per_level=2)
    check(design, "marginal", np.array([0.8, -0.3, 0.4, 0.6]))


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g) + (1 | h)", "y ~ x + (x | g) + (x | h)"])
def test_a_large_block_by_lapack(formula: str) -> None:
    """Beside a dense kernel, the pairs of a household are listed."""
    design = kin_design(formula, dense_kernel(210))
    theta = np.array([0.7, 0.5]) if design.n_theta == 2 else np.array([0.7, 0.2, 0.3, 0.5, -0.4, 0.2])
    criterion = check(design, "marginal", theta)
    (stack,) = criterion._system.stacks
    assert [type(term) for term in stack.terms] == [DenseBetweenRows, SparseBetweenRows]
    at, dense = criterion.operators(theta), naive.dense(design, theta)
    V_inverse = np.linalg.inv(dense.V)
    squares = at.squares()
    Zs = [Z.reshape(design.n, -1, term.k) for Z, term in zip(dense.Zs, design.random, strict=True)]
    Ks = [term.relatedness.dense() for term in design.random]
    for t, s in ((0, 0), (0, 1), (1, 1)):
        c, a, d, b = (design.random[s].k - 1, 0, 0, design.random[t].k - 1)
        left, right = Zs[t][:, :, a] @ Ks[t] @ Zs[t][:, :, b].T, Zs[s][:, :, d] @ Ks[s] @ Zs[s][:, :, c].T
        expected = np.trace(V_inverse @ left @ V_inverse @ right)
        assert squares[t][s][c, a, d, b] == pytest.approx(expected, rel=1e-8)


def test_slices_of_large_arrays_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    design = kin_design("y ~ x + (x | g)", dense_kernel(70))
    theta = np.array([0.7, 0.2, 0.3])
    before = make_criterion(design, True, "marginal").evaluate(theta, 2)
    monkeypatch.setattr("lmmpy.engines.between_rows._SLICE", 500)
    monkeypatch.setattr("lmmpy.engines.marginal_operators._BLOCK", 500)
    after = check(design, "marginal", theta).evaluate(theta, 2)
    np.testing.assert_allclose(after.gradient, before.gradient, rtol=1e-12)


# ---- one effect, by its spectrum


@pytest.mark.parametrize("per_level", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 40, 90])
def test_one_dense_kernel(n: int, per_level: int) -> None:
    if n * per_level > 3:
        check(kin_design("y ~ x + (1 | g)", dense_kernel(n), per_level), "spectral", np.array([0.9]))


def test_large_blocks_beside_small_ones() -> None:
    design = kin_design("y ~ x + (1 | g)", families((STACKED + 5, 4, 4, STACKED + 2, 1)))
    check(design, "spectral", np.array([-0.6]))


def test_fewer_genotypes_than_levels() -> None:
    """No array of levels by levels is formed."""
    G = np.random.default_rng(2).normal(size=(80, 30))
    design = kin_design("y ~ x + (1 | g)", Relatedness.from_genotypes(G, labels=labels(80)), 2)
    criterion = check(design, "spectral", np.array([0.9]))
    assert "of rank 30" in criterion.description
    assert criterion._system.values[0].shape == (30, 1)


# ---- the same fit, again, and from a pickle


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)"])
def test_every_engine_gives_the_same_fit(formula: str) -> None:
    design = kin_design(formula, families((4, 3, 5, 4, 1, 4, 6)), per_level=3, seed=4)
    design = replace(
        design, y=design.y + np.random.default_rng(5).normal(size=design.random[0].n_levels)[design.random[0].codes]
    )
    engines = ["sparse", "marginal"] + ["spectral"] * (design.n_theta == 1)
    first, *others = [fit_theta(make_criterion(design, True, engine), Control()) for engine in engines]
    for other in others:
        np.testing.assert_allclose(other.theta, first.theta, rtol=1e-6, atol=1e-6)
        assert other.evaluation.value == pytest.approx(first.evaluation.value, rel=0, abs=1e-8)


@pytest.mark.parametrize("engine", ["marginal", "spectral"])
def test_a_criterion_pickles(engine: str) -> None:
    design = design_of(Case("(1 | g)", ("twins",), weights=True))
    theta = thetas(design)[0]
    criterion = make_criterion(design, False, engine)
    again = pickle.loads(pickle.dumps(criterion))
    assert (again.name, again.reml) == (engine, False)
    np.testing.assert_array_equal(again.evaluate(theta, 1).gradient, criterion.evaluate(theta, 1).gradient)


@pytest.mark.parametrize("engine", ["marginal", "spectral"])
def test_impossible_covariances_have_no_value(engine: str) -> None:
    criterion = make_criterion(kin_design("y ~ x + (1 | g)", dense_kernel(70)), True, engine)
    assert criterion.evaluate(np.array([1e200]), 2).value == np.inf


# ---- the choice


CHOICES = {
    "one dense kernel": ("y ~ x + (1 | g)", dense_kernel(30), 1, "spectral"),
    "its families": ("y ~ x + (1 | g)", families((4, 3, 5)), 1, "spectral"),
    "slopes": ("y ~ x + (x | g)", dense_kernel(30), 1, "marginal"),
    "households": ("y ~ x + (1 | g) + (1 | h)", dense_kernel(30), 1, "marginal"),
    "many records": ("y ~ x + (x | g)", dense_kernel(10), 8, "sparse"),
    "some records": ("y ~ x + (x | g)", dense_kernel(10), 4, "marginal"),
}


@pytest.mark.parametrize("label", CHOICES)
def test_the_choice(label: str) -> None:
    formula, K, per_level, expected = CHOICES[label]
    assert make_criterion(kin_design(formula, K, per_level), True).name == expected


def test_the_choice_where_there_is_no_inverse() -> None:
    G = np.random.default_rng(2).normal(size=(10, 4))
    design = kin_design("y ~ x + (x | g)", Relatedness.from_genotypes(G, labels=labels(10)), 8)
    assert make_criterion(design, True).name == "marginal"


def test_the_choice_where_an_inverse_has_no_digits() -> None:
    """Two levels that are nearly one: K has an inverse, but of the size of 1e10."""
    K = dense_kernel(10).dense().copy()
    K[1], K[:, 1] = K[0], K[:, 0]
    K[1, 1] = K[0, 0] * (1.0 + 1e-10)
    K[0, 1] = K[1, 0] = K[0, 0]
    design = kin_design("y ~ x + (x | g)", Relatedness(K, labels=labels(10)), 8)
    assert make_criterion(design, True).name == "marginal"


def test_the_choice_where_blocks_have_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    design = kin_design("y ~ x + (x | g)", dense_kernel(10), 4)
    monkeypatch.setattr(choose_marginal, "_LARGEST_BLOCK", 30)
    assert make_criterion(design, True).name == "sparse"


def test_a_sparse_precision_goes_to_cholmod() -> None:
    K = Relatedness.from_precision(sparse.eye_array(20, format="csc") * 2.0, labels=labels(20))
    assert make_criterion(kin_design("y ~ x + (1 | g)", K, 2), True).name == "sparse"
    assert make_criterion(kin_design("y ~ x + (1 | g)", K, 2), True, "spectral").name == "spectral"


@pytest.mark.parametrize("engine", ["blocked", "blocked-dense", "blocked-sparse"])
def test_related_levels_are_not_eliminated_one_by_one(engine: str) -> None:
    with pytest.raises(ModelError, match=f"'{engine}' eliminates levels one by one, but those of g are related"):
        make_criterion(kin_design("y ~ x + (1 | g)", dense_kernel(20)), True, engine)


def test_the_spectral_engine_takes_one_effect() -> None:
    with pytest.raises(ModelError, match=r"'spectral' takes models with one random effect.*this one has 3"):
        make_criterion(kin_design("y ~ x + (x | g) + (1 | h)", dense_kernel(20)), True, "spectral")


def test_a_covariance_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_marginal, "_MOST_ROWS", 20)
    with pytest.raises(ModelError, match=r"covariance of 30 rows .* as a pedigree or as a sparse precision"):
        make_criterion(kin_design("y ~ x + (x | g)", dense_kernel(30)), True)


@pytest.mark.parametrize("seed", range(3))
def test_a_level_whose_rows_say_nothing_beside_markers_that_repeat(seed):
    """A slope that is zero in all rows of a level, and genotypes with columns that others determine."""
    rng = np.random.default_rng(seed)
    markers = rng.normal(size=(12, 6))
    markers[:, 4], markers[:, 5] = markers[:, 1], 0.0
    K = Relatedness.from_genotypes(markers, labels=labels(12))
    data = {"y": rng.normal(size=24), "x": rng.normal(size=24), "g": np.arange(24) // 2}
    data["x"][[2, 3, 8, 9]] = 0.0
    design = build_design("y ~ 1 + (0 + x | g)", data)[0]
    design = replace(design, random=tuple(related(term, K) for term in design.random))
    for theta in (0.3, 1.5):
        check(design, "spectral", np.array([theta]))
