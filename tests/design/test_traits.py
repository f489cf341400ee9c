"""Designs of several traits against ones stacked by hand: order of rows, columns, names, what is missing."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.design import build_design
from lmmpy.design.traits import combined_terms
from lmmpy.errors import DataError, FormulaError, MissingValuesWarning, ModelError

N = 48


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(N)],
            "g": rng.integers(0, 7, N).astype(str),
            "h": rng.integers(0, 9, N).astype(str),
            "x": rng.normal(size=N),
            "z": rng.normal(size=N),
            "f": np.resize(list("abc"), N),
            "w": rng.uniform(0.5, 2.0, N),
        }
    )
    g, h, slope = (rng.normal(size=m) for m in (7, 9, 7))
    of_g, of_h = frame.g.astype(int), frame.h.astype(int)
    frame["a"] = 0.4 * rng.normal(size=N) + frame.x * (1 + slope[of_g]) + 2 * g[of_g] + h[of_h]
    frame["b"] = 20 * rng.normal(size=N) + 30 * rng.normal(size=7)[of_g] * (1 + frame.x) + 30 * rng.normal(size=9)[of_h]
    frame.loc[[3, 10, 11], "a"] = np.nan
    frame.loc[[5, 10, 20], "b"] = np.nan
    frame.index = [f"row{i}" for i in range(N)]
    return frame


def stacked(wide):
    """Rows of the data by row, in them traits, without what is missing."""
    long = pd.concat([wide.assign(trait=t, y=wide[t], row=np.arange(N)) for t in "ab"])
    long["place"] = long["row"] * 2 + (long["trait"] == "b")
    return long.sort_values("place").dropna(subset="y").reset_index(drop=True)


def test_rows_and_traits(wide):
    design, _ = build_design("cbind(a, b) ~ x", wide)
    long = stacked(wide)
    used = np.flatnonzero(design.rows)
    np.testing.assert_array_equal(design.y, long["y"])
    np.testing.assert_array_equal(used[design.traits.row], long["row"])
    np.testing.assert_array_equal(np.array(design.traits.names)[design.traits.trait], long["trait"])
    assert design.rows.sum() == N - 1 and not design.rows[10]
    assert design.left_out.sum() == 1 and design.left_out[10]
    assert design.weights is None and design.offset is None


def test_as_stacked_by_hand(wide):
    """Other parametrisation, same columns: the fits agree in everything."""
    long = stacked(wide)
    fit = lmm.lmer("cbind(a, b) ~ x + f + diag(x | g) + (1 | h)", wide, weights="w")
    other = lmm.lmer(
        "y ~ 0 + trait + trait:x + trait:f + diag(0 + trait + trait:x | g) + (0 + trait | h)",
        long,
        weights="w",
        residual="us(0 + trait | row)",
    )
    design, by_hand = fit.design, other.design
    assert design.names == tuple(f"{t}:{c}" for t in "ab" for c in ("(Intercept)", "x", "fb", "fc"))
    twins = ["traita", "traita:x", "traita:fb", "traita:fc", "traitb", "traitb:x", "traitb:fb", "traitb:fc"]
    np.testing.assert_array_equal(design.X, by_hand.X[:, [by_hand.names.index(name) for name in twins]])
    np.testing.assert_array_equal(design.weights, by_hand.weights)
    for term, twin in zip(sorted(design.random, key=str), sorted(by_hand.random, key=str), strict=True):
        assert term.levels == twin.levels
        np.testing.assert_array_equal(term.codes, twin.codes)
    g = next(term for term in design.random if term.group == "g")
    h = next(term for term in design.random if term.group == "h")
    assert g.columns == ("a:(Intercept)", "a:x", "b:(Intercept)", "b:x") and h.columns == ("a", "b")
    at = by_hand.random[[t.group for t in by_hand.random].index("g")]
    order = [at.columns.index(name) for name in ("traita", "traita:x", "traitb", "traitb:x")]
    np.testing.assert_array_equal(g.values, at.values[:, order])
    np.testing.assert_allclose(fit.loglik, other.loglik, rtol=1e-9)
    np.testing.assert_allclose(fit.fixef, [other.fixef[name] for name in twins], rtol=1e-5)
    np.testing.assert_allclose(fit.varcorr["Residual"], other.varcorr["Residual"], rtol=1e-4)


def test_residual_over_traits_by_default(wide):
    design, blueprint = build_design("cbind(a, b) ~ x + (1 | g)", wide)
    residual = design.residual
    assert blueprint.residual.text == "us"
    np.testing.assert_array_equal(residual.groups, design.traits.row)
    np.testing.assert_array_equal(residual.structure.places, design.traits.trait)
    assert residual.structure.labels == ("a", "b")
    sd = []
    for t in "ab":
        rows = wide.dropna(subset=t)
        X = np.column_stack([np.ones(len(rows)), rows.x])
        sd.append(np.sqrt(np.mean((rows[t] - X @ np.linalg.lstsq(X, rows[t], rcond=None)[0]) ** 2)))
    np.testing.assert_allclose(residual.structure.sizes, [1.0, sd[1] / sd[0]])
    np.testing.assert_allclose(residual.typical, residual.structure.sizes[design.traits.trait])


def test_terms_of_one_trait(wide):
    frame = wide.copy()
    frame.loc[["row1", "row2"], "z"] = np.nan
    frame.loc["row4", "h"] = None
    design, blueprint = build_design("cbind(a, b) ~ x + at(a, z + f) + (1 | g) + at(a, (1 | h))", frame)
    assert design.names == ("a:(Intercept)", "a:x", "a:z", "a:fb", "a:fc", "b:(Intercept)", "b:x")
    assert design.assign == (0, 1, 2, 3, 3, 0, 4)
    assert [(t, term.label) for t, term in combined_terms(blueprint.parsed)] == [
        ("a", "x"), ("a", "z"), ("a", "f"), ("b", "x"),
    ]  # fmt: skip
    used = np.flatnonzero(design.rows)[design.traits.row]
    has_a = set(used[design.traits.trait == 0].tolist())
    # Only the trait that needs z or h is left out where they are missing.
    assert has_a == set(range(N)) - {1, 2, 3, 4, 10, 11}
    assert set(used[design.traits.trait == 1].tolist()) == set(range(N)) - {5, 10, 20}
    (h,) = [term for term in design.random if term.group == "h"]
    assert h.columns == ("a",)
    np.testing.assert_array_equal(h.values[:, 0], design.traits.trait == 0)
    own = design.traits.trait == 0
    assert [h.levels[code] for code in h.codes[own]] == frame["h"].iloc[used[own]].tolist()
    assert set(h.levels) == set(frame["h"].iloc[used[own]])


def test_a_level_that_one_trait_only_has(wide):
    frame = wide.copy()
    frame.loc[frame.index[:4], "h"] = "only"
    frame.loc[frame.index[:4], "a"] = np.nan
    design, _ = build_design("cbind(a, b) ~ x + at(a, (1 | h))", frame)
    (h,) = design.random
    assert "only" not in h.levels and h.recorded.all()
    assert (h.codes >= 0).all()


def test_a_factor_with_a_level_that_one_trait_lacks(wide):
    frame = wide.copy()
    frame.loc[frame.f == "c", "a"] = np.nan
    design, _ = build_design("cbind(a, b) ~ f", frame)
    assert design.names == ("a:(Intercept)", "a:fb", "b:(Intercept)", "b:fb", "b:fc")
    assert design.dropped == ("a:fc",)


def test_dependence_is_judged_by_trait(wide):
    frame = wide.assign(v=wide.x * 2)
    frame.loc["row7", ["v", "a"]] = [9.0, np.nan]  # of b the columns differ, of a they do not
    design, _ = build_design("cbind(a, b) ~ x + v", frame)
    assert design.dropped == ("a:v",)
    assert np.linalg.matrix_rank(design.X) == design.p == 5


def test_levels_of_a_factor_of_one_trait_are_those_that_it_has(wide):
    frame = wide.copy()
    frame.loc[frame.f == "a", "a"] = np.nan
    design, blueprint = build_design("cbind(a, b) ~ x + at(a, f)", frame)
    assert design.names[:3] == ("a:(Intercept)", "a:x", "a:fc")
    assert blueprint.levels["f"].labels == ["b", "c"]


def test_offsets(wide):
    design, _ = build_design("cbind(a, b) ~ x + offset(z) + at(b, offset(w))", wide, offset="2 * x")
    used = np.flatnonzero(design.rows)[design.traits.row]
    shared = wide.z.to_numpy() + 2 * wide.x.to_numpy()
    expected = shared[used] + np.where(design.traits.trait == 1, wide.w.to_numpy()[used], 0.0)
    np.testing.assert_allclose(design.offset, expected)


def test_subset_names_and_expressions(wide):
    design, blueprint = build_design("cbind(la = log(w), b) ~ x + (1 | g)", wide, subset="x > 0")
    assert design.traits.names == ("la", "b")
    assert (design.rows == (wide.x > 0).to_numpy()).all()
    np.testing.assert_allclose(design.y[design.traits.trait == 0], np.log(wide.w[wide.x > 0]))
    assert blueprint.parsed.text == "cbind(la = log(w), b) ~ x + (1 | g)"


def test_structures_are_over_all_columns(wide):
    design, _ = build_design("cbind(a, b) ~ x + diag(1 + x | g) + cs(1 | h)", wide, residual="diag")
    kinds = {term.group: (type(term.structure).__name__, term.structure.k) for term in design.random}
    assert kinds == {"g": ("Diagonal", 4), "h": ("CompoundSymmetry", 2)}
    assert design.residual.structure.names() == ["b"]
    np.testing.assert_array_equal(design.residual.groups, np.arange(design.n))


def test_related_levels(wide):
    K = pd.DataFrame(np.eye(N) + 0.2, index=wide.id, columns=wide.id)
    design, _ = build_design("cbind(a, b) ~ x + kin(id, K) + at(a, (1 | kin(id, K)))", wide, scope={"K": K})
    whole, own = design.random
    assert whole.columns == ("a", "b") and own.columns == ("a",)
    assert whole.relatedness is own.relatedness
    used = np.flatnonzero(design.rows)[design.traits.row]
    assert [whole.levels[code] for code in whole.codes] == wide["id"].iloc[used].tolist()


def test_new_data(wide):
    design, blueprint = build_design("cbind(a, b) ~ x + at(a, f) + (x | g)", wide)
    new = wide[["x", "f", "g"]].iloc[:5]
    found = blueprint.fixed_matrix(blueprint.evaluator(new))
    assert found.names == design.names and found.assign == design.assign and found.X.shape == (10, design.p)
    complete, _ = build_design("cbind(a, b) ~ x + at(a, f) + (x | g)", wide.fillna({"a": 0.0, "b": 0.0}))
    np.testing.assert_array_equal(found.X, complete.X[:10])
    assert blueprint.random_matrix(design.random[0].term, blueprint.evaluator(new)).names == ("(Intercept)", "x")


def test_the_evaluation_of_missing_transforms_is_told(wide):
    with pytest.warns(MissingValuesWarning, match=r"'log\(x\)' is undefined"):
        design, _ = build_design("cbind(a, b) ~ at(a, log(x))", wide)
    assert set(np.unique(design.traits.trait[design.traits.row >= 0])) == {0, 1}
    assert design.rows.sum() > (wide.x > 0).sum()


def test_na_fail(wide):
    with pytest.raises(DataError, match="every trait in 1 rows"):
        build_design("cbind(a, b) ~ x", wide, na_action="fail")
    kept = wide.drop("row10")
    design, _ = build_design("cbind(a, b) ~ x", kept, na_action="fail")  # that a trait is missing is no failure
    assert design.n == 2 * (N - 1) - 4
    kept.loc["row2", "z"] = np.nan
    with pytest.raises(DataError, match="'z' in 1 rows"):
        build_design("cbind(a, b) ~ x + at(a, z)", kept, na_action="fail")


@pytest.mark.parametrize(
    ("formula", "options", "kind", "message"),
    [
        ("cbind(a, f) ~ x", {}, DataError, "'f' is a factor or text"),
        ("cbind(a, q) ~ x", {}, DataError, "no column 'q'"),
        ("cbind(a, b) ~ x + trait", {}, FormulaError, "every fixed effect is by trait"),
        ("cbind(a, b) ~ x + (0 + trait | g)", {}, FormulaError, "at(<trait>, x)"),
        ("cbind(a, b) ~ x + exp(z | g)", {}, ModelError, "several traits at once"),
        ("cbind(a, b) ~ x + (1 | q)", {}, DataError, "no column 'q'"),
        ("cbind(a, b / 0) ~ x", {}, DataError, "not finite"),
        ("cbind(a, b) ~ x", {"residual": "us(0 + q | row)"}, DataError, "no column 'q'"),
        ("cbind(a, b) ~ x", {"residual": "ar1(trait | row)"}, FormulaError, "'trait'"),
        ("cbind(a, b) ~ x", {"weights": "w - 1"}, DataError, "weights must be positive"),
        ("cbind(a, b) ~ x", {"contrasts": {"q": "sum"}}, DataError, "names 'q'"),
    ],
)
def test_errors(wide, formula, options, kind, message):
    with pytest.raises(kind) as caught:
        build_design(formula, wide, **options)
    assert message in str(caught.value)


def test_traits_that_are_never_together(wide):
    frame = wide.copy()
    frame.loc[frame.index[: N // 2], "a"] = np.nan
    frame.loc[frame.index[N // 2 :], "b"] = np.nan
    with pytest.raises(ModelError, match=r"no row has both 'a' and 'b'.*residual='diag'"):
        build_design("cbind(a, b) ~ x", frame)
    assert build_design("cbind(a, b) ~ x", frame, residual="diag")[0].residual.structure.names() == ["b"]


def test_a_trait_without_values(wide):
    with pytest.raises(DataError, match="'q' is missing in all rows"):
        build_design("cbind(a, q) ~ x", wide.assign(q=np.nan))
    with pytest.raises(DataError, match="No row that has the trait 'a' has all the values"):
        build_design("cbind(a, b) ~ at(a, q)", wide.assign(q=np.nan))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("cbind(a, b) ~ x + (1 | id)", "as many levels (45) as there are rows that have the trait 'a' (45)"),
        ("cbind(a, b) ~ x + at(b, (1 | id))", "that have the trait 'b'"),
        ("cbind(a, b) ~ x + (x * f | h)", "random effects"),
    ],
)
def test_as_many_effects_as_rows(wide, formula, message):
    with pytest.raises(ModelError) as caught:
        lmm.lmer(formula, wide)
    assert message in str(caught.value)


def test_as_many_fixed_effects_as_rows_of_a_trait(wide):
    frame = wide.copy()
    frame.loc[frame.index[2:], "a"] = np.nan
    with pytest.raises(ModelError, match="2 fixed effects for 2 rows that have the trait 'a'"):
        lmm.lmer("cbind(a, b) ~ x", frame)


def test_lformula(wide):
    found = lmm.lformula("cbind(a, b) ~ x + at(a, f) + (1 | g)", wide, residual="diag")
    assert list(found.X.index.names) == [None, "trait"]
    assert found.X.index[0] == ("row0", "a") and found.X.index[1] == ("row0", "b")
    assert found.X.index[6] == ("row3", "b")
    assert "47 rows, 90 values (a 45, b 45)" in repr(found) and "residual: diag" in repr(found)


def test_other_frames_and_mappings(wide):
    by_mapping = {name: wide[name].to_numpy() for name in wide.columns}
    first, _ = build_design("cbind(a, b) ~ x + f + (1 | g)", wide)
    second, _ = build_design("cbind(a, b) ~ x + f + (1 | g)", by_mapping)
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.y, second.y)
