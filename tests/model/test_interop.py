"""Fits in marginaleffects and maketables: what these packages say against the same numbers by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.errors import ModelError

me = pytest.importorskip("marginaleffects")
# The package's own attribute of this name is the function or its module, whichever was imported last.
datagrid = pytest.importorskip("marginaleffects.datagrid").datagrid

# marginaleffects 0.6.0 asks polars for Series.cat.get_categories, which polars 2 no longer has; with any model.
needs_older_polars = pytest.mark.xfail(
    not hasattr(pl.Series(["a"], dtype=pl.Categorical).cat, "get_categories"),
    reason="marginaleffects compares levels of factors by a method that polars 2 removed",
    raises=AttributeError,
    strict=True,
)

deprecated = pytest.mark.filterwarnings("ignore:.*cat.get_categories:DeprecationWarning")  # polars 1 of it

# Where marginaleffects has no exact derivatives it takes forward differences, to half the digits at best.
FORWARD = 1e-6
# Its derivatives of slopes are differences of differences, and their rounding noise is seen in the third digit. The
# model is linear in β, so that a long step is exact.
LONG_STEP = {"eps_vcov": 1.0}


def close(a: Any, b: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=tolerance, atol=1e-12)


def by_hand(fit: lmm.LmmFit, K: np.ndarray, vcov: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Estimates Kβ̂ and their standard errors."""
    V = fit.vcov().to_numpy() if vcov is None else vcov
    return K @ fit.fixef.to_numpy(), np.sqrt(np.einsum("ma,ab,mb->m", K, V, K))


def agrees(result: Any, fit: lmm.LmmFit, K: np.ndarray, tolerance: float = 1e-10, df: float = np.inf) -> None:
    """Estimates, standard errors, limits and p-values of a result of marginaleffects are those of Kβ."""
    estimate, se = by_hand(fit, K)
    assert len(result) == len(K)
    close(result["estimate"], estimate, tolerance)
    close(result["std_error"], se, tolerance)
    close(result["conf_low"], estimate - stats.t.ppf(0.975, df) * se, max(tolerance, 1e-9))
    np.testing.assert_allclose(result["p_value"], 2 * stats.t.sf(np.abs(estimate / se), df), rtol=1e-6, atol=1e-12)


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return lmm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep: pd.DataFrame) -> lmm.LmmFit:
    return lmm.lmer("Reaction ~ Days + (Days | Subject)", sleep)


@pytest.fixture(scope="module")
def poly(sleep: pd.DataFrame) -> lmm.LmmFit:
    return lmm.lmer("Reaction ~ poly(Days, 2) + (1 | Subject)", sleep)


@pytest.fixture(scope="module")
def cake() -> lmm.LmmFit:
    """Factors, one of them ordered, and their interaction."""
    return lmm.lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", lmm.datasets.load("cake"))


# ---- predictions


def test_predictions_are_those_of_the_population(fit: lmm.LmmFit) -> None:
    result = me.predictions(fit.to_marginaleffects())
    agrees(result, fit, fit.design.X)
    close(result["estimate"], fit.predict(re_form="none"))


def test_predictions_for_new_data(poly: lmm.LmmFit, cake: lmm.LmmFit) -> None:
    new = pd.DataFrame({"Days": [0.5, 12.0]})
    result = me.predictions(poly.to_marginaleffects(), newdata=pl.from_pandas(new))
    close(result["estimate"], poly.predict(new, re_form="none"))
    model = cake.to_marginaleffects()
    result = me.predictions(model, newdata=datagrid(model, recipe=["C", "B"], temperature=["225"]))
    new = pd.DataFrame({"recipe": ["C", "B"], "temperature": ["225", "225"]})
    close(result["estimate"], cake.predict(new, re_form="none"))


def test_average_predictions_by_a_factor(cake: lmm.LmmFit) -> None:
    result = me.avg_predictions(cake.to_marginaleffects(), by="recipe")
    recipe = cake.frame()["recipe"].to_numpy()
    assert result["recipe"].to_list() == ["A", "B", "C"]
    agrees(result, cake, np.array([cake.design.X[recipe == r].mean(axis=0) for r in "ABC"]))


