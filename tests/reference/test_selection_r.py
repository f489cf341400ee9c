"""drop1, ranova and step against lme4 and lmerTest."""

import numpy as np
import pytest

from lmmpy.formula import parse_formula
from lmmpy.model.drop1 import drop1
from lmmpy.model.ranova import ranova
from lmmpy.model.step import step
from tests.reference.inference_cases import fit, frame, inference, more, more_fit, more_names, names

# The stored REML and ML optima are exact, refits within R stop by its own rule: likelihoods agree to 1e-6, a statistic
# near zero to twice that. F tests have lmerTest's numerical derivatives in them.
RELATIVE, ABSOLUTE, P_VALUE = 1e-6, 4e-6, 1e-4
DDF = {"satt": "satterthwaite", "kr": "kenward-roger"}

# With `0 + Days`, R's reduced models are no special cases of the fit: taking `Days` out of `(0 + Days | Subject)` it
# puts an intercept there (lmerTest: 0 parameters less, LRT -433), and out of the fixed part likewise (lme4: LRT -505).
# Ours are: without the random term, and with a mean of zero.
NOT_NESTED = ("sleepstudy_noint_ML", "sleepstudy_noint_REML")


def agrees(found, expected):
    assert list(found.index) == list(expected.index)
    for column in expected.columns.drop("said", errors="ignore"):  # what R warned of
        ours, theirs = found[column].to_numpy(float), expected[column].to_numpy(float)
        relative = P_VALUE if column.startswith(("Pr", "DenDF")) else RELATIVE
        absolute = 1e-300 if column.startswith("Pr") else ABSOLUTE
        np.testing.assert_allclose(ours, theirs, rtol=relative, atol=absolute, err_msg=column)


def of_terms(expected):
    """R calls the only row of a table without terms `1`; we call it what it is."""
    return expected.rename(index={"1": "<none>"}) if list(expected.index) == ["1"] else expected


def test_the_cases_are_there():
    assert len(names("ranova")) >= 36
    assert len(names("drop1_Chisq")) >= 36
    assert len(names("lmerTest_drop1_satt")) >= 36
    assert set(NOT_NESTED) <= set(names("ranova", "drop1_Chisq"))
    assert len(more_names("ranova")) >= 10
    assert len(more_names("drop1")) >= 5
    assert len(more_names("step")) >= 4


@pytest.mark.parametrize("case", [case for case in names("ranova") if case not in NOT_NESTED])
def test_ranova(case):
    agrees(ranova(fit(case)), frame(inference(case)["ranova"]))


@pytest.mark.parametrize("case", NOT_NESTED)
def test_where_the_models_of_r_are_not_nested(case):
    table, theirs = ranova(fit(case)), frame(inference(case)["ranova"])
    assert list(table.index) == list(theirs.index)
    assert theirs["Df"].iloc[1] == 0
    assert theirs["LRT"].iloc[1] < 0
    assert table["Df"].iloc[1] == 1
    assert table["npar"].iloc[1] == 2
    dropped, theirs = drop1(fit(case)), frame(inference(case)["drop1_Chisq"])
    assert theirs.loc["Days", "npar"] == 0
    assert theirs.loc["Days", "LRT"] < 0
    assert dropped.loc["Days", "npar"] == 1
    assert dropped.loc["<none>", "AIC"] == pytest.approx(theirs.loc["<none>", "AIC"], rel=RELATIVE)
    assert dropped.loc["Days", "LRT"] > 0


@pytest.mark.parametrize("case", [case for case in names("drop1_Chisq") if case not in NOT_NESTED])
def test_drop1_by_likelihood(case):
    agrees(drop1(fit(case)), of_terms(frame(inference(case)["drop1_Chisq"])))


@pytest.mark.parametrize("case", names("lmerTest_drop1_satt"))
def test_drop1_by_f(case):
    expected = frame(inference(case)["lmerTest_drop1_satt"])
    # Of a term that the others determine nothing can be tested; R has no number of degrees of freedom, we have zero.
    expected.loc[expected["F value"].isna(), "NumDF"] = 0.0
    agrees(drop1(fit(case), test="f"), expected)


@pytest.mark.parametrize("case", more_names("ranova"))
def test_more_ranova(case):
    stored = more(case)["ranova"]
    agrees(ranova(more_fit(case)), frame(stored["reduced"]))
    agrees(ranova(more_fit(case), reduce_terms=False), frame(stored["removed"]))


@pytest.mark.parametrize("case", more_names("drop1"))
def test_more_drop1(case):
    stored = more(case)["drop1"]
    agrees(drop1(more_fit(case)), frame(stored["chisq"]))
    for name in set(DDF) & set(stored):
        agrees(drop1(more_fit(case), test="f", ddf=DDF[name]), frame(stored[name]))


@pytest.mark.parametrize("case", more_names("step"))
def test_step(case):
    for name, stored in more(case)["step"].items():
        found = step(more_fit(case), ddf=DDF[name])
        agrees(found.random, frame(stored["random"]))
        agrees(found.fixed, frame(stored["fixed"]))
        ours, theirs = parse_formula(found.formula), parse_formula(stored["model"])
        assert [term.label for term in ours.fixed.terms] == [term.label for term in theirs.fixed.terms]
        assert [term.text for term in ours.random] == [term.text for term in theirs.random]
