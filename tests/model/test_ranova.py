"""`ranova` against fits made one by one, a dense regression, and simulated mixtures."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.inference.lrt import mixture_p_value, regression_loglik
from lmmpy.model.ranova import ranova
from tests.naive import Dense


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    n = 240
    g, h, f = rng.integers(0, 15, n), rng.integers(0, 8, n), rng.integers(0, 3, n)
    x, z = rng.normal(size=n), rng.normal(size=n)
    b = rng.normal(size=(15, 2)) @ [[0.8, 0.3], [0.0, 0.5]]
    y = 1 + x + b[g, 0] + b[g, 1] * x + 0.6 * rng.normal(size=(8, 3))[h, f] + rng.normal(size=n)
    frame = {"y": y, "x": x, "z": z, "f": pd.Categorical.from_codes(f, list("pqr")), "w": rng.uniform(0.5, 2, n)}
    return pd.DataFrame({**frame, "g": g.astype(str), "h": h.astype(str), "o": rng.normal(size=n)})


def _check(fit, row, other_loglik, other_df, weights):
    table = ranova(fit)
    lrt, df = 2 * (fit.loglik - other_loglik), fit.df - other_df
    assert table.loc[row, "logLik"] == pytest.approx(other_loglik, rel=1e-8)
    assert table.loc[row, "LRT"] == pytest.approx(lrt, rel=1e-6)
    assert table.loc[row, "AIC"] == pytest.approx(2 * other_df - 2 * other_loglik, rel=1e-8)
    assert (table.loc[row, "npar"], table.loc[row, "Df"]) == (other_df, df)
    assert table.loc[row, "Pr(>Chisq)"] == pytest.approx(stats.chi2.sf(lrt, df), rel=1e-6)
    p = np.nan if weights is None else sum(w * (stats.chi2.sf(lrt, k) if k else 0.0) for k, w in weights.items())
    assert table.loc[row, "Pr(mixture)"] == pytest.approx(p, rel=1e-6, nan_ok=True)
    return table


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    ("formula", "row", "smaller", "weights"),
    [
        ("(x | g)", "x in (x | g)", "(1 | g)", {1: 0.5, 2: 0.5}),
        ("(x + z | g)", "z in (x + z | g)", "(x | g)", {2: 0.5, 3: 0.5}),
        ("(0 + x + z | g)", "x in (0 + x + z | g)", "(0 + z | g)", {1: 0.5, 2: 0.5}),
        ("(x | g) + (1 | h)", "(1 | h)", "(x | g)", {0: 0.5, 1: 0.5}),
        ("(x || g)", "x in (0 + x | g)", "(1 | g)", {0: 0.5, 1: 0.5}),
        ("(x || g)", "(1 | g)", "(0 + x | g)", {0: 0.5, 1: 0.5}),
        ("diag(x + z | g)", "x in diag(x + z | g)", "diag(z | g)", {0: 0.5, 1: 0.5}),
        # The indicators of a factor leave an intercept, of which they are the general case.
        ("(0 + f | h)", "f in (0 + f | h)", "(1 | h)", None),
        ("(1 | g) + diag(1 + f | h)", "f in diag(1 + f | h)", "(1 | g) + diag(1 | h)", {0: 0.25, 1: 0.5, 2: 0.25}),
        ("(1 | g) + diag(0 + f | h)", "diag(0 + f | h)", "(1 | g)", {0: 1 / 8, 1: 3 / 8, 2: 3 / 8, 3: 1 / 8}),
        ("(1 | g) + diag(0 + f | h, hom = TRUE)", "diag(0 + f | h, hom = TRUE)", "(1 | g)", {0: 0.5, 1: 0.5}),
        ("(1 | g) + cs(0 + f | h)", "cs(0 + f | h)", "(1 | g)", None),
        ("(1 | g) + ar1(0 + f | h)", "ar1(0 + f | h)", "(1 | g)", None),
        ("(1 | g/h)", "(1 | h:g)", "(1 | g)", {0: 0.5, 1: 0.5}),
        ("(x * z | g)", "x:z in (x * z | g)", "(x + z | g)", {3: 0.5, 4: 0.5}),
    ],
)
@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_against_fits_made_one_by_one(data, reml, formula, row, smaller, weights):
    fit, other = (lmm.lmer(f"y ~ x + {random}", data, reml=reml, offset="o") for random in (formula, smaller))
    table = _check(fit, row, other.loglik, other.df, weights)
    assert list(table.columns) == ["npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)", "Pr(mixture)"]
    assert (f"Pr(mixture) of {row}" in "\n".join(table.headings)) == (weights is None or len(weights) > 2)


@pytest.mark.parametrize("reml", [True, False])
def test_the_last_term_leaves_a_regression(data, reml):
    fit = lmm.lmer("y ~ x + f + (1 | g)", data, weights="w", offset="o", reml=reml)
    # The dense reference: V is the inverse of the weights.
    naive = Dense(fit.design, [np.zeros((1, 1))], reml)
    assert -2 * regression_loglik(fit.design, reml) == pytest.approx(naive.value, rel=1e-12)
    _check(fit, "(1 | g)", -0.5 * naive.value, fit.design.p + 1, {0: 0.5, 1: 0.5})
    # A mean that is far from zero costs no digits: the restricted likelihood does not know of it.
    moved = lmm.lmer("y ~ x + f + (1 | g)", data.assign(y=data["y"] + 1e7), weights="w", offset="o", reml=reml)
    assert regression_loglik(moved.design, reml) == pytest.approx(-0.5 * naive.value, abs=1e-5)


def test_without_fixed_effects(data):
    fit = lmm.lmer("y ~ 0 + (1 | g)", data)
    y = data["y"].to_numpy()
    expected = stats.norm.logpdf(y, scale=np.sqrt(np.mean(y**2))).sum()
    assert ranova(fit).loc["(1 | g)", "logLik"] == pytest.approx(expected, rel=1e-10)


def test_terms_as_a_whole(data):
    fit = lmm.lmer("y ~ x + (x | g) + (1 | h)", data)
    table = ranova(fit, reduce_terms=False)
    assert list(table.index) == ["<none>", "(x | g)", "(1 | h)"]
    assert table.loc["(x | g)", "Df"] == 3
    assert np.isnan(table.loc["(x | g)", "Pr(mixture)"])
    assert "2 columns at once" in "\n".join(table.headings)


def test_a_factor_beside_its_intercept(data):
    # Equal effects of all levels of `f` are there already, so that the whole term goes.
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer("y ~ x + (f || h)", data)
    other = lmm.lmer("y ~ x + (1 | h)", data)
    table = ranova(fit)
    assert list(table.index) == ["<none>", "(1 | h)", "f in (0 + f | h)"]
    assert table.loc["f in (0 + f | h)", "logLik"] == pytest.approx(other.loglik, rel=1e-9)
    assert table.loc["f in (0 + f | h)", "Df"] == 6


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_the_rows_of_the_fit_are_used(data):
    gaps = data.assign(z=data["z"].mask(data.index < 30))
    fit = lmm.lmer("y ~ x + (z || g)", gaps)
    other = lmm.lmer("y ~ x + (1 | g)", gaps.iloc[30:])
    assert ranova(fit).loc["z in (0 + z | g)", "logLik"] == pytest.approx(other.loglik, rel=1e-9)


def test_a_variance_of_zero():
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"))
    row = ranova(fit).loc["(1 | Batch)"]
    assert row["LRT"] == pytest.approx(0.0, abs=1e-9)
    assert mixture_p_value(0.0, {0: 0.5, 1: 0.5}) == 1.0


def test_singular_models_are_named(data):
    # Balanced and crossed, and nothing varies between the levels of `k`.
    k, block = data.index % 5, data.index // 5
    y = data["y"] + np.random.default_rng(1).normal(size=48)[block]
    crossed = pd.DataFrame({"y": y - y.groupby(k).transform("mean"), "k": k, "block": block})
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer("y ~ 1 + (1 | k) + (1 | block)", crossed)
    table = ranova(fit)
    assert "On the boundary (singular) without: (1 | block)." in table.headings


@pytest.mark.parametrize("r", [0, 1, 3])
def test_the_mixture_is_the_distribution_of_a_projection(r):
    # Self & Liang (1987): r free normal variables and one that must not be negative.
    z = np.random.default_rng(r).normal(size=(200_000, r + 1))
    statistic = (z[:, :r] ** 2).sum(axis=1) + np.maximum(z[:, r], 0.0) ** 2
    for t in (0.5, 2.7, 6.0):
        p = mixture_p_value(t, {r: 0.5, r + 1: 0.5})
        assert abs((statistic >= t).mean() - p) < 4 * np.sqrt(p * (1 - p) / len(z))


def test_refusals(data):
    fit = lmm.lmer("y ~ x + (1 | g)", data, varcomp={"g": 1.0, "Residual": 1.0})
    with pytest.raises(lmm.ModelError, match="varcomp=None"):
        ranova(fit)
    with pytest.raises(lmm.ModelError, match="takes a fit of lmer, not a str"):
        ranova("fit")
    with pytest.raises(lmm.ModelError, match="reduce_terms must be"):
        ranova(fit.update(varcomp=None), reduce_terms="x")
