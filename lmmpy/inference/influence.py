"""The design without some of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Categorical, Design
from lmmpy.design.rank import independent_columns
from lmmpy.errors import ModelError, shown
from lmmpy.relatedness import Relatedness

__all__ = ["without_rows"]


def without_rows(design: Design, rows: NDArray[np.bool_], what: str = "these rows") -> Design:
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
    used = design.rows.copy()
    used[np.flatnonzero(used)[rows]] = False
    return replace(
        design,
        y=design.y[kept],
        X=X,
        random=tuple(terms),
        weights=None if design.weights is None else design.weights[kept],
        offset=None if design.offset is None else design.offset[kept],
        rows=used,
    )
