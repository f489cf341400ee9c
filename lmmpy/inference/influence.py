"""The design without some of its rows."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Product, RowStructure
from lmmpy.design import Categorical, Design, RowCovariance, Traits
from lmmpy.design.rank import independent_columns
from lmmpy.errors import ModelError, shown
from lmmpy.relatedness import Relatedness

__all__ = ["without_rows"]

Mask = NDArray[np.bool_]

# Attributes of row structures that have one entry a row.
_BY_ROW = ("places", "times", "covariate", "codes")


def without_rows(design: Design, rows: Mask, what: str = "these rows") -> Design:
    """
    The design of the same model over fewer rows.

    Columns stay what they were: transforms and contrasts are not learned again from the rows that are left.

    Parameters
    ----------
    design : Design
    rows : ndarray of bool, shape (n,)
        Which to leave out.
    what : str
        How a message calls them.

    Returns
    -------
    Design
        Levels of grouping factors that vanish are gone; terms, columns and parameters are the same.

    Raises
    ------
    ModelError
        When a column, fixed or random, is not determined any more.
    """
    kept = ~rows
    X = design.X[kept]
    lost = set(range(design.p)) - set(independent_columns(X).tolist()) if design.p else set()
    if lost:
        raise ModelError(
            f"Without {what} the remaining {len(X)} rows do not determine the fixed effects "
            f"{shown([design.names[i] for i in sorted(lost)])}: no other rows tell them apart from the others."
        )
    groupings: dict[int, Categorical] = {}
    terms = []
    for term in design.random:
        values = term.values[kept]
        empty = [name for name, column in zip(term.columns, values.T, strict=True) if not column.any()]
        if empty:
            raise ModelError(
                f"Without {what} nothing is left of the random effects {shown(empty)} of ({term.term.text}): their "
                "columns are zero in all other rows."
            )
        # Terms of one factor share its grouping, and engines take them together by that.
        key = id(term.grouping)
        relatedness = term.relatedness
        if key not in groupings:
            left = replace(term.grouping, codes=term.codes[kept])
            # Relatives without rows of their own still tie others together.
            groupings[key] = left.drop_unused() if relatedness.is_identity else left
        if relatedness.is_identity:
            relatedness = Relatedness.identity(len(groupings[key].levels))
        terms.append(replace(term, values=values, grouping=groupings[key], relatedness=relatedness))
    used, traits = _rows_left(design, kept)
    return replace(
        design,
        y=design.y[kept],
        X=X,
        random=tuple(terms),
        weights=None if design.weights is None else design.weights[kept],
        offset=None if design.offset is None else design.offset[kept],
        rows=used,
        functions=tuple(_some_rows(function, kept, what) for function in design.functions),
        residual=None if design.residual is None else _some_rows(design.residual, kept, what),
        traits=traits,
    )


def _rows_left(design: Design, kept: Mask) -> tuple[Mask, Traits | None]:
    """The rows of the data that some row of the design is left of, and which traits of them."""
    used, places = design.rows.copy(), np.flatnonzero(design.rows)
    if design.traits is None:
        used[places[~kept]] = False
        return used, None
    left, row = np.unique(design.traits.row[kept], return_inverse=True)
    used[np.delete(places, left)] = False
    return used, Traits(design.traits.names, design.traits.trait[kept], np.asarray(row, dtype=np.intp))


def _some_rows(rows: RowCovariance, kept: Mask, what: str) -> RowCovariance:
    """A covariance between rows over fewer of them; times and places stay what they were."""
    return replace(
        rows,
        groups=rows.groups[kept],
        structure=_structure_of(rows.structure, kept, rows.name, what),
        typical=rows.typical[kept],
        codes=None if rows.codes is None else rows.codes[kept],
    )


def _structure_of(structure: RowStructure, kept: Mask, name: str, what: str) -> RowStructure:
    if isinstance(structure, Product):
        return cast("RowStructure", Product(*(_structure_of(part, kept, name, what) for part in structure.parts)))
    given = cast("Any", structure)
    by_row = {field.name: getattr(given, field.name) for field in fields(given) if field.name in _BY_ROW}
    if "places" in by_row:
        gone = np.setdiff1d(by_row["places"], by_row["places"][kept])
        if len(gone):
            raise ModelError(
                f"Without {what} no row is left of {shown([given.labels[place] for place in gone.tolist()])}, whose "
                f"standard deviation is a parameter of {name}."
            )
    found = replace(given, **{field: values[kept] for field, values in by_row.items()})
    if hasattr(given, "step"):
        object.__setattr__(found, "step", given.step)  # the unit of time, in which φ is
    return cast("RowStructure", found)
