"""What a real fit prints, line by line against R's prints.

Two lines differ by design. The first has no ``['lmerMod']``, R's class; and the formula stays as it was written, where
R expands ``||`` into two terms. A singular fit says so below, in words of lmmpy.
"""

import html
import re
import warnings
from functools import cache

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy.report import summary_text
from tests.reference.cases import HERE
from tests.report import rebuild

ALL = 10**6
OPTIONS = {"weights": "w", "offset": "Days * 2", "subset": "Days > 1"}
MODELS = {
    "sleepstudy_reml": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}),
    "sleepstudy_ml": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {"reml": False}),
    "sleepstudy_uncorrelated": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", {}),
    "sleepstudy_weighted": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", OPTIONS),
    "penicillin": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", {}),
    "dyestuff2_singular": ("Yield ~ 1 + (1 | Batch)", "Dyestuff2", {}),
    "machines": ("score ~ Machine + (Machine | Worker)", "Machines", {}),
    "cake": ("angle ~ recipe * temperature + (1 | recipe:replicate)", "cake", {}),
    "cake_large": ("micro ~ recipe + temperature + (1 | recipe:replicate)", "cake", {}),
    "sleepstudy_small": ("short ~ ms + (1 | Subject)", "sleepstudy", {}),
}
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]\d+)?(?![\w.])")


@cache
def data(name):
    frame = lmm.datasets.load(name)
    if name == "sleepstudy":
        frame = frame.assign(w=np.linspace(0.5, 2.0, 180), ms=frame["Days"] * 1e6, short=frame["Reaction"] * 1e-4)
    return frame.assign(micro=frame["angle"] * 1e6) if name == "cake" else frame


