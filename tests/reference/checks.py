"""One function for each kind of number: lmmpy's fit against what R stored.

Not compared are R's answers to what is not in this version: leverage, Cook's distances, influence, the principal
components of the random effects, intervals, tests of single terms and denominator degrees of freedom.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from tests.reference.cases import Fitted, array, fit_of

CRITERION = 1e-6  # absolute: the criterion is in units of -2 log-likelihood
FIXED = 1e-5  # relative
VARIANCE = 1e-4  # relative: the optimum is flat in the components
ROW = 1e-5  # of a fitted value or residual, relative to the largest; between the two above
EXACT = 1e-12  # counts and sums that no optimisation touches


def close(found: Any, expected: Any, relative: float, floor: float = 0.0) -> None:
    np.testing.assert_allclose(np.asarray(found, dtype=float), array(expected), rtol=relative, atol=floor)


def check_criterion(x: Fitted) -> None:
    fit, r = x.fit, x.stored
    criterion = fit.reml_criterion if r["REML"] else fit.deviance
    assert criterion == pytest.approx(r["criterion"], abs=CRITERION, rel=0)
    assert criterion <= r["default"]["criterion"] + CRITERION
    assert fit.loglik == pytest.approx(r["logLik"], abs=CRITERION / 2, rel=0)
    assert fit.aic == pytest.approx(r["AIC"], abs=CRITERION, rel=0)
    assert fit.bic == pytest.approx(r["BIC"], abs=CRITERION, rel=0)
    # At the θ of a REML fit the ML deviance has a slope, so that it is as sure as θ is.
    assert fit.deviance == pytest.approx(r["deviance_ML"], abs=CRITERION, rel=1e-7 if r["REML"] else 0)
    if not r["REML"]:
        with pytest.raises(AttributeError, match="maximum likelihood"):
            _ = fit.reml_criterion


def check_counts(x: Fitted) -> None:
    fit, r = x.fit, x.stored
    assert (fit.nobs, fit.df, fit.df_resid) == (r["nobs"], r["df"], r["df_resid"])
    assert list(fit.ngroups.items()) == list(r["ngrps"].items())
    assert fit.reml is r["REML"]


def check_fixed_effects(x: Fitted) -> None:
    fit, r = x.fit, x.stored
    assert list(fit.fixef.index) == r["beta"]["names"]
    # An estimate that is nearly zero is held to its standard error instead.
    se = array(r["se"])
    np.testing.assert_array_less(
        np.abs(fit.fixef - array(r["beta"]["values"])), FIXED * np.maximum(np.abs(array(r["beta"]["values"])), se)
    )
    close(fit.se, se, FIXED)
    # Of σ²(XᵀV⁻¹X)⁻¹ the scale is that of the standard errors, twice over.
    close(fit.vcov() / np.outer(se, se), array(r["vcov"]) / np.outer(se, se), 2 * FIXED, 2 * FIXED)
    assert fit.sigma == pytest.approx(r["sigma"], rel=FIXED)


def check_theta(x: Fitted) -> None:
    fit, r = x.fit, x.stored["theta"]
    assert len(fit.theta) == len(r["names"])
    named = [
        f"{term.group}.{parameter}" for term in fit.design.random for parameter in term.structure.names(term.columns)
    ]
    assert named == r["names"]
    if not x.stored["singular"]:  # else another factor gives the same covariance, which check_varcorr compares
        close(fit.theta, r["values"], VARIANCE, VARIANCE)


def check_varcorr(x: Fitted) -> None:
    found, r = x.fit.varcorr.to_frame(), x.stored["varcorr"]
    assert list(found.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    for column in ("grp", "var1", "var2"):
        assert [None if pd.isna(v) else v for v in found[column]] == [v or None for v in r[column]]
    expected = array(r["vcov"])
    # A variance of zero in a singular fit comes out as a rounding error on one side or the other.
    floor = 1e-9 * np.abs(expected).max()
    close(found["vcov"], expected, VARIANCE, floor)
    sdcor = array(r["sdcor"])
    correlations = np.array([bool(v) for v in r["var2"]])
    close(found["sdcor"][~correlations], sdcor[~correlations], VARIANCE, np.sqrt(floor))
    known = correlations & ~np.isnan(sdcor)  # R has none beside a standard deviation of zero
    close(found["sdcor"][known], sdcor[known], 0.0, VARIANCE)


def check_rows(x: Fitted) -> None:
    fit, r = x.fit, x.stored
    predicted = fit.predict(re_form="none")
    for found, key in (
        (fit.fitted(), "fitted"),
        (fit.residuals(), "resid"),
        (fit.residuals(type="pearson"), "resid_pearson"),
        (fit.residuals(scaled=True), "resid_scaled"),
        (predicted, "predict_fixed"),
    ):
        expected = array(r[key])
        assert len(found) == len(fit.fitted()) >= len(expected)
        close(found[: len(expected)], expected, ROW, ROW * np.nanmax(np.abs(expected)))
    pd.testing.assert_series_equal(fit.predict(), fit.fitted(), check_names=False, rtol=EXACT)


def check_random_effects(x: Fitted) -> None:
    fit, r = x.fit, x.stored
    effects = fit.ranef(cond_var=True)
    for group, expected in r["ranef"].items():
        terms = [term for term in fit.design.random if term.group == group]
        joined = pd.concat([effects[term.name] for term in terms], axis=1)
        assert list(joined.columns) == expected["terms"]
        kept = len(expected["levels"])
        assert list(joined.index[:kept].astype(str)) == expected["levels"]
        values = array(expected["values"])
        spread = np.sqrt(np.concatenate([np.diag(fit.varcorr[term.name]) for term in terms]))
        np.testing.assert_array_less(
            np.abs(joined.to_numpy()[:kept] - values), VARIANCE * np.maximum(np.abs(values), spread + 1e-6 * fit.sigma)
        )
        for term, cond_var in zip(terms, expected.get("cond_var", []), strict="cond_var" in expected):
            scale = np.abs(array(cond_var)).max() + 1e-9 * fit.sigma**2
            close(effects.cond_var[term.name][:kept], cond_var, VARIANCE, VARIANCE * scale)


def check_spherical(x: Fitted) -> None:
    if x.stored["singular"]:
        return  # u belongs to a factor, and the factor is not unique
    for (name, frame), expected in zip(x.fit.u.items(), x.stored["u"], strict=True):
        found = frame.to_numpy().ravel()[: len(expected)]
        close(found, expected, VARIANCE, VARIANCE * x.fit.sigma)
        assert name in x.fit.ranef()


def check_new_data(x: Fitted) -> None:
    if "newdata" not in x.stored:
        return
    new = pd.DataFrame(x.stored["newdata"])
    everything = x.fit.predict(new, allow_new_levels=True)
    scale = np.abs(x.fit.fitted()).max()
    close(everything, x.stored["predict_new_all"], ROW, ROW * scale)
    close(x.fit.predict(new, re_form="none"), x.stored["predict_new_fixed"], ROW, ROW * scale)
    with pytest.raises(lmm.DataError, match=r"NEW|99"):
        x.fit.predict(new)


def check_comparisons(x: Fitted) -> None:
    for entry in x.stored.get("lrt", []):
        other, expected = fit_of(x.stored, entry["alt"]), entry["table"]
        this = x.fit
        table = lmm.anova(this, other, refit=entry["refit"])
        assert list(table.columns) == list(expected)
        assert table.loc["other", "npar"] == expected["npar"][0]
        for column, values in expected.items():
            if column == "Pr(>Chisq)":
                close(table[column], values, VARIANCE)
            else:  # R's own tables are of fits by its default stopping rule
                close(table[column], values, 0.0, 2 * CRITERION)


def check_warnings(x: Fitted) -> None:
    r = x.stored
    expected: list[type[Warning]] = []
    if r["dropped"]:
        expected.append(lmm.RankDeficiencyWarning)
    if r["singular"]:
        expected.append(lmm.SingularFitWarning)
    assert [type(w) for w in x.warned] == expected
    assert list(x.fit.dropped) == r["dropped"]
    assert all(repr(name) in str(x.warned[0]) for name in r["dropped"])
    assert x.fit.is_singular() is r["singular"]
    said = " ".join(r["default"]["messages"])
    assert ("rank deficient" in said) is bool(r["dropped"])


def check_convergence(x: Fitted) -> None:
    report = x.fit.convergence
    assert report.ok, str(report)
    assert x.fit.optimum.converged
    assert bool(report.boundary) is x.stored["singular"]


CHECKS: tuple[Callable[[Fitted], None], ...] = (
    check_criterion,
    check_counts,
    check_fixed_effects,
    check_theta,
    check_varcorr,
    check_rows,
    check_random_effects,
    check_new_data,
    check_warnings,
    check_convergence,
)
