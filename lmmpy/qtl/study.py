"""A family study as `lmer` reads it: who is who, who lives with whom, and the formulas of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lmmpy.design.columns import Columns
from lmmpy.errors import FormulaError, shown
from lmmpy.formula import Node, RandomTerm, Terms, deparse, parse_formula
from lmmpy.formula.syntax import Name
from lmmpy.formula.update import formula_text, random_text
from lmmpy.qtl.families import (
    check_household,
    check_trait,
    id_column,
    own_name,
    read_relatedness,
    recode_households,
    transformed,
    whole_frame,
)
from lmmpy.relatedness import Pedigree, Relatedness

__all__ = ["Study", "read_study"]


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
    frame = whole_frame(data, columns)
    relatedness = read_relatedness(pedigree, columns)
    id = id_column(columns, id, relatedness)
    response, trait = parsed.response, deparse(parsed.response)
    if isinstance(response, Name) and response.id in columns:
        check_trait(response.id, columns[response.id])
    if transform is not None:
        response = transformed(frame, columns, response, transform)
    if household is not None:
        check_household(columns, household, id, parsed.random)
    alone = 0 if household is None else recode_households(frame, columns, household, id)
    size = len(pedigree) if isinstance(pedigree, Pedigree) else relatedness.size
    name = own_name(name, columns)
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


def only_intercept(fixed: Terms) -> Terms:
    """The fixed part without covariates; known offsets stay."""
    return Terms(fixed.variables, (), True, fixed.offsets)


def without_terms(fixed: Terms, labels: Mapping[str, Any] | Sequence[str]) -> Terms:
    """The fixed part without some terms."""
    kept = tuple(term for term in fixed.terms if term.label not in labels)
    return Terms(fixed.variables, kept, fixed.intercept, fixed.offsets)
