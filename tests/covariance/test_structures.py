"""The contract of covariance structures, and the matrices that each must give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lmmpy.covariance import (
    Autoregressive,
    CompoundSymmetry,
    CovarianceStructure,
    Diagonal,
    Unstructured,
    make_structure,
    semidefinite_cholesky,
)

NAMES = [("us", None), ("diag", None), ("diag", True), ("cs", None), ("cs", True), ("ar1", None), ("ar1", False)]
ALL = [pytest.param(make_structure(name, k, hom), id=f"{name}-{hom}-k{k}") for name, hom in NAMES for k in (1, 2, 3, 5)]
CORRELATED = [(CompoundSymmetry, 0.0, math.pi / 2), (Autoregressive, -math.pi / 2, math.pi / 2)]
everywhere = pytest.mark.parametrize("structure", ALL)
RTOL = 1e-12


def random_thetas(structure: CovarianceStructure) -> list[np.ndarray]:
    """Ordinary ones, one with zeros, all zeros, large angles, and every parameter zero in turn."""
    rng = np.random.default_rng(structure.n_theta)
    plain = [rng.normal(size=structure.n_theta) for _ in range(4)]
    holes = [np.where(np.arange(structure.n_theta) == i, 0.0, plain[0]) for i in range(structure.n_theta)]
    return [*plain, *holes, np.zeros(structure.n_theta), 20.0 * plain[1]]


def reachable(structure: CovarianceStructure) -> list[np.ndarray]:
    """Those of `random_thetas` within the structure's bounds."""
    return [np.where(np.isfinite(structure.lower), np.abs(theta), theta) for theta in random_thetas(structure)]


def covariance(structure: CovarianceStructure, theta: Any) -> np.ndarray:
    T = structure.factor(np.asarray(theta, dtype=float)).T
    return T @ T.T


# ---- the contract


@everywhere
def test_shapes(structure):
    theta = random_thetas(structure)[0]
    factor = structure.factor(theta)
    assert factor.T.shape == (structure.k, structure.k)
    assert factor.dT.shape == (structure.n_theta, structure.k, structure.k)
    assert structure.lower.shape == (structure.n_theta,)
    columns = [f"c{i}" for i in range(structure.k)]
    assert len(structure.names(columns)) == structure.n_theta
    assert structure.scale(np.full(structure.k, 0.1)).shape == (structure.n_theta,)


@everywhere
def test_the_number_of_parameters(structure):
    k, one = structure.k, getattr(structure, "homogeneous", False)
    expected = {
        Unstructured: k * (k + 1) // 2,
        Diagonal: 1 if one else k,
        CompoundSymmetry: (1 if one else k) + (k > 1),
        Autoregressive: (1 if one else k) + (k > 1),
    }
    assert structure.n_theta == expected[type(structure)]


@everywhere
def test_dT_is_the_derivative_of_T(structure):
    step = 1e-6
    for theta in random_thetas(structure):
        dT = structure.factor(theta).dT
        for i in range(structure.n_theta):
            move = step * (np.arange(structure.n_theta) == i)
            slope = (structure.factor(theta + move).T - structure.factor(theta - move).T) / (2 * step)
            np.testing.assert_allclose(dT[i], slope, rtol=1e-7, atol=1e-8 * max(1.0, np.abs(theta).max()))


@everywhere
def test_d2T_is_the_derivative_of_dT(structure):
    step = 1e-6
    for theta in random_thetas(structure):
        factor = structure.factor(theta)
        d2T = np.zeros((structure.n_theta, *factor.dT.shape)) if factor.d2T is None else factor.d2T
        for i in range(structure.n_theta):
            move = step * (np.arange(structure.n_theta) == i)
            slope = (structure.factor(theta + move).dT - structure.factor(theta - move).dT) / (2 * step)
            np.testing.assert_allclose(d2T[i], slope, rtol=1e-7, atol=1e-8 * max(1.0, np.abs(theta).max()))


@everywhere
def test_bend_is_the_second_derivative_of_the_covariance(structure):
    """⟨S, T Tᵀ⟩ has the gradient 2⟨S T, ∂T_i⟩ for a symmetric S."""
    step = 1e-6
    S = np.random.default_rng(1).normal(size=(structure.k, structure.k))
    S += S.T

    def gradient(theta):
        factor = structure.factor(theta)
        return np.einsum("iab,ab->i", factor.dT, 2.0 * S @ factor.T)

    for theta in random_thetas(structure):
        bend = structure.factor(theta).bend(S)
        np.testing.assert_allclose(bend, bend.T, rtol=RTOL, atol=1e-13 * (1.0 + np.abs(bend).max()))
        for i in range(structure.n_theta):
            move = step * (np.arange(structure.n_theta) == i)
            slope = (gradient(theta + move) - gradient(theta - move)) / (2 * step)
            np.testing.assert_allclose(bend[i], slope, rtol=1e-7, atol=1e-7 * max(1.0, np.abs(bend).max()))


