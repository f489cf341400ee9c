"""What a fit says of hypotheses about its fixed effects."""

from __future__ import annotations

from lmmpy.model.results import FitResults

__all__ = ["Tested"]


class Tested(FitResults):
    """What a fit says of hypotheses about its fixed effects."""
