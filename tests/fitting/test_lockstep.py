"""Searches side by side against brute force, SOLAR, and the ordinary search for one model after the other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lmmpy as lmm
from lmmpy.engines import make_criterion
from lmmpy.engines.block_batch import BlockFamilies, Problems, block_families
from lmmpy.fitting import Control, fit_theta
from lmmpy.fitting.lockstep import _bounded_minimiser, minimise_together
from lmmpy.relatedness import Pedigree, Relatedness

Array = NDArray[Any]

# SOLAR-Eclipse 8.5.1 on the family study, bmi ~ age + sex: LOD, h2r and h2q1 every 5 cM of chromosome 1.
SOLAR = np.array(
    [
        [0.0943, 0.703436, 0.040843],
        [0.2382, 0.676898, 0.066737],
        [0.2397, 0.668267, 0.072159],
        [0.5890, 0.633054, 0.111034],
        [0.6060, 0.637501, 0.110164],
        [0.6951, 0.626369, 0.119762],
        [0.7908, 0.615537, 0.129611],
        [1.3580, 0.570701, 0.174760],
        [4.4138, 0.393206, 0.336251],
        [3.1812, 0.456192, 0.277618],
        [1.9539, 0.473188, 0.227321],
        [0.6747, 0.571352, 0.144074],
        [0.1296, 0.682623, 0.054695],
        [0.1961, 0.668353, 0.064815],
        [0.0509, 0.705641, 0.031589],
        [0.1122, 0.683541, 0.049532],
        [0.5079, 0.622328, 0.104343],
        [0.9213, 0.602540, 0.133702],
        [1.0353, 0.604733, 0.137227],
        [0.3203, 0.661585, 0.075249],
        [1.0641, 0.602563, 0.144556],
    ]
)
MODELS = ["bmi ~ age + sex + kin(ID, ped)", "bmi ~ age + sex + kin(ID, ped) + (1 | household)"]


@cache
def null(formula: str, reml: bool) -> Any:
    ped = Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    return lmm.lmer(formula, lmm.datasets.load("family"), reml=reml, relmat={"ped": ped})


def families_of(fit: Any, reml: bool) -> BlockFamilies:
    found = block_families(fit.design, reml)
    assert found is not None
    return found


def null_shares(fit: Any, reml: bool) -> Array:
    return families_of(fit, reml).shares(np.asarray(fit.theta))


@cache
def sharing(formula: str) -> list[tuple[Array, Array, Array]]:
    """Pairs of rows of the model at each position."""
    ids = lmm.datasets.load("family").ID[null(formula, False).design.rows].to_numpy()
    row = np.full(ids.max() + 100, -1)
    row[ids] = np.arange(len(ids))
    found = []
    for _, part in lmm.datasets.load("family_ibd").groupby("position"):
        first, second = row[part.id1], row[part.id2]
        here = (first >= 0) & (second >= 0)
        found.append((first[here], second[here], part.ibd.to_numpy()[here]))
    return found


def starts(shares: Array) -> tuple[Array, Array]:
    """The null's, and half of its first share at the locus."""
    start = np.insert(shares, -1, 0.0)
    probe = start.copy()
    probe[[0, -2]] = 0.5 * start[0]
    return start, probe


def test_linkage_agrees_with_solar() -> None:
    fit = null(MODELS[0], False)
    problems = families_of(fit, False).with_kernels(sharing(MODELS[0]))
    start, probe = starts(null_shares(fit, False))
    found = minimise_together(problems, start, probe=probe)
    assert found.converged.all() and not found.at_boundary.any()
    lod = (fit.criterion.evaluate(np.asarray(fit.theta)).value - found.value) / (2.0 * np.log(10.0))
    np.testing.assert_allclose(lod, SOLAR[:, 0], atol=1e-4)
    np.testing.assert_allclose(found.shares[:, :2], SOLAR[:, 1:], atol=1e-5)
    assert found.evaluations.max() <= 8


