"""Kinds of genetic effects, parents of origin, sexes, environments: against dense likelihoods and plain `lmer`."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import DataError, FormulaError, ModelError
from lmmpy.qtl import decompose, gene_by_environment, parent_of_origin, polygenic, sex_specific
from lmmpy.relatedness import Relatedness
from tests.qtl import dense
from tests.qtl.family import kinship, pedigree, people


def drawn(seed, *parts):
    """A trait with the covariance Σ v K, in which age and sex count."""
    data, rng = people(), np.random.default_rng(seed)
    y = 10.0 + 0.02 * data.age - 0.5 * (data.SEX == 2)
    for v, K in parts:
        values, vectors = np.linalg.eigh(K)
        y = y + vectors @ (np.sqrt(v * np.maximum(values, 0.0)) * rng.standard_normal(398))
    return data.assign(y=y)


def kernel(name):
    return getattr(pedigree(), name)().to_frame(range(1, 399)).to_numpy()


def covariates(data):
    return np.column_stack([np.ones(len(data)), data.age, data.SEX == 2]).astype(float)


def values(found, column="estimate"):
    return found.estimates.set_index("parameter")[column]


def chisq(found, hypothesis):
    return found.tests.set_index("hypothesis").loc[hypothesis, "chisq"]


def fall(found, formula, data, **arguments):
    """Twice what the log-likelihood loses in another model."""
    relmat = {name: K for name, K in arguments.pop("relmat", {"ped": pedigree()}).items()}
    return 2.0 * (found.loglik - lmm.lmer(formula, data, relmat=relmat, reml=False, **arguments).loglik)


def at_maximum(loglik, found, names, step=1e-3):
    """Whether a dense likelihood of the estimates is the fit's, and level there."""
    x = values(found)[names].to_numpy()
    assert loglik(x) == pytest.approx(found.loglik, abs=1e-7)
    slope = dense.slope(loglik, x, np.full(len(x), step))
    assert slope * values(found, "std_error")[names].to_numpy() == pytest.approx(0.0, abs=2e-4)


# ---- kinds of effects


@cache
def with_dominance():
    return drawn(1, (1.0, kernel("additive")), (1.2, kernel("dominance")), (0.5, np.eye(398)))


def test_additive_effects_and_dominance_have_the_dense_likelihoods_shares():
    data, found = with_dominance(), decompose("y ~ age + sex", with_dominance(), pedigree())
    A, D, alone, X = kernel("additive"), kernel("dominance"), np.eye(398), covariates(data)

    def loglik(x):
        sd, h2, d2 = x
        return dense.loglik(data.y.to_numpy(), X, sd**2 * (h2 * A + d2 * D + (1.0 - h2 - d2) * alone))

    at_maximum(loglik, found, ["sd", "h2", "d2"])
    assert list(values(found).index) == ["h2", "d2", "e2", "sd"]
    assert chisq(found, "d2 = 0") == pytest.approx(fall(found, "y ~ age + sex + kin(ID, ped)", data), abs=1e-6)
    without = fall(found, "y ~ age + sex + kin(ID, D)", data, relmat={"D": pedigree().dominance()})
    assert chisq(found, "h2 = 0") == pytest.approx(without, abs=1e-6)


def test_additive_effects_alone_are_a_polygenic_model():
    found = decompose("bmi ~ age + sex", people(), pedigree(), "additive")
    one = polygenic("bmi ~ age + sex", people(), pedigree())
    assert values(found)["h2"] == pytest.approx(one.h2, abs=1e-7)
    assert values(found, "std_error")["h2"] == pytest.approx(one.h2_se, rel=1e-5)
    assert found.p_value("h2 = 0") == pytest.approx(one.h2_p_value, rel=1e-5)
    assert found.loglik_solar == pytest.approx(one.loglik_solar, abs=1e-7)


def test_epistasis_is_by_products_of_entries():
    A = pedigree().additive()
    found = decompose("fvii ~ age", people(), pedigree(), ["additive", "additive:additive"])
    given = decompose("fvii ~ age", people(), pedigree(), {"additive": None, "pairs": A * A})
    assert given.loglik == pytest.approx(found.loglik, abs=1e-9)
    assert list(values(given).index[:2]) == ["h2", "pairs"]
    relmat = {"A": A, "AA": Relatedness(kinship() ** 2)}
    assert fall(found, "fvii ~ age + kin(ID, A) + kin(ID, AA)", people(), relmat=relmat) == pytest.approx(0.0, abs=1e-6)


