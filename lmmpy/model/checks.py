"""Models that cannot be fitted, refused with the reason; and designs that deserve a word of warning."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np

from lmmpy.covariance import Known
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Floats
from lmmpy.errors import FormulaError, ModelError, RankDeficiencyWarning, ScaleWarning, shown

__all__ = ["check_design", "check_residual", "warn_about_design"]

_SCALE_RATIO, _SHIFT_RATIO = 1e4, 1e7
_NOTHING = 5e-7
_SAME = 1e-10


def check_design(design: Design, sizes: bool = True) -> None:
    """
    Refuse a design that is no linear mixed model, or whose parameters nothing determines.

    Parameters
    ----------
    design : Design
    sizes : bool
        Whether the number of random effects is held against the number of rows.

    Raises
    ------
    FormulaError
        Without a random term or a structured residual.
    ModelError
        For a grouping factor with one level, or with unrelated levels as many as rows, or too many effects.
    """
    if not design.random and not design.row_covariances:
        raise FormulaError(
            "The formula has no random term, so this is an ordinary regression. Add one, for example + (1 | group), "
            "give residual= a structure, or fit it by least squares: lmm.gls(formula, data)."
        )
    if design.n <= design.p:
        raise ModelError(
            f"There are {design.p} fixed effects for {design.n} row{'s' * (design.n > 1)}; at least one "
            "row more than effects "
            f"is needed.{_widest_term(design)} Simplify the fixed part or use more data."
        )
    _check_traits(design)
    for term in design.random:
        _check_levels(design, term)
        if sizes:
            _check_size(design, term)


def _check_traits(design: Design) -> None:
    """Each trait needs more rows than fixed effects, else nothing is left of its residuals."""
    if design.traits is None:
        return
    for t, name in enumerate(design.traits.names):
        here = design.traits.trait == t
        n, p = int(np.count_nonzero(here)), int(np.count_nonzero(design.X[here].any(axis=0)))
        if n <= p:
            raise ModelError(
                f"There are {p} fixed effects for {n} row{'s' * (n > 1)} that have the trait {name!r}; at least one "
                "row more than effects is needed. Simplify its fixed part or use more data."
            )


def _widest_term(design: Design) -> str:
    """Name a fixed term that takes most of the columns: often numbers that were read as text."""
    term, count = max(Counter(design.assign).items(), key=lambda item: item[1])
    if count <= max(2, design.p // 2):
        return ""
    names = [name for name, of in zip(design.names, design.assign, strict=True) if of == term]
    return f" {count} of them belong to one factor ({shown(names, 3)}): were numbers read as text?"


def _check_levels(design: Design, term: RandomEffects) -> None:
    if term.n_recorded < 2:
        levels = [label for label, recorded in zip(term.levels, term.recorded, strict=True) if recorded]
        raise ModelError(
            f"The grouping factor {term.group!r} of ({term.term.text}) has one level only ({shown(levels)}) in "
            "the rows used; a variance between levels needs at least two. Take the term out."
        )


def _check_size(design: Design, term: RandomEffects) -> None:
    # Relatives are alike where residuals are not, so that even one record an effect tells them apart; and so do
    # residuals that are alike beyond a row, or have known variances.
    if not _unrelated(term) or not _parted_by_rows(design):
        return
    for name, n, n_levels, k in _sizes(design, term):
        _check_counts(term, name, n, n_levels, k)


def _parted_by_rows(design: Design) -> bool:
    """Whether residuals of different rows of the data are independent, with variances to be estimated."""
    residual = design.residual
    if residual is None:
        return True
    if isinstance(residual.structure, Known) and np.ptp(residual.typical) > 0.0:
        return False
    row = np.arange(design.n) if design.traits is None else design.traits.row
    pairs = np.unique(residual.groups.astype(np.int64) * (int(row.max()) + 1) + row)
    return len(np.unique(residual.groups)) == len(pairs)


def _sizes(design: Design, term: RandomEffects) -> Iterator[tuple[str, int, int, int]]:
    """How many rows, levels and effects a level there are: of all, or of each trait that the term is of."""
    if design.traits is None:
        yield "", design.n, term.n_recorded, term.k
        return
    for t, name in enumerate(design.traits.names):
        here = design.traits.trait == t
        k = int(np.count_nonzero(term.values[here].any(axis=0)))
        if k:
            n_levels = len(np.unique(term.codes[here]))
            yield f" that have the trait {name!r}", int(np.count_nonzero(here)), n_levels, k


def _check_counts(term: RandomEffects, of: str, n: int, n_levels: int, k: int) -> None:
    if n_levels * k < n:
        return
    if n_levels >= n:
        why = (
            ""
            if term.relatedness.is_identity
            else " Their relatedness is the identity, or a multiple of it: nobody is related to another, so the effect "
            "and the residual are the same thing."
        )
        raise ModelError(
            f"The grouping factor {term.group!r} of ({term.term.text}) has as many levels ({n_levels}) as there "
            f"are rows{of} ({n}), so its variance and the residual variance cannot be told apart.{why} Group by "
            f"something that repeats{_how_to_relate(term)}."
        )
    # Correlations that decay determine a structure even with one record an effect.
    if not (isinstance(term.structure, OneCorrelation) and term.structure.ordered):
        raise ModelError(
            f"The term ({term.term.text}) has {n_levels * k} random effects ({n_levels} levels × {k} columns) "
            f"for {n} rows{of}, so they and the residual variance cannot be told apart. Use fewer columns left of "
            "the bar; control=Control(check_sizes='ignore') fits it all the same."
        )


def _how_to_relate(term: RandomEffects) -> str:
    """What may have been forgotten of an ordinary grouping factor."""
    if term.term.grouping.kin is not None or not term.relatedness.is_identity:
        return ""
    kin = f"write kin({term.group}, A) or " if len(term.term.grouping.factors) == 1 else "give "
    return (
        f", or, if its levels are related, {kin}relmat={{{term.group!r}: A}} with a pedigree or another relatedness A"
    )


def _unrelated(term: RandomEffects) -> bool:
    """Whether the relatedness of the levels that rows have is a multiple of the identity."""
    K, recorded = term.relatedness, term.recorded
    if K.is_scaled_identity or recorded.all():
        return K.is_scaled_identity
    groups = K.components()[recorded]
    if len(np.unique(groups)) < len(groups):
        return False
    variances = K.diagonal()[recorded]
    return bool(np.ptp(variances) <= _SAME * variances.max())


def check_residual(design: Design, response: str, sigma: float, scale: float) -> None:
    """
    Refuse a fit whose random effects reproduce the response, for which the likelihood has no bound.

    Parameters
    ----------
    design : Design
    response : str
        What to call it in the message.
    sigma : float
    scale : float
        Length of the residual of the fixed effects alone.

    Raises
    ------
    ModelError
    """
    if sigma * np.sqrt(design.n) < _NOTHING * scale:
        groups = shown([term.name for term in design.random])
        raise ModelError(
            f"The random effects of {groups} reproduce {response} exactly: nothing varies within their "
            "levels, so the likelihood has no bound and no residual variance can be estimated. Is it "
            "constant in each level?"
        )


def _two_valued(column: Floats) -> bool:
    """Whether a column is that of a factor with two levels, or like one: its scale is nobody's choice."""
    return bool(((column == column.min()) | (column == column.max())).all())