@cache
def fit(name):
    formula, frame, options = MODELS[name]
    # The summary names the variable that holds the data.
    scope = {"lmm": lmm, frame: data(frame), "formula": formula, "options": options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        return eval(f"lmm.lmer(formula, {frame}, **options)", scope)


def ours(name):
    shown = {
        "summary": summary_text(fit(name).summary().data, max_correlation=ALL),
        "print": str(fit(name)),
        "varcorr": str(fit(name).varcorr),
    }
    note = "boundary (singular) fit: see fit.convergence"
    found = {which: text.rstrip("\n").split("\n") for which, text in shown.items()}
    for which in ("summary", "print"):
        assert (found[which][-1] == note) is (name == "dyestuff2_singular")
        found[which] = [line for line in found[which] if line != note]
    return found


def as_r_says(text):
    """R's lines without the two differences by design."""
    text = re.sub(r" +\['lmerMod'\]", "", text)
    return text.replace("((1 | Subject) + (0 + Days | Subject))", "(Days || Subject)").rstrip("\n").split("\n")


def tight(name):
    parts = (HERE / "prints" / f"{name}.txt").read_text(encoding="utf-8").split("#### ")[1:]
    return {head: as_r_says(body) for head, body in (part.split("\n", 1) for part in parts)}


@pytest.mark.parametrize("name", MODELS)
def test_lines_are_those_of_r(name):
    """Equal to the last digit, R's optimum tightened."""
    assert ours(name) == tight(name)


def units(text):
    """One unit in the last printed place."""
    digits, _, exponent = text.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


@pytest.mark.parametrize("name", MODELS)
def test_lines_are_those_of_lmers_own_optimum(name):
    """The same words; numbers to a unit in the last place, or as far as lmer's early stop leaves them apart (1e-4)."""
    for which, lines in ours(name).items():
        expected = as_r_says(rebuild.prints(name)[which])
        assert len(lines) == len(expected)
        for found, line in zip(lines, expected, strict=True):
            assert NUMBER.sub("#", found).split() == NUMBER.sub("#", line).split()
            for a, b in zip(NUMBER.findall(found), NUMBER.findall(line), strict=True):
                assert abs(float(a) - float(b)) <= max(1.01 * max(units(a), units(b)), 1e-4 * abs(float(b))), line


def comparisons():
    sleepstudy = data("sleepstudy")
    formulas = ("1 + (1 | Subject)", "Days + (1 | Subject)", "Days + (Days || Subject)", "Days + (Days | Subject)")
    m0, m1, m2, m3 = (lmm.lmer(f"Reaction ~ {right}", sleepstudy, reml=False) for right in formulas)
    return {"two": lmm.anova(m2, m3), "strong": lmm.anova(m1, m0), "four": lmm.anova(m0, m1, m2, m3)}


def test_comparisons():
    shown = {which: str(table).rstrip("\n").split("\n") for which, table in comparisons().items()}
    notes = {which: [line for line in lines if " is on the boundary of " in line] for which, lines in shown.items()}
    assert [which for which, own in notes.items() if own] == ["four"]  # it adds a variance; R has no such line
    assert notes["four"] == [
        "m1 is on the boundary of m2, where (0 + Days | Subject) has no variance: Pr(>Chisq) is too large "
        "(conservative); lmm.ranova(m2) has the mixture."
    ]
    tables = {which: [line for line in lines if line not in notes[which]] for which, lines in shown.items()}
    assert tables == tight("anova")
    assert tables == {which: as_r_says(rebuild.prints("anova")[which]) for which in tables}


def test_refitting_is_announced():
    sleepstudy = data("sleepstudy")
    m2 = lmm.lmer("Reaction ~ Days + (Days || Subject)", sleepstudy)
    m3 = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    first, *rest = str(lmm.anova(m3, m2)).rstrip("\n").split("\n")
    assert first == "refitting model(s) with ML (instead of REML)"
    assert rest == tight("anova")["two"]


STATED = {
    "penicillin": {
        "REML criterion at convergence:": "330.9",
        " plate    (Intercept)": "0.717 0.847",
        " sample   (Intercept)": "3.731 1.932",
        " Residual": "0.302 0.550",
        "(Intercept)": "22.972 0.809 28.4",
    },
    "sleepstudy_reml": {
        "REML criterion at convergence:": "1743.6",
        " Subject  (Intercept)": "612.1 24.74 ",
        "          Days": "35.07 5.92 0.07",
        " Residual": "654.9 25.59",
        "(Intercept)": "251.405 6.825 36.838",
        "Days        ": "10.467 1.546 6.771",
    },
}


@pytest.mark.parametrize("name", STATED)
def test_figures_that_are_quoted_everywhere(name):
    """To the digits in which they are quoted: the summary prints at least as many."""
    lines = ours(name)["summary"]
    for label, figures in STATED[name].items():
        (line,) = [line for line in lines if line.startswith(label) and not line.endswith("(Intr)")][:1]
        found, wanted = NUMBER.findall(line), figures.split()
        assert len(found) == len(wanted)
        for text, quoted in zip(found, wanted, strict=True):
            # Printed digits are rounded once, quoted ones once more.
            assert abs(float(text) - float(quoted)) <= 0.5 * units(quoted) + 1e-9, line


def plain(markup):
    """The text of HTML or LaTeX."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", markup))
    text = re.sub(r" \\times 10\^\{(-?\d+)\}", lambda power: f"e{int(power[1]):+03d}", text)
    return re.sub(r"\\[a-z]+\{?|[{}$&\\]", " ", text).replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize("name", MODELS)
def test_html_and_latex_hold_the_same_figures(name):
    summary = fit(name).summary()
    expected = sorted(NUMBER.findall("\n".join(str(summary).split("\n")[3:])))
    assert len(expected) > 10
    for markup in (summary._repr_html_(), summary.to_latex()):
        found = NUMBER.findall(plain(markup))
        missing = [number for number in expected if number not in found]
        assert not missing


def test_comparison_as_html_and_latex():
    table = comparisons()["two"]
    for markup in (table._repr_html_(), table.to_latex()):
        found = NUMBER.findall(plain(markup))
        assert {"1762.0", "1763.9", "0.0639", "0.8004"} <= set(found)
