"""A residual whose first trait has next to no variance of its own, so that another is the reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from tests.model.structured import quiet

FORMULA = "cbind(y, z) ~ 1 + kin(id, A)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """Two traits of twelve families; the first is all genetic."""
    rng, T, b = np.random.default_rng(1), np.linalg.cholesky([[1.0, 0.5], [0.5, 1.0]]), {}
    for family in range(12):
        for i in "pmabc":
            chance = T @ rng.normal(size=2)
            mean = (b[f"p{family}"] + b[f"m{family}"]) / 2.0 if i in "abc" else 0.0
            b[f"{i}{family}"] = chance if i in "pm" else mean + np.sqrt(0.5) * chance
    values = np.array(list(b.values()))
    return pd.DataFrame({"id": list(b), "y": values[:, 0], "z": values[:, 1] + rng.normal(size=len(b))})


@pytest.fixture(scope="module")
def fit(data: pd.DataFrame) -> lmm.LmmFit:
    found = quiet(FORMULA, data, reml=False)
    assert found.design.residual.structure.labels == ("z", "y")
    return found


def test_what_is_reported_keeps_its_order(fit: lmm.LmmFit) -> None:
    with pytest.warns(lmm.SingularFitWarning):
        table = fit.parameters()["estimate"]
    assert table.index[-4:].tolist() == ["sd_y|Residual", "sd_z|Residual", "cor_z.y|Residual", "sigma"]
    R = fit.varcorr["Residual"]
    assert list(R.index) == list(R.columns) == ["y", "z"]
    np.testing.assert_allclose(np.sqrt(np.diag(R)), table.iloc[-4:-2], rtol=1e-12)
    assert R.loc["z", "z"] == pytest.approx(fit.sigma**2, rel=1e-12)


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_constraints_are_the_same_whatever_the_reference(fit: lmm.LmmFit) -> None:
    given = {"sd_y|Residual": 0.3, "cor_z.y|Residual": 0.0}
    turned, plain = fit.constrain(given), fit.update(constraints=given)
    assert plain.design.residual.structure.labels == ("y", "z")
    assert turned.constraints == plain.constraints == given
    assert turned.loglik == pytest.approx(plain.loglik, abs=1e-8)
    assert turned.parameters().loc["cor_z.y|Residual"].isna().tolist() == [False, True, True, True]
    tests = [lmm.anova(small, fit).iloc[1] for small in (turned, plain)]
    assert tests[0]["Pr(mixture)"] == pytest.approx(tests[1]["Pr(mixture)"], abs=1e-7)
    assert tests[0]["Pr(mixture)"] == pytest.approx(tests[0]["Pr(>Chisq)"], rel=1e-12)
    one = fit.update(constraints={"sd_y|Residual": 0.3})
    between = [lmm.anova(small, one).iloc[1]["Pr(mixture)"] for small in (turned, plain)]
    assert between[0] == pytest.approx(between[1], abs=1e-6)


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_nothing_covaries_with_what_does_not_vary(fit: lmm.LmmFit) -> None:
    held = fit.constrain({"sd_y|Residual": 0.0})
    table = held.tidy(effects="ran_pars", scales="vcov").set_index(["group", "term"])["estimate"]
    assert table["Residual", "var__y"] == table["Residual", "cov__y.z"] == 0.0
    assert np.isnan(held.parameters().loc["cor_z.y|Residual", "estimate"])
    assert (held.varcorr["Residual"].loc["y"] == 0.0).all()
