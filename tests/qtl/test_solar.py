"""`polygenic` against SOLAR 8.5.1 on a simulated family study, model by model.

SOLAR prints log-likelihoods to six decimals and p-values to seven decimals or eight digits. Its standard errors are by
differences and off by up to 1e-4 of themselves (tests/qtl/test_polygenic.py has them by better differences).
"""

import re

import numpy as np
import pytest

from lmmpy.inference.observed_vcov import observed_vcov
from tests.qtl.family import CASES, analysed, solar

LOGLIK, SHARE, SE = 1e-6, 1e-6, 2e-4
OURS = {"h2r": "h2", "c2": "c2", "e2": "e2", "sd": "sd", "bage": "age", "bsex": "sexfemale"}
OURS |= {"bsnp7": "snp7", "bsnp1": "snp1"}
MODELS = {"spor": "sporadic", "house": "household", "poly": "polygenic", "best": "household polygenic"}
KURTOSIS = re.compile(r"Residual Kurtosis is (-?[\d.]+)")


def theirs(case):
    """SOLAR's models of a case by its own names, and the lines it printed."""
    if case in ("snp1", "snp7"):
        return {"poly": solar()["snp7"][case]}, []
    models = dict(solar()[case])
    return models, models.pop("printed")


def final(case):
    models, _ = theirs(case)
    return models.get("best", models["poly"])


@pytest.mark.parametrize("case", CASES)
def test_every_model_has_solars_likelihood_and_shares(case):
    table = analysed(case).models
    for name, model in theirs(case)[0].items():
        row = table.loc[MODELS[name]]
        assert row["loglik_solar"] == pytest.approx(model["loglike"], abs=LOGLIK)
        for parameter in ("h2r", "c2", "e2"):
            assert row[OURS[parameter]] == pytest.approx(model.get(parameter, [0.0])[0], abs=SHARE)
        assert row["sd"] == pytest.approx(model["sd"][0], rel=SHARE)
    assert analysed(case).loglik_solar == pytest.approx(final(case)["loglike"], abs=LOGLIK)


@pytest.mark.parametrize("case", CASES)
def test_the_final_model_has_solars_estimates_and_standard_errors(case):
    rows = analysed(case).estimates.set_index("parameter")
    for name, (estimate, se) in ((k, v) for k, v in final(case).items() if k in OURS):
        assert rows.loc[OURS[name], "estimate"] == pytest.approx(estimate, abs=SHARE * max(1.0, abs(estimate)))
        assert rows.loc[OURS[name], "std_error"] == pytest.approx(se, rel=SE)


@pytest.mark.parametrize("case", CASES)
def test_the_intercept_is_solars_for_men_at_the_mean_of_the_covariates(case):
    """SOLAR centres all covariates but sex, which is 1 for women."""
    fit = analysed(case).fit
    at = np.where(np.array(fit.design.names) == "sexfemale", 0.0, fit.design.X.mean(axis=0))
    estimate, se = final(case)["mean"]
    assert at @ fit.fixef.to_numpy() == pytest.approx(estimate, rel=SHARE)
    vcov = observed_vcov(fit.criterion, fit.optimum, fit.sigma, fit.vcov().to_numpy())
    assert np.sqrt(at @ vcov @ at) == pytest.approx(se, rel=SE)


@pytest.mark.parametrize(
    ("case", "hypothesis", "chisq", "p"),
    [
        ("polygenic_bmi", "h2 = 0", 92.0641, "4.1956113e-22"),
        ("polygenic_bmi", "age = 0", None, "5.6860333e-08"),
        ("polygenic_bmi", "sex = 0", None, "0.0011929"),
        ("polygenic_bmi_nocov", "h2 = 0", 80.5089, "1.4469941e-19"),
        ("house_bmi", "h2 = 0", 23.8801, "0.0000005"),
        ("house_bmi", "c2 = 0", 0.0272, "0.4345042"),
        ("polygenic_fvii", "h2 = 0", 40.2364, "1.1250679e-10"),
        ("inormal", "h2 = 0", 86.3024, "7.720996e-21"),
    ],
)
def test_p_values_are_those_that_solar_printed(case, hypothesis, chisq, p):
    """`p` as SOLAR wrote it: to seven decimals, or to eight digits where those would say too little."""
    assert f"p = {p}" in " ".join(theirs(case)[1])
    row = analysed(case).tests.set_index("hypothesis").loc[hypothesis]
    assert row["p_value"] == pytest.approx(float(p), rel=1e-3, abs=0.0 if "e" in p else 5.1e-8)
    if chisq is not None:
        assert row["chisq"] == pytest.approx(chisq, abs=1e-3)


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("snp")])
def test_the_residual_kurtosis_is_the_one_that_solar_printed(case):
    printed = next(float(m[1]) for line in theirs(case)[1] if (m := KURTOSIS.match(line)))
    assert analysed(case).kurtosis == pytest.approx(printed, abs=5.1e-5)


def test_screening_keeps_what_solar_keeps():
    found = analysed("polygenic_bmi")
    assert list(found.covariates.index) == ["age", "sex"]
    assert found.covariates["kept"].all()


def test_the_covariates_share_compares_polygenic_models():
    """SOLAR takes the sd of the final model and of the same model without covariates."""
    with_them, without = (solar()[case]["poly"]["sd"][0] for case in ("polygenic_bmi", "polygenic_bmi_nocov"))
    assert analysed("polygenic_bmi").covariate_share == pytest.approx(1.0 - (with_them / without) ** 2, abs=1e-6)


def test_the_people_used_are_those_with_the_trait():
    counts = {case: analysed(case).n_people for case in CASES}
    assert counts == {case: 368 if case == "polygenic_fvii" else 376 for case in CASES}
    assert {analysed(case).n_pedigree for case in CASES} == {398}
