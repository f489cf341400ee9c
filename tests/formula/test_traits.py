"""`cbind()` and `at()`: what a formula of several traits says, and how it changes."""

import pytest

from lmmpy.errors import FormulaError
from lmmpy.formula import deparse, parse_formula
from lmmpy.formula.update import fixed_text, random_text, update_formula

BOTH = "cbind(a, b) ~ x + at(a, z + w) + (1 | g) + at(b, (1 | h))"


def labels(terms):
    return [term.label for term in terms.terms]


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("cbind(a, b) ~ x", ["a", "b"], ["a", "b"]),
        ("cbind(log(a), b / 2) ~ x", ["log(a)", "b/2"], ["log(a)", "b/2"]),
        ("cbind(one = log(a), `two b`) ~ x", ["one", "two b"], ["log(a)", "`two b`"]),
        ("cbind(a, b, c) ~ 1", ["a", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_names_of_traits(text, names, values):
    parsed = parse_formula(text)
    assert [trait.name for trait in parsed.traits] == names
    assert [deparse(trait.node) for trait in parsed.traits] == values
    assert [deparse(node) for node in parsed.responses] == values


def test_a_single_response_has_no_traits():
    parsed = parse_formula("y ~ x + (1 | g)")
    assert parsed.traits == () and parsed.by_trait == ()
    assert parsed.fixed_parts == (parsed.fixed,)


def test_terms_by_trait():
    parsed = parse_formula(BOTH)
    assert labels(parsed.fixed) == ["x"]
    assert [labels(terms) for terms in parsed.by_trait] == [["x", "z", "w"], ["x"]]
    assert [(term.trait, term.text) for term in parsed.random] == [(None, "1 | g"), ("b", "1 | h")]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("cbind(a, b) ~ at(a, x)", [(["x"], True), ([], True)]),
        ("cbind(a, b) ~ x + at(b, x:z)", [(["x"], True), (["x", "x:z"], True)]),
        # Degree before appearance, as in any formula; the intercept of one trait.
        ("cbind(a, b) ~ at(a, x:z) + x", [(["x", "x:z"], True), (["x"], True)]),
        ("cbind(a, b) ~ x + at(b, 0)", [(["x"], True), (["x"], False)]),
        ("cbind(a, b) ~ 0 + x + at(b, 1)", [(["x"], False), (["x"], True)]),
        ('cbind(log(a), b) ~ at("log(a)", x) + at(log(a), z)', [(["x", "z"], True), ([], True)]),
        ("cbind(a, b) ~ (x + at(a, z)) + q", [(["x", "q", "z"], True), (["x", "q"], True)]),
    ],
)
def test_what_at_adds(text, own):
    parsed = parse_formula(text)
    assert [(labels(terms), terms.intercept) for terms in parsed.by_trait] == own