def warn_about_design(design: Design) -> None:
    """Say which columns were dropped, and when predictors are on wildly different scales."""
    if design.dropped:
        count = len(design.dropped)
        warnings.warn(
            f"The fixed-effects matrix is rank deficient: {count} column{'s' * (count > 1)} dropped, because others "
            f"determine {'them' if count > 1 else 'it'}: {shown(design.dropped, 10)}.",
            RankDeficiencyWarning,
            stacklevel=3,
        )
    _warn_about_scales(design)
    for term in design.random:
        _warn_about_shift(term)


def _mean_and_spread(columns: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column; about the first row, so that a large mean costs no digits."""
    moved = columns - columns[0]
    mean = np.full(len(moved), 1.0 / len(moved)) @ moved
    square = np.einsum("ij,ij->j", moved, moved) / len(moved)
    return columns[0] + mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _warn_about_scales(design: Design) -> None:
    _, spread = _mean_and_spread(design.X)
    varying = [i for i in range(design.p) if spread[i] > 0 and not _two_valued(design.X[:, i])]
    if len(varying) > 1:
        largest, smallest = max(varying, key=lambda i: spread[i]), min(varying, key=lambda i: spread[i])
        if spread[largest] > _SCALE_RATIO * spread[smallest]:
            warnings.warn(
                f"Predictors are on very different scales: the standard deviation of {design.names[largest]!r} is "
                f"{spread[largest]:.3g}, that of {design.names[smallest]!r} {spread[smallest]:.3g}. The fit is not "
                "harmed, but coefficients are easier to read after scale() or a change of units.",
                ScaleWarning,
                stacklevel=4,
            )


def _warn_about_shift(term: RandomEffects) -> None:
    """An intercept and a slope that lies far from zero are nearly the same column, and hard to tell apart."""
    if term.term.structure != "us" or not term.term.lhs.intercept:
        return
    mean, spread = _mean_and_spread(term.values)
    mean = np.abs(mean)
    for i in np.flatnonzero((spread > 0) & (mean > _SHIFT_RATIO * spread)):
        warnings.warn(
            f"In ({term.term.text}) the values of {term.columns[i]!r} lie {mean[i] / spread[i]:.3g} "
            "standard deviations "
            f"from zero, so intercept and slope can hardly be told apart. Centre {term.columns[i]!r} "
            "(subtract its mean): the "
            "model is the same, its variances mean more, and it is fitted more reliably.",
            ScaleWarning,
            stacklevel=4,
        )
