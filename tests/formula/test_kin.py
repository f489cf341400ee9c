"""`kin(A)` and `kin(id, A)` in formulas: what they are read as, changed to and printed as, and what is refused."""

from __future__ import annotations

import pytest

from lmmpy.errors import FormulaError
from lmmpy.formula import deparse, parse_formula
from lmmpy.formula.update import random_key, random_text, update_formula


def terms(text):
    """Left of the bar, grouping label, id, relatedness, structure and text of each random term."""
    found = []
    for term in parse_formula(text).random:
        kin = term.grouping.kin
        written = None if kin is None else (kin.id and deparse(kin.id), deparse(kin.relatedness))
        left = ("1 " if term.lhs.intercept else "") + " ".join(t.label for t in term.lhs.terms)
        found.append((left.strip(), term.grouping.label, written, term.structure, random_text(term)))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kin(ped)", [("1", "kin(ped)", (None, "ped"), "us", "kin(ped)")]),
        ("(kin(ped))", [("1", "kin(ped)", (None, "ped"), "us", "kin(ped)")]),
        ("(1 | kin(ped))", [("1", "kin(ped)", (None, "ped"), "us", "(1 | kin(ped))")]),
        ("kin( id,A )", [("1", "kin(id, A)", ("id", "A"), "us", "kin(id, A)")]),
        ("(x|kin(id,A))", [("1 x", "kin(id, A)", ("id", "A"), "us", "(x | kin(id, A))")]),
        (
            "(x || kin(id, A))",
            [
                ("1", "kin(id, A)", ("id", "A"), "us", "(1 | kin(id, A))"),
                ("x", "kin(id, A)", ("id", "A"), "us", "(0 + x | kin(id, A))"),
            ],
        ),
        ("diag(x | kin(A))", [("1 x", "kin(A)", (None, "A"), "diag", "diag(x | kin(A))")]),
        ("cs(0 + f | kin(A))", [("f", "kin(A)", (None, "A"), "cs", "cs(0 + f | kin(A))")]),
        ("us(x | kin(A))", [("1 x", "kin(A)", (None, "A"), "us", "(us(x | kin(A)))")]),
        ("kin(paste(a, b), A)", [("1", "kin(paste(a, b), A)", ("paste(a, b)", "A"), "us", "kin(paste(a, b), A)")]),
        (
            "kin(id, ped.dominance()) + kin(id, ped)",
            [
                ("1", "kin(id, ped.dominance())", ("id", "ped.dominance()"), "us", "kin(id, ped.dominance())"),
                ("1", "kin(id, ped)", ("id", "ped"), "us", "kin(id, ped)"),
            ],
        ),
        ('kin(id, K["add"])', [("1", 'kin(id, K["add"])', ("id", 'K["add"]'), "us", 'kin(id, K["add"])')]),
        ("kin(id, K$add)", [("1", "kin(id, K$add)", ("id", "K$add"), "us", "kin(id, K$add)")]),
        ("kin(id, {peds[0]})", [("1", "kin(id, {peds[0]})", ("id", "{peds[0]}"), "us", "kin(id, {peds[0]})")]),
        (
            "(1 | g + kin(A))",
            [("1", "g", None, "us", "(1 | g)"), ("1", "kin(A)", (None, "A"), "us", "(1 | kin(A))")],
        ),
        (
            "kin(id, A) + (1 | id)",
            [("1", "kin(id, A)", ("id", "A"), "us", "kin(id, A)"), ("1", "id", None, "us", "(1 | id)")],
        ),
    ],
)
def test_what_is_read(text, expected):
    found = terms(f"y ~ x + {text}")
    if text.startswith("us("):  # `us` is what no structure is
        assert [t[:4] for t in found] == [t[:4] for t in expected]
    else:
        assert found == expected


def test_it_is_the_same_with_a_bar_and_is_printed_as_it_was_written():
    bare, barred = (parse_formula(f"y ~ x + {text}") for text in ("kin(id,A)", "(1|kin(id,A))"))
    assert random_key(bare.random[0]) == random_key(barred.random[0])
    assert bare.text == "y ~ x + kin(id, A)" and barred.text == "y ~ x + (1 | kin(id, A))"
    assert bare.fixed.terms == barred.fixed.terms
    others = ("kin(A)", "kin(id, B)", "kin(g, A)", "(x | kin(id, A))", "(1 | id)")
    keys = {random_key(parse_formula(f"~ {text}").random[0]) for text in (*others, "kin(id, A)")}
    assert len(keys) == len(others) + 1


