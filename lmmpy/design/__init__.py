"""`ParsedFormula` + data → `Design`: y, X, random terms, weights, offset, and one row mask for all."""

from lmmpy.design.build import Blueprint, build_design
from lmmpy.design.coding import ModelMatrix
from lmmpy.design.design import Design, RandomEffects, RowCovariance, Traits
from lmmpy.design.values import Categorical

__all__ = [
    "Blueprint",
    "Categorical",
    "Design",
    "ModelMatrix",
    "RandomEffects",
    "RowCovariance",
    "Traits",
    "build_design",
]