@everywhere
def test_equivalents_are_other_thetas_with_the_same_covariance(structure):
    for theta in reachable(structure):
        before = theta.copy()
        found = structure.equivalents(theta)
        np.testing.assert_array_equal(theta, before)
        for other in found:
            assert other.shape == theta.shape and other is not theta
            assert np.all(other >= structure.lower)
            np.testing.assert_array_equal(covariance(structure, other) == 0.0, covariance(structure, theta) == 0.0)
            scale = np.abs(covariance(structure, theta)).max() + 1e-300
            np.testing.assert_allclose(
                covariance(structure, other), covariance(structure, theta), rtol=1e-12, atol=1e-13 * scale
            )
        slopes = [structure.factor(other).dT for other in found]
        assert all(not np.allclose(a, b) for i, a in enumerate(slopes) for b in slopes[:i])


@everywhere
def test_equivalents_only_where_a_correlation_means_nothing(structure):
    has_angle = isinstance(structure, CompoundSymmetry | Autoregressive) and structure.k > 1
    n_sd = structure.n_sd if has_angle else structure.n_theta
    for nonzero in range(n_sd + 1):
        theta = np.where(np.arange(structure.n_theta) < n_sd - nonzero, 0.0, 0.4)
        meaningless = has_angle and nonzero <= (0 if structure.homogeneous else 1)
        angles = [other[-1] for other in structure.equivalents(theta)]
        assert bool(angles) == meaningless
        if meaningless:
            assert np.isclose([min(angles), max(angles)], structure.ends).all()
            assert np.diff(angles).max() <= (structure.ends[1] - structure.ends[0]) / 10  # no direction far from all


