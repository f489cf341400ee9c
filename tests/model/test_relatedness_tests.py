"""Comparisons of models with relatives, deletions of terms, known variances: against likelihoods of a dense V."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2

import lmmpy as lmm
from lmmpy.inference.nested import random_not_nested
from lmmpy.model.lformula import lformula
from lmmpy.relatedness import Pedigree, Relatedness
from tests.model.made import at
from tests.model.relatives import data, fit, kernel, pedigree
from tests.naive import dense


def best(formula: str, reml: bool) -> float:
    """−2 log-likelihood at its least, by a search over the dense value."""
    design = lformula(formula, data(), weights="w", relmat={"K": pedigree()} if "K" in formula else None).design
    if not design.n_theta:
        raise AssertionError("no random term")
    found = minimize(lambda t: dense(design, np.abs(t), reml).value, np.ones(design.n_theta), method="Nelder-Mead",
                     options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2_000})  # fmt: skip
    return float(found.fun)


def test_ranova_takes_relatedness_away_and_keeps_it():
    table = lmm.ranova(fit("household"))
    assert list(table.index) == ["<none>", "kin(id, K)", "(1 | hh)"]
    for row, left in (("kin(id, K)", "y ~ x + f + (1 | hh)"), ("(1 | hh)", "y ~ x + f + kin(id, K)")):
        assert -2.0 * table.loc[row, "logLik"] == pytest.approx(best(left, True), abs=1e-6)
    slopes = lmm.ranova(fit("slope"))
    left = "y ~ x + kin(id, K) + (1 | hh)"
    assert -2.0 * slopes.loc["x in (x | kin(id, K))", "logLik"] == pytest.approx(best(left, True), abs=1e-6)


def test_single_deletions_of_fixed_terms_keep_the_relatedness():
    table = lmm.drop1(fit("household", reml=False))
    without = best("y ~ f + kin(id, K) + (1 | hh)", False)
    whole = -2.0 * fit("household", reml=False).loglik
    assert table.loc["x", "LRT"] == pytest.approx(without - whole, abs=1e-6)


def test_a_step_by_step_reduction_ends_in_a_fit_with_relatives():
    found = lmm.step(fit("household"))
    assert found.fit.formula == "y ~ x + kin(id, K)"
    assert -2.0 * found.fit.loglik == pytest.approx(best("y ~ x + kin(id, K)", True), abs=1e-6)


def test_anova_of_nested_fits():
    small, large = fit("animal", reml=False), fit("repeated", reml=False)
    table = lmm.anova(small, large)
    assert table["Chisq"].iloc[1] == pytest.approx(2.0 * (large.loglik - small.loglik), abs=1e-9)
    assert not any("no special case" in line for line in table.headings)
    unrelated = lmm.lmer("y ~ x + f + (1 | id)", data(), weights="w", reml=False)
    slopes = large.update(". ~ . + (0 + x | kin(id, K))")
    assert any("(1 | id)" in line for line in lmm.anova(unrelated, fit("household", reml=False)).headings)
    assert not any("no special case" in line for line in lmm.anova(unrelated, large, slopes).headings)


# ---- which random part contains which


def parts(formula: str, **relmat: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return lformula(formula, data(), relmat=relmat or None).design


def test_terms_are_nested_when_their_relatedness_is_the_same_but_for_a_factor():
    P = pedigree()
    dense_A = pd.DataFrame(3.0 * kernel("twins"))
    other = Relatedness(np.eye(38) + 0.2, labels=P.ids)
    slope, plain = parts("y ~ x + (x | kin(id, K))", K=P), parts("y ~ x + kin(id, K)", K=P)
    assert random_not_nested(plain, slope) is None
    assert random_not_nested(slope, plain) == "(x | kin(id, K))"
    # The same relatedness in another form, with other levels besides, and times three.
    pruned = parts("y ~ x + kin(id, K)", K=kernel("twins"))
    assert random_not_nested(pruned, parts("y ~ x + (x | kin(id, K))", K=dense_A)) is None
    assert random_not_nested(parts("y ~ x + kin(id, K)", K=other), slope) is not None
    assert random_not_nested(parts("y ~ x + (1 | id)"), slope) == "(1 | id)"
    assert random_not_nested(plain, parts("y ~ x + (x | id)")) is not None
    identity = pd.DataFrame(2.0 * np.eye(38), index=list(P.ids), columns=list(P.ids))
    assert random_not_nested(parts("y ~ x + kin(id, K)", K=identity), parts("y ~ x + (1 | id)")) is None


# ---- known components


def mrode() -> tuple[pd.DataFrame, Pedigree]:
    """Mrode (2005), Linear Models for the Prediction of Animal Breeding Values, example 3.1: weaning gain of calves."""
    calves = pd.DataFrame(
        {"calf": [4, 5, 6, 7, 8], "sex": ["m", "f", "f", "m", "m"], "gain": [4.5, 2.9, 3.9, 3.5, 5.0]}
    )
    return calves, Pedigree(range(1, 9), [0, 0, 0, 1, 3, 1, 4, 3], [0, 0, 0, 0, 2, 2, 5, 6])


@pytest.mark.parametrize("dense", [False, True])
def test_known_components_give_the_textbook_s_predictions(dense):
    calves, animals = mrode()
    ids = [str(i) for i in range(1, 9)]
    K = animals.additive()
    if dense:
        K = Relatedness(K.subset(ids).dense(), labels=ids)
    found = lmm.lmer("gain ~ 0 + sex + kin(calf, K)", calves, relmat={"K": K},
                     varcomp={"kin(calf, K)": 20.0, "Residual": 40.0})  # fmt: skip
    assert found.fixef["sexm"] == pytest.approx(4.358, abs=6e-4)
    assert found.fixef["sexf"] == pytest.approx(3.404, abs=6e-4)
    book = {"1": 0.098, "2": -0.019, "3": -0.041, "4": -0.009, "5": -0.186, "6": 0.177, "7": -0.249, "8": 0.183}
    effects = found.ranef()["kin(calf, K)"]["(Intercept)"]
    for animal, value in book.items():
        if animal in effects.index:
            assert effects[animal] == pytest.approx(value, abs=6e-4)
    assert set(effects.index) >= {"4", "5", "6", "7", "8"} and (dense or set(effects.index) == set(book))


def test_known_components_solve_henderson_s_equations():
    """[XᵀX XᵀZ; ZᵀX ZᵀZ + αA⁻¹] of the book's example, with the errors of prediction from its inverse."""
    calves, animals = mrode()
    found = lmm.lmer("gain ~ 0 + sex + kin(calf, K)", calves, relmat={"K": animals},
                     varcomp={"kin(calf, K)": 20.0, "Residual": 40.0})  # fmt: skip
    term, X = found.design.random[0], found.design.X
    Z = term.Z.toarray()
    A_inverse = np.linalg.inv(animals.additive().subset(term.levels).dense())
    M = np.block([[X.T @ X, X.T @ Z], [Z.T @ X, Z.T @ Z + 2.0 * A_inverse]])
    solved = np.linalg.solve(M, np.concatenate([X.T @ found.design.y, Z.T @ found.design.y]))
    np.testing.assert_allclose(found.fixef, solved[:2], rtol=1e-9)
    modes = found.ranef(cond_var=True)
    np.testing.assert_allclose(modes["kin(calf, K)"].to_numpy()[:, 0], solved[2:], rtol=1e-8)
    np.testing.assert_allclose(found.vcov(), 40.0 * np.linalg.inv(M)[:2, :2], rtol=1e-9)
    known = 40.0 * np.linalg.inv(Z.T @ Z + 2.0 * A_inverse)
    np.testing.assert_allclose(modes.cond_var["kin(calf, K)"][:, 0, 0], np.diag(known), rtol=1e-8)


