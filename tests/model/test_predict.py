"""Predictions: replayed on new data as the fit read the old, and as uncertain as Henderson's equations say."""

import pickle
import re
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.errors import DataError, FormulaError, ModelError
from lmmpy.inference import prediction_uncertainty
from tests.naive import factors_at

SLEEP = lmm.datasets.load("sleepstudy")


def close(found: Any, expected: Any, rtol: float = 1e-10, atol: float = 1e-10) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=rtol, atol=atol)


# ---- the naive reference: all mixed-model equations, inverted


def joint_covariance(fit: lmm.LmmFit) -> np.ndarray:
    """Cov(β̂ − β, b̂ − b), shape (p + q, p + q), from the inverse of Henderson's equations for (β, u), b = Λu."""
    design = fit.design
    X, Z, w = design.X, design.Z.toarray(), fit.prior_weights.to_numpy()
    L = np.zeros((design.q, design.q))
    for term, start, factor in zip(
        design.random, design.starts, factors_at(design, fit.theta.to_numpy()), strict=False
    ):
        L[start : start + term.q, start : start + term.q] = np.kron(np.eye(term.n_levels), factor.T)
    A = np.hstack([X, Z @ L])
    C = A.T @ (w[:, None] * A)
    C[design.p :, design.p :] += np.eye(design.q)
    back = np.eye(design.p + design.q)
    back[design.p :, design.p :] = L
    return fit.sigma**2 * back @ np.linalg.inv(C) @ back.T


def kept_columns(fit: lmm.LmmFit, kept: dict[str, list[str]]) -> np.ndarray:
    """Which columns of Z a prediction uses, given the effects of each term by name."""
    marks = [
        np.tile([c in kept.get(t.name, []) for c in t.columns], t.n_levels).astype(float) for t in fit.design.random
    ]
    return np.concatenate(marks)


