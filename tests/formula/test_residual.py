"""`residual=`: what its text says, and what is refused."""

import pytest

from lmmpy.errors import FormulaError
from lmmpy.formula import deparse, parse_residual


def correlation(text):
    found = parse_residual(text).correlation
    time = None if found.time is None else deparse(found.time)
    return found.kind, [deparse(n) for n in found.places], time, [deparse(n) for n in found.group], found.one_variance


@pytest.mark.parametrize(
    ("text", "kind", "places", "time", "group", "one_variance"),
    [
        ("us(0 + f | g)", "us", ["f"], None, ["g"], False),
        ("us(0+f|g, hom=TRUE)", "us", ["f"], None, ["g"], True),
        ("us(1 | g)", "us", [], None, ["g"], False),
        ("us(1 | g, hom = TRUE)", "us", [], None, ["g"], True),
        ("us(0 + f:h | g)", "us", ["f", "h"], None, ["g"], False),
        ("cs(1 | g)", "cs", [], None, ["g"], True),
        ("cs(0 + f | g:h)", "cs", ["f"], None, ["g", "h"], False),
        ("cs(0 + f | g, hom = TRUE)", "cs", ["f"], None, ["g"], True),
        ("ar1(1 | g)", "ar1", [], None, ["g"], True),
        ("ar1(t | g)", "ar1", [], "t", ["g"], True),
        ("ar1(t | 1)", "ar1", [], "t", [], True),
        ("ar1(0 + f | g)", "ar1", ["f"], None, ["g"], True),
        ("ar1(0 + f | g, hom = FALSE)", "ar1", ["f"], None, ["g"], False),
        ("car1(log(t) | g)", "car1", [], "log(t)", ["g"], True),
        ("arma11(t | g)", "arma11", [], "t", ["g"], True),
        ("~ arma11(1 | g)", "arma11", [], None, ["g"], True),
    ],
)
def test_correlations(text, kind, places, time, group, one_variance):
    assert correlation(text) == (kind, places, time, group, one_variance)


@pytest.mark.parametrize(
    ("text", "variances"),
    [
        ("varident(f)", [("varident", ["f"])]),
        ("diag(0 + f | 1)", [("varident", ["f"])]),
        ("diag(0 + f | g)", [("varident", ["f"])]),
        ("varident(f:h)", [("varident", ["f", "h"])]),
        ("varpower(x)", [("varpower", ["x"])]),
        ("varpower()", [("varpower", [])]),
        ("varexp(log(x)) * varident(f)", [("varexp", ["log(x)"]), ("varident", ["f"])]),
        ("car1(t | g) * varident(f)", [("varident", ["f"])]),
        ("(ar1(t | g) * varexp(x)) * varident(f)", [("varexp", ["x"]), ("varident", ["f"])]),
        ("kin(id, R) * varpower(x)", [("varpower", ["x"])]),
    ],
)
def test_variances(text, variances):
    spec = parse_residual(text)
    assert [(v.kind, [deparse(n) for n in v.variables]) for v in spec.variances] == variances
    assert spec.of_mean == (text == "varpower()")


def test_a_known_covariance():
    spec = parse_residual("kin(id, R)")
    assert spec.known.label == "kin(id, R)" and spec.correlation is None


@pytest.mark.parametrize("word", ["us", "cs", "ar1"])
def test_a_word_alone_is_over_traits(word):
    spec = parse_residual(word)
    assert spec.over_traits
    assert correlation(word)[:4] == (word, ["trait"], None, ["row"])
    whole = parse_residual(f"{word}(0 + trait | row)")
    assert (whole.correlation.places, whole.correlation.group) == (spec.correlation.places, spec.correlation.group)


def test_diag_alone_is_a_variance_for_each_trait():
    spec = parse_residual("diag")
    assert spec.over_traits and spec.correlation is None
    assert [deparse(n) for n in spec.variances[0].variables] == ["trait"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo(t | g)", "What is understood"),
        ("corAR1", "What is understood"),
        ("us(t | g)", "0 + factor(t)"),
        ("cs(t | g)", "write cs(0 + f | g) or cs(1 | g)"),
        ("car1(1 | g)", "write car1(t | g)"),
        ("car1(0 + f | g)", "write car1(t | g)"),
        ("arma11(0 + f | g)", "arma11(1 | g) or arma11(t | g)"),
        ("diag(1 | g)", "write diag(0 + f | g)"),
        ("diag(0 + f | 1, hom = TRUE)", "the default"),
        ("ar1(t | g, hom = FALSE)", "varident(f)"),
        ("cs(1 | g, hom = FALSE)", "varident(f)"),
        ("us(0 + f | g, 3)", "hom = TRUE or hom = FALSE"),
        ("us(0 + f + h | g)", "left of the bar"),
        ("ar1(t * u | g)", "left of the bar"),
        ("ar1(t | g / h)", "one grouping factor"),
        ("ar1(t | kin(id, R))", "factor of its own"),
        ("ar1(t | g) * car1(t | g)", "several correlations"),
        ("ar1(t | g) * kin(id, R)", "several correlations"),
        ("us(0 + f | g) * varident(h)", "hom = TRUE) for a correlation alone"),
        ("us(0 + f | g) * diag(0 + f | 1)", "a variance for each level already"),
        ("varident()", "names no factor"),
        ("varident(f + h)", "joined by ':'"),
        ("varpower(x, 2)", "more than one argument"),
        ("varpower(x) * varpower(x)", "same variance twice"),
        ("varident(f) * diag(0 + f | 1)", "same variance twice"),
        ("varident(f:h) * varident(h:f)", "same variance twice"),
        ("varident(f:h) * varident(h)", "varident(f:h) has a variance for each level of varident(h) already"),
        ("ar1(t | g) + varident(f)", "What is understood"),
        ("ar1(t | g", "found 'the end'"),
    ],
)
def test_errors(text, message):
    with pytest.raises(FormulaError) as caught:
        parse_residual(text)
    assert message in str(caught.value)


def test_no_text():
    with pytest.raises(FormulaError, match="must be a text"):
        parse_residual(["ar1(t | g)"])
