"""The same data in any make of table give the same design; tables that cannot be read say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lmmpy.design import Design, build_design
from lmmpy.errors import DataError
from tests.design.example import N, frame

FORMULA = "y ~ x + f + flag + factor(i) + (1 + flag | g) + (1 | f:i)"
TEXT = ["f", "g"]


def gappy() -> dict[str, list[Any]]:
    """Lists with a None in every kind of column, and the rows are 0, 3, 6, 9, 12."""
    lists: dict[str, list[Any]] = frame().to_dict("list")
    for row, column in zip(range(0, 15, 3), ["x", "f", "flag", "i", "g"], strict=True):
        lists[column][row] = None
    return lists


def _enum(lists: dict[str, list[Any]]) -> pl.DataFrame:
    enums = {name: pl.Enum(sorted({value for value in lists[name] if value is not None})) for name in TEXT}
    return pl.DataFrame(lists).with_columns(pl.col(name).cast(enum) for name, enum in enums.items())


def _nullable(lists: dict[str, list[Any]]) -> pd.DataFrame:
    plain = pd.DataFrame(lists)
    return plain.assign(flag=plain["flag"].astype("boolean"), i=plain["i"].astype("Int64")).convert_dtypes()


MAKE: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "pandas object": lambda lists: pd.DataFrame(lists).astype(object),
    "pandas string": lambda lists: pd.DataFrame(lists).astype(dict.fromkeys(TEXT, "string")),
    "pandas nullable": _nullable,
    "pandas category": lambda lists: pd.DataFrame(lists).astype(dict.fromkeys(TEXT, "category")),
    "pandas, another index": lambda lists: pd.DataFrame(lists).set_index(np.arange(N)[::-1] * 10),
    "lists": lambda lists: lists,
    "arrays": lambda lists: {name: column.to_numpy() for name, column in pd.DataFrame(lists).items()},
    "series": lambda lists: dict(pd.DataFrame(lists).items()),
    "polars": pl.DataFrame,
    "polars Categorical": lambda lists: pl.DataFrame(lists).with_columns(pl.col(TEXT).cast(pl.Categorical)),
    "polars Enum": _enum,
    "polars small numbers": lambda lists: pl.DataFrame(lists).with_columns(pl.col("i").cast(pl.UInt8)),
}

KINDS = [kind for kind in MAKE if kind != "pandas"]


def assert_same(actual: Design, expected: Design) -> None:
    assert (actual.names, actual.assign, actual.dropped) == (expected.names, expected.assign, expected.dropped)
    for name in ("y", "X", "weights", "offset", "rows", "left_out"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)
    for a, e in zip(actual.random, expected.random, strict=True):
        assert (a.name, a.columns, a.levels, a.structure) == (e.name, e.columns, e.levels, e.structure)
        np.testing.assert_array_equal(a.codes, e.codes)
        np.testing.assert_array_equal(a.values, e.values)


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_give_the_same_design(kind, gaps):
    lists = gappy() if gaps else frame().to_dict("list")
    arguments = {"weights": "w", "offset": "o"}
    expected = build_design(FORMULA, MAKE["pandas"](lists), **arguments)[0]
    assert expected.n == N - 5 * gaps
    assert_same(build_design(FORMULA, MAKE[kind](lists), **arguments)[0], expected)


def test_what_the_design_holds():
    """The common value of the test above, by hand."""
    data, design = frame(), build_design(FORMULA, frame())[0]
    assert design.names == (*("(Intercept)", "x", "fq", "fr", "flagTRUE"), *("factor(i)1", "factor(i)2", "factor(i)3"))
    np.testing.assert_array_equal(design.X[:, 2:5], np.column_stack([data["f"] == "q", data["f"] == "r", data["flag"]]))
    assert [term.name for term in design.random] == ["f:i", "g"]
    assert design.random[0].levels[:2] == ["p:0", "p:1"]
    assert design.random[1].columns == ("(Intercept)", "flagTRUE")
    Z = design.random[1].Z.toarray()
    np.testing.assert_array_equal(Z[:, 0::2], np.column_stack([data["g"] == level for level in "abcdef"]))
    np.testing.assert_array_equal(Z[:, 1::2], Z[:, 0::2] * data["flag"].to_numpy()[:, None])


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_the_order_of_categories_is_kept(kind):
    data, order = frame(), ["r", "p", "q"]
    table = (
        data.assign(f=pd.Categorical(data["f"], categories=order))
        if kind == "pandas"
        else pl.DataFrame(data.to_dict("list")).with_columns(pl.col("f").cast(pl.Enum(order)))
    )
    assert build_design("y ~ f + (1 | g)", table)[0].names == ("(Intercept)", "fp", "fq")


def test_an_ordered_categorical_has_polynomial_contrasts():
    data = frame()
    data["f"] = pd.Categorical(data["f"], categories=["r", "p", "q"], ordered=True)
    design = build_design("y ~ f + (1 | g)", data)[0]
    assert design.names == ("(Intercept)", "f.L", "f.Q")
    np.testing.assert_allclose(design.X[(data["f"] == "p").to_numpy(), 1], 0.0, atol=1e-15)


def test_text_sorts_as_a_locale_does():
    data = frame()
    data["f"] = np.tile(["b", "A", "a", "B"], N // 4)
    assert build_design("y ~ 0 + f + (1 | g)", data)[0].names == ("fa", "fA", "fb", "fB")


def test_numbers_as_levels_sort_by_size():
    data = frame()
    data["k"] = np.tile([10, 9, 100], N // 3)
    assert build_design("y ~ x + (1 | k)", data)[0].random[0].levels == ["9", "10", "100"]
    data["k"] = data["k"] / 10
    assert build_design("y ~ x + (1 | k)", data)[0].random[0].levels == ["0.9", "1", "10"]


def test_a_table_is_not_changed():
    data = frame()
    build_design("y ~ scale(x) + f + (x | g)", data, weights="w", subset="x > -1")
    pd.testing.assert_frame_equal(data, frame())


def test_columns_whose_names_are_numbers():
    data = frame()[["y", "x", "g"]].set_axis([0, 1, 2], axis=1)
    assert build_design("`0` ~ `1` + (1 | `2`)", data)[0].names == ("(Intercept)", "`1`")


def with_column(**columns: Any) -> pd.DataFrame:
    return frame().assign(**columns)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "data is a list; expected a pandas or polars DataFrame, or a mapping"),
        ({"y": 1.0}, "without any array"),
        ({"y": [1.0, 2.0], "x": [1.0], "g": ["a", "b"]}, "differ in length.*y: 2, x: 1, g: 2"),
        ({"y": np.ones(3), "x": np.ones((3, 2)), "g": ["a", "b", "c"]}, "'x' has 2 dimensions"),
        (frame().iloc[:0], "No rows are left"),
        (with_column(x=pd.Timestamp("2020-01-01")), "'x' holds dates.*numbers"),
        (with_column(x=pd.Timedelta("1D")), "'x' holds time differences"),
        (with_column(x=1j), "'x' holds complex numbers"),
        (with_column(x=["a", 1] * (N // 2)), "'x' mixes kinds of values.*'a', 1"),
        (pd.concat([frame(), frame()[["x"]]], axis=1), "'x' stands 2 times"),
        (with_column(y="text"), "response 'y' is a factor or text with the levels 'text'"),
    ],
)
def test_data_that_cannot_be_read(data, message):
    with pytest.raises(DataError, match=message):
        build_design("y ~ x + (1 | g)", data)
