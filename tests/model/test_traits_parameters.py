"""Parameters, intervals, heritabilities and correlations of models with several traits, or a structured residual.

The judges are SOLAR's figures, the dense likelihood, and models of one trait.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

import lmmpy as lmm
from lmmpy.errors import ModelError
from lmmpy.inference.observed_vcov import observed_vcov
from lmmpy.inference.satterthwaite import vcov_slopes
from lmmpy.model.lmer import gls
from tests.qtl.family import pedigree, people, solar

SHARE, SE, WEAK = 1e-5, 4e-3, 0.1
Z = float(norm.ppf(0.975))


@cache
def bivariate() -> lmm.LmmFit:
    ped = pedigree()  # noqa: F841  (the formula's)
    return lmm.lmer("cbind(bmi, fvii) ~ age + sex + kin(ID, ped)", people(), reml=False)


# ---- SOLAR


def test_solars_heritabilities_and_correlations() -> None:
    theirs, fit = solar()["bivariate"]["poly"], bivariate()
    assert fit.loglik + 0.5 * fit.nobs * np.log(2 * np.pi) == pytest.approx(theirs["loglike"], abs=1e-6)
    h2 = fit.heritability(method="wald").set_index("trait")
    for trait in ("bmi", "fvii"):
        value, error = theirs[f"h2r({trait})"]
        assert h2.loc[trait, "estimate"] == pytest.approx(value, abs=SHARE)
        assert h2.loc[trait, "std_error"] == pytest.approx(error, rel=SE)
    found = fit.correlations(method="wald").set_index("term")
    for term, name in (("kin(ID, ped)", "rhog"), ("Residual", "rhoe")):
        value, error = theirs[name]
        assert found.loc[term, "estimate"] == pytest.approx(value, abs=SHARE)
        assert found.loc[term, "std_error"] == pytest.approx(error, rel=SE)
    assert found.loc["phenotypic", "estimate"] == pytest.approx(0.4390586, abs=SHARE)
    assert found.index.tolist() == ["kin(ID, ped)", "Residual", "phenotypic"]
    assert (found["trait1"] == "bmi").all() and (found["trait2"] == "fvii").all()


def test_solars_standard_errors_of_fixed_effects() -> None:
    theirs, fit = solar()["bivariate"]["poly"], bivariate()
    vcov = observed_vcov(fit.criterion, fit.optimum, fit.sigma, fit.vcov().to_numpy())
    errors = dict(zip(fit.design.names, np.sqrt(np.diag(vcov)), strict=True))
    for trait in ("bmi", "fvii"):
        for name, other in (("age", "bage"), ("sexfemale", "bsex")):
            value, error = theirs[f"{other}({trait})"]
            assert fit.fixef[f"{trait}:{name}"] == pytest.approx(value, rel=1e-3)
            assert errors[f"{trait}:{name}"] == pytest.approx(error, rel=SE)


def test_parameters_and_expressions_say_the_same() -> None:
    fit = bivariate()
    table = fit.parameters()
    assert table.index[6:].tolist() == [
        "sd_bmi|kin(ID, ped)", "sd_fvii|kin(ID, ped)", "cor_fvii.bmi|kin(ID, ped)", "sd_bmi|Residual",
        "sd_fvii|Residual", "cor_fvii.bmi|Residual", "sigma",
    ]  # fmt: skip
    found = fit.vpredict(
        rg="`kin(ID, ped).fvii.bmi` / sqrt(`kin(ID, ped).bmi` * `kin(ID, ped).fvii`)",
        re="Residual.fvii.bmi / sqrt(Residual.bmi * Residual.fvii)",
        h2="`kin(ID, ped).fvii` / (`kin(ID, ped).fvii` + Residual.fvii)",
        one="Residual.bmi - Residual",
    )
    columns = ["estimate", "std_error"]
    np.testing.assert_allclose(found.loc["rg", columns], table.loc["cor_fvii.bmi|kin(ID, ped)", columns], rtol=1e-9)
    np.testing.assert_allclose(found.loc["re", columns], table.loc["cor_fvii.bmi|Residual", columns], rtol=1e-9)
    h2 = fit.heritability(method="wald").set_index("trait").loc["fvii", columns]
    np.testing.assert_allclose(found.loc["h2", columns], h2.astype(float), rtol=1e-9)
    np.testing.assert_allclose(found.loc["one"].astype(float), 0.0, atol=1e-12)
    assert table.loc["sd_bmi|Residual"].equals(table.loc["sigma"])


def test_heritability_is_tested_by_what_the_likelihood_loses() -> None:
    fit, ped = bivariate(), pedigree()  # noqa: F841
    table = fit.heritability(method="wald").set_index("trait")
    for trait, other in (("bmi", "fvii"), ("fvii", "bmi")):
        without = fit.update(f"cbind(bmi, fvii) ~ age + sex + at({other}, kin(ID, ped))")
        chisq = 2.0 * (fit.loglik - without.loglik)
        assert table.loc[trait, "chisq"] == pytest.approx(chisq, abs=1e-6)
        # A variance and the covariance with the other (Stram & Lee 1994).
        assert 0.0 < table.loc[trait, "p_value"] < 1e-9


def test_profiles_of_correlations_hold_what_a_test_rejects() -> None:
    """SOLAR's p-value of ρ_e = 0 is 0.0494824: the interval of that level ends at zero."""
    found = bivariate().correlations(level=1.0 - 0.0494824).set_index("term")
    assert found.loc["Residual", "conf_low"] == pytest.approx(0.0, abs=2e-6)
    assert found.loc["kin(ID, ped)", "conf_high"] < 1.0


