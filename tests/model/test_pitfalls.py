"""What would give a wrong answer without a word: refused, or said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy import DataError, FormulaError, MissingValuesWarning, ScaleWarning


@pytest.fixture
def data() -> pd.DataFrame:
    frame = lmm.datasets.load("sleepstudy")
    frame["late"] = frame["Days"] > 4
    frame["w"] = np.linspace(0.5, 2.0, len(frame))
    return frame.set_index(np.arange(100, 100 + len(frame)))


MODEL = "Reaction ~ Days + (1 | Subject)"


@pytest.mark.parametrize("subset", ["~late", "~(Days > 4)", "(Days > 1) & ~late"])
def test_a_tilde_is_not_not(data: pd.DataFrame, subset: str) -> None:
    with pytest.raises(FormulaError, match="For 'not' write !"):
        lmm.lmer(MODEL, data, subset=subset)
    assert lmm.lmer(MODEL, data, subset="!late").nobs == int((~data["late"]).sum())


@pytest.mark.parametrize("weights", ["(1 | Days)", "late", "Days > 3"])
def test_truth_values_are_no_weights(data: pd.DataFrame, weights: str) -> None:
    with pytest.raises(DataError, match="must be one number a row"):
        lmm.lmer(MODEL, data, weights=weights)


@pytest.mark.parametrize("what", ["weights", "offset", "subset"])
def test_a_series_must_have_the_index_of_the_data(data: pd.DataFrame, what: str) -> None:
    values = data["late"] if what == "subset" else data["w"]
    lmm.lmer(MODEL, data, **{what: values})
    with pytest.raises(DataError, match=f"{what} is a Series with another index"):
        lmm.lmer(MODEL, data, **{what: values[::-1]})


def test_series_of_a_mapping_must_have_one_index(data: pd.DataFrame) -> None:
    columns = {name: data[name] for name in data}
    lmm.lmer(MODEL, columns)
    with pytest.raises(DataError, match="different indexes"):
        lmm.lmer(MODEL, columns | {"Days": data["Days"][::-1]})


def test_values_that_a_transformation_loses_are_announced(data: pd.DataFrame) -> None:
    with pytest.warns(MissingValuesWarning, match=r"'log\(Reaction - 300\)' is undefined in 102 rows"):
        fit = lmm.lmer("log(Reaction - 300) ~ Days + (1 | Subject)", data)
    assert fit.nobs == 78


def test_values_that_were_missing_before_are_not_announced(data: pd.DataFrame) -> None:
    data.loc[105, "Days"] = np.nan
    assert lmm.lmer("Reaction ~ sqrt(Days) + (1 | Subject)", data).nobs == 179


def test_constants_of_python(data: pd.DataFrame) -> None:
    raw = lmm.lformula("Reaction ~ poly(Days, 2, raw=True) + (1 | Subject)", data).X
    np.testing.assert_array_equal(raw.iloc[:, 2], data["Days"] ** 2)
    assert lmm.lmer(MODEL, data, subset="late == True").nobs == int(data["late"].sum())


def test_a_slope_far_from_zero_is_as_good_as_a_centred_one() -> None:
    data = lmm.datasets.load("sleepstudy")
    plain = lmm.lmer("Reaction ~ Days + (Days | Subject)", data)
    far = lmm.lmer("Reaction ~ second + (second | Subject)", data.assign(second=20000.0 + data["Days"]))
    assert far.reml_criterion == pytest.approx(plain.reml_criterion, abs=1e-7) and far.convergence.ok
    np.testing.assert_allclose(far.fitted(), plain.fitted(), rtol=1e-8)


def test_a_slope_too_far_from_zero_is_announced() -> None:
    data = lmm.datasets.load("sleepstudy")
    data["second"] = 1e9 + data["Days"]
    with pytest.warns(ScaleWarning, match="'second'.*Centre"), warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.ConvergenceWarning)
        lmm.lmer("Reaction ~ 1 + (second | Subject)", data)


def test_the_summary_takes_digits_and_the_size_of_the_correlation(data: pd.DataFrame) -> None:
    fit = lmm.lmer(MODEL, data)
    assert "251.4051" in str(fit.summary(digits=7))
    assert "Correlation of Fixed Effects" not in str(fit.summary(max_correlation=1))


def test_numbers_that_were_read_as_text(data: pd.DataFrame) -> None:
    data["text"] = data["Reaction"].astype(str)
    with pytest.raises(lmm.ModelError, match="were numbers read as text"):
        lmm.lmer("Reaction ~ text + (1 | Subject)", data)


def test_no_rows(data: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="No rows are left"):
        lmm.lmer(MODEL, data.iloc[:0])


def test_a_column_that_new_data_lack(data: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no column 'Subject' in the new data"):
        lmm.lmer(MODEL, data).predict({"Days": [1.0]})


def test_random_effects_print_by_term(data: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ Days + (Days || Subject)", data)
    assert "$Subject.1" in repr(fit.ranef())
    assert "<table" in fit.ranef()._repr_html_() and "<table" in fit.varcorr._repr_html_()
