"""Several traits whose likelihood has no maximum: a combination of them is without residual, and V is singular there.

Records that no random effect tells apart, as those of identical twins, differ by their residuals alone. Let A take all
such differences, and Y the traits as columns. Where a combination w of the traits has AYw = 0, the likelihood grows
without end as the residual variance of w goes to zero: log|V| falls and yᵀV⁻¹y does not rise. So it is whenever there
are fewer differences than traits, and whenever all such records have equal values of one trait.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import Diagonal, Indexed, Unstructured
from lmmpy.design import Design, RandomEffects

__all__ = ["Differences", "differences", "no_maximum"]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

# With up to so many traits all combinations of them are looked at.
_SUBSETS = 6
# More differences than this determine all traits, were they not equal in each.
_MOST = 200
# What is rounding of a difference, against the size of the values.
_NIL = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Differences:
    """Differences between records that are residual only.

    Attributes
    ----------
    values : ndarray, shape (m, d)
        AY, each trait in units of its own size.
    group : str
        Grouping factor whose levels have the records.
    """

    values: Floats
    group: str


def differences(design: Design, chosen: tuple[int, ...]) -> Differences | None:
    """
    Independent differences of rows with some traits that no random effect contributes to; None when there is none.

    Parameters
    ----------
    design : Design
        With several traits.
    chosen : tuple of int
        The traits, by their places.

    Returns
    -------
    Differences or None
        Also None with more differences than are worth looking at.
    """
    assert design.traits is not None
    place = np.full((int(design.traits.row.max()) + 1, len(design.traits.names)), -1)
    place[design.traits.row, design.traits.trait] = np.arange(design.n)
    places = place[:, list(chosen)]
    places = places[(places >= 0).all(axis=1)]
    base = next((term for term in design.random if len(places) and _is_intercept(term, places[:, 0])), None)
    if base is None:
        return None
    within = _within(base.codes[places[:, 0]])
    if not 0 < within.shape[0] <= _MOST:
        return None
    others = [(within @ _columns(term, places)).toarray() for term in design.random if term is not base]
    A = _without(np.hstack(others)) @ within.toarray() if others else within.toarray()
    if not len(A):
        return None
    Y = (design.y if design.offset is None else design.y - design.offset)[places]
    return Differences(A @ (Y / np.maximum(np.abs(Y - Y.mean(axis=0)).max(axis=0), np.finfo(float).tiny)), base.group)


def _is_intercept(term: RandomEffects, first: Codes) -> bool:
    """Whether a term has one effect a level, trait by trait, of which the first trait's rows are these."""
    columns = term.values[first]
    columns = columns[:, columns.any(axis=0)]
    return columns.shape[1] == 1 and bool((columns == columns[0]).all())


def _within(codes: Codes) -> sparse.csr_array:
    """Each record against the first of its level, shape (m, rows)."""
    _, first, level = np.unique(codes, return_index=True, return_inverse=True)
    rows = np.flatnonzero(first[level] != np.arange(len(codes)))
    m = len(rows)
    places = np.concatenate([rows, first[level[rows]]])
    return sparse.csr_array((np.repeat([1.0, -1.0], m), (np.tile(np.arange(m), 2), places)), shape=(m, len(codes)))


def _columns(term: RandomEffects, places: Codes) -> sparse.csr_array:
    """What a term adds to some rows, whatever the trait; shape (rows, …)."""
    return sparse.csr_array(sparse.hstack([term.Z[column] for column in places.T]))


def _without(B: Floats) -> Floats:
    """Combinations of rows of which nothing is left of B."""
    U, s, _ = np.linalg.svd(B)
    rank = int((s > _NIL * max(1.0, s.max(initial=0.0))).sum())
    return np.asarray(U[:, rank:].T)


def no_maximum(design: Design) -> str | None:
    """
    Why the likelihood of several traits has no maximum, in a sentence; None where nothing says so.

    Parameters
    ----------
    design : Design
    """
    if design.traits is None or design.functions or not design.random:
        return None
    structure, d = _structure(design), len(design.traits.names)
    sizes: tuple[int, ...] = (1,) if isinstance(structure, Diagonal) else ()
    if isinstance(structure, Unstructured):
        sizes = tuple(range(1, d + 1)) if d <= _SUBSETS else (1, 2, d)
    for chosen in (chosen for size in sizes for chosen in combinations(range(d), size)):
        found = differences(design, chosen)
        if found is not None and np.linalg.matrix_rank(found.values, tol=_NIL) < len(chosen):
            return _reason(found, [design.traits.names[t] for t in chosen])
    return None


def _reason(found: Differences, names: list[str]) -> str:
    who, m = f"records of one level of {found.group} (identical twins, or repeats)", len(found.values)
    if len(names) == 1:
        what = f"all {who} have equal values of {names[0]}, whose residual variance can go to zero"
        advice = "Leave the trait out, or all but one of such records."
    else:
        what = (
            f"{who} differ in {m} way{'s' * (m > 1)} only, so that a combination of {', '.join(names)} without "
            "residual explains all that they differ in"
        )
        advice = "Leave out all but one of such records, or fit fewer traits."
    return (
        f"The likelihood has no maximum: {what}. It grows without end towards that, where the covariance V of the "
        f"observations is singular. {advice}"
    )


def _structure(design: Design) -> object:
    residual = design.residual
    return residual.structure.structure if residual is not None and isinstance(residual.structure, Indexed) else None