# ---- the dense likelihood


@cache
def crossed(size: float = 1.0) -> pd.DataFrame:
    """Two traits of 80 rows in 16 groups, some missing; the size is that of the groups' variances."""
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(16), 5)
    b = np.sqrt(size) * rng.multivariate_normal([0, 0], [[2.0, 1.2], [1.2, 5.0]], size=16)[g]
    e = rng.multivariate_normal([0, 0], [[1.0, -0.8], [-0.8, 4.0]], size=80)
    x = rng.normal(size=80)
    y, z = b[:, 0] + e[:, 0] + 0.5 * x, b[:, 1] + e[:, 1] - x
    z[[3, 17, 41]] = np.nan
    return pd.DataFrame({"y": y, "z": z, "x": x, "g": g.astype(str)})


@cache
def small(size: float = 1.0) -> lmm.LmmFit:
    return lmm.lmer("cbind(y, z) ~ x + (1 | g)", crossed(size), reml=False)


class Dense:
    """−2 log-likelihood of `small` over (log sd, log sd, artanh ρ) of the groups and of the residual."""

    def __init__(self, fixed: tuple[str, float] | None = None, fit: lmm.LmmFit | None = None) -> None:
        design = (fit or small()).design
        self.same_group = (design.random[0].codes[:, None] == design.random[0].codes).astype(float)
        self.trait = design.traits.trait
        self.same_row = (design.traits.row[:, None] == design.traits.row).astype(float)
        self.y, self.X = design.y, design.X
        if fixed is not None:
            j = design.names.index(fixed[0])
            self.y, self.X = self.y - self.X[:, j] * fixed[1], np.delete(self.X, j, axis=1)

    def __call__(self, p: np.ndarray) -> float:
        V = sum(self._between(*p[3 * i : 3 * i + 3]) * same for i, same in enumerate((self.same_group, self.same_row)))
        L = np.linalg.cholesky(V)
        A, b = np.linalg.solve(L, self.X), np.linalg.solve(L, self.y)
        r = b - A @ np.linalg.lstsq(A, b, rcond=None)[0]
        return float(r @ r + 2.0 * np.log(np.diag(L)).sum() + len(r) * np.log(2.0 * np.pi))

    def _between(self, log_a: float, log_b: float, z: float) -> np.ndarray:
        sd = np.exp([log_a, log_b])
        C = np.outer(sd, sd) * np.array([[1.0, np.tanh(z)], [np.tanh(z), 1.0]])
        return C[np.ix_(self.trait, self.trait)]


PLACES = {"sd_y|g": 0, "sd_z|g": 1, "cor_z.y|g": 2, "sd_y|Residual": 3, "sd_z|Residual": 4, "cor_z.y|Residual": 5}


def at_optimum(fit: lmm.LmmFit | None = None) -> np.ndarray:
    values = (fit or small()).parameters()["estimate"]
    found = np.array([values[name] for name in PLACES])
    found[[0, 1, 3, 4]], found[[2, 5]] = np.log(found[[0, 1, 3, 4]]), np.arctanh(found[[2, 5]])
    return found


