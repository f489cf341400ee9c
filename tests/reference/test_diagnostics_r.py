"""Hat values, distances, case deletion and components of the random effects, against lme4 1.1-31."""

import json

import numpy as np
import pytest

from tests.reference.cases import HERE
from tests.reference.checks import FIXED, VARIANCE
from tests.reference.inference_cases import fit, inference, matrix, names

STOPPED = 1e-4
# lme4 refits after each deletion by its default stopping rule, from θ̂: here its variance components end so far off that
# dfbeta is 4e-4 wrong. Deletions at a tightened optimum (make_deletions.R) say so, and agree with ours.
STOPPED_TOO_EARLY = ("sleepstudy_slope_ML", "obs")

DELETIONS = [(case, group) for case in names("influence") for group in inference(case)["influence"]]


def marked(case):
    """InstEval takes seconds to fit."""
    return pytest.param(case, marks=pytest.mark.slow) if case.startswith("insteval") else case


def close(found, expected, relative, floor=0.0):
    expected = np.atleast_1d(np.array(expected, dtype=float))  # one number was stored without its list
    np.testing.assert_allclose(np.asarray(found, dtype=float)[: len(expected)], expected, rtol=relative, atol=floor)


def test_the_cases_are_there():
    assert len(names("hatvalues")) >= 36
    assert len(DELETIONS) == 20


@pytest.mark.parametrize("case", names("hatvalues"))
def test_rows(case):
    model, r = fit(case), inference(case)
    close(model.hatvalues(), r["hatvalues"], FIXED)
    # lme4's rstudent takes σ from all rows: elsewhere such residuals are called (internally) standardized.
    scale = np.abs(np.array(r["rstudent"], dtype=float)).max()
    close(model.residuals("standardized"), r["rstudent"], FIXED, FIXED * scale)
    close(model.cooks_distance(), r["cooks"], VARIANCE, VARIANCE * np.max(r["cooks"]))


@pytest.mark.parametrize("case", [marked(case) for case in names("rePCA_sdev")])
def test_components(case):
    found = fit(case).re_pca()
    for group, expected in inference(case)["rePCA_sdev"].items():
        close(found[group].sdev, expected, VARIANCE, VARIANCE)


@pytest.mark.parametrize(("case", "group"), [deletion for deletion in DELETIONS if deletion != STOPPED_TOO_EARLY])
def test_case_deletion(case, group):
    model, r = fit(case), inference(case)["influence"][group]
    found = model.influence(None if group == "obs" else group)
    by_row = group == "obs"
    dfbeta = matrix(r["dfbeta"]).to_numpy()
    # Leaving out a group leaves a balanced design balanced, where β̂ does not depend on θ.
    close(found.dfbeta, dfbeta, 0.0, (STOPPED if by_row else 1e-9) * np.abs(dfbeta).max())
    if r.get("dfbetas") is not None:  # lme4 has none for a single coefficient
        close(found.dfbetas, matrix(r["dfbetas"]), 0.0, STOPPED)
    # lme4 multiplies dᵀ(Cov β̂)⁻¹d/p by (m − p)/m, m the number of what is left out. Cook (1977) does not, and with as
    # many coefficients as groups the product is zero, with more negative.
    m, p = len(found), model.design.p
    close(found.cooks * (m - p) / m, r["cooks"], 0.0, STOPPED * np.max(r["cooks"]))
    # What is stored as fixef_del and vc_del are those of the fit itself (lme4's names match in part).
    close(model.fixef, r["fixef_del"], FIXED)
    variances = model.varcorr.to_frame()["vcov"].to_numpy()
    close(sorted(variances, key=abs), sorted(np.atleast_1d(r["vc_del"]), key=abs), VARIANCE)


def test_deletions_at_a_tightened_optimum():
    case, group = STOPPED_TOO_EARLY
    stored = json.loads((HERE / "deletions.json").read_text(encoding="utf-8"))
    exact = np.array(stored["fixef"]) - np.array(stored["without"])
    size = np.abs(exact).max()
    ours = -fit(case).influence(None).dfbeta.to_numpy()
    theirs = -matrix(inference(case)["influence"][group]["dfbeta"]).to_numpy()
    sign = np.sign((ours * exact).sum())
    assert np.abs(sign * ours - exact).max() < 1e-6 * size
    assert np.abs(sign * theirs - exact).max() > 1e-4 * size