# ---- searches


@pytest.mark.parametrize("case", [("household", "pedigree"), ("animal", "twins"), ("slope", "genotypes")], ids="-".join)
def test_a_search_by_values_only_ends_at_the_same_optimum(case):
    model = fit(*case)
    found = model.update(control=lmm.Control(optimizer="cobyqa"))
    assert found.loglik == pytest.approx(model.loglik, abs=1e-7)
    assert -2.0 * model.loglik == pytest.approx(at(model).value, abs=1e-8)
    assert model.convergence.ok


def test_all_searches_agree():
    found = lmm.all_fit(fit("household"))
    assert "All searches agree" in repr(found)


def test_a_start_that_was_given_is_where_the_search_begins():
    found = fit("household").update(start=[1.0, 0.2])
    assert list(found.optimization.iloc[0, :2]) == [1.0, 0.2]
    assert found.loglik == pytest.approx(fit("household").loglik, abs=1e-8)
    with pytest.raises(lmm.ModelError, match="start must hold 2 finite numbers"):
        fit("household").update(start=[1.0])


def test_a_singular_fit_names_the_term_as_it_is_written():
    frame = data().assign(y=np.random.default_rng(3).normal(size=len(data())))
    with pytest.warns(lmm.SingularFitWarning, match=r"kin\(id, K\)"):
        found = lmm.lmer("y ~ x + kin(id, K)", frame, relmat={"K": pedigree()})
    assert found.theta.iloc[0] == 0.0 and found.is_singular()
    assert found.convergence.boundary == ("kin(id, K).(Intercept)",)


# ---- intervals


def test_profile_limits_are_where_the_dense_likelihood_has_fallen():
    """−2 log L by ML, least over σ with the animals' standard deviation held, is χ²₁'s quantile above its least."""
    model = fit("animal", reml=False)
    limits = model.confint(method="profile").loc["sd_(Intercept)|kin(id, K)"]

    def value(log_sigma: float, sd: float) -> float:
        naive = dense(model.design, np.array([sd / np.exp(log_sigma)]), False)
        return float(np.linalg.slogdet(naive.V)[1] + naive.dof * np.log(2.0 * np.pi) + 2.0 * naive.dof * log_sigma
                     + naive.r2 * np.exp(-2.0 * log_sigma))  # fmt: skip

    for limit in limits:
        least = minimize_scalar(value, bounds=(-2.0, 2.0), args=(limit,), method="bounded", options={"xatol": 1e-9})
        assert least.fun + 2.0 * model.loglik == pytest.approx(chi2.ppf(0.95, 1), abs=1e-3)


def test_bootstrap_intervals_cover_the_estimate():
    model = fit("animal", "twins")
    limits = model.confint(method="boot", n=40, seed=3)
    estimate = np.append(model.fixef.to_numpy(), [np.sqrt(model.varcorr["kin(id, K)"].iloc[0, 0]), model.sigma])
    names = [*model.fixef.index, "sd_(Intercept)|kin(id, K)", "sigma"]
    limits = limits.loc[names].to_numpy()
    assert ((limits[:, 0] < estimate) & (estimate < limits[:, 1])).all()
