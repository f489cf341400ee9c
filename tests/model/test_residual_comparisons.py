"""`anova` of fits whose residuals differ, and what such fits are called."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import lmmpy as lmm

MEAN = "distance ~ age * Sex"


@pytest.fixture(scope="module")
def orthodont():
    data = lmm.datasets.load("Orthodont")
    return data.assign(r=np.arange(len(data)))


def fitted(data, residual=None, **options):
    return lmm.gls(MEAN, data, residual=residual, reml=False, **options)


def no_test(table):
    return [line for line in table.headings if "special case" in line]


def test_independence_is_car1_at_the_end_of_its_range(orthodont):
    table = lmm.anova(fitted(orthodont), fitted(orthodont, "car1(age | Subject)"))
    assert not no_test(table)
    assert any("½χ²(0) + ½χ²(1)" in line for line in table.headings)
    statistic = table["Chisq"].iloc[1]
    assert table["Pr(>Chisq)"].iloc[1] == pytest.approx(chi2.sf(statistic, 1))
    assert table["Pr(mixture)"].iloc[1] == pytest.approx(0.5 * chi2.sf(statistic, 1))


def test_further_parameters_add_to_both_parts_of_the_mixture(orthodont):
    table = lmm.anova(fitted(orthodont), fitted(orthodont, "car1(age | Subject) * varident(Sex)"))
    statistic = table["Chisq"].iloc[1]
    expected = 0.5 * (chi2.sf(statistic, 1) + chi2.sf(statistic, 2))
    assert table["Pr(mixture)"].iloc[1] == pytest.approx(expected)


def test_the_mixture_is_what_simulated_statistics_follow():
    """Half of all estimates are at zero when there is no correlation."""
    rng, nil, n = np.random.default_rng(8), 0, 60
    data = pd.DataFrame({"t": np.tile([0.0, 1.0, 2.5], 100), "g": np.repeat(np.arange(100), 3), "y": 0.0})
    for _ in range(n):
        data["y"] = rng.normal(size=300)
        none, some = (lmm.gls("y ~ 1", data, residual=text, reml=False).loglik for text in (None, "car1(t | g)"))
        assert some >= none - 1e-9
        nil += some < none + 1e-6
    assert 18 <= nil <= 42  # within 3.1 standard deviations of a half


def test_a_random_term_beside_the_correlation_has_no_known_mixture(orthodont):
    both = lmm.lmer(MEAN + " + (1 | Subject)", orthodont, residual="car1(age | Subject)", reml=False)
    table = lmm.anova(fitted(orthodont), both)
    assert not no_test(table) and np.isnan(table["Pr(mixture)"].iloc[1])
    assert any("random terms" in line for line in table.headings)


@pytest.mark.parametrize(
    "residual", ["cs(1 | Subject)", "ar1(1 | Subject)", "us(0 + factor(age) | Subject)", "varident(Sex)"]
)
def test_independence_is_inside_the_range_of_others(orthodont, residual):
    table = lmm.anova(fitted(orthodont), fitted(orthodont, residual))
    assert not no_test(table) and "Pr(mixture)" not in table
    assert 0.0 < table["Pr(>Chisq)"].iloc[1] < 1.0


def test_variances_without_correlation_are_contained_as_well(orthodont):
    table = lmm.anova(fitted(orthodont, "varident(Sex)"), fitted(orthodont, "car1(age | Subject) * varident(Sex)"))
    assert not no_test(table)
    assert any("½χ²(0) + ½χ²(1)" in line for line in table.headings)


def test_nothing_determines_arma11_without_correlation(orthodont):
    arma = fitted(orthodont, "arma11(1 | Subject)")
    for small in (fitted(orthodont), arma.constrain({"ar|Residual": 0, "ma|Residual": 0})):
        table = lmm.anova(small, arma)
        assert not no_test(table)
        assert table[["Pr(>Chisq)", "Pr(mixture)"]].iloc[1].isna().all()
        assert any("no χ² holds; parametric_bootstrap_lrt() answers" in line for line in table.headings)
    table = lmm.anova(fitted(orthodont, "ar1(1 | Subject)"), arma)
    assert table["Pr(>Chisq)"].iloc[1] == pytest.approx(chi2.sf(table["Chisq"].iloc[1], 1))


def test_fits_that_share_a_constraint_are_nested_as_without(orthodont):
    R = pd.DataFrame(np.eye(108))
    options = {"residual": "kin(r, R)", "relmat": {"R": R}, "reml": False}
    small = lmm.gls("distance ~ age", orthodont, constraints={"sigma": 1}, **options)
    large = lmm.lmer("distance ~ age + (1 | Subject)", orthodont, constraints={"sigma": 1}, **options)
    table = lmm.anova(small, large)
    assert not no_test(table) and table["Df"].iloc[1] == 1
    other = lmm.gls("distance ~ age", orthodont, constraints={"sigma": 2}, **options)
    assert "which is held to sigma = 1" in no_test(lmm.anova(other, large))[0]


def test_a_term_that_is_missing_obeys_what_holds_it_at_zero_only(orthodont):
    small = lmm.lmer("distance ~ age + (1 | Subject)", orthodont, reml=False, constraints={"sd_(Intercept)|Subject": 2})
    both = lmm.lmer("distance ~ age + (1 | Subject) + (0 + age | Subject)", orthodont, reml=False)
    held = both.constrain({"sd_(Intercept)|Subject": 2})
    assert not no_test(lmm.anova(small, held))
    names = [name for name in both.parameters().index if name.startswith("sd_age")]
    broken = both.constrain({"sd_(Intercept)|Subject": 2, "sigma": names[0]})
    assert not no_test(lmm.anova(held, both)) and broken.df == held.df - 1


def test_the_headings_tell_residuals_that_differ(orthodont):
    table = lmm.anova(fitted(orthodont), fitted(orthodont, "car1(age | Subject)"))
    lines = [line for line in table.headings if MEAN in line]
    assert [line.split(": ", 1)[1] for line in lines] == [MEAN, MEAN + " with residual car1(age | Subject)"]
    cs = fitted(orthodont, "cs(1 | Subject)")
    table = lmm.anova(cs.constrain({"rho|Residual": 0}), cs)
    assert not any("with residual" in line for line in table.headings)
    table = lmm.anova(fitted(orthodont), cs.constrain({"sigma": 2}))
    assert any(line.endswith("with residual cs(1 | Subject); sigma = 2") for line in table.headings)


@pytest.mark.parametrize(
    ("residual", "title"),
    [
        (None, "Linear model fit by maximum likelihood"),
        ("varident(Sex)", "Linear model fit by maximum likelihood"),
        ("varpower(age)", "Linear model fit by maximum likelihood"),
        ("ar1(1 | Subject) * varident(Sex)", "Linear model with correlated errors fit by maximum likelihood"),
    ],
)
def test_only_correlated_errors_are_called_so(orthodont, residual, title):
    assert str(fitted(orthodont, residual)).splitlines()[0] == title
