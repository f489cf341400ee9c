"""`lmer`, `lformula`, `anova` and the fit."""

from lmmpy.model.all_fit import AllFit, all_fit
from lmmpy.model.anova import anova
from lmmpy.model.lformula import ModelDesign, lformula
from lmmpy.model.lmer import lmer
from lmmpy.model.lmm_fit import LmmFit

__all__ = ["AllFit", "LmmFit", "ModelDesign", "all_fit", "anova", "lformula", "lmer"]
