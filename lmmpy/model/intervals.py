"""What a fit says of the uncertainty of its parameters: profiles, intervals, functions of variances."""

from __future__ import annotations

from lmmpy.model.results import FitResults

__all__ = ["Bounded"]


class Bounded(FitResults):
    """What a fit says of the uncertainty of its parameters: profiles, intervals, functions of variances."""
