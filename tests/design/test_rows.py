"""One row mask: what is missing, what `subset` keeps, and what weights and offset may be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lmmpy.design import build_design
from lmmpy.errors import DataError
from tests.design.example import N, frame, with_gaps

FORMULA = "y ~ x + (1 | g)"


def design(formula=FORMULA, data=None, **arguments):
    return build_design(formula, frame() if data is None else data, **arguments)[0]


# column with gaps, formula, other arguments, what the message names
USES = {
    "response": ("y", FORMULA, {}, "y"),
    "transformed response": ("z", "log(z) ~ x + (1 | g)", {}, "log(z)"),
    "fixed number": ("x", FORMULA, {}, "x"),
    "fixed transform": ("x", "y ~ poly(x, 2) + (1 | g)", {}, "poly(x, 2)"),
    "fixed factor": ("f", "y ~ f + (1 | g)", {}, "f"),
    "truth values": ("flag", "y ~ flag + (1 | g)", {}, "flag"),
    "integers": ("i", "y ~ factor(i) + (1 | g)", {}, "factor(i)"),
    "left of the bar": ("z", "y ~ x + (z | g)", {}, "z"),
    "group": ("g", FORMULA, {}, "g"),
    "part of a group": ("f", "y ~ x + (1 | g:f)", {}, "g:f"),
    "weights by name": ("w", FORMULA, {"weights": "w"}, "weights"),
    "offset by name": ("o", FORMULA, {"offset": "o"}, "offset"),
    "offset in the formula": ("o", "y ~ x + offset(o) + (1 | g)", {}, "offset"),
}


@pytest.mark.parametrize("na_action", ["omit", "exclude"])
@pytest.mark.parametrize("use", USES)
def test_a_row_with_a_gap_is_left_out_of_everything(use, na_action):
    column, formula, arguments, _ = USES[use]
    gaps = [1, 7, 23]
    found = design(formula, with_gaps(column, gaps), na_action=na_action, **arguments)
    assert np.flatnonzero(~found.rows).tolist() == gaps
    assert np.flatnonzero(found.left_out).tolist() == gaps
    assert found.n == N - 3
    lengths = {len(found.X), *(len(t.codes) for t in found.random), *(len(t.values) for t in found.random)}
    lengths |= {len(v) for v in (found.weights, found.offset) if v is not None}
    assert lengths == {N - 3}


@pytest.mark.parametrize("use", USES)
def test_fail_names_the_term_and_the_rows(use):
    column, formula, arguments, named = USES[use]
    with pytest.raises(DataError) as caught:
        design(formula, with_gaps(column, [1, 7, 23]), na_action="fail", **arguments)
    assert f"'{named}' in 3 rows (first: 1, 7, 23)" in str(caught.value)


def test_fail_passes_when_nothing_is_missing():
    assert design(na_action="fail").rows.all()


def test_fail_names_every_culprit_and_only_the_rows_of_the_subset():
    data = with_gaps("x", [2, 3])
    data.loc[[4, 20], "y"] = np.nan
    with pytest.raises(DataError, match=r"'y' in 1 rows \(first: 4\); 'x' in 2 rows \(first: 2, 3\)"):
        design(data=data, na_action="fail", subset=np.arange(10))
    assert design(data=data, na_action="fail", subset=np.arange(5, 20)).n == 15


def test_a_gap_in_a_column_that_is_not_used_changes_nothing():
    assert design(data=with_gaps("z", [0, 1])).rows.all()


def test_gaps_add_up():
    data = with_gaps("x", [0, 1])
    data.loc[[1, 2], "g"] = None
    data.loc[5, "w"] = np.nan
    found = design(data=data, weights="w", offset=np.where(np.arange(N) == 9, np.nan, 1.0))
    assert np.flatnonzero(~found.rows).tolist() == [0, 1, 2, 5, 9]


def test_the_values_that_remain_are_those_of_their_rows():
    data = with_gaps("x", [0, 8, 9])
    whole, part = frame(), design("y ~ x + f + (z | g)", data, weights="w", offset="o")
    kept = whole.drop(index=[0, 8, 9])
    np.testing.assert_array_equal(part.y, kept["y"])
    np.testing.assert_array_equal(part.X[:, 1], kept["x"])
    np.testing.assert_array_equal(part.random[0].values[:, 1], kept["z"])
    np.testing.assert_array_equal(np.array(part.random[0].levels)[part.random[0].codes], kept["g"])
    np.testing.assert_array_equal(part.weights, kept["w"])
    np.testing.assert_array_equal(part.offset, kept["o"])


def test_levels_that_no_row_has_are_dropped():
    data = with_gaps("x", [0, 1, 2, 3])
    data["f"] = pd.Categorical(data["f"], categories=list("zqrp"))
    found = design("y ~ x + f + (1 | g)", data)
    assert found.names == ("(Intercept)", "x", "fr", "fp")
    assert found.random[0].levels == list("bcdef")


def test_transforms_see_all_rows_before_some_are_left_out():
    """As in R, where variables are evaluated before rows are taken out."""
    data = frame()
    found = design("y ~ I(x - mean(x)) + (1 | g)", data, subset=np.arange(12))
    np.testing.assert_allclose(found.X[:, 1], (data["x"] - data["x"].mean())[:12], rtol=1e-12)


def test_no_row_left():
    with pytest.raises(DataError, match=r"No rows are left.*'x'.*missing everywhere"):
        design(data=with_gaps("x", list(range(N))))
    data = with_gaps("x", list(range(12)))
    data.loc[12:, "y"] = np.nan
    with pytest.raises(DataError, match="No row has all the values"):
        design(data=data)


def test_an_unknown_action_lists_the_known():
    with pytest.raises(DataError, match=r"'pass'.*'omit', 'exclude', 'fail'"):
        design(na_action="pass")


# ---- gaps inside expressions: how many of 24 rows R keeps when x misses rows 0 and 1, f rows 2 and 3

KEPT = {
    "I(x + 1)": 22,
    "pmin(x, z)": 22,
    "cut(x, 3)": 22,
    "factor(f)": 22,
    "as.character(f)": 22,
    "interaction(f, flag)": 22,
    "relevel(f, 'q')": 22,
    "is.na(f)": 24,
    "I(f %in% c('p'))": 24,
    "I(x > 0)": 22,
    "as.logical(x > 0)": 22,
    "ifelse(x > 0, 1, 0)": 22,
    "I(f == 'p')": 22,
    "I(f == g)": 22,
    "ifelse(flag, f, g)": 23,
    "I(x > 0 & z > 0)": 22,
}


def _both_gaps() -> pd.DataFrame:
    data = with_gaps("x", [0, 1]).assign(flag=np.arange(N) != 3)
    data.loc[[2, 3], "f"] = None
    data.loc[11, "g"] = "p"
    return data


@pytest.mark.parametrize(("expression", "n"), KEPT.items())
def test_a_gap_goes_through_an_expression(expression, n):
    assert design(f"y ~ {expression} + (1 | i)", _both_gaps()).n == n


def test_a_gap_goes_through_as_numeric_of_text():
    data = frame().assign(s=pd.Series(["10", None, "5"] * (N // 3), dtype=object))
    assert design("y ~ as.numeric(as.character(s)) + (1 | g)", data).n == 16


def test_as_numeric_of_a_column_of_text_reads_it():
    data = frame().assign(s=["10", "20", "5"] * (N // 3))
    assert design("y ~ as.numeric(s) + (1 | g)", data).X[:3, 1].tolist() == [10, 20, 5]


# ---- subset


def _mask() -> np.ndarray:
    return frame()["x"].to_numpy() > 0


SUBSETS = {
    "expression": "x > 0",
    "column of truth values": "flag",
    "two conditions": "x > 0 & z > 0",
    "numpy mask": _mask(),
    "list": _mask().tolist(),
    "pandas Series": pd.Series(_mask()),
    "polars Series": pl.Series(_mask().tolist()),
    "nullable": pd.array(_mask().tolist(), dtype="boolean"),
    "zeros and ones as floats": _mask().astype(float),
    "row numbers": np.flatnonzero(_mask()),
    "list of row numbers": np.flatnonzero(_mask()).tolist(),
    "row numbers from the end": np.flatnonzero(_mask()) - N,
}


@pytest.mark.parametrize("subset", SUBSETS.values(), ids=SUBSETS)
def test_subset(subset):
    found = design(subset=subset)
    np.testing.assert_array_equal(found.rows, _mask())
    assert not found.left_out.any()


def test_subset_of_a_factor():
    assert design(subset="f == 'p' & g != 'a'").n == np.sum((frame()["f"] == "p") & (frame()["g"] != "a"))
    assert design(subset="f %in% c('p', 'q')").n == 16


def test_a_subset_that_is_missing_is_false():
    found = design(data=with_gaps("x", [0, 1]), subset="x > -100")
    assert np.flatnonzero(~found.rows).tolist() == [0, 1]
    assert not found.left_out.any()


@pytest.mark.parametrize("kind", ["boolean", object])
def test_a_mask_that_is_missing_is_false(kind):
    mask = pd.Series([True] * 20 + [None] * 4, dtype=kind)
    assert design(subset=mask).n == 20


def test_an_expression_of_integers_is_no_list_of_rows():
    data = frame().assign(keep=(np.arange(N) < 20).astype(int))
    assert design(data=data, subset="keep").n == 20


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ("x > 100", "keeps no row"),
        ("f", "no condition"),
        ("x", "true or false"),
        ("nothing > 0", "no column 'nothing'"),
        ([True, False], "2 values, the data 24 rows"),
        ([0, 99], "row 99, but the rows run from 0 to 23"),
        (["a"] * N, "true or false for each row"),
    ],
)
def test_a_subset_that_cannot_be_read(subset, message):
    with pytest.raises(DataError, match=message):
        design(subset=subset)


def test_a_row_before_the_first_is_named():
    with pytest.raises(DataError, match="row -99"):
        design(subset=[0, -99])


# ---- weights and offset


@pytest.mark.parametrize("make", [np.asarray, list, pd.Series, lambda w: pl.Series(list(w))])
def test_weights_and_offset_as_arrays(make):
    values = frame()["w"].to_numpy()
    by_name, by_array = design(weights="w", offset="w"), design(weights=make(values), offset=make(values))
    np.testing.assert_array_equal(by_array.weights, by_name.weights)
    np.testing.assert_array_equal(by_array.offset, by_name.offset)


def test_expressions():
    found = design("y ~ x + offset(2 * o) + (1 | g)", weights="1 / w", offset="z - 1")
    np.testing.assert_allclose(found.weights, 1 / frame()["w"], rtol=1e-15)
    np.testing.assert_allclose(found.offset, 2 * frame()["o"] + frame()["z"] - 1, rtol=1e-15)


def test_without_weights_and_offset():
    assert design().weights is None
    assert design().offset is None


@pytest.mark.parametrize("argument", ["weights", "offset"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(3), r"\(3,\).*expected 24 numbers"),
        (np.ones((N, 2)), r"\(24, 2\)"),
        (["a"] * N, "expected 24 numbers"),
        (1.0, "expected 24 numbers"),
        ("f", "one number a row"),
        ("nothing", "no column 'nothing'"),
        ("poly(x, 2)", "one number a row"),
    ],
)
def test_what_is_not_one_number_a_row(argument, value, message):
    with pytest.raises(DataError, match=message) as caught:
        design(**{argument: value})
    assert argument in str(caught.value) or "nothing" in str(caught.value)


@pytest.mark.parametrize("bad", [0.0, -1.5, np.inf])
def test_weights_must_be_positive_and_finite(bad):
    weights = np.where(np.isin(np.arange(N), [3, 5]), bad, 1.0)
    with pytest.raises(DataError, match=rf"weights must be positive and finite; 2 are not .*3, 5: {bad}, {bad}"):
        design(weights=weights)
    assert design(weights=weights, subset=np.arange(6, N)).n == N - 6


@pytest.mark.parametrize("what", ["weights", "response", "fixed", "left of the bar"])
def test_bad_values_are_named_by_their_row_of_the_data(what):
    data = with_gaps("x", [0, 1])
    column = {"weights": "w", "response": "y", "fixed": "x", "left of the bar": "z"}[what]
    data.loc[5, column] = np.inf
    with pytest.raises(DataError, match=r"\(first( rows)?:? 5\b"):
        design("y ~ x + (z | g)", data, weights="w")


@pytest.mark.parametrize(
    ("column", "formula", "message"),
    [
        ("y", FORMULA, "response 'y' is not finite in 1 .*first: 5, values inf"),
        ("z", "log(z) ~ x + (1 | g)", r"response 'log\(z\)'"),
        ("x", FORMULA, "fixed effect 'x'"),
        ("z", "y ~ x + (z | g)", r"left of the bar in \(z \| g\) 'z'"),
        ("o", "y ~ x + offset(o) + (1 | g)", "offset"),
    ],
)
def test_infinite_values_name_their_place(column, formula, message):
    data = frame()
    data.loc[5, column] = np.inf
    with pytest.raises(DataError, match=message):
        design(formula, data)
