"""Which fits may be compared: the same rows, response and weights, and offsets that the larger model accounts for."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(9)
    n, g = 80, rng.integers(0, 8, 80)
    x = rng.normal(size=n)
    y = x + rng.normal(size=8)[g] + rng.normal(size=n)
    frame = {"y": y, "x": x, "z": rng.normal(size=n), "g": g.astype(str), "w": rng.uniform(0.5, 2, n)}
    return pd.DataFrame({**frame, "o": rng.normal(size=n)})


def test_rows_are_named(data):
    gaps = data.assign(z=data["z"].mask(data.index.isin([3, 11])))
    with pytest.raises(lmm.ModelError, match=r"different rows \(80 and 78\); these are in one only: 3, 11\..*subset="):
        lmm.anova(lmm.lmer("y ~ x + (1 | g)", gaps), lmm.lmer("y ~ x + z + (1 | g)", gaps))
    turned = lmm.lmer("y ~ x + z + (1 | g)", data.iloc[::-1])
    with pytest.raises(lmm.ModelError, match="the same, in another order"):
        lmm.anova(lmm.lmer("y ~ x + (1 | g)", data), turned)


def test_weights_are_named(data):
    fit = lmm.lmer("y ~ x + (1 | g)", data, weights="w")
    other = data["w"].copy()
    other[5] = 1.0
    with pytest.raises(lmm.ModelError, match=r"different weights \(first in the rows 5\)"):
        lmm.anova(fit, fit.update("~ . + z", weights=other))
    with pytest.raises(lmm.ModelError, match="different weights"):
        lmm.anova(fit, fit.update("~ . + z", weights=None))


def test_offsets_that_no_model_accounts_for(data):
    # Neither model contains the other, whatever R's anova says of them.
    fit = lmm.lmer("y ~ x + (1 | g)", data)
    with pytest.raises(lmm.ModelError, match=r"different offsets .*no fixed effect of the larger model"):
        lmm.anova(fit, fit.update("~ . + z", offset="o"))
    with pytest.raises(lmm.ModelError, match="different offsets"):
        lmm.anova(lmm.lmer("y ~ 1 + offset(x) + (1 | g)", data), lmm.lmer("y ~ z + (1 | g)", data))


def test_a_slope_of_one_is_tested_by_an_offset(data):
    one = lmm.lmer("y ~ 1 + offset(x) + (1 | g)", data, reml=False)
    free = lmm.lmer("y ~ x + (1 | g)", data, reml=False)
    table = lmm.anova(one, free)
    # The same test of a slope of zero, for the response less x.
    moved = data.assign(y=data["y"] - data["x"])
    expected = 2 * (
        lmm.lmer("y ~ x + (1 | g)", moved, reml=False).loglik - lmm.lmer("y ~ 1 + (1 | g)", moved, reml=False).loglik
    )
    assert table.loc["free", "Chisq"] == pytest.approx(expected, rel=1e-6)
    assert table.loc["free", "Pr(>Chisq)"] == pytest.approx(stats.chi2.sf(expected, 1), rel=1e-6)


def test_equal_offsets_written_differently(data):
    fit = lmm.lmer("y ~ 1 + offset(o) + (1 | g)", data)
    assert lmm.anova(fit, lmm.lmer("y ~ x + (1 | g)", data, offset="o")).shape == (2, 8)


def test_random_parts_that_are_not_nested_are_named(data):
    one = lmm.lmer("y ~ x + (1 | h)", data.assign(h=data.index.astype(int) % 5))
    two = lmm.lmer("y ~ x + (x | g)", data.assign(h=data.index.astype(int) % 5))
    table = lmm.anova(one, two)
    assert table.headings[-1].startswith("one is no special case of two")
    assert "contains (1 | h):" in table.headings[-1]
    assert not any("special case" in line for line in lmm.anova(two.update("~ . - (x | g) + (1 | g)"), two).headings)


def on_boundary(small, large):
    """What is said of the boundary in a comparison of two formulas for the sleep study; None for nothing."""
    sleep = lmm.datasets.load("sleepstudy").assign(half=lambda d: (d["Days"] > 4).map({True: "b", False: "a"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        one, two = (lmm.lmer(text, sleep) if "|" in text else lmm.gls(text, sleep) for text in (small, large))
    table = lmm.anova(one, two)
    assert table.columns.tolist()[-3:] == ["Chisq", "Df", "Pr(>Chisq)"]
    said = [line for line in table.headings if "boundary" in line]
    assert len(said) <= 1
    return said[0] if said else None


R = "Reaction ~ Days"


@pytest.mark.parametrize(
    ("small", "large", "where"),
    [
        (f"{R} + (1 | Subject)", f"{R} + (Days | Subject)", "the covariance matrix of (Days | Subject) is singular"),
        (f"{R} + (1 | Subject)", f"{R} + (Days || Subject)", "(0 + Days | Subject) has no variance"),
        (f"{R} + (1 | Subject)", f"{R} + (1 | Subject) + (1 | Subject:half)", "(1 | Subject:half) has no variance"),
        (
            f"{R} + (1 | Subject)",
            f"{R} + (0 + half | Subject)",
            "the covariance matrix of (0 + half | Subject) is singular",
        ),
        (R, f"{R} + (1 | Subject)", "(1 | Subject) has no variance"),
    ],
)
def test_where_a_random_effect_is_added_ranova_has_the_mixture(small, large, where):
    text = on_boundary(small, large)
    assert text == (
        f"one is on the boundary of two, where {where}: Pr(>Chisq) is too large (conservative); "
        "lmm.ranova(two) has the mixture."
    )


@pytest.mark.parametrize(
    ("small", "large", "words"),
    [
        ("Reaction ~ 1 + (1 | Subject)", f"{R} + (Days | Subject)", "too large"),  # and another mean
        (f"{R} + (1 | Subject)", f"{R} + diag(half | Subject)", "too large"),
        (R, f"{R} + (Days || Subject)", "(1 | Subject) has no variance and (0 + Days | Subject) has no variance"),
        (f"{R} + (1 | Subject)", f"{R} + cs(0 + half | Subject)", "is not right"),
    ],
)
def test_where_ranova_has_no_mixture_the_bootstrap_is_named(small, large, words):
    text = on_boundary(small, large)
    assert words in text and text.endswith("lmm.parametric_bootstrap_lrt(one, two) simulates what is.")


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("Reaction ~ 1 + (1 | Subject)", f"{R} + (1 | Subject)"),
        (f"{R} + (Days || Subject)", f"{R} + (Days | Subject)"),
        (f"{R} + diag(Days | Subject)", f"{R} + (Days | Subject)"),
        (f"{R} + (1 | Subject) + (1 | Subject:half)", f"{R} + (0 + half | Subject)"),  # equal variances
        (f"{R} + (0 + Days | Subject)", f"{R} + (1 | Subject) + (1 | half)"),  # not nested: no test at all
    ],
)
def test_nothing_is_said_of_the_boundary_inside_it(small, large):
    assert on_boundary(small, large) is None


def test_less_than_the_optimisers_noise_is_zero():
    assert mixture_p_value(9e-7, {0: 0.5, 1: 0.5}) == 1.0
    assert mixture_p_value(2e-6, {0: 0.5, 1: 0.5}) == pytest.approx(0.5 * stats.chi2.sf(2e-6, 1))
    assert list(likelihood_ratio([-1.0, -1.0, -1.0], [-1.0 - 4e-7, -1.0 + 1e-3, -2.0])) == [0.0, 0.0, 2.0]