def test_the_household_has_a_share_and_a_test():
    found = decompose("bmi ~ age + sex", people(), pedigree(), "additive", "HHID")
    one = polygenic("bmi ~ age + sex", people(), pedigree(), "HHID")
    assert values(found)[["h2", "c2", "e2"]].to_numpy() == pytest.approx([one.h2, one.c2, one.e2], abs=1e-6)
    assert found.p_value("c2 = 0") == pytest.approx(one.c2_p_value, rel=1e-4)


@pytest.mark.parametrize(
    ("effects", "error", "problem"),
    [
        ("imprinting", ModelError, "'imprinting' is not understood"),
        ("additive:additive:additive", ModelError, "not understood"),
        (["additive", "additive"], ModelError, "each kind of effect once"),
        ([], ModelError, "names none"),
        ({"other": 3}, DataError, "no relatedness"),
    ],
)
def test_effects_that_are_none_are_refused(effects, error, problem):
    with pytest.raises(error, match=problem):
        decompose("bmi ~ age", people(), pedigree(), effects)


def test_a_matrix_has_no_dominance():
    with pytest.raises(DataError, match="needs a Pedigree"):
        decompose("bmi ~ age", people(), kinship(), "dominance", id="ID")


# ---- parents of origin


@cache
def imprinted():
    return drawn(4, (1.6, kernel("maternal")), (0.6, kernel("paternal")), (0.8, np.eye(398)))


def test_what_comes_from_mothers_and_fathers_is_told_apart():
    data, found = imprinted(), parent_of_origin("y ~ age + sex", imprinted(), pedigree())
    M, P, alone, X = kernel("maternal"), kernel("paternal"), np.eye(398), covariates(data)

    def loglik(x):
        sd, m2, p2 = x
        return dense.loglik(data.y.to_numpy(), X, sd**2 * (m2 * M + p2 * P + (1.0 - m2 - p2) * alone))

    at_maximum(loglik, found, ["sd", "m2", "p2"])
    relmat = {"K": Relatedness(pd.DataFrame(M + P, range(1, 399), range(1, 399)))}
    equal = fall(found, "y ~ age + sex + kin(ID, K)", data, relmat=relmat)
    assert chisq(found, "m2 = p2") == pytest.approx(equal, abs=1e-6)
    assert list(found.tests["hypothesis"]) == ["m2 = 0", "p2 = 0", "m2 = p2"]


def test_effects_of_both_alleles_may_stand_beside():
    found = parent_of_origin("y ~ age + sex", imprinted(), pedigree(), additive=True)
    assert list(values(found).index) == ["m2", "p2", "h2", "e2", "sd"]
    assert values(found)[["m2", "p2", "h2", "e2"]].sum() == pytest.approx(1.0)
    with pytest.raises(DataError, match="not of a DataFrame"):
        parent_of_origin("y ~ age", imprinted(), kinship(), id="ID")


# ---- sexes


@cache
def by_sex():
    data = people()
    s = np.where(data.SEX == 1, 1.6, 0.8)
    r = np.where(data.SEX.to_numpy()[:, None] == data.SEX.to_numpy(), 1.0, 0.5)
    return drawn(6, (1.0, np.outer(s, s) * r * kernel("additive")), (1.0, np.diag(np.where(data.SEX == 1, 0.5, 1.5))))


def test_sexes_have_the_dense_likelihoods_variances():
    data, found = by_sex(), sex_specific("y ~ age + sex", by_sex(), pedigree())
    male, A, X = (data.SEX == 1).to_numpy(), kernel("additive"), covariates(data)

    def loglik(x):
        g, e = np.where(male, x[0], x[1]), np.where(male, x[2], x[3])
        r = np.where(male[:, None] == male, 1.0, x[4])
        return dense.loglik(data.y.to_numpy(), X, np.outer(g, g) * r * A + np.diag(e**2))

    at_maximum(loglik, found, ["sd_g[male]", "sd_g[female]", "sd_e[male]", "sd_e[female]", "rho_g"])
    at = values(found)
    assert at["h2[male]"] == pytest.approx(at["sd_g[male]"] ** 2 / (at["sd_g[male]"] ** 2 + at["sd_e[male]"] ** 2))


