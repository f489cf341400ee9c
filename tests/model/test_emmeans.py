"""Marginal means by brute force: averages of predictions over every combination of the predictors."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats

import lmmpy as lmm
from lmmpy.inference.multiplicity import ADJUSTMENTS, Family, adjusted_p, critical_values
from lmmpy.inference.studentized_range import range_ppf, range_sf
from lmmpy.model.emmeans import emmeans


def unbalanced(seed=3, n=90):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "f": rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]),
            "h": rng.choice(["u", "v"], n, p=[0.7, 0.3]),
            "l": rng.random(n) < 0.4,
            "z": rng.integers(0, 2, n),
            "x": rng.gamma(3, 1, n),
            "off": rng.normal(size=n),
            "g": np.tile(np.arange(9), n // 9),
        }
    )
    slope = frame["f"].map({"a": 0.2, "b": 1.0, "c": -0.4})
    noise = rng.normal(size=n)
    frame["y"] = slope * frame["x"] + (frame["h"] == "v") + rng.normal(size=9)[frame["g"]] + noise
    return frame


FORMULA = "y ~ f * poly(x, 2) + h * l + factor(z) + log(x) + (1 | g)"


@pytest.fixture(scope="module")
def frame():
    return unbalanced()


@pytest.fixture(scope="module")
def fit(frame):
    return lmm.lmer(FORMULA, frame)


@pytest.fixture(scope="module")
def oats():
    return lmm.lmer("yield ~ factor(nitro) * Variety + (1 | Block/Variety)", lmm.datasets.load("Oats"))


@pytest.fixture(scope="module")
def holed():
    frame = unbalanced(n=180).query("not (f == 'c' and h == 'v')")
    with pytest.warns(lmm.RankDeficiencyWarning):
        return lmm.lmer("y ~ f * h + x + (1 | g)", frame)


def predicted(fit, **values):
    return fit.predict({name: np.atleast_1d(value) for name, value in values.items()}, re_form="none").iloc[0]


# ---- means


@pytest.mark.parametrize("weights", ["equal", "proportional", "outer", "cells"])
def test_means_are_averages_of_predictions(fit, frame, weights):
    x = frame["x"].mean()
    expected = []
    for f in "abc":
        cells = list(itertools.product("uv", [False, True], [0, 1]))
        values = [predicted(fit, f=f, h=h, l=k, z=z, x=x) for h, k, z in cells]
        within = frame[frame["f"] == f] if weights == "cells" else frame
        share = {
            "equal": [1.0 for _ in cells],
            "outer": [(frame["h"] == h).sum() * (frame["l"] == k).sum() * (frame["z"] == z).sum() for h, k, z in cells],
        }.get(weights) or [((within["h"] == h) & (within["l"] == k) & (within["z"] == z)).sum() for h, k, z in cells]
        expected.append(np.average(values, weights=share))
    np.testing.assert_allclose(emmeans(fit, "f", weights=weights).estimate, expected, rtol=1e-10)


def test_covariates_stand_where_they_are_told_to(fit):
    found = emmeans(fit, "~ x | h", at={"x": [1.0, 4.0], "z": 1, "l": True, "f": ["c", "a"]}).to_frame()
    expected = [np.mean([predicted(fit, f=f, h=h, l=True, z=1, x=x) for f in "ca"]) for h in "uv" for x in (1.0, 4.0)]
    assert list(found["x"]) == [1.0, 4.0, 1.0, 4.0]
    assert list(found["h"]) == ["u", "u", "v", "v"]
    np.testing.assert_allclose(found["emmean"], expected, rtol=1e-10)


def test_levels_come_in_the_order_that_was_asked_for(fit):
    forwards, turned = (emmeans(fit, "f", at={"f": levels}) for levels in (["a", "c"], ["c", "a"]))
    assert list(turned.to_frame()["f"]) == ["c", "a"]
    np.testing.assert_allclose(turned.estimate, forwards.estimate[::-1], rtol=1e-12)


def test_standard_errors_are_those_of_the_linear_function(fit):
    means = emmeans(fit, "f", ddf="asymptotic")
    L = means.linfct.to_numpy()
    assert list(means.linfct.columns) == list(fit.fixef.index)
    np.testing.assert_allclose(L @ fit.fixef, means.estimate, rtol=1e-10)
    np.testing.assert_allclose(means.vcov, L @ fit.vcov() @ L.T, rtol=1e-10)
    np.testing.assert_allclose(means.std_error, np.sqrt(np.diag(L @ fit.vcov() @ L.T)), rtol=1e-10)


@given(st.sampled_from(["sum", "helmert", "SAS", "poly"]), st.permutations(["a", "b", "c"]))
@settings(max_examples=6, deadline=None)
def test_coding_and_order_of_levels_do_not_matter(fit, frame, contrasts, order):
    other = lmm.lmer(FORMULA, frame.assign(f=pd.Categorical(frame["f"], categories=order)), contrasts=contrasts)
    first, second = emmeans(fit, "~ f | l").to_frame(), emmeans(other, "~ f | l").to_frame()
    joined = first.merge(second.assign(f=second["f"].astype(str)), on=["f", "l"], suffixes=("", "_other"))
    assert len(joined) == 6
    for column in ("emmean", "SE", "df", "lower.CL"):
        np.testing.assert_allclose(joined[column], joined[f"{column}_other"], rtol=1e-5)


def test_an_offset_is_evaluated_over_the_grid_and_an_argument_at_its_mean(frame):
    """R's emmeans shows the value of `at` for an offset's variable, but keeps the offset at its mean."""
    inside = lmm.lmer("y ~ f + offset(2 * off) + (1 | g)", frame)
    found = emmeans(inside, "f", at={"off": 3.0}).estimate
    np.testing.assert_allclose(found, [predicted(inside, f=f, off=3.0) for f in "abc"], rtol=1e-10)
    at_mean = emmeans(inside, "f").estimate
    np.testing.assert_allclose(at_mean, [predicted(inside, f=f, off=frame["off"].mean()) for f in "abc"], rtol=1e-10)
    outside = lmm.lmer("y ~ f + (1 | g)", frame, offset=(2 * frame["off"]).to_numpy())
    np.testing.assert_allclose(emmeans(outside, "f").estimate, at_mean, rtol=1e-8)
    assert "offset is included" in str(emmeans(outside, "f"))


def test_the_overall_mean_and_a_model_without_predictors(fit, frame):
    found = emmeans(fit, "~ 1").to_frame()
    assert found["1"].tolist() == ["overall"]
    assert found["emmean"][0] == pytest.approx(emmeans(fit, "f").estimate.mean())
    alone = lmm.lmer("y ~ 1 + (1 | g)", frame)
    assert emmeans(alone, "~ 1").estimate == pytest.approx(alone.fixef.to_numpy())


def test_missing_rows_do_not_count(frame):
    gaps = frame.astype({"x": float})
    gaps.loc[::7, "x"] = np.nan
    left = gaps.dropna()
    for options in ({}, {"weights": "cells"}):
        a, b = (emmeans(lmm.lmer("y ~ f * x + h + (1 | g)", d), "f", **options) for d in (gaps, left))
        np.testing.assert_allclose(a.estimate, b.estimate, rtol=1e-9)


def test_variables_of_the_scope_and_other_frames(frame):
    polars = pytest.importorskip("polars")
    treated = np.where(frame["x"] > 2, "yes", "no")
    expected = emmeans(lmm.lmer("y ~ w + l + (1 | g)", frame.assign(w=treated)), "w").estimate
    found = emmeans(lmm.lmer("y ~ treated + l + (1 | g)", frame), "treated").estimate
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    table = polars.DataFrame({name: frame[name].to_list() for name in frame}).with_columns(w=polars.Series(treated))
    np.testing.assert_allclose(emmeans(lmm.lmer("y ~ w + l + (1 | g)", table), "w").estimate, expected, rtol=1e-9)
    code = lmm.lmer("y ~ f + {np.log(x)} + (1 | g)", frame)
    assert emmeans(code, "x", at={"x": [1, 2]}).pairs().estimate[0] == pytest.approx(code.fixef.iloc[-1] * np.log(0.5))


# ---- what cannot be estimated


def test_empty_cells_are_not_estimable(holed):
    """Against the naive test: is the row orthogonal to the null space of the whole model matrix?"""
    rng = np.random.default_rng(1)
    means = emmeans(holed, "~ f * h")
    data = holed.frame()
    whole = holed.blueprint.fixed_matrix(holed.blueprint.evaluator(data)).X
    null = linalg.null_space(whole)
    assert null.shape[1] == 1
    L = np.vstack([means.L, means.pairs().L, rng.normal(size=(5, 6)) @ means.L, rng.normal(size=(5, 5)) @ means.L[:5]])
    naive = np.abs(L @ null).max(axis=1) < 1e-9
    np.testing.assert_array_equal(means.basis.estimability.estimable(L), naive)
    assert list(np.isnan(means.estimate)) == [False] * 5 + [True]
    assert "nonEst" in str(means)
    assert list(np.isnan(emmeans(holed, "f").estimate)) == [False, False, True]
    assert not np.isnan(emmeans(holed, "f", weights="cells").estimate).any()
    assert np.isnan(means.vcov.to_numpy()[5]).all()


def test_which_column_was_dropped_does_not_matter(holed):
    data = holed.frame()
    turned = data.assign(
        f=pd.Categorical(data["f"], categories=["c", "b", "a"]), h=pd.Categorical(data["h"], ["v", "u"])
    )
    with pytest.warns(lmm.RankDeficiencyWarning):
        other = lmm.lmer("y ~ f * h + x + (1 | g)", turned)
    a, b = (emmeans(m, "~ f * h").to_frame().astype({"f": str, "h": str}) for m in (holed, other))
    joined = a.merge(b, on=["f", "h"])
    assert len(joined) == 6
    np.testing.assert_allclose(joined["emmean_x"], joined["emmean_y"], rtol=1e-6)
    np.testing.assert_allclose(joined["df_x"], joined["df_y"], rtol=1e-4)


def test_a_contrast_of_means_that_are_not_estimable_may_be(frame):
    """Two copies of one column: neither mean is determined, their difference within the other factor is."""
    doubled = frame.assign(h2=frame["h"].map({"u": "p", "v": "q"}))
    with pytest.warns(lmm.RankDeficiencyWarning):
        fit = lmm.lmer("y ~ f + h + h2 + (1 | g)", doubled)
    means = emmeans(fit, "~ f | h2", at={"h": "u"})
    assert list(np.isnan(means.estimate)) == [False] * 3 + [True] * 3
    differences = means.pairs()
    assert not np.isnan(differences.estimate).any()
    np.testing.assert_allclose(differences.estimate[:3], differences.estimate[3:], rtol=1e-8)


def test_an_empty_cell_has_no_weighted_mean():
    data = unbalanced(n=180).query("not (f == 'c' and h == 'v')")
    additive = lmm.lmer("y ~ f + h + l + (1 | g)", data)
    cells = emmeans(additive, "~ f * h", weights="cells")
    assert list(np.isnan(cells.estimate)) == [False] * 5 + [True]
    assert not np.isnan(emmeans(additive, "~ f * h").estimate).any()
    assert np.isnan(cells.pairs().to_frame().set_index("contrast").loc["b v - c v", "estimate"])


# ---- several at once


def test_the_studentized_range():
    """Two means are Student's t; more are scipy's slower integral."""
    q = np.array([0.01, 0.5, 2.0, 4.0, 8.0, 12.0, 30.0])
    for df in (0.8, 1.0, 3.0, 10.0, 50.0):
        np.testing.assert_allclose(range_sf(q, 2, df), 2 * stats.t.sf(q / np.sqrt(2), df), rtol=1e-11)
    np.testing.assert_allclose(range_sf(q[:6], 2, np.inf), 2 * stats.norm.sf(q[:6] / np.sqrt(2)), rtol=1e-12)
    for k, df in ((3, 1.0), (5, 7.3), (20, 30.0)):
        np.testing.assert_allclose(range_sf(q[:4], k, df), stats.studentized_range.sf(q[:4], k, df), rtol=1e-7)
    for df in (1.0, 5.5, 200.0, np.inf):
        assert range_sf(np.array([range_ppf(0.95, 4, df)]), 4, df)[0] == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("method", [m for m in ADJUSTMENTS if m not in ("holm", "hochberg", "fdr")])
@pytest.mark.parametrize("df", [9.5, np.inf])
def test_intervals_and_tests_agree(method, df):
    """An estimate at the critical value has an adjusted p-value of one minus the level."""
    K = np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1]]) / np.sqrt(2)
    family = Family(3, True, 2, K @ K.T)
    dfs = np.full(3, df)
    width = critical_values(0.9, dfs, method, family)
    np.testing.assert_allclose(adjusted_p(width, dfs, method, family), 0.1, rtol=1e-6)


def test_the_multivariate_t_is_tukeys_for_balanced_means():
    K = np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1]]) / np.sqrt(2)
    family, t, df = Family(3, True, 2, K @ K.T), np.array([0.5, 2.0, -3.0]), np.full(3, 12.0)
    exact = adjusted_p(t, df, "tukey", family)
    np.testing.assert_allclose(adjusted_p(t, df, "mvt", family), exact, rtol=1e-3)
    dunnett = Family(2, False, 2, np.array([[1.0, 0.5], [0.5, 1.0]]))
    approximate = adjusted_p(t[:2], df[:2], "dunnettx", dunnett)
    np.testing.assert_allclose(adjusted_p(t[:2], df[:2], "mvt", dunnett), approximate, atol=0.01)


def test_stepwise_adjustments_by_their_definition():
    rng = np.random.default_rng(5)
    t, m = rng.normal(0, 2, 7), 7
    family, df = Family(m, False, m, np.eye(m)), np.full(m, np.inf)
    p = 2 * stats.norm.sf(np.abs(t))
    ordered = np.sort(p)
    for i in range(m):
        at_most, from_here = ordered[ordered <= p[i]], ordered[ordered >= p[i]]
        holm = max((m - j) * v for j, v in enumerate(at_most))
        hochberg = min((len(from_here) - j) * v for j, v in enumerate(from_here))
        fdr = min(m / (m - len(from_here) + j + 1) * v for j, v in enumerate(from_here))
        for method, value in (("holm", holm), ("hochberg", hochberg), ("fdr", fdr)):
            assert adjusted_p(t, df, method, family)[i] == pytest.approx(min(1, value), rel=1e-12)


def test_adjustments_are_made_within_groups(fit):
    together, apart = emmeans(fit, "~ f | h").pairs("bonferroni"), emmeans(fit, "~ f | h").pairs("none")
    np.testing.assert_allclose(together.statistics()[1], np.minimum(1, 3 * apart.statistics()[1]))
    assert len(together) == 6
    across = emmeans(fit, "~ f | h").pairs(by=None)
    assert len(across) == 15
    assert across.effective_adjust() == "tukey"
    only = emmeans(fit, "h").pairs("bonferroni")
    assert only.effective_adjust() == "none"


def test_tukey_is_for_all_pairs_only(fit):
    means = emmeans(fit, "f").confint(adjust="tukey")
    np.testing.assert_allclose(means.limits(), emmeans(fit, "f").confint(adjust="sidak").limits())
    assert "Sidak's is made instead" in str(means)


def test_joint_tests_are_those_of_the_fit(fit):
    means = emmeans(fit, "~ f | h", ddf="satterthwaite")
    found = means.pairs().joint_test()
    assert list(found.columns) == ["h", "df1", "df2", "F.ratio", "p.value", "note"]
    direct = fit.contrast_tests("satterthwaite").joint(means.contrast("consec").L[:2])
    assert found["F.ratio"][0] == pytest.approx(direct.statistic, rel=1e-8)
    assert found["df1"][0] == 2
    shifted = means.contrast("consec")
    value = shifted.estimate[0]
    assert emmeans(fit, "h").test(null=emmeans(fit, "h").estimate[0]).statistics()[0][0] == pytest.approx(0, abs=1e-9)
    assert shifted.test(null=value).statistics()[1][0] == pytest.approx(1)


# ---- how it looks


def test_print_as_emmeans(oats):
    """The text that emmeans 1.8.4 prints, but for the blanks at the ends of lines and the place of its first note."""
    means = emmeans(oats, "pairwise ~ nitro", ddf="kenward-roger")
    assert (
        str(means)
        == """\
 nitro emmean   SE   df lower.CL upper.CL
   0.0   79.4 7.17 6.79     62.3     96.5
   0.2   98.9 7.17 6.79     81.8    116.0
   0.4  114.2 7.17 6.79     97.2    131.3
   0.6  123.4 7.17 6.79    106.3    140.5

