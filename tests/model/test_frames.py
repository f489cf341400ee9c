"""tidy, glance and augment: which rows and columns, and the numbers from the definitions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.errors import DataError, ModelError
from tests.frames import polars

SLEEP = "Reaction ~ Days + (Days | Subject)"
ADDED = [
    "_fitted",
    "_resid",
    "_hat",
    "_cooksd",
    "_fixed",
    "_mu",
    "_offset",
    "_sqrtXwt",
    "_sqrtrwt",
    "_weights",
    "_wtres",
]


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return lmm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep: pd.DataFrame) -> lmm.LmmFit:
    return lmm.lmer(SLEEP, sleep)


@pytest.fixture(scope="module")
def holed(sleep: pd.DataFrame) -> pd.DataFrame:
    """Sleepstudy with labels of its own, weights, an offset column, and two rows that miss the response."""
    rng = np.random.default_rng(5)
    made = sleep.assign(w=rng.uniform(0.5, 2.0, len(sleep)), o=rng.normal(size=len(sleep)))
    made.loc[[3, 50], "Reaction"] = np.nan
    return made.set_axis([f"r{i}" for i in range(len(made))], axis=0)


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=1e-12, atol=1e-10)


# ---- tidy


@pytest.mark.parametrize(
    ("effects", "columns"),
    [
        ("fixed", ["effect", "term", "estimate", "std_error", "statistic"]),
        ("ran_pars", ["effect", "group", "term", "estimate"]),
        ("ran_vals", ["effect", "group", "level", "term", "estimate", "std_error"]),
        ("ran_coefs", ["effect", "group", "level", "term", "estimate"]),
        (("ran_vals", "fixed"), ["effect", "group", "level", "term", "estimate", "std_error", "statistic"]),
    ],
)
def test_columns_are_those_that_a_row_needs(fit: lmm.LmmFit, effects: Any, columns: list[str]) -> None:
    assert list(fit.tidy(effects).columns) == columns
    assert list(fit.tidy(effects, conf_int=True).columns) == [*columns, "conf_low", "conf_high"]


def test_the_rows_come_in_one_order(fit: lmm.LmmFit) -> None:
    table = fit.tidy(("ran_coefs", "ran_vals", "ran_pars", "fixed"))
    assert table["effect"].drop_duplicates().tolist() == ["fixed", "ran_pars", "ran_vals", "ran_coefs"]
    assert table["effect"].value_counts().to_dict() == {"fixed": 2, "ran_pars": 4, "ran_vals": 36, "ran_coefs": 36}
    assert table.index.equals(pd.RangeIndex(len(table)))
    assert table.loc[table["effect"] == "fixed", ["group", "level"]].isna().all(axis=None)


def test_wald_limits(fit: lmm.LmmFit) -> None:
    table = fit.tidy("fixed", conf_int=True, conf_level=0.9)
    width = stats.norm.ppf(0.95) * fit.se.to_numpy()
    close(table["conf_low"], fit.fixef - width)
    close(table["conf_high"], fit.fixef + width)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_tests_of_the_fixed_effects(fit: lmm.LmmFit, ddf: str) -> None:
    table = fit.tidy("fixed", conf_int=True, ddf=ddf)
    close(table["statistic"], table["estimate"] / table["std_error"])
    close(table["p_value"], 2 * stats.t.sf(table["statistic"].abs(), table["df"]))
    close(table["conf_high"] - table["estimate"], stats.t.ppf(0.975, table["df"]) * table["std_error"])
    np.testing.assert_allclose(table["df"], 17.0, rtol=1e-6)  # balanced, 18 subjects


def test_limits_are_those_of_confint(fit: lmm.LmmFit) -> None:
    """In the order of R's rows, which is not that of the parameters."""
    order = [
        "(Intercept)",
        "Days",
        "sd_(Intercept)|Subject",
        "cor_Days.(Intercept)|Subject",
        "sd_Days|Subject",
        "sigma",
    ]
    for options in ({"method": "wald"}, {"method": "profile", "level": 0.9}, {"method": "boot", "n": 20, "seed": 1}):
        extra = {name: options[name] for name in ("n", "seed") if name in options}
        level = options.get("level", 0.95)
        table = fit.tidy(conf_int=True, conf_method=options["method"], conf_level=level, **extra)
        close(table[["conf_low", "conf_high"]], fit.confint(**options).loc[order])
        assert (table["conf_low"] < table["estimate"]).all() and (table["estimate"] < table["conf_high"]).all()
    random = fit.tidy("ran_pars", conf_int=True, conf_method="profile", conf_level=0.9)
    close(random["conf_low"], fit.confint(level=0.9).iloc[:, 0][order[2:]])


