"""Structured random terms against figures of lme4 2.0.

The figures were worked out for this project by lme4 2.0 and once more independently of it; lme4 1.1, which made the
other reference numbers, has no structures.
"""

import numpy as np
import pytest

import lmmpy as lmm
from tests.reference.checks import CRITERION, VARIANCE

SLEEP = lmm.datasets.load("sleepstudy").assign(Daysf=lambda d: d["Days"].astype(int).astype(str).astype("category"))


def confirmed(formula, reml):
    fit = lmm.lmer(formula, SLEEP, reml=reml)
    assert fit.convergence.ok, str(fit.convergence)
    return fit


def test_first_order_autoregression():
    fit = confirmed("Reaction ~ Daysf + ar1(0 + Daysf | Subject)", reml=False)
    assert fit.loglik == pytest.approx(-868.288080, abs=CRITERION)
    assert fit.sigma == pytest.approx(14.5716, abs=1e-4)  # to the digits that are known
    covariance = fit.varcorr["Subject"].to_numpy()
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(sd, 46.120, atol=1e-3)
    lag = np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    correlation = covariance / np.outer(sd, sd)
    assert correlation[0, 1] == pytest.approx(0.88026, abs=1e-5)
    np.testing.assert_allclose(correlation, correlation[0, 1] ** lag, rtol=1e-12)
    assert fit.df == 10 + 3


def test_autoregression_of_a_factor_made_in_the_formula():
    made = confirmed("Reaction ~ factor(Days) + ar1(0 + factor(Days) | Subject)", reml=False)
    given = confirmed("Reaction ~ Daysf + ar1(0 + Daysf | Subject)", reml=False)
    assert made.loglik == pytest.approx(given.loglik, abs=1e-9)
    assert made.varcorr["Subject"].columns[0] == "factor(Days)0"


@pytest.mark.parametrize(
    ("term", "reml", "minus_two_loglik", "df"),
    [
        ("diag(Days | Subject)", False, 2 * 876.001628, 5),
        ("cs(Days | Subject, hom = TRUE)", True, 1757.774308, 5),
        ("cs(Days | Subject, hom = TRUE)", False, 1765.477758, 5),
        ("diag(Days | Subject, hom = TRUE)", True, 1759.149900, 4),
        ("diag(Days | Subject, hom = TRUE)", False, 1767.212279, 4),
    ],
)
def test_criterion(term, reml, minus_two_loglik, df):
    fit = confirmed(f"Reaction ~ Days + {term}", reml)
    # A log-likelihood known to six decimals is a criterion known to 1e-6.
    assert -2 * fit.loglik == pytest.approx(minus_two_loglik, abs=CRITERION)
    assert fit.df == df
    sd = np.sqrt(np.diag(fit.varcorr["Subject"]))
    assert bool(np.isclose(sd[0], sd[1], rtol=1e-12)) is ("hom" in term)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    ("structured", "plain"),
    [
        ("diag(Days | Subject)", "(Days || Subject)"),
        ("cs(Days | Subject)", "(Days | Subject)"),
        ("us(Days | Subject)", "(Days | Subject)"),
    ],
)
def test_structures_that_say_the_same_as_plain_terms(structured, plain, reml):
    a, b = (confirmed(f"Reaction ~ Days + {term}", reml) for term in (structured, plain))
    assert a.loglik == pytest.approx(b.loglik, abs=CRITERION / 2)
    assert a.df == b.df
    np.testing.assert_allclose(a.fixef, b.fixef, rtol=1e-9)
    np.testing.assert_allclose(a.fitted(), b.fitted(), rtol=1e-7)
    variances = [np.concatenate([np.diag(f.varcorr[name]) for name in f.varcorr]) for f in (a, b)]
    np.testing.assert_allclose(*variances, rtol=VARIANCE)
