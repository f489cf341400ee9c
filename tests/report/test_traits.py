"""What a summary says of several responses and of structured residuals."""

import numpy as np

from lmmpy.report import (
    FixedEffectsTable,
    RowParametersTable,
    SummaryData,
    TraitCounts,
    VarCorrRow,
    VarCorrTable,
    print_text,
    summary_html,
    summary_latex,
    summary_text,
)


def data(**changes: object) -> SummaryData:
    names = ("a:(Intercept)", "a:x", "b:(Intercept)", "b:a:x")
    estimate = np.array([1.0, 0.25, 4000.0, -12.5])
    table = FixedEffectsTable(
        names,
        estimate,
        np.abs(estimate) / 4,
        np.sign(estimate) * 4,
        p_value=np.full(4, 1e-4),
        traits=("a", "a", "b", "b"),
    )
    rows = (VarCorrRow("g", "a", 4.0, 2.0), VarCorrRow("g", "b", 9.0, 3.0, (0.5,)))
    residual = (VarCorrRow("Residual", "a", 1.0, 1.0), VarCorrRow("Residual", "b", 16.0, 4.0, (-0.25,)))
    given = {
        "method_line": "Linear mixed model fit by REML",
        "formula": "cbind(a, b) ~ x + (1 | g)",
        "criterion": {"REML criterion at convergence": 12.0},
        "varcorr": VarCorrTable(rows, residual),
        "n_obs": 37,
        "n_groups": {"g": 5},
        "fixed": table,
        "trait_counts": TraitCounts({"a": 20, "b": 17}, 21, 16),
    }
    return SummaryData(**{**given, **changes})


def test_effects_are_grouped_by_response() -> None:
    parts = data().fixed.by_trait()
    assert list(parts) == ["a", "b"]
    assert parts["a"].names == ("(Intercept)", "x")
    assert parts["b"].names == ("(Intercept)", "a:x")  # the response's own name is taken off once
    np.testing.assert_array_equal(parts["b"].estimate, [4000.0, -12.5])
    text = summary_text(data())
    lines = text.splitlines()
    assert lines.index("Fixed effects of a:") < lines.index("Fixed effects of b:")
    # Each response has its own decimals, and the legend of the stars is there once.
    assert "            Estimate Std. Error t value Pr(>|t|)" in text
    assert "(Intercept)   1.0000" in text and "(Intercept) 4000.0" in text
    assert text.count("Signif. codes") == 1
    assert "Number of obs: 37 (a, 20; b, 17), groups:  g, 5" in lines
    assert "Rows: 21, with all responses 16" in lines
    assert [line for line in print_text(data()).splitlines() if line.startswith("Fixed")] == [
        "Fixed Effects of a:",
        "Fixed Effects of b:",
    ]


def test_parameters_of_a_residual_have_their_own_digits() -> None:
    table = RowParametersTable("Parameters of the residual", ("rho", "rate"), np.array([0.61234567, 0.00123456]))
    told = data(row_parameters=(table,), residual="ar1(t | g) * varexp(x)")
    lines = summary_text(told).splitlines()
    place = lines.index("Parameters of the residual:")
    assert lines[place + 1].split() == ["rho", "rate"]
    assert lines[place + 2].split() == ["0.6123", "0.001235"]
    assert lines[1:3] == [" Formula: cbind(a, b) ~ x + (1 | g)", "Residual: ar1(t | g) * varexp(x)"]
    for document in (summary_html(told), summary_latex(told)):
        assert "Parameters of the residual" in document and "0.001235" in document


def test_a_model_without_random_effects() -> None:
    alone = data(varcorr=VarCorrTable((), (VarCorrRow("Residual", "", 4.0, 2.0),)), n_groups={}, trait_counts=None)
    lines = summary_text(alone).splitlines()
    assert "Residual:" in lines and "Random effects:" not in lines
    assert "Number of obs: 37" in lines