Results are averaged over the levels of: Variety
Degrees-of-freedom method: kenward-roger
Confidence level used: 0.95
NOTE: Results may be misleading due to involvement in interactions

 contrast            estimate   SE df t.ratio p.value
 nitro0 - nitro0.2     -19.50 4.44 45  -4.396  0.0004
 nitro0 - nitro0.4     -34.83 4.44 45  -7.853  <.0001
 nitro0 - nitro0.6     -44.00 4.44 45  -9.919  <.0001
 nitro0.2 - nitro0.4   -15.33 4.44 45  -3.457  0.0064
 nitro0.2 - nitro0.6   -24.50 4.44 45  -5.523  <.0001
 nitro0.4 - nitro0.6    -9.17 4.44 45  -2.067  0.1797

Results are averaged over the levels of: Variety
Degrees-of-freedom method: kenward-roger
P value adjustment: tukey method for comparing a family of 4 estimates"""
    )
    assert str(means.contrasts.contrast({"first": [1, 0, 0, 0, 0, 0]})).splitlines()[0].startswith(" contrast estimate")


def test_groups_and_digits(fit, frame):
    text = str(emmeans(fit, "~ f | l", infer=True))
    assert text.startswith("l = FALSE:\n f emmean")
    assert "\n\nl = TRUE:\n f emmean" in text
    assert "t.ratio" in text
    assert "Numbers with two values" not in text  # factor(z) says so itself
    far = lmm.lmer("y ~ f + z + (1 | g)", frame.assign(y=frame["y"] / 1000 + 12345))
    assert "12345.00" in str(emmeans(far, "f"))
    assert "Numbers with two values count as factors: z (0 and 1)" in str(emmeans(far, "f"))
    assert "asymp.LCL" in str(emmeans(fit, "f", ddf="asymptotic"))


def test_html_has_the_same_cells(fit):
    html = emmeans(fit, "pairwise ~ f | h")._repr_html_()
    assert html.count("<table>") == 4
    assert "<caption>h = u</caption>" in html
    assert "<td>a - b</td>" in html


def test_names_of_contrasts(fit):
    means = emmeans(fit, "~ f | h")
    assert list(means.contrast("eff").to_frame()["contrast"][:3]) == ["a effect", "b effect", "c effect"]
    assert means.pairs().pairs().to_frame()["contrast"][0] == "(a - b) - (a - c)"
    assert emmeans(fit, "z").pairs().to_frame()["contrast"].tolist() == ["z0 - z1"]
    assert emmeans(fit, "x", at={"x": [1.5, 2]}).pairs().levels["contrast"].tolist() == ["x1.5 - x2"]
    assert list(means.contrast("trt.vs.ctrl", ref="c").to_frame()["contrast"][:2]) == ["a - c", "b - c"]
    assert list(emmeans(fit, "~ f | h").contrast("consec", by="f").to_frame().columns[:2]) == ["contrast", "f"]


# ---- what is refused


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (dict(specs="q"), lmm.ModelError, "'q' is no predictor.*'f', 'x', 'h', 'l', 'z'"),
        (dict(specs="g"), lmm.ModelError, "'g' is only in the random part"),
        (dict(specs="f", by="f"), lmm.ModelError, "'f' is named more than once"),
        (dict(specs="~ f | h", by="l"), lmm.ModelError, "already has a bar"),
        (dict(specs="pairwise ~ f", contrast="eff"), lmm.ModelError, "already names a contrast"),
        (dict(specs="f", at={"f": ["a", "q"]}), lmm.DataError, "'f' has no level 'q'.*'a', 'b', 'c'"),
        (dict(specs="f", at={"z": 2}), lmm.DataError, "'z' has no level '2'"),
        (dict(specs="f", at={"x": "much"}), lmm.DataError, "'x' is a number, and 'much' is not"),
        (dict(specs="f", at={"x": []}), lmm.DataError, "no value for 'x'"),
        (dict(specs="f", at={"x": -1}), lmm.DataError, "not defined at.*x = -1"),
        (dict(specs="f", at={"g": 1}), lmm.ModelError, "at names 'g'"),
        (dict(specs="f", at={"x": np.linspace(1, 2, 9000)}), lmm.ModelError, "216000 rows.*'x' has 9000"),
        (dict(specs="f", weights="flat"), lmm.ModelError, "weights is one of"),
        (dict(specs="f", contrast="pairs"), lmm.ModelError, "'pairs' is unknown.*'pairwise'"),
        (dict(specs="f", contrast={"one": [1, -1]}), lmm.ModelError, "must have 3 finite coefficients"),
        (dict(specs="f", adjust="tuckey"), lmm.ModelError, "adjust is one of"),
        (dict(specs="f", ddf="wald"), lmm.ModelError, "ddf is one of"),
        (dict(specs="f", level=95), lmm.ModelError, "level must be a number between 0 and 1.*Did you mean 0.95"),
        (dict(specs="f", at={"f": "a"}, contrast="pairwise"), lmm.ModelError, "at least two means"),
    ],
)
def test_errors(fit, call, error, said):
    with pytest.raises(error, match=said):
        emmeans(fit, **call)


def test_errors_of_contrasts(fit):
    means = emmeans(fit, "~ f | h")
    with pytest.raises(lmm.ModelError, match="ref='q' is not one of the means 'a', 'b', 'c'"):
        means.contrast("trt.vs.ctrl", ref="q")
    with pytest.raises(lmm.ModelError, match="meaning for contrasts with a control"):
        means.contrast("pairwise", ref="a")
    with pytest.raises(lmm.ModelError, match="by names 'l'"):
        means.pairs(by="l")
    with pytest.raises(lmm.ModelError, match="nothing is left"):
        means.pairs(by=["f", "h"])
    with pytest.raises(lmm.ModelError, match="wants a fit"):
        emmeans("fit", "f")
