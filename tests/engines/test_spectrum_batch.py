"""The spectrum of one random effect, sums over it as functions of the ratio, and the slope of the criterion."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lmmpy import Relatedness, lmer
from lmmpy.engines import spectrum_batch
from lmmpy.engines.crossproducts import fixed_basis, with_response
from lmmpy.engines.spectrum_batch import Spectrum, spectrum_of
from lmmpy.engines.spectrum_curves import ANGLES, RATIOS, coefficients, curve_values, relative_ratios
from lmmpy.engines.spectrum_search import _derivatives, _value, optima
from lmmpy.engines.spectrum_sums import ColumnSums, NullSums, cholesky_factors, inverse_factors


def design(rank=None, levels=12, weights=True):
    rng = np.random.default_rng(4)
    id = np.concatenate([np.arange(levels), rng.integers(0, levels, 8)])
    F = rng.normal(size=(levels, rank or 2 * levels))
    data = pd.DataFrame({"id": id, "x": rng.normal(size=len(id)), "w": rng.uniform(0.5, 2.0, len(id))})
    data["y"] = 1.0 + data.x + (F @ rng.normal(size=F.shape[1]))[id] + rng.normal(size=len(id))
    K = Relatedness.from_genotypes(F, labels=range(levels)) if rank else Relatedness(F @ F.T, labels=range(levels))
    fit = lmer("y ~ x + kin(id, K)", data, relmat={"K": K}, weights=data.w if weights else None)
    return fit.criterion.design


def dense(design):
    term = design.random[0]
    Z = np.eye(term.n_levels)[term.codes] * term.values
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    return np.outer(root, root) * (Z @ term.relatedness.dense() @ Z.T)


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("weights", [True, False])
def test_the_spectrum_is_that_of_the_covariance(rank, weights):
    some = design(rank, weights=weights)
    spectrum = spectrum_of(some)
    H = spectrum.inside(np.eye(some.n)).T
    assert H.shape == (some.n, rank or 12)
    assert not spectrum.is_complete
    np.testing.assert_allclose((H * spectrum.eigenvalues) @ H.T, dense(some), atol=1e-12)
    np.testing.assert_allclose(H.T @ H, np.eye(H.shape[1]), atol=1e-13)
    assert spectrum.typical == pytest.approx(np.trace(dense(some)) / some.n, rel=1e-13)


def test_too_many_related_levels_are_left_to_others(monkeypatch):
    monkeypatch.setattr(spectrum_batch, "_LARGEST", 11)
    assert spectrum_of(design()) is None
    assert spectrum_of(design(rank=3)) is not None


def test_several_random_effects_are_left_to_others():
    some = design()
    assert spectrum_of(replace(some, random=some.random * 2)) is None
    assert spectrum_of(replace(some, random=())) is None


ANYWHERE = np.concatenate([np.random.default_rng(1).uniform(0.0, np.pi, 50), [0.0, np.pi], ANGLES[[1, 64]]])


@pytest.mark.parametrize("d", [0.0, 1e-12, 1e-4, 0.3, 1.0, 1.7, 40.0, 1e4])
def test_one_polynomial_gives_every_term_of_a_sum(d):
    def term(ratio):
        return np.sqrt(1.0 + ratio) / (1.0 + ratio * d)

    found = (curve_values(ANYWHERE) @ coefficients(term(RATIOS)[:, None]))[:, 0, 0]
    wanted = term(relative_ratios(ANYWHERE))
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-14 * wanted.max())


def test_derivatives_in_the_angle():
    """Of 1/(1 + λd): λ is the exponential of 5 log(10) cos φ."""
    reach, d = 5.0 * np.log(10.0), 0.8
    found = curve_values(ANYWHERE) @ coefficients(1.0 / (1.0 + RATIOS * d)[:, None])
    f = 1.0 / (1.0 + relative_ratios(ANYWHERE) * d)
    by_log, twice = -f * (1.0 - f), f * (1.0 - f) * (1.0 - 2.0 * f)
    first, second = -reach * np.sin(ANYWHERE), -reach * np.cos(ANYWHERE)
    np.testing.assert_allclose(found[:, 1, 0], by_log * first, atol=1e-12)
    np.testing.assert_allclose(found[:, 2, 0], twice * first**2 + by_log * second, atol=1e-10)


def sums(k, w=3):
    some = design()
    basis = with_response(some, *fixed_basis(some))
    rng = np.random.default_rng(8)
    G = np.empty((k, some.n, w))
    for test in range(w):
        Q = np.linalg.qr(np.column_stack([basis.Q, rng.normal(size=(some.n, k))]))[0]
        G[:, :, test] = Q[:, some.p :].T
    Gte = np.array([basis.columns[:, -1] @ columns for columns in G])
    return some, basis, G, ColumnSums.of(NullSums(spectrum_of(some), basis.columns), G, Gte)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_gram_matrices_and_determinants(k):
    some, basis, G, found = sums(k)
    S, angles = dense(some), np.array([0.4, 1.5, 2.9])
    gram, logdet = found.gram_at(angles, np.arange(3))
    for test, ratio in enumerate(relative_ratios(angles) / found.null.spectrum.typical):
        V = (np.eye(some.n) + ratio * S) / np.sqrt(1.0 + ratio * found.null.spectrum.typical)
        F = np.column_stack([basis.Q, G[:, :, test].T, basis.columns[:, -1]])
        np.testing.assert_allclose(gram[test, 0], F.T @ np.linalg.solve(V, F), atol=1e-13)
        np.testing.assert_allclose(found.gram_at_zero(np.array([test]))[0], F.T @ F, atol=1e-13)
        assert logdet[test, 0] == pytest.approx(np.linalg.slogdet(V)[1], abs=1e-10)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_slope_and_bend(k, reml):
    found = sums(2)[3].leading(k)
    dof, tests = 20 - (2 + k) * reml, np.arange(3)
    angle = np.array([0.9, 1.6, 2.2])

    def value(shift):
        gram, logdet = found.gram_at(angle + shift, tests)
        return _value(cholesky_factors(gram[:, 0]), logdet[:, 0], dof, reml)

    def central(h):
        return np.array([value(h) - value(-h), (value(h) + value(-h) - 2.0 * value(0.0)) * 2.0 / h]) / (2.0 * h)

    one, two, four = central(8e-3), central(4e-3), central(2e-3)  # Richardson
    first, second = (4.0 * two - one) / 3.0, (4.0 * four - two) / 3.0
    np.testing.assert_allclose(_derivatives(found, dof, reml, angle, tests), (16.0 * second - first) / 15.0, rtol=1e-7)


def test_small_factors():
    A = np.random.default_rng(2).normal(size=(5, 4, 9))
    A = A @ A.transpose(0, 2, 1)
    L = cholesky_factors(A)
    np.testing.assert_allclose(L, np.linalg.cholesky(A), atol=1e-12)
    np.testing.assert_allclose(inverse_factors(L) @ L, np.broadcast_to(np.eye(4), A.shape), atol=1e-12)
    A[3] = -A[3]
    assert np.isnan(cholesky_factors(A)[3]).any()


def test_the_optimum_is_stationary_or_at_an_end():
    found = sums(1)[3]
    for reml in (True, False):
        best = optima(found, reml)
        inner = ~np.isnan(best.angle) & (best.angle > 1e-3) & (best.angle < np.pi - 1e-3)
        assert inner.any()
        slope, bend = _derivatives(found, 20 - 3 * reml, reml, best.angle[inner], np.flatnonzero(inner))
        assert (np.abs(slope) < 1e-9 * bend).all()


def test_a_spectrum_of_unrelated_levels_is_their_counts():
    data = pd.DataFrame({"g": np.repeat(list("abc"), [4, 2, 3]), "y": np.random.default_rng(0).normal(size=9)})
    with pytest.warns(UserWarning):
        some = lmer("y ~ 1 + (1 | g)", data).criterion.design
    spectrum = spectrum_of(some)
    assert isinstance(spectrum, Spectrum)
    assert sorted(spectrum.eigenvalues) == pytest.approx([2.0, 3.0, 4.0])