@pytest.mark.parametrize("reml", [False, True])
def test_linkage_is_the_ordinary_fit_with_one_more_term(reml: bool) -> None:
    fit = null(MODELS[1], reml)
    pairs = [sharing(MODELS[1])[place] for place in (8, 14)]
    start, probe = starts(null_shares(fit, reml))
    found = minimise_together(families_of(fit, reml).with_kernels(pairs), start, probe=probe)
    for j, (first, second, value) in enumerate(pairs):
        K = np.zeros((fit.design.n, fit.design.n))
        K[first, second] = K[second, first] = value
        row = [str(i) for i in range(len(K))]
        grouping = replace(fit.design.random[0].grouping, codes=np.arange(len(K)), levels=np.array(row))
        locus = replace(fit.design.random[0], name="locus", grouping=grouping, relatedness=Relatedness(K, labels=row))
        criterion = make_criterion(replace(fit.design, random=(*fit.design.random, locus)), reml)
        optimum = fit_theta(criterion, Control(), start=np.array([*fit.theta, 0.5]))
        assert found.value[j] == pytest.approx(optimum.evaluation.value, abs=1e-7)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("formula", MODELS)
def test_association_is_the_ordinary_fit_with_one_more_column(formula: str, reml: bool) -> None:
    fit = null(formula, reml)
    frame = lmm.datasets.load("family").merge(lmm.datasets.load("family_genotypes"), suffixes=("", "_again"), on="ID")
    snps = ["snp7", "snp1", "snp20", "snp45"]
    problems = families_of(fit, reml).with_columns(frame.loc[fit.design.rows, snps].to_numpy(dtype=float))
    found = minimise_together(problems, null_shares(fit, reml))
    estimates = problems.estimates(found.shares)
    assert found.converged.all() and found.evaluations.max() <= 8
    ped = Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    for j, snp in enumerate(snps):
        refit = lmm.lmer(formula.replace("sex", f"sex + {snp}"), frame, reml=reml, relmat={"ped": ped})
        solution = refit.criterion.solve(np.asarray(refit.theta))
        place = refit.design.names.index(snp)
        error = solution.sigma * np.sqrt(solution.unscaled_vcov[place, place])
        value = refit.criterion.evaluate(np.asarray(refit.theta)).value
        assert found.value[j] == pytest.approx(value, abs=1e-8)
        assert estimates.beta[j, 0] == pytest.approx(solution.beta[place], abs=1e-4 * error)
        assert np.sqrt(estimates.vcov[j, 0, 0]) == pytest.approx(error, rel=1e-5)


def test_a_problem_takes_the_same_steps_in_any_company() -> None:
    formula = MODELS[1]
    fit, some = null(formula, False), [0, 8, 12, 20]
    families = families_of(fit, False)
    start, probe = starts(null_shares(fit, False))
    pairs = sharing(formula)
    whole = minimise_together(families.with_kernels(pairs), start, probe=probe)
    for places in ([8], some, [12, 3]):
        part = minimise_together(families.with_kernels([pairs[i] for i in places]), start, probe=probe)
        assert np.array_equal(part.shares, whole.shares[places]) and np.array_equal(part.value, whole.value[places])
        assert np.array_equal(part.evaluations, whole.evaluations[places])


@dataclass(frozen=True)
class Toy:
    """A function of the share q of one kernel; its curvature held up where it is not convex."""

    value: Any
    slope: Any
    bend: Any
    count: int = 1

    def evaluate(self, places: Array, shares: Array, derivatives: bool = True) -> Any:
        q, m = shares[:, 0], len(places)
        gradient, information = np.zeros((m, 2)), np.zeros((m, 2, 2))
        gradient[:, 0], information[:, 0, 0] = self.slope(q), np.maximum(self.bend(q), 1.0)
        return type("Values", (), {"value": self.value(q), "gradient": gradient, "information": information})


# Its minima are 0, where it is 0, and 0.7887, where it is −0.3849.
TWO_WELLS = Toy(lambda q: 4 * q - 12 * q**2 + 8 * q**3, lambda q: 4 - 24 * q + 24 * q**2, lambda q: 48 * q - 24)


