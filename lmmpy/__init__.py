"""Linear mixed models by R's formulas: lme4 in spirit and in its numbers."""

from lmmpy import datasets
from lmmpy.errors import (
    ConvergenceWarning,
    DataError,
    FormulaError,
    LmmpyError,
    LmmpyWarning,
    MissingValuesWarning,
    ModelError,
    RankDeficiencyWarning,
    ScaleWarning,
    SingularFitWarning,
)
from lmmpy.fitting import Control
from lmmpy.inference import Bootstrap
from lmmpy.model import AllFit, LmmFit, ModelDesign, all_fit, anova, lformula, lmer
from lmmpy.relatedness import Relatedness

__all__ = [
    "AllFit",
    "Bootstrap",
    "Control",
    "ConvergenceWarning",
    "DataError",
    "FormulaError",
    "LmmFit",
    "LmmpyError",
    "LmmpyWarning",
    "MissingValuesWarning",
    "ModelDesign",
    "ModelError",
    "RankDeficiencyWarning",
    "Relatedness",
    "ScaleWarning",
    "SingularFitWarning",
    "all_fit",
    "anova",
    "datasets",
    "lformula",
    "lmer",
]

__version__ = "0.1.0.dev0"
