"""What a likelihood ratio is referred to when the smaller model is the larger one under constraints.

Constraints inside the parameters' range make χ². One that puts a variance or a correlation on the boundary halves it:
of m constraints, one of them there, ½χ²_{m−1} + ½χ²_m (Self & Liang 1987, cases 5 and 6), whatever its estimate has to
do with those of others. Of several on the boundary the weights depend on how their estimates are correlated; they are
binomial when they are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lmmpy.covariance import ARMA11, Diagonal
from lmmpy.fitting.constrained_fit import Constraint
from lmmpy.fitting.constraints import Classes

__all__ = ["UNDETERMINED", "Reference", "contained", "reference"]


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution of a likelihood-ratio statistic in large samples.

    Attributes
    ----------
    weights : dict from int to float, or None
        Share of each number of degrees of freedom; None where no closed form is known.
    text : str
        Such as ``½χ²(0) + ½χ²(1)``, or why there is none.
    is_bounded : bool
        Whether χ² on the difference of the numbers of parameters gives at least too large a p-value.
    """

    weights: dict[int, float] | None
    text: str
    is_bounded: bool = True


UNDETERMINED = Reference(
    None,
    "without correlation nothing determines ar and ma of arma11, so that no χ² holds; parametric_bootstrap_lrt() "
    "answers",
    is_bounded=False,
)


def contained(small: Constraint, large: Constraint | None) -> str | None:
    """
    The first constraint of a larger model that a smaller one does not obey; None when it obeys all.

    Parameters
    ----------
    small : Constraint
        It may lack terms of the larger one.
    large : Constraint or None
    """
    if large is None:
        return None
    own = small.classes
    place = {q.name: own.of(i) for i, q in enumerate(own.quantities)}
    silent, missing = small.silent, _missing(own, large.classes)
    silent |= {name for name, held in missing.items() if held is None}

    def held(name: str) -> float | None:
        return own.classes[place[name]].value if name in place else missing.get(name, math.nan)

    for name, value in large.given.items():
        if name in silent or value in silent:
            continue  # of an effect without variance any correlation can be said
        if isinstance(value, str):
            tied = name in place and value in place and place[name] == place[value]
            same = tied or (held(name) is not None and held(name) == held(value))
        else:
            same = held(name) == value
        if not same:
            return f"{name} = {value if isinstance(value, str) else f'{value:g}'}"
    return None


def _missing(small: Classes, large: Classes) -> dict[str, float | None]:
    """
    What a smaller model says of parameters that only the larger one has; None for a correlation that means nothing.

    A random effect that it lacks does not vary; independent residuals have no correlation, nor a variance that changes.
    """
    known = {q.name for q in small.quantities}
    of_rows = any(q.block >= 0 and small.blocks[q.block].rows is not None for q in small.quantities)
    found: dict[str, float | None] = {}
    for q in large.quantities:
        if q.name in known or q.block < 0:
            continue
        block = large.blocks[q.block]
        if block.rows is not None:
            found[q.name] = math.nan if of_rows or q.kind == "sd" else 0.0
        elif q.kind == "sd":
            found[q.name] = 0.0
        else:
            both = all(f"sd_{block.labels[i]}|{block.name}" in known for i in q.places)
            found[q.name] = 0.0 if both else None
    return found


