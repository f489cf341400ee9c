"""Engines: the profiled criterion of a `Design`, with exact derivatives."""

from lmmpy.engines.criterion import Criterion, Evaluation, Solution
from lmmpy.engines.sparse import SparseCriterion

__all__ = ["Criterion", "Evaluation", "Solution", "SparseCriterion", "make_criterion"]


def make_criterion(design, reml=True):  # type: ignore[no-untyped-def]
    return SparseCriterion(design, reml)
