"""`lmer` with `kin()` against lme4qtl 0.2.2 on the simulated family study.

Its stored optima are tight, the singular one of the random slope included: log-likelihoods agree to 1e-11, so that
1e-8 is asked for, and estimates to what a flat likelihood leaves, 1e-5 for variances.
"""

import json

import pytest

import lmmpy as lmm
from tests.qtl.family import FAMILY, kinship, pedigree, people

LME4QTL = json.loads((FAMILY / "lme4qtl.json").read_text())
MODELS = {
    "polygenic": "bmi ~ age + sex + kin(ID, A)",
    "household": "bmi ~ age + sex + (1 | HHID) + kin(ID, A)",
    "snp7": "bmi ~ age + sex + snp7 + kin(ID, A)",
    "fvii": "fvii ~ age + sex + kin(ID, A)",
    "random_slope": "fvii ~ age + (1 + sex | kin(ID, A))",
}
KINDS = {"pedigree": pedigree, "matrix": kinship}
CASES = [(model, method) for model in MODELS for method in ("REML", "ML")]


def fitted(formula, method, kind="pedigree"):
    return lmm.lmer(formula, people(), reml=method == "REML", relmat={"A": KINDS[kind]()})


def components(rows):
    """Variances and covariances by (group, effect, effect), lme4qtl's ID being our kin(ID, A)."""
    names = {"kin(ID, A)": "ID"}
    return {(names.get(row["grp"], row["grp"]), row.get("var1"), row.get("var2")): row["vcov"] for row in rows}


def ours(fit):
    table = fit.varcorr.to_frame()
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return components(rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("model", "method"), CASES)
@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_likelihood_effects_and_variances(model, method, kind):
    theirs = LME4QTL[f"{model}_{method}"]
    fit = fitted(MODELS[model], method, kind)
    assert fit.is_singular() == (model == "random_slope")
    assert fit.nobs == theirs["nobs"]
    assert fit.loglik == pytest.approx(theirs["logLik"], abs=1e-8)
    assert fit.fixef.to_dict() == pytest.approx(theirs["beta"], rel=1e-6)
    assert fit.se.to_dict() == pytest.approx(theirs["se"], rel=1e-6)
    assert fit.sigma == pytest.approx(theirs["sigma"], rel=1e-5)
    assert ours(fit) == pytest.approx(components(theirs["varcorr"]), rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_the_term_may_be_named_by_its_column_as_in_lme4qtl(model):
    theirs = LME4QTL[f"{model}_REML"]
    fit = lmm.lmer(theirs["formula"], people(), relmat={"ID": pedigree()})
    assert fit.loglik == pytest.approx(theirs["logLik"], abs=1e-8)
    assert ours(fit) == pytest.approx(components(theirs["varcorr"]), rel=1e-5)


def test_proportions_of_variance():
    theirs = {row["grp"]: row["prop"] for row in LME4QTL["varprop_fvii"]}
    found = fitted("fvii ~ age + sex + kin(ID, A)", "REML").vpredict(h2="`kin(ID, A)` / (`kin(ID, A)` + Residual)")
    assert found.loc["h2", "estimate"] == pytest.approx(theirs["ID"], abs=1e-6)
