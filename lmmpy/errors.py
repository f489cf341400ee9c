"""The exceptions and warnings of lmmpy: one small family, so that a caller can catch what it means to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConvergenceWarning",
    "DataError",
    "FormulaError",
    "FormulaWarning",
    "LmmpyError",
    "LmmpyWarning",
    "MissingValuesWarning",
    "ModelError",
    "RankDeficiencyWarning",
    "RelatednessWarning",
    "ScaleWarning",
    "SingularFitWarning",
    "shown",
    "similar",
]


class LmmpyError(ValueError):
    """Base of all errors that lmmpy raises about its input."""


class FormulaError(LmmpyError):
    """The formula's text cannot be read, or means something that no mixed model has."""


class DataError(LmmpyError):
    """A column is missing, or its values cannot be used."""


class ModelError(LmmpyError):
    """Formula and data are each fine, but the model they make together cannot be fitted or asked this."""


class LmmpyWarning(UserWarning):
    """Base of all warnings that lmmpy gives."""


class FormulaWarning(LmmpyWarning):
    """The formula is read by its rules, which may not be what was meant: text that is numbers, ``x**2`` that is x."""


class RankDeficiencyWarning(LmmpyWarning):
    """Columns of the fixed-effects matrix were dropped because others determine them."""


class MissingValuesWarning(LmmpyWarning):
    """A transformation made missing values where there were none, so that rows are left out."""


class RelatednessWarning(LmmpyWarning):
    """A relatedness matrix had to be changed a little before it could be a covariance."""


class ScaleWarning(LmmpyWarning):
    """Predictors differ so much in scale that estimates are hard to read."""


class SingularFitWarning(LmmpyWarning):
    """The estimate lies on the boundary: a variance of zero or a perfect correlation."""


class ConvergenceWarning(LmmpyWarning):
    """The optimiser stopped at a point that its own derivatives do not confirm as an optimum."""


def shown(values: Iterable[object], limit: int = 5) -> str:
    """Render the first `limit` of some values for a message, and say how many more there are."""
    items = list(values)
    text = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in items[:limit])
    more = len(items) - limit
    return f"{text} and {more} more" if more > 0 else text


def similar(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Known names that are spelt much like one that is not, whatever their case; those alike but for case alone."""
    folded: dict[str, list[str]] = {}
    for one in known:
        folded.setdefault(one.casefold(), []).append(one)
    own = name.casefold()
    if own in folded:
        return folded[own][:limit]
    # Two letters are soon found in any name: `ID` is not what HHID was to be.
    candidates = [key for key in folded if len(key) > 2 or abs(len(key) - len(own)) < 2]
    close = difflib.get_close_matches(own, candidates, n=limit)
    return [one for key in close for one in folded[key]][:limit]
