"""From `kin(id, A)` and `relmat=` to the relatedness of each grouping factor and the expression of its ids."""

from __future__ import annotations

import copy
from collections import ChainMap
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.design.columns import Columns
from lmmpy.design.lookup import look_up, names_used
from lmmpy.design.values import Categorical, label_of
from lmmpy.errors import DataError, FormulaError, LmmpyError, ModelError, shown
from lmmpy.formula import Grouping, Node, ParsedFormula, ResidualSpec, deparse
from lmmpy.formula.syntax import Name
from lmmpy.relatedness import Pedigree, Relatedness, as_relatedness

Given = Any  # a Relatedness, or a square array, dense or sparse by rows, that has no labels

__all__ = ["Kinship", "groupings", "read_kinships", "relmat_in_use"]


@dataclass(frozen=True, eq=False, slots=True)
class Kinship:
    """
    The relatedness of one grouping factor.

    Attributes
    ----------
    label : str
        Of the grouping factor.
    given : Relatedness or square matrix
        Of everybody that it knows; without labels it has a row for each row of the data.
    id : Node, Categorical or None
        The expression of the ids; the rows of the data as levels; None for the grouping factor's own expressions.
    """

    label: str
    given: Given
    id: Node | Categorical | None

    def of_rows(self, rows: NDArray[np.bool_]) -> Relatedness:
        """
        The whole relatedness, or of one with a row for each row of the data what is used.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows,)
            The rows of the data that are used.
        """
        if not isinstance(self.id, Categorical):
            own: Relatedness = self.given
            return own
        every = bool(rows.all())
        labels = [label for label, used in zip(self.id.labels, rows, strict=True) if used]
        if isinstance(self.given, Relatedness):
            named = copy.copy(self.given.form)
            named.labels = tuple(self.id.labels)
            related = Relatedness.of(named)
            return related if every else related.subset(labels)
        # The rows that are left out may hold anything: who was not genotyped has no relatives. A copy in any case.
        return _made(self.given.copy() if every else self.given[rows][:, rows], self.label, labels)

    def levels(self, factor: Categorical, full: Relatedness) -> tuple[Categorical, Relatedness]:
        """
        The levels of a model and how they are related.

        Parameters
        ----------
        factor : Categorical
            The id of each row; every one occurs, and none is missing.
        full : Relatedness
            See `of_rows`.

        Returns
        -------
        Categorical
            Whose levels are those of the relatedness: they include who links those that have rows, and identical
            twins are one.
        Relatedness
            Of these levels.

        Raises
        ------
        DataError
            For ids that the relatedness does not have, or that are counts of its rows and nothing else.
        """
        labels = list(dict.fromkeys(factor.labels))
        _require_own_labels(self.label, labels, full)
        _require_known(self.label, labels, full)
        kept = full.for_levels(labels)
        levels = np.array(kept.labels, dtype=object)
        return Categorical(kept.positions(factor.labels)[factor.codes], levels), kept


def groupings(parsed: ParsedFormula, residual: ResidualSpec | None) -> list[Grouping]:
    """The grouping factors of all terms, then the known covariance of a residual."""
    found = [term.grouping for term in parsed.all_random]
    return found if residual is None or residual.known is None else [*found, residual.known]


def relmat_in_use(
    parsed: ParsedFormula, relmat: Mapping[str, Any], residual: ResidualSpec | None = None
) -> dict[str, Any]:
    """The part of `relmat` that a model uses: by the A of ``kin(id, A)``, or by the label of a grouping factor."""
    names: set[str] = set()
    for grouping in groupings(parsed, residual):
        names |= names_used(grouping.kin.relatedness) if grouping.kin is not None else {grouping.label}
    return {key: value for key, value in relmat.items() if key in names}


