"""What is said when something is wrong: the kind of error, and the words that help."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lmmpy as lmm
from lmmpy import ConvergenceWarning, DataError, FormulaError, LmmpyError, ModelError

N = 40


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(8), 5)
    x = rng.normal(size=N)
    columns = {
        "y": 3.0 * rng.normal(size=8)[group] + x + rng.normal(size=N),
        "x": x,
        "z": rng.normal(size=N),
        "g": np.array(list("abcdefgh"))[group],
        "h": np.tile(list("vwxyz"), 8),
        "f": np.tile(["p", "q"], N // 2),
        "one": "k",
        "row": np.arange(N),
        "const": 3.0,
        "big": 1e7 * rng.normal(size=N),
        "small": 1e-3 * rng.normal(size=N),
        "zeros": np.r_[0.0, 0.0, np.arange(1.0, N - 1)],
        "empty": np.nan,
        "mixed": [1, "a"] * (N // 2),
        "cells": [[1]] * N,
        "date": pd.date_range("2020-01-01", periods=N),
        "w0": np.r_[1.0, 0.0, np.ones(N - 2)],
        "wneg": np.r_[-2.5, np.ones(N - 1)],
        "winf": np.r_[np.inf, np.ones(N - 1)],
        "by_group": np.array([1.0, 5.0, 2.0, 8.0, 3.0, 9.0, 4.0, 7.0])[group],
    }
    frame = pd.DataFrame(columns)
    frame["gap"] = frame["x"].where(frame["row"] != 3)
    frame["twice"] = 2.0 * frame["x"]
    return frame


DATA = _frame()
USUAL = "y ~ x + (1 | g)"


def message_of(error: type[Exception], call: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error) as caught:
            call()
    return str(caught.value)


def check(error: type[Exception], words: list[str], call: Any) -> None:
    message = message_of(error, call)
    absent = [word for word in words if word not in message]
    assert not absent, f"{absent} not in: {message}"


# ---- formulas that cannot be read, or mean no mixed model

FORMULAS: list[tuple[str, type[Exception], list[str]]] = [
    ("y ~ x", FormulaError, ["no random term", "(1 | group)"]),
    ("x + (1 | g)", FormulaError, ["no '~'"]),
    ("~ x + (1 | g)", FormulaError, ["no response"]),
    ("y ~ x + (1 | one)", ModelError, ["'one'", "one level", "'k'", "Take the term out"]),
    (
        "y ~ x + (1 | row)",
        ModelError,
        ["'row'", "as many levels (40)", "rows (40)", "write kin(row, A) or relmat={'row': A}"],
    ),
    ("y ~ x + (1 | g:row)", ModelError, ["'g:row'", "as many levels (40)", "give relmat={'g:row': A}"]),
    ("y ~ (x + z + I(x^2) + I(z^2) | g)", ModelError, ["40 random effects (8 levels × 5", "check_sizes"]),
    ("y ~ xx + (1 | g)", DataError, ["'xx'", "Did you mean 'x'?"]),
    ("y ~ x + (1 | gg)", DataError, ["'gg'", "Did you mean 'g'?"]),
    ("y ~ ZEROS + (1 | g)", DataError, ["'ZEROS'", "Did you mean 'zeros'?"]),
    ("y ~ Zero + (1 | g)", DataError, ["'Zero'", "Did you mean 'zeros'?"]),
    ("nothing ~ x + (1 | g)", DataError, ["'nothing'", "columns are 'y'"]),
    ("log(zeros) ~ x + (1 | g)", DataError, ["response 'log(zeros)'", "2 of the rows", "0, 1", "-inf"]),
    ("y ~ log(zeros) + (1 | g)", DataError, ["'log(zeros)'", "0, 1", "-inf", "log() of zero"]),
    ("y ~ (log(zeros) | g)", DataError, ["'log(zeros)'", "left of the bar", "0, 1"]),
    ("f ~ x + (1 | g)", DataError, ["response 'f'", "'p', 'q'", "needs numbers"]),
    ("poly(y, 2) ~ x + (1 | g)", DataError, ["response", "matrix with 2 columns"]),
    ("const ~ x + (1 | g)", ModelError, ["reproduce the response exactly", "constant"]),
    ("twice ~ x + (1 | g)", ModelError, ["reproduce the response exactly"]),
    ("y ~ y + (1 | g)", FormulaError, ["'y'", "right-hand side"]),
    ("y ~ x | g", FormulaError, ["parentheses", "(x | g)"]),
    ("y ~ 1 + x | g", FormulaError, ["parentheses", "(x | g)"]),
    ("y ~ x * (1 | g)", FormulaError, ["only be added", "'*'"]),
    ("y ~ (1 | g) * x", FormulaError, ["only be added", "'*'"]),
    ("y ~ x:(1 | g)", FormulaError, ["only be added", "':'"]),
    ("y ~ x - (1 | g)", FormulaError, ["only be added", "'-'"]),
    ("y ~ x + kin(A)", FormulaError, ["kin(A)", "no relatedness 'A'", "relmat={'A'"]),
    ("y ~ x + kin(g, A)", FormulaError, ["kin(g, A)", "no relatedness 'A'", "relmat={'A'"]),
    ("y ~ x + (1 | kin(A))", FormulaError, ["kin(A)", "no relatedness 'A'", "relmat={'A'"]),
    ("cbind(y) ~ x + (1 | g)", FormulaError, ["cbind(y)", "without cbind()"]),
    ("y ~ foo(x) + (1 | g)", FormulaError, ["'foo'", "not known"]),
    ("y ~ np.foo(x) + (1 | g)", FormulaError, ["'np.foo'", "not known"]),
    ("y ~ log + (1 | g)", LmmpyError, ["log", "function"]),
    ("y ~ x + (1 | mean)", LmmpyError, ["mean", "function"]),
    ("y ~ x + (1 | g", FormulaError, ["')'", "the end", "\n", "^"]),
    ("y ~ x + (1 | g))", FormulaError, ["did not expect ')'", "^"]),
    ("y ~ x + * (1 | g)", FormulaError, ["'*'", "^"]),
    ("y ~ x @ z + (1 | g)", FormulaError, ["'@'", "^"]),
    ("y = x + (1 | g)", FormulaError, ["'='", "^"]),
    ("y ~ x + (| g)", FormulaError, ["'|'", "^"]),
    ("y ~ x + (1 | )", FormulaError, ["')'", "^"]),
    ("y ~ 'x + (1 | g)", FormulaError, ["^"]),
    ("y ~ `x + (1 | g)", FormulaError, ["^"]),
    ("y ~ {x + (1 | g)", FormulaError, ["brace", "^"]),
    ("", FormulaError, ["formula"]),
    ("y ~ (0 | g)", FormulaError, ["nothing left of the bar", "Write 1"]),
    ("y ~ (1 | 1)", FormulaError, ["'1'", "grouping factor"]),
    ("y ~ (1 | g - h)", FormulaError, ["'g - h'", "grouping factor"]),
    ("y ~ (x | g | h)", FormulaError, ["'x | g'", "parentheses"]),
    ("y ~ diag(x || g)", FormulaError, ["diag(x || g)", "diag(x | g)"]),
    ("y ~ us(x || g)", FormulaError, ["us(x || g)", "single bar"]),
    ("y ~ cs(0 + f | g, hom = maybe)", FormulaError, ["hom = TRUE or hom = FALSE"]),
    ("y ~ cs(0 + f | g, hom = 3)", FormulaError, ["hom = TRUE or hom = FALSE"]),
    ("y ~ cs(0 + f | g, het = TRUE)", FormulaError, ["hom = TRUE or hom = FALSE"]),
    ("y ~ us(f | g, hom = TRUE)", FormulaError, ["us()", "cs("]),
    ("y ~ . + (1 | g)", FormulaError, ["'.'", "Name the columns"]),
    ("y ~ 2 + x + (1 | g)", FormulaError, ["number 2", "0 and 1"]),
    ("y ~ x^0.5 + (1 | g)", FormulaError, ["0.5", "I(x^"]),
    ("y ~ x + offset(g) + (1 | g)", DataError, ["offset(g)", "number"]),
    ("y ~ x + offset() + (1 | g)", FormulaError, ["offset()", "one argument"]),
    ("y ~ log(g) + (1 | h)", FormulaError, ["log()", "'a', 'b'", "factor or text"]),
    ("y ~ I(g + 1) + (1 | h)", FormulaError, ["'g + 1'", "'a', 'b'"]),
    ("y ~ poly(x, 99) + (1 | g)", FormulaError, ["poly()", "99"]),
    ("y ~ relevel(f, 'zz') + (1 | g)", FormulaError, ["'zz'", "'p', 'q'"]),
    ("y ~ dummy(f, 'zz') + (1 | g)", FormulaError, ["'zz'", "'p', 'q'"]),
    ("y ~ C(f, foo) + (1 | g)", LmmpyError, ["foo"]),
    ("y ~ empty + (1 | g)", DataError, ["No rows are left", "'empty'"]),
    ("y ~ date + (1 | g)", DataError, ["'date'", "dates", "numbers"]),
    ("y ~ mixed + (1 | g)", DataError, ["'mixed'", "mixes", "1, 'a'"]),
    ("y ~ x + (1 | cells)", DataError, ["'cells'"]),
    ("y ~ one + (1 | g)", DataError, ["'one'", "only the level 'k'"]),
    ("y ~ x$z + (1 | g)", LmmpyError, ["x$z"]),
    ("y ~ {1 / 0} + (1 | g)", LmmpyError, ["1 / 0", "zero"]),
    ("y ~ {import os} + (1 | g)", FormulaError, ["import os"]),
    ("y ~ DATA + (1 | g)", LmmpyError, ["'DATA'"]),
    ("by_group ~ 1 + (1 | g)", ModelError, ["by_group", "exactly"]),
    ("by_group ~ x + (1 | g)", ModelError, ["by_group", "exactly"]),
    ("const ~ 0 + (1 | g)", ModelError, ["const", "exactly"]),
]


@pytest.mark.parametrize(("formula", "error", "words"), FORMULAS, ids=[f or "(empty)" for f, _, _ in FORMULAS])
def test_formula(formula: str, error: type[Exception], words: list[str]) -> None:
    check(error, words, lambda: lmm.lmer(formula, DATA))


# ---- arguments

_ones = np.ones
ARGUMENTS: list[tuple[dict[str, Any], type[Exception], list[str]]] = [
    ({"formula": None}, LmmpyError, ["formula"]),
    ({"formula": 3}, LmmpyError, ["formula"]),
    ({"formula": b"y ~ x + (1 | g)"}, LmmpyError, ["formula"]),
    ({"formula": ["y", "x"]}, LmmpyError, ["formula"]),
    ({"formula": "y ~ x"}, FormulaError, ["lmm.gls(formula, data)", "+ (1 | group)"]),
    ({"residual": "ar1"}, FormulaError, ["ar1(1 | g)", "ar1(t | g)"]),
    ({"residual": "cs"}, FormulaError, ["cs(1 | g)"]),
    ({"residual": "us"}, FormulaError, ["us(0 + f | g)"]),
    ({"residual": "diag"}, FormulaError, ["diag(0 + f | 1)"]),
    ({"na_action": "drop"}, DataError, ["'drop'", "'omit', 'exclude', 'fail'"]),
    ({"formula": "y ~ gap + (1 | g)", "na_action": "fail"}, DataError, ["'gap'", "1 rows", "first: 3", "'omit'"]),
    ({"weights": "wneg"}, DataError, ["weights", "positive", "1 are not", "0", "-2.5", "subset"]),
    ({"weights": "w0"}, DataError, ["weights", "positive", "rows 1", "0.0"]),
    ({"weights": "winf"}, DataError, ["weights", "finite", "inf"]),
    ({"weights": "empty"}, DataError, ["weights", "missing everywhere"]),
    ({"weights": "g"}, DataError, ["weights", "'g'", "number"]),
    ({"weights": "ww"}, DataError, ["'ww'"]),
    ({"weights": _ones(3)}, DataError, ["weights", "(3,)", "40"]),
    ({"weights": _ones((N, 2))}, DataError, ["weights", "(40, 2)"]),
    ({"weights": 2.0}, DataError, ["weights", "40 numbers"]),
    ({"weights": "x +"}, FormulaError, ["the end", "^"]),
    ({"offset": _ones(3)}, DataError, ["offset", "(3,)", "40"]),
    ({"offset": np.full(N, np.inf)}, DataError, ["offset", "not finite"]),
    ({"offset": "f"}, DataError, ["offset", "'f'", "number"]),
    ({"subset": np.zeros(N, bool)}, DataError, ["subset", "no row"]),
    ({"subset": "x > 100"}, DataError, ["subset", "no row"]),
    ({"subset": []}, DataError, ["subset"]),
    ({"subset": [0, 1, 99]}, DataError, ["subset", "row 99", "0 to 39"]),
    ({"subset": [-99, 1]}, DataError, ["subset", "row -99", "0 to 39"]),
    ({"subset": _ones(3, bool)}, DataError, ["subset", "3 values", "40 rows"]),
    ({"subset": "x"}, DataError, ["subset", "true or false"]),
    ({"subset": "g"}, DataError, ["subset", "'g'", "true or false"]),
    ({"subset": True}, DataError, ["subset"]),
    ({"subset": _ones((N, 2), bool)}, DataError, ["subset"]),
    ({"subset": "g == 'a'"}, ModelError, ["'g'", "one level", "'a'"]),
    ({"subset": [0, 5]}, ModelError, ["2 fixed effects", "2 rows"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": "foo"}, FormulaError, ["'foo'", "helmert", "sum", "treatment"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": {"f": "foo"}}, FormulaError, ["'foo'", "'f'", "helmert"]),
    ({"contrasts": {"q": "sum"}}, DataError, ["contrasts", "'q'"]),
    ({"contrasts": {"x": "sum"}}, DataError, ["contrasts", "'x'", "no factor"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": {"f": np.eye(5)}}, DataError, ["'f'", "5 rows", "2 levels"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": 3}, FormulaError, ["contrast"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": ["sum"]}, LmmpyError, ["contrast"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": len}, LmmpyError, ["contrast"]),
    ({"formula": "y ~ f + (1 | g)", "contrasts": ("sum", "poly", "sum")}, LmmpyError, ["contrast"]),
    ({"control": {"tolerance": 1}}, ModelError, ["control", "Control", "dict"]),
    ({"control": "bobyqa"}, ModelError, ["control", "str"]),
    ({"start": [1.0, 2.0]}, ModelError, ["start", "1 finite", "[1.0, 2.0]"]),
    ({"start": [np.nan]}, ModelError, ["start", "finite"]),
    ({"start": "zero"}, ModelError, ["start", "1 finite"]),
    ({"start": {"g": 1.0}}, ModelError, ["start", "1 finite"]),
    ({"start": [[1.0], [1.0, 2.0]]}, ModelError, ["start", "1 finite"]),
    ({"reml": "yes"}, LmmpyError, ["reml", "'yes'"]),
    ({"reml": None}, LmmpyError, ["reml", "None"]),
    ({"varcomp": {"g": 1.0}}, ModelError, ["varcomp", "lacks 'Residual'"]),
    ({"varcomp": {"q": 1, "g": 1, "Residual": 1}}, ModelError, ["varcomp", "'q'", "'g'"]),
    ({"varcomp": {"g": 1, "Residual": 0}}, ModelError, ["residual", "positive"]),
    ({"varcomp": {"g": -1, "Residual": 1}}, ModelError, ["'g'", "positive semi-definite"]),
    ({"varcomp": {"g": "a", "Residual": 1}}, ModelError, ["'g'", "number"]),
    ({"varcomp": {"g": 1, "Residual": "a"}}, ModelError, ["residual", "number"]),
    ({"varcomp": 3}, ModelError, ["varcomp"]),
    ({"varcomp": {"g": np.eye(2), "Residual": 1}}, ModelError, ["'g'", "a number", "(2, 2)"]),
    ({"data": None}, DataError, ["NoneType", "DataFrame"]),
    ({"data": "file.csv"}, DataError, ["str", "DataFrame"]),
    ({"data": [1, 2]}, DataError, ["list", "DataFrame"]),
    ({"data": np.ones((3, 2))}, DataError, ["ndarray", "DataFrame"]),
    ({"data": DATA["y"]}, DataError, ["Series", "DataFrame"]),
    ({"data": DATA.groupby("g")}, DataError, ["DataFrameGroupBy", "DataFrame"]),
    ({"data": pl.DataFrame({"y": [1.0]}).lazy()}, DataError, ["LazyFrame"]),
    ({"data": {}}, DataError, ["mapping"]),
    ({"data": pd.DataFrame()}, DataError, ["no column"]),
    ({"data": DATA.iloc[:0]}, DataError, ["No rows"]),
    ({"data": {"y": [1, 2], "x": [1], "g": [1, 2]}}, DataError, ["y: 2", "x: 1", "length"]),
    ({"data": pd.concat([DATA, DATA[["x"]]], axis=1)}, DataError, ["'x'", "2 times", "Rename"]),
    ({"data": DATA.assign(x=DATA["x"].map(str))}, LmmpyError, ["40 fixed effects for 40 rows"]),
    ({"data": DATA.assign(y=DATA["y"] + 1j)}, DataError, ["'y'", "complex"]),
    ({"data": DATA.assign(x=np.where(DATA["x"] > 1, np.inf, DATA["x"]))}, DataError, ["'x'", "inf"]),
    ({"data": DATA.assign(g=np.nan)}, DataError, ["No rows are left", "'g'"]),
]


def _described(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v if isinstance(v, str) else type(v).__name__}" for k, v in arguments.items())


@pytest.mark.parametrize(("arguments", "error", "words"), ARGUMENTS, ids=[_described(a) for a, _, _ in ARGUMENTS])
def test_argument(arguments: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    check(error, words, lambda: lmm.lmer(**{"formula": USUAL, "data": DATA, **arguments}))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": "small"}, "tolerance"),
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"max_evaluations": "many"}, "max_evaluations"),
        ({"check_sizes": False}, "'stop' or 'ignore'"),
        ({"engine": "dense"}, "'dense'"),
    ],
)
def test_control(arguments: dict[str, Any], word: str) -> None:
    check(ModelError, ["control", word], lambda: lmm.Control(**arguments))


def test_a_column_named_by_a_number_is_found() -> None:
    fit = lmm.lmer("y ~ `0` + (1 | g)", DATA.rename(columns={"x": 0}))
    assert fit.fixef.iloc[1] == lmm.lmer(USUAL, DATA).fixef["x"]


def test_more_fixed_effects_than_rows_are_refused() -> None:
    words = ["11 fixed effects", "11 rows"]
    check(ModelError, words, lambda: lmm.lmer("y ~ poly(x, 5) + f * z * x + (1 | g)", DATA.iloc[:11]))


# ---- prediction and questions to a fit


@pytest.fixture(scope="module")
def fit() -> lmm.LmmFit:
    return lmm.lmer("y ~ x + f + (1 | g)", DATA)


NEW = DATA.iloc[:3]
QUESTIONS: list[tuple[str, Any, type[Exception], list[str]]] = [
    ("unseen group", lambda m: m.predict(NEW.assign(g="zz")), DataError, ["'g'", "'zz'", "allow_new_levels=True"]),
    ("missing group", lambda m: m.predict(NEW.assign(g=None)), DataError, ["'g'", "missing"]),
    ("unseen level", lambda m: m.predict(NEW.assign(f="zz")), DataError, ["'f'", "'zz'", "'p', 'q'"]),
    ("absent column", lambda m: m.predict(NEW.drop(columns="x")), DataError, ["'x'"]),
    ("absent group", lambda m: m.predict(NEW.drop(columns="g")), DataError, ["'g'"]),
    ("text for number", lambda m: m.predict(NEW.assign(x="a")), DataError, ["'x'", "number"]),
    ("number for factor", lambda m: m.predict(NEW.assign(f=1)), DataError, ["'f'", "factor"]),
    ("text for data", lambda m: m.predict("new"), DataError, ["str", "DataFrame"]),
    ("a row", lambda m: m.predict(NEW.iloc[0]), DataError, ["Series", "DataFrame"]),
    ("re_form unknown", lambda m: m.predict(re_form="zz"), ModelError, ["'zz'", "'g'"]),
    ("re_form among", lambda m: m.predict(re_form=["g", "qq"]), ModelError, ["'qq'", "'g'"]),
    ("re_form number", lambda m: m.predict(re_form=3), ModelError, ["re_form", "3"]),
    ("re_form True", lambda m: m.predict(re_form=True), ModelError, ["re_form", "True"]),
    ("residual type", lambda m: m.residuals("deviance"), ValueError, ["'response'", "'pearson'", "'deviance'"]),
    ("varcorr", lambda m: m.varcorr["zz"], KeyError, ["zz", "'g'", "'Residual'"]),
    ("REML of ML", lambda m: m.refit_ml().reml_criterion, AttributeError, ["maximum likelihood"]),
    ("anova of one", lambda m: lmm.anova(m, type=5), ModelError, ["1, 2 or 3", "5"]),
    ("anova of no fit", lambda m: lmm.anova(m, 3), ModelError, ["int"]),
]


@pytest.mark.parametrize(("call", "error", "words"), [q[1:] for q in QUESTIONS], ids=[q[0] for q in QUESTIONS])
def test_question(fit: lmm.LmmFit, call: Any, error: type[Exception], words: list[str]) -> None:
    check(error, words, lambda: call(fit))


def test_predict_of_no_rows_is_empty(fit: lmm.LmmFit) -> None:
    assert len(fit.predict(DATA.iloc[:0])) == 0


def test_predict_says_that_an_offset_given_as_numbers_is_unknown_for_new_data() -> None:
    fit = lmm.lmer(USUAL, DATA, offset=np.full(N, 10.0))
    check(LmmpyError, ["offset"], lambda: fit.predict(NEW))


# ---- warnings


def test_rank_deficiency_names_the_columns_dropped() -> None:
    with pytest.warns(lmm.RankDeficiencyWarning, match=r"1 column dropped.*'twice'"):
        fit = lmm.lmer("y ~ x + twice + (1 | g)", DATA)
    assert fit.dropped == ("twice",) and list(fit.fixef.index) == ["(Intercept)", "x"]


def test_wild_scales_name_both_columns() -> None:
    with pytest.warns(lmm.ScaleWarning, match=r"'big'.*'small'"):
        lmm.lmer("y ~ big + small + (1 | g)", DATA)


def test_singular_fit_names_the_term() -> None:
    data = DATA.assign(y=np.tile([0.0, 1.0, 2.0, 3.0, 5.0], 8) + 0.01 * DATA["z"])
    with pytest.warns(lmm.SingularFitWarning, match=r"g\.\(Intercept\)"):
        lmm.lmer("y ~ 1 + (1 | g)", data)


def test_warnings_point_to_the_line_of_the_caller() -> None:
    with pytest.warns(lmm.RankDeficiencyWarning) as caught:
        lmm.lmer("y ~ x + twice + (1 | g)", DATA)
    assert caught[0].filename == __file__


def test_good_fits_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lmm.lmer(USUAL, DATA)


# ---- nonsense

ATOMS = "x;z;f;g;0;1;2;-1;empty;gap;one;date;nope;'s';big;row;TRUE;NA".split(";")
GROUPS = "g;h;f;row;one;g:h;g/h;g*f;x;1;nope;cut(x, 3);factor(row);(g/h)/f;'g'".split(";")
CALLS = "log({});I({}^2);poly({}, 2);factor({});scale({});offset({});ns({}, 3);C({}, sum);foo({})".split(";")
CALLS += "dummy({});-{};({});I({}/0);{}[1];{}$a;!{};{{{}}};as.numeric({});exp({});sqrt({})".split(";")
BARS = "({} | {});({} || {});cs({} | {});ar1(0 + {} | {}, hom = FALSE);diag({} | {});us({} | {}, hom = 1)".split(";")
GLUE = [" + ", " + ", " + ", " * ", ":", " - ", " / ", " %in% ", "^", " ~ ", " | ", " ", ", "]


def _term(rng: np.random.Generator) -> str:
    atom = str(rng.choice(ATOMS))
    if rng.random() < 0.35:
        atom = str(rng.choice(CALLS)).format(atom)
    if rng.random() < 0.45:
        return str(rng.choice(BARS)).format(atom, rng.choice(GROUPS))
    return atom


def _formula(rng: np.random.Generator) -> str:
    glue = GLUE[:3] if rng.random() < 0.6 else GLUE
    text = "y ~ " + _term(rng)
    for _ in range(int(rng.integers(1, 4))):
        text += str(rng.choice(glue)) + _term(rng)
    if rng.random() < 0.15:
        place = int(rng.integers(len(text)))
        text = text[:place] + str(rng.choice(list("()|~+'`{}@$,#"))) + text[place + 1 :]
    return text


def escapes(seeds: range) -> list[str]:
    """Formulas whose failure is no error of lmmpy's own."""
    found = []
    few = lmm.Control(max_evaluations=5)
    for seed in seeds:
        formula = _formula(np.random.default_rng(seed))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                lmm.lmer(formula, copy.copy(DATA), control=few)
        except LmmpyError:
            continue
        except Exception as error:  # noqa: BLE001 - to report what should not be
            found.append(f"{formula!r}: {type(error).__name__}: {str(error)[:80]}")
    return found


def test_nonsense_meets_only_lmmpys_own_errors() -> None:
    assert escapes(range(400)) == []


def test_giving_up_is_said() -> None:
    with pytest.warns(ConvergenceWarning, match=r"stopped after 3 evaluations"):
        fit = lmm.lmer("y ~ x + (x | g)", DATA, control=lmm.Control(max_evaluations=3))
    assert not fit.optimum.converged
