"""`bivariate` against SOLAR 8.5.1, dense likelihoods, and `lmer`."""

import math
import pickle
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

import lmmpy as lmm
from lmmpy.errors import DataError, FormulaError, ModelError
from lmmpy.model.lmer import gls
from lmmpy.qtl import bivariate, inormal
from lmmpy.qtl.held_function import loglik_with
from lmmpy.qtl.quantities import Quantity
from tests.qtl import dense
from tests.qtl.family import kinship, pedigree, people, solar

TRAITS = ["bmi", "fvii"]
EFFECTS = {"age": "bage", "sexfemale": "bsex"}


@cache
def analysed():
    return bivariate(TRAITS, "age + sex", people(), pedigree())


@cache
def shared():
    """Traits with an effect of the household, whose variances are so far from zero."""
    data, rng = people(), np.random.default_rng(3)
    effects = rng.standard_normal((data.HHID.max() + 1, 2)) @ np.array([[1.2, 0.0], [0.5, 0.9]]).T
    data[TRAITS] = data[TRAITS].to_numpy() + effects[data.HHID]
    return data


@cache
def with_households():
    return bivariate(TRAITS, "age + sex", shared(), pedigree(), "HHID")


def values(found, column="estimate"):
    return found.estimates.set_index("parameter")[column]


def covariates(data):
    return np.column_stack([np.ones(len(data)), data.age, data.SEX == 2]).astype(float)


# ---- SOLAR


def test_likelihood_shares_and_correlations_are_solars():
    found, theirs = analysed(), solar()["bivariate"]["poly"]
    assert found.loglik_solar == pytest.approx(theirs["loglike"], abs=1e-6)
    ours = {"h2[bmi]": "h2r(bmi)", "h2[fvii]": "h2r(fvii)", "e2[bmi]": "e2(bmi)", "e2[fvii]": "e2(fvii)"}
    ours |= {"sd[bmi]": "sd(bmi)", "sd[fvii]": "sd(fvii)", "rho_g": "rhog", "rho_e": "rhoe"}
    for name, other in ours.items():
        estimate, se = theirs[other]
        assert values(found)[name] == pytest.approx(estimate, abs=2e-6)
        assert values(found, "std_error")[name] == pytest.approx(se, rel=2e-4)
    assert found.rho_p == pytest.approx(0.4390586, abs=1e-6)


def test_fixed_effects_are_solars():
    table, theirs = analysed().covariates.set_index("parameter"), solar()["bivariate"]["poly"]
    ours = {
        "bmi:age": "bage(bmi)",
        "fvii:age": "bage(fvii)",
        "bmi:sexfemale": "bsex(bmi)",
        "fvii:sexfemale": "bsex(fvii)",
    }
    for name, other in ours.items():
        estimate, se = theirs[other]
        assert table.loc[name, "estimate"] == pytest.approx(estimate, rel=1e-5)
        assert table.loc[name, "std_error"] == pytest.approx(se, rel=2e-4)


@pytest.mark.parametrize(
    ("hypothesis", "chisq", "p"),
    [
        ("rho_e = 0", 3.858912, "0.0494824"),
        ("rho_g = 0", 15.910962, "0.0000664"),
        ("|rho_g| = 1", 27.977472, "0.0000001"),
    ],
)
def test_tests_are_solars(hypothesis, chisq, p):
    row = analysed().tests.set_index("hypothesis").loc[hypothesis]
    assert row["chisq"] == pytest.approx(chisq, abs=2e-6)
    assert f"{row['p_value']:.7f}" == p == f"{analysed().p_value(hypothesis):.7f}"
    assert any(p in line for line in solar()["bivariate"]["printed"])


def test_traits_without_relatedness_have_solars_likelihood():
    fit = gls("cbind(bmi, fvii) ~ age + sex", people(), reml=False)
    constant = 0.5 * fit.nobs * math.log(2.0 * math.pi)
    assert fit.loglik + constant == pytest.approx(solar()["bivariate"]["spor"]["loglike"], abs=1e-6)


# ---- dense likelihoods


def test_with_households_the_dense_likelihood_is_at_its_maximum():
    """SOLAR leaves the household out between families; V does not."""
    found, data = with_households(), shared()
    at, traits = values(found), dense.Traits(data, TRAITS, covariates(data))
    A, H, alone = dense.relatedness(data), dense.same(data.HHID), np.eye(len(data))

    def loglik(x):
        sd, h2, c2, (g, c, e) = x[:2], x[2:4], x[4:6], x[6:]
        e2 = 1.0 - h2 - c2
        parts = ((h2, g, A), (c2, c, H), (e2, e, alone))
        return traits.loglik(*((dense.covariance(sd * np.sqrt(part), rho), K) for part, rho, K in parts))

    names = [f"{what}[{trait}]" for what in ("sd", "h2", "c2") for trait in TRAITS] + ["rho_g", "rho_c", "rho_e"]
    x = at[names].to_numpy()
    assert (x[2:6] > 0.1).all()
    assert loglik(x) == pytest.approx(found.loglik, abs=1e-8)
    slope = dense.slope(loglik, x, np.full(len(x), 1e-3))
    assert slope * values(found, "std_error")[names].to_numpy() == pytest.approx(0.0, abs=1e-4)


