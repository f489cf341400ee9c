"""`lmer`, `lformula`, the fit, and the functions of one fit or several."""

from lmmpy.model.all_fit import AllFit, all_fit
from lmmpy.model.anova import anova
from lmmpy.model.bootstrap_lrt import BootstrapLrt, parametric_bootstrap_lrt
from lmmpy.model.contest import contest
from lmmpy.model.drop1 import drop1
from lmmpy.model.emmeans import emmeans
from lmmpy.model.lformula import ModelDesign, lformula
from lmmpy.model.lmer import lmer
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.marginal_means import MarginalMeans
from lmmpy.model.ranova import ranova
from lmmpy.model.step import StepResult, step

__all__ = [
    "AllFit",
    "BootstrapLrt",
    "LmmFit",
    "MarginalMeans",
    "ModelDesign",
    "StepResult",
    "all_fit",
    "anova",
    "contest",
    "drop1",
    "emmeans",
    "lformula",
    "lmer",
    "parametric_bootstrap_lrt",
    "ranova",
    "step",
]
