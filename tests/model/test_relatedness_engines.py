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


def of_check(fit: lmm.LmmFit) -> pd.Series:
    """But for what twins change when they are two levels and not one, and the noise of the last step."""
    found = fit.check().to_frame().set_index("check")["figure"]
    return found.drop([name for name in found.index if "kin(id, K)" in name or name == "convergence"])


def of_plots(fit: lmm.LmmFit) -> np.ndarray:
    frames = [caterpillar_frame(fit, "hh"), shrinkage_frame(fit, "hh"), groups_frame(fit, "x", "hh")]
    return np.concatenate([frame.select_dtypes("number").to_numpy(float).ravel() for frame in frames])


SHARE = {1: "`kin(id, K)` / (`kin(id, K)` + hh + Residual)", 2: "`kin(id, K).x` / (`kin(id, K).x` + Residual)"}
QUESTIONS: dict[str, Numbers] = {
    "fixef": lambda fit: fit.fixef,
    "vcov": lambda fit: fit.vcov(),
    "loglik": lambda fit: np.array([fit.loglik, fit.deviance, fit.aic, fit.bic]),
    "varcorr": lambda fit: fit.varcorr.to_frame()[["vcov", "sdcor"]],
    "summary satterthwaite": lambda fit: fit.tidy(ddf="satterthwaite").select_dtypes("number"),
    "summary kenward-roger": lambda fit: fit.tidy(ddf="kenward-roger").select_dtypes("number"),
    "anova I": lambda fit: lmm.anova(fit, type=1),
    "anova II": lambda fit: lmm.anova(fit, type=2, ddf="kenward-roger"),
    "anova III": lambda fit: lmm.anova(fit, type=3),
    "contest": lambda fit: lmm.contest(fit, np.eye(fit.design.p)[1:]),
    "wald": lambda fit: fit.confint(method="wald"),
    "profile": of_profile,
    "parameters": lambda fit: fit.parameters().select_dtypes("number"),
    "vpredict": lambda fit: fit.vpredict(h2=SHARE[fit.design.random[0].k]),
    "ranova": lmm.ranova,
    "rows": of_rows,
    "influence": lambda fit: fit.influence("hh", refit=False).dfbetas,
    "influence refitted": lambda fit: fit.influence("hh").fixef,
    "re_pca": lambda fit: fit.re_pca().to_frame()[["sdev", "proportion"]],
    "check": of_check,
    "plots": of_plots,
    "emmeans": lambda fit: lmm.emmeans(fit, "~ x").to_frame().select_dtypes("number"),
}


PAIRS = [
    ("household", ("pedigree", "sparse"), ("pedigree", "marginal")),
    ("household", ("pedigree", "sparse"), ("twins", "marginal")),
    ("slope", ("pedigree", "sparse"), ("pedigree", "marginal")),
]
# The profile of a slope takes eight seconds, and the household's shows as much.
CASES = [(*pair, question) for pair in PAIRS for question in QUESTIONS if (pair[0], question) != ("slope", "profile")]


@pytest.mark.parametrize(("name", "first", "second", "question"), CASES)
def test_engines_agree(name, first, second, question):
    found, expected = (numbers(QUESTIONS[question](fit(name, *how))) for how in (second, first))
    np.testing.assert_allclose(found, expected, **CLOSE)


def numbers(found: Any) -> np.ndarray:
    return np.asarray(found if isinstance(found, np.ndarray) else found.to_numpy(), dtype=float)