def reference(small: Constraint, large: Constraint | None, df: int) -> Reference:
    """
    The distribution to which twice the difference of log-likelihoods is referred.

    Parameters
    ----------
    small : Constraint
        Of the smaller model.
    large : Constraint or None
        Of the larger one, of the same design, which the smaller obeys.
    df : int
        Difference of the numbers of parameters.

    Returns
    -------
    Reference
    """
    on = _on_boundary(small.classes)
    if large is not None:
        on -= _on_boundary(large.classes)
    by_block: dict[int, int] = {}
    for i in on:
        q = small.classes.quantities[i]
        by_block[q.block] = by_block.get(q.block, 0) + 1
    for b, count in by_block.items():
        block = small.classes.blocks[b]
        if count > 1 and not isinstance(block.matrix, Diagonal) and block.matrix is not None:
            return Reference(
                None, f"{count} restrictions on the boundary of {block.name} have no mixture in closed form"
            )
    if large is not None:  # what the larger model ties is one restriction
        found = {large.classes.of(i) for i in on}
        count = len(found)
    else:
        count = len(on)
    if _lacks_arma(small.classes) and not (large is not None and _lacks_arma(large.classes)):
        return UNDETERMINED
    if count == 0:
        return Reference({df: 1.0}, f"χ²({df})")
    weights = {df - count + i: math.comb(count, i) * 0.5**count for i in range(count + 1)}
    text = " + ".join(f"{_share(weight)}χ²({m})" for m, weight in weights.items())
    if count > 1:
        text += ", binomial weights, as if the estimates on the boundary were uncorrelated"
    return Reference(weights, text)


def _lacks_arma(classes: Classes) -> bool:
    """Whether constraints leave an `arma11` without correlation, ma = −ar."""
    held: dict[int, float] = {}
    for c in classes.classes:
        for i in c.members if c.value is not None else ():
            q = classes.quantities[i]
            if q.block >= 0 and isinstance(classes.blocks[q.block].rows, ARMA11):
                held[q.places[0]] = c.value or 0.0
    return len(held) == 2 and abs(sum(held.values())) < 1e-12


def _share(weight: float) -> str:
    return {0.5: "½", 0.25: "¼"}.get(weight, f"{weight:g} ")


def _on_boundary(classes: Classes) -> set[int]:
    """
    Quantities that the user's constraints put on the boundary, one for each restriction.

    Several effects that are copies of one have as many restrictions as copies; those of one variance or one
    correlation count once.
    """
    found: set[int] = set()
    seen: set[tuple[int, str, int]] = set()
    for c, kept in enumerate(classes.classes):
        for i in kept.members if kept.value is not None and not kept.found else ():
            q = classes.quantities[i]
            if q.block < 0 or not _is_end(classes, i, kept.value or 0.0):
                continue
            block = classes.blocks[q.block]
            once = block.one_variance if q.kind == "sd" else block.one_correlation
            key = (q.block, q.kind, c)
            if once and key in seen:
                continue
            seen.add(key)
            found.add(i)
    return _independent(classes, found)


def _is_end(classes: Classes, i: int, value: float) -> bool:
    """Whether a value is an end of a quantity's range."""
    q = classes.quantities[i]
    block = classes.blocks[q.block]
    if q.kind == "sd":
        return value == 0.0
    if q.kind == "cor":
        return value in (1.0, block.least)
    assert block.rows is not None
    rows, place = block.rows, q.places[0]
    at = rows.reported(rows.start())[place].gradient.nonzero()[0]
    if len(at) != 1:
        return False
    ends = [float(rows.lower[at[0]])] if math.isfinite(rows.lower[at[0]]) else []
    ends += [end for where, end in rows.boundary(rows.start(), rows.start() * 0.0 + math.inf) if where == at[0]]
    for end in ends:
        phi = rows.start().copy()
        phi[at[0]] = end
        if abs(rows.reported(phi)[place].value - value) < 1e-12:
            return True
    return False


def _independent(classes: Classes, found: set[int]) -> set[int]:
    """Without correlations of ±1 that follow from others."""
    kept: set[int] = set()
    roots: dict[tuple[int, int], int] = {}

    def root(b: int, a: int) -> int:
        while roots.get((b, a), a) != a:
            a = roots[b, a]
        return a

    for i in sorted(found):
        q = classes.quantities[i]
        block = classes.blocks[q.block]
        if q.kind == "cor" and not block.one_correlation:
            first, second = root(q.block, q.places[0]), root(q.block, q.places[1])
            if first == second:
                continue
            roots[q.block, max(first, second)] = min(first, second)
        kept.add(i)
    return kept