def test_limits_of_many_terms() -> None:
    fit = lmm.lmer("score ~ Machine + (Machine | Worker)", lmm.datasets.load("Machines"))
    table = fit.tidy(conf_int=True)
    inside = (table["conf_low"] < table["estimate"]) & (table["estimate"] < table["conf_high"])
    assert inside.all() and len(table) == 3 + 6 + 1
    assert table["term"].tolist()[3:6] == ["sd__(Intercept)", "cor__(Intercept).MachineB", "cor__(Intercept).MachineC"]


def test_coefficients_have_no_limits(fit: lmm.LmmFit) -> None:
    assert fit.tidy("ran_coefs", conf_int=True)[["conf_low", "conf_high"]].isna().all(axis=None)


def test_random_parameters_are_varcorr(fit: lmm.LmmFit) -> None:
    table = fit.tidy("ran_pars").set_index("term")["estimate"]
    G = fit.varcorr["Subject"]
    assert list(table.index) == ["sd__(Intercept)", "cor__(Intercept).Days", "sd__Days", "sd__Observation"]
    sd = np.sqrt(np.diag(G))
    close(table, [sd[0], G.iloc[0, 1] / sd.prod(), sd[1], fit.sigma])
    table = fit.tidy("ran_pars", scales="vcov").set_index("term")["estimate"]
    assert list(table.index) == ["var__(Intercept)", "cov__(Intercept).Days", "var__Days", "var__Observation"]
    close(table, [G.iloc[0, 0], G.iloc[0, 1], G.iloc[1, 1], fit.sigma**2])


def test_the_covariance_with_an_effect_that_does_not_vary_is_zero(sleep: pd.DataFrame) -> None:
    covariance = np.diag([600.0, 0.0])
    fit = lmm.lmer(SLEEP, sleep, varcomp={"Subject": covariance, "Residual": 650.0})
    table = fit.tidy("ran_pars", scales="vcov").set_index("term")["estimate"]
    close(table, [600.0, 0.0, 0.0, 650.0])
    assert np.isnan(fit.tidy("ran_pars").set_index("term")["estimate"]["cor__(Intercept).Days"])


def test_conditional_modes_are_ranef(fit: lmm.LmmFit) -> None:
    table = fit.tidy("ran_vals", conf_int=True)
    modes = fit.ranef(cond_var=True)
    assert modes.cond_var is not None
    for j, column in enumerate(["(Intercept)", "Days"]):
        rows = table[table["term"] == column]
        assert list(rows["level"]) == list(modes["Subject"].index) and set(rows["group"]) == {"Subject"}
        close(rows["estimate"], modes["Subject"][column])
        close(rows["std_error"], np.sqrt(modes.cond_var["Subject"][:, j, j]))
        close(rows["conf_low"], rows["estimate"] - stats.norm.ppf(0.975) * rows["std_error"])


def test_terms_of_one_group_are_told_apart_as_in_r(sleep: pd.DataFrame) -> None:
    split = lmm.lmer("Reaction ~ Days + (Days || Subject)", sleep)
    assert split.tidy("ran_pars")["group"].tolist() == ["Subject", "Subject.1", "Residual"]
    assert set(split.tidy("ran_vals")["group"]) == set(split.tidy("ran_coefs")["group"]) == {"Subject"}
    assert split.tidy("ran_vals")["term"].drop_duplicates().tolist() == ["(Intercept)", "Days"]