def read_kinships(
    parsed: ParsedFormula,
    columns: Columns,
    relmat: Mapping[str, Any] | None,
    scope: Mapping[str, Any],
    residual: ResidualSpec | None = None,
) -> dict[str, Kinship]:
    """
    Find the relatedness of each grouping factor that has one.

    Parameters
    ----------
    parsed : ParsedFormula
    columns : Columns
    relmat : mapping, optional
        Relatedness by the name that it has in the formula, or by the grouping factor whose levels it relates.
    scope : mapping
        The caller's variables.
    residual : ResidualSpec, optional
        Which may have a known covariance.

    Returns
    -------
    dict of Kinship
        By label of the grouping factor.

    Raises
    ------
    FormulaError, DataError, ModelError
        For a relatedness that is not found or is none, for a column of ids that is not there, or for what `relmat`
        holds and the formula does not use.
    """
    relmat = _checked(relmat, parsed, residual)
    found: dict[str, Kinship] = {}
    made: dict[int, tuple[Any, Given]] = {}  # terms of one relatedness share the object, held so that no other is it
    for grouping in groupings(parsed, residual):
        if grouping.label in found or (grouping.kin is None and grouping.label not in relmat):
            continue
        if grouping.kin is not None:
            names = ChainMap(dict(relmat), scope)  # type: ignore[arg-type]
            value = look_up(grouping.kin.relatedness, names, columns, grouping.label)
        else:
            value = relmat[grouping.label]
        if id(value) not in made:
            made[id(value)] = value, _given(value, grouping, columns)
        given = made[id(value)][1]
        found[grouping.label] = Kinship(grouping.label, given, _ids(grouping, given, columns))
    return found


def _checked(
    relmat: Mapping[str, Any] | None, parsed: ParsedFormula, residual: ResidualSpec | None
) -> Mapping[str, Any]:
    if relmat is None:
        return {}
    if not isinstance(relmat, Mapping):
        raise ModelError(
            f"relmat must map names to relatednesses, as in {{'A': pedigree}}, not be a {type(relmat).__name__}."
        )
    used = relmat_in_use(parsed, relmat, residual)
    unused = [key for key in relmat if key not in used]
    if unused:
        related = [grouping.label for grouping in groupings(parsed, residual)]
        raise ModelError(
            f"relmat holds {shown(unused)}, which the formula does not use. A key is the A of a term kin(id, A), or "
            f"the grouping factor of an ordinary term such as (1 | id); the grouping factors of the formula are "
            f"{shown(dict.fromkeys(related), 20) or '(none)'}."
        )
    return relmat


def _given(value: Any, grouping: Grouping, columns: Columns) -> Given:
    """A relatedness, or a square matrix without labels; of a frame, which the user may change, a copy."""
    label = grouping.label
    is_sparse = bool(sparse.issparse(value))
    if is_sparse or (isinstance(value, np.ndarray) and value.ndim == 2):
        shape = np.shape(value)
        if shape[0] != shape[1]:
            raise DataError(f"{label}: the relatedness has the shape {shape}; it must be square.")
        return sparse.csr_array(value) if is_sparse else value
    if isinstance(value, pd.DataFrame):
        _refuse_table(value, grouping)
        return _made(value.copy(), label, columns=columns)
    if isinstance(value, Relatedness | Pedigree):
        return _made(value, label)
    of = f" of the shape {value.shape}" if isinstance(value, np.ndarray) else ""
    raise FormulaError(
        f"{label}: the relatedness is a {type(value).__name__}{of}. Expected a Relatedness, a Pedigree, a square "
        "DataFrame whose rows and columns are labelled by ids, or a square array with one row a row of the data."
    )


def _refuse_table(frame: pd.DataFrame, grouping: Grouping) -> None:
    """A frame that is far from a matrix of its own ids is surely a pedigree; one column more may be that of the ids."""
    n, m = frame.shape
    if n == m or m == n + 1 or set(map(label_of, frame.columns)) & set(map(label_of, frame.index)):
        return
    name = deparse(grouping.kin.relatedness) if grouping.kin is not None else "frame"
    raise DataError(
        f"{grouping.label}: the DataFrame has {n} rows and the columns {shown(map(str, frame.columns), 6)}; a "
        "matrix of relatedness is square, with the ids as index and columns. Is it a pedigree? Then write "
        f"lmm.Pedigree.from_frame({name})."
    )


