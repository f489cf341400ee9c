"""Lines of dosages in text files, quick where they are clean, and named where they are not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISSING", "BadDosageError", "dosages_of"]

MISSING = frozenset({"", "NA", "NaN", "nan", "na", "N/A", "."})
"""What stands for a genotype that is not known."""


class BadDosageError(ValueError):
    """A field that is no number; `at` is its place in the line, `text` what it says."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(text)
        self.at, self.text = at, text


def dosages_of(text: str, separator: str, count: int) -> NDArray[np.float64]:
    """
    The numbers of a line.

    Parameters
    ----------
    text : str
        Fields between separators.
    separator : str
        One character; " " is any blanks.
    count : int
        Fields that are expected: where there are so many numbers, nothing more is looked at.

    Returns
    -------
    ndarray, shape (fields,)
        NaN where missing; as many as there are.

    Raises
    ------
    BadDosageError
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy says of text after the last number
        try:
            values = np.fromstring(text, sep=separator)
        except (DeprecationWarning, ValueError):
            values = np.empty(0)
    if len(values) == count:
        return values
    return _one_by_one(text.split() if separator == " " else text.split(separator))


def _one_by_one(fields: Sequence[str]) -> NDArray[np.float64]:
    values = np.empty(len(fields))
    for i, field in enumerate(fields):
        token = field.strip().strip('"')
        try:
            values[i] = np.nan if token in MISSING else float(token)
        except ValueError:
            raise BadDosageError(i, token) from None
    return values
