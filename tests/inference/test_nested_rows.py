"""Whether one residual is a special case of another."""

from __future__ import annotations

import pytest

import lmmpy as lmm
from lmmpy.inference.nested_rows import rows_not_nested
from tests.model.structured import data, fit, quiet

RESIDUALS = {
    "none": None,
    "ar1": "ar1(t | g)",
    "car1": "car1(t | g)",
    "cs": "cs(1 | g)",
    "us": "us(0 + occasion | g)",
    "one variance": "us(0 + occasion | g, hom = TRUE)",
    "strata": "diag(0 + f | 1)",
    "power": "varpower(v)",
    "product": "ar1(t | g) * varpower(v)",
    "occasions": "varident(occasion)",
}
CONTAINS = {
    "none": set(RESIDUALS),
    "ar1": {"ar1", "car1", "product"},
    "car1": {"ar1", "car1", "product"},
    "cs": {"cs", "us", "one variance"},
    "us": {"us"},
    "one variance": {"us", "one variance"},
    "strata": {"strata"},
    "power": {"power", "product"},
    "product": {"product"},
    "occasions": {"occasions", "us"},
}


@pytest.mark.parametrize("small", RESIDUALS)
def test_special_cases(small):
    def design(residual):
        return lmm.lformula("y ~ x", data(), residual=residual).design

    one = design(RESIDUALS[small])
    found = {large for large, residual in RESIDUALS.items() if rows_not_nested(one, design(residual)) is None}
    # A correlation of whole times that is positive is one of continuous time; the value tried is.
    assert found == CONTAINS[small]


def test_comparisons_say_so():
    small, other = fit("gls"), quiet("y ~ x + f", data(), residual="diag(0 + f | 1)", reml=False)
    with pytest.raises(lmm.ModelError, match="which does not contain its residual"):
        lmm.parametric_bootstrap_lrt(other, small, n=2, seed=1)
    assert "does not contain its residual" in str(lmm.anova(other, small))
    within = quiet("y ~ x + f", data(), residual="cs(1 | g)", reml=False)
    assert "does not contain" not in str(lmm.anova(within, small))
    assert 0.0 < lmm.parametric_bootstrap_lrt(within, small, n=3, seed=1).p_value <= 1.0
