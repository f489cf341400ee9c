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
from lmmpy.model import (
    AllFit,
    BootstrapLrt,
    LmmFit,
    MarginalMeans,
    ModelDesign,
    StepResult,
    all_fit,
    anova,
    contest,
    drop1,
    emmeans,
    lformula,
    lmer,
    parametric_bootstrap_lrt,
    ranova,
    step,
)
from lmmpy.relatedness import Relatedness

__all__ = [
    "AllFit",
    "Bootstrap",
    "BootstrapLrt",
    "Control",
    "ConvergenceWarning",
    "DataError",
    "FormulaError",
    "LmmFit",
    "LmmpyError",
    "LmmpyWarning",
    "MarginalMeans",
    "MissingValuesWarning",
    "ModelDesign",
    "ModelError",
    "RankDeficiencyWarning",
    "Relatedness",
    "ScaleWarning",
    "SingularFitWarning",
    "StepResult",
    "all_fit",
    "anova",
    "contest",
    "datasets",
    "drop1",
    "emmeans",
    "lformula",
    "lmer",
    "parametric_bootstrap_lrt",
    "ranova",
    "step",
]

__version__ = "0.1.0.dev0"