def test_a_probe_finds_the_better_of_two_minima() -> None:
    at_zero = np.array([0.0, 1.0])
    without = minimise_together(TWO_WELLS, at_zero)
    assert without.converged[0] and without.at_boundary[0] and without.value[0] == 0.0
    found = minimise_together(TWO_WELLS, at_zero, probe=np.array([0.7, 0.3]))
    assert found.converged[0] and not found.at_boundary[0]
    assert found.shares[0, 0] == pytest.approx(0.5 + np.sqrt(1.0 / 12.0), abs=1e-5)
    # Of a minimum on the boundary other places are looked at too: they find what a probe in the first well does not,
    higher = minimise_together(TWO_WELLS, at_zero, probe=np.array([0.3, 0.7]))
    assert higher.value[0] == pytest.approx(found.value[0], abs=1e-9)
    # and where the boundary is best they cost a value each and change nothing.
    slope = Toy(lambda q: q, lambda q: 1.0 + 0.0 * q, lambda q: 0.0 * q)
    lowest, alone = minimise_together(slope, at_zero, probe=np.array([0.3, 0.7])), minimise_together(slope, at_zero)
    assert lowest.value[0] == 0.0 and lowest.evaluations[0] == alone.evaluations[0] + 6


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
@pytest.mark.parametrize(("seed", "reml"), [(2, True), (6, True), (11, True)])
def test_minima_on_the_boundary_are_no_local_ones(seed: int, reml: bool) -> None:
    """Kernels of very unequal eigenvalues and heavy tails make several minima."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(15, 40))
    spectrum, Q = np.exp(rng.normal(0, rng.uniform(0.5, 4), n)), np.linalg.qr(rng.normal(size=(n, n)))[0]
    K = (Q * spectrum) @ Q.T
    ids = [f"i{j}" for j in range(n)]
    kin = Relatedness(0.5 * (K + K.T) * n / np.trace(K), labels=ids)
    frame = {"y": rng.standard_t(2, size=n), "x": rng.normal(size=n), "id": ids}
    fit = lmm.lmer("y ~ x + kin(id, kin)", frame, relmat={"kin": kin})
    problems = families_of(fit, reml).with_columns(rng.normal(size=(n, 200)))
    start = null_shares(fit, reml)
    found = minimise_together(problems, start, probe=0.5 * (start + 0.5))
    least, everyone = np.full(200, np.inf), np.arange(200)
    for q in [*np.linspace(0.02, 0.98, 49), 0.99, 0.999]:
        least = np.fmin(least, problems.evaluate(everyone, np.tile([q, 1.0 - q], (200, 1)), derivatives=False).value)
    assert (found.value[found.at_boundary] <= least[found.at_boundary] + 1e-3).all()


@pytest.mark.parametrize("best", [-0.1, 0.3, 1.2])
def test_from_any_corner_to_any_other(best: float) -> None:
    bowl = Toy(lambda q: 9.0 * (q - best) ** 2, lambda q: 18.0 * (q - best), lambda q: 18.0 + 0.0 * q)
    for start in ([0.0, 1.0], [1.0, 0.0], [0.6, 0.4]):
        found = minimise_together(bowl, np.array(start))
        assert found.converged[0] and found.at_boundary[0] == (best != 0.3)
        assert found.shares[0, 0] == pytest.approx(np.clip(best, 0.0, 1.0), abs=0.0 if best != 0.3 else 1e-8)


@cache
def simulated(m: int) -> tuple[BlockFamilies, list[tuple[Array, Array, Array]]]:
    """Families of six, and kernels of which the trait has nothing."""
    rng = np.random.default_rng(m)
    g = np.repeat(np.arange(30), 6)
    frame = {"y": rng.normal(size=180) + 0.4 * rng.normal(size=30)[g], "v": rng.normal(size=180), "g": g.astype(str)}
    families = block_families(lmm.lmer("y ~ v + (1 | g)", frame).design, True)
    assert families is not None
    further = []
    for _ in range(m):
        root = rng.normal(size=(180, 180))
        K = np.where(g[:, None] == g, root @ root.T / 180.0, 0.0)
        first, second = np.nonzero(np.triu(K))
        further.append((first, second, K[first, second]))
    return families, further


def test_nothing_nearby_is_lower() -> None:
    families, further = simulated(8)
    problems = families.with_kernels(further)
    found = minimise_together(problems, np.array([0.3, 0.1, 0.6]))
    assert found.converged.all() and found.at_boundary.any() and not found.at_boundary.all()
    assert_least(problems, found.shares, found.value)


def assert_least(problems: Problems, shares: Array, value: Array) -> None:
    """Against moves of two sizes between any two shares."""
    T, everyone = shares.shape[1], np.arange(problems.count)
    for size, (a, b) in itertools.product((1e-3, 0.05), itertools.permutations(range(T), 2)):
        moved = shares.copy()
        part = np.minimum(size, moved[:, a])
        moved[:, a] -= part
        moved[:, b] += part
        assert (problems.evaluate(everyone, moved, derivatives=False).value >= value - 1e-9).all()


def test_a_start_without_a_value_is_left_to_the_probe() -> None:
    families = simulated(1)[0]
    nothing_left = np.array([1.0, 0.0])  # six rows a level, so that V is singular without a residual
    nowhere = minimise_together(families.alone(), nothing_left)
    assert not nowhere.converged[0] and np.isinf(nowhere.value[0])
    found = minimise_together(families.alone(), nothing_left, probe=np.array([0.5, 0.5]))
    from_the_middle = minimise_together(families.alone(), np.array([0.5, 0.5]))
    assert found.converged[0] and found.value[0] == pytest.approx(from_the_middle.value[0], abs=1e-9)


def test_a_residual_alone_has_nothing_to_search() -> None:
    families, _ = simulated(1)
    design = replace(families.design, random=())
    linear = block_families(design, False)
    assert linear is not None
    found = minimise_together(linear.alone(), np.ones(1))
    residual = design.y - design.X @ np.linalg.lstsq(design.X, design.y, rcond=None)[0]
    assert found.converged[0] and found.evaluations[0] == 1
    assert found.value[0] == pytest.approx(design.n * (1.0 + np.log(2.0 * np.pi * np.mean(residual**2))), rel=1e-12)
    assert minimise_together(linear.with_kernels([]), np.ones(1)).value.shape == (0,)


def test_collinear_columns_do_not_converge_and_hinder_nobody() -> None:
    fit = null(MODELS[0], False)
    rng = np.random.default_rng(3)
    g = rng.normal(size=fit.design.n)
    families, shares = families_of(fit, False), null_shares(fit, False)
    both = minimise_together(families.with_columns(np.column_stack([fit.design.X[:, 1], g])), shares)
    alone = minimise_together(families.with_columns(g[:, None]), shares)
    assert both.converged.tolist() == [False, True]
    assert both.value[1] == alone.value[0]


def test_steps_on_faces_are_the_constrained_minimisers() -> None:
    rng = np.random.default_rng(11)
    for T in (1, 2, 3, 5):
        root = rng.normal(size=(40, T, T + 1))
        B = root @ root.transpose(0, 2, 1)
        g, y = 2.0 * rng.normal(size=(40, T)), rng.uniform(0.0, 0.5, size=(40, T)) * (rng.random((40, T)) < 0.7)
        found = _bounded_minimiser(g, B, y)
        assert (found >= -y).all()
        for j in range(40):
            assert quadratic(g[j], B[j], found[j]) == pytest.approx(lowest(g[j], B[j], y[j]), abs=1e-9)


def quadratic(g: Array, B: Array, s: Array) -> float:
    return float(g @ s + 0.5 * s @ B @ s)


def lowest(g: Array, B: Array, y: Array) -> float:
    """Over all faces."""
    best = np.inf
    for face in itertools.product([False, True], repeat=len(g)):
        free, s = ~np.array(face), -y
        if free.any():
            s[free] = np.linalg.solve(B[np.ix_(free, free)], -(g + B @ np.where(free, 0.0, s))[free])
        if (s >= -y - 1e-12).all():
            best = min(best, quadratic(g, B, s))
    return best
