"""Changes of a formula, against R's update.formula (``reference/update.json``, made by ``make_update.R``)."""

import json
from pathlib import Path

import pytest

from lmmpy.errors import FormulaError
from lmmpy.formula import deparse, parse_formula
from lmmpy.formula.update import update_formula

CASES = json.loads((Path(__file__).parent / "reference" / "update.json").read_text(encoding="utf-8"))
SLOPE = "Reaction ~ Days + (Days | Subject)"

# Where we mean to differ: R multiplies random terms as if they were variables, and cannot remove an offset.
OURS = {
    (SLOPE, ". ~ . * x"): "Reaction ~ Days + x + Days:x + (Days | Subject)",
    ("y ~ x + offset(off) + (1 | g)", ". ~ . - offset(off)"): "y ~ x + (1 | g)",
}


def meaning(text):
    """All that a formula says; R writes random terms and offsets among the fixed ones, we write them last."""
    parsed = parse_formula(text)
    fixed, response = parsed.fixed, parsed.response
    return (
        None if response is None else deparse(response),
        [(term.label, term.by_contrasts) for term in fixed.terms],
        fixed.intercept,
        [deparse(node) for node in fixed.offsets],
        [(term.text, term.structure, term.homogeneous) for term in parsed.random],
    )


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['old']} & {c['change']}")
def test_as_in_r(case):
    found = update_formula(case["old"], case["change"])
    pair = case["old"], case["change"]
    if pair in OURS:
        assert found == OURS[pair]
        assert meaning(found) != meaning(case["new"])
    else:
        assert meaning(found) == meaning(case["new"])


def test_the_table_is_there():
    assert len(CASES) >= 40
    assert all(any(pair == (case["old"], case["change"]) for case in CASES) for pair in OURS)


@pytest.mark.parametrize(
    ("old", "change", "new"),
    [
        (SLOPE, "~ . - Days", "Reaction ~ 1 + (Days | Subject)"),
        # A new formula is taken as it is written.
        (SLOPE, "y ~ b*a + (x||g)", "y ~ b * a + (x || g)"),
        (SLOPE, "~ x + (1|g)", "Reaction ~ x + (1 | g)"),
        (SLOPE, "log(.) ~ x*z + (1|g)", "log(Reaction) ~ x * z + (1 | g)"),
        # Random terms are known by what they say.
        (SLOPE, "~ . - (1 + Days | Subject) + (1 | h)", "Reaction ~ Days + (1 | h)"),
        ("y ~ x + (x + z | g:h) + (1 | k)", "~ . - (z + x | h:g)", "y ~ x + (1 | k)"),
        ("y ~ x + (x || g) + (1 | h)", "~ . - (x || g)", "y ~ x + (1 | h)"),
        ("y ~ x + (x || g) + (1 | h)", "~ . - (1 | g)", "y ~ x + (0 + x | g) + (1 | h)"),
        ("y ~ x + (x || g)", "~ . - (0 + x | g)", "y ~ x + (1 | g)"),
        ("y ~ x + (1 | g) + (0 + x | g)", "~ . - (x || g) + (x | g)", "y ~ x + (x | g)"),
        ("y ~ x + (1 | a/b)", "~ . - (1 | a)", "y ~ x + (1 | b:a)"),
        ("y ~ x + (1 | a/b)", "~ . - (1 | b:a)", "y ~ x + (1 | a)"),
        ("y ~ x + (1 | a/b)", "~ . - x", "y ~ 1 + (1 | a/b)"),
        ("y ~ x + (1 | a/b)", "~ . + (1 | a)", "y ~ x + (1 | a/b)"),
        ("y ~ x + cs(f | g) + (1 | h)", "~ . - cs(f | g) + us(f | g)", "y ~ x + (1 | h) + us(f | g)"),
        (
            "y ~ x + diag(0 + x | a/b, hom = TRUE)",
            "~ . - diag(0 + x | a, hom = TRUE)",
            "y ~ x + diag(0 + x | b:a, hom = TRUE)",
        ),
        ("y ~ x + ((1 | g) + (0 + x | g))", "~ . - (1 | g)", "y ~ x + (0 + x | g)"),
        ("y ~ (x + z)^2 - x:z + (1 | g)", "~ . + w", "y ~ x + z + w + (1 | g)"),
        ("y ~ x + (1 | g)", "~ .^2 + z", "y ~ x + z + (1 | g)"),
        ("y ~ a*b*c + (1 | g)", "~ . - a:b:c", "y ~ a + b + c + a:b + a:c + b:c + (1 | g)"),
        ("-y ~ x + (1 | g)", ". + 1 ~ .", "(-y) + 1 ~ x + (1 | g)"),
        ("y ~ x + (1 | g)", "d$y[.] ~ .", "d$y[y] ~ x + (1 | g)"),
    ],
)
def test_texts(old, change, new):
    assert update_formula(old, change) == new
    # What comes out is stable, and can be changed again.
    assert meaning(update_formula(new, ". ~ .")) == meaning(new)


@pytest.mark.parametrize(
    ("old", "change", "says"),
    [
        (SLOPE, "~ . - x", "no term 'x'.*fixed terms are 'Days'"),
        ("y ~ 1 + (1 | g)", "~ . - x", "no term 'x'.*are none"),
        ("y ~ a + b + (1 | g)", "~ . - a * b", "no term 'a:b'.*'a', 'b'"),
        (SLOPE, "~ . - Days - Days", "no term 'Days'"),
        (SLOPE, "~ . - (1 | Subject)", r"no random term \(1 \| Subject\).*are \(Days \| Subject\)"),
        (SLOPE, "~ . - (Days || Subject)", r"no random term \(1 \| Subject\)"),
        (SLOPE, "~ . - diag(Days | Subject)", r"no random term diag\(Days \| Subject\)"),
        (SLOPE, "~ . - (Days | Subject) - (Days | Subject)", "random terms are none"),
        (SLOPE, "~ . - offset(o)", r"no offset\(o\).*offsets are none"),
        (SLOPE, "~ -Days + .", "'. -Days', the dot first"),
        (SLOPE, "~ x - .", "cannot be taken away"),
        (SLOPE, "~ log(.)", "Name the columns"),
        (SLOPE, "~ . * (1 | g)", "only be added or taken away"),
        (SLOPE, ". - Days", "no '~'"),
        (SLOPE, "~ . + x | g", "parentheses"),
        (SLOPE, "~ . + (1 | )", "expected a term"),
        (SLOPE, "Days ~ .", "also stands on the right"),
        ("~ x + (1 | g)", "log(.) ~ .", "has none"),
        (SLOPE, 3, "not a int"),
    ],
)
def test_refusals(old, change, says):
    with pytest.raises(FormulaError, match=says):
        update_formula(old, change)
