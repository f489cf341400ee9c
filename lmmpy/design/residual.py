"""`residual=` and data → the covariance of the rows' residuals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.covariance import (
    ARMA11,
    ContinuousAR1,
    Correlation,
    Exchangeable,
    Exponential,
    Indexed,
    Known,
    OrderedAR1,
    Power,
    Product,
    RowStructure,
    Strata,
    make_structure,
)
from lmmpy.covariance.diagonal import Diagonal
from lmmpy.design.design import RowCovariance, Traits
from lmmpy.design.reading import ROW, TRAIT, Reading
from lmmpy.design.values import Categorical, Codes, Floats, Named, as_factor, combine, factorize, take
from lmmpy.errors import DataError, FormulaError, ModelError, shown
from lmmpy.formula import INDEPENDENT, Node, ResidualSpec, RowCorrelation, RowVariance, deparse, names_in
from lmmpy.relatedness import Relatedness

__all__ = ["RowView", "make_residual"]


@dataclass(frozen=True, eq=False, slots=True)
class RowView:
    """
    The rows of a design, as a residual sees them.

    Attributes
    ----------
    reading : Reading
        On the rows of the data that are used.
    data_rows : ndarray of int, shape (n,)
        Number of each row in the data.
    deviations : ndarray, shape (n,)
        Residuals of the fixed effects alone, times the root of the prior weights.
    mean : ndarray, shape (n,)
        A first guess of the mean, for a variance that is a function of it.
    known : pair of Categorical and Relatedness, or None
        The levels of the rows of the data, and the known covariance of them.
    traits : Traits or None
    """

    reading: Reading
    data_rows: Codes
    deviations: Floats
    mean: Floats
    known: tuple[Categorical, Relatedness] | None = None
    traits: Traits | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.data_rows)

    def factor(self, nodes: Sequence[Node], text: str) -> Categorical:
        """The combination of some factors, shape (n,), without unused levels."""
        return combine([self._factor(node, text) for node in nodes]).drop_unused()

    def _factor(self, node: Node, text: str) -> Categorical:
        name = deparse(node)
        if self.traits is not None:
            if name == TRAIT:
                return Categorical(self.traits.trait, np.array(self.traits.names, dtype=object))
            if name == ROW:
                return Categorical(self.traits.row, np.arange(self.traits.row[-1] + 1))
        value = as_factor(self.column(node, text))
        return factorize(value)

    def column(self, node: Node, text: str) -> Categorical | NDArray[np.float64]:
        """The value of an expression, shape (n,)."""
        if self.traits is not None and {TRAIT, ROW} & set(names_in(node)) and node not in self.reading.values:
            raise FormulaError(f"residual: {deparse(node)!r} in {text} is no number.")
        value = self.reading.values[node]
        if isinstance(value, Named) or (not isinstance(value, Categorical) and value.ndim > 1):
            raise FormulaError(f"residual: {deparse(node)!r} in {text} is a matrix; it must be one value a row.")
        if self.traits is None:
            return value  # type: ignore[no-any-return]
        return take(value, self.traits.row)  # type: ignore[arg-type, no-any-return]

    def numbers(self, node: Node, text: str) -> Floats:
        """The value of an expression that must be numbers."""
        value = self.column(node, text)
        if isinstance(value, Categorical) or value.dtype.kind == "b":
            raise DataError(
                f"residual: {deparse(node)!r} in {text} is a factor or text; it must be numbers. For the levels of a "
                f"factor write 0 + {deparse(node)}."
            )
        numbers = np.asarray(value, dtype=float)
        if not np.isfinite(numbers).all():
            bad = ~np.isfinite(numbers)
            raise DataError(
                f"residual: {deparse(node)!r} in {text} is not finite in the rows {shown(self.data_rows[bad].tolist())}"
                " (counted from 0)."
            )
        return numbers


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """One factor of a residual covariance, and what it says of the typical standard deviations of rows."""

    structure: RowStructure
    typical: Floats


def make_residual(spec: ResidualSpec, view: RowView) -> RowCovariance:
    """
    The covariance of the residuals.

    Parameters
    ----------
    spec : ResidualSpec
    view : RowView

    Returns
    -------
    RowCovariance

    Raises
    ------
    FormulaError, DataError, ModelError
        Naming the group, the level or the time that makes it impossible.
    """
    groups, parts = np.arange(view.n), []
    if spec.correlation is not None:
        correlation = spec.correlation
        groups = view.factor(correlation.group, correlation.text).codes if correlation.group else np.zeros_like(groups)
        parts.append(_correlation(correlation, groups, view))
    if spec.known is not None:
        groups, part = _known(view)
        parts.append(part)
    if spec.text == INDEPENDENT:
        parts.append(_Part(Known(sparse.eye_array(view.n, format="csr"), np.arange(view.n)), np.ones(view.n)))
    alone = not parts and len(spec.variances) == 1
    several = _alike(spec.variances, view)
    parts += [_variance(variance, view, alone, variance.kind in several) for variance in spec.variances]
    structure = parts[0].structure if len(parts) == 1 else Product(*(part.structure for part in parts))
    typical = np.prod([part.typical for part in parts], axis=0)
    return RowCovariance("Residual", groups, structure, typical)


# ---- correlations


def _correlation(spec: RowCorrelation, groups: Codes, view: RowView) -> _Part:
    if np.bincount(groups).max() < 2 and not (spec.kind == "us" and spec.places):
        raise ModelError(
            f"residual: no group of {spec.text} has two rows, so there is no correlation to estimate. Is it another "
            "column that makes the groups?"
        )
    ones = np.ones(view.n)
    if spec.kind in ("car1", "arma11", "ar1") and not spec.places:
        return _Part(_SERIAL[spec.kind](_times(spec, groups, view), groups), ones)
    if spec.kind == "cs" and not spec.places:
        return _Part(Exchangeable(int(np.bincount(groups).max())), ones)
    return _placed(spec, groups, view)


_SERIAL: dict[str, Callable[[Floats, Codes], RowStructure]] = {
    "car1": lambda times, _: ContinuousAR1(times),
    "arma11": lambda times, _: ARMA11(times),
    "ar1": OrderedAR1.in_groups,
}


def _times(spec: RowCorrelation, groups: Codes, view: RowView) -> Floats:
    """Times of the rows: given, or their order in the group."""
    if spec.time is None:
        return _order(groups).astype(float)
    times = view.numbers(spec.time, spec.text)
    _require_different(spec, groups, times, view)
    _require_whole(spec, times, view)
    return times


def _order(groups: Codes) -> Codes:
    """Number of each row in its group, by the order of the rows."""
    order = np.argsort(groups, kind="stable")
    first = np.concatenate([[0], np.flatnonzero(np.diff(groups[order])) + 1])
    sizes = np.diff(np.append(first, len(groups)))
    found = np.empty(len(groups), dtype=np.intp)
    found[order] = np.arange(len(groups)) - np.repeat(first, sizes)
    return found


def _placed(spec: RowCorrelation, groups: Codes, view: RowView) -> _Part:
    """A structure over the levels of a factor, or over the order of the rows."""
    if spec.places:
        factor = view.factor(spec.places, spec.text)
        _require_different(spec, groups, factor.codes, view, factor.labels)
    else:
        order = _order(groups)
        factor = Categorical(order, np.arange(1, order.max() + 2))
    places, labels = factor.codes, tuple(factor.labels)
    if len(labels) < 2:
        raise ModelError(f"residual: {spec.text} needs at least two levels, and the rows used have {shown(labels)}.")
    if spec.kind == "us":
        _require_together(spec, groups, places, labels)
    sizes = np.ones(len(labels))
    if not spec.one_variance:
        _require_several(places, labels, spec.text)
        sizes = _sizes(places, len(labels), view)
    if spec.kind == "us" and spec.homogeneous:
        return _Part(Indexed(Correlation(len(labels)), places, labels, sizes), sizes[places])
    return _Part(
        Indexed(make_structure(spec.kind, len(labels), spec.homogeneous), places, labels, sizes), sizes[places]
    )


def _sizes(places: Codes, k: int, view: RowView) -> Floats:
    """Standard deviations of the rows of each place, relative to the first; none next to nothing for its trait."""
    trait = np.zeros(view.n, dtype=np.intp) if view.traits is None else view.traits.trait
    of_trait = _root_mean_square(trait, int(trait.max()) + 1, view.deviations)
    least = np.full(k, np.inf)
    np.minimum.at(least, places, 1e-4 * of_trait[trait])
    sd = np.maximum(_root_mean_square(places, k, view.deviations), least)
    if not (sd > 0.0).all():  # a trait without any; see `check_traits`
        return np.ones(k)
    return np.asarray(sd / sd[0])


def _root_mean_square(codes: Codes, k: int, values: Floats) -> Floats:
    return np.asarray(np.sqrt(np.bincount(codes, values**2, minlength=k) / np.bincount(codes, minlength=k).clip(1)))


def _require_different(
    spec: RowCorrelation, groups: Codes, where: NDArray[np.float64] | Codes, view: RowView, labels: Sequence[str] = ()
) -> None:
    """Refuse two rows of one group at the same time or level, which would be the same quantity."""
    order = np.lexsort((where, groups))
    same = (np.diff(groups[order]) == 0) & (np.diff(where[order]) == 0)
    if not same.any():
        return
    first, second = order[:-1][same][0], order[1:][same][0]
    of = f"the group {view.factor(spec.group, spec.text).labels[groups[first]]!r} has" if spec.group else "there is"
    at = labels[int(where[first])] if len(labels) else f"{where[first]:.15g}"
    what = "level" if len(labels) else "time"
    nodes = spec.places or ((spec.time,) if spec.time is not None else ())
    rows = shown(sorted(int(view.data_rows[row]) for row in (first, second)))
    raise DataError(
        f"residual: in {spec.text}, {of} the {what} {at} of {':'.join(map(deparse, nodes))} more than once (rows "
        f"{rows}, counted from 0). Each {what} stands at most once in a group; make finer groups, or leave rows out."
    )


def _require_whole(spec: RowCorrelation, times: Floats, view: RowView) -> None:
    if spec.kind == "car1":
        return
    broken = times != np.round(times)
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        instead = f"car1{spec.text[spec.text.index('(') :]} is for any times" if spec.kind == "ar1" else "Count them"
        raise DataError(
            f"residual: the times of {spec.text} must be whole numbers; that of row {view.data_rows[row]} (counted "
            f"from 0) is {times[row]:.15g}. {instead}."
        )


def _require_several(places: Codes, labels: Sequence[str], text: str) -> None:
    """Refuse a variance of one row."""
    counts = np.bincount(places, minlength=len(labels))
    if (counts < 2).any():
        alone = [label for label, count in zip(labels, counts, strict=True) if count < 2]
        raise ModelError(
            f"residual: {text} has a variance for each level, and {shown(alone)} "
            f"{'has' if len(alone) == 1 else 'have'} one row only. Join levels, or leave these rows out."
        )


def _require_together(spec: RowCorrelation, groups: Codes, places: Codes, labels: Sequence[str]) -> None:
    """Refuse a correlation of two levels that no group has together: nothing in the data speaks of it."""
    k = len(labels)
    seen = sparse.csr_array((np.ones(len(groups)), (groups, places)), shape=(int(groups.max()) + 1, k))
    never = np.argwhere(np.tril((seen.T @ seen).toarray() == 0.0))
    if len(never):
        later, earlier = (labels[i] for i in never[0])
        within = ":".join(map(deparse, spec.group)) or "the data"
        others = f" (nor {len(never) - 1} other pair{'s' * (len(never) > 2)})" if len(never) > 1 else ""
        group = "row" if within == ROW else f"group of {within}"
        raise ModelError(
            f"residual: no {group} has both {earlier!r} and {later!r}{others}, so that their residual correlation "
            f"cannot be estimated. {_without_correlation(spec)}"
        )


def _without_correlation(spec: RowCorrelation) -> str:
    if spec.text == "us" or [deparse(node) for node in spec.group] == [ROW]:
        return "Write residual='diag', without residual correlations."
    return f"Write diag(0 + {':'.join(map(deparse, spec.places)) or 'f'} | 1), without correlations."


# ---- variances


def _alike(variances: Sequence[RowVariance], view: RowView) -> set[str]:
    """The kinds of variance of which two would have parameters of the same name."""
    of_kind = Counter(variance.kind for variance in variances)
    factors = [view.factor(v.variables, v.text) for v in variances if v.kind == "varident"]
    labels = Counter(label for factor in factors for label in factor.labels)
    found = {kind for kind, count in of_kind.items() if kind != "varident" and count > 1}
    return found | {"varident"} if max(labels.values(), default=0) > 1 else found


def _variance(spec: RowVariance, view: RowView, alone: bool, several: bool) -> _Part:
    of = ":".join(map(deparse, spec.variables)) if several else ""
    if spec.kind == "varident":
        strata = view.factor(spec.variables, spec.text)
        labels = tuple(strata.labels)
        if len(labels) < 2:
            raise ModelError(
                f"residual: {spec.text} needs two levels or more; the rows used have {shown(labels)} only."
            )
        _require_several(strata.codes, labels, spec.text)
        sizes = _sizes(strata.codes, len(labels), view)
        structure = Indexed(Diagonal(len(labels)), strata.codes, labels, sizes)
        return _Part(structure if alone else Strata(strata.codes, labels, sizes, of), sizes[strata.codes])
    if spec.of_mean:
        covariate, what = view.mean, "the mean"
    else:
        covariate, what = view.numbers(spec.variables[0], spec.text), deparse(spec.variables[0])
    if np.ptp(covariate) == 0.0 and not spec.of_mean:  # random effects may vary it
        raise ModelError(
            f"residual: {what} of {spec.text} is constant ({covariate[0]:.6g}), so nothing varies with it."
        )
    if spec.kind == "varexp":
        return _Part(Exponential(covariate, of=of), np.ones(view.n))
    if (covariate == 0.0).any():
        zero = shown(view.data_rows[covariate == 0.0].tolist())
        raise DataError(
            f"residual: {what} of {spec.text} is zero in the rows {zero} (counted from 0), and a power of zero is no "
            "variance. Use varexp(), or shift the covariate."
        )
    return _Part(Power(covariate, of=of), np.ones(view.n))


# ---- known covariances


def _known(view: RowView) -> tuple[Codes, _Part]:
    """A known covariance, in groups of rows that it relates."""
    assert view.known is not None
    grouping, relatedness = view.known
    codes = grouping.codes if view.traits is None else grouping.codes[view.traits.row]
    _require_single(codes, grouping, view)
    variances = relatedness.diagonal()[codes]
    if not (variances > 0.0).all():
        bad = [grouping.labels[code] for code in np.unique(codes[variances <= 0.0])]
        raise DataError(f"residual: the known covariance gives {shown(bad)} no variance. It must be positive definite.")
    groups, typical = relatedness.components()[codes], np.sqrt(variances)
    return groups, _Part(Known(_matrix(relatedness), codes), typical)


def _require_single(codes: Codes, grouping: Categorical, view: RowView) -> None:
    """Refuse two rows of one level, whose residuals would be the same quantity."""
    counts = np.bincount(codes)
    if counts.max() < 2:
        return
    level = int(counts.argmax())
    rows = shown(view.data_rows[codes == level].tolist())
    traits = "" if view.traits is None else ", as do the traits of a row"
    raise DataError(
        f"residual: {grouping.labels[level]!r} stands in several rows ({rows}, counted from 0){traits}, and a known "
        "covariance has one residual for each id, so that these would be equal. Give each row an id of its own; "
        "effects that rows share are random terms of the formula."
    )


def _matrix(relatedness: Relatedness) -> NDArray[np.float64] | sparse.csr_array:
    """The whole matrix: dense where all are related, else its blocks."""
    number = relatedness.components()
    order = np.argsort(number, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    if len(members) == 1:
        return relatedness.dense()
    blocks = [relatedness.block(one, one) for one in members]
    rows = np.concatenate([np.repeat(one, len(one)) for one in members])
    columns = np.concatenate([np.tile(one, len(one)) for one in members])
    values = np.concatenate([block.ravel() for block in blocks])
    return sparse.csr_array((values, (rows, columns)), shape=(len(number), len(number)))