def test_offsets_and_random_terms_in_at():
    parsed = parse_formula("cbind(a, b) ~ x + at(a, offset(k) + kin(ped) + diag(t | g))")
    assert [[deparse(node) for node in terms.offsets] for terms in parsed.by_trait] == [["k"], []]
    assert [(t.trait, t.structure, t.grouping.label) for t in parsed.random] == [
        ("a", "us", "kin(ped)"),
        ("a", "diag", "g"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cbind(a) ~ x", "without cbind"),
        ("cbind() ~ x", "no traits"),
        ("cbind(a, a) ~ x", "the same name twice: 'a'"),
        ("cbind(a, b = a) ~ x", "the same trait twice: 'a'"),
        ("cbind(a, a = b) ~ x", "the same name twice: 'a'"),
        ("cbind(a, b) ~ a", "'a' also stands on the right"),
        ("cbind(a, b) ~ at(a, b)", "'b' also stands on the right"),
        ("cbind(a, b) ~ at(q, x)", "names 'q', which is no trait. The traits are 'a', 'b'"),
        ("cbind(a, b) ~ at(q, (1 | g))", "names 'q'"),
        ("y ~ at(y, x)", "a single one"),
        ("cbind(a, b) ~ at(a)", "a trait and its terms"),
        ("cbind(a, b) ~ at(a, x, z)", "a trait and its terms"),
        ("cbind(a, b) ~ x:at(a, z)", "can only be added"),
        ("cbind(a, b) ~ x - at(a, z)", "can only be added"),
        ("cbind(a, b) ~ at(a, at(b, z))", "stands inside"),
        ("cbind(a, b) ~ log(at(b, z))", "stands inside"),
        ("cbind(a, b) ~ (at(a, x) | g)", "stands inside"),
        ("cbind(a | g, b) ~ x", "one expression"),
    ],
)
def test_errors(text, message):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "new"),
    [
        (". ~ . - at(a, z)", "cbind(a, b) ~ x + at(a, w) + (1 | g) + at(b, (1 | h))"),
        (". ~ . - at(a, w + z)", "cbind(a, b) ~ x + (1 | g) + at(b, (1 | h))"),
        (". ~ . - at(b, (1 | h)) - x", "cbind(a, b) ~ 1 + at(a, z) + at(a, w) + (1 | g)"),
        (". ~ . + at(b, x:q)", "cbind(a, b) ~ x + at(a, z) + at(a, w) + at(b, x:q) + (1 | g) + at(b, (1 | h))"),
        (". ~ . + at(a, 0 + offset(k)) - (1 | g)",
         "cbind(a, b) ~ x + at(a, z) + at(a, w) + at(a, 0) + at(a, offset(k)) + at(b, (1 | h))"),
        (". ~ . + at(a, (1 | h))", "cbind(a, b) ~ x + at(a, z) + at(a, w) + (1 | g) + at(b, (1 | h)) + at(a, (1 | h))"),
        ("cbind(a, b, c) ~ . - at(a, z + w)", "cbind(a, b, c) ~ x + (1 | g) + at(b, (1 | h))"),
        (". ~ . + exp(t | g)", "cbind(a, b) ~ x + at(a, z) + at(a, w) + (1 | g) + at(b, (1 | h)) + exp(t | g)"),
    ],
)  # fmt: skip
def test_update(change, new):
    found = update_formula(BOTH, change)
    assert found == new
    assert parse_formula(found).text == new


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (". ~ . - at(a, q)", "no term 'at(a, q)'"),
        (". ~ . - at(a, (1 | h))", "no random term at(a, (1 | h))"),
        (". ~ . - (1 | h)", "no random term (1 | h)"),
        (". ~ . + x:at(a, z)", "can only be added or taken away"),
        (". ~ . + at(q, z)", "which is no trait"),
        ("a ~ .", "a single one"),
    ],
)
def test_update_errors(change, message):
    with pytest.raises(FormulaError) as caught:
        update_formula(BOTH, change)
    assert message in str(caught.value)


def test_written_again():
    parsed = parse_formula(BOTH)
    assert fixed_text(parsed.fixed) == "x + at(a, z + w)"
    assert [random_text(term) for term in parsed.random] == ["(1 | g)", "at(b, (1 | h))"]
    named = parse_formula("cbind(log(a), b) ~ at(log(a), x + kin(id, K))")
    assert fixed_text(named.fixed) == "1 + at(`log(a)`, x)"
    assert [random_text(term) for term in named.random] == ["at(`log(a)`, kin(id, K))"]
    again = parse_formula(f"cbind(log(a), b) ~ {fixed_text(named.fixed)} + {random_text(named.random[0])}")
    assert again.by_trait == named.by_trait and again.random == named.random


def test_random_functions():
    parsed = parse_formula("y ~ x + exp(age | kin(ped)) + (1 | g)")
    assert [term.text for term in parsed.random] == ["1 | g"]
    (function,) = parsed.functions
    assert (function.structure, function.grouping.label, random_text(function)) == (
        "exp",
        "kin(ped)",
        "exp(age | kin(ped))",
    )
    assert [deparse(node) for node in function.lhs.variables] == ["age"]
    assert labels(parsed.fixed) == ["x"]
    assert labels(parse_formula("y ~ exp(x)").fixed) == ["exp(x)"]
    assert update_formula("y ~ x + exp(age | g)", ". ~ . - exp(age | g) - x") == "y ~ 1"


@pytest.mark.parametrize("term", ["exp(1 | g)", "exp(0 + x | g)", "exp(x + z | g)"])
def test_a_random_function_needs_one_covariate(term):
    with pytest.raises(FormulaError, match="one covariate"):
        parse_formula(f"y ~ {term}")