@pytest.mark.parametrize("name", ["sd_z|g", "cor_z.y|g", "sd_y|Residual", "cor_z.y|Residual"])
def test_profile_limits_by_brute_force(name: str) -> None:
    fit, dense, start, place = small(), Dense(), at_optimum(), PLACES[name]
    least = dense(start)
    assert least == pytest.approx(-2.0 * fit.loglik, abs=1e-8)
    for limit in fit.confint(name).to_numpy()[0]:
        held = np.arctanh(limit) if name.startswith("cor") else np.log(limit)
        found = minimize(lambda p: dense(np.insert(p, place, held)), np.delete(start, place), tol=1e-10)  # noqa: B023
        assert found.fun - least == pytest.approx(Z**2, abs=2e-5)


def test_profile_limits_at_the_end_of_a_range() -> None:
    """Groups that hardly differ: what a limit of 0 or 1 leaves of the likelihood is within the region."""
    fit = small(WEAK)
    dense, start = Dense(fit=fit), at_optimum(fit)
    found = fit.confint(["sd_y|g", "cor_z.y|g"])
    assert found.loc["sd_y|g"].iloc[0] == 0.0
    assert found.loc["cor_z.y|g"].tolist() == [-1.0, 1.0]
    for place, held in ((0, -15.0), (2, 9.0), (2, -9.0)):
        without = minimize(lambda p: dense(np.insert(p, place, held)), np.delete(start, place), tol=1e-8)  # noqa: B023
        assert without.fun + 2.0 * fit.loglik < Z**2
    with pytest.warns(lmm.SingularFitWarning):
        boundary = small(0.0).confint(["sd_y|g", "cor_z.y|g"])
    assert np.isnan(boundary.loc["cor_z.y|g"]).all()
    assert boundary.loc["sd_y|g"].iloc[0] == 0.0


def test_profile_limits_of_fixed_effects_by_brute_force() -> None:
    fit, start = small(), at_optimum()
    for limit in fit.confint("z:x").to_numpy()[0]:
        found = minimize(Dense(("z:x", float(limit))), start, tol=1e-10)
        assert found.fun + 2.0 * fit.loglik == pytest.approx(Z**2, abs=2e-5)


def test_wald_errors_are_those_of_the_dense_hessian() -> None:
    dense, at, step = Dense(), at_optimum(), 1e-3
    eye = step * np.eye(6)

    def mixed(i: int, j: int) -> float:
        signs = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        return sum(s * dense(at + a * eye[i] + b * eye[j]) for a, b, s in signs) / (4.0 * step**2)

    hessian = np.array([[mixed(i, j) for j in range(6)] for i in range(6)])
    errors = np.sqrt(np.diag(2.0 * np.linalg.inv(hessian)))
    table = small().parameters().loc[list(PLACES)]
    scale = np.where(table.index.str.startswith("cor"), 1.0 - table["estimate"] ** 2, table["estimate"])
    np.testing.assert_allclose(table["std_error"], errors * scale, rtol=1e-5)


@pytest.mark.parametrize("reml", [True, False])
def test_satterthwaites_slopes_are_derivatives(reml: bool) -> None:
    fit = lmm.lmer("cbind(y, z) ~ x + (1 | g)", crossed(), reml=reml)
    criterion, theta, sigma = fit.criterion, fit.optimum.theta, fit.sigma
    operators = criterion.operators(theta)
    unscaled, R = np.linalg.inv(operators.QtVQ), operators.products.R
    found = vcov_slopes(criterion.design, theta, sigma, unscaled, operators.ZtVQ, operators.row_slopes())

    def vcov(theta: np.ndarray) -> np.ndarray:
        return sigma**2 * R @ criterion.solve(theta).unscaled_vcov @ R.T

    for i, e in enumerate(np.eye(len(theta))):
        near, far = ((vcov(theta + h * e) - vcov(theta - h * e)) / (2.0 * h) for h in (5e-4, 1e-3))
        np.testing.assert_allclose(found[i], (4.0 * near - far) / 3.0, rtol=1e-6, atol=1e-8 * np.abs(found).max())


# ---- against one trait


