"""A fit as data frames with broom.mixed's columns, and as other packages ask for it."""

from __future__ import annotations

from lmmpy.model.results import FitResults

__all__ = ["Framed"]


class Framed(FitResults):
    """A fit as data frames with broom.mixed's columns, and as other packages ask for it."""
