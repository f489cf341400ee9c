"""Traits, and strata with variances of their own, that leave nothing to the residual: refused before any fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from lmmpy.covariance import Correlation, Diagonal, Indexed, Product, Strata
from lmmpy.design import Design
from lmmpy.design.values import Codes, Floats
from lmmpy.errors import ModelError, shown

__all__ = ["check_traits"]

# What is nothing of a trait against its residuals about the fixed effects; and what is rounding of its values.
_NOTHING, _ROUNDING = 1e-10, 1e-14
# The same of what random effects leave, which is found by iteration: so many steps tell whether it may be nothing.
_LEFT, _DOUBTFUL, _FEW, _MANY = 5e-7, 0.03, 10, 500


def check_traits(design: Design) -> None:
    """
    Refuse several traits whose likelihood has no bound, and strata likewise.

    It has none where a combination of traits is zero in all rows that have them, but for fixed effects, and residuals
    may covary; and where the random effects reproduce all values of a trait, or of a stratum with a variance of its
    own. Related levels are not looked at: what twins tell is for `fitting.unbounded`.

    Parameters
    ----------
    design : Design

    Raises
    ------
    ModelError
        Naming the traits, or the stratum.
    """
    if design.residual is None:
        return
    y = design.y if design.offset is None else design.y - design.offset
    if design.traits is not None and _may_be_singular(design):
        _check_combinations(design, y)
    if not design.functions:
        for what, rows in _cells(design):
            _check_left(design, y, what, rows)


def _may_be_singular(design: Design) -> bool:
    """Whether residuals of the traits of a row may be perfectly correlated."""
    assert design.residual is not None and design.traits is not None
    structure = design.residual.structure
    parts = structure.parts if isinstance(structure, Product) else (structure,)
    return any(
        isinstance(part, Indexed)
        and not isinstance(part.structure, Diagonal)
        and len(np.unique(part.places * len(design.traits.names) + design.traits.trait)) == len(design.traits.names)
        for part in parts
    )


# ---- combinations of traits


def _check_combinations(design: Design, y: Floats) -> None:
    assert design.traits is not None
    names = design.traits.names
    d = len(names)
    sets = [tuple(range(d))] + (list(itertools.combinations(range(d), 2)) if d > 2 else [])
    for several in sets:
        involved = _dependent(design, y, several)
        if involved:
            told = [names[t] for t in involved]
            raise ModelError(
                f"The traits {shown(told, 10)} are linearly dependent: but for the fixed effects, one is determined by "
                f"the other{'s' * (len(told) > 2)} in all rows that have them, so the likelihood has no bound. Leave "
                "one of them out."
            )


def _dependent(design: Design, y: Floats, several: Sequence[int]) -> list[int]:
    """The traits of a combination of these that the fixed effects determine; none where there is no such."""
    places = _complete(design, several)
    Y = y[places]
    parts = [design.X[rows] for rows in places.T]
    X = np.column_stack([part[:, part.any(axis=0)] for part in _different(parts)])
    X = X / np.linalg.norm(X, axis=0)
    left = Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0] if len(Y) and X.shape[1] else Y
    length, size = np.linalg.norm(left, axis=0), np.linalg.norm(Y, axis=0)
    if len(Y) < X.shape[1] + len(several) or not (length > 1e-12 * size).all():
        return []  # too few rows to tell; or a trait that fixed effects reproduce, which has a message of its own
    _, s, combinations = np.linalg.svd(left / length, full_matrices=False)
    if s[-1] > _NOTHING + _ROUNDING * float((size / length).max()):
        return []
    weights = np.abs(combinations[-1])
    return [t for t, weight in zip(several, weights, strict=True) if weight > 1e-6 * weights.max()]


def _complete(design: Design, several: Sequence[int]) -> NDArray[np.intp]:
    """The rows of some traits in each row of the data that has them all, shape (m, traits)."""
    assert design.traits is not None
    traits = design.traits
    place = np.full((int(traits.row.max()) + 1, len(traits.names)), -1, dtype=np.intp)
    place[traits.row, traits.trait] = np.arange(design.n)
    chosen = place[:, list(several)]
    return chosen[(chosen >= 0).all(axis=1)]


def _different(parts: list[Floats]) -> list[Floats]:
    """Fixed effects of each trait, without those that another one has as well."""
    found = [parts[0]]
    first = parts[0][:, parts[0].any(axis=0)]
    for part in parts[1:]:
        if not np.array_equal(part[:, part.any(axis=0)], first):
            found.append(part)
    return found


# ---- traits that random effects reproduce


def _cells(design: Design) -> Iterator[tuple[str, Codes]]:
    """Rows whose residuals have a variance of their own, and what to call them."""
    assert design.residual is not None
    structure = design.residual.structure
    for part in structure.parts if isinstance(structure, Product) else (structure,):
        if not isinstance(part, Indexed | Strata) or not _has_variances(part):
            continue
        for place, label in enumerate(part.labels):
            rows = np.flatnonzero(part.places == place)
            of_traits = design.traits is not None and np.array_equal(part.places, design.traits.trait)
            yield f"the trait {label!r}" if of_traits else f"the response where the residual is {label!r}", rows


def _has_variances(part: Indexed | Strata) -> bool:
    """Whether each place has a variance."""
    if isinstance(part, Strata):
        return True
    one = isinstance(part.structure, Correlation) or getattr(part.structure, "homogeneous", False)
    return not one and part.structure.n_theta >= part.structure.k


def _check_left(design: Design, y: Floats, what: str, rows: Codes) -> None:
    """Refuse some rows of which fixed effects and unrelated random effects leave nothing, though these are fewer."""
    terms = [term for term in design.random if term.relatedness.is_identity]
    if not terms or not len(rows):
        return
    Z = sparse.csc_array(sparse.hstack([term.Z[rows] for term in terms], format="csc"))
    size = np.sqrt(np.asarray(Z.multiply(Z).sum(axis=0)).ravel())
    X = design.X[rows]
    X = X[:, X.any(axis=0)]
    if len(rows) <= X.shape[1] + np.count_nonzero(size):
        return
    Q = np.linalg.qr(X / np.linalg.norm(X, axis=0))[0] if X.shape[1] else X
    seen = np.flatnonzero(size)
    Z = sparse.csc_array(Z[:, seen] @ sparse.diags_array(1.0 / size[seen]))
    e = y[rows] - Q @ (Q.T @ y[rows])
    if np.linalg.norm(e) > 1e-12 * np.linalg.norm(y[rows]) and _share_left(Q, Z, e) < _LEFT:
        raise ModelError(
            f"The random effects of {shown([term.name for term in terms])} reproduce {what} exactly: nothing varies "
            "within their levels, so the likelihood has no bound and no residual variance can be estimated. Is it "
            "constant in each level?"
        )


def _share_left(Q: Floats, Z: sparse.csc_array, e: Floats) -> float:
    """What is left of residuals about the fixed effects by least squares on Z, relatively."""

    def times(b: Floats) -> Floats:
        found = Z @ b
        return np.asarray(found - Q @ (Q.T @ found))

    def back(v: Floats) -> Floats:
        return np.asarray(Z.T @ (v - Q @ (Q.T @ v)))

    A = linalg.LinearOperator(Z.shape, matvec=times, rmatvec=back, dtype=float)
    share = 1.0
    for steps in (_FEW, _MANY):
        b = linalg.lsmr(A, e, atol=1e-12, btol=1e-12, conlim=0.0, maxiter=steps)[0]
        share = float(np.linalg.norm(e - times(b)) / np.linalg.norm(e))
        if share > _DOUBTFUL:
            break
    return share