def test_differences_of_average_predictions(cake: lmm.LmmFit) -> None:
    result = me.avg_predictions(cake.to_marginaleffects(), by="recipe", hypothesis="difference ~ reference")
    X, recipe = cake.design.X, cake.frame()["recipe"].to_numpy()
    mean = {r: X[recipe == r].mean(axis=0) for r in "ABC"}
    agrees(result, cake, np.array([mean["B"] - mean["A"], mean["C"] - mean["A"]]), FORWARD)


def test_by_a_grouping_factor(fit: lmm.LmmFit) -> None:
    result = me.avg_predictions(fit.to_marginaleffects(), by="Subject")
    close(result["estimate"], np.full(18, fit.design.X.mean(axis=0) @ fit.fixef))


def test_offsets_belong_to_the_prediction(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ Days + offset(3 * Days) + (1 | Subject)", sleep, offset="Days / 2")
    model = fit.to_marginaleffects()
    result = me.predictions(model)
    close(result["estimate"], fit.predict(re_form="none"))
    close(result["std_error"], by_hand(fit, fit.design.X)[1], FORWARD)
    close(me.avg_slopes(model)["estimate"], [fit.fixef["Days"] + 3.5], 1e-9)


# ---- slopes and comparisons


def test_slopes(fit: lmm.LmmFit) -> None:
    agrees(me.avg_slopes(fit.to_marginaleffects(), **LONG_STEP), fit, np.array([[0.0, 1.0]]), 1e-8)
    noisy = me.avg_slopes(fit.to_marginaleffects())
    close(noisy["estimate"], [fit.fixef["Days"]], 1e-8)
    close(noisy["std_error"], [fit.se["Days"]], 0.05)


def test_slopes_of_a_polynomial(poly: lmm.LmmFit) -> None:
    """A central difference of a parabola is its derivative."""
    days, h = np.array([0.0, 5.0, 9.0]), 1e-3
    X = [
        poly.blueprint.fixed_matrix(poly.blueprint.evaluator(pd.DataFrame({"Days": days + step}))).X for step in (h, -h)
    ]
    model = poly.to_marginaleffects()
    result = me.slopes(model, newdata=datagrid(model, Days=days.tolist()), **LONG_STEP)
    agrees(result, poly, (X[0] - X[1]) / (2 * h), 1e-7)


def test_comparisons_of_a_number(poly: lmm.LmmFit) -> None:
    low, high = (
        poly.blueprint.fixed_matrix(poly.blueprint.evaluator(pd.DataFrame({"Days": [d]}))).X for d in (1.0, 8.0)
    )
    model = poly.to_marginaleffects()
    result = me.avg_comparisons(model, variables={"Days": [1, 8]})
    agrees(result, poly, high - low, 1e-9)


@needs_older_polars
@deprecated
def test_comparisons_of_factors(cake: lmm.LmmFit) -> None:
    result = me.avg_comparisons(cake.to_marginaleffects(), variables="recipe")
    X, names = cake.design.X, list(cake.design.names)
    K = np.zeros((2, len(names)))
    for row, recipe in enumerate("BC"):
        for j, name in enumerate(names):
            if name == f"recipe{recipe}":
                K[row, j] = 1.0
            elif name.startswith(f"recipe{recipe}:"):
                K[row, j] = X[:, names.index(name.split(":")[1])].mean()
    assert result["contrast"].to_list() == ["B - A", "C - A"]
    agrees(result, cake, K, 1e-9)


@needs_older_polars
@deprecated
def test_levels_are_compared_with_the_first_level_of_the_fit() -> None:
    """Not with the first of the alphabet."""
    data = lmm.datasets.load("cake")
    data["recipe"] = pd.Categorical(data["recipe"].astype(str), categories=["C", "A", "B"])
    fit = lmm.lmer("angle ~ recipe + (1 | recipe:replicate)", data)
    result = me.avg_comparisons(fit.to_marginaleffects())
    assert result["contrast"].to_list() == ["A - C", "B - C"]
    close(result["estimate"], fit.fixef[["recipeA", "recipeB"]])


# ---- hypotheses


def test_hypotheses(fit: lmm.LmmFit) -> None:
    model = fit.to_marginaleffects()
    result = me.hypotheses(model)
    assert result["term"].to_list() == ["(Intercept)", "Days"]
    close(result["std_error"], fit.se, FORWARD)
    result = me.hypotheses(model, hypothesis="b0 - 20 * b1 = 0")
    estimate, se = by_hand(fit, np.array([[1.0, -20.0]]))
    close(result["estimate"], estimate)
    close(result["std_error"], se, FORWARD)


def test_joint_hypotheses(sleep: pd.DataFrame) -> None:
    """Which marginaleffects knows of where each predictor has one coefficient; for others there is lmm.contest."""
    fit = lmm.lmer("Reaction ~ Days + square + (1 | Subject)", sleep.assign(square=sleep["Days"] ** 2))
    beta, V = fit.fixef.to_numpy()[1:], fit.vcov().to_numpy()[1:, 1:]
    wald = beta @ np.linalg.solve(V, beta)
    result = me.hypotheses(fit.to_marginaleffects(), joint=[1, 2], joint_test="chisq")
    close(result["statistic"], [wald])
    result = me.hypotheses(fit.to_marginaleffects(df=34), joint=["Days", "square"])
    close(result["statistic"], [wald / 2])
    close(result["p_value"], [stats.f.sf(wald / 2, 2, 34)], 1e-6)


@pytest.mark.parametrize("vcov", ["kenward-roger", "Kenward_Roger"])
def test_the_covariance_of_kenward_and_roger(vcov: str) -> None:
    data = lmm.datasets.load("cake").query("angle > 25")  # unbalanced, so that the adjustment does something
    fit = lmm.lmer("angle ~ temp + (temp | recipe:replicate)", data)
    adjusted = fit.contrast_tests("kenward-roger").vcov
    se = by_hand(fit, fit.design.X, adjusted)[1]
    assert np.abs(se / by_hand(fit, fit.design.X)[1] - 1).max() > 1e-3
    close(me.predictions(fit.to_marginaleffects(), vcov=vcov)["std_error"], se)
    assert "std_error" not in me.predictions(fit.to_marginaleffects(), vcov=False).columns
    with pytest.raises(ModelError, match="HC3"):
        me.predictions(fit.to_marginaleffects(), vcov="HC3")


def test_degrees_of_freedom(fit: lmm.LmmFit) -> None:
    agrees(me.predictions(fit.to_marginaleffects(df=17)), fit, fit.design.X, df=17)


# ---- all kinds of data


def test_text_factors_and_columns_that_are_no_use(sleep: pd.DataFrame) -> None:
    """Names that marginaleffects keeps for itself, and columns polars has no type for, are no obstacle."""
    data = sleep.assign(
        shift=np.where(sleep["Days"] % 2 == 0, "late", "early"),
        group=sleep["Subject"],
        estimate=1.0,
        mixed=[1, "a", None] * 60,
        gap=[np.nan, *range(179)],
        late=sleep["Days"] > 4,
    )
    fit = lmm.lmer("log(Reaction) ~ shift + late + (1 | group)", data)
    model = fit.to_marginaleffects()
    assert (model.find_response(), model.find_predictors()) == ("Reaction", ["shift", "late"])
    assert {"group", "estimate", "mixed"}.isdisjoint(model.get_modeldata().columns) and "gap" in model.get_modeldata()
    result = me.predictions(model)
    agrees(result, fit, fit.design.X)
    result = me.avg_comparisons(model, variables="late")
    agrees(result, fit, np.array([[0.0, 0.0, 1.0]]), 1e-9)


def test_a_rank_deficient_model_and_rows_left_out(sleep: pd.DataFrame) -> None:
    data = sleep.assign(twice=2 * sleep["Days"])
    data.loc[[2, 9], "Reaction"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.errors.RankDeficiencyWarning)
        fit = lmm.lmer("Reaction ~ Days + twice + (1 | Subject)", data)
    agrees(me.predictions(fit.to_marginaleffects()), fit, fit.design.X)


def test_polars_data(sleep: pd.DataFrame, fit: lmm.LmmFit) -> None:
    data = pl.from_pandas(sleep.astype({"Subject": str}))
    other = lmm.lmer("Reaction ~ Days + (Days | Subject)", data)
    close(me.predictions(other.to_marginaleffects())["estimate"], fit.predict(re_form="none"), 1e-8)


@deprecated
def test_new_levels_are_an_error(cake: lmm.LmmFit) -> None:
    new = pl.DataFrame({"recipe": ["D"], "temperature": ["225"]})
    with pytest.raises((ValueError, pl.exceptions.InvalidOperationError), match=r"\bD\b"):
        me.predictions(cake.to_marginaleffects(), newdata=new)


def test_what_cannot_be_asked(sleep: pd.DataFrame, fit: lmm.LmmFit) -> None:
    numeric = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep, offset=np.ones(180))
    with pytest.raises(ModelError, match="offset given as numbers"):
        numeric.to_marginaleffects()
    with pytest.raises(ModelError, match="df=0"):
        fit.to_marginaleffects(df=0)