def test_the_terms_of_a_group_stand_together(sleep: pd.DataFrame) -> None:
    """R lists conditional modes by grouping factor, even when the formula names another factor in between."""
    data = sleep.assign(h=np.arange(len(sleep)) % 18)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.errors.SingularFitWarning)
        fit = lmm.lmer("Reaction ~ Days + (1 | Subject) + (1 | h) + (0 + Days | Subject)", data)
    found = fit.tidy("ran_vals")[["group", "term"]].drop_duplicates().to_numpy().tolist()
    assert sorted(found) == [["Subject", "(Intercept)"], ["Subject", "Days"], ["h", "(Intercept)"]]
    places = [i for i, (group, _) in enumerate(found) if group == "Subject"]
    assert places[1] - places[0] == 1


def test_coefficients_without_a_fixed_effect_come_first(sleep: pd.DataFrame) -> None:
    """R's coef() puts effects that are random only before the fixed ones."""
    fit = lmm.lmer("Reaction ~ 1 + (Days | Subject)", sleep)
    table = fit.tidy("ran_coefs")
    assert table["term"].drop_duplicates().tolist() == ["Days", "(Intercept)"]
    close(table.loc[table["term"] == "Days", "estimate"], fit.ranef()["Subject"]["Days"])


def test_a_model_without_fixed_effects(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ 0 + (1 | Subject)", sleep)
    assert fit.tidy()["effect"].tolist() == ["ran_pars", "ran_pars"]
    assert fit.tidy("fixed", conf_int=True).empty
    assert fit.tidy(conf_int=True, conf_method="profile")["conf_low"].notna().all()
    assert fit.tidy("ran_coefs")["estimate"].tolist() == fit.ranef()["Subject"]["(Intercept)"].tolist()
    table = fit.augment()
    assert table["_cooksd"].isna().all() and (table["_fixed"] == 0.0).all() and table["_hat"].notna().all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"effects": "random"}, "'random'.*'ran_vals'"),
        ({"effects": ()}, "empty"),
        ({"conf_int": True, "conf_method": "Wald!"}, "'Wald!'.*'profile'"),
        ({"conf_int": True, "conf_level": 95}, "95.*between 0 and 1"),
        ({"effects": "ran_vals", "conf_int": True, "conf_method": "profile"}, "Wald limits only"),
        ({"conf_int": True, "scales": "vcov"}, "leave scales"),
        ({"conf_int": True, "conf_method": "boot", "draws": 3}, "'draws'.*'seed'"),
        ({"conf_method": "boot", "seed": 3}, "'seed'.*conf_int=True"),
        ({"scales": "var"}, "'var'.*'vcov'"),
        ({"ddf": "student"}, "student"),
    ],
)
def test_what_tidy_does_not_know(fit: lmm.LmmFit, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        fit.tidy(**arguments)


# ---- glance


def test_glance(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    row = fit.glance()
    assert list(row.columns) == ["nobs", "sigma", "logLik", "AIC", "BIC", "REMLcrit", "df_residual"]
    close(row.iloc[0], [180, fit.sigma, fit.loglik, fit.aic, fit.bic, fit.reml_criterion, 174])
    ml = lmm.lmer(SLEEP, sleep, reml=False).glance()
    assert list(ml.columns) == ["nobs", "sigma", "logLik", "AIC", "BIC", "deviance", "df_residual"]
    close(ml["deviance"], -2 * ml["logLik"])


# ---- augment


def test_augment_puts_results_beside_the_variables(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    table = fit.augment()
    assert list(table.columns) == ["Reaction", "Days", "Subject", *ADDED]
    pd.testing.assert_frame_equal(table[["Reaction", "Days", "Subject"]], sleep[["Reaction", "Days", "Subject"]])
    close(table["_fitted"], fit.fitted())
    close(table["_resid"], table["Reaction"] - table["_fitted"])
    close(table["_hat"], fit.hatvalues())
    close(table["_cooksd"], fit.cooks_distance())
    close(table["_fixed"], fit.predict(re_form="none"))
    assert (table[["_sqrtXwt", "_sqrtrwt", "_weights"]] == 1.0).all(axis=None) and (table["_offset"] == 0.0).all()


FORMULA = "log(Reaction) ~ poly(Days, 2) + factor(Days > 4) + offset(o / 10) + (1 | Subject)"


@pytest.mark.parametrize("make", [lambda d: d, polars, lambda d: d.to_dict("series")])
def test_augment_with_expressions_weights_and_offset(holed: pd.DataFrame, make: Any) -> None:
    fit = lmm.lmer(FORMULA, make(holed), weights="w", offset="2 * o")
    table, used = fit.augment(), holed.dropna()
    assert list(table.columns) == [
        "log(Reaction)",
        "poly(Days, 2).1",
        "poly(Days, 2).2",
        "factor(Days > 4)",
        "offset(o/10)",
        "Subject",
        "(weights)",
        "(offset)",
        *ADDED,
    ]
    assert table.index.equals(fit.fitted().index)
    close(table["log(Reaction)"], np.log(used["Reaction"]))
    close(table[["poly(Days, 2).1", "poly(Days, 2).2"]], fit.design.X[:, 1:3])
    assert table["factor(Days > 4)"].tolist() == np.where(used["Days"] > 4, "TRUE", "FALSE").tolist()
    close(table["(offset)"], 2 * used["o"])
    close(table["offset(o/10)"], used["o"] / 10)
    close(table["_offset"], 2.1 * used["o"])
    close(table["_fixed"], fit.design.X @ fit.fixef.to_numpy() + 2.1 * used["o"].to_numpy())
    close(table["_wtres"], np.sqrt(used["w"].to_numpy()) * table["_resid"])
    close(table["_sqrtXwt"] ** 2, used["w"])


def test_rows_left_out_of_the_fit(holed: pd.DataFrame) -> None:
    formula = "Reaction ~ Days + (1 | Subject)"
    omitted, excluded = (lmm.lmer(formula, holed, na_action=action) for action in ("omit", "exclude"))
    table = omitted.augment(holed)
    pd.testing.assert_frame_equal(table[holed.columns], holed.dropna())
    pd.testing.assert_frame_equal(table[ADDED], omitted.augment()[ADDED])
    table = excluded.augment(holed)
    pd.testing.assert_frame_equal(table[holed.columns], holed)
    assert table.index[table["_fitted"].isna()].tolist() == ["r3", "r50"]
    pd.testing.assert_frame_equal(table.loc[omitted.frame().index, ADDED], omitted.augment()[ADDED])
    pd.testing.assert_frame_equal(excluded.augment()[ADDED], omitted.augment()[ADDED])


def test_augment_of_a_subset(holed: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", holed, subset="Days > 1", na_action="exclude")
    table = fit.augment(holed)
    assert table["Days"].min() == 2 and table["_fitted"].isna().sum() == 1 and len(table) == 18 * 8


def test_data_of_the_rows_used_alone(holed: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", holed)
    table = fit.augment(holed.dropna())
    pd.testing.assert_frame_equal(table, fit.augment(holed))
    other = polars(holed.dropna())
    pd.testing.assert_frame_equal(fit.augment(other)[ADDED], table[ADDED])


def test_rows_that_are_not_those_of_the_fit(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"17 rows.*180"):
        fit.augment(sleep.iloc[:17])
    with pytest.raises(DataError, match="another index"):
        fit.augment(sleep.iloc[::-1])
    with pytest.raises(DataError, match=r"'_hat'.*Rename"):
        fit.augment(sleep.assign(_hat=1.0))
    with pytest.raises(DataError, match="is a int"):
        fit.augment(3)


def test_augment_twice_leaves_the_data_alone(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    before = sleep.copy()
    table = fit.augment(sleep)
    table.loc[:, "Reaction"] = 0.0
    pd.testing.assert_frame_equal(sleep, before)
    assert fit.augment(sleep)["Reaction"].tolist() == before["Reaction"].tolist()


def test_a_column_of_that_name_is_not_overwritten(sleep: pd.DataFrame) -> None:
    named = sleep.assign(_fitted=sleep["Days"])
    fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    with pytest.raises(lmm.DataError, match=r"already have the column '_fitted'.*Rename it"):
        fit.augment(named)
