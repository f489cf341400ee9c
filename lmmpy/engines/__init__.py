"""Engines: the profiled criterion of a `Design`, with exact derivatives."""

from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.choose import ENGINES, MARGINAL_ENGINES, make_criterion
from lmmpy.engines.criterion import Criterion, Evaluation, Solution
from lmmpy.engines.crossproducts import CrossProducts
from lmmpy.engines.operators import Operators
from lmmpy.engines.threads import one_blas_thread

__all__ = [
    "ENGINES",
    "MARGINAL_ENGINES",
    "Criterion",
    "CrossProducts",
    "Evaluation",
    "NotPositiveDefiniteError",
    "Operators",
    "Solution",
    "make_criterion",
    "one_blas_thread",
]
