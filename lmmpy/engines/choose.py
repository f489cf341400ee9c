"""Which engine computes the criterion of a design."""

from __future__ import annotations

from lmmpy.design import Design
from lmmpy.engines.criterion import Criterion
from lmmpy.engines.sparse import SparseCriterion

__all__ = ["ENGINES", "make_criterion"]

ENGINES = {"sparse": SparseCriterion}


def make_criterion(design: Design, reml: bool, engine: str = "auto") -> Criterion:
    """
    The criterion of a design by the engine that suits it.

    Parameters
    ----------
    design : Design
    reml : bool
    engine : {"auto", "sparse"}
        "auto" takes the cheapest that can; today there is one.

    Returns
    -------
    Criterion
    """
    return ENGINES["sparse" if engine == "auto" else engine](design, reml)
