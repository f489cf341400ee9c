"""Families as `lmer` reads them: who is who, who is related, who lives with whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.columns import Columns
from lmmpy.design.values import Categorical, label_of
from lmmpy.errors import DataError, FormulaError, ModelError, shown
from lmmpy.formula import Node, RandomTerm, deparse
from lmmpy.formula.syntax import Name
from lmmpy.formula.update import random_text
from lmmpy.model.source import Source
from lmmpy.qtl.transform import inormal
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.relatedness.convert import as_relatedness

__all__ = [
    "Families",
    "check_household",
    "check_trait",
    "id_column",
    "own_name",
    "read_families",
    "read_relatedness",
    "recode_households",
    "transformed",
    "whole_frame",
]

_NO_HOUSEHOLD = frozenset({"", "0"})


@dataclass(frozen=True, eq=False, slots=True)
class Families:
    """People and how they are related.

    Attributes
    ----------
    frame : DataFrame
        All rows, with the household column recoded; what a model adds is added here.
    columns : Columns
        Of the data as they were given.
    relatedness : Relatedness
    pedigree : Pedigree or None
        Where one was given.
    name : str
        Of the relatedness in formulas.
    id : str
        The column that says who each row is.
    household : str or None
        The column.
    alone : int
        People without a household.
    n_pedigree : int
        Members of the pedigree.
    """

    frame: pd.DataFrame
    columns: Columns
    relatedness: Relatedness
    pedigree: Pedigree | None
    name: str
    id: str
    household: str | None
    alone: int
    n_pedigree: int

    def kin(self, name: str | None = None) -> str:
        """A relatedness term, as it stands in formulas and as a fit names it; by default of the one that was given."""
        return f"kin({deparse(Name(self.id))}, {deparse(Name(name or self.name))})"

    @property
    def household_term(self) -> str | None:
        """The household as formulas and fits name it."""
        return None if self.household is None else deparse(Name(self.household))

    def notes(self) -> list[str]:
        """What has to be said of the data."""
        if not self.alone:
            return []
        return [f"{self.alone} people without a {self.household} count as living alone."]


def read_families(data: Any, pedigree: Any, household: str | None, id: str | None, name: str) -> Families:
    """
    Read and check who is related.

    Parameters
    ----------
    data : DataFrame or mapping of arrays
    pedigree : Pedigree, Relatedness or square labelled DataFrame
    household, id : str or None
        Columns.
    name : str
        What to call the pedigree in formulas, if it can be a name.

    Returns
    -------
    Families

    Raises
    ------
    DataError
        Each names what is wrong and says what to do.
    """
    columns = Columns(data)
    frame = whole_frame(data, columns)
    relatedness = read_relatedness(pedigree, columns)
    id = id_column(columns, id, relatedness)
    if household is not None:
        check_household(columns, household, id, ())
    alone = 0 if household is None else recode_households(frame, columns, household, id)
    known = pedigree if isinstance(pedigree, Pedigree) else None
    size = relatedness.size if known is None else len(known)
    return Families(frame, columns, relatedness, known, own_name(name, columns), id, household, alone, size)


def whole_frame(data: Any, columns: Columns) -> pd.DataFrame:
    """All rows and columns of the data, a copy, with text as names."""
    frame = Source(data).frame(np.ones(columns.n_rows, dtype=bool))
    frame.columns = [str(column) for column in frame.columns]
    return frame


def own_name(name: str, columns: Columns, otherwise: str = "pedigree") -> str:
    """A name for a relatedness that no column has: relmat would take the column for a factor of related levels."""
    name = name if name.isidentifier() else otherwise
    while name in columns:
        name += "_"
    return name


def read_relatedness(pedigree: Any, columns: Columns) -> Relatedness:
    """How people are related, from whatever says so."""
    if isinstance(pedigree, pd.DataFrame) and pedigree.shape[0] != pedigree.shape[1]:
        raise DataError(
            f"pedigree is a table with the columns {shown(pedigree.columns)}, not a pedigree. If it lists people and "
            "their parents, make it one: lmm.Pedigree.from_frame(table, id=..., father=..., mother=...)."
        )
    return as_relatedness(pedigree, columns=columns)


def id_column(columns: Columns, id: str | None, relatedness: Relatedness) -> str:
    """The column that says who a row is."""
    name = id if id is not None else relatedness.id if relatedness.id is not None else "id"
    if name not in columns:
        said = "" if id is not None else " It should say who each row is; name the right one with id=."
        raise DataError(columns.not_found(name) + said)
    return name


def check_trait(name: str, values: Any) -> None:
    """Refuse a trait that is constant or has two values, where nobody means a normal distribution."""
    if isinstance(values, Categorical):
        levels = values.drop_unused().labels
    else:
        known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        levels = [label_of(value) for value in np.unique(known)[:3]]
    if not levels:
        raise DataError(f"The trait {name!r} has no value.")
    if len(levels) == 1:
        raise DataError(f"The trait {name!r} is constant: {levels[0]} wherever it is known.")
    if isinstance(values, Categorical) or len(levels) == 2:
        what = f"the values {shown(levels)}" if len(levels) < 4 else f"{len(levels)} categories"
        raise ModelError(
            f"The trait {name!r} has {what}: it is discrete, and this is a model of quantitative traits. A discrete "
            "trait needs a liability-threshold model, which is not fitted here; if 0 and 1 are meant as quantities, "
            "lmm.lmer with a kin() term fits them."
        )


def transformed(frame: pd.DataFrame, columns: Columns, response: Node, transform: str) -> Node:
    """Add the transformed trait to `frame`, and return its name."""
    if transform != "inormal":
        raise ModelError(f"transform is 'inormal' or None, not {transform!r}.")
    if not isinstance(response, Name) or response.id not in columns:
        raise FormulaError(
            f"transform={transform!r} is for a trait that is a column, not for {deparse(response)!r}. An inverse "
            "normal transform needs no other before it, as it knows the order of the values only."
        )
    name = f"inormal_{response.id}"
    if name in columns:
        raise DataError(f"There already is a column {name!r}, which the transformed trait would replace. Rename it.")
    frame[name] = inormal(columns[response.id])
    return Name(name)


def check_household(columns: Columns, household: Any, id: str, others: Sequence[RandomTerm]) -> None:
    """Refuse a household that is no column, or is in the model already."""
    if not isinstance(household, str):
        raise DataError(f"household is the name of a column, not a {type(household).__name__}.")
    if household not in columns:
        raise DataError(columns.not_found(household))
    if household == id:
        raise DataError(f"household={household!r} is the column of the ids. Name the column of the households.")
    same = [random_text(term) for term in others if term.grouping.label == deparse(Name(household))]
    if same:
        raise FormulaError(
            f"{shown(same)} in the formula and household={household!r} are the same term, and no data tell their "
            "variances apart. Leave the term out of the formula: household has its share as c2, and tests it."
        )


def recode_households(frame: pd.DataFrame, columns: Columns, household: str, id: str) -> int:
    """Give everybody without a household one of their own; return how many they are."""
    homes, people = _texts(columns[household]), _texts(columns[id])
    missing = np.array([home is None or home.strip() in _NO_HOUSEHOLD for home in homes], dtype=bool)
    if missing.all():
        raise DataError(
            f"The column {household!r} says of nobody where they live: it is missing, blank or 0 everywhere."
        )
    if not missing.any():
        return 0
    known = {home for home, gone in zip(homes, missing, strict=True) if not gone}
    mark = "alone"
    while any(home.startswith(mark) for home in known if home is not None):
        mark += "_"
    frame[household] = [
        f"{mark}:{person}" if gone else home for home, person, gone in zip(homes, people, missing, strict=True)
    ]
    return len({person for person, gone in zip(people, missing, strict=True) if gone})


def _texts(values: Any) -> list[str | None]:
    """A column as labels of levels, None where it is missing."""
    if isinstance(values, Categorical):
        return [*values.by_row(values.labels, None)]
    if values.dtype.kind == "f":
        return [None if np.isnan(value) else label_of(value) for value in values.tolist()]
    return [label_of(value) for value in values.tolist()]
