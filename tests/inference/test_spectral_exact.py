"""Exact tests with one random effect against brute force: a dense V, a likelihood maximised over λ from many starts."""

import pickle
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from threadpoolctl import threadpool_limits

from lmmpy import Relatedness, lmer
from lmmpy.engines import threads as threads_module
from lmmpy.errors import ModelError
from lmmpy.inference.spectral_exact import ExactTests, GroupTests, spectral_exact
from tests.naive import STEP, logdet

# Of brute force, at the root of a slope.
DIGITS = 1e-8


def related(n, rng, rank=None):
    """A covariance of n levels, or the columns of one of low rank."""
    F = rng.normal(size=(n, rank or 2 * n))
    F[n // 2 :] += 0.8 * F[: n - n // 2]
    return F / np.sqrt(F.shape[1])


def problem(kind):
    """Formula, data, relatedness of a null model."""
    rng = np.random.default_rng(7)
    if kind in ("kinship", "low rank", "weights", "offset"):
        n = 60
        F = related(n, rng, 12 if kind == "low rank" else None)
        data = pd.DataFrame({"id": range(n), "x": rng.normal(50.0, 3.0, n)})
        data["y"] = 0.2 * data.x + 1.5 * F @ rng.normal(size=F.shape[1]) + rng.normal(size=n)
        data["w"], data["o"] = rng.uniform(0.3, 3.0, n), rng.normal(size=n)
        K = Relatedness.from_genotypes(F * np.sqrt(F.shape[1]), labels=range(n)) if kind == "low rank" else None
        return "y ~ x + kin(id, K)", data, {"K": K or Relatedness(F @ F.T, labels=range(n))}
    id = np.repeat(np.arange(25), rng.integers(1, 5, 25))
    n = len(id)
    data = pd.DataFrame({"id": id, "x": rng.normal(size=n), "w": rng.uniform(0.3, 3.0, n)})
    F = related(25, rng)
    b = rng.normal(size=25) if kind == "groups" else F @ rng.normal(size=50)
    data["y"] = 3.0 + 0.5 * data.x + b[id] * (data.x if kind == "slope" else 1.0) + rng.normal(size=n)
    if kind == "groups":
        return "y ~ x + (1 | id)", data, {}
    if kind == "blocks":
        K = np.kron(np.eye(5), np.full((5, 5), 0.5) + 0.5 * np.eye(5))
        return "y ~ 1 + kin(id, K)", data, {"K": Relatedness(K, labels=range(25))}
    formula = "y ~ x + (0 + x | kin(id, K))" if kind == "slope" else "y ~ x + kin(id, K)"
    return formula, data, {"K": Relatedness(F @ F.T, labels=range(25))}


KINDS = [
    "kinship",
    "low rank",
    "weights",
    "offset",
    "groups",
    "blocks",
    "repeated",
    "weighted repeats",
    "slope",
]


def null(kind, reml=True):
    formula, data, relmat = problem(kind)
    options = {"weights": data.w} if kind.startswith("weight") else {}
    if kind == "offset":
        options["offset"] = data.o
    return lmer(formula, data, relmat=relmat, reml=reml, **options)


def columns(n, m=6, seed=3):
    rng = np.random.default_rng(seed)
    return rng.binomial(2, 0.3, (n, m)).astype(float) + 0.01 * rng.normal(size=(n, m))


class Naive:
    """One model by textbook formulas: V = W⁻¹ + λ ZKZᵀ."""

    def __init__(self, design, G):
        term = design.random[0]
        Z = np.zeros((design.n, term.n_levels))
        Z[np.arange(design.n), term.codes] = term.values[:, 0]
        self.S = Z @ term.relatedness.dense() @ Z.T
        self.R = np.eye(design.n) if design.weights is None else np.diag(1.0 / design.weights)
        self.y = design.y if design.offset is None else design.y - design.offset
        self.X = np.column_stack([design.X, G])
        self.n, self.p = self.X.shape

    def at(self, ratio, reml):
        V = self.R + ratio * self.S
        VX = np.linalg.solve(V, self.X)
        vcov = np.linalg.inv(self.X.T @ VX)
        beta = vcov @ VX.T @ self.y
        r = self.y - self.X @ beta
        r2, dof = r @ np.linalg.solve(V, r), self.n - self.p * reml
        value = logdet(V) + dof * (1.0 + np.log(2.0 * np.pi * r2 / dof))
        return value - reml * logdet(vcov), beta, vcov, r2

    def valleys(self, reml):
        """All minima over the whole range, and λ there; the slope is by a complex step."""
        unit = self.n / np.trace(np.linalg.solve(self.R, self.S))
        grid = np.log(unit) + np.linspace(-np.log(1e5), np.log(1e5), 47)

        def value(t):
            return self.at(np.exp(t), reml)[0]

        def slope(t):
            return (self.at(np.exp(t + STEP * 1j), reml)[0] / STEP).imag

        values = np.array([value(t) for t in grid])
        padded = np.concatenate([[np.inf], values, [np.inf]])
        found = [(self.at(0.0, reml)[0], 0.0)]
        for i in np.flatnonzero((values <= padded[:-2]) & (values <= padded[2:])):
            low, high = grid[max(i - 1, 0)], grid[min(i + 1, 46)]
            falls, rises = slope(low) < 0.0, slope(high) > 0.0
            t = optimize.brentq(slope, low, high, xtol=1e-13) if falls and rises else (high if falls else low)
            found.append((value(t), float(np.exp(t))))
        return found

    def best(self, reml):
        """λ."""
        return min(self.valleys(reml))[1]


def by_brute_force(design, G):
    """The numbers of `ExactTests` for one group of columns."""
    k = G.shape[1]
    full, before = Naive(design, G), [Naive(design, G[:, :0]), Naive(design, G[:, : k - 1])]
    ratio_reml, ratio_ml = full.best(True), full.best(False)
    df = full.n - full.p
    out = {"ratio_reml": ratio_reml, "ratio_ml": ratio_ml, "loglik": -0.5 * full.at(ratio_ml, False)[0]}
    for name, model, few in zip(("joint", "last"), before, (k, 1), strict=True):
        _, beta, vcov, r2 = full.at(ratio_reml, True)
        b, C = beta[-few:], vcov[-few:, -few:]
        wald = b @ np.linalg.solve(C, b) / few / (r2 / df)
        null_ratio = model.best(False)
        lrt = model.at(null_ratio, False)[0] - full.at(ratio_ml, False)[0]
        with_r2, without_r2 = full.at(null_ratio, False)[3], model.at(null_ratio, False)[3]
        score = full.n * (without_r2 - with_r2) / (few * without_r2)
        out[name] = {"wald": wald, "p_wald": stats.f.sf(wald, few, df), "lrt": lrt, "p_lrt": stats.chi2.sf(lrt, few)}
        out[name] |= {"score": score, "p_score": stats.f.sf(score, few, df)}
    out["beta"], out["std_error"] = beta[-k:], np.sqrt(np.diag(vcov)[-k:] * r2 / df)
    return out


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_agrees_with_brute_force(kind, k):
    criterion = null(kind).criterion
    n = criterion.design.n
    G = columns(n, 2 * k)
    found = spectral_exact(criterion).tests(G, k=k)
    for i in range(2):
        naive = by_brute_force(criterion.design, G[:, i * k : (i + 1) * k])
        for name in ("beta", "std_error", "ratio_reml", "ratio_ml"):
            np.testing.assert_allclose(getattr(found, name)[i], naive[name], rtol=DIGITS, err_msg=name)
        assert found.loglik[i] == pytest.approx(naive["loglik"], rel=1e-10)
        for group in ("joint", "last"):
            for field in fields(GroupTests):
                value = getattr(getattr(found, group), field.name)[i]
                assert value == pytest.approx(naive[group][field.name], rel=DIGITS, abs=1e-10), (group, field.name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_the_model_with_the_column_in_the_formula(kind):
    """ML and REML fits by `lmer`, and the null model by ML."""
    formula, data, relmat = problem(kind)
    exact = spectral_exact(null(kind).criterion)
    assert exact.loglik == pytest.approx(null(kind, reml=False).loglik, abs=1e-8)
    g = columns(len(data), 1)
    options = {"weights": data.w} if kind.startswith("weight") else {}
    if kind == "offset":
        options["offset"] = data.o
    for test, reml in (("wald", True), ("lrt", False)):
        fit = lmer(formula + " + g", data.assign(g=g[:, 0]), relmat=relmat, reml=reml, **options)
        found = exact.tests(g, tests=(test,))
        assert found.beta[0, 0] == pytest.approx(fit.fixef["g"], abs=1e-5 * fit.se["g"])
        assert found.std_error[0, 0] == pytest.approx(fit.se["g"], rel=1e-6)
        ratio = found.ratio_reml if reml else found.ratio_ml
        assert ratio[0] == pytest.approx(fit.optimum.theta[0] ** 2, rel=1e-5, abs=1e-9)
    assert found.loglik[0] == pytest.approx(fit.loglik, abs=1e-8)


def test_an_effect_that_vanishes_has_a_ratio_of_exactly_zero():
    formula, data, relmat = problem("kinship")
    rng = np.random.default_rng(2)
    D, U = np.linalg.eigh(relmat["K"].dense())
    data["y"] = U @ (rng.normal(size=60) / np.sqrt(D))
    with pytest.warns(UserWarning):
        criterion = lmer(formula, data, relmat=relmat).criterion
    exact = spectral_exact(criterion)
    assert exact.ratio_ml == exact.ratio_reml == 0.0
    G = columns(60)
    found = exact.tests(G)
    assert found.ratio_reml.tolist() == [0.0] * 6
    naive = by_brute_force(criterion.design, G[:, :1])
    for name in ("wald", "lrt", "score"):
        assert getattr(found.joint, name)[0] == pytest.approx(naive["joint"][name], rel=1e-9)
    assert found.beta[0, 0] == pytest.approx(naive["beta"][0], rel=1e-9)


def test_an_effect_that_takes_all_ends_at_the_largest_ratio():
    formula, data, relmat = problem("kinship")
    data["y"] = np.linalg.cholesky(relmat["K"].dense() ** 2) @ np.random.default_rng(5).normal(size=60)
    data["y"] = np.linalg.matrix_power(relmat["K"].dense(), 3) @ data.y
    with pytest.warns(UserWarning):
        criterion = lmer(formula, data, relmat=relmat).criterion
    found = spectral_exact(criterion).tests(columns(60, 1))
    typical = np.trace(relmat["K"].dense()) / 60
    assert found.ratio_reml[0] * typical == pytest.approx(1e5, rel=1e-12)
    assert found.ratio_ml[0] * typical == pytest.approx(1e5, rel=1e-12)


@pytest.mark.filterwarnings("ignore::lmmpy.errors.LmmpyWarning")
def test_the_deeper_of_two_valleys():
    """A restricted likelihood with two maxima; which is the higher changes from column to column."""
    rng = np.random.default_rng(0)
    n, m = 40, 6
    d, squares = np.repeat([[0.272, 7.957, 0.00351], [40.94, 40.57, 1.811]], [16, 11, 13], axis=1)
    U = np.linalg.qr(rng.normal(size=(n, n)))[0]
    data = pd.DataFrame({"y": U @ (rng.choice([-1.0, 1.0], n) * np.sqrt(squares)), "id": range(n)})
    K = Relatedness((U * d) @ U.T, labels=range(n))
    criterion = lmer("y ~ 1 + kin(id, K)", data, relmat={"K": K}).criterion
    G = columns(n, m)
    found = spectral_exact(criterion).tests(G, tests=("wald", "lrt"))
    chosen = set()
    for i in range(m):
        naive = Naive(criterion.design, G[:, [i]])
        for reml, ratio in ((True, found.ratio_reml[i]), (False, found.ratio_ml[i])):
            best, inner = naive.best(reml), [ratio for _, ratio in naive.valleys(reml) if ratio > 0.0]
            assert ratio == pytest.approx(best, rel=DIGITS)
            chosen.add((len(inner), inner.index(best)))
    assert {(2, 0), (2, 1)} <= chosen


def test_columns_that_are_determined_have_no_test():
    criterion = null("kinship").criterion
    G = columns(60, 8)
    G[:, 1] = 0.1
    G[:, 3] = 3.0 * criterion.design.X[:, 1] - 1e3
    G[:, 5] = criterion.design.y
    G[:, 6] = 0.0
    found = spectral_exact(criterion).tests(G)
    assert found.collinear.tolist() == [False, True, False, True, False, True, True, False]
    assert np.isnan(found.p_wald).tolist() == found.collinear.tolist()
    assert np.isnan(found.beta[:, 0]).tolist() == found.collinear.tolist()
    others = spectral_exact(criterion).tests(G[:, ~found.collinear])
    np.testing.assert_array_equal(found.p_lrt[~found.collinear], others.p_lrt)
    pair = np.column_stack([G[:, 0], 2.0 * G[:, 0] + 1.0, G[:, 2], G[:, 4]])
    assert spectral_exact(criterion).tests(pair, k=2).collinear.tolist() == [True, False]


def test_rare_variants_and_codings():
    """One carrier among all, counted from either side and in any unit."""
    criterion = null("kinship").criterion
    g = np.zeros((60, 1))
    g[17] = 1.0
    found = spectral_exact(criterion).tests(np.column_stack([g, 2.0 - g, 1e-9 * g, 1e9 * g]))
    assert not found.collinear.any()
    np.testing.assert_allclose(found.beta[:, 0] * [1.0, -1.0, 1e-9, 1e9], found.beta[0, 0], rtol=1e-9)
    for p in (found.p_wald, found.p_lrt, found.p_score):
        np.testing.assert_allclose(p, p[0], rtol=1e-9)


def everything(found):
    """All numbers of a result, to the bit."""
    parts = [(found, field.name) for field in fields(ExactTests) if field.name not in ("joint", "last")]
    parts += [(group, field.name) for group in (found.joint, found.last) for field in fields(GroupTests)]
    return {f"{type(part).__name__} {name}": getattr(part, name) for part, name in parts}


def same(found, other, order=slice(None)):
    for (name, value), wanted in zip(everything(found).items(), everything(other).values(), strict=True):
        np.testing.assert_array_equal(value, wanted[order], err_msg=name)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("kind", ["kinship", "repeated", "low rank"])
def test_the_same_bits_in_any_company(kind, k, monkeypatch):
    exact = spectral_exact(null(kind).criterion)
    n, m = exact.n, 700 // k
    G = columns(n, m * k)
    whole = exact.tests(G, k=k)
    order = np.random.default_rng(1).permutation(m)
    groups = (order[:, None] * k + np.arange(k)).ravel()
    same(exact.tests(G[:, groups], k=k), whole, order)
    same(exact.tests(np.asfortranarray(G[:, groups[: 5 * k]]), k=k), whole, order[:5])
    with monkeypatch.context() as patch:
        patch.setattr(threads_module, "blas_threads", lambda: 3)
        same(exact.tests(G, k=k), whole)
    with threadpool_limits(2, user_api="blas"):
        same(exact.tests(G, k=k), whole)
    same(pickle.loads(pickle.dumps(exact)).tests(G, k=k), whole)


def test_only_what_is_asked_for():
    exact = spectral_exact(null("kinship").criterion)
    G = columns(60)
    whole = exact.tests(G)
    score, lrt = exact.tests(G, tests=("score",)), exact.tests(G, tests=("lrt", "score"))
    np.testing.assert_array_equal(score.p_score, whole.p_score)
    np.testing.assert_array_equal(lrt.p_lrt, whole.p_lrt)
    assert np.isnan(score.p_lrt).all() and np.isnan(score.ratio_ml).all() and np.isnan(lrt.p_wald).all()
    # The t of each estimate tells which test it is of: F of Wald, and n − p − 1 r²-shares of the score.
    np.testing.assert_allclose((whole.beta / whole.std_error)[:, 0] ** 2, whole.joint.wald, rtol=1e-10)
    t2, n, df = (score.beta / score.std_error)[:, 0] ** 2, 60, 60 - 3
    np.testing.assert_allclose(n * t2 / (df + t2), score.joint.score, rtol=1e-10)
    assert exact.tests(G[:, :0]).p_wald.shape == (0,)
    assert exact.tests(G[:, :1].astype(np.float32)).p_wald.shape == (1,)


def test_a_null_model_without_fixed_effects():
    _, data, relmat = problem("kinship")
    criterion = lmer("y ~ 0 + kin(id, K)", data, relmat=relmat).criterion
    G = columns(60, 1)
    naive, found = by_brute_force(criterion.design, G), spectral_exact(criterion).tests(G)
    for name in ("wald", "p_lrt", "score"):
        assert getattr(found.joint, name)[0] == pytest.approx(naive["joint"][name], rel=DIGITS)


def test_a_response_that_has_no_residual_beside_the_columns():
    """Exactly reproduced: no test, of the group as of the column alone."""
    criterion = null("kinship").criterion
    G = columns(60, 4)
    G[:, 1] = criterion.design.y - 0.5 * G[:, 0]
    assert spectral_exact(criterion).tests(G, k=2).collinear.tolist() == [True, False]
    G[:, 1] += 1e-4 * G[:, 3]
    found = spectral_exact(criterion).tests(G, k=2)
    assert not found.collinear.any()
    assert found.p_wald[0] < 1e-200


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_models_of_another_kind_are_left_to_others():
    _, data, relmat = problem("repeated")
    assert spectral_exact(lmer("y ~ x + kin(id, K) + (1 | id)", data, relmat=relmat).criterion) is None
    for formula in ("y ~ x + (x | id)", "y ~ x + (0 + x | id) + (1 | id)"):
        assert spectral_exact(lmer(formula, data).criterion) is None


def test_bad_input_is_refused():
    exact = spectral_exact(null("kinship").criterion)
    G = columns(60)
    with pytest.raises(ModelError, match=r"shape \(59, 6\).*60 rows"):
        exact.tests(G[1:])
    with pytest.raises(ModelError, match="multiple of k = 4"):
        exact.tests(G, k=4)
    with pytest.raises(ModelError, match="'wald', 'lrt', 'score'"):
        exact.tests(G, tests=("anova",))
    with pytest.raises(ModelError, match="as a tuple"):
        exact.tests(G, tests="wald")
    with pytest.raises(ModelError, match="leave nothing to test 58"):
        exact.tests(columns(60, 58), k=58)
    G[3, 4] = np.nan
    with pytest.raises(ModelError, match="missing or infinite"):
        exact.tests(G)