@pytest.mark.parametrize(
    ("hypothesis", "term", "residual"),
    [
        ("sd_g[male] = sd_g[female]", "cs(0 + sex | kin(ID, ped), hom = TRUE)", "diag(0 + sex | 1)"),
        ("sd_e[male] = sd_e[female]", "(0 + sex | kin(ID, ped))", None),
        ("rho_g = 0", "diag(0 + sex | kin(ID, ped))", "diag(0 + sex | 1)"),
        ("no difference", "kin(ID, ped)", None),
    ],
)
def test_hypotheses_about_sexes_are_smaller_models(hypothesis, term, residual):
    found = sex_specific("y ~ age + sex", by_sex(), pedigree())
    theirs = fall(found, f"y ~ age + sex + {term}", by_sex(), residual=residual)
    assert chisq(found, hypothesis) == pytest.approx(theirs, abs=1e-6)


def test_a_correlation_of_one_between_sexes_is_one_effect_scaled():
    """The residual's strata turn the scale: y divided by the sex's genetic deviation has kin(ID) alone."""
    data, found = by_sex(), sex_specific("y ~ age + sex", by_sex(), pedigree())
    name = found.fit.design.random[0].name
    fit = found.fit.constrain({f"cor_sexfemale.sexmale|{name}": 1.0})
    G = fit.varcorr[name].to_numpy()
    male, A = (data.SEX == 1).to_numpy(), kernel("additive")
    e = np.sqrt(fit.vpredict(m="`Residual.male`", f="`Residual.female`")["estimate"].to_numpy())

    def loglik(x):
        g, r = np.where(male, x[0], x[1]), np.where(male, x[2], x[3])
        return dense.loglik(data.y.to_numpy(), covariates(data), np.outer(g, g) * A + np.diag(r**2))

    x = np.array([*np.sqrt(np.diag(G)), *e])
    assert chisq(found, "rho_g = 1") == pytest.approx(2.0 * (found.loglik - loglik(x)), abs=1e-6)
    assert dense.slope(loglik, x, np.full(4, 1e-3)) == pytest.approx(0.0, abs=2e-3)
    assert found.p_value("rho_g = 1") < found.p_value("rho_g = 0") * 1e6


def test_sex_may_be_numbers():
    codes = sex_specific("y ~ age + sex", by_sex(), pedigree(), "SEX")
    assert codes.loglik == pytest.approx(sex_specific("y ~ age + sex", by_sex(), pedigree()).loglik, abs=1e-8)
    assert "h2[1]" in values(codes).index


@pytest.mark.parametrize(
    ("formula", "sex", "problem"),
    [("y ~ age", "gender", "gender"), ("y ~ age", "HHID", "is of two"), ("y ~ age", "one", "has 1 values")],
)
def test_sexes_that_are_not_two_are_refused(formula, sex, problem):
    with pytest.raises(DataError, match=problem):
        sex_specific(formula, by_sex().assign(one="x"), pedigree(), sex)


# ---- environments


@cache
def changing():
    """Genetic variance grows with age, and effects at different ages are less correlated."""
    age = people().age.to_numpy()
    r = np.exp(0.01 * (age[:, None] + age - 80.0) - 0.01 * np.abs(age[:, None] - age))
    return drawn(9, (1.5, r * kernel("additive")), (1.0, np.diag(0.5 * np.exp(-0.01 * (age - 40.0)))))


@cache
def exponential():
    return gene_by_environment("y ~ age + sex", changing(), pedigree(), "age", at=[20, 70])


def test_an_exponential_interaction_has_the_dense_likelihoods_parameters():
    data, found = changing(), exponential()
    age, A, X = data.age.to_numpy(), kernel("additive"), covariates(data)
    centred = age - age.mean()

    def covariance(x):
        g = x[0] * np.exp(0.5 * x[1] * centred)
        return np.outer(g, g) * np.exp(-x[2] * np.abs(age[:, None] - age)) * A

    def loglik(x):
        V = covariance(x) + np.diag(x[3] ** 2 * np.exp(x[4] * centred))
        return dense.loglik(data.y.to_numpy(), X, V)

    names = ["sd_g", "gamma_g", "lambda", "sd_e", "gamma_e"]
    assert values(found)["lambda"] > 1e-3
    at_maximum(loglik, found, names, step=1e-4)
    at = values(found)
    g, e = (at[f"sd_{x}"] * math.exp(0.5 * at[f"gamma_{x}"] * (70.0 - age.mean())) for x in "ge")
    assert at[["sd_g[70]", "sd_e[70]"]].to_numpy() == pytest.approx([g, e])
    assert at["h2[70]"] == pytest.approx(g**2 / (g**2 + e**2))
    assert at["rho_g[20, 70]"] == pytest.approx(math.exp(-50.0 * at["lambda"]))


