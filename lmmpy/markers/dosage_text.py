"""Fields of text files as dosages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BadDosageError", "dosages_of"]

_MISSING = frozenset({"", "NA", "NaN", "nan", "na", "N/A", "."})
_MOST_KNOWN = 65_536


class BadDosageError(ValueError):
    """A field that is no number; `at` is its place among the fields, `text` what it says."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(text)
        self.at, self.text = at, text


class _Values(dict[str, float]):
    """
    The numbers that texts stand for, each worked out once.

    A file of millions of dosages has few different ones, and to look one up takes half as long as to read a number.
    """

    def __missing__(self, field: str) -> float:
        token = field.strip().strip('"')
        value = np.nan if token in _MISSING else float(token)
        if len(self) < _MOST_KNOWN:
            self[field] = value
        return value


_VALUES = _Values()


def dosages_of(fields: Sequence[str]) -> NDArray[np.float64]:
    """
    The numbers of a line.

    Parameters
    ----------
    fields : sequence of str
        "", NA, NaN or "." where missing.

    Returns
    -------
    ndarray, shape (len(fields),)
        NaN where missing.

    Raises
    ------
    BadDosageError
    """
    try:
        return np.fromiter(map(_VALUES.__getitem__, fields), np.float64, len(fields))
    except ValueError:
        raise _first_bad(fields) from None


def _first_bad(fields: Sequence[str]) -> BadDosageError:
    for i, field in enumerate(fields):
        try:
            _VALUES[field]
        except ValueError:
            return BadDosageError(i, field.strip())
    raise AssertionError("every field is a number")
