"""`lmer`, `lformula`, the fit, and the functions of one fit or several."""

from lmmpy.model.all_fit import AllFit, all_fit
from lmmpy.model.anova import anova
from lmmpy.model.bootstrap_lrt import BootstrapLrt, parametric_bootstrap_lrt
from lmmpy.model.check import Finding, FitCheck
from lmmpy.model.components import VarCorr
from lmmpy.model.contest import contest
from lmmpy.model.drop1 import drop1
from lmmpy.model.emmeans import emmeans
from lmmpy.model.influence import Influence
from lmmpy.model.lformula import ModelDesign, lformula
from lmmpy.model.lm_list import LmList, lm_list
from lmmpy.model.lmer import gls, lmer
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.marginal_means import MarginalMeans
from lmmpy.model.ranef import RandomEffectsFrames
from lmmpy.model.ranova import ranova
from lmmpy.model.re_pca import RandomEffectsPCA
from lmmpy.model.step import StepResult, step

__all__ = [
    "AllFit",
    "BootstrapLrt",
    "Finding",
    "FitCheck",
    "Influence",
    "LmList",
    "LmmFit",
    "MarginalMeans",
    "ModelDesign",
    "RandomEffectsFrames",
    "RandomEffectsPCA",
    "StepResult",
    "VarCorr",
    "all_fit",
    "anova",
    "contest",
    "drop1",
    "emmeans",
    "gls",
    "lformula",
    "lm_list",
    "lmer",
    "parametric_bootstrap_lrt",
    "ranova",
    "step",
]
