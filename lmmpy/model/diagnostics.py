"""What a fit says of its residuals, its influential rows and groups, and its assumptions."""

from __future__ import annotations

from lmmpy.model.results import FitResults

__all__ = ["Diagnosed"]


class Diagnosed(FitResults):
    """What a fit says of its residuals, its influential rows and groups, and its assumptions."""
