"""Fits with several traits, or a structured residual: labels of what they give, and all that a fit can do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy import plots
from tests.model.structured import KINDS, SEVERAL, at, data, fit, pedigree, quiet, stacked
from tests.naive import dense


def same(found, wanted, **tolerance):
    np.testing.assert_allclose(found, wanted, **({"rtol": 1e-7, "atol": 1e-8} | tolerance))


# ---- labels


@pytest.mark.parametrize("name", SEVERAL)
def test_frames_of_rows_and_traits(name):
    model = fit(name)
    traits = list(model.design.traits.names)
    rows = data().index.drop(["row20", "row30"])
    for found in (model.fitted(), model.residuals(), model.hatvalues(), model.predict(), model.response):
        assert list(found.columns) == traits and found.index.equals(rows)
        assert found.isna().sum().tolist() == [1, 1] and found.isna().loc[["row3", "row9"]].to_numpy().diagonal().all()
    same(model.response.to_numpy(), data().loc[rows, ["y", "z"]])
    weights = data().loc[rows, "w"] if model.design.weights is not None else pd.Series(1.0, rows)
    same(model.prior_weights[traits[0]].dropna(), weights.drop("row3"))
    assert model.nobs == 138 and model.nobs_by_trait.to_dict() == dict.fromkeys(traits, 69)
    assert model.index.equals(rows) and len(model.frame()) == 70
    assert model.rows.observations.names == ["row", "trait"]
    whole = fit(name, "exclude")
    assert whole.fitted().index.equals(data().index) and whole.fitted().loc[["row20", "row30"]].isna().all().all()
    assert whole.simulate(1, seed=1).shape == (144, 1) and whole.dfbeta().shape == (144, model.design.p)
    same(whole.simulate(1, seed=1).dropna(), model.simulate(1, seed=1))


def test_one_response_has_no_counts_by_trait():
    with pytest.raises(AttributeError, match="see nobs"):
        _ = fit("ar1").nobs_by_trait


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_refits_take_what_rows_give():
    model = fit("traits")
    drawn = model.simulate(1, seed=5)["sim_1"]
    by_series = model.refit(drawn)
    wide = drawn.unstack("trait").loc[model.index]
    for other in (wide, wide.to_numpy(), drawn.to_numpy(), wide.reindex(data().index)):
        again = model.refit(other)
        assert again.loglik == by_series.loglik
    same(stacked(by_series, by_series.response), drawn)
    assert by_series.frame()["z"].dropna().tolist() == wide["z"].dropna().tolist()
    assert fit("traits", "exclude").refit(fit("traits", "exclude").simulate(1, seed=5)["sim_1"]).nobs == 138
    for wrong in (drawn.to_numpy()[:-1], wide.iloc[::-1], wide.rename(columns={"y": "u"}), drawn.iloc[::-1]):
        with pytest.raises(lmm.DataError, match=r"columns 'y', 'z'|labels or their order differ"):
            model.refit(wrong)
    with pytest.raises(lmm.DataError, match=r"missing or infinite in 1 observations .*row0"):
        model.refit(wide.assign(y=wide["y"].where(wide.index != "row0")))


def test_random_effects_and_coefficients_by_trait():
    model = fit("traits slopes")
    assert list(model.ranef()["g"].columns) == ["y:(Intercept)", "y:x", "z:(Intercept)", "z:x"]
    coef = model.coef()
    assert list(coef["g"].columns) == list(model.design.names)
    wanted = model.fixef["z:(Intercept)"] + model.ranef()["h"]["z"]
    same(coef["h"]["z:(Intercept)"], wanted)
    alone = fit("traits")
    same(alone.coef()["g"]["y:(Intercept)"], alone.fixef["y:(Intercept)"] + alone.ranef()["g"]["y"])
    naive = at(alone)
    modes = alone.ranef(cond_var=True)
    same(modes["g"].to_numpy().ravel(), naive.b, atol=1e-7)
    same(modes.cond_var["g"], alone.sigma**2 * naive.conditional_variances[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["traits kin", "power"])
def test_breeding_values_by_the_joint_covariance(name):
    """Of everybody in the pedigree: c V⁻¹(y − Xβ̂) and its error, with K of all."""
    model = fit(name) if name == "traits kin" else quiet(*[KINDS["power"][0], lively()], **KINDS["power"][1])
    design, naive = model.design, at(model)
    term = design.random[0]
    K = pedigree().additive()
    ids = list(K.ids)
    A, place = K.dense(), K.positions(ids)
    T = term.structure.factor(design.split_theta(model.optimum.theta)[0]).T
    C, k = T @ T.T, term.k
    rows = K.positions([term.levels[code] for code in term.codes])
    c = np.einsum("in,ab,nb->ian", A[np.ix_(place, rows)], C, term.values).reshape(-1, design.n)
    own = np.einsum("i,aa->ia", A[place, place], C).ravel()
    solved = np.linalg.solve(naive.V, c.T)
    B = c @ np.linalg.solve(naive.V, design.X)
    error = own - np.einsum("an,na->a", c, solved) + np.einsum("ap,pq,aq->a", B, naive.vcov, B)
    found = model.breeding_values()
    assert found["id"].tolist() == [one for one in ids for _ in range(k)]
    same(found["estimate"], c @ naive.Py, rtol=1e-6, atol=1e-8)
    same(found["std_error"], model.sigma * np.sqrt(error), rtol=1e-6)
    same(found["accuracy"], np.sqrt(np.clip(1.0 - error / own, 0.0, 1.0)), rtol=1e-5, atol=1e-6)
    if name == "traits kin":
        assert found["trait"].tolist() == ["first", "second"] * len(ids)
        seen = data().dropna(subset="x")
        for trait, column in (("first", "y"), ("second", "z")):
            wanted = set(seen.loc[seen[column].notna(), "id"])
            part = found[found["trait"] == trait]
            assert part["recorded"].tolist() == [one in wanted for one in part["id"]]


def lively() -> pd.DataFrame:
    """The data with a response that ids explain."""
    frame = data()
    effect = dict(zip(sorted(set(frame["id"])), np.random.default_rng(1).normal(size=48), strict=True))
    return frame.assign(y=frame["y"] + 3.0 * frame["id"].map(effect))


def test_records_of_one_trait_inform_the_other():
    formula, options = KINDS["traits kin"]
    frame = data().assign(second=lambda d: d["z"])
    gone = frame["id"] == "a3"
    frame.loc[gone, "z"] = np.nan
    model = quiet(formula, frame, **options)
    found = model.breeding_values().set_index(["id", "trait"])
    assert not found.loc[("a3", "second"), "recorded"] and found.loc[("a3", "first"), "recorded"]
    row = frame[gone & frame["x"].notna()].iloc[:1]
    new, mean = (model.predict(row, re_form=which)["second"].iloc[0] for which in ("all", "none"))
    same(new - mean, found.loc[("a3", "second"), "estimate"], rtol=1e-6)


# ---- tables


def test_augment_stacks_traits():
    model = fit("traits kin")
    found = model.augment()
    assert found.index.equals(model.rows.observations)
    same(
        found["_fitted"] + found["_resid"], np.where(found.index.get_level_values(1) == "first", found["y"], found["z"])
    )
    same(found["_hat"], stacked(model, model.hatvalues()))
    same(found["_cooksd"], stacked(model, model.cooks_distance()))
    assert {"y", "z", "x", "f", "id", "(weights)"} <= set(found.columns)
    whole = model.augment(data())
    assert whole.index.equals(found.index) and "occasion" in whole
    same(whole["_fitted"], found["_fitted"])
    one = fit("ar1").augment()
    assert {"t", "g"} <= set(one.columns) and len(one) == 69


@pytest.mark.parametrize("name", list(KINDS))
def test_tidy_has_the_parameters(name):
    model = fit(name)
    values = model.parameters()["estimate"] if not model.optimum.at_boundary else _parameters(model)
    found = model.tidy("ran_pars")
    assert len(found) == len(values) - model.design.p - any(
        row.startswith("sd_") and row.endswith("|Residual") for row in values.index
    )
    kept = found["term"].str.startswith(("sd__", "cor__")) & (found["term"] != "sd__Observation")
    for group, term, estimate in found.loc[kept, ["group", "term", "estimate"]].to_numpy().tolist():
        kind = term.split("__", 1)[0]
        names = [n for n in values.index if n.startswith(f"{kind}_") and n.endswith(f"|{group}")]
        same(min(abs(values[n] - estimate) for n in names), 0.0, atol=1e-9)
    squares = model.tidy("ran_pars", scales="vcov").set_index(["group", "term"])["estimate"]
    for (group, term), value in found.set_index(["group", "term"])["estimate"].items():
        if term.startswith("sd__"):
            same(squares[group, term.replace("sd__", "var__")], value**2)
    every = model.tidy(("fixed", "ran_pars", "ran_vals", "ran_coefs"), conf_int=False)
    assert np.isfinite(every["estimate"]).all()
    assert model.glance()["nobs"].item() == model.nobs


def _parameters(model):
    with pytest.warns(lmm.SingularFitWarning):
        return model.parameters()["estimate"]


# ---- everything that a fit can do

REFUSES = "refuses"
_TRAITS_ONLY = {name: REFUSES for name in SEVERAL}
_NO_KR = dict.fromkeys(KINDS, REFUSES)


def _all(f: Callable[[Any], Any], **refusals: dict[str, str]) -> tuple[Callable[[Any], Any], dict[str, str]]:
    return f, refusals.get("refuses", {})


def _single(model: lmm.LmmFit) -> np.ndarray:
    return np.eye(model.design.p)[:1]


def _less(model: lmm.LmmFit) -> lmm.LmmFit:
    """The model without x, on the same rows."""
    crossed = " - x:f" if "*" in model.formula else ""
    return quiet_update(model, f". ~ . - x{crossed}", subset=model.design.rows)


def quiet_update(model, formula, **options):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return model.update(formula, **options)


_WITHOUT_KIN = {name: REFUSES for name in KINDS if "kin" not in KINDS[name][0] or name == "function"}
_WITHOUT_RANDOM = dict.fromkeys(["gls", "traits gls"], REFUSES)

METHODS: dict[str, tuple[Callable[[Any], Any], dict[str, str]]] = {
    "summary": _all(lambda m: [str(m.summary()), m.summary().to_latex(), m._repr_html_(), str(m)]),
    "summary with tests": _all(lambda m: str(m.summary(ddf="satterthwaite"))),
    "kenward-roger": (lambda m: m.contrast_tests("kenward-roger"), _NO_KR),
    "likelihood": _all(lambda m: [m.deviance, m.aic, m.bic, m.df_resid, m.glance()]),
    "varcorr": _all(lambda m: [m.varcorr.to_frame(), m.varcorr["Residual"]]),
    "evaluator": _all(lambda m: m.evaluator()),
    "refit_ml": _all(lambda m: m.refit_ml().loglik),
    "update": _all(lambda m: _less(m).loglik),
    "is_singular": _all(lambda m: m.is_singular()),
    "convergence": _all(lambda m: [m.convergence, m.optimization]),
    "re_pca": _all(lambda m: m.re_pca().to_frame()),
    "check": _all(lambda m: str(m.check())),
    "maketables": _all(lambda m: [m.__maketables_coef_table__, m.__maketables_stat__("N")]),
    "marginaleffects": (lambda m: m.to_marginaleffects(), _TRAITS_ONLY),
    "heritability": (
        lambda m: m.heritability(method="wald"),
        {k: v for k, v in _WITHOUT_KIN.items() if k != "function"},
    ),
    "breeding values": (lambda m: m.breeding_values(), _WITHOUT_KIN),
    "parameters": _all(lambda m: m.parameters()),
    "wald": _all(lambda m: m.confint(method="wald")),
    "whole profiles": (lambda m: m.profile(), _NO_KR),
    "contest": _all(lambda m: [lmm.contest(m, _single(m), ddf=d) for d in ("satterthwaite", "asymptotic")]),
    "anova of terms": _all(lambda m: [lmm.anova(m, type=t) for t in (1, 2, 3)]),
    "anova of two": _all(lambda m: lmm.anova(_less(m), m)),
    "bootstrap ratio": _all(lambda m: lmm.parametric_bootstrap_lrt(_less(m), m, n=1, seed=2)),
    "emmeans": (lambda m: lmm.emmeans(m, "~ 1").to_frame(), _TRAITS_ONLY),
    "drop1": _all(lambda m: [lmm.drop1(m, test=t) for t in ("chisq", "f")]),
    "ranova": _all(lmm.ranova),
    "step": _all(lmm.step),
    "pickle": _all(lambda m: pickle.loads(pickle.dumps(m)).predict()),
    "plots of rows": _all(lambda m: [m.plot.residuals(), m.plot.scale_location(), m.plot.qq(), m.plot.forest()]),
    "plot of influence": _all(lambda m: [m.plot.influence(refit=False)]),
    "caterpillar": (lambda m: [m.plot.caterpillar(), m.plot.qq_ranef()], _WITHOUT_RANDOM),
    "shrinkage": (
        plots.shrinkage_frame,
        _TRAITS_ONLY | _WITHOUT_RANDOM | {"function": REFUSES},
    ),
    "groups": (lambda m: m.plot.groups(x="x"), _TRAITS_ONLY | _WITHOUT_RANDOM | {"function": REFUSES}),
}


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
@pytest.mark.parametrize("name", ["ar1", "strata", "gls", "product", "function", "traits", "traits kin", "traits gls"])
@pytest.mark.parametrize("method", list(METHODS))
def test_a_fit_does_it_or_says_why_not(method, name):
    if method == "marginaleffects":  # an optional package, there in `make interop`
        pytest.importorskip("marginaleffects")
    ask, refusals = METHODS[method]
    try:
        if name in refusals:
            with pytest.raises(lmm.ModelError):
                ask(fit(name))
        else:
            assert ask(fit(name)) is not None
    finally:
        plt.close("all")


# ---- judges


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
@pytest.mark.parametrize("name", ["ar1", "traits", "product"])
def test_ranova_keeps_the_residual(name):
    """Without its last random term a model with a structured residual is generalised least squares."""
    model = fit(name)
    table = lmm.ranova(model)
    formula, options = KINDS[name]
    less = formula.split(" + (1 |")[0]
    without = quiet(less, data(), **options)
    same(table["logLik"].iloc[-1], without.loglik, rtol=1e-8)
    assert table["npar"].iloc[-1] == without.df


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_ranova_takes_functions_out():
    table = lmm.ranova(fit("function"))
    assert "exp(v | kin(id, A))" in table.index and np.isnan(table.loc["exp(v | kin(id, A))", "Pr(mixture)"])
    assert table.loc["exp(v | kin(id, A))", "Df"] == 3


@pytest.mark.parametrize("name", ["traits", "traits gls"])
@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_drop1_drops_a_term_from_all_traits(name):
    model = fit(name)
    label = "x" if name == "traits" else "x:f"
    table = lmm.drop1(model, test="f", ddf="asymptotic")
    columns = [
        i
        for i, column in enumerate(model.design.names)
        if column.split(":", 1)[1].startswith(label[:2] if ":" in label else label)
    ]
    columns = [i for i in columns if (":f" in model.design.names[i]) == (":" in label)]
    L = np.eye(model.design.p)[columns]
    beta = model.fixef.to_numpy()[columns]
    wald = beta @ np.linalg.solve(L @ model.vcov().to_numpy() @ L.T, beta) / len(columns)
    same(table.loc[label, "F value"], wald, rtol=1e-6)
    assert table.loc[label, "NumDF"] == len(columns)
    ratio = lmm.drop1(model)
    full = model.refit_ml()
    small = quiet_update(full, f". ~ . - {label}", subset=model.design.rows)
    same(ratio.loc[label, "LRT"], 2.0 * (full.loglik - small.loglik), rtol=1e-6)


def test_check_looks_at_each_trait_in_independent_units():
    model = fit("traits")
    names = [finding.check for finding in model.check()]
    for of in ("y", "z"):
        assert f"constant variance over the fitted values of {of}" in names
        assert f"normality of residuals of {of}" in names
    with pytest.raises(lmm.FormulaError, match="lm_list fits one response"):
        lmm.lm_list("cbind(y, z) ~ x | g", data())


def test_influence_of_a_data_column():
    model = fit("traits")
    found = model.influence("occasion", refit=False)
    mask = (model.frame()["occasion"] == "ii").to_numpy()[model.design.traits.row]
    from lmmpy.inference.influence import without_rows

    left = dense(without_rows(model.design, mask), model.optimum.theta, model.reml)
    same(found.fixef.loc["ii"], left.beta, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_a_trait_whose_name_begins_as_another():
    frame = data().rename(columns={"y": "a", "z": "a:b"})
    plain, odd = quiet("cbind(y, z) ~ x + kin(id, A)", data()), quiet("cbind(a, `a:b`) ~ x + kin(id, A)", frame)
    found, wanted = odd.breeding_values(), plain.breeding_values()
    assert found.columns.tolist() == wanted.columns.tolist() and found["trait"].tolist()[:2] == ["a", "a:b"]
    pd.testing.assert_frame_equal(found.drop(columns="trait"), wanted.drop(columns="trait"), rtol=1e-6)
