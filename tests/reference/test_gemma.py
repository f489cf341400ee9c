"""Exact tests against GEMMA 0.98.5 (`-lmm 4`) and SOLAR: what GEMMA prints to six digits agrees to four and more.

GEMMA finds λ to about 1e-5, relatively, so that β and what follows from REML agree to 2e-5; the likelihood is flat
there.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from lmmpy import Relatedness, lmer
from lmmpy.inference.spectral_exact import spectral_exact
from tests.qtl.family import pedigree, people, solar
from tests.reference.gemma.studies import HERE, STUDIES, study

TOLERANCES = {
    "beta": 2e-5,
    "se": 1e-5,
    "logl_H1": 2e-7,
    "l_remle": 3e-5,
    "l_mle": 3e-5,
    "p_wald": 3e-5,
    "p_lrt": 3e-6,
    "p_score": 3e-6,
}


@cache
def found(name):
    data = study(name)
    n = len(data.y)
    centre = np.eye(n) - 1.0 / n
    K = Relatedness(centre @ data.K @ centre, labels=range(n))
    frame = pd.DataFrame({"y": data.y, "id": range(n)} | {f"x{j}": x for j, x in enumerate(data.X.T)})
    formula = " + ".join(["y ~ 1", *(f"x{j}" for j in range(1, data.X.shape[1])), "kin(id, K)"])
    exact = spectral_exact(lmer(formula, frame, relmat={"K": K}).criterion)
    return exact.tests(data.dosages)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("column", TOLERANCES)
@pytest.mark.filterwarnings("ignore::lmmpy.errors.RelatednessWarning")
def test_agrees_with_gemma(name, column):
    theirs = pd.read_csv(HERE / f"{name}.csv.gz")[column]
    tests = found(name)
    ours = {
        "beta": tests.beta[:, 0],
        "se": tests.std_error[:, 0],
        "logl_H1": tests.loglik,
        "l_remle": tests.ratio_reml,
        "l_mle": tests.ratio_ml,
        "p_wald": tests.p_wald,
        "p_lrt": tests.p_lrt,
        "p_score": tests.p_score,
    }[column]
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCES[column])


def test_the_missing_are_counted_and_the_mean_taken_as_gemma_does():
    data = study("made_plain")
    theirs = pd.read_csv(HERE / "made_plain.csv.gz")
    assert data.snps.isna().sum().tolist() == theirs.n_miss.tolist()
    np.testing.assert_allclose(data.dosages.mean(axis=0) / 2.0, theirs.af, atol=5.1e-4)


@pytest.mark.parametrize("snp", ["snp1", "snp7"])
def test_agrees_with_solar(snp):
    """By ML; SOLAR's log-likelihood leaves out the constant.

    Its standard error (.17002 of snp1) is of the observed information with the variances, ours (.16989) of β̂ at λ̂.
    """
    theirs = solar()["snp7"]
    data = people()
    exact = spectral_exact(lmer("bmi ~ age + sex + kin(ID, A)", data, reml=False, relmat={"A": pedigree()}).criterion)
    tests = exact.tests(data.loc[data.bmi.notna(), [snp]].to_numpy(dtype=float), tests=("lrt",))
    constant = 0.5 * exact.n * np.log(2.0 * np.pi)
    assert exact.loglik + constant == pytest.approx(theirs["null"]["loglike"], abs=2e-6)
    assert tests.loglik[0] + constant == pytest.approx(theirs[snp]["loglike"], abs=2e-6)
    assert tests.joint.lrt[0] == pytest.approx(2.0 * (theirs[snp]["loglike"] - theirs["null"]["loglike"]), abs=4e-6)
    assert tests.beta[0, 0] == pytest.approx(theirs[snp][f"b{snp}"][0], rel=2e-5)
    assert tests.share_ml[0] == pytest.approx(theirs[snp]["h2r"][0], abs=1e-5)
