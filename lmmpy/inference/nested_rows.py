"""Whether the covariances between rows of one model are a special case of another's."""

from __future__ import annotations

import numpy as np
from numpy.random import default_rng
from scipy import optimize, sparse

from lmmpy.covariance import Diagonal, Exponential, Indexed, Known, Power, Product, RowStructure, Strata
from lmmpy.design import Design, RowCovariance
from lmmpy.design.values import Codes, Floats
from lmmpy.inference.row_covariances import ResidualCovariance

__all__ = ["is_correlated", "is_independent", "parts_of", "rows_not_nested"]

# Pairs of rows that are compared, and how near covariances must come to be the same.
_PAIRS, _SAME = 4_000, 1e-6


def rows_not_nested(small: Design, large: Design) -> str | None:
    """
    What one model has between rows that another, of the same rows, does not contain.

    A residual contains another when it can take its covariances, up to a common factor, at some parameters; which is
    tried at two values of the parameters. What a residual and random terms contain only together is not seen.

    Parameters
    ----------
    small, large : Design

    Returns
    -------
    str or None
        ``"its residual"``, or the text of a random function.
    """
    for function in small.functions:
        if not any(_same_function(function, other) for other in large.functions):
            return function.name
    if is_independent(small.residual) and (is_independent(large.residual) or _has_independence(large.residual)):
        return None
    rng = default_rng(0)
    i, j = _pairs(small, large, rng)
    for share in (0.6, 1.3):
        wanted = _values(small.residual, i, j, share)
        same = np.allclose(wanted, _values(large.residual, i, j, share), rtol=0.0, atol=_SAME * np.abs(wanted).max())
        if not same and not _takes(large, i, j, wanted):
            return "its residual"
    return None


def is_independent(residual: RowCovariance | None) -> bool:
    """Whether residuals have one variance and no correlation, said in so many words or not."""
    if residual is None:
        return True
    if not isinstance(residual.structure, Known):
        return False
    matrix, codes = residual.structure.matrix, residual.structure.codes
    chosen = sparse.csr_array(matrix)[codes][:, codes]
    return bool(abs(chosen - chosen[0, 0] * sparse.eye_array(len(codes))).max() <= _SAME * abs(chosen[0, 0]))


def is_correlated(residual: RowCovariance | None) -> bool:
    """Whether residuals of different rows may covary: whether there is more than variances."""
    return any(not _is_diagonal(part) for part in parts_of(residual))


def _is_diagonal(part: RowStructure) -> bool:
    if isinstance(part, Indexed):
        return isinstance(part.structure, Diagonal)
    if isinstance(part, Known):
        off = sparse.csr_array(part.matrix)[part.codes][:, part.codes].tocoo()
        return not off.data[off.row != off.col].any()
    return isinstance(part, Strata | Power | Exponential)


def parts_of(residual: RowCovariance | None) -> tuple[RowStructure, ...]:
    """The factors of a residual."""
    if residual is None:
        return ()
    return residual.structure.parts if isinstance(residual.structure, Product) else (residual.structure,)


def _has_independence(residual: RowCovariance | None) -> bool:
    """Whether a structure has independent residuals among its own, as all have whose correlations are parameters."""
    return not any(isinstance(part, Known) for part in parts_of(residual))


def _same_function(one: RowCovariance, other: RowCovariance) -> bool:
    return one.name == other.name and np.array_equal(one.groups, other.groups)


def _pairs(small: Design, large: Design, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Each row with itself, and pairs of rows of one group of either model; all, or a sample."""
    every = np.arange(small.n)
    firsts, seconds = [every[:_PAIRS]], [every[:_PAIRS]]
    for design in (small, large):
        for rows in ResidualCovariance(design, np.empty(0)).members:
            a, b = np.triu_indices(rows.shape[1], 1)
            if not len(a):
                continue
            chosen = rng.permutation(len(rows))[: max(1, _PAIRS // len(a))]
            inside = rng.permutation(len(a))[:_PAIRS]
            firsts.append(rows[np.ix_(chosen, a[inside])].ravel())
            seconds.append(rows[np.ix_(chosen, b[inside])].ravel())
    return np.concatenate(firsts), np.concatenate(seconds)


def _values(residual: RowCovariance | None, i: Codes, j: Codes, share: float) -> Floats:
    """Covariances away from the start, where structures that differ are alike."""
    if residual is None:
        return np.asarray(i == j, dtype=float)
    structure = residual.structure
    phi = structure.start() + 0.4 * share * structure.scale()
    values = structure.between(i, j).at(np.maximum(phi, structure.lower)).values
    return np.asarray(np.where(residual.groups[i] == residual.groups[j], values, 0.0))


def _at_ends(structure: RowStructure) -> list[Floats]:
    """Starts with one parameter at an end of its range, where the covariances may have no slope that leads there."""
    start, found = structure.start(), []
    for place, end in structure.boundary(start, np.full_like(start, np.inf)):
        found.append(start.copy())
        found[-1][place] = end
    return found


def _takes(large: Design, i: Codes, j: Codes, wanted: Floats) -> bool:
    """Whether the residual of a design can have these covariances, but for a factor."""
    if large.residual is None:
        size = wanted[i == j]
        return bool(np.abs(wanted[i != j]).max(initial=0.0) < _SAME and np.ptp(size) < _SAME * size.max())
    structure, together = large.residual.structure, large.residual.groups[i] == large.residual.groups[j]
    unit = np.sqrt(np.abs(wanted[i == j]).mean())
    pairs, n = structure.between(i, j), structure.n_theta

    def apart(x: Floats) -> Floats:
        found = np.where(together, np.exp(x[n]) * pairs.at(x[:n]).values, 0.0)
        return np.asarray((found - wanted) / unit**2)

    lower = np.append(structure.lower, -np.inf)
    for start in (structure.start(), *structure.other_starts(), *_at_ends(structure)):
        found = optimize.least_squares(apart, np.append(start, 0.0), bounds=(lower, np.inf), xtol=1e-15, ftol=1e-15)
        if np.abs(found.fun).max() < _SAME:
            return True
    return False