def naive_se(fit: lmm.LmmFit, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    A = np.hstack([X, Z])
    return np.sqrt(np.einsum("ni,ij,nj->n", A, joint_covariance(fit), A))


def grid(seed: int = 1) -> pd.DataFrame:
    """Rows of two crossed groups, whose effects, slopes and interactions all vary."""
    rng = np.random.default_rng(seed)
    n = 160
    data = pd.DataFrame(
        {
            "x": rng.normal(5, 2, n),
            "t": rng.integers(0, 4, n).astype(float),
            "g": rng.choice(list("abcdefgh"), n),
            "h": rng.choice([f"h{i}" for i in range(12)], n),
            "f": rng.choice(["low", "mid", "top"], n),
            "o": pd.Categorical(rng.choice(["1st", "2nd", "3rd"], n), ordered=True),
            "on": rng.random(n) > 0.5,
            "w": rng.uniform(0.5, 2, n),
            "off": rng.normal(0, 3, n),
        }
    )
    effect = {k: v for k, v in zip("abcdefgh", rng.normal(0, 2, 8), strict=True)}
    slope = {k: v for k, v in zip("abcdefgh", rng.normal(0, 0.7, 8), strict=True)}
    other = {f"h{i}": v for i, v in enumerate(rng.normal(0, 1.5, 12))}
    data["y"] = data["x"] + data["g"].map(effect) + data["h"].map(other) + rng.normal(0, 1, n) / np.sqrt(data["w"])
    data["y"] += data["g"].map(slope) * (data["x"] - 5) + data["off"] + 2 * data["on"] + 2 * (data["f"] == "mid")
    data["y"] += rng.normal(0, 2, 24)[3 * data["g"].map(ord) % 24 + data["f"].map({"low": 0, "mid": 1, "top": 2})]
    data["y"] += rng.normal(0, 1, 8)[data["g"].map(ord) % 8] * data["t"]
    data["y"] += rng.normal(0, 2, 300)[pd.factorize(data["f"] + data["h"])[0]]
    return data


GRID = grid()
ONE, BOTH = ["(Intercept)"], ["(Intercept)", "x"]
NAIVE: list[tuple[str, dict[str, Any], Any, dict[str, list[str]]]] = [
    ("y ~ x + (x | g)", {}, "all", {"g": BOTH}),
    ("y ~ x + (x | g)", {}, "~ (1 | g)", {"g": ONE}),
    ("y ~ x + (x | g)", {}, "~ (0 + x | g)", {"g": ["x"]}),
    ("y ~ x + (x | g)", {}, "none", {}),
    ("y ~ x + (x || g) + (1 | h)", {"weights": "w"}, "all", {"g": BOTH, "g.1": BOTH, "h": ONE}),
    ("y ~ x + (x || g) + (1 | h)", {"weights": "w"}, "g", {"g": BOTH, "g.1": BOTH}),
    ("y ~ x + (x || g) + (1 | h)", {"weights": "w"}, "~ (x | g)", {"g": BOTH, "g.1": BOTH}),
    ("y ~ x + (x || g) + (1 | h)", {"weights": "w"}, "~ (0 + x | g) + (1 | h)", {"g": ["x"], "g.1": ["x"], "h": ONE}),
    ("y ~ x + (x | g) + (1 | h)", {"reml": False}, ["h"], {"h": ONE}),
    ("y ~ x + (x | g) + (1 | h)", {"reml": False}, None, {"g": BOTH, "h": ONE}),
    ("y ~ f + (1 | g / f) + (1 | h)", {}, "all", {"f:g": ONE, "g": ONE, "h": ONE}),
    ("y ~ f + (1 | g / f) + (1 | h)", {}, "~ (1 | g:f)", {"f:g": ONE}),
    ("y ~ 0 + (1 | g) + (1 | h)", {}, "all", {"g": ONE, "h": ONE}),
    ("y ~ x + cs(0 + f | g)", {}, "all", {"g": ["flow", "fmid", "ftop"]}),
    ("y ~ x + (x | g)", {"varcomp": {"g": [[4.0, 0.1], [0.1, 0.5]], "Residual": 1.3}}, "all", {"g": BOTH}),
    # A covariance of rank one: Λ has no inverse.
    ("y ~ x + (x | g)", {"varcomp": {"g": [[4.0, 2.0], [2.0, 1.0]], "Residual": 1.3}}, "all", {"g": BOTH}),
]


@pytest.mark.parametrize(("formula", "options", "re_form", "kept"), NAIVE)
def test_the_standard_error_is_that_of_the_inverted_equations(
    formula: str, options: dict[str, Any], re_form: Any, kept: dict[str, list[str]]
) -> None:
    fit = lmm.lmer(formula, GRID, **options)
    Z = fit.design.Z.toarray() * kept_columns(fit, kept)
    b = np.concatenate([frame.to_numpy().ravel() for frame in fit.ranef().values()])
    value, expected = fit.design.X @ fit.fixef.to_numpy() + Z @ b, naive_se(fit, fit.design.X, Z)
    own = fit.predict(re_form=re_form, se=True)
    assert list(own.columns) == ["prediction", "std_error"] and own.index.equals(GRID.index)
    close(own["prediction"], value)
    close(own["std_error"], expected, 1e-8)
    part = np.random.default_rng(2).permutation(len(GRID))[:50]
    new = fit.predict(GRID.iloc[part].drop(columns="y"), re_form=re_form, se=True)
    assert new.index.tolist() == part.tolist()
    close(new["prediction"], value[part])
    close(new["std_error"], expected[part], 1e-8)


def test_batches_and_the_blocks_of_the_engine_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = lmm.lmer("y ~ x + (x | g) + (1 | h) + (1 | f:h)", GRID, weights="w")
    expected = fit.predict(GRID, se=True)
    for block in (1, 7 * fit.design.q):
        monkeypatch.setattr(prediction_uncertainty, "_BLOCK", block)
        found = fit.predict(GRID, se=True)
        close(found["std_error"], expected["std_error"], 1e-8)


def test_the_origin_of_a_slope_and_levels_with_one_row_do_no_harm() -> None:
    data = GRID[(GRID["g"] != "a") | (GRID.index == GRID.index[GRID["g"] == "a"][0])]
    components = {"g": [[4.0, 0.1], [0.1, 0.5]], "h": 1.0, "Residual": 1.3}
    fit = lmm.lmer("y ~ x + (x | g) + (1 | h)", data, varcomp=components)
    assert (data["g"] == "a").sum() == 1
    new = data.assign(g="a", x=np.linspace(-3, 20, len(data)))  # where that level has no data
    X = np.column_stack([np.ones(len(data)), new["x"]])
    Z = fit.design.Z.toarray() * kept_columns(fit, {"h": ONE})
    term = next(i for i, t in enumerate(fit.design.random) if t.name == "g")
    assert fit.design.random[term].levels[0] == "a"
    Z[:, fit.design.starts[term] : fit.design.starts[term] + 2] = X
    expected = naive_se(fit, X, Z)
    close(fit.predict(new, se=True)["std_error"], expected, 1e-8)
    far = lmm.lmer("y ~ x + (x | g)", GRID.assign(x=GRID["x"] + 2000))
    near = lmm.lmer("y ~ x + (x | g)", GRID)
    close(far.predict(se=True), near.predict(se=True), 1e-5)


def test_a_level_that_was_not_seen_adds_its_variance() -> None:
    fit = lmm.lmer("y ~ x + (x | g) + (1 | h)", GRID)
    new = pd.DataFrame({"x": [2.0, 6.0, 6.0, 3.0], "g": ["a", "new", None, "new"], "h": ["h1", "h2", "h3", "other"]})
    found = fit.predict(new, allow_new_levels=True, se=True)
    X = np.column_stack([np.ones(4), new["x"]])
    Z = np.zeros((4, fit.design.q))
    starts, names = dict(zip([t.name for t in fit.design.random], fit.design.starts, strict=False)), fit.design.random
    levels = {t.name: t.levels for t in names}
    for row, h in enumerate(["h1", "h2", "h3"]):
        Z[row, starts["h"] + levels["h"].index(h)] = 1.0
    Z[0, starts["g"] : starts["g"] + 2] = X[0]
    assert levels["g"][0] == "a"
    G, H = fit.varcorr["g"].to_numpy(), float(fit.varcorr["h"].iloc[0, 0])
    added = np.array([0.0, X[1] @ G @ X[1], X[2] @ G @ X[2], X[3] @ G @ X[3] + H])
    close(found["std_error"], np.sqrt(naive_se(fit, X, Z) ** 2 + added), 1e-8)
    close(found["prediction"].iloc[3], X[3] @ fit.fixef)
    # For an observation in new groups it does not matter whether they are named or left out.
    intervals = [
        fit.predict(new.iloc[[3]], re_form=form, allow_new_levels=True, interval="prediction")
        for form in ("all", "none", "g", "~ (1 | g)", "~ (0 + x | g) + (1 | h)")
    ]
    for other in intervals[1:]:
        close(other[["conf_low", "conf_high"]], intervals[0][["conf_low", "conf_high"]])
    close(intervals[1]["std_error"], np.sqrt(X[3] @ fit.vcov() @ X[3]))


def test_intervals_are_made_of_their_parts() -> None:
    fit = lmm.lmer("y ~ x + (x | g) + (1 | h)", GRID, weights="w")
    G, H = fit.varcorr["g"].to_numpy(), float(fit.varcorr["h"].iloc[0, 0])
    X, w = fit.design.X, GRID["w"].to_numpy()
    whole, slope = np.einsum("ni,ij,nj->n", X, G, X), G[1, 1] * X[:, 1] ** 2
    left_out = {"all": 0.0, "none": whole + H, "g": H, "h": whole, "~ (1 | g) + (1 | h)": slope, "~ (1 | g)": slope + H}
    for form, more in left_out.items():
        se = fit.predict(re_form=form, se=True)["std_error"]
        for data in (None, GRID):
            for level in (0.95, 0.5):
                q = stats.norm.ppf(0.5 + level / 2)
                mean = fit.predict(data, re_form=form, interval="confidence", level=level)
                assert list(mean.columns) == ["prediction", "std_error", "conf_low", "conf_high"]
                close(mean["conf_high"] - mean["prediction"], q * se)
                close(mean["prediction"] - mean["conf_low"], q * se)
                new = fit.predict(data, re_form=form, interval="prediction", level=level)
                close(new["std_error"], se)
                close(new["conf_high"] - new["prediction"], q * np.sqrt(se**2 + more + fit.sigma**2 / w))
                close(new["prediction"] - new["conf_low"], q * np.sqrt(se**2 + more + fit.sigma**2 / w))


def test_predictions_of_known_components_have_the_textbook_error_variance() -> None:
    sire = lmm.datasets.load("sire")
    fit = lmm.lmer("y ~ 0 + (1 | sire)", sire, varcomp={"sire": 2, "Residual": 6})
    # PEV = 1/(n/σ² + 1/σ_s²) without fixed effects; each sire has two records.
    close(fit.predict(se=True)["std_error"] ** 2, np.full(6, 1 / (2 / 6 + 1 / 2)), 1e-12)
    fit = lmm.lmer("y ~ 0 + env + (1 | sire)", sire, varcomp={"sire": 2, "Residual": 6})
    close(fit.predict(se=True)["std_error"], naive_se(fit, fit.design.X, fit.design.Z.toarray()), 1e-12)


# ---- replayed


def _double(values: Any) -> Any:
    return 2.0 * values


FORMULAS = [
    "y ~ poly(x, 2) + (1 | g)",
    "y ~ poly(x, 3, raw = TRUE) + (poly(t, 2) | g)",
    "y ~ scale(x) * f + (scale(x) | g)",
    "y ~ center(x) + (1 | g)"
    if "center" in lmm.design.functions.FUNCTIONS
    else "y ~ scale(x, scale = FALSE) + (1 | g)",
    "y ~ ns(x, df = 3) + (1 | g)",
    "y ~ bs(x, df = 5) + (1 | h)",
    "y ~ o + (1 | g)",
    "y ~ f * o + (0 + f | g)",
    "y ~ C(f, sum) + (1 | g / h)",
    "y ~ factor(t) + (1 | g:h)",
    "y ~ on + x + (on | g)",
    "y ~ x + offset(off) + offset(0.5 * t) + (1 | g)",
    "y ~ log(x + 20) + I(x^2) + (x || g) + (1 | h)",
    "y ~ _double(x) + cut(t, c(-1, 1, 5)) + (1 | g)",
    "y ~ np.exp(x / 10) + interaction(f, on) + (1 | g) + (1 | h)",
    "log(y + 40) ~ 0 + f + x:f + (0 + x | g)",
    "y ~ relevel(f, ref = 'top') + (1 | g)",
]


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning", "ignore::lmmpy.ScaleWarning")
@pytest.mark.parametrize("formula", FORMULAS)
def test_part_of_the_data_is_predicted_as_it_was_fitted(formula: str) -> None:
    fit = lmm.lmer(formula, GRID)
    fitted, errors = fit.fitted(), fit.predict(se=True)["std_error"]
    rng = np.random.default_rng(3)
    # Alone, in another order, with repetitions, and where a factor has one of its levels only.
    parts = [[17], rng.permutation(len(GRID))[:60], rng.integers(0, len(GRID), 30), np.flatnonzero(GRID["f"] == "top")]
    for part in parts:
        new = GRID.drop(columns="y").iloc[part]
        found = fit.predict(new, se=True)
        close(found["prediction"], fitted.iloc[part])
        close(found["std_error"], errors.iloc[part], 1e-8)
        pd.testing.assert_series_equal(fit.predict(new), found["prediction"])


@pytest.mark.parametrize("contrasts", ["sum", "helmert", {"f": "sum", "o": "treatment"}])
def test_contrasts_are_replayed(contrasts: Any) -> None:
    fit = lmm.lmer("y ~ f * o + (1 | g)", GRID, contrasts=contrasts)
    part = np.flatnonzero((GRID["f"] == "mid") & (GRID["o"] == "2nd"))
    close(fit.predict(GRID.iloc[part]), fit.fitted().iloc[part])


def test_the_kind_of_table_does_not_matter() -> None:
    fit = lmm.lmer("y ~ x + f + (x | g)", GRID)
    new = GRID[["g", "f", "x"]].iloc[40:60]
    expected = fit.predict(new, interval="prediction")
    columns = {name: new[name].tolist() for name in new}
    for other in (pl.DataFrame(columns), columns, {k: np.array(v) for k, v in columns.items()}):
        found = fit.predict(other, interval="prediction")
        assert found.index.equals(pd.RangeIndex(20))
        close(found, expected)


def test_no_rows_at_all() -> None:
    fit = lmm.lmer("y ~ x + f + (x | g)", GRID)
    for form in ("all", "none", "~ (1 | g)"):
        found = fit.predict(GRID.iloc[:0], re_form=form, interval="prediction")
        assert found.shape == (0, 4) and list(found.columns)[-1] == "conf_high"


def test_a_missing_value_makes_its_row_missing_and_no_other() -> None:
    fit = lmm.lmer("y ~ x + f + (t | g)", GRID, weights="w", varcomp={"g": np.eye(2), "Residual": 4})
    new = GRID.iloc[:6].copy()
    new.loc[1, "x"], new.loc[2, "f"], new.loc[3, "t"], new.loc[4, "w"] = np.nan, None, np.nan, np.nan
    found = fit.predict(new, interval="prediction")
    gaps = found.isna().to_numpy()
    assert gaps[[1, 2, 3]].all() and not gaps[[0, 5]].any()
    assert gaps[4].tolist() == [False, False, True, True]  # the weight is needed for a new observation only
    close(found.iloc[[0, 5]], fit.predict(GRID.iloc[[0, 5]], interval="prediction"))
    # An effect that is left out need not be known.
    for form in ("none", "~ (1 | g)"):
        assert fit.predict(new, re_form=form, se=True).isna().all(axis=1).tolist() == [False, True, True, *3 * [False]]
    # Of a new level too, although its effect is zero.
    assert np.isnan(fit.predict(new.assign(g="new"), allow_new_levels=True, se=True).loc[3]).all()


def test_rows_left_out_come_back_under_exclude() -> None:
    data = GRID.copy()
    data.loc[[3, 8], "x"] = np.nan
    found = lmm.lmer("y ~ x + (1 | g)", data, na_action="exclude").predict(interval="prediction")
    assert len(found) == len(data) and np.flatnonzero(found.isna().any(axis=1)).tolist() == [3, 8]
    assert found.isna().loc[[3, 8]].all(axis=None)
    omit = lmm.lmer("y ~ x + (1 | g)", data)
    pd.testing.assert_frame_equal(omit.predict(interval="prediction"), found.dropna())
    # As new data the same rows are predicted, or not, in the same way.
    close(omit.predict(data, interval="prediction"), found)


def test_a_fit_of_deficient_rank() -> None:
    data = GRID.assign(twice=2 * GRID["x"])
    with pytest.warns(lmm.RankDeficiencyWarning):
        fit = lmm.lmer("y ~ x + twice + (1 | g)", data)
    full = lmm.lmer("y ~ x + (1 | g)", data)
    part = data.iloc[[5, 90, 33]]
    close(fit.predict(part, se=True), full.predict(part, se=True), 1e-8)
    with pytest.warns(lmm.RankDeficiencyWarning, match=r"1 rows of the new data \(first: 1.*'twice'") as caught:
        found = fit.predict(part.assign(twice=[*part["twice"].iloc[:1], 100.0, part["twice"].iloc[2]]))
    assert caught[0].filename == __file__
    close(found, full.predict(part), 1e-8)


def test_an_empty_cell_cannot_be_predicted_without_a_warning() -> None:
    data = GRID[(GRID["f"] != "top") | ~GRID["on"]]
    with pytest.warns(lmm.RankDeficiencyWarning):
        fit = lmm.lmer("y ~ f * on + (1 | g)", data)
    close(fit.predict(data), fit.fitted())
    with pytest.warns(lmm.RankDeficiencyWarning, match="1 rows"):
        fit.predict(GRID[(GRID["f"] == "top") & GRID["on"]].iloc[:1])


# ---- re_form


def test_a_formula_keeps_what_names_keep() -> None:
    fit = lmm.lmer("y ~ x + (x || g) + (1 | h)", GRID)
    slope = next(term.name for term in fit.design.random if term.columns == ("x",))
    effect = fit.ranef()[slope]["x"].loc[GRID["g"]].to_numpy()
    close(fit.predict(re_form="~ (0 + x | g)") - fit.predict(re_form="none"), effect * GRID["x"])
    same = [
        ("~ (x | g) + (1 | h)", "all"),
        ("~ (x || g)", "g"),
        ("~ (1 | h)", ["h"]),
        ("~ (0 + x | g)", "~ 0 + (0 + x | g)"),
        ("~0", []),
    ]
    for formula, names in same:
        for data in (None, GRID.iloc[10:20]):
            pd.testing.assert_series_equal(fit.predict(data, re_form=formula), fit.predict(data, re_form=names))


def test_one_effect_of_a_factor() -> None:
    fit = lmm.lmer("y ~ x + (f | g)", GRID)
    found = fit.predict(re_form="~ (1 | g)") - fit.predict(re_form="none")
    close(found, fit.ranef()["g"]["(Intercept)"].loc[GRID["g"]])
    # Coded without an intercept, the factor has effects that the model does not have.
    with pytest.raises(ModelError, match=r"'flow' is no random effect of 'g'.*'\(Intercept\)', 'fmid', 'ftop'"):
        fit.predict(re_form="~ (0 + f | g)")


@pytest.mark.parametrize(
    ("re_form", "error", "message"),
    [
        ("~ (1 | q)", ModelError, r"\(1 \| q\).*grouping factor 'q'.*'\(x \| g\)'"),
        ("~ (t | g)", ModelError, r"'t' is no random effect of 'g'.*'\(Intercept\)', 'x'"),
        ("~ (1 | g) + (log(x) | g)", ModelError, r"'log\(x\)' is no random effect"),
        ("~ (nothing | g)", ModelError, r"'nothing' is no random effect"),
        ("~ (x | h)", ModelError, r"'x' is no random effect of 'h'"),
        ("~ x + (1 | g)", FormulaError, r"must hold random terms to keep and nothing else.*'~0'"),
        ("y ~ (1 | g)", FormulaError, r"must hold random terms"),
        ("~ 1", FormulaError, r"must hold random terms"),
        ("~ 1 | g", FormulaError, r"parentheses"),
        (["g", "~ (1 | h)"], ModelError, r"no random term"),
    ],
)
def test_a_formula_that_keeps_what_is_not_there(re_form: Any, error: type[Exception], message: str) -> None:
    fit = lmm.lmer("y ~ x + (x | g) + (1 | h)", GRID)
    for data in (None, GRID):
        with pytest.raises(error, match=message):
            fit.predict(data, re_form=re_form)


# ---- bad requests


USUAL = "y ~ x + f + (1 | g)"
BAD: list[tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = [
    ({}, {"se": "yes"}, ModelError, r"se must be True or False, not 'yes'"),
    ({}, {"interval": "both"}, ModelError, r"interval is None, 'confidence' or 'prediction', not 'both'"),
    ({}, {"interval": True}, ModelError, r"interval is None.*not True"),
    ({}, {"interval": "confidence", "level": 95}, ModelError, r"level must be a number between 0 and 1.*got 95"),
    ({}, {"level": np.nan}, ModelError, r"level .* nan"),
    ({}, {"newdata": GRID.assign(f="none")}, DataError, r"factor 'f' has levels.*'none'"),
    ({}, {"newdata": GRID.assign(f="none"), "re_form": "none", "se": True}, DataError, r"factor 'f' has levels"),
    ({}, {"newdata": GRID.assign(g="zz"), "se": True}, DataError, r"'g' has levels.*'zz'.*allow_new_levels"),
    ({}, {"newdata": GRID.assign(g=None), "se": True}, DataError, r"'g' has missing values.*allow_new_levels"),
    ({}, {"newdata": GRID.drop(columns="x")}, DataError, r"no column 'x'"),
    ({"weights": "w"}, {"newdata": GRID.drop(columns="w"), "interval": "prediction"}, DataError, r"weights 'w'.*'w'"),
    ({"weights": "w"}, {"newdata": GRID.assign(w="1"), "interval": "prediction"}, DataError, r"weights 'w'.*number"),
    (
        {"weights": "w"},
        {"newdata": GRID.assign(w=[-1.0] + [1.0] * 159), "interval": "prediction"},
        DataError,
        r"'w' must be positive and finite; 1 .*rows 0: -1.0",
    ),
    ({"weights": GRID["w"]}, {"newdata": GRID, "interval": "prediction"}, ModelError, r"weights.*given as numbers"),
    ({"offset": GRID["off"]}, {"newdata": GRID}, ModelError, r"offset given as numbers"),
    ({"offset": "off"}, {"newdata": GRID.assign(off="a")}, DataError, r"offset 'off' must be one number"),
]


@pytest.mark.parametrize(("options", "request_", "error", "message"), BAD)
def test_a_bad_request(options: dict[str, Any], request_: dict[str, Any], error: type[Exception], message: str) -> None:
    fit = lmm.lmer(USUAL, GRID, **options)
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        fit.predict(**request_)


def test_new_levels_of_all_grouping_factors_are_named_at_once() -> None:
    fit = lmm.lmer("strength ~ 1 + (1 | batch/cask)", lmm.datasets.load("Pastes"))
    with pytest.raises(DataError, match=r"'cask:batch' has .* 'q:Z', and 'batch' has .* 'Z'. With allow_new_levels"):
        fit.predict({"batch": ["Z"], "cask": ["q"]})
    with pytest.raises(DataError, match=r"'cask:batch' has .* 'q:A'. With allow_new_levels"):
        fit.predict({"batch": ["A"], "cask": ["q"]})


def test_weights_given_as_numbers_are_known_for_the_rows_of_the_fit_and_need_no_new_ones_elsewhere() -> None:
    text, numbers = lmm.lmer(USUAL, GRID, weights="w"), lmm.lmer(USUAL, GRID, weights=GRID["w"].to_numpy())
    close(numbers.predict(interval="prediction"), text.predict(GRID, interval="prediction"))
    close(numbers.predict(GRID, interval="confidence"), text.predict(interval="confidence"))


def test_a_function_that_gives_another_number_of_columns() -> None:
    def powers(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x, x**2] if len(x) > 10 else [x])

    fit = lmm.lmer("y ~ powers(x) + (1 | g)", GRID)
    with pytest.raises(DataError, match=r"fixed part has the columns .*'powers\(x\)'.*'powers\(x\)1'"):
        fit.predict(GRID.iloc[:3])


# ---- size


def test_memory_grows_with_rows_and_effects_not_with_their_product() -> None:
    rng = np.random.default_rng(5)
    n, levels = 8000, 2000
    data = pd.DataFrame({"x": rng.normal(size=n), "g": rng.permutation(n) % levels, "h": rng.integers(0, 400, n)})
    data["y"] = data["x"] + rng.normal(size=levels)[data["g"]] + rng.normal(size=400)[data["h"]] + rng.normal(size=n)
    fit = lmm.lmer("y ~ x + (1 | g) + (1 | h)", data)
    new = data.iloc[rng.integers(0, n, 20000)]
    tracemalloc.start()
    found = fit.predict(new, se=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 20,000 × 2,400 numbers would be 384 MB.
    assert peak < 150e6
    close(found["std_error"].iloc[:5], fit.predict(new.iloc[:5], se=True)["std_error"], 1e-8)


# ---- calibration


def test_prediction_intervals_cover_as_often_as_they_say() -> None:
    """200 data sets of 25 groups of 4; a new observation in an old group and in a new one, 90 % intervals."""
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(25), 4)
    x = rng.normal(size=100)
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.9)
    covered = {"old": 0, "new": 0, "population": 0}
    new = pd.DataFrame({"x": [0.7, 0.7], "g": [3, 99]})
    first = lmm.lmer(
        "y ~ x + (1 | g)", pd.DataFrame({"y": rng.normal(size=25)[g] + rng.normal(size=100), "x": x, "g": g})
    )
    for _ in range(200):
        b = rng.normal(0, 1.0, 100)
        fit = first.refit(2 + 0.5 * x + b[g] + rng.normal(0, 0.8, 100))
        y = 2 + 0.5 * 0.7 + b[[3, 99]] + rng.normal(0, 0.8, 2)
        found = fit.predict(new, allow_new_levels=True, interval="prediction", level=0.9)
        inside = (found["conf_low"] < y) & (y < found["conf_high"])
        covered["old"] += inside[0]
        covered["new"] += inside[1]
        found = fit.predict(new[["x"]].iloc[1:], re_form="none", interval="prediction", level=0.9)
        covered["population"] += found["conf_low"].iloc[0] < y[1] < found["conf_high"].iloc[0]
    assert covered["population"] == covered["new"]
    assert all(low <= count <= high for count in covered.values()), covered


def test_names_that_only_the_weights_use_are_kept() -> None:
    def fitted() -> lmm.LmmFit:
        import numpy as lib

        power = 1.0
        assert lib.sqrt(power)
        return lmm.lmer("y ~ x + (1 | g)", GRID, weights="lib.sqrt(w) ** power")

    found = fitted().predict(GRID, interval="prediction")
    rooted = lmm.lmer("y ~ x + (1 | g)", GRID.assign(w=np.sqrt(GRID["w"])), weights="w")
    np.testing.assert_allclose(found, rooted.predict(interval="prediction"), rtol=1e-8)
    assert pickle.loads(pickle.dumps(fitted())).predict(GRID, interval="prediction").equals(found)
