"""What a fit without residual variance says of itself: V = Σ_t τ_t² Z_t K_t Z_tᵀ, held against formulas with that V.

θ is very large there and stands for infinity, so that what needs the residuals is undefined: it is NaN, or refused.
"""

import warnings
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import lmmpy as lmm
from lmmpy.inference.deletion import delete_rows
from lmmpy.model.influence import leverage_of, weighted_residual
from tests.naive import dense

SIZE, N_FAMILIES = 30, 8
NAMES = [f"a{i}" for i in range(SIZE)]


def kernel(seed: int, shift: float) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    return factor @ factor.T / SIZE + shift * np.eye(SIZE)


K = kernel(1, 0.5)


def quiet(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        return lmm.lmer(*args, **kwargs)


def drawn(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=SIZE)
    return pd.DataFrame({"y": x + np.linalg.cholesky(2 * K) @ rng.normal(size=SIZE), "x": x, "id": NAMES})


@cache
def seeds(reml: bool) -> tuple[int, ...]:
    """Three responses for which all of the variance is that of the kernel."""
    fits = ((seed, quiet("y ~ x + kin(id, K)", drawn(seed), relmat={"K": related()}, reml=reml)) for seed in range(60))
    return tuple([seed for seed, fit in fits if fit.optimum.saturated][:3])


def related() -> lmm.Relatedness:
    return lmm.Relatedness(K, NAMES)


def alone(reml: bool = True, weight: float = 1.0, place: int = 0, engine: str = "auto") -> lmm.LmmFit:
    """All variance to one kernel."""
    data = drawn(seeds(reml)[place]).assign(w=weight)
    control = lmm.Control(engine=engine)
    fit = quiet("y ~ x + kin(id, K)", data, relmat={"K": related()}, reml=reml, weights="w", control=control)
    assert fit.optimum.saturated
    return fit


@cache
def families() -> tuple[lmm.Pedigree, list[str]]:
    ids, fathers, mothers = [], [], []
    for f in range(N_FAMILIES):
        born = [f"f{f}_{j}" for j in range(6)]
        ids += born
        fathers += ["0", "0"] + [born[0]] * 4
        mothers += ["0", "0"] + [born[1]] * 4
    return lmm.Pedigree(ids, fathers, mothers), ids


def household(reml: bool = True) -> lmm.LmmFit:
    """A pedigree, the last child of each family without a record, and households."""
    pedigree, ids = families()
    A = pedigree.additive().to_frame(ids).to_numpy()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        home = rng.integers(0, 12, len(ids))
        x = rng.normal(size=len(ids))
        y = x + np.linalg.cholesky(A) @ rng.normal(size=len(ids)) + 0.8 * rng.normal(size=12)[home]
        data = pd.DataFrame({"id": ids, "y": y, "x": x, "home": home})
        data = data[~data["id"].str.endswith("_5")].reset_index(drop=True)
        fit = quiet("y ~ x + kin(id, pedigree) + (1 | home)", data, relmat={"pedigree": pedigree}, reml=reml)
        if fit.optimum.saturated and not fit.is_singular():
            return fit
    raise AssertionError("no such response")


FITS = {
    "kernel": alone,
    "weighted": lambda: alone(weight=100.0),
    "light": lambda: alone(weight=0.01),
    "home": household,
}


# ---- standard errors


def test_the_share_of_a_residual_of_zero_has_no_standard_error():
    for weight in (1.0, 0.01, 100.0):
        fit = alone(weight=weight)
        with pytest.warns(lmm.SingularFitWarning, match="variance of 'Residual' is estimated as zero"):
            found = fit.vpredict(h2="`kin(id, K)` / (`kin(id, K)` + Residual)", e="log(Residual)", v="`kin(id, K)`")
        assert found.loc["h2", "estimate"] == pytest.approx(1.0, abs=1e-5)
        assert found.loc[["h2", "e"], ["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
        # Of the variance of y ~ N(Xβ, τ²K).
        dof = SIZE - 2
        assert found.loc["v", "std_error"] == pytest.approx(found.loc["v", "estimate"] * np.sqrt(2.0 / dof), rel=1e-6)
        share = fit.heritability(method="wald").iloc[0]
        assert share["estimate"] == 1.0
        assert share[["std_error", "conf_low", "conf_high"]].isna().all()


def test_what_does_not_depend_on_the_residual_has_one():
    """As from the Hessian of the likelihood of y ~ N(Xβ, a A + c H), by differences."""
    fit = household(reml=False)
    design = fit.design
    A, H = (
        Z @ np.kron(t.relatedness.dense(), np.eye(1)) @ Z.T for Z, t in zip(naive(fit).Zs, design.random, strict=True)
    )

    def deviance(a, c):
        V = a * A + c * H
        beta = np.linalg.solve(design.X.T @ np.linalg.solve(V, design.X), design.X.T @ np.linalg.solve(V, design.y))
        r = design.y - design.X @ beta
        return np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r)

    a, c = fit.varcorr["kin(id, pedigree)"].iloc[0, 0], fit.varcorr["home"].iloc[0, 0]
    h, g = 1e-3 * np.array([a, c]), np.zeros((2, 2))
    for i, j in np.ndindex(2, 2):
        e, f = np.eye(2)[i] * h, np.eye(2)[j] * h
        corners = [deviance(*(np.array([a, c]) + s * e + t * f)) * s * t for s in (1, -1) for t in (1, -1)]
        g[i, j] = sum(corners) / (4 * h[i] * h[j])
    slope = np.array([c, -a]) / (a + c) ** 2
    found = fit.vpredict(share="`kin(id, pedigree)` / (`kin(id, pedigree)` + home)", c="home")
    covariance = np.linalg.inv(g / 2)
    assert found.loc["share", "std_error"] == pytest.approx(np.sqrt(slope @ covariance @ slope), rel=1e-4)
    assert found.loc["c", "std_error"] == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit.heritability(method="wald")[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)


def test_sigma_has_no_standard_error():
    fit = alone()
    with pytest.warns(lmm.SingularFitWarning, match="'sigma'.*Use method='profile'"):
        found = fit.parameters()
    assert np.isnan(found.loc["sigma", "std_error"])
    sd = found.loc["sd_(Intercept)|kin(id, K)"]
    assert sd["std_error"] == pytest.approx(sd["estimate"] / np.sqrt(2.0 * (SIZE - 2)), rel=1e-6)
    with pytest.warns(lmm.SingularFitWarning):
        assert fit.confint("sigma", method="wald").isna().all(axis=None)


def test_the_report_of_a_polygenic_analysis_says_so():
    fit = household(reml=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        found = lmm.qtl.polygenic("y ~ x", fit.frame(), families()[0], household="home", id="id")
    assert found.fit.optimum.saturated
    assert found.e2 == 0.0 and found.h2 + found.c2 == pytest.approx(1.0, abs=1e-15)
    rows = found.estimates.set_index("parameter").loc[["h2", "c2", "e2", "sd"]]
    assert rows[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    assert found.models.loc["household polygenic", "e2"] == 0.0
    text = " ".join(str(found).split())
    assert "At the boundary: e2, the share of the residual, is estimated as zero" in text
    assert "e2 0.0000 NA NA NA" in text


# ---- profiles


def profile_limits(data: pd.DataFrame, column: int) -> list[float]:
    """By brute force: the deviance least over the share of the kernel, the others profiled out."""
    values, U = np.linalg.eigh(K)
    y, X = U.T @ data["y"].to_numpy(), U.T @ np.column_stack([np.ones(SIZE), data["x"]])

    def deviance(y, X):
        def at(share):
            root = np.sqrt(share * values + 1.0 - share)
            r = y / root - X / root[:, None] @ np.linalg.lstsq(X / root[:, None], y / root, rcond=None)[0]
            return 2.0 * np.log(root).sum() + SIZE * np.log(r @ r)

        grid = np.linspace(0.0, 1.0, 101)
        i = int(np.argmin([at(share) for share in grid]))
        ends = grid[max(i - 1, 0)], grid[min(i + 1, 100)]
        return min(
            optimize.minimize_scalar(at, bounds=ends, method="bounded", options={"xatol": 1e-9}).fun, at(grid[i])
        )

    allowed = deviance(y, X) + stats.chi2.ppf(0.95, 1)
    centre = np.linalg.lstsq(X / np.sqrt(values)[:, None], y / np.sqrt(values), rcond=None)[0][column]
    rest = np.delete(X, column, axis=1)
    return [
        optimize.brentq(lambda b: deviance(y - b * X[:, column], rest) - allowed, centre, centre + far, xtol=1e-9)
        for far in (-3.0, 3.0)
    ]


@pytest.mark.parametrize(("place", "weight"), [(0, 0.01), (1, 100.0), (2, 1.0)])
def test_fixed_effects_are_profiled_with_and_without_residual(place, weight):
    """For one of these responses there is a residual variance again towards the limits."""
    fit = alone(False, weight, place)
    data = drawn(seeds(False)[place])
    found = fit.confint("beta_").to_numpy()
    assert found == pytest.approx(np.array([profile_limits(data, j) for j in (0, 1)]), abs=2e-5)


def deviation_limits(data: pd.DataFrame, largest: float) -> list[list[float]]:
    """By brute force, of the kernel's standard deviation and of σ: the deviance, least over the other and β."""
    values, U = np.linalg.eigh(K)
    y, X = U.T @ data["y"].to_numpy(), U.T @ np.column_stack([np.ones(SIZE), data["x"]])

    def deviance(pair):
        root = np.sqrt(pair[0] ** 2 * values + pair[1] ** 2)
        r = y / root - X / root[:, None] @ np.linalg.lstsq(X / root[:, None], y / root, rcond=None)[0]
        return 2.0 * np.log(root).sum() + r @ r

    grid = np.linspace(1e-6, 6.0, 121)

    def profiled(place, value):
        def at(other):
            return deviance((value, other) if place == 0 else (other, value))

        found = [at(other) for other in grid]
        i = int(np.argmin(found))
        ends = grid[max(i - 1, 0)], grid[min(i + 1, 120)]
        return min(optimize.minimize_scalar(at, bounds=ends, method="bounded", options={"xatol": 1e-9}).fun, found[i])

    def limits(place):
        search = optimize.minimize_scalar(lambda v: profiled(place, v), bounds=(0.0, 4.0), method="bounded")
        centre = 1e-6 if profiled(place, 1e-6) < search.fun else float(search.x)
        allowed = largest + stats.chi2.ppf(0.95, 1)
        low = (
            0.0
            if profiled(place, 1e-6) < allowed
            else optimize.brentq(lambda v: profiled(place, v) - allowed, 1e-6, centre)
        )
        return [low, optimize.brentq(lambda v: profiled(place, v) - allowed, centre, 6.0)]

    return [limits(0), limits(1)]


def least_deviance(fit) -> float:
    return -2.0 * fit.loglik - SIZE * np.log(2.0 * np.pi)


@pytest.mark.parametrize(("place", "weight"), [(0, 1.0), (2, 1.0), (0, 0.01), (1, 100.0)])
def test_standard_deviations_are_profiled(place, weight):
    """With the residual variance free again when another is held; its own limits begin at zero."""
    fit = alone(False, weight, place)
    assert fit.optimum.saturated
    expected = np.array(deviation_limits(drawn(seeds(False)[place]), least_deviance(alone(False, 1.0, place))))
    expected[1] *= np.sqrt(weight)
    assert fit.confint("theta_").to_numpy() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", [0, 2])
def test_sigma_may_be_zero_within_the_limits_of_a_regular_fit(seed):
    rng = np.random.default_rng(seed)
    data = drawn(seed)
    rng.normal(size=2 * SIZE)
    data["y"] += 0.5 * rng.normal(size=SIZE)
    fit = lmm.lmer("y ~ x + kin(id, K)", data, relmat={"K": related()}, reml=False)
    assert not fit.optimum.saturated
    found = fit.confint("theta_").to_numpy()
    assert found[1, 0] == 0.0
    assert found == pytest.approx(np.array(deviation_limits(data, least_deviance(fit))), rel=1e-4)


def test_two_terms_share_what_is_there():
    """Limits that the dense deviance of y ~ N(Xβ, a A + c H + e I), least over two of a, c, e, reaches."""
    fit = household(reml=False)
    design, allowed = fit.design, -2.0 * fit.loglik + stats.chi2.ppf(0.95, 1)
    A, H = (Z @ t.relatedness.dense() @ Z.T for Z, t in zip(naive(fit).Zs, design.random, strict=True))
    parts = [A, H, np.eye(design.n)]

    def deviance(v):
        V = sum(a * part for a, part in zip(v, parts, strict=True))
        inverse = np.linalg.inv(V)
        beta = np.linalg.solve(design.X.T @ inverse @ design.X, design.X.T @ inverse @ design.y)
        Py = inverse @ (design.y - design.X @ beta)
        slope = np.array([np.sum(inverse * part) - Py @ part @ Py for part in parts])
        value = np.linalg.slogdet(V)[1] + design.n * np.log(2 * np.pi) + Py @ V @ Py
        return value, slope

    def profiled(place, value):
        rest = [i for i in range(3) if i != place]

        def at(free):
            v = np.empty(3)
            v[place], v[rest] = value, free
            found, slope = deviance(v)
            return found, slope[rest]

        options = {"ftol": 1e-14, "gtol": 1e-9}
        starts = [(0.5, 0.5), (1.0, 0.05), (0.05, 1.0)]
        runs = [
            optimize.minimize(at, start, jac=True, bounds=[(1e-8, 20.0)] * 2, method="L-BFGS-B", options=options)
            for start in starts
        ]
        return min(run.fun for run in runs)

    found = fit.confint("theta_").to_numpy()
    assert found[2, 0] == 0.0
    for place, (low, high) in enumerate(found):
        for limit in (low, high) if place < 2 else (high,):
            assert profiled(place, limit**2) == pytest.approx(allowed, abs=2e-3)


def test_a_profile_of_a_fixed_effect_is_drawn():
    profile = alone(False).profile("x", level=0.9)
    assert profile.to_frame()["zeta"].abs().max() > 2.0
    assert alone(False).plot.profile(profile) is not None
    plt.close("all")


# ---- what is said of it


@pytest.mark.parametrize("make", FITS.values(), ids=FITS)
def test_check_and_summary_say_so(make):
    fit = make()
    findings = {finding.check: finding for finding in fit.check()}
    assert findings["singularity"].verdict == "look"
    assert "residual variance is estimated as zero" in findings["singularity"].meaning
    assert "Residual" in findings["singularity"].found
    assert findings["normality of residuals"].found == "not judged, no residual variance is left"
    assert "residual variance is zero" in str(fit.summary())
    assert "residual variance is zero" in str(fit)


# ---- tests of fixed effects


def test_degrees_of_freedom():
    """With V = τ²K known but for a factor the t test is exact, on n − p; Satterthwaite's method finds that."""
    fit = alone()
    tests = fit.contrast_tests("satterthwaite").single(np.eye(2))
    assert tests.df == pytest.approx(SIZE - 2, rel=1e-6)
    assert fit.se.to_numpy() == pytest.approx(naive(fit).sigma * np.sqrt(np.diag(naive(fit).vcov)), rel=1e-6)
    table = lmm.anova(fit)
    assert table.loc["x", "DenDF"] == pytest.approx(SIZE - 2, rel=1e-6)
    for ask in (lambda: fit.summary(ddf="kenward-roger"), lambda: lmm.anova(fit, ddf="kenward-roger")):
        with pytest.raises(lmm.ModelError, match="satterthwaite"):
            ask()


def naive(fit):
    return dense(fit.design, fit.optimum.theta, fit.reml)


# ---- residuals and influence


@pytest.mark.parametrize("make", FITS.values(), ids=FITS)
def test_fitted_values_are_the_responses(make):
    fit = make()
    design = fit.design
    spread = np.ptp(design.y)
    assert fit.fitted().to_numpy() == pytest.approx(design.y, abs=1e-4 * spread)
    at, w = naive(fit), np.ones(design.n) if design.weights is None else design.weights
    assert fit.residuals().to_numpy() == pytest.approx(at.Py / w, abs=1e-5 * np.abs(at.Py / w).max())
    assert (fit.hatvalues() == 1.0).all()
    for values in (fit.residuals("standardized"), fit.residuals("student"), fit.cooks_distance()):
        assert values.isna().all()
    left = at.V - design.X @ at.vcov @ design.X.T
    marginal = (design.y - design.X @ at.beta) / (at.sigma * np.sqrt(np.diag(left)))
    assert fit.residuals("standardized", level="marginal").to_numpy() == pytest.approx(marginal, rel=1e-6)
    assert len(fit.augment()) == design.n


@pytest.mark.parametrize("make", FITS.values(), ids=FITS)
def test_deletion_with_theta_held(make):
    fit = make()
    design, at = fit.design, naive(fit)
    beta = np.empty((design.n, design.p))
    for i in range(design.n):
        X, y, V = np.delete(design.X, i, 0), np.delete(design.y, i), np.delete(np.delete(at.V, i, 0), i, 1)
        VX = np.linalg.solve(V, X)
        beta[i] = np.linalg.solve(X.T @ VX, VX.T @ y)
    size = np.abs(beta - at.beta).max()
    assert fit.dfbeta().to_numpy() == pytest.approx(beta - at.beta, abs=1e-5 * size)
    held = fit.influence(refit=False)
    assert held.dfbeta.to_numpy() == pytest.approx(beta - at.beta, abs=1e-5 * size)
    assert held.dfbetas.to_numpy() == pytest.approx(fit.dfbetas().to_numpy(), rel=1e-6)
    change = beta - at.beta
    cooks = np.einsum("mp,pq,mq->m", change, at.XtVX, change) / (design.p * at.sigma**2)
    assert held.cooks.to_numpy() == pytest.approx(cooks, rel=1e-4, abs=1e-6)


def test_the_closed_form_of_the_deletion_would_be_rounding():
    """Why the rows are left out one by one."""
    fit = alone()
    closed = delete_rows(leverage_of(fit), weighted_residual(fit), fit.solution.r2).beta
    with np.errstate(all="ignore"):
        assert not np.allclose(closed, fit.dfbeta().to_numpy(), rtol=0.01)


def test_groups_may_be_left_out():
    fit = household()
    design, at = fit.design, naive(fit)
    found = fit.influence("home", refit=False)
    for label in found.fixef.index[:3]:
        keep = (fit.frame()["home"].astype(str) != str(label)).to_numpy()
        X, y, V = design.X[keep], design.y[keep], at.V[np.ix_(keep, keep)]
        VX = np.linalg.solve(V, X)
        assert found.fixef.loc[label].to_numpy() == pytest.approx(np.linalg.solve(X.T @ VX, VX.T @ y), rel=1e-5)


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_refits_without_a_group():
    fit = household()
    found = fit.influence("home")
    assert not found.problems
    data = fit.frame()
    less = data[data["home"].astype(str) != str(found.fixef.index[0])]
    anew = lmm.lmer("y ~ x + kin(id, pedigree) + (1 | home)", less, relmat={"pedigree": families()[0]})
    assert found.fixef.iloc[0].to_numpy() == pytest.approx(anew.fixef.to_numpy(), rel=1e-4)


# ---- predictions and draws


ENGINES = {engine: lambda engine=engine: alone(engine=engine) for engine in ("marginal", "sparse")}


@pytest.mark.parametrize("make", [*FITS.values(), *ENGINES.values()], ids=[*FITS, *ENGINES])
def test_effects(make):
    fit = make()
    at = naive(fit)
    assert fit.solution.b == pytest.approx(at.b, abs=1e-5 * np.abs(at.b).max())
    assert fit.solution.beta == pytest.approx(at.beta, rel=1e-5)


def test_relatives_without_records_are_predicted():
    """E(b_new | y) = A_no (a A + c H)⁻¹ (y − Xβ̂) a, and its variance, in which β̂ is estimated."""
    fit = household()
    pedigree, ids = families()
    A = pedigree.additive().to_frame(ids)
    a, at, design = fit.varcorr["kin(id, pedigree)"].iloc[0, 0], naive(fit), fit.design
    V = at.V * fit.sigma**2
    recorded, new = fit.frame()["id"].tolist(), ids[5::6]
    across = a * A.loc[new, recorded].to_numpy()
    VX = np.linalg.solve(V, design.X)
    expected = across @ np.linalg.solve(V, design.y - design.X @ at.beta)
    table = fit.breeding_values().set_index("id")
    assert table.loc[new, "estimate"].to_numpy() == pytest.approx(expected, abs=1e-6)
    half = across @ VX
    pev = a * A.loc[new, new].to_numpy() - across @ np.linalg.solve(V, across.T)
    pev = np.diag(pev + half @ np.linalg.inv(design.X.T @ VX) @ half.T)
    assert table.loc[new, "std_error"].to_numpy() == pytest.approx(np.sqrt(pev), rel=1e-5)
    rows = pd.DataFrame({"id": new, "x": 0.5, "home": fit.frame()["home"].iloc[0]})
    predicted = fit.predict(rows, re_form="~ kin(id, pedigree)", se=True)
    mean = np.array([1.0, 0.5]) @ at.beta
    assert predicted["prediction"].to_numpy() == pytest.approx(mean + expected, abs=1e-6)
    assert np.isfinite(predicted["std_error"]).all() and (predicted["std_error"] > 0.1).all()


def test_draws_have_the_covariance_of_the_kernel():
    fit = alone()
    drawn = fit.simulate(3000, seed=1).to_numpy() - (fit.design.X @ fit.solution.beta)[:, None]
    white = np.linalg.solve(np.linalg.cholesky(fit.varcorr["kin(id, K)"].iloc[0, 0] * K), drawn)
    assert white @ white.T / 3000 == pytest.approx(np.eye(SIZE), abs=0.1)


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_a_bootstrap_is_that_of_fits_from_anew():
    fit = alone()
    found = fit.bootstrap(6, seed=2)
    assert not found.problems
    responses = fit.simulate(6, seed=2)
    for i in range(6):
        data = fit.frame().assign(y=responses.iloc[:, i].to_numpy())
        anew = lmm.lmer("y ~ x + kin(id, K)", data, relmat={"K": related()}, weights="w")
        again = fit.refit(responses.iloc[:, i].to_numpy())
        assert again.reml_criterion == pytest.approx(anew.reml_criterion, abs=1e-5)
        assert found.replicates.iloc[i, :2].to_numpy() == pytest.approx(anew.fixef.to_numpy(), rel=1e-3, abs=1e-5)
