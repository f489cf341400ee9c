"""Who the rows of a fit are, for what is known of people and not of rows: genotypes, sharing by descent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.design.values import factorize
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.formula.syntax import Name
from lmmpy.model import LmmFit

__all__ = ["People", "null_fit", "people_of"]


@dataclass(frozen=True, eq=False, slots=True)
class People:
    """The people of a fit.

    Attributes
    ----------
    ids : tuple of str
        In the order in which the rows have them first.
    codes : ndarray of int, shape (n,)
        Whose each row is, in `ids`.
    column : str
        Where the data say so.
    """

    ids: tuple[str, ...]
    codes: NDArray[np.intp]
    column: str

    @property
    def repeated(self) -> bool:
        """Whether somebody has several rows."""
        return len(self.codes) > len(self.ids)

    def places(self, known: Sequence[str], what: str) -> NDArray[np.intp]:
        """
        The number of everybody among some ids.

        Parameters
        ----------
        known : sequence of str
        what : str
            Whose ids they are, for the error.

        Raises
        ------
        DataError
            Naming who is not there.
        """
        place = {id: i for i, id in enumerate(known)}
        absent = [id for id in self.ids if id not in place]
        if absent:
            nobody = f" None of the fit's ids is there; theirs look like {shown(known[:3])}." * (
                len(absent) == len(self.ids)
            )
            raise DataError(
                f"{what} lack {len(absent):,} of the {len(self.ids):,} people of the null fit, by column "
                f"{self.column!r}: {shown(absent)}.{nobody} Fit the null model to those that are there "
                "(subset=), or name the column of the ids with id=."
            )
        return np.array([place[id] for id in self.ids], dtype=np.intp)


def null_fit(null: Any) -> LmmFit:
    """The fit itself, of a fit or of an analysis that has one."""
    fit = getattr(null, "fit", null)
    if not isinstance(fit, LmmFit):
        raise ModelError(
            f"The null model is a {type(null).__name__}; expected a fit by lmm.lmer, or an analysis such as "
            "qtl.polygenic(...)."
        )
    return fit


def people_of(fit: LmmFit, id: str | None = None) -> People:
    """
    Who the rows of a fit are.

    Parameters
    ----------
    fit : LmmFit
    id : str, optional
        Column of the data; by default the one by which the fit's relatedness finds its levels, else ``"id"``.

    Returns
    -------
    People

    Raises
    ------
    DataError
        When there is no such column.
    ModelError
        When there are several.
    """
    if id is not None and not isinstance(id, str):
        raise ModelError(f"id is the name of a column, not {id!r}.")
    columns = Columns(fit.request.source.data)
    name = _column(fit, columns) if id is None else id
    if name not in columns:
        raise DataError(columns.not_found(name))
    factor = factorize(columns[name])
    rows = factor.codes[fit.design.rows]
    if fit.design.traits is not None:
        rows = rows[fit.design.traits.row]
    if (rows < 0).any():
        raise DataError(
            f"{int((rows < 0).sum())} rows of the fit have no {name!r}, so that nobody knows whose they are."
        )
    found, first, codes = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    labels = factor.labels
    return People(tuple(labels[level].strip() for level in found[order]), rank[codes], name)


def _column(fit: LmmFit, columns: Columns) -> str:
    """The column by which the relatedness of the fit finds its levels."""
    found: dict[str, None] = {}
    for term in fit.design.random:
        if term.relatedness.is_identity:
            continue
        grouping = term.term.grouping
        asked = grouping.factors[0] if grouping.kin is None else grouping.kin.id
        if isinstance(asked, Name):
            found[asked.id] = None
        elif asked is None:
            found[term.relatedness.id or "id"] = None
    if len(found) > 1:
        raise ModelError(f"The fit has relatives by {shown(found)}; say with id= which column has the people.")
    name = next(iter(found), "id")
    if name not in columns:
        raise DataError(f"{columns.not_found(name)} It should say who each row is; name the right one with id=.")
    return name
