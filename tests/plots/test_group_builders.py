"""The numbers of the plots of random effects and groups, against their definitions written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.plots import caterpillar_frame, groups_frame, qq_frame, qq_ranef_frame, shrinkage_frame
from lmmpy.plots.group_builders import default_x, one_term, spread_levels
from tests.model.made import fit as made
from tests.plots.pictures import fit

# ---- conditional modes


@pytest.mark.parametrize(("name", "level"), [("sleepstudy", 0.95), ("pastes", 0.5), ("split", 0.95)])
def test_caterpillar(name, level):
    model, z = fit(name), stats.norm.ppf(0.5 + level / 2)
    frame, modes = caterpillar_frame(model, level=level), model.ranef(cond_var=True)
    assert list(frame["term"].unique()) == list(modes)
    for (term, effect), part in frame.groupby(["term", "effect"]):
        a = list(modes[term].columns).index(effect)
        sd = np.sqrt(modes.cond_var[term][:, a, a])
        assert list(part["level"]) == list(modes[term].index)
        np.testing.assert_array_equal(part["estimate"], modes[term][effect])
        np.testing.assert_allclose(part["std_error"], sd, rtol=1e-12)
        np.testing.assert_allclose(part["conf_low"], modes[term][effect] - z * sd, rtol=1e-12)
        np.testing.assert_allclose(part["conf_high"], modes[term][effect] + z * sd, rtol=1e-12)
    assert frame["varies"].all()


def test_one_term_and_one_effect():
    frame = caterpillar_frame(made("three"), "g", "x")
    assert set(frame["term"]) == {"g"}
    assert set(frame["effect"]) == {"x"}
    assert set(caterpillar_frame(made("crossed"), effect="(Intercept)")["term"]) == {"g", "h"}


@pytest.mark.parametrize("build", [caterpillar_frame, qq_ranef_frame])
def test_terms_and_effects_that_do_not_exist(build):
    with pytest.raises(lmm.ModelError, match="no random term 'Nobody'; it has 'Subject'"):
        build(fit("sleepstudy"), "Nobody")
    with pytest.raises(lmm.ModelError, match=r"'Subject' has no effect 'Weeks'; it has '\(Intercept\)', 'Days'"):
        build(fit("sleepstudy"), "Subject", "Weeks")
    with pytest.raises(lmm.ModelError, match="No random term has an effect 'Weeks'; there are"):
        build(fit("sleepstudy"), effect="Weeks")


@pytest.mark.parametrize("name", ["sleepstudy", "penicillin"])
def test_quantiles_of_effects(name):
    model, modes = fit(name), fit(name).ranef(cond_var=True)
    for (term, effect), part in qq_ranef_frame(model, level=0.9).groupby(["term", "effect"]):
        a = list(modes[term].columns).index(effect)
        spread = model.varcorr[term].iloc[a, a] - modes.cond_var[term][:, a, a]
        expected = qq_frame(modes[term][effect] / np.sqrt(spread), 0.9)
        assert list(part["level"]) == list(expected.index)
        np.testing.assert_allclose(part[expected.columns], expected, rtol=1e-12, atol=1e-14)


def test_a_variance_of_zero():
    frame = caterpillar_frame(fit("singular"))
    assert not frame["varies"].any()
    np.testing.assert_array_equal(frame[["estimate", "std_error"]], 0.0)
    frame = qq_ranef_frame(fit("singular"))
    assert not frame["varies"].any()
    assert len(frame) == 6
    assert frame["sample"].isna().all()
    frame = shrinkage_frame(fit("singular"))
    assert not frame["varies"].any()
    np.testing.assert_array_equal(frame["pooled"], frame["population"])
    np.testing.assert_allclose(
        frame["unpooled"], lmm.datasets.load("Dyestuff2").groupby("Batch", observed=False)["Yield"].mean()
    )
    assert shrinkage_frame(fit("sleepstudy"))["varies"].all()


# ---- shrinkage


def test_unpooled_lines_are_regressions_within_groups():
    for name in ("sleepstudy", "split"):
        data, frame = lmm.datasets.load("sleepstudy"), shrinkage_frame(fit(name))
        table = frame.pivot(index="level", columns="effect", values="unpooled")
        for subject, rows in data.groupby("Subject", observed=True):
            X = np.column_stack([np.ones(len(rows)), rows["Days"]])
            expected = np.linalg.lstsq(X, rows["Reaction"], rcond=None)[0]
            np.testing.assert_allclose(table.loc[str(subject), ["(Intercept)", "Days"]].tolist(), expected, rtol=1e-8)
        np.testing.assert_allclose(frame["pooled"], fit(name).coef()["Subject"].to_numpy().ravel(), rtol=1e-12)
        np.testing.assert_allclose(frame["population"], np.tile(fit(name).fixef, 18), rtol=1e-12)


def test_unpooled_lines_given_the_rest_of_the_model():
    """With weights, another predictor and a crossed factor: brute force, group by group."""
    model = made("crossed")
    design, modes = model.design, model.ranef()
    g, h = design.random
    other = np.array([modes[h.name].iloc[code, 0] for code in h.codes])
    residual = design.y - design.X @ model.fixef.to_numpy() - other
    frame = shrinkage_frame(model, g.name)
    assert len(frame) == 2 * g.n_levels
    for i, level in enumerate(g.levels):
        rows = g.codes == i
        W, Z = np.diag(design.weights[rows]), g.values[rows]
        expected = model.fixef[["(Intercept)", "x"]] + np.linalg.solve(Z.T @ W @ Z, Z.T @ W @ residual[rows])
        np.testing.assert_allclose(frame.loc[frame["level"] == level, "unpooled"], expected, rtol=1e-7)


def test_an_offset_is_part_of_the_rest():
    model = made("offset")
    frame, term = shrinkage_frame(model), model.design.random[0]
    residual = model.design.y - model.design.offset - model.design.X @ model.fixef.to_numpy()
    w = model.design.weights
    mean = np.bincount(term.codes, w * residual) / np.bincount(term.codes, w)
    np.testing.assert_allclose(frame["unpooled"], model.fixef["(Intercept)"] + mean, rtol=1e-9)


def test_groups_with_too_few_rows_have_no_line_of_their_own():
    data = lmm.datasets.load("sleepstudy")
    data = data[(data["Subject"] != "308") | (data["Days"] == 3)]
    frame = shrinkage_frame(lmm.lmer("Reaction ~ Days + (Days | Subject)", data))
    alone = frame["level"] == "308"
    assert frame.loc[alone, "unpooled"].isna().all()
    assert frame.loc[~alone, "unpooled"].notna().all()
    assert frame["pooled"].notna().all()


def test_an_effect_that_is_not_fixed_is_about_zero():
    frame = shrinkage_frame(lmm.lmer("Reaction ~ 1 + (Days | Subject)", lmm.datasets.load("sleepstudy")))
    assert frame.loc[frame["effect"] == "Days", "population"].eq(0.0).all()


# ---- groups


def test_groups():
    model, data = fit("sleepstudy"), lmm.datasets.load("sleepstudy")
    frame = groups_frame(model)
    assert list(frame.columns) == ["level", "x", "response", "fitted", "population"]
    expected = data.assign(fitted=model.fitted(), population=model.predict(re_form="none"))
    expected = expected.sort_values(["Subject", "Days"])
    np.testing.assert_array_equal(frame["level"].astype(str), expected["Subject"].astype(str))
    np.testing.assert_array_equal(
        frame[["x", "response", "fitted", "population"]], expected[["Days", "Reaction", "fitted", "population"]]
    )


def test_groups_of_rows_that_were_used():
    data = lmm.datasets.load("sleepstudy")
    data.loc[[3, 50, 51], "Reaction"] = np.nan
    fits = [
        lmm.lmer("Reaction ~ Days + (Days | Subject)", data, subset="Days < 8", na_action=action)
        for action in ("exclude", "omit")
    ]
    frames = [groups_frame(model, levels=["337", "308"]) for model in fits]
    pd.testing.assert_frame_equal(*frames)
    assert len(frames[0]) == 15
    assert list(frames[0]["level"].unique()) == ["337", "308"]


def test_the_predictor_of_a_group():
    for name, expected in {"sleepstudy": "Days", "machines": "Machine", "cake": "recipe"}.items():
        assert default_x(fit(name), one_term(fit(name), None)) == expected
    poly = lmm.lmer("Reaction ~ poly(Days, 2) + (1 | Subject)", lmm.datasets.load("sleepstudy"))
    assert default_x(poly, one_term(poly, None)) == "Days"
    with pytest.raises(lmm.ModelError, match="Give x=, a column of the data: 'diameter', 'plate', 'sample'"):
        groups_frame(fit("penicillin"))
    assert isinstance(groups_frame(fit("penicillin"), "sample")["x"].dtype, pd.CategoricalDtype)


def test_columns_and_levels_that_do_not_exist():
    with pytest.raises(lmm.DataError, match="no column 'Weeks' to draw groups over; they have 'Reaction', 'Days'"):
        groups_frame(fit("sleepstudy"), "Weeks")
    with pytest.raises(lmm.ModelError, match="Subject has no level '1'; it has '308'"):
        groups_frame(fit("sleepstudy"), levels=["308", "1"])
    data = lmm.datasets.load("sleepstudy").assign(age=30.0)
    data.loc[7, "age"] = np.nan
    model = lmm.lmer("Reaction ~ Days + (Days | Subject)", data)
    with pytest.raises(lmm.DataError, match=r"'age' is missing in 1 rows of the fit \(7\)"):
        groups_frame(model, "age")


def test_some_of_many_levels():
    model = fit("sleepstudy")
    term, modes = model.design.random[0], model.ranef()["Subject"]["(Intercept)"]
    chosen = spread_levels(model, term, 3)
    assert chosen == [level for level in term.levels if level in chosen]
    assert {modes.idxmin(), modes.idxmax()} < set(chosen)
    assert spread_levels(model, term, 18) == spread_levels(model, term, 100) == list(term.levels)
    assert len(spread_levels(model, term, 1)) == 1
    for wrong in (0, 2.5, True):
        with pytest.raises(lmm.ModelError, match="n must be a positive number of groups"):
            spread_levels(model, term, wrong)
