"""Where a name in a formula comes from, and what is said of one that comes from nowhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmmpy.design import build_design
from lmmpy.errors import DataError, FormulaError, LmmpyError
from tests.design.example import N, frame


def column(expression: str, scope=None, j: int = -1, **columns) -> np.ndarray:
    """The last column of X that the expression gives."""
    return build_design(f"y ~ {expression} + (1 | g)", frame().assign(**columns), scope=scope)[0].X[:, j]


def doubled(x):
    return 2 * x


@pytest.mark.parametrize(
    ("expression", "scope", "expected"),
    [
        ("np.log(z)", {"np": np}, lambda d: np.log(d["z"])),
        ("I(x * math.pi)", {"math": math}, lambda d: d["x"] * math.pi),
        ("doubled(x)", {"doubled": doubled}, lambda d: 2 * d["x"]),
        ("I(doubled(x) + doubled(x = z))", {"doubled": doubled}, lambda d: 2 * d["x"] + 2 * d["z"]),
        ("I(x * k)", {"k": 3}, lambda d: 3 * d["x"]),
        ("k", {"k": np.arange(N) ** 2}, lambda d: np.arange(N) ** 2),
        ("I(x * pi)", {}, lambda d: d["x"] * np.pi),
        ("{np.log(z) + k}", {"k": 1}, lambda d: np.log(d["z"]) + 1),
        ("{np.where(x > 0, x, z)}", {}, lambda d: np.where(d["x"] > 0, d["x"], d["z"])),
        ("{(f == 'p') * x}", {}, lambda d: (d["f"] == "p") * d["x"]),
        ("{ {1: x}[1] }", {}, lambda d: d["x"]),
    ],
)
def test_values_from_the_scope(expression, scope, expected):
    np.testing.assert_allclose(column(expression, scope), expected(frame()), rtol=1e-14)


def test_names_are_as_written():
    design = build_design(
        "y ~ np.log(z) + {x**2} + doubled(x) + (1 | g)", frame(), scope={"np": np, "doubled": doubled}
    )[0]
    assert design.names == ("(Intercept)", "np.log(z)", "{x**2}", "doubled(x)")


def test_a_column_hides_the_scope():
    np.testing.assert_array_equal(column("x", {"x": np.zeros(N)}), frame()["x"])


def test_a_function_of_the_user_hides_that_of_r():
    def log(x):
        return x + 1.0

    def scale(x):
        return np.full(len(x), 7.0) * x

    np.testing.assert_array_equal(column("log(z)", {"log": log}), frame()["z"] + 1.0)
    np.testing.assert_array_equal(column("scale(z)", {"scale": scale}), 7.0 * frame()["z"])


@pytest.mark.parametrize("value", [3, "text", [1, 2], np.ones(N)])
def test_a_variable_of_the_user_does_not_hide_a_function_of_r(value):
    np.testing.assert_allclose(column("log(z)", {"log": value}), np.log(frame()["z"]), rtol=1e-15)


def test_a_variable_of_the_user_hides_a_constant_that_r_lets_hide():
    np.testing.assert_array_equal(column("T", {"T": np.arange(N)}), np.arange(N))


def test_a_user_function_sees_text_as_an_array_of_text():
    seen = []

    def is_p(f):
        seen.append(f)
        return (f == "p").astype(float)

    np.testing.assert_array_equal(column("is_p(f)", {"is_p": is_p}), frame()["f"] == "p")
    assert isinstance(seen[0], np.ndarray)


def test_a_user_function_for_response_group_and_left_of_the_bar():
    scope = {"doubled": doubled, "first": lambda g: np.array([t[0] for t in g], dtype=object)}
    design = build_design("doubled(y) ~ x + (doubled(x) | first(g))", frame(), scope=scope)[0]
    np.testing.assert_array_equal(design.y, 2 * frame()["y"])
    assert design.random[0].columns == ("(Intercept)", "doubled(x)")
    assert design.random[0].name == "first(g)"


def test_an_error_inside_a_user_function_is_the_users():
    def broken(x):
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        column("broken(x)", {"broken": broken})


@pytest.mark.parametrize("spelling", ["sum", "poly", "helmert", "treatment"])
def test_c_takes_the_bare_name_of_a_contrast(spelling):
    np.testing.assert_array_equal(column(f"C(f, {spelling})"), column(f"C(f, contr.{spelling})"))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ flagg + (1 | g)", "no column 'flagg' in the data. Did you mean 'flag'"),
        ("y ~ banana + (1 | g)", "no column 'banana' in the data. The columns are 'y', 'x', 'z'"),
        ("yy ~ x + (1 | g)", "no column 'yy' in the data. Did you mean 'y'"),
        ("y ~ x + (xx | g)", "no column 'xx'.*'x'"),
        ("y ~ x + (1 | gg)", "no column 'gg'.*'g'"),
        ("y ~ x + (1 | g:gg)", "no column 'gg'.*'g'"),
        ("y ~ log(xx) + (1 | g)", "no column 'xx'"),
        ("y ~ x + offset(oo) + (1 | g)", "no column 'oo'.*'o'"),
        ("y ~ np.log(x) + (1 | g)", "function 'np.log'.*not known"),
        ("y ~ sqr(x) + (1 | g)", r"function 'sqr' in 'sqr\(x\)' is not known"),
        ("y ~ x(z) + (1 | g)", "function 'x'.*not known"),
        ("y ~ number(z) + (1 | g)", r"'number' in 'number\(z\)' is a int, not a function"),
        ("y ~ short + (1 | g)", "'short' has 3 values, the data 24 rows"),
        ("y ~ log(x, 2, 3, 4) + (1 | g)", r"'log\(x, 2, 3, 4\)' could not be called"),
        ("y ~ I(f + 1) + (1 | g)", r"'f \+ 1' does arithmetic on a factor or text with the levels 'p', 'q', 'r'"),
        ("y ~ poly(f, 2) + (1 | g)", r"poly\(\) does arithmetic on a factor"),
        ("y ~ I(f < 'q') + (1 | g)", "compares by size, but the factor is not ordered"),
        ("y ~ relevel(f, 'zz') + (1 | g)", "'zz' is not one of the levels 'p', 'q', 'r'"),
        ("y ~ dummy(f, 'zz') + (1 | g)", "'zz' is not among the levels"),
        ("y ~ factor(f, labels = c('a', 'b')) + (1 | g)", "2 labels were given for 3 levels"),
        ("y ~ poly(i, 4) + (1 | g)", "degree 4 must be less than the number of distinct values"),
        ("y ~ x + (1 | poly(x, 2))", "grouping factor 'poly\\(x, 2\\)' is a matrix"),
        ("f ~ x + (1 | g)", "response 'f' is a factor"),
        ("poly(x, 2) ~ z + (1 | g)", "response 'poly\\(x, 2\\)' is a matrix with 2 columns"),
        ("~ x + (1 | g)", "no response"),
        ("y ~ us(x | g, hom = TRUE)", "cs"),
    ],
)
def test_what_cannot_be_evaluated_is_named(formula, message):
    with pytest.raises(LmmpyError, match=message):
        build_design(formula, frame(), scope={"number": 3, "short": np.ones(3)})


def test_a_function_of_a_close_name_is_suggested():
    with pytest.raises(FormulaError, match="Did you mean 'sqrt'"):
        column("sqr(z)")


@pytest.mark.parametrize("code", ["{x**nothing}", "{x**}", "{x.nothing}"])
def test_braces_that_fail_name_themselves(code):
    with pytest.raises(LmmpyError, match=r"Python code {x.*in the formula fails"):
        column(code)


def test_one_level_cannot_be_contrasted():
    with pytest.raises(DataError, match="factor 'f' has only the level 'p' in the rows used"):
        build_design("y ~ f + (1 | g)", frame(), subset="f == 'p'")


def test_contrasts_for_what_is_no_factor():
    with pytest.raises(DataError, match=r"contrasts names 'x', which is no factor.*'f'"):
        build_design("y ~ x + f + (1 | g)", frame(), contrasts={"x": "sum"})
