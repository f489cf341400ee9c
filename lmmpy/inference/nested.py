"""Whether the random part of one model is a special case of another's."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.random import default_rng

from lmmpy.covariance import Diagonal, Unstructured
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Codes, Floats

__all__ = ["random_not_nested"]

# A column that others give with an error of this size, against its length, is in their span.
_NIL = 1e-8


def random_not_nested(small: Design, large: Design) -> str | None:
    """
    The first random term of one model that no term of another, of the same rows, contains.

    A term is contained when every covariance that it can give the response is one that the other can give: its columns
    are combinations of those of an unstructured term of the same grouping factor and relatedness, or are those of a
    term whose structure allows for its own (``us`` for all, ``cs`` and ``ar1`` for independent effects, different
    variances for equal ones); a term of a finer grouping factor, such as ``(1 | g:f)``, is contained in
    ``(0 + f | g)``. Special cases that two terms give only together are not seen.

    Parameters
    ----------
    small, large : Design

    Returns
    -------
    str or None
        Such as ``(1 | h)``.
    """
    for term in small.random:
        parts = [term.values]
        if _structure(term)[0] is Diagonal and not any(_contains(other, term, term.values) for other in large.random):
            parts = [column[:, None] for column in term.values.T]  # independent effects are so many terms
        if not all(any(_contains(other, term, part) for other in large.random) for part in parts):
            return f"({term.term.text})" if term.term.structure == "us" else term.term.text
    return None


def _structure(term: RandomEffects, k: int | None = None) -> tuple[type, bool]:
    """The structure of k effects, and whether they have one variance; whatever is unstructured in effect is `us`."""
    kind, k = type(term.structure), term.k if k is None else k
    homogeneous = bool(getattr(term.structure, "homogeneous", False))
    if k == 1 or (k == 2 and not homogeneous and issubclass(kind, OneCorrelation)):
        return Unstructured, False
    return kind, homogeneous


def _contains(large: RandomEffects, small: RandomEffects, values: Floats) -> bool:
    """Whether a term contains another, or some columns of it, of shape (n, k)."""
    own, _ = _structure(large)
    if _same_groups(large, small):
        return _spans(large.values, values) if own is Unstructured else _allows(large, small, values)
    return own is Unstructured and _is_finer(small, large) and _contains_finer(large, small, values)


def _pairs(a: RandomEffects, b: RandomEffects) -> int:
    return len(np.unique(a.codes * b.n_levels + b.codes))


def _same_groups(a: RandomEffects, b: RandomEffects) -> bool:
    """Whether two factors part the rows alike, their levels related alike but for a factor."""
    if not a.n_recorded == b.n_recorded == _pairs(a, b):
        return False
    if a.relatedness is b.relatedness or (a.relatedness.is_identity and b.relatedness.is_identity):
        return True
    rows = np.unique(a.codes, return_index=True)[1]  # one of each level
    noise = default_rng(0).normal(size=(len(rows), 3))
    here, there = (_among_recorded(term, term.codes[rows], noise) for term in (a, b))
    there = there * (np.vdot(here, there) / np.vdot(there, there))
    return bool(np.linalg.norm(here - there) <= _NIL * np.linalg.norm(here))


def _among_recorded(term: RandomEffects, levels: Codes, values: Floats) -> Floats:
    """K of some levels times some columns."""
    if term.relatedness.is_identity:
        return values
    whole = np.zeros((term.n_levels, values.shape[1]))
    whole[levels] = values
    return np.asarray(term.relatedness.times(whole))[levels]


def _is_finer(a: RandomEffects, b: RandomEffects) -> bool:
    return a.relatedness.is_identity and b.relatedness.is_identity and _pairs(a, b) == a.n_levels > b.n_levels


def _spans(W: Floats, V: Floats) -> bool:
    """Whether the columns of V are combinations of those of W."""
    return bool((np.linalg.norm(V - W @ _weights(W, V), axis=0) <= _NIL * np.linalg.norm(V, axis=0)).all())


def _weights(W: Floats, V: Floats) -> Floats:
    length = np.linalg.norm(W, axis=0)
    length[length == 0.0] = 1.0
    return np.asarray(np.linalg.lstsq(W / length, V, rcond=None)[0] / length[:, None])


def _allows(large: RandomEffects, small: RandomEffects, values: Floats) -> bool:
    """Whether a structure other than `us` gives the covariances of another term of the same groups."""
    if not _spans(large.values, values):
        return False
    kind, equal = _structure(large)
    own, own_equal = _structure(small, values.shape[1])
    B = _weights(large.values, values)
    B = np.where(np.abs(B) > _NIL * np.abs(B).max(), B, 0.0)
    chosen = B != 0.0
    some = B[chosen]
    if not len(some):
        return True  # a column of zeros
    structure = large.structure
    one = structure if isinstance(structure, OneCorrelation) else None
    alike = bool(np.allclose(some, some[0], rtol=_NIL)) and len(some) == len(B)
    if one is None and not isinstance(structure, Diagonal):
        return own is kind and bool(np.allclose(B, B[0, 0] * np.eye(*B.shape), rtol=_NIL))  # it contains itself
    if values.shape[1] == 1:
        # One effect: the others' variances are zero, or (cs, ar1) all correlations are one.
        perfect = one is not None and (alike if equal else bool((some > 0).all() or (some < 0).all()))
        return perfect or (not equal and len(some) == 1)
    one_each = B.shape[0] == B.shape[1] and bool((chosen.sum(axis=0) == 1).all() and (chosen.sum(axis=1) == 1).all())
    in_order = not (one and one.ordered) or bool(chosen.diagonal().all())
    one_sign = own is Diagonal or bool((some > 0).all() or (some < 0).all())
    scale = (own_equal and bool(np.allclose(np.abs(some), abs(some[0]), rtol=_NIL))) if equal else True
    return one_each and in_order and one_sign and scale and own in (kind, Diagonal)


def _contains_finer(large: RandomEffects, small: RandomEffects, values: Floats) -> bool:
    """
    Whether an unstructured term gives the covariances of one of a finer grouping factor, with the same Σ at each level.

    A level at which its columns are independent tells Σ; products with random vectors tell whether it is right at all.
    """
    rows = _telling_rows(large)
    if rows is None:
        return False
    k, noise = values.shape[1], default_rng(0).normal(size=(len(values), 3))
    one = np.eye(k)
    # Covariances are linear in vec(Σ), which these b bᵀ span.
    for b in [*one, *(one[i] + one[j] for i, j in combinations(range(k), 2))]:
        v = values @ b
        own = v[rows, None] * (small.codes[rows, None] == np.unique(small.codes[rows]))
        B = _weights(large.values[rows], own)
        expected = v[:, None] * _sums(small.codes, v[:, None] * noise, small.n_levels)[small.codes]
        found = np.zeros_like(expected)
        for i in range(noise.shape[1]):
            inner = _sums(large.codes, large.values * noise[:, [i]], large.n_levels) @ (B @ B.T)
            found[:, i] = np.einsum("nk,nk->n", large.values, inner[large.codes])
        if np.linalg.norm(found - expected) > _NIL * np.linalg.norm(expected):
            return False
    return True


def _telling_rows(term: RandomEffects) -> Codes | None:
    """The rows of a level in which the columns of a term are independent."""
    order = np.argsort(term.codes, kind="stable")
    for rows in np.split(order, np.searchsorted(term.codes[order], np.arange(1, term.n_levels))):
        if len(rows) >= term.k and np.linalg.matrix_rank(term.values[rows]) == term.k:
            return np.asarray(rows)
    return None


def _sums(codes: Codes, values: Floats, m: int) -> Floats:
    """Sums by level, shape (m, k)."""
    return np.column_stack([np.bincount(codes, column, minlength=m) for column in values.T])
