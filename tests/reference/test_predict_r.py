"""Predictions against lme4: new data, with and without random effects, and the hat values of each fit."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from tests.reference.cases import array
from tests.reference.inference_cases import fit, frame, inference, names

RELATIVE = 1e-4
# Columns that only group.
GROUPS = {"Subject", "Batch", "Worker", "Block", "batch", "cask", "plate", "sample", "s", "d", "dept", "replicate"}


@pytest.mark.parametrize("case", names("hatvalues"))
def test_the_squared_standard_error_of_a_fitted_value_is_its_hat_value(case: str) -> None:
    """H = ∂ŷ/∂y and Cov(ŷ − η) = σ²HW⁻¹ for the joint predictor, so w·se²/σ² is what R's hatvalues() gives."""
    model = fit(case)
    found = (model.predict(se=True)["std_error"] / model.sigma) ** 2
    weights = model.prior_weights.reindex(found.index)
    expected = array(inference(case)["hatvalues"])
    found = (weights * found).dropna().to_numpy()  # R's hatvalues() leaves out the rows that na.exclude gives back
    expected = expected[~np.isnan(expected)]
    assert len(found) >= len(expected)
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=RELATIVE)


@pytest.mark.parametrize("case", names("newdata", "predict_new_cond", "predict_new_fixed"))
def test_new_data(case: str) -> None:
    model, stored = fit(case), inference(case)
    new = frame(stored["newdata"])
    found = model.predict(new, allow_new_levels=True, se=True)
    np.testing.assert_allclose(found["prediction"], array(stored["predict_new_cond"]), rtol=RELATIVE)
    population = model.predict(new, re_form="none", se=True)
    np.testing.assert_allclose(population["prediction"], array(stored["predict_new_fixed"]), rtol=RELATIVE)
    with pytest.raises(lmm.DataError, match=r"NEW|99"):
        model.predict(new)
    # Where all groups of a row are new, leaving the random effects out says the same of an observation.
    new = new.assign(w=1.0, **{name: "NEW" for name in GROUPS & set(new)})
    one, other = (
        model.predict(new, form, allow_new_levels=True, interval="prediction")[["conf_low", "conf_high"]]
        for form in ("all", "none")
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-10)


@pytest.mark.parametrize(
    ("case", "re_form", "expected"),
    [
        ("sleepstudy_slope_REML", "~ (1 | Subject)", [253.6636703, 221.4738139, 306.6504327]),
        ("sleepstudy_slope_REML", "~ (0 + Days | Subject)", [251.4051048, 253.2526876, 296.5707592]),
        ("sleepstudy_dbar_REML", "~ (1 | Subject)", [252.9178008, 221.4984925, 306.4296358]),
        ("sleepstudy_dbar_REML", "~ (Days | Subject)", [252.9178008, 212.8993234, 257.9395215]),
    ],
)
def test_some_effects_of_a_term(case: str, re_form: str, expected: list[float]) -> None:
    """predict(fit, sleepstudy[c(1, 12, 30), ], re.form = …) of lme4 1.1-31 at a tightened optimum."""
    rows = lmm.datasets.load("sleepstudy").iloc[[0, 11, 29]]
    np.testing.assert_allclose(fit(case).predict(rows, re_form=re_form), expected, rtol=1e-6)


def test_what_lme4_does_with_missing_values() -> None:
    """A missing level is the population's when new levels are allowed; a missing predictor makes its row NA."""
    rows = lmm.datasets.load("sleepstudy").iloc[[0, 11, 29]].astype({"Days": float, "Subject": str})
    model = fit("sleepstudy_slope_REML")
    nameless = rows.assign(Subject=["308", None, "310"])
    found = model.predict(nameless, allow_new_levels=True)
    np.testing.assert_allclose(found, [253.6636703, 261.8723908, 257.6105134], rtol=1e-6)
    with pytest.raises(lmm.DataError, match="missing values"):
        model.predict(nameless)
    found = model.predict(rows.assign(Days=[0.0, np.nan, 9.0]))
    np.testing.assert_allclose(found, [253.6636703, np.nan, 257.6105134], rtol=1e-6)