def test_what_is_printed_is_read_as_the_same():
    for text in ("kin(ped)", "(x | kin(id, ped.maternal()))", "cs(f | kin(A))", "diag(x | kin(id, A), hom = TRUE)"):
        term = parse_formula(f"~ {text}").random[0]
        assert parse_formula(f"~ {random_text(term)}").random[0] == term


OLD = "y ~ x + kin(ped) + (x || kin(id, B)) + (1 | g)"


@pytest.mark.parametrize(
    ("change", "new"),
    [
        (". ~ .", OLD),
        (". ~ . - kin(ped)", "y ~ x + (x || kin(id, B)) + (1 | g)"),
        (". ~ . - (1 | kin(ped))", "y ~ x + (x || kin(id, B)) + (1 | g)"),
        (". ~ . - kin(id, B)", "y ~ x + kin(ped) + (0 + x | kin(id, B)) + (1 | g)"),
        (". ~ . - (0 + x | kin(id, B))", "y ~ x + kin(ped) + (1 | kin(id, B)) + (1 | g)"),
        (". ~ . + kin(ped)", OLD),
        (". ~ . + (1 | kin(ped))", OLD),
        ("~ . + z + kin(id, ped)", "y ~ x + z + kin(ped) + (x || kin(id, B)) + (1 | g) + kin(id, ped)"),
        (". ~ . - kin(ped) + (x | kin(ped)) - x", "y ~ 1 + (x || kin(id, B)) + (1 | g) + (x | kin(ped))"),
        ("~ kin(ped)", "y ~ kin(ped)"),
    ],
)
def test_changes(change, new):
    assert update_formula(OLD, change) == new


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (". ~ . - kin(B)", r"no random term kin\(B\) to take away; the random terms are kin\(ped\), \(1 \| kin\(id"),
        (". ~ . - kin(ped) - kin(ped)", "no random term"),
        (". ~ . * kin(ped)", r"The random term kin\(ped\) can only be added or taken away"),
        (". ~ . + x:kin(ped)", "can only be added or taken away"),
    ],
)
def test_changes_that_are_refused(change, says):
    with pytest.raises(FormulaError, match=says):
        update_formula(OLD, change)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kin()", ["'kin()' has no arguments", "kin(id, A)"]),
        ("(1 | kin())", ["'kin()' has no arguments"]),
        ("kin(a, b, A)", ["'kin(a, b, A)' has 3 arguments", "kin(A)"]),
        ("kin(id = g, A)", ["have no names", "kin(id, A)"]),
        ("kin(3)", ["'3' cannot be a relatedness", "ped.dominance()"]),
        ("kin(id, A + B)", ["'A + B' cannot be a relatedness"]),
        ("kin(id, 'A')", ["cannot be a relatedness"]),
        ("kin(id, kin(A))", ["another kin()"]),
        ("(1 | kin(id, A):g)", ["kin(id, A) cannot be nested", "(0 + g | kin(id, A))"]),
        ("(1 | g:kin(id, A))", ["cannot be nested", "(0 + g | kin(id, A))"]),
        ("(1 | g/kin(id))", ["kin(id) cannot be nested"]),
        ("(1 | kin(A)/g)", ["kin(A) cannot be nested", "kin(A) + (1 | g)"]),
        ("(1 | kin(A)*kin(B))", ["cannot be nested"]),
        ("kin(A) * x", ["can only be added", "'*'", "(x | kin(A))"]),
        ("x:kin(A)", ["can only be added", "':'", "(x | kin(A))"]),
        ("log(x) * kin(A)", ["(log(x) | kin(A))"]),
        ("kin(A) * kin(B)", ["can only be added", "(effects | group)"]),
        ("kin(id, A):g", ["can only be added", "(g | kin(id, A))"]),
        ("g / kin(A)", ["can only be added"]),
        ("x - kin(A)", ["can only be added", "'-'"]),
        ("log(kin(A))", ["kin(A) is a random term and has no value"]),
        ("I(x * kin(A))", ["kin(A) is a random term"]),
        ("(kin(A) | g)", ["kin(A) is a random term"]),
        ("(0 + x:kin(A) | g)", ["kin(A) is a random term"]),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(FormulaError) as caught:
        parse_formula(f"y ~ {text}")
    assert [word for word in words if word not in str(caught.value)] == [], caught.value
