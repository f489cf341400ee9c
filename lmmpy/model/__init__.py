"""`lmer`, `lformula`, `anova` and the fit."""

from lmmpy.model.anova import anova
from lmmpy.model.lformula import ModelDesign, lformula
from lmmpy.model.lmer import lmer
from lmmpy.model.lmm_fit import LmmFit

__all__ = ["LmmFit", "ModelDesign", "anova", "lformula", "lmer"]