def test_unrelated_traits_are_models_of_one() -> None:
    data = people().dropna(subset=["bmi", "fvii"])
    ped = pedigree()  # noqa: F841
    both = lmm.lmer("cbind(bmi, fvii) ~ age + sex + diag(1 | kin(ID, ped))", data, residual="diag", reml=False)
    shares = both.heritability().set_index("trait")
    tests = lmm.anova(both)
    for trait in ("bmi", "fvii"):
        one = lmm.lmer(f"{trait} ~ age + sex + kin(ID, ped)", data, reml=False)
        alone = one.heritability().loc[0]
        names = ["estimate", "std_error", "conf_low", "conf_high", "chisq"]
        np.testing.assert_allclose(shares.loc[trait, names].astype(float), alone[names].astype(float), rtol=2e-5)
        assert shares.loc[trait, "p_value"] == pytest.approx(alone["p_value"], rel=1e-4)
        single = lmm.anova(one)
        ours = tests.loc[[f"{trait}:age", f"{trait}:sex"], ["NumDF", "DenDF", "F value", "Pr(>F)"]]
        np.testing.assert_allclose(ours, single[["NumDF", "DenDF", "F value", "Pr(>F)"]], rtol=2e-4)
    assert both.correlations(method="wald")["term"].tolist() == ["phenotypic"]
    assert both.correlations(method="wald")["estimate"].item() == 0.0


def test_heritability_with_a_variance_by_sex() -> None:
    ped = pedigree()  # noqa: F841
    fit = lmm.lmer("bmi ~ age + sex + kin(ID, ped)", people(), residual="varident(sex)")
    male, female = fit.varcorr["Residual"].loc["male", "male"], fit.varcorr["Residual"].loc["female", "female"]
    share = (fit.frame()["sex"] == "male").mean()
    genetic = float(fit.varcorr["kin(ID, ped)"].iloc[0, 0])
    found = fit.heritability(method="wald")
    assert found.columns.tolist() == ["term", "estimate", "std_error", "conf_low", "conf_high", "chisq", "p_value"]
    expected = genetic / (genetic + share * male + (1 - share) * female)
    assert found.loc[0, "estimate"] == pytest.approx(expected, rel=1e-10)
    names = fit.vpredict(
        h2=f"`kin(ID, ped)` / (`kin(ID, ped)` + {share} * Residual.male + {1 - share} * Residual.female)"
    )
    assert found.loc[0, "std_error"] == pytest.approx(names.loc["h2", "std_error"], rel=1e-8)
    with pytest.raises(ModelError, match=r"heritability\(at=…\)"):
        fit.heritability(at={"age": 40})


# ---- tests, refusals, reports


def test_known_components_of_several_traits() -> None:
    fit = small()
    given = {name: fit.varcorr[name] for name in ("g", "Residual")}
    held = lmm.lmer("cbind(y, z) ~ x + (1 | g)", crossed(), reml=False, varcomp=given)
    assert held.loglik == pytest.approx(fit.loglik, abs=1e-9)
    np.testing.assert_allclose(held.fixef, fit.fixef, rtol=1e-9)
    found = held.correlations()
    assert found["std_error"].isna().all() and found["conf_low"].isna().all()
    np.testing.assert_allclose(found["estimate"], fit.correlations(method="wald")["estimate"])


def test_correlations_under_constraints() -> None:
    fit = small().constrain({"cor_z.y|g": 0})
    found = fit.correlations(method="wald").set_index("term")
    assert found.loc["g", "estimate"] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.loc["g", "std_error"])
    assert found.loc["Residual", "std_error"] > 0.0
    with pytest.raises(ModelError, match="profile"):
        fit.correlations()


def test_terms_of_each_trait_are_tested() -> None:
    fit = bivariate()
    for number in (1, 2, 3):
        table = lmm.anova(fit, type=number)
        assert table.index.tolist() == ["bmi:age", "bmi:sex", "fvii:age", "fvii:sex"]
        assert "Sum Sq" not in table
    summary = fit.summary(ddf="satterthwaite").to_frame().set_index("term")
    assert table.loc["fvii:sex", "F value"] == pytest.approx(summary.loc["fvii:sexfemale", "statistic"] ** 2)
    assert table.loc["fvii:sex", "DenDF"] == pytest.approx(summary.loc["fvii:sexfemale", "df"])
    joint = lmm.contest(fit, [{"bmi:age": 1}, {"fvii:age": 1}], ddf="asymptotic")
    beta, vcov = fit.fixef[["bmi:age", "fvii:age"]], fit.vcov().loc[["bmi:age", "fvii:age"], ["bmi:age", "fvii:age"]]
    assert 2.0 * joint["F value"].item() == pytest.approx(beta @ np.linalg.solve(vcov, beta))
    with pytest.raises(ModelError, match="Kenward and Roger's method is not there for several traits"):
        lmm.contest(fit.update(reml=True), {"bmi:age": 1}, ddf="kenward-roger")


