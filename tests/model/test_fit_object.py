"""Every public attribute and method of a fit: types, shapes, labels, and identities between them."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lmmpy as lmm

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return lmm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep: pd.DataFrame) -> lmm.LmmFit:
    return lmm.lmer(SLEEP, sleep)


@pytest.fixture(scope="module")
def crossed() -> lmm.LmmFit:
    return lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", lmm.datasets.load("Penicillin"))


@pytest.fixture(scope="module")
def split(sleep: pd.DataFrame) -> lmm.LmmFit:
    return lmm.lmer("Reaction ~ Days + (Days || Subject)", sleep)


def close(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=tolerance, atol=1e-10)


# ---- parameters


def test_fixed_effects(fit: lmm.LmmFit) -> None:
    names = ["(Intercept)", "Days"]
    vcov = fit.vcov()
    for series in (fit.fixef, fit.se):
        assert isinstance(series, pd.Series) and list(series.index) == names and series.dtype == float
    assert isinstance(vcov, pd.DataFrame) and list(vcov.index) == list(vcov.columns) == names
    close(vcov, vcov.T)
    close(np.sqrt(np.diag(vcov)), fit.se)
    assert fit.dropped == ()


def test_theta_has_the_names_of_its_terms(fit: lmm.LmmFit, crossed: lmm.LmmFit, split: lmm.LmmFit) -> None:
    assert list(fit.theta.index) == ["Subject.(Intercept)", "Subject.Days.(Intercept)", "Subject.Days"]
    assert list(crossed.theta.index) == ["plate.(Intercept)", "sample.(Intercept)"]
    assert list(split.theta.index) == ["Subject.(Intercept)", "Subject.1.Days"]
    assert fit.theta.dtype == float and fit.theta.name == "theta"


def test_varcorr_is_a_mapping_in_the_order_of_the_terms(fit: lmm.LmmFit, crossed: lmm.LmmFit) -> None:
    assert list(fit.varcorr) == ["Subject", "Residual"] and len(fit.varcorr) == 2
    assert list(crossed.varcorr) == ["plate", "sample", "Residual"]
    assert "Subject" in fit.varcorr and "Days" not in fit.varcorr
    G = fit.varcorr["Subject"]
    assert list(G.index) == list(G.columns) == ["(Intercept)", "Days"]
    T = np.array([[fit.theta.iloc[0], 0.0], [fit.theta.iloc[1], fit.theta.iloc[2]]])
    close(G, fit.sigma**2 * T @ T.T)
    assert fit.varcorr["Residual"].iloc[0, 0] == pytest.approx(fit.sigma**2)
    assert {name: frame.shape for name, frame in fit.varcorr.items()} == {"Subject": (2, 2), "Residual": (1, 1)}


def test_varcorr_as_a_frame_has_r_rows(fit: lmm.LmmFit) -> None:
    frame = fit.varcorr.to_frame()
    assert list(frame.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert list(frame["grp"]) == ["Subject", "Subject", "Subject", "Residual"]
    assert list(frame["var1"])[:3] == ["(Intercept)", "Days", "(Intercept)"]
    assert frame["var2"].isna().tolist() == [True, True, False, True]
    G = fit.varcorr["Subject"].to_numpy()
    close(frame["vcov"], [G[0, 0], G[1, 1], G[0, 1], fit.sigma**2])
    sd = np.sqrt(np.diag(G))
    close(frame["sdcor"], [*sd, G[0, 1] / sd.prod(), fit.sigma])


def test_varcorr_does_not_let_itself_be_changed(fit: lmm.LmmFit) -> None:
    G, fixef, theta = fit.varcorr["Subject"], fit.fixef, fit.theta
    G.loc["Days", "Days"] = -1.0
    fixef.loc["Days"] = np.nan
    theta.loc["Subject.Days"] = np.nan
    assert fit.varcorr["Subject"].loc["Days", "Days"] > 0.0
    assert fit.fixef.notna().all() and fit.theta.notna().all()


# ---- likelihood


@pytest.mark.parametrize("reml", [True, False])
def test_criteria_hang_together(sleep: pd.DataFrame, reml: bool) -> None:
    fit = lmm.lmer(SLEEP, sleep, reml=reml)
    assert fit.reml is reml and fit.formula == SLEEP
    assert (fit.nobs, fit.df, fit.df_resid, fit.ngroups) == (180, 6, 174, {"Subject": 18})
    assert isinstance(fit.nobs, int) and isinstance(fit.loglik, float) and isinstance(fit.sigma, float)
    assert fit.aic == pytest.approx(-2 * fit.loglik + 12)
    assert fit.bic == pytest.approx(-2 * fit.loglik + 6 * np.log(180))
    if reml:
        assert fit.reml_criterion == pytest.approx(-2 * fit.loglik)
        # At the REML θ, σ profiled by ML: above the ML optimum, by little.
        least = lmm.lmer(SLEEP, sleep, reml=False).deviance
        assert least < fit.deviance < least + 1.0
    else:
        assert fit.deviance == pytest.approx(-2 * fit.loglik)
        assert not hasattr(fit, "reml_criterion")


def test_refit_by_ml(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    ml, direct = fit.refit_ml(), lmm.lmer(SLEEP, sleep, reml=False)
    assert not ml.reml and fit.reml and ml.refit_ml() is ml
    assert ml.loglik == pytest.approx(direct.loglik, abs=1e-9)
    close(ml.theta, direct.theta, 1e-6)
    assert ml.request.data_name == fit.request.data_name == "sleep"
    assert "maximum likelihood" in str(ml) and "REML" in str(fit)


# ---- random effects


def test_random_effects(fit: lmm.LmmFit, crossed: lmm.LmmFit) -> None:
    b = fit.ranef()
    assert list(b) == ["Subject"] and b["Subject"].shape == (18, 2) and b.cond_var is None
    assert list(b["Subject"].columns) == ["(Intercept)", "Days"] and b["Subject"].index.name == "Subject"
    assert [frame.shape for frame in crossed.ranef().values()] == [(24, 1), (6, 1)]
    u, T = fit.u["Subject"], fit.design.random[0].structure.factor(fit.optimum.theta).T
    close(u.to_numpy() @ T.T, b["Subject"])


def test_conditional_variances(fit: lmm.LmmFit, crossed: lmm.LmmFit) -> None:
    found = fit.ranef(cond_var=True).cond_var
    assert found is not None and found["Subject"].shape == (18, 2, 2)
    prior = fit.varcorr["Subject"].to_numpy()
    for C in found["Subject"]:
        assert np.all(np.linalg.eigvalsh(C) > 0) and np.all(np.linalg.eigvalsh(prior - C) > 0)
    crossed_found = crossed.ranef(cond_var=True).cond_var
    assert crossed_found is not None
    assert {k: v.shape for k, v in crossed_found.items()} == {"plate": (24, 1, 1), "sample": (6, 1, 1)}


def test_coef_is_fixef_plus_ranef(fit: lmm.LmmFit, crossed: lmm.LmmFit, split: lmm.LmmFit) -> None:
    close(fit.coef()["Subject"], fit.fixef.to_numpy() + fit.ranef()["Subject"].to_numpy())
    assert list(fit.coef()["Subject"].columns) == ["(Intercept)", "Days"]
    for group, frame in crossed.coef().items():
        close(frame["(Intercept)"], crossed.fixef.iloc[0] + crossed.ranef()[group]["(Intercept)"])
    # One frame a grouping factor, all its terms added.
    assert list(split.coef()) == ["Subject"]
    close(split.coef()["Subject"]["Days"], split.fixef["Days"] + split.ranef()["Subject.1"]["Days"])
    close(split.coef()["Subject"]["(Intercept)"], split.fixef.iloc[0] + split.ranef()["Subject"]["(Intercept)"])


def test_coef_has_a_column_for_a_random_effect_without_a_fixed_one(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ 1 + (Days | Subject)", sleep)
    frame = fit.coef()["Subject"]
    assert set(frame.columns) == {"(Intercept)", "Days"}
    close(frame["Days"], fit.ranef()["Subject"]["Days"])


def test_a_repeated_group_is_numbered(split: lmm.LmmFit) -> None:
    assert list(split.ranef()) == ["Subject", "Subject.1"]
    assert split.ngroups == {"Subject": 18}
    assert list(split.varcorr) == ["Subject", "Subject.1", "Residual"]
    close(split.predict(re_form=["Subject.1"]) - split.predict(re_form="none"), _slopes(split))
    close(split.predict(re_form="Subject"), split.fitted())  # by the grouping factor: both terms


def _slopes(split: lmm.LmmFit) -> np.ndarray:
    term = split.design.random[1]
    return split.ranef()["Subject.1"]["Days"].to_numpy()[term.codes] * term.values[:, 0]


# ---- rows


def test_fitted_and_residuals_add_up(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    for series in (fit.fitted(), fit.residuals(), fit.response, fit.prior_weights):
        assert isinstance(series, pd.Series) and series.index.equals(sleep.index)
    close(fit.fitted() + fit.residuals(), sleep["Reaction"])
    close(fit.residuals(scaled=True) * fit.sigma, fit.residuals())
    assert fit.prior_weights.eq(1.0).all()
    with_weights = lmm.lmer(SLEEP, sleep, weights="1 + Days")
    close(with_weights.residuals("pearson"), with_weights.residuals() * np.sqrt(1 + sleep["Days"]))
    close(with_weights.prior_weights, 1 + sleep["Days"])


def test_predict_on_the_training_frame_is_fitted(fit: lmm.LmmFit, crossed: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    close(fit.predict(), fit.fitted())
    close(fit.predict(sleep), fit.fitted())
    close(fit.predict(sleep.iloc[::-1]), fit.fitted().iloc[::-1])
    close(crossed.predict(lmm.datasets.load("Penicillin")), crossed.fitted())


@pytest.mark.parametrize(
    "formula",
    [
        "log(Reaction) ~ poly(Days, 2) + (scale(Days) | Subject)",
        "Reaction ~ ns(Days, 3) + (1 | Subject)",
        "Reaction ~ factor(Days) + (1 | Subject)",
        "Reaction ~ Days + offset(2 * Days) + (1 | Subject)",
    ],
)
def test_transforms_and_offsets_are_replayed(sleep: pd.DataFrame, formula: str) -> None:
    fit = lmm.lmer(formula, sleep)
    close(fit.predict(sleep), fit.fitted())
    close(fit.predict(sleep.iloc[5:25]), fit.fitted().iloc[5:25])


def test_forms_of_re_form(fit: lmm.LmmFit, crossed: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    population = fit.fixef.iloc[0] + fit.fixef.iloc[1] * sleep["Days"]
    for form in ("none", "~0", []):
        close(fit.predict(re_form=form), population)
        close(fit.predict(sleep, re_form=form), population)
    for form in ("all", None, "Subject", ["Subject"]):
        close(fit.predict(sleep, re_form=form), fit.fitted())
    data = lmm.datasets.load("Penicillin")
    alone = [crossed.predict(data, re_form=[t]) - crossed.predict(data, re_form="none") for t in ("plate", "sample")]
    close(alone[0] + alone[1] + crossed.fixef.iloc[0], crossed.fitted())


def test_prediction_keeps_the_index_and_spreads_missing_values(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    new = sleep.iloc[[3, 30]].set_index(pd.Index(["a", "b"]))
    assert list(fit.predict(new).index) == ["a", "b"]
    new["Days"] = [np.nan, 3.0]
    assert fit.predict(new).isna().tolist() == [True, False]
    unseen = new.assign(Subject=["nobody", "308"], Days=1.0)
    found = fit.predict(unseen, allow_new_levels=True)
    close(found.iloc[0], fit.fixef.sum())
    close(found.iloc[1], fit.coef()["Subject"].loc["308"].sum())


def test_an_index_of_any_kind_labels_the_rows(sleep: pd.DataFrame, fit: lmm.LmmFit) -> None:
    data = sleep.set_index(pd.Index([f"r{i}" for i in range(180)]))
    subset = lmm.lmer(SLEEP, data, subset="Days > 1")
    assert list(subset.fitted().index) == [f"r{i}" for i in range(180) if i % 10 > 1]
    same = lmm.lmer(SLEEP, sleep.set_index(np.zeros(180, dtype=int)))
    close(same.fitted(), fit.fitted())
    assert len(lmm.lmer(SLEEP, sleep.set_index(["Subject", "Days"], drop=False)).residuals()) == 180


def test_missing_rows_come_back_under_exclude(sleep: pd.DataFrame) -> None:
    data = sleep.copy()
    data.loc[4, "Reaction"] = np.nan
    data.loc[17, "Days"] = np.nan
    omit = lmm.lmer(SLEEP, data)
    exclude = lmm.lmer(SLEEP, data, na_action="exclude")
    assert omit.nobs == exclude.nobs == 178
    for rows in (omit.fitted(), omit.residuals(), omit.predict()):
        assert list(rows.index) == [i for i in range(180) if i not in (4, 17)]
    for rows in (exclude.fitted(), exclude.residuals(), exclude.predict()):
        assert list(rows.index) == list(range(180)) and np.flatnonzero(rows.isna()).tolist() == [4, 17]
    close(exclude.fitted().dropna(), omit.fitted())
    assert str(omit).splitlines()[1:] == str(exclude).splitlines()[1:]


def test_exclude_with_a_subset_gives_back_the_subset_only(sleep: pd.DataFrame) -> None:
    data = sleep.copy()
    data.loc[4, "Reaction"] = np.nan
    rows = lmm.lmer(SLEEP, data, na_action="exclude", subset="Days > 1").fitted()
    assert list(rows.index) == [i for i in range(180) if i % 10 > 1]
    assert np.flatnonzero(rows.isna()).tolist() == [2]


def test_polars_and_mappings_give_the_same_fit(sleep: pd.DataFrame, fit: lmm.LmmFit) -> None:
    columns = {name: sleep[name].astype(str if name == "Subject" else float).tolist() for name in sleep}
    for data in (pl.DataFrame(columns), columns, {k: np.array(v) for k, v in columns.items()}):
        other = lmm.lmer(SLEEP, data)
        assert other.loglik == fit.loglik and list(other.ranef()["Subject"].index) == list(fit.ranef()["Subject"].index)
        assert list(other.fitted().index) == list(range(180))
        close(other.predict(data), fit.fitted())


# ---- corners


def test_a_model_without_fixed_effects(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ 0 + (1 | Subject)", sleep)
    assert fit.fixef.shape == fit.se.shape == (0,) and fit.vcov().shape == (0, 0)
    assert fit.df == 2 and fit.df_resid == 178
    close(fit.fitted(), fit.ranef()["Subject"]["(Intercept)"].to_numpy()[fit.design.random[0].codes])
    close(fit.predict(sleep), fit.fitted())
    assert fit.predict(sleep, re_form="none").eq(0.0).all()
    assert fit.reml_criterion == pytest.approx(fit.refit_ml().deviance)
    assert fit.convergence.ok
    for text in (str(fit), str(fit.summary()), fit.summary().to_latex(), fit._repr_html_()):
        assert "Subject" in text


def test_known_components_hold(sleep: pd.DataFrame) -> None:
    held = lmm.lmer(SLEEP, sleep, varcomp={"Subject": np.diag([600.0, 35.0]), "Residual": 650.0})
    close(held.varcorr["Subject"], np.diag([600.0, 35.0]))
    assert held.sigma == pytest.approx(np.sqrt(650.0)) and held.df == 2
    assert len(held.optimization) == 1 and held.convergence.ok
    pickled = pickle.loads(pickle.dumps(held))
    assert pickled.loglik == held.loglik
    assert held.loglik < lmm.lmer(SLEEP, sleep).loglik
    close(held.refit_ml().varcorr["Subject"], np.diag([600.0, 35.0]))


def test_the_log_of_the_optimiser(fit: lmm.LmmFit) -> None:
    log = fit.optimization
    assert list(log.columns) == [*fit.theta.index, "criterion", "accepted", "purpose", "gradient", "radius"]
    assert len(log) == fit.convergence.evaluations and log["accepted"].dtype == bool
    last = log[log["accepted"]].iloc[-1]
    close(last[list(fit.theta.index)], fit.theta, 1e-6)
    assert last["criterion"] == pytest.approx(fit.reml_criterion, abs=1e-9)
    for _, row in log.iterrows():
        theta = row[list(fit.theta.index)].to_numpy(dtype=float)
        assert fit.criterion.evaluate(theta, 0).value == pytest.approx(row["criterion"], abs=1e-9)


def test_the_report_of_convergence(fit: lmm.LmmFit) -> None:
    report = fit.convergence
    assert report is fit.convergence
    assert list(report.gradient.index) == list(report.hessian.index) == list(fit.theta.index)
    assert report.eigenvalues.shape == (3,) and np.all(report.eigenvalues > 0)
    assert (report.boundary, report.flat, report.advice, report.engine) == ((), (), (), "blocked")


def test_singularity_has_a_tolerance(fit: lmm.LmmFit) -> None:
    assert fit.is_singular() is False and fit.is_singular(tol=10.0) is True


@pytest.mark.parametrize(
    "formula", [SLEEP, "Reaction ~ Days + (Days || Subject)", "Reaction ~ ns(Days, 3) + (1 | Subject)"]
)
def test_a_fit_pickles(sleep: pd.DataFrame, formula: str) -> None:
    fit = lmm.lmer(formula, sleep)
    fit.convergence  # noqa: B018 - what is cached must pickle too
    again = pickle.loads(pickle.dumps(fit))
    assert again.loglik == fit.loglik and again.theta.equals(fit.theta) and again.fixef.equals(fit.fixef)
    assert str(again) == str(fit) and str(again.summary()) == str(fit.summary())
    assert again.fitted().equals(fit.fitted())
    close(again.predict(sleep), fit.fitted())
    close(again.ranef(cond_var=True).cond_var["Subject"], fit.ranef(cond_var=True).cond_var["Subject"])
    assert again.refit_ml().loglik == fit.refit_ml().loglik
    assert again.convergence.ok


def test_a_fit_pickles_with_a_function_of_the_users(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("np.log(Reaction) ~ Days + (1 | Subject)", sleep)
    again = pickle.loads(pickle.dumps(fit))
    close(again.predict(sleep), fit.fitted())


def test_fitting_does_not_touch_the_data(sleep: pd.DataFrame) -> None:
    before = sleep.copy(deep=True)
    lmm.lmer("Reaction ~ scale(Days) + (poly(Days, 2) | Subject)", sleep).predict(sleep)
    pd.testing.assert_frame_equal(sleep, before)


def test_changing_the_data_afterwards_does_not_touch_the_fit(sleep: pd.DataFrame) -> None:
    data = sleep.copy(deep=True)
    fit = lmm.lmer(SLEEP, data)
    fitted, residuals = fit.fitted().copy(), fit.residuals().copy()
    data["Reaction"] = 0.0
    data["Days"] = 0.0
    columns = {name: sleep[name].to_numpy(dtype=float, copy=True) for name in ("Reaction", "Days")}
    columns["Subject"] = sleep["Subject"].astype(str).to_numpy()
    other = lmm.lmer(SLEEP, columns)
    columns["Reaction"][:] = 0.0
    columns["Days"][:] = 0.0
    assert fit.fitted().equals(fitted) and fit.residuals().equals(residuals)
    close(other.residuals(), residuals)
    close(other.fitted(), fitted)


def test_summary_prints_in_every_form(fit: lmm.LmmFit) -> None:
    assert "REML criterion at convergence: 1743.6" in str(fit.summary())
    assert "<table" in fit.summary()._repr_html_() and "tabular" in fit.summary().to_latex()
    assert isinstance(fit.summary().to_frame(), pd.DataFrame)
    assert "sleep" in str(fit)


def test_warnings_are_given_once_and_asking_gives_none(sleep: pd.DataFrame) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2"))
        assert [w.category for w in caught] == [lmm.SingularFitWarning]
        str(fit), fit.convergence, fit.ranef(cond_var=True), fit.summary(), fit.refit_ml()
        assert len(caught) == 1