def test_the_phenotypic_correlation_is_tested_by_the_likelihood_in_which_it_is_zero():
    data = people().head(95)
    found = bivariate(TRAITS, "age + sex", data, pedigree())
    traits, A, alone = dense.Traits(data, TRAITS, covariates(data)), dense.relatedness(data), np.eye(len(data))

    def minus_loglik(x):
        sd, h2, rho_g = x[:2], x[2:4], x[4]
        rho_e = -rho_g * math.sqrt(np.prod(h2) / np.prod(1.0 - h2)) if ((h2 > 0) & (h2 < 1)).all() else 2.0
        if abs(rho_g) > 1.0 or abs(rho_e) > 1.0:
            return 1e6
        G, E = dense.covariance(sd * np.sqrt(h2), rho_g), dense.covariance(sd * np.sqrt(1.0 - h2), rho_e)
        return -traits.loglik((G, A), (E, alone))

    options = {"xatol": 1e-6, "fatol": 1e-9, "maxfev": 4000}
    starts = [[1.6, 1.2, 0.65, 0.4, rho] for rho in (0.2, -0.2)]
    least = min(minimize(minus_loglik, x, method="Nelder-Mead", options=options).fun for x in starts)
    row = found.tests.set_index("hypothesis").loc["rho_p = 0"]
    assert row["chisq"] == pytest.approx(2.0 * (found.loglik + least), abs=1e-5)
    assert row["p_value"] == pytest.approx(chi2.sf(row["chisq"], 1))


# ---- the same by lmer


@pytest.mark.parametrize(
    ("hypothesis", "formula", "residual"),
    [
        ("rho_g = 0", "cbind(bmi, fvii) ~ age + sex + diag(1 | kin(ID, ped))", None),
        ("rho_e = 0", "cbind(bmi, fvii) ~ age + sex + kin(ID, ped)", "diag"),
    ],
)
def test_a_correlation_of_zero_is_a_diagonal_structure(hypothesis, formula, residual):
    fit = lmm.lmer(formula, people(), relmat={"ped": pedigree()}, residual=residual, reml=False)
    chisq = analysed().tests.set_index("hypothesis").loc[hypothesis, "chisq"]
    assert chisq == pytest.approx(2.0 * (analysed().loglik - fit.loglik), abs=1e-6)


def test_a_trait_may_have_covariates_of_its_own():
    data = people().assign(smoke=np.random.default_rng(1).integers(0, 2, 398).astype(float))
    data.loc[:40, "smoke"] = np.nan
    found = bivariate(TRAITS, {"bmi": "age + sex", "fvii": "smoke"}, data, pedigree())
    names = ["bmi:(Intercept)", "bmi:age", "bmi:sexfemale", "fvii:(Intercept)", "fvii:smoke"]
    assert list(found.covariates["parameter"]) == names
    assert found.n_records == int(data.bmi.notna().sum() + (data.fvii.notna() & data.smoke.notna()).sum())
    formula = "cbind(bmi, fvii) ~ at(bmi, age + sex) + at(fvii, smoke) + kin(ID, ped)"
    assert found.loglik == pytest.approx(
        lmm.lmer(formula, data, relmat={"ped": pedigree()}, reml=False).loglik, abs=1e-8
    )


def test_people_with_one_of_the_traits_stay():
    data = people()
    assert analysed().n_people == int((data.bmi.notna() | data.fvii.notna()).sum()) == 395
    assert analysed().n_records == int(data.bmi.notna().sum() + data.fvii.notna().sum()) == 744


def test_who_has_no_household_lives_alone():
    data = shared().assign(home=lambda d: d.HHID.where(d.ID > 5, 0))
    alone = shared().assign(home=lambda d: d.HHID.where(d.ID > 5, -d.ID))
    found = bivariate(TRAITS, "age", data, pedigree(), "home")
    formula = "cbind(bmi, fvii) ~ age + kin(ID, ped) + (1 | home)"
    fit = lmm.lmer(formula, alone, relmat={"ped": pedigree()}, reml=False)
    assert found.loglik == pytest.approx(fit.loglik, abs=1e-8)
    assert any("5 people without a home" in note for note in found.notes)


def test_each_trait_is_transformed_by_itself():
    data = people()
    found = bivariate(TRAITS, "age", data, pedigree(), transform={"bmi": "inormal"})
    assert found.traits == ("bmi", "fvii")
    assert found.fit.formula.startswith("cbind(bmi = inormal_bmi, fvii)")
    formula = "cbind(z, fvii) ~ age + kin(ID, ped)"
    fit = lmm.lmer(formula, data.assign(z=inormal(data.bmi)), relmat={"ped": pedigree()}, reml=False)
    assert found.loglik == pytest.approx(fit.loglik, abs=1e-8)