def test_trait_specific_terms_are_tested_where_they_are() -> None:
    ped = pedigree()  # noqa: F841
    fit = lmm.lmer("cbind(bmi, fvii) ~ age + at(bmi, sex) + kin(ID, ped)", people(), reml=False)
    assert lmm.anova(fit).index.tolist() == ["bmi:age", "bmi:sex", "fvii:age"]


def test_what_is_not_there_says_so() -> None:
    data = crossed()
    one = lmm.lmer("y ~ x + (1 | g)", data)
    with pytest.raises(ModelError, match="this fit has one"):
        one.correlations()
    with pytest.raises(ModelError, match="Whole profiles"):
        small().profile()
    with pytest.raises(ModelError, match="'profile' or 'wald'"):
        small().correlations(method="boot")
    with pytest.raises(ModelError, match="heritability is for random terms whose levels are related"):
        small().heritability()


def test_traits_that_no_row_has_both_of() -> None:
    data = crossed().assign(
        y=lambda d: d.y.where(np.arange(80) % 2 == 0), z=lambda d: d.z.where(np.arange(80) % 2 == 1)
    )
    fit = lmm.lmer("cbind(y, z) ~ x + (1 | g)", data, residual="diag", reml=False)
    found = fit.correlations(method="wald")
    assert found["term"].tolist() == ["g"]
    assert found["estimate"].item() == pytest.approx(fit.parameters().loc["cor_z.y|g", "estimate"])


def test_summary_is_grouped_by_trait() -> None:
    fit = bivariate()
    text = str(fit.summary())
    for line in (
        "Number of obs: 744 (bmi, 376; fvii, 368), groups:  kin(ID, ped), 393",
        "Rows: 395, with all responses 349",
        "Fixed effects of bmi:",
        "Fixed effects of fvii:",
    ):
        assert line in text.splitlines()
    assert [line.split() for line in text.splitlines() if line.startswith(" kin") or line.startswith(" Residual")] == [
        ["kin(ID,", "ped)", "bmi", "2.0288", "1.4244"],
        ["Residual", "bmi", "0.7423", "0.8616"],
    ]
    assert text.count("(Intercept)") == 2
    assert "Fixed Effects of fvii:" in repr(fit)
    for document in (fit.summary().to_html(), fit.summary().to_latex()):
        assert "Fixed effects of fvii" in document and "with all responses 349" in document


def test_summary_tells_the_structure_of_the_residual() -> None:
    data = lmm.datasets.load("sleepstudy")
    fit = gls("Reaction ~ Days", data, residual="ar1(1 | Subject) * varexp(Days)")
    text = str(fit.summary())
    assert text.startswith("Linear model with correlated errors fit by REML")
    assert "Residual: ar1(1 | Subject) * varexp(Days)" in text.splitlines()
    lines = text.splitlines()
    place = lines.index("Parameters of the residual:")
    assert lines[place + 1].split() == ["rho", "rate"]
    values = fit.parameters()["estimate"]
    shown = [float(value) for value in lines[place + 2].split()]
    np.testing.assert_allclose(shown, [values["rho|Residual"], values["rate|Residual"]], rtol=1e-3)
    assert "groups" not in text and "Random effects" not in text


def test_intervals_of_a_correlation_in_time() -> None:
    data = lmm.datasets.load("sleepstudy")
    fit = gls("Reaction ~ Days", data, residual="cs(1 | Subject)", reml=False)
    mixed = lmm.lmer("Reaction ~ Days + (1 | Subject)", data, reml=False)
    icc = mixed.vpredict(icc="Subject / (Subject + Residual)", interval="profile").loc["icc"]
    ours = fit.confint("rho|Residual").loc["rho|Residual"]
    assert fit.loglik == pytest.approx(mixed.loglik, abs=1e-7)
    np.testing.assert_allclose(ours, icc[["conf_low", "conf_high"]], atol=2e-5)
    wald = fit.parameters().loc["rho|Residual"]
    assert wald["std_error"] == pytest.approx(icc["std_error"], rel=1e-4)
    # On Fisher's z.
    spread = Z * wald["std_error"] / (1.0 - wald["estimate"] ** 2)
    limits = np.tanh(np.arctanh(wald["estimate"]) + spread * np.array([-1.0, 1.0]))
    np.testing.assert_allclose(wald[["conf_low", "conf_high"]], limits)