# ---- maketables


@pytest.fixture(scope="module")
def maketables() -> Any:
    return pytest.importorskip("maketables")


def test_coefficients_for_maketables(fit: lmm.LmmFit) -> None:
    table = fit.__maketables_coef_table__
    tidy = fit.tidy("fixed", conf_int=True, ddf="satterthwaite")
    assert table.index.name == "Coefficient" and list(table.index) == list(tidy["term"])
    names = {
        "b": "estimate",
        "se": "std_error",
        "t": "statistic",
        "p": "p_value",
        "df": "df",
        "ci95l": "conf_low",
        "ci95u": "conf_high",
    }
    assert list(table.columns) == list(names)
    for theirs, ours in names.items():
        close(table[theirs], tidy[ours])


def test_a_table_of_two_models(maketables: Any, fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    other = lmm.lmer("Reaction ~ 1 + (1 | Subject)", sleep, reml=False)
    table = maketables.ETable([fit, other], coef_fmt="b:.6f (se:.6f)").df
    assert list(table.columns) == [("Reaction", "(1)"), ("Reaction", "(2)")]
    cells = {row: list(values) for (_, row), values in zip(table.index, table.to_numpy(), strict=True)}
    for j, model in enumerate((fit, other)):
        for name in model.fixef.index:
            assert cells[name][j] == f"{model.fixef[name]:.6f} ({model.se[name]:.6f})"
        assert cells["Observations"][j] == "180" and cells["Groups (Subject)"][j] == "18"
        assert cells["Log-likelihood"][j] == f"{model.loglik:.3f}"
        sd = np.sqrt(model.varcorr["Subject"].loc["(Intercept)", "(Intercept)"])
        assert cells["SD (Intercept) | Subject"][j] == f"{sd:.3f}"
        assert cells["SD Residual"][j] == f"{model.sigma:.3f}"
        assert float(cells["AIC"][j].replace(",", "")) == pytest.approx(model.aic, abs=0.01)
    assert cells["Days"][1] == "" and cells["SD Days | Subject"][1] == "-"
    assert cells["Corr (Intercept), Days | Subject"] == ["0.066", "-"]


def test_stars_and_other_statistics(maketables: Any, fit: lmm.LmmFit) -> None:
    table = maketables.ETable(fit, coef_fmt="b:.3f*", model_stats=["REML criterion", "se_type"])
    assert table.df.iloc[0, 0] == "251.405***"
    assert table.df.iloc[-2:, 0].tolist() == ["1,743.63", "model-based, df by Satterthwaite"]


def test_labels_of_variables(maketables: Any, sleep: pd.DataFrame) -> None:
    data = sleep.copy()
    data.attrs["variable_labels"] = {"Days": "Days without sleep", "Reaction": "Reaction time (ms)"}
    fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", data)
    table = maketables.ETable([fit]).df
    assert table.columns[0][0] == "Reaction time (ms)" and ("coef", "Days without sleep") in table.index


def test_a_table_of_factors_renders(maketables: Any, cake: lmm.LmmFit) -> None:
    table = maketables.ETable([cake])
    rows = [row for block, row in table.df.index if block == "coef"]
    assert len(rows) == cake.design.p and "recipeB × temperature.L" in rows
    assert "recipeB" in table.make(type="tex") and "33.122" in table.make(type="html")
