"""New data are read as the old were: the same rows give the same numbers, alone or in any company."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from lmmpy.design import build_design
from lmmpy.errors import DataError
from tests.design.example import frame

EXPRESSIONS = [
    "x",
    "poly(x, 2)",
    "poly(x, 3, raw = TRUE)",
    "scale(x)",
    "scale(x, scale = FALSE)",
    "center(x)",
    "ns(x, 3)",
    "ns(x, df = 2, intercept = TRUE)",
    "ns(x, knots = c(-0.5, 0.5))",
    "bs(x, 4)",
    "bs(x, degree = 2)",
    "cut(z, 3)",
    "cut(z, c(0, 2, 3, 6))",
    "I(x - mean(x))",
    "I((x - min(x)) / (max(x) - min(x)))",
    "I(x / sd(x))",
    "log(z) * f",
    "poly(log(z), 2):f",
    "I(scale(x)^2)",
    "f",
    "flag",
    "factor(i)",
    "ordered(i)",
    "as.character(i)",
    "interaction(f, flag)",
    "C(f, contr.sum)",
    "C(f, contr.treatment, base = 2)",
    "factor(f, levels = c('r', 'q', 'p'))",
    "paste(f, flag)",
    "I(f == 'p')",
    "I(f %in% c('p', 'q'))",
    "ifelse(x > 0, 'up', 'down')",
    "{np.exp(x)}",
]
# Each is one row, with one level of every factor; then rows out of order and one of them twice.
ROWS = [[14], [9, 2, 17, 2]]


def replayed(formula: str, rows: list[int], **arguments):
    """(original rows, replayed rows) of the fixed part and of the left of the only bar."""
    data = frame()
    design, blueprint = build_design(formula, data, **arguments)
    evaluator = blueprint.evaluator(data.iloc[rows].drop(columns="y"))
    fixed = blueprint.fixed_matrix(evaluator)
    random = blueprint.random_matrix(design.random[0].term, evaluator)
    assert sorted((*design.names, *design.dropped)) == sorted(fixed.names)
    assert random.names == design.random[0].columns
    kept = [fixed.names.index(name) for name in design.names]
    return (design.X[rows], fixed.X[:, kept]), (design.random[0].values[rows], random.X)


@pytest.mark.parametrize("rows", ROWS, ids=["one row", "some rows"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_same_rows_give_the_same_values(expression, rows):
    for original, again in replayed(f"y ~ {expression} + ({expression} | g)", rows):
        np.testing.assert_allclose(again, original, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "expression",
    [
        "as.numeric(factor(f))",
        "as.integer(factor(i))",
        "relevel(f, ref = 'q')",
        "dummy(f, 'q')",
        "dummy(f)",
        "factor(f, labels = c('P', 'Q', 'R'))",
    ],
)
def test_functions_of_levels_remember_them(expression):
    """Row 7 has the last level only, which by itself would be the first."""
    for original, again in replayed(f"y ~ {expression} + ({expression} | g)", [7]):
        np.testing.assert_allclose(again, original, rtol=1e-12)


@pytest.mark.parametrize(
    "contrasts", ["sum", "helmert", ("SAS", "poly"), {"f": "sum"}, {"f": np.array([[1.0], [0], [-1]])}]
)
def test_contrasts_are_kept(contrasts):
    for original, again in replayed("y ~ f * flag + (f | g)", [14], contrasts=contrasts):
        np.testing.assert_array_equal(again, original)


def test_a_design_of_some_rows_is_replayed_on_the_others():
    """Mean, knots and levels are those of the fit, also for rows that it did not use."""
    data = frame()
    _, blueprint = build_design("y ~ scale(x) + f + (1 | g)", data.iloc[:12])
    new = blueprint.fixed_matrix(blueprint.evaluator(data.iloc[12:])).X
    old = data["x"].iloc[:12]
    np.testing.assert_allclose(new[:, 1], (data["x"].iloc[12:] - old.mean()) / old.std(), rtol=1e-12)


def test_splines_go_on_outside_their_knots():
    """ns() by its tangent, and all in line; poly() and bs() by their polynomials."""
    _, blueprint = build_design("y ~ ns(x, 3) + poly(x, 2) + bs(x, 4) + (1 | g)", frame())
    edge = frame()["x"].max()
    X = blueprint.fixed_matrix(blueprint.evaluator({"x": edge + np.array([0.0, 1.0, 2.0, 3.0])})).X
    assert np.isfinite(X).all()
    np.testing.assert_allclose(np.diff(X[:, 1:4], n=2, axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.diff(X[:, 4:6], n=3, axis=0), 0.0, atol=1e-10)


def test_replay_leaves_the_blueprint_as_it_was():
    data = frame()
    _, blueprint = build_design("y ~ poly(x, 2) + mean(z):x + f + (1 | g)", data)
    before = blueprint.fixed_matrix(blueprint.evaluator(data.iloc[:3])).X
    blueprint.fixed_matrix(blueprint.evaluator(data.assign(x=100 * data["x"], z=0.0)))
    np.testing.assert_array_equal(blueprint.fixed_matrix(blueprint.evaluator(data.iloc[:3])).X, before)


def new_fixed(formula: str, new: object, scope: dict | None = None):
    blueprint = build_design(formula, frame(), scope=scope)[1]
    return blueprint.fixed_matrix(blueprint.evaluator(new))


@pytest.mark.parametrize(
    ("formula", "new", "message"),
    [
        ("y ~ f + (1 | g)", {"f": ["p", "s", "t"]}, "'f' has levels.*'s', 't'.*known are 'p', 'q', 'r'"),
        ("y ~ factor(i) + (1 | g)", {"i": [1, 7]}, r"'factor\(i\)' has levels.*'7'"),
        ("y ~ f + (1 | g)", {"f": [1.0, 2.0]}, "'f' was a factor.*holds numbers"),
        ("y ~ x + (1 | g)", {"x": ["a", "b"]}, "'x' was a number.*factor or text"),
        ("y ~ x + (1 | g)", {"z": [1.0]}, "no column 'x'"),
    ],
)
def test_new_data_that_the_fit_says_nothing_about(formula, new, message):
    with pytest.raises(DataError, match=message):
        new_fixed(formula, new)


def test_an_unseen_level_of_an_unused_category_is_no_error():
    new = {"f": pd.Categorical(["p", "r"], categories=["z", "r", "p"])}
    np.testing.assert_array_equal(new_fixed("y ~ f + (1 | g)", new).X, [[1, 0, 0], [1, 0, 1]])


def test_a_missing_number_is_missing_in_the_matrix():
    np.testing.assert_array_equal(new_fixed("y ~ x + (1 | g)", {"x": [np.nan, 2.0]}).X, [[1, np.nan], [1, 2]])


@pytest.mark.parametrize(
    ("term", "new"),
    [("f", {"f": [None, "p"]}), ("cut(z, c(0, 2, 3, 6))", {"z": [99.0, 1.0]}), ("C(f, contr.sum)", {"f": [None, "p"]})],
)
def test_a_missing_factor_is_missing_in_the_matrix(term, new):
    assert np.isnan(new_fixed(f"y ~ {term} + (1 | g)", new).X[0, 1:]).all()


def test_names_of_the_scope_are_kept():
    def half(x):
        return x / 2

    blueprint = build_design("y ~ half(x) + I(x * k) + (1 | g)", frame(), scope={"half": half, "k": 3, "other": 0})[1]
    assert set(blueprint.scope) == {"half", "k"}
    np.testing.assert_array_equal(blueprint.fixed_matrix(blueprint.evaluator({"x": [4.0]})).X, [[1, 2, 12]])


def test_names_inside_braces_are_kept():
    np.testing.assert_array_equal(new_fixed("y ~ {x**k} + (1 | g)", {"x": [4.0]}, {"k": 2}).X, [[1, 16]])


def test_a_function_with_the_name_of_a_column_is_kept():
    scope = {"o": lambda x: x + 1.0}
    np.testing.assert_array_equal(new_fixed("y ~ o(x) + (1 | g)", {"x": [4.0]}, scope).X, [[1, 5]])


def test_a_blueprint_pickles():
    data = frame()
    design, blueprint = build_design("y ~ poly(x, 2) + f + log(z) + (x | g)", data, contrasts="sum")
    again = pickle.loads(pickle.dumps(blueprint))
    np.testing.assert_array_equal(again.fixed_matrix(again.evaluator(data)).X, design.X)


def test_a_blueprint_with_a_module_in_its_scope_pickles():
    blueprint = build_design("y ~ np.log(z) + (1 | g)", frame(), scope={"np": np})[1]
    again = pickle.loads(pickle.dumps(blueprint))
    assert again.fixed_matrix(again.evaluator({"z": [1.0]})).X.tolist() == [[1.0, 0.0]]
