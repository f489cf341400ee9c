"""HTML, LaTeX and frames say what the text says; notes and edges."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from lmmpy.report import (
    FixedEffectsTable,
    Summary,
    VarCorrTable,
    anova_html,
    anova_latex,
    print_text,
    summary_frame,
    summary_html,
    summary_latex,
    summary_text,
)
from tests.report.rebuild import CASES, anova_table, summary_data

VOID = {"br"}


class Tables(HTMLParser):
    """Cells of each table by row; fails on tags that do not pair."""

    def __init__(self, fragment):
        super().__init__()
        self.open, self.tables, self.words, self.styles = [], [], [], []
        self.feed(fragment)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self.styles.append((tag, dict(attrs).get("style")))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


@pytest.mark.parametrize("name", CASES)
def test_html_has_the_cells_of_the_text(name):
    data = summary_data(name)
    parsed = Tables(summary_html(data, max_correlation=99))
    text = summary_text(data, max_correlation=99).replace("< ", "<")
    for table in parsed.tables:
        assert len({len(row) for row in table}) == 1
        for cell in (cell for row in table for cell in row):
            assert cell.replace("< ", "<") in text
    coefficients = next(t for t in parsed.tables if "Estimate" in t[0])
    assert [row[0] for row in coefficients[1:]] == list(data.fixed.names)
    assert f"Number of obs: {data.n_obs}" in " ".join(parsed.words)


def test_html_escapes_names():
    data = replace(summary_data("sleepstudy_reml"), formula="y ~ I(x < 2 & z) + (1 | g)", data_name="<script>")
    fragment = summary_html(data)
    assert "<script>" not in fragment
    assert "I(x &lt; 2 &amp; z)" in fragment
    assert "y ~ I(x < 2 & z) + (1 | g)" in "".join(Tables(fragment).words)


def test_html_numbers_stand_right_and_words_left():
    parsed = Tables(summary_html(summary_data("sleepstudy_reml")))
    random = next(t for t in parsed.tables if "Groups" in t[0])
    assert random[1][:3] == ["Subject", "(Intercept)", "612.10"]
    styled = [s for s in parsed.styles if s[1] is not None]
    assert ("td", "text-align: left") in styled
    assert ("td", "text-align: right") in styled


def tabulars(latex):
    return re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", latex, flags=re.DOTALL)


def unescaped(latex, letter):
    return re.findall(r"(?<!\\)" + re.escape(letter), latex)


@pytest.mark.parametrize("name", CASES)
def test_latex_is_well_formed(name):
    latex = summary_latex(summary_data(name), max_correlation=99)
    assert len(unescaped(latex, "{")) == len(unescaped(latex, "}"))
    assert len(unescaped(latex, "$")) % 2 == 0
    for letter in "_#%~":
        assert not unescaped(latex, letter)
    outside_mathematics = re.sub(r"\$[^$]*\$", "", latex)
    assert "^" not in outside_mathematics
    tables = tabulars(latex)
    assert len(tables) == latex.count(r"\begin{tabular}") >= 4
    for columns, body in tables:
        rows = [line for line in body.split("\n") if line.endswith(r"\\")]
        assert len(rows) >= 2
        assert {len(unescaped(row, "&")) + 1 for row in rows} == {len(columns)}


def test_latex_writes_numbers_as_mathematics():
    latex = summary_latex(summary_data("sleepstudy_tests"))
    assert r"$< 2 \times 10^{-16}$" in latex
    assert r"$3.26 \times 10^{-6}$" in latex
    assert "$-0.138$" in latex
    assert "251.405" in latex


def test_latex_escapes_names():
    data = replace(summary_data("sleepstudy_reml"), data_name=r"my_data & 50% \ {x} #1 a^b ~")
    expected = r"my\_data \& 50\% \textbackslash{} \{x\} \#1 a\textasciicircum{}b \textasciitilde{}"
    assert expected in summary_latex(data)


def test_anova_in_html_and_latex():
    frame, headings = anova_table("four")
    parsed = Tables(anova_html(frame, headings))
    (table,) = parsed.tables
    assert table[0] == ["", *frame.columns, ""]
    assert table[2] == [
        "m1",
        "4",
        "1802.1",
        "1814.8",
        "-897.04",
        "1794.1",
        "116.4624",
        "1",
        "< 2.2e-16",
        "***",
    ]
    assert headings[2] in "".join(parsed.words)
    ((columns, body),) = tabulars(anova_latex(frame, headings))
    assert columns == "lrrrrrrrrl"
    assert r"m1 & 4 & 1802.1 & 1814.8 & $-897.04$ & 1794.1 & 116.4624 & 1 & $< 2.2 \times 10^{-16}$" in body


def test_anova_takes_missing_integers():
    frame, _ = anova_table("two")
    expected = anova_html(frame)
    frame["Df"] = pd.array([None, 1], dtype="Int64")
    assert anova_html(frame) == expected


def test_notes_come_last_everywhere():
    data = replace(summary_data("dyestuff2_singular"), notes=("The fit is singular: Batch has no variance.",))
    assert summary_text(data).endswith("8.352\nThe fit is singular: Batch has no variance.")
    assert print_text(data).endswith("5.666\nThe fit is singular: Batch has no variance.")
    assert "singular" in summary_html(data)
    assert "singular" in summary_latex(data)


def test_correlations_of_many_coefficients_are_left_out_with_a_note():
    text = summary_text(summary_data("cake"))
    assert "Correlation of Fixed Effects" not in text
    assert text.endswith("the 18 fixed effects are left out, being more than 12;\nmax_correlation=18 shows them.")
    assert "max_correlation=18" in summary_html(summary_data("cake"))
    assert "Correlation of Fixed Effects" in summary_text(summary_data("cake"), max_correlation=18)


def test_without_fixed_effects():
    none = np.empty(0)
    data = replace(summary_data("penicillin"), fixed=FixedEffectsTable((), none, none, none))
    for text in (summary_text(data), print_text(data)):
        assert text.endswith("No fixed effects")
    assert "Estimate" not in summary_html(data)


def test_a_long_title_is_folded():
    assert print_text(summary_data("cbpp_glmer")).split("\n")[1] == "  Approximation) [glmerMod]"


def test_structured_residual_has_a_row_for_each_part():
    data = summary_data("sleepstudy_reml")
    rows = tuple(replace(data.varcorr.residual[0], name=name) for name in ("F", "M"))
    text = summary_text(replace(data, varcorr=VarCorrTable(data.varcorr.rows, rows)))
    assert " Residual F           654.94   25.592\n          M           654.94   25.592" in text


def test_more_digits():
    # R: print(summary(fit), digits = 6)
    text = summary_text(summary_data("sleepstudy_reml"), digits=6)
    assert "\n(Intercept) 251.40510    6.82460 36.83809\nDays         10.46729    1.54579  6.77148\n" in text


def test_stars_can_be_left_out():
    text = summary_text(summary_data("sleepstudy_tests"), signif_stars=False)
    assert "3.26e-06" in text
    assert "*" not in text


def test_frame():
    data = summary_data("sleepstudy_tests")
    frame = summary_frame(data.fixed)
    assert list(frame.columns) == ["term", "estimate", "std_error", "statistic", "df", "p_value"]
    assert list(frame["term"]) == ["(Intercept)", "Days"]
    np.testing.assert_array_equal(frame["std_error"], data.fixed.std_error)
    assert "df" not in summary_frame(summary_data("penicillin").fixed)


def test_one_object_prints_every_form():
    data = summary_data("cake")
    summary = Summary(data, digits=3, max_correlation=20)
    assert str(summary) == repr(summary) == summary_text(data, 3, 20)
    assert summary._repr_html_() == summary_html(data, 3, 20)
    assert summary.to_latex() == summary_latex(data, 3, 20)
    pd.testing.assert_frame_equal(summary.to_frame(), summary_frame(data.fixed))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"std_error has shape \(1,\), but there are 2 fixed effects"):
        FixedEffectsTable(("a", "b"), np.ones(2), np.ones(1), np.ones(2))
