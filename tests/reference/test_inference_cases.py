"""What the tests of inference rest on: both sides speak of the same fit."""

import numpy as np
import pytest

from tests.reference import checks
from tests.reference.cases import array
from tests.reference.inference_cases import frame, inference, matrix, more, more_fit, more_names, names


def test_the_cases_are_there():
    assert len(names()) == 44
    assert len(names("pbkr")) == 7
    assert len(more_names()) == 29
    assert more_names("direct") == ["dyestuff2", "penicillin_ml", "perfect_correlation"]


@pytest.mark.parametrize("name", more_names())
def test_further_cases_are_the_same_fits(name):
    fit, r = more_fit(name), more(name)
    criterion = fit.reml_criterion if r["REML"] else fit.deviance
    assert criterion == pytest.approx(r["criterion"], abs=checks.CRITERION, rel=0)
    assert list(fit.fixef.index) == r["beta"]["names"]
    assert list(fit.dropped) == r["dropped"]
    np.testing.assert_array_less(np.abs(fit.fixef - array(r["beta"]["values"])), checks.FIXED * fit.se)
    assert fit.sigma == pytest.approx(r["sigma"], rel=checks.FIXED)
    assert fit.is_singular() is r["singular"]


def test_henderson_and_glmmtmb_agree():
    """Two ways to a standard error of prediction in R: neither is lmmpy's."""
    for name in more_names("prediction"):
        found = more(name)["prediction"]
        if found["glmmTMB"] is not None:  # weights are another thing there
            checks.close(found["glmmTMB"]["theta_held"]["se"], found["all"]["se"], 1e-6)


def test_tables_and_matrices_are_read():
    table = frame(inference("sleepstudy_slope_REML")["ranova"])
    assert list(table.index) == ["<none>", "Days in (Days | Subject)"]
    assert table["Df"].dtype == float
    assert matrix(inference("sleepstudy_slope_REML")["vcovAdj_KR"]).shape == (2, 2)