def _made(value: Any, label: str, labels: Sequence[str] | None = None, columns: Container[str] = ()) -> Relatedness:
    try:
        made: Relatedness = as_relatedness(value, labels, columns)
        return made
    except LmmpyError as error:
        raise type(error)(f"{label}: {error}") from error


def _ids(grouping: Grouping, given: Given, columns: Columns) -> Node | Categorical | None:
    """What tells the id of each row."""
    kin, asked = grouping.kin, grouping.kin.id if grouping.kin is not None else None
    if isinstance(given, Relatedness) and given.labels is not None:
        return asked if kin is None or asked is not None else Name(_id_column(grouping, given, columns))
    if kin is None or asked is not None:
        raise DataError(
            f"{grouping.label}: the relatedness has no labels, so the ids cannot be found in it. Give it labels: a "
            "DataFrame with the ids as index and columns, or Relatedness(K, labels=ids)."
        )
    size = given.size if isinstance(given, Relatedness) else given.shape[0]
    if size != columns.n_rows:
        raise DataError(
            f"{grouping.label}: the relatedness has {size} rows and no labels, the data have "
            f"{columns.n_rows} rows. Without labels it must have one row for each row of the data, in the same order "
            "(before any is left out). Else give it labels and write kin(<column of ids>, A)."
        )
    texts = [label_of(label) for label in columns.index] if columns.index is not None else []
    if len(set(texts)) < columns.n_rows:
        texts = [str(i) for i in range(columns.n_rows)]
    return Categorical(np.arange(columns.n_rows), np.array(texts, dtype=object))


def _id_column(grouping: Grouping, given: Relatedness, columns: Columns) -> str:
    name = given.id if given.id is not None else "id"
    if name in columns:
        return name
    whose = "its relatedness was made with" if given.id is not None else "is looked for by default"
    inner = grouping.label.removeprefix("kin(").removesuffix(")")
    raise FormulaError(
        f"{grouping.label}: there is no column {name!r}, which {whose}. The columns are {shown(columns.names, 12)}: "
        f"write kin(<column>, {inner}) with the one that holds the ids."
    )


def _require_own_labels(label: str, ids: Sequence[str], full: Relatedness) -> None:
    """The counts 0 … n−1 of a DataFrame without labels are ids only where the data count from 0 as well."""
    if full.is_counted and "0" not in ids:
        raise DataError(
            f"{label}: K has no labels of its own (its index counts 0…{full.size - 1}), and the data's ids begin at "
            f"{ids[0]!r}: give K.index and K.columns the ids, or lmm.Relatedness(K.to_numpy(), labels=ids)."
        )


def _require_known(label: str, ids: Sequence[str], full: Relatedness) -> None:
    known = set(full.labels or ()).union(full.aliases)
    unknown = [one for one in ids if one not in known]
    if unknown:
        raise DataError(
            f"{label}: the relatedness does not have {len(unknown)} of the {len(ids)} ids in the rows used: "
            f"{shown(unknown)}. {_hint(unknown, len(ids), full)}"
        )


def _hint(unknown: Sequence[str], n: int, full: Relatedness) -> str:
    """What may be wrong with ids that are not found."""
    theirs = (*(full.labels or ()), *full.aliases)
    plain = {_plain(one): one for one in theirs}
    same = next((one for one in unknown if _plain(one) in plain), None)
    if same is not None:
        return (
            f"Is {same!r} there {plain[_plain(same)]!r}, the same id written in another way (as a number and as a "
            "text)? Write the ids alike on both sides."
        )
    if len(unknown) == n:
        return f"Not one is known; its ids are such as {shown(theirs, 3)}. Is it another column that holds the ids?"
    return "Add them to it, or leave their rows out with subset=."


def _plain(label: str) -> str:
    """An id without what differs between ways to write it: blanks, case, leading zeros, decimals."""
    text = label.strip().casefold()
    try:
        return f"{float(text):.15g}"
    except ValueError:
        return text.lstrip("0")