@pytest.mark.parametrize(("kind", "low", "high"), CORRELATED)
@pytest.mark.parametrize("homogeneous", [True, False])
@pytest.mark.parametrize("angle", [-3.0, -0.7, 0.0, 0.3, math.pi / 2, 40.0])
def test_the_canonical_angle_is_independence_where_it_means_nothing(kind, low, high, homogeneous, angle):
    structure = kind(3, homogeneous)
    meaningless = [[0.0]] if homogeneous else [[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [-0.0, 0.0, 1e-9]]
    for sd in meaningless:
        canonical = structure.canonical(np.array([*sd, angle]))
        np.testing.assert_array_equal(canonical, [*sd, structure.angle(0.0)])
        one = structure.factor(np.append(np.ones(structure.n_sd), canonical[-1])).T
        np.testing.assert_allclose(one @ one.T, np.eye(3), atol=1e-15)
    for sd in [[1e-12]] if homogeneous else [[1e-12, 0.0, 2.0]]:
        kept = structure.canonical(np.array([*sd, angle]))
        assert kept[-1] == structure.fold(angle)


@pytest.mark.parametrize("kind", [kind for kind, _, _ in CORRELATED])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_what_a_structure_says_of_its_correlation(kind, k):
    """Correlations are powers of ρ, which rises from the least to one; its slopes and its inverse."""
    structure, step = kind(k, True), 1e-5
    low, high = structure.ends
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    powers = np.array([structure.power(h) for h in range(1, k)])
    assert powers[0] == 1 and structure.ordered == (structure.power(2) != 1)
    np.testing.assert_allclose([structure.rho(low)[0], structure.rho(high)[0]], [structure.least, 1.0], rtol=1e-12)
    for angle in np.linspace(low, high, 9)[1:-1]:
        rho, slope, bend = structure.rho(angle)
        expected = np.append(1.0, rho**powers)[lag]
        np.testing.assert_allclose(covariance(structure, [1.0, angle]), expected, rtol=1e-12, atol=1e-14)
        (before, slope_before, _), (after, slope_after, _) = structure.rho(angle - step), structure.rho(angle + step)
        assert slope > 0.0
        np.testing.assert_allclose([slope, bend], np.array([after - before, slope_after - slope_before]) / (2 * step),
                                   rtol=1e-8, atol=1e-8)  # fmt: skip
        np.testing.assert_allclose(structure.angle(rho), angle, rtol=1e-9, atol=1e-12)
        for h, power in enumerate(powers, 1):
            assert structure.one_step(rho**power, h, sign=rho) == pytest.approx(rho, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("kind", [kind for kind, _, _ in CORRELATED])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_the_angle_as_a_function_of_the_arc_sine(kind, k):
    structure, step = kind(k, True), 1e-5
    for rho in np.linspace(structure.least, 1.0, 9)[1:-1]:
        psi = math.asin(rho)
        angle, slope, bend = structure.angle_at(psi)
        assert angle == pytest.approx(structure.angle(rho), rel=1e-12, abs=1e-15)
        before, after = structure.angle_at(psi - step), structure.angle_at(psi + step)
        expected = [(after[i] - before[i]) / (2 * step) for i in (0, 1)]
        np.testing.assert_allclose([slope, bend], expected, rtol=1e-7, atol=1e-8)
    assert (structure.angle_at(-math.pi / 2) is None) == (structure.least > -1.0)


@everywhere
def test_factor_leaves_theta_alone_and_gives_its_own_T(structure):
    theta = random_thetas(structure)[0]
    before = theta.copy()
    factor = structure.factor(theta)
    kept = factor.T.copy()
    structure.factor(2.0 * theta)
    structure.canonical(theta)
    np.testing.assert_array_equal(theta, before)
    np.testing.assert_array_equal(factor.T, kept)


@everywhere
def test_canonical_keeps_the_covariance_and_is_idempotent(structure):
    for theta in reachable(structure):
        canonical = structure.canonical(theta)
        G = covariance(structure, theta)
        scale = np.abs(G).max() + 1e-300
        np.testing.assert_allclose(covariance(structure, canonical), G, rtol=1e-10, atol=1e-13 * scale)
        np.testing.assert_allclose(structure.canonical(canonical), canonical, rtol=RTOL, atol=0)


@everywhere
def test_canonical_is_in_range(structure):
    for theta in random_thetas(structure):
        canonical = structure.canonical(theta)
        T = structure.factor(canonical).T
        assert np.all(np.diag(T) >= 0.0) or isinstance(structure, CompoundSymmetry)
        if isinstance(structure, CompoundSymmetry | Autoregressive):
            assert np.all(canonical[: structure.n_sd] >= 0.0)
            if structure.k > 1:
                low, high = structure.ends
                assert low <= canonical[-1] <= high


@everywhere
def test_one_covariance_has_one_canonical_theta(structure):
    """Signs and full turns that leave T Tᵀ alone lead to the same representative."""
    theta = structure.canonical(np.abs(random_thetas(structure)[0]) + 0.1)
    twins = [-theta if isinstance(structure, Unstructured | Diagonal) else theta]
    if isinstance(structure, Unstructured):
        signs = np.where(np.arange(structure.k) % 2, -1.0, 1.0)
        twins.append((structure.factor(theta).T * signs).T[np.triu_indices(structure.k)])
    if isinstance(structure, CompoundSymmetry | Autoregressive) and structure.k > 1:
        angle = np.arange(structure.n_theta) == structure.n_theta - 1
        reflected = -theta[-1] if isinstance(structure, CompoundSymmetry) else math.pi - theta[-1]
        twins += [theta + 2 * math.pi * angle, np.where(angle, reflected, theta)]
    for twin in twins:
        np.testing.assert_allclose(covariance(structure, twin), covariance(structure, theta), atol=1e-12)
        np.testing.assert_allclose(structure.canonical(twin), theta, rtol=1e-10)


@everywhere
def test_start_is_independence_with_the_wanted_deviations(structure):
    sd = np.arange(1.0, structure.k + 1) / 4
    wanted = np.full(structure.k, np.mean(sd**2)) if getattr(structure, "homogeneous", False) else sd**2
    start = structure.start(sd)
    np.testing.assert_allclose(covariance(structure, start), np.diag(wanted), rtol=RTOL, atol=1e-15)
    np.testing.assert_allclose(structure.canonical(start), start, rtol=RTOL)
    assert np.all(start >= structure.lower)
    np.testing.assert_array_equal(sd, np.arange(1.0, structure.k + 1) / 4)


@everywhere
def test_start_does_not_share_memory_with_its_argument(structure):
    sd = np.ones(structure.k)
    structure.start(sd)[0] = 7.0
    np.testing.assert_array_equal(sd, np.ones(structure.k))


@everywhere
def test_from_covariance_goes_round(structure):
    for theta in reachable(structure):
        G = covariance(structure, theta)
        again = structure.from_covariance(G)
        scale = np.abs(G).max() + 1e-300
        np.testing.assert_allclose(covariance(structure, again), G, rtol=1e-7, atol=1e-10 * scale)
        np.testing.assert_allclose(structure.canonical(again), again, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [CompoundSymmetry, Autoregressive])
@pytest.mark.parametrize("zero", [0, 1])
def test_from_covariance_with_one_variance_of_zero(kind, zero):
    structure = kind(4, False)
    G = covariance(structure, [*np.where(np.arange(4) == zero, 0.0, [1.0, 2.0, 3.0, 4.0]), 0.8])
    np.testing.assert_allclose(covariance(structure, structure.from_covariance(G)), G, rtol=1e-7, atol=1e-10)


@everywhere
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_from_covariance_in_other_units(structure, factor):
    theta = reachable(structure)[0]
    G = factor * covariance(structure, theta)
    np.testing.assert_allclose(covariance(structure, structure.from_covariance(G)), G, rtol=1e-7, atol=1e-10 * G.max())


@everywhere
@pytest.mark.parametrize("shape", [(4, 4), (1, 3)])
def test_from_covariance_refuses_another_shape(structure, shape):
    with pytest.raises(ValueError, match=r"expected a"):
        structure.from_covariance(np.ones(shape))


@everywhere
def test_from_covariance_refuses_a_negative_variance(structure):
    with pytest.raises(ValueError, match=r"expected|positive semi-definite"):
        structure.from_covariance(-np.eye(structure.k))


# ---- the nearest


def positive(k: int, rank: int, seed: int) -> np.ndarray:
    """Of some rank, effects in units from 10⁻³ to 10³."""
    root = 10.0 ** np.linspace(-3, 3, k)[:, None] * np.random.default_rng(seed).normal(size=(k, rank))
    return root @ root.T


@everywhere
def test_nearest_is_exact_where_the_structure_allows(structure):
    for theta in reachable(structure):
        G = covariance(structure, theta)
        scale = np.abs(G).max() + 1e-300
        found = covariance(structure, structure.nearest(G))
        np.testing.assert_allclose(found, G, rtol=1e-7, atol=1e-10 * scale)


@everywhere
@pytest.mark.parametrize("rank", [0, 1, 2, 5])
def test_nearest_to_any_matrix(structure, rank):
    """A θ in range, the matrix untouched, and the variances kept: each of them, or their mean where there is one sd."""
    for seed in range(5):
        G = positive(structure.k, rank, seed)
        before = G.copy()
        theta = structure.nearest(G)
        np.testing.assert_array_equal(G, before)
        assert theta.shape == (structure.n_theta,)
        assert np.isfinite(theta).all()
        assert np.all(theta >= structure.lower)
        if isinstance(structure, CompoundSymmetry | Autoregressive) and structure.k > 1:
            assert structure.ends[0] <= theta[-1] <= structure.ends[1]
        variances = np.diag(G)
        if getattr(structure, "homogeneous", False):
            variances = np.full(structure.k, variances.mean())
        np.testing.assert_allclose(np.diag(covariance(structure, theta)), variances, rtol=1e-9, atol=0)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("rank", [0, 1, 2, 5])
def test_nearest_of_us_is_the_matrix_itself(k, rank):
    G = positive(k, rank, 7)
    unit = np.sqrt(np.outer(np.diag(G), np.diag(G)))
    found = covariance(Unstructured(k), Unstructured(k).nearest(G))
    assert np.all(np.abs(found - G) <= 1e-10 * unit)


@pytest.mark.parametrize("homogeneous", [True, False])
def test_nearest_of_diag_has_no_covariances(homogeneous):
    G = positive(4, 4, 1)
    found = covariance(Diagonal(4, homogeneous), Diagonal(4, homogeneous).nearest(G))
    np.testing.assert_array_equal(found, np.diag(np.diag(found)))


@pytest.mark.parametrize(("kind", "low", "high"), CORRELATED)
@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.6, 1.0])
def test_nearest_takes_the_correlation_of_neighbours(kind, low, high, rho):
    """That of the first two, when the structure can have it, else the end of its range."""
    sd = np.array([1e-3, 1.0, 1e3])
    R = np.array([[1.0, rho, 0.2], [rho, 1.0, 0.1], [0.2, 0.1, 1.0]])
    found = covariance(kind(3, False), kind(3, False).nearest(R * np.outer(sd, sd))) / np.outer(sd, sd)
    assert found[0, 1] == pytest.approx(max(rho, -0.5) if kind is CompoundSymmetry else rho, abs=1e-12)
    assert found[1, 2] == pytest.approx(found[0, 1], abs=1e-12)
    assert found[0, 2] == pytest.approx(found[0, 1] ** (2 if kind is Autoregressive else 1), abs=1e-12)


