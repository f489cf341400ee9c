"""Prints rebuilt from stored numbers, line by line against R's."""

import pytest

from lmmpy.report import anova_text, print_text, summary_text, varcorr_frame, varcorr_text
from tests.report.rebuild import CASES, anova_table, array, numbers, prints, summary_data, varcorr_table

ALL = 10**6


def lines(text):
    return text.rstrip("\n").split("\n")


def test_the_cases_are_there():
    assert len(CASES) >= 13


@pytest.mark.parametrize("name", CASES)
def test_summary(name):
    assert lines(summary_text(summary_data(name), max_correlation=ALL)) == lines(prints(name)["summary"])


@pytest.mark.parametrize("name", CASES)
def test_print(name):
    assert lines(print_text(summary_data(name))) == lines(prints(name)["print"])


@pytest.mark.parametrize("name", CASES)
def test_varcorr(name):
    table = summary_data(name).varcorr
    assert lines(varcorr_text(table)) == lines(prints(name)["varcorr"])
    assert lines(varcorr_text(table, variance=True)) == lines(prints(name)["varcorr both"])


@pytest.mark.parametrize(
    ("which", "options"),
    [
        ("several", {}),
        ("twelve", {}),
        ("several variance", {"variance": True, "std_dev": False}),
        ("several both", {"variance": True, "digits": 4}),
    ],
)
def test_made_up_varcorr(which, options):
    table = varcorr_table(numbers("varcorr")[which.split()[0]])
    assert lines(varcorr_text(table, **options)) == lines(prints("varcorr")[which])


@pytest.mark.parametrize("name", numbers("anova"))
def test_anova(name):
    frame, headings = anova_table(name)
    assert lines(anova_text(frame, headings)) == lines(prints("anova")[name])


@pytest.mark.parametrize("name", [*CASES, "several", "twelve"])
def test_varcorr_frame(name):
    stored = numbers("varcorr")[name] if name in {"several", "twelve"} else numbers(name)["varcorr"]
    frame, expected = varcorr_frame(varcorr_table(stored)), stored["frame"]
    for column in ("grp", "var1", "var2"):
        assert [v if isinstance(v, str) else "" for v in frame[column]] == expected[column]
    for column in ("vcov", "sdcor"):
        assert frame[column].to_numpy() == pytest.approx(array(expected[column]), rel=1e-12, nan_ok=True)