def test_hypotheses_about_an_interaction_are_smaller_models():
    found, data = exponential(), changing()
    assert chisq(found, "no interaction") == pytest.approx(
        fall(found, "y ~ age + sex + kin(ID, ped)", data, residual="varexp(age)"), abs=1e-6
    )
    assert chisq(found, "gamma_e = 0") == pytest.approx(
        fall(found, "y ~ age + sex + exp(age | kin(ID, ped))", data), abs=1e-6
    )
    assert 0.0 < chisq(found, "lambda = 0") <= chisq(found, "no interaction")
    assert 0.0 < chisq(found, "gamma_g = 0") <= chisq(found, "no interaction")
    row = found.tests.set_index("hypothesis").loc["no interaction"]
    assert row["df"] == 2


def test_random_regression_reports_at_environments():
    data = changing()
    found = gene_by_environment("y ~ age + sex", data, pedigree(), "age", form="linear", residual=[30, 60], at=[20, 70])
    bands = pd.cut(data.age, [-np.inf, 30, 60, np.inf], right=False, labels=["a", "b", "c"])
    fit = lmm.lmer(
        "y ~ age + sex + (age | kin(ID, ped))",
        data.assign(band=bands),
        relmat={"ped": pedigree()},
        residual="diag(0 + band | 1)",
        reml=False,
    )
    assert found.loglik == pytest.approx(fit.loglik, abs=1e-6)
    G, at = fit.varcorr["kin(ID, ped)"].to_numpy(), values(found)
    Z = np.array([[1.0, 20.0], [1.0, 70.0]])
    C = Z @ G @ Z.T
    assert at[["sd_g[20]", "sd_g[70]"]].to_numpy() == pytest.approx(np.sqrt(np.diag(C)), rel=1e-4)
    assert at["rho_g[20, 70]"] == pytest.approx(C[0, 1] / math.sqrt(C[0, 0] * C[1, 1]), abs=1e-4)
    residual = fit.vpredict(a="`Residual.a`", c="`Residual.c`")["estimate"].to_numpy()
    assert at[["h2[20]", "h2[70]"]].to_numpy() == pytest.approx(np.diag(C) / (np.diag(C) + residual), rel=1e-4)
    assert list(found.tests["hypothesis"]) == ["|rho_g| = 1", "no interaction", "equal strata"]


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"environment": "sex"}, DataError, "no numbers"),
        ({"environment": "dose"}, DataError, "dose"),
        ({"form": "cubic"}, ModelError, "form is"),
        ({"residual": "power"}, ModelError, "residual is"),
        ({"residual": [float("nan")]}, ModelError, "residual is"),
        ({"at": []}, ModelError, "at is"),
        ({"formula": "bmi"}, FormulaError, "no '~'"),
        ({"formula": "~ age"}, FormulaError, "no trait"),
        ({"formula": "cbind(bmi, fvii) ~ age"}, FormulaError, "several traits"),
        ({"formula": "bmi ~ exp(age | kin(ID, pedigree))"}, FormulaError, "argument pedigree"),
        ({"formula": "bmi ~ age + (age | HHID)"}, FormulaError, "random slopes"),
        ({"household": "nowhere"}, DataError, "nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, error, problem):
    call = {"formula": "bmi ~ age", "data": people(), "pedigree": pedigree(), "environment": "age"} | arguments
    with pytest.raises(error, match=problem):
        gene_by_environment(**call)


def test_names_of_columns_may_hold_blanks():
    data = people().head(133).rename(columns={"age": "the age", "sex": "the sex", "HHID": "the home"})
    for form in ("linear", "exponential"):
        found = gene_by_environment("fvii ~ `the age`", data, pedigree(), "the age", "the home", form=form, at=[30])
        assert 0.0 < values(found)["h2[30]"] < 1.0
    assert "h2[male]" in values(sex_specific("fvii ~ `the sex`", data, pedigree(), "the sex")).index


def test_reports_say_what_was_found():
    text = str(exponential())
    for shown in ("Gene-by-environment", "gamma_g", "h2[70]", "no interaction", "mean of age"):
        assert shown in text