@pytest.mark.parametrize("kind", [CompoundSymmetry, Autoregressive])
def test_nearest_when_a_correlation_is_rounded_past_one(kind):
    G = np.array([[1.0, -1.0 - 1e-15], [-1.0 - 1e-15, 1.0]])
    found = covariance(kind(2, False), kind(2, False).nearest(G))
    np.testing.assert_allclose(found, [[1.0, -1.0], [-1.0, 1.0]], atol=1e-12)


# ---- the boundary


@everywhere
def test_boundary_lists_what_makes_T_singular(structure):
    """No parameter inside; at its boundary value each one that is listed makes T singular."""
    inside = structure.canonical(structure.start(np.ones(structure.k)))
    tolerance = np.full(structure.n_theta, 1e-3)
    assert structure.boundary(inside, tolerance) == []
    for i, _ in enumerate(inside):
        moved = np.where(np.arange(structure.n_theta) == i, 1e-4, inside)
        for place, value in structure.boundary(moved, tolerance):
            assert place == i
            at = np.where(np.arange(structure.n_theta) == i, value, inside)
            assert abs(np.linalg.det(structure.factor(at).T)) < 1e-15


@pytest.mark.parametrize("k", [1, 2, 3])
def test_boundary_of_us_is_its_diagonal(k):
    structure = Unstructured(k)
    found = structure.boundary(np.zeros(structure.n_theta), np.full(structure.n_theta, 1e-4))
    names = structure.names(["a", "b", "c"][:k])
    assert [(names[i], value) for i, value in found] == [(name, 0.0) for name in ["a", "b", "c"][:k]]


