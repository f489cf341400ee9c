"""Fits with covariance parameters held or tied: what they say of themselves, and their likelihood-ratio tests."""

from __future__ import annotations

import math
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

import lmmpy as lmm

FORMULA = "Reaction ~ Days + (Days | Subject)"
SD0, SD1, COR = "sd_(Intercept)|Subject", "sd_Days|Subject", "cor_Days.(Intercept)|Subject"
K, R = "cor_fvii.bmi|kin(ped)", "cor_fvii.bmi|Residual"


@pytest.fixture(scope="module")
def sleepstudy() -> Any:
    return lmm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleepstudy: Any) -> lmm.LmmFit:
    return lmm.lmer(FORMULA, sleepstudy, reml=False)


@pytest.fixture(scope="module")
def two_traits() -> lmm.LmmFit:
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    family = lmm.datasets.load("family")
    return lmm.lmer("cbind(bmi, fvii) ~ age + sex + kin(ped)", family, reml=False, relmat={"ped": ped})


def row(small: lmm.LmmFit, large: lmm.LmmFit) -> Any:
    return lmm.anova(small, large).iloc[1]


# ---- likelihood-ratio tests


@pytest.mark.parametrize(
    ("given", "df", "weights"),
    [
        ({COR: 0}, 1, {1: 1.0}),
        ({COR: 0.5, "sigma": 25}, 2, {2: 1.0}),
        ({COR: 1}, 1, {0: 0.5, 1: 0.5}),
        ({COR: -1}, 1, {0: 0.5, 1: 0.5}),
        ({SD1: 0}, 2, {1: 0.5, 2: 0.5}),
        ({SD1: 0, "sigma": 25}, 3, {2: 0.5, 3: 0.5}),
        ({SD0: 0, SD1: 0}, 3, None),
    ],
)
def test_the_reference_of_a_test(fit: lmm.LmmFit, given: dict[str, Any], df: int, weights: dict[int, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)  # for ρ = −1 the intercepts do not vary
        small = fit.constrain(given)
    found = row(small, fit)
    statistic = 2.0 * (fit.loglik - small.loglik)
    assert found["Df"] == df
    assert found["Chisq"] == pytest.approx(statistic)
    assert found["Pr(>Chisq)"] == pytest.approx(chi2.sf(statistic, df))
    if weights is None:
        assert np.isnan(found["Pr(mixture)"])
    else:
        expected = sum(w * (chi2.sf(statistic, m) if m else 0.0) for m, w in weights.items())
        assert found["Pr(mixture)"] == pytest.approx(expected)


def test_independent_boundaries_multiply(sleepstudy: Any) -> None:
    crossed = lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", lmm.datasets.load("Penicillin"), reml=False)
    both = crossed.constrain({"sd_(Intercept)|plate": 0, "sd_(Intercept)|sample": 0})
    table = lmm.anova(both, crossed)
    statistic = table["Chisq"].iloc[1]
    assert table["Pr(mixture)"].iloc[1] == pytest.approx(0.5 * chi2.sf(statistic, 1) + 0.25 * chi2.sf(statistic, 2))
    assert "as if the estimates on the boundary were uncorrelated" in str(table)
    # A tie is one restriction: the common variance is zero or it is not.
    tied = crossed.constrain({"sd_(Intercept)|plate": "sd_(Intercept)|sample"})
    table = lmm.anova(both, tied)
    assert table["Df"].iloc[1] == 1
    assert table["Pr(mixture)"].iloc[1] == pytest.approx(0.5 * table["Pr(>Chisq)"].iloc[1])


def test_the_table_says_what_the_reference_is(fit: lmm.LmmFit) -> None:
    perfect = fit.constrain({COR: 1})
    text = str(lmm.anova(perfect, fit))
    assert "Pr(mixture) of fit: ½χ²(0) + ½χ²(1)." in text
    assert f"perfect: {FORMULA} with {COR} = 1" in text
    zero = fit.constrain({SD0: 0, SD1: 0})
    assert "2 restrictions on the boundary of Subject have no mixture in closed form" in str(lmm.anova(zero, fit))


def test_constrained_fits_compare_with_each_other(fit: lmm.LmmFit) -> None:
    flat, uncorrelated, perfect = (fit.constrain(given) for given in ({SD1: 0}, {COR: 0}, {COR: 1}))
    # Without a variance any correlation can be said of it.
    for other in (uncorrelated, perfect):
        table = lmm.anova(flat, other)
        assert table["Df"].iloc[1] == 1
        assert table["Pr(mixture)"].iloc[1] == pytest.approx(0.5 * table["Pr(>Chisq)"].iloc[1])
    with_sigma = fit.constrain({"sigma": 25, SD1: 6})
    text = str(lmm.anova(with_sigma, uncorrelated))
    assert f"which is held to {COR} = 0" in text
    assert np.isnan(lmm.anova(with_sigma, uncorrelated)["Pr(mixture)"].iloc[1])


def test_a_formula_that_says_the_same_is_no_mixture(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    nested = lmm.lmer("Reaction ~ Days + (Days || Subject)", sleepstudy, reml=False).constrain({"sd_Days|Subject.1": 0})
    table = lmm.anova(nested, fit)
    assert np.isnan(table["Pr(mixture)"].iloc[1])
    assert "differ in more than constraints" in str(table)


def test_fits_without_constraints_have_the_table_of_r(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    smaller = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, reml=False)
    assert "Pr(mixture)" not in lmm.anova(smaller, fit)


def test_reml_fits_are_refitted_with_their_constraints(sleepstudy: Any) -> None:
    reml = lmm.lmer(FORMULA, sleepstudy)
    small = reml.constrain({COR: 0.5})
    assert small.refit_ml().constraints == {COR: 0.5}
    by_ml = row(small, reml)
    direct = lmm.lmer(FORMULA, sleepstudy, reml=False)
    assert by_ml["Chisq"] == pytest.approx(row(direct.constrain({COR: 0.5}), direct)["Chisq"], abs=1e-6)
    restricted = lmm.anova(small, reml, refit=False).iloc[1]
    assert restricted["Chisq"] == pytest.approx(2.0 * (reml.loglik - small.loglik))


# The values that SOLAR prints for this model on these data.
@pytest.mark.parametrize(
    ("given", "statistic", "halved"),
    [({R: 0}, 3.858912, False), ({K: 0}, 15.910962, False), ({K: 1}, 27.977472, True)],
)
def test_tests_of_two_traits_are_solars(
    two_traits: lmm.LmmFit, given: dict[str, Any], statistic: float, halved: bool
) -> None:
    found = row(two_traits.constrain(given), two_traits)
    assert found["Chisq"] == pytest.approx(statistic, abs=2e-5)
    assert found["Df"] == 1
    assert found["Pr(mixture)"] == pytest.approx(chi2.sf(statistic, 1) * (0.5 if halved else 1.0), rel=1e-4)


def test_ties_between_a_term_and_the_residual(two_traits: lmm.LmmFit) -> None:
    """Equal correlations and proportional variances: C_G = 2 C_E, one matrix in all, has the likelihood of its own."""
    given = {R: K, "sd_bmi|kin(ped)": "sd_bmi|Residual", "sd_fvii|kin(ped)": "sd_fvii|Residual"}
    small = two_traits.constrain(given)
    G, E = (small.varcorr[name].to_numpy() for name in ("kin(ped)", "Residual"))
    np.testing.assert_allclose(G, E, rtol=1e-12)
    assert small.df == two_traits.df - 3
    assert small.convergence.ok
    # At a residual of the same shape any other scale is less likely.
    value = small.criterion.evaluate(small.optimum.theta, 1)
    slope = np.concatenate([small.optimum.theta[:3], np.zeros(2)]) @ value.gradient
    shape = small.optimum.constraint.jacobian
    np.testing.assert_allclose(value.gradient @ shape[:-1], 0.0, atol=1e-3)
    assert abs(slope) > 1.0  # which the constraint, not the data, holds back


def test_the_bootstrap_tests_constraints(fit: lmm.LmmFit) -> None:
    perfect = fit.constrain({COR: 1})
    found = lmm.parametric_bootstrap_lrt(perfect, fit, n=40, seed=1)
    assert found.statistic == pytest.approx(row(perfect, fit)["Chisq"])
    assert found.df == 1 and found.n_failed == 0
    # Half of the replicates have no better fit than a perfect correlation.
    assert 0.25 < np.mean(found.reference < 1e-6) < 0.85
    scaled = fit.constrain({"sigma": 25.0})
    again = lmm.parametric_bootstrap_lrt(scaled, fit, n=10, seed=2)
    assert again.n_failed == 0 and (again.reference >= 0.0).all() and again.reference.max() > 0.1
    with pytest.raises(lmm.ModelError, match="held to"):
        lmm.parametric_bootstrap_lrt(fit.constrain({"sigma": 25, SD1: 6}), fit.constrain({COR: 0}), n=2)


# ---- what a constrained fit says


def test_three_ways_to_constrain(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    turned = "cor_(Intercept).Days|Subject"
    fits = [
        lmm.lmer(FORMULA, sleepstudy, reml=False, constraints={turned: 0.3}),
        fit.update(constraints={COR: 0.3}),
        fit.constrain({COR: 0.3}),
    ]
    for found in fits:
        assert found.constraints == {COR: 0.3}
        assert found.loglik == pytest.approx(fits[0].loglik, abs=1e-9)
        assert found.df == fit.df - 1
    assert fit.constraints == {}
    more = fits[0].constrain({SD1: SD0})
    assert more.constraints == {COR: 0.3, SD1: SD0}
    assert more.update(constraints=None).loglik == pytest.approx(fit.loglik, abs=1e-8)
    assert more.update("~ . - Days").constraints == more.constraints


def test_what_was_held_has_no_standard_error(fit: lmm.LmmFit) -> None:
    tied = fit.constrain({COR: 0.0, SD1: SD0})
    table = tied.parameters()
    assert math.isnan(table.loc[COR, "std_error"])
    assert table.loc[SD0].tolist() == table.loc[SD1].tolist()
    assert table.loc[SD0, "std_error"] > 0.0
    limits = tied.confint(method="wald")
    assert limits.loc[SD0].tolist() == pytest.approx(table.loc[SD0, ["conf_low", "conf_high"]].tolist())
    components = tied.vpredict(ratio="Subject.Days / Subject.(Intercept)", share="Subject.Days / Residual")
    assert components.loc["ratio"].tolist()[:2] == pytest.approx([1.0, 0.0], abs=1e-7)
    homogeneous = lmm.lmer("Reaction ~ Days + diag(Days | Subject, hom = TRUE)", tied.frame(), reml=False)
    other = homogeneous.vpredict(share="Subject.Days / Residual")
    np.testing.assert_allclose(components.loc["share"], other.loc["share"], rtol=1e-4)


def test_a_variance_that_is_held_at_zero_is_known(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    flat = fit.constrain({SD1: 0})  # no warning
    intercept = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, reml=False)
    np.testing.assert_allclose(
        flat.parameters().loc[[SD0, "sigma"]], intercept.parameters().loc[[SD0, "sigma"]], rtol=1e-4
    )
    share = flat.vpredict(icc="Subject.(Intercept) / (Subject.(Intercept) + Subject.Days + Residual)")
    other = intercept.vpredict(icc="Subject / (Subject + Residual)")
    np.testing.assert_allclose(share, other, rtol=1e-4)
    tests = [f.summary(ddf="satterthwaite").to_frame() for f in (flat, intercept)]
    np.testing.assert_allclose(tests[0].select_dtypes("number"), tests[1].select_dtypes("number"), rtol=1e-4)


def test_sigma_and_scale(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    held = fit.constrain({"sigma": 20.0})
    assert held.sigma == pytest.approx(20.0)
    assert -2.0 * held.loglik == pytest.approx(held.optimum.constraint.value, abs=1e-8)
    assert held.bootstrap(3, seed=1).replicates["sigma"].tolist() == pytest.approx([20.0] * 3)
    scaled = fit.constrain({SD1: 4.0})
    assert scaled.bootstrap(3, seed=1).replicates[SD1].tolist() == pytest.approx([4.0] * 3)
    doubled = scaled.refit(2.0 * sleepstudy["Reaction"])
    assert doubled.constraints == {SD1: 4.0}
    assert doubled.parameters().loc[SD1, "estimate"] == pytest.approx(4.0)
    assert math.isfinite(doubled.convergence.scaled_gradient) and doubled.convergence.ok


def test_a_constraint_that_a_formula_says_gives_the_same_fit(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    held, plain = fit.constrain({COR: 0}), lmm.lmer("Reaction ~ Days + (Days || Subject)", sleepstudy, reml=False)
    assert (held.df, held.loglik) == (plain.df, pytest.approx(plain.loglik, abs=1e-9))
    np.testing.assert_allclose(held.residuals("student"), plain.residuals("student"), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(held.dfbetas(), plain.dfbetas(), rtol=1e-5, atol=1e-9)
    for refit in (False, True):
        ours, theirs = (one.influence("Subject", refit=refit) for one in (held, plain))
        np.testing.assert_allclose(ours.fixef, theirs.fixef, rtol=1e-6)
        np.testing.assert_allclose(ours.dfbetas, theirs.dfbetas, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(ours.parameters["sigma"], theirs.parameters["sigma"], rtol=1e-6)
    np.testing.assert_allclose(lmm.anova(held), lmm.anova(plain), rtol=1e-5)


def test_summary_and_pickle(fit: lmm.LmmFit) -> None:
    perfect = fit.constrain({COR: 1})
    assert f"constraints: {COR} = 1" in str(perfect.summary())
    assert "singular" not in str(perfect)
    again = pickle.loads(pickle.dumps(perfect))
    assert again.loglik == perfect.loglik and again.constraints == {COR: 1}
    assert again.constrain({SD1: 5}).df == perfect.df - 1


def test_a_boundary_beyond_the_constraint_is_warned_of(fit: lmm.LmmFit) -> None:
    with pytest.warns(lmm.SingularFitWarning, match="Boundary"):
        found = fit.constrain({COR: -1})
    assert found.convergence.boundary == (SD0,)


# ---- refusals


@pytest.mark.parametrize(
    "given",
    [{SD1: 20, SD0: SD1, "sigma": SD0}, {SD1: 5, SD0: 30, "sigma": SD0}, {SD0: 20, SD1: SD0, "sigma": 25}],
)
def test_several_at_once(fit: lmm.LmmFit, given: dict[str, Any]) -> None:
    found = fit.constrain(given)
    assert found.df == fit.df - 3
    estimate = found.parameters()["estimate"]
    for name, value in given.items():
        assert estimate[name] == pytest.approx(estimate[value] if isinstance(value, str) else value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sd_Dayz|Subject": 1}, "Did you mean 'sd_Days|Subject'"),
        ({"Days": 0}, "is a fixed effect"),
        ({SD1: -1}, "lies between 0 and inf"),
        ({COR: 1.2}, "lies between -1 and 1"),
        ({COR: "0"}, "there is no parameter '0'"),
        ({COR: True}, "must be a number or the name"),
        ({COR: math.nan}, "must be a number or the name"),
        ({COR: [0]}, "must be a number or the name"),
        ({SD1: COR}, "cannot be equal: a standard deviation and a correlation"),
        ({SD1: SD1}, "are equal anyway"),
        ({SD1: SD0, SD0: SD1}, "are equal anyway"),
        ({SD1: 0, COR: 0}, "means nothing"),
        ({"sigma": 0}, "sigma, the residual standard deviation, cannot be zero"),
        ({SD1: "sigma", "sigma": 0}, "cannot be zero"),
        ({SD1: 0, SD0: 1, "sigma": SD1}, "cannot be zero"),
        ({}, "must map names"),
        ("x", "must map names"),
    ],
)
def test_constraints_that_are_wrong(fit: lmm.LmmFit, given: Any, message: str) -> None:
    with pytest.raises(lmm.ModelError, match=re.escape(message)):
        fit.constrain(given)


def _with_batches() -> Any:
    machines = lmm.datasets.load("Machines")
    generator = np.random.default_rng(1)
    batch = generator.integers(0, 9, len(machines))
    shift = 5.0 * generator.standard_normal((9, 3))
    of_machine = np.unique(machines["Machine"], return_inverse=True)[1]
    return machines.assign(batch=batch, score=machines["score"] + shift[batch, of_machine])


def test_contradictions(sleepstudy: Any) -> None:
    fit = lmm.lmer("Reaction ~ Days + cs(Days | Subject, hom = TRUE)", sleepstudy)
    with pytest.raises(lmm.ModelError, match="cannot be 3, for others hold it at 2"):
        fit.constrain({SD0: 2, SD1: 3})
    with pytest.raises(lmm.ModelError, match="is 2 anyway"):
        fit.constrain({SD0: 2, SD1: 2})
    with pytest.raises(lmm.ModelError, match="are equal anyway"):
        fit.constrain({SD0: SD1})
    with pytest.raises(lmm.ModelError, match="leave the term out"):
        fit.constrain({SD0: 0})
    with pytest.raises(lmm.ModelError, match="is constrained twice"):
        fit.constrain({COR: 0, "cor_(Intercept).Days|Subject": 0})
    three = lmm.lmer("score ~ Machine + cs(0 + Machine | Worker)", lmm.datasets.load("Machines"))
    with pytest.raises(lmm.ModelError, match=r"lies between -0\.5 and 1"):
        three.constrain({"cor_MachineB.MachineA|Worker": -0.7})
    two = lmm.lmer("score ~ 1 + cs(0 + Machine | Worker) + (0 + Machine | batch)", _with_batches())
    with pytest.raises(lmm.ModelError, match=r"cannot be -0\.7, for it is -0\.5 at least"):
        two.constrain(
            {"cor_MachineB.MachineA|batch": -0.7, "cor_MachineB.MachineA|Worker": "cor_MachineB.MachineA|batch"}
        )
    ordered = lmm.lmer("score ~ Machine + ar1(0 + Machine | Worker)", lmm.datasets.load("Machines"))
    with pytest.raises(lmm.ModelError, match="a power of the correlation between neighbours"):
        ordered.constrain({"cor_MachineC.MachineA|Worker": 0.2})


def test_what_does_not_keep_to_constraints_refuses(fit: lmm.LmmFit, sleepstudy: Any) -> None:
    found = fit.constrain({COR: 0})
    for call in (
        found.profile,
        found.confint,
        lambda: found.vpredict(v="Subject.Days", interval="profile"),
        lambda: lmm.ranova(found),
        lambda: lmm.all_fit(found),
    ):
        with pytest.raises(lmm.ModelError, match="constraints of this fit"):
            call()
    reml = lmm.lmer(FORMULA, sleepstudy, constraints={COR: 0})
    with pytest.raises(lmm.ModelError, match="constraints of this fit"):
        reml.summary(ddf="kenward-roger")
    with pytest.raises(lmm.ModelError, match="constrained in this fit already"):
        found.constrain({COR: 0.5})
    known = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, varcomp={"Subject": 900, "Residual": 900})
    with pytest.raises(lmm.ModelError, match="nothing to constrain"):
        known.constrain({SD0: 1})
    with pytest.raises(lmm.ModelError, match="constraints or varcomp"):
        known.update(constraints={SD0: 1})


@pytest.mark.parametrize(
    ("residual", "given", "halved"),
    [
        ("ar1(Days | Subject)", {"rho|Residual": 0}, False),
        ("car1(Days | Subject)", {"rho|Residual": 0}, True),  # the end of its range
        ("diag(0 + late | 1)", {"sd_yes|Residual": "sigma"}, False),
        ("diag(0 + late | 1)", {"sd_yes|Residual": "sd_no|Residual"}, False),
        ("varexp(Days)", {"rate|Residual": 0}, False),
        ("ar1(Days | Subject) * varexp(Days)", {"rho|Residual": 0, "rate|Residual": 0}, False),
    ],
)
def test_residuals_whose_structure_is_held_away(
    sleepstudy: Any, residual: str, given: dict[str, Any], halved: bool
) -> None:
    data = sleepstudy.assign(late=np.where(sleepstudy["Days"] < 5, "no", "yes"))
    formula = "Reaction ~ Days + (1 | Subject)"
    structured, plain = (lmm.lmer(formula, data, residual=r, reml=False) for r in (residual, None))
    small = structured.constrain(given)
    assert small.loglik == pytest.approx(plain.loglik, abs=1e-7)
    assert small.df == plain.df
    np.testing.assert_allclose(small.fixef, plain.fixef, rtol=1e-6)
    np.testing.assert_allclose(
        small.parameters().loc[[SD0, "sigma"]], plain.parameters().loc[[SD0, "sigma"]], rtol=1e-4
    )
    found = row(small, structured)
    assert found["Pr(mixture)"] == pytest.approx(found["Pr(>Chisq)"] * (0.5 if halved else 1.0))


def test_the_reference_row_has_sigma(sleepstudy: Any) -> None:
    data = sleepstudy.assign(late=np.where(sleepstudy["Days"] < 5, "no", "yes"))
    fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", data, residual="diag(0 + late | 1)")
    with pytest.raises(lmm.ModelError, match="are equal anyway"):
        fit.constrain({"sd_no|Residual": "sigma"})
    first, second = fit.constrain({"sd_no|Residual": 20}), fit.constrain({"sigma": 20})
    assert first.sigma == pytest.approx(20.0) and first.loglik == pytest.approx(second.loglik, abs=1e-8)
    with pytest.raises(lmm.ModelError, match="there is no parameter"):
        fit.constrain({"sd_yes|Residual": "rho|Residual"})


@pytest.mark.parametrize("reml", [True, False])
def test_known_sampling_variances(reml: bool) -> None:
    """A meta-analysis: one row a study, var(y_i) = τ² + v_i, against the likelihood written out."""
    rng = np.random.default_rng(5)
    v = rng.uniform(0.02, 0.4, 14)
    data = {"y": 0.3 + 0.5 * rng.standard_normal(14) + np.sqrt(v) * rng.standard_normal(14), "v": v, "study": range(14)}

    def criterion(tau2: float) -> float:
        w = 1.0 / (tau2 + v)
        mu = (w @ data["y"]) / w.sum()
        lost = math.log(w.sum()) - math.log(2 * math.pi) if reml else 0.0
        return 14 * math.log(2 * math.pi) - np.log(w).sum() + w @ (data["y"] - mu) ** 2 + lost

    found = minimize_scalar(criterion, bounds=(0, 3), method="bounded", options={"xatol": 1e-10})
    meta = lmm.lmer("y ~ 1 + (1 | study)", data, weights="1/v", constraints={"sigma": 1}, reml=reml)
    w = 1.0 / (found.x + v)
    assert meta.sigma == 1.0
    assert meta.varcorr["study"].iloc[0, 0] == pytest.approx(found.x, rel=1e-5)
    assert -2 * meta.loglik == pytest.approx(found.fun, abs=1e-8)
    assert meta.fixef.iloc[0] == pytest.approx((w @ data["y"]) / w.sum(), rel=1e-6)
    assert meta.se.iloc[0] == pytest.approx(w.sum() ** -0.5, rel=1e-6)


def test_as_many_levels_as_rows_need_the_variance_of_all_residuals(sleepstudy: Any) -> None:
    data = sleepstudy.assign(row=range(len(sleepstudy)), late=np.where(sleepstudy["Days"] < 5, "no", "yes"))
    for given, residual in ((None, None), ({"sd_(Intercept)|row": 20}, None), ({"sigma": 20}, "varident(late)")):
        with pytest.raises(lmm.ModelError, match="as many levels"):
            lmm.lmer("Reaction ~ Days + (1 | row)", data, constraints=given, residual=residual)


def test_a_correlation_that_the_data_contradict_may_leave_no_variance(sleepstudy: Any) -> None:
    """Held at −0.45 there is a minimum inside that is not the lowest: no variance of the intercepts is better."""
    visits = sleepstudy[sleepstudy["Days"].isin([0, 4, 9])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        free = lmm.lmer(FORMULA, visits, reml=False)
        without = lmm.lmer("Reaction ~ Days + (0 + Days | Subject)", visits, reml=False)
        absent, costly = (free.constrain({COR: r}) for r in (-0.45, -0.2))
    assert absent.loglik == pytest.approx(without.loglik, abs=1e-8)
    assert costly.loglik > without.loglik + 1.0
