"""Single rules of formatting against what R makes of the same numbers and names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmpy.report.abbreviation import abbreviate
from lmmpy.report.numbers import format_p, r_format, round_to, stars, zapsmall
from tests.report.rebuild import array, numbers

FORMATS = numbers("formats")


def with_infinities(values):
    return [{"Inf": np.inf, "-Inf": -np.inf}.get(v, v) for v in values]


@pytest.mark.parametrize("case", FORMATS["format"], ids=lambda c: f"{c['values']}-{c['digits']}")
def test_format(case):
    values = array(with_infinities(case["values"]))
    expected = [text.replace(" NA", "NaN").replace("NA", "NaN") for text in case["text"]]
    assert r_format(values, case["digits"]) == expected


@pytest.mark.parametrize("case", FORMATS["p_values"], ids=lambda c: f"{c['values']}-{c['digits']}")
def test_p_values_and_stars(case):
    assert [p.strip() for p in format_p(case["values"], case["digits"])] == [p.strip() for p in case["text"]]
    assert stars(case["values"]) == [star.strip() for star in case["stars"]]


@pytest.mark.parametrize("case", FORMATS["zapsmall"], ids=lambda c: f"{c['values']}-{c['digits']}")
def test_zapsmall(case):
    np.testing.assert_array_equal(zapsmall(array(case["values"]), case["digits"]), array(case["result"]))


@pytest.mark.parametrize("case", FORMATS["round"], ids=lambda c: f"{c['values'][0]}-{c['decimals']}")
def test_round(case):
    np.testing.assert_array_equal(round_to(case["values"], case["decimals"]), case["result"])


@pytest.mark.parametrize("case", FORMATS["abbreviate"], ids=lambda c: f"{c['names'][0]}-{c['length']}")
def test_abbreviate(case):
    assert abbreviate(case["names"], case["length"]) == case["text"]


@given(st.lists(st.text("ab cDE_1:", min_size=1, max_size=12), max_size=8), st.integers(1, 11))
def test_abbreviate_ends_and_keeps_order(names, length):
    short = abbreviate(names, length)
    assert len(short) == len(names)
    for name, text in zip(names, short, strict=True):
        letters = iter(name)
        assert all(letter in letters for letter in text)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=5),
    st.integers(1, 9),
)
def test_every_number_keeps_its_digits(values, digits):
    texts = r_format(values, digits)
    assert len(set(map(len, texts))) == 1
    for value, text in zip(values, texts, strict=True):
        assert float(text) == pytest.approx(value, rel=0.5000001 * 10.0 ** (1 - digits), abs=0)


def test_a_rounded_zero_has_no_sign():
    assert r_format(round_to([-1e-9, 0.5], 3), nsmall=3) == ["0.000", "0.500"]


def test_missing_p_value_is_blank():
    assert format_p([np.nan, 0.25]) == ["", "0.25"]
    assert stars([np.nan, 0.01]) == ["", "**"]


def test_no_digits_is_an_error():
    with pytest.raises(ValueError, match="digits = 0"):
        r_format([1.0], 0)
