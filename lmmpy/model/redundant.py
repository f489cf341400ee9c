"""Random terms that others of the same model contain, so that the data cannot tell their variances apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from lmmpy.design import Design, RandomEffects
from lmmpy.formula import deparse
from lmmpy.formula.update import random_text
from lmmpy.inference.nested import random_not_nested

__all__ = ["redundant_terms"]


def redundant_terms(design: Design) -> Sequence[str]:
    """
    Say which random terms another one makes superfluous, and what to write instead.

    Parameters
    ----------
    design : Design

    Returns
    -------
    sequence of str
        A sentence or two for each pair; none when no term is a special case of another.
    """
    found = []
    for one, other in combinations(design.random, 2):
        within, around = _is_within(design, one, other), _is_within(design, other, one)
        if within and around:
            found.append(_twice(one, other))
        elif within or around:
            found.append(_contained(one, other) if within else _contained(other, one))
    return found


def _is_within(design: Design, small: RandomEffects, large: RandomEffects) -> bool:
    alone, around = (replace(design, random=(term,)) for term in (small, large))
    return random_not_nested(alone, around) is None


def _twice(one: RandomEffects, other: RandomEffects) -> str:
    first, second = random_text(one.term), random_text(other.term)
    if first == second:
        return f"The term {first} stands twice: take one out."
    return f"The terms {first} and {second} say the same: take one out."


def _contained(small: RandomEffects, large: RandomEffects) -> str:
    own, other, lhs = random_text(small.term), random_text(large.term), large.term.lhs
    if lhs.intercept or large.term.structure != "us" or len(lhs.terms) != 1 or small.columns != ("(Intercept)",):
        return f"The term {own} is a special case of {other}, which stands beside it: take it out."
    factor, group = ":".join(deparse(lhs.variables[i]) for i in lhs.terms[0].variables), large.group
    return (
        f"The term {own} is an intercept beside {other}, which has an effect for each level of {factor} and contains "
        f"it; ({factor} || {group}) means this pair, as in R. Write {other}, or diag(0 + {factor} | {group}) for "
        "independent effects."
    )
