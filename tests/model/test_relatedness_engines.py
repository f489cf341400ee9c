"""Everything asked of one fit with relatives, by different engines and different forms of the same relatedness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.plots import caterpillar_frame, groups_frame, shrinkage_frame
from tests.model.relatives import fit

Numbers = Callable[[lmm.LmmFit], Any]

# Two searches end within so much of each other, in relative terms: 1e-7 of a criterion's curvature is 1e-6 of θ.
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


def of_rows(fit: lmm.LmmFit) -> pd.DataFrame:
    kinds = ("standardized", "student", "pearson")
    found = {kind: fit.residuals(kind) for kind in kinds}
    found |= {"scaled": fit.residuals(scaled=True, level="marginal"), "hat": fit.hatvalues()}
    return pd.DataFrame(found | {"cooks": fit.cooks_distance()}).join(fit.dfbetas())


def of_profile(fit: lmm.LmmFit) -> pd.DataFrame:
    return fit.profile().confint()


QUESTIONS: dict[str, Numbers] = {
    "fixef": lambda fit: fit.fixef,
    "vcov": lambda fit: fit.vcov(),
    "loglik": lambda fit: np.array([fit.loglik, fit.deviance, fit.aic, fit.bic]),
    "varcorr": lambda fit: fit.varcorr.to_frame()[["vcov", "sdcor"]],
    "summary satterthwaite": lambda fit: fit.tidy(ddf="satterthwaite").select_dtypes("number"),
    "summary kenward-roger": lambda fit: fit.tidy(ddf="kenward-roger").select_dtypes("number"),
    "anova I": lambda fit: lmm.anova(fit, type=1).frame,
    "anova II": lambda fit: lmm.anova(fit, type=2, ddf="kenward-roger").frame,
    "anova III": lambda fit: lmm.anova(fit, type=3).frame,
    "contest": lambda fit: lmm.contest(fit, np.eye(fit.design.p)[1:]),
    "wald": lambda fit: fit.confint(method="wald"),
    "profile": of_profile,
    "parameters": lambda fit: fit.parameters().select_dtypes("number"),
    "vpredict": lambda fit: fit.vpredict("V1/(V1 + V2 + V3)"),
    "ranova": lambda fit: lmm.ranova(fit).frame,
    "rows": of_rows,
    "influence": lambda fit: fit.influence("hh", refit=False).dfbetas,
    "influence refitted": lambda fit: fit.influence("hh").fixef,
    "re_pca": lambda fit: fit.re_pca().to_frame()[["sdev", "proportion"]],
    "check": lambda fit: fit.check().to_frame()["figure"].iloc[1:],
    "emmeans": lambda fit: lmm.emmeans(fit, "~ x").to_frame().select_dtypes("number"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("household", ("pedigree", "sparse"), ("pedigree", "marginal")),
        ("household", ("pedigree", "sparse"), ("twins", "marginal")),
        ("slope", ("pedigree", "sparse"), ("pedigree", "marginal")),
    ],
)
def test_engines_agree(name, first, second, question):
    found, expected = (numbers(QUESTIONS[question](fit(name, *how))) for how in (second, first))
    np.testing.assert_allclose(found, expected, **CLOSE)


def numbers(found: Any) -> np.ndarray:
    return np.asarray(found if isinstance(found, np.ndarray) else found.to_numpy(), dtype=float)
