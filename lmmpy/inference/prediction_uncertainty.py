"""How uncertain predictions are, θ and σ taken as known.

With C = Cov(b | y, β)/σ² and B = GZᵀV⁻¹X, which is C ZᵀR⁻¹X for a residual of covariance σ²R, the joint errors of β̂
and b̂ (Henderson 1975) are

    β̂ − β  with covariance  σ²(XᵀV⁻¹X)⁻¹,      b̂ − b = e − B(β̂ − β),  e independent of β̂ with covariance σ²C,

so that for a row (x, z)

    Var(xᵀ(β̂ − β) + zᵀ(b̂ − b)) = σ² [zᵀCz + (x − Bᵀz)ᵀ(XᵀV⁻¹X)⁻¹(x − Bᵀz)].

A level that was not seen adds its own zᵀGz, which for related levels counts K_ll times (once for a level that K does
not have). The blocks of C that the rows ask for are solved in batches of levels: memory grows with the number of rows
and of effects, never with their product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lmmpy.design import Design
from lmmpy.design.values import Codes, Floats
from lmmpy.engines import Criterion
from lmmpy.engines.operators import Operators
from lmmpy.inference.prediction import PredictionRows, TermRows

__all__ = ["new_effect_variance", "prediction_variance"]

# Numbers in a dense block of columns: 8 MB, of which a solution takes some eight.
_BLOCK = 1_000_000


def prediction_variance(
    design: Design, criterion: Criterion, theta: Floats, unscaled_vcov: Floats, rows: PredictionRows
) -> Floats:
    """
    Variance of Xβ̂ + Zb̂ as a prediction of Xβ + Zb, relative to σ².

    The effects are those that the prediction adds; those of a level that was not seen are predicted by zero.

    Parameters
    ----------
    design : Design
    criterion : Criterion
    theta : ndarray, shape (n_theta,)
    unscaled_vcov : ndarray, shape (p, p)
        (XᵀV⁻¹X)⁻¹.
    rows : PredictionRows
        Of m rows.

    Returns
    -------
    ndarray, shape (m,)
        NaN where the row misses a value.

    References
    ----------
    Henderson (1975), Best linear unbiased estimation and prediction under a selection model, Biometrics 31, 423–447.
    """
    found = np.zeros(len(rows.X))
    x = rows.X.copy()
    terms = [term for term in rows.terms if term.kept.any()]
    if any((term.codes >= 0).any() for term in terms):
        operators = criterion.operators(theta)
        _add_conditional(found, terms, criterion, theta, operators)
        if design.p:
            _subtract_shared(x, terms, operators)
    found += np.einsum("mp,mp->m", x @ unscaled_vcov, x)
    for T, term in _with_factors(design, theta, rows):
        found += _length(term.unseen @ T)
    return np.maximum(found, 0.0)


def new_effect_variance(design: Design, theta: Floats, rows: PredictionRows) -> Floats:
    """
    Variance of the random effects that the prediction leaves out, relative to σ², as a new observation has them.

    Those of a term or an effect that is left out are of a level that was not seen: zᵀGz, independent of the rest. In a
    row whose level is new for an effect that is added, too, all effects of the level are the same draw: their
    covariance is included, and with `prediction_variance` the sum is zᵀGz of the whole term.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    rows : PredictionRows
        Of m rows, with every term.

    Returns
    -------
    ndarray, shape (m,)
    """
    found = np.zeros(len(rows.X))
    for T, term in _with_factors(design, theta, rows):
        if not term.kept.all():
            rest = np.where((term.codes >= 0)[:, None] & term.kept, 0.0, term.values)
            more = _length(rest @ T) - _length(term.unseen @ T)
            found += more if term.own is None else more * term.own
    return found


def _with_factors(design: Design, theta: Floats, rows: PredictionRows) -> Iterator[tuple[Floats, TermRows]]:
    """The relative factor T of each term, Cov(b of one level) = σ²TTᵀ."""
    parts = design.split_theta(theta)
    for term in rows.terms:
        yield design.random[term.place].structure.factor(parts[term.place]).T, term


def _length(values: Floats) -> Floats:
    return np.asarray(np.einsum("mk,mk->m", values, values))


def _subtract_shared(x: Floats, terms: Sequence[TermRows], operators: Operators) -> None:
    """X − Bᵀz in place: what the errors of β̂ do to the row when b̂ makes up for them."""
    B = operators.GZtVX
    for term in terms:
        z, first = term.seen, _first(term, operators)
        for a in np.flatnonzero(term.kept):
            x -= z[:, a, None] * B[first + a]


def _first(term: TermRows, operators: Operators) -> Codes:
    """Place of the first effect of each row's level; any place where there is none (z is zero there)."""
    return operators.products.starts[term.place] + np.maximum(term.codes, 0) * len(term.kept)


def _add_conditional(
    found: Floats, terms: Sequence[TermRows], criterion: Criterion, theta: Floats, operators: Operators
) -> None:
    """
    Add zᵀCz to `found`, pair of terms by pair of terms.

    The columns of C are solved for the levels that occur. The term with the most of them needs none of its own, when
    they are many: its covariances with the others are in their columns, its blocks are what the engine gives for all.
    """
    terms = sorted(terms, key=lambda term: len(np.unique(term.codes[term.codes >= 0])) * len(term.kept))
    room = max(1, _BLOCK // operators.q)
    for i, term in enumerate(terms):
        z, k = term.seen, len(term.kept)
        rows = np.flatnonzero(term.codes >= 0)
        rows = rows[np.argsort(term.codes[rows], kind="stable")]
        levels = np.unique(term.codes[rows])
        if i == len(terms) - 1 and len(levels) * k > room:
            C = criterion.conditional_variances(theta)[term.place][np.maximum(term.codes, 0)]
            found += np.einsum("ma,mab,mb->m", z, C, z)
            return
        others = [(1.0, z, _first(term, operators))]
        others += [(2.0, other.seen, _first(other, operators)) for other in terms[i + 1 :]]
        size = max(1, room // k)
        for start in range(0, len(levels), size):
            batch = levels[start : start + size]
            C = operators.covariance_of_levels(term.place, batch)
            low, high = np.searchsorted(term.codes[rows], [batch[0], batch[-1] + 1])
            some = rows[low:high]
            first = np.searchsorted(batch, term.codes[some]) * k
            for factor, z_other, first_other in others:
                found[some] += factor * _bilinear(C, z_other[some], first_other[some], z[some], first)


def _bilinear(C: Floats, left: Floats, row: Codes, right: Floats, column: Codes) -> Floats:
    """zᵀC[block]z of each row, the blocks beginning at (row, column)."""
    found = np.zeros(len(left))
    for a in range(left.shape[1]):
        for b in range(right.shape[1]):
            found += left[:, a] * right[:, b] * C[row + a, column + b]
    return found