def test_a_trait_may_be_an_expression_and_relatedness_a_matrix():
    found = bivariate(["log(bmi)", "fvii"], "1", people(), kinship(), id="ID")
    assert found.traits == ("log(bmi)", "fvii")
    assert list(found.estimates["parameter"][:2]) == ["h2[log(bmi)]", "h2[fvii]"]
    fit = lmm.lmer("cbind(log(bmi), fvii) ~ kin(ID, ped)", people(), relmat={"ped": pedigree()}, reml=False)
    assert found.loglik == pytest.approx(fit.loglik, abs=1e-7)


def test_names_of_columns_may_hold_blanks():
    data = shared().head(133).rename(columns={"bmi": "body mass", "HHID": "the home"})
    found = bivariate(["body mass", "fvii"], {"body mass": "age"}, data, pedigree(), "the home")
    assert found.traits == ("body mass", "fvii") and "c2[body mass]" in values(found).index
    assert "body mass:age" in list(found.covariates["parameter"])


# ---- intervals, edges, reports


def test_profile_limits_are_where_the_likelihood_falls():
    found = bivariate(TRAITS, "age + sex", people(), pedigree(), interval="profile", level=0.9)
    name = found.fit.design.random[0].name
    rho = Quantity(f"`{name}.fvii.bmi` / sqrt(`{name}.bmi` * `{name}.fvii`)", (), -1.0, 1.0)
    low, high = found.estimates.set_index("parameter").loc["rho_g", ["conf_low", "conf_high"]]
    assert -1.0 < low < found.rho_g < high < 1.0
    for limit in (low, high):
        fall = 2.0 * (found.loglik - loglik_with(found.fit, rho, limit))
        assert fall == pytest.approx(chi2.ppf(0.9, 1), abs=1e-4)


def test_traits_that_are_not_heritable_have_no_genetic_correlation():
    data = people()
    data[["one", "other"]] = np.random.default_rng(2).standard_normal((398, 2))
    found = bivariate(["one", "other"], "1", data, pedigree())
    assert values(found)["h2[one]"] == values(found)["h2[other]"] == 0.0
    assert math.isnan(found.rho_g)
    assert math.isnan(found.p_value("rho_g = 0")) and math.isnan(found.p_value("|rho_g| = 1"))
    assert 0.0 < found.p_value("rho_e = 0") <= 1.0
    assert any("h2[one], h2[other]" in note for note in found.notes)


def test_a_perfect_correlation_is_reached():
    data = people()
    data["half"] = 3.0 * data.bmi + np.random.default_rng(2).standard_normal(398)
    found = bivariate(["bmi", "half"], "age + sex", data, pedigree())
    assert found.rho_g == 1.0 and math.isnan(found.rho_g_se)
    assert found.p_value("|rho_g| = 1") == 1.0 and found.p_value("rho_g = 0") < 1e-10


def test_the_report_has_what_solar_shows():
    text = str(analysed())
    for shown in (
        "Bivariate polygenic model",
        "h2[bmi]",
        "0.7321",
        "rho_g",
        "-537.9313",
        "|rho_g| = 1",
        "27.9775",
        "fvii:age",
    ):
        assert shown in text
    assert "rho_p" in analysed()._repr_html_()


def test_correlations_are_matrices_too():
    rho = analysed().correlations("g")
    assert rho.loc["bmi", "fvii"] == rho.loc["fvii", "bmi"] == analysed().rho_g and rho.loc["bmi", "bmi"] == 1.0
    assert analysed().correlations("e", "std_error").loc["bmi", "fvii"] == analysed().rho_e_se
    with pytest.raises(KeyError, match="no part 'c'"):
        analysed().correlations("c")
    with pytest.raises(KeyError, match="rho_g = 0"):
        analysed().p_value("rho_x = 0")


def test_a_result_pickles():
    again = pickle.loads(pickle.dumps(analysed()))
    pd.testing.assert_frame_equal(again.estimates, analysed().estimates)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"traits": "bmi"}, FormulaError, "list of two or more"),
        ({"traits": ["bmi"]}, FormulaError, "qtl.polygenic"),
        ({"traits": ["bmi", "bmi"]}, FormulaError, "twice"),
        ({"traits": ["bmi", "fvii", "age"]}, FormulaError, "qtl.multivariate"),
        ({"traits": ["bmi", "obese"]}, ModelError, "discrete"),
        ({"traits": ["bmi", 3]}, FormulaError, "as text"),
        ({"covariates": {"bmi": "age", "weight": "sex"}}, ModelError, "covariates has 'weight'"),
        ({"covariates": {"bmi": "0 + age"}}, FormulaError, "no intercept"),
        ({"covariates": "fvii ~ age"}, FormulaError, "right side alone"),
        ({"covariates": "age + kin(ID, pedigree)"}, FormulaError, "argument pedigree"),
        ({"covariates": "age + (age | HHID)"}, FormulaError, "random slopes"),
        ({"transform": "log"}, ModelError, "inormal"),
        ({"household": "home"}, DataError, "home"),
        ({"household": "ID"}, DataError, "column of the ids"),
        ({"interval": "boot"}, ModelError, "interval"),
        ({"id": "person"}, DataError, "person"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, error, problem):
    call = {"traits": TRAITS, "covariates": "age", "data": people(), "pedigree": pedigree()} | arguments
    with pytest.raises(error, match=problem):
        bivariate(**call)
