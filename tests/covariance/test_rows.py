"""Covariances of rows: against formulas written out, with derivatives by extrapolated differences."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from lmmpy.covariance import (
    ARMA11,
    Autoregressive,
    CompoundSymmetry,
    ContinuousAR1,
    Correlation,
    Diagonal,
    Exchangeable,
    Exponential,
    Indexed,
    Known,
    OrderedAR1,
    Power,
    Product,
    RandomFunction,
    Strata,
    Unstructured,
    semidefinite_cholesky,
)

N = 14
RNG = np.random.default_rng(5)
PLACES = RNG.integers(0, 3, N)
PLACES[:3] = [0, 1, 2]
WHOLE = np.cumsum(RNG.integers(1, 4, N)).astype(float)
TIMES = np.sort(RNG.uniform(0.0, 5.0, N))
V = RNG.uniform(0.4, 3.0, N)
KNOWN = np.cov(RNG.normal(size=(N, 3 * N)))
LABELS, SIZES = ("a", "b", "c"), np.array([1.0, 0.7, 1.6])

STRUCTURES = {
    "us": Indexed(Unstructured(3), PLACES, LABELS, SIZES),
    "diag": Indexed(Diagonal(3), PLACES, LABELS, SIZES),
    "cs": Indexed(CompoundSymmetry(3, False), PLACES, LABELS, SIZES),
    "cs, one variance": Indexed(CompoundSymmetry(3, True), PLACES, LABELS, SIZES),
    "ar1": Indexed(Autoregressive(3, True), PLACES, LABELS, SIZES),
    "ar1, variances": Indexed(Autoregressive(3, False), PLACES, LABELS, SIZES),
    "correlation": Indexed(Correlation(3), PLACES, LABELS, SIZES),
    "strata": Strata(PLACES, LABELS, SIZES),
    "car1": ContinuousAR1(TIMES),
    "gaps": OrderedAR1(WHOLE),
    "arma": ARMA11(WHOLE),
    "exchangeable": Exchangeable(N),
    "power": Power(-V),
    "exponential": Exponential(V),
    "known": Known(KNOWN, np.arange(N)),
    "function": RandomFunction(V, 1.5),
    "car1 by strata": Product(ContinuousAR1(TIMES), Strata(PLACES, LABELS, SIZES)),
    "arma, strata, power": Product(ARMA11(WHOLE), Strata(PLACES, LABELS, SIZES), Power(V)),
    "correlation by strata": Product(
        Indexed(Correlation(3), PLACES, LABELS, SIZES), Strata(PLACES, LABELS, SIZES), Exponential(V)
    ),
    "known by power": Product(Known(KNOWN, np.arange(N)), Power(V)),
}
everywhere = pytest.mark.parametrize("name", STRUCTURES)
LOWER = np.tril_indices(N)


def matrix(structure, phi):
    i, j = (index.ravel() for index in np.indices((N, N)))
    return structure.between(i, j).at(np.asarray(phi, dtype=float)).values.reshape(N, N)


def some(structure):
    """Start values, others, and some around them, within the bounds."""
    rng = np.random.default_rng(structure.n_theta)
    starts = [structure.start(), *structure.other_starts()]
    near = [s + 0.15 * structure.scale() * rng.normal(size=structure.n_theta) for s in starts]
    return [np.maximum(phi, structure.lower + 0.05 * structure.scale()) for phi in (*starts, *near)]


def difference(function, phi, i, h=2e-2):
    """∂function/∂φ_i by central differences, extrapolated twice."""

    def central(step):
        move = step * (np.arange(len(phi)) == i)
        return (function(phi + move) - function(phi - move)) / (2.0 * step)

    table = [central(h / 2**level) for level in range(4)]
    for order in (1, 2, 3):
        table = [(4**order * fine - coarse) / (4**order - 1) for coarse, fine in pairwise(table)]
    return table[0]


# ---- the contract


@everywhere
def test_shapes_and_names(name):
    structure = STRUCTURES[name]
    n = structure.n_theta
    assert structure.lower.shape == structure.start().shape == structure.scale().shape == (n,)
    assert len(structure.names()) == n
    assert structure.other_starts()
    assert all(phi.shape == (n,) for phi in structure.other_starts())
    assert np.all(structure.scale() > 0.0)
    assert np.all(structure.start() >= structure.lower)


@everywhere
def test_slopes(name):
    structure = STRUCTURES[name]
    pairs = structure.between(*LOWER)
    for phi in some(structure):
        values = pairs.at(phi)
        weights = np.random.default_rng(1).normal(size=len(LOWER[0]))
        slopes = np.array([values.slope(i) for i in range(len(phi))]).reshape(len(phi), len(weights))
        np.testing.assert_allclose(values.contract(weights), slopes @ weights, rtol=1e-12, atol=1e-12)
        for i, unit in enumerate(structure.scale()):
            expected = difference(lambda at: pairs.at(at).values, phi, i, 0.005 * unit)
            np.testing.assert_allclose(slopes[i], expected, rtol=1e-8, atol=1e-9 / unit)


@everywhere
def test_bends(name):
    structure = STRUCTURES[name]
    pairs = structure.between(*LOWER)
    weights = np.random.default_rng(2).normal(size=len(LOWER[0]))
    for phi in some(structure):
        bend = pairs.at(phi).bend(weights)
        assert bend.shape == (len(phi), len(phi))
        np.testing.assert_allclose(bend, bend.T, rtol=1e-12, atol=1e-12)
        for i, unit in enumerate(structure.scale()):
            expected = difference(lambda at: pairs.at(at).contract(weights), phi, i, 0.005 * unit)
            np.testing.assert_allclose(bend[i], expected, rtol=1e-7, atol=1e-8 / unit / structure.scale().min())


@everywhere
def test_pairs_either_way_round_and_one_by_one(name):
    structure = STRUCTURES[name]
    for phi in some(structure):
        whole = matrix(structure, phi)
        np.testing.assert_allclose(whole, whole.T, rtol=1e-15, atol=0.0)
        alone = structure.between(np.array([3]), np.array([8])).at(phi)
        assert alone.values == pytest.approx(whole[3, 8], rel=1e-14)


@everywhere
def test_every_covariance_is_positive_semidefinite(name):
    structure = STRUCTURES[name]
    for phi in some(structure):
        values = np.linalg.eigvalsh(matrix(structure, phi))
        assert values[0] > -1e-12 * values[-1]


@everywhere
def test_the_canonical_parameters_give_the_same_covariance(name):
    structure = STRUCTURES[name]
    rng = np.random.default_rng(3)
    for start in some(structure):
        phi = np.where(np.isfinite(structure.lower), start, start + rng.normal(size=len(start)) * structure.scale() * 3)
        before = phi.copy()
        canonical = structure.canonical(phi)
        np.testing.assert_array_equal(phi, before)
        np.testing.assert_allclose(matrix(structure, canonical), matrix(structure, phi), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(structure.canonical(canonical), canonical, rtol=1e-9, atol=1e-9)


@everywhere
def test_what_is_reported_has_its_derivative(name):
    structure = STRUCTURES[name]
    for phi in some(structure):
        found = structure.reported(phi)
        for i, unit in enumerate(structure.scale()):
            slope = difference(lambda at: np.array([one.value for one in structure.reported(at)]), phi, i, 0.005 * unit)
            np.testing.assert_allclose([one.gradient[i] for one in found], slope, rtol=1e-8, atol=1e-9 / unit)
        assert all(one.kind in ("sd", "cor", "parameter") for one in found)


@everywhere
def test_structures_can_be_pickled(name):
    structure = STRUCTURES[name]
    again = pickle.loads(pickle.dumps(structure))
    np.testing.assert_array_equal(matrix(again, structure.start()), matrix(structure, structure.start()))


def labels(structure, phi):
    return [(one.kind, *one.labels) for one in structure.reported(np.asarray(phi, dtype=float))]


def values(structure, phi):
    return [one.value for one in structure.reported(np.asarray(phi, dtype=float))]


# ---- each one's covariances


def test_correlation_in_continuous_time():
    structure = ContinuousAR1(TIMES)
    phi = np.array([0.8])
    (rho,) = values(structure, phi)
    np.testing.assert_allclose(matrix(structure, phi), rho ** np.abs(np.subtract.outer(TIMES, TIMES)), rtol=1e-12)
    step = np.median(np.diff(TIMES))
    assert rho**step == pytest.approx(math.exp(-1 / 0.8), rel=1e-12)
    assert labels(structure, phi) == [("parameter", "rho")]


@pytest.mark.parametrize("u", [0.0, 1e-6, 1e-5])
def test_no_correlation_in_continuous_time_is_exact_and_level(u):
    pairs = ContinuousAR1(TIMES).between(*LOWER)
    found = pairs.at(np.array([u]))
    np.testing.assert_array_equal(found.values, (LOWER[0] == LOWER[1]).astype(float))
    assert np.all(found.slope(0) == 0.0)
    assert np.all(found.bend(np.ones(len(LOWER[0]))) == 0.0)


def test_no_correlation_is_none_however_long_the_steps_are():
    assert values(ContinuousAR1(1e6 * TIMES), [0.0]) == [0.0]


def test_units_of_time_do_not_matter_to_the_search():
    phi = np.array([0.6])
    np.testing.assert_allclose(
        matrix(ContinuousAR1(1e4 * TIMES), phi), matrix(ContinuousAR1(TIMES), phi), rtol=1e-10, atol=1e-15
    )


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.4, 1.0])
def test_gaps_count(rho):
    structure, phi = OrderedAR1(WHOLE), [math.asin(rho)]
    np.testing.assert_allclose(
        matrix(structure, phi), rho ** np.abs(np.subtract.outer(WHOLE, WHOLE)), rtol=1e-12, atol=1e-15
    )
    assert values(structure, phi) == pytest.approx([rho])


def test_gaps_agree_with_places():
    occasions = np.tile([0, 1, 3], 5)[:N]
    gaps = OrderedAR1(occasions.astype(float))
    indexed = Indexed(Autoregressive(4, True), occasions, ("1", "2", "3", "4"), np.ones(4))
    np.testing.assert_allclose(matrix(gaps, [0.5]), matrix(indexed, [0.5]), rtol=1e-12)
    assert labels(gaps, [0.5]) == labels(indexed, [0.5]) == [("parameter", "rho")]
    assert values(gaps, [0.5]) == pytest.approx(values(indexed, [0.5]), rel=1e-12)


@pytest.mark.parametrize(("ar", "ma"), [(0.8, -0.3), (-0.5, 0.6), (0.3, 0.0), (0.0, 0.5), (0.9, 0.95)])
def test_arma_is_the_correlation_of_the_process(ar, ma):
    """x_t = αx_{t−1} + e_t + βe_{t−1} has the weights 1, α+β, α(α+β), … on past e."""
    psi = np.concatenate([[1.0], (ar + ma) * ar ** np.arange(3000.0)])
    gamma = np.array([psi[: len(psi) - h] @ psi[h:] for h in range(int(np.ptp(WHOLE)) + 1)])
    lag = np.abs(np.subtract.outer(WHOLE, WHOLE)).astype(int)
    phi = [math.asin(ar), 2.0 * math.atan(ma)]
    structure = ARMA11(WHOLE)
    np.testing.assert_allclose(matrix(structure, phi), gamma[lag] / gamma[0], rtol=1e-9, atol=1e-12)
    assert labels(structure, phi) == [("parameter", "ar"), ("parameter", "ma")]
    assert values(structure, phi) == pytest.approx([ar, ma], rel=1e-10, abs=1e-12)


def test_a_moving_average_and_its_inverse_are_one():
    structure = ARMA11(WHOLE)
    for phi in ([0.5, 2.0], [0.5, -2.5], [2.5, 0.3], [0.2, 7.0]):
        _, ma = values(structure, phi)
        assert abs(ma) <= 1.0
        folded = structure.canonical(np.array(phi))
        np.testing.assert_allclose(values(structure, folded), values(structure, phi), rtol=1e-10)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_process_that_cancels_itself_is_a_covariance_still(sign):
    for shift in (0.0, 1e-9, 1e-6, 1e-3):
        phi = [sign * (math.pi / 2 - shift), -sign * (math.pi / 2 - shift)]
        found = matrix(ARMA11(WHOLE), phi)
        assert np.isfinite(found).all()
        assert np.linalg.eigvalsh(found)[0] > -1e-9


def test_exchangeable_rows():
    structure = Exchangeable(5)
    for rho in (-0.25, 0.0, 0.6, 1.0):
        phi = [structure._angle(rho)]
        expected = np.full((N, N), rho)
        np.fill_diagonal(expected, 1.0)
        np.testing.assert_allclose(matrix(structure, phi), expected, rtol=1e-12, atol=1e-12)
        five = Indexed(CompoundSymmetry(5, True), np.arange(5), tuple("abcde"), np.ones(5))
        i, j = (index.ravel() for index in np.indices((5, 5)))
        np.testing.assert_allclose(
            five.between(i, j).at(np.array(phi)).values.reshape(5, 5), expected[:5, :5], atol=1e-12
        )
        assert values(five, phi) == pytest.approx(values(structure, phi), abs=1e-12)


def test_deviations():
    sd = np.array([1.0, 0.5, 2.0])[PLACES]
    strata = Strata(PLACES, LABELS, SIZES)
    np.testing.assert_allclose(matrix(strata, [0.5, 2.0]), np.outer(sd, sd))
    assert labels(strata, [0.5, 2.0]) == [("sd", "a"), ("sd", "b"), ("sd", "c")]
    assert values(strata, [0.5, 2.0]) == [1.0, 0.5, 2.0]
    np.testing.assert_allclose(matrix(Power(-V), [0.7]), np.outer(V**0.7, V**0.7))
    np.testing.assert_allclose(matrix(Exponential(V), [-0.3]), np.outer(np.exp(-0.3 * V), np.exp(-0.3 * V)))
    assert labels(Power(V), [0.7]) == [("parameter", "power")]
    assert labels(Exponential(V), [0.7]) == [("parameter", "rate")]


def test_a_power_of_zero_is_refused():
    with pytest.raises(ValueError, match="zero somewhere"):
        Power(np.array([1.0, 0.0]))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.csc_array, sparse.csc_matrix])
def test_known_covariances(form):
    codes = RNG.permutation(N)
    found = matrix(Known(form(KNOWN), codes), [])
    np.testing.assert_array_equal(found, KNOWN[np.ix_(codes, codes)])


def test_products():
    sd = np.array([1.0, 0.5, 2.0])[PLACES] * V**0.4
    structure = STRUCTURES["arma, strata, power"]
    phi = [0.9, -0.2, 0.5, 2.0, 0.4]
    np.testing.assert_allclose(matrix(structure, phi), matrix(ARMA11(WHOLE), phi[:2]) * np.outer(sd, sd), rtol=1e-12)
    kinds = [("sd", "a"), ("sd", "b"), ("sd", "c"), ("parameter", "ar"), ("parameter", "ma"), ("parameter", "power")]
    assert labels(structure, phi) == kinds
    assert values(structure, phi)[:3] == [1.0, 0.5, 2.0]


def test_random_functions():
    structure = RandomFunction(V, 1.5)
    mean, distance = 0.5 * np.add.outer(V - 1.5, V - 1.5), np.abs(np.subtract.outer(V, V))
    expected = 0.8**2 * np.exp(0.3 * mean - 0.6 * distance)
    np.testing.assert_allclose(matrix(structure, [0.8, 0.3, 0.6]), expected, rtol=1e-12)
    np.testing.assert_allclose(matrix(structure, [-0.8, 0.3, 0.6]), expected, rtol=1e-12)
    assert values(structure, [-0.8, 0.3, 0.6]) == [0.8, 0.3, 0.6]
    np.testing.assert_array_equal(structure.canonical(np.array([0.0, 0.3, 0.6])), np.zeros(3))


def test_correlation_matrices():
    rng = np.random.default_rng(8)
    correlation = Correlation(5)
    for _ in range(5):
        C = np.corrcoef(rng.normal(size=(5, 9)))
        theta = correlation.from_covariance(4.0 * C)
        assert theta[0] == pytest.approx(2.0, rel=1e-12)
        T = correlation.factor(theta).T
        np.testing.assert_allclose(T, semidefinite_cholesky(4.0 * C), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="one variance"):
        correlation.from_covariance(np.diag([1.0, 2.0, 1.0, 1.0, 1.0]))


def test_a_singular_correlation_matrix_is_reached():
    C = np.array([[1.0, 1.0, 0.3], [1.0, 1.0, 0.3], [0.3, 0.3, 1.0]])
    correlation = Correlation(3)
    theta = correlation.from_covariance(C)
    assert theta[1] == 0.0
    T = correlation.factor(correlation.canonical(theta)).T
    np.testing.assert_allclose(T @ T.T, C, atol=1e-14)
    assert correlation.boundary(theta, np.full(4, 1e-6))[0] == (1, 0.0)


def test_an_indexed_correlation_matrix_reports_correlations():
    structure = STRUCTURES["correlation"]
    assert labels(structure, structure.start()) == [("cor", "b", "a"), ("cor", "c", "a"), ("cor", "c", "b")]
    assert values(structure, structure.start()) == pytest.approx([0.0] * 3, abs=1e-15)
    assert labels(STRUCTURES["us"], STRUCTURES["us"].start())[:3] == [("sd", "a"), ("sd", "b"), ("sd", "c")]
    assert labels(STRUCTURES["ar1, variances"], [1.0, 1.0, 0.2])[3:] == [("parameter", "rho")]
    two = Indexed(CompoundSymmetry(2, False), PLACES[:3] % 2, ("a", "b"), np.ones(2))
    assert labels(two, two.start())[2:] == [("cor", "b", "a")]


# ---- the boundary


BOUNDARIES = [
    ("car1", [1e-4], [(0, 0.0)]),
    ("car1", [0.14], [(0, 0.0)]),
    ("car1", [0.15], []),
    ("gaps", [math.pi / 2 - 1e-4], [(0, math.pi / 2)]),
    ("gaps", [0.3], []),
    ("arma", [-math.pi / 2 + 1e-4, 0.2], [(0, -math.pi / 2)]),
    ("arma", [0.2, math.pi / 2], []),
    ("exchangeable", [1e-4], [(0, 0.0)]),
    ("strata", [1e-4, 0.5], [(0, 0.0)]),
    ("function", [0.5, 0.0, 1e-4], [(2, 0.0)]),
    ("function", [-1e-4, 0.0, 0.4], [(0, 0.0)]),
    ("correlation", [1.0, math.pi - 1e-4, 1.0], [(1, math.pi)]),
    ("car1 by strata", [0.5, 1e-4, 0.4], [(1, 0.0)]),
    ("arma, strata, power", [math.pi / 2, 0.1, 0.4, 1e-4, 0.0], [(0, math.pi / 2), (3, 0.0)]),
    ("power", [0.0], []),
]


@pytest.mark.parametrize(("name", "phi", "expected"), BOUNDARIES)
def test_boundary(name, phi, expected):
    structure = STRUCTURES[name]
    found = structure.boundary(np.array(phi), 1e-3 * np.ones(len(phi)))
    assert found == expected
    for i, value in found:
        at = np.array(phi)
        at[i] = value
        eigenvalues = np.linalg.eigvalsh(matrix(structure, at))
        assert eigenvalues[0] < 1e-8 * max(eigenvalues[-1], 1.0) or name == "car1"


PRODUCTS = [name for name, structure in STRUCTURES.items() if isinstance(structure, Product)]


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name not in PRODUCTS])
def test_pinned_parameters_are_those_without_slope(name):
    structure = STRUCTURES[name]
    ends = [np.array(phi) for of, phi, _ in BOUNDARIES if of == name]
    # Strata alone have no covariances; in a product see below.
    pairs = structure.between(np.arange(N), np.arange(N)) if name == "strata" else structure.between(*LOWER)
    for phi in [*some(structure), *ends, np.zeros(structure.n_theta)]:
        at = phi.copy()
        for i, value in structure.boundary(phi, 1e-3 * np.ones(len(phi))):
            at[i] = value
        slopes = np.array([np.abs(pairs.at(at).slope(i)).max() for i in range(len(at))])
        np.testing.assert_array_equal(structure.pinned(at), slopes <= 1e-13)


@pytest.mark.parametrize("name", PRODUCTS)
def test_pinned_parameters_of_products_are_those_of_the_parts(name):
    structure = STRUCTURES[name]
    for phi in [*some(structure), np.zeros(structure.n_theta)]:
        pieces = zip(structure.parts, structure.split(phi), strict=True)
        expected = np.concatenate([part.pinned(piece) for part, piece in pieces])
        np.testing.assert_array_equal(structure.pinned(phi), expected)