def test_boundary_respects_each_tolerance():
    structure = Diagonal(3)
    assert structure.boundary(np.array([0.01, -0.01, 0.01]), np.array([0.1, 0.1, 0.001])) == [(0, 0.0), (1, 0.0)]


@pytest.mark.parametrize(("kind", "low", "high"), CORRELATED)
@pytest.mark.parametrize("k", [2, 3])
def test_boundary_of_a_correlation_has_both_ends(kind, low, high, k):
    structure, tolerance = kind(k, True), np.array([1e-4, 1e-2])
    assert structure.boundary(np.array([1.0, low + 1e-3]), tolerance) == [(1, low)]
    assert structure.boundary(np.array([1.0, high - 1e-3]), tolerance) == [(1, high)]
    assert structure.boundary(np.array([1e-5, high]), tolerance) == [(0, 0.0), (1, high)]
    assert structure.boundary(np.array([1.0, (0.4 * low + 0.6 * high)]), tolerance) == []


# ---- known matrices


def correlation(kind: str, k: int, rho: float) -> np.ndarray:
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    return rho**lag if kind == "ar1" else np.where(lag == 0, 1.0, rho)


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("rho", [-1.0, -0.7, 0.0, 0.4, 0.99, 1.0])
def test_ar1(k, rho):
    sd = np.arange(1.0, k + 1)
    structure = Autoregressive(k, False)
    G = correlation("ar1", k, rho) * np.outer(sd, sd)
    theta = structure.from_covariance(G)
    np.testing.assert_allclose(theta, [*sd, math.asin(rho)], rtol=1e-7)
    np.testing.assert_allclose(covariance(structure, theta), G, rtol=1e-8, atol=1e-12)
    one = Autoregressive(k, True)
    at = one.factor(np.array([2.0, math.asin(rho)])).T
    np.testing.assert_allclose(at @ at.T, 4.0 * correlation("ar1", k, rho), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(at, np.tril(at))


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("where", [0.0, 1e-8, 0.1, 0.5, 0.99, 1.0])
def test_cs(k, where):
    """From −1/(k−1) to 1, both ends included."""
    rho = -1.0 / (k - 1) + where * (1.0 + 1.0 / (k - 1))
    sd = np.arange(1.0, k + 1)
    structure = CompoundSymmetry(k, False)
    G = correlation("cs", k, rho) * np.outer(sd, sd)
    np.testing.assert_allclose(covariance(structure, structure.from_covariance(G)), G, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_cs_is_singular_at_both_ends_and_only_there(k):
    structure = CompoundSymmetry(k, True)
    low, high = (np.linalg.eigvalsh(covariance(structure, [1.0, end])) for end in structure.ends)
    np.testing.assert_allclose(low, [0.0] + [k / (k - 1)] * (k - 1), atol=1e-14)
    np.testing.assert_allclose(high, [0.0] * (k - 1) + [k], atol=1e-14)
    for angle in np.linspace(*structure.ends, 7)[1:-1]:
        assert np.linalg.eigvalsh(covariance(structure, [1.0, angle]))[0] > 1e-3


@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_angle_of_cs_runs_through_every_correlation_once(k):
    structure = CompoundSymmetry(k, True)
    angles = np.linspace(*structure.ends, 50)
    rho = np.array([covariance(structure, [1.0, angle])[0, 1] for angle in angles])
    assert np.all(np.diff(rho) > 0)
    assert rho[[0, -1]] == pytest.approx([-1 / (k - 1), 1.0])
    assert [structure.angle(r) for r in rho[1:-1]] == pytest.approx(angles[1:-1])


def test_us_is_the_lower_triangle_by_columns():
    T = Unstructured(3).factor(np.arange(1.0, 7.0)).T
    np.testing.assert_array_equal(T, [[1, 0, 0], [2, 4, 0], [3, 5, 6]])
    assert Unstructured(3).names(["a", "b", "c"]) == ["a", "b.a", "c.a", "b", "c.b", "c"]


def test_one_diagonal_effect_is_a_standard_deviation():
    np.testing.assert_array_equal(Diagonal(2, True).factor(np.array([3.0])).T, 3.0 * np.eye(2))
    np.testing.assert_array_equal(Diagonal(2).factor(np.array([3.0, -4.0])).T, [[3, 0], [0, -4]])


# ---- what no structure gives


@pytest.mark.parametrize(
    ("structure", "G", "message"),
    [
        (Unstructured(2), [[1.0, 2.0], [2.0, 1.0]], "not positive semi-definite"),
        (Unstructured(2), [[1.0, 0.5], [0.2, 1.0]], "expected a symmetric"),
        (Diagonal(2), [[1.0, 0.1], [0.1, 1.0]], "expected a diagonal"),
        (Diagonal(2, True), [[1.0, 0.0], [0.0, 2.0]], "equal variances"),
        (CompoundSymmetry(3, False), [[1, 0.3, 0.3], [0.3, 1, 0.2], [0.3, 0.2, 1]], "no CompoundSymmetry"),
        (CompoundSymmetry(3, False), [[1, -0.6, -0.6], [-0.6, 1, -0.6], [-0.6, -0.6, 1]], "no CompoundSymmetry"),
        (CompoundSymmetry(2, True), [[1.0, 0.3], [0.3, 2.0]], "no CompoundSymmetry"),
        (Autoregressive(3, True), [[1, 0.5, 0.3], [0.5, 1, 0.5], [0.3, 0.5, 1]], "no Autoregressive"),
        (Autoregressive(2, True), [[1.0, 1.2], [1.2, 1.0]], "no Autoregressive"),
        (Autoregressive(2, False), [[0.0, 0.1], [0.1, 1.0]], "no Autoregressive"),
    ],
)
def test_a_matrix_that_the_structure_cannot_be(structure, G, message):
    with pytest.raises(ValueError, match=message):
        structure.from_covariance(np.array(G, dtype=float))


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_semidefinite_cholesky(rank):
    """Any rank; zero columns make up for what is missing."""
    rng = np.random.default_rng(rank)
    root = np.array([1e-3, 1.0, 1e4])[:, None] * rng.normal(size=(3, rank))
    G = root @ root.T
    T = semidefinite_cholesky(G)
    np.testing.assert_allclose(T @ T.T, G, rtol=1e-9, atol=0)
    np.testing.assert_array_equal(T, np.tril(T))
    assert np.count_nonzero(np.diag(T)) == rank
    assert np.all(np.diag(T) >= 0)


def test_names_that_make_structure_knows():
    assert make_structure("us", 3) == Unstructured(3)
    assert make_structure("diag", 3) == Diagonal(3, False)
    assert make_structure("cs", 3) == CompoundSymmetry(3, False)
    assert make_structure("ar1", 3) == Autoregressive(3, True)
    assert make_structure("ar1", 3, False) == Autoregressive(3, False)
    with pytest.raises(ValueError, match="toeplitz"):
        make_structure("toeplitz", 3)
    with pytest.raises(ValueError, match="cs"):
        make_structure("us", 3, True)
