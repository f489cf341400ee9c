"""Random effects that the larger of two nested models adds: without them the smaller one is on its boundary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lmmpy.covariance import make_structure
from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Floats
from lmmpy.formula.update import random_text
from lmmpy.inference.nested import random_not_nested

__all__ = ["AddedEffects", "added_effects"]


@dataclass(frozen=True, slots=True)
class AddedEffects:
    """Random terms with effects that a smaller model has not.

    Attributes
    ----------
    whole : tuple of str
        Terms of the larger model without any effect of the smaller one.
    parts : tuple of str
        Terms with some: without the others their covariance matrix is singular.
    bounded : bool
        Whether χ² on the number of parameters gives p-values that are too large, and no others: without effects that
        share a correlation or are functions of a covariate, other parameters mean nothing, too.
    """

    whole: tuple[str, ...]
    parts: tuple[str, ...]
    bounded: bool


def added_effects(small: Design, large: Design) -> AddedEffects | None:
    """
    The random terms of one model with effects that another, which is a special case of it, has not.

    That they have no variance is on the boundary of what the larger model can be. Covariances that it adds to the same
    effects, such as ``(x | g)`` to ``(x || g)``, are not.

    Parameters
    ----------
    small, large : Design
        Of the same rows, the random part of the first a special case of that of the second.

    Returns
    -------
    AddedEffects or None
        None where the effects are the same.
    """
    ranks = [(term, _rank_within(term, small, large)) for term in large.random]
    new = [(term, rank) for term, rank in ranks if rank < _rank(term.values)]
    functions = [rows.name for rows in large.functions[len(small.functions) :]]
    if not new and not functions:
        return None
    return AddedEffects(
        (*(random_text(term.term) for term, rank in new if not rank), *functions),
        tuple(random_text(term.term) for term, rank in new if rank),
        not functions and all(term.k == 1 or term.term.structure in ("us", "diag") for term, _ in new),
    )


def _rank_within(term: RandomEffects, small: Design, large: Design) -> int:
    """How many independent effects of a term have a variance in the smaller model, too."""
    alone, columns = replace(large, random=(term,)), []
    for own in small.random:
        for part in _parts(own, small, alone):
            if random_not_nested(replace(small, random=(part,)), alone) is None:
                if part.n_recorded > term.n_recorded:
                    return term.k  # (1 | g:f) is (0 + f | g) with equal variances
                columns.append(part.values)
    return _rank(np.column_stack(columns)) if columns else 0


def _parts(own: RandomEffects, small: Design, alone: Design) -> Iterator[RandomEffects]:
    """A term, or each of its independent effects where these are terms of the larger model."""
    if own.term.structure != "diag" or random_not_nested(replace(small, random=(own,)), alone) is None:
        yield own
        return
    one = make_structure("us", 1, None)
    for name, column in zip(own.columns, own.values.T, strict=True):
        yield replace(own, columns=(name,), values=column[:, None], structure=one)


def _rank(values: Floats) -> int:
    length = np.linalg.norm(values, axis=0)
    return int(np.linalg.matrix_rank(values / np.where(length > 0.0, length, 1.0)))
