"""Linear mixed models by R's formulas: lme4 in spirit and in its numbers."""

from typing import TYPE_CHECKING, Any

from lmmpy import datasets, plots, qtl
from lmmpy.errors import (
    ConvergenceWarning,
    DataError,
    FormulaError,
    FormulaWarning,
    LmmpyError,
    LmmpyWarning,
    MissingValuesWarning,
    ModelError,
    RankDeficiencyWarning,
    RelatednessWarning,
    ScaleWarning,
    SingularFitWarning,
)
from lmmpy.fitting import Control, ConvergenceReport
from lmmpy.inference import Bootstrap, Profile
from lmmpy.model import (
    AllFit,
    BootstrapLrt,
    Finding,
    FitCheck,
    Influence,
    LmList,
    LmmFit,
    MarginalMeans,
    ModelDesign,
    RandomEffectsFrames,
    RandomEffectsPCA,
    StepResult,
    VarCorr,
    all_fit,
    anova,
    contest,
    drop1,
    emmeans,
    gls,
    lformula,
    lm_list,
    lmer,
    parametric_bootstrap_lrt,
    ranova,
    step,
)
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.report import AnovaTable, Summary

__all__ = [
    "AllFit",
    "AnovaTable",
    "Bootstrap",
    "BootstrapLrt",
    "Control",
    "ConvergenceReport",
    "ConvergenceWarning",
    "DataError",
    "Finding",
    "FitCheck",
    "FormulaError",
    "FormulaWarning",
    "Influence",
    "LmList",
    "LmmFit",
    "LmmpyError",
    "LmmpyWarning",
    "MarginalMeans",
    "MissingValuesWarning",
    "ModelDesign",
    "ModelError",
    "Pedigree",
    "Profile",
    "RandomEffectsFrames",
    "RandomEffectsPCA",
    "RankDeficiencyWarning",
    "Relatedness",
    "RelatednessWarning",
    "ScaleWarning",
    "SingularFitWarning",
    "StepResult",
    "Summary",
    "VarCorr",
    "all_fit",
    "anova",
    "contest",
    "datasets",
    "drop1",
    "emmeans",
    "gls",
    "lformula",
    "lm_list",
    "lmer",
    "parametric_bootstrap_lrt",
    "plots",
    "qtl",
    "ranova",
    "step",
]

__version__ = "0.1.0.dev0"


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if not TYPE_CHECKING:  # which knows all names

    def __getattr__(name: str) -> Any:
        from lmmpy.model.foreign_names import name_hint

        raise AttributeError(f"module 'lmmpy' has no attribute {name!r}{name_hint(name, __all__, LmmFit)}")
