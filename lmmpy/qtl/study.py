"""A family study as `lmer` reads it: who is who, who lives with whom, and the formulas of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.columns import Columns
from lmmpy.design.values import Categorical, label_of
from lmmpy.errors import DataError, FormulaError, ModelError, shown
from lmmpy.formula import Node, RandomTerm, Terms, deparse, parse_formula
from lmmpy.formula.syntax import Name
from lmmpy.formula.update import formula_text, random_text
from lmmpy.model.source import Source
from lmmpy.qtl.transform import inormal
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.relatedness.convert import as_relatedness

__all__ = ["Study", "read_study"]

_NO_HOUSEHOLD = frozenset({"", "0"})


@dataclass(frozen=True, eq=False, slots=True)
class Study:
    """Data, relatedness and the parts of the formula.

    Attributes
    ----------
    frame : DataFrame
        All rows; with the household column recoded and the transformed trait added.
    relatedness : Relatedness
    name : str
        Of the relatedness in formulas.
    id : str
        The column that says who each row is.
    trait : str
        As the formula has it.
    response : Node
    fixed : Terms
    others : tuple of str
        Further random terms, such as ``(1 | school)``.
    household : str or None
        The column.
    alone : int
        People without a household.
    n_pedigree : int
        Members of the pedigree.
    """

    frame: pd.DataFrame
    relatedness: Relatedness
    name: str
    id: str
    trait: str
    response: Node
    fixed: Terms
    others: tuple[str, ...]
    household: str | None
    alone: int
    n_pedigree: int

    @property
    def kin(self) -> str:
        """The relatedness term, as it stands in formulas and as the fit names it."""
        return f"kin({deparse(Name(self.id))}, {deparse(Name(self.name))})"

    @property
    def household_term(self) -> str | None:
        """The household as formulas and fits name it."""
        return None if self.household is None else deparse(Name(self.household))

    def formula(self, fixed: Terms, kin: bool = True, household: bool = True) -> str:
        """One of the study's models.

        Parameters
        ----------
        fixed : Terms
        kin, household : bool
            Whether these terms are in it (the second: if there is a household).
        """
        terms = [*self.others, *([self.kin] if kin else [])]
        if household and self.household is not None:
            terms.append(f"(1 | {self.household_term})")
        return formula_text(self.response, fixed, terms)


def read_study(
    formula: str, data: Any, pedigree: Any, household: str | None, transform: str | None, id: str | None, name: str
) -> Study:
    """
    Read and check the arguments of `polygenic`.

    Parameters
    ----------
    formula, data, pedigree, household, transform, id
        See there.
    name : str
        What to call the pedigree in formulas, if it can be a name.

    Returns
    -------
    Study

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.
    """
    if isinstance(formula, str) and "~" not in formula:
        raise FormulaError(_without_tilde(formula))
    parsed = parse_formula(formula)
    if parsed.response is None:
        raise FormulaError(f"{formula!r} has no trait. Write it on the left: 'trait ~ age + sex'.")
    _check_others(parsed.random)
    others = tuple(random_text(term) for term in parsed.random)
    columns = Columns(data)
    frame = Source(data).frame(np.ones(columns.n_rows, dtype=bool))
    frame.columns = [str(column) for column in frame.columns]
    relatedness = _relatedness(pedigree, columns)
    id = _id_column(columns, id, relatedness)
    response, trait = parsed.response, deparse(parsed.response)
    if isinstance(response, Name) and response.id in columns:
        _check_trait(response.id, columns[response.id])
    if transform is not None:
        response = _transformed(frame, columns, response, transform)
    if household is not None:
        _check_household(columns, household, id, parsed.random)
    alone = 0 if household is None else _recode_households(frame, columns, household, id)
    size = len(pedigree) if isinstance(pedigree, Pedigree) else relatedness.size
    name = name if name.isidentifier() else "pedigree"
    while name in columns:  # relmat would take the column for a grouping factor whose levels are related
        name += "_"
    return Study(frame, relatedness, name, id, trait, response, parsed.fixed, others, household, alone, size)


def _without_tilde(formula: str) -> str:
    trait = formula.strip() if formula.strip().isidentifier() else "trait"
    return f"{formula!r} has no '~'. Write '{trait} ~ 1', or with covariates '{trait} ~ age + sex'."


def _check_others(terms: Sequence[RandomTerm]) -> None:
    kin = [random_text(term) for term in terms if term.grouping.kin is not None]
    if kin:
        raise FormulaError(
            f"{shown(kin)} stands in the formula, but the relatedness of this model is the argument pedigree. Leave "
            "the term out, or fit the model you mean with lmm.lmer."
        )


def _relatedness(pedigree: Any, columns: Columns) -> Relatedness:
    if isinstance(pedigree, pd.DataFrame) and pedigree.shape[0] != pedigree.shape[1]:
        raise DataError(
            f"pedigree is a table with the columns {shown(pedigree.columns)}, not a pedigree. If it lists people and "
            "their parents, make it one: lmm.Pedigree.from_frame(table, id=..., father=..., mother=...)."
        )
    return as_relatedness(pedigree, columns=columns)


def _id_column(columns: Columns, id: str | None, relatedness: Relatedness) -> str:
    name = id if id is not None else relatedness.id if relatedness.id is not None else "id"
    if name not in columns:
        said = "" if id is not None else " It should say who each row is; name the right one with id=."
        raise DataError(columns.not_found(name) + said)
    return name


def _check_trait(name: str, values: Any) -> None:
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


def _transformed(frame: pd.DataFrame, columns: Columns, response: Node, transform: str) -> Node:
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


def _check_household(columns: Columns, household: Any, id: str, others: Sequence[RandomTerm]) -> None:
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


def _recode_households(frame: pd.DataFrame, columns: Columns, household: str, id: str) -> int:
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


def only_intercept(fixed: Terms) -> Terms:
    """The fixed part without covariates; known offsets stay."""
    return Terms(fixed.variables, (), True, fixed.offsets)


def without_terms(fixed: Terms, labels: Mapping[str, Any] | Sequence[str]) -> Terms:
    """The fixed part without some terms."""
    kept = tuple(term for term in fixed.terms if term.label not in labels)
    return Terms(fixed.variables, kept, fixed.intercept, fixed.offsets)
