"""Traits that others or random effects determine, that have other units, and words that several traits reserve."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.lmer import gls


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    g, h, n = rng.integers(0, 20, 120), rng.integers(0, 8, 120), 120
    effects = rng.normal(size=(20, 3))
    frame = pd.DataFrame({"g": g, "h": h, "x": rng.normal(size=n), "s": rng.choice(list("pq"), n)})
    frame["level"], frame["y"] = effects[g, 0], effects[g, 1] + rng.normal(size=n)
    frame["z"] = effects[g, 1] + 2.0 * effects[g, 2] + rng.normal(size=n)
    frame["double"], frame["total"] = 2.0 * frame["y"], frame["y"] + frame["z"]
    frame["shifted"] = 2.0 * frame["y"] + 3.0 * frame["x"] + 7.0
    frame["line"], frame["crossed"] = effects[g, 0] + effects[g, 1] * frame["x"], effects[g, 0] + effects[h, 2]
    frame["half"] = np.where(frame["s"] == "p", frame["level"], frame["y"])
    return frame


@pytest.mark.parametrize(
    ("traits", "random", "trait"),
    [
        ("level, y", "(1 | g)", "level"),
        ("y, level", "(1 | g)", "level"),
        ("y, line", "(x | g)", "line"),
        ("y, crossed", "(1 | g) + (1 | h)", "crossed"),
    ],
)
@pytest.mark.parametrize("residual", ["us", "diag"])
def test_a_trait_that_random_effects_reproduce(data, traits, random, trait, residual):
    with pytest.raises(lmm.ModelError, match=f"reproduce the trait '{trait}' exactly"):
        lmm.lmer(f"cbind({traits}) ~ x + {random}", data, residual=residual)


def test_a_trait_that_is_nearly_reproduced_is_fitted(data):
    noise = np.random.default_rng(1).normal(size=len(data))
    fit = lmm.lmer("cbind(y, near) ~ x + (1 | g)", data.assign(near=data["level"] + 1e-3 * noise))
    assert fit.convergence.ok
    assert fit.varcorr["Residual"].iloc[1, 1] == pytest.approx(1e-6, rel=0.3)


@pytest.mark.parametrize("residual", ["varident(s)", "varident(s) * ar1(1 | g)"])
def test_a_stratum_that_random_effects_reproduce(data, residual):
    with pytest.raises(lmm.ModelError, match="reproduce the response where the residual is 'p' exactly"):
        lmm.lmer("half ~ x + (1 | g)", data, residual=residual)


@pytest.mark.parametrize(
    ("traits", "named"),
    [
        ("y, double", "'y', 'double'"),
        ("y, shifted", "'y', 'shifted'"),
        ("total, y, z", "'total', 'y', 'z'"),
        ("z, y, double", "'y', 'double'"),
    ],
)
def test_traits_that_determine_each_other(data, traits, named):
    gaps = data.copy()
    gaps.loc[::3, "z"], gaps.loc[1::7, "double"] = np.nan, np.nan
    for frame in (data, gaps):
        with pytest.raises(lmm.ModelError, match=f"The traits {named} are linearly dependent"):
            lmm.lmer(f"cbind({traits}) ~ x + (1 | g)", frame)


def test_without_residual_correlation_traits_may_determine_each_other(data):
    fit = gls("cbind(y, double) ~ x", data, residual="diag")
    np.testing.assert_allclose(fit.varcorr["Residual"].to_numpy(), np.diag([1.0, 4.0]) * fit.sigma**2, rtol=1e-5)


def test_a_constant_trait_is_refused(data):
    with pytest.raises(lmm.ModelError, match="reproduce the trait 'k' exactly"):
        lmm.lmer("cbind(y, k) ~ x + (1 | g)", data.assign(k=5.1))


def test_a_new_response_is_looked_at_too(data):
    fit = lmm.lmer("cbind(y, z) ~ x + (1 | g)", data)
    with pytest.raises(lmm.ModelError, match="'y', 'z' are linearly dependent"):
        fit.refit(data[["y"]].assign(z=3.0 * data["y"]))


@pytest.mark.parametrize("units", [(1e6, 1e-5), (1e-5, 1e6), (1e6, 1e-6)])
@pytest.mark.parametrize("gaps", [False, True])
def test_units_do_not_matter_however_far_apart(data, units, gaps):
    frame = data[["x", "g", "y", "z"]].copy()
    if gaps:
        frame.loc[::9, "z"], frame.loc[4::11, "y"] = np.nan, np.nan
    scaled = frame.assign(y=units[0] * frame["y"], z=units[1] * frame["z"])
    model = "cbind(y, z) ~ x + (1 | g)"
    one, other = (lmm.lmer(model, each, reml=False) for each in (frame, scaled))
    jacobian = frame["y"].notna().sum() * np.log(units[0]) + frame["z"].notna().sum() * np.log(units[1])
    assert other.loglik + jacobian == pytest.approx(one.loglik, abs=1e-8)
    assert other.convergence.ok
    size = np.outer(units, units)
    np.testing.assert_allclose(other.varcorr["Residual"], size * one.varcorr["Residual"], rtol=1e-5)
    np.testing.assert_allclose(other.varcorr["g"], size * one.varcorr["g"], rtol=1e-4)


def test_residuals_of_traits_do_not_depend_on_which_is_first(data):
    one = lmm.lmer("cbind(y, z) ~ x + (1 | g)", data.assign(z=1e3 * data["z"]))
    other = lmm.lmer("cbind(z, y) ~ x + (1 | g)", data.assign(z=1e3 * data["z"]))
    for level in ("conditional", "marginal"):
        found, wanted = (fit.residuals("pearson", level=level)[["y", "z"]] for fit in (one, other))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        pd.testing.assert_frame_equal(found, one.residuals("pearson", level=level, scaled=True))
    pd.testing.assert_frame_equal(one.residuals("normalized"), one.residuals("normalized", scaled=True))
    squares = [(fit.residuals("normalized").to_numpy() ** 2).sum() for fit in (one, other)]
    assert squares[0] == pytest.approx(squares[1], rel=1e-5)  # each row's own depend on the order, their sum not
    raw = one.residuals()
    sd = np.sqrt(np.diag(one.varcorr["Residual"]))
    np.testing.assert_allclose(one.residuals("pearson"), raw / sd, rtol=1e-10)


@pytest.mark.parametrize("column", ["trait", "row"])
def test_columns_by_the_names_of_traits_and_rows(data, column):
    frame = data.assign(**{column: np.arange(len(data))})
    with pytest.raises(lmm.FormulaError, match=f"'{column}'.* the data have a column of that name"):
        lmm.lmer("cbind(y, z) ~ x + (1 | g)", frame, residual="us(0 + trait | row)")
    assert lmm.lmer("cbind(y, z) ~ x + (1 | g)", frame).convergence.ok  # where nobody speaks of it


def test_an_empty_residual(data):
    with pytest.raises(lmm.FormulaError, match="residual='' is empty"):
        gls("y ~ x", data, residual="")


def test_at_in_at(data):
    with pytest.raises(lmm.FormulaError, match=r"'at\(z, x\)' stands inside 'at\(y, at\(z, x\)\)'"):
        lmm.lmer("cbind(y, z) ~ at(y, at(z, x)) + (1 | g)", data)
